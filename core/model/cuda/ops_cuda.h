// The element-wise steps of a Gemma 2 layer on CUDA: raw device pointers, float32 inside. The residual stream x, norm
// weights and angles are float32; all else is bfloat16.
#pragma once

#include <cstdint>

#include "core/sparsity/cuda/device_mask.h"

namespace dhsa::cuda {

// All enqueue on `stream` and return nullptr, or CUDA's words for what went wrong. Row widths are multiples of 8.

// x[rows, n] = table[ids[row]] * scale
[[nodiscard]] const char* embed(const std::int32_t* ids, const void* table, float scale, float* x, std::int64_t rows,
                                std::int64_t n, Stream stream);
// out = x / sqrt(mean(x^2) + eps) * (1 + weight), rounded once; n <= 16384.
[[nodiscard]] const char* rms_norm(const float* x, const float* weight, float eps, void* out, bool out_float32,
                                   std::int64_t rows, std::int64_t n, Stream stream);
// x += rms_norm(branch)
[[nodiscard]] const char* add_normed(const void* branch, const float* weight, float eps, float* x, std::int64_t rows,
                                     std::int64_t n, Stream stream);
// angles[rows, dim]: cosines of (first + row) * inverse_frequency[d] for d < dim / 2, then sines.
[[nodiscard]] const char* rope_angles(const float* inverse_frequency, std::int64_t first, float* angles,
                                      std::int64_t rows, int dim, Stream stream);
// Rows [rows, (H + 2 Hkv) dim] to q, k, v; q and k rotated, half-split pairs (d, d + dim / 2).
[[nodiscard]] const char* split_and_rotate(const void* qkv, const float* angles, const DeviceHeads& q,
                                           const DeviceHeads& k, const DeviceHeads& v, int heads, int kv_heads, int dim,
                                           std::int64_t rows, Stream stream);
// out[rows, n] = gelu_tanh(x[:, :n]) * x[:, n:2n]
[[nodiscard]] const char* geglu(const void* x, void* out, std::int64_t rows, std::int64_t n, Stream stream);

}  // namespace dhsa::cuda
