#include "app/cli/suite.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/cli/report.h"
#include "app/cli/table.h"
#include "core/experiments/suite.h"

namespace dhsa::cli {
namespace {

constexpr std::size_t kColumns = 100;

std::string score_text(std::optional<double> percent) { return percent ? fmt::format("{:.2f}", *percent) : "-"; }

// Scores of each task; of the suite "questions", whose tasks have no mean, with what else was measured.
std::string score_table(const SuiteResults& results, std::int64_t length) {
  std::vector<std::string> headings = {fmt::format("{} tokens", count(length))};
  for (const MethodChoice& method : results.methods) headings.push_back(method.name);
  Table table(headings);
  const std::size_t methods = results.methods.size();
  const auto row = [&](std::string name, const auto& value) {
    std::vector<std::string> cells = {std::move(name)};
    for (std::size_t m = 0; m < methods; ++m) cells.push_back(value(m));
    table.add(std::move(cells));
  };
  const auto measured = [&](const char* indent, const auto& values) {
    std::vector<Values> all;
    for (std::size_t m = 0; m < methods; ++m) all.push_back(values(m));
    for (const Measure* measure : measured_in(all)) {
      row(indent + std::string(measure->heading),
          [&](std::size_t m) { return shown(*measure, all[m].at(measure->key)); });
    }
  };
  bool begun = false;
  for (const SuiteTask* task : tasks_of(results.settings)) {
    const SuiteCell* cell = results.cell(*task, length);
    if (cell == nullptr || cell->prompts == 0) continue;
    begun = true;
    row(std::string(task->name), [&](std::size_t m) { return score_text(cell->scores[m].percent()); });
    if (results.settings.suite == Suite::kQuestions) {
      measured("  ", [&](std::size_t m) { return cell->scores[m].summary(); });
    }
  }
  if (!begun) return {};
  if (results.settings.suite == Suite::kRuler) {
    row("Average", [&](std::size_t m) { return score_text(results.average(m, length)); });
    measured("", [&](std::size_t m) { return results.summary(m, length); });
  }
  return "\n" + table.text();
}

std::string test_line(const SuiteResults& results) {
  const SuiteSettings& settings = results.settings;
  const bool ruler = settings.suite == Suite::kRuler;
  const char* rows = !ruler                                    ? "; no row attends densely"
                     : settings.mode == NeedleMode::kReference ? ", rows of the question attend densely, answers are "
                                                                 "decoded densely"
                                                               : ", rows of question and answer are sparse too";
  const std::string wording =
      ruler ? fmt::format(" in {} wording", plain_text(suite_options().at("wording").get(settings))) : "";
  const std::string mode =
      ruler ? fmt::format(", {} mode", plain_text(suite_options().at("mode").get(settings)))
            : fmt::format(", {} a prompt",
                          settings.questions == 1 ? "one question" : fmt::format("{} questions", settings.questions));
  const std::string budget =
      settings.budget_share > 0 ? fmt::format("; budget {:.4g} % of the length", 100 * settings.budget_share) : "";
  return fmt::format("{}{}{}{}; {} {} of each task and length, essays: {}, seed {}{}",
                     ruler ? "RULER's NIAH tasks" : "Questions away from the end", wording, mode, rows,
                     settings.prompts, settings.prompts == 1 ? "prompt" : "prompts", settings.haystack.name(),
                     settings.seed, budget);
}

const char* score_legend(const SuiteResults& results) {
  return results.settings.suite == Suite::kRuler
             ? "Scores: share of the values asked for that the answer holds, in percent (RULER's string_match_all). "
               "The others are means over the tasks."
             : "Scores: answers that are right to the last digit, in percent. throughout: questions and right answers "
               "stand in the document, each answer is read off the sparse rows where it stands; from_the_cache: the "
               "document is prefilled alone, then each question is decoded densely on its keys and values.";
}

}  // namespace

void SuiteFlags::add_to(CLI::App& app, OptionFlags& settings) {
  settings.add_to(app, suite_options(), SuiteSettings{}, {}, {"mode", "prompts", "budget-share", "seed"});
  app.add_flag("--markdown", markdown, "Print a suite's tables as Markdown")->group("Output");
}

bool names_suite(const OptionFlags& settings) {
  const auto given = settings.given();
  return std::any_of(given.begin(), given.end(), [](const auto& option) { return option.first == "suite"; });
}

int run_suite_command(const SuiteFlags& suite, const LengthsChoice& choice) {
  ExperimentSteps<SuiteResults, std::vector<SuiteCell>> steps;
  steps.counted = "prompts";
  steps.part = &SuiteResults::cells;
  steps.parse = parse_suite_results;
  steps.report = [markdown = suite.markdown](const SuiteResults& done) {
    const std::string measured = legend(done.summary(0, done.settings.lengths.front()));
    if (markdown) {
      return fmt::format("* Model: {}\n* Test: {}\n{}\n{}\n{}", done.model, test_line(done), to_markdown(done),
                         score_legend(done), measured);
    }
    std::string text =
        fmt::format("Model   {}\nTest    {}\n", wrap(done.model, kColumns, 8), wrap(test_line(done), kColumns, 8));
    for (const std::int64_t length : done.settings.lengths) text += score_table(done, length);
    return text + "\n  " + wrap(score_legend(done), kColumns, 2) + "\n" + measured;
  };
  return run_over_lengths(choice, suite_options(), SuiteResults(), steps, run_suite);
}

}  // namespace dhsa::cli
