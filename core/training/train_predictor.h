// Training of the boundary predictor (paper section 3.2) from texts: dense prefills label the keys of every layer, one
// predictor learns from all layers, the last tenth of each text stays unseen and says how good it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/model/gemma2.h"
#include "core/training/predictor_trainer.h"

namespace dhsa {

struct TrainingText {
  std::string name;
  std::vector<std::int32_t> ids;  // without BOS
};

// What the trained numbers depend on, next to model and texts.
struct TrainingSettings {
  LearningRule rule;
  std::int64_t hidden = 256;  // units of the predictor
  std::int64_t heads = 4;
  std::int64_t boundary_window = 4;
  std::int64_t min_tokens = 512;  // sequences of min_tokens 2^n tokens, up to max_tokens
  std::int64_t max_tokens = 8192;
  std::int64_t cuts = 32768;  // tokens learned from per sequence at most, spread over its layers
  std::int64_t batch = 512;   // tokens per optimiser step
  std::uint64_t seed = 1;
};
void check_settings(const TrainingSettings& settings, std::int64_t channels);  // throws Error
void to_json(nlohmann::json& json, const TrainingSettings& settings);

// On text that was not trained on; a token is said to end a chunk where its logit is above 0.
struct HeldOutQuality {
  double loss = 0;
  double precision = 0;
  double recall = 0;
  double f1 = 0;
  double overlap = 0;     // share of the L / 64 highest logits of a layer that are among its L / 64 highest ratios
  double positives = 0;   // share of tokens that end a chunk by label
  double trivial_f1 = 0;  // of saying so of every token: 2p / (1 + p)
  std::int64_t tokens = 0;
};
// `layers` may come from several sequences.
[[nodiscard]] HeldOutQuality measure_predictor(const PredictorWeights& weights, std::span<const LabelledKeys> layers,
                                               const LearningRule& rule, const CancelToken* cancel = nullptr);
void to_json(nlohmann::json& json, const HeldOutQuality& quality);

struct TrainingRow {
  std::int64_t sequences = 0;  // learned from so far
  std::int64_t steps = 0;
  double loss = 0;  // mean over the steps since the row before
  HeldOutQuality held_out;
};
void to_json(nlohmann::json& json, const TrainingRow& row);

struct TrainingProgress {
  enum class Phase : std::uint8_t { kHeldOut, kLabels, kLearning, kMeasuring };
  Phase phase = Phase::kHeldOut;
  std::int64_t sequence = 0;  // of `sequences`
  std::int64_t sequences = 0;
  double fraction = 0;  // of the whole training
};

struct TrainingOptions {
  std::int64_t sequences = 200;      // to learn from in all
  std::int64_t measure_every = 20;   // sequences between two rows; each writes the checkpoint
  std::int64_t held_out = 4;         // sequences of at most 2048 tokens
  std::filesystem::path checkpoint;  // empty: none is written
  bool resume = false;               // go on from the checkpoint
  std::function<void(const TrainingProgress&)> progress;
  std::function<void(const TrainingRow&)> row;
  const CancelToken* cancel = nullptr;
};

struct TrainedPredictor {
  PredictorWeights weights;
  std::int64_t sequences = 0;
  std::int64_t steps = 0;
  std::vector<TrainingRow> history;
  bool cancelled = false;  // weights are those of the last whole sequence
};
// The same weights for the same settings, model, texts and number of threads, resumed or not. Throws Error on texts
// that are too short, on a checkpoint of another training, or where a file cannot be written; Cancelled before the
// first sequence is learned.
[[nodiscard]] TrainedPredictor train_predictor(const Gemma2& model, std::int32_t bos,
                                               std::span<const TrainingText> texts, const TrainingSettings& settings,
                                               const TrainingOptions& options);

}  // namespace dhsa
