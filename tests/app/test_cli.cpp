// The command line on real and on bad input: exit codes, sentences, reports and JSON.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "core/files/safetensors.h"
#include "core/sparsity/parameters.h"
#include "tests/app/command.h"

namespace dhsa::test {
namespace {

namespace fs = std::filesystem;

// Two hundred tokens with a code to find; short enough for every instrumented build.
std::string short_text() {
  std::string text = "The harbour was quiet in the morning. ";
  for (int i = 0; i < 6; ++i) text += "Boats came in with the tide, and the market filled with people and noise. ";
  text += "The secret code of the red lamp is 48213. ";
  for (int i = 0; i < 6; ++i) text += "In the evening the wind turned, and the lights went on along the quay. ";
  return text + "\nQuestion: What is the secret code of the red lamp?\nAnswer:";
}

const char* const kQuick = " --compare none --max-new-tokens 0 --metrics-rows 0 --logit-positions 0";

TEST(Run, TheQuestionIsWhatTheMarksSayAndTheReportSaysWhich) {
  const Folder folder;
  const std::string text = folder.write("note.txt", short_text() + "\n\nSumario: que dice?\n");
  const auto report = [&](const std::string& more) {
    const Outcome outcome = done("run '" + text + "' --budget 128 --sink-tokens 4 --local-tokens 16" + kQuick + more);
    return outcome.out;
  };
  expect_said(report(""), {"\"Question: What is the secret"});
  expect_said(report(" --question-marks 'Query:,Sumario:'"), {"\"Sumario: que dice?\""});
  expect_said(report(" --question-marks none"), {"question of 0 tokens"});
  const Outcome refused = dhsa("run '" + text + "' --question-marks ,");
  EXPECT_EQ(refused.code, 2);
  expect_said(refused.err, {"question-marks"});
}

// ---- reports
// -----------------------------------------------------------------------------------------------------------

TEST(Run, ReportsDhsaBesideDenseWithTheAnswer) {
  const Folder folder;
  const std::string text = folder.write("note.txt", short_text());
  const std::string json = folder.path("run.json").string();
  const Outcome outcome =
      done("run '" + text + "' --budget 128 --sink-tokens 16 --local-tokens 64 --json '" + json + "'");
  expect_said(outcome.out, {"note.txt", "density", "retained mass", "peak memory", "speed-up over dense",
                            "same top token", "48213", "local", "global", "16 tokens, the most asked for"});
  EXPECT_EQ(outcome.err, "");  // no progress where standard error is no terminal

  const nlohmann::json run = json_of(json);
  EXPECT_EQ(run["kind"], "dhsa-run");
  const nlohmann::json& runs = run["comparison"]["runs"];
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0]["method"], "dhsa");
  EXPECT_EQ(runs[1]["method"], "dense");
  EXPECT_EQ(runs[0]["parameters"]["budget"], 128);
  EXPECT_EQ(runs[0]["parameters"]["instruction-tokens"], run["document"]["question_tokens"]);
  EXPECT_GT(run["document"]["question_tokens"], 5);
  EXPECT_LT(runs[0]["density"], 1.0);
  EXPECT_EQ(runs[1]["density"], 1.0);
  EXPECT_GT(runs[0]["mask"]["retained_mass"], 0.3);
  EXPECT_LT(runs[0]["mask"]["retained_mass"], 1.0);
  EXPECT_LE(runs[0]["mask"]["worst_head_mass"], runs[0]["mask"]["retained_mass"]);
  EXPECT_EQ(runs[1]["mask"]["retained_mass"], 1.0);
  EXPECT_EQ(runs[0]["mask"]["layers"].size(), 8U);
  EXPECT_GT(runs[0]["logits"]["mean_kl_nats"], 0.0);
  EXPECT_EQ(runs[0]["logits"]["positions"], run["document"]["tokens"]);
  EXPECT_EQ(runs[0]["trace"]["layers"].size(), 8U);
  EXPECT_NE(runs[1]["answer"]["text"].get<std::string>().find("48213"), std::string::npos);
  double stages = 0;
  for (const auto& [name, seconds] : runs[0]["trace"]["stage_seconds"].items()) stages += seconds.get<double>();
  EXPECT_NEAR(stages, runs[0]["prefill_seconds"].get<double>(), 1e-6);
}

