// What a suite consists of, and what its answers come to.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/experiments/experiment_internal.h"
#include "core/experiments/scores.h"
#include "core/experiments/suite.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

using enum SuiteTask::Asked;
using enum SuiteTask::Hay;
using enum SuiteTask::Word;

constexpr std::array<SuiteTask, 10> kTasks = {{
    {"niah_single_1", Suite::kRuler, kAtTheEnd, kNoise, kWords, kNumbers, 1, 1, 1},
    {"niah_single_2", Suite::kRuler, kAtTheEnd, kEssay, kWords, kNumbers, 1, 1, 1},
    {"niah_single_3", Suite::kRuler, kAtTheEnd, kEssay, kWords, kUuids, 1, 1, 1},
    {"niah_multikey_1", Suite::kRuler, kAtTheEnd, kEssay, kWords, kNumbers, 4, 1, 1},
    {"niah_multikey_2", Suite::kRuler, kAtTheEnd, kNeedles, kWords, kNumbers, 1, 1, 1},
    {"niah_multikey_3", Suite::kRuler, kAtTheEnd, kNeedles, kUuids, kUuids, 1, 1, 1},
    {"niah_multivalue", Suite::kRuler, kAtTheEnd, kEssay, kWords, kNumbers, 1, 4, 1},
    {"niah_multiquery", Suite::kRuler, kAtTheEnd, kEssay, kWords, kNumbers, 4, 1, 4},
    {"throughout", Suite::kQuestions, kThroughout, kEssay, kWords, kNumbers, 1, 1, 1},
    {"from_the_cache", Suite::kQuestions, kFromTheCache, kEssay, kWords, kNumbers, 1, 1, 1},
}};

constexpr const char* kSuites[] = {"ruler", "questions"};
constexpr const char* kWordings[] = {"official", "own"};

std::vector<Option<SuiteSettings>> make_options() {
  using S = SuiteSettings;
  constexpr const char* kGroup = "Suite";
  constexpr ReadWhen<S> kRulers{"ruler", [](const S& s) { return s.suite == Suite::kRuler; }};
  constexpr ReadWhen<S> kOurs{"questions", [](const S& s) { return s.suite == Suite::kQuestions; }};
  return {
      {{.key = "suite",
        .label = "Suite",
        .group = kGroup,
        .help = "ruler: the eight NIAH tasks of RULER; questions: several questions throughout a document, and after a "
                "prefill without them, where no method can favour their rows",
        .choices = {std::begin(kSuites), std::end(kSuites)},
        .choice_labels = {"RULER", "Questions"}},
       &S::suite},
      {{.key = "tasks", .label = "Tasks", .group = kGroup, .help = "Its tasks, separated by commas; none: all of them"},
       &S::tasks},
      {{.key = "wording",
        .label = "Wording",
        .group = kGroup,
        .help = "official: RULER's sentences; own: those of the needle test, which the demo model knows",
        .choices = {std::begin(kWordings), std::end(kWordings)},
        .choice_labels = {"Official", "Own"}},
       &S::wording,
       kRulers},
      mode_option<S>(kGroup, kRulers),
      prompts_option<S>(kGroup, "task and length (RULER: 500)"),
      {{.key = "questions",
        .label = "Questions",
        .group = kGroup,
        .help = "Questions in a prompt",
        .minimum = 1,
        .maximum = 64},
       &S::questions,
       kOurs},
      budget_share_option<S>(kGroup),
      seed_option<S>(kGroup, "prompts"),
  };
}

std::vector<const SuiteTask*> all_of(Suite suite) {
  std::vector<const SuiteTask*> tasks;
  for (const SuiteTask& task : kTasks) {
    if (task.suite == suite) tasks.push_back(&task);
  }
  return tasks;
}

}  // namespace

std::span<const SuiteTask> suite_tasks() { return kTasks; }

