// Rounds in which methods take turns, and what one layer's attention came to: on the CPU and on a CUDA device.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/experiments/bench.h"
#include "core/sparsity/key_mask.h"

namespace dhsa::benchmark {

// What one round of one method took: seconds, and the most memory on top of what was in use before it.
struct Sample {
  double planning = 0;
  double attention = 0;
  std::int64_t extra_bytes = 0;
};

struct Case {
  std::string name;
  std::function<Sample()> once;
  std::vector<Sample> samples;   // of the timed rounds
  std::int64_t extra_bytes = 0;  // highest of all rounds
};

// Throws Error where there is nothing to time.
void check_options(std::int64_t tokens, const BenchOptions& options);
// Fused dense first, then the choices that are not dense themselves.
[[nodiscard]] std::vector<MethodChoice> with_dense(std::span<const MethodChoice> choices);
// Every case runs once a round, so that a slower spell of the machine meets them all.
void alternate(std::vector<Case>& cases, const std::string& what, const BenchOptions& options);
// Of one case beside the first one, for the pairs of `mask`.
[[nodiscard]] AttentionTiming attention_timing(const Case& one, const Case& first, const KeyMask& mask,
                                               const AttentionShape& shape);

}  // namespace dhsa::benchmark
