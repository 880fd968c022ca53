#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "core/files/atomic_write.h"
#include "core/files/safetensors.h"
#include "core/sparsity/boundaries.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/text/tokenizer.h"
#include "core/training/checkpoint.h"
#include "core/training/train_predictor.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

const std::filesystem::path kDemo = std::filesystem::path(DHSA_RESOURCES) / "models" / "demo";

// Labels from a whole attention matrix in double precision.
TEST(Labels, AgreeWithTheDefinition) {
  const std::int64_t tokens = 70;
  const std::int64_t dim = 8;
  std::mt19937 random(12);
  std::normal_distribution<float> normal;
  std::vector<float> queries(static_cast<std::size_t>(4 * tokens * dim));
  std::vector<float> keys(static_cast<std::size_t>(2 * tokens * dim));
  for (float& value : queries) value = normal(random);
  for (float& value : keys) value = normal(random);
  for (const std::int64_t window : {0, 25}) {
    for (const std::int64_t w : {1, 4}) {
      std::vector<double> a(static_cast<std::size_t>(tokens * tokens), 0.0);
      for (std::int64_t h = 0; h < 4; ++h) {
        for (std::int64_t i = 0; i < tokens; ++i) {
          const std::int64_t see = window > 0 ? std::max<std::int64_t>(0, i - window + 1) : 0;
          std::vector<double> row;
          double total = 0;
          for (std::int64_t j = see; j <= i; ++j) {
            double z = 0;
            for (std::int64_t d = 0; d < dim; ++d) {
              z += static_cast<double>(queries[static_cast<std::size_t>((h * tokens + i) * dim + d)]) *
                   static_cast<double>(keys[static_cast<std::size_t>((h / 2 * tokens + j) * dim + d)]);
            }
            row.push_back(std::exp(7 * std::tanh(0.4 * z / 7)));
            total += row.back();
          }
          for (std::int64_t j = see; j <= i; ++j) {
            a[static_cast<std::size_t>(i * tokens + j)] += row[static_cast<std::size_t>(j - see)] / total / 4;
          }
        }
      }
      AttentionMassRule rule;
      rule.boundary_window = w;
      rule.scale = 0.4F;
      rule.softcap = 7.0F;
      rule.window = rule.row_window = window;
      const auto ratios = attention_mass_ratios(heads_view(queries.data(), 4, tokens, dim),
                                                heads_view(keys.data(), 2, tokens, dim), rule);
      for (std::int64_t j = 0; j < tokens; ++j) {
        const float ratio = ratios[static_cast<std::size_t>(j)];
        if (j < 2 * w - 1 || j >= tokens - 2 * w) {
          EXPECT_TRUE(std::isnan(ratio)) << j;
          continue;
        }
        double past = 0;
        double future = 0;
        for (std::int64_t i = j + w; i < (window > 0 ? std::min(j + w + window, tokens) : tokens); ++i) {
          for (std::int64_t d = 0; d < w; ++d) {
            past += a[static_cast<std::size_t>(i * tokens + j - d)];
            future += a[static_cast<std::size_t>(i * tokens + j + 1 + d)];
          }
        }
        const double expected = (std::max(past, future) + 1e-6) / (std::min(past, future) + 1e-6);
        EXPECT_NEAR(ratio, expected, 1e-3 * expected) << "token " << j << ", window " << window << ", w " << w;
      }
    }
  }
}

PredictorWeights shape(std::int64_t channels, std::int64_t hidden, std::int64_t heads, std::int64_t window) {
  PredictorWeights weights;
  weights.channels = channels;
  weights.hidden = hidden;
  weights.heads = heads;
  weights.boundary_window = window;
  return weights;
}

// Keys of segments that each have a direction of their own; the ratio is high where a segment ends.
LabelledKeys segments(std::int64_t tokens, std::int64_t heads, std::int64_t dim, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  LabelledKeys layer;
  layer.tokens = tokens;
  layer.heads = heads;
  layer.dim = dim;
  layer.keys.resize(static_cast<std::size_t>(heads * tokens * dim));
  layer.ratios.assign(static_cast<std::size_t>(tokens), 1.0F);
  std::vector<float> direction(static_cast<std::size_t>(heads * dim));
  for (std::int64_t j = 0; j < tokens; ++j) {
    if (j % 11 == 0) {
      for (float& value : direction) value = normal(random);
    }
    if (j % 11 == 10) layer.ratios[static_cast<std::size_t>(j)] = 5.0F;
    for (std::int64_t h = 0; h < heads; ++h) {
      for (std::int64_t d = 0; d < dim; ++d) {
        layer.keys[static_cast<std::size_t>((h * tokens + j) * dim + d)] =
            direction[static_cast<std::size_t>(h * dim + d)] + 0.1F * normal(random);
      }
    }
  }
  return layer;
}

