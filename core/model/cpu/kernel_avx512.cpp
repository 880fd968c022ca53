#include "core/model/cpu/ops_kernels.h"

#define DHSA_OPS_NAME "avx512"

namespace dhsa {
#include "core/model/cpu/ops_kernels.inc"
const OpsKernels& ops_kernels_avx512() { return kKernels; }
}  // namespace dhsa
