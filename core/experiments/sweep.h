// Curves: what methods cost and lose as length, budget or any other parameter varies, on several texts.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/experiments/experiment.h"
#include "core/text/haystack.h"
#include "core/text/tokenizer.h"

namespace dhsa {

// A parameter of parameter_table() and the values it takes. Methods that do not read it have one point for all of them.
struct SweepAxis {
  std::string key;
  std::vector<OptionValue> values;
  bool operator==(const SweepAxis&) const = default;
};

struct SweepSettings {
  std::vector<std::int64_t> lengths = {4096};  // tokens
  std::vector<SweepAxis> axes;                 // every combination of their values; none: the methods as they are
  std::int64_t samples = 1;                    // texts of each length
  std::int64_t repeats = 3;                    // prefills of each method on each text; their median counts
  std::int64_t metrics_rows = kMetricsRows;    // as in CompareOptions
  std::int64_t logit_positions = 1024;
  std::uint64_t seed = 1;
  Haystack haystack;
  bool operator==(const SweepSettings&) const = default;
};
[[nodiscard]] const OptionTable<SweepSettings>& sweep_options();  // all but lengths, axes and haystack
void check_settings(const SweepSettings& settings);               // throws Error

// What one prefill of one text came to.
struct SweepSample {
  double retained_mass = 0;         // mean over layers
  double retained_mass_global = 0;  // mean over the global layers; over all where there is none
  double worst_rows_mass = 0;
  double of_oracle = 0;
  double iou = 0;
  double output_error = 0;
  double kl = 0;  // nats; 0 for dense
  double same_top = 1;
  double density = 0;         // kept / causal pairs of all layers
  double seconds = 0;         // prefill, median of the repeats
  double planning_share = 0;  // of the prefill
  double peak_bytes = 0;      // highest of the repeats
  double extra_bytes = 0;     // above weights and libraries
  bool operator==(const SweepSample&) const = default;
};

// One table that describes them: names of CSV and JSON, captions and units of the window.
struct SweepMeasure {
  std::string key;    // "retained-mass"
  std::string label;  // "Retained mass"
  std::string unit;   // "", "s", "bytes", "nats"; shares have none
  double SweepSample::*value = nullptr;
};
[[nodiscard]] std::span<const SweepMeasure> sweep_measures();
[[nodiscard]] const SweepMeasure& sweep_measure(const std::string& key);  // throws Error on an unknown key

// A method at one length and one combination of values.
struct SweepPoint {
  std::size_t method = 0;  // index into methods
  std::int64_t length = 0;
  SparsityParameters parameters;     // values of the axes in place: x of a curve is get_parameter(parameters, key)
  std::vector<SweepSample> samples;  // so far

  [[nodiscard]] double mean(double SweepSample::*value) const;  // over samples; 0 of none
};

struct SweepResults : ExperimentResults<SweepSettings> {  // methods with_dense_first()
  std::vector<SweepPoint> points;                         // all once it has begun, by length, method and values

  [[nodiscard]] bool finished() const;
  [[nodiscard]] ExperimentCount count() const;  // of samples
};

// All points of a sweep's settings and methods, without samples: every combination of values that makes a difference.
// An axis that a point's other values leave unread keeps the method's own. Throws Error where there are too many.
[[nodiscard]] std::vector<SweepPoint> make_points(const SweepSettings& settings,
                                                  const std::vector<MethodChoice>& methods);
// A point's parameters with the method's own value of every axis that they leave unread.
[[nodiscard]] SparsityParameters without_unread(const SparsityParameters& point, const SparsityParameters& method,
                                                const std::vector<SweepAxis>& axes);
// What a sweep makes of the methods asked for: logits and oracle are held against dense.
[[nodiscard]] std::vector<MethodChoice> with_dense_first(std::vector<MethodChoice> methods);

// A cell of its progress is a point; updated() comes after one more sample of results.points[index].
using SweepOptions = ExperimentOptions<SweepResults>;

// Makes the points if there are none, and measures the samples that are missing; dense is run once for each text and
// shared by all points. Throws Error on settings or methods that cannot be, before
// anything has run; Cancelled, after which `results` holds all samples so far.
void run_sweep(const Gemma2& model, const Tokenizer& tokenizer, SweepResults& results, const SweepOptions& options = {},
               const std::shared_ptr<const BoundaryPredictor>& predictor = nullptr);

// Results as a file holds them; reading throws Error that begins with `where`.
void to_json(nlohmann::json& json, const SweepResults& results);
[[nodiscard]] SweepResults parse_sweep_results(const std::string& text, const std::string& where);
// One row for each sample of each point, header first.
[[nodiscard]] std::string to_csv(const SweepResults& results);
// Empty where `file` can be continued as `asked`, else a sentence's part: "its samples are 1, not 2".
[[nodiscard]] std::string difference(const SweepResults& file, const SweepResults& asked);

}  // namespace dhsa
