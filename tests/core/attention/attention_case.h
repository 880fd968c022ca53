// Random inputs and masks for the attention tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "core/attention/attend.h"

namespace dhsa::test {

// A [heads, rows, dim] tensor, either contiguous or as [rows, heads * dim], in either type.
class Heads {
 public:
  Heads(std::int64_t heads, std::int64_t rows, std::int64_t dim, DType type, bool interleaved)
      : wide_(type == DType::kFloat32 ? static_cast<std::size_t>(heads * rows * dim) : 0),
        narrow_(type == DType::kBFloat16 ? static_cast<std::size_t>(heads * rows * dim) : 0) {
    view_.type = type;
    view_.heads = heads;
    view_.rows = rows;
    view_.dim = dim;
    view_.head_stride = interleaved ? dim : rows * dim;
    view_.row_stride = interleaved ? heads * dim : dim;
    view_.data = type == DType::kFloat32 ? static_cast<void*>(wide_.data()) : static_cast<void*>(narrow_.data());
  }
  Heads(const Heads&) = delete;
  Heads& operator=(const Heads&) = delete;

  void fill(std::mt19937& random, float deviation, bool round_to_bfloat16 = false) {
    std::normal_distribution<float> normal(0.0F, deviation);
    for (float& x : wide_) {
      x = normal(random);
      if (round_to_bfloat16) x = bfloat16_to_float(float_to_bfloat16(x));
    }
    for (std::uint16_t& x : narrow_) x = float_to_bfloat16(normal(random));
  }
  void fill_with(float value) {
    std::ranges::fill(wide_, value);
    std::ranges::fill(narrow_, float_to_bfloat16(value));
  }
  [[nodiscard]] const MutableHeadsView& view() const { return view_; }
  [[nodiscard]] std::vector<float> row(std::int64_t head, std::int64_t row) const {
    std::vector<float> values(static_cast<std::size_t>(view_.dim));
    HeadsView(view_).load_row(head, row, values.data());
    return values;
  }
  bool operator==(const Heads& other) const { return wide_ == other.wide_ && narrow_ == other.narrow_; }

 private:
  std::vector<float> wide_;
  std::vector<std::uint16_t> narrow_;
  MutableHeadsView view_;
};

// Groups of up to `most` rows, of random sizes.
inline std::vector<std::int32_t> random_groups(std::mt19937& random, std::int64_t rows, std::int64_t most) {
  std::vector<std::int32_t> groups{0};
  while (groups.back() < rows) {
    const auto size = 1 + static_cast<std::int64_t>(random() % static_cast<std::uint32_t>(most));
    groups.push_back(static_cast<std::int32_t>(std::min<std::int64_t>(rows, groups.back() + size)));
  }
  return groups;
}

// Up to `pieces` ranges of up to `longest` keys per group.
inline KeyMask random_mask(std::mt19937& random, std::int64_t rows, int heads, std::int64_t window,
                           std::int64_t group_rows, int pieces, int longest) {
  const std::vector<std::int32_t> groups = random_groups(random, rows, group_rows);
  KeyMask::Builder builder(groups, heads, window);
  for (int head = 0; head < heads; ++head) {
    for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
      std::vector<KeyRange> ranges;
      const int count = static_cast<int>(random() % static_cast<std::uint32_t>(pieces + 1));
      for (int i = 0; i < count; ++i) {
        const auto begin = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(groups[g + 1]));
        const auto size = 1 + static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(longest));
        ranges.push_back({begin, std::min(begin + size, groups[g + 1])});
      }
      builder.add(std::move(ranges));
    }
  }
  return builder.finish();
}

}  // namespace dhsa::test
