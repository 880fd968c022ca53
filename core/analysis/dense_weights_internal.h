// Unnormalised dense attention of a few rows at once: what metrics, importance and single rows are computed from.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/base/heads_view.h"
#include "core/sparsity/planner.h"

namespace dhsa::dense {

inline constexpr std::int64_t kBlockRows = 16;   // rows whose scores are held at once by one thread
inline constexpr std::int64_t kTileKeys = 2048;  // keys widened and multiplied at once

[[nodiscard]] double sum_of(const float* values, std::int64_t count);
[[nodiscard]] float largest_of(const float* values, std::int64_t count);
[[nodiscard]] at::Tensor matrix(float* data, std::int64_t rows, std::int64_t columns, std::int64_t row_stride);
// Rows [begin, begin + count) of one head as a float matrix: in place where they are float already, else widened.
[[nodiscard]] at::Tensor float_rows(const HeadsView& view, std::int64_t head, std::int64_t begin, std::int64_t count,
                                    std::vector<float>& widened);
void check_shapes(const HeadsView& q, const HeadsView& k, const LayerInfo& layer);  // throws Error

[[nodiscard]] inline std::span<const std::int64_t> block_of(std::span<const std::int64_t> rows, std::int64_t block) {
  const auto all = static_cast<std::int64_t>(rows.size());
  const std::int64_t begin = block * kBlockRows;
  return rows.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(std::min(kBlockRows, all - begin)));
}

[[nodiscard]] inline std::int64_t first_visible(const LayerInfo& layer, std::int64_t row) {
  return layer.window > 0 && row >= layer.window ? row - layer.window + 1 : 0;
}

// exp(score - row maximum) of a few rows of one query head against every key any of them sees; 0 where a row does not.
// `spare` more rows of the same width follow for the caller's use.
class WeightBlock {
 public:
  WeightBlock(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, std::int64_t head,
              std::span<const std::int64_t> rows, std::int64_t spare = 0);

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

}  // namespace dhsa::dense
