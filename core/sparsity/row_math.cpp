#include "core/sparsity/row_math.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/base/parallel.h"

// Vectors are passed between inlined functions of this file only, so their calling convention is nobody's concern.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace dhsa {
namespace {

#define DHSA_ROW_LANES 8
namespace baseline {
#include "core/sparsity/row_math_kernels.inc"
}  // namespace baseline

#if defined(__x86_64__) && !defined(__clang__)
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#include "core/sparsity/row_math_kernels.inc"
}  // namespace avx2
#pragma GCC pop_options

#undef DHSA_ROW_LANES
#define DHSA_ROW_LANES 16
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,fma,prefer-vector-width=512")
namespace avx512 {
#include "core/sparsity/row_math_kernels.inc"
}  // namespace avx512
#pragma GCC pop_options
#endif
#undef DHSA_ROW_LANES

}  // namespace

std::span<const RowKernels* const> supported_row_kernels() {
  static const std::vector<const RowKernels*> supported = [] {
    std::vector<const RowKernels*> list;
#if defined(__x86_64__) && !defined(__clang__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) list.push_back(&avx512::kKernels);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) list.push_back(&avx2::kKernels);
#endif
    list.push_back(&baseline::kKernels);
    return list;
  }();
  return supported;
}

const RowKernels& row_kernels() {
  static const RowKernels& fastest = *supported_row_kernels().front();
  return fastest;
}

PackedRows::PackedRows(std::int64_t rows, std::int64_t dim)
    : rows_(rows), dim_(dim), tiles_(static_cast<std::size_t>(padded_columns(rows) * dim)) {}

PackedRows PackedRows::of(const HeadsView& view, std::int64_t head) {
  PackedRows packed(view.rows, view.dim);
  constexpr std::int64_t kBlock = 256;
  parallel_for((view.rows + kBlock - 1) / kBlock, [&](std::int64_t block) {
    std::vector<float> row(static_cast<std::size_t>(view.dim));
    const std::int64_t end = std::min(view.rows, (block + 1) * kBlock);
    for (std::int64_t i = block * kBlock; i < end; ++i) {
      view.load_row(head, i, row.data());
      packed.set(i, row.data());
    }
  });
  return packed;
}

void PackedRows::set(std::int64_t row, const float* values) noexcept {
  float* to = tiles_.data() + row / kTileColumns * kTileColumns * dim_ + row % kTileColumns;
  for (std::int64_t d = 0; d < dim_; ++d) to[d * kTileColumns] = values[d];
}

void PackedRows::multiply(const float* a, std::int64_t rows_a, std::int64_t lda, std::int64_t begin, std::int64_t end,
                          float* out, std::int64_t ldo) const noexcept {
  const RowKernels& kernels = row_kernels();
  for (std::int64_t column = begin; column < end; column += kTileColumns) {
    kernels.multiply(a, rows_a, lda, tiles_.data() + column * dim_, kTileColumns, dim_, 1, out + column - begin, ldo);
  }
}

}  // namespace dhsa
