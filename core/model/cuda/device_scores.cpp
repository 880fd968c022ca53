#include <ATen/ATen.h>
#include <algorithm>
#include <limits>

#include "core/model/cuda/device_scores_internal.h"
#include "core/model/on_cuda_internal.h"

namespace dhsa::on_cuda {
namespace {

constexpr std::int64_t kBlockFloats = std::int64_t{1} << 24U;

at::Tensor weight(const std::vector<float>& values, std::initializer_list<std::int64_t> shape) {
  return to_device(at::from_blob(const_cast<float*>(values.data()), shape, at::TensorOptions().dtype(at::kFloat)));
}

}  // namespace

std::int64_t block_rows(std::int64_t heads, std::int64_t width) {
  return std::max<std::int64_t>(1, kBlockFloats / std::max<std::int64_t>(1, heads * width));
}

at::Tensor probabilities(const at::Tensor& q, const at::Tensor& k, std::int64_t kv_head, const LayerInfo& layer,
                         std::int64_t row_begin, std::int64_t row_end, std::int64_t key_begin) {
  const std::int64_t heads = q.size(0) / k.size(0), rows = row_end - row_begin, keys = row_end - key_begin;
  const at::Tensor queries = q.narrow(0, kv_head * heads, heads).narrow(1, row_begin, rows).to(at::kFloat);
  const at::Tensor of_head = k.select(0, kv_head).narrow(0, key_begin, keys).to(at::kFloat);
  at::Tensor z = at::matmul(queries.reshape({heads * rows, q.size(2)}), of_head.t()).view({heads, rows, keys});
  z.mul_(static_cast<double>(layer.scale));
  if (layer.softcap > 0) {
    const auto cap = static_cast<double>(layer.softcap);
    z.div_(cap).tanh_().mul_(cap);
  }
  const at::TensorOptions ints = q.options().dtype(at::kLong);
  const at::Tensor row = at::arange(row_begin, row_end, ints).unsqueeze(1);
  const at::Tensor key = at::arange(key_begin, row_end, ints).unsqueeze(0);
  at::Tensor unseen = key.gt(row);
  if (layer.window > 0) unseen.logical_or_(key.le(row - layer.window));
  z.masked_fill_(unseen, -std::numeric_limits<double>::infinity());
  return at::softmax(z, -1);
}

at::Tensor attention_mass_ratios(const at::Tensor& q, const at::Tensor& k, std::int64_t boundary_window,
                                 const LayerInfo& layer, const CancelToken* cancel) {
  const std::int64_t tokens = q.size(1), w = boundary_window;
  const at::TensorOptions doubles = q.options().dtype(at::kDouble);
  // Band sums by cut j, with w more places on either side than are read, so that no slice leaves them.
  at::Tensor past = at::zeros({tokens + 2 * w}, doubles), future = at::zeros({tokens + 2 * w}, doubles);
  for (std::int64_t row_begin = 0; row_begin < tokens;) {
    if (cancel != nullptr) cancel->check();
    const std::int64_t key_begin = layer.local() ? std::max<std::int64_t>(0, row_begin - layer.window + 1) : 0;
    const std::int64_t widest = std::min(tokens, row_begin + 512) - key_begin;
    const std::int64_t row_end = std::min({tokens, row_begin + 512, row_begin + block_rows(q.size(0), widest)});
    const std::int64_t keys = row_end - key_begin;
    at::Tensor mean = at::zeros({row_end - row_begin, keys}, q.options().dtype(at::kFloat));
    for (std::int64_t kv = 0; kv < k.size(0); ++kv) {
      mean.add_(probabilities(q, k, kv, layer, row_begin, row_end, key_begin).sum(0));
    }
    mean.div_(static_cast<double>(q.size(0)));
    // Row i looks at the cuts j with j + w <= i, and on a local layer i < j + w + W.
    const at::TensorOptions ints = q.options().dtype(at::kLong);
    const at::Tensor behind = at::arange(row_begin, row_end, ints).unsqueeze(1) -
                              at::arange(key_begin, row_end, ints).unsqueeze(0);  // i - c of row i and column c
    const auto add = [&](at::Tensor& sums, std::int64_t shift) {                  // of the cuts j = c + shift
      at::Tensor looks = behind.ge(shift + w);
      if (layer.local()) looks.logical_and_(behind.lt(shift + w + layer.window));
      sums.narrow(0, key_begin + shift + w, keys).add_(mean.mul(looks).sum(0, false, at::kDouble));
    };
    for (std::int64_t d = 0; d < w; ++d) {
      add(past, d);
      add(future, -1 - d);
    }
    row_begin = row_end;
  }
  constexpr double kEpsilon = 1e-6;
  past = past.narrow(0, w, tokens);
  future = future.narrow(0, w, tokens);
  at::Tensor ratios =
      at::maximum(past, future).add_(kEpsilon).div_(at::minimum(past, future).add_(kEpsilon)).to(at::kFloat);
  const double undefined = std::numeric_limits<double>::quiet_NaN();
  ratios.narrow(0, 0, std::min(tokens, 2 * w - 1)).fill_(undefined);
  ratios.narrow(0, std::max<std::int64_t>(0, tokens - 2 * w), std::min(tokens, 2 * w)).fill_(undefined);
  return ratios;
}

PredictorOnDevice::PredictorOnDevice(const BoundaryPredictor& predictor)
    : channels_(predictor.weights().channels),
      heads_(predictor.weights().heads),
      window_(predictor.weights().boundary_window) {
  const PredictorWeights& w = predictor.weights();
  const std::int64_t c = channels_;
  in_weight_ = weight(w.in_proj_weight, {3 * c, c});
  in_bias_ = weight(w.in_proj_bias, {3 * c});
  out_weight_ = weight(w.out_proj_weight, {c, c});
  out_bias_ = weight(w.out_proj_bias, {c});
  norm_weight_ = weight(w.norm_weight, {c});
  norm_bias_ = weight(w.norm_bias, {c});
  if (!w.gate_weight.empty()) gate_ = weight(w.gate_weight, {c});
  hidden_weight_ = weight(w.mlp0_weight, {w.hidden, 4 * c + 1});
  hidden_bias_ = weight(w.mlp0_bias, {w.hidden});
  last_weight_ = weight(w.mlp2_weight, {w.hidden});
  last_bias_ = weight(w.mlp2_bias, {1});
}

at::Tensor PredictorOnDevice::logits(const at::Tensor& k, const CancelToken* cancel) const {
  const std::int64_t tokens = k.size(1), c = channels_, w = window_, span = 2 * w, dim = c / heads_;
  at::Tensor scores = at::full({tokens}, std::numeric_limits<double>::quiet_NaN(), k.options().dtype(at::kFloat));
  const std::int64_t end = tokens - w;
  const std::int64_t cuts = std::clamp<std::int64_t>(kBlockFloats / (span * 3 * c), 1, 4096);  // scored together
  for (std::int64_t begin = w - 1; begin < end; begin += cuts) {
    if (cancel != nullptr) cancel->check();
    const std::int64_t n = std::min(cuts, end - begin), seen = n + span - 1;
    const at::Tensor keys = k.narrow(1, begin - w + 1, seen).transpose(0, 1).reshape({seen, c}).to(at::kFloat);
    // The window of each cut as a view of the projections: [3, n, heads, dim, span].
    const at::Tensor windows =
        at::addmm(in_bias_, keys, in_weight_.t()).view({seen, 3, heads_, dim}).unfold(0, span, 1).transpose(0, 1);
    const at::Tensor shares = at::softmax(at::matmul(windows.select(0, 0).transpose(2, 3), windows.select(0, 1))
                                              .mul_(1.0 / std::sqrt(static_cast<double>(dim))),
                                          -1);
    const at::Tensor mixed =
        at::matmul(shares, windows.select(0, 2).transpose(2, 3)).transpose(1, 2).reshape({n * span, c});
    const at::Tensor encoded =
        at::layer_norm(at::addmm(out_bias_, mixed, out_weight_.t()), {c}, norm_weight_, norm_bias_, 1e-5)
            .view({n, 2, w, c});
    at::Tensor sides;  // [n, 2, c]
    if (gate_.defined()) {
      sides = encoded.mul(at::softmax(at::matmul(encoded, gate_), -1).unsqueeze(-1)).sum(2);
    } else {
      sides = encoded.mean(2);
    }
    const at::Tensor left = sides.select(1, 0), right = sides.select(1, 1);
    const at::Tensor norms =
        left.square().sum(1).sqrt_().clamp_min_(1e-6).mul_(right.square().sum(1).sqrt_().clamp_min_(1e-6));
    const at::Tensor product = left.mul(right);
    const at::Tensor features =
        at::cat({left, right, left.sub(right).abs_(), product, product.sum(1).div_(norms).unsqueeze(1)}, 1);
    const at::Tensor hidden = at::addmm(hidden_bias_, features, hidden_weight_.t()).relu_();
    scores.narrow(0, begin, n).copy_(at::mv(hidden, last_weight_).add_(last_bias_));
  }
  return scores;
}

}  // namespace dhsa::on_cuda
