#include "core/model/cpu/gemm.h"

#include <algorithm>

#include "core/base/parallel.h"

namespace dhsa {

const GemmKernel& gemm_kernel_portable();
const GemmKernel& gemm_kernel_avx2();
const GemmKernel& gemm_kernel_avx512();
const GemmKernel& gemm_kernel_avx512bf16();

std::vector<const GemmKernel*> available_gemm_kernels() {
  std::vector<const GemmKernel*> kernels{&gemm_kernel_portable()};
#ifdef DHSA_OPS_X86
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) kernels.push_back(&gemm_kernel_avx2());
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq")) {
    kernels.push_back(&gemm_kernel_avx512());
    if (__builtin_cpu_supports("avx512bf16")) kernels.push_back(&gemm_kernel_avx512bf16());
  }
#endif
  return kernels;
}

const GemmKernel* gemm_kernel(bool a_bf16) {
  static const std::vector<const GemmKernel*> kernels = available_gemm_kernels();
  const auto found = std::find_if(kernels.rbegin(), kernels.rend(),
                                  [&](const GemmKernel* kernel) { return kernel->a_bf16 == a_bf16; });
  return found == kernels.rend() ? nullptr : *found;
}

void gemm(const GemmCall& call, const GemmKernel* kernel) {
  if (kernel == nullptr) kernel = gemm_kernel(call.a_bf16);
  const std::int64_t panels = panels_of(call.columns, call.gated);
  // Some 20 microseconds of work per job, but enough jobs to keep the threads level.
  constexpr std::int64_t kJobWork = std::int64_t{1} << 21U;
  const std::int64_t panel_work = std::max<std::int64_t>(1, call.rows * call.k * kPanelColumns);
  const std::int64_t most = std::max<std::int64_t>(1, panels / (4 * compute_threads()));
  const std::int64_t step = std::clamp<std::int64_t>(kJobWork / panel_work, 1, most);
  parallel_for((panels + step - 1) / step,
               [&](std::int64_t job) { kernel->run(call, job * step, std::min(panels, (job + 1) * step)); });
}

void pack_panel(const float* rows, std::int64_t k, float* panel) {
  for (std::int64_t c = 0; c < kPanelColumns; ++c) {
    for (std::int64_t i = 0; i < k; ++i) panel[i * kPanelColumns + c] = rows[c * k + i];
  }
}

void pack_panel(const std::uint16_t* rows, std::int64_t k, std::uint16_t* panel) {
  for (std::int64_t i = 0; i < k; i += 2) {
    for (std::int64_t c = 0; c < kPanelColumns; ++c) {
      panel[i * kPanelColumns + 2 * c] = rows[c * k + i];
      panel[i * kPanelColumns + 2 * c + 1] = rows[c * k + i + 1];
    }
  }
}

}  // namespace dhsa