std::vector<Cut> all_cuts(const LabelledKeys& layer, std::int64_t window) {
  std::vector<Cut> cuts;
  for (const std::int32_t token : layer.cuts(window)) cuts.push_back({0, token});
  return cuts;
}

double mean_loss(const std::vector<float>& logits, const LabelledKeys& layer, const std::vector<Cut>& cuts,
                 const LearningRule& rule) {
  double loss = 0;
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    loss += focal_loss(static_cast<double>(logits[i]),
                       layer.ratios[static_cast<std::size_t>(cuts[i].token)] >= kBoundaryRatio, rule);
  }
  return loss / static_cast<double>(cuts.size());
}

TEST(PredictorTrainer, SeesTheLogitsThatInferenceGives) {
  const LabelledKeys layer = segments(60, 2, 12, 3);
  for (const std::int64_t window : {1, 4}) {
    const TrainerState state = initial_state(shape(24, 10, 3, window), 5);
    const PredictorTrainer trainer(state, {}, Device::kCpu);
    const std::vector<Cut> cuts = all_cuts(layer, window);
    const std::vector<float> learned = trainer.logits(std::span(&layer, 1), cuts);
    const std::vector<float> inferred = BoundaryPredictor(state.weights).logits(layer.view());
    ASSERT_FALSE(cuts.empty());
    for (std::size_t i = 0; i < cuts.size(); ++i) {
      EXPECT_NEAR(learned[i], inferred[static_cast<std::size_t>(cuts[i].token)], 1e-4F) << "token " << cuts[i].token;
    }
  }
}

// Adam's first step moves every number by the learning rate against the sign of its gradient, which a central
// difference of the loss tells too.
TEST(PredictorTrainer, FirstStepFollowsTheSlopeOfTheLoss) {
  const LabelledKeys layer = segments(40, 1, 8, 4);
  LearningRule rule;
  rule.learning_rate = 1e-3;
  TrainerState state = initial_state(shape(8, 6, 2, 2), 9);
  const std::vector<Cut> cuts = all_cuts(layer, 2);
  PredictorTrainer trainer(state, rule, Device::kCpu);
  const double before = trainer.learn(std::span(&layer, 1), cuts);
  TrainerState after = trainer.state();
  {
    const PredictorTrainer untouched(state, rule, Device::kCpu);
    EXPECT_NEAR(before, mean_loss(untouched.logits(std::span(&layer, 1), cuts), layer, cuts, rule), 1e-6);
  }
  const auto names = tensors_of(state.weights);
  const auto moved = tensors_of(after.weights);
  int checked = 0;
  for (std::size_t t = 0; t < names.size(); ++t) {
    std::vector<float>& values = *names[t].second;
    for (std::size_t i = 0; i < values.size(); i += std::max<std::size_t>(1, values.size() / 5)) {
      const float kept = values[i];
      double sides[2];
      for (const int side : {0, 1}) {
        values[i] = kept + (side == 0 ? -2e-2F : 2e-2F);
        const PredictorTrainer probe(state, rule, Device::kCpu);
        sides[side] = mean_loss(probe.logits(std::span(&layer, 1), cuts), layer, cuts, rule);
      }
      values[i] = kept;
      const double slope = (sides[1] - sides[0]) / 4e-2;
      if (std::abs(slope) < 2e-3) continue;  // rounding may turn its sign
      const double step = static_cast<double>((*moved[t].second)[i]) - static_cast<double>(kept);
      EXPECT_NEAR(step, slope > 0 ? -1e-3 : 1e-3, 1e-4) << names[t].first << " " << i;
      ++checked;
    }
  }
  EXPECT_GE(checked, 10);
}

TEST(FocalLoss, IsTheFormulaOfThePaper) {
  const LearningRule rule;
  for (const double logit : {-30.0, -2.0, 0.0, 0.7, 30.0}) {
    const double p = 1 / (1 + std::exp(-logit));
    const double q = 1 / (1 + std::exp(logit));
    EXPECT_NEAR(focal_loss(logit, true, rule), -1.3 * q * q * std::log(p), 1e-9 * (1 + std::abs(logit)));
    EXPECT_NEAR(focal_loss(logit, false, rule), -p * p * std::log(q), 1e-9 * (1 + std::abs(logit)));
  }
}

TEST(PredictorTrainer, BeginsFromWeightsOfItsSeed) {
  const auto start = [](std::uint64_t seed) { return initial_state(shape(8, 6, 2, 2), seed).weights; };
  EXPECT_EQ(start(1).mlp0_weight, start(1).mlp0_weight);
  EXPECT_NE(start(1).mlp0_weight, start(2).mlp0_weight);
  EXPECT_NE(start(1).in_proj_weight, start(2).in_proj_weight);
}

