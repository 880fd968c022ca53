// Characters as Python's str sees them: scores of public benchmarks are defined by Python scripts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dhsa {

// Code points of UTF-8; a byte that belongs to no character becomes U+FFFD.
[[nodiscard]] std::u32string code_points(std::string_view utf8);
[[nodiscard]] std::string to_utf8(std::u32string_view text);

[[nodiscard]] bool is_white_space(char32_t c) noexcept;        // str.isspace()
[[nodiscard]] bool is_decimal_digit(char32_t c) noexcept;      // str.isdecimal(), regular expressions' \d
[[nodiscard]] bool is_word_character(char32_t c) noexcept;     // regular expressions' \w
[[nodiscard]] std::u32string lower(std::u32string_view text);  // str.lower(), final sigmas included
// str.split(): at runs of white space, without empty parts.
[[nodiscard]] std::vector<std::u32string> split_at_white_space(std::u32string_view text);

}  // namespace dhsa
