#pragma once

#include "app/cli/common.h"

namespace dhsa::cli {

void add_verify_tokenizer(CLI::App& verify, Action& action);

}  // namespace dhsa::cli
