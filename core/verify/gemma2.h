// Checks the forward pass against tensors that Hugging Face's implementation left in a safetensors file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/model/gemma2.h"

namespace dhsa {

struct VerifyGemma2Options {
  double tolerance = 2e-4;  // largest relative error that passes; meant for float32
  ModelOptions model;
  const CancelToken* cancel = nullptr;
};

struct TensorCheck {
  std::string name;
  double max_abs = 0;       // max |ours - expected|
  double max_relative = 0;  // max |ours - expected| / max |expected|
  bool passed = false;      // max_relative <= tolerance
};

// The file holds input_ids [L] and any of: hidden.N [P, hidden] (N = 0: scaled embedding, N = layers: after the final
// norm), logits [P, vocab], attention.N [heads, A, L] (probabilities of layer N). P are the rows of `positions`, A
// those of `attention_positions` (`positions` where that is absent), all rows where neither is there. Rows come back in
// the file's order of N: hidden, attention, logits. Throws Error if a tensor does not fit the model or none is there.
[[nodiscard]] std::vector<TensorCheck> verify_gemma2(const std::filesystem::path& model_folder,
                                                     const std::filesystem::path& expected,
                                                     const VerifyGemma2Options& options = {});

}  // namespace dhsa
