// Figures of scores, drawn from what `dhsa needle --suite` and `dhsa longbench` wrote: tables, and curves over the
// budget or the length.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "core/experiments/longbench.h"
#include "core/experiments/suite.h"
#include "core/figures/figure_data_internal.h"
#include "core/files/csv.h"

namespace dhsa {
namespace {

using Percents = std::vector<std::optional<double>>;  // [methods]

// What is drawn of a file, whichever of the two commands wrote it.
struct Scores {
  struct Line {
    std::string name;
    Percents percents;
  };
  struct Table {
    std::string name;  // "4096 tokens", "English"
    std::vector<Line> lines;
  };
  // Scores at one length.
  struct Point {
    double length = 0;
    std::string setting;  // what tells it apart where the budget is the axis; may be empty
    Percents percents;
    std::vector<std::int64_t> budgets;  // [methods]
  };
  struct Curves {
    std::string name;          // what the scores are of: "average of the tasks", "throughout"
    std::string length_title;  // "length (tokens)"
    std::vector<Point> points;
  };
  std::vector<MethodChoice> methods;
  std::vector<Table> tables;
  std::vector<Curves> by_budget;
  std::vector<Curves> by_length;
  nlohmann::json facts;
};

constexpr const char* kTokens = "length (tokens)";

Scores scores_of_suite(const FigureFile& file) {
  const SuiteResults results = parse_suite_results(file.content.dump(), file.path);
  const bool ruler = results.settings.suite == Suite::kRuler;
  const auto methods = results.methods.size();
  Scores scores{results.methods, {}, {}, {}, {}};
  const auto point_of = [&](const SuiteTask& task, std::int64_t length) {
    Scores::Point point{static_cast<double>(length), {}, {}, {}};
    if (results.settings.lengths.size() > 1) point.setting = fmt::format(", {} tokens", length);
    for (const MethodChoice& method : results.methods) {
      point.budgets.push_back(suite_parameters(results.settings, task, method.parameters, length, 0).budget);
    }
    return point;
  };
  // A table for each length. RULER's tasks have an average; those away from the end are two tests.
  std::vector<Scores::Curves> curves;
  if (ruler) curves.push_back({"average of the tasks", kTokens, {}});
  for (const std::int64_t length : results.settings.lengths) {
    Scores::Table table{fmt::format("{} tokens", length), {}};
    const SuiteTask* any = nullptr;
    for (const SuiteTask* task : tasks_of(results.settings)) {
      const SuiteCell* cell = results.cell(*task, length);
      if (cell == nullptr || cell->prompts == 0) continue;
      any = task;
      table.lines.push_back({std::string(task->name), {}});
      for (const SuiteScore& score : cell->scores) table.lines.back().percents.push_back(score.percent());
      if (ruler) continue;
      Scores::Point point = point_of(*task, length);
      point.percents = table.lines.back().percents;
      const auto same = [&](const Scores::Curves& one) { return one.name == task->name; };
      auto at = std::find_if(curves.begin(), curves.end(), same);
      if (at == curves.end()) at = curves.insert(curves.end(), {std::string(task->name), kTokens, {}});
      at->points.push_back(std::move(point));
    }
    if (any == nullptr) continue;
    if (ruler) {
      Scores::Point point = point_of(*any, length);
      for (std::size_t m = 0; m < methods; ++m) point.percents.push_back(results.average(m, length));
      table.lines.push_back({"Average", point.percents});
      curves.front().points.push_back(std::move(point));
    }
    scores.tables.push_back(std::move(table));
  }
  scores.by_budget = curves;
  scores.by_length = std::move(curves);
  scores.facts = {{"model", results.model}, {"fingerprint", results.fingerprint}};
  return scores;
}

// Means over the tasks of a language by the length of their rows, at the mean length of those.
Scores::Curves by_length(const LongBenchResults& results, bool chinese) {
  Scores::Curves curves{chinese ? "average of the tasks, Chinese" : "average of the tasks",
                        chinese ? "length (characters)" : "length (words)",
                        {}};
  for (std::size_t bucket = 0; bucket < kLengthBuckets.size(); ++bucket) {
    Scores::Point point;
    double rows = 0;
    Percents sums(results.methods.size());
    std::vector<double> tasks(results.methods.size(), 0);
    for (const LongBenchTaskResults& task : results.tasks) {
      if (task.task->chinese != chinese) continue;
      for (const std::int64_t length : task.lengths) {
        if (length_bucket(length) != static_cast<int>(bucket)) continue;
        point.length += static_cast<double>(length);
        ++rows;
      }
      for (std::size_t m = 0; m < results.methods.size(); ++m) {
        if (task.samples[m].empty()) continue;
        const std::optional<double> percent = task.buckets(m)[bucket];
        if (!percent) continue;
        sums[m] = sums[m].value_or(0) + *percent;
        ++tasks[m];
      }
    }
    if (rows == 0) continue;
    point.length /= rows;
    for (std::size_t m = 0; m < sums.size(); ++m) {
      if (sums[m]) sums[m] = *sums[m] / tasks[m];
    }
    point.percents = std::move(sums);
    curves.points.push_back(std::move(point));
  }
  return curves;
}

Scores scores_of_longbench(const FigureFile& file) {
  LongBenchResults results = parse_longbench_results(file.content.dump(), file.path);
  read_longbench_predictions(std::filesystem::path(file.path).parent_path(), results);
  if (results.count().done == 0) {
    throw Error(
        fmt::format("{}: has no answers beside it; name the results.json in the folder of dhsa longbench "
                    "--out.",
                    file.path));
  }
  Scores scores{results.methods, {}, {}, {}, {}};
  const auto add = [&](const char* name, const std::vector<LongBenchLine>& lines) {
    if (lines.empty()) return;
    Scores::Table table{name, {}};
    for (const LongBenchLine& line : lines) table.lines.push_back({line.label, line.percents});
    scores.tables.push_back(std::move(table));
  };
  for (const bool chinese : {false, true}) {
    const std::vector<LongBenchLine> lines = longbench_table(results, chinese);
    if (lines.empty()) continue;
    add(chinese ? "Chinese" : "English", lines);
    Scores::Point point{0, {}, lines.back().percents, {}};
    for (const MethodChoice& method : results.methods) point.budgets.push_back(method.parameters.budget);
    scores.by_budget.push_back({chinese ? "average of the groups, Chinese" : "average of the groups", {}, {point}});
    if (Scores::Curves curves = by_length(results, chinese); !curves.points.empty()) {
      scores.by_length.push_back(std::move(curves));
    }
  }
  if (results.settings.e) add("by length", longbench_e_table(results));
  scores.facts = {{"model", results.model}, {"fingerprint", results.fingerprint}};
  return scores;
}

Scores scores_of(const FigureFile& file) {
  Scores scores =
      file.content.value("kind", std::string()) == "dhsa-suite" ? scores_of_suite(file) : scores_of_longbench(file);
  scores.facts["settings"] = file.content.value("settings", nlohmann::json());
  scores.facts["methods"] = file.content.value("methods", nlohmann::json());
  if (file.content.contains("machine")) scores.facts["machine"] = file.content["machine"];
  return scores;
}

FigurePanelData table_panel(const FigurePanel& panel, const Scores& scores, const Scores::Table& table) {
  FigurePanelData data;
  data.panel = panel;
  data.name = data.brief = table.name;
  data.long_name = fmt::format("Scores, {}", table.name);
  data.value_title = "score (%)";
  data.cells.row_title = "task";
  data.cells.column_title = "method";
  data.percent = true;
  data.csv = "table,task,method,score\n";
  for (const MethodChoice& method : scores.methods) data.cells.column_names.push_back(method.name);
  for (const Scores::Line& line : table.lines) {
    data.cells.row_names.push_back(line.name);
    for (std::size_t m = 0; m < scores.methods.size(); ++m) {
      const std::optional<double>& percent = line.percents[m];
      data.cells.values.push_back(percent ? *percent / 100 : std::nan(""));
      data.csv += fmt::format("{},{},{},{}\n", csv_field(table.name), csv_field(line.name),
                              csv_field(scores.methods[m].name), percent ? fmt::format("{:.2f}", *percent) : "");
    }
  }
  add_array(data, "scores", data.cells.values,
            {static_cast<std::int64_t>(table.lines.size()), static_cast<std::int64_t>(scores.methods.size())},
            "[tasks and means, methods] score as a share; NaN: not run");
  return data;
}

// "best" of "best+budget=512": the curve that a method under several budgets makes.
std::string without_budget(const std::string& name) {
  std::string kept;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('+', at), name.size());
    const std::string part = name.substr(at, end - at);
    if (!part.starts_with("budget=")) kept += (kept.empty() ? "" : "+") + part;
    at = end + 1;
  }
  return kept;
}

