// How parameters are spelled where a method is named.
#pragma once

#include <string>

#include "core/sparsity/parameters.h"

namespace dhsa {

// The name that named_parameters() makes these of: of the method or a preset where one is meant, else of the method
// with what differs from it: "dhsa+budget=512". Instruction tokens and predictor are not in it.
[[nodiscard]] std::string parameters_name(const SparsityParameters& parameters);

}  // namespace dhsa
