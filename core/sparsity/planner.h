// A planner decides, for one layer, which keys each query keeps: plan(q, k, layer) -> KeyMask.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/base/error.h"
#include "core/base/heads_view.h"
#include "core/sparsity/key_mask.h"
#include "core/sparsity/parameters.h"
#include "core/text/document_info.h"

namespace dhsa {

class BoundaryPredictor;  // core/sparsity/boundary_predictor.h

struct LayerInfo {
  int index = 0;
  std::int64_t window = 0;  // sliding window of a local layer; 0: global
  float scale = 1.0F;       // attention scale and softcap, for planners that look at true scores
  float softcap = 0.0F;
  std::uint64_t text = 0;  // hash_of() its ids: metrics draw rows by it, no planner reads it
  [[nodiscard]] bool local() const noexcept { return window > 0; }
};

// What DHSA-like planners leave behind for views, metrics and export. Empty for methods without chunks.
struct PlanTrace {
  std::vector<float> boundary_scores;    // [L] r_j: "a chunk ends after token j"; NaN where undefined
  std::vector<std::int32_t> boundaries;  // [N_c + 1] b_0 = 0 < ... < b_Nc = L
  // [heads of the mask, N_q, N_c] S_c, row-major; N_q = mask.groups(). Not defined (NaN) where the chunk begins at or
  // after the group's end.
  std::vector<float> chunk_scores;
};

struct PlanSeconds {
  double boundaries = 0;
  double similarity = 0;  // chunk representations and S_c
  double selection = 0;   // ranking and range building
};

struct Plan {
  KeyMask mask;
  PlanTrace trace;
  PlanSeconds seconds;
  bool shared = false;  // taken over from an earlier layer
};

// What a planner was made of.
struct PlannerInputs {
  SparsityParameters parameters;
  DocumentInfo document;
  std::shared_ptr<const BoundaryPredictor> predictor;
};

// One planner serves one prefill: it may carry boundaries or masks from layer to layer (sharing).
class Planner {
 public:
  virtual ~Planner() = default;
  // q [H, L, D], k [Hkv, L, D] after RoPE, before any scale. Deterministic; independent of the thread count.
  [[nodiscard]] virtual Plan plan(const HeadsView& q, const HeadsView& k, const LayerInfo& layer,
                                  const CancelToken* cancel) = 0;
  // False: the mask depends on lengths alone, and plan() looks at the shapes of q and k only.
  [[nodiscard]] virtual bool reads_tensors() const { return true; }
  // Not null: a GPU may plan by itself, from these, what plan() would.
  [[nodiscard]] virtual const PlannerInputs* inputs() const { return nullptr; }
};

// [N_c] boundaries to look for: (L / B_q) * beta, at least one.
[[nodiscard]] std::int64_t target_chunks(const SparsityParameters& parameters, std::int64_t tokens);

// Planner for parameters.method. `predictor` may be null unless boundaries are learned; null, kAuto is key shift.
// Throws Error on bad parameters.
[[nodiscard]] std::unique_ptr<Planner> make_planner(const SparsityParameters& parameters, DocumentInfo document,
                                                    std::shared_ptr<const BoundaryPredictor> predictor = nullptr);

}  // namespace dhsa
