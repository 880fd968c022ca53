#include "core/analysis/metrics.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tanh.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "core/base/parallel.h"

namespace dhsa {
namespace {

constexpr std::int64_t kBlockRows = 16;   // rows whose scores are held at once by one thread
constexpr std::int64_t kTileKeys = 2048;  // keys widened and multiplied at once
constexpr std::int64_t kStripes = 16;     // partial sums of column totals; fixed, so that threads do not change them

// Four independent chains: a single one is bound by the latency of the addition.
double sum_of(const float* values, std::int64_t count) {
  double a = 0, b = 0, c = 0, d = 0;
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    a += values[i];
    b += values[i + 1];
    c += values[i + 2];
    d += values[i + 3];
  }
  for (; i < count; ++i) a += values[i];
  return (a + b) + (c + d);
}

float largest_of(const float* values, std::int64_t count) {
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  float a = kLowest, b = kLowest, c = kLowest, d = kLowest;
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    a = std::max(a, values[i]);
    b = std::max(b, values[i + 1]);
    c = std::max(c, values[i + 2]);
    d = std::max(d, values[i + 3]);
  }
  for (; i < count; ++i) a = std::max(a, values[i]);
  return std::max(std::max(a, b), std::max(c, d));
}

at::Tensor matrix(float* data, std::int64_t rows, std::int64_t columns, std::int64_t row_stride) {
  return at::from_blob(data, {rows, columns}, {row_stride, 1}, at::TensorOptions().dtype(at::kFloat));
}

// Rows [begin, begin + count) of one head as a float matrix: in place where they are float already, else widened.
at::Tensor float_rows(const HeadsView& view, std::int64_t head, std::int64_t begin, std::int64_t count,
                      std::vector<float>& widened) {
  if (view.type == DType::kFloat32) {
    auto* data = const_cast<float*>(static_cast<const float*>(view.data)) + view.offset(head, begin);
    return matrix(data, count, view.dim, view.row_stride);
  }
  widened.resize(static_cast<std::size_t>(count * view.dim));
  for (std::int64_t i = 0; i < count; ++i) view.load_row(head, begin + i, widened.data() + i * view.dim);
  return matrix(widened.data(), count, view.dim, view.dim);
}

std::int64_t first_visible(const LayerInfo& layer, std::int64_t row) {
  return layer.window > 0 && row >= layer.window ? row - layer.window + 1 : 0;
}

void check_shapes(const HeadsView& q, const HeadsView& k, const LayerInfo& layer) {
  if (q.rows < 1 || q.rows != k.rows || q.dim != k.dim || k.heads < 1 || q.heads % k.heads != 0) {
    throw Error(fmt::format(
        "Layer {}: queries [{}, {}, {}] and keys [{}, {}, {}] do not belong together; queries need the same "
        "rows and dimension and a multiple of the key heads.",
        layer.index, q.heads, q.rows, q.dim, k.heads, k.rows, k.dim));
  }
}

// exp(score - row maximum) of a few rows of one query head against every key any of them sees; 0 where a row does not.
// `spare` more rows of the same width follow for the caller's use.
class WeightBlock {
 public:
  WeightBlock(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, std::int64_t head,
              std::span<const std::int64_t> rows, std::int64_t spare = 0)
      : rows_(rows) {
    const auto [low, high] = std::minmax_element(rows.begin(), rows.end());
    begin_ = first_visible(layer, *low);
    width_ = *high + 1 - begin_;
    const auto count = static_cast<std::int64_t>(rows.size());
    weights_ = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>((count + spare) * width_));

    const float cap = layer.softcap;
    const float scale = cap > 0 ? layer.scale / cap : layer.scale;
    std::vector<float> queries(static_cast<std::size_t>(count * q.dim));
    for (std::int64_t r = 0; r < count; ++r) {
      q.load_row(head, rows[static_cast<std::size_t>(r)], queries.data() + r * q.dim);
    }
    for (float& value : queries) value *= scale;

