#include <gtest/gtest.h>

#include <cmath>

#include "core/sparsity/boundary_predictor.h"
#include "core/sparsity/parameters_name.h"
#include "tests/cuda/device_tensors.h"

namespace dhsa {
namespace {

struct Case {
  std::int64_t rows = 3000;
  std::int64_t window = 0;
  SparsityParameters parameters;
  std::int64_t dim = 64;
};

// Keys that drift along the text, so that chunks differ and boundary scores are not all alike.
TwoHeads drifting_heads(std::mt19937& random, std::int64_t heads, std::int64_t rows, std::int64_t dim) {
  std::normal_distribution<float> normal(0.0F, 1.0F);
  TwoHeads two;
  two.host = at::empty({heads, rows, dim}, at::TensorOptions().dtype(at::kBFloat16));
  auto* at = static_cast<std::uint16_t*>(two.host.data_ptr());
  std::vector<float> topic(static_cast<std::size_t>(dim), 0.0F);
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::int64_t i = 0; i < rows; ++i) {
      if (random() % 40 == 0) {
        for (float& x : topic) x = 2.0F * normal(random);
      }
      for (std::int64_t d = 0; d < dim; ++d) {
        *at++ = float_to_bfloat16(topic[static_cast<std::size_t>(d)] + normal(random));
      }
    }
  }
  two.device = on_cuda::to_device(two.host);
  return two;
}

std::shared_ptr<const BoundaryPredictor> random_predictor(std::int64_t channels, bool gate) {
  std::mt19937 random(11);
  const auto values = [&](std::int64_t n, float amplitude) {
    std::normal_distribution<float> normal(0.0F, amplitude);
    std::vector<float> made(static_cast<std::size_t>(n));
    for (float& x : made) x = normal(random);
    return made;
  };
  PredictorWeights w;
  w.channels = channels;
  w.hidden = 32;
  w.in_proj_weight = values(3 * channels * channels, 0.05F);
  w.in_proj_bias = values(3 * channels, 0.1F);
  w.out_proj_weight = values(channels * channels, 0.1F);
  w.out_proj_bias = values(channels, 0.1F);
  w.norm_weight = values(channels, 1.0F);
  w.norm_bias = values(channels, 0.1F);
  if (gate) w.gate_weight = values(channels, 0.2F);
  w.mlp0_weight = values(w.hidden * (4 * channels + 1), 0.05F);
  w.mlp0_bias = values(w.hidden, 0.1F);
  w.mlp2_weight = values(w.hidden, 0.3F);
  w.mlp2_bias = values(1, 0.1F);
  return std::make_shared<BoundaryPredictor>(std::move(w));
}

std::string name_of_case(const Case& c) {
  return parameters_name(c.parameters) + " rows " + std::to_string(c.rows) + " window " + std::to_string(c.window);
}

// Boundaries, scores and masks of the device against the CPU planner on the same bfloat16 tensors. Sums are taken in
// another order, so that two scores within float32 rounding may change places: a handful of pairs in a million.
void expect_same(const Case& c, std::uint32_t seed,
                 const std::shared_ptr<const BoundaryPredictor>& predictor = nullptr) {
  std::mt19937 random(seed);
  const TwoHeads q = drifting_heads(random, 8, c.rows, c.dim), k = drifting_heads(random, 4, c.rows, c.dim);
  const LayerInfo layer{0, c.window, 0.125F, 50.0F};
  DocumentInfo document;
  document.tokens = c.rows;
  for (std::int32_t t = 7; t < c.rows; t += 5 + t % 23) document.sentence_ends.push_back(t);
  const auto planner = make_planner(c.parameters, document, predictor);
  on_cuda::LayerAttention attention(*planner, c.rows);
  attention.plan(q.device, k.device, layer, nullptr);
  const Plan device = attention.host_plan();
  const Plan host = make_planner(c.parameters, document, predictor)->plan(q.view(), k.view(), layer, nullptr);

  SCOPED_TRACE(name_of_case(c));
  EXPECT_EQ(device.trace.boundaries, host.trace.boundaries);
  ASSERT_EQ(device.mask.rows(), host.mask.rows());
  ASSERT_EQ(device.mask.heads(), host.mask.heads());
  const std::int64_t both = device.mask.intersected(host.mask).kept_pairs();
  const std::int64_t apart = device.mask.kept_pairs() + host.mask.kept_pairs() - 2 * both;
  EXPECT_LE(static_cast<double>(apart), 1e-3 * static_cast<double>(host.mask.kept_pairs()));
  ASSERT_EQ(device.trace.boundary_scores.size(), host.trace.boundary_scores.size());
  for (std::size_t j = 0; j < host.trace.boundary_scores.size(); ++j) {
    const float a = device.trace.boundary_scores[j], b = host.trace.boundary_scores[j];
    ASSERT_EQ(std::isnan(a), std::isnan(b)) << j;
    if (!std::isnan(b)) ASSERT_NEAR(a, b, 1e-4 * (1.0 + std::abs(b))) << j;
  }
  ASSERT_EQ(device.trace.chunk_scores.size(), host.trace.chunk_scores.size());
  double largest = 0;
  for (const float score : host.trace.chunk_scores) {
    if (!std::isnan(score)) largest = std::max(largest, std::abs(static_cast<double>(score)));
  }
  for (std::size_t i = 0; i < host.trace.chunk_scores.size(); ++i) {
    const float a = device.trace.chunk_scores[i], b = host.trace.chunk_scores[i];
    ASSERT_EQ(std::isnan(a), std::isnan(b)) << i;
    if (!std::isnan(b)) ASSERT_NEAR(a, b, 1e-3 * std::abs(b) + 1e-5 * largest) << i;
  }
}

