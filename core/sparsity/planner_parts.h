// What planners have in common: query groups, the reach of a group, and putting a mask together from many threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/sparsity/key_mask.h"
#include "core/sparsity/planner.h"
#include "core/sparsity/selection.h"

namespace dhsa {

[[nodiscard]] inline KeyRange key_range(std::int64_t begin, std::int64_t end) noexcept {
  return {static_cast<std::int32_t>(begin), static_cast<std::int32_t>(end)};
}

// Of a method with parameters.
class ParameterPlanner : public Planner {
 public:
  explicit ParameterPlanner(const SparsityParameters& parameters) : parameters_(parameters) {}

 protected:
  SparsityParameters parameters_;
};

// Rows of sparse groups first, then those of the instruction tokens, which attend densely.
struct QueryGroups {
  std::vector<std::int32_t> rows;  // as KeyMask's group_rows
  std::int64_t sparse = 0;         // groups before the instruction
  [[nodiscard]] std::int64_t count() const noexcept { return static_cast<std::int64_t>(rows.size()) - 1; }
  [[nodiscard]] std::int64_t begin(std::int64_t group) const { return rows[static_cast<std::size_t>(group)]; }
  [[nodiscard]] std::int64_t end(std::int64_t group) const { return begin(group + 1); }
};
// Fixed blocks, or with `boundaries` the chunks before the instruction.
[[nodiscard]] QueryGroups query_groups(std::int64_t rows, std::int64_t block, std::int64_t instruction_tokens,
                                       std::span<const std::int32_t> boundaries = {});

// Keys a group may choose from: [begin, end), on a local layer the window of its last row. A budget that covers the
// window leaves nothing to choose: then they begin with the window of its first row, and `whole` says that the group
// keeps all its rows can see.
struct GroupReach {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool whole = false;
};
[[nodiscard]] GroupReach group_reach(std::int64_t row_begin, std::int64_t row_end, std::int64_t window,
                                     std::int64_t budget);

// How a group chooses among chunks, under DHSA (`times` the budget) and block sparse attention. `reach.whole`: it does
// not, and keeps what it reaches.
struct GroupChoice {
  GroupReach reach;
  SelectionRule rule;
};
[[nodiscard]] GroupChoice chunk_choice(const SparsityParameters& parameters, std::int64_t row_begin,
                                       std::int64_t row_end, std::int64_t window, double times = 1);

// Calls ranges_of(head, group) for every mask head and sparse group, threaded, and adds the dense instruction groups.
[[nodiscard]] KeyMask build_mask(const QueryGroups& groups, std::int64_t heads, std::int64_t window,
                                 const std::function<std::vector<KeyRange>(std::int64_t, std::int64_t)>& ranges_of,
                                 const CancelToken* cancel);

// Ranges of the keys that `chosen` marks in [begin, end).
[[nodiscard]] std::vector<KeyRange> ranges_of_marks(const std::vector<bool>& chosen, std::int64_t begin,
                                                    std::int64_t end);

class Stopwatch {
 public:
  // Seconds since the last call or construction.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> passed = now - last_;
    last_ = now;
    return passed.count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace dhsa
