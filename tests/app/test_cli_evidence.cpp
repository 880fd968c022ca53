// `dhsa needle`, `dhsa sweep` and `dhsa ablate`: reports, files, going on, refusals.
#include <gtest/gtest.h>

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>

#include "tests/app/command.h"

namespace dhsa::test {
namespace {

namespace fs = std::filesystem;

const char* const kSmallNeedle =
    "needle --lengths 192,256 --depths 2 --methods dense,window-sinks --budget 64 --sink-tokens 4 --seed 3";
const char* const kSmallSweep =
    "sweep --lengths 128 --methods window-sinks,best --vary budget=48,96 --sink-tokens 4 --local-tokens 16 "
    "--query-block 32 --repeats 1";

TEST(NeedleCommand, ReportsEveryMethodAndLeavesJsonAndCsv) {
  const Folder folder;
  const std::string json = folder.path("needle.json").string();
  const std::string csv = folder.path("needle.csv").string();
  const Outcome outcome = done(std::string(kSmallNeedle) + " --json '" + json + "' --csv '" + csv + "'");
  expect_said(outcome.out, {"single, reference mode", "exact", "log-prob.", "dense", "window-sinks", "depth", "192"});
  EXPECT_EQ(outcome.err, "");
  const nlohmann::json results = json_of(json);
  EXPECT_EQ(results["kind"], "dhsa-needle");
  EXPECT_EQ(results["finished"], true);
  EXPECT_EQ(results["cells"].size(), 4U);
  EXPECT_TRUE(results.contains("machine"));
  EXPECT_EQ(results["methods"][1]["parameters"]["budget"], 64);
  EXPECT_EQ(results["methods"][1]["parameters"]["sink-tokens"], 4);
  const std::string rows = content(csv);
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 1 + 8);
  EXPECT_EQ(folder.names().size(), 2U);

  // The same again has nothing to do, and says the same.
  const Outcome again = done(std::string(kSmallNeedle) + " --resume --progress --json '" + json + "'");
  EXPECT_EQ(again.out, outcome.out);
  expect_said(again.err, {"warming up"});  // its first prompt would look slow otherwise
  EXPECT_EQ(json_of(json)["cells"], results["cells"]);
}

TEST(NeedleCommand, GoesOnOnlyWithTheSameSettings) {
  const Folder folder;
  const std::string json = folder.path("needle.json").string();
  const std::string to = " --json '" + json + "'";
  done(std::string(kSmallNeedle) + to);
  nlohmann::json half = json_of(json);
  const nlohmann::json whole = half;
  half["cells"].erase(3);
  half["cells"].erase(2);
  half["finished"] = false;
  static_cast<void>(folder.write("needle.json", half.dump()));

  EXPECT_REFUSED(dhsa(std::string(kSmallNeedle) + to), "--resume");  // would write over it
  EXPECT_REFUSED(dhsa(std::string(kSmallNeedle) + " --mode strict --resume" + to), "mode");
  EXPECT_REFUSED(dhsa(std::string(kSmallNeedle) + " --query-block 64 --resume" + to), "query-block");
  EXPECT_EQ(json_of(json), half);

  done(std::string(kSmallNeedle) + " --resume" + to);
  nlohmann::json done = json_of(json);
  ASSERT_EQ(done["cells"].size(), 4U);
  for (std::size_t c = 0; c < 4; ++c) {
    for (std::size_t m = 0; m < 2; ++m) {
      nlohmann::json answers[] = {done["cells"][c]["scores"][m]["answers"], whole["cells"][c]["scores"][m]["answers"]};
      for (nlohmann::json& each : answers) each[0].erase("prefill_seconds");
      EXPECT_EQ(answers[0], answers[1]);
    }
  }
}

TEST(NeedleCommand, HidesNeedlesInAFileOfOnesOwn) {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 80; ++i)
    text += "On day " + std::to_string(i) + " the keeper wrote down what the sea had brought. ";
  const std::string note = folder.write("log book.txt", text);
  const std::string json = folder.path("n.json").string();
  const Outcome outcome = done("needle --lengths 256 --depths 1 --methods dense --task multi-key --haystack '" + note +
                               "' --json '" + json + "'");
  expect_said(outcome.out, {"log book.txt"});
  EXPECT_EQ(json_of(json)["settings"]["haystack"]["name"], "log book.txt");
}

