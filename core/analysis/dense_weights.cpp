#include "core/analysis/dense_weights_internal.h"

#include <ATen/ops/exp.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tanh.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/analysis/metrics.h"
#include "core/base/parallel.h"

namespace dhsa::dense {

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

void check_shapes(const HeadsView& q, const HeadsView& k, const LayerInfo& layer) {
  if (q.rows < 1 || q.rows != k.rows || q.dim != k.dim || k.heads < 1 || q.heads % k.heads != 0) {
    throw Error(fmt::format(
        "Layer {}: queries [{}, {}, {}] and keys [{}, {}, {}] do not belong together; queries need the same "
        "rows and dimension and a multiple of the key heads.",
        layer.index, q.heads, q.rows, q.dim, k.heads, k.rows, k.dim));
  }
}

WeightBlock::WeightBlock(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, std::int64_t head,
                         std::span<const std::int64_t> rows, std::int64_t spare)
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

}  // namespace dhsa::dense

namespace dhsa {

using namespace dense;

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

}  // namespace dhsa
