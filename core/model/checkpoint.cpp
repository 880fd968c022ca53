#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "core/files/gguf.h"
#include "core/model/checkpoint_internal.h"
#include "core/model/gguf_model_internal.h"

namespace dhsa {
namespace {

constexpr const char* kEmbedding = "embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

std::vector<Checkpoint::Wanted> all_tensors(const Gemma2Config& c) {
  std::vector<Checkpoint::Wanted> all{{kEmbedding, {c.vocab_size, c.hidden_size}}, {"norm.weight", {c.hidden_size}}};
  const std::int64_t q = c.heads * c.head_dim;
  const std::int64_t kv = c.kv_heads * c.head_dim;
  for (std::int64_t layer = 0; layer < c.layers; ++layer) {
    const std::string at = fmt::format("layers.{}.", layer);
    all.push_back({at + "input_layernorm.weight", {c.hidden_size}});
    all.push_back({at + "post_attention_layernorm.weight", {c.hidden_size}});
    all.push_back({at + "pre_feedforward_layernorm.weight", {c.hidden_size}});
    all.push_back({at + "post_feedforward_layernorm.weight", {c.hidden_size}});
    all.push_back({at + "self_attn.q_proj.weight", {q, c.hidden_size}});
    all.push_back({at + "self_attn.k_proj.weight", {kv, c.hidden_size}});
    all.push_back({at + "self_attn.v_proj.weight", {kv, c.hidden_size}});
    all.push_back({at + "self_attn.o_proj.weight", {c.hidden_size, q}});
    all.push_back({at + "mlp.gate_proj.weight", {c.intermediate_size, c.hidden_size}});
    all.push_back({at + "mlp.up_proj.weight", {c.intermediate_size, c.hidden_size}});
    all.push_back({at + "mlp.down_proj.weight", {c.hidden_size, c.intermediate_size}});
  }
  return all;
}

// What tools put in front of a model's names: peft, torch.compile,
// DistributedDataParallel, multimodal wrappers.
bool is_known_prefix(std::string_view prefix) {
  while (!prefix.empty()) {
    bool known = false;
    for (const std::string_view part : {"model.", "base_model.", "_orig_mod.", "module.", "language_model."}) {
      if (!prefix.starts_with(part)) continue;
      prefix.remove_prefix(part.size());
      known = true;
      break;
    }
    if (!known) return false;
  }
  return true;
}

bool is_quantised(const std::string& name) {
  constexpr const char* kEndings[] = {".qweight", ".weight_packed", ".absmax", ".SCB", ".qzeros"};
  return std::any_of(std::begin(kEndings), std::end(kEndings),
                     [&](const char* ending) { return name.ends_with(ending); });
}

}  // namespace

std::int64_t Checkpoint::Wanted::elements() const {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

Checkpoint::Checkpoint(const std::filesystem::path& folder, const Gemma2Config& config)
    : folder_(folder), gguf_(is_gguf(folder)), files_(TensorFolder::open(folder)), wanted_(all_tensors(config)) {
  find_prefix();
  for (const Wanted& wanted : wanted_) check(wanted, config);
  choose_head(config);
}

void Checkpoint::find_prefix() {
  // The shortest; "" where a fine-tune was saved from Gemma2Model, without the
  // head.
  bool any = false;
  for (const std::string& name : files_.names()) {
    if (!name.ends_with(kEmbedding)) continue;
    const std::string prefix = name.substr(0, name.size() - std::strlen(kEmbedding));
    if (!is_known_prefix(prefix) || (any && prefix.size() >= prefix_.size())) continue;
    prefix_ = prefix;
    any = true;
  }
}

std::string Checkpoint::full_name(const std::string& name) const {
  if (gguf_) return gguf_tensor_name(name);
  if (name != kHead) return prefix_ + name;
  // The head stands beside the model and not in it.
  constexpr std::string_view kModel = "model.";
  return (prefix_.ends_with(kModel) ? prefix_.substr(0, prefix_.size() - kModel.size()) : prefix_) + kHead;
}

void Checkpoint::check(const Wanted& wanted, const Gemma2Config& config) const {
  const std::string name = full_name(wanted.name);
  if (!files_.contains(name)) {
    for (const std::string& other : files_.names()) {
      if (is_quantised(other)) {
        throw Error(
            fmt::format("{}: its weights are quantised ({}), which is "
                        "not read; take the model in float32, "
                        "bfloat16 or float16.",
                        folder_.string(), other));
      }
      if (other.find(".lora_A.") != std::string::npos || other.find(".base_layer.") != std::string::npos) {
        throw Error(
            fmt::format("{}: holds a LoRA adapter that is not merged "
                        "({}); merge it into the base (peft's "
                        "merge_and_unload) and save that.",
                        folder_.string(), other));
      }
    }
    throw Error(
        fmt::format("{} has no tensor {}: the model is incomplete or "
                    "not a Gemma 2 of {} layers.",
                    folder_.string(), name, config.layers));
  }
  const TensorInfo& info = files_.info(name);
  const std::string file = files_.file_of(name).path().string();
  if (info.dtype != "F32" && info.dtype != "BF16" && info.dtype != "F16" && info.dtype != "Q8_0") {
    throw Error(
        fmt::format("Tensor {} in {} has type {}; weights must be F32, "
                    "BF16 or F16, not quantised.",
                    name, file, info.dtype));
  }
  if (wanted.name == kEmbedding && info.shape.size() == 2 && info.shape[0] != config.vocab_size) {
    throw Error(
        fmt::format("The embedding {} in {} has {} rows but "
                    "its configuration says vocab_size {}: the two "
                    "do not belong together.",
                    name, file, info.shape[0], config.vocab_size));
  }
  if (info.shape != wanted.shape) {
    throw Error(fmt::format("Tensor {} in {} has shape [{}] but the model's configuration asks for [{}].", name, file,
                            fmt::join(info.shape, ", "), fmt::join(wanted.shape, ", ")));
  }
}

bool Checkpoint::head_is_embedding() const {
  if (info(kHead).dtype != info(kEmbedding).dtype) return false;
  const auto head = file_of(kHead).bytes(full_name(kHead));
  const auto embedding = file_of(kEmbedding).bytes(full_name(kEmbedding));
  return std::equal(head.begin(), head.end(), embedding.begin(), embedding.end());
}

void Checkpoint::choose_head(const Gemma2Config& config) {
  if (!files_.contains(full_name(kHead))) {
    if (config.tied) return;
    throw Error(
        fmt::format("{}: config.json says that the output layer is not the "
                    "embedding (tie_word_embeddings false) "
                    "but there is no tensor {}: the model is incomplete.",
                    folder_.string(), full_name(kHead)));
  }
  const Wanted head{kHead, {config.vocab_size, config.hidden_size}};
  check(head, config);
  if (head_is_embedding()) return;
  own_head_ = true;
  wanted_.push_back(head);
  if (!config.tied) return;
  notes_.push_back(
      fmt::format("{} differs from the embedding although config.json ties the two: it is "
                  "used as the output layer, as "
                  "transformers 5 does; tie_word_embeddings false in config.json says so.",
                  full_name(kHead)));
}

}  // namespace dhsa
