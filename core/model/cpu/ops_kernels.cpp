#include "core/model/cpu/ops_kernels.h"

namespace dhsa {

const OpsKernels& ops_kernels_portable();
const OpsKernels& ops_kernels_avx2();
const OpsKernels& ops_kernels_avx512();

std::vector<const OpsKernels*> available_ops_kernels() {
  std::vector<const OpsKernels*> sets{&ops_kernels_portable()};
#ifdef DHSA_OPS_X86
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&ops_kernels_avx2());
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    sets.push_back(&ops_kernels_avx512());
  }
#endif
  return sets;
}

const OpsKernels& ops_kernels() {
  static const OpsKernels& best = *available_ops_kernels().back();
  return best;
}

}  // namespace dhsa