TEST(Run, EveryMethodAndPresetOnOneText) {
  const Folder folder;
  const std::string text = folder.write("note.txt", short_text());
  const std::string json = folder.path("run.json").string();
  std::string names;
  std::size_t count = 0;
  for (const Method method : all_methods()) {
    names += std::string(count++ > 0 ? "," : "") + name_of(method);
  }
  names += ",best,latency";
  done("run '" + text + "' --budget 128 --sink-tokens 16 --local-tokens 64 --compare " + names +
       " --max-new-tokens 0 --json '" + json + "'");
  const nlohmann::json result = json_of(json);
  const nlohmann::json& runs = result["comparison"]["runs"];
  EXPECT_EQ(runs.size(), count + 2);
  for (const auto& run : runs) {
    EXPECT_GT(run["density"], 0.0) << run["name"];
    EXPECT_LE(run["density"], 1.0) << run["name"];
    EXPECT_LE(run["mask"]["of_oracle"].get<double>(), 1.0 + 1e-6) << run["name"];
    EXPECT_FALSE(run.contains("answer"));
    if (run["name"] == "token-topk") {
      EXPECT_GT(run["mask"]["retained_mass"], 0.9);
    }
  }
}

TEST(Run, ReadsStandardInput) {
  const Outcome outcome = done(std::string("run -") + kQuick, "A short line.\n");
  expect_said(outcome.out, {"standard input"});
}

TEST(Run, OneThreadAndTwoGiveTheSameAnswerAndMasks) {
  const Folder folder;
  const std::string text = folder.write("note.txt", short_text());
  nlohmann::json runs[2];
  for (int threads = 1; threads <= 2; ++threads) {
    const std::string json = folder.path("run.json").string();
    done("run '" + text + "' --compare none --budget 128 --sink-tokens 16 --local-tokens 64 --threads " +
         std::to_string(threads) + " --json '" + json + "'");
    runs[threads - 1] = json_of(json)["comparison"]["runs"][0];
  }
  EXPECT_EQ(runs[0]["answer"]["tokens"], runs[1]["answer"]["tokens"]);
  EXPECT_EQ(runs[0]["density"], runs[1]["density"]);
}

TEST(Generate, WritesTheContinuationToStandardOutputOnly) {
  const Outcome outcome = done("generate - --method dense --max-new-tokens 6", short_text());
  expect_said(outcome.out, {"48213"});
  EXPECT_EQ(outcome.out.find("tokens"), std::string::npos);
  expect_said(outcome.err, {"under dense"});
}

TEST(Inspect, ShowsBoundariesScoresAndARow) {
  const Folder folder;
  const std::string text = folder.write("note.txt", short_text());
  const std::string json = folder.path("inspect.json").string();
  const Outcome outcome = done(
      "inspect '" + text +
      "' --layer 3 --row 150 --budget 96 --sink-tokens 16 --local-tokens 32 --query-block 32 --json '" + json + "'");
  expect_said(outcome.out,
              {"Layer 3", "global", "Capture", "S_c", "Boundaries in the text", "Query row 150", "Dropped"});
  const nlohmann::json result = json_of(json);
  EXPECT_EQ(result["boundaries"].front()["token"], 0);
  EXPECT_EQ(result["boundaries"].back()["token"], result["document"]["tokens"]);
  EXPECT_EQ(result["boundaries"].back()["byte"], short_text().size());
  double mass = 0;
  std::int64_t visible = 0;
  std::int64_t kept = 0;
  for (const auto& piece : result["row"]["pieces"]) {
    mass += piece["dense_mass"].get<double>();
    visible += piece["visible_keys"].get<std::int64_t>();
    kept += piece["kept_keys"].get<std::int64_t>();
  }
  EXPECT_NEAR(mass, 1.0, 1e-4);
  EXPECT_EQ(visible, 151);
  EXPECT_LE(kept, 96 + 32);
  EXPECT_GE(kept, 48);
}

