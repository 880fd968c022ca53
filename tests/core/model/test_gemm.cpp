// Packed matrix products of every instruction set against double precision, on sizes that leave remainders everywhere.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/base/heads_view.h"
#include "core/base/parallel.h"
#include "core/model/cpu/gemm.h"

namespace dhsa {
namespace {

struct Case {
  std::int64_t rows, k, columns;
  bool weight_bf16, out_bf16, gated;
};

class GemmTest : public testing::TestWithParam<const GemmKernel*> {};

void run_case(const GemmKernel& kernel, const Case& c) {
  std::mt19937 random(static_cast<unsigned>(c.rows * 31 + c.k * 7 + c.columns));
  std::normal_distribution<float> normal;
  const bool a_bf16 = kernel.a_bf16;
  const auto rounded = [](float value) { return bfloat16_to_float(float_to_bfloat16(value)); };
  const std::int64_t a_stride = c.k + 3;
  std::vector<float> a(static_cast<std::size_t>(c.rows * a_stride));
  for (float& value : a) value = a_bf16 ? rounded(normal(random)) : normal(random);
  const std::int64_t outputs = c.columns * (c.gated ? 2 : 1);
  std::vector<float> w(static_cast<std::size_t>(outputs * c.k));
  for (float& value : w) value = c.weight_bf16 ? rounded(normal(random) * 0.1F) : normal(random) * 0.1F;

  const std::int64_t panels = panels_of(c.columns, c.gated);
  std::vector<float> packed(static_cast<std::size_t>(panels * kPanelColumns * c.k));
  std::vector<std::uint16_t> packed_bits(packed.size());
  for (std::int64_t p = 0; p < panels; ++p) {
    std::vector<float> rows(static_cast<std::size_t>(kPanelColumns * c.k), 0.0F);
    for (std::int64_t column = 0; column < kPanelColumns; ++column) {
      const std::int64_t half = kPanelColumns / 2;
      const std::int64_t output = c.gated ? p * half + column % half : p * kPanelColumns + column;
      if (output >= c.columns) continue;
      const std::int64_t from = c.gated && column >= half ? c.columns + output : output;
      std::copy_n(w.begin() + from * c.k, c.k, rows.begin() + column * c.k);
    }
    if (c.weight_bf16) {
      std::vector<std::uint16_t> bits;
      for (const float value : rows) bits.push_back(float_to_bfloat16(value));
      pack_panel(bits.data(), c.k, packed_bits.data() + p * kPanelColumns * c.k);
    } else {
      pack_panel(rows.data(), c.k, packed.data() + p * kPanelColumns * c.k);
    }
  }
  std::vector<std::uint16_t> a_bits;
  for (const float value : a) a_bits.push_back(float_to_bfloat16(value));

  const std::int64_t out_stride = c.columns + 5;
  std::vector<float> out(static_cast<std::size_t>(c.rows * out_stride), -9.0F);
  std::vector<std::uint16_t> out_bits(out.size(), float_to_bfloat16(-9.0F));
  GemmCall call;
  call.a = a_bf16 ? static_cast<const void*>(a_bits.data()) : a.data();
  call.a_bf16 = a_bf16;
  call.weight = c.weight_bf16 ? static_cast<const void*>(packed_bits.data()) : packed.data();
  call.weight_bf16 = c.weight_bf16;
  call.k = c.k;
  call.rows = c.rows;
  call.columns = c.columns;
  call.out = c.out_bf16 ? static_cast<void*>(out_bits.data()) : out.data();
  call.out_bf16 = c.out_bf16;
  call.a_stride = a_stride;
  call.out_stride = out_stride;
  call.gated = c.gated;
  kernel.run(call, 0, panels);

  const auto dot = [&](std::int64_t r, std::int64_t output) {
    double sum = 0;
    for (std::int64_t i = 0; i < c.k; ++i) {
      sum += double{a[static_cast<std::size_t>(r * a_stride + i)]} * w[static_cast<std::size_t>(output * c.k + i)];
    }
    return sum;
  };
  for (std::int64_t r = 0; r < c.rows; ++r) {
    for (std::int64_t n = 0; n < out_stride; ++n) {
      const auto at = static_cast<std::size_t>(r * out_stride + n);
      const float got = c.out_bf16 ? bfloat16_to_float(out_bits[at]) : out[at];
      if (n >= c.columns) {
        ASSERT_EQ(got, -9.0F) << "wrote past the row";
        continue;
      }
      double want = dot(r, n);
      if (c.gated) {
        const double g = want;
        want = 0.5 * g * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g))) * dot(r, c.columns + n);
      }
      const double tolerance = 1e-6 * static_cast<double>(c.k) + (c.out_bf16 ? std::abs(want) / 250 : 1e-5);
      ASSERT_NEAR(got, want, tolerance) << "row " << r << " column " << n << " of " << c.rows << "x" << c.k << "x"
                                        << c.columns;
    }
  }
}

