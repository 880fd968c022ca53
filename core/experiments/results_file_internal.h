// Reading the files that needle tests, sweeps and ablations leave behind: every value checked, every fault one
// sentence.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/experiments/experiment.h"
#include "core/run/measures.h"
#include "core/text/haystack.h"

namespace dhsa::results_file {

inline constexpr double kLargest = 1e15;  // no measured number is larger

// A value of a file and where it stands, for the sentence.
class Reader {
 public:
  Reader(const nlohmann::json& value, std::string where) : value_(value), where_(std::move(where)) {}

  [[nodiscard]] const nlohmann::json& value() const noexcept { return value_; }
  [[nodiscard]] const std::string& where() const noexcept { return where_; }
  [[nodiscard]] Reader operator[](const char* key) const;  // throws Error if it is not there
  [[nodiscard]] bool has(const char* key) const;
  [[nodiscard]] std::vector<Reader> list(std::size_t most) const;
  void only(const std::vector<std::string>& keys) const;  // throws Error where there is any other

  [[nodiscard]] std::int64_t whole(std::int64_t least, std::int64_t most) const;
  [[nodiscard]] double number(double least, double most) const;
  [[nodiscard]] bool flag() const;
  [[nodiscard]] std::string text(std::size_t most) const;
  // What from_json() makes of it, whose errors then say where the value stands.
  template <class Value>
  [[nodiscard]] Value as() const {
    try {
      return value_.get<Value>();
    } catch (const Error& error) {
      throw Error(where_ + ": " + error.what());
    }
  }
  [[nodiscard]] std::vector<MethodChoice> methods() const;  // names unique, parameters checked
  [[noreturn]] void refuse(const std::string& expected) const;

 private:
  const nlohmann::json& value_;
  std::string where_;
};

// Settings as a file holds them: the rows of their table, the words of a key joined by "_", and lengths and haystack.
template <class Settings>
[[nodiscard]] nlohmann::json settings_json(const OptionTable<Settings>& table, const Settings& settings) {
  nlohmann::json out = nlohmann::json::object();
  table.write(out, settings, '_');
  if constexpr (requires { settings.haystack; }) {
    out["lengths"] = settings.lengths;
    out["haystack"] = settings.haystack;
  }
  return out;
}
// A row that the file has not keeps its default: the table may have grown. Keys beside the table's and `others` are
// refused.
template <class Settings>
[[nodiscard]] Settings read_settings(const Reader& from, const OptionTable<Settings>& table,
                                     std::vector<std::string> others = {}) {
  Settings settings;
  if (!from.value().is_object()) from.refuse("an object");
  for (const auto& [key, value] : from.value().items()) {
    if (table.read(settings, key, value, '_')) others.push_back(key);
  }
  if constexpr (requires { settings.haystack; }) {
    others.insert(others.end(), {"lengths", "haystack"});
    settings.lengths.clear();
    for (const Reader& length : from["lengths"].list(64)) settings.lengths.push_back(length.whole(1, 1 << 24));
    settings.haystack = from["haystack"].as<Haystack>();
  }
  from.only(others);
  return settings;
}

// What to_json() makes of values, in an object with keys `others` beside. Files of before the table of measures say
// nothing of how their values were sampled.
// Throws Error on what is no measure or no number.
[[nodiscard]] Values read_values(const Reader& from, std::vector<std::string> others = {});
// Throws Error where one of these measures lacks or is out of range: shares lie from 0 to 1, log-probabilities are at
// most 0, others at least 0.
void check_values(const Reader& from, const Values& values, std::initializer_list<std::string_view> keys);

// How every results file begins: what it is, how it was made. The results of its kind follow under keys of their own.
struct Head {
  bool finished = false;
  nlohmann::json settings;
  std::string model;        // for a person
  std::string fingerprint;  // see identity_of()
  std::vector<MethodChoice> methods;
};
void write_head(nlohmann::json& json, const char* kind, const Head& head);
template <class Results>
[[nodiscard]] Head head_of(const Results& results, nlohmann::json settings) {
  return {results.finished(), std::move(settings), results.model, results.fingerprint, results.methods};
}
// `what` the file should hold ("a sweep"), `others` its further keys. `read_settings` is given the settings and throws
// Error on those that cannot be; Head::settings stays empty.
[[nodiscard]] Head read_head(const Reader& file, const char* kind, const char* what,
                             const std::vector<std::string>& others,
                             const std::function<void(const Reader&)>& read_settings);
template <class Settings>
void take_head(ExperimentResults<Settings>& results, Head& head) {
  results.model = std::move(head.model);
  results.fingerprint = std::move(head.fingerprint);
  results.methods = std::move(head.methods);
}
// Empty where a file that begins with `file` can be continued as `asked`, else a sentence's part.
[[nodiscard]] std::string difference(const Head& file, const Head& asked);

}  // namespace dhsa::results_file
