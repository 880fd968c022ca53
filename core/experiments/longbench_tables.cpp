// What LongBench's samples come to: scores of tasks, groups and all, as lines, CSV and Markdown.
#include <fmt/format.h>

#include <algorithm>

#include "core/experiments/experiment_internal.h"
#include "core/experiments/longbench.h"
#include "core/files/csv.h"

namespace dhsa {
namespace {

std::vector<double> scores_of(const std::vector<LongBenchSample>& samples) {
  std::vector<double> scores;
  for (const LongBenchSample& sample : samples) scores.push_back(sample.score);
  return scores;
}

std::string two_decimals(std::optional<double> percent) { return percent ? fmt::format("{:.2f}", *percent) : ""; }

std::string markdown_table(const LongBenchResults& results, const std::string& heading,
                           const std::vector<LongBenchLine>& lines) {
  if (lines.empty()) return {};
  std::string text = fmt::format("\n| {} |", heading);
  for (const MethodChoice& method : results.methods) text += fmt::format(" {} |", method.name);
  text += "\n|---|";
  for (std::size_t i = 0; i < results.methods.size(); ++i) text += "---:|";
  text += '\n';
  for (const LongBenchLine& line : lines) {
    const char* bold = line.kind == LongBenchLine::Kind::kTask ? "" : "**";
    text += fmt::format("| {}{}{} |", bold, line.label, bold);
    for (const std::optional<double>& percent : line.percents) {
      text += percent ? fmt::format(" {}{:.2f}{} |", bold, *percent, bold) : " |";
    }
    text += '\n';
  }
  return text;
}

}  // namespace

bool LongBenchTaskResults::finished() const {
  return std::all_of(samples.begin(), samples.end(),
                     [&](const auto& of_method) { return static_cast<std::int64_t>(of_method.size()) >= rows; });
}

std::optional<double> LongBenchTaskResults::percent(std::size_t method) const {
  if (samples[method].empty()) return std::nullopt;
  return mean_percent(scores_of(samples[method]));
}

BucketScores LongBenchTaskResults::buckets(std::size_t method) const {
  return bucket_percents(scores_of(samples[method]), lengths);
}

Values LongBenchTaskResults::summary(std::size_t method) const {
  std::vector<Values> all;
  for (const LongBenchSample& sample : samples[method]) all.push_back(sample.values);
  return combine(all);
}

Values LongBenchResults::summary(std::size_t method) const {
  std::vector<Values> all;
  for (const LongBenchTaskResults& task : tasks) {
    if (!task.samples[method].empty()) {
      all.push_back(weighed(task.summary(method), static_cast<double>(task.samples[method].size())));
    }
  }
  return combine(all);
}

bool LongBenchResults::finished() const {
  return std::all_of(tasks.begin(), tasks.end(), [](const LongBenchTaskResults& task) { return task.finished(); });
}

ExperimentCount LongBenchResults::count() const {
  ExperimentCount count;
  for (const LongBenchTaskResults& task : tasks) {
    for (const auto& of_method : task.samples) count.done += static_cast<std::int64_t>(of_method.size());
    count.all += task.rows * static_cast<std::int64_t>(methods.size());
  }
  return count;
}

LongBenchPlace LongBenchResults::place(std::size_t answer) const {
  LongBenchPlace place{0, answer / methods.size(), answer % methods.size()};
  while (place.row >= static_cast<std::size_t>(tasks.at(place.task).rows)) {
    place.row -= static_cast<std::size_t>(tasks[place.task++].rows);
  }
  return place;
}

std::vector<LongBenchLine> longbench_table(const LongBenchResults& results, bool chinese) {
  const std::span<const LongBenchTask> all = longbench_tasks();
  const auto shown = [&](const LongBenchTask& task) {
    return task.chinese == chinese || task.group == LongBenchGroup::kCode;
  };
  // Code alone makes no Chinese table.
  if (chinese && std::none_of(results.tasks.begin(), results.tasks.end(),
                              [](const LongBenchTaskResults& task) { return task.task->chinese; })) {
    return {};
  }
  std::vector<LongBenchMeans> means;
  for (std::size_t method = 0; method < results.methods.size(); ++method) {
    std::vector<std::optional<double>> percents(all.size());
    for (const LongBenchTaskResults& task : results.tasks) {
      percents[static_cast<std::size_t>(task.task - all.data())] = task.percent(method);
    }
    means.push_back(longbench_means(percents, chinese));
  }

  std::vector<LongBenchLine> lines;
  for (int g = 0; g < kLongBenchGroups; ++g) {
    const std::size_t before = lines.size();
    for (const LongBenchTaskResults& task : results.tasks) {
      if (static_cast<int>(task.task->group) != g || !shown(*task.task)) continue;
      lines.push_back({LongBenchLine::Kind::kTask, std::string(task.task->name), {}});
      for (std::size_t m = 0; m < results.methods.size(); ++m) lines.back().percents.push_back(task.percent(m));
    }
    if (lines.size() == before) continue;
    lines.push_back({LongBenchLine::Kind::kGroup, label_of(static_cast<LongBenchGroup>(g)), {}});
    for (const LongBenchMeans& mean : means) {
      lines.back().percents.push_back(mean.groups[static_cast<std::size_t>(g)]);
    }
  }
  if (lines.empty()) return lines;
  lines.push_back({LongBenchLine::Kind::kAverage, "Average", {}});
  for (const LongBenchMeans& mean : means) lines.back().percents.push_back(mean.average);
  return lines;
}

std::vector<LongBenchLine> longbench_e_table(const LongBenchResults& results) {
  std::vector<LongBenchLine> lines;
  for (const LongBenchTaskResults& task : results.tasks) {
    for (std::size_t bucket = 0; bucket < kLengthBuckets.size(); ++bucket) {
      LongBenchLine line{
          LongBenchLine::Kind::kTask, fmt::format("{}, {}", task.task->name, kLengthBuckets[bucket]), {}};
      for (std::size_t m = 0; m < results.methods.size(); ++m) line.percents.push_back(task.buckets(m)[bucket]);
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

std::string to_csv(const LongBenchResults& results) {
  std::vector<Values> all;
  for (const LongBenchTaskResults& task : results.tasks) {
    for (std::size_t m = 0; m < results.methods.size(); ++m) all.push_back(task.summary(m));
  }
  const MeasureColumns columns(all);
  std::string csv =
      "task,group,metric,method,rows,score,score_0_4k,score_4_8k,score_8k" + csv_cells(columns.headings()) + "\n";
  auto values = all.begin();
  for (const LongBenchTaskResults& task : results.tasks) {
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      const BucketScores buckets = results.settings.e ? task.buckets(m) : BucketScores{};
      csv += fmt::format("{},{},{},{},{},{},{},{},{}{}\n", task.task->name, label_of(task.task->group),
                         name_of(task.task->metric), csv_field(results.methods[m].name), task.samples[m].size(),
                         two_decimals(task.percent(m)), two_decimals(buckets[0]), two_decimals(buckets[1]),
                         two_decimals(buckets[2]), csv_cells(columns.cells(*values++)));
    }
  }
  return csv;
}

std::string to_markdown(const LongBenchResults& results) {
  const LongBenchSettings& settings = results.settings;
  std::string text = fmt::format(
      "LongBench{} of {}, {}: {}, at most {} tokens ({} kept), {}{}. Scores in percent by the official "
      "metrics.\n",
      settings.e ? "-E" : "", results.data, results.model, longbench_preset_text(settings), settings.max_length,
      settings.truncate == Truncation::kMiddle ? "both ends" : "the last", longbench_mode_text(settings.mode),
      results.finished() ? "" : fmt::format("; {} of {} answers so far", results.count().done, results.count().all));
  text += markdown_table(results, "English", longbench_table(results, false));
  text += markdown_table(results, "Chinese", longbench_table(results, true));
  if (settings.e) text += markdown_table(results, "By length", longbench_e_table(results));
  return text;
}

}  // namespace dhsa
