// LongBench's rows, templates and prompts.
#include "core/experiments/longbench.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/experiments/experiment.h"
#include "core/experiments/scores.h"
#include "core/files/atomic_write.h"
#include "core/sparsity/boundary_predictor.h"
#include "tests/support/demo.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

constexpr const char* kRow =
    R"({"input":"Who?","context":"a {b} c","answers":["x"],"length":3,"dataset":"qasper","language":"en",)"
    R"("all_classes":null,"_id":"7"})";

LongBenchRow row() { return parse_longbench_rows(kRow, "file", longbench_task("qasper")).front(); }

TEST(LongBenchData, ReadsRowsAndRefusesOthers) {
  EXPECT_EQ(row().context, "a {b} c");
  const auto sentence = [](const std::string& text) {
    return error_of([&] { (void)parse_longbench_rows(text, "file", longbench_task("qasper")); });
  };
  expect_mentions(sentence(fmt::format("{}\n{}\n", kRow, R"({"input":""})")), "file, row 2 has no context");
  expect_mentions(sentence("nonsense"), "file, row 1");
  expect_mentions(sentence(""), "no row");
  expect_mentions(error_of([] { (void)parse_longbench_rows(kRow, "file", longbench_task("trec")); }), "trec");
}

TEST(LongBenchData, AnswersThatCannotBeScoredAreRefusedBeforeTheWork) {
  nlohmann::json row = nlohmann::json::parse(kRow);
  row["dataset"] = "passage_retrieval_en";
  const auto read = [&] { (void)parse_longbench_rows(row.dump(), "file", longbench_task("passage_retrieval_en")); };
  expect_mentions(error_of(read), "file, row 1: The answer \"x\" names no paragraph");
  row["answers"] = {"Paragraph 5"};
  read();
}

TEST(LongBenchData, TemplatesAreFilledOnceAsPythonDoes) {
  const PromptTemplate::Filled filled = PromptTemplate("{{1}} {context}\nQ: {input} ", "file").fill(row());
  EXPECT_EQ(filled.text, "{1} a {b} c\nQ: Who? ");  // braces of the text stay
  EXPECT_EQ(filled.text.substr(filled.question), "\nQ: Who? ");
  for (const char* wrong : {"{context", "context}", "{context}{}", "{context}{question}", "{context!r}", "{input}"}) {
    EXPECT_TRUE(error_of([&] { PromptTemplate bad(wrong, "file"); }).starts_with("file: ")) << wrong;
  }
}

TEST(LongBenchPrompt, LongOnesKeepBothEndsOrTheLast) {
  const Tokenizer& tokenizer = *demo().tokenizer;
  LongBenchRow long_row = row();
  for (int i = 0; i < 300; ++i) long_row.context += " word" + std::to_string(i);
  const LongBenchSet set{&longbench_task("qasper"), {long_row}, PromptTemplate("Begin {context}\nQ: {input}", "file")};
  LongBenchSettings settings;
  settings.max_length = 101;
  const LongBenchPrompt middle = make_longbench_prompt(settings, set, long_row, tokenizer, std::nullopt);
  EXPECT_GT(middle.whole_tokens, 300);
  EXPECT_NEAR(static_cast<double>(middle.ids.size()), 100, 3);  // halves of 50; encoding again may count otherwise
  const std::string kept = tokenizer.decode(middle.ids);
  EXPECT_TRUE(kept.starts_with("Begin a {b} c")) << kept;
  EXPECT_TRUE(kept.ends_with("Q: Who?")) << kept;
  EXPECT_EQ(middle.instruction_tokens, static_cast<std::int64_t>(tokenizer.encode("\nQ: Who?", false).ids.size()));
  settings = longbench_preset("dhsa-v1");
  EXPECT_EQ(settings.max_length, 8192);
  settings.max_length = 101;
  const std::string last =
      tokenizer.decode(make_longbench_prompt(settings, set, long_row, tokenizer, std::nullopt).ids);
  EXPECT_EQ(last.find("Begin"), std::string::npos);
  EXPECT_TRUE(last.ends_with("Q: Who?")) << last;
}

TEST(LongBenchPrompt, TheChatTurnStandsAroundWhatTheScriptWraps) {
  const TurnMarkers turn{106, 107};
  const auto ids = [&](const char* task, bool chat) {
    LongBenchSettings settings;
    settings.chat = chat;
    LongBenchRow here = row();
    const LongBenchSet set{&longbench_task(task), {here}, PromptTemplate("{context}", "file")};
    return make_longbench_prompt(settings, set, here, *demo().tokenizer, turn).ids;
  };
  const std::vector<std::int32_t> wrapped = ids("qasper", true);
  EXPECT_EQ(wrapped[0], demo().tokenizer->bos());
  EXPECT_EQ(wrapped[1], 106);
  EXPECT_EQ(std::count(wrapped.begin(), wrapped.end(), 107), 1);
  for (const auto& plain : {ids("qasper", false), ids("trec", true), ids("lcc", true)}) EXPECT_NE(plain[1], 106);
}

LongBenchSample said(const std::string& prediction, double density) {
  LongBenchSample sample{prediction, 0, 10, 10, {}};
  sample.values.set("density", density);
  return sample;
}

