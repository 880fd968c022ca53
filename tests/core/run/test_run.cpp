#include "core/run/run.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "core/experiments/bench.h"

namespace dhsa {
namespace {

std::shared_ptr<const Gemma2> tiny_model() {
  static const auto model = Gemma2::load(std::string(DHSA_FIXTURES) + "/gemma2_tiny_a");
  return model;
}

std::vector<std::int32_t> random_ids(std::int64_t tokens) {
  std::mt19937 random(3);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens));
  for (auto& id : ids)
    id = static_cast<std::int32_t>(3 + random() % static_cast<unsigned>(tiny_model()->config().vocab_size - 3));
  return ids;
}

MethodChoice choice(Method method) {
  MethodChoice made{name_of(method), {}};
  made.parameters.method = method;
  made.parameters.budget = 24;
  made.parameters.sink_tokens = 4;
  made.parameters.local_tokens = 8;
  made.parameters.query_block = 16;
  return made;
}

constexpr std::int64_t kTokens = 97;

TEST(Compare, RunsEveryMethodOnTheSameTokens) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  const std::vector<MethodChoice> choices = {choice(Method::kWindowSinks), choice(Method::kDense),
                                             choice(Method::kDhsa)};
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
  EXPECT_EQ(summarise(comparison.runs[1]).density, 1.0);
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
    EXPECT_NEAR(run.logits->mean_kl, agreement.mean_kl(), 1e-6 + 1e-3 * agreement.mean_kl());
    EXPECT_NEAR(run.logits->same_top, agreement.same_top(), 1.5 / kTokens);
    EXPECT_GT(run.logits->mean_kl, 0.0);
    EXPECT_EQ(run.answer, generate_greedy(*tiny_model(), sparse_run, 3));

    ASSERT_EQ(run.metrics.size(), static_cast<std::size_t>(tiny_model()->config().layers));
    ASSERT_NE(run.trace.captured[1], nullptr);
    EXPECT_EQ(run.trace.plans[1], nullptr);  // not asked for
    EXPECT_LT(run.metrics[1].density, 1.0);
    EXPECT_LT(run.metrics[1].retained_mass, 1.0);
    EXPECT_EQ(run.metrics[1].density, run.trace.summaries[1].density());
    const RunSummary summary = summarise(run);
    EXPECT_LE(summary.worst_rows_mass, summary.worst_head_mass);
    EXPECT_LE(summary.worst_head_mass, summary.retained_mass);
    EXPECT_EQ(summary.chunks > 0, r == 2);
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
    for (const Method method : all_methods()) choices.push_back(choice(method));
    CompareOptions options;
    options.metrics_rows = 1;
    options.max_new_tokens = 2;
    const Comparison comparison = compare_methods(*tiny_model(), random_ids(tokens), {tokens, {}}, choices, options);
    for (const MethodRun& run : comparison.runs) {
      EXPECT_EQ(summarise(run).retained_mass, 1.0) << run.name;
      EXPECT_EQ(summarise(run).density, 1.0) << run.name;
      EXPECT_EQ(run.answer, comparison.runs[0].answer) << run.name;
      EXPECT_EQ(run.logits.has_value(), run.name != "dense");
    }
  }
}

TEST(Compare, LogitPositionsAreSpreadAndLimited) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  const std::vector<MethodChoice> choices = {choice(Method::kDense), choice(Method::kWindowSinks)};
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
  std::vector<MethodChoice> choices = {choice(Method::kDense), choice(Method::kWindowSinks)};
  choices[1].parameters.budget = 5000;
  CompareOptions options;
  options.metrics_rows = 1;
  options.max_new_tokens = 0;
  const Comparison comparison = compare_methods(*tiny_model(), ids, {kTokens, {}}, choices, options);
  EXPECT_LT(comparison.runs[1].logits->mean_kl, 1e-9);
  EXPECT_EQ(comparison.runs[1].logits->same_top, 1.0);
  EXPECT_EQ(summarise(comparison.runs[1]).retained_mass, 1.0);
  EXPECT_LT(summarise(comparison.runs[1]).output_error, 1e-6);
}

TEST(Compare, RefusesBadParametersBeforeTheFirstRun) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  std::vector<MethodChoice> choices = {choice(Method::kDense), choice(Method::kDhsa)};
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
  const std::vector<MethodChoice> choices = {choice(Method::kDense), choice(Method::kDhsa)};
  CancelToken cancel;
  CompareOptions options;
  options.cancel = &cancel;
  options.progress = [&](const CompareProgress& progress) {
    if (progress.run == 1) cancel.cancel();
  };
  EXPECT_THROW(static_cast<void>(compare_methods(*tiny_model(), ids, {kTokens, {}}, choices, options)), Cancelled);
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
  std::vector<MethodChoice> choices = {choice(Method::kWindowSinks), choice(Method::kDense)};
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
  EXPECT_EQ(prefills[0].density, 1.0);
  EXPECT_LT(prefills[1].density, 1.0);
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
