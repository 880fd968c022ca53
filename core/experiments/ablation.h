// Ablations: what each part of the method is worth. Every variant plans on the same queries and keys, those of a dense
// prefill; then each prefills by itself and its logits are compared with dense.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/analysis/metrics.h"
#include "core/experiments/experiment.h"
#include "core/model/gemma2.h"
#include "core/run/measures.h"
#include "core/sparsity/parameters.h"
#include "core/sparsity/planner.h"
#include "core/text/tokenizer.h"

namespace dhsa {

struct AblationVariant {
  std::string group;  // the question it belongs to: "pooling", "boundaries", ...
  std::string name;   // unique
  SparsityParameters parameters;
};
// What the paper names and what goes beyond it, all at one budget. "published" and "best" are presets;
// the names of others say in what they differ from one of them.
[[nodiscard]] std::vector<AblationVariant> ablation_variants(std::int64_t budget);

struct RowSpan {
  std::string name;  // "question", "needle"
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool operator==(const RowSpan&) const = default;
};

// A text to plan and to prefill. With rows it is a needle document: those are measured apart, besides all rows.
struct AblationText {
  std::string name;               // unique
  std::vector<std::int32_t> ids;  // none in a text that was read back from results
  std::vector<std::int32_t> sentence_ends;
  std::vector<RowSpan> rows;
  std::string digest;  // of all this
};
// Excerpts of `tokens` tokens (BOS among them) of the last tenth of a text, evenly spread: what train-predictor never
// learns from. Throws Error where it is too short.
[[nodiscard]] std::vector<AblationText> held_out_excerpts(const std::string& name, std::string text,
                                                          std::int64_t samples, std::int64_t tokens,
                                                          const Tokenizer& tokenizer);
// Needle prompts of generated prose, one for each of `needles` depths, with the rows of "question" and "needle".
[[nodiscard]] std::vector<AblationText> needle_documents(std::int64_t needles, std::int64_t tokens, std::uint64_t seed,
                                                         const Tokenizer& tokenizer);

struct AblationSettings {
  std::int64_t tokens = 8192;                // of a text
  std::int64_t metrics_rows = kMetricsRows;  // one row in n
  std::int64_t logit_positions = 2048;       // 0: no prefill of its own
  std::uint64_t seed = 1;                    // of needle documents
};
[[nodiscard]] const OptionTable<AblationSettings>& ablation_options();

// One variant on one text.
struct AblationSample {
  std::string variant;
  std::string text;
  // Chunks and masks: over global layers (all layers where there is none). Logits and the share of planning: of the
  // variant's own prefill, where there is one.
  Values values;
  std::vector<double> row_mass;  // retained mass of AblationText::rows, all of them
};

struct AblationResults {
  AblationSettings settings;
  std::vector<AblationVariant> variants;
  std::vector<AblationText> texts;
  std::string model;        // for a person
  std::string fingerprint;  // see identity_of()
  std::vector<AblationSample> samples;

  [[nodiscard]] const AblationSample* sample(const std::string& variant, const std::string& text) const;
  [[nodiscard]] bool finished() const;  // a sample of every variant on every text
  [[nodiscard]] ExperimentCount count() const;
};

// A cell of its progress is a text.
using AblationOptions = ExperimentOptions<AblationResults>;

// Goes on from the samples that are there to those of every variant on every text. Variants of the same parameters are
// measured once. Throws Error on what cannot be, before anything has run; Cancelled, after which `results` holds all
// whole samples so far.
void run_ablation(const Gemma2& model, AblationResults& results, const AblationOptions& options = {},
                  const std::shared_ptr<const BoundaryPredictor>& predictor = nullptr);

// Means of one variant: over prose; over needle documents where there is no prose; row masses over needle documents.
struct AblationRow {
  AblationVariant variant;
  AblationSample mean;
  std::int64_t texts = 0;              // that the means are over
  std::vector<std::string> row_names;  // of mean.row_mass, in the order in which they come up
  std::optional<double> gap;           // share of the way from "window-sinks" to "group oracle" in retained mass
};
[[nodiscard]] std::vector<AblationRow> summarise(const AblationResults& results);
// Results as a file holds them; reading throws Error that begins with `where`.
void to_json(nlohmann::json& json, const AblationResults& results);
[[nodiscard]] AblationResults parse_ablation_results(const std::string& text, const std::string& where);
// Header and one row per sample.
[[nodiscard]] std::string to_csv(const AblationResults& results);
// Empty where `file` can be continued as `asked`, else a sentence's part: "its tokens is 4096, not 8192".
[[nodiscard]] std::string difference(const AblationResults& file, const AblationResults& asked);

}  // namespace dhsa
