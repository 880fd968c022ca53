// What a run leaves behind: parameters, stage times, memory, plans, and q, k, v of the layers that were captured.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/base/heads_view.h"
#include "core/model/observer.h"

namespace dhsa {

struct Gemma2Config;
struct PrefillResult;

// Owned copy of one layer's q [H, L, D], k, v [Hkv, L, D], in the dtype of the run.
class CapturedLayer {
 public:
  explicit CapturedLayer(const AttendedLayer& layer);
  [[nodiscard]] HeadsView q() const;
  [[nodiscard]] HeadsView k() const;
  [[nodiscard]] HeadsView v() const;
  [[nodiscard]] const LayerInfo& layer() const noexcept { return layer_; }
  [[nodiscard]] std::int64_t bytes() const noexcept;

 private:
  LayerInfo layer_;
  std::array<std::vector<std::uint8_t>, 3> data_;
  std::array<HeadsView, 3> shape_;  // strides of the contiguous copies; data is null
};

// Bytes that capturing these layers of a run over `tokens` tokens will take: say it before doing it.
[[nodiscard]] std::int64_t capture_bytes(const Gemma2Config& config, DType type, std::int64_t tokens,
                                         std::int64_t layers);

// What is worth keeping of every plan, in O(chunks): a token-exact mask itself may take hundreds of megabytes.
struct PlanSummary {
  bool shared = false;
  std::int64_t window = 0;
  int mask_heads = 0;
  std::int64_t query_groups = 0;
  std::int64_t key_ranges = 0;
  double kept_pairs = 0;    // mean over mask heads
  double causal_pairs = 0;  // the same
  std::int64_t mask_bytes = 0;
  std::vector<std::int32_t> boundaries;
  PlanSeconds seconds;
  [[nodiscard]] double density() const noexcept { return causal_pairs > 0 ? kept_pairs / causal_pairs : 1.0; }
};
[[nodiscard]] PlanSummary summarise(const Plan& plan);

struct RunTrace {
  std::int64_t tokens = 0;
  int layers = 0;
  std::vector<StageReport> stages;                             // in order of completion
  std::vector<PlanSummary> summaries;                          // [layers]
  std::vector<std::shared_ptr<const Plan>> plans;              // [layers], null where not kept
  std::vector<std::shared_ptr<const CapturedLayer>> captured;  // [layers], null where not captured
  double seconds = 0;
  std::int64_t peak_bytes = 0;
  [[nodiscard]] double kept_pairs() const;  // of all layers, means over mask heads
  [[nodiscard]] double causal_pairs() const;
  [[nodiscard]] double stage_seconds(Stage stage) const;  // summed over layers
  [[nodiscard]] double stage_seconds(Stage stage, int layer) const;
};
void to_json(nlohmann::json& json, const RunTrace& trace);  // times and sizes; not masks or tensors

struct RecordOptions {
  std::vector<int> capture_layers;  // q, k, v kept
  bool keep_plans = true;
};

// The observer that fills a RunTrace, and passes every call on to `next` (live display), if any.
class TraceRecorder : public PrefillObserver {
 public:
  explicit TraceRecorder(RecordOptions options, PrefillObserver* next = nullptr);
  void prefill_begins(std::int64_t tokens, int layers) override;
  void stage_begins(Stage stage, int layer) override;
  void stage_ends(const StageReport& report) override;
  [[nodiscard]] bool wants_attention(int layer) const override;
  void attended(const AttendedLayer& layer) override;
  [[nodiscard]] bool wants_hidden(int index) const override;
  void hidden(int index, const HeadsView& states) override;
  // What is known so far; plan and capture of a layer are there before `next` hears of it.
  [[nodiscard]] const RunTrace& trace() const noexcept { return trace_; }
  [[nodiscard]] RunTrace take(const PrefillResult& result);

 private:
  RecordOptions options_;
  PrefillObserver* next_;
  RunTrace trace_;
};

}  // namespace dhsa
