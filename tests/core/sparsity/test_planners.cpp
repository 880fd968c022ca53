#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "core/base/parallel.h"
#include "core/sparsity/planner.h"

namespace dhsa {
namespace {

struct Layer {
  std::int64_t heads, kv_heads, tokens, dim;
  std::vector<float> q, k;
  Layer(std::int64_t h, std::int64_t hkv, std::int64_t l, std::int64_t d, unsigned seed = 1)
      : heads(h), kv_heads(hkv), tokens(l), dim(d) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    q.resize(static_cast<std::size_t>(h * l * d));
    k.resize(static_cast<std::size_t>(hkv * l * d));
    for (float& value : q) value = normal(random);
    for (float& value : k) value = normal(random);
  }
  [[nodiscard]] HeadsView queries() const { return heads_view(q.data(), heads, tokens, dim); }
  [[nodiscard]] HeadsView keys() const { return heads_view(k.data(), kv_heads, tokens, dim); }
};

SparsityParameters small_parameters(Method method) {
  SparsityParameters p;
  p.method = method;
  p.budget = 48;
  p.sink_tokens = 4;
  p.local_tokens = 16;
  p.query_block = 16;
  p.block_size = 16;
  p.chunk_length = 10;
  return p;
}

Plan plan_of(const SparsityParameters& p, const Layer& layer, std::int64_t window = 0) {
  LayerInfo info;
  info.window = window;
  info.scale = 1.0F / std::sqrt(static_cast<float>(layer.dim));
  info.softcap = 50.0F;
  DocumentInfo document;
  document.tokens = layer.tokens;
  for (std::int32_t at = 12; at < layer.tokens; at += 17) document.sentence_ends.push_back(at);
  return make_planner(p, document)->plan(layer.queries(), layer.keys(), info, nullptr);
}

std::vector<SparsityParameters> many_parameters() {
  std::vector<SparsityParameters> list;
  for (const Method method : all_methods()) list.push_back(small_parameters(method));
  for (const BoundarySource source :
       {BoundarySource::kAttentionMass, BoundarySource::kKeyShift, BoundarySource::kSentence, BoundarySource::kFixed}) {
    for (const ChunkScoring scoring :
         {ChunkScoring::kMean, ChunkScoring::kMoments, ChunkScoring::kBands, ChunkScoring::kBounds}) {
      for (const MaskHeads heads : {MaskHeads::kShared, MaskHeads::kPerKvHead, MaskHeads::kPerHead}) {
        SparsityParameters p = small_parameters(Method::kDhsa);
        p.boundaries = source;
        p.scores = scoring;
        p.mask_heads = heads;
        p.score_rows = source == BoundarySource::kFixed ? 4 : 0;
        p.query_grouping = source == BoundarySource::kSentence ? QueryGrouping::kChunks : QueryGrouping::kFixed;
        p.selection = heads == MaskHeads::kPerKvHead ? Selection::kThreshold : Selection::kBudget;
        p.min_budget = 24;
        p.max_budget = 64;
        p.mass = 0.5;
        list.push_back(p);
      }
    }
  }
  for (SparsityParameters p : {small_parameters(Method::kTokenTopK), small_parameters(Method::kVerticalSlash)}) {
    p.mask_heads = MaskHeads::kPerHead;
    p.oracle_rows = 4;
    list.push_back(p);
  }
  return list;
}

// Keys in the group's list, seen by no row or by some.
std::int64_t listed_keys(const KeyMask& mask, int head, std::int64_t group) {
  std::int64_t keys = 0;
  for (const KeyRange range : mask.ranges(head, group)) keys += range.size();
  return keys;
}

TEST(Planners, ABudgetOverTheDocumentKeepsEverything) {
  set_compute_threads(1);
  const Layer layer(4, 2, 150, 16);
  for (SparsityParameters p : many_parameters()) {
    p.budget = p.min_budget = p.max_budget = 100000;
    p.mass = 1.0;
    for (const std::int64_t window : {0, 40}) {
      const Plan plan = plan_of(p, layer, window);
      EXPECT_EQ(plan.mask.kept_pairs(), plan.mask.causal_pairs()) << nlohmann::json(p).dump() << " window " << window;
    }
  }
}

TEST(Planners, TheBudgetBoundsEveryGroup) {
  set_compute_threads(1);
  const Layer layer(4, 2, 333, 16);
  for (const SparsityParameters& p : many_parameters()) {
    if (p.method == Method::kDense) continue;
    const Plan plan = plan_of(p, layer);
    const std::int64_t most = p.selection == Selection::kThreshold ? p.max_budget : p.budget;
    for (int head = 0; head < plan.mask.heads(); ++head) {
      for (std::int64_t g = 0; g < plan.mask.groups(); ++g) {
        const auto rows = plan.mask.group_rows();
        const auto at = static_cast<std::size_t>(g);
        const std::int64_t own = rows[at + 1] - rows[at];
        EXPECT_LE(listed_keys(plan.mask, head, g), std::max(most, own)) << nlohmann::json(p).dump();
      }
    }
    if (p.method == Method::kDhsa && p.selection == Selection::kBudget && p.query_grouping == QueryGrouping::kFixed) {
      EXPECT_EQ(listed_keys(plan.mask, 0, plan.mask.groups() - 2), p.budget) << nlohmann::json(p).dump();
    }
  }
}

// On a local layer the last queries, whose attention is looked at, see no column of an early group.
TEST(Planners, VerticalSlashFillsTheBudgetWhereNoVerticalIsInTheWindow) {
  set_compute_threads(1);
  const Layer layer(4, 2, 333, 16);
  const SparsityParameters p = small_parameters(Method::kVerticalSlash);
  const Plan plan = plan_of(p, layer, 120);
  for (std::int64_t g = 6; g < plan.mask.groups(); ++g) {
    const std::int64_t keys = listed_keys(plan.mask, 0, g);
    EXPECT_GT(keys, p.budget - p.query_block) << "group " << g;  // the next slash may not fit
    EXPECT_LE(keys, p.budget) << "group " << g;
  }
}

TEST(Planners, TinyDocumentsWork) {
  set_compute_threads(1);
  for (const std::int64_t tokens : {1, 2, 3, 9}) {
    const Layer layer(2, 1, tokens, 8);
    for (SparsityParameters p : many_parameters()) {
      for (const std::int64_t window : {0, 1, 2}) {
        for (const std::int64_t instruction : {0, 1, 5}) {
          p.instruction_tokens = instruction;
          const Plan plan = plan_of(p, layer, window);
          ASSERT_EQ(plan.mask.rows(), tokens);
          EXPECT_EQ(plan.mask.kept_pairs(), plan.mask.causal_pairs()) << nlohmann::json(p).dump();
        }
      }
    }
  }
}

TEST(Planners, PlansDoNotDependOnTheNumberOfThreads) {
  const Layer layer(4, 2, 333, 16);
  const auto list = many_parameters();
  for (std::size_t at = 0; at < list.size(); at += at < 6 ? 1 : 7) {
    const SparsityParameters& p = list[at];
    set_compute_threads(1);
    const Plan one = plan_of(p, layer, 90);
    set_compute_threads(2);
    const Plan two = plan_of(p, layer, 90);
    EXPECT_EQ(one.mask, two.mask) << nlohmann::json(p).dump();
    EXPECT_EQ(one.trace.boundaries, two.trace.boundaries);
  }
}

// As they are delivered, over enough tokens that every stage has several blocks and the heads of a model differ.
TEST(Planners, PublishedAndBestDhsaDoNotDependOnTheNumberOfThreads) {
  const Layer layer(4, 2, 3000, 64);
  for (const Preset& preset : presets()) {
    if (preset.parameters.method != Method::kDhsa) continue;
    set_compute_threads(1);
    const Plan one = plan_of(preset.parameters, layer);
    ASSERT_LT(one.mask.density(), 0.95) << preset.name;
    for (const int threads : {2, 3}) {
      set_compute_threads(threads);
      const Plan more = plan_of(preset.parameters, layer);
      EXPECT_EQ(one.mask, more.mask) << preset.name << ", " << threads << " threads";
      EXPECT_EQ(one.trace.boundaries, more.trace.boundaries) << preset.name;
      ASSERT_EQ(one.trace.chunk_scores.size(), more.trace.chunk_scores.size());
      EXPECT_EQ(std::memcmp(one.trace.chunk_scores.data(), more.trace.chunk_scores.data(),
                            one.trace.chunk_scores.size() * sizeof(float)),
                0)
          << preset.name << ": scores, undefined ones included";
    }
  }
  set_compute_threads(0);
}

TEST(Planners, SayWhatTheyWereMadeOf) {
  SparsityParameters asked;
  asked.boundaries = BoundarySource::kAuto;
  asked.budget = 777;
  const auto planner = make_planner(asked, {50, {3, 9}});
  ASSERT_NE(planner->inputs(), nullptr);
  EXPECT_EQ(planner->inputs()->parameters, resolved(asked, false));
  EXPECT_EQ(planner->inputs()->document.sentence_ends, (std::vector<std::int32_t>{3, 9}));
}

}  // namespace
}  // namespace dhsa
