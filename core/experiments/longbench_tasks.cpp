#include "core/experiments/longbench_tasks.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

using enum LongBenchGroup;
using enum ScoreMetric;

constexpr std::array<LongBenchTask, 21> kTasks = {{
    {"narrativeqa", kSingleDocQa, kF1, 128, false, false},
    {"qasper", kSingleDocQa, kF1, 128, true, false},
    {"multifieldqa_en", kSingleDocQa, kF1, 64, true, false},
    {"multifieldqa_zh", kSingleDocQa, kF1Zh, 64, false, true},
    {"hotpotqa", kMultiDocQa, kF1, 32, true, false},
    {"2wikimqa", kMultiDocQa, kF1, 32, true, false},
    {"musique", kMultiDocQa, kF1, 32, false, false},
    {"dureader", kMultiDocQa, kRougeZh, 128, false, true},
    {"gov_report", kSummarization, kRouge, 512, true, false},
    {"qmsum", kSummarization, kRouge, 512, false, false},
    {"multi_news", kSummarization, kRouge, 512, true, false},
    {"vcsum", kSummarization, kRougeZh, 512, false, true},
    {"trec", kFewShot, kClass, 64, true, false},
    {"triviaqa", kFewShot, kF1, 32, true, false},
    {"samsum", kFewShot, kRouge, 128, true, false},
    {"lsht", kFewShot, kClass, 64, false, true},
    {"passage_count", kSynthetic, kCount, 32, true, false},
    {"passage_retrieval_en", kSynthetic, kRetrieval, 32, true, false},
    {"passage_retrieval_zh", kSynthetic, kRetrievalZh, 32, false, true},
    {"lcc", kCode, kEditSimilarity, 64, true, false},
    {"repobench-p", kCode, kEditSimilarity, 64, true, false},
}};

std::optional<double> mean(std::span<const double> values) {
  if (values.empty()) return std::nullopt;
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

const char* label_of(LongBenchGroup group) noexcept {
  switch (group) {
    case LongBenchGroup::kSingleDocQa:
      return "Single-doc QA";
    case LongBenchGroup::kMultiDocQa:
      return "Multi-doc QA";
    case LongBenchGroup::kSummarization:
      return "Summarization";
    case LongBenchGroup::kFewShot:
      return "Few-shot learning";
    case LongBenchGroup::kSynthetic:
      return "Synthetic tasks";
    case LongBenchGroup::kCode:
      return "Code completion";
  }
  return "";
}

std::span<const LongBenchTask> longbench_tasks() { return kTasks; }

const LongBenchTask& longbench_task(std::string_view name) {
  const auto at = std::find_if(kTasks.begin(), kTasks.end(), [&](const LongBenchTask& t) { return t.name == name; });
  if (at != kTasks.end()) return *at;
  std::string names;
  for (const LongBenchTask& task : kTasks) names += fmt::format("{}{}", names.empty() ? "" : ", ", task.name);
  throw Error(fmt::format("There is no LongBench task {}; there are {}.", brief_name(std::string(name)), names));
}

double longbench_score(const LongBenchTask& task, std::string_view prediction, std::span<const std::string> answers,
                       std::span<const std::string> classes) {
  if (task.first_line_only()) {
    prediction.remove_prefix(std::min(prediction.find_first_not_of('\n'), prediction.size()));
    prediction = prediction.substr(0, prediction.find('\n'));
  }
  double best = 0;
  for (const std::string& answer : answers) best = std::max(best, score(task.metric, prediction, answer, classes));
  return best;
}

int length_bucket(std::int64_t length) noexcept { return length < 4000 ? 0 : length < 8000 ? 1 : 2; }

BucketScores bucket_percents(std::span<const double> scores, std::span<const std::int64_t> lengths) {
  std::array<std::vector<double>, kLengthBuckets.size()> buckets;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    buckets[static_cast<std::size_t>(length_bucket(lengths[i]))].push_back(scores[i]);
  }
  BucketScores percents;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    if (!buckets[i].empty()) percents[i] = mean_percent(buckets[i]);
  }
  return percents;
}

LongBenchMeans longbench_means(std::span<const std::optional<double>> percents, bool chinese) {
  LongBenchMeans means;
  std::vector<double> groups;
  for (int g = 0; g < kLongBenchGroups; ++g) {
    std::vector<double> tasks;
    for (std::size_t i = 0; i < kTasks.size(); ++i) {
      const LongBenchTask& task = kTasks[i];
      const bool of_language = task.chinese == chinese || task.group == LongBenchGroup::kCode;
      if (static_cast<int>(task.group) == g && of_language && percents[i]) tasks.push_back(*percents[i]);
    }
    auto& group = means.groups[static_cast<std::size_t>(g)];
    group = mean(tasks);
    if (group) groups.push_back(*group);
  }
  means.average = mean(groups);
  return means;
}

}  // namespace dhsa