// The panel of these scores, begun if no other file had them.
FigurePanelData& curve_panel(std::vector<FigurePanelData>& panels, const FigurePanel& panel, const std::string& name,
                             const std::string& x_title) {
  for (FigurePanelData& data : panels) {
    if (data.name == name && data.x_title == x_title) return data;
  }
  FigurePanelData data;
  data.panel = panel;
  data.name = data.brief = name;
  data.long_name = fmt::format("{}, {}", figure_kind(panel.what).label, name);
  data.x_title = x_title;
  data.y_title = "score (%)";
  data.log_x = true;
  panels.push_back(std::move(data));
  return panels.back();
}

void add_by_length(FigurePanelData& data, const Scores& scores, const Scores::Curves& curves) {
  for (const Scores::Point& point : curves.points) {
    for (std::size_t m = 0; m < scores.methods.size(); ++m) {
      if (!point.percents[m]) continue;
      const double y = *point.percents[m];
      add_point(series_of(data, scores.methods[m].name, {}), point.length, {y, y, y});
    }
  }
}

// A method that has no budget is a level line.
void add_by_budget(FigurePanelData& data, const Scores& scores, const Scores::Curves& curves) {
  const auto has_budget = [&](std::size_t m) { return is_read(scores.methods[m].parameters, "budget"); };
  std::vector<double> budgets;
  for (const Scores::Point& point : curves.points) {
    for (std::size_t m = 0; m < scores.methods.size(); ++m) {
      if (has_budget(m)) budgets.push_back(static_cast<double>(point.budgets[m]));
    }
  }
  if (budgets.empty()) throw Error("None of these methods has a budget, so there is no score against it.");
  const auto [least, most] = std::minmax_element(budgets.begin(), budgets.end());
  for (const Scores::Point& point : curves.points) {
    for (std::size_t m = 0; m < scores.methods.size(); ++m) {
      if (!point.percents[m]) continue;
      const double y = *point.percents[m];
      FigureSeries& series = series_of(data, without_budget(scores.methods[m].name), point.setting);
      add_point(series, has_budget(m) ? static_cast<double>(point.budgets[m]) : *least, {y, y, y});
      if (!has_budget(m) && *most > *least) add_point(series, *most, {y, y, y});
    }
  }
}

}  // namespace