    const std::int64_t kv_head = head / (q.heads / k.heads);
    const at::Tensor left = matrix(queries.data(), count, q.dim, q.dim);
    std::vector<float> widened;
    for (std::int64_t at = 0; at < width_; at += kTileKeys) {
      const std::int64_t keys = std::min(kTileKeys, width_ - at);
      at::Tensor out = matrix(weights_.get() + at, count, keys, width_);
      at::mm_out(out, left, float_rows(k, kv_head, begin_ + at, keys, widened).t());
    }
    at::Tensor all = matrix(weights_.get(), count, width_, width_);
    if (cap > 0) at::tanh_(all);
    for (std::int64_t r = 0; r < count; ++r) {
      float* row = weights(r);
      const std::int64_t from = visible_begin(layer, r);
      const std::int64_t to = visible_end(r);
      const float top = largest_of(row + from, to - from);
      const float stretch = cap > 0 ? cap : 1.0F;
      for (std::int64_t j = from; j < to; ++j) row[j] = (row[j] - top) * stretch;
      std::fill(row, row + from, -std::numeric_limits<float>::infinity());
      std::fill(row + to, row + width_, -std::numeric_limits<float>::infinity());
    }
    at::exp_(all);
    totals_.resize(static_cast<std::size_t>(count));
    for (std::int64_t r = 0; r < count; ++r) {
      const std::int64_t from = visible_begin(layer, r);
      const double total = sum_of(weights(r) + from, visible_end(r) - from);
      // NaN scores would make every later comparison meaningless.
      if (!std::isfinite(total)) {
        throw Error(fmt::format("Layer {}, head {}: the attention scores of row {} are not finite.", layer.index, head,
                                rows[static_cast<std::size_t>(r)]));
      }
      totals_[static_cast<std::size_t>(r)] = total;
    }
  }

  [[nodiscard]] std::int64_t begin() const { return begin_; }
  [[nodiscard]] std::int64_t width() const { return width_; }
  [[nodiscard]] float* weights(std::int64_t r) { return weights_.get() + r * width_; }
  [[nodiscard]] double total(std::int64_t r) const { return totals_[static_cast<std::size_t>(r)]; }
  // Columns of this block that row r sees.
  [[nodiscard]] std::int64_t visible_begin(const LayerInfo& layer, std::int64_t r) const {
    return first_visible(layer, rows_[static_cast<std::size_t>(r)]) - begin_;
  }
  [[nodiscard]] std::int64_t visible_end(std::int64_t r) const {
    return rows_[static_cast<std::size_t>(r)] + 1 - begin_;
  }

 private:
  std::span<const std::int64_t> rows_;
  std::int64_t begin_ = 0;
  std::int64_t width_ = 0;
  std::unique_ptr<float[]> weights_;
  std::vector<double> totals_;
};

struct RowValues {
  double mass = 1;
  double oracle_mass = 1;
  std::int64_t intersection = 0;
  std::int64_t united = 0;
  double error = 0;  // squared norms
  double norm = 0;
};

// Against the `kept` largest weights of the row. Among equal weights the oracle takes those the mask kept.
void compare_with_oracle(const float* weights, std::int64_t count, std::int64_t kept,
                         const std::vector<KeyRange>& ranges, std::int64_t offset, double total,
                         std::vector<float>& sorted, RowValues& value) {
  sorted.assign(weights, weights + count);
  std::nth_element(sorted.begin(), sorted.begin() + (kept - 1), sorted.end(), std::greater<>());
  const float least = sorted[static_cast<std::size_t>(kept - 1)];
  value.oracle_mass = sum_of(sorted.data(), kept) / total;
  const std::int64_t above = std::count_if(sorted.begin(), sorted.begin() + kept, [&](float w) { return w > least; });
  std::int64_t kept_above = 0;
  std::int64_t kept_equal = 0;
  for (const KeyRange& range : ranges) {
    for (std::int64_t j = range.begin - offset; j < range.end - offset; ++j) {
      kept_above += weights[j] > least ? 1 : 0;
      kept_equal += weights[j] == least ? 1 : 0;
    }
  }
  value.intersection = kept_above + std::min(kept_equal, kept - above);
  value.united = 2 * kept - value.intersection;
}