TEST(Inspect, ListsTheTokensWithTheirBytes) {
  const Folder folder;
  const std::string json = folder.path("tokens.json").string();
  const std::string csv = folder.path("tokens.csv").string();
  const std::string text = "Say \"no\", please: 日本.\n";
  const Outcome outcome = done("inspect - --tokens --json '" + json + "' --csv '" + csv + "'", text);
  expect_said(outcome.out, {"<bos>"});
  const nlohmann::json tokens = json_of(json)["tokens"];
  EXPECT_EQ(tokens.front(), (nlohmann::json{{"id", 2}, {"piece", "<bos>"}, {"begin", 0}, {"end", 0}}));
  std::string joined;
  std::size_t at = 0;
  for (const auto& token : tokens) {
    EXPECT_EQ(token["begin"], at);
    at = token["end"];
    if (token != tokens.front()) joined += token["piece"];
  }
  EXPECT_EQ(at, text.size());
  for (std::size_t mark = 0; (mark = joined.find("\u2581", mark)) != std::string::npos;) joined.replace(mark, 3, " ");
  EXPECT_EQ(joined, text);  // byte pieces shown as the characters they form
  const std::string rows = content(csv);
  EXPECT_TRUE(rows.starts_with("token,id,piece,begin,end\n0,2,<bos>,0,0\n")) << rows;
  expect_said(rows, {",\"\n\","});
  EXPECT_REFUSED(dhsa("inspect - --csv x.csv", text), "--tokens");
}

TEST(Inspect, RefusesWhatIsNotThere) {
  EXPECT_REFUSED(dhsa("inspect - --layer 8", "A line."), "layers 0 to 7");
  EXPECT_REFUSED(dhsa("inspect - --head 4", "A line."), "heads 0 to 3");
  EXPECT_REFUSED(dhsa("inspect - --row 4000", "A line."), "--row");
}

TEST(Info, SaysWhatAFolderHolds) {
  const Folder folder;
  const std::string json = folder.path("info.json").string();
  const Outcome outcome = done("info --tensors --json '" + json + "'");
  expect_said(outcome.out, {"model-00001-of-00002.safetensors", "SentencePiece", "model.layers.7.mlp.up_proj.weight",
                            "32,768", "beyond the context"});
  const nlohmann::json result = json_of(json);
  EXPECT_EQ(result["tensors"].size(), 8U * 11U + 2U);
  EXPECT_EQ(result["tokenizer_pieces"], 8192);
  EXPECT_EQ(result["prefill_memory"].size(), 6U);
  EXPECT_GT(result["prefill_memory"][5]["activation_bytes"], result["prefill_memory"][0]["activation_bytes"]);
}

TEST(SynthModel, MakesAFolderThatLoads) {
  const Folder folder;
  const std::string out = folder.path("synthetic").string();
  done("synth-model --shape demo --layers 2 --vocab 512 --window 64 --out '" + out + "'");
  const Outcome outcome = done("info '" + out + "'");
  expect_said(outcome.out, {"window of 64", "tokenizer.model is missing"});
  EXPECT_REFUSED(dhsa("synth-model --shape gemma5 --out '" + out + "x'"), "gemma5");
  EXPECT_FALSE(fs::exists(out + "x"));
}

TEST(Bench, TimesEveryMethodOnceAndSaysWhere) {
  const Folder folder;
  const std::string json = folder.path("bench.json").string();
  done(
      "bench attention --shapes demo --lengths 300 --repeats 2 --budget 128 --sink-tokens 16 "
      "--local-tokens 64 --json '" +
      json + "'");
  const nlohmann::json result = json_of(json);
  EXPECT_EQ(result["results"].size(), 8U);
  EXPECT_FALSE(result["machine"]["processor"].get<std::string>().empty());
  for (const auto& one : result["results"]) {
    EXPECT_GT(one["total_seconds"]["median"], 0.0) << one["method"];
    EXPECT_LE(one["total_seconds"]["lowest"], one["total_seconds"]["highest"]);
    if (one["method"] == "dense") {
      EXPECT_EQ(one["speed_up_over_fused_dense"]["median"], 1.0);
    }
  }
  const Outcome prefill = done(
      "bench prefill --models demo --lengths 200 --methods window-sinks --repeats 1 --warm-up 0 "
      "--budget 128 --sink-tokens 16 --local-tokens 64 --json '" +
      json + "'");
  const nlohmann::json whole = json_of(json);
  ASSERT_EQ(whole["results"].size(), 2U);
  EXPECT_EQ(whole["results"][0]["method"], "dense");
  EXPECT_LT(whole["results"][1]["density"], 1.0);
  EXPECT_GT(whole["results"][0]["gflop"], whole["results"][1]["gflop"]);
  EXPECT_REFUSED(dhsa("bench attention --lengths 12x"), "12x");

  const Outcome kernels =
      done("bench attention --kernels --shapes demo --lengths 130 --repeats 2 --json '" + json + "'");
  const nlohmann::json compared = json_of(json);
  EXPECT_EQ(compared["results"].size(), compared["machine"]["cpu_kernels"].size());
  for (const auto& one : compared["results"]) {
    const double error = one["relative_error"];
    EXPECT_GT(error, 0.0) << one["kernel"];
    EXPECT_LT(error, one["dtype"] == "bfloat16" ? 4e-3 : 1e-5) << one["kernel"];
    EXPECT_EQ(one["error_rows"], 130);
  }
  EXPECT_REFUSED(dhsa("bench attention --kernels --window -1"), "--window");
}

