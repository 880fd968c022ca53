// What query groups keep and may choose, as the kernels take it: the rules of core/sparsity, put into numbers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/sparsity/cuda/plan_cuda.h"
#include "core/sparsity/planner_parts.h"

namespace dhsa::cuda {

// Clamped to what an int holds.
[[nodiscard]] int small(std::int64_t value);

[[nodiscard]] GroupKeys whole_group(std::int64_t row_begin, std::int64_t row_end, std::int64_t key_begin);
// Under DHSA and block sparse attention, chunks of `times` the budget.
[[nodiscard]] GroupKeys chunk_group(const SparsityParameters& parameters, std::int64_t row_begin, std::int64_t row_end,
                                    std::int64_t window, double times = 1);
// Of all groups, those of the instruction too; `tokens`: under DHSA single keys are chosen in the end.
[[nodiscard]] std::vector<GroupKeys> group_keys(const SparsityParameters& parameters, const QueryGroups& groups,
                                                std::int64_t window, bool tokens);
[[nodiscard]] std::int64_t most_chosen(std::span<const GroupKeys> keys);

}  // namespace dhsa::cuda