// `change` of the preset's parameters, on odd and even lengths, global and local.
template <class Change>
void expect_preset(const std::string& name, const Change& change) {
  std::uint32_t seed = 50;
  for (const std::int64_t rows : {1, 67, 777, 2301}) {
    for (const std::int64_t window : {0, 700}) {
      Case c{rows, window, named_parameters(name)};
      c.parameters.budget = 300;
      change(c.parameters);
      expect_same(c, ++seed);
    }
  }
}

TEST(CudaPlanning, MasksEqualTheCpu) {
  std::uint32_t seed = 1;
  for (const std::int64_t rows : {1, 2, 9, 130, 1000, 4099}) {
    for (const std::int64_t window : {0, 512}) {
      Case c{rows, window, {}};
      c.parameters.budget = 400;
      c.parameters.sink_tokens = 64;
      c.parameters.local_tokens = 64;
      expect_same(c, ++seed);
      c.parameters.mask_heads = MaskHeads::kPerKvHead;
      c.parameters.pooling = Pooling::kMean;
      expect_same(c, ++seed);
      if (rows > 100) c.parameters.instruction_tokens = 37;
      c.parameters.query_block = 64;
      c.parameters.chunks_per_block = 4;
      c.parameters.nms_distance = 3;
      c.parameters.boundary_window = 7;
      expect_same(c, ++seed);
      c.parameters.query_block = 256;
      c.parameters.budget = 130;  // own rows and sinks exceed it
      expect_same(c, ++seed);
      c.parameters.budget = 100000;
      expect_same(c, ++seed);
    }
  }
}

TEST(CudaPlanning, SharedBoundariesAndMasksAreTakenOver) {
  std::mt19937 random(3);
  Case c;
  c.parameters.share_boundaries = true;
  c.parameters.share_masks = true;
  DocumentInfo document;
  document.tokens = c.rows;
  const auto planner = make_planner(c.parameters, document);
  on_cuda::LayerAttention attention(*planner, c.rows);
  std::vector<Plan> plans;
  for (int layer = 0; layer < 4; ++layer) {
    const TwoHeads q = drifting_heads(random, 8, c.rows, 64), k = drifting_heads(random, 4, c.rows, 64);
    attention.plan(q.device, k.device, {layer, layer % 2 == 0 ? 512 : 0, 0.125F, 50.0F}, nullptr);
    plans.push_back(attention.host_plan());
  }
  EXPECT_TRUE(plans[0].mask == plans[2].mask);
  EXPECT_TRUE(plans[1].mask == plans[3].mask);
  EXPECT_FALSE(plans[1].shared);
  EXPECT_TRUE(plans[3].shared);
  EXPECT_EQ(plans[0].trace.boundaries, plans[1].trace.boundaries);
}

TEST(CudaPlanning, TheBestPresetEqualsTheCpu) {
  expect_preset("best", [](SparsityParameters&) {});
  for (const MaskHeads heads : {MaskHeads::kShared, MaskHeads::kPerKvHead}) {
    expect_preset("best", [&](SparsityParameters& p) { p.mask_heads = heads; });
  }
  expect_preset("best", [](SparsityParameters& p) {
    p.instruction_tokens = 33;
    p.query_block = 100;
    p.chunk_length = 25;
  });
  expect_preset("best", [](SparsityParameters& p) {
    p.boundaries = BoundarySource::kKeyShift;
    p.score_last_rows = 0;
  });
  expect_preset("best", [](SparsityParameters& p) { p.score_rows = 0; });  // the mean query asks
  for (const std::int64_t dim : {128, 256}) expect_same({900, 0, named_parameters("best"), dim}, 99);
}

