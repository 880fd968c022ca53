// Mask metrics against a direct computation in double precision that shares nothing with the library but its inputs.
#include "core/analysis/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "core/base/hash.h"
#include "core/base/parallel.h"

namespace dhsa {
namespace {

struct Case {
  std::int64_t heads, kv_heads, rows, dim, window;
  int mask_heads;
  float softcap;
};

struct Layer {
  explicit Layer(const Case& c, float spread = 1.0F)
      : shape(c),
        q(static_cast<std::size_t>(c.heads * c.rows * c.dim)),
        k(static_cast<std::size_t>(c.kv_heads * c.rows * c.dim)),
        v(k.size()) {
    std::mt19937 random(static_cast<unsigned>(c.rows * 31 + c.dim + c.mask_heads));
    std::normal_distribution<float> normal(0.0F, spread);
    for (auto* data : {&q, &k, &v}) {
      for (float& x : *data) x = normal(random);
    }
    info.index = 3;
    info.window = c.window;
    info.scale = 0.3F;
    info.softcap = c.softcap;
  }
  [[nodiscard]] HeadsView qv() const { return heads_view(q.data(), shape.heads, shape.rows, shape.dim); }
  [[nodiscard]] HeadsView kv() const { return heads_view(k.data(), shape.kv_heads, shape.rows, shape.dim); }
  [[nodiscard]] HeadsView vv() const { return heads_view(v.data(), shape.kv_heads, shape.rows, shape.dim); }

  // Dense weights of one row in double, zero outside causality and window.
  [[nodiscard]] std::vector<double> attention(std::int64_t head, std::int64_t row) const {
    const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
    std::vector<double> a(static_cast<std::size_t>(shape.rows), 0.0);
    double total = 0;
    for (std::int64_t j = 0; j <= row; ++j) {
      if (shape.window > 0 && j <= row - shape.window) continue;
      double score = 0;
      for (std::int64_t d = 0; d < shape.dim; ++d) {
        score += static_cast<double>(q[static_cast<std::size_t>((head * shape.rows + row) * shape.dim + d)]) *
                 static_cast<double>(k[static_cast<std::size_t>((kv_head * shape.rows + j) * shape.dim + d)]);
      }
      score *= static_cast<double>(info.scale);
      if (info.softcap > 0)
        score = static_cast<double>(info.softcap) * std::tanh(score / static_cast<double>(info.softcap));
      a[static_cast<std::size_t>(j)] = std::exp(score);
      total += a[static_cast<std::size_t>(j)];
    }
    for (double& x : a) x /= total;
    return a;
  }

