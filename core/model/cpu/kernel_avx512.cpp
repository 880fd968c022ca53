#include "core/model/cpu/gemm.h"
#include "core/model/cpu/ops_kernels.h"

#define DHSA_OPS_NAME "avx512"
#define DHSA_GEMM_WIDTH 16
#define DHSA_GEMM_ROWS 12

namespace dhsa {
#include "core/model/cpu/ops_kernels.inc"
// After the row kernels, whose functions it uses.
#include "core/model/cpu/gemm.inc"
const OpsKernels& ops_kernels_avx512() { return kKernels; }
const GemmKernel& gemm_kernel_avx512() {
  static constexpr GemmKernel kKernel{DHSA_OPS_NAME, false, gemm};
  return kKernel;
}
}  // namespace dhsa
