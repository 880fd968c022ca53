// attend(q, k, v, mask): softmax(softcap(scale * q k^T)) v over the keys a mask keeps. One entry for every method.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/heads_view.h"
#include "core/sparsity/key_mask.h"

namespace dhsa {

// How a layer scores a query against a key (Gemma 2: scale = query_pre_attn_scalar^-1/2, softcap 50 before the mask).
struct ScoreRule {
  float scale = 1.0F;
  float softcap = 0.0F;  // 0: none
};

// Instruction sets of the CPU kernels, slowest first. kAvx512Bf16 multiplies in bfloat16 and sums in float32.
enum class CpuKernel : std::uint8_t { kPortable, kAvx2, kAvx512, kAvx512Bf16 };
[[nodiscard]] const char* name_of(CpuKernel kernel) noexcept;
// Those this machine can run. best_cpu_kernel(kFloat32) never returns kAvx512Bf16: float32 stays float32.
[[nodiscard]] std::vector<CpuKernel> available_cpu_kernels();
[[nodiscard]] CpuKernel best_cpu_kernel(DType type);

// q, out [H, L, D]; k, v [Hkv, L, D], H a multiple of Hkv, D a multiple of 8 up to 512; all of one dtype (out may be
// float32 where q is bfloat16). L = mask.rows(). float32 accumulation and softmax. Memory: O(block * D) per thread.
// Results do not depend on the number of threads. Throws Error on shapes that do not fit, Cancelled on cancel.
void attend(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask, const ScoreRule& rule,
            const MutableHeadsView& out, const CancelToken* cancel = nullptr);
// The same with a kernel named, for tests and benchmarks.
void attend_with(CpuKernel kernel, const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask,
                 const ScoreRule& rule, const MutableHeadsView& out, const CancelToken* cancel = nullptr);

// The slow twin: plain loops in double precision, one row at a time. What every kernel is checked against.
void attend_reference(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask,
                      const ScoreRule& rule, const MutableHeadsView& out);

}  // namespace dhsa
