// Every method's mask once more, as slowly and plainly as the methods can be said: tables of L x L, double precision,
// boolean masks. Written from the description of the methods, shares no code with core/sparsity.
#pragma once

#include <cstdint>
#include <vector>

#include "core/sparsity/boundary_predictor.h"
#include "core/sparsity/planner.h"

namespace dhsa::twin {

// One layer of a small text.
struct Text {
  int tokens = 0;
  int heads = 0;
  int kv_heads = 0;
  int dim = 0;
  std::vector<float> q;  // [heads, tokens, dim]
  std::vector<float> k;  // [kv_heads, tokens, dim]
  std::vector<std::int32_t> sentence_ends;
};

struct Boundaries {
  std::vector<double> scores;       // [L] NaN where undefined
  std::vector<std::int32_t> edges;  // 0 ... L
  bool open = false;                // as below, of the choice of boundaries
};

// A choice is open where float32 rounding may decide it: two scores on either side of a cut lie closer than that.
struct Mask {
  Boundaries boundaries;
  std::vector<std::vector<std::vector<double>>> chunk_scores;  // [mask heads][groups][chunks], NaN where undefined
  std::vector<std::vector<std::vector<bool>>> kept;            // [mask heads][row][key]
  std::vector<std::vector<bool>> open;                         // [mask heads][row]
};

// `shared`: the boundaries of the first layer, where they serve all. `predictor`: of learned boundaries.
[[nodiscard]] Mask mask_of(const SparsityParameters& parameters, const Text& text, const LayerInfo& layer,
                           const PredictorWeights* predictor, const Boundaries* shared = nullptr);

}  // namespace dhsa::twin