TEST(PredictorTrainer, LearnsWhereSegmentsEnd) {
  const LabelledKeys seen = segments(8000, 1, 8, 1);
  const LabelledKeys unseen = segments(400, 1, 8, 2);
  LearningRule rule;
  rule.learning_rate = 5e-3;
  const TrainerState start = initial_state(shape(8, 16, 2, 4), 1);
  PredictorTrainer trainer(start, rule, Device::kCpu);
  const std::vector<Cut> cuts = all_cuts(seen, 4);
  for (int pass = 0; pass < 4; ++pass) {
    for (std::size_t at = 0; at + 256 <= cuts.size(); at += 256) {
      trainer.learn(std::span(&seen, 1), std::span(cuts).subspan(at, 256));
    }
  }
  const HeldOutQuality before = measure_predictor(start.weights, std::span(&unseen, 1), rule);
  const HeldOutQuality after = measure_predictor(trainer.state().weights, std::span(&unseen, 1), rule);
  EXPECT_LT(after.loss, 0.5 * before.loss);
  EXPECT_NEAR(after.positives, 1.0 / 11, 0.01);
  EXPECT_NEAR(after.trivial_f1, 2 * after.positives / (1 + after.positives), 1e-12);
  EXPECT_GT(after.f1, 1.5 * after.trivial_f1);
}

// The demo model on made-up sentences: small, but all that the command does.
class Training : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    model = Gemma2::load(kDemo);
    tokenizer = Tokenizer::load(kDemo / "tokenizer.model");
    std::string text;
    for (int i = 0; i < 160; ++i) {
      text += "The keeper of the lighthouse counted " + std::to_string(i * 37 % 101) +
              " ships. Then rain came over the bay, and nobody spoke.\n";
    }
    texts = {{"made-up", tokenizer->encode(text, false).ids}};
    settings.hidden = 8;
    settings.min_tokens = 64;
    settings.max_tokens = 128;
    settings.batch = 128;
    settings.cuts = 512;
    settings.seed = 7;
  }
  static TrainingOptions options(std::int64_t sequences) {
    TrainingOptions options;
    options.sequences = sequences;
    options.measure_every = 2;
    options.held_out = 2;
    return options;
  }
  static TrainedPredictor train(const TrainingOptions& how) {
    return train_predictor(*model, tokenizer->bos(), texts, settings, how);
  }
  static std::string file_of(const PredictorWeights& weights, const std::filesystem::path& path) {
    write_predictor(path, weights);
    return read_file(path);
  }
  static inline std::shared_ptr<const Gemma2> model;
  static inline std::shared_ptr<const Tokenizer> tokenizer;
  static inline std::vector<TrainingText> texts;
  static inline TrainingSettings settings;
  ScratchFolder folder;
};

TEST_F(Training, ResumedGivesTheBytesOfAnUninterruptedOne) {
  const TrainedPredictor whole = train(options(5));
  TrainingOptions part = options(3);
  part.checkpoint = folder / "c";
  static_cast<void>(train(part));
  part.sequences = 5;
  part.resume = true;
  const TrainedPredictor resumed = train(part);
  EXPECT_EQ(resumed.steps, whole.steps);
  EXPECT_EQ(file_of(resumed.weights, folder / "a"), file_of(whole.weights, folder / "b"));
  // Going on did change something.
  EXPECT_NE(file_of(train(options(3)).weights, folder / "d"), read_file(folder / "b"));
}

TEST_F(Training, CancelledKeepsWhatWholeSequencesTaught) {
  CancelToken cancel;
  TrainingOptions how = options(6);
  how.checkpoint = folder / "c";
  how.cancel = &cancel;
  how.progress = [&](const TrainingProgress& state) {
    if (state.sequence == 3 && state.phase == TrainingProgress::Phase::kLearning) cancel.cancel();
  };
  const TrainedPredictor cut = train(how);
  EXPECT_TRUE(cut.cancelled);
  EXPECT_EQ(cut.sequences, 3);
  EXPECT_EQ(file_of(cut.weights, folder / "a"), file_of(train(options(3)).weights, folder / "b"));
  const TrainingCheckpoint kept = read_checkpoint(folder / "c");
  EXPECT_EQ(kept.sequences, 3);
  // The hash of its texts is the one that earlier checkpoints hold.
  std::uint64_t hash = 1469598103934665603U;
  std::vector<std::int32_t> ids = texts.front().ids;
  ids.push_back(-1);
  for (const std::int32_t id : ids) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
      hash = (hash ^ (static_cast<std::uint32_t>(id) >> shift & 0xffU)) * 1099511628211U;
    }
  }
  char texts_hash[17];
  std::snprintf(texts_hash, sizeof texts_hash, "%016llx", static_cast<unsigned long long>(hash));
  EXPECT_EQ(nlohmann::json::parse(kept.identity)["texts"], texts_hash);
  EXPECT_NO_THROW(static_cast<void>(BoundaryPredictor::load(folder / "a")));
}

