#include "core/sparsity/boundary_predictor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/base/parallel.h"
#include "core/files/sha256.h"
#include "core/sparsity/row_math.h"

namespace dhsa {
namespace {

constexpr float kNormEpsilon = 1e-5F;
constexpr float kCosineEpsilon = 1e-6F;

PackedRows pack(const float* weight, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  PackedRows packed(rows, columns);
  for (std::int64_t i = 0; i < rows; ++i) packed.set(i, weight + i * stride);
  return packed;
}

// One buffer after the other out of memory that a thread keeps between blocks: fresh pages for each block cost about as
// much as the arithmetic.
class Scratch {
 public:
  explicit Scratch(std::int64_t floats) {
    thread_local std::vector<float> kept;
    if (kept.size() < static_cast<std::size_t>(floats)) kept.resize(static_cast<std::size_t>(floats));
    next_ = kept.data();
  }
  // Not initialised.
  float* take(std::int64_t floats) noexcept { return std::exchange(next_, next_ + floats); }

 private:
  float* next_ = nullptr;
};

void require(const char* name, const std::vector<float>& values, std::int64_t elements) {
  if (static_cast<std::int64_t>(values.size()) != elements) {
    throw Error(fmt::format("The boundary predictor's {} holds {} numbers instead of {}; use weights of one predictor.",
                            name, values.size(), elements));
  }
}

// Of weights and settings.
std::string fingerprint_of(const PredictorWeights& w) {
  std::string all = fmt::format("{} {} {} {} ", w.channels, w.hidden, w.heads, w.boundary_window);
  for (const auto* part : {&w.in_proj_weight, &w.in_proj_bias, &w.out_proj_weight, &w.out_proj_bias, &w.norm_weight,
                           &w.norm_bias, &w.gate_weight, &w.mlp0_weight, &w.mlp0_bias, &w.mlp2_weight, &w.mlp2_bias}) {
    all += fmt::format("{} ", part->size());
    all.append(reinterpret_cast<const char*>(part->data()), part->size() * sizeof(float));
  }
  return sha256(all).substr(0, 16);
}

}  // namespace

struct BoundaryPredictor::Packed {
  PackedRows in_proj;
  std::vector<PackedRows> out_proj;  // per head: its columns of out_proj
  PackedRows mlp0;
};

BoundaryPredictor::BoundaryPredictor(PredictorWeights weights)
    : weights_(std::move(weights)), fingerprint_(fingerprint_of(weights_)) {
  const PredictorWeights& w = weights_;
  const std::int64_t c = w.channels;
  if (c < 1 || w.hidden < 1 || w.heads < 1 || c % w.heads != 0) {
    throw Error(fmt::format("The boundary predictor has {} channels for {} heads; heads must divide the channels.", c,
                            w.heads));
  }
  if (w.boundary_window < 1 || w.boundary_window > 64) {
    throw Error(
        fmt::format("The boundary predictor's window is {}; it must lie between 1 and 64 tokens.", w.boundary_window));
  }
  require("enc.mha.in_proj_weight", w.in_proj_weight, 3 * c * c);
  require("enc.mha.in_proj_bias", w.in_proj_bias, 3 * c);
  require("enc.mha.out_proj.weight", w.out_proj_weight, c * c);
  require("enc.mha.out_proj.bias", w.out_proj_bias, c);
  require("enc.norm.weight", w.norm_weight, c);
  require("enc.norm.bias", w.norm_bias, c);
  if (!w.gate_weight.empty()) require("pool.gate.weight", w.gate_weight, c);
  require("mlp.0.weight", w.mlp0_weight, w.hidden * (4 * c + 1));
  require("mlp.0.bias", w.mlp0_bias, w.hidden);
  require("mlp.2.weight", w.mlp2_weight, w.hidden);
  require("mlp.2.bias", w.mlp2_bias, 1);

  auto packed = std::make_unique<Packed>();
  packed->in_proj = pack(w.in_proj_weight.data(), 3 * c, c, c);
  const std::int64_t head_dim = c / w.heads;
  for (std::int64_t h = 0; h < w.heads; ++h) {
    packed->out_proj.push_back(pack(w.out_proj_weight.data() + h * head_dim, c, head_dim, c));
  }
  packed->mlp0 = pack(w.mlp0_weight.data(), w.hidden, 4 * c + 1, 4 * c + 1);
  packed_ = std::move(packed);
}

BoundaryPredictor::~BoundaryPredictor() = default;

void BoundaryPredictor::check_keys(std::int64_t heads, std::int64_t dim) const {
  if (heads * dim == weights_.channels) return;
  throw Error(
      fmt::format("The boundary predictor was made for keys of {} channels, the model has {} ({} heads of {}); "
                  "use one trained for this model.",
                  weights_.channels, heads * dim, heads, dim));
}

std::vector<float> BoundaryPredictor::logits(const HeadsView& k, const CancelToken* cancel) const {
  check_keys(k.heads, k.dim);
  std::vector<float> scores(static_cast<std::size_t>(k.rows), std::numeric_limits<float>::quiet_NaN());
  const std::int64_t first = weights_.boundary_window - 1;
  const std::int64_t end = k.rows - weights_.boundary_window;
  if (end <= first) return scores;
  // Cuts scored together: many, as their windows overlap, but no more than keep the mixed values in cache.
  const std::int64_t fit = 65536 / (weights_.heads * padded_columns(weights_.channels));
  const std::int64_t positions = std::clamp<std::int64_t>(fit - 2 * weights_.boundary_window, 16, 128);
  parallel_for((end - first + positions - 1) / positions,
               [&](std::int64_t block) {
                 const std::int64_t begin = first + block * positions;
                 score_block(k, begin, std::min(end, begin + positions), scores.data() + begin);
               },
               cancel);
  return scores;
}

// Within a window only the softmax depends on the cut. Queries, keys and values of a token serve all windows that hold
// it, the exponentials of the banded scores too, and the output projection is applied to each head's value before the
// weights mix them: per cut that leaves one small product [2w, 2w * heads] x [2w * heads, C].
void BoundaryPredictor::score_block(const HeadsView& k, std::int64_t begin, std::int64_t end, float* out) const {
  const PredictorWeights& weights = weights_;
  const RowKernels& kernels = row_kernels();
  const std::int64_t c = weights.channels;
  const std::int64_t heads = weights.heads;
  const std::int64_t head_dim = c / heads;
  const std::int64_t w = weights.boundary_window;
  const std::int64_t span = 2 * w;
  const std::int64_t first = begin - w + 1;  // token of row 0
  const std::int64_t tokens = end - begin + span - 1;
  const std::int64_t positions = end - begin;
  const std::int64_t qkv_stride = padded_columns(3 * c);
  const std::int64_t stride = padded_columns(c);
  const std::int64_t band = 2 * span - 1;
  const std::int64_t feature_count = 4 * c + 1;
  const std::int64_t hidden_stride = padded_columns(weights.hidden);
  Scratch scratch(tokens * (c + qkv_stride + heads * (stride + band)) + span * (span * heads + stride + 1) +
                  positions * (feature_count + hidden_stride));

  float* features = scratch.take(tokens * c);
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t h = 0; h < k.heads; ++h) k.load_row(h, first + t, features + t * c + h * k.dim);
  }
  float* qkv = scratch.take(tokens * qkv_stride);
  packed_->in_proj.multiply(features, tokens, c, 0, 3 * c, qkv, qkv_stride);
  for (std::int64_t t = 0; t < tokens; ++t) {
    kernels.add(qkv + t * qkv_stride, weights.in_proj_bias.data(), 3 * c);
  }

  // mixed[t][h] = out_proj restricted to head h, applied to the value of token t.
  float* mixed = scratch.take(tokens * heads * stride);
  for (std::int64_t h = 0; h < heads; ++h) {
    packed_->out_proj[static_cast<std::size_t>(h)].multiply(qkv + 2 * c + h * head_dim, tokens, qkv_stride, 0, c,
                                                            mixed + h * stride, heads * stride);
  }

  // grown[t][h][u - t + span - 1] = exp(score of query t against key u, less the largest of the band).
  const float scale = 1.0F / std::sqrt(static_cast<float>(head_dim));
  float* grown = scratch.take(tokens * heads * band);
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::int64_t from = std::max<std::int64_t>(0, t - span + 1);
    const std::int64_t to = std::min(tokens, t + span);
    for (std::int64_t h = 0; h < heads; ++h) {
      float* row = grown + (t * heads + h) * band + (from - t + span - 1);
      const float* query = qkv + t * qkv_stride + h * head_dim;
      for (std::int64_t u = from; u < to; ++u) {
        row[u - from] = scale * kernels.dot(query, qkv + u * qkv_stride + c + h * head_dim, head_dim);
      }
      kernels.exp_sum(row, to - from, kernels.largest(row, to - from));
    }
  }

  float* mlp_input = scratch.take(positions * feature_count);
  float* shares = scratch.take(span * span * heads);
  float* encoded = scratch.take(span * stride);
  float* gates = scratch.take(span);
  for (std::int64_t p = 0; p < positions; ++p) {
    // The window of cut begin + p holds rows p ... p + span - 1.
    for (std::int64_t i = 0; i < span; ++i) {
      for (std::int64_t h = 0; h < heads; ++h) {
        const std::int64_t t = p + i;
        const float* row = grown + (t * heads + h) * band + (span - 1 - i);
        float sum = 0;
        for (std::int64_t u = 0; u < span; ++u) sum += row[u];
        float* to = shares + i * span * heads + h;
        if (sum > 1e-20F) {
          for (std::int64_t u = 0; u < span; ++u) to[u * heads] = row[u] / sum;
          continue;
        }
        // All of this window lies far below the band's largest score: take its own softmax.
        const float* query = qkv + t * qkv_stride + h * head_dim;
        std::vector<float> own(static_cast<std::size_t>(span));
        for (std::int64_t u = 0; u < span; ++u) {
          own[static_cast<std::size_t>(u)] =
              scale * kernels.dot(query, qkv + (p + u) * qkv_stride + c + h * head_dim, head_dim);
        }
        sum = kernels.exp_sum(own.data(), span, kernels.largest(own.data(), span));
        for (std::int64_t u = 0; u < span; ++u) to[u * heads] = own[static_cast<std::size_t>(u)] / sum;
      }
    }
    kernels.multiply(shares, span, span * heads, mixed + p * heads * stride, stride, span * heads,
                     stride / kTileColumns, encoded, stride);
    for (std::int64_t i = 0; i < span; ++i) {
      float* row = encoded + i * stride;
      kernels.add(row, weights.out_proj_bias.data(), c);
      kernels.normalise(row, weights.norm_weight.data(), weights.norm_bias.data(), c, kNormEpsilon);
    }
    float* input = mlp_input + p * feature_count;
    std::fill(input, input + 2 * c, 0.0F);
    for (std::int64_t side = 0; side < 2; ++side) {
      const float* rows = encoded + side * w * stride;
      float total = static_cast<float>(w);
      std::fill(gates, gates + span, 1.0F);
      if (!weights.gate_weight.empty()) {
        for (std::int64_t i = 0; i < w; ++i) {
          gates[i] = kernels.dot(weights.gate_weight.data(), rows + i * stride, c);
        }
        total = kernels.exp_sum(gates, w, kernels.largest(gates, w));
      }
      for (std::int64_t i = 0; i < w; ++i) {
        kernels.add_scaled(input + side * c, rows + i * stride, c, gates[i] / total);
      }
    }
    const float* left = input;
    const float* right = input + c;
    for (std::int64_t d = 0; d < c; ++d) {
      input[2 * c + d] = std::abs(left[d] - right[d]);
      input[3 * c + d] = left[d] * right[d];
    }
    const float norms = std::max(std::sqrt(kernels.dot(left, left, c)), kCosineEpsilon) *
                        std::max(std::sqrt(kernels.dot(right, right, c)), kCosineEpsilon);
    input[4 * c] = kernels.dot(left, right, c) / norms;
  }

  float* hidden = scratch.take(positions * hidden_stride);
  packed_->mlp0.multiply(mlp_input, positions, feature_count, 0, weights.hidden, hidden, hidden_stride);
  for (std::int64_t p = 0; p < positions; ++p) {
    float* row = hidden + p * hidden_stride;
    for (std::int64_t d = 0; d < weights.hidden; ++d) {
      row[d] = std::max(0.0F, row[d] + weights.mlp0_bias[static_cast<std::size_t>(d)]);
    }
    out[p] = kernels.dot(row, weights.mlp2_weight.data(), weights.hidden) + weights.mlp2_bias[0];
  }
}

}  // namespace dhsa
