// JSON as the formats mean it: one value, UTF-8, no name twice in an object.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace dhsa {

// Throws Error that begins with `where` and says what is wrong and at which line and column.
[[nodiscard]] nlohmann::json parse_strict_json(std::string_view text, const std::string& where);

// A value as an error sentence shows it: short, and valid UTF-8.
[[nodiscard]] std::string brief(const nlohmann::json& value);
// Likewise for a name out of a file: control characters escaped, cut where it is long.
[[nodiscard]] std::string brief_name(const std::string& name);

}  // namespace dhsa
