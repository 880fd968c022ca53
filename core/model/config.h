// Gemma 2's config.json, old and transformers-5 spelling. Plain data; every field checked on reading.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace dhsa {

struct Gemma2Config {
  std::int64_t vocab_size = 256000;
  std::int64_t hidden_size = 2304;
  std::int64_t intermediate_size = 9216;
  std::int64_t layers = 26;
  std::int64_t heads = 8;
  std::int64_t kv_heads = 4;
  std::int64_t head_dim = 256;         // read, never derived
  std::int64_t context = 8192;         // max_position_embeddings
  std::int64_t sliding_window = 4096;  // 0: config says null, no layer slides
  double query_pre_attn_scalar = 256.0;
  double attention_softcap = 50.0;  // 0: none
  double final_softcap = 30.0;      // 0: none
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  std::int32_t bos_token = 2;
  std::int32_t pad_token = 0;
  std::vector<std::int32_t> stop_tokens = {1};  // eos_token_id, number or list; see read_model_config()
  bool tied = true;                             // the output layer is the embedding
  std::vector<bool> local_layer;                // [layers] true: sliding window (even layers unless layer_types says)

  [[nodiscard]] std::int64_t window_of(std::int64_t layer) const {
    return local_layer[static_cast<std::size_t>(layer)] ? sliding_window : 0;
  }
  [[nodiscard]] std::int64_t parameters() const;  // number of weights
};

// Throw Error naming file, field and what is wrong with it.
[[nodiscard]] Gemma2Config read_config(const std::filesystem::path& config_json);
[[nodiscard]] Gemma2Config parse_config(const std::string& text, const std::string& where);
// Adds the end tokens of a generation_config.json; one more, if it is in the vocabulary.
void add_generation_config(const std::string& text, const std::string& where, Gemma2Config& config);
void add_stop_token(Gemma2Config& config, std::int64_t token);
// The Hugging Face form, as written by synth-model.
[[nodiscard]] nlohmann::json to_hugging_face(const Gemma2Config& config, const std::string& torch_dtype);

}  // namespace dhsa
