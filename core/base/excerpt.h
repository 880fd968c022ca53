// Text from a file, as a sentence about it quotes it.
#pragma once

#include <string>

namespace dhsa {

// One line of at most about 60 bytes: control characters become blanks, the rest is cut between characters of UTF-8.
[[nodiscard]] inline std::string excerpt(std::string text) {
  constexpr std::size_t kMost = 60;
  if (text.size() > kMost) {
    std::size_t end = kMost;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    text = text.substr(0, end) + "…";
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20U) c = ' ';
  }
  return text;
}

}  // namespace dhsa
