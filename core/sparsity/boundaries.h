// Where chunks of keys end (paper section 3.2): one score per token, then boundaries by non-maximum suppression.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/heads_view.h"
#include "core/text/document_info.h"

namespace dhsa {

// Scores r_j, "a chunk ends after token j". NaN where the source leaves r_j undefined (near both ends).

// 1 - cos(mean of the w keys up to j, mean of the w keys after it), over the keys of all heads joined. O(L * Hkv * D).
[[nodiscard]] std::vector<float> key_shift_scores(const HeadsView& k, std::int64_t boundary_window,
                                                  const CancelToken* cancel = nullptr);

// The training label and oracle: how differently later rows attend to the w tokens on either side of the cut,
// (max + e) / (min + e), e = 1e-6, from dense attention averaged over heads. Time O(H * L^2 * D), memory O(L).
struct AttentionMassRule {
  std::int64_t boundary_window = 4;
  float scale = 1.0F;
  float softcap = 0.0F;
  std::int64_t window = 0;      // keys a row sees in the softmax, itself included; 0: all before it
  std::int64_t row_window = 0;  // rows j + w ... j + w + row_window - 1 are looked at; 0: to the last
};
[[nodiscard]] std::vector<float> attention_mass_ratios(const HeadsView& q, const HeadsView& k,
                                                       const AttentionMassRule& rule,
                                                       const CancelToken* cancel = nullptr);

// 1 at the ends of sentences and lines, 0 elsewhere: sentences have no order among them.
[[nodiscard]] std::vector<float> sentence_scores(const DocumentInfo& document, std::int64_t tokens);

struct BoundaryRule {
  std::int64_t most = 0;                // at most so many boundaries inside the document
  std::int64_t nms_distance = 8;        // accepted tokens are more than this apart; 0: no suppression
  std::optional<double> threshold;      // candidates score above it
  std::int64_t instruction_tokens = 0;  // m > 0: token L - m ends a chunk, counts as one, and none ends after it
};
// B = {0} u {j + 1} u {L}, ascending, for the highest scores (ties: lower j). NaN is no candidate. O(L log L).
[[nodiscard]] std::vector<std::int32_t> select_boundaries(std::span<const float> scores, const BoundaryRule& rule);

// The rule for sentence_scores(): all of them count, far enough apart.
[[nodiscard]] BoundaryRule sentence_rule(std::int64_t tokens, std::int64_t nms_distance,
                                         std::int64_t instruction_tokens);

// 1 at the token before each inner edge, 0 elsewhere: scores of boundaries that have none.
[[nodiscard]] std::vector<float> edge_scores(std::span<const std::int32_t> boundaries, std::int64_t tokens);

// Chunks of `length` tokens; with m instruction tokens one boundary as above and none after it.
[[nodiscard]] std::vector<std::int32_t> fixed_boundaries(std::int64_t tokens, std::int64_t length,
                                                         std::int64_t instruction_tokens = 0);

}  // namespace dhsa
