#include "core/sparsity/parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/excerpt.h"

namespace dhsa {
namespace {

struct Entry {
  ParameterInfo info;
  std::function<ParameterValue(const SparsityParameters&)> get;
  std::function<void(SparsityParameters&, const ParameterValue&)> set;  // value of the right kind and in range
};

using Kind = ParameterInfo::Kind;
using Methods = std::vector<Method>;

constexpr double kMostTokens = 16777216;

const Methods& sparse_methods() {
  static const Methods methods = {Method::kWindowSinks, Method::kBlockSparse, Method::kVerticalSlash,
                                  Method::kTokenTopK, Method::kDhsa};
  return methods;
}

Entry count(const char* key, const char* label, const char* group, const char* unit, const char* help,
            std::int64_t SparsityParameters::*member, double minimum, double maximum, Methods used_by) {
  return {{key, label, group, unit, help, Kind::kCount, minimum, maximum, {}, {}, std::move(used_by)},
          [member](const SparsityParameters& p) { return ParameterValue(p.*member); },
          [member](SparsityParameters& p, const ParameterValue& v) { p.*member = std::get<std::int64_t>(v); }};
}

Entry real(const char* key, const char* label, const char* group, const char* unit, const char* help,
           double SparsityParameters::*member, double minimum, double maximum, Methods used_by) {
  return {{key, label, group, unit, help, Kind::kReal, minimum, maximum, {}, {}, std::move(used_by)},
          [member](const SparsityParameters& p) { return ParameterValue(p.*member); },
          [member](SparsityParameters& p, const ParameterValue& v) { p.*member = std::get<double>(v); }};
}

Entry flag(const char* key, const char* label, const char* group, const char* help, bool SparsityParameters::*member,
           Methods used_by) {
  return {{key, label, group, "", help, Kind::kFlag, 0, 1, {}, {}, std::move(used_by)},
          [member](const SparsityParameters& p) { return ParameterValue(p.*member); },
          [member](SparsityParameters& p, const ParameterValue& v) { p.*member = std::get<bool>(v); }};
}

template <class Enum>
Entry choice(const char* key, const char* label, const char* group, const char* help, Enum SparsityParameters::*member,
             std::vector<std::string> names, std::vector<std::string> labels, Methods used_by) {
  return {{key, label, group, "", help, Kind::kChoice, 0, 0, names, std::move(labels), std::move(used_by)},
          [member, names](const SparsityParameters& p) {
            return ParameterValue(names[static_cast<std::size_t>(p.*member)]);
          },
          [member, names](SparsityParameters& p, const ParameterValue& v) {
            const auto at = std::find(names.begin(), names.end(), std::get<std::string>(v)) - names.begin();
            p.*member = static_cast<Enum>(at);
          }};
}

std::vector<Entry> make_entries() {
  using P = SparsityParameters;
  const Methods all = all_methods();
  const Methods& sparse = sparse_methods();
  const Methods dhsa = {Method::kDhsa};
  const Methods grouped = {Method::kBlockSparse, Method::kVerticalSlash, Method::kWindowSinks, Method::kDhsa};
  const Methods content = {Method::kBlockSparse, Method::kVerticalSlash, Method::kTokenTopK, Method::kDhsa};
  const char* const method = "Method";
  const char* const selection = "Selection";
  const char* const boundaries = "Boundaries";
  const char* const similarity = "Similarity";
  const char* const sharing = "Sharing";

  std::vector<std::string> method_names;
  std::vector<std::string> method_labels;
  for (const Method m : all) {
    method_names.emplace_back(name_of(m));
    method_labels.emplace_back(label_of(m));
  }

  std::vector<Entry> table;
  table.push_back(choice("method", "Method", method, "How the keys that each query keeps are chosen.", &P::method,
                         method_names, method_labels, all));
  table.push_back(count("budget", "Budget", selection, "keys",
                        "Keys kept for a query row; on a local layer at most its window.", &P::budget, 1, kMostTokens,
                        sparse));
  table.push_back(count("sink-tokens", "Sink tokens", selection, "keys",
                        "The first keys a query may see that are always kept.", &P::sink_tokens, 0, kMostTokens,
                        {Method::kWindowSinks, Method::kVerticalSlash, Method::kDhsa}));
  table.push_back(count("local-tokens", "Local tokens", selection, "keys",
                        "The most recent keys of a query group that are always kept.", &P::local_tokens, 1, kMostTokens,
                        {Method::kVerticalSlash, Method::kDhsa}));
  table.push_back(count("query-block", "Query block", selection, "rows",
                        "Rows that share one choice of keys, where query groups are fixed blocks.", &P::query_block, 1,
                        65536, grouped));
  table.push_back(choice("query-grouping", "Query groups", selection,
                         "Fixed blocks of rows, or the same chunks as the keys.", &P::query_grouping,
                         {"fixed", "chunks"}, {"Fixed blocks", "Chunks"}, dhsa));
  table.push_back(choice("selection", "Selection", selection,
                         "Fill a fixed budget, or keep the smallest set that reaches a share of the estimated mass.",
                         &P::selection, {"budget", "threshold"}, {"Budget", "Mass threshold"}, dhsa));
  table.push_back(real("mass", "Mass to reach", selection, "",
                       "Share of the estimated attention mass that threshold selection reaches.", &P::mass, 0.01, 1.0,
                       dhsa));
  table.push_back(count("min-budget", "Least budget", selection, "keys",
                        "Threshold selection keeps at least this many.", &P::min_budget, 1, kMostTokens, dhsa));
  table.push_back(count("max-budget", "Most budget", selection, "keys", "Threshold selection keeps at most this many.",
                        &P::max_budget, 1, kMostTokens, dhsa));
  table.push_back(count("instruction-tokens", "Instruction tokens", selection, "tokens",
                        "The question at the end of the document: its rows attend densely.", &P::instruction_tokens, 0,
                        kMostTokens, sparse));
  table.push_back(count("block-size", "Key block", selection, "keys", "Keys per block of block-sparse attention.",
                        &P::block_size, 1, 65536, {Method::kBlockSparse}));
  table.push_back(count("oracle-rows", "Oracle rows", selection, "rows",
                        "Rows that share one choice of the token top-k oracle; 1 is exact per row.", &P::oracle_rows, 1,
                        65536, {Method::kTokenTopK}));

  table.push_back(choice(
      "boundaries", "Boundary source", boundaries,
      "Where chunks of keys end; auto is learned where the model has a predictor, else key shift.", &P::boundaries,
      {"auto", "learned", "attention-mass", "key-shift", "sentence", "fixed"},
      {"Learned if possible", "Learned predictor", "Attention mass (oracle)", "Key shift", "Sentences", "Fixed length"},
      dhsa));
  table.push_back(real("chunks-per-block", "Chunks per block", boundaries, "",
                       "Number of chunks, as a multiple of the number of query blocks.", &P::chunks_per_block, 0.01,
                       1024, dhsa));
  table.push_back(count("boundary-window", "Boundary window", boundaries, "tokens",
                        "Tokens compared on each side of a possible boundary.", &P::boundary_window, 1, 64, dhsa));
  table.push_back(count("nms-distance", "Least distance", boundaries, "tokens",
                        "Two boundaries are more than this many tokens apart.", &P::nms_distance, 0, 4096, dhsa));
  table.push_back(real("boundary-threshold", "Least score", boundaries, "",
                       "A boundary's score is above this; 0 sets no bound.", &P::boundary_threshold, 0, 1e6, dhsa));
  table.push_back(count("chunk-length", "Chunk length", boundaries, "tokens", "Tokens per chunk of fixed length.",
                        &P::chunk_length, 1, 65536, dhsa));
  table.push_back({{"predictor",
                    "Predictor",
                    boundaries,
                    "",
                    "Weights of the learned boundaries (safetensors); empty takes the model's own.",
                    Kind::kFile,
                    0,
                    0,
                    {},
                    {},
                    dhsa},
                   [](const P& p) { return ParameterValue(p.predictor); },
                   [](P& p, const ParameterValue& v) { p.predictor = std::get<std::string>(v); }});

  table.push_back(choice("scores", "Chunk scores", similarity,
                         "Mean similarity as published, or an estimate of the attention mass from moments, frequency "
                         "bands or bounds of a chunk's keys.",
                         &P::scores, {"mean", "moments", "bands", "bounds"},
                         {"Mean similarity", "Mean and variance", "Frequency bands", "Upper bound"}, dhsa));
  table.push_back(count("score-rows", "Scored rows", similarity, "rows",
                        "Score every n-th row of a query group, counted back from its last; 0 scores the group's mean "
                        "query.",
                        &P::score_rows, 0, 65536, dhsa));
  table.push_back(
      count("score-last-rows", "Scored last rows", similarity, "rows",
            "Score each of the text's last rows, about every key where tokens are chosen: from these rows the "
            "answer follows, and each may look up something else. Only beside scored rows.",
            &P::score_last_rows, 0, 65536, dhsa));
  table.push_back(real("candidates", "Token candidates", similarity, "budgets",
                       "Take chunks worth this many budgets and keep their best tokens by the attention of the scored "
                       "rows; 0 keeps whole chunks.",
                       &P::candidates, 0, 64, dhsa));
  table.push_back(choice("pooling", "Pooling", similarity,
                         "A chunk's representation: its mean times the square root of its length, or its mean.",
                         &P::pooling, {"sqrt-mean", "mean"}, {"Length-normalised mean", "Mean"}, dhsa));
  table.push_back(choice("mask-heads", "Mask heads", similarity,
                         "One mask for all heads, one per key/value head, or one per query head.", &P::mask_heads,
                         {"shared", "per-kv-head", "per-head"}, {"Shared", "Per key/value head", "Per query head"},
                         {Method::kVerticalSlash, Method::kTokenTopK, Method::kDhsa}));

  table.push_back(flag("share-boundaries", "Share boundaries", sharing,
                       "The boundaries of the first layer serve all layers.", &P::share_boundaries, dhsa));
  table.push_back(flag("share-masks", "Share masks", sharing,
                       "The masks of the first local and the first global layer serve all layers of their kind.",
                       &P::share_masks, content));
  return table;
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> table = make_entries();
  return table;
}

const Entry& entry(const std::string& key) {
  for (const Entry& e : entries()) {
    if (e.info.key == key) return e;
  }
  std::string keys;
  for (const Entry& e : entries()) keys += (keys.empty() ? "" : ", ") + e.info.key;
  throw Error(fmt::format("There is no parameter \"{}\"; the parameters are {}.", excerpt(key), keys));
}

std::string number_text(double value) { return fmt::format("{:.10g}", value); }

std::string range_text(const ParameterInfo& info) {
  return fmt::format("from {} to {}{}{}", number_text(info.minimum), number_text(info.maximum),
                     info.unit.empty() ? "" : " ", info.unit);
}

std::string shown(const ParameterValue& value) {
  if (const auto* on = std::get_if<bool>(&value)) return *on ? "true" : "false";
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *whole);
  if (const auto* real_value = std::get_if<double>(&value)) return number_text(*real_value);
  return "\"" + excerpt(std::get<std::string>(value)) + "\"";
}

template <class Number>
bool parse_whole(const std::string& text, Number& number) {
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  return fault == std::errc() && end == text.data() + text.size();
}

// The value as the kind the parameter has, or Error.
ParameterValue converted(const ParameterInfo& info, const ParameterValue& value) {
  const auto refuse = [&](const std::string& expected) -> Error {
    return Error(fmt::format("{} cannot be {}; give {}.", info.key, shown(value), expected));
  };
  const auto* text = std::get_if<std::string>(&value);
  switch (info.kind) {
    case Kind::kFlag: {
      if (std::holds_alternative<bool>(value)) return value;
      if (text != nullptr && (*text == "true" || *text == "on" || *text == "1")) return true;
      if (text != nullptr && (*text == "false" || *text == "off" || *text == "0")) return false;
      throw refuse("true or false");
    }
    case Kind::kCount: {
      const std::string expected = "a whole number " + range_text(info);
      std::int64_t whole = 0;
      if (const auto* count_value = std::get_if<std::int64_t>(&value)) {
        whole = *count_value;
      } else if (const auto* number = std::get_if<double>(&value);
                 number != nullptr && std::floor(*number) == *number && std::abs(*number) < 1e15) {
        whole = static_cast<std::int64_t>(*number);
      } else if (text == nullptr || !parse_whole(*text, whole)) {
        throw refuse(expected);
      }
      const auto as_real = static_cast<double>(whole);
      if (as_real < info.minimum || as_real > info.maximum) throw refuse(expected);
      return whole;
    }
    case Kind::kReal: {
      const std::string expected = "a number " + range_text(info);
      double number = 0;
      if (const auto* real_value = std::get_if<double>(&value)) {
        number = *real_value;
      } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
        number = static_cast<double>(*whole);
      } else if (text == nullptr || !parse_whole(*text, number)) {
        throw refuse(expected);
      }
      if (!(number >= info.minimum && number <= info.maximum)) throw refuse(expected);
      return number;
    }
    case Kind::kChoice: {
      if (text != nullptr && std::find(info.choices.begin(), info.choices.end(), *text) != info.choices.end()) {
        return value;
      }
      throw refuse(fmt::format("one of {}", fmt::join(info.choices, ", ")));
    }
    case Kind::kFile: {
      if (text == nullptr) throw refuse("a file name");
      return value;
    }
  }
  throw refuse("another value");
}

}  // namespace

