// Dense attention probabilities of a few rows at a time, for planners that look at true scores.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/heads_view.h"
#include "core/sparsity/planner.h"
#include "core/sparsity/row_math.h"

namespace dhsa {

class AttentionRows {
 public:
  AttentionRows(const HeadsView& q, const HeadsView& k, const LayerInfo& layer);

  // A[head, i, :] row by row: visit(row, first key, count, probabilities).
  template <class Visit>
  void each_row(std::int64_t head, std::int64_t row_begin, std::int64_t row_end, const Visit& visit) const {
    std::vector<float> table;
    for (std::int64_t from = row_begin; from < row_end; from += kRows) {
      const std::int64_t to = std::min(row_end, from + kRows);
      const std::int64_t first = first_visible(from) / kTileColumns * kTileColumns;
      const std::int64_t stride = padded_columns(to - first);
      table.resize(static_cast<std::size_t>(kRows * stride));
      probabilities(head, from, to, first, stride, table.data());
      for (std::int64_t i = from; i < to; ++i) {
        const std::int64_t see = first_visible(i);
        visit(i, see, i + 1 - see, table.data() + (i - from) * stride + (see - first));
      }
    }
  }
  [[nodiscard]] std::int64_t first_visible(std::int64_t row) const noexcept {
    return layer_.window > 0 && row >= layer_.window ? row - layer_.window + 1 : 0;
  }

 private:
  static constexpr std::int64_t kRows = 16;
  void probabilities(std::int64_t head, std::int64_t row_begin, std::int64_t row_end, std::int64_t first,
                     std::int64_t stride, float* table) const;

  HeadsView q_;
  LayerInfo layer_;
  std::int64_t per_kv_;
  std::vector<PackedRows> keys_;  // [kv heads]
};

}  // namespace dhsa