TEST(NeedleCommand, AnInterruptLeavesAFileToGoOnFrom) {
  const Folder folder;
  const std::string json = folder.path("needle.json").string();
  EXPECT_EQ(interrupted(folder, "needle --lengths 256 --depths 2 --prompts 500 --methods dense --json needle.json",
                        "test -e needle.json"),
            1);
  expect_said(content(folder.path("err")), {"Cancelled after ", "--resume"});
  const nlohmann::json results = json_of(json);
  EXPECT_EQ(results["finished"], false);
  EXPECT_GE(results["cells"][0]["prompts"], 1);
  EXPECT_LT(results["cells"][0]["prompts"], 500);
  EXPECT_NE(content(folder.path("out")).find("dense"), std::string::npos);  // what there is so far
}

TEST(NeedleCommand, RefusesInOneSentence) {
  const Folder folder;
  const std::string quick = "needle --lengths 256 --depths 1 --methods dense ";
  EXPECT_REFUSED(dhsa("needle --lengths many"), "many");
  EXPECT_REFUSED(dhsa("needle --methods nobody"), "nobody");
  EXPECT_REFUSED(dhsa("needle --methods dense,dense"), "twice");
  EXPECT_REFUSED(dhsa("needle --task triple"), "triple");
  EXPECT_REFUSED(dhsa("needle --mode loose"), "loose");
  EXPECT_REFUSED(dhsa("needle --depths 0"), "depths");
  EXPECT_REFUSED(dhsa("needle --lengths 32K"), "--allow-long");
  EXPECT_REFUSED(dhsa("needle --lengths 1K --budget-share 0.125 --methods dhsa"), "dhsa at 1024 tokens");
  EXPECT_REFUSED(dhsa("needle --methods best+score-rows"), "parameter=value");
  EXPECT_REFUSED(dhsa("needle --methods best+no-such=1"), "no-such");
  EXPECT_REFUSED(dhsa("needle --methods dense,best+score-rows=x"), "score-rows");
  EXPECT_REFUSED(dhsa(quick + "--resume"), "--json");
  const std::string same = folder.path("same.json").string();
  EXPECT_REFUSED(dhsa(quick + "--json '" + same + "' --csv '" + same + "'"), "two files");
  EXPECT_REFUSED(dhsa(quick + "--haystack '" + folder.path("no.txt").string() + "'"), "no.txt");
  EXPECT_REFUSED(dhsa(quick + "--haystack '" + folder.write("blank.txt", " \n") + "'"), "empty");
  EXPECT_REFUSED(dhsa(quick + "--json '" + folder.path().string() + "'"), "folder");
  EXPECT_REFUSED(dhsa(quick + "--csv '" + folder.path("no/where.csv").string() + "'"), "where.csv");
  const std::string broken = folder.write("broken.json", "{\"kind\":\"dhsa-needle\",\"cells\":[");
  EXPECT_REFUSED(dhsa(quick + "--resume --json '" + broken + "'"), "JSON");
  EXPECT_EQ(content(broken), "{\"kind\":\"dhsa-needle\",\"cells\":[");
}

TEST(SweepCommand, MeasuresEveryValueAndGoesOn) {
  const Folder folder;
  const std::string json = folder.path("sweep.json").string();
  const std::string csv = folder.path("sweep.csv").string();
  const std::string to = " --json '" + json + "' --csv '" + csv + "'";
  const Outcome outcome = done(std::string(kSmallSweep) + to);
  expect_said(outcome.out, {"budget", "dense", "window-sinks", "best", "KL", "same top", "≈", "±"});
  const nlohmann::json results = json_of(json);
  EXPECT_EQ(results["kind"], "dhsa-sweep");
  ASSERT_EQ(results["points"].size(), 5U);
  EXPECT_LT(results["points"][4]["samples"][0]["mean_kl_nats"], results["points"][3]["samples"][0]["mean_kl_nats"]);
  const std::string rows = content(csv);
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 1 + 5);

  nlohmann::json half = results;
  half["points"][4]["samples"].clear();
  half["finished"] = false;
  static_cast<void>(folder.write("sweep.json", half.dump()));
  EXPECT_REFUSED(dhsa(std::string(kSmallSweep) + to), "--resume");
  EXPECT_REFUSED(dhsa(std::string(kSmallSweep) + " --samples 2 --resume" + to), "samples");
  done(std::string(kSmallSweep) + " --resume" + to);
  EXPECT_EQ(json_of(json)["points"][4]["samples"][0]["mean_kl_nats"],
            results["points"][4]["samples"][0]["mean_kl_nats"]);
  EXPECT_EQ(json_of(json)["points"][3], results["points"][3]);  // not measured again
}