TEST_F(Training, TheSeedDecidesEveryByte) {
  const auto trained_with = [&](std::uint64_t seed, const char* name) {
    TrainingSettings seeded = settings;
    seeded.seed = seed;
    const TrainedPredictor trained = train_predictor(*model, tokenizer->bos(), texts, seeded, options(2));
    return file_of(trained.weights, folder / name);
  };
  const std::string first = trained_with(7, "a");
  EXPECT_EQ(trained_with(7, "b"), first);
  EXPECT_NE(trained_with(8, "c"), first);
}

TEST_F(Training, APredictorOfAnotherModelIsRefused) {
  const BoundaryPredictor other(initial_state(shape(24, 4, 2, 2), 1).weights);
  const LabelledKeys keys = segments(40, 2, 64, 3);  // of the demo model's shape
  const std::string sentence = error_of([&] { static_cast<void>(other.logits(keys.view())); });
  expect_mentions(sentence, "keys of 24 channels, the model has 128");
  EXPECT_EQ(std::count(sentence.begin(), sentence.end(), '.'), 1) << sentence;
}

TEST_F(Training, RefusesWhatCannotBe) {
  TrainingOptions how = options(2);
  how.checkpoint = folder / "c";
  static_cast<void>(train(how));
  how.resume = true;
  TrainingSettings other = settings;
  other.seed = 8;
  expect_mentions(error_of([&] { static_cast<void>(train_predictor(*model, tokenizer->bos(), texts, other, how)); }),
                  "other settings");
  const std::vector<TrainingText> tiny = {{"tiny", {5, 6, 7}}};
  expect_mentions(
      error_of([&] { static_cast<void>(train_predictor(*model, tokenizer->bos(), tiny, settings, options(1))); }),
      "tiny has 3 tokens");
  other = settings;
  other.heads = 5;
  expect_mentions(error_of([&] { check_settings(other, 128); }), "heads is 5");
  other = settings;
  other.rule.learning_rate = std::nan("");
  expect_mentions(error_of([&] { check_settings(other, 128); }), "learning-rate");
}

TEST_F(Training, DamagedCheckpointsAreRefused) {
  TrainingCheckpoint checkpoint;
  checkpoint.identity = "{}";
  checkpoint.sequences = 2;
  checkpoint.state = initial_state(shape(8, 4, 2, 2), 1);
  write_checkpoint(folder / "c", checkpoint);
  const std::string bytes = read_file(folder / "c");
  EXPECT_EQ(read_checkpoint(folder / "c").state.weights.mlp0_weight, checkpoint.state.weights.mlp0_weight);
  for (const std::size_t length : {std::size_t{0}, std::size_t{7}, bytes.size() / 2, bytes.size() - 1}) {
    write_file(folder / "t", bytes.substr(0, length));
    static_cast<void>(error_of([&] { static_cast<void>(read_checkpoint(folder / "t")); }));
    static_cast<void>(error_of([&] { static_cast<void>(BoundaryPredictor::load(folder / "t")); }));
  }
  write_predictor(folder / "p", checkpoint.state.weights);
  expect_mentions(error_of([&] { static_cast<void>(read_checkpoint(folder / "p")); }), "adam.first_moment");
  checkpoint.state.second_moment[0] = -1;
  write_checkpoint(folder / "n", checkpoint);
  expect_mentions(error_of([&] { static_cast<void>(read_checkpoint(folder / "n")); }), "adam.second_moment");
}

// The shipped predictor belongs to the demo model.
TEST_F(Training, ShippedPredictorFindsMoreBoundariesThanChance) {
  const auto shipped = BoundaryPredictor::load(kDemo / "predictor.safetensors");
  std::vector<std::int32_t> ids = {tokenizer->bos()};
  const auto& all = texts.front().ids;
  ids.insert(ids.end(), all.begin(), all.begin() + 700);
  const auto layers = label_sequence(*model, ids, shipped->boundary_window());
  ASSERT_EQ(static_cast<std::int64_t>(layers.size()), model->config().layers);
  const HeldOutQuality quality = measure_predictor(shipped->weights(), layers, {});
  EXPECT_GT(quality.f1, quality.trivial_f1);
}

}  // namespace
}  // namespace dhsa
