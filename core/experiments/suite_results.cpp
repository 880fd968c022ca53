// Results of suites as JSON, CSV and Markdown.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/experiments/results_file_internal.h"
#include "core/experiments/suite.h"
#include "core/files/csv.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

using nlohmann::json;
using results_file::Reader;

constexpr const char* kKind = "dhsa-suite";
constexpr std::size_t kLongestText = 65536;  // of an answer, a key or a value
constexpr std::size_t kMostReferences = 256;
constexpr std::size_t kMostQuestions = 10000 * 64;

json cell_json(const SuiteCell& cell) {
  json questions = json::array();
  for (const SuiteQuestion& asked : cell.questions) {
    questions.push_back({{"query", asked.query}, {"references", asked.references}});
  }
  json scores = json::array();
  for (const SuiteScore& score : cell.scores) {
    json answers = json::array();
    for (const SuiteAnswer& answer : score.answers) {
      answers.push_back(answer.values);
      answers.back().update({{"text", answer.text}, {"score", answer.score}});
    }
    scores.push_back(score.values);
    scores.back()["answers"] = std::move(answers);
  }
  return {{"task", cell.task->name},           {"length", cell.length},
          {"prompts", cell.prompts},           {"tokens", cell.tokens},
          {"questions", std::move(questions)}, {"scores", std::move(scores)}};
}

SuiteQuestion read_question(const Reader& from) {
  from.only({"query", "references"});
  SuiteQuestion asked{from["query"].text(kLongestText), {}};
  for (const Reader& item : from["references"].list(kMostReferences)) {
    asked.references.push_back(item.text(kLongestText));
  }
  return asked;
}

SuiteScore read_score(const Reader& from, std::size_t questions) {
  SuiteScore score;
  score.values = results_file::read_values(from, {"answers"});
  for (const Reader& item : from["answers"].list(kMostQuestions)) {
    score.answers.push_back({item["text"].text(kLongestText), item["score"].number(0, 1),
                             results_file::read_values(item, {"text", "score"})});
    results_file::check_values(item, score.answers.back().values, {"log_probability"});
  }
  if (questions > 0) results_file::check_values(from, score.values, {"density", "prefill_seconds"});
  if (score.answers.size() != questions) from["answers"].refuse("one for each question");
  return score;
}

SuiteCell read_cell(const Reader& from, const SuiteResults& results) {
  from.only({"task", "length", "prompts", "tokens", "questions", "scores"});
  const SuiteSettings& settings = results.settings;
  SuiteCell cell;
  const std::string name = from["task"].text(256);
  for (const SuiteTask* task : tasks_of(settings)) {
    if (task->name == name) cell.task = task;
  }
  if (cell.task == nullptr) from["task"].refuse("one of the tasks asked");
  cell.length = from["length"].whole(1, 1 << 24);
  if (std::find(settings.lengths.begin(), settings.lengths.end(), cell.length) == settings.lengths.end()) {
    from["length"].refuse("one of the lengths of the settings");
  }
  if (results.cell(*cell.task, cell.length) != nullptr) from["length"].refuse("in one cell of its task only");
  cell.prompts = from["prompts"].whole(0, settings.prompts);
  cell.tokens = from["tokens"].number(0, static_cast<double>(cell.length));
  for (const Reader& item : from["questions"].list(kMostQuestions)) cell.questions.push_back(read_question(item));
  const std::int64_t each = cell.task->suite == Suite::kRuler ? 1 : settings.questions;
  if (static_cast<std::int64_t>(cell.questions.size()) != cell.prompts * each) {
    from["questions"].refuse("those of its prompts");
  }
  for (const Reader& score : from["scores"].list(256)) cell.scores.push_back(read_score(score, cell.questions.size()));
  if (cell.scores.size() != results.methods.size()) from["scores"].refuse("one for each method");
  return cell;
}

results_file::Head head_of(const SuiteResults& results) {
  return results_file::head_of(results, results_file::settings_json(suite_options(), results.settings));
}

std::string table_head(const SuiteResults& results, const std::string& heading) {
  std::string text = fmt::format("\n| {} |", heading);
  for (const MethodChoice& method : results.methods) text += fmt::format(" {} |", method.name);
  text += "\n|---|";
  for (std::size_t i = 0; i < results.methods.size(); ++i) text += "---:|";
  return text + "\n";
}

}  // namespace

void to_json(json& out, const SuiteResults& results) {
  results_file::write_head(out, kKind, head_of(results));
  json cells = json::array();
  for (const SuiteCell& cell : results.cells) cells.push_back(cell_json(cell));
  out["cells"] = std::move(cells);
}

SuiteResults parse_suite_results(const std::string& text, const std::string& where) {
  const json parsed = parse_strict_json(text, where);
  const Reader file(parsed, where);
  SuiteResults results;
  results_file::Head head = results_file::read_head(file, kKind, "suite", {"cells"}, [&](const Reader& settings) {
    results.settings = results_file::read_settings(settings, suite_options());
    check_settings(results.settings);
  });
  results_file::take_head(results, head);
  for (const Reader& cell : file["cells"].list(64 * suite_tasks().size())) {
    results.cells.push_back(read_cell(cell, results));
  }
  if (head.finished != results.finished()) file["finished"].refuse("as its contents are");
  return results;
}

std::string to_csv(const SuiteResults& results) {
  const SuiteSettings& settings = results.settings;
  const std::string suite = plain_text(suite_options().at("suite").get(settings));
  std::vector<Values> all;
  for (const SuiteCell& cell : results.cells) {
    for (const SuiteScore& score : cell.scores) all.push_back(score.summary());
  }
  const MeasureColumns columns(all);
  std::string csv =
      "suite,task,length,method,budget,prompts,questions,tokens,score" + csv_cells(columns.headings()) + "\n";
  auto values = all.begin();
  for (const SuiteCell& cell : results.cells) {
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      const SparsityParameters& method = results.methods[m].parameters;
      const SparsityParameters asked = suite_parameters(settings, *cell.task, method, cell.length, 0);
      const std::optional<double> percent = cell.scores[m].percent();
      csv += fmt::format(
          "{},{},{},{},{},{},{},{:.1f},{}{}\n", suite, cell.task->name, cell.length, csv_field(results.methods[m].name),
          is_read(asked, "budget") ? std::to_string(asked.budget) : std::string(), cell.prompts, cell.questions.size(),
          cell.tokens, percent ? fmt::format("{:.2f}", *percent) : std::string(), csv_cells(columns.cells(*values++)));
    }
  }
  return csv;
}

std::string to_markdown(const SuiteResults& results) {
  const SuiteSettings& settings = results.settings;
  std::string text;
  for (const std::int64_t length : settings.lengths) {
    text += table_head(results, fmt::format("{} tokens", length));
    for (const SuiteTask* task : tasks_of(settings)) {
      const SuiteCell* cell = results.cell(*task, length);
      if (cell == nullptr || cell->prompts == 0) continue;
      text += fmt::format("| {} |", task->name);
      for (const SuiteScore& score : cell->scores) {
        text += fmt::format(" {:.2f} ({:.3f}) |", *score.percent(), score.summary().value("log_probability"));
      }
      text += '\n';
    }
    if (settings.suite != Suite::kRuler) continue;
    text += "| **Average** |";
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      const std::optional<double> average = results.average(m, length);
      text += average ? fmt::format(" **{:.2f}** |", *average) : " |";
    }
    text += '\n';
  }
  return text;
}

std::string difference(const SuiteResults& file, const SuiteResults& asked) {
  return results_file::difference(head_of(file), head_of(asked));
}

}  // namespace dhsa
