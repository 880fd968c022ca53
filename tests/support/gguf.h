// GGUF files for tests: any header, and a model's folder as llama.cpp's converter would write it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/heads_view.h"
#include "core/files/atomic_write.h"
#include "core/files/safetensors.h"
#include "core/text/sentencepiece_internal.h"

namespace dhsa {

// Builds a file piece by piece.
class GgufWriter {
 public:
  template <class T>
  static void put(std::string& to, T value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static void put_text(std::string& to, const std::string& text) {
    put(to, std::uint64_t{text.size()});
    to += text;
  }

  // Types by the format's numbers: 4 u32, 5 i32, 6 f32, 8 text, 9 list.
  template <class T>
  void number(const std::string& key, std::uint32_t type, T value) {
    begin(key, type);
    put(metadata_, value);
  }
  void count(const std::string& key, std::int64_t value) { number(key, 4, static_cast<std::uint32_t>(value)); }
  void real(const std::string& key, double value) { number(key, 6, static_cast<float>(value)); }
  void text(const std::string& key, const std::string& value) {
    begin(key, 8);
    put_text(metadata_, value);
  }
  void texts(const std::string& key, const std::vector<std::string>& list) {
    begin_list(key, 8, list.size());
    for (const std::string& value : list) put_text(metadata_, value);
  }
  template <class T>
  void numbers(const std::string& key, std::uint32_t type, const std::vector<T>& list) {
    begin_list(key, type, list.size());
    for (const T value : list) put(metadata_, value);
  }
  // `shape` in the order of rows, columns.
  void tensor(const std::string& name, std::uint32_t type, std::vector<std::int64_t> shape, const std::string& bytes) {
    put_text(infos_, name);
    put(infos_, static_cast<std::uint32_t>(shape.size()));
    std::reverse(shape.begin(), shape.end());
    for (const std::int64_t extent : shape) put(infos_, static_cast<std::uint64_t>(extent));
    put(infos_, type);
    put(infos_, std::uint64_t{data_.size()});
    data_ += bytes;
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    ++tensors_;
  }
  [[nodiscard]] std::string file() const {
    std::string all = "GGUF";
    put(all, version);
    put(all, tensors_);
    put(all, values_);
    all += metadata_ + infos_;
    all.resize((all.size() + alignment - 1) / alignment * alignment);
    return all + data_;
  }

  std::uint32_t version = 3;
  std::size_t alignment = 32;

 private:
  void begin(const std::string& key, std::uint32_t type) {
    put_text(metadata_, key);
    put(metadata_, type);
    ++values_;
  }
  void begin_list(const std::string& key, std::uint32_t type, std::size_t size) {
    begin(key, 9);
    put(metadata_, type);
    put(metadata_, std::uint64_t{size});
  }

  std::string metadata_, infos_, data_;
  std::uint64_t tensors_ = 0, values_ = 0;
};

// Values as a type stores them: the bytes, and what they mean.
struct StoredValues {
  std::string bytes;
  std::vector<float> values;
};

// "F32", "F16", "BF16" or "Q8_0"; the latter in ggml's blocks: a float16 scale, 32 signed bytes.
inline StoredValues stored_as(const std::string& type, const std::vector<float>& from) {
  StoredValues stored;
  const auto half = [&](float value) {
    const auto rounded = static_cast<_Float16>(value);
    GgufWriter::put(stored.bytes, rounded);
    return static_cast<float>(rounded);
  };
  if (type == "Q8_0") {
    for (std::size_t block = 0; block < from.size(); block += 32) {
      float most = 0;
      for (std::size_t i = 0; i < 32; ++i) most = std::max(most, std::abs(from[block + i]));
      const float scale = half(most / 127);
      for (std::size_t i = 0; i < 32; ++i) {
        const float quotient = most > 0 ? from[block + i] / (most / 127) : 0;
        const auto level = static_cast<std::int8_t>(std::lround(quotient));
        stored.bytes += static_cast<char>(level);
        stored.values.push_back(scale * static_cast<float>(level));
      }
    }
    return stored;
  }
  for (const float value : from) {
    if (type == "F16") {
      stored.values.push_back(half(value));
    } else if (type == "BF16") {
      const std::uint16_t bits = float_to_bfloat16(value);
      GgufWriter::put(stored.bytes, bits);
      stored.values.push_back(bfloat16_to_float(bits));
    } else {
      GgufWriter::put(stored.bytes, value);
      stored.values.push_back(value);
    }
  }
  return stored;
}

// The first layers of a folder's model, to be written as a folder or as a GGUF file of the same values.
class ModelCopy {
 public:
  ModelCopy(const std::filesystem::path& folder, int layers) : folder_(folder) {
    config = nlohmann::json::parse(read_file(folder / "config.json"));
    config["num_hidden_layers"] = layers;
    config.erase("layer_types");
    const TensorFolder files = TensorFolder::open(folder);
    for (const std::string& name : files.names()) {
      constexpr std::string_view kLayer = "model.layers.";
      if (name.starts_with(kLayer) && std::stoi(name.substr(kLayer.size())) >= layers) continue;
      const auto bytes = files.file_of(name).bytes(name);  // bfloat16, as the demo model's are
      Tensor& tensor = tensors_[name];
      tensor.shape = files.info(name).shape;
      for (std::size_t i = 0; i < bytes.size() / 2; ++i) {
        std::uint16_t bits;
        std::memcpy(&bits, bytes.data() + 2 * i, 2);
        tensor.values.push_back(bfloat16_to_float(bits));
      }
    }
  }