  Case shape;
  std::vector<float> q, k, v;
  LayerInfo info;
};

KeyMask random_mask(const Case& c, std::int64_t block) {
  std::mt19937 random(static_cast<unsigned>(c.rows + c.mask_heads));
  KeyMask::Builder builder(fixed_groups(c.rows, block), c.mask_heads, c.window);
  for (int head = 0; head < c.mask_heads; ++head) {
    for (std::int64_t begin = 0; begin < c.rows; begin += block) {
      std::vector<KeyRange> ranges;
      for (int i = 0; i < 3; ++i) {
        const auto at = static_cast<std::int32_t>(random() % static_cast<unsigned>(std::min(begin + block, c.rows)));
        ranges.push_back({at, std::min(at + 4, static_cast<std::int32_t>(c.rows))});
      }
      builder.add(ranges);
    }
  }
  return builder.finish();
}

// Dropped mass of a row, and the dropped key that has most of it.
LostRow lost_of(const Layer& layer, const KeyMask& mask, int head, std::int64_t row) {
  const std::vector<double> a = layer.attention(head, row);
  LostRow lost{head, row, 0, -1, 0};
  for (std::int64_t j = 0; j <= row; ++j) {
    const double mass = a[static_cast<std::size_t>(j)];
    if (mass <= 0 || mask.kept(mask.mask_head(head, layer.shape.heads), row, j)) continue;
    lost.dropped_mass += mass;
    if (mass > lost.key_mass) lost.key = j;
    lost.key_mass = std::max(lost.key_mass, mass);
  }
  return lost;
}

struct Expected {
  double mass = 0, worst_head = 1, worst_rows = 0, oracle = 0, iou = 0, error = 0;
};

Expected brute_force(const Layer& layer, const KeyMask& mask, std::int64_t step, std::int64_t begin, std::int64_t end) {
  const Case& c = layer.shape;
  Expected expected;
  std::vector<std::pair<double, double>> all;  // mass, weight
  double oracle = 0, intersection = 0, united = 0, total = 0;
  const RowSample sample = draw_rows(begin, end, step, static_cast<std::uint64_t>(layer.info.index) + 1);
  for (std::int64_t head = 0; head < c.heads; ++head) {
    const auto mask_head = static_cast<int>(head / (c.heads / c.mask_heads));
    const std::int64_t kv_head = head / (c.heads / c.kv_heads);
    double head_mass = 0, error = 0, norm = 0;
    for (std::size_t r = 0; r < sample.rows.size(); ++r) {
      const std::int64_t row = sample.rows[r];
      const double weight = sample.weight(r);
      const std::vector<double> a = layer.attention(head, row);
      std::vector<std::pair<double, std::int64_t>> order;
      std::set<std::int64_t> kept;
      double mass = 0;
      for (std::int64_t j = 0; j <= row; ++j) {
        if (c.window > 0 && j <= row - c.window) continue;
        order.emplace_back(-a[static_cast<std::size_t>(j)], j);
        if (mask.kept(mask_head, row, j)) {
          kept.insert(j);
          mass += a[static_cast<std::size_t>(j)];
        }
      }
      std::sort(order.begin(), order.end());
      double common = 0;
      for (std::size_t i = 0; i < kept.size(); ++i) {
        oracle -= weight * order[i].first;
        common += kept.contains(order[i].second) ? 1 : 0;
      }
      intersection += weight * common;
      united += weight * (2 * static_cast<double>(kept.size()) - common);
      all.emplace_back(mass, weight);
      head_mass += weight * mass;
      total += weight * mass;
      for (std::int64_t d = 0; d < c.dim; ++d) {
        double dense = 0, sparse = 0;
        for (std::int64_t j = 0; j <= row; ++j) {
          const double term =
              a[static_cast<std::size_t>(j)] *
              static_cast<double>(layer.v[static_cast<std::size_t>((kv_head * c.rows + j) * c.dim + d)]);
          dense += term;
          if (kept.contains(j)) sparse += term / mass;
        }
        error += weight * (dense - sparse) * (dense - sparse);
        norm += weight * dense * dense;
      }
    }
    expected.worst_head = std::min(expected.worst_head, head_mass / static_cast<double>(end - begin));
    expected.error += std::sqrt(error / norm) / static_cast<double>(c.heads);
  }
  expected.mass = total / static_cast<double>(c.heads * (end - begin));
  expected.oracle = total / oracle;
  expected.iou = intersection / united;
  std::sort(all.begin(), all.end());
  const auto worst = static_cast<double>(std::max<std::int64_t>(1, c.heads * (end - begin) / 100));
  double taken = 0;
  for (const auto& [mass, weight] : all) {
    const double part = std::min(weight, worst - taken);
    expected.worst_rows += part * mass / worst;
    taken += part;
  }
  return expected;
}

void expect_close(const MaskMetrics& metrics, const Expected& expected) {
  EXPECT_NEAR(metrics.value("retained_mass"), expected.mass, 1e-6);
  EXPECT_NEAR(metrics.value("worst_head_mass"), expected.worst_head, 1e-6);
  EXPECT_NEAR(metrics.value("worst_rows_mass"), expected.worst_rows, 1e-6);
  EXPECT_NEAR(metrics.value("of_oracle"), expected.oracle, 1e-6);
  EXPECT_NEAR(metrics.value("iou"), expected.iou, 1e-9);
  EXPECT_NEAR(metrics.value("output_error"), expected.error, 1e-5);
}

class MaskMetricsCase : public testing::TestWithParam<Case> {};

TEST_P(MaskMetricsCase, AgreesWithDoublePrecision) {
  const Layer layer(GetParam());
  const KeyMask mask = random_mask(GetParam(), 7);
  const std::int64_t rows = GetParam().rows;
  expect_close(measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info),
               brute_force(layer, mask, 1, 0, rows));
  MetricOptions some;
  some.row_step = 3;
  expect_close(measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, some),
               brute_force(layer, mask, 3, 0, rows));
  if (rows > 4) {
    some.row_begin = rows / 3;
    some.row_end = rows - 1;
    expect_close(measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, some),
                 brute_force(layer, mask, 3, rows / 3, rows - 1));
  }
}

