#pragma once

#include "app/cli/common.h"

namespace dhsa::cli {

// `dhsa verify scores`, below `verify`.
void add_verify_scores(CLI::App& verify, Action& action);

}  // namespace dhsa::cli
