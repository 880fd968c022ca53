// What the views show of one layer and of one query row, and how it is computed. Plain functions of captured q, k, v:
// they run on the engine thread and know nothing of windows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/analysis/metrics.h"
#include "core/run/trace.h"
#include "core/sparsity/parameters.h"

namespace dhsa {

class MaskSource;

struct LayerView {
  int layer = 0;
  SparsityParameters parameters;  // that the plan was made with
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<const CapturedLayer> captured;  // null: not kept, nothing can be recomputed
  std::optional<MaskMetrics> metrics;
  std::int64_t rowStep = 1;      // metrics look at every n-th row; 1: exact
  TokenImportance importance;    // empty until measured
  std::vector<float> predicted;  // [L] see predicted_importance(); empty for methods without chunks
  // [mask heads] the plan's mask to look at. Made here: one of many ranges takes its time.
  std::vector<std::shared_ptr<const MaskSource>> masks;
  bool whatIf = false;  // planned on q, k of a run with other parameters
};

[[nodiscard]] std::vector<std::shared_ptr<const MaskSource>> maskSources(const std::shared_ptr<const Plan>& plan);

// Captured layers and plans of the run that what-if works on.
struct LayerSources {
  std::vector<std::shared_ptr<const CapturedLayer>> captured;  // [layers], null where not kept
  DocumentInfo document;
  std::shared_ptr<const BoundaryPredictor> predictor;
};

// Plans `layer` from captured q and k. Where boundaries or masks are shared across layers, those they come from are
// planned first. Throws Error where a needed layer was not captured.
[[nodiscard]] std::shared_ptr<const Plan> planLayer(const LayerSources& sources, int layer,
                                                    const SparsityParameters& parameters, const CancelToken* cancel);

// Rows to skip between measured ones so that a measurement looks at about `pairs` query-key pairs per head. Odd, so
// that samples do not fall on the same row of every query group.
[[nodiscard]] std::int64_t rowStepFor(std::int64_t tokens, std::int64_t pairs);

[[nodiscard]] std::shared_ptr<const LayerView> measureLayer(std::shared_ptr<const Plan> plan,
                                                            std::shared_ptr<const CapturedLayer> captured,
                                                            const SparsityParameters& parameters, std::int64_t rowStep,
                                                            bool whatIf, const CancelToken* cancel);

enum class KeyState : std::uint8_t { kNotCausal, kKept, kDropped, kDroppedImportant };

// One query row of one head: dense attention over its keys, and what the mask does with each. A dropped key is
// important if it belongs to the fewest keys that together hold 95 % of the row's dense mass.
struct RowView {
  std::int64_t row = -1;
  int layer = 0;
  int head = 0;
  std::vector<float> mass;      // [L] dense attention
  std::vector<KeyState> state;  // [L]
  std::int64_t kept = 0;
  std::int64_t droppedImportant = 0;
  double keptMass = 0;
};
[[nodiscard]] std::shared_ptr<const RowView> viewRow(const LayerView& layer, int head, std::int64_t row);

}  // namespace dhsa
