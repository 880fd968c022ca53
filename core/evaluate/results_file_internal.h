// Reading the files that needle tests and sweeps leave behind: every value checked, every fault one sentence.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/evaluate/compare.h"

namespace dhsa::results_file {

// A value of a file and where it stands, for the sentence.
class Reader {
 public:
  Reader(const nlohmann::json& value, std::string where) : value_(value), where_(std::move(where)) {}

  [[nodiscard]] const nlohmann::json& value() const noexcept { return value_; }
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

void methods_to_json(nlohmann::json& json, const std::vector<MethodChoice>& methods);
// Empty where they are the same.
[[nodiscard]] std::string difference(const std::vector<MethodChoice>& file, const std::vector<MethodChoice>& asked);
// A value of a CSV row: quoted where it has to be.
[[nodiscard]] std::string csv_field(const std::string& text);

}  // namespace dhsa::results_file
