// What the files beside a tokenizer say about it: tokenizer_config.json, added_tokens.json, chat templates. Each may be
// absent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace dhsa {

struct TokenizerConfig {
  struct Added {
    std::string text;
    bool special = true;
  };
  std::map<std::int64_t, Added> added;  // by id, also those the tokenizer itself has
  std::string end_token;                // its text; empty: not said
  std::string chat_template;            // empty: none
};

// Throws Error where one of them is no JSON.
[[nodiscard]] TokenizerConfig read_tokenizer_config(const std::filesystem::path& folder);

}  // namespace dhsa
