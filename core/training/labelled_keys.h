// What the boundary predictor learns from: the keys of a layer under dense attention, and after which tokens that
// attention says a chunk should end (paper section 3.2).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/model/gemma2.h"

namespace dhsa {

// One layer of one sequence.
struct LabelledKeys {
  std::int64_t tokens = 0;
  std::int64_t heads = 0;
  std::int64_t dim = 0;
  std::vector<float> keys;    // [Hkv, L, D] after RoPE
  std::vector<float> ratios;  // [L] attention_mass_ratios(); NaN: this token teaches nothing
  [[nodiscard]] HeadsView view() const { return heads_view(keys.data(), heads, tokens, dim); }
  [[nodiscard]] std::int64_t channels() const noexcept { return heads * dim; }
  // Tokens with a label that a predictor of this window can score: w - 1 <= j < L - w.
  [[nodiscard]] std::vector<std::int32_t> cuts(std::int64_t boundary_window) const;
};

// The reference's soft label is sigmoid(alpha (ln r - ln 2)), made binary at one half: so r >= 2, whatever alpha.
inline constexpr float kBoundaryRatio = 2.0F;

// Dense prefill of `ids`, every layer labelled. Time O(layers H L^2 D), memory O(layers L Hkv D).
[[nodiscard]] std::vector<LabelledKeys> label_sequence(const Gemma2& model, std::span<const std::int32_t> ids,
                                                       std::int64_t boundary_window,
                                                       const CancelToken* cancel = nullptr);

}  // namespace dhsa