TEST(SweepCommand, RefusesInOneSentence) {
  EXPECT_REFUSED(dhsa("sweep --vary budget"), "parameter=value");
  EXPECT_REFUSED(dhsa("sweep --vary budget="), "no value");
  EXPECT_REFUSED(dhsa("sweep --vary colour=red"), "colour");
  EXPECT_REFUSED(dhsa("sweep --vary budget=some"), "some");
  EXPECT_REFUSED(dhsa("sweep --vary method=dense"), "method");
  EXPECT_REFUSED(dhsa("sweep --vary budget=1 --lengths 128 --methods dhsa"), "budget of 1");
  EXPECT_REFUSED(dhsa("sweep --samples 0"), "samples");
  EXPECT_REFUSED(dhsa("sweep --lengths 64K"), "--allow-long");
}

std::string small_ablation(const Folder& folder) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "On day " + std::to_string(i) + " the keeper wrote down what the sea brought. ";
  return "ablate --text '" + folder.write("log book.txt", text) +
         "' --samples 2 --needles 1 --tokens 160 --budget 150 --only window-sinks 'group oracle' --seed 3 "
         "--variant 'mine=best,local-tokens=64,query-block=32' ";
}

TEST(AblateCommand, ReportsEveryVariantAndLeavesJsonAndCsv) {
  const Folder folder;
  const std::string json = folder.path("ablation.json").string();
  const std::string csv = folder.path("ablation.csv").string();
  const std::string command = small_ablation(folder);
  const Outcome outcome = done(command + " --resume --json '" + json + "' --csv '" + csv + "'");
  expect_said(outcome.out, {"window-sinks", "group oracle", "mine", "KL", "of gap", "question rows", "needle rows",
                            "2 excerpts of the last tenth of log book.txt", "1 needle document", "seed 3", "demo"});
  const nlohmann::json results = json_of(json);
  EXPECT_EQ(results["kind"], "dhsa-ablate");
  EXPECT_EQ(results["finished"], true);
  EXPECT_EQ(results["samples"].size(), 9U);
  EXPECT_TRUE(results.contains("machine"));
  EXPECT_EQ(results["methods"][2]["parameters"]["local-tokens"], 64);
  const std::string rows = content(csv);
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 1 + 9);

  // The same again has nothing to do, and says the same, as Markdown where asked.
  const Outcome again = done(command + " --resume --json '" + json + "'");
  EXPECT_EQ(again.out, outcome.out);
  EXPECT_EQ(json_of(json)["samples"], results["samples"]);
  const Outcome markdown = dhsa(command + " --markdown --resume --json '" + json + "'");
  expect_said(markdown.out, {"\n| mine | ", "* Machine: "});
}

TEST(AblateCommand, GoesOnOnlyWithTheSameSettings) {
  const Folder folder;
  const std::string json = folder.path("ablation.json").string();
  const std::string to = " --json '" + json + "'";
  const std::string command = small_ablation(folder);
  done(command + to);
  const nlohmann::json whole = json_of(json);
  nlohmann::json half = whole;
  while (half["samples"].size() > 4) half["samples"].erase(4);
  half["finished"] = false;
  static_cast<void>(folder.write("ablation.json", half.dump()));
  EXPECT_REFUSED(dhsa(command + to), "--resume");  // would write over it
  EXPECT_REFUSED(dhsa(command + " --metrics-rows 3 --resume" + to), "metrics_rows");
  EXPECT_REFUSED(dhsa(command + " --budget 140 --resume" + to), "budget");
  EXPECT_REFUSED(dhsa(command + " --seed 4 --resume" + to), "seed");
  EXPECT_EQ(json_of(json), half);
  done(command + " --resume" + to);
  const nlohmann::json done = json_of(json);
  ASSERT_EQ(done["samples"].size(), 9U);
  for (std::size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(done["samples"][i]["mean_kl_nats"], whole["samples"][i]["mean_kl_nats"]);
    EXPECT_EQ(done["samples"][i]["retained_mass"], whole["samples"][i]["retained_mass"]);
  }
}

