#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/sparsity/row_math.h"

namespace dhsa {
namespace {

std::vector<float> random_values(std::mt19937& random, std::int64_t n, float spread = 1.0F) {
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = normal(random);
  return values;
}

TEST(RowMath, PackedProductAgreesWithPlainSums) {
  std::mt19937 random(3);
  for (const std::int64_t dim : {1, 8, 33}) {
    for (const std::int64_t rows_a : {1, 2, 3, 4, 7, 8, 9, 17}) {
      const std::int64_t rows_b = 37;
      const auto a = random_values(random, rows_a * dim);
      const auto b = random_values(random, rows_b * dim);
      const PackedRows packed = PackedRows::of(heads_view(b.data(), 1, rows_b, dim), 0);
      const std::int64_t begin = 16;
      const std::int64_t ldo = padded_columns(rows_b - begin);
      std::vector<float> out(static_cast<std::size_t>(rows_a * ldo));
      packed.multiply(a.data(), rows_a, dim, begin, rows_b, out.data(), ldo);
      for (std::int64_t i = 0; i < rows_a; ++i) {
        for (std::int64_t j = begin; j < rows_b; ++j) {
          double sum = 0;
          for (std::int64_t d = 0; d < dim; ++d) {
            sum += static_cast<double>(a[static_cast<std::size_t>(i * dim + d)]) *
                   static_cast<double>(b[static_cast<std::size_t>(j * dim + d)]);
          }
          ASSERT_NEAR(out[static_cast<std::size_t>(i * ldo + j - begin)], sum, 1e-4);
        }
      }
    }
  }
}

TEST(RowMath, ProductsOfEveryInstructionSetAgree) {
  std::mt19937 random(5);
  const std::int64_t dim = 19;
  const std::int64_t columns = 2 * kTileColumns;
  for (const std::int64_t rows : {1, 3, 4, 5, 8, 9, 15, 17}) {
    const auto a = random_values(random, rows * dim);
    const auto b = random_values(random, columns * dim);  // [tiles][dim][kTileColumns]
    for (const RowKernels* kernels : supported_row_kernels()) {
      std::vector<float> out(static_cast<std::size_t>(rows * columns));
      for (std::int64_t tile = 0; tile < 2; ++tile) {
        kernels->multiply(a.data(), rows, dim, b.data() + tile * dim * kTileColumns, kTileColumns, dim, 1,
                          out.data() + tile * kTileColumns, columns);
      }
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) {
          double sum = 0;
          for (std::int64_t d = 0; d < dim; ++d) {
            sum += static_cast<double>(a[static_cast<std::size_t>(i * dim + d)]) *
                   static_cast<double>(
                       b[static_cast<std::size_t>((j / kTileColumns * dim + d) * kTileColumns + j % kTileColumns)]);
          }
          ASSERT_NEAR(out[static_cast<std::size_t>(i * columns + j)], sum, 1e-4) << rows << " rows";
        }
      }
    }
  }
}

void expect_row_loops(const RowKernels& kernels) {
  std::mt19937 random(4);
  for (const std::int64_t n : {1, 7, 8, 9, 16, 31, 100}) {
    const auto x = random_values(random, n, 30.0F);
    const auto y = random_values(random, n);
    std::vector<float> sum = y;
    std::vector<float> squares = y;
    std::vector<float> scaled = y;
    std::vector<float> lower = y;
    std::vector<float> upper = y;
    std::vector<float> capped = x;
    std::vector<float> grown = x;
    kernels.add(sum.data(), x.data(), n);
    kernels.add_squares(squares.data(), x.data(), n);
    kernels.add_scaled(scaled.data(), x.data(), n, 0.25F);
    kernels.lower_upper(lower.data(), upper.data(), x.data(), n);
    kernels.scale_softcap(capped.data(), n, 3.0F, 50.0F);
    std::vector<float> normal = x;
    kernels.normalise(normal.data(), y.data(), scaled.data(), n, 1e-5F);
    const float shift = kernels.largest(x.data(), n);
    const float total = kernels.exp_sum(grown.data(), n, shift);
    double dot = 0;
    double exp_total = 0;
    double mean = 0;
    double variance = 0;
    for (const float value : x) mean += static_cast<double>(value) / static_cast<double>(n);
    for (const float value : x) variance += std::pow(static_cast<double>(value) - mean, 2) / static_cast<double>(n);
    EXPECT_EQ(shift, *std::max_element(x.begin(), x.end()));
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_FLOAT_EQ(sum[i], x[i] + y[i]);
      EXPECT_NEAR(squares[i], y[i] + x[i] * x[i], 1e-6 * static_cast<double>(1 + x[i] * x[i]));
      EXPECT_NEAR(scaled[i], y[i] + 0.25F * x[i], 1e-5);
      EXPECT_EQ(lower[i], std::min(x[i], y[i]));
      EXPECT_EQ(upper[i], std::max(x[i], y[i]));
      EXPECT_NEAR(capped[i], 50.0 * std::tanh(3.0 * static_cast<double>(x[i]) / 50.0), 2e-5);
      const double exact = std::exp(static_cast<double>(x[i] - shift));
      EXPECT_NEAR(grown[i], exact, 5e-7 * exact + 1e-37);
      EXPECT_NEAR(normal[i],
                  (static_cast<double>(x[i]) - mean) / std::sqrt(variance + 1e-5) * static_cast<double>(y[i]) +
                      static_cast<double>(scaled[i]),
                  1e-4);
      dot += static_cast<double>(x[i]) * static_cast<double>(y[i]);
      exp_total += exact;
    }
    EXPECT_NEAR(kernels.dot(x.data(), y.data(), n), dot, 1e-3);
    EXPECT_NEAR(total, exp_total, 1e-5 * exp_total);
  }
}

TEST(RowMath, RowLoopsAgreeWithDoublePrecision) {
  for (const RowKernels* kernels : supported_row_kernels()) expect_row_loops(*kernels);
}

}  // namespace
}  // namespace dhsa
