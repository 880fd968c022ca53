#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "core/base/parallel.h"
#include "core/sparsity/boundaries.h"
#include "core/sparsity/boundary_predictor.h"

namespace dhsa {
namespace {

std::vector<float> random_values(std::int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = normal(random);
  return values;
}

// Every candidate against every accepted one.
std::vector<std::int32_t> plain_boundaries(const std::vector<float>& scores, const BoundaryRule& rule) {
  const auto tokens = static_cast<std::int64_t>(scores.size());
  std::vector<std::int64_t> order;
  for (std::int64_t j = 0; j < tokens; ++j) {
    const float score = scores[static_cast<std::size_t>(j)];
    if (std::isnan(score)) continue;
    if (rule.threshold && !(static_cast<double>(score) > *rule.threshold)) continue;
    order.push_back(j);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  std::vector<std::int64_t> accepted;
  const std::int64_t m = rule.instruction_tokens;
  if (m > 0 && m < tokens) accepted.push_back(tokens - m);
  for (const std::int64_t j : order) {
    if (static_cast<std::int64_t>(accepted.size()) >= rule.most) break;
    if (m > 0 && m < tokens && j > tokens - m) continue;
    if (std::all_of(accepted.begin(), accepted.end(),
                    [&](std::int64_t other) { return std::abs(other - j) > rule.nms_distance; })) {
      accepted.push_back(j);
    }
  }
  std::vector<std::int32_t> edges{0, static_cast<std::int32_t>(tokens)};
  for (const std::int64_t j : accepted) edges.push_back(static_cast<std::int32_t>(j + 1));
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());
  return edges;
}

TEST(SelectBoundaries, AgreesWithComparingEveryPair) {
  std::mt19937 random(11);
  for (const std::int64_t tokens : {1, 2, 7, 50, 301}) {
    for (const std::int64_t most : {1, 5, 1000}) {
      for (const std::int64_t distance : {0, 1, 8}) {
        for (const std::int64_t instruction : {0, 1, 20}) {
          auto scores = random_values(tokens, static_cast<unsigned>(random()));
          for (float& score : scores) score = std::round(score * 2.0F) / 2.0F;  // many ties, and -0
          for (std::size_t j = 0; j < scores.size(); j += 6) scores[j] = NAN;
          for (const auto& threshold : {std::optional<double>(), std::optional<double>(0.5)}) {
            const BoundaryRule rule{most, distance, threshold, instruction};
            EXPECT_EQ(select_boundaries(scores, rule), plain_boundaries(scores, rule))
                << tokens << " " << most << " " << distance << " " << instruction;
          }
        }
      }
    }
  }
}

TEST(FixedBoundaries, EveryNTokensAndNoneAfterTheInstructionBegins) {
  EXPECT_EQ(fixed_boundaries(10, 4), (std::vector<std::int32_t>{0, 4, 8, 10}));
  EXPECT_EQ(fixed_boundaries(8, 4), (std::vector<std::int32_t>{0, 4, 8}));
  EXPECT_EQ(fixed_boundaries(1, 4), (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(fixed_boundaries(20, 4, 7), (std::vector<std::int32_t>{0, 4, 8, 12, 14, 20}));
  EXPECT_EQ(fixed_boundaries(20, 4, 1), (std::vector<std::int32_t>{0, 4, 8, 12, 16, 20}));
  EXPECT_EQ(fixed_boundaries(5, 4, 9), (std::vector<std::int32_t>{0, 4, 5}));
}

TEST(KeyShift, AgreesWithTheDefinition) {
  set_compute_threads(0);
  for (const std::int64_t w : {1, 3, 4}) {
    for (const std::int64_t tokens : {1, 7, 9, 290, 600}) {
      const std::int64_t heads = 2;
      const std::int64_t dim = 12;
      const auto keys = random_values(heads * tokens * dim, static_cast<unsigned>(tokens));
      const auto scores = key_shift_scores(heads_view(keys.data(), heads, tokens, dim), w);
      ASSERT_EQ(static_cast<std::int64_t>(scores.size()), tokens);
      for (std::int64_t j = 0; j < tokens; ++j) {
        const float score = scores[static_cast<std::size_t>(j)];
        if (j < w - 1 || j >= tokens - w) {
          EXPECT_TRUE(std::isnan(score)) << j;
          continue;
        }
        double left_left = 0, right_right = 0, left_right = 0;
        for (std::int64_t h = 0; h < heads; ++h) {
          for (std::int64_t d = 0; d < dim; ++d) {
            double left = 0, right = 0;
            for (std::int64_t t = 0; t < w; ++t) {
              left += static_cast<double>(keys[static_cast<std::size_t>((h * tokens + j - t) * dim + d)]);
              right += static_cast<double>(keys[static_cast<std::size_t>((h * tokens + j + 1 + t) * dim + d)]);
            }
            left_left += left * left;
            right_right += right * right;
            left_right += left * right;
          }
        }
        EXPECT_NEAR(score, 1.0 - left_right / std::sqrt(left_left * right_right), 1e-5) << j;
      }
    }
  }
}

TEST(KeyShift, ReadsBFloat16AndStrides) {
  const std::int64_t tokens = 40;
  const std::int64_t dim = 8;
  auto keys = random_values(2 * tokens * dim, 3);
  // [tokens, heads, dim] in bfloat16 against [heads, tokens, dim] of the same rounded numbers.
  std::vector<std::uint16_t> interleaved(keys.size());
  for (std::int64_t h = 0; h < 2; ++h) {
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t d = 0; d < dim; ++d) {
        auto& value = keys[static_cast<std::size_t>((h * tokens + t) * dim + d)];
        const std::uint16_t bits = float_to_bfloat16(value);
        value = bfloat16_to_float(bits);
        interleaved[static_cast<std::size_t>((t * 2 + h) * dim + d)] = bits;
      }
    }
  }
  const HeadsView strided{interleaved.data(), DType::kBFloat16, 2, tokens, dim, dim, 2 * dim};
  const auto expected = key_shift_scores(heads_view(keys.data(), 2, tokens, dim), 4);
  const auto scores = key_shift_scores(strided, 4);
  for (std::size_t j = 3; j + 4 < scores.size(); ++j) EXPECT_EQ(scores[j], expected[j]);
}

TEST(AttentionMass, StopsWhenCancelledAndLeavesShortDocumentsUndefined) {
  const auto values = random_values(2 * 64 * 8, 9);
  CancelToken token;
  token.cancel();
  EXPECT_THROW(static_cast<void>(attention_mass_ratios(heads_view(values.data(), 2, 64, 8),
                                                       heads_view(values.data(), 2, 64, 8), {}, &token)),
               Cancelled);
  for (const float ratio :
       attention_mass_ratios(heads_view(values.data(), 2, 15, 8), heads_view(values.data(), 2, 15, 8), {})) {
    EXPECT_TRUE(std::isnan(ratio));
  }
}

PredictorWeights small_weights(std::int64_t channels, unsigned seed) {
  PredictorWeights w;
  w.channels = channels;
  w.hidden = 5;
  w.heads = 2;
  w.in_proj_weight = random_values(3 * channels * channels, seed);
  w.in_proj_bias = random_values(3 * channels, seed + 1);
  w.out_proj_weight = random_values(channels * channels, seed + 2);
  w.out_proj_bias = random_values(channels, seed + 3);
  w.norm_weight = random_values(channels, seed + 4);
  w.norm_bias = random_values(channels, seed + 5);
  w.mlp0_weight = random_values(5 * (4 * channels + 1), seed + 6);
  w.mlp0_bias = random_values(5, seed + 7);
  w.mlp2_weight = random_values(5, seed + 8);
  w.mlp2_bias = random_values(1, seed + 9);
  return w;
}

TEST(BoundaryPredictor, ALogitDependsOnItsWindowOnly) {
  // Values are compared with the method's own in the parity tests; here a document longer than one block of cuts is
  // compared with its pieces.
  const std::int64_t tokens = 500;
  const std::int64_t channels = 12;
  const BoundaryPredictor predictor(small_weights(channels, 20));
  const auto keys = random_values(tokens * channels, 5);
  const auto whole = predictor.logits(heads_view(keys.data(), 1, tokens, channels));
  for (const std::int64_t from : {0, 77, 480}) {
    const auto piece = predictor.logits(heads_view(keys.data() + from * channels, 1, 20, channels));
    for (std::int64_t j = 3; j < 16; ++j) {
      EXPECT_NEAR(piece[static_cast<std::size_t>(j)], whole[static_cast<std::size_t>(from + j)], 1e-4);
    }
    EXPECT_TRUE(std::isnan(piece[2]) && std::isnan(piece[16]));
  }
  for (const float logit : predictor.logits(heads_view(keys.data(), 1, 7, channels))) EXPECT_TRUE(std::isnan(logit));
}

TEST(BoundaryPredictor, SurvivesScoresFarBelowTheLargestOfTheirBand) {
  // A key so large that, next to it, every other exponential of the band is 0 in float32.
  const std::int64_t channels = 8;
  PredictorWeights weights = small_weights(channels, 40);
  auto keys = random_values(60 * channels, 6);
  for (std::int64_t d = 0; d < channels; ++d) keys[static_cast<std::size_t>(30 * channels + d)] *= 400.0F;
  const BoundaryPredictor predictor(weights);
  const auto logits = predictor.logits(heads_view(keys.data(), 1, 60, channels));
  const auto apart = predictor.logits(heads_view(keys.data() + 31 * channels, 1, 29, channels));
  for (std::int64_t j = 3; j < 25; ++j) {
    EXPECT_NEAR(logits[static_cast<std::size_t>(31 + j)], apart[static_cast<std::size_t>(j)], 1e-4) << j;
  }
}

TEST(BoundaryPredictor, RefusesWeightsAndKeysThatDoNotFit) {
  PredictorWeights weights = small_weights(8, 1);
  const auto keys = random_values(2 * 20 * 8, 2);
  const BoundaryPredictor predictor(weights);
  EXPECT_THROW(static_cast<void>(predictor.logits(heads_view(keys.data(), 2, 20, 8))), Error);
  weights.heads = 3;
  EXPECT_THROW(BoundaryPredictor{weights}, Error);
  weights.heads = 2;
  weights.mlp0_bias.pop_back();
  EXPECT_THROW(BoundaryPredictor{weights}, Error);
}

}  // namespace
}  // namespace dhsa
