// Gemma 2: weights, prefill under a planner's masks, key/value cache, decode. Follows Hugging Face's eager float32
// implementation; attention goes through attend() and a Planner, so dense is one method among others.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/heads_view.h"
#include "core/model/config.h"
#include "core/model/observer.h"
#include "core/sparsity/planner.h"

namespace dhsa {

enum class Device : std::uint8_t { kCpu, kCuda };
[[nodiscard]] bool cuda_available();  // built with CUDA and a device is there

struct ModelOptions {
  Device device = Device::kCpu;
  DType compute = DType::kFloat32;  // dtype of activations, q, k, v; sums and norms are float32 always
};

// Bytes a model folder takes in memory under these options, before loading it.
[[nodiscard]] std::int64_t weight_bytes(const std::filesystem::path& folder, const ModelOptions& options);

struct PrefillEstimate {
  std::int64_t activations = 0;  // bytes beyond the weights at the peak, cache included
  std::int64_t available = 0;    // bytes free on the device now
  std::int64_t longest = 0;      // tokens that would fit
};

class KvCache;  // keys and values of every layer, local layers only their last window - 1 keys

struct PrefillOptions {
  PrefillObserver* observer = nullptr;
  const CancelToken* cancel = nullptr;
  bool keep_cache = false;                         // needed to decode afterwards
  bool keep_final_hidden = false;                  // normed final states of all rows, for logits at many positions
  std::vector<std::int32_t> logit_positions = {};  // empty: the last only
  // The run ends with the attention of this layer, without logits; -1: it goes through. Not with keep_cache,
  // keep_final_hidden or logit_positions.
  int last_layer = -1;
  std::int64_t row_block = 0;  // rows that pass the linear layers at once; 0: as measured best
};

struct PrefillResult {
  std::vector<float> logits;        // [positions, vocab]; empty with last_layer
  std::vector<float> final_hidden;  // [L, hidden] when asked for
  std::shared_ptr<KvCache> cache;   // when asked for
  double seconds = 0;               // sum of stages
  std::int64_t peak_bytes = 0;      // process (CPU) or allocator (CUDA) high-water mark during the run
  std::int64_t start_bytes = 0;     // the same before the run: weights and libraries
};

class Gemma2 {
 public:
  // Reads config.json and the (sharded) safetensors of a Hugging Face folder. Throws Error on any missing tensor, wrong
  // shape, unsupported dtype, value that is not finite, or too little memory.
  [[nodiscard]] static std::shared_ptr<const Gemma2> load(const std::filesystem::path& folder,
                                                          const ModelOptions& options = {},
                                                          const CancelToken* cancel = nullptr);
  virtual ~Gemma2() = default;
  [[nodiscard]] virtual const Gemma2Config& config() const = 0;
  [[nodiscard]] virtual const ModelOptions& options() const = 0;
  [[nodiscard]] virtual std::int64_t weight_bytes() const = 0;
  // "sha256:...": of all weights (names, types, shapes, values), the configuration, stop tokens and tokenizer.
  [[nodiscard]] virtual std::string fingerprint() const = 0;

  [[nodiscard]] virtual PrefillEstimate estimate(std::int64_t tokens, const PrefillOptions& options) const = 0;
  // ids: 1 <= L tokens, each inside the vocabulary. Memory O(L * hidden); never O(L^2). Throws Error, Cancelled.
  [[nodiscard]] virtual PrefillResult prefill(std::span<const std::int32_t> ids, Planner& planner,
                                              const PrefillOptions& options = {}) const = 0;
  // Logits of normed final states, [n, hidden] -> [n, vocab] with the final softcap, in row blocks.
  virtual void logits(std::span<const float> final_hidden, std::int64_t rows, float* out) const = 0;
  // Dense decode of one token on top of the cache; returns logits [vocab].
  [[nodiscard]] virtual std::vector<float> decode_step(KvCache& cache, std::int32_t token) const = 0;
};

// Greedy continuation after a prefill that kept its cache. Stops at a stop token of the config (not returned) or at
// `most` tokens. `seen` is called with each token as it comes.
[[nodiscard]] std::vector<std::int32_t> generate_greedy(const Gemma2& model, const PrefillResult& prefill,
                                                        std::int64_t most, const CancelToken* cancel = nullptr,
                                                        const std::function<void(std::int32_t)>& seen = {});

// Log-probability (nats) of one token under logits [vocab].
[[nodiscard]] double log_probability(std::span<const float> logits, std::int32_t token);
// Mean of these over `continuation`, token by token, after a prefill that kept its cache and gave the logits of its
// last position last. Throws Error where it is empty.
[[nodiscard]] double log_probability(const Gemma2& model, const PrefillResult& prefill,
                                     std::span<const std::int32_t> continuation, const CancelToken* cancel = nullptr);

// Attention rule and window of a layer.
[[nodiscard]] LayerInfo layer_info(const Gemma2Config& config, int layer);

// Writes a model of random weights in the Hugging Face layout: config.json, bfloat16 shards, index. For speed work.
struct SynthOptions {
  std::string shape = "demo";  // gemma2-2b, gemma2-9b, gemma2-27b, demo
  std::int64_t layers = 0;     // 0: as the shape has
  std::int64_t vocab = 0;
  std::int64_t window = 0;
  std::int64_t context = 0;
  std::uint64_t seed = 1;
};
void write_synthetic_model(const SynthOptions& options, const std::filesystem::path& folder,
                           const CancelToken* cancel = nullptr);

}  // namespace dhsa
