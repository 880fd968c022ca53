// Several methods on the same tokens: what each costs, what its masks are worth, what it answers. The command line's
// report, the window's runs table and sweeps are made of this.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/analysis/metrics.h"
#include "core/base/error.h"
#include "core/model/gemma2.h"
#include "core/run/trace.h"
#include "core/sparsity/parameters.h"
#include "core/sparsity/planner.h"

namespace dhsa {

class Tokenizer;

// Progress of a comparison; reported at every stage, on the thread that computes.
struct CompareProgress {
  enum class Phase : std::uint8_t { kWarmUp, kPrefill, kLogits, kAnswer };
  Phase phase = Phase::kWarmUp;
  int run = 0;  // of `runs`
  int runs = 0;
  std::string name;             // of the run
  Stage stage = Stage::kEmbed;  // in kPrefill
  int layer = -1;
  int layers = 0;
  double fraction = 0;  // of the whole comparison, 0 to 1
};

// What one run is called and how it chooses keys.
struct MethodChoice {
  std::string name;  // of the method or preset, unique in a comparison
  SparsityParameters parameters;
};

struct MethodRun;

struct CompareOptions {
  std::int64_t metrics_rows = kMetricsRows;  // mask metrics look at every n-th row; 0: no mask metrics
  std::int64_t logit_positions = 2048;       // positions at which logits are compared with dense; 0: none
  std::int64_t max_new_tokens = 16;          // greedy answer; 0: none
  bool warm_up = true;                       // a short prefill first, so that the first method does not pay for all
  std::vector<int> capture_layers;           // q, k, v kept in each run's trace
  bool keep_plans = false;                   // masks and scores of every layer kept there too
  PrefillObserver* observer = nullptr;       // sees every run
  std::function<void(const CompareProgress&)> progress;
  std::function<void(std::size_t method, const MethodRun& run)> finished;  // a method is done (index into methods)
  std::function<void(const std::string&)> answer_piece;  // text of the answer as it grows (needs a tokenizer)
  const CancelToken* cancel = nullptr;
};

// Closeness of the logits to those of the dense run.
struct LogitCloseness {
  double mean_kl = 0;          // KL(dense || this), nats
  double same_top = 1;         // share of positions with the same top token
  std::int64_t positions = 0;  // evenly spread, counted back from the last
};

struct MethodRun {
  std::string name;
  SparsityParameters parameters;
  RunTrace trace;
  std::vector<MaskMetrics> metrics;  // [layers]; empty if not asked for
  std::optional<LogitCloseness> logits;
  double seconds = 0;            // prefill, sum of its stages
  std::int64_t peak_bytes = 0;   // high-water mark during the prefill
  std::int64_t start_bytes = 0;  // the same before it
  std::vector<std::int32_t> answer;
  std::string answer_text;
  double answer_seconds = 0;
};

struct Comparison {
  std::int64_t tokens = 0;
  std::int64_t metrics_rows = 0;                 // as asked for
  std::vector<MethodRun> runs;                   // in the order asked for
  [[nodiscard]] const MethodRun* dense() const;  // null if dense was not among them
};

// Runs every method in turn; dense goes first if it is among them, as the others are compared with it.
// `predictor` may be null unless boundaries are learned; `tokenizer` may be null (no answer texts).
// Throws Error where a method's parameters or the memory do not allow it, before anything has run; Cancelled.
[[nodiscard]] Comparison compare_methods(const Gemma2& model, std::span<const std::int32_t> ids,
                                         const DocumentInfo& document, std::span<const MethodChoice> methods,
                                         const CompareOptions& options, const Tokenizer* tokenizer = nullptr,
                                         std::shared_ptr<const BoundaryPredictor> predictor = nullptr);

struct ChunkLengths {
  std::int64_t count = 0;
  std::int64_t median = 0;
  std::int64_t longest = 0;
};
[[nodiscard]] ChunkLengths chunk_lengths(std::span<const std::int32_t> boundaries);  // zeros if there are none

// Over all layers: means weigh layers the same, the worst are the lowest of any layer.
struct RunSummary {
  double density = 0;  // kept / causal pairs, summed over layers
  double retained_mass = 0;
  double worst_head_mass = 0;
  double worst_rows_mass = 0;
  double of_oracle = 0;
  double iou = 0;
  double output_error = 0;
  double chunks = 0;              // mean number of chunks; 0: the method has none
  std::int64_t median_chunk = 0;  // over the chunks of all layers
  std::int64_t longest_chunk = 0;
  double planning_share = 0;  // of the prefill's seconds
};
[[nodiscard]] RunSummary summarise(const MethodRun& run);

void to_json(nlohmann::json& json, const MethodRun& run);
void to_json(nlohmann::json& json, const Comparison& comparison);

}  // namespace dhsa
