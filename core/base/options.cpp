#include "core/base/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/error.h"
#include "core/base/excerpt.h"

namespace dhsa {
namespace {

using Kind = OptionInfo::Kind;

constexpr double kUnbounded = 1e18;  // a maximum from here on is no news to anybody

std::string number_text(double value) { return fmt::format("{:.10g}", value); }

std::string range_text(const OptionInfo& info) {
  if (info.minimum <= -kUnbounded) return "";
  if (info.maximum >= kUnbounded) return " from " + number_text(info.minimum);
  return fmt::format(" from {} to {}{}{}", number_text(info.minimum), number_text(info.maximum),
                     info.unit.empty() ? "" : " ", info.unit);
}

std::string expected(const OptionInfo& info) {
  switch (info.kind) {
    case Kind::kFlag:
      return "true or false";
    case Kind::kCount:
      return "a whole number" + range_text(info);
    case Kind::kReal:
      return "a number" + range_text(info);
    case Kind::kChoice:
      return fmt::format("one of {}", fmt::join(info.choices, ", "));
    case Kind::kFile:
      return "a file name";
    case Kind::kText:
      break;
  }
  return "a text";
}

[[noreturn]] void refuse(const OptionInfo& info, const std::string& value) {
  throw Error(fmt::format("{} cannot be {}; give {}.", info.key, value, expected(info)));
}

template <class Number>
std::optional<Number> whole_text_as(const std::string& text) {
  Number number{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<bool> as_flag(const OptionValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return std::nullopt;
  if (*text == "true" || *text == "on" || *text == "1") return true;
  if (*text == "false" || *text == "off" || *text == "0") return false;
  return std::nullopt;
}

std::optional<std::int64_t> as_count(const OptionValue& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return *whole;
  if (const auto* text = std::get_if<std::string>(&value)) return whole_text_as<std::int64_t>(*text);
  const auto* number = std::get_if<double>(&value);
  if (number == nullptr || std::floor(*number) != *number || std::abs(*number) >= 1e15) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

std::optional<double> as_real(const OptionValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  if (const auto* text = std::get_if<std::string>(&value)) return whole_text_as<double>(*text);
  return std::nullopt;
}

bool in_range(const OptionInfo& info, double number) { return number >= info.minimum && number <= info.maximum; }

}  // namespace

OptionValue fitting(const OptionInfo& info, const OptionValue& value) {
  const auto shown = [&] {
    const auto* text = std::get_if<std::string>(&value);
    return text == nullptr ? plain_text(value) : "\"" + excerpt(*text) + "\"";
  };
  if (info.kind == Kind::kFlag) {
    if (const auto flag = as_flag(value)) return *flag;
  } else if (info.kind == Kind::kCount) {
    const auto count = as_count(value);
    if (count && in_range(info, static_cast<double>(*count))) return *count;
  } else if (info.kind == Kind::kReal) {
    const auto real = as_real(value);
    if (real && in_range(info, *real)) return *real;
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    const auto& names = info.choices;
    if (info.kind != Kind::kChoice || std::find(names.begin(), names.end(), *text) != names.end()) return value;
  }
  refuse(info, shown());
}

OptionValue fitting_json(const OptionInfo& info, const nlohmann::json& value) {
  const bool right = info.kind == Kind::kFlag ? value.is_boolean()
                     : info.numeric()         ? value.is_number()
                                              : value.is_string();
  if (!right) refuse(info, excerpt(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  if (value.is_boolean()) return fitting(info, OptionValue(value.get<bool>()));
  if (value.is_string()) return fitting(info, OptionValue(value.get<std::string>()));
  const bool huge = value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{1} << 62U;
  if (value.is_number_integer() && !huge) return fitting(info, OptionValue(value.get<std::int64_t>()));
  return fitting(info, OptionValue(value.get<double>()));
}

nlohmann::json json_of(const OptionValue& value) {
  return std::visit([](const auto& plain) { return nlohmann::json(plain); }, value);
}

std::string plain_text(const OptionValue& value) {
  return std::visit([](const auto& plain) { return fmt::format("{}", plain); }, value);
}

std::string to_text(const OptionInfo& info, const OptionValue& value) {
  if (const auto* on = std::get_if<bool>(&value)) return *on ? "on" : "off";
  if (const auto* number = std::get_if<double>(&value)) return number_text(*number);
  const std::string text = plain_text(value);
  if (std::holds_alternative<std::int64_t>(value)) return info.unit.empty() ? text : text + " " + info.unit;
  const auto at =
      static_cast<std::size_t>(std::find(info.choices.begin(), info.choices.end(), text) - info.choices.begin());
  return at < info.choice_labels.size() ? info.choice_labels[at] : text;
}

std::string help_of(const OptionInfo& info, const OptionValue& standard) {
  std::string help = info.help.substr(0, info.help.find_last_not_of('.') + 1);
  std::vector<std::string> facts;
  if (info.kind == Kind::kChoice) facts.push_back(fmt::format("{}", fmt::join(info.choices, ", ")));
  if (!info.unit.empty()) facts.push_back(info.unit);
  if (info.numeric() && info.maximum < kUnbounded) {
    facts.push_back(fmt::format("{} to {}", number_text(info.minimum), number_text(info.maximum)));
  }
  const std::string value = info.kind == Kind::kReal ? number_text(std::get<double>(standard)) : plain_text(standard);
  if (info.kind != Kind::kFlag && !value.empty()) facts.push_back("default " + value);
  if (info.kind == Kind::kFlag && std::get<bool>(standard)) {
    facts.push_back(fmt::format("on; --no-{} leaves it out", info.key));
  }
  if (!info.when.empty()) facts.push_back("for " + info.when);
  return facts.empty() ? help : help + fmt::format(" [{}]", fmt::join(facts, "; "));
}

void refuse_key(const std::string& what, const std::string& key, const std::vector<std::string>& keys) {
  throw Error(fmt::format("There is no {} \"{}\"; there are {}.", what, excerpt(key), fmt::join(keys, ", ")));
}

}  // namespace dhsa
