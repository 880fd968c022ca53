// CUDA attention over the ranges of a KeyMask: raw device pointers in, raw device pointers out, no libtorch.
#pragma once

#include <cstdint>

#include "core/sparsity/cuda/device_mask.h"

namespace dhsa::cuda {

// A block of at most kTileRows query rows of one group. The list covers all rows in ascending order.
struct QueryTile {
  std::int32_t row_begin = 0;
  std::int32_t row_end = 0;
  std::int32_t group = 0;
  std::int32_t unused = 0;
};
inline constexpr int kTileRows = 128;

struct AttendArguments {
  DeviceHeads q, k, v, out;
  int heads = 0;
  int kv_heads = 0;
  int dim = 0;  // 64, 128 or 256
  float scale = 1.0F;
  float softcap = 0.0F;  // 0: none
  DeviceMask mask;
  const QueryTile* tiles = nullptr;  // device memory
  int tile_count = 0;
};

enum class DeviceKernel : std::uint8_t {
  kMma,     // mma.sync: compute capability 8.0 and later
  kHopper,  // wgmma: compute capability 9.0, in builds for sm_90a
};

// Head dimensions that the kernels are compiled for.
[[nodiscard]] constexpr bool attend_supports(std::int64_t dim) noexcept {
  return dim == 64 || dim == 128 || dim == 256;
}
// The fastest kernel that the current device and this build have.
[[nodiscard]] DeviceKernel best_device_kernel();
// Enqueues on `stream`. Returns nullptr, or CUDA's words for what went wrong. float32 scores, softmax and sums;
// probabilities are rounded to bfloat16 before they meet the values.
[[nodiscard]] const char* attend_with(DeviceKernel kernel, const AttendArguments& arguments, Stream stream);
[[nodiscard]] const char* attend(const AttendArguments& arguments, Stream stream);

}  // namespace dhsa::cuda
