#include "core/model/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/error.h"
#include "core/files/model_file.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

using nlohmann::json;

constexpr const char* kActivation = "gelu_pytorch_tanh";
constexpr const char* kSliding = "sliding_attention";
constexpr const char* kFull = "full_attention";

// Far above every Gemma 2, and low enough that no product of two of them
// overflows.
constexpr std::int64_t kMostVocabulary = std::int64_t{1} << 20U;
constexpr std::int64_t kMostWidth = std::int64_t{1} << 17U;
constexpr std::int64_t kMostLayers = 1024;
constexpr std::int64_t kMostHeads = 1024;
constexpr std::int64_t kMostHeadDim = 512;
constexpr std::int64_t kMostTokens = std::int64_t{1} << 24U;

// The fields of one config.json. Each getter checks type and range; faults name
// file, field and value.
class Fields {
 public:
  Fields(const json& object, const std::string& where, std::string prefix = "")
      : object_(object), where_(where), prefix_(std::move(prefix)) {}

  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const {
    throw Error(fmt::format("{}: {}{} is {}; expected {}.", where_, prefix_, key, brief(object_.at(key)), expected));
  }

  // Null if the field is absent or null.
  [[nodiscard]] const json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  [[nodiscard]] bool is_null(const char* key) const { return object_.contains(key) && object_.at(key).is_null(); }

  [[nodiscard]] std::int64_t required_count(const char* key, std::int64_t most) const {
    if (!object_.contains(key)) {
      throw Error(fmt::format("{}: {}{} is missing; expected {}.", where_, prefix_, key, count_text(most)));
    }
    return count_at(key, most);
  }
  [[nodiscard]] std::int64_t count(const char* key, std::int64_t most, std::int64_t if_absent) const {
    return object_.contains(key) ? count_at(key, most) : if_absent;
  }
  // `or_null`: null is allowed and gives 0.
  [[nodiscard]] std::int64_t count_or_null(const char* key, std::int64_t most, std::int64_t if_absent) const {
    if (is_null(key)) return 0;
    if (object_.contains(key) && !whole_in(object_.at(key), 1, most)) refuse(key, count_text(most) + " or null");
    return count(key, most, if_absent);
  }

  [[nodiscard]] double positive(const char* key, double most, double if_absent, const char* other = "") const {
    if (!object_.contains(key)) return if_absent;
    const json& value = object_.at(key);
    // Written so that a number which is not one is refused too.
    const bool fits = value.is_number() && value.get<double>() > 0.0 && value.get<double>() <= most;
    if (!fits) refuse(key, fmt::format("a number above 0 and up to {}{}", most, other));
    return value.get<double>();
  }
  [[nodiscard]] double positive_or_null(const char* key, double most, double if_absent) const {
    return is_null(key) ? 0.0 : positive(key, most, if_absent, ", or null for none");
  }

  // One value is all that Gemma 2 allows; absent and null mean it.
  void only(const char* key, const json& allowed, const std::string& why) const {
    const json* value = find(key);
    if (value != nullptr && *value != allowed) refuse(key, fmt::format("{}: {}", allowed.dump(), why));
  }

  [[nodiscard]] std::int32_t token(const char* key, std::int64_t vocabulary, std::int32_t if_absent) const {
    const json* value = find(key);
    if (value == nullptr) return if_absent;
    if (!whole_in(*value, 0, vocabulary - 1)) refuse(key, token_text(vocabulary));
    return value->get<std::int32_t>();
  }
  [[nodiscard]] static std::string token_text(std::int64_t vocabulary) {
    return fmt::format("a token of the vocabulary, 0 to {}", vocabulary - 1);
  }

  [[nodiscard]] static bool whole_in(const json& value, std::int64_t least, std::int64_t most) {
    if (!value.is_number_integer()) return false;
    // get<int64>() would wrap what only fits the unsigned type.
    if (value.is_number_unsigned() &&
        value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return false;
    }
    const auto whole = value.get<std::int64_t>();
    return whole >= least && whole <= most;
  }

