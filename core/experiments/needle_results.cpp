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
using results_file::kLargest;
using results_file::Reader;

constexpr const char* kKind = "dhsa-needle";
constexpr std::size_t kLongestAnswer = 4096;

json cell_json(const NeedleResults& results, const NeedleCell& cell) {
  json scores = json::array();
  for (const NeedleScore& score : cell.scores) {
    json answers = json::array();
    for (const NeedleAnswer& answer : score.answers) {
      answers.push_back({{"text", answer.text},
                         {"exact", answer.exact},
                         {"found", answer.found},
                         {"log_probability", answer.log_probability}});
    }
    scores.push_back({{"density", score.density}, {"seconds", score.seconds}, {"answers", std::move(answers)}});
  }
  return {{"length", cell.length},     {"depth", results.settings.depth(cell.depth)},
          {"depth_index", cell.depth}, {"prompts", cell.prompts},
          {"tokens", cell.tokens},     {"scores", std::move(scores)}};
}

NeedleScore read_score(const Reader& from, std::int64_t prompts) {
  from.only({"density", "seconds", "answers"});
  NeedleScore score;
  score.density = from["density"].number(0, 1 + 1e-9);
  score.seconds = from["seconds"].number(0, kLargest);
  for (const Reader& item : from["answers"].list(10000)) {
    item.only({"text", "exact", "found", "log_probability"});
    NeedleAnswer answer;
    answer.text = item["text"].text(kLongestAnswer);
    answer.exact = item["exact"].flag();
    answer.found = item["found"].number(0, 1);
    answer.log_probability = item["log_probability"].number(-kLargest, 0);
    score.answers.push_back(std::move(answer));
  }
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
  std::string csv = "task,mode,length,depth,method,budget,prompts,tokens,exact,found,log_probability,density,seconds\n";
  for (const NeedleCell& cell : results.cells) {
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      const NeedleScore& score = cell.scores[m];
      const std::int64_t budget =
          needle_parameters(results.settings, results.methods[m].parameters, cell.length, 0).budget;
      csv += fmt::format(
          "{},{},{},{:.4g},{},{},{},{:.1f},{:.6g},{:.6g},{:.6g},{:.6g},{:.6g}\n", name_of(results.settings.task),
          name_of(results.settings.mode), cell.length, results.settings.depth(cell.depth),
          csv_field(results.methods[m].name),
          results.methods[m].parameters.method == Method::kDense ? std::string() : std::to_string(budget), cell.prompts,
          cell.tokens, score.exact(), score.found(), score.log_probability(), score.density, score.seconds);
    }
  }
  return csv;
}

std::string difference(const NeedleResults& file, const NeedleResults& asked) {
  return results_file::difference(head_of(file), head_of(asked));
}

}  // namespace dhsa
