// Speed of attention and of whole prefills: all methods alternated in one process, medians and spread, against a
// measured peak.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/attention/attend.h"
#include "core/base/error.h"
#include "core/base/heads_view.h"
#include "core/model/gemma2.h"
#include "core/run/run.h"

namespace dhsa {

struct Spread {
  double median = 0;
  double lowest = 0;
  double highest = 0;
};
[[nodiscard]] Spread spread_of(std::vector<double> values);  // zeros of nothing
void to_json(nlohmann::json& json, const Spread& spread);

struct BenchOptions {
  int repeats = 5;  // timed rounds; each runs every method once
  int warm_up = 1;  // rounds before them, not timed
  std::function<void(const std::string& what, double fraction)> progress;
  const CancelToken* cancel = nullptr;
};

// One layer's attention of a model, without the model.
struct AttentionShape {
  std::string name;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t dim = 0;
  ScoreRule rule;
};
[[nodiscard]] AttentionShape attention_shape(const std::string& name);  // demo, gemma2-2b, -9b, -27b; else Error

inline constexpr const char* kNaiveTorch = "naive torch";
inline constexpr const char* kLibrarySdpa = "torch sdpa, no softcap";  // CUDA only; does less work

struct AttentionTiming {
  std::string method;  // kNaiveTorch: whole score matrices with libtorch's own operations
  Spread total;        // planning and attention, seconds
  Spread planning;
  Spread attention;
  Spread speed_up;               // of the total over fused dense, round by round
  double density = 1;            // kept / causal pairs
  double gflop = 0;              // two products over the kept pairs of all heads
  double gflops = 0;             // gflop / median attention time
  std::int64_t extra_bytes = 0;  // most memory on top of q, k, v and output
};

// Global (window 0) or local layer on random q, k, v. Fused dense is always measured, as the one compared with; naive
// torch where `naive`. Throws Error where memory does not allow it.
[[nodiscard]] std::vector<AttentionTiming> bench_attention(const AttentionShape& shape, std::int64_t tokens,
                                                           std::int64_t window, DType type,
                                                           std::span<const MethodChoice> choices, bool naive,
                                                           const BenchOptions& options);
// The same on a CUDA device in bfloat16, timed by events; beside it libtorch's scaled_dot_product_attention, where the
// layer is global.
[[nodiscard]] std::vector<AttentionTiming> bench_attention_cuda(const AttentionShape& shape, std::int64_t tokens,
                                                                std::int64_t window,
                                                                std::span<const MethodChoice> choices,
                                                                const BenchOptions& options);
// GFLOP/s of libtorch's bfloat16 product of two 8192 x 8192 matrices on the device: what to hold kernels against.
[[nodiscard]] double cuda_matmul_gflops();
void to_json(nlohmann::json& json, const AttentionTiming& timing);

// Fused dense attention by one kernel of this machine.
struct KernelTiming {
  CpuKernel kernel = CpuKernel::kPortable;
  DType type = DType::kFloat32;  // of q, k, v
  Spread seconds;
  Spread speed_up;     // over the best float32 kernel, round by round
  double gflops = 0;   // median
  double peak = 0;     // GFLOP/s measured with this kernel's multiply-adds
  double error = 0;    // ||out - twin|| / ||twin||, over the first error_rows rows
  double largest = 0;  // largest |out - twin| there
  std::int64_t error_rows = 0;
};
// Every kernel in turns on the same q, k, v (numbers that bfloat16 holds; output float32), with its error against the
// double-precision twin.
[[nodiscard]] std::vector<KernelTiming> bench_kernels(const AttentionShape& shape, std::int64_t tokens,
                                                      std::int64_t window, const BenchOptions& options);
void to_json(nlohmann::json& json, const KernelTiming& timing);

struct PrefillTiming {
  std::string method;
  Spread seconds;
  Spread speed_up;  // over dense, round by round
  // Times are medians, memory is the highest of all rounds: prefill_seconds, tokens_per_second, planning_share,
  // peak_bytes, extra_bytes, density.
  Values values;
  std::vector<double> stage_seconds;  // [kStageCount], medians
  double gflop = 0;                   // linear layers and the kept pairs of attention
  double gflops = 0;                  // gflop / median seconds
};

// Whole prefills of `tokens` random tokens, last logits only, no cache. Dense is always measured.
[[nodiscard]] std::vector<PrefillTiming> bench_prefill(const Gemma2& model, std::int64_t tokens,
                                                       std::span<const MethodChoice> choices,
                                                       std::shared_ptr<const BoundaryPredictor> predictor,
                                                       const BenchOptions& options);
void to_json(nlohmann::json& json, const PrefillTiming& timing);

// softmax(softcap(scale q k^T) + mask) v with libtorch's own operations, one head at a time with its whole L x L
// scores: what one writes first, kept for comparison. float32, contiguous or strided.
void attend_naive_torch(const HeadsView& q, const HeadsView& k, const HeadsView& v, std::int64_t window,
                        const ScoreRule& rule, const MutableHeadsView& out);

}  // namespace dhsa
