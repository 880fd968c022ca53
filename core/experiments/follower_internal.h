// What needle tests and LongBench watch of a prefill.
#pragma once

#include <algorithm>
#include <functional>
#include <utility>

#include "core/run/trace.h"

namespace dhsa {

// Follows one prefill: share of it that is done, and the density of its masks.
class Follower : public PrefillObserver {
 public:
  explicit Follower(std::function<void(double)> progress) : progress_(std::move(progress)) {}
  void prefill_begins(std::int64_t /*tokens*/, int layers) override { layers_ = layers; }
  void stage_begins(Stage stage, int layer) override {
    if (layer >= 0) progress_((layer + static_cast<double>(stage) / kStageCount) / std::max(1, layers_));
  }
  void attended(const AttendedLayer& layer) override {
    const PlanSummary summary = summarise(layer.plan);
    kept_ += summary.kept_pairs;
    causal_ += summary.causal_pairs;
  }
  [[nodiscard]] double density() const { return causal_ > 0 ? kept_ / causal_ : 1; }

 private:
  std::function<void(double)> progress_;
  int layers_ = 1;
  double kept_ = 0;
  double causal_ = 0;
};

}  // namespace dhsa