INSTANTIATE_TEST_SUITE_P(OddSizes, MaskMetricsCase,
                         testing::Values(Case{1, 1, 1, 8, 0, 1, 50.0F}, Case{2, 1, 2, 8, 0, 1, 0.0F},
                                         Case{4, 2, 37, 8, 0, 1, 50.0F}, Case{4, 2, 61, 16, 0, 2, 2.0F},
                                         Case{4, 2, 53, 24, 13, 4, 50.0F}, Case{6, 3, 131, 8, 32, 3, 0.0F},
                                         Case{2, 2, 257, 8, 1, 1, 50.0F}));

TEST(MaskMetrics, ManyKeysCrossTiles) {
  const Case c{2, 1, 4500, 8, 0, 1, 50.0F};
  const Layer layer(c);
  const KeyMask mask = random_mask(c, 300);
  MetricOptions few;
  few.row_step = 401;
  expect_close(measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, few),
               brute_force(layer, mask, 401, 0, c.rows));
}

TEST(MaskMetrics, DenseMaskKeepsEverything) {
  const Case c{4, 2, 45, 8, 11, 1, 50.0F};
  const Layer layer(c);
  const MaskMetrics metrics =
      measure_mask(layer.qv(), layer.kv(), layer.vv(), KeyMask::dense(c.rows, c.window), layer.info);
  EXPECT_EQ(metrics.value("density"), 1.0);
  EXPECT_EQ(metrics.value("retained_mass"), 1.0);
  EXPECT_EQ(metrics.value("worst_head_mass"), 1.0);
  EXPECT_EQ(metrics.value("worst_rows_mass"), 1.0);
  EXPECT_EQ(metrics.value("of_oracle"), 1.0);
  EXPECT_EQ(metrics.value("iou"), 1.0);
  EXPECT_LT(metrics.value("output_error"), 1e-6);
}

// With equal scores everywhere any choice of k keys is an oracle's.
TEST(MaskMetrics, TiesAreNoFault) {
  const Case c{1, 1, 40, 8, 0, 1, 0.0F};
  Layer layer(c);
  std::fill(layer.q.begin(), layer.q.end(), 0.0F);
  const MaskMetrics metrics = measure_mask(layer.qv(), layer.kv(), layer.vv(), random_mask(c, 5), layer.info);
  EXPECT_EQ(metrics.value("iou"), 1.0);
  EXPECT_NEAR(metrics.value("of_oracle"), 1.0, 1e-12);
  EXPECT_LT(metrics.value("retained_mass"), 1.0);
}

// Scores at both ends of the softcap: exponents of plus and minus 50 in one row.
TEST(MaskMetrics, ExtremeScoresStayFinite) {
  const Case c{2, 1, 33, 8, 0, 1, 50.0F};
  const Layer layer(c, 60.0F);
  const KeyMask mask = random_mask(c, 7);
  const MaskMetrics metrics = measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info);
  const Expected expected = brute_force(layer, mask, 1, 0, c.rows);
  EXPECT_NEAR(metrics.value("retained_mass"), expected.mass, 1e-4);
  EXPECT_TRUE(std::isfinite(metrics.value("output_error")));
}

TEST(MaskMetrics, StridedAndBfloat16Views) {
  const Case c{4, 2, 41, 8, 16, 2, 50.0F};
  Layer layer(c);
  for (auto* data : {&layer.q, &layer.k, &layer.v}) {
    for (float& x : *data) x = bfloat16_to_float(float_to_bfloat16(x));
  }
  const KeyMask mask = random_mask(c, 7);
  const MaskMetrics expected = measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info);

  // [rows, heads, dim + 3] in both types: what a fused projection leaves behind.
  const auto spread = [&](const HeadsView& view, auto convert, DType type, auto& storage) {
    const std::int64_t row = view.heads * (view.dim + 3);
    storage.resize(static_cast<std::size_t>(view.rows * row));
    std::vector<float> one(static_cast<std::size_t>(view.dim));
    for (std::int64_t h = 0; h < view.heads; ++h) {
      for (std::int64_t i = 0; i < view.rows; ++i) {
        view.load_row(h, i, one.data());
        for (std::int64_t d = 0; d < view.dim; ++d) {
          storage[static_cast<std::size_t>(i * row + h * (view.dim + 3) + d)] =
              convert(one[static_cast<std::size_t>(d)]);
        }
      }
    }
    return HeadsView{storage.data(), type, view.heads, view.rows, view.dim, view.dim + 3, row};
  };
  std::vector<float> fq, fk, fv;
  std::vector<std::uint16_t> bq, bk, bv;
  const auto same = [](float x) { return x; };
  const MaskMetrics strided =
      measure_mask(spread(layer.qv(), same, DType::kFloat32, fq), spread(layer.kv(), same, DType::kFloat32, fk),
                   spread(layer.vv(), same, DType::kFloat32, fv), mask, layer.info);
  const MaskMetrics narrow =
      measure_mask(spread(layer.qv(), float_to_bfloat16, DType::kBFloat16, bq),
                   spread(layer.kv(), float_to_bfloat16, DType::kBFloat16, bk),
                   spread(layer.vv(), float_to_bfloat16, DType::kBFloat16, bv), mask, layer.info);
  for (const MaskMetrics& metrics : {strided, narrow}) {
    EXPECT_NEAR(metrics.value("retained_mass"), expected.value("retained_mass"), 1e-6);
    EXPECT_NEAR(metrics.value("output_error"), expected.value("output_error"), 1e-6);
    EXPECT_NEAR(metrics.value("of_oracle"), expected.value("of_oracle"), 1e-6);
  }
}

