#include "core/text/unicode.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "core/text/document.h"

namespace dhsa {
namespace {

enum Kind : std::uint32_t { kWord = 1, kDigit = 2, kSpace = 4, kCased = 8, kIgnorable = 16 };
constexpr unsigned kKindBits = 5;

struct LowerRun {
  std::uint32_t first;
  std::uint32_t last;
  std::uint32_t step;
  std::int32_t delta;
};

#include "core/text/unicode_tables.inc"

bool is(Kind kind, char32_t c) noexcept {
  const auto after =
      std::upper_bound(std::begin(kKinds), std::end(kKinds), static_cast<std::uint32_t>(c) << kKindBits,
                       [](std::uint32_t code, std::uint32_t entry) { return code >> kKindBits < entry >> kKindBits; });
  return (*std::prev(after) & kind) != 0;
}

char32_t small(char32_t c) noexcept {
  const auto code = static_cast<std::uint32_t>(c);
  const auto run = std::lower_bound(std::begin(kLower), std::end(kLower), code,
                                    [](const LowerRun& entry, std::uint32_t wanted) { return entry.last < wanted; });
  if (run == std::end(kLower) || code < run->first || (code - run->first) % run->step != 0) return c;
  return static_cast<char32_t>(static_cast<std::int32_t>(code) + run->delta);
}

// A capital sigma ends a word: a letter before it and none after it, accents and apostrophes aside.
bool final_sigma(std::u32string_view text, std::size_t at) {
  std::size_t before = at;
  while (before > 0 && is(kIgnorable, text[before - 1])) --before;
  if (before == 0 || !is(kCased, text[before - 1])) return false;
  std::size_t after = at + 1;
  while (after < text.size() && is(kIgnorable, text[after])) ++after;
  return after == text.size() || !is(kCased, text[after]);
}

}  // namespace

std::u32string code_points(std::string_view utf8) {
  std::string valid(utf8);
  replace_invalid_utf8(valid);
  std::u32string text;
  text.reserve(valid.size());
  for (std::size_t at = 0; at < valid.size();) {
    const auto first = static_cast<unsigned char>(valid[at]);
    const std::size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    char32_t c = first < 0x80 ? first : first & (0x7fU >> length);
    for (std::size_t i = 1; i < length; ++i) c = c << 6U | (static_cast<unsigned char>(valid[at + i]) & 0x3fU);
    text += c;
    at += length;
  }
  return text;
}

std::string to_utf8(std::u32string_view text) {
  std::string utf8;
  for (const char32_t c : text) {
    const auto tail = [&](unsigned shift) { utf8 += static_cast<char>(0x80U | (c >> shift & 0x3fU)); };
    if (c < 0x80) {
      utf8 += static_cast<char>(c);
    } else if (c < 0x800) {
      utf8 += static_cast<char>(0xc0U | c >> 6U);
      tail(0);
    } else if (c < 0x10000) {
      utf8 += static_cast<char>(0xe0U | c >> 12U);
      tail(6);
      tail(0);
    } else {
      utf8 += static_cast<char>(0xf0U | c >> 18U);
      tail(12);
      tail(6);
      tail(0);
    }
  }
  return utf8;
}

bool is_white_space(char32_t c) noexcept { return is(kSpace, c); }
bool is_decimal_digit(char32_t c) noexcept { return is(kDigit, c); }
bool is_word_character(char32_t c) noexcept { return is(kWord, c); }

std::u32string lower(std::u32string_view text) {
  constexpr char32_t kSigma = U'\u03a3';
  constexpr char32_t kDottedI = U'\u0130';
  std::u32string lowered;
  lowered.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == kDottedI) {
      lowered += U"i\u0307";
    } else if (text[i] == kSigma) {
      lowered += final_sigma(text, i) ? U'\u03c2' : U'\u03c3';
    } else {
      lowered += small(text[i]);
    }
  }
  return lowered;
}

std::vector<std::u32string> split_at_white_space(std::u32string_view text) {
  std::vector<std::u32string> words;
  for (std::size_t at = 0; at < text.size();) {
    while (at < text.size() && is_white_space(text[at])) ++at;
    const std::size_t begin = at;
    while (at < text.size() && !is_white_space(text[at])) ++at;
    if (at > begin) words.emplace_back(text.substr(begin, at - begin));
  }
  return words;
}

}  // namespace dhsa
