// Facts of the format, from llama.cpp (commit 82234e0 and later):
// - conversion/gemma.py, Gemma2Model: the keys that are written; "norm.weight" tensors hold 1 + w; no tensor is
//   permuted; lm_head.weight is left out, for the output layer is the embedding.
// - src/models/gemma2.cpp: layers 0, 2, 4, ... slide; the attention's scale is not in the file, it is
//   key_length^-1/2, but (n_embd / n_head)^-1/2 for the 27b, which is known by its 46 layers.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/files/strict_json.h"
#include "core/model/gguf_model_internal.h"

namespace dhsa {
namespace {

using nlohmann::json;

constexpr const char* kKind = "gemma2";
constexpr std::int64_t kLayersOf27b = 46;

class Keys {
 public:
  explicit Keys(const GgufFile& file) : file_(file) {}

  [[nodiscard]] std::int64_t count(const char* key) const {
    const auto value = file_.integer(full(key));
    if (!value) throw Error(fmt::format("{}: has no {}; it is not a whole Gemma 2.", file_.path().string(), full(key)));
    return *value;
  }
  // Under the name of config.json, where the file has it.
  void copy(const char* key, const char* name, json& to) const {
    if (const auto value = file_.number(full(key))) to[name] = *value;
  }
  void copy_count(const char* key, const char* name, json& to) const {
    if (const auto value = file_.integer(full(key))) to[name] = *value;
  }
  [[nodiscard]] static std::string full(const char* key) { return fmt::format("{}.{}", kKind, key); }

 private:
  const GgufFile& file_;
};

// Refuses what changes the model and is not run: a stretched context, other layers that slide.
void check_plain(const GgufFile& file) {
  const std::string scaling = file.text(Keys::full("rope.scaling.type")).value_or("none");
  const std::string pattern = Keys::full("attention.sliding_window_pattern");
  if (scaling != "none") {
    throw Error(fmt::format("{}: its positions are scaled ({}), which Gemma 2 does not do.", file.path().string(),
                            brief_name(scaling)));
  }
  if (file.has(pattern) && file.integer(pattern) != 2) {
    throw Error(
        fmt::format("{}: {} is not 2, but in Gemma 2 every second layer slides.", file.path().string(), pattern));
  }
}

}  // namespace

Gemma2Config gguf_config(const GgufFile& file) {
  const std::string kind = file.text("general.architecture").value_or("");
  if (kind != kKind) {
    throw Error(fmt::format("{}: holds a model of the kind {}, and no other kind is run than {}; take a Gemma 2 model.",
                            file.path().string(), brief_name(kind), kKind));
  }
  check_plain(file);
  const Keys keys(file);
  const std::int64_t layers = keys.count("block_count");
  const std::int64_t heads = keys.count("attention.head_count");
  const std::int64_t hidden = keys.count("embedding_length");
  const std::int64_t head_dim = keys.count("attention.key_length");
  if (const auto values = file.integer(Keys::full("attention.value_length")); values && values != head_dim) {
    throw Error(fmt::format("{}: its keys have {} dimensions and its values {}; in Gemma 2 they have the same.",
                            file.path().string(), head_dim, *values));
  }
  json config = {{"model_type", kKind},
                 {"num_hidden_layers", layers},
                 {"num_attention_heads", heads},
                 {"num_key_value_heads", keys.count("attention.head_count_kv")},
                 {"hidden_size", hidden},
                 {"intermediate_size", keys.count("feed_forward_length")},
                 {"head_dim", head_dim},
                 {"query_pre_attn_scalar", layers == kLayersOf27b && heads > 0 ? hidden / heads : head_dim},
                 {"tie_word_embeddings", !file.contains(gguf_tensor_name("lm_head.weight"))}};
  const std::string embedding = gguf_tensor_name("embed_tokens.weight");
  config["vocab_size"] = file.info(embedding).shape.empty() ? 0 : file.info(embedding).shape.front();
  keys.copy_count("context_length", "max_position_embeddings", config);
  keys.copy_count("attention.sliding_window", "sliding_window", config);
  keys.copy("attn_logit_softcapping", "attn_logit_softcapping", config);
  keys.copy("final_logit_softcapping", "final_logit_softcapping", config);
  keys.copy("attention.layer_norm_rms_epsilon", "rms_norm_eps", config);
  keys.copy("rope.freq_base", "rope_theta", config);
  if (const auto bos = file.integer("tokenizer.ggml.bos_token_id")) config["bos_token_id"] = *bos;
  if (const auto pad = file.integer("tokenizer.ggml.padding_token_id")) config["pad_token_id"] = *pad;
  json ends = json::array();
  for (const char* end : {"eos", "eot", "eom"}) {
    if (const auto id = file.integer(fmt::format("tokenizer.ggml.{}_token_id", end))) ends.push_back(*id);
  }
  if (!ends.empty()) config["eos_token_id"] = std::move(ends);
  file.check();
  return parse_config(config.dump(), file.path().string());
}

std::string gguf_tensor_name(const std::string& name) {
  constexpr std::pair<const char*, const char*> kWhole[] = {{"embed_tokens.weight", "token_embd.weight"},
                                                            {"norm.weight", "output_norm.weight"},
                                                            {"lm_head.weight", "output.weight"}};
  constexpr std::pair<const char*, const char*> kOfLayers[] = {{"input_layernorm", "attn_norm"},
                                                               {"self_attn.q_proj", "attn_q"},
                                                               {"self_attn.k_proj", "attn_k"},
                                                               {"self_attn.v_proj", "attn_v"},
                                                               {"self_attn.o_proj", "attn_output"},
                                                               {"post_attention_layernorm", "post_attention_norm"},
                                                               {"pre_feedforward_layernorm", "ffn_norm"},
                                                               {"mlp.gate_proj", "ffn_gate"},
                                                               {"mlp.up_proj", "ffn_up"},
                                                               {"mlp.down_proj", "ffn_down"},
                                                               {"post_feedforward_layernorm", "post_ffw_norm"}};
  for (const auto& [ours, theirs] : kWhole) {
    if (name == ours) return theirs;
  }
  const std::size_t dot = name.find('.', 7);  // behind "layers."
  for (const auto& [ours, theirs] : kOfLayers) {
    if (name.substr(dot + 1) == fmt::format("{}.weight", ours)) {
      return fmt::format("blk.{}.{}.weight", name.substr(7, dot - 7), theirs);
    }
  }
  throw std::logic_error("no tensor of Gemma 2: " + name);
}

}  // namespace dhsa