// Rows to look at: every step-th counted back from the last.
std::vector<std::int64_t> sampled_rows(std::int64_t begin, std::int64_t end, std::int64_t step) {
  std::vector<std::int64_t> rows;
  for (std::int64_t row = end - 1; row >= begin; row -= step) rows.push_back(row);
  std::reverse(rows.begin(), rows.end());
  return rows;
}

std::span<const std::int64_t> block_of(const std::vector<std::int64_t>& rows, std::int64_t block) {
  const auto all = static_cast<std::int64_t>(rows.size());
  const std::int64_t begin = block * kBlockRows;
  return std::span(rows).subspan(static_cast<std::size_t>(begin),
                                 static_cast<std::size_t>(std::min(kBlockRows, all - begin)));
}

// Everything about one block of rows of one head; values [rows of the block].
void measure_block(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask,
                   const LayerInfo& layer, const MetricOptions& options, std::int64_t head,
                   std::span<const std::int64_t> rows, RowValues* values) {
  const auto count = static_cast<std::int64_t>(rows.size());
  WeightBlock block(q, k, layer, head, rows, options.output_error ? count : 0);
  const int mask_head = mask.mask_head(head, q.heads);
  std::vector<KeyRange> ranges;
  std::vector<float> sorted;
  std::vector<double> kept_totals(static_cast<std::size_t>(count));
  for (std::int64_t r = 0; r < count; ++r) {
    RowValues& value = values[r];
    const float* weights = block.weights(r);
    mask.row_ranges(mask_head, rows[static_cast<std::size_t>(r)], ranges);
    const std::int64_t from = block.visible_begin(layer, r);
    const std::int64_t visible = block.visible_end(r) - from;
    std::int64_t kept = 0;
    double kept_total = 0;
    for (const KeyRange& range : ranges) {
      kept += range.size();
      kept_total += sum_of(weights + (range.begin - block.begin()), range.size());
    }
    if (kept == visible) kept_total = block.total(r);  // not a rounding below 1
    kept_totals[static_cast<std::size_t>(r)] = kept_total;
    value.mass = kept_total / block.total(r);
    value.intersection = value.united = kept;
    if (kept == 0) {
      value.oracle_mass = 0;
    } else if (options.oracle && kept < visible) {
      compare_with_oracle(weights + from, visible, kept, ranges, block.begin() + from, block.total(r), sorted, value);
    }
    if (options.output_error) {
      float* masked = block.weights(count + r);
      std::fill(masked, masked + block.width(), 0.0F);
      for (const KeyRange& range : ranges) {
        std::copy(weights + (range.begin - block.begin()), weights + (range.end - block.begin()),
                  masked + (range.begin - block.begin()));
      }
    }
  }
  if (!options.output_error) return;

  // Dense and masked weights lie under each other: one product gives both outputs.
  std::vector<float> output(static_cast<std::size_t>(2 * count * v.dim), 0.0F);
  at::Tensor out = matrix(output.data(), 2 * count, v.dim, v.dim);
  const std::int64_t kv_head = head / (q.heads / k.heads);
  std::vector<float> widened;
  for (std::int64_t at = 0; at < block.width(); at += kTileKeys) {
    const std::int64_t keys = std::min(kTileKeys, block.width() - at);
    at::addmm_out(out, out, matrix(block.weights(0) + at, 2 * count, keys, block.width()),
                  float_rows(v, kv_head, block.begin() + at, keys, widened));
  }
  for (std::int64_t r = 0; r < count; ++r) {
    const float* dense = output.data() + r * v.dim;
    const float* sparse = dense + count * v.dim;
    const double kept_total = kept_totals[static_cast<std::size_t>(r)];
    for (std::int64_t d = 0; d < v.dim; ++d) {
      const double is = kept_total > 0 ? sparse[d] / kept_total : 0.0;
      const double should = dense[d] / block.total(r);
      values[r].error += (is - should) * (is - should);
      values[r].norm += should * should;
    }
  }
}

}  // namespace

