#include "core/model/cpu/ops_kernels.h"

namespace dhsa {

const OpsKernels& ops_kernels_portable();
const OpsKernels& ops_kernels_avx2();
const OpsKernels& ops_kernels_avx512();

const OpsKernels& ops_kernels() {
  static const OpsKernels& best = []() -> const OpsKernels& {
#ifdef DHSA_OPS_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
      return ops_kernels_avx512();
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return ops_kernels_avx2();
#endif
    return ops_kernels_portable();
  }();
  return best;
}

}  // namespace dhsa