std::vector<FigurePanelData> score_panels(const FigurePanel& panel, const std::vector<FigureFile>& files) {
  std::vector<FigurePanelData> panels;
  bool any = false;
  for (const FigureFile& file : files) {
    const auto kind = file.content.value("kind", std::string());
    if (kind != "dhsa-suite" && kind != "dhsa-longbench") continue;
    any = true;
    const Scores scores = scores_of(file);
    const auto take_facts = [&](FigurePanelData& data) {
      for (const auto& [key, value] : scores.facts.items()) data.facts[key] = value;
      data.facts["files"].push_back(file.path);
    };
    if (panel.what == FigureKind::kScores) {
      for (const Scores::Table& table : scores.tables) {
        panels.push_back(table_panel(panel, scores, table));
        take_facts(panels.back());
      }
      continue;
    }
    const bool budget = panel.what == FigureKind::kScoreBudget;
    for (const Scores::Curves& curves : budget ? scores.by_budget : scores.by_length) {
      FigurePanelData& data =
          curve_panel(panels, panel, curves.name, budget ? "budget (keys per row)" : curves.length_title);
      budget ? add_by_budget(data, scores, curves) : add_by_length(data, scores, curves);
      take_facts(data);
    }
  }
  if (!any) {
    throw Error(
        fmt::format("A figure of {} needs a result of dhsa needle --suite --json or of dhsa longbench --out; "
                    "name one with --data-file.",
                    figure_kind(panel.what).key));
  }
  std::erase_if(panels, [](const FigurePanelData& data) { return data.series.empty() && data.cells.values.empty(); });
  if (panels.empty()) throw Error(fmt::format("{}: holds no results.", files.front().path));
  if (panel.what == FigureKind::kScores) return panels;
  for (FigurePanelData& data : panels) {
    finish_curves(data, panel.what == FigureKind::kScoreBudget ? "budget" : "length", "score_percent");
  }
  return panels;
}

}  // namespace dhsa
