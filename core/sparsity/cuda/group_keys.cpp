#include "core/sparsity/cuda/group_keys.h"

#include <algorithm>
#include <limits>

#include "core/sparsity/selection.h"

namespace dhsa::cuda {
namespace {

// Of the allowed keys of `reach`, `budget` are kept: those of `always`, and others by choice.
GroupKeys choosing_group(std::int64_t row_begin, const GroupReach& reach, const AlwaysKept& always, std::int64_t budget,
                         std::int64_t at_least = 0) {
  const std::int64_t kept = always.sink_end - reach.begin + reach.end - always.local_begin;
  return {small(row_begin),
          small(reach.end),
          small(reach.begin),
          small(always.sink_end),
          small(std::min(always.local_begin, row_begin)),
          small(budget - kept),
          small(at_least - kept),
          0};
}

// Vertical-slash, and the tokens that refinement keeps.
GroupKeys token_group(const SparsityParameters& p, std::int64_t row_begin, std::int64_t row_end, std::int64_t window) {
  const GroupReach reach = group_reach(row_begin, row_end, window, p.budget);
  if (reach.whole) return whole_group(row_begin, row_end, reach.begin);
  return choosing_group(
      row_begin, reach,
      always_kept(reach.begin, reach.end, row_end - row_begin, p.sink_tokens, p.local_tokens, p.budget), p.budget);
}

// The rows keep themselves; the rest of the budget goes to earlier keys.
GroupKeys oracle_group(const SparsityParameters& p, std::int64_t row_begin, std::int64_t row_end, std::int64_t window) {
  const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, row_begin - window + 1) : 0;
  if ((window > 0 && p.budget >= window) || p.budget >= row_end - first) return whole_group(row_begin, row_end, first);
  return choosing_group(row_begin, {first, row_end, false}, {first, row_begin}, p.budget);
}

}  // namespace

int small(std::int64_t value) {
  return static_cast<int>(
      std::clamp<std::int64_t>(value, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
}

GroupKeys whole_group(std::int64_t row_begin, std::int64_t row_end, std::int64_t key_begin) {
  const int begin = small(key_begin), end = small(row_end);
  return {small(row_begin), end, begin, begin, begin, 0, 0, 1};
}

GroupKeys chunk_group(const SparsityParameters& p, std::int64_t row_begin, std::int64_t row_end, std::int64_t window,
                      double times) {
  const auto [reach, rule] = chunk_choice(p, row_begin, row_end, window, times);
  const std::int64_t allowed = reach.end - reach.begin;
  const std::int64_t budget = std::min(rule.budget, allowed);
  if (reach.whole || (budget >= allowed && rule.selection == Selection::kBudget)) {
    return whole_group(row_begin, row_end, reach.begin);
  }
  const AlwaysKept always =
      always_kept(reach.begin, reach.end, rule.own_rows, rule.sink_tokens, rule.local_tokens, rule.budget);
  return choosing_group(row_begin, reach, always, budget, rule.min_budget);
}

std::vector<GroupKeys> group_keys(const SparsityParameters& p, const QueryGroups& groups, std::int64_t window,
                                  bool tokens) {
  std::vector<GroupKeys> keys;
  for (std::int64_t g = 0; g < groups.count(); ++g) {
    const std::int64_t begin = groups.begin(g), end = groups.end(g);
    if (g >= groups.sparse) {
      keys.push_back(whole_group(begin, end, window > 0 ? std::max<std::int64_t>(0, begin - window + 1) : 0));
    } else if (p.method == Method::kTokenTopK) {
      keys.push_back(oracle_group(p, begin, end, window));
    } else if (p.method == Method::kVerticalSlash || tokens) {
      keys.push_back(token_group(p, begin, end, window));
    } else {
      keys.push_back(chunk_group(p, begin, end, window));
    }
  }
  return keys;
}

std::int64_t most_chosen(std::span<const GroupKeys> keys) {
  std::int64_t most = 0;
  for (const GroupKeys& group : keys) most = std::max<std::int64_t>(most, group.choose);
  return most;
}

}  // namespace dhsa::cuda
