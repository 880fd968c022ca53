// What needle tests and suites ask about the right answer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "core/model/gemma2.h"

namespace dhsa {

// What the model says where the right answer stands: the likeliest token at each of its places and behind it. Greedy
// decode gives the right answer if all of these are right and what follows does not lengthen it.
class RightAnswer {
 public:
  explicit RightAnswer(std::span<const std::int32_t> ids) : ids_(ids) {}
  // Adds the positions to hear the logits of, in a text that has the answer at `at`.
  void ask(std::int64_t at, std::vector<std::int32_t>& positions) const {
    for (std::size_t i = 0; i <= ids_.size(); ++i)
      positions.push_back(static_cast<std::int32_t>(at) + static_cast<std::int32_t>(i) - 1);
  }
  void hear(std::span<const float> logits) {  // at the next place
    const std::size_t at = said_.size();
    said_.push_back(static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    if (at < ids_.size()) sum_ += dhsa::log_probability(logits, ids_[at]);
  }
  // At all places, of [positions, vocab]; returns the rows that follow.
  std::span<const float> hear(std::span<const float> logits, std::int64_t vocab) {
    const auto row = static_cast<std::size_t>(vocab);
    for (std::size_t i = 0; i <= ids_.size(); ++i) hear(logits.subspan(i * row, row));
    return logits.subspan((ids_.size() + 1) * row);
  }
  [[nodiscard]] const std::vector<std::int32_t>& said() const noexcept { return said_; }
  [[nodiscard]] double log_probability() const { return sum_ / static_cast<double>(ids_.size()); }  // mean
  [[nodiscard]] bool all_right() const { return std::equal(ids_.begin(), ids_.end(), said_.begin()); }

 private:
  std::span<const std::int32_t> ids_;
  std::vector<std::int32_t> said_;
  double sum_ = 0;
};

}  // namespace dhsa
