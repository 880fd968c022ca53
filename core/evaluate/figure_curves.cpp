// Figures drawn from what `dhsa bench`, `dhsa sweep` and `dhsa needle` wrote.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/evaluate/figure_data_internal.h"
#include "core/files/atomic_write.h"

namespace dhsa {
namespace {

constexpr std::size_t kLargestFile = std::size_t{64} << 20U;
constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

std::string kind_of(const FigureFile& file) { return file.content.value("kind", std::string()); }

// A value that was measured several times: {"median", "lowest", "highest"}, or a plain number.
struct Measured {
  double median = 0, low = 0, high = 0;
};

Measured measured(const nlohmann::json& value, double scale) {
  if (value.is_number()) return {value.get<double>() * scale, value.get<double>() * scale, value.get<double>() * scale};
  return {value.at("median").get<double>() * scale, value.at("lowest").get<double>() * scale,
          value.at("highest").get<double>() * scale};
}

FigureSeries& series_named(FigurePanelData& data, const std::string& name) {
  for (FigureSeries& series : data.series) {
    if (series.name == name) return series;
  }
  data.series.push_back({name, {}, {}, {}, {}});
  return data.series.back();
}

void add_point(FigureSeries& series, double x, const Measured& y) {
  const auto at = std::lower_bound(series.x.begin(), series.x.end(), x) - series.x.begin();
  series.x.insert(series.x.begin() + at, x);
  series.y.insert(series.y.begin() + at, y.median);
  series.low.insert(series.low.begin() + at, y.low);
  series.high.insert(series.high.begin() + at, y.high);
}

void finish_curves(FigurePanelData& data, const std::string& x_name, const std::string& y_name) {
  data.csv = fmt::format("series,{},{},lowest,highest\n", x_name, y_name);
  for (FigureSeries& series : data.series) {
    for (std::size_t i = 0; i < series.x.size(); ++i) {
      std::string quoted = series.name;
      if (quoted.find_first_of(",\"\n") != std::string::npos) {
        for (std::size_t at = 0; (at = quoted.find('"', at)) != std::string::npos; at += 2) quoted.insert(at, 1, '"');
        quoted = '"' + quoted + '"';
      }
      data.csv += fmt::format("{},{},{},{},{}\n", quoted, series.x[i], series.y[i], series.low[i], series.high[i]);
    }
    if (series.low == series.y && series.high == series.y) {
      series.low.clear();
      series.high.clear();
    }
  }
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
    std::string name = result.at("method").get<std::string>();
    if (subjects.size() > 1) name += ", " + result.at(attention ? "shape" : "model").get<std::string>();
    const Measured value = memory ? measured(result.at(attention ? "extra_bytes" : "peak_bytes"), 1 / kGiB)
                                  : measured(result.at(attention ? "total_seconds" : "seconds"), 1);
    add_point(series_named(data, name), result.at("tokens").get<double>(), value);
  }
  if (subjects.size() == 1) data.facts["model"] = subjects.front();
  if (memory)
    data.y_title = attention ? "memory beyond q, k, v (GiB)" : "peak memory (GiB)";
  else
    data.y_title = attention ? "planning and attention (s)" : "prefill time (s)";
}

using Fill = void (*)(const FigureFile&, FigurePanelData&);

}  // namespace

FigureFile read_figure_file(const std::string& path) {
  const std::string raw = read_file(path, kLargestFile);
  FigureFile file{path, nlohmann::json::parse(raw, nullptr, false)};
  if (file.content.is_discarded() || !file.content.is_object() || !file.content.contains("kind") ||
      !file.content["kind"].is_string()) {
    throw Error(fmt::format("{}: is no result of dhsa bench, sweep or needle; write one with their --json.", path));
  }
  return file;
}

FigurePanelData panel_from_files(const FigurePanel& panel, const std::vector<FigureFile>& files) {
  const FigureKindInfo& info = figure_kind(panel.what);
  FigurePanelData data;
  data.panel = panel;
  data.name = data.long_name = info.label;
  nlohmann::json used = nlohmann::json::array();
  for (const FigureFile& file : files) {
    const std::string kind = kind_of(file);
    const bool bench = kind == "dhsa-bench-prefill" || kind == "dhsa-bench-attention";
    try {
      if ((panel.what == FigureKind::kLatency || panel.what == FigureKind::kMemory) && bench) {
        fill_bench(file, panel.what == FigureKind::kMemory, data);
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
                                                                : "dhsa bench --json"));
  }
  data.facts["files"] = std::move(used);
  if (info.form == FigureKindInfo::Form::kCurves) {
    if (data.series.empty()) throw Error(fmt::format("{}: holds no results.", files.front().path));
    data.x_title = "length (tokens)";
    data.log_x = data.log_y = true;
    finish_curves(data, "tokens", panel.what == FigureKind::kMemory ? "gib" : "seconds");
  }
  return data;
}

}  // namespace dhsa
