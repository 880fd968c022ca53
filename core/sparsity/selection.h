// From chunk scores to the keys of one query group (paper section 3.4).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/sparsity/key_mask.h"
#include "core/sparsity/parameters.h"

namespace dhsa {

// What every method keeps of the allowed keys [key_begin, key_end) of a query group, whatever its scores say:
// [key_begin, sink_end) and [local_begin, key_end). One rule: the group's own rows and the first `sink_tokens` keys are
// kept whatever the budget; then the last `local_tokens` keys, as far as the budget goes; the rest of the budget is the
// method's to choose. All of them count in the budget, which is exceeded only where own rows and sinks exceed it.
struct AlwaysKept {
  std::int64_t sink_end = 0;
  std::int64_t local_begin = 0;  // not before sink_end
};
[[nodiscard]] AlwaysKept always_kept(std::int64_t key_begin, std::int64_t key_end, std::int64_t own_rows,
                                     std::int64_t sink_tokens, std::int64_t local_tokens, std::int64_t budget) noexcept;

struct SelectionRule {
  Selection selection = Selection::kBudget;
  std::int64_t budget = 0;  // keys to keep; under kThreshold the most
  std::int64_t min_budget = 0;
  double mass = 1.0;
  std::int64_t own_rows = 0;  // the last allowed keys, which are the group's rows
  std::int64_t sink_tokens = 0;
  std::int64_t local_tokens = 0;
};

struct SelectedKeys {
  std::vector<KeyRange> ranges;  // unordered, disjoint
  std::int64_t keys = 0;
  std::int32_t cut_chunk = -1;  // the chunk of which only the most recent tokens fitted, if any
};

// Of the allowed keys [key_begin, key_end): those that are always kept, then whole chunks by descending score (ties:
// the earlier chunk) until the budget is full; the last one is cut to its most recent tokens. Under kThreshold it stops
// sooner, once the kept share of the estimated mass is reached: the softmax of the allowed scores, or score * tokens
// where `mass_scores`. Chunks with a NaN score are not taken.
[[nodiscard]] SelectedKeys select_keys(std::span<const std::int32_t> boundaries, std::span<const float> scores,
                                       bool mass_scores, std::int64_t key_begin, std::int64_t key_end,
                                       const SelectionRule& rule);

}  // namespace dhsa
