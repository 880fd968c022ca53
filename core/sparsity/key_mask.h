// The one mask type: which keys each query may see. Every planner makes one, every kernel, metric, view and export
// reads one. O(groups + ranges) memory, never O(L^2).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dhsa {

struct KeyRange {
  std::int32_t begin = 0;  // first key kept
  std::int32_t end = 0;    // one past the last
  bool operator==(const KeyRange&) const = default;
  [[nodiscard]] std::int32_t size() const noexcept { return end - begin; }
};

// Rows (queries) are partitioned into groups [group_rows[g], group_rows[g+1]). All rows of a group share one sorted
// list of disjoint key ranges; on top of it row i sees key j only if j <= i and, with a window W, j > i - W.
// `heads` lists are kept side by side: 1 (shared by all heads), or one per kv head or per query head; query head h of
// H uses list h / (H / heads()).
//
// Invariants, checked by the Builder (throws std::logic_error): group_rows starts at 0, strictly ascends and ends
// at rows(); ranges sorted, disjoint, non-adjacent (merged), inside [0, last row of the group]; every row keeps itself.
class KeyMask {
 public:
  class Builder;

  KeyMask() = default;
  // Full causal attention (inside the window, where one is set): one group per `query_block` rows.
  [[nodiscard]] static KeyMask dense(std::int64_t rows, std::int64_t window = 0, std::int64_t query_block = 128);

  [[nodiscard]] std::int64_t rows() const noexcept { return group_rows_.empty() ? 0 : group_rows_.back(); }
  [[nodiscard]] int heads() const noexcept { return heads_; }
  [[nodiscard]] std::int64_t window() const noexcept { return window_; }  // 0: no window
  [[nodiscard]] std::int64_t groups() const noexcept {
    return group_rows_.empty() ? 0 : static_cast<std::int64_t>(group_rows_.size()) - 1;
  }
  [[nodiscard]] std::span<const std::int32_t> group_rows() const noexcept { return group_rows_; }
  [[nodiscard]] std::int64_t group_of(std::int64_t row) const;
  [[nodiscard]] std::span<const KeyRange> ranges(int head, std::int64_t group) const;
  [[nodiscard]] int mask_head(std::int64_t query_head, std::int64_t query_heads) const noexcept {
    return static_cast<int>(query_head * heads_ / query_heads);
  }

  // First key that causality and the window let row i see; the last is i itself.
  [[nodiscard]] std::int64_t first_visible(std::int64_t row) const noexcept {
    return window_ > 0 && row >= window_ ? row - window_ + 1 : 0;
  }
  [[nodiscard]] bool kept(int head, std::int64_t row, std::int64_t key) const;
  [[nodiscard]] std::int64_t kept_keys(int head, std::int64_t row) const;  // number of keys row keeps
  // The group's ranges clipped to what `row` may see, appended to `out` (cleared first).
  void row_ranges(int head, std::int64_t row, std::vector<KeyRange>& out) const;

  [[nodiscard]] std::int64_t kept_pairs() const;    // summed over rows and mask heads
  [[nodiscard]] std::int64_t causal_pairs() const;  // all pairs inside causality and window, times heads()
  [[nodiscard]] double density() const;             // kept_pairs / causal_pairs
  [[nodiscard]] std::int64_t bytes() const noexcept;
  bool operator==(const KeyMask&) const = default;

  // Pairwise set operations; rows, window and heads must agree (throws Error). Groups are refined to both partitions.
  [[nodiscard]] KeyMask intersected(const KeyMask& other) const;
  // Pairs of this mask that `other` drops, counted and as ranges per group; rows that keep nothing are allowed here.
  [[nodiscard]] KeyMask subtracted(const KeyMask& other) const;

  // CSR form: ranges of (head, group) are [indptr[head*groups+group], indptr[head*groups+group+1]).
  [[nodiscard]] std::span<const std::int64_t> indptr() const noexcept { return indptr_; }
  [[nodiscard]] std::span<const KeyRange> all_ranges() const noexcept { return ranges_; }

 private:
  int heads_ = 1;
  std::int64_t window_ = 0;
  std::vector<std::int32_t> group_rows_;
  std::vector<std::int64_t> indptr_;
  std::vector<KeyRange> ranges_;
};

// Builds a mask head by head, group by group, in order.
class KeyMask::Builder {
 public:
  // group_rows as above; at most 2^31-1 rows.
  Builder(std::vector<std::int32_t> group_rows, int heads, std::int64_t window);
  // Ranges of the next (head, group): any order, may overlap or touch; sorted, merged and clipped to the group's
  // causal bound and to what its window can reach. The diagonal [row_begin, row_end) is always added.
  void add(std::vector<KeyRange> ranges);
  [[nodiscard]] KeyMask finish();

 private:
  KeyMask mask_;
  bool difference_ = false;
  friend class KeyMask;
};

// Partition of `rows` into blocks of `block` rows (the last may be shorter): the usual fixed query groups.
[[nodiscard]] std::vector<std::int32_t> fixed_groups(std::int64_t rows, std::int64_t block);

}  // namespace dhsa