TEST(MaskMetrics, DoNotDependOnThreads) {
  const Case c{4, 2, 300, 16, 0, 2, 50.0F};
  const Layer layer(c);
  const KeyMask mask = random_mask(c, 16);
  set_compute_threads(1);
  const MaskMetrics one = measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info);
  const TokenImportance importance_one = token_importance(layer.qv(), layer.kv(), mask, layer.info);
  set_compute_threads(0);
  const MaskMetrics all = measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info);
  const TokenImportance importance_all = token_importance(layer.qv(), layer.kv(), mask, layer.info);
  EXPECT_EQ(one.value("retained_mass"), all.value("retained_mass"));
  EXPECT_EQ(one.value("output_error"), all.value("output_error"));
  EXPECT_EQ(one.value("of_oracle"), all.value("of_oracle"));
  EXPECT_EQ(importance_one.received_mass, importance_all.received_mass);
}

TEST(MaskMetrics, RefusesWhatDoesNotFit) {
  const Case c{4, 2, 20, 8, 0, 1, 50.0F};
  Layer layer(c);
  EXPECT_THROW(static_cast<void>(measure_mask(layer.qv(), layer.kv(), layer.vv(), KeyMask::dense(19), layer.info)),
               Error);
  MetricOptions none;
  none.row_step = 0;
  EXPECT_THROW(
      static_cast<void>(measure_mask(layer.qv(), layer.kv(), layer.vv(), KeyMask::dense(20), layer.info, none)), Error);
  none.row_step = 1;
  none.row_begin = 20;
  EXPECT_THROW(
      static_cast<void>(measure_mask(layer.qv(), layer.kv(), layer.vv(), KeyMask::dense(20), layer.info, none)), Error);
  layer.k[5] = std::nanf("");
  EXPECT_THROW(static_cast<void>(measure_mask(layer.qv(), layer.kv(), layer.vv(), KeyMask::dense(20), layer.info)),
               Error);
}

TEST(MaskMetrics, Cancels) {
  const Case c{4, 2, 64, 8, 0, 1, 50.0F};
  const Layer layer(c);
  CancelToken cancel;
  cancel.cancel();
  MetricOptions options;
  options.cancel = &cancel;
  EXPECT_THROW(
      static_cast<void>(measure_mask(layer.qv(), layer.kv(), layer.vv(), KeyMask::dense(64), layer.info, options)),
      Cancelled);
}

TEST(DenseRows, AgreeWithDoublePrecisionInAnyOrder) {
  const Case c{4, 2, 67, 8, 20, 1, 5.0F};
  const Layer layer(c);
  const std::vector<std::int64_t> rows = {66, 0, 19, 20, 21, 5, 40};
  std::vector<float> out(rows.size() * static_cast<std::size_t>(c.rows), -1.0F);
  dense_rows(layer.qv(), layer.kv(), 3, rows, layer.info, out.data());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const std::vector<double> expected = layer.attention(3, rows[r]);
    for (std::size_t j = 0; j < expected.size(); ++j) {
      ASSERT_NEAR(out[r * expected.size() + j], expected[j], 1e-6) << "row " << rows[r] << " key " << j;
    }
  }
  const std::vector<std::int64_t> outside = {67};
  EXPECT_THROW(dense_rows(layer.qv(), layer.kv(), 3, outside, layer.info, out.data()), Error);
  EXPECT_THROW(dense_rows(layer.qv(), layer.kv(), 4, rows, layer.info, out.data()), Error);
}

// What the keys of a layer receive and how often they are kept, from all rows.
struct ExpectedImportance {
  std::vector<double> received, retention;
};