TEST(AblateCommand, AnInterruptLeavesAFileToGoOnFrom) {
  const Folder folder;
  const std::string json = folder.path("ablation.json").string();
  EXPECT_EQ(interrupted(folder, "ablate --needles 300 --tokens 400 --budget 300 --only methods --json ablation.json",
                        "test -e ablation.json"),
            1);
  expect_said(content(folder.path("err")), {"Cancelled after ", "--resume"});
  const nlohmann::json results = json_of(json);
  EXPECT_EQ(results["finished"], false);
  EXPECT_GE(results["samples"].size(), 1U);
  EXPECT_NE(content(folder.path("out")).find("window-sinks"), std::string::npos);  // what there is so far
}

TEST(AblateCommand, RefusesInOneSentence) {
  const Folder folder;
  const std::string quick = "ablate --needles 1 --tokens 300 --budget 280 ";
  EXPECT_REFUSED(dhsa("ablate"), "--needles");
  EXPECT_REFUSED(dhsa(quick + "--only nobody"), "--only");
  EXPECT_REFUSED(dhsa(quick + "--variant best"), "NAME=PRESET");
  EXPECT_REFUSED(dhsa(quick + "--variant mine=nobody"), "nobody");
  EXPECT_REFUSED(dhsa(quick + "--variant mine=best,colour=red"), "colour");
  EXPECT_REFUSED(dhsa(quick + "--variant mine=best,budget"), "no value");
  EXPECT_REFUSED(dhsa(quick + "--variant best=best"), "\"best\"");
  EXPECT_REFUSED(dhsa("ablate --needles 1 --budget 100"), "vertical-slash: ");
  EXPECT_REFUSED(dhsa("ablate --needles 1 --tokens 9"), "tokens");
  EXPECT_REFUSED(dhsa("ablate --needles 1 --tokens 20000"), "--allow-long");
  EXPECT_REFUSED(dhsa("ablate --needles -1"), "--needles");
  EXPECT_REFUSED(dhsa(quick + "--metrics-rows 0"), "metrics-rows");
  EXPECT_REFUSED(dhsa(quick + "--resume"), "--json");
  EXPECT_REFUSED(dhsa(quick + "--text '" + folder.path("no.txt").string() + "'"), "no.txt");
  EXPECT_REFUSED(dhsa(quick + "--text '" + folder.write("short.txt", "Too short.\n") + "'"), "last tenth of short.txt");
  EXPECT_REFUSED(dhsa(quick + "--csv '" + folder.path("no/where.csv").string() + "'"), "where.csv");
  EXPECT_REFUSED(dhsa(quick + "--predictor '" + folder.write("p.safetensors", "no") + "'"), "p.safetensors");
  const std::string broken = folder.write("broken.json", "{\"kind\":\"dhsa-needle\"}");
  EXPECT_REFUSED(dhsa(quick + "--resume --json '" + broken + "'"), "no ablation");
}

TEST(TrainPredictorCommand, RefusesInOneSentence) {
  const Folder folder;
  const std::string out = " --out '" + folder.path("p.safetensors").string() + "'";
  const std::string text = " --text '" + folder.write("short.txt", "Too short.\n") + "'";
  EXPECT_REFUSED(dhsa("train-predictor" + out), "--text");
  EXPECT_REFUSED(dhsa("train-predictor" + text + out), "short.txt has");
  EXPECT_REFUSED(dhsa("train-predictor" + text + out + " --heads 3"), "heads is 3");
  EXPECT_REFUSED(dhsa("train-predictor" + text + out + " --learning-rate nan"), "learning-rate");
  EXPECT_REFUSED(dhsa("train-predictor" + text + out + " --resume"), "no checkpoint");
  EXPECT_REFUSED(dhsa("train-predictor" + text + " --out '" + folder.path("no/p").string() + "'"), "folder");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"short.txt"});
}

}  // namespace
}  // namespace dhsa::test
