// What a needle test consists of, and what its answers come to.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/experiments/experiment_internal.h"
#include "core/experiments/needle.h"

namespace dhsa {
namespace {

constexpr const char* kTasks[] = {"single", "multi-key", "multi-value"};
constexpr const char* kModes[] = {"reference", "strict"};

std::vector<Option<NeedleSettings>> make_options() {
  using S = NeedleSettings;
  constexpr const char* kGroup = "Test";
  constexpr ReadWhen<S> kSeveral{"multi-key and multi-value", [](const S& s) { return s.task != NeedleTask::kSingle; }};
  return {
      {{.key = "task",
        .label = "Task",
        .group = kGroup,
        .help = "single: one needle; multi-key: needles of other things beside it; multi-value: several numbers of one "
                "thing, all asked for",
        .choices = {std::begin(kTasks), std::end(kTasks)},
        .choice_labels = {"Single", "Multi-key", "Multi-value"}},
       &S::task},
      mode_option<S>(kGroup),
      {{.key = "depths",
        .label = "Depths",
        .group = kGroup,
        .help = "Depths of the needle, evenly from first to last in the text",
        .minimum = 1,
        .maximum = 1000},
       &S::depths},
      prompts_option<S>(kGroup, "length and depth, all different"),
      {{.key = "needles",
        .label = "Needles",
        .group = kGroup,
        .help = "Needles in a prompt",
        .minimum = 2,
        .maximum = 64},
       &S::needles,
       kSeveral},
      {{.key = "digits", .label = "Digits", .group = kGroup, .help = "Digits of a number", .minimum = 2, .maximum = 18},
       &S::digits},
      budget_share_option<S>(kGroup),
      seed_option<S>(kGroup, "prompts"),
  };
}

}  // namespace

const char* name_of(NeedleTask task) noexcept { return kTasks[static_cast<std::size_t>(task)]; }
const char* name_of(NeedleMode mode) noexcept { return kModes[static_cast<std::size_t>(mode)]; }

const OptionTable<NeedleSettings>& needle_options() {
  static const OptionTable<NeedleSettings> table("setting of a needle test", make_options());
  return table;
}

double NeedleSettings::depth(std::int64_t i) const {
  return depths > 1 ? static_cast<double>(i) / static_cast<double>(depths - 1) : 0.5;
}

void check_settings(const NeedleSettings& settings) {
  needle_options().check_ranges(settings);
  check_lengths(settings.lengths, 64);
}

SparsityParameters needle_parameters(const NeedleSettings& settings, const SparsityParameters& method,
                                     std::int64_t length, std::int64_t question) {
  SparsityParameters parameters = method;
  parameters.instruction_tokens = settings.mode == NeedleMode::kReference ? question : 0;
  if (settings.budget_share > 0) {
    const std::int64_t budget =
        std::max<std::int64_t>(1, std::llround(settings.budget_share * static_cast<double>(length)));
    parameters.budget = budget;
    parameters.max_budget = budget;
    parameters.min_budget = std::min(parameters.min_budget, budget);
  }
  return parameters;
}

Values NeedleScore::summary() const {
  std::vector<Values> values;
  for (const NeedleAnswer& answer : answers) values.push_back(answer.values);
  return combine(values);
}

const NeedleCell* NeedleResults::cell(std::int64_t length, std::int64_t depth) const {
  for (const NeedleCell& cell : cells) {
    if (cell.length == length && cell.depth == depth) return &cell;
  }
  return nullptr;
}

bool NeedleResults::finished() const {
  const auto all = settings.lengths.size() * static_cast<std::size_t>(settings.depths);
  return cells.size() == all &&
         std::all_of(cells.begin(), cells.end(), [&](const NeedleCell& cell) { return finished(cell); });
}

ExperimentCount NeedleResults::count() const {
  ExperimentCount count{0, static_cast<std::int64_t>(settings.lengths.size()) * settings.depths * settings.prompts};
  for (const NeedleCell& cell : cells) count.done += cell.prompts;
  return count;
}

NeedleScore NeedleResults::score(std::size_t method, std::int64_t length) const {
  NeedleScore joined;
  for (const NeedleCell& cell : cells) {
    if (cell.length != length) continue;
    const std::vector<NeedleAnswer>& answers = cell.scores[method].answers;
    joined.answers.insert(joined.answers.end(), answers.begin(), answers.end());
  }
  return joined;
}

NeedleAnswer score_answer(const std::string& text, const std::vector<std::string>& values) {
  // As many numbers as were asked for, from the beginning of the text.
  const auto digit = [&](std::size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  std::vector<std::string> given;
  std::size_t end = 0;
  for (std::size_t i = 0; i < text.size() && given.size() < values.size(); ++i) {
    if (!digit(i)) continue;
    const std::size_t begin = i;
    while (digit(i)) ++i;
    given.push_back(text.substr(begin, i - begin));
    end = i;
  }
  std::vector<std::string> wanted = values;
  std::int64_t found = 0;
  for (const std::string& number : given) {
    const auto at = std::find(wanted.begin(), wanted.end(), number);
    if (at == wanted.end()) continue;
    wanted.erase(at);
    ++found;
  }
  NeedleAnswer answer;
  answer.text = given.empty() ? text : text.substr(0, end);
  answer.values.set("exact", !values.empty() && wanted.empty() ? 1.0 : 0.0);
  answer.values.set("found", values.empty() ? 0 : static_cast<double>(found) / static_cast<double>(values.size()));
  return answer;
}

}  // namespace dhsa
