// Reading the files that needle tests, sweeps and ablations leave behind: every value checked, every fault one
// sentence.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/run/run.h"

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
  [[nodiscard]] std::uint64_t seed() const;
  [[nodiscard]] double number(double least, double most) const;
  [[nodiscard]] bool flag() const;
  [[nodiscard]] std::string text(std::size_t most) const;
  [[nodiscard]] SparsityParameters parameters() const;
  [[nodiscard]] ParameterValue parameter_value(const std::string& key) const;
  [[nodiscard]] std::vector<MethodChoice> methods() const;  // names unique, parameters checked
  [[noreturn]] void refuse(const std::string& expected) const;

 private:
  const nlohmann::json& value_;
  std::string where_;
};

// How every results file begins: what it is, how it was made. The results of its kind follow under keys of their own.
struct Head {
  bool finished = false;
  nlohmann::json settings;
  std::string model;        // for a person
  std::string fingerprint;  // of the model's weights
  std::vector<MethodChoice> methods;
};
void write_head(nlohmann::json& json, const char* kind, const Head& head);
// `what` the file should hold ("a sweep"), `others` its further keys. `read_settings` is given the settings and throws
// Error on those that cannot be; Head::settings stays empty.
[[nodiscard]] Head read_head(const Reader& file, const char* kind, const char* what,
                             const std::vector<std::string>& others,
                             const std::function<void(const Reader&)>& read_settings);
// Empty where a file that begins with `file` can be continued as `asked`, else a sentence's part.
[[nodiscard]] std::string difference(const Head& file, const Head& asked);
// A value of a CSV row: quoted where it has to be.
[[nodiscard]] std::string csv_field(const std::string& text);

}  // namespace dhsa::results_file
