#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/experiments/results_file_internal.h"
#include "core/files/strict_json.h"

namespace dhsa::results_file {

using nlohmann::json;

Reader Reader::operator[](const char* key) const {
  if (!value_.is_object()) refuse("an object");
  const auto at = value_.find(key);
  if (at == value_.end()) throw Error(fmt::format("{} has no {}.", where_, key));
  return {*at, fmt::format("{}: {}", where_, key)};
}

bool Reader::has(const char* key) const { return value_.is_object() && value_.contains(key); }

std::vector<Reader> Reader::list(std::size_t most) const {
  if (!value_.is_array() || value_.size() > most) refuse(fmt::format("a list of at most {}", most));
  std::vector<Reader> items;
  items.reserve(value_.size());
  for (const json& item : value_) items.emplace_back(item, fmt::format("{}[{}]", where_, items.size()));
  return items;
}

void Reader::only(const std::vector<std::string>& keys) const {
  if (!value_.is_object()) refuse("an object");
  for (const auto& [key, value] : value_.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      throw Error(fmt::format("{}: there is no {} in such a file.", where_, brief_name(key)));
    }
  }
}

std::int64_t Reader::whole(std::int64_t least, std::int64_t most) const {
  const std::string expected = fmt::format("a whole number from {} to {}", least, most);
  if (!value_.is_number_integer()) refuse(expected);
  if (value_.is_number_unsigned() &&
      value_.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    refuse(expected);
  }
  const auto number = value_.get<std::int64_t>();
  if (number < least || number > most) refuse(expected);
  return number;
}

double Reader::number(double least, double most) const {
  const double number = value_.is_number() ? value_.get<double>() : std::nan("");
  if (!(number >= least && number <= most)) refuse(fmt::format("a number from {:g} to {:g}", least, most));
  return number;
}

bool Reader::flag() const {
  if (!value_.is_boolean()) refuse("true or false");
  return value_.get<bool>();
}

std::string Reader::text(std::size_t most) const {
  if (!value_.is_string() || value_.get_ref<const std::string&>().size() > most) {
    refuse(fmt::format("a text of at most {} bytes", most));
  }
  return value_.get<std::string>();
}

std::vector<MethodChoice> Reader::methods() const {
  constexpr std::size_t kMostMethods = 256;
  std::vector<MethodChoice> methods;
  for (const Reader& item : list(kMostMethods)) {
    item.only({"name", "parameters"});
    MethodChoice choice{item["name"].text(4096), item["parameters"].as<SparsityParameters>()};
    for (const MethodChoice& other : methods) {
      if (other.name == choice.name) item["name"].refuse("a name of its own");
    }
    methods.push_back(std::move(choice));
  }
  if (methods.empty()) refuse("at least one method");
  return methods;
}

void Reader::refuse(const std::string& expected) const {
  throw Error(fmt::format("{} cannot be {}; it must be {}.", where_, brief(value_), expected));
}

Values read_values(const Reader& from, std::vector<std::string> others) {
  others.insert(others.end(), {"standard_error", "row_step", "rows"});
  Values values;
  for (const auto& [written, value] : from.value().items()) {
    if (std::find(others.begin(), others.end(), written) != others.end()) continue;
    const std::string key = key_of(written);
    if (std::none_of(measures().begin(), measures().end(), [&](const Measure& m) { return m.key == key; })) {
      throw Error(fmt::format("{}: there is no {} in such a file.", from.where(), brief_name(written)));
    }
    Measured measured;
    // Shares of before were flags where there is one answer.
    measured.value =
        value.is_boolean() ? (value.get<bool>() ? 1.0 : 0.0) : from[written.c_str()].number(-kLargest, kLargest);
    if (from.has("row_step") && from["row_step"].has(key.c_str())) {
      measured.row_step = from["row_step"][key.c_str()].whole(2, std::int64_t{1} << 32U);
      measured.rows = from["rows"][key.c_str()].whole(0, std::int64_t{1} << 32U);
      const Reader error = from["standard_error"][key.c_str()];
      measured.standard_error = error.value().is_null() ? std::nan("") : error.number(0, kLargest);
    }
    values.set(key, measured);
  }
  return values;
}

