// Masks of make_planner() against those of the slow twins, on many random small cases.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>
#include <vector>

#include "core/base/parallel.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/sparsity/planner.h"
#include "tests/core/sparsity/twin.h"
#include "tests/support/slow_predictor.h"

namespace dhsa {
namespace {

class TwinTest : public testing::Test {
 protected:
  void SetUp() override { set_compute_threads(0); }
  // Few choices may be left open, else the test says nothing.
  void TearDown() override {
    for (const auto& [method, count] : rows_) {
      EXPECT_LE(count.open, count.all / 20) << "of " << count.all << " rows of " << name_of(method);
    }
  }

  std::int64_t whole(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random_);
  }
  double real(double least, double most) { return std::uniform_real_distribution<double>(least, most)(random_); }
  bool coin() { return whole(0, 1) == 1; }

  twin::Text draw_text() {
    twin::Text text;
    text.tokens = static_cast<int>(whole(0, 9) == 0 ? whole(1, 12) : whole(1, 300));
    text.kv_heads = static_cast<int>(whole(1, 2));
    text.heads = text.kv_heads * static_cast<int>(whole(1, 3));
    text.dim = 4 << whole(0, 2);
    fill(text);
    for (std::int32_t j = 0; j < text.tokens; ++j) {
      if (whole(0, 11) == 0) text.sentence_ends.push_back(j);
    }
    return text;
  }
  void fill(twin::Text& text) {
    std::normal_distribution<float> normal;
    text.q.resize(static_cast<std::size_t>(text.heads * text.tokens * text.dim));
    text.k.resize(static_cast<std::size_t>(text.kv_heads * text.tokens * text.dim));
    // The twin reads what is left of a value in the type under test.
    const auto drawn = [&] {
      const float value = normal(random_);
      return type_ == DType::kBFloat16 ? bfloat16_to_float(float_to_bfloat16(value)) : value;
    };
    for (float& value : text.q) value = drawn();
    for (float& value : text.k) value = drawn();
  }
  LayerInfo draw_layer(const twin::Text& text) {
    LayerInfo layer;
    layer.window = coin() ? whole(1, 160) : 0;
    layer.scale = static_cast<float>(real(0.7, 1.6)) / std::sqrt(static_cast<float>(text.dim));
    layer.softcap = coin() ? 4.0F : 0.0F;
    return layer;
  }
  // What all methods have; budgets from a few keys to more than the text.
  SparsityParameters draw_parameters(Method method, const twin::Text& text) {
    SparsityParameters p;
    p.method = method;
    p.sink_tokens = coin() ? whole(0, 12) : 0;
    p.local_tokens = whole(1, 24);
    p.budget = p.sink_tokens + p.local_tokens + (coin() ? whole(0, 20) : whole(0, text.tokens));
    p.query_block = whole(1, 48);
    p.instruction_tokens = coin() ? whole(0, text.tokens / 3) : 0;
    if (whole(0, 19) == 0) p.instruction_tokens = whole(0, text.tokens + 5);
    p.block_size = whole(1, 40);
    p.oracle_rows = coin() ? 1 : whole(1, 20);
    p.mask_heads = static_cast<MaskHeads>(whole(0, 2));
    p.boundaries = static_cast<BoundarySource>(whole(1, 5));
    p.boundary_window = whole(1, 5);
    p.nms_distance = whole(0, 12);
    p.boundary_threshold = coin() ? real(0.2, 1.5) : 0;
    p.chunks_per_block = real(0.3, 6);
    p.chunk_length = whole(1, 30);
    p.pooling = static_cast<Pooling>(whole(0, 1));
    p.scores = static_cast<ChunkScoring>(whole(0, 3));
    p.query_grouping = static_cast<QueryGrouping>(whole(0, 1));
    p.score_rows = coin() ? whole(1, 9) : 0;
    p.score_last_rows = coin() ? whole(1, 40) : 0;
    p.mass = real(0.1, 0.95);
    p.max_budget = std::max(p.budget, whole(1, 200));
    p.min_budget = whole(1, p.max_budget);
    return p;
  }
  std::unique_ptr<PredictorWeights> draw_predictor(const twin::Text& text) {
    const int channels = text.kv_heads * text.dim;
    return std::make_unique<PredictorWeights>(
        drawn_predictor(random_, channels, 6, 2, static_cast<int>(whole(1, 4)), coin()));
  }

