// What a layer is made of besides matrices and attention. Tensors say where they live; each function has one body per
// device. Activations are float32 or bfloat16, the residual stream, norms and angles are float32.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "core/attention/attend.h"
#include "core/base/heads_view.h"

namespace dhsa::ops {

[[nodiscard]] at::ScalarType scalar_type(DType type);
[[nodiscard]] DType dtype_of(const at::Tensor& tensor);
[[nodiscard]] at::Tensor empty(at::IntArrayRef shape, at::ScalarType type, const at::Tensor& like);
// [heads, rows, dim] tensor, last axis contiguous.
[[nodiscard]] HeadsView view(const at::Tensor& tensor);
[[nodiscard]] MutableHeadsView mutable_view(at::Tensor& tensor);

// x[i] = table[ids[i]] * scale; x [n, hidden] float32.
void embed(std::span<const std::int32_t> ids, const at::Tensor& table, float scale, at::Tensor& x);

// out = x / sqrt(mean(x^2) + eps) * (1 + weight), rounded once to out's type. x [n, hidden] float32.
void rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& out);
// x += rms_norm(branch): post-norm and residual in one pass.
void add_normed(const at::Tensor& branch, const at::Tensor& weight, double eps, at::Tensor& x);

// [n, dim]: cos(p / theta^(2d / dim)) for d < dim / 2, then the sines, for positions p = first ... first + n - 1.
[[nodiscard]] at::Tensor rope_angles(std::int64_t first, std::int64_t n, std::int64_t dim, double theta,
                                     const at::Tensor& like);
// Splits rows [n, (H + 2 Hkv) D] of the fused projection into q [H, n, D], k, v [Hkv, n, D] (strided), q and k rotated.
void split_and_rotate(const at::Tensor& qkv, const at::Tensor& angles, at::Tensor& q, at::Tensor& k, at::Tensor& v);

// out [n, m] = gelu_tanh(first half) * second half of gate_up [n, 2 m].
void geglu(const at::Tensor& gate_up, at::Tensor& out);

// out [n, rows of weight] = x weight^T. x and out have one type; where the weight has another it is widened panel by
// panel into `panel` (float32, at least one row long).
void linear(const at::Tensor& x, const at::Tensor& weight, at::Tensor& panel, at::Tensor& out);
// Whether this machine multiplies bfloat16 matrices faster than float32 ones.
[[nodiscard]] bool fast_bfloat16();

// logits = cap * tanh(logits / cap); cap 0: unchanged.
void softcap(double cap, std::span<float> logits);

// Dense attention of one new query, q and out [H, 1, D], over k, v [Hkv, n, D].
void attend_one(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const ScoreRule& rule, at::Tensor& out);

}  // namespace dhsa::ops
