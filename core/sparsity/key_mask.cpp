#include "core/sparsity/key_mask.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

#include "core/base/error.h"

namespace dhsa {
namespace {

// Sum of clamp(u, 0, n) over u in [0, t), 0 for t <= 0.
std::int64_t clamped_sum(std::int64_t t, std::int64_t n) {
  if (t <= 0) return 0;
  if (t <= n) return t * (t - 1) / 2;
  return n * (n - 1) / 2 + (t - n) * n;
}

// Pairs (i, j) with i in [row_begin, row_end), j in `range` and j <= i - shift, in closed form: row i sees
// clamp(i - shift + 1 - range.begin, 0, range.size()) keys.
std::int64_t pairs_below(KeyRange range, std::int64_t row_begin, std::int64_t row_end, std::int64_t shift) {
  const std::int64_t offset = 1 - shift - range.begin;
  return clamped_sum(row_end + offset, range.size()) - clamped_sum(row_begin + offset, range.size());
}

std::int64_t visible_pairs(KeyRange range, std::int64_t row_begin, std::int64_t row_end, std::int64_t window) {
  const std::int64_t causal = pairs_below(range, row_begin, row_end, 0);
  return window > 0 ? causal - pairs_below(range, row_begin, row_end, window) : causal;
}

// Sorts and merges overlapping or touching ranges; drops empty ones.
void normalise(std::vector<KeyRange>& ranges) {
  std::erase_if(ranges, [](KeyRange r) { return r.begin >= r.end; });
  std::sort(ranges.begin(), ranges.end(), [](KeyRange a, KeyRange b) { return a.begin < b.begin; });
  std::size_t kept = 0;
  for (const KeyRange range : ranges) {
    if (kept > 0 && range.begin <= ranges[kept - 1].end) {
      ranges[kept - 1].end = std::max(ranges[kept - 1].end, range.end);
    } else {
      ranges[kept++] = range;
    }
  }
  ranges.resize(kept);
}

template <class Visit>
void for_each_overlap(std::span<const KeyRange> a, std::span<const KeyRange> b, const Visit& visit) {
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const KeyRange both{std::max(a[i].begin, b[j].begin), std::min(a[i].end, b[j].end)};
    if (both.begin < both.end) visit(both);
    if (a[i].end < b[j].end) {
      ++i;
    } else {
      ++j;
    }
  }
}

std::vector<KeyRange> difference(std::span<const KeyRange> a, std::span<const KeyRange> b) {
  std::vector<KeyRange> left;
  std::size_t j = 0;
  for (KeyRange range : a) {
    while (j < b.size() && b[j].end <= range.begin) ++j;
    for (std::size_t k = j; k < b.size() && b[k].begin < range.end; ++k) {
      if (range.begin < b[k].begin) left.push_back({range.begin, b[k].begin});
      range.begin = std::min(b[k].end, range.end);
    }
    if (range.begin < range.end) left.push_back(range);
  }
  return left;
}

// visit(row_begin, row_end, group of a, group of b) for every cell of the common refinement of two partitions.
template <class Visit>
void for_each_common_group(const KeyMask& a, const KeyMask& b, const Visit& visit) {
  const auto rows_a = a.group_rows();
  const auto rows_b = b.group_rows();
  std::int32_t begin = 0;
  for (std::size_t ga = 0, gb = 0; ga + 1 < rows_a.size() && gb + 1 < rows_b.size();) {
    const std::int32_t end = std::min(rows_a[ga + 1], rows_b[gb + 1]);
    visit(begin, end, static_cast<std::int64_t>(ga), static_cast<std::int64_t>(gb));
    if (rows_a[ga + 1] == end) ++ga;
    if (rows_b[gb + 1] == end) ++gb;
    begin = end;
  }
}

std::vector<std::int32_t> common_rows(const KeyMask& a, const KeyMask& b) {
  std::vector<std::int32_t> rows{0};
  for_each_common_group(a, b, [&](std::int32_t, std::int32_t end, std::int64_t, std::int64_t) { rows.push_back(end); });
  return rows;
}

void require_same_shape(const KeyMask& a, const KeyMask& b) {
  if (a.rows() != b.rows() || a.window() != b.window() || a.heads() != b.heads()) {
    throw Error(
        "The two masks differ in tokens, window or heads; compare masks of one layer made with the same head mode.");
  }
}

}  // namespace

