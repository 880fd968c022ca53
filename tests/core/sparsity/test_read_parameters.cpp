// What the table says of when a parameter is read, against what the planners do.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "core/sparsity/parameters.h"
#include "core/sparsity/planner.h"
#include "tests/support/slow_predictor.h"

namespace dhsa {
namespace {

constexpr std::int64_t kTokens = 96;
constexpr std::int64_t kDim = 8;
constexpr int kLayers = 3;  // global, local, global

struct Case {
  std::vector<float> numbers;
  DocumentInfo document{kTokens, {11, 23, 37, 52, 64, 79, 90}};
  std::shared_ptr<const BoundaryPredictor> predictor;  // may be null

  Case(unsigned seed, bool learned) {
    std::mt19937 random(seed);
    if (learned) {
      predictor = std::make_shared<const BoundaryPredictor>(drawn_predictor(random, 2 * kDim, 8, 2, 3, true));
    }
    std::normal_distribution<float> normal;
    numbers.resize(static_cast<std::size_t>(kLayers * (4 + 2) * kTokens * kDim));
    for (float& number : numbers) number = 2 * normal(random);
  }
  [[nodiscard]] HeadsView view(int layer, std::int64_t first, std::int64_t heads) const {
    const float* data = numbers.data() + (layer * 6 + first) * kTokens * kDim;
    return {data, DType::kFloat32, heads, kTokens, kDim, kTokens * kDim, kDim};
  }
  // The masks of all layers, as text.
  [[nodiscard]] std::string masks(const SparsityParameters& parameters) const {
    const std::unique_ptr<Planner> planner = make_planner(parameters, document, predictor);
    std::string text;
    for (int layer = 0; layer < kLayers; ++layer) {
      LayerInfo info;
      info.index = layer;
      info.scale = 0.35F;
      info.window = layer == 1 ? 48 : 0;
      const Plan plan = planner->plan(view(layer, 0, 4), view(layer, 4, 2), info, nullptr);
      for (int head = 0; head < 4; ++head) {
        for (std::int64_t row = 0; row < kTokens; ++row) {
          for (std::int64_t key = 0; key <= row; ++key)
            text += plan.mask.kept(plan.mask.mask_head(head, 4), row, key) ? '1' : '0';
        }
      }
    }
    return text;
  }
};

template <class Random>
OptionValue some_value(const OptionInfo& info, Random& random) {
  static const std::map<std::string, std::vector<double>> small = {
      {"budget", {24, 32, 40}},     {"sink-tokens", {0, 2, 5}},          {"local-tokens", {1, 4, 9}},
      {"query-block", {4, 8, 16}},  {"mass", {0.5, 0.8, 0.95}},          {"min-budget", {8, 12, 16}},
      {"max-budget", {24, 40, 64}}, {"instruction-tokens", {0, 7, 20}},  {"block-size", {2, 4, 8}},
      {"oracle-rows", {1, 4, 16}},  {"chunks-per-block", {0.5, 1, 2}},   {"boundary-window", {1, 2, 5}},
      {"nms-distance", {0, 3, 12}}, {"boundary-threshold", {0, 0.5, 1}}, {"chunk-length", {4, 8, 13}},
      {"score-rows", {0, 1, 3}},    {"score-last-rows", {0, 5, 30}},     {"candidates", {0, 1.5, 2}}};
  if (info.kind == OptionInfo::Kind::kFlag) return random() % 2 == 0;
  if (info.kind == OptionInfo::Kind::kFile) return std::string(random() % 2 == 0 ? "" : "other.safetensors");
  if (!info.numeric()) return info.choices[random() % info.choices.size()];
  return small.at(info.key)[random() % 3];
}

// With a predictor, "auto" and "learned" are the same; without one there is no "learned".
TEST(ReadParameters, ThoseThatAreNotReadChangeNoMaskAndThoseThatAreDo) {
  std::mt19937 random(7);
  std::set<std::string> never_mattered;
  for (const auto& option : parameter_table()) never_mattered.insert(option.key);
  int unread = 0;
  for (const bool learned : {false, true}) {
    const Case data(3, learned);
    for (int round = 0; round < 400; ++round) {
      SparsityParameters base;
      for (const auto& option : parameter_table()) option.set(base, some_value(option, random));
      if (!learned && base.boundaries == BoundarySource::kLearned) base.boundaries = BoundarySource::kAuto;
      if (round % 2 == 0) base.method = Method::kDhsa;
      const std::string masks = data.masks(base);
      const auto with = [&](SparsityParameters parameters, const Option<SparsityParameters>& option) {
        option.set(parameters, some_value(option, random));
        if (!learned && parameters.boundaries == BoundarySource::kLearned) option.set(parameters, option.get(base));
        return parameters;
      };
      // All that is not read changes at once; only where that made a difference is each tried by itself.
      SparsityParameters others = base;
      std::vector<std::pair<std::string, SparsityParameters>> each;
      for (const auto& option : parameter_table()) {
        const SparsityParameters changed = with(base, option);
        if (changed == base) continue;
        if (is_read(base, option.key, learned)) {
          if (never_mattered.contains(option.key) && data.masks(changed) != masks) never_mattered.erase(option.key);
          continue;
        }
        option.set(others, option.get(changed));
        each.emplace_back(option.key, changed);
      }
      unread += static_cast<int>(each.size());
      if (others == base || data.masks(others) == masks) continue;
      ADD_FAILURE() << "what is not read, it says, changed a mask in " << nlohmann::json(base).dump();
      for (const auto& [key, changed] : each) EXPECT_EQ(data.masks(changed), masks) << key;
    }
  }
  EXPECT_GT(unread, 2000);
  never_mattered.erase("predictor");  // names a file, which no planner opens
  EXPECT_TRUE(never_mattered.empty()) << *never_mattered.begin() << " is read, it says, and changed nothing";
}

// What "auto" reads is what it stands for; which file that is decided by is read in any case.
TEST(ReadParameters, OfTheSourceThatAutoStandsFor) {
  SparsityParameters p;
  p.boundaries = BoundarySource::kAuto;
  EXPECT_TRUE(is_read(p, "boundary-window", false));
  EXPECT_FALSE(is_read(p, "boundary-window", true));
  EXPECT_TRUE(is_read(p, "predictor", false));
  EXPECT_TRUE(is_read(p, "predictor", true));
  EXPECT_TRUE(is_read(p, "nms-distance", true));
  p.boundaries = BoundarySource::kKeyShift;
  EXPECT_TRUE(is_read(p, "boundary-window", true));
  EXPECT_FALSE(is_read(p, "predictor", true));
}

// The panel showed what presets do not look at.
TEST(ReadParameters, OfThePresets) {
  SparsityParameters p;
  EXPECT_TRUE(is_read(p, "pooling"));
  EXPECT_FALSE(is_read(p, "score-last-rows"));
  EXPECT_FALSE(is_read(p, "mass"));
  apply_preset(p, "best");
  for (const char* key : {"pooling", "chunks-per-block", "boundary-window", "nms-distance", "share-boundaries"}) {
    EXPECT_FALSE(is_read(p, key)) << key;
  }
  for (const char* key : {"chunk-length", "score-rows", "score-last-rows", "candidates", "budget", "query-block"}) {
    EXPECT_TRUE(is_read(p, key)) << key;
  }
  p.boundaries = BoundarySource::kSentence;
  EXPECT_TRUE(is_read(p, "nms-distance"));
  EXPECT_FALSE(is_read(p, "boundary-threshold"));
  p.selection = Selection::kThreshold;
  EXPECT_FALSE(is_read(p, "budget"));
  EXPECT_FALSE(is_read(p, "candidates"));
  EXPECT_TRUE(is_read(p, "max-budget"));
  p = {};
  p.method = Method::kDense;
  for (const auto& option : parameter_table()) EXPECT_EQ(option.is_read(p), option.key == "method") << option.key;
}

}  // namespace
}  // namespace dhsa