  // A folder of the values that `type` can hold, Q8_0 in float32, norms in float32 always.
  void write_folder(const std::filesystem::path& folder, const std::string& type) const {
    std::filesystem::create_directories(folder);
    const std::string kept = type == "Q8_0" ? "F32" : type;
    std::vector<StoredValues> owned;
    owned.reserve(tensors_.size());
    std::vector<TensorToWrite> list;
    for (const auto& [name, tensor] : tensors_) {
      const bool norm = tensor.shape.size() == 1;
      owned.push_back(stored_as(norm ? "F32" : type, tensor.values));
      if (kept != type && !norm) owned.back() = stored_as("F32", owned.back().values);
      list.push_back({name, norm ? "F32" : kept, tensor.shape, std::as_bytes(std::span(owned.back().bytes))});
    }
    write_safetensors(folder / "model.safetensors", list);
    write_file(folder / "config.json", config.dump());
    std::filesystem::copy_file(folder_ / "tokenizer.model", folder / "tokenizer.model");
  }

  // `told`: tokenizer_config.json told the converter which pieces are user-defined.
  [[nodiscard]] GgufWriter gguf(const std::string& type, bool told = true) const {
    static const std::map<std::string, std::uint32_t> kNumbers = {{"F32", 0}, {"F16", 1}, {"Q8_0", 8}, {"BF16", 30}};
    GgufWriter out;
    out.text("general.architecture", "gemma2");
    put_config(out);
    put_tokenizer(out, told);
    for (const auto& [name, tensor] : tensors_) {
      std::vector<float> values = tensor.values;
      const bool norm = tensor.shape.size() == 1;
      if (norm) {
        for (float& value : values) value += 1;
      }
      const std::string as = norm ? "F32" : type;
      out.tensor(their_name(name), kNumbers.at(as), tensor.shape, stored_as(as, values).bytes);
    }
    return out;
  }

  nlohmann::json config;

 private:
  struct Tensor {
    std::vector<std::int64_t> shape;
    std::vector<float> values;
  };

  void put_config(GgufWriter& out) const {
    const auto whole = [&](const char* key, const char* name) {
      out.count(std::string("gemma2.") + key, config.at(name).get<std::int64_t>());
    };
    const auto real = [&](const char* key, const char* name) {
      out.real(std::string("gemma2.") + key, config.at(name).get<double>());
    };
    whole("context_length", "max_position_embeddings");
    whole("embedding_length", "hidden_size");
    whole("block_count", "num_hidden_layers");
    whole("feed_forward_length", "intermediate_size");
    whole("attention.head_count", "num_attention_heads");
    whole("attention.head_count_kv", "num_key_value_heads");
    whole("attention.key_length", "head_dim");
    whole("attention.value_length", "head_dim");
    whole("attention.sliding_window", "sliding_window");
    real("attention.layer_norm_rms_epsilon", "rms_norm_eps");
    real("attn_logit_softcapping", "attn_logit_softcapping");
    real("final_logit_softcapping", "final_logit_softcapping");
    real("rope.freq_base", "rope_theta");
  }

  void put_tokenizer(GgufWriter& out, bool told) const {
    const auto pieces = parse_sentencepiece_file(read_file(folder_ / "tokenizer.model")).pieces;
    std::vector<std::string> texts;
    std::vector<float> scores;
    std::vector<std::int32_t> types;
    for (const auto& piece : pieces) {
      std::string text = piece.text;
      auto type = piece.type;
      if (type == PieceType::kUserDefined && !told) type = PieceType::kNormal;
      if (type == PieceType::kUserDefined) {
        for (std::size_t at = 0; (at = text.find("\u2581", at)) != std::string::npos;) text.replace(at, 3, " ");
      }
      texts.push_back(text);
      scores.push_back(piece.type == PieceType::kUserDefined && told ? -1000.0F : piece.score);
      types.push_back(static_cast<std::int32_t>(type));
    }
    for (std::int64_t id = static_cast<std::int64_t>(texts.size()); id < config.at("vocab_size").get<std::int64_t>();
         ++id) {
      texts.push_back("[PAD" + std::to_string(id) + "]");
      scores.push_back(-10000);
      types.push_back(static_cast<std::int32_t>(PieceType::kUnused));
    }
    out.text("tokenizer.ggml.model", "llama");
    out.text("tokenizer.ggml.pre", "default");
    out.texts("tokenizer.ggml.tokens", texts);
    out.numbers("tokenizer.ggml.scores", 6, scores);
    out.numbers("tokenizer.ggml.token_type", 5, types);
    out.count("tokenizer.ggml.bos_token_id", config.at("bos_token_id").get<std::int64_t>());
    out.count("tokenizer.ggml.eos_token_id", config.at("eos_token_id").get<std::int64_t>());
    out.count("tokenizer.ggml.padding_token_id", config.at("pad_token_id").get<std::int64_t>());
    out.number("tokenizer.ggml.add_bos_token", 7, std::uint8_t{1});
  }

  // Names of gguf-py's tensor map for GEMMA2.
  static std::string their_name(const std::string& name) {
    if (name == "model.embed_tokens.weight") return "token_embd.weight";
    if (name == "model.norm.weight") return "output_norm.weight";
    static const std::map<std::string, std::string> kNames = {{"input_layernorm", "attn_norm"},
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
    const std::string rest = name.substr(std::string("model.layers.").size());
    const std::size_t dot = rest.find('.');
    const std::string part = rest.substr(dot + 1, rest.size() - dot - 1 - std::string(".weight").size());
    return "blk." + rest.substr(0, dot) + "." + kNames.at(part) + ".weight";
  }

  std::filesystem::path folder_;
  std::map<std::string, Tensor> tensors_;
};

}  // namespace dhsa