// ---- texts
// -------------------------------------------------------------------------------------------------------------

TEST(Text, EmptyIsRefused) {
  const Folder folder;
  EXPECT_REFUSED(dhsa("run -" + std::string(kQuick), ""), "empty");
  EXPECT_REFUSED(dhsa("run '" + folder.write("empty.txt", "") + "'"), "empty.txt is empty");
  EXPECT_REFUSED(dhsa("run '" + folder.path("absent.txt").string() + "'"), "absent.txt");
  EXPECT_REFUSED(dhsa("run '" + folder.path().string() + "'"), folder.path().filename().string());
}

TEST(Text, TwoTokensRunUnderEveryMethod) {
  for (const Method method : all_methods()) {
    const Outcome outcome = dhsa(std::string("run - --compare dense --method ") + name_of(method), "a");
    EXPECT_EQ(outcome.code, 0) << name_of(method) << ": " << outcome.err;
    expect_said(outcome.out, {": 2 tokens"});
  }
}

TEST(Text, InvalidUtf8IsReplacedAndSaid) {
  const Outcome outcome = done(std::string("run -") + kQuick, "Good \xff\xfe bytes and \xc3\xa9.");
  expect_said(outcome.out, {"2 bytes of standard input are not valid UTF-8"});
}

TEST(Text, LongerThanTheContextIsCutAndSaid) {
  const Folder folder;
  const fs::path model = demo_copy(folder);
  set_config(model, "max_position_embeddings", 128);
  const std::string text = folder.write("note.txt", short_text());
  const std::string json = folder.path("run.json").string();
  const std::string command =
      "run '" + text + "' --model '" + model.string() + "' --method dense --json '" + json + "'" + kQuick;
  const Outcome cut = done(command);
  expect_said(cut.out, {"more than the model's context of 128"});
  EXPECT_EQ(json_of(json)["document"]["tokens"], 128);
  EXPECT_GT(json_of(json)["document"]["question_tokens"], 5);  // the question at the end stays
  const std::int64_t whole_tokens = json_of(json)["document"]["whole_tokens"];
  EXPECT_GT(whole_tokens, 128);
  done(command + " --allow-long");
  EXPECT_EQ(json_of(json)["document"]["tokens"], whole_tokens);
}

TEST(Text, FiveMegabytesWithoutSpacesRun) {
  const Folder folder;
  const fs::path model = demo_copy(folder);
  set_config(model, "max_position_embeddings", 1024);
  std::string text;
  text.reserve(5U << 20U);
  while (text.size() < (5U << 20U)) text += "abcdefghij"[text.size() * 7919 % 10];
  const Outcome outcome =
      done("run '" + folder.write("long.txt", text) + "' --model '" + model.string() + "' --budget 256" + kQuick);
  expect_said(outcome.out, {"1024 tokens are used"});
}

// ---- parameters
// --------------------------------------------------------------------------------------------------------

TEST(Parameters, HelpNamesEveryOne) {
  const Outcome help = done("run --help");
  for (const OptionInfo& info : parameter_table()) {
    EXPECT_NE(help.out.find("--" + info.key), std::string::npos) << info.key;
  }
  for (std::size_t at = 0; at < help.out.size();) {
    const std::size_t end = help.out.find('\n', at);
    const std::string line = help.out.substr(at, end - at);
    const auto characters = std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; });
    EXPECT_LE(characters, 110) << line;
    at = end + 1;
  }
}