MaskMetrics measure_mask(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask,
                         const LayerInfo& layer, const MetricOptions& options) {
  check_shapes(q, k, layer);
  if (mask.rows() != q.rows || q.heads % mask.heads() != 0) {
    throw Error(fmt::format("Layer {}: a mask of {} rows and {} heads does not fit queries of {} rows and {} heads.",
                            layer.index, mask.rows(), mask.heads(), q.rows, q.heads));
  }
  const std::int64_t row_end = options.row_end > 0 ? std::min(options.row_end, q.rows) : q.rows;
  const std::int64_t row_begin = std::max<std::int64_t>(0, options.row_begin);
  if (options.row_step < 1 || row_begin >= row_end) {
    throw Error(
        fmt::format("Mask metrics need a row step of at least 1 and rows inside 0..{}; got step {}, rows {}..{}.",
                    q.rows, options.row_step, options.row_begin, options.row_end));
  }
  const std::vector<std::int64_t> rows = sampled_rows(row_begin, row_end, options.row_step);
  const auto count = static_cast<std::int64_t>(rows.size());
  const std::int64_t blocks = (count + kBlockRows - 1) / kBlockRows;
  std::vector<RowValues> values(static_cast<std::size_t>(q.heads * count));
  parallel_for(
      q.heads * blocks,
      [&](std::int64_t unit) {
        const std::int64_t head = unit % q.heads;
        const std::int64_t block = blocks - 1 - unit / q.heads;  // longest rows first: both threads end together
        measure_block(q, k, v, mask, layer, options, head, block_of(rows, block),
                      values.data() + head * count + block * kBlockRows);
      },
      options.cancel);

  MaskMetrics metrics;
  metrics.density = mask.density();
  double mass = 0;
  double oracle = 0;
  double intersection = 0;
  double united = 0;
  for (std::int64_t head = 0; head < q.heads; ++head) {
    RowValues sum{0, 0, 0, 0, 0, 0};
    for (std::int64_t r = 0; r < count; ++r) {
      const RowValues& value = values[static_cast<std::size_t>(head * count + r)];
      sum.mass += value.mass;
      sum.oracle_mass += value.oracle_mass;
      sum.intersection += value.intersection;
      sum.united += value.united;
      sum.error += value.error;
      sum.norm += value.norm;
    }
    mass += sum.mass;
    oracle += sum.oracle_mass;
    intersection += static_cast<double>(sum.intersection);
    united += static_cast<double>(sum.united);
    metrics.head_mass.push_back(sum.mass / static_cast<double>(count));
    if (options.output_error) metrics.head_error.push_back(sum.norm > 0 ? std::sqrt(sum.error / sum.norm) : 0.0);
  }
  const auto all = static_cast<double>(values.size());
  metrics.retained_mass = mass / all;
  metrics.worst_head_mass = *std::min_element(metrics.head_mass.begin(), metrics.head_mass.end());
  if (options.oracle) {
    metrics.of_oracle = oracle > 0 ? mass / oracle : 1.0;
    metrics.iou = united > 0 ? intersection / united : 1.0;
  }
  if (options.output_error) {
    metrics.output_error =
        std::accumulate(metrics.head_error.begin(), metrics.head_error.end(), 0.0) / static_cast<double>(q.heads);
  }
  std::vector<double> lowest(values.size());
  std::transform(values.begin(), values.end(), lowest.begin(), [](const RowValues& value) { return value.mass; });
  const std::size_t worst = std::max<std::size_t>(1, lowest.size() / 100);
  std::partial_sort(lowest.begin(), lowest.begin() + static_cast<std::ptrdiff_t>(worst), lowest.end());
  metrics.worst_rows_mass = std::accumulate(lowest.begin(), lowest.begin() + static_cast<std::ptrdiff_t>(worst), 0.0) /
                            static_cast<double>(worst);
  return metrics;
}

