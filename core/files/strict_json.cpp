#include "core/files/strict_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "core/base/error.h"

namespace dhsa {
namespace {

using nlohmann::json;

// Deeper than any of our formats goes, and shallow enough for what recurses over a value.
constexpr std::size_t kMostDepth = 64;
constexpr std::size_t kMostShown = 60;

std::string place(std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return fmt::format("line {}, column {}", line, std::max<std::size_t>(1, before.size() - line_start));
}

std::string shortened(const json& text) {
  std::string shown = text.dump(-1, ' ', true, json::error_handler_t::replace);
  if (shown.size() > kMostShown) shown = shown.substr(0, kMostShown - 4) + "...\"";
  return shown;
}

// Knows every name of the objects that are open. A callback of the parser could do the same, but is slow by the square
// of a list's length.
class Checker : public nlohmann::json_sax<json> {
 public:
  explicit Checker(const std::string& where) : where_(where) {}

  bool null() override { return true; }
  bool boolean(bool /*value*/) override { return true; }
  bool number_integer(number_integer_t /*value*/) override { return true; }
  bool number_unsigned(number_unsigned_t /*value*/) override { return true; }
  bool number_float(number_float_t /*value*/, const string_t& /*text*/) override { return true; }
  bool string(string_t& /*value*/) override { return true; }
  bool binary(binary_t& /*value*/) override { return true; }
  bool start_object(std::size_t /*elements*/) override { return open(); }
  bool key(string_t& name) override {
    if (!names_.back().insert(name).second) {
      throw Error(fmt::format("{}: the name {} is given twice.", where_, brief_name(name)));
    }
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t /*elements*/) override { return open(); }
  bool end_array() override { return close(); }
  // Whoever parses it next meets the same fault.
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/, const json::exception& /*error*/) override {
    return false;
  }

 private:
  bool open() {
    if (names_.size() > kMostDepth) throw Error(fmt::format("{}: nested more than {} deep.", where_, kMostDepth));
    names_.emplace_back();
    return true;
  }
  bool close() {
    names_.pop_back();
    return true;
  }

  const std::string& where_;
  std::vector<std::set<std::string>> names_;  // of each that is open; none of a list
};

}  // namespace

json parse_strict_json(std::string_view text, const std::string& where) {
  // The library takes a zero byte for the end of the text and skips a byte order mark; neither is JSON.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw Error(fmt::format("{}: not valid JSON at {}: a zero byte.", where, place(text, zero + 1)));
  }
  if (text.starts_with("\xEF\xBB\xBF")) {
    throw Error(fmt::format("{}: not valid JSON: it begins with a byte order mark; save it as plain UTF-8.", where));
  }
  Checker checker(where);
  (void)json::sax_parse(text.begin(), text.end(), &checker);
  try {
    return json::parse(text.begin(), text.end());
  } catch (const json::parse_error& error) {
    throw Error(fmt::format("{}: not valid JSON at {}.", where, place(text, error.byte)));
  } catch (const json::exception&) {
    throw Error(fmt::format("{}: not valid JSON: a number in it is too large.", where));
  }
}

std::string brief(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return fmt::format("a list of {}", value.size());
  if (value.is_string()) return shortened(value);
  return value.dump();
}

std::string brief_name(const std::string& name) { return shortened(json(name)); }

}  // namespace dhsa
