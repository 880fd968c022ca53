// dhsa verify scores and dhsa longbench as a person meets them.
#include <gtest/gtest.h>

#include "tests/app/command.h"

namespace dhsa::test {
namespace {

const std::string kCases = DHSA_FIXTURES "/scores/";

TEST(VerifyScores, ZeroWhereAllAgreeAndOneWhereOneDiffers) {
  const Outcome fine = done("verify scores --cases '" + kCases + "longbench_metric_cases.json'");
  expect_said(fine.out, {"All 147 scores agree"});

  const Folder folder;
  nlohmann::json cases = json_of(kCases + "ruler_metric_cases.json");
  cases[2]["score"] = 2e-6;
  const std::string changed = folder.write("cases.json", cases.dump());
  const std::string json = folder.path("scores.json").string();
  const Outcome wrong = dhsa("verify scores --cases '" + changed + "' --json '" + json + "'");
  EXPECT_EQ(wrong.code, 1) << wrong.err;
  expect_said(wrong.out, {"1 of 26 scores differ", "niah_single_1, case 3"});
  EXPECT_EQ(json_of(json)["passed"], false);
  EXPECT_EQ(json_of(json)["scores"].size(), 26U);
}

TEST(VerifyScores, OtherFilesAreRefused) {
  const Folder folder;
  EXPECT_REFUSED(dhsa("verify scores --cases /nowhere.json"), "/nowhere.json");
  EXPECT_REFUSED(dhsa("verify scores --cases '" + folder.write("a.json", "[]") + "'"), "no case");
  EXPECT_REFUSED(dhsa("verify scores --cases '" + folder.write("b.json", R"([{"dataset":"squad"}])") + "'"),
                 "no LongBench task");
  EXPECT_REFUSED(
      dhsa("verify scores --cases '" +
           folder.write("c.json", R"([{"task":"niah_9","prediction":"","references":[""],"score":0}])") + "'"),
      "niah_multikey_1");
}

// Two methods on both rows of one task.
std::string quick(const Folder& folder) {
  return "longbench --tasks triviaqa --methods dense,window-sinks+budget=256 --out '" + folder.path("lb").string() +
         "'";
}

TEST(LongBench, TheShippedSetShowsATableAndKeepsEveryPrediction) {
  const Folder folder;
  std::filesystem::create_directory(folder.path("lb"));
  (void)folder.write("lb/.dhsa-0011223344556677.part", "half a tab");  // of one that was killed before any other file
  const Outcome outcome = done(quick(folder));
  expect_said(outcome.out, {"Few-shot learning", "triviaqa", "Average", "density", "100.0"});
  const nlohmann::json results = json_of(folder.path("lb/results.json"));
  EXPECT_EQ(results["finished"], true);
  EXPECT_EQ(results["scores"][0]["methods"][0]["score"], 100.0);

  // What is cut off at any place is gone on from to the same files.
  const auto file = folder.path("lb/pred/dense/triviaqa.jsonl");
  const auto other = folder.path("lb/pred/window-sinks+budget=256/triviaqa.jsonl");
  const std::string predictions = content(file);
  const std::string others = content(other);
  const std::string tables = content(folder.path("lb/results.json")) + content(folder.path("lb/results.csv"));
  EXPECT_REFUSED(dhsa(quick(folder)), "--resume");
  EXPECT_REFUSED(dhsa(quick(folder) + " --resume --limit 1"), "cannot be continued");
  std::filesystem::resize_file(file, predictions.size() - 20);  // a line half written
  std::filesystem::resize_file(other, others.find('\n') + 1);
  (void)folder.write("lb/.dhsa-0123456789abcdef.part", "half a tab");
  done(quick(folder) + " --resume");
  EXPECT_FALSE(std::filesystem::exists(folder.path("lb/.dhsa-0123456789abcdef.part")));
  EXPECT_EQ(content(file), predictions);
  EXPECT_EQ(content(other), others);
  EXPECT_EQ(content(folder.path("lb/results.json")) + content(folder.path("lb/results.csv")), tables);
}

TEST(LongBench, OtherInputIsRefused) {
  const Folder folder;
  EXPECT_REFUSED(dhsa("longbench --tasks squad"), "no LongBench task");
  EXPECT_REFUSED(dhsa("longbench --preset mine"), "official and dhsa-v1");
  EXPECT_REFUSED(dhsa("longbench --data '" + folder.path().string() + "'"), "holds no file of a LongBench task");
  const std::string prompts = folder.write("prompts.json", R"({"triviaqa": "{context} {question}"})");
  EXPECT_REFUSED(dhsa("longbench --tasks triviaqa --prompts '" + prompts + "'"), "no field");
  EXPECT_REFUSED(dhsa("longbench --tasks trec --prompts '" + prompts + "'"), "has no trec");
}

TEST(NeedleSuite, QuestionsAwayFromTheEndHaveATableAndGoOn) {
  const Folder folder;
  const std::string json = folder.path("suite.json").string();
  const std::string command =
      "needle --suite questions --questions 2 --lengths 300 --methods dense,window-sinks+budget=64 "
      "--json '" +
      json + "' --csv '" + folder.path("suite.csv").string() + "'";
  const Outcome outcome = done(command);
  expect_said(outcome.out, {"throughout", "from_the_cache", "log-prob.", "2 questions a prompt"});
  // Of a file whose last cell is gone, that cell is asked again and the rest stays.
  nlohmann::json results = json_of(json);
  const nlohmann::json whole = results;
  EXPECT_EQ(whole["finished"], true);
  results["finished"] = false;
  results["cells"].erase(1);
  (void)folder.write("suite.json", results.dump());
  EXPECT_REFUSED(dhsa(command), "--resume");
  EXPECT_REFUSED(dhsa(command + " --resume --seed 2"), "cannot be continued");
  const Outcome resumed = done(command + " --resume --markdown");
  expect_said(resumed.out, {"| throughout | "});
  const nlohmann::json again = json_of(json);
  EXPECT_EQ(again["cells"][0], whole["cells"][0]);
  EXPECT_EQ(again["cells"][1]["scores"][0]["answers"], whole["cells"][1]["scores"][0]["answers"]);
}

TEST(NeedleSuite, OtherInputIsRefused) {
  EXPECT_REFUSED(dhsa("needle --suite helmet"), "ruler, questions");
  EXPECT_REFUSED(dhsa("needle --suite ruler --tasks niah_single_9"), "has no task");
  EXPECT_REFUSED(dhsa("needle --suite ruler --depths 5"), "depths");
  EXPECT_REFUSED(dhsa("needle --markdown"), "--suite");
  EXPECT_REFUSED(dhsa("needle --questions 5"), "questions");
  EXPECT_REFUSED(dhsa("needle --suite ruler --lengths 256 --methods dense"), "too few for niah_");
}

}  // namespace
}  // namespace dhsa::test
