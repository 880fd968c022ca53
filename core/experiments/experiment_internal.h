// The work of an experiment, beside its files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/experiments/experiment.h"
#include "core/model/gemma2.h"

namespace dhsa {

inline void require(bool holds, const std::string& sentence) {
  if (!holds) throw Error(sentence);
}

inline constexpr double kLargestSeed = 9.2e18;  // in a table of options: any that fits

// How long a prefill of this length takes, in no unit: for progress bars only.
[[nodiscard]] inline double relative_cost(std::int64_t length) {
  constexpr double kQuadraticAt = 8192;  // tokens at which attention takes about as long as all else
  const auto tokens = static_cast<double>(length);
  return tokens * (1 + tokens / kQuadraticAt);
}

// Throws Error where a prefill of so many tokens has no room; `what` is "A text".
void require_memory(const Gemma2& model, std::int64_t tokens, const PrefillOptions& options, const char* what);
// 1 to 64 of them, ascending, each at least `least` tokens. Throws Error.
void check_lengths(const std::vector<std::int64_t>& lengths, std::int64_t least);

// What one text or prompt came to: in means over them each counts alike, whatever its measures weigh over layers.
[[nodiscard]] Values weighed_alike(const Values& values);
// Throws Error that begins with `name` where the parameters or the planner do not allow it.
void check_method(const std::string& name, const SparsityParameters& parameters, const DocumentInfo& document,
                  const std::shared_ptr<const BoundaryPredictor>& predictor);

// How far the work is, in the unit of relative_cost().
class Work {
 public:
  Work(std::function<void(const ExperimentProgress&)> progress, const CancelToken* cancel)
      : progress_(std::move(progress)), cancel_(cancel) {}
  void add(double cost) { all_ += cost; }
  void finish(double cost) { done_ += cost; }
  // `here`: done of what is under way. Throws Cancelled.
  void tell(std::size_t cell, const std::string& method, const std::string& step, double here) {
    if (cancel_ != nullptr) cancel_->check();
    furthest_ = std::max(furthest_, std::min(1.0, (done_ + here) / std::max(all_, 1e-9)));
    if (progress_) progress_({cell, method, step, furthest_});
  }

 private:
  std::function<void(const ExperimentProgress&)> progress_;
  const CancelToken* cancel_;
  double all_ = 0;
  double done_ = 0;
  double furthest_ = 0;
};

}  // namespace dhsa
