// A model's tokenizer against stored ids of Hugging Face's library.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "core/text/tokenizer.h"

namespace dhsa {

struct TokenizerCase {
  std::string name, text;
  std::vector<std::int32_t> ids;  // without BOS, special tokens in the text read as text
};
// JSON list of {name, text, ids_plain}. Throws Error naming what is wrong.
[[nodiscard]] std::vector<TokenizerCase> read_tokenizer_cases(const std::filesystem::path& path);

struct TokenizerCheck {
  std::string name;
  bool passed = true;
  std::size_t at = 0;                         // index of the first token that differs
  std::string text;                           // what the tokens from there on stand for, shortened
  std::vector<std::int32_t> expected, found;  // a few tokens from there on
};
[[nodiscard]] std::vector<TokenizerCheck> verify_tokenizer(const Tokenizer& tokenizer,
                                                           const std::vector<TokenizerCase>& cases);

}  // namespace dhsa