TEST(Parameters, BadValuesAreRefusedBeforeAnythingRuns) {
  EXPECT_REFUSED(dhsa("run --budget 0"), "budget");
  EXPECT_REFUSED(dhsa("run --budget -5"), "budget");
  EXPECT_REFUSED(dhsa("run --budget many"), "many");
  EXPECT_REFUSED(dhsa("run --budget 99999999999999999999"), "budget");
  EXPECT_REFUSED(dhsa("run --boundary-window 0"), "boundary-window");
  EXPECT_REFUSED(dhsa("run --chunks-per-block nan"), "chunks-per-block");
  EXPECT_REFUSED(dhsa("run --method sparse"), "sparse");
  EXPECT_REFUSED(dhsa("run --preset fastest"), "fastest");
  EXPECT_REFUSED(dhsa("run --compare dense,magic"), "magic");
  EXPECT_REFUSED(dhsa("run --budget 200"), "sink");  // less than what is always kept
  EXPECT_REFUSED(dhsa("run --metrics-rows -1"), "--metrics-rows");
  EXPECT_REFUSED(dhsa("run --device tpu"), "tpu");
  EXPECT_REFUSED(dhsa("run --dtype float16"), "float16");
  EXPECT_REFUSED(dhsa("run --boundaries learned --predictor /nowhere/p.safetensors"), "p.safetensors");
  EXPECT_REFUSED(dhsa("run --metrics-rows 99999999999"), "--metrics-rows cannot be 99999999999");
  EXPECT_REFUSED(dhsa("run --max-new-tokens 1000000000"), "--max-new-tokens");
  EXPECT_REFUSED(dhsa("run --json --quiet"), "--json has no value: --quiet follows it");
  EXPECT_REFUSED(dhsa("run --budget= --quiet"), "--budget has no value");
  EXPECT_REFUSED(dhsa("needle --preset best"), "--preset");  // there, methods are named
  const Folder folder;
  const std::string text = folder.write("text.txt", short_text());
  EXPECT_REFUSED(dhsa("run '" + text + "' --json '" + text + "'"), "would be written over");
  EXPECT_REFUSED(dhsa("needle --lengths 256 --haystack '" + text + "' --json '" + text + "'"), "would be written over");
  EXPECT_REFUSED(dhsa("inspect --tokens --json x --csv ./x", "", folder.path()), "would be written twice");
  EXPECT_REFUSED(dhsa("train-predictor --text '" + text + "' --out x --checkpoint x"), "would be written twice");
  EXPECT_REFUSED(dhsa("export mask --session '" + text + "' -o '" + text + "'"), "would be written over");
  EXPECT_REFUSED(dhsa("bench attention --json --quiet"), "--json has no value");
  EXPECT_EQ(content(text), short_text());
  EXPECT_REFUSED(dhsa("run --nonsense"), "nonsense");
  EXPECT_REFUSED(dhsa("run one two"), "two");
  EXPECT_REFUSED(dhsa("walk"), "walk");
}

TEST(Parameters, WhatMakesNoDifferenceIsSaid) {
  const auto said = [](const std::string& options) {
    const Outcome outcome =
        done("run - --quiet --metrics-rows 0 --logit-positions 0 --max-new-tokens 0 " + options, short_text());
    return outcome.err;
  };
  EXPECT_EQ(said("--method vertical-slash --pooling mean --compare none"),
            "dhsa: --pooling makes no difference to vertical-slash, which does not read it here.\n");
  EXPECT_EQ(said("--method vertical-slash --pooling mean --compare dhsa"), "");
  EXPECT_EQ(
      said("--budget 512 --compare window-sinks+pooling=mean+budget=256"),
      "dhsa: +pooling makes no difference to window-sinks+pooling=mean+budget=256, which does not read it here.\n");
  EXPECT_EQ(said("--method dense --instruction-tokens 100 --compare none"),
            "dhsa: --instruction-tokens makes no difference to dense, which does not read it here.\n");
  // Read at one of the points of a sweep.
  const Outcome swept = done(
      "sweep --quiet --methods dhsa+mass=0.9,window-sinks --vary selection=threshold --pooling mean --max-budget 999 "
      "--samples 1 --repeats 1 --lengths 400 --logit-positions 0 --metrics-rows 0");
  EXPECT_EQ(swept.err, "");
  const Outcome ablated = done(
      "ablate --quiet --needles 1 --tokens 300 --budget 280 --only 'group oracle' --variant "
      "mine=window-sinks,pooling=mean");
  EXPECT_EQ(ablated.err, "dhsa: pooling makes no difference to mine, which does not read it here.\n");
}