ExpectedImportance exact_importance(const Layer& layer, const KeyMask& mask) {
  const Case& c = layer.shape;
  const auto rows = static_cast<std::size_t>(c.rows);
  ExpectedImportance expected{std::vector<double>(rows, 0.0), std::vector<double>(rows, 0.0)};
  std::vector<double> seen(rows, 0.0);
  for (std::int64_t row = 0; row < c.rows; ++row) {
    for (std::int64_t head = 0; head < c.heads; ++head) {
      const std::vector<double> a = layer.attention(head, row);
      for (std::size_t j = 0; j < rows; ++j) expected.received[j] += a[j] / static_cast<double>(c.heads);
    }
    for (std::int64_t j = c.window > 0 ? std::max<std::int64_t>(0, row - c.window + 1) : 0; j <= row; ++j) {
      seen[static_cast<std::size_t>(j)] += 1;
      for (int head = 0; head < c.mask_heads; ++head) {
        expected.retention[static_cast<std::size_t>(j)] += mask.kept(head, row, j) ? 1.0 / c.mask_heads : 0.0;
      }
    }
  }
  for (std::size_t j = 0; j < rows; ++j) {
    expected.received[j] /= seen[j];
    expected.retention[j] /= seen[j];
  }
  return expected;
}

TEST(TokenImportance, CountsWhatRowsSee) {
  for (const std::int64_t window : {0, 17, 50, 60}) {
    const Case c{4, 2, 50, 8, window, 2, 50.0F};
    const Layer layer(c);
    const KeyMask mask = random_mask(c, 7);
    const ExpectedImportance expected = exact_importance(layer, mask);
    MetricOptions options;
    options.importance = true;
    for (const TokenImportance& importance :
         {token_importance(layer.qv(), layer.kv(), mask, layer.info),
          measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, options).importance}) {
      EXPECT_EQ(importance.row_step, 1);
      for (std::size_t j = 0; j < 50; ++j) {
        EXPECT_NEAR(importance.received_mass[j], expected.received[j], 1e-6) << j;
        EXPECT_NEAR(importance.retention[j], expected.retention[j], 1e-6) << j;
      }
    }
    // Counting what masks keep takes no attention: it is exact whatever was sampled.
    const TokenImportance some = token_importance(layer.qv(), layer.kv(), mask, layer.info, 9);
    EXPECT_EQ(some.row_step, 9);
    for (std::size_t j = 0; j < 50; ++j) EXPECT_NEAR(some.retention[j], expected.retention[j], 1e-6) << j;
  }
}

TEST(TokenImportance, MetricsInTheSamePassAreTheSame) {
  const Case c{4, 2, 203, 8, 60, 2, 50.0F};
  const Layer layer(c);
  const KeyMask mask = random_mask(c, 16);
  for (const std::int64_t step : {1, 6}) {
    MetricOptions options;
    options.row_step = step;
    const MaskMetrics alone = measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, options);
    const nlohmann::json json = alone;
    ASSERT_EQ(json["heads"].size(), 4U);
    for (const auto& head : json["heads"]) {
      EXPECT_EQ(head.contains("standard_error"), step > 1);
      if (step > 1) {
        EXPECT_EQ(head["row_step"]["retained_mass"], step);
      }
    }
    options.importance = true;
    const MaskMetrics both = measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, options);
    for (const auto& [key, value] : alone.values.entries()) EXPECT_EQ(both.value(key), value.value) << key;
    EXPECT_EQ(both.importance.received_mass,
              token_importance(layer.qv(), layer.kv(), mask, layer.info, step).received_mass);
  }
}

// Rows look mostly at themselves: a key would receive eight times its share where its own row is drawn, else nothing.
TEST(TokenImportance, SamplingLeavesNoComb) {
  const Case c{2, 1, 400, 8, 0, 1, 0.0F};
  Layer layer(c);
  for (std::size_t row = 0; row < 400; ++row) {
    float squares = 0;
    for (std::size_t d = 0; d < 8; ++d) squares += layer.k[row * 8 + d] * layer.k[row * 8 + d];
    for (std::size_t d = 0; d < 8; ++d) layer.k[row * 8 + d] *= 5 / std::sqrt(squares);
  }
  std::copy(layer.k.begin(), layer.k.end(), layer.q.begin());
  std::copy(layer.k.begin(), layer.k.end(), layer.q.begin() + 3200);
  const KeyMask mask = KeyMask::dense(c.rows);
  const TokenImportance exact = token_importance(layer.qv(), layer.kv(), mask, layer.info);
  const TokenImportance sampled = token_importance(layer.qv(), layer.kv(), mask, layer.info, 8);
  double all = 0;
  for (std::size_t j = 0; j < 400; ++j) {
    all += sampled.received_mass[j] * static_cast<double>(400 - j);
    if (j >= 380) continue;  // few rows see these
    EXPECT_LT(sampled.received_mass[j], 2.5F * exact.received_mass[j]) << j;
    EXPECT_GT(sampled.received_mass[j], 0.25F * exact.received_mass[j]) << j;
  }
  EXPECT_NEAR(all, 400, 1e-3);  // every row gives a mass of one
}

