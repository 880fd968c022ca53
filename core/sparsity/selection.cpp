#include "core/sparsity/selection.h"

#include <algorithm>
#include <cmath>

#include "core/sparsity/planner_parts.h"

namespace dhsa {
namespace {

struct Piece {
  float score;
  std::int32_t chunk;
  KeyRange keys;
  double mass;
};

}  // namespace

AlwaysKept always_kept(std::int64_t key_begin, std::int64_t key_end, std::int64_t own_rows, std::int64_t sink_tokens,
                       std::int64_t local_tokens, std::int64_t budget) noexcept {
  const std::int64_t local = std::max(own_rows, std::min(local_tokens, budget - sink_tokens));
  const std::int64_t local_begin = key_end - std::min(std::max<std::int64_t>(0, local), key_end - key_begin);
  return {std::min(key_begin + sink_tokens, local_begin), local_begin};
}

SelectedKeys select_keys(std::span<const std::int32_t> boundaries, std::span<const float> scores, bool mass_scores,
                         std::int64_t key_begin, std::int64_t key_end, const SelectionRule& rule) {
  SelectedKeys selected;
  const std::int64_t allowed = key_end - key_begin;
  const std::int64_t budget = std::min(rule.budget, allowed);
  if (budget >= allowed && rule.selection == Selection::kBudget) {
    selected.ranges.push_back(key_range(key_begin, key_end));
    selected.keys = allowed;
    return selected;
  }
  const auto [sink_end, local_begin] =
      always_kept(key_begin, key_end, rule.own_rows, rule.sink_tokens, rule.local_tokens, rule.budget);
  if (sink_end > key_begin) selected.ranges.push_back(key_range(key_begin, sink_end));
  if (local_begin < key_end) selected.ranges.push_back(key_range(local_begin, key_end));
  selected.keys = (sink_end - key_begin) + (key_end - local_begin);

  // Chunks that hold keys between the sinks and the local keys.
  const auto after = std::upper_bound(boundaries.begin(), boundaries.end(), sink_end);
  const auto first = static_cast<std::size_t>(std::max<std::ptrdiff_t>(1, after - boundaries.begin()) - 1);
  const bool threshold = rule.selection == Selection::kThreshold;
  std::vector<Piece> pieces;
  for (std::size_t c = first; c + 1 < boundaries.size() && boundaries[c] < local_begin; ++c) {
    const KeyRange keys = key_range(std::max<std::int64_t>(boundaries[c], sink_end),
                                    std::min<std::int64_t>(boundaries[c + 1], local_begin));
    if (keys.size() > 0 && !std::isnan(scores[c])) {
      pieces.push_back({scores[c], static_cast<std::int32_t>(c), keys, 0.0});
    }
  }

  double kept_mass = 0;
  if (threshold) {
    // Mass of every allowed chunk, the always-kept parts in proportion to their tokens.
    double highest = 0;
    double total = 0;
    bool any = false;
    const auto each_allowed = [&](const auto& visit) {
      for (std::size_t c = 0; c + 1 < boundaries.size() && boundaries[c] < key_end; ++c) {
        const std::int64_t begin = std::max<std::int64_t>(boundaries[c], key_begin);
        const std::int64_t end = std::min<std::int64_t>(boundaries[c + 1], key_end);
        if (begin < end && !std::isnan(scores[c])) visit(c, begin, end);
      }
    };
    if (!mass_scores) {
      each_allowed([&](std::size_t c, std::int64_t, std::int64_t) {
        const auto score = static_cast<double>(scores[c]);
        highest = any ? std::max(highest, score) : score;
        any = true;
      });
    }
    const auto weight = [&](std::size_t c, std::int64_t begin, std::int64_t end) {
      const auto score = static_cast<double>(scores[c]);
      return mass_scores ? score * static_cast<double>(end - begin) : std::exp(score - highest);
    };
    each_allowed([&](std::size_t c, std::int64_t begin, std::int64_t end) { total += weight(c, begin, end); });
    total = std::max(total, 1e-300);
    double in_pieces = 0;
    for (Piece& piece : pieces) {
      const auto c = static_cast<std::size_t>(piece.chunk);
      const std::int64_t begin = std::max<std::int64_t>(boundaries[c], key_begin);
      const std::int64_t end = std::min<std::int64_t>(boundaries[c + 1], key_end);
      piece.mass =
          weight(c, begin, end) / total * static_cast<double>(piece.keys.size()) / static_cast<double>(end - begin);
      in_pieces += piece.mass;
    }
    kept_mass = 1.0 - in_pieces;
  }

  const auto worse = [](const Piece& a, const Piece& b) {
    return a.score != b.score ? a.score < b.score : a.chunk > b.chunk;
  };
  std::make_heap(pieces.begin(), pieces.end(), worse);
  // A share that rounding keeps from its last decimals counts as reached.
  const auto enough = [&] { return threshold && selected.keys >= rule.min_budget && kept_mass >= rule.mass - 1e-9; };
  while (selected.keys < budget && !pieces.empty() && !enough()) {
    std::pop_heap(pieces.begin(), pieces.end(), worse);
    Piece best = pieces.back();
    pieces.pop_back();
    const std::int64_t room = budget - selected.keys;
    if (best.keys.size() > room) {
      best.keys.begin = best.keys.end - static_cast<std::int32_t>(room);
      selected.cut_chunk = best.chunk;
    }
    selected.ranges.push_back(best.keys);
    selected.keys += best.keys.size();
    kept_mass += best.mass;
  }
  return selected;
}

}  // namespace dhsa
