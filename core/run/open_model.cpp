#include "core/run/open_model.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace dhsa {

void check_vocabulary(const Gemma2Config& config, const Tokenizer& tokenizer) {
  if (tokenizer.size() > config.vocab_size) {
    throw Error(
        fmt::format("The tokenizer knows {} pieces but the model only {}: tokenizer.model and config.json do not "
                    "belong together.",
                    tokenizer.size(), config.vocab_size));
  }
  if (tokenizer.bos() != config.bos_token) {
    throw Error(
        fmt::format("The tokenizer begins a text with token {} but config.json says bos_token_id {}: they do not "
                    "belong together.",
                    tokenizer.bos(), config.bos_token));
  }
}

}  // namespace dhsa
