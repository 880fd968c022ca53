// The comparison of `dhsa run` as text.
#pragma once

#include <string>

#include "core/model/config.h"
#include "core/run/run.h"

namespace dhsa::cli {

[[nodiscard]] std::string comparison_text(const Comparison& comparison, const Gemma2Config& config);
// The budget and whatever else the method reads that is not at its default: "budget 1024 keys, query-block 256 rows".
[[nodiscard]] std::string settings_text(const SparsityParameters& parameters);

}  // namespace dhsa::cli