TEST(Parameters, AReportSaysWhatDiffersFromThePresetNamed) {
  const auto methods = [](const std::string& options) {
    const Outcome outcome =
        done("run - --quiet --metrics-rows 0 --logit-positions 0 --max-new-tokens 0 --instruction-tokens 0 " + options,
             short_text());
    std::vector<std::string> lines;
    for (std::size_t at = outcome.out.find("\nMethod  "); at != std::string::npos;
         at = outcome.out.find("\nMethod  ", at + 1)) {
      lines.push_back(outcome.out.substr(at + 9, outcome.out.find('\n', at + 1) - at - 9));
    }
    return lines;
  };
  using Lines = std::vector<std::string>;
  EXPECT_EQ(methods("--compare window-sinks,best,best+score-rows=8"),
            (Lines{"dhsa: budget 1024 keys", "window-sinks: budget 1024 keys", "best: budget 1024 keys",
                   "best+score-rows=8: budget 1024 keys, score-rows 8 rows"}));
  EXPECT_EQ(
      methods("--preset latency --sink-tokens 64 --compare window-sinks"),
      (Lines{"latency: budget 2048 keys, sink-tokens 64 keys", "window-sinks: budget 1024 keys, sink-tokens 64 keys"}));
  // A method's name means the method's own preset, whatever --preset says of the first one.
  EXPECT_EQ(methods("--preset latency --compare dhsa"), (Lines{"latency: budget 2048 keys", "dhsa: budget 1024 keys"}));
  EXPECT_EQ(methods("--preset latency --method vertical-slash --compare none"),
            (Lines{"vertical-slash: budget 1024 keys"}));
}

TEST(Parameters, BudgetAboveTheLengthKeepsEverything) {
  const Folder folder;
  const std::string json = folder.path("run.json").string();
  done("run - --budget 100000 --max-new-tokens 0 --json '" + json + "'", short_text());
  const nlohmann::json run = json_of(json)["comparison"]["runs"][0];
  EXPECT_EQ(run["density"], 1.0);
  EXPECT_EQ(run["mask"]["retained_mass"], 1.0);
  EXPECT_EQ(run["logits"]["same_top"], 1.0);
  EXPECT_LT(run["logits"]["mean_kl_nats"], 1e-6);
}

TEST(Parameters, PresetsFlagsAndSingleOptionsStack) {
  const Folder folder;
  const std::string json = folder.path("run.json").string();
  const auto parameters = [&](const std::string& options) {
    done("run - --json '" + json + "' " + options + kQuick, short_text());
    return json_of(json)["comparison"]["runs"][0]["parameters"];
  };
  EXPECT_EQ(parameters("--preset latency")["budget"], 2048);
  EXPECT_EQ(parameters("--preset latency")["share-masks"], true);
  EXPECT_EQ(parameters("--budget 512 --preset latency")["budget"], 512);
  EXPECT_EQ(parameters("--preset latency --no-share-masks")["share-masks"], false);
  EXPECT_EQ(parameters("--share-masks")["share-masks"], true);
  EXPECT_EQ(parameters("--instruction-tokens 3")["instruction-tokens"], 3);
  EXPECT_GT(parameters("--instruction-tokens auto")["instruction-tokens"], 5);
}

// ---- model folders
// -----------------------------------------------------------------------------------------------------

Outcome run_model(const fs::path& model) { return dhsa("run - --model '" + model.string() + "'" + kQuick, "A line."); }

TEST(BadModel, MissingThings) {
  const Folder folder;
  EXPECT_REFUSED(run_model(folder.path("absent")), "absent");
  const fs::path model = demo_copy(folder);
  fs::remove(model / "tokenizer.model");
  EXPECT_REFUSED(run_model(model), "tokenizer.model");
}

TEST(BadModel, MissingShard) {
  const Folder folder;
  const fs::path model = demo_copy(folder);
  fs::remove(model / "model-00002-of-00002.safetensors");
  EXPECT_REFUSED(run_model(model), "model-00002-of-00002.safetensors");
}

TEST(BadModel, TruncatedShard) {
  const Folder folder;
  const fs::path model = demo_copy(folder);
  const fs::path shard = own_file(model, "model-00001-of-00002.safetensors");
  fs::resize_file(shard, fs::file_size(shard) - 100);
  EXPECT_REFUSED(run_model(model), "model-00001-of-00002.safetensors");
}

