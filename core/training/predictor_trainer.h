// The boundary predictor as a thing that learns: its forward pass on tensors that carry gradients, the reference's
// loss, and Adam.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/model/gemma2.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/training/labelled_keys.h"

namespace dhsa {

// What one optimiser step is made with. Defaults are the reference's.
struct LearningRule {
  double learning_rate = 1e-4;   // Adam, beta 0.9 and 0.999, epsilon 1e-8
  double focal_gamma = 2.0;      // of the focal binary cross-entropy
  double positive_weight = 1.3;  // of the tokens that end a chunk
  bool operator==(const LearningRule&) const = default;
};

// The network's tensors in the order of PredictorWeights, one after the other, and Adam's two moments of each number.
struct TrainerState {
  PredictorWeights weights;
  std::vector<float> first_moment;
  std::vector<float> second_moment;
  std::int64_t steps = 0;
};
// Untrained, initialised as the reference's layers are; sizes from `shape` (its vectors are not read). Gated pooling.
[[nodiscard]] TrainerState initial_state(const PredictorWeights& shape, std::uint64_t seed);
// (name, numbers) of every tensor of `weights`, in the order of the moments.
[[nodiscard]] std::vector<std::pair<const char*, std::vector<float>*>> tensors_of(PredictorWeights& weights);
[[nodiscard]] std::vector<std::vector<std::int64_t>> shapes_of(const PredictorWeights& weights);  // in the same order

// A token to learn from: layer of the sequence, token.
struct Cut {
  std::int32_t layer = 0;
  std::int32_t token = 0;
};

class PredictorTrainer {
 public:
  PredictorTrainer(const TrainerState& state, const LearningRule& rule, Device device);
  ~PredictorTrainer();
  PredictorTrainer(const PredictorTrainer&) = delete;
  PredictorTrainer& operator=(const PredictorTrainer&) = delete;

  // One step on the mean loss of these cuts; returns that loss.
  double learn(std::span<const LabelledKeys> layers, std::span<const Cut> cuts);
  // Logits of the cuts, and the loss of labels r >= 2 without a step.
  [[nodiscard]] std::vector<float> logits(std::span<const LabelledKeys> layers, std::span<const Cut> cuts) const;
  [[nodiscard]] TrainerState state() const;

 private:
  struct Network;
  std::unique_ptr<Network> network_;
};

// Focal binary cross-entropy of one logit: -(1 - p_t)^gamma log p_t, times the positive weight where `ends`.
[[nodiscard]] double focal_loss(double logit, bool ends, const LearningRule& rule);

}  // namespace dhsa