TEST_P(GemmTest, AgreesWithDoublePrecision) {
  set_compute_threads(0);
  const GemmKernel& kernel = *GetParam();
  for (const std::int64_t rows : {1, 2, 5, 6, 7, 11, 12, 13, 100}) {
    for (const std::int64_t k : {2, 48, 130}) {
      for (const std::int64_t columns : {1, 16, 31, 32, 33, 96}) {
        for (const bool weight_bf16 : {true, false}) {
          if (kernel.a_bf16 && !weight_bf16) continue;
          for (const bool gated : {false, true}) {
            run_case(kernel, {rows, k, columns, weight_bf16, (rows + columns) % 2 == 0, gated});
          }
        }
      }
    }
  }
  // Deeper than one piece of k, more rows than one chunk.
  run_case(kernel, {101, 5000, 40, true, false, false});
  run_case(kernel, {101, 5000, 20, true, false, true});
}

// Sums run over k in order, so neither threads nor the cut into blocks may change a bit.
TEST(Gemm, ThreadsAndBlocksDoNotChangeTheResult) {
  const std::int64_t rows = 150;
  const std::int64_t k = 64;
  const std::int64_t columns = 700;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> a(static_cast<std::size_t>(rows * k));
  for (float& value : a) value = normal(random);
  std::vector<float> panels(static_cast<std::size_t>(panels_of(columns, false) * kPanelColumns * k));
  for (float& value : panels) value = normal(random);
  GemmCall call;
  call.weight = panels.data();
  call.k = k;
  call.columns = columns;
  call.a_stride = k;
  call.out_stride = columns;
  const auto product = [&](int threads, std::int64_t block) {
    set_compute_threads(threads);
    std::vector<float> out(static_cast<std::size_t>(rows * columns));
    for (std::int64_t first = 0; first < rows; first += block) {
      call.a = a.data() + first * k;
      call.rows = std::min(block, rows - first);
      call.out = out.data() + first * columns;
      gemm(call);
    }
    return out;
  };
  const std::vector<float> one = product(1, rows);
  EXPECT_EQ(product(0, rows), one);
  EXPECT_EQ(product(0, 37), one);
}

TEST_P(GemmTest, GateSaturatesWithoutOverflow) {
  // One value of k, so that the gate is the product itself: far outside the range of e^x on both sides.
  for (const float gate : {-3000.0F, -20.0F, 0.0F, 20.0F, 3000.0F}) {
    std::vector<float> a{1.0F, 0.0F};
    const std::vector<std::uint16_t> a_bits{float_to_bfloat16(1.0F), 0};
    std::vector<std::uint16_t> rows(2 * kPanelColumns, 0);
    rows[0] = float_to_bfloat16(gate);
    rows[kPanelColumns] = float_to_bfloat16(2.0F);
    std::vector<std::uint16_t> panel(rows.size());
    pack_panel(rows.data(), 2, panel.data());
    std::vector<float> out(1);
    GemmCall call;
    call.a_bf16 = GetParam()->a_bf16;
    call.a = call.a_bf16 ? static_cast<const void*>(a_bits.data()) : a.data();
    call.weight = panel.data();
    call.weight_bf16 = true;
    call.k = 2;
    call.rows = 1;
    call.columns = 1;
    call.out = out.data();
    call.a_stride = 2;
    call.out_stride = 1;
    call.gated = true;
    GetParam()->run(call, 0, 1);
    const float rounded = bfloat16_to_float(float_to_bfloat16(gate));
    EXPECT_NEAR(out[0], rounded > 0 ? 2 * rounded : 0.0F, 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, GemmTest, testing::ValuesIn(available_gemm_kernels()),
                         [](const auto& kernel) { return std::string(kernel.param->name); });

}  // namespace
}  // namespace dhsa