TEST(BadModel, WrongShape) {
  const Folder folder;
  const fs::path model = demo_copy(folder);
  set_config(model, "intermediate_size", 512);
  EXPECT_REFUSED(run_model(model), "mlp");
}

TEST(BadModel, NanWeight) {
  const Folder folder;
  const fs::path model = demo_copy(folder);
  const std::string name = "model-00001-of-00002.safetensors";
  const fs::path shard = own_file(model, name);
  std::uint64_t header = 0;
  const std::string bytes = content(shard);
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto file = SafetensorsFile::open(shard);
  const auto& [tensor, info] = *file->tensors().begin();
  ASSERT_EQ(info.dtype, "BF16");
  std::fstream patch(shard, std::ios::in | std::ios::out | std::ios::binary);
  patch.seekp(static_cast<std::streamoff>(8 + header + info.begin + 2 * 5));
  patch.write("\xc0\x7f", 2);  // not a number
  patch.close();
  EXPECT_REFUSED(run_model(model), tensor);
}

TEST(BadModel, VocabularyMismatch) {
  const Folder folder;
  const fs::path model = demo_copy(folder);
  set_config(model, "vocab_size", 4000);
  EXPECT_REFUSED(run_model(model), "8192");
}

TEST(BadModel, WindowOfNothing) {
  const Folder folder;
  const fs::path model = demo_copy(folder);
  set_config(model, "sliding_window", 0);
  EXPECT_REFUSED(run_model(model), "sliding_window");
}

// ---- verification
// ------------------------------------------------------------------------------------------------------

const std::string kTiny = std::string(DHSA_FIXTURES) + "/gemma2_tiny_a";

TEST(VerifyGemma2, PassesOnStoredOutputs) {
  const Folder folder;
  const std::string json = folder.path("verify.json").string();
  const Outcome outcome = done("verify gemma2 --model '" + kTiny + "' --expected '" + kTiny +
                               "/expected.safetensors' --json '" + json + "'");
  expect_said(outcome.out, {"logits"});
  EXPECT_EQ(json_of(json)["passed"], true);
}

// A copy of `stored` with one value of `tensor` changed.
std::string tampered(const Folder& folder, const std::string& stored, const std::string& tensor) {
  const auto file = SafetensorsFile::open(stored);
  std::vector<TensorToWrite> tensors;
  std::vector<std::byte> changed;
  for (const auto& [name, info] : file->tensors()) {
    std::span<const std::byte> bytes = file->bytes(name);
    if (name == tensor) {
      changed.assign(bytes.begin(), bytes.end());
      float value = 0;
      std::memcpy(&value, changed.data() + 400, sizeof value);
      value += 0.5F;
      std::memcpy(changed.data() + 400, &value, sizeof value);
      bytes = changed;
    }
    tensors.push_back({name, info.dtype, info.shape, bytes});
  }
  write_safetensors(folder.path("tampered.safetensors"), tensors, file->metadata());
  return folder.path("tampered.safetensors").string();
}

TEST(VerifyGemma2, FailsWhereOneValueDiffers) {
  const Folder folder;
  const std::string json = folder.path("verify.json").string();
  const std::string expected = tampered(folder, kTiny + "/expected.safetensors", "logits");
  const std::string command = "verify gemma2 --model '" + kTiny + "' --expected '" + expected + "'";
  const Outcome outcome = dhsa(command + " --json '" + json + "'");
  EXPECT_EQ(outcome.code, 1) << outcome.out << outcome.err;
  expect_said(outcome.out, {"TOO LARGE"});
  const nlohmann::json result = json_of(json);
  EXPECT_EQ(result["passed"], false);
  for (const auto& tensor : result["tensors"]) {
    EXPECT_EQ(tensor["passed"], tensor["tensor"] != "logits") << tensor;
  }
  done(command + " --tolerance 10");
}

TEST(VerifyGemma2, RefusesWhatDoesNotFit) {
  EXPECT_REFUSED(dhsa("verify gemma2 --model '" + kTiny + "' --expected /nowhere/e.safetensors"), "e.safetensors");
  EXPECT_REFUSED(dhsa("verify gemma2 --model '" + kTiny + "'"), "--expected");
  EXPECT_REFUSED(dhsa("verify"), "subcommand");
}

