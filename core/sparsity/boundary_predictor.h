// The learned boundary predictor (paper section 3.2): from the keys on both sides of a cut to a logit "a chunk ends
// here".
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/heads_view.h"

namespace dhsa {

class PackedRows;

// Weights under the reference's names, row-major [out, in] as in the file. C = Hkv * D channels: the keys of all kv
// heads of a token joined; w tokens on each side; `hidden` units.
struct PredictorWeights {
  std::int64_t channels = 0;
  std::int64_t hidden = 0;
  std::int64_t heads = 4;
  std::int64_t boundary_window = 4;
  std::vector<float> in_proj_weight;   // enc.mha.in_proj_weight [3C, C]: queries, keys, values
  std::vector<float> in_proj_bias;     // enc.mha.in_proj_bias [3C]
  std::vector<float> out_proj_weight;  // enc.mha.out_proj.weight [C, C]
  std::vector<float> out_proj_bias;    // enc.mha.out_proj.bias [C]
  std::vector<float> norm_weight;      // enc.norm.weight [C]
  std::vector<float> norm_bias;        // enc.norm.bias [C]
  std::vector<float> gate_weight;      // pool.gate.weight [1, C]; empty: the window is pooled by its mean
  std::vector<float> mlp0_weight;      // mlp.0.weight [hidden, 4C + 1]
  std::vector<float> mlp0_bias;        // mlp.0.bias [hidden]
  std::vector<float> mlp2_weight;      // mlp.2.weight [1, hidden]
  std::vector<float> mlp2_bias;        // mlp.2.bias [1]
};

// What the shapes do not tell. Read from the file's metadata keys "heads", "boundary_window" and "window_pool" ("true"
// or "false") where not given; else the reference's defaults: 4 heads, w = 4, a gate if the file has one.
struct PredictorSettings {
  std::optional<std::int64_t> heads;
  std::optional<std::int64_t> boundary_window;
  std::optional<bool> window_pool;
};

class BoundaryPredictor {
 public:
  // Throws Error if a shape or a setting does not fit.
  explicit BoundaryPredictor(PredictorWeights weights);
  ~BoundaryPredictor();
  BoundaryPredictor(const BoundaryPredictor&) = delete;
  BoundaryPredictor& operator=(const BoundaryPredictor&) = delete;

  // Tensor names may carry the prefix "predictor.". Throws Error naming file and tensor.
  [[nodiscard]] static std::shared_ptr<const BoundaryPredictor> load(const std::filesystem::path& path,
                                                                     const PredictorSettings& settings = {});

  [[nodiscard]] const PredictorWeights& weights() const noexcept { return weights_; }
  // Of weights and settings: what its boundaries depend on.
  [[nodiscard]] const std::string& fingerprint() const noexcept { return fingerprint_; }
  [[nodiscard]] std::int64_t boundary_window() const noexcept { return weights_.boundary_window; }

  // Throws Error unless keys of such heads have its channels.
  void check_keys(std::int64_t heads, std::int64_t dim) const;

  // Logits r_j [L] of keys k [Hkv, L, D] after RoPE, Hkv * D = channels (else Error); NaN where j < w - 1 or
  // j >= L - w. Time O(L * (C^2 + 4w^2 C)), memory O(block * C) per thread.
  [[nodiscard]] std::vector<float> logits(const HeadsView& k, const CancelToken* cancel = nullptr) const;

 private:
  struct Packed;
  void score_block(const HeadsView& k, std::int64_t begin, std::int64_t end, float* out) const;

  PredictorWeights weights_;
  std::string fingerprint_;
  std::unique_ptr<const Packed> packed_;
};

// Writes weights and settings as load() reads them, with further metadata of the caller's.
void write_predictor(const std::filesystem::path& path, const PredictorWeights& weights,
                     const std::map<std::string, std::string>& metadata = {});

}  // namespace dhsa
