#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "core/sparsity/planner.h"
#include "core/sparsity/token_refinement.h"

namespace dhsa {
namespace {

std::vector<float> random_values(std::int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = normal(random);
  return values;
}

// Mean over sampled rows and heads of the softmax over the candidates that a row sees, in double precision.
std::vector<double> plain_estimate(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, std::int64_t begin,
                                   std::int64_t end, std::int64_t step, const std::vector<KeyRange>& candidates) {
  std::vector<double> estimate(static_cast<std::size_t>(q.rows), 0.0);
  std::vector<float> query(static_cast<std::size_t>(q.dim));
  std::vector<float> key(query.size());
  double rows = 0;
  for (std::int64_t i = end - 1; i >= begin; i -= step) rows += 1;
  for (std::int64_t h = 0; h < q.heads; ++h) {
    for (std::int64_t i = end - 1; i >= begin; i -= step) {
      q.load_row(h, i, query.data());
      std::vector<std::pair<std::int64_t, double>> seen;
      double total = 0;
      for (const KeyRange& range : candidates) {
        for (std::int64_t j = range.begin; j < range.end; ++j) {
          if (j > i || (layer.window > 0 && j <= i - layer.window)) continue;
          k.load_row(h / (q.heads / k.heads), j, key.data());
          double z = 0;
          for (std::size_t d = 0; d < query.size(); ++d) {
            z += static_cast<double>(query[d]) * static_cast<double>(key[d]);
          }
          z *= static_cast<double>(layer.scale);
          if (layer.softcap > 0)
            z = static_cast<double>(layer.softcap) * std::tanh(z / static_cast<double>(layer.softcap));
          seen.emplace_back(j, std::exp(z));
          total += std::exp(z);
        }
      }
      for (const auto& [j, weight] : seen) {
        estimate[static_cast<std::size_t>(j)] += weight / total / rows / static_cast<double>(q.heads);
      }
    }
  }
  return estimate;
}

std::vector<KeyRange> best_of(const std::vector<double>& estimate, const std::vector<KeyRange>& candidates,
                              std::int64_t begin, std::int64_t end, std::size_t keys) {
  std::vector<std::int32_t> order;
  for (const KeyRange& range : candidates) {
    for (std::int32_t j = range.begin; j < range.end; ++j) {
      if (j >= begin && j < end) order.push_back(j);
    }
  }
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return estimate[static_cast<std::size_t>(a)] > estimate[static_cast<std::size_t>(b)];
  });
  order.resize(std::min(order.size(), keys));
  std::sort(order.begin(), order.end());
  std::vector<KeyRange> ranges;
  for (const std::int32_t j : order) {
    if (!ranges.empty() && ranges.back().end == j) {
      ++ranges.back().end;
    } else {
      ranges.push_back({j, j + 1});
    }
  }
  return ranges;
}

// Ranges begin and end on tiles of the packed keys, so that what is estimated is exactly the candidates.
TEST(TokenRefinement, KeepsTheTokensThatSampledRowsAttendToMost) {
  const std::int64_t tokens = 192;
  const std::int64_t dim = 12;
  const auto queries = random_values(4 * tokens * dim, 1);
  const auto keys = random_values(2 * tokens * dim, 2);
  const HeadsView q = heads_view(queries.data(), 4, tokens, dim);
  const HeadsView k = heads_view(keys.data(), 2, tokens, dim);
  for (const std::int64_t window : {0, 100}) {
    LayerInfo layer;
    layer.window = window;
    layer.scale = 0.6F;
    layer.softcap = 5.0F;
    for (const std::int64_t step : {1, 5, 16}) {
      const TokenRefinement refinement(q, k, layer, 1, {step, 0});
      TokenRefinement::Pass pass(refinement, 0);
      const std::vector<KeyRange> first = {{0, 32}, {64, 128}};
      const std::vector<KeyRange> second = {{16, 48}, {96, 192}};
      pass.estimate(96, 128, first);
      const auto before = plain_estimate(q, k, layer, 96, 128, step, first);
      std::vector<KeyRange> kept;
      pass.take_best(0, 96, 20, kept);
      EXPECT_EQ(kept, best_of(before, first, 0, 96, 20)) << "window " << window << ", every " << step;
      pass.estimate(128, 192, second);
      auto now = plain_estimate(q, k, layer, 128, 192, step, second);
      for (std::size_t j = 0; j < now.size(); ++j) now[j] += 0.25 * before[j];
      kept.clear();
      pass.take_best(20, 128, 25, kept);
      EXPECT_EQ(kept, best_of(now, second, 20, 128, 25)) << "window " << window << ", every " << step;
      kept.clear();
      pass.take_best(0, 128, 1000, kept);
      EXPECT_EQ(kept, (std::vector<KeyRange>{{16, 48}, {96, 128}}));
    }
  }
}