const OptionTable<SuiteSettings>& suite_options() {
  static const OptionTable<SuiteSettings> table("setting of a suite", make_options());
  return table;
}

std::vector<const SuiteTask*> tasks_of(const SuiteSettings& settings) {
  const std::vector<const SuiteTask*> all = all_of(settings.suite);
  if (settings.tasks.empty()) return all;
  std::vector<const SuiteTask*> tasks;
  for (std::string_view left = settings.tasks; !left.empty();) {
    const std::string_view name = left.substr(0, left.find(','));
    left.remove_prefix(std::min(name.size() + 1, left.size()));
    const auto at = std::find_if(all.begin(), all.end(), [&](const SuiteTask* task) { return task->name == name; });
    if (at == all.end()) {
      std::string names;
      for (const SuiteTask* task : all) names += fmt::format("{}{}", names.empty() ? "" : ", ", task->name);
      throw Error(fmt::format("The suite {} has no task {}; it has {}.",
                              kSuites[static_cast<std::size_t>(settings.suite)], brief_name(std::string(name)), names));
    }
    require(std::find(tasks.begin(), tasks.end(), *at) == tasks.end(),
            fmt::format("The task {} is named twice.", (*at)->name));
    tasks.push_back(*at);
  }
  return tasks;
}

void check_settings(const SuiteSettings& settings) {
  constexpr std::int64_t kLeast = 256;
  suite_options().check_ranges(settings);
  check_lengths(settings.lengths, kLeast);
  static_cast<void>(tasks_of(settings));
}

SparsityParameters suite_parameters(const SuiteSettings& settings, const SuiteTask& task,
                                    const SparsityParameters& method, std::int64_t length, std::int64_t question) {
  NeedleSettings needle;
  needle.mode = task.asked == kAtTheEnd ? settings.mode : NeedleMode::kStrict;
  needle.budget_share = settings.budget_share;
  return needle_parameters(needle, method, length, question);
}

std::optional<double> SuiteScore::percent() const {
  if (answers.empty()) return std::nullopt;
  std::vector<double> scores;
  for (const SuiteAnswer& answer : answers) scores.push_back(answer.score);
  return ruler_mean_percent(scores);
}

Values SuiteScore::summary() const {
  std::vector<Values> of_answers;
  for (const SuiteAnswer& answer : answers) of_answers.push_back(answer.values);
  Values summary = values;
  const Values mean = combine(of_answers);
  for (const auto& [key, value] : mean.entries()) summary.set(key, value);
  return summary;
}

const SuiteCell* SuiteResults::cell(const SuiteTask& task, std::int64_t length) const {
  for (const SuiteCell& cell : cells) {
    if (cell.task == &task && cell.length == length) return &cell;
  }
  return nullptr;
}

ExperimentCount SuiteResults::count() const {
  const auto tasks = static_cast<std::int64_t>(tasks_of(settings).size());
  ExperimentCount count{0, tasks * static_cast<std::int64_t>(settings.lengths.size()) * settings.prompts};
  for (const SuiteCell& cell : cells) count.done += cell.prompts;
  return count;
}

bool SuiteResults::finished() const {
  const ExperimentCount so_far = count();
  return so_far.done == so_far.all;
}

std::optional<double> SuiteResults::average(std::size_t method, std::int64_t length) const {
  double sum = 0;
  int tasks = 0;
  for (const SuiteCell& cell : cells) {
    const std::optional<double> percent = cell.scores[method].percent();
    if (cell.length != length || !percent) continue;
    sum += *percent;
    ++tasks;
  }
  if (tasks == 0) return std::nullopt;
  return sum / tasks;
}

Values SuiteResults::summary(std::size_t method, std::int64_t length) const {
  std::vector<Values> of_tasks;
  for (const SuiteCell& cell : cells) {
    if (cell.length == length && cell.prompts > 0) of_tasks.push_back(weighed(cell.scores[method].summary()));
  }
  return combine(of_tasks);
}

}  // namespace dhsa
