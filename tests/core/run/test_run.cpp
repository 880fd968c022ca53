#include "core/run/run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "core/base/memory.h"
#include "core/experiments/bench.h"
#include "core/text/tokenizer.h"
#include "tests/core/run/tiny_model.h"

namespace dhsa {
namespace {

constexpr std::int64_t kTokens = 97;

// What metrics draw their rows by.
TEST(Prefill, LayersKnowTheirText) {
  struct Texts : PrefillObserver {
    std::vector<std::uint64_t> seen;
    [[nodiscard]] bool wants_attention(int) const override { return true; }
    void attended(const AttendedLayer& layer) override { seen.push_back(layer.layer.text); }
  };
  const auto seen = [](const std::vector<std::int32_t>& ids) {
    Texts texts;
    PrefillOptions options;
    options.observer = &texts;
    SparsityParameters dense;
    dense.method = Method::kDense;
    static_cast<void>(tiny_model()->prefill(ids, *make_planner(dense, {kTokens, {}}), options));
    return texts.seen;
  };
  std::vector<std::int32_t> ids = random_ids(kTokens);
  const std::vector<std::uint64_t> first = seen(ids);
  EXPECT_EQ(first, seen(ids));
  ids.back() = ids.back() == 5 ? 6 : 5;
  const std::vector<std::uint64_t> second = seen(ids);
  ASSERT_FALSE(first.empty());
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_NE(first[i], second[i]) << i;
}

TEST(Compare, RunsEveryMethodOnTheSameTokens) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  const std::vector<MethodChoice> choices = {small_choice(Method::kWindowSinks), small_choice(Method::kDense),
                                             small_choice(Method::kDhsa)};
  CompareOptions options;
  options.metrics_rows = 1;
  options.logit_positions = 1000;  // all
  options.max_new_tokens = 3;
  options.capture_layers = {1};
  std::vector<CompareProgress> reported;
  options.progress = [&](const CompareProgress& progress) { reported.push_back(progress); };
  const Comparison comparison = compare_methods(*tiny_model(), ids, {kTokens, {}}, choices, options);

  ASSERT_EQ(comparison.runs.size(), 3U);
  EXPECT_EQ(comparison.runs[0].name, "window-sinks");  // in the order asked for, whatever ran first
  EXPECT_EQ(comparison.dense(), &comparison.runs[1]);
  EXPECT_EQ(summarise(comparison.runs[1]).value("density"), 1.0);
  EXPECT_FALSE(comparison.runs[1].logits.has_value());

  // Masks, logits and answers of one method against a run of its own.
  for (const std::size_t r : {std::size_t{0}, std::size_t{2}}) {
    const MethodRun& run = comparison.runs[r];
    PrefillOptions all;
    all.keep_cache = true;
    for (std::int32_t i = 0; i < kTokens; ++i) all.logit_positions.push_back(i);
    SparsityParameters dense = choices[1].parameters;
    const auto sparse_planner = make_planner(choices[r].parameters, {kTokens, {}});
    const auto dense_planner = make_planner(dense, {kTokens, {}});
    const PrefillResult sparse_run = tiny_model()->prefill(ids, *sparse_planner, all);
    const PrefillResult dense_run = tiny_model()->prefill(ids, *dense_planner, all);
    LogitAgreement agreement;
    agreement.add(dense_run.logits, sparse_run.logits, tiny_model()->config().vocab_size);
    ASSERT_TRUE(run.logits.has_value());
    EXPECT_EQ(run.logits->positions, kTokens);
    EXPECT_NEAR(run.logits->mean_kl.value, agreement.mean_kl(), 1e-6 + 1e-3 * agreement.mean_kl());
    EXPECT_NEAR(run.logits->same_top.value, agreement.same_top(), 1.5 / kTokens);
    EXPECT_GT(run.logits->mean_kl.value, 0.0);
    EXPECT_EQ(run.answer, generate_greedy(*tiny_model(), sparse_run, 3));
    EXPECT_EQ(run.stop_token, std::nullopt);
    EXPECT_EQ(run.answer_end, "3 tokens, the most asked for");

    ASSERT_EQ(run.metrics.size(), static_cast<std::size_t>(tiny_model()->config().layers));
    ASSERT_NE(run.trace.captured[1], nullptr);
    EXPECT_EQ(run.trace.plans[1], nullptr);  // not asked for
    EXPECT_LT(run.metrics[1].value("density"), 1.0);
    EXPECT_LT(run.metrics[1].value("retained_mass"), 1.0);
    EXPECT_EQ(run.metrics[1].value("density"), run.trace.summaries[1].density());
    const Values summary = summarise(run);
    EXPECT_LE(summary.value("worst_rows_mass"), summary.value("worst_head_mass"));
    EXPECT_LE(summary.value("worst_head_mass"), summary.value("retained_mass"));
    EXPECT_EQ((summary.find("chunks") != nullptr), r == 2);
  }
  ASSERT_FALSE(reported.empty());
  for (std::size_t i = 1; i < reported.size(); ++i) EXPECT_GE(reported[i].fraction, reported[i - 1].fraction) << i;
  EXPECT_LE(reported.back().fraction, 1.0);