// Of two rows whose classes differ; nothing answered yet.
LongBenchResults classified(std::vector<std::string> methods) {
  LongBenchRow first = row();
  first.answers = {"City"};
  LongBenchRow last = first;
  first.classes = {"City", "State"};
  last.classes = {"Cit", "City"};
  LongBenchData data;
  data.sets.push_back({&longbench_task("trec"), {first, last}, PromptTemplate("{context}", "file")});
  LongBenchSettings settings;
  settings.limit = 2000000;
  std::vector<MethodChoice> choices;
  for (std::string& name : methods) choices.push_back({std::move(name), {}});
  return begin_longbench(settings, data, std::move(choices));
}

TEST(LongBenchFolder, ScoresWithTheClassesOfTheDatasLastRow) {
  const ScratchFolder folder;
  LongBenchResults results = classified({"dense"});
  ASSERT_EQ(results.tasks[0].classes, (std::vector<std::string>{"Cit", "City"}));
  LongBenchRow first = row();
  first.answers = {"City"};
  first.classes = {"City", "State"};
  results.tasks[0].samples[0].push_back(said("City or State", 0.5));
  results.tasks[0].lengths = {3};
  write_longbench_tables(folder.path(), results);
  append_longbench_answer(folder.path(), results, {0, 0, 0}, first);
  const LongBenchResults read = read_longbench_results(folder.path());
  EXPECT_EQ(read.settings.limit, 2000000);
  EXPECT_EQ(difference(read, results), "");
  EXPECT_EQ(read.summary(0).value("density"), 0.5);
  EXPECT_NE(to_csv(read).find(",score_8k,density\ntrec,Few-shot learning,"), std::string::npos) << to_csv(read);
  const auto score = [](const std::vector<std::string>& classes) {
    const std::vector<std::string> answers = {"City"};
    return longbench_score(longbench_task("trec"), "City or State", answers, classes);
  };
  EXPECT_EQ(read.tasks[0].samples[0].at(0).score, score({"Cit", "City"}));
  EXPECT_NE(read.tasks[0].samples[0].at(0).score, score(first.classes));
}

// What the tables are of is said in them: how rows were asked in this mode, and the length that the authors' runs had.
TEST(LongBenchFolder, TablesSayHowTheModeDecodesAndWhichLengthTheAuthorsHad) {
  LongBenchResults results = classified({"dense"});
  results.settings = longbench_preset("dhsa-v1");
  results.settings.mode = NeedleMode::kStrict;
  expect_mentions(to_markdown(results), "decoded densely");
  expect_mentions(to_markdown(results), "7950");
  expect_mentions(nlohmann::json(results).at("mode_says").get<std::string>(), "strict mode");
  results.settings.max_length = 4096;
  EXPECT_EQ(to_markdown(results).find("7950"), std::string::npos);
}

TEST(LongBenchFolder, LongMethodNamesHaveFoldersOfTheirOwn) {
  const ScratchFolder folder;
  const std::string name(300, 'x');
  LongBenchResults results = classified({name + "1", name + "2"});
  write_longbench_tables(folder.path(), results);
  for (const std::size_t method : {0U, 1U}) {
    results.tasks[0].samples[method].push_back(said(method == 0 ? "one" : "two", 1));
    append_longbench_answer(folder.path(), results, {0, 0, method}, row());
  }
  const LongBenchResults read = read_longbench_results(folder.path());
  EXPECT_EQ(read.tasks[0].samples[0].at(0).prediction, "one");
  EXPECT_EQ(read.tasks[0].samples[1].at(0).prediction, "two");
}

TEST(LongBenchData, NamesATaskTwiceOrOneThatIsNotThere) {
  const ScratchFolder folder;
  write_file(folder / "qasper.jsonl", std::string(kRow) + "\n");
  write_file(folder / "dataset2prompt.json", R"({"qasper": "{context}", "trec": "{context}"})");
  const auto sentence = [&](const std::vector<std::string>& tasks) {
    return error_of([&] { (void)read_longbench(folder.path(), {}, tasks, false, 0); });
  };
  expect_mentions(sentence({"qasper", "qasper"}), "named twice");
  expect_mentions(sentence({"trec"}), "that folder holds qasper");
}

TEST(Identity, HoldsTheTypeOfTheComputation) {
  EXPECT_EQ(identity_of(*demo().model, nullptr), demo().model->fingerprint());
  const auto other = Gemma2::load(DHSA_FIXTURES "/gemma2_tiny_a", {Device::kCpu, DType::kBFloat16});
  EXPECT_EQ(identity_of(*other, nullptr), other->fingerprint() + " bfloat16");
}

TEST(Identity, HoldsTheWeightsOfThePredictor) {
  const auto predictor = BoundaryPredictor::load(DHSA_RESOURCES "/models/demo/predictor.safetensors");
  PredictorWeights weights = predictor->weights();
  EXPECT_EQ(identity_of(*demo().model, predictor.get()),
            identity_of(*demo().model, std::make_unique<BoundaryPredictor>(weights).get()));
  weights.mlp2_weight.front() += 1;
  const BoundaryPredictor retrained(weights);
  EXPECT_NE(identity_of(*demo().model, predictor.get()), identity_of(*demo().model, &retrained));
}

}  // namespace
}  // namespace dhsa
