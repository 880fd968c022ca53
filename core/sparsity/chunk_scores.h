// S_c: how much each query group wants each chunk of keys (paper section 3.3), and estimates of the attention mass of a
// chunk that go beyond the paper.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/heads_view.h"
#include "core/sparsity/parameters.h"

namespace dhsa {

// The rows that speak for a query group: every `step`-th, counted back from its last, and each of the last `last` rows
// of the text.
struct ScoredRows {
  std::int64_t step = 0;  // 0: the group's mean query speaks for it
  std::int64_t last = 0;  // only beside scored rows
  // Descending; empty where the mean query speaks.
  [[nodiscard]] std::vector<std::int64_t> of_group(std::int64_t row_begin, std::int64_t row_end,
                                                   std::int64_t tokens) const;
};

struct ChunkScoreRule {
  ChunkScoring scores = ChunkScoring::kMean;
  Pooling pooling = Pooling::kSqrtMean;  // of the published scores
  MaskHeads mask_heads = MaskHeads::kShared;
  ScoredRows rows;
  float scale = 1.0F;  // the layer's, for all but the published scores
  float softcap = 0.0F;
  std::int64_t window = 0;
};

struct ChunkScores {
  std::int64_t heads = 0;  // mask heads
  std::int64_t groups = 0;
  std::int64_t chunks = 0;
  // true: values are the estimated attention probability of one token of the chunk, so that value * tokens is a mass.
  // false: values are similarities (the published S_c).
  bool mass = false;
  std::vector<float> values;  // [heads, groups, chunks]; NaN where the chunk begins at or after the group's end
  [[nodiscard]] std::span<const float> row(std::int64_t head, std::int64_t group) const {
    return std::span(values).subspan(static_cast<std::size_t>((head * groups + group) * chunks),
                                     static_cast<std::size_t>(chunks));
  }
};

[[nodiscard]] std::int64_t mask_head_count(MaskHeads mask_heads, std::int64_t heads, std::int64_t kv_heads) noexcept;

// q [H, L, D], k [Hkv, L, D]; boundaries as in PlanTrace; group_rows as in KeyMask.
// Published (kMean, no scored rows): vectors averaged over the mask head's heads, then pooled over group and chunk;
// S_c = q_rep . k_rep. Otherwise: for each scored row of the group (none: its mean query) a logit z per chunk, the
// layer's softcap, a softmax over the chunks the row may see weighted by their visible
// length; averaged over rows and heads. z, with s the layer's scale and mu, sigma^2 over the chunk's keys:
//   kMean    s q.mu
//   kMoments s q.mu + s^2/2 q^2.sigma^2 (log of the mean exponential of normally spread keys)
//   kBands   s q.mu, with the fast and the slow half of the rotated pairs apart: each half's mean is given back the
//            length its keys have (rotation shrinks it), and the two softmaxes are averaged
//   kBounds  sum_d max(s q_d low_d, s q_d high_d) - ln n: as if one of the n keys reached the bound
// Time O(L D + N_q N_c D rows), memory O(N_q N_c + L / n D).
[[nodiscard]] ChunkScores score_chunks(const HeadsView& q, const HeadsView& k, std::span<const std::int32_t> boundaries,
                                       std::span<const std::int32_t> group_rows, const ChunkScoreRule& rule,
                                       const CancelToken* cancel = nullptr);

}  // namespace dhsa
