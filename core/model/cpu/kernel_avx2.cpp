#include "core/model/cpu/ops_kernels.h"

#define DHSA_OPS_NAME "avx2"

namespace dhsa {
#include "core/model/cpu/ops_kernels.inc"
const OpsKernels& ops_kernels_avx2() { return kKernels; }
}  // namespace dhsa
