// Sweep results as JSON and CSV.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/experiments/results_file_internal.h"
#include "core/experiments/sweep.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

using nlohmann::json;
using results_file::kLargest;
using results_file::Reader;

constexpr const char* kKind = "dhsa-sweep";

json settings_json(const SweepSettings& settings) {
  json axes = json::array();
  for (const SweepAxis& axis : settings.axes) {
    json values = json::array();
    for (const ParameterValue& value : axis.values) {
      std::visit([&](const auto& plain_value) { values.push_back(plain_value); }, value);
    }
    axes.push_back({{"key", axis.key}, {"values", std::move(values)}});
  }
  return {{"lengths", settings.lengths},
          {"axes", std::move(axes)},
          {"samples", settings.samples},
          {"repeats", settings.repeats},
          {"metrics_rows", settings.metrics_rows},
          {"logit_positions", settings.logit_positions},
          {"seed", settings.seed},
          {"haystack", settings.haystack}};
}

SweepSettings read_settings(const Reader& from) {
  from.only({"lengths", "axes", "samples", "repeats", "metrics_rows", "logit_positions", "seed", "haystack"});
  SweepSettings settings;
  settings.lengths.clear();
  for (const Reader& length : from["lengths"].list(64)) settings.lengths.push_back(length.whole(1, 1 << 24));
  for (const Reader& item : from["axes"].list(8)) {
    item.only({"key", "values"});
    SweepAxis axis{item["key"].text(64), {}};
    const auto table = parameter_table();
    if (std::none_of(table.begin(), table.end(), [&](const ParameterInfo& info) { return info.key == axis.key; })) {
      item["key"].refuse("the name of a parameter");
    }
    for (const Reader& value : item["values"].list(256)) axis.values.push_back(value.parameter_value(axis.key));
    settings.axes.push_back(std::move(axis));
  }
  settings.samples = from["samples"].whole(1, 1000);
  settings.repeats = from["repeats"].whole(1, 1000);
  settings.metrics_rows = from["metrics_rows"].whole(0, 1000000);
  settings.logit_positions = from["logit_positions"].whole(0, 1000000);
  settings.seed = from["seed"].seed();
  settings.haystack = from["haystack"].value().get<Haystack>();
  check_settings(settings);
  return settings;
}

// The point must be the one that the settings have in this place.
void read_samples(const Reader& from, const SweepResults& results, SweepPoint& point) {
  from.only({"method", "length", "parameters", "samples"});
  if (from["method"].text(256) != results.methods[point.method].name) from["method"].refuse("the next of its methods");
  if (from["length"].value() != point.length) from["length"].refuse("the next of its lengths");
  if (!(from["parameters"].parameters() == point.parameters)) {
    from["parameters"].refuse("its method's with the next values");
  }
  std::vector<std::string> keys;
  for (const SweepMeasure& measure : sweep_measures()) keys.push_back(measure.key);
  for (const Reader& item : from["samples"].list(static_cast<std::size_t>(results.settings.samples))) {
    item.only(keys);
    SweepSample sample;
    for (const SweepMeasure& measure : sweep_measures()) {
      sample.*measure.value = item[measure.key.c_str()].number(-kLargest, kLargest);
    }
    point.samples.push_back(sample);
  }
}

results_file::Head head_of(const SweepResults& results) {
  return {results.finished(), settings_json(results.settings), results.model, results.fingerprint, results.methods};
}

}  // namespace

std::string plain_text(const ParameterValue& value) {
  if (const auto* on = std::get_if<bool>(&value)) return *on ? "true" : "false";
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return std::to_string(*whole);
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{:.10g}", *number);
  return std::get<std::string>(value);
}

