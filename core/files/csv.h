// Rows of comma-separated values.
#pragma once

#include <string>

namespace dhsa {

// A text as one value of a row: quoted where it has to be. A leading =, +, - or @, which spreadsheets would run as a
// formula, is written after an apostrophe; numbers are not to go through here.
[[nodiscard]] inline std::string csv_field(std::string text) {
  if (text.find_first_of("=+-@") == 0) text.insert(0, 1, '\'');
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  for (std::size_t at = 0; (at = text.find('"', at)) != std::string::npos; at += 2) text.insert(at, 1, '"');
  return '"' + text + '"';
}

}  // namespace dhsa
