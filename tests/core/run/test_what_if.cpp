#include "core/run/what_if.h"

#include <gtest/gtest.h>

#include "core/model/gemma2.h"
#include "core/run/run.h"
#include "tests/core/run/tiny_model.h"

namespace dhsa {
namespace {

constexpr std::int64_t kTokens = 97;

// A run under `parameters` with everything kept.
RunTrace ran(const SparsityParameters& parameters) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  RunOptions options;
  options.metrics_rows = options.logit_positions = options.max_new_tokens = 0;
  options.capture_layers = {0, 1, 2};
  options.keep_plans = true;
  return run_method({*tiny_model(), ids, {kTokens, {}}}, {"run", parameters}, options).trace;
}

WhatIfSources sources_of(const RunTrace& trace) {
  return {trace.captured, tiny_model()->config().local_layer, {kTokens, {}}, nullptr};
}

SparsityParameters small(Method method) { return small_choice(method).parameters; }

TEST(WhatIf, PlansWhatTheRunPlanned) {
  for (const Method method : {Method::kDhsa, Method::kBlockSparse, Method::kVerticalSlash}) {
    for (const bool boundaries : {false, true}) {
      for (const bool masks : {false, true}) {
        SparsityParameters parameters = small(method);
        parameters.share_boundaries = boundaries;
        parameters.share_masks = masks;
        const RunTrace trace = ran(parameters);
        for (int layer = 0; layer < 3; ++layer) {
          const auto plan = plan_layer(sources_of(trace), layer, parameters, nullptr);
          EXPECT_TRUE(plan->mask == trace.plans[static_cast<std::size_t>(layer)]->mask)
              << name_of(method) << " layer " << layer << " shares " << boundaries << masks;
        }
      }
    }
  }
}

// Layers 0 and 2 are local, layer 1 is global.
TEST(WhatIf, NeedsOnlyTheLayersThatAreSharedFrom) {
  SparsityParameters parameters = small(Method::kDhsa);
  parameters.share_masks = true;
  WhatIfSources sources = sources_of(ran(parameters));
  const auto whole = plan_layer(sources, 1, parameters, nullptr);
  sources.captured[0] = nullptr;
  EXPECT_TRUE(plan_layer(sources, 1, parameters, nullptr)->mask == whole->mask);
  EXPECT_THROW(static_cast<void>(plan_layer(sources, 2, parameters, nullptr)), Error);  // its mask is layer 0's
  parameters.share_boundaries = true;
  EXPECT_THROW(static_cast<void>(plan_layer(sources, 1, parameters, nullptr)), Error);
  parameters.method = Method::kBlockSparse;  // has no boundaries to share
  EXPECT_NO_THROW(static_cast<void>(plan_layer(sources, 1, parameters, nullptr)));
  parameters.method = Method::kWindowSinks;  // nor a mask that depends on keys
  EXPECT_NO_THROW(static_cast<void>(plan_layer(sources, 2, parameters, nullptr)));
  parameters = small(Method::kDhsa);
  parameters.share_boundaries = true;
  parameters.boundaries = BoundarySource::kFixed;  // the same everywhere
  EXPECT_NO_THROW(static_cast<void>(plan_layer(sources, 2, parameters, nullptr)));
}

TEST(WhatIf, AKeptLayerAndOneThatPassesAreMeasuredAlike) {
  const std::vector<std::int32_t> ids = random_ids(kTokens);
  const MethodChoice choice = small_choice(Method::kDhsa);
  std::vector<std::shared_ptr<const MeasuredLayer>> layers;
  RunOptions options;
  options.metrics_rows = 2;
  options.logit_positions = options.max_new_tokens = 0;
  options.capture_layers = {1};
  options.measured = [&](std::shared_ptr<const MeasuredLayer> layer) { layers.push_back(std::move(layer)); };
  const MethodRun run = run_method({*tiny_model(), ids, {kTokens, {}}}, choice, options);
  ASSERT_EQ(layers.size(), 3U);
  ASSERT_EQ(run.metrics.size(), 3U);
  EXPECT_EQ(layers[0]->captured, nullptr);
  ASSERT_NE(layers[1]->captured, nullptr);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(layers[i]->layer, static_cast<int>(i));
    EXPECT_EQ(layers[i]->plan, run.trace.plans[i]);
    EXPECT_EQ(layers[i]->metrics.importance.received_mass.size(), static_cast<std::size_t>(kTokens));
    EXPECT_EQ(layers[i]->metrics.value("retained_mass"), run.metrics[i].value("retained_mass"));
    EXPECT_EQ(layers[i]->masks.size(), static_cast<std::size_t>(run.trace.plans[i]->mask.heads()));
  }
  const auto again = measure_layer(layers[1]->plan, layers[1]->captured, choice.parameters, 2, nullptr);
  EXPECT_EQ(again->metrics.value("output_error"), layers[1]->metrics.value("output_error"));
  EXPECT_EQ(again->metrics.importance.received_mass, layers[1]->metrics.importance.received_mass);
}

