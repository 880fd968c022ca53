// What is known of one layer and of one query row, computed from captured q, k, v: while a slider moves, and of every
// layer as a run passes it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/analysis/metrics.h"
#include "core/run/trace.h"
#include "core/sparsity/parameters.h"

namespace dhsa {

class MaskSource;

struct MeasuredLayer {
  int layer = 0;
  SparsityParameters parameters;  // that the plan was made with
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<const CapturedLayer> captured;  // null: not kept, nothing can be recomputed
  MaskMetrics metrics;                            // with importance and lost rows
  std::vector<float> predicted;                   // [L] predicted_importance(); empty for methods without chunks
  // [mask heads] the plan's mask to look at. Made here: one of many ranges takes its time.
  std::vector<std::shared_ptr<const MaskSource>> masks;
  // One row in so many was looked at; 1: all, every figure is exact.
  [[nodiscard]] std::int64_t row_step() const noexcept { return metrics.importance.row_step; }
};

// [mask heads] the plan's mask to look at.
[[nodiscard]] std::vector<std::shared_ptr<const MaskSource>> mask_sources(const std::shared_ptr<const Plan>& plan);

// Captured layers of the run that what-if works on.
struct WhatIfSources {
  std::vector<std::shared_ptr<const CapturedLayer>> captured;  // [layers], null where not kept
  std::vector<bool> local;                                     // [layers], as in the model's configuration
  DocumentInfo document;
  std::shared_ptr<const BoundaryPredictor> predictor;
};

// Plans `layer` from captured q and k; where boundaries or masks are shared, the layers they come from first. Throws
// Error where a needed layer was not captured.
[[nodiscard]] std::shared_ptr<const Plan> plan_layer(const WhatIfSources& sources, int layer,
                                                     const SparsityParameters& parameters, const CancelToken* cancel);

// Row step with which a measurement looks at about `pairs` query-key pairs per head.
[[nodiscard]] std::int64_t row_step_for(std::int64_t tokens, std::int64_t pairs);

// Metrics and importance in one pass over the dense rows.
[[nodiscard]] std::shared_ptr<const MeasuredLayer> measure_layer(std::shared_ptr<const Plan> plan,
                                                                 std::shared_ptr<const CapturedLayer> captured,
                                                                 const SparsityParameters& parameters,
                                                                 std::int64_t row_step, const CancelToken* cancel);
// The same of a layer that is not kept, while it is alive in a run.
[[nodiscard]] std::shared_ptr<const MeasuredLayer> measure_layer(std::shared_ptr<const Plan> plan,
                                                                 const AttendedLayer& layer,
                                                                 const SparsityParameters& parameters,
                                                                 std::int64_t row_step, const CancelToken* cancel);

enum class KeyFate : std::uint8_t { kNotVisible, kKept, kDropped, kDroppedImportant };

// One query row of one head: dense attention over its keys, and what the mask does with each. A dropped key is
// important if it belongs to the fewest keys that together hold 95 % of the row's dense mass. Exact.
struct QueryRow {
  std::int64_t row = -1;
  int layer = 0;
  int head = 0;
  std::vector<float> mass;    // [L] dense attention
  std::vector<KeyFate> fate;  // [L]
  std::int64_t kept = 0;
  std::int64_t dropped_important = 0;
  double kept_mass = 0;
};
// Null where the layer is not kept, or has no such row or head.
[[nodiscard]] std::shared_ptr<const QueryRow> view_row(const MeasuredLayer& layer, int head, std::int64_t row);

}  // namespace dhsa
