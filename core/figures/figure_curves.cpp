// Figures drawn from what `dhsa bench`, `dhsa sweep` and `dhsa needle` wrote; of scores see figure_scores.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/experiments/needle.h"
#include "core/experiments/sweep.h"
#include "core/figures/figure_data_internal.h"
#include "core/files/atomic_write.h"
#include "core/files/csv.h"

namespace dhsa {
namespace {

constexpr std::size_t kLargestFile = std::size_t{64} << 20U;
constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

std::string kind_of(const FigureFile& file) { return file.content.value("kind", std::string()); }

// {"median", "lowest", "highest"}, or a plain number.
PlotValue plot_value(const nlohmann::json& value, double scale) {
  if (value.is_number()) return {value.get<double>() * scale, value.get<double>() * scale, value.get<double>() * scale};
  return {value.at("median").get<double>() * scale, value.at("lowest").get<double>() * scale,
          value.at("highest").get<double>() * scale};
}

// Times and memory of bench prefill and bench attention, one curve per method (and model, where there are several).
void fill_bench(const FigureFile& file, bool memory, FigurePanelData& data) {
  const bool attention = kind_of(file) == "dhsa-bench-attention";
  const nlohmann::json& results = file.content.at("results");
  std::vector<std::string> subjects;
  for (const auto& result : results) {
    const auto subject = result.at(attention ? "shape" : "model").get<std::string>();
    if (std::find(subjects.begin(), subjects.end(), subject) == subjects.end()) subjects.push_back(subject);
  }
  for (const auto& result : results) {
    std::string setting;
    if (subjects.size() > 1) setting = ", " + result.at(attention ? "shape" : "model").get<std::string>();
    const PlotValue value = memory ? plot_value(result.at(attention ? "extra_bytes" : "peak_bytes"), 1 / kGiB)
                                   : plot_value(result.at(attention ? "total_seconds" : "seconds"), 1);
    add_point(series_of(data, result.at("method").get<std::string>(), setting), result.at("tokens").get<double>(),
              value);
  }
  if (subjects.size() == 1) data.facts["model"] = subjects.front();
  if (memory)
    data.y_title = attention ? "memory beyond q, k, v (GiB)" : "peak memory (GiB)";
  else
    data.y_title = attention ? "planning and attention (s)" : "prefill time (s)";
}

double scale_of(const Measure& measure) { return measure.format == Measure::Format::kBytes ? 1 / kGiB : 1; }

// Mean over the texts; low and high are the least and the most of them, by their standard errors wider where they are
// sampled. None where a text lacks the measure.
std::optional<PlotValue> over_samples(const SweepPoint& point, const Measure& measure) {
  const Values summary = point.summary();
  const Measured* mean = summary.find(measure.key);
  if (mean == nullptr) return std::nullopt;
  const double scale = scale_of(measure);
  PlotValue plot{mean->value * scale, mean->value * scale, mean->value * scale, 0, mean->row_step};
  if (mean->sampled()) plot.standard_error = mean->standard_error * scale;
  for (const Values& sample : point.samples) {
    const Measured& one = sample.at(measure.key);
    const double error = one.sampled() && !std::isnan(one.standard_error) ? one.standard_error : 0;
    plot.low = std::min(plot.low, (one.value - error) * scale);
    plot.high = std::max(plot.high, (one.value + error) * scale);
  }
  return plot;
}

std::string axis_title(const Measure& measure) {
  if (measure.format == Measure::Format::kBytes) return fmt::format("{} (GiB)", measure.label);
  const bool plain = measure.unit.empty() || measure.format == Measure::Format::kShare;
  return plain ? std::string(measure.label) : fmt::format("{} ({})", measure.label, measure.unit);
}

// x is the length; what else was varied tells curves apart.
void fill_sweep_by_length(const SweepResults& results, const Measure& measure, FigurePanelData& data) {
  for (const SweepPoint& point : results.points) {
    const std::optional<PlotValue> y = over_samples(point, measure);
    if (!y) continue;
    std::string setting;
    for (const SweepAxis& axis : results.settings.axes) {
      if (!is_read(point.parameters, axis.key)) continue;
      setting += fmt::format(", {} {}", axis.key, plain_text(get_parameter(point.parameters, axis.key)));
    }
    add_point(series_of(data, results.methods[point.method].name, setting), static_cast<double>(point.length), *y);
  }
  data.y_title = axis_title(measure);
}

// x is the budget. A method that has none is a level line.
void fill_sweep_by_budget(const FigureFile& file, const SweepResults& results, const Measure& measure,
                          FigurePanelData& data) {
  const auto& axes = results.settings.axes;
  const auto axis = std::find_if(axes.begin(), axes.end(), [](const SweepAxis& a) { return a.key == "budget"; });
  if (axis == axes.end() || axis->values.empty()) {
    throw Error(
        fmt::format("{}: did not vary the budget; write one with dhsa sweep --vary budget=512,1024,2048.", file.path));
  }
  std::vector<double> budgets;
  for (const OptionValue& value : axis->values) {
    budgets.push_back(static_cast<double>(std::get<std::int64_t>(value)));
  }
  const auto [least, most] = std::minmax_element(budgets.begin(), budgets.end());
  for (const SweepPoint& point : results.points) {
    const std::optional<PlotValue> y = over_samples(point, measure);
    if (!y) continue;
    std::string setting;
    for (const SweepAxis& other : axes) {
      if (other.key == "budget") continue;
      if (!is_read(point.parameters, other.key)) continue;
      setting += fmt::format(", {} {}", other.key, plain_text(get_parameter(point.parameters, other.key)));
    }
    if (results.settings.lengths.size() > 1) setting += fmt::format(", {} tokens", point.length);
    FigureSeries& series = series_of(data, results.methods[point.method].name, setting);
    if (!is_read(point.parameters, "budget")) {
      add_point(series, *least, *y);
      if (*most > *least) add_point(series, *most, *y);
    } else {
      add_point(series, static_cast<double>(point.parameters.budget), *y);
    }
  }
  data.x_title = "budget (keys per row)";
  data.y_title = axis_title(measure);
}

// One panel for each method.
std::vector<FigurePanelData> needle_panels(const FigurePanel& panel, const FigureFile& file) {
  const NeedleResults results = parse_needle_results(file.content.dump(), file.path);
  std::vector<FigurePanelData> panels;
  for (std::size_t method = 0; method < results.methods.size(); ++method) {
    FigurePanelData data;
    data.panel = panel;
    data.name = data.brief = results.methods[method].name;
    data.long_name = fmt::format("Needle test, {}", data.name);
    data.value_title = "needles found (%)";
    data.value_brief = "found (%)";
    data.percent = true;
    FigureCells& cells = data.cells;
    cells.row_title = "needle depth (%)";
    cells.column_title = "length (tokens)";
    data.csv = "method,length,depth,prompts,found,exact,log_probability,density\n";
    for (const std::int64_t length : results.settings.lengths) cells.column_names.push_back(std::to_string(length));
    std::vector<double> probability;
    for (std::int64_t depth = 0; depth < results.settings.depths; ++depth) {
      const double where = results.settings.depth(depth);
      cells.row_names.push_back(fmt::format("{:.0f}", 100 * where));
      for (const std::int64_t length : results.settings.lengths) {
        const NeedleCell* cell = results.cell(length, depth);
        const bool there = cell != nullptr && cell->prompts > 0;
        const Values score = there ? cell->scores[method].summary() : Values();
        cells.values.push_back(there ? score.value("found") : std::nan(""));
        probability.push_back(there ? score.value("log_probability") : std::nan(""));
        if (!there) continue;
        data.csv += fmt::format("{},{},{:.4g},{},{},{},{},{}\n", csv_field(data.name), length, where, cell->prompts,
                                score.value("found"), score.value("exact"), score.value("log_probability"),
                                score.value("density"));
      }
    }
    const auto shape =
        std::vector<std::int64_t>{results.settings.depths, static_cast<std::int64_t>(results.settings.lengths.size())};
    add_array(data, "found", cells.values, shape, "[depths, lengths] share of the needles found; NaN: not run");
    add_array(data, "log_probability", probability, shape,
              "[depths, lengths] of the right answer's tokens, mean, nats; NaN: not run");
    add_array(data, "lengths", results.settings.lengths, {}, "tokens of a prompt");
    data.facts = {{"model", results.model},
                  {"fingerprint", results.fingerprint},
                  {"files", {file.path}},
                  {"settings", file.content.value("settings", nlohmann::json())},
                  {"parameters", results.methods[method].parameters}};
    if (file.content.contains("machine")) data.facts["machine"] = file.content["machine"];
    panels.push_back(std::move(data));
  }
  return panels;
}

}  // namespace

FigureSeries& series_of(FigurePanelData& data, const std::string& method, const std::string& setting) {
  const std::string name = method + setting;
  for (FigureSeries& series : data.series) {
    if (series.name == name) return series;
  }
  FigureSeries series;
  series.name = name;
  series.method = method;
  if (!setting.empty()) series.setting = setting.substr(2);
  data.series.push_back(std::move(series));
  return data.series.back();
}

void add_point(FigureSeries& series, double x, const PlotValue& y) {
  const auto at = std::lower_bound(series.x.begin(), series.x.end(), x) - series.x.begin();
  series.x.insert(series.x.begin() + at, x);
  series.y.insert(series.y.begin() + at, y.median);
  series.low.insert(series.low.begin() + at, y.low);
  series.high.insert(series.high.begin() + at, y.high);
  series.standard_error.insert(series.standard_error.begin() + at, y.standard_error);
  series.row_step.insert(series.row_step.begin() + at, y.row_step);
}

void finish_curves(FigurePanelData& data, const std::string& x_name, const std::string& y_name) {
  const bool sampled = std::any_of(data.series.begin(), data.series.end(), [](const FigureSeries& series) {
    return std::any_of(series.row_step.begin(), series.row_step.end(), [](std::int64_t step) { return step > 1; });
  });
  data.csv = fmt::format("series,{},{},lowest,highest{}\n", x_name, y_name, sampled ? ",standard_error,row_step" : "");
  if (sampled) data.y_title = "≈ " + data.y_title;
  for (FigureSeries& series : data.series) {
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      data.csv += fmt::format("{},{},{},{},{}", csv_field(series.name), series.x[i], series.y[i], series.low[i],
                              series.high[i]);
      if (sampled) data.csv += fmt::format(",{},{}", series.standard_error[i], series.row_step[i]);
      data.csv += '\n';
    }
    if (!sampled) {
      series.standard_error.clear();
      series.row_step.clear();
    }
    if (series.low == series.y && series.high == series.y) {
      series.low.clear();
      series.high.clear();
    }
  }
}