TEST(TokenImportance, SampledSumsAreUnbiased) {
  const Case c{2, 1, 240, 8, 0, 1, 0.0F};
  Layer layer(c);
  const KeyMask mask = KeyMask::dense(c.rows);
  const ExpectedImportance exact = exact_importance(layer, mask);
  constexpr int kDraws = 400;
  constexpr std::size_t kBlock = 40;
  std::vector<double> sums(240 / kBlock, 0.0), squares(sums.size(), 0.0), expected(sums.size(), 0.0);
  for (std::size_t j = 0; j < 240; ++j) expected[j / kBlock] += exact.received[j] * static_cast<double>(240 - j);
  for (layer.info.index = 0; layer.info.index < kDraws; ++layer.info.index) {
    const TokenImportance drawn = token_importance(layer.qv(), layer.kv(), mask, layer.info, 6);
    std::vector<double> here(sums.size(), 0.0);
    for (std::size_t j = 0; j < 240; ++j) here[j / kBlock] += drawn.received_mass[j] * static_cast<double>(240 - j);
    for (std::size_t b = 0; b < sums.size(); ++b) {
      sums[b] += here[b] / kDraws;
      squares[b] += here[b] * here[b] / kDraws;
    }
  }
  for (std::size_t b = 0; b < sums.size(); ++b) {
    const double deviation = std::sqrt(std::max(0.0, squares[b] - sums[b] * sums[b]) / kDraws);
    EXPECT_NEAR(sums[b], expected[b], 4 * deviation + 0.01 * expected[b]) << b;
  }
}

// Texts of one length draw rows of their own: what the rows of one text miss, those of another see.
TEST(Sampling, TextsDrawIndependently) {
  const Case c{4, 2, 300, 8, 0, 2, 50.0F};
  Layer layer(c);
  const KeyMask mask = random_mask(c, 1);
  const double exact = measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info).value("retained_mass");
  MetricOptions options;
  options.row_step = 7;
  constexpr int kTexts = 200;
  double sum = 0, squares = 0;
  for (int text = 0; text < kTexts; ++text) {
    const std::int32_t ids[] = {2, text};
    layer.info.text = hash_of(ids);
    const double off =
        measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, options).value("retained_mass") - exact;
    sum += off;
    squares += off * off;
  }
  const double deviation = std::sqrt(squares / kTexts);
  EXPECT_GT(deviation, 1e-4);
  EXPECT_LT(std::abs(sum / kTexts), 4 * deviation / std::sqrt(kTexts));
}

TEST(Sampling, MeansOverManyDrawsAreTheExactValuesAndErrorsTheirSpread) {
  const Case c{4, 2, 300, 8, 0, 2, 50.0F};
  Layer layer(c);
  const KeyMask mask = random_mask(c, 1);
  const MaskMetrics exact = measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info);
  EXPECT_FALSE(exact.values.sampled());
  constexpr int kDraws = 300;
  MetricOptions options;
  options.row_step = 5;
  std::vector<MaskMetrics> draws;
  for (layer.info.index = 0; layer.info.index < kDraws; ++layer.info.index) {
    draws.push_back(measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, options));
  }
  for (const char* key : {"retained_mass", "of_oracle", "iou", "output_error"}) {
    double mean = 0, squares = 0, claimed = 0;
    for (const MaskMetrics& draw : draws) {
      const Measured& value = draw.values.at(key);
      EXPECT_TRUE(value.sampled());
      EXPECT_EQ(value.rows, 60);
      mean += value.value / kDraws;
      squares += value.value * value.value / kDraws;
      claimed += value.standard_error * value.standard_error / kDraws;
    }
    const double spread = squares - mean * mean;
    EXPECT_NEAR(mean, exact.value(key), 4 * std::sqrt(spread / kDraws)) << key;
    EXPECT_GT(claimed, 0.6 * spread) << key;
    EXPECT_LT(claimed, 2.5 * spread) << key;  // the first rows, which keep all they see, are a trend
  }
  // Two or three rows of sixty hold the worst hundredth: too few to tell its error.
  EXPECT_TRUE(std::isnan(draws.front().values.at("worst_rows_mass").standard_error));
  EXPECT_FALSE(draws.front().values.at("density").sampled());
}

