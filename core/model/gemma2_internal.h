// The implementation behind gemma2.h.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/model/gemma2.h"
#include "core/model/kv_cache_internal.h"
#include "core/model/ops_internal.h"
#include "core/model/weights_internal.h"

namespace dhsa {

// How the rows of a text pass the linear layers: blocks of `rows`, `together` of them at a time.
struct RowBlocks {
  std::int64_t rows = 0;
  int together = 1;
};

// What the linear layers need for one block of rows: layer input, projections, gated, layer output.
struct RowBuffers {
  at::Tensor normed, wide, act, branch;
};

// Tensors one prefill works in. Everything that grows with the text is here or in the cache.
struct PrefillBuffers {
  at::Tensor x;         // [L, hidden] float32, the residual stream
  at::Tensor angles;    // [L, D] float32
  at::Tensor q, k, v;   // [H | Hkv, L, D]
  at::Tensor attended;  // [L, H D]
};

class Gemma2Model final : public Gemma2 {
 public:
  Gemma2Model(Gemma2Config config, ModelOptions options, Weights weights)
      : config_(std::move(config)), options_(options), weights_(std::move(weights)) {}

  [[nodiscard]] const Gemma2Config& config() const override { return config_; }
  [[nodiscard]] const ModelOptions& options() const override { return options_; }
  [[nodiscard]] std::int64_t weight_bytes() const override { return weights_.bytes; }
  [[nodiscard]] std::string fingerprint() const override { return weights_.fingerprint; }
  [[nodiscard]] PrefillEstimate estimate(std::int64_t tokens, const PrefillOptions& options) const override;
  [[nodiscard]] PrefillResult prefill(std::span<const std::int32_t> ids, Planner& planner,
                                      const PrefillOptions& options) const override;
  void logits(std::span<const float> final_hidden, std::int64_t rows, float* out) const override;
  [[nodiscard]] std::vector<float> decode_step(KvCache& cache, std::int32_t token) const override;

  [[nodiscard]] const Weights& weights() const { return weights_; }
  [[nodiscard]] RowBlocks row_blocks(std::int64_t tokens, const PrefillOptions& options) const;
  [[nodiscard]] PrefillBuffers allocate(std::int64_t tokens) const;
  [[nodiscard]] RowBuffers allocate_rows(std::int64_t rows) const;
  // Factor on the embedding: sqrt(hidden), rounded to the type of the activations.
  [[nodiscard]] float embedding_scale() const;
  [[nodiscard]] ScoreRule score_rule() const;
  // Softcapped logits of normed rows [n, hidden] float32. Always in float32: they are few, and what is compared.
  void logits_of(const at::Tensor& normed, float* out) const;

  // The three parts of a layer on `n` rows (a row block or one token), leaving attention to the caller.
  void project(const LayerWeights& layer, const at::Tensor& x, const at::Tensor& angles, RowBuffers& buffers,
               at::Tensor& q, at::Tensor& k, at::Tensor& v) const;
  void add_attention(const LayerWeights& layer, const at::Tensor& attended, RowBuffers& buffers, at::Tensor& x) const;
  void add_mlp(const LayerWeights& layer, RowBuffers& buffers, at::Tensor& x) const;

 private:
  [[nodiscard]] std::int64_t activation_bytes(std::int64_t tokens, const PrefillOptions& options) const;

  Gemma2Config config_;
  ModelOptions options_;
  Weights weights_;
};

// "3.4 GB", "87 MB": bytes for a person.
[[nodiscard]] std::string size_text(std::int64_t bytes);

}  // namespace dhsa
