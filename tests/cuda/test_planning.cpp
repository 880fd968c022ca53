#include <gtest/gtest.h>

#include <cmath>

#include "tests/cuda/device_tensors.h"

namespace dhsa {
namespace {

struct Case {
  std::int64_t rows = 3000;
  std::int64_t window = 0;
  SparsityParameters parameters;
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

// Boundaries and masks of the device against the CPU planner on the same bfloat16 keys. Sums are taken in another
// order, so that two scores within float32 rounding may change places: a handful of pairs in a million.
void expect_same(const Case& c, std::uint32_t seed) {
  std::mt19937 random(seed);
  const TwoHeads q = drifting_heads(random, 8, c.rows, 64), k = drifting_heads(random, 4, c.rows, 64);
  const LayerInfo layer{0, c.window, 0.125F, 50.0F};
  DocumentInfo document;
  document.tokens = c.rows;
  const auto device_planner = make_planner(c.parameters, document);
  ASSERT_NE(device_planner->device_parameters(), nullptr);
  on_cuda::LayerAttention attention(*device_planner, c.rows);
  attention.plan(q.device, k.device, layer, nullptr);
  const Plan device = attention.host_plan();
  const Plan host = make_planner(c.parameters, document)->plan(q.view(), k.view(), layer, nullptr);

  EXPECT_EQ(device.trace.boundaries, host.trace.boundaries);
  ASSERT_EQ(device.mask.rows(), host.mask.rows());
  ASSERT_EQ(device.mask.heads(), host.mask.heads());
  const std::int64_t both = device.mask.intersection_pairs(host.mask);
  const std::int64_t apart = device.mask.kept_pairs() + host.mask.kept_pairs() - 2 * both;
  EXPECT_LE(static_cast<double>(apart), 1e-3 * static_cast<double>(host.mask.kept_pairs()))
      << "rows " << c.rows << " window " << c.window;
  for (std::size_t j = 0; j < host.trace.boundary_scores.size(); ++j) {
    const float a = device.trace.boundary_scores[j], b = host.trace.boundary_scores[j];
    ASSERT_EQ(std::isnan(a), std::isnan(b)) << j;
    if (!std::isnan(b)) ASSERT_NEAR(a, b, 1e-4) << j;
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

TEST(CudaPlanning, WhatHasNoDeviceFormUsesTheHost) {
  std::mt19937 random(5);
  SparsityParameters blocks;
  blocks.method = Method::kBlockSparse;
  SparsityParameters moments;
  moments.scores = ChunkScoring::kMoments;
  DocumentInfo document;
  document.tokens = 700;
  const TwoHeads q = drifting_heads(random, 8, 700, 64), k = drifting_heads(random, 4, 700, 64);
  const LayerInfo layer{1, 0, 0.125F, 50.0F};
  for (SparsityParameters parameters : {blocks, moments}) {
    parameters.budget = 300;
    const auto planner = make_planner(parameters, document);
    on_cuda::LayerAttention attention(*planner, 700);
    attention.plan(q.device, k.device, layer, nullptr);
    EXPECT_TRUE(attention.host_plan().mask ==
                make_planner(parameters, document)->plan(q.view(), k.view(), layer, nullptr).mask);
  }
}

}  // namespace
}  // namespace dhsa
