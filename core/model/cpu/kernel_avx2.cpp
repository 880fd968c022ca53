#include "core/model/cpu/gemm.h"
#include "core/model/cpu/ops_kernels.h"

#define DHSA_OPS_NAME "avx2"
#define DHSA_GEMM_WIDTH 8
#define DHSA_GEMM_ROWS 6

namespace dhsa {
#include "core/model/cpu/ops_kernels.inc"
// After the row kernels, whose functions it uses.
#include "core/model/cpu/gemm.inc"
const OpsKernels& ops_kernels_avx2() { return kKernels; }
const GemmKernel& gemm_kernel_avx2() {
  static constexpr GemmKernel kKernel{DHSA_OPS_NAME, false, gemm};
  return kKernel;
}
}  // namespace dhsa