std::vector<Method> all_methods() {
  return {Method::kDense,         Method::kWindowSinks, Method::kBlockSparse,
          Method::kVerticalSlash, Method::kTokenTopK,   Method::kDhsa};
}

const char* name_of(Method method) noexcept {
  switch (method) {
    case Method::kDense:
      return "dense";
    case Method::kWindowSinks:
      return "window-sinks";
    case Method::kBlockSparse:
      return "block-sparse";
    case Method::kVerticalSlash:
      return "vertical-slash";
    case Method::kTokenTopK:
      return "token-topk";
    case Method::kDhsa:
      return "dhsa";
  }
  return "";
}

const char* label_of(Method method) noexcept {
  switch (method) {
    case Method::kDense:
      return "Dense";
    case Method::kWindowSinks:
      return "Window + sinks";
    case Method::kBlockSparse:
      return "Block sparse";
    case Method::kVerticalSlash:
      return "Vertical-slash";
    case Method::kTokenTopK:
      return "Token top-k oracle";
    case Method::kDhsa:
      return "DHSA";
  }
  return "";
}

std::span<const ParameterInfo> parameter_table() {
  static const std::vector<ParameterInfo> table = [] {
    std::vector<ParameterInfo> infos;
    for (const Entry& e : entries()) infos.push_back(e.info);
    return infos;
  }();
  return table;
}