TEST(Sampling, TheWorstRowsHaveAnErrorOnceThereAreEnoughOfThem) {
  const Case c{2, 1, 2400, 8, 0, 1, 50.0F};
  Layer layer(c);
  const KeyMask mask = random_mask(c, 3);
  MetricOptions options;
  options.oracle = options.output_error = false;
  const double exact =
      measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, options).value("worst_rows_mass");
  options.row_step = 2;
  constexpr int kDraws = 40;
  double mean = 0, squares = 0, claimed = 0;
  for (layer.info.index = 0; layer.info.index < kDraws; ++layer.info.index) {
    const Measured value =
        measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, options).values.at("worst_rows_mass");
    mean += value.value / kDraws;
    squares += value.value * value.value / kDraws;
    claimed += value.standard_error * value.standard_error / kDraws;
  }
  const double spread = squares - mean * mean;
  EXPECT_NEAR(mean, exact, std::sqrt(spread));
  EXPECT_GT(claimed, 0.4 * spread);
  EXPECT_LT(claimed, 2.5 * spread);
}

TEST(Sampling, TheLowestOfSeveralHasTheErrorOfThoseThatCouldBe) {
  const auto of = [](double value, double error, std::int64_t step) {
    Measured one;
    one.value = value;
    one.standard_error = error;
    one.row_step = step;
    return one;
  };
  const Measured lowest = lowest_of(std::vector{of(0.70, 0.001, 7), of(0.72, 0.03, 7), of(0.95, 0.02, 7)});
  EXPECT_EQ(lowest.value, 0.70);
  EXPECT_EQ(lowest.standard_error, 0.03);
  const Measured exact = lowest_of(std::vector{of(0.70, 0, 1), of(0.71, 0.02, 7)});
  EXPECT_TRUE(exact.sampled());  // the other may lie lower
  EXPECT_FALSE(lowest_of(std::vector{of(0.70, 0, 1), of(0.90, 0.02, 7)}).sampled());
}

TEST(Sampling, SeveralRowsAreDrawnOfTheShortestText) {
  const Case c{2, 1, 6, 8, 0, 1, 50.0F};
  const Layer layer(c);
  MetricOptions options;
  options.row_step = 7;
  const MaskMetrics metrics = measure_mask(layer.qv(), layer.kv(), layer.vv(), random_mask(c, 1), layer.info, options);
  EXPECT_FALSE(std::isnan(metrics.values.at("retained_mass").standard_error));
}

// A method that serves only the rows which a fixed step would look at.
TEST(Sampling, AMaskThatFavoursEverySeventhRowGainsNothing) {
  const Case c{2, 1, 700, 8, 0, 1, 50.0F};
  const Layer layer(c);
  KeyMask::Builder builder(fixed_groups(c.rows, 1), 1, 0);
  for (std::int32_t row = 0; row < c.rows; ++row) {
    builder.add((c.rows - 1 - row) % 7 == 0 ? std::vector<KeyRange>{{0, row + 1}} : std::vector<KeyRange>{});
  }
  const KeyMask mask = builder.finish();
  const double exact = measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info).value("retained_mass");
  MetricOptions options;
  options.row_step = 7;
  const Measured sampled =
      measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, options).values.at("retained_mass");
  EXPECT_LT(exact, 0.3);
  EXPECT_NEAR(sampled.value, exact, 4 * sampled.standard_error);
  EXPECT_LT(sampled.standard_error, 0.1);
}

