// The element-wise steps of a Gemma 2 layer on CUDA: raw device pointers, bfloat16 in and out, float32 inside.
#pragma once

#include <cstdint>

#include "core/sparsity/cuda/device_mask.h"

namespace dhsa::cuda {

// All enqueue on `stream` and return nullptr, or CUDA's words for what went wrong. n <= 16384 columns, multiple of 8.

// out[rows, n] = table[ids[row]] * scale
[[nodiscard]] const char* embed(const std::int32_t* ids, const void* table, float scale, void* out, std::int64_t rows,
                                std::int64_t n, Stream stream);
// out = rms(x) * (1 + weight), one rounding
[[nodiscard]] const char* rms_norm(const void* x, const void* weight, float eps, void* out, std::int64_t rows,
                                   std::int64_t n, Stream stream);
// x += rms(branch) * (1 + post); out = rms(x) * (1 + next). out may alias branch.
[[nodiscard]] const char* add_norm(void* x, const void* branch, const void* post, const void* next, float eps,
                                   void* out, std::int64_t rows, std::int64_t n, Stream stream);
// Rotates the first `heads` heads of each row in place, half-split pairs (d, d + dim/2); row r is position first + r.
// inverse_frequency [dim/2] float32 in device memory.
[[nodiscard]] const char* rope(void* x, std::int64_t row_stride, const float* inverse_frequency, std::int64_t first,
                               std::int64_t rows, int heads, int dim, Stream stream);
// out[rows, n] = gelu_tanh(x[:, :n]) * x[:, n:2n]
[[nodiscard]] const char* geglu(const void* x, void* out, std::int64_t rows, std::int64_t n, Stream stream);

}  // namespace dhsa::cuda
