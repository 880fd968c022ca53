#include "core/training/train_predictor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <utility>

#include "core/base/hash.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/training/checkpoint.h"

namespace dhsa {
namespace {

constexpr std::int64_t kHeldOutTokens = 2048;  // a held-out sequence at most
constexpr std::int64_t kLeastText = 640;       // tokens: a tenth of it is still worth measuring on

// The last tenth of every text is held out.
struct Split {
  std::vector<std::span<const std::int32_t>> learned;
  std::vector<std::span<const std::int32_t>> held_out;
};

Split split(std::span<const TrainingText> texts) {
  if (texts.empty()) throw Error("There is no text to train on; name at least one.");
  Split parts;
  for (const TrainingText& text : texts) {
    const auto tokens = static_cast<std::int64_t>(text.ids.size());
    if (tokens < kLeastText) {
      throw Error(fmt::format("{} has {} tokens; a text to train on needs {} or more.", text.name, tokens, kLeastText));
    }
    const std::size_t cut = text.ids.size() - text.ids.size() / 10;
    parts.learned.push_back(std::span(text.ids).first(cut));
    parts.held_out.push_back(std::span(text.ids).subspan(cut));
  }
  return parts;
}

// Whether the texts are still the same.
std::uint64_t hash_of(std::span<const TrainingText> texts) {
  constexpr std::int32_t kEnd = -1;
  std::uint64_t hash = 1469598103934665603U;  // what checkpoints hold begins here
  const auto add = [&](std::span<const std::int32_t> ids) { hash = dhsa::hash_of(std::as_bytes(ids), hash); };
  for (const TrainingText& text : texts) {
    add(text.ids);
    add(std::span(&kEnd, 1));
  }
  return hash;
}

std::uint64_t below(std::mt19937_64& random, std::uint64_t n) { return random() % n; }  // n far below 2^64

std::vector<std::int32_t> with_bos(std::int32_t bos, std::span<const std::int32_t> ids) {
  std::vector<std::int32_t> sequence = {bos};
  sequence.insert(sequence.end(), ids.begin(), ids.end());
  return sequence;
}

// Each sequence draws from a generator of its own, so that a resumed training needs none of the earlier ones.
std::mt19937_64 generator(std::uint64_t seed, std::int64_t sequence) {
  std::seed_seq mixed = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32U),
                         static_cast<std::uint32_t>(sequence), std::uint32_t{0xb0a2d}};
  return std::mt19937_64(mixed);
}

std::vector<std::int32_t> draw_sequence(const Split& parts, std::int32_t bos, const TrainingSettings& settings,
                                        std::mt19937_64& random) {
  std::uint64_t doublings = 0;
  while (settings.min_tokens << (doublings + 1) <= settings.max_tokens) ++doublings;
  std::int64_t tokens = settings.min_tokens << below(random, doublings + 1);
  std::uint64_t all = 0;
  for (const auto& ids : parts.learned) all += ids.size();
  std::uint64_t at = below(random, all);
  std::size_t text = 0;
  while (at >= parts.learned[text].size()) at -= parts.learned[text++].size();
  const std::span<const std::int32_t> ids = parts.learned[text];
  tokens = std::min(tokens, static_cast<std::int64_t>(ids.size()) + 1);
  const auto start = below(random, ids.size() - static_cast<std::size_t>(tokens - 1) + 1);
  return with_bos(bos, ids.subspan(start, static_cast<std::size_t>(tokens - 1)));
}

// Cuts of all layers in random order.
std::vector<Cut> draw_cuts(std::span<const LabelledKeys> layers, const TrainingSettings& settings,
                           std::mt19937_64& random) {
  std::vector<Cut> cuts;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (const std::int32_t token : layers[layer].cuts(settings.boundary_window)) {
      cuts.push_back({static_cast<std::int32_t>(layer), token});
    }
  }
  const std::size_t wanted = std::min(cuts.size(), static_cast<std::size_t>(settings.cuts));
  for (std::size_t i = 0; i < wanted; ++i) std::swap(cuts[i], cuts[i + below(random, cuts.size() - i)]);
  cuts.resize(wanted);
  return cuts;
}

// Evenly spread over the held-out parts.
std::vector<LabelledKeys> held_out_layers(const Gemma2& model, std::int32_t bos, const Split& parts,
                                          const TrainingSettings& settings, const TrainingOptions& options) {
  std::vector<LabelledKeys> layers;
  for (std::int64_t i = 0; i < options.held_out; ++i) {
    const auto& ids = parts.held_out[static_cast<std::size_t>(i) % parts.held_out.size()];
    const auto all = static_cast<std::int64_t>(ids.size());
    const std::int64_t tokens = std::min({all, kHeldOutTokens - 1, settings.max_tokens - 1});
    const std::int64_t start = options.held_out > 1 ? (all - tokens) * i / (options.held_out - 1) : 0;
    std::vector<LabelledKeys> of_sequence = label_sequence(
        model, with_bos(bos, ids.subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(tokens))),
        settings.boundary_window, options.cancel);
    std::move(of_sequence.begin(), of_sequence.end(), std::back_inserter(layers));
  }
  return layers;
}

