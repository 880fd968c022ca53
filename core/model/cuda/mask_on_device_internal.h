// A KeyMask in device memory, with the blocks of rows that attention takes one by one.
#pragma once

#include <vector>

#include "core/attention/cuda/attend_cuda.h"
#include "core/model/cuda/device_internal.h"
#include "core/sparsity/key_mask.h"

namespace dhsa::on_cuda {

class MaskOnDevice {
 public:
  MaskOnDevice() = default;
  explicit MaskOnDevice(const KeyMask& mask);
  // For ranges that the device is to write, `most_ranges` for each of heads * groups; `like`: where.
  MaskOnDevice(std::vector<std::int32_t> group_rows, int heads, std::int64_t window, std::int64_t most_ranges,
               const at::Tensor& like);
  // Ranges [n, 2] as int64 that are there already, and where those of each of heads * groups lie.
  MaskOnDevice(std::vector<std::int32_t> group_rows, int heads, std::int64_t window, at::Tensor start, at::Tensor count,
               at::Tensor ranges, at::Tensor offsets);

  [[nodiscard]] cuda::DeviceMask view() const;
  [[nodiscard]] const cuda::QueryTile* tiles() const { return data<cuda::QueryTile>(tiles_); }
  [[nodiscard]] int tile_count() const noexcept { return tile_count_; }
  [[nodiscard]] KeyMask download() const;

 private:
  void cut_tiles();

  std::vector<std::int32_t> group_rows_;
  int heads_ = 1;
  std::int64_t window_ = 0;
  at::Tensor start_, count_, ranges_, offsets_, tiles_;
  int tile_count_ = 0;
};

// More ranges than the kernels can count.
[[noreturn]] void refuse_ranges();

}  // namespace dhsa::on_cuda
