// Row kernels of every instruction set against double precision, on sizes that leave remainders.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "core/base/heads_view.h"
#include "core/model/cpu/ops_kernels.h"

namespace dhsa {
namespace {

std::vector<float> random_values(std::size_t n, float scale, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

// The same values as they are after a trip through bfloat16, and the bits.
std::vector<std::uint16_t> round_to_bf16(std::vector<float>& values) {
  std::vector<std::uint16_t> bits;
  for (float& value : values) {
    bits.push_back(float_to_bfloat16(value));
    value = bfloat16_to_float(bits.back());
  }
  return bits;
}

class OpsKernelsTest : public testing::TestWithParam<const OpsKernels*> {
 protected:
  const OpsKernels& kernels() const { return *GetParam(); }
};

TEST_P(OpsKernelsTest, RmsNormAddsOneToTheWeight) {
  for (const std::int64_t n : {1, 7, 48, 257}) {
    const std::int64_t rows = 3;
    const auto x = random_values(static_cast<std::size_t>(n * rows), 3.0F, 1);
    const auto w = random_values(static_cast<std::size_t>(n), 0.3F, 2);
    std::vector<float> out(x.size());
    std::vector<std::uint16_t> bits(x.size());
    kernels().rms_norm(x.data(), w.data(), n, rows, 1e-6F, out.data(), false);
    kernels().rms_norm(x.data(), w.data(), n, rows, 1e-6F, bits.data(), true);
    std::vector<float> residual = random_values(x.size(), 1.0F, 3);
    const std::vector<float> before = residual;
    kernels().add_normed(x.data(), false, w.data(), n, rows, 1e-6F, residual.data());
    for (std::int64_t r = 0; r < rows; ++r) {
      double squares = 0;
      for (std::int64_t i = 0; i < n; ++i) squares += std::pow(double{x[static_cast<std::size_t>(r * n + i)]}, 2);
      for (std::int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(r * n + i);
        const double want =
            x[at] / std::sqrt(squares / static_cast<double>(n) + 1e-6) * (1.0 + w[static_cast<std::size_t>(i)]);
        EXPECT_NEAR(out[at], want, 1e-5 * (1 + std::abs(want)));
        EXPECT_NEAR(bfloat16_to_float(bits[at]), want, std::abs(want) / 250 + 1e-6);
        EXPECT_NEAR(residual[at], before[at] + want, 1e-5 * (1 + std::abs(want)));
      }
    }
  }
}

TEST_P(OpsKernelsTest, RopeTurnsThePairsOfTheTwoHalves) {
  const std::int64_t half = 12;
  const std::int64_t heads = 3;
  const auto in = random_values(static_cast<std::size_t>(heads * 2 * half), 1.0F, 5);
  std::vector<float> angles;
  for (std::int64_t d = 0; d < half; ++d)
    angles.push_back(static_cast<float>(std::cos(0.1 * static_cast<double>(d + 1))));
  for (std::int64_t d = 0; d < half; ++d)
    angles.push_back(static_cast<float>(std::sin(0.1 * static_cast<double>(d + 1))));
  const std::int64_t stride = 100;
  std::vector<float> out(static_cast<std::size_t>(heads * stride), -7.0F);
  kernels().rope(in.data(), false, heads, half, angles.data(), out.data(), stride);
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::int64_t d = 0; d < half; ++d) {
      const double a = in[static_cast<std::size_t>(h * 2 * half + d)];
      const double b = in[static_cast<std::size_t>(h * 2 * half + d + half)];
      const double angle = 0.1 * static_cast<double>(d + 1);
      EXPECT_NEAR(out[static_cast<std::size_t>(h * stride + d)], a * std::cos(angle) - b * std::sin(angle), 1e-6);
      EXPECT_NEAR(out[static_cast<std::size_t>(h * stride + d + half)], b * std::cos(angle) + a * std::sin(angle),
                  1e-6);
    }
    EXPECT_EQ(out[static_cast<std::size_t>(h * stride + 2 * half)], -7.0F) << "wrote past the head";
  }
}

TEST_P(OpsKernelsTest, DotRowsAndAccumulate) {
  for (const std::int64_t n : {1, 15, 130}) {
    for (const std::int64_t rows : {1, 4, 7}) {
      const auto x = random_values(static_cast<std::size_t>(n), 1.0F, 6);
      auto w = random_values(static_cast<std::size_t>(n * rows), 1.0F, 7);
      const auto bits = round_to_bf16(w);
      std::vector<float> out(static_cast<std::size_t>(rows));
      std::vector<float> out_bf16(static_cast<std::size_t>(rows));
      kernels().dot_rows(x.data(), w.data(), false, n, rows, out.data());
      kernels().dot_rows(x.data(), bits.data(), true, n, rows, out_bf16.data());
      for (std::int64_t r = 0; r < rows; ++r) {
        double want = 0;
        for (std::int64_t i = 0; i < n; ++i) {
          want += double{x[static_cast<std::size_t>(i)]} * w[static_cast<std::size_t>(r * n + i)];
        }
        EXPECT_NEAR(out[static_cast<std::size_t>(r)], want, 1e-4);
        EXPECT_NEAR(out_bf16[static_cast<std::size_t>(r)], want, 1e-4);
      }
      std::vector<float> sum = x;
      kernels().accumulate(-2.0F, bits.data(), true, n, sum.data());
      for (std::size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(sum[i], x[i] - 2.0 * w[i], 1e-5);
    }
  }
}

TEST_P(OpsKernelsTest, ConvertsUnalignedValuesOfEveryType) {
  const std::vector<float> values{0.0F,       -0.0F,      1.0F,           -2.5F,          65504.0F,
                                  6.1035e-5F, 5.9605e-8F, -3.0517578e-5F, 0.333251953125F};
  const std::vector<std::uint16_t> halves{0x0000, 0x8000, 0x3c00, 0xc100, 0x7bff, 0x0400, 0x0001, 0x8200, 0x3555};
  std::vector<std::byte> bytes(values.size() * 2 + 1);
  std::memcpy(bytes.data() + 1, halves.data(), values.size() * 2);
  std::vector<float> out(values.size());
  EXPECT_TRUE(kernels().convert(bytes.data() + 1, StoredType::kF16, static_cast<std::int64_t>(values.size()),
                                out.data(), false));
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_NEAR(out[i], values[i], std::abs(values[i]) * 1e-4);
    EXPECT_EQ(std::signbit(out[i]), std::signbit(values[i]));
  }
  const auto many = random_values(77, 1.0F, 8);
  std::vector<std::byte> raw(many.size() * 4 + 3);
  std::memcpy(raw.data() + 3, many.data(), many.size() * 4);
  std::vector<std::uint16_t> bits(many.size());
  std::vector<float> same(many.size());
  EXPECT_TRUE(kernels().convert(raw.data() + 3, StoredType::kF32, 77, bits.data(), true));
  EXPECT_TRUE(kernels().convert(raw.data() + 3, StoredType::kF32, 77, same.data(), false));
  EXPECT_EQ(same, many);
  for (std::size_t i = 0; i < many.size(); ++i) EXPECT_EQ(bits[i], float_to_bfloat16(many[i]));
}

TEST_P(OpsKernelsTest, ConvertFindsWhatIsNotFinite) {
  for (const std::size_t at : {0U, 40U, 76U}) {
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      std::vector<float> values(77, 1.0F);
      std::vector<float> out(77);
      std::vector<std::uint16_t> out_bits(77);
      values[at] = bad;
      EXPECT_FALSE(kernels().convert(values.data(), StoredType::kF32, 77, out.data(), false));
      const auto bits = round_to_bf16(values);
      EXPECT_FALSE(kernels().convert(bits.data(), StoredType::kBf16, 77, out.data(), false));
      EXPECT_FALSE(kernels().convert(bits.data(), StoredType::kBf16, 77, out_bits.data(), true));
    }
  }
  std::vector<std::uint16_t> halves(77, 0x3c00);
  std::vector<float> out(77);
  halves[76] = 0x7c00;
  EXPECT_FALSE(kernels().convert(halves.data(), StoredType::kF16, 77, out.data(), false));
  // Finite as float32, infinite once rounded to bfloat16.
  std::vector<float> large(77, std::numeric_limits<float>::max());
  std::vector<std::uint16_t> bits(77);
  EXPECT_TRUE(kernels().convert(large.data(), StoredType::kF32, 77, out.data(), false));
  EXPECT_FALSE(kernels().convert(large.data(), StoredType::kF32, 77, bits.data(), true));
}

INSTANTIATE_TEST_SUITE_P(Sets, OpsKernelsTest, testing::ValuesIn(available_ops_kernels()),
                         [](const auto& set) { return std::string(set.param->name); });

}  // namespace
}  // namespace dhsa
