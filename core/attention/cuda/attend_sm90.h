// The Hopper kernel behind attend(): compute capability 9.0, in builds for sm_90a.
#pragma once

#include "core/attention/cuda/attend_cuda.h"

namespace dhsa::cuda {

// Whether the current device runs it and this build holds it.
[[nodiscard]] bool has_sm90() noexcept;
// a.dim is one that attend_supports(), a.tile_count > 0. As attend() otherwise.
[[nodiscard]] const char* attend_sm90(const AttendArguments& a, Stream stream);

}  // namespace dhsa::cuda