 private:
  [[nodiscard]] static std::string count_text(std::int64_t most) {
    return fmt::format("a whole number from 1 to {}", most);
  }
  [[nodiscard]] std::int64_t count_at(const char* key, std::int64_t most) const {
    if (!whole_in(object_.at(key), 1, most)) refuse(key, count_text(most));
    return object_.at(key).get<std::int64_t>();
  }

  const json& object_;
  const std::string& where_;
  std::string prefix_;
};

std::optional<Fields> sub_object(const Fields& fields, const char* key, const std::string& where) {
  const json* value = fields.find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) fields.refuse(key, "an object or null");
  return Fields(*value, where, std::string(key) + ".");
}

void check_plain_rope(const Fields& rope) {
  // "type" is the oldest spelling of "rope_type".
  rope.only("rope_type", "default", "Gemma 2 scales no positions");
  rope.only("type", "default", "Gemma 2 scales no positions");
  rope.only("partial_rotary_factor", 1.0, "Gemma 2 rotates whole heads");
  for (const char* kind : {kSliding, kFull}) {
    if (rope.find(kind) != nullptr) rope.refuse(kind, "one set of rope parameters for all layers of Gemma 2");
  }
}

double parse_rope(const Fields& fields, const std::string& where, double if_absent) {
  constexpr double kMostTheta = 1e12;
  if (const auto scaling = sub_object(fields, "rope_scaling", where)) check_plain_rope(*scaling);
  const double old_theta =
      fields.is_null("rope_theta") ? if_absent : fields.positive("rope_theta", kMostTheta, if_absent);
  const auto rope = sub_object(fields, "rope_parameters", where);
  if (!rope) return old_theta;
  check_plain_rope(*rope);
  const double theta = rope->positive("rope_theta", kMostTheta, old_theta);
  if (fields.find("rope_theta") != nullptr && theta != old_theta) {
    rope->refuse("rope_theta", fmt::format("the same value as in rope_theta, {}", old_theta));
  }
  return theta;
}

void parse_layer_types(const Fields& fields, Gemma2Config& config) {
  const auto layers = static_cast<std::size_t>(config.layers);
  config.local_layer.assign(layers, false);
  const json* types = fields.find("layer_types");
  if (types == nullptr) {
    for (std::size_t i = 0; i < layers; i += 2) config.local_layer[i] = true;
  } else {
    if (!types->is_array() || types->size() != layers) {
      fields.refuse("layer_types", fmt::format("a list of {} entries, one for each layer", layers));
    }
    for (std::size_t i = 0; i < layers; ++i) {
      const json& type = (*types)[i];
      if (type != kSliding && type != kFull) {
        fields.refuse("layer_types", fmt::format("\"{}\" or \"{}\" for every layer, and layer {} has {}", kSliding,
                                                 kFull, i, brief(type)));
      }
      config.local_layer[i] = type == kSliding;
    }
  }
  // Without a window no layer slides, whatever its type says.
  if (config.sliding_window == 0) config.local_layer.assign(layers, false);
}

// A number or a list.
std::vector<std::int32_t> parse_stop_tokens(const Fields& fields, const json& stop, std::int64_t vocabulary) {
  if (!stop.is_array()) return {fields.token("eos_token_id", vocabulary, 0)};
  std::vector<std::int32_t> tokens;
  for (const json& token : stop) {
    if (!Fields::whole_in(token, 0, vocabulary - 1)) {
      fields.refuse("eos_token_id",
                    fmt::format("{} in every place, and one holds {}", Fields::token_text(vocabulary), brief(token)));
    }
    tokens.push_back(token.get<std::int32_t>());
  }
  return tokens;
}

