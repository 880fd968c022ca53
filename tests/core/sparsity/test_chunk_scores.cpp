#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include "core/base/parallel.h"
#include "core/sparsity/chunk_scores.h"
#include "core/sparsity/selection.h"

namespace dhsa {
namespace {

struct Layer {
  std::int64_t heads = 4, kv_heads = 2, tokens = 137, dim = 16;
  std::vector<float> q, k;
  Layer() {
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    q.resize(static_cast<std::size_t>(heads * tokens * dim));
    k.resize(static_cast<std::size_t>(kv_heads * tokens * dim));
    for (float& value : q) value = normal(random);
    for (float& value : k) value = 0.5F + normal(random);
  }
  [[nodiscard]] double query(std::int64_t h, std::int64_t i, std::int64_t d) const {
    return static_cast<double>(q[static_cast<std::size_t>((h * tokens + i) * dim + d)]);
  }
  [[nodiscard]] double key(std::int64_t h, std::int64_t j, std::int64_t d) const {
    return static_cast<double>(k[static_cast<std::size_t>((h * tokens + j) * dim + d)]);
  }
};

const std::vector<std::int32_t> kEdges = {0, 9, 10, 31, 45, 46, 80, 100, 101, 130, 137};
const std::vector<std::int32_t> kRows = {0, 20, 47, 48, 90, 137};

// z of one row (or of the mean of `rows`) against one chunk, as the header defines it. `part` is the band.
double plain_logit(const Layer& layer, const ChunkScoreRule& rule, std::int64_t h,
                   const std::vector<std::int64_t>& rows, std::int64_t begin, std::int64_t end, int part) {
  const std::int64_t kv = h / 2;
  const auto n = static_cast<double>(end - begin);
  const double s = static_cast<double>(rule.scale);
  double z = 0, of_keys = 0, of_mean = 0;
  for (std::int64_t d = 0; d < layer.dim; ++d) {
    double qd = 0, mean = 0, variance = 0, low = 1e9, high = -1e9;
    for (const std::int64_t i : rows) qd += layer.query(h, i, d) / static_cast<double>(rows.size());
    for (std::int64_t j = begin; j < end; ++j) {
      mean += layer.key(kv, j, d) / n;
      low = std::min(low, layer.key(kv, j, d));
      high = std::max(high, layer.key(kv, j, d));
    }
    for (std::int64_t j = begin; j < end; ++j) variance += std::pow(layer.key(kv, j, d) - mean, 2) / n;
    switch (rule.scores) {
      case ChunkScoring::kMean:
        z += s * qd * mean;
        break;
      case ChunkScoring::kMoments:
        z += s * qd * mean + s * s / 2 * qd * qd * variance;
        break;
      case ChunkScoring::kBounds:
        z += std::max(s * qd * low, s * qd * high);
        break;
      case ChunkScoring::kBands:
        if ((d % (layer.dim / 2) < layer.dim / 4) != (part == 0)) break;
        z += s * qd * mean;
        for (std::int64_t j = begin; j < end; ++j) of_keys += std::pow(layer.key(kv, j, d), 2) / n;
        of_mean += mean * mean;
        break;
    }
  }
  if (rule.scores == ChunkScoring::kBands) z *= std::sqrt(of_keys / of_mean);
  const double cap = static_cast<double>(rule.softcap);
  if (cap > 0) z = cap * std::tanh(z / cap);
  return rule.scores == ChunkScoring::kBounds ? z - std::log(n) : z;
}

TEST(ChunkScores, EstimatesAgreeWithTheirDefinition) {
  set_compute_threads(0);
  const Layer layer;
  for (const ChunkScoring scoring :
       {ChunkScoring::kMean, ChunkScoring::kMoments, ChunkScoring::kBands, ChunkScoring::kBounds}) {
    for (const MaskHeads heads : {MaskHeads::kShared, MaskHeads::kPerKvHead, MaskHeads::kPerHead}) {
      for (const std::int64_t step : {0, 1, 8}) {
        for (const std::int64_t window : {0, 40}) {
          ChunkScoreRule rule;
          rule.scores = scoring;
          rule.mask_heads = heads;
          rule.rows.step = step;
          rule.scale = 0.25F;
          rule.softcap = 5.0F;
          rule.window = window;
          if (scoring == ChunkScoring::kMean && step == 0) continue;  // the published scores
          const ChunkScores scores =
              score_chunks(heads_view(layer.q.data(), 4, layer.tokens, layer.dim),
                           heads_view(layer.k.data(), 2, layer.tokens, layer.dim), kEdges, kRows, rule);
          ASSERT_TRUE(scores.mass);
          ASSERT_EQ(scores.heads, mask_head_count(heads, 4, 2));
          for (std::int64_t m = 0; m < scores.heads; ++m) {
            for (std::int64_t g = 0; g < scores.groups; ++g) {
              const std::int64_t row_begin = kRows[static_cast<std::size_t>(g)];
              const std::int64_t row_end = kRows[static_cast<std::size_t>(g) + 1];
              std::vector<double> expected(kEdges.size() - 1, 0.0);
              std::vector<std::vector<std::int64_t>> samples;
              if (step == 0) {
                samples.emplace_back(static_cast<std::size_t>(row_end - row_begin));
                std::iota(samples[0].begin(), samples[0].end(), row_begin);
              } else {
                for (std::int64_t i = row_end - 1; i >= row_begin; i -= step) samples.push_back({i});
              }
              const std::int64_t per_mask = 4 / scores.heads;
              const int parts = scoring == ChunkScoring::kBands ? 2 : 1;
              for (std::int64_t h = m * per_mask; h < (m + 1) * per_mask; ++h) {
                for (const auto& sample : samples) {
                  const std::int64_t last = sample.back();
                  const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, last - window + 1) : 0;
                  for (int part = 0; part < parts; ++part) {
                    std::vector<double> p(expected.size(), 0.0);
                    double total = 0;
                    for (std::size_t c = 0; c < p.size(); ++c) {
                      const double visible = std::min<double>(kEdges[c + 1], static_cast<double>(last + 1)) -
                                             std::max<double>(kEdges[c], static_cast<double>(first));
                      if (visible <= 0) continue;
                      p[c] = std::exp(plain_logit(layer, rule, h, sample, kEdges[c], kEdges[c + 1], part));
                      total += p[c] * visible;
                    }
                    for (std::size_t c = 0; c < p.size(); ++c) {
                      expected[c] +=
                          p[c] / total / static_cast<double>(samples.size()) / static_cast<double>(per_mask * parts);
                    }
                  }
                }
              }
              const auto row = scores.row(m, g);
              for (std::size_t c = 0; c < expected.size(); ++c) {
                if (kEdges[c] >= row_end) {
                  EXPECT_TRUE(std::isnan(row[c]));
                } else {
                  EXPECT_NEAR(row[c], expected[c], 1e-5 + 1e-4 * expected[c])
                      << "scoring " << static_cast<int>(scoring) << " step " << step << " window " << window << " head "
                      << m << " group " << g << " chunk " << c;
                }
              }
            }
          }
        }
      }
    }
  }
}

TEST(ScoredRows, SpeakForTheirGroup) {
  const ScoredRows every_fourth{4, 0};
  EXPECT_EQ(every_fourth.of_group(10, 20, 40), (std::vector<std::int64_t>{19, 15, 11}));
  EXPECT_EQ(ScoredRows{}.of_group(10, 20, 20), std::vector<std::int64_t>{});
  const ScoredRows all_of_last{4, 21};
  EXPECT_EQ(all_of_last.of_group(10, 19, 40), (std::vector<std::int64_t>{18, 14, 10}));
  EXPECT_EQ(all_of_last.of_group(12, 22, 40), (std::vector<std::int64_t>{21, 20, 19, 17, 13}));
  EXPECT_TRUE((ScoredRows{0, 2}.of_group(37, 40, 40)).empty());
}

TEST(ChunkScores, PublishedScoresPoolHeadsRowsAndKeys) {
  const Layer layer;
  for (const Pooling pooling : {Pooling::kMean, Pooling::kSqrtMean}) {
    for (const MaskHeads heads : {MaskHeads::kShared, MaskHeads::kPerKvHead, MaskHeads::kPerHead}) {
      ChunkScoreRule rule;
      rule.pooling = pooling;
      rule.mask_heads = heads;
      const ChunkScores scores =
          score_chunks(heads_view(layer.q.data(), 4, layer.tokens, layer.dim),
                       heads_view(layer.k.data(), 2, layer.tokens, layer.dim), kEdges, kRows, rule);
      EXPECT_FALSE(scores.mass);
      const std::int64_t per_mask = 4 / scores.heads;
      for (std::int64_t m = 0; m < scores.heads; ++m) {
        for (std::int64_t g = 0; g < scores.groups; ++g) {
          for (std::size_t c = 0; c + 1 < kEdges.size(); ++c) {
            const std::int64_t row_begin = kRows[static_cast<std::size_t>(g)];
            const std::int64_t row_end = kRows[static_cast<std::size_t>(g) + 1];
            const float score = scores.row(m, g)[c];
            if (kEdges[c] >= row_end) {
              EXPECT_TRUE(std::isnan(score));
              continue;
            }
            double expected = 0;
            const auto rows = static_cast<double>(row_end - row_begin);
            const double keys = kEdges[c + 1] - kEdges[c];
            for (std::int64_t d = 0; d < layer.dim; ++d) {
              double of_q = 0, of_k = 0, kv_count = 0;
              for (std::int64_t h = m * per_mask; h < (m + 1) * per_mask; ++h) {
                for (std::int64_t i = row_begin; i < row_end; ++i) of_q += layer.query(h, i, d);
                for (std::int64_t j = kEdges[c]; j < kEdges[c + 1]; ++j) of_k += layer.key(h / 2, j, d);
                kv_count += 1;
              }
              expected += of_q / kv_count / rows * of_k / kv_count / keys;
            }
            if (pooling == Pooling::kSqrtMean) expected *= std::sqrt(rows * keys);
            EXPECT_NEAR(score, expected, 1e-4);
          }
        }
      }
    }
  }
}

std::set<std::int32_t> keys_of(const SelectedKeys& selected) {
  std::set<std::int32_t> keys;
  for (const KeyRange range : selected.ranges) {
    for (std::int32_t j = range.begin; j < range.end; ++j) EXPECT_TRUE(keys.insert(j).second) << "twice " << j;
  }
  EXPECT_EQ(static_cast<std::int64_t>(keys.size()), selected.keys);
  return keys;
}

TEST(SelectKeys, KeepsOwnRowsAndSinksThenFillsTheBudgetInTheOrderOfScores) {
  std::mt19937 random(8);
  for (int round = 0; round < 300; ++round) {
    const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
    const int tokens = pick(1, 90);
    std::vector<std::int32_t> edges{0};
    while (edges.back() < tokens) edges.push_back(std::min(tokens, edges.back() + pick(1, 15)));
    std::vector<float> scores(edges.size() - 1);
    for (float& score : scores) score = static_cast<float>(pick(-3, 3));
    const int end = pick(1, tokens);
    const int begin = pick(0, 3) == 0 ? pick(0, end - 1) : 0;
    SelectionRule rule;
    rule.budget = pick(1, 100);
    rule.own_rows = pick(0, 20);
    rule.sink_tokens = pick(0, 12);
    rule.local_tokens = pick(1, 20);
    const auto selected = keys_of(select_keys(edges, scores, false, begin, end, rule));

    // Own rows and sinks whatever the budget; then tokens one by one: recent, then by score, chunks in order, most
    // recent token of a chunk first.
    std::set<std::int32_t> expected;
    for (int j = end - 1; j >= std::max<std::int64_t>(begin, end - rule.own_rows); --j) expected.insert(j);
    for (int j = begin; j < std::min<std::int64_t>(end, begin + rule.sink_tokens); ++j) expected.insert(j);
    std::vector<int> order;
    for (int j = end - 1; j >= std::max<std::int64_t>(begin, end - rule.local_tokens); --j) order.push_back(j);
    std::vector<std::size_t> chunks(scores.size());
    std::iota(chunks.begin(), chunks.end(), std::size_t{0});
    std::stable_sort(chunks.begin(), chunks.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    for (const std::size_t c : chunks) {
      for (int j = edges[c + 1] - 1; j >= edges[c]; --j) {
        if (j >= begin && j < end) order.push_back(j);
      }
    }
    for (const int j : order) {
      if (static_cast<std::int64_t>(expected.size()) < rule.budget) expected.insert(j);
    }
    ASSERT_EQ(selected, expected) << "round " << round;
  }
}

TEST(SelectKeys, TheThresholdTakesTheFewestChunksThatReachTheMass) {
  const std::vector<std::int32_t> edges = {0, 10, 20, 30, 40};
  SelectionRule rule;
  rule.selection = Selection::kThreshold;
  rule.budget = 40;
  rule.local_tokens = 10;
  // softmax of {0, 2, 1, 0}: 0.0723, 0.5344, 0.1966... of four chunks; the local one is always there.
  const std::vector<float> scores = {0.0F, 2.0F, 1.0F, 0.0F};
  const double total = 1 + std::exp(2.0) + std::exp(1.0) + 1;
  rule.mass = (1 + std::exp(2.0)) / total - 1e-6;
  EXPECT_EQ(select_keys(edges, scores, false, 0, 40, rule).keys, 20);
  rule.mass += 2e-6;
  EXPECT_EQ(select_keys(edges, scores, false, 0, 40, rule).keys, 30);
  rule.mass = 0.01;
  EXPECT_EQ(select_keys(edges, scores, false, 0, 40, rule).keys, 10);
  rule.min_budget = 15;
  EXPECT_EQ(select_keys(edges, scores, false, 0, 40, rule).keys, 20);
  rule.mass = 1.0;
  EXPECT_EQ(select_keys(edges, scores, false, 0, 40, rule).keys, 40);
  rule.budget = 25;
  EXPECT_EQ(select_keys(edges, scores, false, 0, 40, rule).keys, 25);
  // Scores that are masses per token already: 0.1, 0.6, 0.2, 0.1.
  rule = {Selection::kThreshold, 40, 0, 0.65, 0, 0, 10};
  EXPECT_EQ(select_keys(edges, std::vector<float>{0.01F, 0.06F, 0.02F, 0.01F}, true, 0, 40, rule).keys, 20);
  rule.mass = 0.75;
  EXPECT_EQ(select_keys(edges, std::vector<float>{0.01F, 0.06F, 0.02F, 0.01F}, true, 0, 40, rule).keys, 30);
}

}  // namespace
}  // namespace dhsa
