// A model folder made ready: configuration, weights and tokenizer that belong together.
#pragma once

#include "core/model/config.h"
#include "core/text/tokenizer.h"

namespace dhsa {

// Throws Error where the tokenizer makes ids that the model has no embedding for.
void check_vocabulary(const Gemma2Config& config, const Tokenizer& tokenizer);

}  // namespace dhsa
