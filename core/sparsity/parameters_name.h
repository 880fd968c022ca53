// How parameters are spelled where a method is named.
#pragma once

#include <string>

#include "core/sparsity/parameters.h"

namespace dhsa {

// What is compared where nobody names methods: dense, DHSA as published and as it is best here, and what these are held
// against. Separated by commas.
inline constexpr const char* kUsualMethods = "dense,dhsa,best,block-sparse,window-sinks";

// The name that named_parameters() makes these of: of the method or a preset where one is meant, else of the method
// with what differs from it: "dhsa+budget=512". Instruction tokens and predictor are not in it.
[[nodiscard]] std::string parameters_name(const SparsityParameters& parameters);

}  // namespace dhsa
