// From a kernel's name to its functions.
#pragma once

#include "core/attention/attend.h"
#include "core/attention/cpu/kernels.h"

namespace dhsa::cpu {

// Throws Error where this machine cannot run the kernel.
const KernelTable& kernel_table(CpuKernel kernel);

}  // namespace dhsa::cpu
