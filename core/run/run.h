// One runner: a prefill under a method with all that is asked about it – trace, masks measured layer by layer, logits
// against dense, an answer. The command's reports, the window, sweeps and figures are made of this.
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
#include "core/run/what_if.h"
#include "core/sparsity/parameters.h"
#include "core/sparsity/planner.h"

namespace dhsa {

class Tokenizer;

// Progress of a comparison; reported at every stage, on the thread that computes.
struct CompareProgress {
  enum class Phase : std::uint8_t { kPrefill, kAnswer, kLogits };
  Phase phase = Phase::kPrefill;
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

// What is run; alive as long as the run.
struct RunSubject {
  const Gemma2& model;
  std::span<const std::int32_t> ids;
  DocumentInfo document;
  const Tokenizer* tokenizer = nullptr;                          // null: no answer texts
  std::shared_ptr<const BoundaryPredictor> predictor = nullptr;  // may be null unless boundaries are learned
};

struct RunOptions {
  std::int64_t metrics_rows = kMetricsRows;  // masks are measured on one row in so many, 1: on all; 0: not measured
  bool oracle = true;                        // in these metrics
  std::int64_t logit_positions = 2048;       // at most so many are compared with dense; 0: none
  std::int64_t max_new_tokens = 16;          // greedy answer; 0: none
  int last_layer = -1;                       // the run ends with the attention of this layer; -1: whole. Only with
                                             // logit_positions and max_new_tokens 0
  std::vector<int> capture_layers;           // q, k, v kept in the trace
  bool keep_plans = false;                   // masks and scores of every layer kept there too
  PrefillObserver* observer = nullptr;       // hears all; its time and memory are no part of the run's
  // Every layer with all that views show of it, as the run passes it. Keeps plans.
  std::function<void(std::shared_ptr<const MeasuredLayer>)> measured;
  std::function<void(const CompareProgress&)> progress;
  std::function<void(const std::string&)> answer_piece;  // text of the answer as it grows (needs a tokenizer)
  const CancelToken* cancel = nullptr;
};

// Normed final states at the positions where logits are compared.
struct FinalStates {
  RowSample positions;
  std::vector<float> states;  // [positions, hidden]
};

// Closeness of the logits to those of the dense run.
struct LogitCloseness {
  Measured mean_kl;   // KL(dense || this), nats
  Measured same_top;  // share of positions with the same top token
  std::int64_t positions = 0;
};

struct MethodRun {
  std::string name;
  SparsityParameters parameters;
  RunTrace trace;
  std::vector<MaskMetrics> metrics;           // [layers]; empty if not asked for
  std::shared_ptr<const FinalStates> states;  // null if not asked for
  std::optional<LogitCloseness> logits;       // where compared
  double seconds = 0;                         // prefill, sum of its stages
  std::int64_t peak_bytes = 0;                // high-water mark of the prefill, without what measures or observes it
  std::int64_t start_bytes = 0;               // in use before it
  std::vector<std::int32_t> answer;
  std::string answer_text;
  std::optional<std::int32_t> stop_token;  // that ended the answer; none: it is as long as asked for
  std::string answer_end;                  // in words: "ended at <end_of_turn>", "16 tokens, the most asked for"
  double answer_seconds = 0;
};

// Throws Error where the parameters or the memory do not allow it; Cancelled.
[[nodiscard]] MethodRun run_method(const RunSubject& subject, const MethodChoice& choice, const RunOptions& options);

// A prefill alone, seen by no observer but that of the options. Throws Error, Cancelled.
[[nodiscard]] PrefillResult prefill_for(const RunSubject& subject, const SparsityParameters& parameters,
                                        const PrefillOptions& options);

// A text that was read, for who asks the model more about it than a run does.
struct ReadText {
  PrefillResult prefill;
  Values values;  // of the measures density, over all layers, and prefill_seconds
};
// `progress` is told the share that is done; the options have no observer of their own.
[[nodiscard]] ReadText read_text(const RunSubject& subject, const SparsityParameters& parameters,
                                 PrefillOptions options, const std::function<void(double)>& progress);

// Threads start and weights come into memory: the first run would look slow otherwise. See open_model().
void warm_up(const Gemma2& model, const CancelToken* cancel = nullptr);

// `between` is called between blocks of positions with the share that is done.
[[nodiscard]] LogitCloseness compare_logits(const Gemma2& model, const FinalStates& dense, const FinalStates& other,
                                            const std::function<void(double)>& between = {},
                                            const CancelToken* cancel = nullptr);

struct CompareOptions : RunOptions {
  std::function<void(std::size_t method, const MethodRun& run)> finished;  // a method is done (index into methods)
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

// Every measure of the run, over all layers.
[[nodiscard]] Values summarise(const MethodRun& run);

void to_json(nlohmann::json& json, const MethodRun& run);
void to_json(nlohmann::json& json, const Comparison& comparison);

}  // namespace dhsa