// Longer than one run of the scratch memory.
TEST(CudaPlanning, RefinementInManyRunsEqualsTheCpu) { expect_same({9001, 0, named_parameters("best")}, 98); }

TEST(CudaPlanning, EveryScoreEqualsTheCpu) {
  for (const ChunkScoring scores :
       {ChunkScoring::kMean, ChunkScoring::kMoments, ChunkScoring::kBands, ChunkScoring::kBounds}) {
    for (const std::int64_t rows : {0, 16}) {
      expect_preset("reference-niah", [&](SparsityParameters& p) {
        p.scores = scores;
        p.score_rows = rows;
        p.score_last_rows = 20;
        p.mask_heads = MaskHeads::kPerHead;
        p.sink_tokens = p.local_tokens = 32;
      });
    }
  }
}

TEST(CudaPlanning, ThresholdsEqualTheCpu) {
  for (const std::int64_t rows : {0, 16}) {
    expect_preset("reference-niah", [&](SparsityParameters& p) {
      p.selection = Selection::kThreshold;
      p.score_rows = rows;
      p.mass = 0.8;
      p.min_budget = 200;
      p.max_budget = 900;
      p.sink_tokens = p.local_tokens = 16;
    });
  }
}

TEST(CudaPlanning, EveryBoundarySourceEqualsTheCpu) {
  for (const BoundarySource source :
       {BoundarySource::kAttentionMass, BoundarySource::kSentence, BoundarySource::kFixed}) {
    for (const QueryGrouping grouping : {QueryGrouping::kFixed, QueryGrouping::kChunks}) {
      expect_preset("reference-niah", [&](SparsityParameters& p) {
        p.boundaries = source;
        p.query_grouping = grouping;
        p.sink_tokens = p.local_tokens = 32;
        p.boundary_threshold = source == BoundarySource::kAttentionMass ? 1.1 : 0;
      });
    }
  }
  for (const bool gate : {false, true}) {
    const auto predictor = random_predictor(4 * 64, gate);
    for (const std::int64_t rows : {3, 9, 1501}) {
      Case c{rows, 0, named_parameters("reference-niah")};
      c.parameters.boundaries = BoundarySource::kLearned;
      c.parameters.budget = 300;
      expect_same(c, 31, predictor);
    }
  }
}

TEST(CudaPlanning, EveryOtherMethodEqualsTheCpu) {
  expect_preset("block-sparse", [](SparsityParameters& p) { p.block_size = 48; });
  for (const MaskHeads heads : {MaskHeads::kShared, MaskHeads::kPerKvHead, MaskHeads::kPerHead}) {
    expect_preset("vertical-slash", [&](SparsityParameters& p) { p.mask_heads = heads; });
    expect_preset("oracle", [&](SparsityParameters& p) { p.mask_heads = heads; });
  }
  expect_preset("oracle", [](SparsityParameters& p) {
    p.oracle_rows = 48;
    p.instruction_tokens = 30;
  });
}

// Little of everything: for tools that watch each access.
TEST(CudaPlanning, EachStepOnAShortText) {
  for (const char* name : {"best", "longbench", "block-sparse", "vertical-slash", "oracle", "best+scores=bands",
                           "best+scores=bounds", "longbench+selection=threshold+min-budget=64"}) {
    Case c{333, 100, named_parameters(name)};
    c.parameters.budget = std::min<std::int64_t>(c.parameters.budget, 300);
    expect_same(c, 7);
    c.window = 0;
    c.parameters.budget = 90;
    c.parameters.query_block = 40;
    c.parameters.sink_tokens = c.parameters.local_tokens = 5;
    expect_same(c, 8);
  }
}

// A planner that is not made of parameters is asked on the host.
TEST(CudaPlanning, AnyOtherPlannerIsAskedOnTheHost) {
  struct Diagonal : Planner {
    Plan plan(const HeadsView& q, const HeadsView& /*k*/, const LayerInfo& layer, const CancelToken* /*c*/) override {
      KeyMask::Builder builder(fixed_groups(q.rows, 10), 1, layer.window);
      for (std::int64_t g = 0; g < (q.rows + 9) / 10; ++g) builder.add({});
      Plan plan;
      plan.mask = builder.finish();
      return plan;
    }
  } planner;
  std::mt19937 random(5);
  const TwoHeads q = drifting_heads(random, 8, 700, 64), k = drifting_heads(random, 4, 700, 64);
  const LayerInfo layer{1, 0, 0.125F, 50.0F};
  on_cuda::LayerAttention attention(planner, 700);
  attention.plan(q.device, k.device, layer, nullptr);
  EXPECT_EQ(attention.host_plan().mask, planner.plan(q.view(), k.view(), layer, nullptr).mask);
}

}  // namespace
}  // namespace dhsa