// A local layer whose window fits into the budget: nothing is left to estimate.
TEST(WhatIf, AMaskThatKeepsAllIsExactWhateverTheRowStep) {
  SparsityParameters parameters = small(Method::kWindowSinks);
  parameters.budget = 4096;
  const WhatIfSources sources = sources_of(ran(small(Method::kDhsa)));
  const auto plan = plan_layer(sources, 1, parameters, nullptr);
  ASSERT_EQ(plan->mask.density(), 1.0);
  const auto sampled = measure_layer(plan, sources.captured[1], parameters, 5, nullptr);
  EXPECT_FALSE(sampled->metrics.values.sampled());
  EXPECT_EQ(sampled->metrics.value("retained_mass"), 1.0);
  EXPECT_EQ(sampled->metrics.value("output_error"), 0.0);
  EXPECT_EQ(sampled->row_step(), 5);  // of the received mass
  const auto less = plan_layer(sources, 1, small(Method::kDhsa), nullptr);
  ASSERT_LT(less->mask.density(), 1.0);
  EXPECT_TRUE(measure_layer(less, sources.captured[1], small(Method::kDhsa), 5, nullptr)->metrics.values.sampled());
}

TEST(WhatIf, ARowIsDividedIntoKeptAndDropped) {
  const SparsityParameters parameters = small(Method::kDhsa);
  const WhatIfSources sources = sources_of(ran(parameters));
  const auto layer =
      measure_layer(plan_layer(sources, 1, parameters, nullptr), sources.captured[1], parameters, 1, nullptr);
  const auto row = view_row(*layer, 1, 60);
  ASSERT_NE(row, nullptr);
  double mass = 0, kept = 0, important = 0;
  std::int64_t keys = 0;
  for (std::size_t j = 0; j < row->mass.size(); ++j) {
    const bool is_kept = j <= 60 && layer->plan->mask.kept(layer->plan->mask.mask_head(1, tiny_model()->config().heads),
                                                           60, static_cast<std::int64_t>(j));
    EXPECT_EQ(row->fate[j] == KeyFate::kKept, is_kept) << j;
    EXPECT_EQ(row->fate[j] == KeyFate::kNotVisible, j > 60) << j;
    mass += row->mass[j];
    if (is_kept) kept += row->mass[j];
    if (row->fate[j] == KeyFate::kDroppedImportant) important += 1;
    keys += is_kept ? 1 : 0;
  }
  EXPECT_NEAR(mass, 1, 1e-5);
  EXPECT_NEAR(row->kept_mass, kept, 1e-9);
  EXPECT_EQ(row->kept, keys);
  EXPECT_EQ(row->dropped_important, static_cast<std::int64_t>(important));
  EXPECT_GT(row->dropped_important, 0);
  EXPECT_EQ(view_row(*layer, 1, kTokens), nullptr);
  EXPECT_EQ(view_row(*layer, 99, 60), nullptr);
}

TEST(WhatIf, RowStepsKeepToTheNumberOfPairs) {
  EXPECT_EQ(row_step_for(1000, 1'000'000), 1);
  EXPECT_EQ(row_step_for(8000, 1'000'000), 32);
  EXPECT_EQ(row_step_for(1, 1), 1);
}

}  // namespace
}  // namespace dhsa
