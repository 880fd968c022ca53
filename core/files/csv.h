// Rows of comma-separated values.
#pragma once

#include <string>
#include <vector>

namespace dhsa {

// A text as one value of a row: quoted where it has to be. A leading =, +, - or @, which spreadsheets would run as a
// formula, is written after an apostrophe; numbers are not to go through here.
[[nodiscard]] inline std::string csv_field(std::string text) {
  if (text.find_first_of("=+-@") == 0) text.insert(0, 1, '\'');
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  for (std::size_t at = 0; (at = text.find('"', at)) != std::string::npos; at += 2) text.insert(at, 1, '"');
  return '"' + text + '"';
}

// ",a,b": what follows in a row, of numbers and keys, which need no quotes.
[[nodiscard]] inline std::string csv_cells(const std::vector<std::string>& cells) {
  std::string text;
  for (const std::string& cell : cells) text += "," + cell;
  return text;
}

}  // namespace dhsa
