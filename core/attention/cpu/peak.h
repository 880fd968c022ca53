// What this machine's multiply-add units can do at most: the roof that attention and linear layers are held against.
#pragma once

#include "core/attention/attend.h"

namespace dhsa::cpu {

// GFLOP/s of independent multiply-adds in registers on `threads` threads at once, the best of several short runs.
// kAvx512Bf16 counts the bfloat16 dot product, the others the float32 multiply-add of their vector width.
// Throws Error where the machine cannot run the kernel.
[[nodiscard]] double measured_peak_gflops(CpuKernel kernel, int threads);

}  // namespace dhsa::cpu
