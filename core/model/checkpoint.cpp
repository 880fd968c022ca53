#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/base/error.h"
#include "core/base/parallel.h"
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

// What tools put in front of a model's names: peft, DistributedDataParallel, multimodal and reinforcement wrappers.
bool is_known_prefix(std::string_view prefix) {
  while (!prefix.empty()) {
    bool known = false;
    for (const std::string_view part : {"model.", "base_model.", "module.", "language_model.", "policy."}) {
      if (!prefix.starts_with(part)) continue;
      prefix.remove_prefix(part.size());
      known = true;
      break;
    }
    if (!known) return false;
  }
  return true;
}

// torch.compile, checkpointed activations and FSDP name their wrappers anywhere in a name.
std::string without_wrappers(std::string name) {
  for (const std::string_view part : {"_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module."}) {
    for (std::size_t at = 0; (at = name.find(part, at)) != std::string::npos;) {
      const bool whole = at == 0 || name[at - 1] == '.';
      if (whole) {
        name.erase(at, part.size());
      } else {
        at += part.size();
      }
    }
  }
  return name;
}

bool is_quantised(const std::string& name) {
  constexpr const char* kEndings[] = {".qweight", ".weight_packed", ".absmax", ".SCB", ".qzeros"};
  return std::any_of(std::begin(kEndings), std::end(kEndings),
                     [&](const char* ending) { return name.ends_with(ending); });
}

}  // namespace

StoredType stored_type(const std::string& dtype) {
  if (dtype == "F32") return StoredType::kF32;
  if (dtype == "Q8_0") return StoredType::kQ8;
  return dtype == "BF16" ? StoredType::kBf16 : StoredType::kF16;
}

std::int64_t stored_bytes(StoredType type, std::int64_t values) {
  if (type == StoredType::kQ8) return values / kQ8Values * kQ8Bytes;
  return values * (type == StoredType::kF32 ? 4 : 2);
}

std::int64_t Checkpoint::Wanted::elements() const {
  std::int64_t n = 1;
  for (const std::int64_t size : shape) n *= size;
  return n;
}

Checkpoint::Checkpoint(const std::filesystem::path& folder, const Gemma2Config& config)
    : folder_(folder), gguf_(is_gguf(folder)), files_(TensorFolder::open(folder)), wanted_(all_tensors(config)) {
  for (const std::string& name : files_.names()) names_.emplace(without_wrappers(name), name);
  notes_ = files_.notes();
  find_prefix();
  find_head();
  for (const Wanted& wanted : wanted_) check(wanted, config);
  choose_head(config);
}

void Checkpoint::find_prefix() {
  // The shortest; "" where a fine-tune was saved from Gemma2Model, without the
  // head.
  bool any = false;
  for (const auto& [name, in_file] : names_) {
    if (!name.ends_with(kEmbedding)) continue;
    const std::string prefix = name.substr(0, name.size() - std::strlen(kEmbedding));
    if (!is_known_prefix(prefix) || (any && prefix.size() >= prefix_.size())) continue;
    prefix_ = prefix;
    any = true;
  }
}

void Checkpoint::find_head() {
  // It stands beside the model or one of its wrappers.
  std::string outer = prefix_;
  while (!outer.empty() && !names_.contains(outer + kHead)) {
    outer.resize(outer.rfind('.', outer.size() - 2) + 1);  // npos + 1 is 0
  }
  head_ = outer + kHead;
}

std::string Checkpoint::full_name(const std::string& name) const {
  if (gguf_) return gguf_tensor_name(name);
  const std::string plain = name == kHead ? head_ : prefix_ + name;
  const auto found = names_.find(plain);
  return found == names_.end() ? plain : found->second;
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
                    "do not belong together; if the weights are right, set vocab_size to {}.",
                    name, file, info.shape[0], config.vocab_size, info.shape[0]));
  }
  if (info.shape != wanted.shape) {
    throw Error(fmt::format("Tensor {} in {} has shape [{}] but the model's configuration asks for [{}].", name, file,
                            fmt::join(info.shape, ", "), fmt::join(wanted.shape, ", ")));
  }
}

bool Checkpoint::head_is_embedding() const {
  // Zeros in both where the file was cut off: whoever loads them says so.
  const auto head = file_of(kHead).bytes(full_name(kHead));
  const auto embedding = file_of(kEmbedding).bytes(full_name(kEmbedding));
  const StoredType types[] = {stored_type(info(kHead).dtype), stored_type(info(kEmbedding).dtype)};
  if (types[0] == types[1]) return std::equal(head.begin(), head.end(), embedding.begin(), embedding.end());
  // Another type may still hold the same values.
  constexpr std::int64_t kValues = 1 << 16;
  const std::int64_t n = info(kHead).elements();
  std::atomic<bool> same{true};
  parallel_for((n + kValues - 1) / kValues, [&](std::int64_t job) {
    if (!same) return;
    const std::int64_t begin = job * kValues;
    const auto count = static_cast<std::size_t>(std::min(kValues, n - begin));
    std::vector<float> values[2] = {std::vector<float>(count), std::vector<float>(count)};
    for (std::size_t i = 0; i < 2; ++i) {
      // Values that are not finite are refused on loading.
      (void)ops_kernels().convert((i == 0 ? head : embedding).data() + stored_bytes(types[i], begin), types[i],
                                  static_cast<std::int64_t>(count), values[i].data(), false);
    }
    if (values[0] != values[1]) same = false;
  });
  return same;
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
