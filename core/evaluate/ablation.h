// Ablations: what each part of the method is worth. Every variant plans on the same queries and keys, those of a dense
// prefill; then each prefills by itself and its logits are compared with dense.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/model/gemma2.h"
#include "core/sparsity/parameters.h"
#include "core/sparsity/planner.h"

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
};

struct AblationText {
  std::string name;  // unique
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> sentence_ends;
  std::vector<RowSpan> rows;  // measured apart, besides all rows
};

// One variant on one text. Masks: mean over global layers (all layers where there is none), rows and heads.
struct AblationSample {
  std::string variant;
  std::string text;
  double retained_mass = 0;
  double worst_rows_mass = 0;
  double of_oracle = 0;
  double iou = 0;
  double output_error = 0;
  double density = 0;  // of the masks of those layers
  double chunks = 0;   // mean number of chunks; 0: the method has none
  std::optional<double> kl;
  std::optional<double> same_top;
  std::optional<double> planning_share;  // of the variant's prefill seconds
  std::vector<double> row_mass;          // retained mass of AblationText::rows
};

struct AblationOptions {
  std::int64_t metrics_rows = 7;        // every n-th row; prime to score_rows, or the scored rows would be favoured
  std::int64_t logit_positions = 2048;  // 0: no prefill of its own
  std::function<void(const std::string& what, double fraction)> progress;
  // After each text: all samples so far.
  std::function<void(std::span<const AblationSample>)> updated;
  const CancelToken* cancel = nullptr;
};

// Samples of all variants for every text; texts of which `done` holds every variant are not run again. Throws Error on
// bad parameters before anything has run; Cancelled.
[[nodiscard]] std::vector<AblationSample> run_ablation(const Gemma2& model, std::span<const AblationText> texts,
                                                       std::span<const AblationVariant> variants,
                                                       const AblationOptions& options,
                                                       std::vector<AblationSample> done = {},
                                                       std::shared_ptr<const BoundaryPredictor> predictor = nullptr);

// Means over the texts that have the variant; row spans by name, in the order in which they come up.
struct AblationRow {
  AblationVariant variant;
  AblationSample mean;
  std::int64_t texts = 0;
  std::vector<std::string> row_names;  // of mean.row_mass
};
[[nodiscard]] std::vector<AblationRow> summarise(std::span<const AblationSample> samples,
                                                 std::span<const AblationVariant> variants,
                                                 std::span<const AblationText> texts);
// Header and one row per variant and text.
[[nodiscard]] std::string to_csv(std::span<const AblationSample> samples, std::span<const AblationVariant> variants,
                                 std::span<const AblationText> texts);
void to_json(nlohmann::json& json, const AblationSample& sample);
void from_json(const nlohmann::json& json, AblationSample& sample);  // throws Error

}  // namespace dhsa
