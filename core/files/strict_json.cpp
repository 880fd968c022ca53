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
constexpr int kMostDepth = 64;
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

}  // namespace

json parse_strict_json(std::string_view text, const std::string& where) {
  // The library takes a zero byte for the end of the text and skips a byte order mark; neither is JSON.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw Error(fmt::format("{}: not valid JSON at {}: a zero byte.", where, place(text, zero + 1)));
  }
  if (text.starts_with("\xEF\xBB\xBF")) {
    throw Error(fmt::format("{}: not valid JSON: it begins with a byte order mark; save it as plain UTF-8.", where));
  }
  std::vector<std::set<std::string>> names;  // of the objects that are open
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMostDepth) throw Error(fmt::format("{}: nested more than {} deep.", where, kMostDepth));
    switch (event) {
      case json::parse_event_t::object_start:
        names.emplace_back();
        break;
      case json::parse_event_t::object_end:
        names.pop_back();
        break;
      case json::parse_event_t::key:
        if (!names.back().insert(parsed.get<std::string>()).second) {
          throw Error(fmt::format("{}: the name {} is given twice.", where, brief(parsed)));
        }
        break;
      default:
        break;
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), watch);
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