  static std::unique_ptr<Planner> planner_of(const SparsityParameters& p, const twin::Text& text,
                                             const PredictorWeights* predictor) {
    return make_planner(p, {text.tokens, text.sentence_ends},
                        predictor == nullptr ? nullptr : std::make_shared<const BoundaryPredictor>(*predictor));
  }
  [[nodiscard]] Plan plan(Planner& planner, const twin::Text& text, const LayerInfo& layer) const {
    const Stored q = stored(text.q, text.heads, text.tokens, text.dim);
    const Stored k = stored(text.k, text.kv_heads, text.tokens, text.dim);
    return planner.plan(q.view, k.view, layer, nullptr);
  }

  // How plan() hands over queries and keys: as [heads, tokens, dim] without gaps, or token by token, all heads of one
  // beside each other as a projection leaves them, with NaN between them that nobody may read.
  DType type_ = DType::kFloat32;
  bool gaps_ = false;

  // One text, one layer.
  void check(const SparsityParameters& p, const twin::Text& text, const LayerInfo& layer) {
    const bool learned = p.method == Method::kDhsa && p.boundaries == BoundarySource::kLearned;
    const auto predictor = learned ? draw_predictor(text) : nullptr;
    expect_same(plan(*planner_of(p, text, predictor.get()), text, layer),
                twin::mask_of(p, text, layer, predictor.get()), p, text, layer);
  }
  void expect_same(const Plan& plan, const twin::Mask& twin, const SparsityParameters& p, const twin::Text& text,
                   const LayerInfo& layer) {
    const auto what = [&] {
      return nlohmann::json(p).dump() + " tokens " + std::to_string(text.tokens) + " heads " +
             std::to_string(text.heads) + "/" + std::to_string(text.kv_heads) + " window " +
             std::to_string(layer.window);
    };
    Rows& count = rows_[p.method];
    count.all += text.tokens;
    if (twin.boundaries.open) {
      count.open += text.tokens;
      return;
    }
    if (p.method == Method::kDhsa) {
      ASSERT_EQ(plan.trace.boundaries, twin.boundaries.edges) << what();
      ASSERT_EQ(plan.trace.boundary_scores.size(), twin.boundaries.scores.size());
      for (std::size_t j = 0; j < twin.boundaries.scores.size(); ++j) {
        expect_near(plan.trace.boundary_scores[j], twin.boundaries.scores[j], 1e-4, what);
      }
    }
    const KeyMask& mask = plan.mask;
    ASSERT_EQ(mask.rows(), text.tokens);
    ASSERT_EQ(mask.window(), layer.window);
    ASSERT_EQ(mask.heads(), static_cast<int>(twin.kept.size())) << what();
    expect_same_scores(plan, twin, what);
    std::vector<KeyRange> ranges;
    for (int m = 0; m < mask.heads(); ++m) {
      for (int i = 0; i < text.tokens; ++i) {
        if (twin.open[m][i]) {
          if (m == 0) ++count.open;
          continue;
        }
        std::vector<bool> kept(static_cast<std::size_t>(text.tokens), false);
        mask.row_ranges(m, i, ranges);
        for (const KeyRange range : ranges) std::fill(kept.begin() + range.begin, kept.begin() + range.end, true);
        ASSERT_EQ(kept, twin.kept[m][i]) << "mask head " << m << " row " << i << " " << what();
      }
    }
  }

