// What a needle test consists of, and what its answers come to.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/experiments/long_work_internal.h"
#include "core/experiments/needle.h"

namespace dhsa {

const char* name_of(NeedleTask task) noexcept {
  switch (task) {
    case NeedleTask::kSingle:
      return "single";
    case NeedleTask::kMultiKey:
      return "multi-key";
    case NeedleTask::kMultiValue:
      return "multi-value";
  }
  return "";
}

const char* name_of(NeedleMode mode) noexcept { return mode == NeedleMode::kReference ? "reference" : "strict"; }

NeedleTask needle_task(const std::string& name) {
  for (const NeedleTask task : {NeedleTask::kSingle, NeedleTask::kMultiKey, NeedleTask::kMultiValue}) {
    if (name == name_of(task)) return task;
  }
  throw Error(fmt::format("A needle test cannot be \"{}\"; it is single, multi-key or multi-value.", name));
}

NeedleMode needle_mode(const std::string& name) {
  for (const NeedleMode mode : {NeedleMode::kReference, NeedleMode::kStrict}) {
    if (name == name_of(mode)) return mode;
  }
  throw Error(fmt::format("The mode of a needle test cannot be \"{}\"; it is reference or strict.", name));
}

double NeedleSettings::depth(std::int64_t i) const {
  return depths > 1 ? static_cast<double>(i) / static_cast<double>(depths - 1) : 0.5;
}

void check_settings(const NeedleSettings& settings) {
  const auto in = [](std::int64_t value, std::int64_t least, std::int64_t most, const char* what) {
    require(value >= least && value <= most,
            fmt::format("The {} of a needle test cannot be {}; give {} to {}.", what, value, least, most));
  };
  in(static_cast<std::int64_t>(settings.lengths.size()), 1, 64, "number of lengths");
  for (std::size_t i = 0; i < settings.lengths.size(); ++i) {
    in(settings.lengths[i], 64, std::int64_t{1} << 24, "length");
    require(i == 0 || settings.lengths[i] > settings.lengths[i - 1],
            "The lengths of a needle test must ascend, each given once.");
  }
  in(settings.depths, 1, 1000, "number of depths");
  in(settings.prompts, 1, 10000, "number of prompts");
  in(settings.needles, 2, 64, "number of needles");
  in(settings.digits, 2, 18, "number of digits");
  require(settings.budget_share >= 0 && settings.budget_share <= 1,
          fmt::format("The budget's share of the length cannot be {}; give a number above 0 and up to 1.",
                      settings.budget_share));
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

double NeedleScore::exact() const {
  if (answers.empty()) return 0;
  const auto right = std::count_if(answers.begin(), answers.end(), [](const NeedleAnswer& a) { return a.exact; });
  return static_cast<double>(right) / static_cast<double>(answers.size());
}

double NeedleScore::found() const {
  double sum = 0;
  for (const NeedleAnswer& answer : answers) sum += answer.found;
  return answers.empty() ? 0 : sum / static_cast<double>(answers.size());
}

double NeedleScore::log_probability() const {
  double sum = 0;
  for (const NeedleAnswer& answer : answers) sum += answer.log_probability;
  return answers.empty() ? 0 : sum / static_cast<double>(answers.size());
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

NeedleScore NeedleResults::score(std::size_t method, std::int64_t length) const {
  NeedleScore joined;
  joined.density = 0;
  for (const NeedleCell& cell : cells) {
    if (cell.length != length) continue;
    const NeedleScore& score = cell.scores[method];
    const auto prompts = static_cast<double>(score.answers.size());
    joined.density += prompts * score.density;
    joined.seconds += prompts * score.seconds;
    joined.answers.insert(joined.answers.end(), score.answers.begin(), score.answers.end());
  }
  const double prompts = std::max(1.0, static_cast<double>(joined.answers.size()));
  joined.density /= prompts;
  joined.seconds /= prompts;
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
  answer.found = values.empty() ? 0 : static_cast<double>(found) / static_cast<double>(values.size());
  answer.exact = !values.empty() && wanted.empty();
  return answer;
}

}  // namespace dhsa
