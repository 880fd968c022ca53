// Plain, non-owning view of a query, key, value or output tensor: [heads, rows, dim], any strides.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace dhsa {

enum class DType : std::uint8_t { kFloat32, kBFloat16 };

[[nodiscard]] constexpr std::int64_t bytes_of(DType type) noexcept { return type == DType::kFloat32 ? 4 : 2; }

[[nodiscard]] inline float bfloat16_to_float(std::uint16_t bits) noexcept {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16U;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

// Rounds to nearest, ties to even; NaN stays NaN.
[[nodiscard]] inline std::uint16_t float_to_bfloat16(float value) noexcept {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}

// Strides count elements; the dim axis is contiguous. T is const void for inputs, void for outputs.
template <class T>
struct BasicHeadsView {
  T* data = nullptr;
  DType type = DType::kFloat32;
  std::int64_t heads = 0;
  std::int64_t rows = 0;
  std::int64_t dim = 0;
  std::int64_t head_stride = 0;
  std::int64_t row_stride = 0;

  [[nodiscard]] std::int64_t offset(std::int64_t head, std::int64_t row) const noexcept {
    return head * head_stride + row * row_stride;
  }
  // Copies one row into `out` (dim floats), widening bfloat16.
  void load_row(std::int64_t head, std::int64_t row, float* out) const noexcept {
    const std::int64_t at = offset(head, row);
    if (type == DType::kFloat32) {
      std::memcpy(out, static_cast<const float*>(data) + at, static_cast<std::size_t>(dim) * sizeof(float));
    } else {
      const auto* from = static_cast<const std::uint16_t*>(data) + at;
      for (std::int64_t d = 0; d < dim; ++d) out[d] = bfloat16_to_float(from[d]);
    }
  }
  [[nodiscard]] operator BasicHeadsView<const void>() const noexcept  // NOLINT(google-explicit-constructor)
      requires(!std::is_const_v<T>) {
    return {data, type, heads, rows, dim, head_stride, row_stride};
  }
};

using HeadsView = BasicHeadsView<const void>;
using MutableHeadsView = BasicHeadsView<void>;

// View of a contiguous float32 [heads, rows, dim] buffer.
[[nodiscard]] inline HeadsView heads_view(const float* data, std::int64_t heads, std::int64_t rows, std::int64_t dim) {
  return {data, DType::kFloat32, heads, rows, dim, rows * dim, dim};
}
[[nodiscard]] inline MutableHeadsView mutable_heads_view(float* data, std::int64_t heads, std::int64_t rows,
                                                         std::int64_t dim) {
  return {data, DType::kFloat32, heads, rows, dim, rows * dim, dim};
}

}  // namespace dhsa
