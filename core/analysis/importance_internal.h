// What keys receive and how often they are kept.
#pragma once

#include <cstdint>
#include <vector>

#include "core/analysis/values.h"
#include "core/sparsity/key_mask.h"

namespace dhsa {

// Dense mass that every key receives, from some rows and heads.
class ReceivedMass {
 public:
  explicit ReceivedMass(std::int64_t keys)
      : sums_(static_cast<std::size_t>(keys), 0.0), steps_(static_cast<std::size_t>(keys) + 1, 0.0) {}

  // The row of `sample` at `index`: weights of the keys [begin, row], of which it sees those from `first` on.
  void add(const RowSample& sample, std::size_t index, const float* weights, std::int64_t begin, std::int64_t first,
           double total);
  void add(const ReceivedMass& other);
  // Per query row that sees the key, and per head. [keys]
  [[nodiscard]] std::vector<float> mean(std::int64_t heads, std::int64_t window) const;

 private:
  std::vector<double> sums_;   // [keys]
  std::vector<double> steps_;  // [keys + 1] differences from key to key of what is spread over ranges of keys
};

// [L] share of the rows that see a key and keep it, mean over mask heads.
[[nodiscard]] std::vector<float> retention_of(const KeyMask& mask);

}  // namespace dhsa