  const nlohmann::json json = comparison;
  EXPECT_EQ(json["runs"][1]["speed_up_over_dense"], 1.0);
  EXPECT_EQ(json["runs"][2]["parameters"]["budget"], 24);
  EXPECT_TRUE(json["runs"][2].contains("chunks"));
  EXPECT_FALSE(json["runs"][0].contains("chunks"));
}

TEST(Compare, OneAndTwoTokens) {
  for (const std::int64_t tokens : {1, 2}) {
    std::vector<MethodChoice> choices;
    for (const Method method : all_methods()) choices.push_back(small_choice(method));
    CompareOptions options;
    options.metrics_rows = 1;
    options.max_new_tokens = 2;
    const Comparison comparison = compare_methods(*tiny_model(), random_ids(tokens), {tokens, {}}, choices, options);
    for (const MethodRun& run : comparison.runs) {
      EXPECT_EQ(summarise(run).value("retained_mass"), 1.0) << run.name;
      EXPECT_EQ(summarise(run).value("density"), 1.0) << run.name;
      EXPECT_EQ(run.answer, comparison.runs[0].answer) << run.name;
      EXPECT_EQ(run.logits.has_value(), run.name != "dense");
    }
  }
}

TEST(Compare, LogitPositionsAreSpreadAndLimited) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  const std::vector<MethodChoice> choices = {small_choice(Method::kDense), small_choice(Method::kWindowSinks)};
  CompareOptions options;
  options.metrics_rows = 0;
  options.max_new_tokens = 0;
  options.logit_positions = 10;
  const Comparison comparison = compare_methods(*tiny_model(), ids, {kTokens, {}}, choices, options);
  EXPECT_EQ(comparison.runs[1].logits->positions, 10);
  EXPECT_TRUE(comparison.runs[1].metrics.empty());
  EXPECT_TRUE(comparison.runs[1].answer.empty());
  options.logit_positions = 0;
  EXPECT_FALSE(compare_methods(*tiny_model(), ids, {kTokens, {}}, choices, options).runs[1].logits.has_value());
}

TEST(Compare, DenseAgainstItselfUnderAnotherName) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  std::vector<MethodChoice> choices = {small_choice(Method::kDense), small_choice(Method::kWindowSinks)};
  choices[1].parameters.budget = 5000;
  CompareOptions options;
  options.metrics_rows = 1;
  options.max_new_tokens = 0;
  const Comparison comparison = compare_methods(*tiny_model(), ids, {kTokens, {}}, choices, options);
  EXPECT_LT(comparison.runs[1].logits->mean_kl.value, 1e-9);
  EXPECT_EQ(comparison.runs[1].logits->same_top.value, 1.0);
  EXPECT_EQ(summarise(comparison.runs[1]).value("retained_mass"), 1.0);
  EXPECT_LT(summarise(comparison.runs[1]).value("output_error"), 1e-6);
}

TEST(Compare, RefusesBadParametersBeforeTheFirstRun) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  std::vector<MethodChoice> choices = {small_choice(Method::kDense), small_choice(Method::kDhsa)};
  choices[1].parameters.budget = 0;
  CompareOptions options;
  bool ran = false;
  options.progress = [&](const CompareProgress&) { ran = true; };
  EXPECT_THROW(static_cast<void>(compare_methods(*tiny_model(), ids, {kTokens, {}}, choices, options)), Error);
  EXPECT_FALSE(ran);
  EXPECT_THROW(static_cast<void>(compare_methods(*tiny_model(), ids, {kTokens, {}}, {}, options)), Error);
}

TEST(Compare, Cancels) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  const std::vector<MethodChoice> choices = {small_choice(Method::kDense), small_choice(Method::kDhsa)};
  CancelToken cancel;
  CompareOptions options;
  options.cancel = &cancel;
  options.progress = [&](const CompareProgress& progress) {
    if (progress.run == 1) cancel.cancel();
  };
  EXPECT_THROW(static_cast<void>(compare_methods(*tiny_model(), ids, {kTokens, {}}, choices, options)), Cancelled);
}