KeyMask KeyMask::dense(std::int64_t rows, std::int64_t window, std::int64_t query_block) {
  Builder builder(fixed_groups(rows, query_block), 1, window);
  const std::int64_t groups = (rows + query_block - 1) / query_block;
  for (std::int64_t g = 0; g < groups; ++g) builder.add({KeyRange{0, static_cast<std::int32_t>(rows)}});
  return builder.finish();
}

std::int64_t KeyMask::group_of(std::int64_t row) const {
  return std::upper_bound(group_rows_.begin(), group_rows_.end(), row) - group_rows_.begin() - 1;
}

std::span<const KeyRange> KeyMask::ranges(int head, std::int64_t group) const {
  const auto at = static_cast<std::size_t>(head * groups() + group);
  const auto begin = static_cast<std::size_t>(indptr_[at]);
  return {ranges_.data() + begin, static_cast<std::size_t>(indptr_[at + 1]) - begin};
}

bool KeyMask::kept(int head, std::int64_t row, std::int64_t key) const {
  if (key > row || key < first_visible(row)) return false;
  const auto list = ranges(head, group_of(row));
  const auto after =
      std::upper_bound(list.begin(), list.end(), key, [](std::int64_t at, KeyRange r) { return at < r.begin; });
  return after != list.begin() && key < std::prev(after)->end;
}

std::int64_t KeyMask::kept_keys(int head, std::int64_t row) const {
  std::int64_t keys = 0;
  for (const KeyRange range : ranges(head, group_of(row))) keys += visible_pairs(range, row, row + 1, window_);
  return keys;
}

void KeyMask::row_ranges(int head, std::int64_t row, std::vector<KeyRange>& out) const {
  out.clear();
  const auto first = static_cast<std::int32_t>(first_visible(row));
  const auto end = static_cast<std::int32_t>(row + 1);
  for (const KeyRange range : ranges(head, group_of(row))) {
    const KeyRange seen{std::max(range.begin, first), std::min(range.end, end)};
    if (seen.begin < seen.end) out.push_back(seen);
  }
}

std::int64_t KeyMask::kept_pairs() const {
  std::int64_t pairs = 0;
  for (int head = 0; head < heads_; ++head) {
    for (std::int64_t g = 0; g < groups(); ++g) {
      const auto at = static_cast<std::size_t>(g);
      for (const KeyRange range : ranges(head, g)) {
        pairs += visible_pairs(range, group_rows_[at], group_rows_[at + 1], window_);
      }
    }
  }
  return pairs;
}

std::int64_t KeyMask::causal_pairs() const {
  const std::int64_t full = window_ > 0 ? std::min(rows(), window_) : rows();
  return heads_ * (full * (full + 1) / 2 + (rows() - full) * window_);
}

double KeyMask::density() const {
  const std::int64_t causal = causal_pairs();
  return causal == 0 ? 0.0 : static_cast<double>(kept_pairs()) / static_cast<double>(causal);
}

std::int64_t KeyMask::bytes() const noexcept {
  return static_cast<std::int64_t>(sizeof(KeyMask) + group_rows_.size() * sizeof(std::int32_t) +
                                   indptr_.size() * sizeof(std::int64_t) + ranges_.size() * sizeof(KeyRange));
}

KeyMask KeyMask::intersected(const KeyMask& other) const {
  require_same_shape(*this, other);
  Builder builder(common_rows(*this, other), heads_, window_);
  builder.difference_ = true;
  for (int head = 0; head < heads_; ++head) {
    for_each_common_group(*this, other, [&](std::int32_t, std::int32_t, std::int64_t mine, std::int64_t theirs) {
      std::vector<KeyRange> common;
      for_each_overlap(ranges(head, mine), other.ranges(head, theirs), [&](KeyRange both) { common.push_back(both); });
      builder.add(std::move(common));
    });
  }
  return builder.finish();
}

