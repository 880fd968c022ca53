#include <ATen/ops/empty.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "core/model/cuda/mask_on_device_internal.h"

namespace dhsa::on_cuda {
namespace {

constexpr std::int64_t kMostRanges = std::numeric_limits<std::int32_t>::max();

}  // namespace

void refuse_ranges() {
  throw Error("This mask has too many key ranges for the GPU: choose larger query groups or the CPU.");
}

MaskOnDevice::MaskOnDevice(const KeyMask& mask)
    : group_rows_(mask.group_rows().begin(), mask.group_rows().end()), heads_(mask.heads()), window_(mask.window()) {
  if (static_cast<std::int64_t>(mask.all_ranges().size()) > kMostRanges) refuse_ranges();
  std::vector<std::int32_t> starts, counts, offsets;
  for (std::size_t slot = 0; slot + 1 < mask.indptr().size(); ++slot) {
    starts.push_back(static_cast<std::int32_t>(mask.indptr()[slot]));
    counts.push_back(static_cast<std::int32_t>(mask.indptr()[slot + 1] - mask.indptr()[slot]));
    std::int32_t before = 0;
    for (std::int64_t r = mask.indptr()[slot]; r < mask.indptr()[slot + 1]; ++r) {
      offsets.push_back(before);
      before += mask.all_ranges()[static_cast<std::size_t>(r)].size();
    }
  }
  start_ = upload(starts);
  count_ = upload(counts);
  offsets_ = upload(offsets);
  ranges_ = upload(std::vector<KeyRange>(mask.all_ranges().begin(), mask.all_ranges().end()));
  cut_tiles();
}

MaskOnDevice::MaskOnDevice(std::vector<std::int32_t> group_rows, int heads, std::int64_t window,
                           std::int64_t most_ranges, const at::Tensor& like)
    : group_rows_(std::move(group_rows)), heads_(heads), window_(window) {
  const std::int64_t slots = heads * (static_cast<std::int64_t>(group_rows_.size()) - 1);
  if (slots * most_ranges > kMostRanges) refuse_ranges();
  const at::TensorOptions ints = like.options().dtype(at::kInt);
  start_ = at::empty({slots}, ints);
  count_ = at::empty({slots}, ints);
  ranges_ = at::empty({slots * most_ranges, 2}, ints);
  offsets_ = at::empty({slots * most_ranges}, ints);
  cut_tiles();
}

MaskOnDevice::MaskOnDevice(std::vector<std::int32_t> group_rows, int heads, std::int64_t window, at::Tensor start,
                           at::Tensor count, at::Tensor ranges, at::Tensor offsets)
    : group_rows_(std::move(group_rows)),
      heads_(heads),
      window_(window),
      start_(std::move(start)),
      count_(std::move(count)),
      ranges_(std::move(ranges)),
      offsets_(std::move(offsets)) {
  cut_tiles();
}

void MaskOnDevice::cut_tiles() {
  std::vector<cuda::QueryTile> tiles;
  for (std::size_t g = 0; g + 1 < group_rows_.size(); ++g) {
    for (std::int32_t row = group_rows_[g]; row < group_rows_[g + 1]; row += cuda::kTileRows) {
      tiles.push_back({row, std::min(group_rows_[g + 1], row + cuda::kTileRows), static_cast<std::int32_t>(g), 0});
    }
  }
  tiles_ = upload(tiles);
  tile_count_ = static_cast<int>(tiles.size());
}

cuda::DeviceMask MaskOnDevice::view() const {
  return {group_rows_.back(),
          heads_,
          static_cast<int>(group_rows_.size()) - 1,
          static_cast<int>(window_),
          data<std::int32_t>(start_),
          data<std::int32_t>(count_),
          data<std::int32_t>(ranges_),
          data<std::int32_t>(offsets_)};
}

KeyMask MaskOnDevice::download() const {
  const at::Tensor starts = start_.cpu(), counts = count_.cpu(), all = ranges_.cpu();
  const auto* ranges = data<const KeyRange>(all);
  KeyMask::Builder builder(group_rows_, heads_, window_);
  for (std::size_t slot = 0; slot < static_cast<std::size_t>(heads_) * (group_rows_.size() - 1); ++slot) {
    const KeyRange* first = ranges + data<std::int32_t>(starts)[slot];
    builder.add({first, first + data<std::int32_t>(counts)[slot]});
  }
  return builder.finish();
}

}  // namespace dhsa::on_cuda
