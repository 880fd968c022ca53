// The tasks of LongBench v1 and LongBench-E, and what a row of predictions comes to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/experiments/scores.h"

namespace dhsa {

enum class LongBenchGroup : std::uint8_t { kSingleDocQa, kMultiDocQa, kSummarization, kFewShot, kSynthetic, kCode };
inline constexpr int kLongBenchGroups = 6;
[[nodiscard]] const char* label_of(LongBenchGroup group) noexcept;  // "Single-doc QA"

struct LongBenchTask {
  std::string_view name;
  LongBenchGroup group = LongBenchGroup::kSingleDocQa;
  ScoreMetric metric = ScoreMetric::kF1;
  std::int64_t max_new_tokens = 0;
  bool in_e = false;     // LongBench-E has it too
  bool chinese = false;  // code counts for both languages

  // The few-shot group's answer ends with its first line.
  [[nodiscard]] bool first_line_only() const noexcept { return group == LongBenchGroup::kFewShot; }
  [[nodiscard]] bool chat_turn() const noexcept {
    return group != LongBenchGroup::kFewShot && group != LongBenchGroup::kCode;
  }
};
[[nodiscard]] std::span<const LongBenchTask> longbench_tasks();
[[nodiscard]] const LongBenchTask& longbench_task(std::string_view name);  // throws Error on any other name

// A sample's score: the best over its answers, 0 of none.
[[nodiscard]] double longbench_score(const LongBenchTask& task, std::string_view prediction,
                                     std::span<const std::string> answers, std::span<const std::string> classes);

// LongBench-E's means by `length`: below 4000, below 8000, the rest; none where there is no such sample.
inline constexpr std::array kLengthBuckets = {"0-4k", "4-8k", "8k+"};
[[nodiscard]] int length_bucket(std::int64_t length) noexcept;
using BucketScores = std::array<std::optional<double>, kLengthBuckets.size()>;
[[nodiscard]] BucketScores bucket_percents(std::span<const double> scores, std::span<const std::int64_t> lengths);

// Means of task scores as the tables of the paper have them. Those of no task are empty.
struct LongBenchMeans {
  std::array<std::optional<double>, kLongBenchGroups> groups;
  std::optional<double> average;  // of the groups there are
};
// `percents` by task of longbench_tasks(), empty where it was not run. Code belongs to both languages.
[[nodiscard]] LongBenchMeans longbench_means(std::span<const std::optional<double>> percents, bool chinese);

}  // namespace dhsa
