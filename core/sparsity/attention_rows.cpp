#include "core/sparsity/attention_rows.h"

#include <algorithm>

namespace dhsa {

AttentionRows::AttentionRows(const HeadsView& q, const HeadsView& k, const LayerInfo& layer)
    : q_(q), layer_(layer), per_kv_(q.heads / k.heads) {
  for (std::int64_t h = 0; h < k.heads; ++h) keys_.push_back(PackedRows::of(k, h));
}

void AttentionRows::probabilities(std::int64_t head, std::int64_t row_begin, std::int64_t row_end, std::int64_t first,
                                  std::int64_t stride, float* table) const {
  const RowKernels& kernels = row_kernels();
  std::vector<float> queries(static_cast<std::size_t>((row_end - row_begin) * q_.dim));
  for (std::int64_t i = row_begin; i < row_end; ++i) q_.load_row(head, i, queries.data() + (i - row_begin) * q_.dim);
  keys_[static_cast<std::size_t>(head / per_kv_)].multiply(queries.data(), row_end - row_begin, q_.dim, first, row_end,
                                                           table, stride);
  for (std::int64_t i = row_begin; i < row_end; ++i) {
    const std::int64_t see = first_visible(i);
    float* row = table + (i - row_begin) * stride + (see - first);
    const std::int64_t n = i + 1 - see;
    kernels.scale_softcap(row, n, layer_.scale, layer_.softcap);
    const float sum = kernels.exp_sum(row, n, kernels.largest(row, n));
    kernels.scale_softcap(row, n, 1.0F / sum, 0.0F);
  }
}

}  // namespace dhsa
