// The weights of a Gemma 2 folder as tensors, projections that share an input fused.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/model/config.h"
#include "core/model/gemma2.h"

namespace dhsa {

// Matrices are float32 or bfloat16; [out, in] on a GPU, packed for core/model/cpu/gemm.h on the CPU (3 or 4
// dimensions). Norm weights are float32, as stored (around 0: 1 is added on use).
struct LayerWeights {
  at::Tensor input_norm, post_attention_norm, pre_mlp_norm, post_mlp_norm;
  at::Tensor qkv;      // [(H + 2 Hkv) D, hidden]: q, k, v
  at::Tensor output;   // [hidden, H D]
  at::Tensor gate_up;  // [2 intermediate, hidden]: gates, ups
  at::Tensor down;     // [hidden, intermediate]
};

struct Weights {
  at::Tensor embedding;  // [vocab, hidden], never packed
  at::Tensor head;       // the same of the output layer; the embedding itself where the two are tied
  std::vector<LayerWeights> layers;
  at::Tensor final_norm;
  std::int64_t bytes = 0;
  std::string fingerprint;
};

// Throws Error, Cancelled. Reads through a memory map, each tensor once; peak memory is the weights.
[[nodiscard]] Weights load_weights(const std::filesystem::path& folder, const Gemma2Config& config,
                                   const ModelOptions& options, const CancelToken* cancel);

}  // namespace dhsa
