// What needle tests and sweeps share beside their files.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/error.h"

namespace dhsa {

inline void require(bool holds, const std::string& sentence) {
  if (!holds) throw Error(sentence);
}

// How long a prefill of this length takes, in no unit: for progress bars only.
[[nodiscard]] inline double relative_cost(std::int64_t length) {
  constexpr double kQuadraticAt = 8192;  // tokens at which attention takes about as long as all else
  const auto tokens = static_cast<double>(length);
  return tokens * (1 + tokens / kQuadraticAt);
}

}  // namespace dhsa