 private:
  struct Stored {
    std::vector<float> wide;
    std::vector<std::uint16_t> narrow;
    HeadsView view;
  };
  [[nodiscard]] Stored stored(const std::vector<float>& values, int heads, int tokens, int dim) const {
    Stored to;
    HeadsView view = heads_view(nullptr, heads, tokens, dim);
    view.type = type_;
    if (gaps_) {
      view.head_stride = dim + 3;
      view.row_stride = heads * view.head_stride + 5;
    }
    const auto size = static_cast<std::size_t>(gaps_ ? tokens * view.row_stride : heads * view.head_stride);
    to.wide.assign(size, std::numeric_limits<float>::quiet_NaN());
    for (int h = 0; h < heads; ++h) {
      for (int i = 0; i < tokens; ++i) {
        std::copy_n(values.begin() + (h * tokens + i) * dim, dim, to.wide.begin() + view.offset(h, i));
      }
    }
    view.data = to.wide.data();
    if (type_ == DType::kBFloat16) {
      for (const float value : to.wide) to.narrow.push_back(float_to_bfloat16(value));
      view.data = to.narrow.data();
    }
    to.view = view;  // what it points to moves with the vectors
    return to;
  }

  template <class What>
  static void expect_near(float ours, double twins, double tolerance, const What& what) {
    ASSERT_EQ(std::isnan(ours), std::isnan(twins)) << what();
    if (!std::isnan(twins)) {
      ASSERT_NEAR(static_cast<double>(ours), twins, tolerance * std::max(1.0, std::abs(twins))) << what();
    }
  }
  template <class What>
  static void expect_same_scores(const Plan& plan, const twin::Mask& twin, const What& what) {
    std::size_t at = 0;
    for (const auto& of_head : twin.chunk_scores) {
      for (const auto& of_group : of_head) {
        for (const double score : of_group) {
          ASSERT_LT(at, plan.trace.chunk_scores.size());
          expect_near(plan.trace.chunk_scores[at++], score, 1e-4, what);
        }
      }
    }
    ASSERT_EQ(at, plan.trace.chunk_scores.size()) << what();
  }

