// Curves: what methods cost and lose as length, budget or any other parameter varies, on several texts.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/experiments/experiment.h"
#include "core/run/measures.h"
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

// Whether these settings take the measure: all of a prefill and its masks are, none of answers.
[[nodiscard]] bool is_measured(const Measure& measure, const SweepSettings& settings = {});

// A method at one length and one combination of values.
struct SweepPoint {
  std::size_t method = 0;  // index into methods
  std::int64_t length = 0;
  SparsityParameters parameters;  // values of the axes in place: x of a curve is get_parameter(parameters, key)
  // Of the texts so far: what the run of compare_methods() came to, but that times are medians and memory is the
  // highest of the repeats.
  std::vector<Values> samples;

  [[nodiscard]] Values summary() const { return combine(samples); }  // over the texts
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