FigureFile read_figure_file(const std::string& path) { return parse_figure_file(read_file(path, kLargestFile), path); }

FigureFile parse_figure_file(const std::string& raw, const std::string& path) {
  FigureFile file{path, nlohmann::json::parse(raw, nullptr, false)};
  if (file.content.is_discarded() || !file.content.is_object() || !file.content.contains("kind") ||
      !file.content["kind"].is_string()) {
    throw Error(
        fmt::format("{}: is no result of dhsa bench, sweep, needle or longbench; write one with their --json.", path));
  }
  return file;
}

std::vector<FigurePanelData> panels_from_files(const FigurePanel& panel, const FigureSpec& spec,
                                               const std::vector<FigureFile>& files) {
  if (panel.what >= FigureKind::kScores) return score_panels(panel, files);
  const FigureKindInfo& info = figure_kind(panel.what);
  std::vector<FigurePanelData> panels;
  FigurePanelData data;
  data.panel = panel;
  data.name = data.long_name = info.label;
  data.brief = info.brief;
  const Measure& measure = dhsa::measure(key_of(panel.what == FigureKind::kLatency  ? "prefill_seconds"
                                                : panel.what == FigureKind::kMemory ? "peak_bytes"
                                                                                    : spec.measure));
  nlohmann::json used = nlohmann::json::array();
  for (const FigureFile& file : files) {
    const std::string kind = kind_of(file);
    const bool bench = kind == "dhsa-bench-prefill" || kind == "dhsa-bench-attention";
    const bool by_length = panel.what == FigureKind::kLatency || panel.what == FigureKind::kMemory;
    try {
      if (by_length && bench) {
        fill_bench(file, panel.what == FigureKind::kMemory, data);
      } else if (by_length && kind == "dhsa-sweep") {
        fill_sweep_by_length(parse_sweep_results(file.content.dump(), file.path), measure, data);
      } else if (panel.what == FigureKind::kBudget && kind == "dhsa-sweep") {
        fill_sweep_by_budget(file, parse_sweep_results(file.content.dump(), file.path), measure, data);
      } else if (panel.what == FigureKind::kNeedle && kind == "dhsa-needle") {
        for (FigurePanelData& one : needle_panels(panel, file)) panels.push_back(std::move(one));
      } else {
        continue;
      }
    } catch (const nlohmann::json::exception&) {
      throw Error(fmt::format("{}: lacks what a figure of {} needs; write it again with this version of dhsa.",
                              file.path, info.key));
    }
    if (file.content.contains("machine")) data.facts["machine"] = file.content["machine"];
    used.push_back(file.path);
  }
  if (used.empty()) {
    throw Error(fmt::format("A figure of {} needs a result of {}; name one with --data-file.", info.key,
                            panel.what == FigureKind::kNeedle   ? "dhsa needle --json"
                            : panel.what == FigureKind::kBudget ? "dhsa sweep --json"
                                                                : "dhsa bench or sweep --json"));
  }
  if (info.form != FigureKindInfo::Form::kCurves) return panels;
  if (data.series.empty()) throw Error(fmt::format("{}: holds no results.", files.front().path));
  data.facts["files"] = std::move(used);
  const bool budget = panel.what == FigureKind::kBudget;
  data.log_x = true;
  data.log_y = !budget;
  if (!budget) data.x_title = "length (tokens)";
  finish_curves(data, budget ? "budget" : "tokens",
                panel.what == FigureKind::kMemory    ? "gib"
                : panel.what == FigureKind::kLatency ? "seconds"
                                                     : std::string(measure.key));
  panels.push_back(std::move(data));
  return panels;
}

}  // namespace dhsa
