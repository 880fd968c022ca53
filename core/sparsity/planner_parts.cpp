#include "core/sparsity/planner_parts.h"

#include <algorithm>
#include <utility>

#include "core/base/parallel.h"

namespace dhsa {

QueryGroups query_groups(std::int64_t rows, std::int64_t block, std::int64_t instruction_tokens,
                         std::span<const std::int32_t> boundaries) {
  QueryGroups groups;
  const std::int64_t sparse_rows = std::max<std::int64_t>(0, rows - std::max<std::int64_t>(0, instruction_tokens));
  if (boundaries.empty()) {
    groups.rows = fixed_groups(sparse_rows, block);
  } else {
    for (const std::int32_t boundary : boundaries) {
      if (boundary < sparse_rows) groups.rows.push_back(boundary);
    }
    if (groups.rows.empty()) groups.rows.push_back(0);
    if (sparse_rows > 0) groups.rows.push_back(static_cast<std::int32_t>(sparse_rows));
  }
  groups.sparse = groups.count();
  for (std::int64_t row = sparse_rows; row < rows; row += block) {
    groups.rows.push_back(static_cast<std::int32_t>(std::min(rows, row + block)));
  }
  return groups;
}

GroupReach group_reach(std::int64_t row_begin, std::int64_t row_end, std::int64_t window, std::int64_t budget) {
  if (window <= 0) return {0, row_end, budget >= row_end};
  if (budget >= window) return {std::max<std::int64_t>(0, row_begin - window + 1), row_end, true};
  return {std::max<std::int64_t>(0, row_end - window), row_end, budget >= row_end};
}

GroupChoice chunk_choice(const SparsityParameters& parameters, std::int64_t row_begin, std::int64_t row_end,
                         std::int64_t window, double times) {
  const bool blocks = parameters.method == Method::kBlockSparse;
  const bool threshold = !blocks && parameters.selection == Selection::kThreshold;
  const std::int64_t budget = threshold ? parameters.max_budget : parameters.budget;
  GroupChoice choice{group_reach(row_begin, row_end, window, budget), {}};
  SelectionRule& rule = choice.rule;
  const std::int64_t in_window = window > 0 && !choice.reach.whole ? std::min(budget, window) : budget;
  if (blocks) {
    // Whole blocks: those of the group's own rows are forced, the rest of the budget goes to the best others.
    const std::int64_t block = parameters.block_size;
    const std::int64_t own = row_begin / block;
    const std::int64_t forced = (row_end - 1) / block - own + 1;
    rule.own_rows = row_end - own * block;
    rule.budget =
        rule.own_rows + std::max<std::int64_t>(0, std::max<std::int64_t>(1, in_window / block) - forced) * block;
    return choice;
  }
  if (threshold) choice.reach.whole = false;
  rule.selection = parameters.selection;
  rule.budget = static_cast<std::int64_t>(static_cast<double>(in_window) * times);
  rule.min_budget = parameters.min_budget;
  rule.mass = parameters.mass;
  rule.own_rows = row_end - row_begin;
  rule.sink_tokens = parameters.sink_tokens;
  rule.local_tokens = parameters.local_tokens;
  return choice;
}

KeyMask build_mask(const QueryGroups& groups, std::int64_t heads, std::int64_t window,
                   const std::function<std::vector<KeyRange>(std::int64_t, std::int64_t)>& ranges_of,
                   const CancelToken* cancel) {
  std::vector<std::vector<KeyRange>> lists(static_cast<std::size_t>(heads * groups.sparse));
  parallel_for(
      heads * groups.sparse,
      [&](std::int64_t at) { lists[static_cast<std::size_t>(at)] = ranges_of(at / groups.sparse, at % groups.sparse); },
      cancel);
  KeyMask::Builder builder(groups.rows, static_cast<int>(heads), window);
  for (std::int64_t head = 0; head < heads; ++head) {
    for (std::int64_t g = 0; g < groups.count(); ++g) {
      if (g < groups.sparse) {
        builder.add(std::move(lists[static_cast<std::size_t>(head * groups.sparse + g)]));
      } else {
        builder.add({key_range(0, groups.end(g))});
      }
    }
  }
  return builder.finish();
}

std::vector<KeyRange> ranges_of_marks(const std::vector<bool>& chosen, std::int64_t begin, std::int64_t end) {
  std::vector<KeyRange> ranges;
  for (std::int64_t j = begin; j < end; ++j) {
    if (!chosen[static_cast<std::size_t>(j)]) continue;
    if (!ranges.empty() && ranges.back().end == j) {
      ++ranges.back().end;
    } else {
      ranges.push_back(key_range(j, j + 1));
    }
  }
  return ranges;
}

}  // namespace dhsa
