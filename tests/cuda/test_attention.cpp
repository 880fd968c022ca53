#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/cuda/device_tensors.h"

namespace dhsa {
namespace {

// Hands out one mask, whatever the keys.
class FixedPlanner : public Planner {
 public:
  explicit FixedPlanner(KeyMask mask) : mask_(std::move(mask)) {}
  Plan plan(const HeadsView& /*q*/, const HeadsView& /*k*/, const LayerInfo& /*layer*/,
            const CancelToken* /*cancel*/) override {
    Plan plan;
    plan.mask = mask_;
    return plan;
  }
  [[nodiscard]] bool reads_tensors() const override { return false; }

 private:
  KeyMask mask_;
};

KeyMask random_mask(std::mt19937& random, std::int64_t rows, int heads, std::int64_t window) {
  std::vector<std::int32_t> groups{0};
  while (groups.back() < rows) {
    const auto most = std::uniform_int_distribution<std::int64_t>(1, 300)(random);
    groups.push_back(static_cast<std::int32_t>(std::min(rows, groups.back() + most)));
  }
  KeyMask::Builder builder(groups, heads, window);
  for (int h = 0; h < heads; ++h) {
    for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
      std::vector<KeyRange> ranges;
      for (int i = 0; i < 12; ++i) {
        const auto begin = std::uniform_int_distribution<std::int32_t>(0, groups[g + 1] - 1)(random);
        const auto length = std::uniform_int_distribution<std::int32_t>(1, 70)(random);
        ranges.push_back({begin, begin + length});
      }
      builder.add(ranges);
    }
  }
  return builder.finish();
}

struct Case {
  std::int64_t heads, kv_heads, dim, rows, window;
  int mask_heads;  // 0: dense
  float softcap, amplitude;
};

// bfloat16 probabilities (relative 2^-9 each) and a bfloat16 result (2^-9): errors stay below 1 % of the largest value.
void expect_twin(const Case& c, std::uint32_t seed) {
  std::mt19937 random(seed);
  const TwoHeads q = random_heads(random, c.heads, c.rows, c.dim, c.amplitude);
  const TwoHeads k = random_heads(random, c.kv_heads, c.rows, c.dim, c.amplitude);
  const TwoHeads v = random_heads(random, c.kv_heads, c.rows, c.dim, 1.0F);
  const KeyMask mask =
      c.mask_heads == 0 ? KeyMask::dense(c.rows, c.window) : random_mask(random, c.rows, c.mask_heads, c.window);
  const ScoreRule rule{1.0F / std::sqrt(static_cast<float>(c.dim)), c.softcap};

  FixedPlanner planner(mask);
  on_cuda::LayerAttention attention(planner, c.rows);
  const LayerInfo layer{0, c.window, rule.scale, rule.softcap};
  attention.plan(q.device, k.device, layer, nullptr);
  at::Tensor out = at::empty({c.heads, c.rows, c.dim}, q.device.options());
  attention.attend(q.device, k.device, v.device, rule, out);
  const at::Tensor got = out.cpu();

  std::vector<float> expected(static_cast<std::size_t>(c.heads * c.rows * c.dim));
  attend_reference(q.view(), k.view(), v.view(), mask, rule,
                   mutable_heads_view(expected.data(), c.heads, c.rows, c.dim));
  const auto* bits = static_cast<const std::uint16_t*>(got.data_ptr());
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = std::abs(static_cast<double>(bfloat16_to_float(bits[i])) - static_cast<double>(expected[i]));
    ASSERT_FALSE(std::isnan(error)) << "at " << i;
    worst = std::max(worst, error);
    largest = std::max(largest, static_cast<double>(std::abs(expected[i])));
  }
  EXPECT_LT(worst, 0.01 * largest) << "H " << c.heads << " D " << c.dim << " L " << c.rows << " W " << c.window
                                   << " mask heads " << c.mask_heads << " softcap " << c.softcap;
  EXPECT_TRUE(attention.host_plan().mask == mask);
}

TEST(CudaAttention, DenseMatchesTheTwin) {
  std::uint32_t seed = 1;
  for (const std::int64_t rows : {1, 2, 63, 64, 65, 127, 128, 129, 300, 777}) {
    for (const std::int64_t dim : {64, 128, 256}) {
      expect_twin({4, 2, dim, rows, 0, 0, 50.0F, 1.0F}, ++seed);
      expect_twin({4, 2, dim, rows, 37, 0, 0.0F, 3.0F}, ++seed);
    }
  }
}

TEST(CudaAttention, AnyRangesMatchTheTwin) {
  std::uint32_t seed = 100;
  for (const std::int64_t rows : {1, 5, 90, 300, 513, 1200}) {
    for (const std::int64_t dim : {64, 128, 256}) {
      expect_twin({8, 4, dim, rows, 0, 1, 50.0F, 1.0F}, ++seed);
      expect_twin({8, 4, dim, rows, 150, 4, 2.0F, 2.0F}, ++seed);
      expect_twin({8, 2, dim, rows, 0, 8, 0.0F, 4.0F}, ++seed);
    }
  }
}

TEST(CudaAttention, LargeScoresStayFinite) { expect_twin({2, 1, 64, 200, 0, 1, 0.0F, 60.0F}, 7); }

}  // namespace
}  // namespace dhsa