void parse_tokens(const Fields& fields, Gemma2Config& config) {
  const std::int64_t vocabulary = config.vocab_size;
  config.bos_token = fields.token("bos_token_id", vocabulary, config.bos_token);
  // No text is padded here, and some files say -1: what is no token is passed over.
  if (const json* pad = fields.find("pad_token_id"); pad != nullptr && Fields::whole_in(*pad, 0, vocabulary - 1)) {
    config.pad_token = pad->get<std::int32_t>();
  }
  if (const json* stop = fields.find("eos_token_id")) {
    config.stop_tokens = parse_stop_tokens(fields, *stop, vocabulary);
  } else if (fields.is_null("eos_token_id")) {
    config.stop_tokens.clear();
  }
}

// What to do about a model of another kind or a quantised one.
std::string remedy_for(const std::string& kind) {
  if (kind.starts_with("gemma3")) return "Gemma 3 is another architecture; take a Gemma 2 model";
  if (kind == "gemma") return "Gemma 1 is another architecture; take a Gemma 2 model";
  return "no other kind of model is run; take a Gemma 2 model";
}

void check_kind(const Fields& fields) {
  const json* kind = fields.find("model_type");
  fields.only("model_type", "gemma2", remedy_for(kind != nullptr && kind->is_string() ? kind->get<std::string>() : ""));
  const char* activation = fields.find("hidden_activation") != nullptr ? "hidden_activation" : "hidden_act";
  fields.only(activation, kActivation, "Gemma 2 uses no other activation");
  fields.only("attention_bias", false, "Gemma 2 has no biases");
  fields.only("use_bidirectional_attention", false, "only causal attention is run");
  if (const json* quantised = fields.find("quantization_config")) {
    const json method = quantised->is_object() ? quantised->value("quant_method", json()) : json();
    fields.refuse("quantization_config",
                  fmt::format("none: quantised weights{} are not read; take "
                              "the model in float32, bfloat16 or float16",
                              method.is_string() ? " (" + method.get<std::string>() + ")" : std::string()));
  }
}

}  // namespace

std::int64_t Gemma2Config::parameters() const {
  const std::int64_t attention = 2 * hidden_size * head_dim * (heads + kv_heads);
  const std::int64_t mlp = 3 * hidden_size * intermediate_size;
  return vocab_size * hidden_size + layers * (attention + mlp + 4 * hidden_size) + hidden_size;
}

Gemma2Config parse_config(const std::string& text, const std::string& where) {
  const json object = parse_strict_json(text, where);
  if (!object.is_object()) {
    throw Error(
        fmt::format("{}: is {}; expected an object with the fields of a Gemma 2 config.", where, brief(object)));
  }
  const Fields fields(object, where);
  check_kind(fields);
  if (fields.find("text_config") != nullptr && fields.find("vocab_size") == nullptr) {
    throw Error(
        fmt::format("{}: keeps its fields under text_config, so the model has more parts than the one that reads text; "
                    "save that part alone and open its folder.",
                    where));
  }

  Gemma2Config config;
  config.vocab_size = fields.required_count("vocab_size", kMostVocabulary);
  config.hidden_size = fields.required_count("hidden_size", kMostWidth);
  config.intermediate_size = fields.required_count("intermediate_size", kMostWidth);
  config.layers = fields.required_count("num_hidden_layers", kMostLayers);
  config.heads = fields.required_count("num_attention_heads", kMostHeads);
  config.kv_heads = fields.required_count("num_key_value_heads", kMostHeads);
  if (config.heads % config.kv_heads != 0) {
    fields.refuse("num_key_value_heads", fmt::format("a divisor of num_attention_heads, which is {}", config.heads));
  }
  config.head_dim = fields.required_count("head_dim", kMostHeadDim);
  if (config.head_dim % 8 != 0) fields.refuse("head_dim", fmt::format("a multiple of 8 up to {}", kMostHeadDim));

  config.context = fields.count("max_position_embeddings", kMostTokens, config.context);
  config.sliding_window = fields.count_or_null("sliding_window", kMostTokens, config.sliding_window);
  config.query_pre_attn_scalar = fields.positive("query_pre_attn_scalar", 1e6, config.query_pre_attn_scalar);
  config.attention_softcap = fields.positive_or_null("attn_logit_softcapping", 1e6, config.attention_softcap);
  config.final_softcap = fields.positive_or_null("final_logit_softcapping", 1e6, config.final_softcap);
  config.rms_norm_eps = fields.positive("rms_norm_eps", 1.0, config.rms_norm_eps);
  config.rope_theta = parse_rope(fields, where, config.rope_theta);
  const json* tied = fields.find("tie_word_embeddings");
  if (tied != nullptr && !tied->is_boolean()) fields.refuse("tie_word_embeddings", "true or false");
  config.tied = tied == nullptr || tied->get<bool>();
  parse_tokens(fields, config);
  parse_layer_types(fields, config);
  return config;
}

