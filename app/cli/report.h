// The comparison of `dhsa run` as text.
#pragma once

#include <string>

#include "core/model/config.h"
#include "core/run/measures.h"
#include "core/run/run.h"

namespace dhsa::cli {

// "98.4 %", or "≈ 98.4 ± 0.1 %" where it is sampled; the narrow form has neither unit nor blanks.
[[nodiscard]] std::string shown(const Measure& measure, const Measured& value);
[[nodiscard]] std::string in_percent(const Measured& share);
[[nodiscard]] std::string legend();  // what the measures of masks and these signs mean
[[nodiscard]] std::string comparison_text(const Comparison& comparison, const Gemma2Config& config);
// The budget and whatever else the method reads that is not at its default: "budget 1024 keys, query-block 256 rows".
[[nodiscard]] std::string settings_text(const SparsityParameters& parameters);

}  // namespace dhsa::cli
