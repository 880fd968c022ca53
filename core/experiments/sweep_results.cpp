// Sweep results as JSON and CSV.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "core/experiments/results_file_internal.h"
#include "core/experiments/sweep.h"
#include "core/files/csv.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

using nlohmann::json;
using results_file::Reader;

constexpr const char* kKind = "dhsa-sweep";

json settings_json(const SweepSettings& settings) {
  json out = results_file::settings_json(sweep_options(), settings);
  out["axes"] = json::array();
  for (const SweepAxis& axis : settings.axes) {
    json values = json::array();
    for (const OptionValue& value : axis.values) values.push_back(json_of(value));
    out["axes"].push_back({{"key", axis.key}, {"values", std::move(values)}});
  }
  return out;
}

SweepSettings read_settings(const Reader& from) {
  SweepSettings settings = results_file::read_settings(from, sweep_options(), {"axes"});
  for (const Reader& item : from["axes"].list(8)) {
    item.only({"key", "values"});
    SweepAxis axis{item["key"].text(64), {}};
    const Option<SparsityParameters>* option = parameter_table().find(axis.key);
    if (option == nullptr) item["key"].refuse("the name of a parameter");
    for (const Reader& value : item["values"].list(256)) axis.values.push_back(fitting_json(*option, value.value()));
    settings.axes.push_back(std::move(axis));
  }
  check_settings(settings);
  return settings;
}

// Files of before the table of measures hold a 0 for what was not measured, and do not say what was sampled.
Values read_sample(const Reader& from, const SweepSettings& settings, const SweepPoint& point) {
  const bool former = from.has("retained-mass");
  const Values written = results_file::read_values(from);
  Values sample;
  for (auto [key, measured] : written.entries()) {
    const Measure& measure = dhsa::measure(key);
    if (!is_measured(measure, settings)) {
      if (!former) from.refuse(fmt::format("without {} under its settings", key));
      continue;
    }
    if (former && measure.may_be_sampled && point.parameters.method != Method::kDense) {
      const bool logits = measure.group == Measure::Group::kLogits;
      measured.row_step =
          logits ? (point.length + settings.logit_positions - 1) / settings.logit_positions : settings.metrics_rows;
      measured.standard_error = measured.sampled() ? std::nan("") : 0;
    }
    sample.set(key, measured);
  }
  if (sample.find("prefill_seconds") == nullptr || sample.find("density") == nullptr) {
    from.refuse("a sample with prefill_seconds and density");
  }
  return sample;
}

SweepPoint read_point(const Reader& from, const SweepResults& results) {
  from.only({"method", "length", "parameters", "samples"});
  SweepPoint point;
  const std::string name = from["method"].text(256);
  while (point.method < results.methods.size() && results.methods[point.method].name != name) ++point.method;
  if (point.method == results.methods.size()) from["method"].refuse("one of its methods");
  point.length = from["length"].whole(1, 1 << 24);
  point.parameters = from["parameters"].as<SparsityParameters>();
  for (const Reader& item : from["samples"].list(static_cast<std::size_t>(results.settings.samples))) {
    point.samples.push_back(read_sample(item, results.settings, point));
  }
  return point;
}

// The points that the settings have, in their order. Files of before is_read() also hold some that differ from an
// earlier one in nothing that is read: they stay.
std::vector<SweepPoint> read_points(const Reader& from, const SweepResults& results) {
  const std::vector<SweepPoint> wanted = make_points(results.settings, results.methods);
  std::vector<SweepPoint> points;
  std::set<std::string> seen;
  std::size_t next = 0;
  for (const Reader& item : from.list(100000)) {
    points.push_back(read_point(item, results));
    const SweepPoint& point = points.back();
    const SparsityParameters differs =
        without_unread(point.parameters, results.methods[point.method].parameters, results.settings.axes);
    const auto same = [&](const SweepPoint& other) {
      return other.method == point.method && other.length == point.length && other.parameters == differs;
    };
    if (next < wanted.size() && same(wanted[next])) {
      ++next;
    } else if (std::none_of(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(next), same)) {
      item.refuse("the next point of its settings");
    }
    const json place = {point.method, point.length, point.parameters};
    if (!seen.insert(place.dump()).second) item.refuse("there once");
  }
  if (next < wanted.size()) from.refuse(fmt::format("the {} of its settings", wanted.size()));
  return points;
}

results_file::Head head_of(const SweepResults& results) {
  return results_file::head_of(results, settings_json(results.settings));
}

}  // namespace

void to_json(json& out, const SweepResults& results) {
  results_file::write_head(out, kKind, head_of(results));
  json points = json::array();
  for (const SweepPoint& point : results.points) {
    json samples = json::array();
    for (const Values& sample : point.samples) samples.push_back(sample);
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
  results_file::take_head(results, head);
  if (!file["points"].value().empty()) results.points = read_points(file["points"], results);
  if (head.finished != results.finished()) file["finished"].refuse("as its contents are");
  return results;
}

std::string to_csv(const SweepResults& results) {
  std::string csv = "method,length";
  for (const SweepAxis& axis : results.settings.axes) csv += "," + axis.key;
  std::vector<Values> all;
  for (const SweepPoint& point : results.points) all.insert(all.end(), point.samples.begin(), point.samples.end());
  const MeasureColumns columns(all);
  csv += ",sample" + csv_cells(columns.headings()) + "\n";
  for (const SweepPoint& point : results.points) {
    for (std::size_t s = 0; s < point.samples.size(); ++s) {
      csv += fmt::format("{},{}", csv_field(results.methods[point.method].name), point.length);
      for (const SweepAxis& axis : results.settings.axes) {
        const bool used = is_read(point.parameters, axis.key);
        csv += "," + (used ? plain_text(get_parameter(point.parameters, axis.key)) : std::string());
      }
      csv += fmt::format(",{}{}\n", s, csv_cells(columns.cells(point.samples[s])));
    }
  }
  return csv;
}

std::string difference(const SweepResults& file, const SweepResults& asked) {
  return results_file::difference(head_of(file), head_of(asked));
}

}  // namespace dhsa
