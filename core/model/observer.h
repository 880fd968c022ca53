// What a prefill tells while it runs. The only way by which progress, timing, memory and captured tensors leave it.
#pragma once

#include <cstdint>

#include "core/base/heads_view.h"
#include "core/sparsity/planner.h"

namespace dhsa {

enum class Stage : std::uint8_t { kEmbed, kQkv, kPlan, kAttend, kOutput, kMlp, kLogits };
inline constexpr int kStageCount = 7;
[[nodiscard]] const char* name_of(Stage stage) noexcept;  // "embed", "qkv", "plan", "attend", "output", "mlp", "logits"

struct StageReport {
  Stage stage = Stage::kEmbed;
  int layer = -1;                   // -1 for embed and logits
  double seconds = 0;               // time in the stage, without observer calls
  std::int64_t resident_bytes = 0;  // process (CPU) or allocator (CUDA) memory in use at its end
};

// One attention layer, alive only during the call. Views are host memory; on CUDA their data is null for layers that
// did not want it. The plan is always there.
struct AttendedLayer {
  const LayerInfo& layer;
  const HeadsView& q;
  const HeadsView& k;
  const HeadsView& v;
  const HeadsView& output;  // [H, L, D]
  const Plan& plan;
};

// Calls come from the thread that runs prefill, in order. Time spent in them is not counted in any stage.
class PrefillObserver {
 public:
  virtual ~PrefillObserver() = default;
  virtual void prefill_begins(std::int64_t /*tokens*/, int /*layers*/) {}
  virtual void stage_begins(Stage /*stage*/, int /*layer*/) {}
  virtual void stage_ends(const StageReport& /*report*/) {}
  // On CUDA the tensors are copied to the host only for layers that want it. attended() is called for every layer.
  [[nodiscard]] virtual bool wants_attention(int /*layer*/) const { return false; }
  virtual void attended(const AttendedLayer& /*layer*/) {}
  // Residual stream as Hugging Face numbers it: hidden.0 = scaled embedding, hidden.l = after layer l-1, and
  // hidden.layers after the final norm. [1, L, hidden] float32 or bfloat16.
  [[nodiscard]] virtual bool wants_hidden(int /*index*/) const { return false; }
  virtual void hidden(int /*index*/, const HeadsView& /*states*/) {}
};

}  // namespace dhsa