  std::mt19937 random_{12};
  struct Rows {
    std::int64_t all = 0;
    std::int64_t open = 0;  // where the twin leaves the choice open
  };
  std::map<Method, Rows> rows_;
};

TEST_F(TwinTest, EveryMethodButDhsa) {
  for (const Method method :
       {Method::kDense, Method::kWindowSinks, Method::kBlockSparse, Method::kVerticalSlash, Method::kTokenTopK}) {
    for (int n = 0; n < 60 && !HasFatalFailure(); ++n) {
      const twin::Text text = draw_text();
      check(draw_parameters(method, text), text, draw_layer(text));
    }
  }
}

// What is not named is drawn: mask heads, pooling, scored rows, query groups, sinks, local keys, instruction, ...
TEST_F(TwinTest, DhsaWithEveryBoundarySourceScoreAndSelection) {
  enum class Keep { kChunks, kThreshold, kTokens };
  for (const BoundarySource source : {BoundarySource::kLearned, BoundarySource::kAttentionMass,
                                      BoundarySource::kKeyShift, BoundarySource::kSentence, BoundarySource::kFixed}) {
    for (const ChunkScoring scores :
         {ChunkScoring::kMean, ChunkScoring::kMoments, ChunkScoring::kBands, ChunkScoring::kBounds}) {
      for (const Keep keep : {Keep::kChunks, Keep::kThreshold, Keep::kTokens}) {
        for (int n = 0; n < 7 && !HasFatalFailure(); ++n) {
          const twin::Text text = draw_text();
          SparsityParameters p = draw_parameters(Method::kDhsa, text);
          p.boundaries = source;
          p.scores = scores;
          p.selection = keep == Keep::kThreshold ? Selection::kThreshold : Selection::kBudget;
          p.candidates = keep == Keep::kTokens ? real(1, 4) : 0;
          check(p, text, draw_layer(text));
        }
      }
    }
  }
}

// What a model hands over is not always float32 without gaps.
TEST_F(TwinTest, EveryMethodOnBfloat16AndOnViewsWithGaps) {
  for (const auto& [type, gaps] :
       {std::pair(DType::kFloat32, true), std::pair(DType::kBFloat16, false), std::pair(DType::kBFloat16, true)}) {
    type_ = type;
    gaps_ = gaps;
    for (const Method method : {Method::kDense, Method::kWindowSinks, Method::kBlockSparse, Method::kVerticalSlash,
                                Method::kTokenTopK, Method::kDhsa}) {
      for (int n = 0; n < (method == Method::kDhsa ? 40 : 12) && !HasFatalFailure(); ++n) {
        const twin::Text text = draw_text();
        SparsityParameters p = draw_parameters(method, text);
        if (n % 4 == 1) p.selection = Selection::kThreshold;
        if (n % 4 >= 2) p.candidates = real(1, 4);
        check(p, text, draw_layer(text));
      }
    }
  }
}

TEST_F(TwinTest, AutoIsLearnedWhereThereIsAPredictor) {
  for (int n = 0; n < 4 && !HasFatalFailure(); ++n) {
    const twin::Text text = draw_text();
    const LayerInfo layer = draw_layer(text);
    SparsityParameters p = draw_parameters(Method::kDhsa, text);
    p.boundaries = BoundarySource::kAuto;
    expect_same(plan(*planner_of(p, text, nullptr), text, layer), twin::mask_of(p, text, layer, nullptr), p, text,
                layer);
    const auto predictor = draw_predictor(text);
    SparsityParameters learned = p;
    learned.boundaries = BoundarySource::kLearned;
    expect_same(plan(*planner_of(p, text, predictor.get()), text, layer),
                twin::mask_of(learned, text, layer, predictor.get()), p, text, layer);
  }
}

// A stack of local and global layers, one planner for all of them.
TEST_F(TwinTest, SharingBetweenLayers) {
  for (const Method method : {Method::kDhsa, Method::kBlockSparse, Method::kVerticalSlash, Method::kTokenTopK}) {
    for (int n = 0; n < 12 && !HasFatalFailure(); ++n) {
      twin::Text text = draw_text();
      SparsityParameters p = draw_parameters(method, text);
      p.share_boundaries = n % 2 == 1;
      p.share_masks = n % 4 >= 2;
      const auto predictor = draw_predictor(text);
      const auto planner = planner_of(p, text, predictor.get());
      LayerInfo layer = draw_layer(text);
      const std::int64_t window = whole(1, 100);
      std::vector<twin::Mask> twins;
      for (layer.index = 0; layer.index < 5 && !HasFatalFailure(); ++layer.index) {
        fill(text);
        layer.window = layer.index % 2 == 0 ? window : 0;
        const Plan planned = plan(*planner, text, layer);
        const bool shared = p.share_masks && layer.index >= 2;
        EXPECT_EQ(planned.shared, shared);
        if (shared) {
          twins.push_back(twins[static_cast<std::size_t>(layer.index) - 2]);
        } else {
          const bool first = twins.empty() || !p.share_boundaries || method != Method::kDhsa;
          twins.push_back(twin::mask_of(p, text, layer, predictor.get(), first ? nullptr : &twins[0].boundaries));
        }
        expect_same(planned, twins.back(), p, text, layer);
      }
    }
  }
}

// The one rule: own rows and sinks stay where the budget is smaller than both.
TEST_F(TwinTest, OwnRowsAndSinksOutrankTheBudget) {
  for (const Method method : {Method::kWindowSinks, Method::kVerticalSlash, Method::kDhsa}) {
    for (const double candidates : {0.0, 2.0}) {
      twin::Text text = draw_text();
      text.tokens = 290;
      text.sentence_ends.clear();
      fill(text);
      SparsityParameters p;
      p.method = method;
      p.budget = 16;
      p.sink_tokens = 4;
      p.local_tokens = 8;
      p.query_block = 64;
      p.candidates = candidates;
      const LayerInfo layer{0, 0, 0.3F, 0.0F};
      check(p, text, layer);
      const KeyMask mask = plan(*planner_of(p, text, nullptr), text, layer).mask;
      for (const std::int64_t row : {64, 200, 289}) {
        EXPECT_TRUE(mask.kept(0, row, 0) && mask.kept(0, row, 3)) << name_of(method);
        EXPECT_FALSE(mask.kept(0, row, 4)) << name_of(method);
        EXPECT_EQ(mask.kept_keys(0, row), 4 + row % 64 + 1) << name_of(method);
      }
    }
  }
}

}  // namespace
}  // namespace dhsa
