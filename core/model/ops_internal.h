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

// out [n, m] = x weight^T, with a weight of a layer (LayerWeights). x and out have one type.
void linear(const at::Tensor& x, const at::Tensor& weight, at::Tensor& out);
// act [n, m] = gelu_tanh(x gates^T) * (x ups^T). `wide` is room for [n, 2 m], used where the weight is not packed.
void gated_linear(const at::Tensor& x, const at::Tensor& gate_up, at::Tensor& wide, at::Tensor& act);
// out [n, vocab] float32 = x table^T for x [n, hidden] float32 and a plain table [vocab, hidden] of either type.
void table_product(const at::Tensor& x, const at::Tensor& table, at::Tensor& out);

// logits = cap * tanh(logits / cap); cap 0: unchanged.
void softcap(double cap, std::span<float> logits);

// Dense attention of one new query, q and out [H, 1, D], over k, v [Hkv, n, D].
void attend_one(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const ScoreRule& rule, at::Tensor& out);

}  // namespace dhsa::ops
