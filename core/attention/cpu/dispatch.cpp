#include "core/attention/cpu/dispatch.h"

#include <fmt/format.h>

namespace dhsa {
namespace {

bool machine_has(CpuKernel kernel) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  switch (kernel) {
    case CpuKernel::kPortable:
      return true;
    case CpuKernel::kAvx2:
      return avx2;
    case CpuKernel::kAvx512:
      return avx512;
    case CpuKernel::kAvx512Bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16");
  }
  return false;
#else
  return kernel == CpuKernel::kPortable;
#endif
}

}  // namespace

const char* name_of(CpuKernel kernel) noexcept {
  switch (kernel) {
    case CpuKernel::kPortable:
      return "portable";
    case CpuKernel::kAvx2:
      return "avx2";
    case CpuKernel::kAvx512:
      return "avx512";
    case CpuKernel::kAvx512Bf16:
      return "avx512-bf16";
  }
  return "unknown";
}

std::vector<CpuKernel> available_cpu_kernels() {
  std::vector<CpuKernel> kernels;
  for (const CpuKernel kernel : {CpuKernel::kPortable, CpuKernel::kAvx2, CpuKernel::kAvx512, CpuKernel::kAvx512Bf16}) {
    if (machine_has(kernel)) kernels.push_back(kernel);
  }
  return kernels;
}

CpuKernel best_cpu_kernel(DType type) {
  const std::vector<CpuKernel> kernels = available_cpu_kernels();
  CpuKernel best = CpuKernel::kPortable;
  for (const CpuKernel kernel : kernels) {
    if (kernel != CpuKernel::kAvx512Bf16 || type == DType::kBFloat16) best = kernel;
  }
  return best;
}

namespace cpu {

const KernelTable& kernel_table(CpuKernel kernel) {
  if (!machine_has(kernel)) {
    throw Error(fmt::format("This processor cannot run the {} attention kernel; choose another.", name_of(kernel)));
  }
#if defined(__x86_64__)
  switch (kernel) {
    case CpuKernel::kPortable:
      break;
    case CpuKernel::kAvx2:
      return *avx2_kernel();
    case CpuKernel::kAvx512:
      return *avx512_kernel();
    case CpuKernel::kAvx512Bf16:
      return *avx512_bf16_kernel();
  }
#endif
  return *portable_kernel();
}

}  // namespace cpu
}  // namespace dhsa