KeyMask KeyMask::subtracted(const KeyMask& other) const {
  require_same_shape(*this, other);
  Builder builder(common_rows(*this, other), heads_, window_);
  builder.difference_ = true;
  for (int head = 0; head < heads_; ++head) {
    for_each_common_group(*this, other, [&](std::int32_t, std::int32_t, std::int64_t mine, std::int64_t theirs) {
      builder.add(difference(ranges(head, mine), other.ranges(head, theirs)));
    });
  }
  return builder.finish();
}

KeyMask::Builder::Builder(std::vector<std::int32_t> group_rows, int heads, std::int64_t window) {
  if (group_rows.empty() || group_rows.front() != 0) throw std::logic_error("KeyMask: groups must start at row 0");
  if (std::adjacent_find(group_rows.begin(), group_rows.end(), std::greater_equal<>()) != group_rows.end()) {
    throw std::logic_error("KeyMask: group rows must strictly ascend");
  }
  if (heads < 1 || window < 0) throw std::logic_error("KeyMask: heads must be positive, the window not negative");
  mask_.heads_ = heads;
  mask_.window_ = window;
  mask_.group_rows_ = std::move(group_rows);
  mask_.indptr_.reserve(static_cast<std::size_t>(heads * mask_.groups() + 1));
  mask_.indptr_.push_back(0);
}

void KeyMask::Builder::add(std::vector<KeyRange> ranges) {
  const std::int64_t done = static_cast<std::int64_t>(mask_.indptr_.size()) - 1;
  if (done >= mask_.heads_ * mask_.groups()) throw std::logic_error("KeyMask: more lists than heads x groups");
  const auto group = static_cast<std::size_t>(done % mask_.groups());
  const std::int32_t row_begin = mask_.group_rows_[group];
  const std::int32_t row_end = mask_.group_rows_[group + 1];
  const auto first = static_cast<std::int32_t>(mask_.first_visible(row_begin));
  for (KeyRange& range : ranges) {
    range.begin = std::max(range.begin, first);
    range.end = std::min(range.end, row_end);
  }
  if (!difference_) ranges.push_back({row_begin, row_end});
  normalise(ranges);
  mask_.ranges_.insert(mask_.ranges_.end(), ranges.begin(), ranges.end());
  mask_.indptr_.push_back(static_cast<std::int64_t>(mask_.ranges_.size()));
}

KeyMask KeyMask::Builder::finish() {
  if (static_cast<std::int64_t>(mask_.indptr_.size()) - 1 != mask_.heads_ * mask_.groups()) {
    throw std::logic_error("KeyMask: fewer lists than heads x groups");
  }
  for (int head = 0; head < mask_.heads_; ++head) {
    for (std::int64_t g = 0; g < mask_.groups(); ++g) {
      const auto list = mask_.ranges(head, g);
      const std::int32_t row_begin = mask_.group_rows_[static_cast<std::size_t>(g)];
      const std::int32_t row_end = mask_.group_rows_[static_cast<std::size_t>(g) + 1];
      std::int32_t previous_end = -1;
      for (const KeyRange range : list) {
        if (range.begin <= previous_end || range.begin >= range.end || range.end > row_end) {
          throw std::logic_error("KeyMask: ranges must be sorted, apart and inside the causal bound");
        }
        previous_end = range.end;
      }
      if (!difference_ && (list.empty() || list.back().begin > row_begin || list.back().end != row_end)) {
        throw std::logic_error("KeyMask: every row must keep itself");
      }
    }
  }
  return std::move(mask_);
}

std::vector<std::int32_t> fixed_groups(std::int64_t rows, std::int64_t block) {
  if (rows < 0 || rows > std::numeric_limits<std::int32_t>::max() || block < 1) {
    throw std::logic_error("fixed_groups: rows must fit 31 bits and blocks hold at least one row");
  }
  std::vector<std::int32_t> groups;
  groups.reserve(static_cast<std::size_t>(rows / block + 2));
  for (std::int64_t row = 0; row < rows; row += block) groups.push_back(static_cast<std::int32_t>(row));
  if (rows == 0) return {0};
  groups.push_back(static_cast<std::int32_t>(rows));
  return groups;
}

}  // namespace dhsa
