// Random bfloat16 heads, on the host for the double-precision twin and on the device for the kernels.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <random>

#include "core/model/on_cuda_internal.h"
#include "core/model/ops_internal.h"

namespace dhsa {

struct TwoHeads {
  at::Tensor host, device;
  [[nodiscard]] HeadsView view() const { return ops::view(host); }
};

inline TwoHeads random_heads(std::mt19937& random, std::int64_t heads, std::int64_t rows, std::int64_t dim,
                             float amplitude) {
  std::normal_distribution<float> normal(0.0F, amplitude);
  TwoHeads two;
  two.host = at::empty({heads, rows, dim}, at::TensorOptions().dtype(at::kBFloat16));
  auto* at = static_cast<std::uint16_t*>(two.host.data_ptr());
  for (std::int64_t i = 0; i < heads * rows * dim; ++i) at[i] = float_to_bfloat16(normal(random));
  two.device = on_cuda::to_device(two.host);
  return two;
}

}  // namespace dhsa