// The `most` tokens of highest value, NaN left out; ties: the lower token.
std::vector<std::int32_t> highest(const std::vector<float>& values, std::span<const std::int32_t> tokens,
                                  std::size_t most) {
  std::vector<std::int32_t> order(tokens.begin(), tokens.end());
  most = std::min(most, order.size());
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(most);
  std::partial_sort(order.begin(), middle, order.end(), [&](std::int32_t a, std::int32_t b) {
    const float of_a = values[static_cast<std::size_t>(a)];
    const float of_b = values[static_cast<std::size_t>(b)];
    return of_a != of_b ? of_a > of_b : a < b;
  });
  order.erase(middle, order.end());
  std::sort(order.begin(), order.end());
  return order;
}

}  // namespace

void check_settings(const TrainingSettings& settings, std::int64_t channels) {
  const auto whole = [](const char* name, std::int64_t value, std::int64_t least, std::int64_t most) {
    if (value < least || value > most) {
      throw Error(fmt::format("{} is {}; give a whole number from {} to {}.", name, value, least, most));
    }
  };
  whole("hidden", settings.hidden, 1, 8192);
  whole("boundary-window", settings.boundary_window, 1, 64);
  whole("heads", settings.heads, 1, channels);
  if (channels % settings.heads != 0) {
    throw Error(fmt::format("heads is {}, which does not divide the {} channels of this model's keys.", settings.heads,
                            channels));
  }
  whole("min-tokens", settings.min_tokens, 8 * settings.boundary_window, 1 << 20);
  whole("max-tokens", settings.max_tokens, settings.min_tokens, 1 << 20);
  whole("cuts", settings.cuts, 1, 1 << 30);
  whole("batch", settings.batch, 1, 1 << 20);
  const LearningRule& rule = settings.rule;
  if (!(rule.learning_rate > 0 && rule.learning_rate <= 1)) {
    throw Error(fmt::format("learning-rate is {:g}; give a number above 0, at most 1.", rule.learning_rate));
  }
  if (!(rule.focal_gamma >= 0 && rule.focal_gamma <= 10) ||
      !(rule.positive_weight > 0 && rule.positive_weight <= 1e6)) {
    throw Error("focal-gamma must be from 0 to 10, positive-weight above 0 and at most 1000000.");
  }
}

HeldOutQuality measure_predictor(const PredictorWeights& weights, std::span<const LabelledKeys> layers,
                                 const LearningRule& rule, const CancelToken* cancel) {
  const BoundaryPredictor predictor(weights);
  HeldOutQuality quality;
  double right = 0;
  double said = 0;
  double positive = 0;
  double overlap = 0;
  for (const LabelledKeys& layer : layers) {
    const std::vector<float> logits = predictor.logits(layer.view(), cancel);
    const std::vector<std::int32_t> cuts = layer.cuts(weights.boundary_window);
    for (const std::int32_t j : cuts) {
      const float logit = logits[static_cast<std::size_t>(j)];
      const bool ends = layer.ratios[static_cast<std::size_t>(j)] >= kBoundaryRatio;
      quality.loss += focal_loss(static_cast<double>(logit), ends, rule);
      said += logit > 0 ? 1 : 0;
      positive += ends ? 1 : 0;
      right += logit > 0 && ends ? 1 : 0;
    }
    quality.tokens += static_cast<std::int64_t>(cuts.size());
    const auto most = static_cast<std::size_t>(std::max<std::int64_t>(1, layer.tokens / 64));
    const auto by_logit = highest(logits, cuts, most);
    const auto by_ratio = highest(layer.ratios, cuts, most);
    std::vector<std::int32_t> both;
    std::set_intersection(by_logit.begin(), by_logit.end(), by_ratio.begin(), by_ratio.end(), std::back_inserter(both));
    overlap += static_cast<double>(both.size()) / static_cast<double>(std::max<std::size_t>(1, by_ratio.size()));
  }
  const double tokens = std::max(1.0, static_cast<double>(quality.tokens));
  quality.loss /= tokens;
  quality.precision = said > 0 ? right / said : 0;
  quality.recall = positive > 0 ? right / positive : 0;
  quality.f1 = right > 0 ? 2 * right / (said + positive) : 0;
  quality.overlap = overlap / std::max(1.0, static_cast<double>(layers.size()));
  quality.positives = positive / tokens;
  quality.trivial_f1 = 2 * quality.positives / (1 + quality.positives);
  return quality;
}