RunOptions bare() {
  RunOptions options;
  options.metrics_rows = options.logit_positions = options.max_new_tokens = 0;
  return options;
}

TEST(Run, LogitPositionsAreNeverMoreThanAskedFor) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  for (const std::int64_t most : {1, 40, 50, 96, 97, 1000}) {
    RunOptions options = bare();
    options.logit_positions = most;
    const MethodRun run = run_method({*tiny_model(), ids, {kTokens, {}}}, small_choice(Method::kDense), options);
    EXPECT_LE(run.states->positions.size(), most);
    EXPECT_GE(run.states->positions.size(), std::min(kTokens, (most + 1) / 2));
    const LogitCloseness same = compare_logits(*tiny_model(), *run.states, *run.states);
    EXPECT_EQ(same.mean_kl.value, 0);
    EXPECT_EQ(same.positions, run.states->positions.size());
    EXPECT_EQ(same.mean_kl.sampled(), most < kTokens);
  }
}

TEST(Run, OtherTextsAreNotCompared) {
  RunOptions options = bare();
  options.logit_positions = 10;
  const auto ids = random_ids(kTokens);
  const MethodRun one = run_method({*tiny_model(), ids, {kTokens, {}}}, small_choice(Method::kDense), options);
  const auto fewer = random_ids(kTokens - 20);
  const MethodRun other = run_method({*tiny_model(), fewer, {kTokens - 20, {}}}, small_choice(Method::kDense), options);
  EXPECT_THROW(static_cast<void>(compare_logits(*tiny_model(), *one.states, *other.states)), Error);
}

// Every token is a <pad>.
class Mute : public Tokenizer {
 public:
  using Tokenizer::encode;
  [[nodiscard]] Encoding encode(std::string_view /*text*/, const EncodeOptions& /*options*/) const override {
    return {};
  }
  [[nodiscard]] std::string decode(std::span<const std::int32_t> /*ids*/) const override { return {}; }
  [[nodiscard]] std::string piece(std::int32_t /*id*/) const override { return "<pad>"; }
  [[nodiscard]] std::optional<std::int32_t> find(std::string_view /*piece*/) const override { return std::nullopt; }
  [[nodiscard]] std::int32_t size() const override { return 1; }
  [[nodiscard]] std::int32_t bos() const override { return 0; }
};

TEST(Run, AnAnswerSaysWhichOfItsTokensHaveNoText) {
  RunOptions options = bare();
  options.max_new_tokens = 1;
  const auto ids = random_ids(kTokens);
  const Mute mute;
  const MethodRun run = run_method({*tiny_model(), ids, {kTokens, {}}, &mute}, small_choice(Method::kDense), options);
  EXPECT_EQ(run.answer_end, "1 token, the most asked for; 1 of them <pad>, without text");
}

TEST(Run, EndsWithTheAttentionOfTheLastLayer) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  RunOptions options = bare();
  options.keep_plans = true;
  options.capture_layers = {1};
  const RunSubject subject{*tiny_model(), ids, {kTokens, {}}};
  const MethodRun whole = run_method(subject, small_choice(Method::kDhsa), options);
  options.last_layer = 1;
  options.metrics_rows = 1;
  const MethodRun part = run_method(subject, small_choice(Method::kDhsa), options);
  EXPECT_EQ(part.metrics.size(), 2U);
  EXPECT_EQ(part.trace.plans[2], nullptr);
  EXPECT_TRUE(part.trace.plans[1]->mask == whole.trace.plans[1]->mask);
  ASSERT_NE(part.trace.captured[1], nullptr);
  EXPECT_EQ(part.trace.stages.back().stage, Stage::kAttend);
  EXPECT_EQ(part.trace.stages.back().layer, 1);
  options.max_new_tokens = 1;
  EXPECT_THROW(static_cast<void>(run_method(subject, small_choice(Method::kDhsa), options)), Error);
  options.max_new_tokens = 0;
  options.last_layer = 3;
  EXPECT_THROW(static_cast<void>(run_method(subject, small_choice(Method::kDhsa), options)), Error);
}

// Takes and keeps memory while it looks on, as measuring and views do.
class Heavy : public PrefillObserver {
 public:
  void attended(const AttendedLayer& /*layer*/) override {
    std::vector<char> passing(std::size_t{192} << 20U, 1);
    kept_.emplace_back(std::size_t{48} << 20U, passing[5]);
  }

 private:
  std::vector<std::vector<char>> kept_;
};