std::span<const SweepMeasure> sweep_measures() {
  using S = SweepSample;
  static const std::vector<SweepMeasure> table = {
      {"retained-mass", "Retained mass", "", &S::retained_mass},
      {"retained-mass-global", "Retained mass, global layers", "", &S::retained_mass_global},
      {"worst-rows-mass", "Retained mass, worst 1 % of rows", "", &S::worst_rows_mass},
      {"of-oracle", "Of the oracle's mass", "", &S::of_oracle},
      {"iou", "Overlap with the oracle", "", &S::iou},
      {"output-error", "Output error", "", &S::output_error},
      {"kl", "KL(dense || sparse)", "nats", &S::kl},
      {"same-top", "Same top token", "", &S::same_top},
      {"density", "Density", "", &S::density},
      {"seconds", "Prefill time", "s", &S::seconds},
      {"planning-share", "Planning share", "", &S::planning_share},
      {"peak-bytes", "Peak memory", "bytes", &S::peak_bytes},
      {"extra-bytes", "Memory above weights", "bytes", &S::extra_bytes},
  };
  return table;
}

const SweepMeasure& sweep_measure(const std::string& key) {
  std::string keys;
  for (const SweepMeasure& measure : sweep_measures()) {
    if (measure.key == key) return measure;
    keys += (keys.empty() ? "" : ", ") + measure.key;
  }
  throw Error(fmt::format("A sweep does not measure \"{}\"; it measures {}.", key, keys));
}

void to_json(json& out, const SweepResults& results) {
  results_file::write_head(out, kKind, head_of(results));
  json points = json::array();
  for (const SweepPoint& point : results.points) {
    json samples = json::array();
    for (const SweepSample& sample : point.samples) {
      json values = json::object();
      for (const SweepMeasure& measure : sweep_measures()) values[measure.key] = sample.*measure.value;
      samples.push_back(std::move(values));
    }
    points.push_back({{"method", results.methods[point.method].name},
                      {"length", point.length},
                      {"parameters", point.parameters},
                      {"samples", std::move(samples)}});
  }
  out["points"] = std::move(points);
}

SweepResults parse_sweep_results(const std::string& text, const std::string& where) {
  const json parsed = parse_strict_json(text, where);
  const Reader file(parsed, where);
  SweepResults results;
  results_file::Head head = results_file::read_head(
      file, kKind, "sweep", {"points"}, [&](const Reader& settings) { results.settings = read_settings(settings); });
  results.model = std::move(head.model);
  results.fingerprint = std::move(head.fingerprint);
  results.methods = std::move(head.methods);
  const std::vector<Reader> points = file["points"].list(100000);
  if (points.empty()) return results;
  results.points = make_points(results.settings, results.methods);
  if (points.size() != results.points.size())
    file["points"].refuse(fmt::format("the {} of its settings", results.points.size()));
  for (std::size_t i = 0; i < points.size(); ++i) read_samples(points[i], results, results.points[i]);
  if (head.finished != results.finished()) file["finished"].refuse("as its contents are");
  return results;
}

std::string to_csv(const SweepResults& results) {
  std::string csv = "method,length";
  for (const SweepAxis& axis : results.settings.axes) csv += "," + axis.key;
  csv += ",sample";
  for (const SweepMeasure& measure : sweep_measures()) csv += "," + measure.key;
  csv += "\n";
  for (const SweepPoint& point : results.points) {
    for (std::size_t s = 0; s < point.samples.size(); ++s) {
      csv += fmt::format("{},{}", results_file::csv_field(results.methods[point.method].name), point.length);
      for (const SweepAxis& axis : results.settings.axes) {
        const bool used = varies_with(point.parameters.method, axis.key);
        csv += "," + (used ? plain_text(get_parameter(point.parameters, axis.key)) : std::string());
      }
      csv += fmt::format(",{}", s);
      for (const SweepMeasure& measure : sweep_measures())
        csv += fmt::format(",{:.9g}", point.samples[s].*measure.value);
      csv += "\n";
    }
  }
  return csv;
}

std::string difference(const SweepResults& file, const SweepResults& asked) {
  return results_file::difference(head_of(file), head_of(asked));
}

}  // namespace dhsa
