// The vectorised exp(softcap(x)) against double precision, for every kernel, over the whole range of scores.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/attention/cpu/dispatch.h"

namespace dhsa {
namespace {

double largest_relative_error(CpuKernel kernel, float softcap, double from, double to) {
  constexpr int kSteps = 400000;
  std::vector<float> scores(kSteps + 1);
  std::vector<float> weights(scores.size());
  for (int i = 0; i <= kSteps; ++i) {
    scores[static_cast<std::size_t>(i)] = static_cast<float>(from + (to - from) * i / kSteps);
  }
  cpu::kernel_table(kernel).weigh(scores.data(), weights.data(), static_cast<std::int64_t>(scores.size()), softcap);
  double worst = 0.0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double x = static_cast<double>(scores[i]);
    const double cap = static_cast<double>(softcap);
    const double want = std::exp(cap > 0.0 ? cap * std::tanh(x / cap) : x);
    worst = std::max(worst, std::abs(static_cast<double>(weights[i]) - want) / want);
  }
  return worst;
}

// float32 holds 50 tanh(x) * log2(e) = 72 to 4e-6; four such roundings and ln 2 give 1.2e-5 at the ends.
TEST(Weights, SoftcappedWithinTheStatedBound) {
  for (const CpuKernel kernel : available_cpu_kernels()) {
    const bool coarse = kernel == CpuKernel::kAvx512Bf16;
    EXPECT_LT(largest_relative_error(kernel, 50.0F, -29.0, 29.0), coarse ? 1.5e-4 : 1e-5) << name_of(kernel);
    EXPECT_LT(largest_relative_error(kernel, 50.0F, -400.0, 400.0), coarse ? 1.5e-4 : 1.5e-5) << name_of(kernel);
    EXPECT_LT(largest_relative_error(kernel, 2.0F, -30.0, 30.0), coarse ? 1e-4 : 2e-6) << name_of(kernel);
  }
}

// Without a cap: the product with log2(e) is rounded once, relative to its size.
TEST(Weights, PlainExponentialWithinTheStatedBound) {
  for (const CpuKernel kernel : available_cpu_kernels()) {
    const bool coarse = kernel == CpuKernel::kAvx512Bf16;
    EXPECT_LT(largest_relative_error(kernel, 0.0F, -1.0, 1.0), coarse ? 8e-5 : 4e-7) << name_of(kernel);
    EXPECT_LT(largest_relative_error(kernel, 0.0F, -87.0, 0.0), coarse ? 9e-5 : 9e-6) << name_of(kernel);
  }
}

// Far below the maximum a weight may be anything up to 2^-126, but never negative, infinite or NaN.
TEST(Weights, VanishesWithoutFault) {
  const std::vector<float> scores{-88.0F, -100.0F, -1e4F, -1e30F};
  for (const CpuKernel kernel : available_cpu_kernels()) {
    std::vector<float> weights(scores.size(), -1.0F);
    cpu::kernel_table(kernel).weigh(scores.data(), weights.data(), static_cast<std::int64_t>(scores.size()), 0.0F);
    for (const float w : weights) {
      EXPECT_GE(w, 0.0F) << name_of(kernel);
      EXPECT_LE(w, 1.2e-38F) << name_of(kernel);
    }
  }
}

}  // namespace
}  // namespace dhsa
