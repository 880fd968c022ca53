// Steps of planning that libtorch's own operations do on the device, blocks of rows at a time, so that memory stays far
// from L^2. Each gives what its namesake in core/sparsity gives, up to the order of float32 sums.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "core/base/error.h"
#include "core/sparsity/boundaries.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/sparsity/planner.h"

namespace dhsa::on_cuda {

// Rows of a block whose float32 table of `heads` x rows x `width` stays within 64 MiB; at least one.
[[nodiscard]] std::int64_t block_rows(std::int64_t heads, std::int64_t width);

// Attention probabilities of rows [row_begin, row_end) of the query heads of one kv head over keys key_begin ...
// row_end - 1, which must hold all that these rows see: [heads, rows, keys] float32.
[[nodiscard]] at::Tensor probabilities(const at::Tensor& q, const at::Tensor& k, std::int64_t kv_head,
                                       const LayerInfo& layer, std::int64_t row_begin, std::int64_t row_end,
                                       std::int64_t key_begin);

// [L] float32.
[[nodiscard]] at::Tensor attention_mass_ratios(const at::Tensor& q, const at::Tensor& k, std::int64_t boundary_window,
                                               const LayerInfo& layer, const CancelToken* cancel);

class PredictorOnDevice {
 public:
  explicit PredictorOnDevice(const BoundaryPredictor& predictor);
  [[nodiscard]] at::Tensor logits(const at::Tensor& k, const CancelToken* cancel) const;  // [L] float32

 private:
  std::int64_t channels_, heads_, window_;
  at::Tensor in_weight_, in_bias_, out_weight_, out_bias_, norm_weight_, norm_bias_, gate_, hidden_weight_,
      hidden_bias_, last_weight_, last_bias_;
};

}  // namespace dhsa::on_cuda