Gemma2Config read_config(const std::filesystem::path& config_json) {
  return parse_config(read_model_file(config_json, kMostModelJson), config_json.string());
}

void add_stop_token(Gemma2Config& config, std::int64_t token) {
  if (token < 0 || token >= config.vocab_size) return;
  const auto id = static_cast<std::int32_t>(token);
  if (std::find(config.stop_tokens.begin(), config.stop_tokens.end(), id) == config.stop_tokens.end()) {
    config.stop_tokens.push_back(id);
  }
}

void add_generation_config(const std::string& text, const std::string& where, Gemma2Config& config) {
  const json object = parse_strict_json(text, where);
  if (!object.is_object()) throw Error(fmt::format("{}: is {}; an object is expected.", where, brief(object)));
  const Fields fields(object, where);
  const json* stop = fields.find("eos_token_id");
  if (stop == nullptr) return;
  for (const json& token : stop->is_array() ? *stop : json::array({*stop})) {
    // Left from a larger vocabulary, or -1 for none: the model never makes such a token.
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    if (!Fields::whole_in(token, -kMost, kMost)) fields.refuse("eos_token_id", "a token or a list of tokens");
    add_stop_token(config, token.get<std::int64_t>());
  }
}

json to_hugging_face(const Gemma2Config& config, const std::string& torch_dtype) {
  const auto or_null = [](double value) { return value == 0.0 ? json(nullptr) : json(value); };
  // Some readers insist on a whole number where the published files have one.
  const auto whole_if_whole = [](double value) {
    return value == std::floor(value) ? json(static_cast<std::int64_t>(value)) : json(value);
  };
  json types = json::array();
  for (const bool local : config.local_layer) types.push_back(local ? kSliding : kFull);
  json stop = nullptr;
  if (config.stop_tokens.size() == 1) {
    stop = config.stop_tokens.front();
  } else if (!config.stop_tokens.empty()) {
    stop = config.stop_tokens;
  }
  return {{"architectures", {"Gemma2ForCausalLM"}},
          {"model_type", "gemma2"},
          {"vocab_size", config.vocab_size},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"num_hidden_layers", config.layers},
          {"num_attention_heads", config.heads},
          {"num_key_value_heads", config.kv_heads},
          {"head_dim", config.head_dim},
          {"max_position_embeddings", config.context},
          {"sliding_window", config.sliding_window == 0 ? json(nullptr) : json(config.sliding_window)},
          {"layer_types", std::move(types)},
          {"query_pre_attn_scalar", whole_if_whole(config.query_pre_attn_scalar)},
          {"attn_logit_softcapping", or_null(config.attention_softcap)},
          {"final_logit_softcapping", or_null(config.final_softcap)},
          {"rms_norm_eps", config.rms_norm_eps},
          {"rope_theta", config.rope_theta},
          {"hidden_activation", kActivation},
          {"hidden_act", kActivation},
          {"attention_bias", false},
          {"attention_dropout", 0.0},
          {"tie_word_embeddings", config.tied},
          {"bos_token_id", config.bos_token},
          {"pad_token_id", config.pad_token},
          {"eos_token_id", std::move(stop)},
          {"torch_dtype", torch_dtype},
          {"use_cache", true},
          {"cache_implementation", "hybrid"}};
}

}  // namespace dhsa