const ParameterInfo& parameter_info(const std::string& key) { return entry(key).info; }

ParameterValue get_parameter(const SparsityParameters& parameters, const std::string& key) {
  return entry(key).get(parameters);
}

void set_parameter(SparsityParameters& parameters, const std::string& key, const ParameterValue& value) {
  const Entry& e = entry(key);
  e.set(parameters, converted(e.info, value));
}

std::string to_text(const ParameterInfo& info, const ParameterValue& value) {
  if (const auto* on = std::get_if<bool>(&value)) return *on ? "on" : "off";
  if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    return info.unit.empty() ? fmt::format("{}", *whole) : fmt::format("{} {}", *whole, info.unit);
  }
  if (const auto* number = std::get_if<double>(&value)) return number_text(*number);
  const auto& text = std::get<std::string>(value);
  const auto at = std::find(info.choices.begin(), info.choices.end(), text) - info.choices.begin();
  return static_cast<std::size_t>(at) < info.choice_labels.size() ? info.choice_labels[static_cast<std::size_t>(at)]
                                                                  : text;
}

void check_parameters(const SparsityParameters& parameters) {
  for (const Entry& e : entries()) static_cast<void>(converted(e.info, e.get(parameters)));
  const auto uses = [&](const char* key) {
    const Methods& used_by = entry(key).info.used_by;
    return std::find(used_by.begin(), used_by.end(), parameters.method) != used_by.end();
  };
  const std::int64_t always =
      (uses("sink-tokens") ? parameters.sink_tokens : 0) + (uses("local-tokens") ? parameters.local_tokens : 0);
  const bool threshold = parameters.method == Method::kDhsa && parameters.selection == Selection::kThreshold;
  if (threshold && parameters.min_budget > parameters.max_budget) {
    throw Error(fmt::format("min-budget ({}) is above max-budget ({}); lower one or raise the other.",
                            parameters.min_budget, parameters.max_budget));
  }
  const std::int64_t most = threshold ? parameters.max_budget : parameters.budget;
  if (parameters.method != Method::kDense && always > most) {
    throw Error(
        fmt::format("The keys that are always kept ({} sink and local tokens) exceed {} ({}); keep fewer of them or "
                    "raise it.",
                    always, threshold ? "max-budget" : "the budget", most));
  }
  if (parameters.method == Method::kWindowSinks && parameters.sink_tokens >= parameters.budget) {
    throw Error(fmt::format("sink-tokens ({}) leave nothing of the budget ({}) for the window; lower them or raise it.",
                            parameters.sink_tokens, parameters.budget));
  }
}

