// Lists in one word of a person's: "a, b,c".
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace dhsa {

// The parts between commas without the blanks around them; empty ones are dropped.
[[nodiscard]] inline std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::size_t begin = text.find_first_not_of(' ', at);
    if (begin < comma) parts.push_back(text.substr(begin, text.find_last_not_of(' ', comma - 1) + 1 - begin));
    at = comma + 1;
  }
  return parts;
}

}  // namespace dhsa
