// Below the chunks: of the chunks that are worth looking at, the tokens that sampled rows of the group attend to most.
// Beyond the paper: chunk scores say where to look, true attention of few rows says what to keep there.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/heads_view.h"
#include "core/sparsity/chunk_scores.h"
#include "core/sparsity/key_mask.h"
#include "core/sparsity/planner.h"
#include "core/sparsity/row_math.h"

namespace dhsa {

class TokenRefinement {
 public:
  // Part of the method. Groups are taken in order, in batches: of those before its first a batch hears only what the
  // last says by itself. What the group before says counts this much: sampled rows are few.
  static constexpr std::int64_t kBatch = 8;
  static constexpr float kCarry = 0.25F;

  // `heads` masks.
  TokenRefinement(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, std::int64_t heads,
                  const ScoredRows& rows);

  // Estimates of one mask head, group after group.
  class Pass {
   public:
    explicit Pass(const TokenRefinement& owner, std::int64_t mask_head);
    // Estimates how rows [row_begin, row_end) attend to the candidates (ascending, disjoint, up to row_end): the mean
    // over sampled rows and heads of their softmax over the candidates, widened to whole tiles of kTileColumns keys,
    // plus kCarry times what this gave for the group before.
    void estimate(std::int64_t row_begin, std::int64_t row_end, std::span<const KeyRange> candidates);
    // The `keys` candidates of [key_begin, key_end) with the highest estimates (ties: the earlier), as ascending ranges
    // appended to `ranges`.
    void take_best(std::int64_t key_begin, std::int64_t key_end, std::int64_t keys,
                   std::vector<KeyRange>& ranges) const;

   private:
    // 0 where queries or keys were not finite.
    [[nodiscard]] float estimate_of(std::int64_t key) const noexcept {
      const float estimate = estimates_[static_cast<std::size_t>(key)];
      return estimate > 0.0F ? estimate : 0.0F;
    }
    void add_softmax(std::int64_t row, float* z, std::int64_t width, float share);

    const TokenRefinement& owner_;
    std::int64_t mask_head_;
    std::vector<KeyRange> spans_;  // candidates, widened to whole tiles of the packed keys
    std::vector<KeyRange> candidates_;
    std::vector<KeyRange> before_spans_;
    std::vector<float> estimates_;  // [L], of spans_ only
    std::vector<float> before_;     // [L], of before_spans_ only; 0 elsewhere
    std::vector<float> logits_;
    std::vector<float> queries_;
  };

 private:
  HeadsView q_;
  LayerInfo layer_;
  std::int64_t per_mask_;
  std::int64_t per_kv_;
  ScoredRows rows_;
  std::vector<PackedRows> keys_;  // [kv heads]
};

}  // namespace dhsa
