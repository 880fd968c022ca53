#include "core/model/cpu/gemm.h"
#include "core/model/cpu/ops_kernels.h"

#ifdef __AVX512BF16__
#include <immintrin.h>

#define DHSA_OPS_NAME "avx512bf16"
#define DHSA_GEMM_WIDTH 16
#define DHSA_GEMM_ROWS 12
#define DHSA_GEMM_DOT_BF16

namespace dhsa {
#include "core/model/cpu/ops_kernels.inc"
// After the row kernels, whose functions it uses.
#include "core/model/cpu/gemm.inc"
const GemmKernel& gemm_kernel_avx512bf16() {
  static constexpr GemmKernel kKernel{DHSA_OPS_NAME, true, gemm};
  return kKernel;
}
}  // namespace dhsa
#endif
