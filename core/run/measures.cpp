#include "core/run/measures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "core/base/error.h"

namespace dhsa {
namespace {

using M = Measure;
using G = Measure::Group;
using F = Measure::Format;
using B = Measure::Better;
using O = Measure::Over;

constexpr std::array kMeasures = {
    M{"prefill_seconds", "prefill time", "prefill", "s", G::kCost, F::kSeconds, B::kLower, O::kMean, false, false,
      "Sum of the stages of the prefill. Measuring, logits against dense and the answer are not in it."},
    M{"tokens_per_second", "tokens per second", "tokens/s", "", G::kCost, F::kCount, B::kHigher, O::kMean, false, false,
      "Tokens of the text by the prefill time."},
    M{"planning_share", "planning", "planning", "%", G::kCost, F::kShare, B::kLower, O::kMean, false, true,
      "Share of the prefill time that choosing keys takes."},
    M{"peak_bytes", "peak memory", "peak", "bytes", G::kCost, F::kBytes, B::kLower, O::kMean, false, false,
      "Most memory in use during the prefill, weights and libraries included. What measures or watches it is not in "
      "it."},
    M{"extra_bytes", "above weights and libraries", "above", "bytes", G::kCost, F::kBytes, B::kLower, O::kMean, false,
      true, "Peak memory less what was in use when the prefill began."},
    M{"chunks", "chunks per layer (mean)", "chunks", "", G::kChunks, F::kCount, B::kNeither, O::kMean, false, false,
      "Chunks that the text is divided into."},
    M{"median_chunk", "median chunk", "median", "tokens", G::kChunks, F::kCount, B::kNeither, O::kMean, false, true,
      "Median length of the chunks of all layers."},
    M{"longest_chunk", "longest chunk", "longest", "tokens", G::kChunks, F::kCount, B::kNeither, O::kMean, false, true,
      "Length of the longest chunk of all layers."},
    M{"density", "density", "density", "%", G::kMask, F::kShare, B::kLower, O::kMean, false, false,
      "Kept pairs by causal pairs, inside the window on local layers; of several layers, of their pairs together. "
      "Lower "
      "is cheaper."},
    M{"retained_mass", "retained mass (mean)", "mass", "%", G::kMask, F::kShare, B::kHigher, O::kMean, true, false,
      "Dense attention mass on the kept keys, mean over rows and heads. Higher is better."},
    M{"retained_mass_global", "retained mass, global layers", "global", "%", G::kMask, F::kShare, B::kHigher, O::kMean,
      true, true, "Retained mass of the layers that see the whole text.", true},
    M{"worst_head_mass", "worst head", "head", "%", G::kMask, F::kShare, B::kHigher, O::kLowest, true, true,
      "Retained mass of the head that retains least; a little low while sampled."},
    M{"worst_rows_mass", "worst 1 % of rows", "rows", "%", G::kMask, F::kShare, B::kHigher, O::kLowest, true, true,
      "Retained mass of the worst hundredth of all rows and heads; uncertain while sampled."},
    M{"of_oracle", "mass vs the oracle's", "oracle", "%", G::kMask, F::kShare, B::kHigher, O::kMean, true, true,
      "Retained mass as a share of what each row's own best keys, as many, would retain."},
    M{"iou", "overlap with the oracle (IoU)", "IoU", "%", G::kMask, F::kShare, B::kHigher, O::kMean, true, false,
      "Intersection over union of the kept keys and each row's own best keys, as many."},
    M{"output_error", "output error (mean)", "error", "%", G::kMask, F::kShare, B::kLower, O::kMean, true, false,
      "Norm of the change of the attention output, relative to dense, mean over heads. Lower is better."},
    M{"mean_kl_nats", "mean KL(dense || sparse)", "KL", "nats", G::kLogits, F::kReal, B::kLower, O::kMean, true, false,
      "How far the distributions of the next token are from those of dense, mean over positions. Lower is better."},
    M{"same_top", "same top token", "same top", "%", G::kLogits, F::kShare, B::kHigher, O::kMean, true, false,
      "Share of positions with the same most probable next token as dense."},
    M{"exact", "exact answers", "exact", "%", G::kAnswer, F::kShare, B::kHigher, O::kMean, false, false,
      "Answers that give all numbers asked for."},
    M{"found", "numbers found", "found", "%", G::kAnswer, F::kShare, B::kHigher, O::kMean, false, false,
      "Share of the numbers asked for that is given."},
    M{"log_probability", "log-probability", "log-prob.", "nats", G::kAnswer, F::kReal, B::kHigher, O::kMean, false,
      false, "Of the right answer's tokens, mean."},
};

// What files of before the table call them, words joined by "_".
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kFormerKeys = {
    {{"kl", "mean_kl_nats"}, {"seconds", "prefill_seconds"}}};

Measured mean_of(std::span<const Measured> parts) {
  Measured mean;
  double weights = 0;
  double sum = 0;
  double variance = 0;
  for (const Measured& part : parts) {
    weights += part.weight;
    sum += part.weight * part.value;
    variance += part.weight * part.standard_error * part.weight * part.standard_error;
  }
  mean.value = sum / weights;
  mean.standard_error = std::sqrt(variance) / weights;
  mean.weight = weights;
  return mean;
}

}  // namespace

std::span<const Measure> measures() { return kMeasures; }

const Measure& measure(std::string_view key) {
  const auto found =
      std::find_if(kMeasures.begin(), kMeasures.end(), [&](const Measure& measure) { return measure.key == key; });
  if (found == kMeasures.end()) throw Error(fmt::format("There is no measure \"{}\".", key));
  return *found;
}

std::vector<Measure> layer_measures() {
  std::vector<Measure> chosen;
  std::copy_if(kMeasures.begin(), kMeasures.end(), std::back_inserter(chosen),
               [](const Measure& measure) { return measure.group == G::kMask && !measure.of_runs_only; });
  return chosen;
}

MeasureColumns::MeasureColumns(std::span<const Measure> which) {
  for (const Measure& measure : which) columns_.push_back({std::string(measure.key), measure.may_be_sampled});
}

MeasureColumns::MeasureColumns(std::span<const Values> all) {
  for (const Measure* measure : measured_in(all)) {
    const bool sampled = std::any_of(all.begin(), all.end(), [&](const Values& values) {
      const Measured* value = values.find(measure->key);
      return value != nullptr && value->sampled();
    });
    columns_.push_back({std::string(measure->key), sampled});
  }
}

std::vector<std::string> MeasureColumns::headings() const {
  std::vector<std::string> headings;
  for (const auto& [key, sampled] : columns_) {
    headings.push_back(key);
    if (sampled) headings.insert(headings.end(), {key + "_standard_error", key + "_row_step"});
  }
  return headings;
}

std::vector<std::string> MeasureColumns::cells(const Values& values) const {
  const auto number = [](double value) { return std::isnan(value) ? std::string() : fmt::format("{:.9g}", value); };
  std::vector<std::string> cells;
  for (const auto& [key, sampled] : columns_) {
    const Measured* value = values.find(key);
    cells.push_back(value != nullptr ? number(value->value) : "");
    if (!sampled) continue;
    cells.push_back(value != nullptr ? number(value->standard_error) : "");
    cells.push_back(value != nullptr ? std::to_string(value->row_step) : "");
  }
  return cells;
}

std::string key_of(std::string_view written) {
  std::string key(written);
  std::replace(key.begin(), key.end(), '-', '_');
  for (const auto& [former, now] : kFormerKeys) {
    if (key == former) return std::string(now);
  }
  return key;
}

std::vector<const Measure*> measured_in(std::span<const Values> all) {
  std::vector<const Measure*> found;
  for (const Measure& measure : kMeasures) {
    if (std::any_of(all.begin(), all.end(), [&](const Values& one) { return one.find(measure.key) != nullptr; })) {
      found.push_back(&measure);
    }
  }
  return found;
}

Values combine(std::span<const Values> parts) {
  Values whole;
  for (const Measure& measure : kMeasures) {
    std::vector<Measured> values;
    for (const Values& part : parts) {
      if (const Measured* value = part.find(measure.key)) values.push_back(*value);
    }
    if (values.empty() || values.size() < parts.size()) continue;
    Measured value = measure.over == O::kLowest ? lowest_of(values) : mean_of(values);
    value.row_step = 1;
    value.rows = values.front().rows;
    for (const Measured& part : values) {
      value.row_step = std::max(value.row_step, part.row_step);
      value.rows = std::min(value.rows, part.rows);
    }
    whole.set(measure.key, value);
  }
  return whole;
}

}  // namespace dhsa