TEST(LostRows, AreTheWorstOfEveryHeadWithTheirWorstKey) {
  for (const Case& c : {Case{4, 2, 300, 16, 0, 2, 20.0F}, Case{2, 1, 200, 8, 70, 1, 0.0F}}) {
    const Layer layer(c);
    const KeyMask mask = random_mask(c, 4);
    MetricOptions options;
    options.lost_rows = 6;
    const MaskMetrics metrics = measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, options);
    ASSERT_EQ(metrics.lost_rows.size(), static_cast<std::size_t>(6 * c.heads));
    for (int head = 0; head < c.heads; ++head) {
      std::vector<double> dropped;
      for (std::int64_t row = 0; row < c.rows; ++row) dropped.push_back(lost_of(layer, mask, head, row).dropped_mass);
      std::sort(dropped.begin(), dropped.end(), std::greater<>());
      for (std::size_t i = 0; i < 6; ++i) {
        const LostRow& lost = metrics.lost_rows[static_cast<std::size_t>(head) * 6 + i];
        const LostRow expected = lost_of(layer, mask, head, lost.row);
        EXPECT_EQ(lost.head, head);
        EXPECT_NEAR(lost.dropped_mass, dropped[i], 1e-5);
        EXPECT_NEAR(lost.dropped_mass, expected.dropped_mass, 1e-5);
        EXPECT_EQ(lost.key, expected.key);
        EXPECT_NEAR(lost.key_mass, expected.key_mass, 1e-5);
      }
    }
    // Of one row in four, and then no more than a sixteenth of those.
    options.row_step = 4;
    const MaskMetrics sampled = measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info, options);
    const RowSample sample = draw_rows(0, c.rows, 4, static_cast<std::uint64_t>(layer.info.index) + 1);
    ASSERT_EQ(sampled.lost_rows.size(), static_cast<std::size_t>(sample.size() / 16 * c.heads));
    for (const LostRow& lost : sampled.lost_rows) {
      EXPECT_TRUE(std::binary_search(sample.rows.begin(), sample.rows.end(), lost.row));
      EXPECT_NEAR(lost.dropped_mass, lost_of(layer, mask, lost.head, lost.row).dropped_mass, 1e-5);
    }
    // Nothing is lost by a mask that drops nothing, and nothing is looked for where it was not asked for.
    const KeyMask all = KeyMask::dense(c.rows, c.window);
    EXPECT_TRUE(measure_mask(layer.qv(), layer.kv(), layer.vv(), all, layer.info, options).lost_rows.empty());
    EXPECT_TRUE(measure_mask(layer.qv(), layer.kv(), layer.vv(), mask, layer.info).lost_rows.empty());
  }
}

TEST(LogitAgreement, AgreesWithDoublePrecision) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0.0F, 4.0F);
  constexpr std::int64_t kVocab = 37;
  std::vector<float> dense(4 * kVocab), sparse(4 * kVocab);
  for (float& x : dense) x = normal(random);
  for (float& x : sparse) x = normal(random);
  std::copy(dense.begin(), dense.begin() + kVocab, sparse.begin());
  dense[kVocab] = 90.0F;  // exp would overflow without the shift
  sparse[kVocab] = 80.0F;
  dense[2 * kVocab + 1] = 40.0F;
  sparse[2 * kVocab + 2] = 40.0F;
  // The last row has no such peak, so that the two sums of exponentials differ.
  dense[3 * kVocab] = sparse[3 * kVocab] = 12.0F;
  double expected = 0;
  for (int row = 0; row < 4; ++row) {
    double p_sum = 0, s_sum = 0, kl = 0;
    for (int t = 0; t < kVocab; ++t) {
      p_sum += std::exp(static_cast<double>(dense[static_cast<std::size_t>(row * kVocab + t)]) - 90);
      s_sum += std::exp(static_cast<double>(sparse[static_cast<std::size_t>(row * kVocab + t)]) - 90);
    }
    for (int t = 0; t < kVocab; ++t) {
      const double lp = static_cast<double>(dense[static_cast<std::size_t>(row * kVocab + t)]) - 90 - std::log(p_sum);
      const double ls = static_cast<double>(sparse[static_cast<std::size_t>(row * kVocab + t)]) - 90 - std::log(s_sum);
      kl += std::exp(lp) * (lp - ls);
    }
    expected += kl / 4;
  }
  LogitAgreement agreement;  // in two pieces
  agreement.add(std::span(dense).first(kVocab), std::span(sparse).first(kVocab), kVocab);
  EXPECT_EQ(agreement.mean_kl(), 0.0);
  EXPECT_EQ(agreement.same_top(), 1.0);
  agreement.add(std::span(dense).subspan(kVocab), std::span(sparse).subspan(kVocab), kVocab);
  EXPECT_EQ(agreement.positions(), 4);
  EXPECT_NEAR(agreement.mean_kl(), expected, 1e-9 * expected);
  EXPECT_NEAR(agreement.same_top(), 3.0 / 4.0, 1e-12);
  EXPECT_THROW(agreement.add(std::span(dense).first(5), std::span(sparse).first(6), 5), Error);
}

}  // namespace
}  // namespace dhsa
