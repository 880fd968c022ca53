// Row kernels behind core/model/ops.cpp: plain loops on raw pointers, compiled once per instruction set. The caller
// splits rows over threads. A tensor's type is a flag: bf16 true means std::uint16_t holding bfloat16, else float.
#pragma once

#include <cstdint>
#include <vector>

namespace dhsa {

// Types of weights in files. kQ8 is GGUF's Q8_0: blocks of kQ8Values values in kQ8Bytes bytes, a float16 scale and then
// signed bytes.
enum class StoredType : std::uint8_t { kF32, kBf16, kF16, kQ8 };
inline constexpr std::int64_t kQ8Values = 32;
inline constexpr std::int64_t kQ8Bytes = 34;

struct OpsKernels {
  const char* name;
  // out[r] = x[r] / rms(x[r]) * (1 + weight): float32 until one rounding at the store. n values per row, dense rows.
  void (*rms_norm)(const float* x, const float* weight, std::int64_t n, std::int64_t rows, float eps, void* out,
                   bool bf16);
  // x[r] += rms_norm(branch[r])
  void (*add_normed)(const void* branch, bool bf16, const float* weight, std::int64_t n, std::int64_t rows, float eps,
                     float* x);
  // Rotates `heads` vectors of 2 * half values lying side by side: pairs (d, d + half). angles: half cosines, then half
  // sines. Head h goes to out + h * head_stride elements.
  void (*rope)(const void* in, bool bf16, std::int64_t heads, std::int64_t half, const float* angles, void* out,
               std::int64_t head_stride);
  // out[r] = x . weights[r]
  void (*dot_rows)(const float* x, const void* weights, bool bf16, std::int64_t n, std::int64_t rows, float* out);
  // out += scale * row
  void (*accumulate)(float scale, const void* row, bool bf16, std::int64_t n, float* out);
  // Copies n values (whole blocks), any alignment, into float32 or bfloat16. False if one of them is infinite or not a
  // number.
  bool (*convert)(const void* from, StoredType type, std::int64_t n, void* to, bool to_bf16);
};

[[nodiscard]] std::vector<const OpsKernels*> available_ops_kernels();  // those this machine runs, slowest first
[[nodiscard]] const OpsKernels& ops_kernels();                         // the last of them

}  // namespace dhsa
