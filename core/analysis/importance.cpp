#include "core/analysis/importance_internal.h"

#include <algorithm>

namespace dhsa {

void ReceivedMass::add(const RowSample& sample, std::size_t index, const float* weights, std::int64_t begin,
                       std::int64_t first, double total) {
  const std::int64_t row = sample.rows[index];
  const double stands_for = sample.weight(index);
  const double share = stands_for / total;
  const std::int64_t near = std::max(first, row + 1 - static_cast<std::int64_t>(stands_for));
  double* sums = sums_.data();
  for (std::int64_t j = first; j < near; ++j) sums[j] += share * weights[j - begin];
  // Every row that this one stands for is taken to look back alike over short distances.
  for (std::int64_t j = near; j <= row; ++j) {
    const std::int64_t from = std::max<std::int64_t>(0, sample.begins[index] - (row - j));
    const std::int64_t to = sample.begins[index + 1] - (row - j);
    const double each = share * weights[j - begin] / static_cast<double>(to - from);
    steps_[static_cast<std::size_t>(from)] += each;
    steps_[static_cast<std::size_t>(to)] -= each;
  }
}

void ReceivedMass::add(const ReceivedMass& other) {
  for (std::size_t j = 0; j < sums_.size(); ++j) sums_[j] += other.sums_[j];
  for (std::size_t j = 0; j < steps_.size(); ++j) steps_[j] += other.steps_[j];
}

std::vector<float> ReceivedMass::mean(std::int64_t heads, std::int64_t window) const {
  const auto keys = static_cast<std::int64_t>(sums_.size());
  std::vector<float> mean(sums_.size());
  double level = 0;
  for (std::int64_t j = 0; j < keys; ++j) {
    const auto at = static_cast<std::size_t>(j);
    level += steps_[at];
    const std::int64_t seen_by = (window > 0 ? std::min(keys, j + window) : keys) - j;
    mean[at] = static_cast<float>(std::max(0.0, sums_[at] + level) / static_cast<double>(heads * seen_by));
  }
  return mean;
}

std::vector<float> retention_of(const KeyMask& mask) {
  const std::int64_t keys = mask.rows();
  const std::int64_t window = mask.window();
  std::vector<std::int64_t> steps(static_cast<std::size_t>(keys) + 1, 0);
  const auto count = [&](std::int64_t begin, std::int64_t end, std::int64_t rows) {
    if (begin >= end) return;
    steps[static_cast<std::size_t>(begin)] += rows;
    steps[static_cast<std::size_t>(end)] -= rows;
  };
  for (int head = 0; head < mask.heads(); ++head) {
    for (std::int64_t group = 0; group < mask.groups(); ++group) {
      const std::int64_t first = mask.group_rows()[static_cast<std::size_t>(group)];
      const std::int64_t end = mask.group_rows()[static_cast<std::size_t>(group) + 1];
      for (const KeyRange& range : mask.ranges(head, group)) {
        if (range.end <= first + 1 && (window == 0 || range.begin >= end - window)) {
          count(range.begin, range.end, end - first);  // every row of the group sees all of it
          continue;
        }
        for (std::int64_t row = std::max<std::int64_t>(first, range.begin); row < end; ++row) {
          count(std::max<std::int64_t>(range.begin, mask.first_visible(row)),
                std::min<std::int64_t>(range.end, row + 1), 1);
        }
      }
    }
  }
  std::vector<float> retention(static_cast<std::size_t>(keys));
  std::int64_t kept_by = 0;
  for (std::int64_t j = 0; j < keys; ++j) {
    kept_by += steps[static_cast<std::size_t>(j)];
    const std::int64_t seen_by = ((window > 0 ? std::min(keys, j + window) : keys) - j) * mask.heads();
    retention[static_cast<std::size_t>(j)] =
        static_cast<float>(static_cast<double>(kept_by) / static_cast<double>(seen_by));
  }
  return retention;
}

}  // namespace dhsa