void check_values(const Reader& from, const Values& values, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    const Measured* measured = values.find(key);
    const bool share = measure(key).format == Measure::Format::kShare;
    const double least = key == "log_probability" ? -kLargest : 0;
    const double most = share ? 1 + 1e-9 : least < 0 ? 0 : kLargest;
    if (measured == nullptr || measured->value < least || measured->value > most) {
      from.refuse(fmt::format("measured values with {} in its range", key));
    }
  }
}

void write_head(json& out, const char* kind, const Head& head) {
  json methods = json::array();
  for (const MethodChoice& method : head.methods) {
    methods.push_back({{"name", method.name}, {"parameters", method.parameters}});
  }
  out = {{"kind", kind},        {"finished", head.finished},       {"settings", head.settings},
         {"model", head.model}, {"fingerprint", head.fingerprint}, {"methods", std::move(methods)}};
}

Head read_head(const Reader& file, const char* kind, const char* what, const std::vector<std::string>& others,
               const std::function<void(const Reader&)>& read_settings) {
  if (!file.has("kind") || file["kind"].value() != kind)
    throw Error(fmt::format("{} holds no {}.", file.where(), what));
  std::vector<std::string> keys = {"kind", "finished", "settings", "model", "fingerprint", "methods", "machine"};
  keys.insert(keys.end(), others.begin(), others.end());
  file.only(keys);
  try {
    read_settings(file["settings"]);
  } catch (const Error& error) {
    const std::string sentence = error.what();
    throw Error(sentence.starts_with(file.where()) ? sentence : fmt::format("{}: {}", file.where(), sentence));
  }
  Head head;
  head.finished = file["finished"].flag();
  head.model = file["model"].text(4096);
  head.fingerprint = file["fingerprint"].text(256);
  head.methods = file["methods"].methods();
  return head;
}

namespace {

// Of two results of identity_of().
std::string different_model(const std::string& file, const std::string& asked) {
  const auto weights = [](const std::string& text) { return text.substr(0, text.find(' ')); };
  const auto behind = [](const std::string& text, bool predictor) {
    for (std::size_t at = text.find(' '); at != std::string::npos; at = text.find(' ', at + 1)) {
      const std::string part = text.substr(at + 1, text.find(' ', at + 1) - at - 1);
      if (part.starts_with("predictor:") == predictor) return part;
    }
    return std::string();
  };
  const auto type = [&](const std::string& text) {
    const std::string part = behind(text, false);
    return part.empty() ? std::string("float32") : part;
  };
  if (weights(file) != weights(asked)) return "it was made with another model, configuration or tokenizer";
  if (type(file) != type(asked)) {
    return fmt::format("it was computed in {}, not {}", brief_name(type(file)), brief_name(type(asked)));
  }
  if (behind(file, true).empty()) return "it does not say by which predictor its boundaries were learned";
  return "its boundaries were learned by another predictor";
}

}  // namespace

std::string difference(const Head& file, const Head& asked) {
  for (const auto& [key, value] : asked.settings.items()) {
    const json& old = file.settings.at(key);
    if (old != value) return fmt::format("its {} is {}, not {}", key, brief(old), brief(value));
  }
  if (file.fingerprint != asked.fingerprint) return different_model(file.fingerprint, asked.fingerprint);
  const auto names = [](const std::vector<MethodChoice>& methods) {
    std::string text;
    for (const MethodChoice& method : methods) text += (text.empty() ? "" : ", ") + method.name;
    return text;
  };
  if (names(file.methods) != names(asked.methods)) {
    return fmt::format("its methods are {}, not {}", names(file.methods), names(asked.methods));
  }
  for (std::size_t i = 0; i < file.methods.size(); ++i) {
    for (const auto& option : parameter_table()) {
      const auto value = [&](const Head& head) { return option.get(head.methods[i].parameters); };
      if (value(file) != value(asked)) return fmt::format("its {} has another {}", file.methods[i].name, option.key);
    }
  }
  return {};
}

}  // namespace dhsa::results_file