TEST(Run, MemoryOfWhatLooksOnIsNotTheRuns) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  const RunSubject subject{*tiny_model(), ids, {kTokens, {}}};
  RunOptions options = bare();
  const MethodRun alone = run_method(subject, small_choice(Method::kDhsa), options);
  Heavy heavy;
  options.observer = &heavy;
  const MethodRun watched = run_method(subject, small_choice(Method::kDhsa), options);
  EXPECT_LT(watched.peak_bytes - watched.start_bytes, alone.peak_bytes - alone.start_bytes + (std::int64_t{24} << 20));
  EXPECT_GE(watched.peak_bytes, watched.start_bytes - (std::int64_t{4} << 20));
}

TEST(ChunkLengths, OfBoundaries) {
  const std::vector<std::int32_t> boundaries = {0, 3, 4, 10, 12};
  const ChunkLengths lengths = chunk_lengths(boundaries);
  EXPECT_EQ(lengths.count, 4);
  EXPECT_EQ(lengths.median, 3);
  EXPECT_EQ(lengths.longest, 6);
  EXPECT_EQ(chunk_lengths({}).count, 0);
}

// The naive form is the yardstick of the benchmark: it has to compute the same thing.
TEST(Benchmark, NaiveTorchComputesWhatAttendDoes) {
  constexpr std::int64_t kRows = 45;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> q(4 * kRows * 8), k(2 * kRows * 8), v(2 * kRows * 8), is(q.size()), should(q.size());
  for (auto* data : {&q, &k, &v}) {
    for (float& x : *data) x = normal(random);
  }
  for (const std::int64_t window : {0, 11}) {
    attend_naive_torch(heads_view(q.data(), 4, kRows, 8), heads_view(k.data(), 2, kRows, 8),
                       heads_view(v.data(), 2, kRows, 8), window, {0.4F, 5.0F},
                       mutable_heads_view(is.data(), 4, kRows, 8));
    attend_reference(heads_view(q.data(), 4, kRows, 8), heads_view(k.data(), 2, kRows, 8),
                     heads_view(v.data(), 2, kRows, 8), KeyMask::dense(kRows, window), {0.4F, 5.0F},
                     mutable_heads_view(should.data(), 4, kRows, 8));
    for (std::size_t i = 0; i < is.size(); ++i) ASSERT_NEAR(is[i], should[i], 1e-5) << i;
  }
}

TEST(Benchmark, CountsWorkAndAlternates) {
  BenchOptions options;
  options.repeats = 3;
  options.warm_up = 1;
  std::vector<std::string> order;
  options.progress = [&](const std::string& what, double) { order.push_back(what); };
  std::vector<MethodChoice> choices = {small_choice(Method::kWindowSinks), small_choice(Method::kDense)};
  const auto timings = bench_attention(attention_shape("demo"), 130, 0, DType::kFloat32, choices, true, options);
  ASSERT_EQ(timings.size(), 3U);
  EXPECT_EQ(timings[0].method, "dense");
  EXPECT_EQ(timings[2].method, kNaiveTorch);
  EXPECT_EQ(order.size(), 12U);
  EXPECT_EQ(order[0], order[3]);
  EXPECT_NE(order[0], order[1]);
  EXPECT_NEAR(timings[0].gflop, 130.0 * 131 / 2 * 4 * 64 * 4 / 1e9, 1e-12);
  EXPECT_LT(timings[1].gflop, timings[0].gflop);
  EXPECT_EQ(timings[2].gflop, timings[0].gflop);
  EXPECT_EQ(timings[0].speed_up.lowest, 1.0);
  EXPECT_LE(timings[1].total.lowest, timings[1].total.median);
  EXPECT_THROW(static_cast<void>(attention_shape("gemma9")), Error);

  const auto prefills = bench_prefill(*tiny_model(), 64, choices, nullptr, options);
  ASSERT_EQ(prefills.size(), 2U);
  EXPECT_EQ(prefills[0].method, "dense");
  EXPECT_EQ(prefills[0].values.value("density"), 1.0);
  EXPECT_LT(prefills[1].values.value("density"), 1.0);
  EXPECT_EQ(prefills[1].stage_seconds.size(), static_cast<std::size_t>(kStageCount));
}

TEST(Benchmark, SpreadIsMedianAndExtremes) {
  const Spread odd = spread_of({3, 1, 2});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.lowest, 1);
  EXPECT_EQ(odd.highest, 3);
  EXPECT_EQ(spread_of({4, 1, 2, 3}).median, 2.5);
  EXPECT_EQ(spread_of({}).median, 0);
}

}  // namespace
}  // namespace dhsa