TrainedPredictor train_predictor(const Gemma2& model, std::int32_t bos, std::span<const TrainingText> texts,
                                 const TrainingSettings& settings, const TrainingOptions& options) {
  const Gemma2Config& config = model.config();
  const std::int64_t channels = config.kv_heads * config.head_dim;
  check_settings(settings, channels);
  const Split parts = split(texts);
  nlohmann::json identity = settings;
  identity["model"] = model.fingerprint();
  identity["texts"] = fmt::format("{:016x}", hash_of(texts));

  TrainingCheckpoint at;
  at.identity = identity.dump();
  if (options.resume) {
    TrainingCheckpoint found = read_checkpoint(options.checkpoint);
    if (found.identity != at.identity) {
      throw Error(fmt::format(
          "{} is of a training with other settings, texts or model; give the same ones, or train without --resume.",
          options.checkpoint.string()));
    }
    at = std::move(found);
  } else {
    PredictorWeights shape;
    shape.channels = channels;
    shape.hidden = settings.hidden;
    shape.heads = settings.heads;
    shape.boundary_window = settings.boundary_window;
    at.state = initial_state(shape, settings.seed);
  }

  TrainedPredictor trained;
  const auto tell = [&](TrainingProgress::Phase phase, double of_sequence) {
    if (!options.progress) return;
    TrainingProgress progress;
    progress.phase = phase;
    progress.sequence = at.sequences;
    progress.sequences = options.sequences;
    progress.fraction = (static_cast<double>(at.sequences) + of_sequence) /
                        static_cast<double>(std::max<std::int64_t>(1, options.sequences));
    options.progress(progress);
  };
  const auto save = [&] {
    if (!options.checkpoint.empty()) write_checkpoint(options.checkpoint, at);
  };

  PredictorTrainer trainer(at.state, settings.rule, model.options().device);
  try {
    tell(TrainingProgress::Phase::kHeldOut, 0);
    const std::vector<LabelledKeys> held_out = held_out_layers(model, bos, parts, settings, options);
    while (at.sequences < options.sequences) {
      std::mt19937_64 random = generator(settings.seed, at.sequences);
      tell(TrainingProgress::Phase::kLabels, 0);
      const std::vector<std::int32_t> ids = draw_sequence(parts, bos, settings, random);
      const std::vector<LabelledKeys> layers = label_sequence(model, ids, settings.boundary_window, options.cancel);
      const std::vector<Cut> cuts = draw_cuts(layers, settings, random);
      double loss = 0;
      std::int64_t steps = 0;
      for (std::size_t begin = 0; begin < cuts.size(); begin += static_cast<std::size_t>(settings.batch)) {
        if (options.cancel != nullptr) options.cancel->check();
        tell(TrainingProgress::Phase::kLearning,
             0.5 + 0.5 * static_cast<double>(begin) / static_cast<double>(cuts.size()));
        const std::size_t n = std::min(cuts.size() - begin, static_cast<std::size_t>(settings.batch));
        loss += trainer.learn(layers, std::span(cuts).subspan(begin, n));
        ++steps;
      }
      // Only whole sequences count: a training that is cancelled goes on as if it had not been.
      at.state = trainer.state();
      at.loss_sum += loss;
      at.loss_steps += steps;
      ++at.sequences;
      if (at.sequences % options.measure_every != 0 && at.sequences != options.sequences) continue;
      tell(TrainingProgress::Phase::kMeasuring, 0);
      TrainingRow row;
      row.sequences = at.sequences;
      row.steps = at.state.steps;
      row.loss = at.loss_steps > 0 ? at.loss_sum / static_cast<double>(at.loss_steps) : 0;
      row.held_out = measure_predictor(at.state.weights, held_out, settings.rule, options.cancel);
      at.loss_sum = 0;
      at.loss_steps = 0;
      save();
      trained.history.push_back(row);
      if (options.row) options.row(row);
    }
  } catch (const Cancelled&) {
    if (at.state.steps == 0) throw;
    save();
    trained.cancelled = true;
  }
  trained.weights = std::move(at.state.weights);
  trained.sequences = at.sequences;
  trained.steps = at.state.steps;
  return trained;
}

void to_json(nlohmann::json& json, const TrainingSettings& settings) {
  json = {{"learning_rate", settings.rule.learning_rate},
          {"focal_gamma", settings.rule.focal_gamma},
          {"positive_weight", settings.rule.positive_weight},
          {"hidden", settings.hidden},
          {"heads", settings.heads},
          {"boundary_window", settings.boundary_window},
          {"min_tokens", settings.min_tokens},
          {"max_tokens", settings.max_tokens},
          {"cuts", settings.cuts},
          {"batch", settings.batch},
          {"seed", settings.seed}};
}

void to_json(nlohmann::json& json, const HeldOutQuality& quality) {
  json = {{"loss", quality.loss},
          {"precision", quality.precision},
          {"recall", quality.recall},
          {"f1", quality.f1},
          {"top_k_overlap", quality.overlap},
          {"positives", quality.positives},
          {"trivial_f1", quality.trivial_f1},
          {"tokens", quality.tokens}};
}

void to_json(nlohmann::json& json, const TrainingRow& row) {
  json = {{"sequences", row.sequences}, {"steps", row.steps}, {"loss", row.loss}, {"held_out", row.held_out}};
}

}  // namespace dhsa