SparsityParameters resolved(SparsityParameters parameters, bool has_predictor) noexcept {
  if (parameters.boundaries == BoundarySource::kAuto) {
    parameters.boundaries = has_predictor ? BoundarySource::kLearned : BoundarySource::kKeyShift;
  }
  return parameters;
}

void to_json(nlohmann::json& json, const SparsityParameters& parameters) {
  json = nlohmann::json::object();
  for (const Entry& e : entries()) {
    std::visit([&](const auto& value) { json[e.info.key] = value; }, e.get(parameters));
  }
}

void from_json(const nlohmann::json& json, SparsityParameters& parameters) {
  if (!json.is_object()) throw Error("Parameters must be a JSON object of names and values.");
  SparsityParameters read;
  for (const auto& [key, value] : json.items()) {
    const ParameterInfo& info = parameter_info(key);
    if (value.is_boolean()) {
      set_parameter(read, key, value.get<bool>());
    } else if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{1} << 62U) {
      set_parameter(read, key, value.get<double>());
    } else if (value.is_number_integer()) {
      set_parameter(read, key, value.get<std::int64_t>());
    } else if (value.is_number()) {
      set_parameter(read, key, value.get<double>());
    } else if (value.is_string() && (info.kind == Kind::kChoice || info.kind == Kind::kFile)) {
      set_parameter(read, key, value.get<std::string>());
    } else {
      throw Error(
          fmt::format("{} cannot be {} in a file of parameters; write its value plainly.", key, excerpt(value.dump())));
    }
  }
  parameters = read;
}

}  // namespace dhsa