TEST(TokenRefinement, PlanKeepsTheBudgetAndWhatIsAlwaysKept) {
  const std::int64_t tokens = 700;
  const std::int64_t dim = 16;
  const auto queries = random_values(4 * tokens * dim, 3);
  const auto keys = random_values(2 * tokens * dim, 4);
  SparsityParameters parameters;
  apply_preset(parameters, "best");
  parameters.budget = 150;
  parameters.query_block = 32;
  parameters.local_tokens = 40;
  parameters.sink_tokens = 10;
  for (const std::int64_t window : {0, 200}) {
    LayerInfo layer;
    layer.window = window;
    layer.scale = 0.5F;
    const auto planner = make_planner(parameters, {tokens, {}});
    const Plan plan = planner->plan(heads_view(queries.data(), 4, tokens, dim), heads_view(keys.data(), 2, tokens, dim),
                                    layer, nullptr);
    ASSERT_EQ(plan.mask.heads(), 4);
    const auto& rows = plan.mask.group_rows();
    for (int head = 0; head < 4; ++head) {
      for (std::int64_t g = 0; g < plan.mask.groups(); ++g) {
        const std::int64_t end = rows[static_cast<std::size_t>(g) + 1];
        const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, end - window) : 0;
        std::int64_t kept = 0;
        for (const KeyRange range : plan.mask.ranges(head, g)) kept += range.size();
        EXPECT_EQ(kept, std::min<std::int64_t>(150, end - first)) << "head " << head << ", group " << g;
        EXPECT_EQ(plan.mask.ranges(head, g).front().begin, first);
        EXPECT_LE(plan.mask.ranges(head, g).back().begin, std::max<std::int64_t>(0, end - 40));
      }
    }
  }
}

TEST(TokenRefinement, QueriesAndKeysThatAreNoNumbersStillGiveAMask) {
  const std::int64_t tokens = 400;
  const std::int64_t dim = 16;
  const auto queries = random_values(tokens * dim, 7);
  for (const float bad : {std::nanf(""), -std::nanf(""), HUGE_VALF}) {
    auto keys = random_values(tokens * dim, 8);
    for (std::size_t i = 0; i < keys.size(); i += 40) keys[i] = bad;
    SparsityParameters parameters;
    apply_preset(parameters, "best");
    parameters.budget = 100;
    parameters.query_block = parameters.local_tokens = 32;
    LayerInfo layer;
    layer.softcap = 50.0F;
    const Plan plan =
        make_planner(parameters, {tokens, {}})
            ->plan(heads_view(queries.data(), 1, tokens, dim), heads_view(keys.data(), 1, tokens, dim), layer, nullptr);
    std::int64_t kept = 0;
    for (const KeyRange& range : plan.mask.ranges(0, plan.mask.groups() - 1)) kept += range.size();
    EXPECT_EQ(kept, 100);
  }
}

// Among the last rows one that no sample meets looks up a key that no other row cares for.
TEST(TokenRefinement, LastRowsKeepWhatTheyLookUp) {
  const std::int64_t tokens = 512;
  const std::int64_t dim = 16;
  const std::int64_t wanted = 77;
  const std::int64_t asking = 497;
  auto queries = random_values(tokens * dim, 5);
  auto keys = random_values(tokens * dim, 6);
  for (std::size_t i = 0; i < queries.size(); ++i) queries[i] = i % dim == 0 ? -1.0F : 0.1F * queries[i];
  for (std::int64_t d = 0; d < dim; ++d) {
    const auto at = static_cast<std::size_t>(d);
    keys[static_cast<std::size_t>(wanted * dim) + at] = d == 0 ? 6.0F : 0.0F;
    queries[static_cast<std::size_t>(asking * dim) + at] = d == 0 ? 6.0F : 0.0F;
  }
  const auto kept = [&](std::int64_t last_rows) {
    SparsityParameters parameters;
    apply_preset(parameters, "best");
    parameters.budget = 128;
    parameters.query_block = parameters.local_tokens = 64;
    parameters.score_last_rows = last_rows;
    LayerInfo layer;
    layer.scale = 0.5F;
    const Plan plan =
        make_planner(parameters, {tokens, {}})
            ->plan(heads_view(queries.data(), 1, tokens, dim), heads_view(keys.data(), 1, tokens, dim), layer, nullptr);
    const auto ranges = plan.mask.ranges(0, plan.mask.groups() - 1);
    return std::any_of(ranges.begin(), ranges.end(),
                       [&](const KeyRange& range) { return range.begin <= wanted && wanted < range.end; });
  };
  EXPECT_TRUE(kept(tokens - asking));
  EXPECT_FALSE(kept(tokens - asking - 1)) << "one row short of the asking one";
  EXPECT_FALSE(kept(0));
}

}  // namespace
}  // namespace dhsa
