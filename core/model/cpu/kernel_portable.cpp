#include "core/model/cpu/ops_kernels.h"

#define DHSA_OPS_NAME "portable"

namespace dhsa {
#include "core/model/cpu/ops_kernels.inc"
const OpsKernels& ops_kernels_portable() { return kKernels; }
}  // namespace dhsa