TEST(VerifyDhsa, PassesOnTheReferenceAndFailsOnATamperedOne) {
  const std::string fixture = std::string(DHSA_FIXTURES) + "/reference_dhsa_small.safetensors";
  const Outcome outcome = done("verify dhsa --fixture '" + fixture + "'");
  expect_said(outcome.out, {"dhsa_output"});

  const Folder folder;
  const std::string json = folder.path("verify.json").string();
  const Outcome failed =
      dhsa("verify dhsa --fixture '" + tampered(folder, fixture, "dhsa_output") + "' --json '" + json + "'");
  EXPECT_EQ(failed.code, 1) << failed.out << failed.err;
  EXPECT_EQ(json_of(json)["passed"], false);
  EXPECT_REFUSED(dhsa("verify dhsa --fixture /nowhere/f.safetensors"), "f.safetensors");
  EXPECT_REFUSED(dhsa("verify dhsa --fixture '" + kTiny + "/expected.safetensors'"), "expected.safetensors");
}

// ---- output and behaviour of the program itself
// -----------------------------------------------------------------------

TEST(Program, HelpAndVersion) {
  const Outcome bare = done("");
  for (const char* command : {"run", "inspect", "generate", "verify", "synth-model", "info", "bench"}) {
    EXPECT_NE(bare.out.find(command), std::string::npos) << command;
    done(std::string(command) + " --help");
  }
  EXPECT_EQ(dhsa("--help").out, bare.out);
  EXPECT_TRUE(dhsa("--version").out.starts_with("dhsa "));
}

TEST(Program, AJsonPathThatCannotBeWrittenIsRefusedAtOnce) {
  EXPECT_REFUSED(dhsa("run - --json /nowhere/at/all.json", short_text()), "/nowhere/at/all.json");
}

TEST(Program, WhatNobodyHearsStopsNoWork) {
  const Folder folder;
  const std::string text = folder.write("text.txt", short_text());
  const std::string json = folder.path("run.json").string();
  const auto deaf = [&](const std::string& arguments) {
    return std::system(
        ("'" + std::string(DHSA_BINARY) + "' " + arguments + " >'" + folder.path("out").string() + "' 2>/dev/full")
            .c_str());
  };
  EXPECT_EQ(WEXITSTATUS(deaf("run /nonexistent")), 2);
  EXPECT_EQ(deaf("run '" + text + "' --progress --mass 0.5 --max-new-tokens 0 --json '" + json + "'"), 0);
  EXPECT_EQ(json_of(json)["kind"], "dhsa-run");
}

TEST(Program, AFullStandardOutputIsSaid) {
  const Folder folder;
  const std::string json = folder.path("info.json").string();
  const int status =
      std::system(("'" + std::string(DHSA_BINARY) + "' verify gemma2 --model '" + kTiny + "' --expected '" + kTiny +
                   "/expected.safetensors' --json '" + json + "' >/dev/full 2>'" + folder.path("err").string() + "'")
                      .c_str());
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_EQ(content(folder.path("err")), "dhsa: Standard output cannot be written.\n");
  EXPECT_EQ(json_of(json)["passed"], true);  // what was asked for is there nevertheless
}

TEST(Program, AFolderIsNoJsonFile) {
  const Folder folder;
  EXPECT_REFUSED(dhsa("run - --json '" + folder.path().string() + "'", "A line."), "is a folder");
}

TEST(Program, AFailedRunLeavesTheOldJson) {
  const Folder folder;
  const std::string json = folder.write("run.json", "{\"old\": true}");
  EXPECT_EQ(dhsa("run - --json '" + json + "'", "").code, 2);
  EXPECT_EQ(content(json), "{\"old\": true}");
  EXPECT_EQ(folder.names().size(), 1U);
}

TEST(Program, ProgressAsPlainLines) {
  const Outcome outcome = done(std::string("run - --progress") + kQuick, short_text());
  expect_said(outcome.err, {"prefill", " %"});
}

TEST(Program, InterruptCancelsCleanly) {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 500; ++i) text += short_text();
  const std::string note = folder.write("note.txt", text);
  const std::string json = folder.path("run.json").string();
  EXPECT_EQ(interrupted(folder, "run '" + note + "' --progress --json '" + json + "'", "grep -q prefill err"), 1);
  expect_said(content(folder.path("err")), {"Cancelled"});
  EXPECT_EQ(content(folder.path("out")), "");
  EXPECT_FALSE(fs::exists(json));
  EXPECT_EQ(folder.names().size(), 4U);  // note, script, out, err
}

}  // namespace
}  // namespace dhsa::test
