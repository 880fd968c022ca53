// The work behind Explorer's jobs; runs on the engine thread.
#pragma once

#include "ui/state/explorer.h"

namespace dhsa {

// Query-key pairs per head that a live measurement looks at, and one in the middle of a run.
inline constexpr std::int64_t kLivePairs = 1'000'000;

struct Explorer::DenseReference {
  std::shared_ptr<const std::vector<float>> finalHidden;
};

[[nodiscard]] std::shared_ptr<const OpenDocument> loadDocument(const DocumentRequest& request,
                                                               const LoadedModel& model);
[[nodiscard]] std::shared_ptr<const LoadedModel> loadModel(const QString& folder, const CancelToken* cancel);
[[nodiscard]] std::shared_ptr<const BoundaryPredictor> loadPredictor(const SparsityParameters& parameters,
                                                                     const LoadedModel& model);
[[nodiscard]] std::shared_ptr<const LayerView> whatIfLayer(LayerSources sources, const LoadedModel& model, int layer,
                                                           const SparsityParameters& parameters, bool whatIf,
                                                           std::int64_t pairs, const CancelToken* cancel);

}  // namespace dhsa
