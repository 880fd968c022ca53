// Needle results as JSON and CSV.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/experiments/needle.h"
#include "core/experiments/results_file_internal.h"
#include "core/files/csv.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

using nlohmann::json;
using results_file::Reader;

constexpr const char* kKind = "dhsa-needle";
constexpr std::size_t kLongestAnswer = 4096;

json cell_json(const NeedleResults& results, const NeedleCell& cell) {
  json scores = json::array();
  for (const NeedleScore& score : cell.scores) {
    json answers = json::array();
    for (const NeedleAnswer& answer : score.answers) {
      answers.push_back(answer.values);
      answers.back()["text"] = answer.text;
    }
    scores.push_back({{"answers", std::move(answers)}});
  }
  return {{"length", cell.length},     {"depth", results.settings.depth(cell.depth)},
          {"depth_index", cell.depth}, {"prompts", cell.prompts},
          {"tokens", cell.tokens},     {"scores", std::move(scores)}};
}

NeedleAnswer read_answer(const Reader& from, const Values& of_score) {
  NeedleAnswer answer;
  answer.text = from["text"].text(kLongestAnswer);
  answer.values = results_file::read_values(from, {"text"});
  for (const auto& [key, measured] : of_score.entries()) answer.values.set(key, measured);
  results_file::check_values(from, answer.values, {"exact", "found", "log_probability", "density", "prefill_seconds"});
  return answer;
}

// Files of before the table of measures hold density and seconds once for all answers, their means.
NeedleScore read_score(const Reader& from, std::int64_t prompts) {
  from.only({"density", "seconds", "answers"});
  const Values of_score = results_file::read_values(from, {"answers"});
  NeedleScore score;
  for (const Reader& item : from["answers"].list(10000)) score.answers.push_back(read_answer(item, of_score));
  if (static_cast<std::int64_t>(score.answers.size()) != prompts) from["answers"].refuse("one for each prompt");
  return score;
}

NeedleCell read_cell(const Reader& from, const NeedleResults& results) {
  from.only({"length", "depth", "depth_index", "prompts", "tokens", "scores"});
  const NeedleSettings& settings = results.settings;
  NeedleCell cell;
  cell.length = from["length"].whole(1, 1 << 24);
  if (std::find(settings.lengths.begin(), settings.lengths.end(), cell.length) == settings.lengths.end()) {
    from["length"].refuse("one of the lengths of the test");
  }
  cell.depth = from["depth_index"].whole(0, settings.depths - 1);
  if (results.cell(cell.length, cell.depth) != nullptr) from["depth_index"].refuse("in one cell of its length only");
  cell.prompts = from["prompts"].whole(0, settings.prompts);
  cell.tokens = from["tokens"].number(0, static_cast<double>(cell.length));
  for (const Reader& score : from["scores"].list(256)) cell.scores.push_back(read_score(score, cell.prompts));
  if (cell.scores.size() != results.methods.size()) from["scores"].refuse("one for each method");
  return cell;
}

results_file::Head head_of(const NeedleResults& results) {
  return results_file::head_of(results, results_file::settings_json(needle_options(), results.settings));
}

}  // namespace

void to_json(json& out, const NeedleResults& results) {
  results_file::write_head(out, kKind, head_of(results));
  json cells = json::array();
  for (const NeedleCell& cell : results.cells) cells.push_back(cell_json(results, cell));
  out["cells"] = std::move(cells);
}

NeedleResults parse_needle_results(const std::string& text, const std::string& where) {
  const json parsed = parse_strict_json(text, where);
  const Reader file(parsed, where);
  NeedleResults results;
  results_file::Head head = results_file::read_head(file, kKind, "needle test", {"cells"}, [&](const Reader& settings) {
    results.settings = results_file::read_settings(settings, needle_options());
    check_settings(results.settings);
  });
  results_file::take_head(results, head);
  const std::size_t most = results.settings.lengths.size() * static_cast<std::size_t>(results.settings.depths);
  for (const Reader& cell : file["cells"].list(most)) results.cells.push_back(read_cell(cell, results));
  if (head.finished != results.finished()) file["finished"].refuse("as its contents are");
  return results;
}

std::string to_csv(const NeedleResults& results) {
  std::vector<Values> all;
  for (const NeedleCell& cell : results.cells) {
    for (const NeedleScore& score : cell.scores) all.push_back(score.summary());
  }
  const MeasureColumns columns(all);
  std::string csv = "task,mode,length,depth,method,budget,prompts,tokens" + csv_cells(columns.headings()) + "\n";
  auto values = all.begin();
  for (const NeedleCell& cell : results.cells) {
    for (const MethodChoice& method : results.methods) {
      const SparsityParameters asked = needle_parameters(results.settings, method.parameters, cell.length, 0);
      csv +=
          fmt::format("{},{},{},{:.4g},{},{},{},{:.1f}{}\n", name_of(results.settings.task),
                      name_of(results.settings.mode), cell.length, results.settings.depth(cell.depth),
                      csv_field(method.name), is_read(asked, "budget") ? std::to_string(asked.budget) : std::string(),
                      cell.prompts, cell.tokens, csv_cells(columns.cells(*values++)));
    }
  }
  return csv;
}

std::string difference(const NeedleResults& file, const NeedleResults& asked) {
  return results_file::difference(head_of(file), head_of(asked));
}

}  // namespace dhsa