void to_json(nlohmann::json& json, const MaskMetrics& metrics) {
  json = {{"density", metrics.density},
          {"retained_mass", metrics.retained_mass},
          {"worst_head_mass", metrics.worst_head_mass},
          {"worst_rows_mass", metrics.worst_rows_mass},
          {"of_oracle", metrics.of_oracle},
          {"iou", metrics.iou},
          {"output_error", metrics.output_error},
          {"head_mass", metrics.head_mass},
          {"head_error", metrics.head_error}};
}

void LogitAgreement::add(std::span<const float> dense, std::span<const float> sparse, std::int64_t vocab) {
  const auto width = static_cast<std::size_t>(vocab);
  if (vocab < 1 || dense.size() != sparse.size() || dense.size() % width != 0) {
    throw Error(fmt::format("Logit tables of {} and {} values over a vocabulary of {} cannot be compared.",
                            dense.size(), sparse.size(), vocab));
  }
  const auto rows = static_cast<std::int64_t>(dense.size() / width);
  std::vector<double> divergence(static_cast<std::size_t>(rows));
  std::vector<char> same(static_cast<std::size_t>(rows));
  parallel_for(rows, [&](std::int64_t row) {
    const float* p = dense.data() + row * vocab;
    const float* s = sparse.data() + row * vocab;
    const float p_top = largest_of(p, vocab);
    const float s_top = largest_of(s, vocab);
    double p_sum = 0;
    double s_sum = 0;
    double weighted = 0;  // sum of exp(p - top) ((p - top) - (s - top))
    for (std::int64_t t = 0; t < vocab; ++t) {
      const double a = static_cast<double>(p[t]) - p_top;
      const double b = static_cast<double>(s[t]) - s_top;
      const double e = std::exp(a);
      p_sum += e;
      s_sum += std::exp(b);
      if (e > 0) weighted += e * (a - b);
    }
    divergence[static_cast<std::size_t>(row)] = weighted / p_sum - std::log(p_sum) + std::log(s_sum);
    same[static_cast<std::size_t>(row)] =
        std::max_element(p, p + vocab) - p == std::max_element(s, s + vocab) - s ? 1 : 0;
  });
  for (std::int64_t row = 0; row < rows; ++row) {
    kl_ += std::max(0.0, divergence[static_cast<std::size_t>(row)]);  // a rounding below zero is none
    same_ += same[static_cast<std::size_t>(row)];
  }
  positions_ += rows;
}

double LogitAgreement::mean_kl() const { return positions_ > 0 ? kl_ / static_cast<double>(positions_) : 0.0; }

double LogitAgreement::same_top() const {
  return positions_ > 0 ? static_cast<double>(same_) / static_cast<double>(positions_) : 1.0;
}

