#include "core/model/gemma2.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/attention/cuda/attend_cuda.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/model/folder.h"
#include "core/model/gemma2_internal.h"
#include "core/model/on_cuda_internal.h"

namespace dhsa {
namespace {

constexpr std::int64_t kTileRows = 12;  // of a kernel; blocks are multiples
constexpr std::int64_t kRowBlock = 384;
constexpr std::int64_t kOwnRowBlock = 192;                    // activations that stay in a thread's second cache
constexpr std::int64_t kSmallLayer = std::int64_t{4} << 20U;  // weights
constexpr std::int64_t kCudaRowBlock = 4096;
constexpr std::int64_t kLogitRows = 192;                          // rows of logits computed at a time
constexpr std::int64_t kLibraryScratch = std::int64_t{4} << 20U;  // packing buffers of the matrix library, kernels

}  // namespace

bool cuda_available() { return on_cuda::available(); }

std::string size_text(std::int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  return value >= 1e9 ? fmt::format("{:.1f} GB", value / 1e9) : fmt::format("{:.0f} MB", value / 1e6);
}

LayerInfo layer_info(const Gemma2Config& config, int layer) {
  return {layer, config.window_of(layer), static_cast<float>(1.0 / std::sqrt(config.query_pre_attn_scalar)),
          static_cast<float>(config.attention_softcap)};
}

std::shared_ptr<const Gemma2> Gemma2::load(const std::filesystem::path& folder, const ModelOptions& options,
                                           const CancelToken* cancel) {
  if (options.device == Device::kCuda) {
    on_cuda::require();
    if (options.compute != DType::kBFloat16) {
      throw Error("The GPU computes in bfloat16 only: choose it (--dtype bfloat16), or the CPU for float32.");
    }
  }
  Gemma2Config config = read_model_config(folder);
  if (options.device == Device::kCuda && !cuda::attend_supports(config.head_dim)) {
    throw Error(fmt::format("The GPU kernels have head dimensions 64, 128 and 256; {} has {}: choose the CPU.",
                            folder.string(), config.head_dim));
  }
  Weights weights = load_weights(folder, config, options, cancel);
  return std::make_shared<const Gemma2Model>(std::move(config), options, std::move(weights));
}

RowBlocks Gemma2Model::row_blocks(std::int64_t tokens, const PrefillOptions& options) const {
  if (options_.device == Device::kCuda) {
    return {std::min(tokens, options.row_block > 0 ? options.row_block : kCudaRowBlock), 1};
  }
  // All threads share a block of a large layer, whose weights then come from memory once. A block of a small one is
  // over in less time than its threads take to meet at every step: there each thread has a block of its own.
  const std::int64_t q = config_.heads * config_.head_dim;
  const std::int64_t kv = config_.kv_heads * config_.head_dim;
  const std::int64_t weights = config_.hidden_size * (2 * q + 2 * kv + 3 * config_.intermediate_size);
  const int threads = compute_threads();
  if (weights > kSmallLayer || threads == 1) {
    return {std::min(tokens, options.row_block > 0 ? options.row_block : kRowBlock), 1};
  }
  std::int64_t rows = options.row_block;
  if (rows == 0) {
    const std::int64_t even = (tokens + 4 * threads - 1) / (4 * threads);
    rows = std::clamp((even + kTileRows - 1) / kTileRows * kTileRows, 2 * kTileRows, kOwnRowBlock);
  }
  rows = std::min(rows, tokens);
  return {rows, static_cast<int>(std::min<std::int64_t>(threads, (tokens + rows - 1) / rows))};
}

// The one list of shapes: allocate() and allocate_rows() make them, activation_bytes() counts them.
template <class Make>
static void for_each_buffer(const Gemma2Config& c, std::int64_t tokens, const Make& make) {
  make(&PrefillBuffers::x, {tokens, c.hidden_size}, true);
  make(&PrefillBuffers::angles, {tokens, c.head_dim}, true);
  make(&PrefillBuffers::q, {c.heads, tokens, c.head_dim}, false);
  make(&PrefillBuffers::k, {c.kv_heads, tokens, c.head_dim}, false);
  make(&PrefillBuffers::v, {c.kv_heads, tokens, c.head_dim}, false);
  make(&PrefillBuffers::attended, {tokens, c.heads * c.head_dim}, false);
}

template <class Make>
static void for_each_row_buffer(const Gemma2Config& c, std::int64_t rows, bool cuda, const Make& make) {
  const std::int64_t projected = (c.heads + 2 * c.kv_heads) * c.head_dim;
  make(&RowBuffers::normed, {rows, c.hidden_size});
  // The packed product of the CPU gates as it stores: it needs no room for gates and ups.
  make(&RowBuffers::wide, {rows * std::max(projected, cuda ? 2 * c.intermediate_size : 0)});
  make(&RowBuffers::act, {rows, c.intermediate_size});
  make(&RowBuffers::branch, {rows, c.hidden_size});
}

PrefillBuffers Gemma2Model::allocate(std::int64_t tokens) const {
  PrefillBuffers buffers;
  const at::ScalarType type = ops::scalar_type(options_.compute);
  for_each_buffer(config_, tokens,
                  [&](at::Tensor PrefillBuffers::*member, std::initializer_list<std::int64_t> shape, bool float32) {
                    // Angles are made whole by rope_angles().
                    if (member == &PrefillBuffers::angles) return;
                    buffers.*member = ops::empty(shape, float32 ? at::kFloat : type, weights_.embedding);
                  });
  return buffers;
}

RowBuffers Gemma2Model::allocate_rows(std::int64_t rows) const {
  RowBuffers buffers;
  for_each_row_buffer(config_, rows, options_.device == Device::kCuda,
                      [&](at::Tensor RowBuffers::*member, std::initializer_list<std::int64_t> shape) {
                        buffers.*member = ops::empty(shape, ops::scalar_type(options_.compute), weights_.embedding);
                      });
  return buffers;
}

std::int64_t Gemma2Model::activation_bytes(std::int64_t tokens, const PrefillOptions& options) const {
  const std::int64_t size = bytes_of(options_.compute);
  const auto values = [](std::initializer_list<std::int64_t> shape) {
    std::int64_t n = 1;
    for (const std::int64_t extent : shape) n *= extent;
    return n;
  };
  std::int64_t sum = kLibraryScratch;
  for_each_buffer(config_, tokens,
                  [&](at::Tensor PrefillBuffers::*, std::initializer_list<std::int64_t> shape, bool float32) {
                    sum += values(shape) * (float32 ? 4 : size);
                  });
  const RowBlocks blocks = row_blocks(tokens, options);
  for_each_row_buffer(config_, blocks.rows, options_.device == Device::kCuda,
                      [&](at::Tensor RowBuffers::*, std::initializer_list<std::int64_t> shape) {
                        sum += values(shape) * size * blocks.together;
                      });
  const auto positions = std::max<std::int64_t>(1, static_cast<std::int64_t>(options.logit_positions.size()));
  sum += positions * (config_.vocab_size + 2 * config_.hidden_size) * 4;
  if (options.keep_final_hidden) sum += tokens * config_.hidden_size * 4;
  if (options.keep_cache) sum += KvCache::bytes(config_, tokens, options_.compute);
  return sum;
}

PrefillEstimate Gemma2Model::estimate(std::int64_t tokens, const PrefillOptions& options) const {
  PrefillEstimate estimate;
  estimate.activations = activation_bytes(tokens, options);
  estimate.available = options_.device == Device::kCuda ? on_cuda::memory().free : available_bytes();
  std::int64_t fits = 0;
  std::int64_t too_many = std::numeric_limits<std::int32_t>::max();
  while (too_many - fits > 1) {
    const std::int64_t middle = fits + (too_many - fits) / 2;
    (activation_bytes(middle, options) <= estimate.available ? fits : too_many) = middle;
  }
  estimate.longest = fits;
  return estimate;
}

float Gemma2Model::embedding_scale() const {
  const auto scale = static_cast<float>(std::sqrt(static_cast<double>(config_.hidden_size)));
  return options_.compute == DType::kFloat32 ? scale : bfloat16_to_float(float_to_bfloat16(scale));
}

ScoreRule Gemma2Model::score_rule() const {
  const LayerInfo info = layer_info(config_, 0);
  return {info.scale, info.softcap};
}

void Gemma2Model::project(const LayerWeights& layer, const at::Tensor& x, const at::Tensor& angles, RowBuffers& buffers,
                          at::Tensor& q, at::Tensor& k, at::Tensor& v) const {
  const std::int64_t n = x.size(0);
  const std::int64_t width = (config_.heads + 2 * config_.kv_heads) * config_.head_dim;
  at::Tensor normed = buffers.normed.narrow(0, 0, n);
  at::Tensor qkv = buffers.wide.narrow(0, 0, n * width).view({n, width});
  ops::rms_norm(x, layer.input_norm, config_.rms_norm_eps, normed);
  ops::linear(normed, layer.qkv, qkv);
  ops::split_and_rotate(qkv, angles, q, k, v);
}

void Gemma2Model::add_attention(const LayerWeights& layer, const at::Tensor& attended, RowBuffers& buffers,
                                at::Tensor& x) const {
  at::Tensor branch = buffers.branch.narrow(0, 0, x.size(0));
  ops::linear(attended, layer.output, branch);
  ops::add_normed(branch, layer.post_attention_norm, config_.rms_norm_eps, x);
}

void Gemma2Model::add_mlp(const LayerWeights& layer, RowBuffers& buffers, at::Tensor& x) const {
  const std::int64_t n = x.size(0);
  at::Tensor normed = buffers.normed.narrow(0, 0, n);
  at::Tensor act = buffers.act.narrow(0, 0, n);
  at::Tensor branch = buffers.branch.narrow(0, 0, n);
  at::Tensor wide;
  if (x.is_cuda()) wide = buffers.wide.narrow(0, 0, 2 * n * config_.intermediate_size).view({n, -1});
  ops::rms_norm(x, layer.pre_mlp_norm, config_.rms_norm_eps, normed);
  ops::gated_linear(normed, layer.gate_up, wide, act);
  ops::linear(act, layer.down, branch);
  ops::add_normed(branch, layer.post_mlp_norm, config_.rms_norm_eps, x);
}

void Gemma2Model::logits_of(const at::Tensor& normed, float* out) const {
  const std::int64_t rows = normed.size(0);
  for (std::int64_t begin = 0; begin < rows; begin += kLogitRows) {
    const std::int64_t n = std::min(kLogitRows, rows - begin);
    at::Tensor part = at::from_blob(out + begin * config_.vocab_size, {n, config_.vocab_size}, at::kFloat);
    ops::table_product(normed.narrow(0, begin, n), weights_.head, part);
  }
  ops::softcap(config_.final_softcap, {out, static_cast<std::size_t>(rows * config_.vocab_size)});
}

void Gemma2Model::logits(std::span<const float> final_hidden, std::int64_t rows, float* out) const {
  if (static_cast<std::int64_t>(final_hidden.size()) != rows * config_.hidden_size) {
    throw Error(
        fmt::format("{} values are not {} final states of {}.", final_hidden.size(), rows, config_.hidden_size));
  }
  if (rows == 0) return;
  // from_blob wants a mutable pointer; the tensor is only read.
  const at::Tensor host =
      at::from_blob(const_cast<float*>(final_hidden.data()), {rows, config_.hidden_size}, at::kFloat);
  logits_of(options_.device == Device::kCuda ? on_cuda::to_device(host) : host, out);
}

}  // namespace dhsa
