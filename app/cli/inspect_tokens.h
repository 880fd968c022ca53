// dhsa inspect --tokens: the tokens of a text, with the bytes that each stands for.
#pragma once

#include <string>

#include "app/cli/common.h"

namespace dhsa::cli {

struct TokenListOptions {
  ModelOptionsText model;
  OutputOptions output;
  TextOptions text;
  std::string csv;  // file; empty: none
};

// Reads the model's configuration and tokenizer only.
int list_tokens(const TokenListOptions& options);

}  // namespace dhsa::cli
