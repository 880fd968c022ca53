// The few dense loops that planning is made of: small matrix products, sums of rows and softmax rows, in float32.
// Compiled for AVX-512, AVX2 and any x86-64, chosen at run time. Results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/heads_view.h"

namespace dhsa {

struct RowKernels {
  // out[i * ldo + j] = sum over d of a[i * lda + d] * b[d * ldb + j], i < rows, j < 16 * column_tiles.
  void (*multiply)(const float* a, std::int64_t rows, std::int64_t lda, const float* b, std::int64_t ldb,
                   std::int64_t dim, std::int64_t column_tiles, float* out, std::int64_t ldo);
  void (*add)(float* sum, const float* x, std::int64_t n);                       // sum += x
  void (*add_squares)(float* sum, const float* x, std::int64_t n);               // sum += x * x
  void (*add_scaled)(float* sum, const float* x, std::int64_t n, float factor);  // sum += factor * x
  void (*lower_upper)(float* lower, float* upper, const float* x, std::int64_t n);
  float (*dot)(const float* x, const float* y, std::int64_t n);
  float (*largest)(const float* x, std::int64_t n);                             // n >= 1
  void (*scale_softcap)(float* x, std::int64_t n, float scale, float softcap);  // softcap 0: scale only
  float (*exp_sum)(float* x, std::int64_t n, float shift);                      // x = exp(x - shift); their sum
  // x = (x - mean) / sqrt(variance + epsilon) * weight + bias
  void (*normalise)(float* x, const float* weight, const float* bias, std::int64_t n, float epsilon);
};
[[nodiscard]] const RowKernels& row_kernels();
// Those that this machine can run, fastest first; row_kernels() is the first.
[[nodiscard]] std::span<const RowKernels* const> supported_row_kernels();

inline constexpr std::int64_t kTileColumns = 16;
[[nodiscard]] constexpr std::int64_t padded_columns(std::int64_t n) noexcept {
  return (n + kTileColumns - 1) / kTileColumns * kTileColumns;
}

// The rows of a matrix B, laid out for products A B^T.
class PackedRows {
 public:
  PackedRows() = default;
  PackedRows(std::int64_t rows, std::int64_t dim);
  [[nodiscard]] static PackedRows of(const HeadsView& view, std::int64_t head);  // threaded
  void set(std::int64_t row, const float* values) noexcept;
  [[nodiscard]] std::int64_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::int64_t dim() const noexcept { return dim_; }
  // out[i * ldo + j - begin] = a_i . b_j for i < rows_a and j in [begin, end); begin a multiple of kTileColumns. Writes
  // whole tiles: ldo >= padded_columns(end - begin).
  void multiply(const float* a, std::int64_t rows_a, std::int64_t lda, std::int64_t begin, std::int64_t end, float* out,
                std::int64_t ldo) const noexcept;

 private:
  std::int64_t rows_ = 0;
  std::int64_t dim_ = 0;
  std::vector<float> tiles_;  // [tiles][dim][kTileColumns]
};

}  // namespace dhsa
