// Characters as Python sees them.
#include <gtest/gtest.h>

#include "core/text/unicode.h"

namespace dhsa {
namespace {

std::string lowered(const std::string& text) { return to_utf8(lower(code_points(text))); }

TEST(Unicode, CodePointsAndBack) {
  const std::string text = "a\xC3\xA9\xE4\xB8\x80\xF0\x9F\x91\x8D";
  EXPECT_EQ(code_points(text), U"aé一👍");
  EXPECT_EQ(to_utf8(U"aé一👍"), text);
  EXPECT_EQ(code_points("\xFFx"), U"\uFFFDx");
}

TEST(Unicode, LowerGoesBeyondAscii) {
  EXPECT_EQ(lowered("STRASSE ÅÖ ẞ Ж Ა"), "strasse åö ß ж ა");
  EXPECT_EQ(lowered("Ǆ ǅ Ā ā"), "ǆ ǆ ā ā");  // every second character is a capital
  EXPECT_EQ(lowered("İ"), "i\xCC\x87");      // the one capital that becomes two
}

TEST(Unicode, SigmaAtTheEndOfAWordHasItsOwnForm) {
  EXPECT_EQ(lowered("ΟΔΥΣΣΕΥΣ"), "οδυσσευς");
  EXPECT_EQ(lowered("Σ"), "σ");
  EXPECT_EQ(lowered("ΑΣ'"), "ας'");
  EXPECT_EQ(lowered("ΑΣ'Β"), "ασ'β");  // an apostrophe does not end the word
}

TEST(Unicode, KindsOfCharacters) {
  for (const char32_t c : U" \t\n\x1c\u0085\u00a0\u3000") EXPECT_TRUE(c == 0 || is_white_space(c)) << unsigned{c};
  EXPECT_FALSE(is_white_space(U'\u200b'));
  for (const char32_t c : {U'7', U'٣', U'３'}) EXPECT_TRUE(is_decimal_digit(c)) << unsigned{c};
  EXPECT_FALSE(is_decimal_digit(U'²'));
  for (const char32_t c : {U'_', U'²', U'é', U'中', U'Ⅷ'}) EXPECT_TRUE(is_word_character(c)) << unsigned{c};
  for (const char32_t c : {U'-', U'\u0301', U'。', U'\U0010FFFF'}) EXPECT_FALSE(is_word_character(c)) << unsigned{c};
}

TEST(Unicode, SplitsAtWhiteSpace) {
  EXPECT_EQ(split_at_white_space(U"  a\u3000b\n"), (std::vector<std::u32string>{U"a", U"b"}));
  EXPECT_TRUE(split_at_white_space(U" \n").empty());
}

}  // namespace
}  // namespace dhsa