void dense_rows(const HeadsView& q, const HeadsView& k, std::int64_t head, std::span<const std::int64_t> rows,
                const LayerInfo& layer, float* out) {
  check_shapes(q, k, layer);
  if (head < 0 || head >= q.heads) {
    throw Error(fmt::format("Layer {} has query heads 0 to {}; there is no head {}.", layer.index, q.heads - 1, head));
  }
  for (const std::int64_t row : rows) {
    if (row < 0 || row >= q.rows) throw Error(fmt::format("There is no row {} among {} tokens.", row, q.rows));
  }
  const std::vector<std::int64_t> all(rows.begin(), rows.end());
  const auto count = static_cast<std::int64_t>(all.size());
  parallel_for((count + kBlockRows - 1) / kBlockRows, [&](std::int64_t unit) {
    const std::span<const std::int64_t> some = block_of(all, unit);
    WeightBlock block(q, k, layer, head, some);
    for (std::int64_t r = 0; r < static_cast<std::int64_t>(some.size()); ++r) {
      float* to = out + (unit * kBlockRows + r) * q.rows;
      std::fill(to, to + q.rows, 0.0F);
      const auto share = static_cast<float>(1.0 / block.total(r));
      const float* weights = block.weights(r);
      for (std::int64_t j = 0; j < block.width(); ++j) to[block.begin() + j] = weights[j] * share;
    }
  });
}

TokenImportance token_importance(const HeadsView& q, const HeadsView& k, const KeyMask& mask, const LayerInfo& layer,
                                 std::int64_t row_step, const CancelToken* cancel) {
  check_shapes(q, k, layer);
  if (mask.rows() != q.rows || row_step < 1) {
    throw Error(fmt::format("Layer {}: token importance needs a mask of {} rows (got {}) and a row step of at least 1.",
                            layer.index, q.rows, mask.rows()));
  }
  const std::vector<std::int64_t> rows = sampled_rows(0, q.rows, row_step);
  const std::int64_t blocks = (static_cast<std::int64_t>(rows.size()) + kBlockRows - 1) / kBlockRows;
  const auto length = static_cast<std::size_t>(q.rows);
  std::vector<std::vector<double>> received(kStripes, std::vector<double>(length, 0.0));
  parallel_for(
      kStripes,
      [&](std::int64_t stripe) {
        std::vector<double>& sums = received[static_cast<std::size_t>(stripe)];
        for (std::int64_t unit = stripe; unit < q.heads * blocks; unit += kStripes) {
          if (cancel != nullptr) cancel->check();
          const std::span<const std::int64_t> some = block_of(rows, unit / q.heads);
          WeightBlock block(q, k, layer, unit % q.heads, some);
          for (std::int64_t r = 0; r < static_cast<std::int64_t>(some.size()); ++r) {
            const double share = 1.0 / block.total(r);
            const float* weights = block.weights(r);
            double* to = sums.data() + block.begin();
            for (std::int64_t j = 0; j < block.width(); ++j) to[j] += weights[j] * share;
          }
        }
      },
      cancel);

  // Rows that can see a key, and masks that keep it, by counting where runs of keys begin and end.
  std::vector<std::int64_t> visible(length + 1, 0);
  std::vector<std::int64_t> kept(length + 1, 0);
  std::vector<KeyRange> ranges;
  for (const std::int64_t row : rows) {
    ++visible[static_cast<std::size_t>(first_visible(layer, row))];
    --visible[static_cast<std::size_t>(row + 1)];
    for (int head = 0; head < mask.heads(); ++head) {
      mask.row_ranges(head, row, ranges);
      for (const KeyRange& range : ranges) {
        ++kept[static_cast<std::size_t>(range.begin)];
        --kept[static_cast<std::size_t>(range.end)];
      }
    }
  }
  TokenImportance importance{std::vector<float>(length, 0.0F), std::vector<float>(length, 0.0F)};
  std::int64_t seen_by = 0;
  std::int64_t kept_by = 0;
  for (std::size_t j = 0; j < length; ++j) {
    seen_by += visible[j];
    kept_by += kept[j];
    if (seen_by == 0) continue;
    double mass = 0;
    for (const auto& sums : received) mass += sums[j];
    importance.received_mass[j] = static_cast<float>(mass / static_cast<double>(q.heads * seen_by));
    importance.retention[j] =
        static_cast<float>(static_cast<double>(kept_by) / static_cast<double>(seen_by * mask.heads()));
  }
  return importance;
}

}  // namespace dhsa
