// dhsa needle: can the model still find what it read?
#include "core/experiments/needle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/cli/common.h"
#include "app/cli/report.h"
#include "app/cli/results_files.h"
#include "app/cli/suite.h"
#include "app/cli/table.h"
#include "core/sparsity/parameters_name.h"

namespace dhsa::cli {
namespace {

struct NeedleChoice : LengthsChoice {
  SuiteFlags suite;
};

MeasureTable score_table(const NeedleResults& results) {
  MeasureTable table({"method", "tokens", "budget", "prompts"}, {});
  for (const std::int64_t length : results.settings.lengths) {
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      const NeedleScore score = results.score(m, length);
      if (score.answers.empty()) continue;
      const bool dense = results.methods[m].parameters.method == Method::kDense;
      const SparsityParameters used = needle_parameters(results.settings, results.methods[m].parameters, length, 0);
      table.add({{},
                 {results.methods[m].name, count(length), dense ? "-" : count(used.budget),
                  count(static_cast<std::int64_t>(score.answers.size()))},
                 score.summary(),
                 {}});
    }
  }
  return table;
}

// Depth downwards, length to the right; a bar that fills with the share of exact answers, and the share in percent.
std::vector<std::string> heat_map(const NeedleResults& results, std::size_t method) {
  static constexpr const char* kShades[] = {"·", "░", "▒", "▓", "█"};
  std::vector<std::string> lines = {fmt::format("{:<10}", results.methods[method].name), "  depth   "};
  const auto name_width = results.methods[method].name.size();
  const std::size_t width = 10 + 8 * results.settings.lengths.size();
  lines[0].resize(std::max(width, name_width), ' ');
  for (const std::int64_t length : results.settings.lengths) {
    const bool thousands = length % 1024 == 0;
    lines[1] += fmt::format("{:>8}", thousands ? fmt::format("{}K", length / 1024) : std::to_string(length));
  }
  for (std::int64_t d = 0; d < results.settings.depths; ++d) {
    std::string line = fmt::format("  {:>4.0f} %  ", 100 * results.settings.depth(d));
    for (const std::int64_t length : results.settings.lengths) {
      const NeedleCell* cell = results.cell(length, d);
      if (cell == nullptr || cell->prompts == 0) {
        line += "        ";
        continue;
      }
      const double exact = cell->scores[method].value("exact");
      const char* shade = kShades[std::min(4, static_cast<int>(std::ceil(4 * exact)))];
      line += fmt::format("   {}{:>4.0f}", shade, 100 * exact);
    }
    lines.push_back(line);
  }
  return lines;
}

// The maps of all methods, as many beside each other as fit.
std::string heat_maps(const NeedleResults& results) {
  const std::size_t width = 10 + 8 * results.settings.lengths.size() + 2;
  const std::size_t beside = std::max<std::size_t>(1, kLineWidth / width);
  std::string text;
  for (std::size_t first = 0; first < results.methods.size(); first += beside) {
    std::vector<std::string> joined;
    for (std::size_t m = first; m < std::min(first + beside, results.methods.size()); ++m) {
      const std::vector<std::string> lines = heat_map(results, m);
      joined.resize(lines.size());
      for (std::size_t i = 0; i < lines.size(); ++i) joined[i] += "  " + lines[i];
    }
    text += '\n';
    for (std::string& line : joined) text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

std::string report(const NeedleResults& results) {
  const NeedleSettings& settings = results.settings;
  std::string text = fmt::format("Model   {}\n", wrap(results.model, kLineWidth, 8));
  const std::string budget =
      settings.budget_share > 0 ? fmt::format("; budget {:.4g} % of the length", 100 * settings.budget_share) : "";
  text += fmt::format(
      "Test    {}\n",
      wrap(fmt::format(
               "{}, {} mode (rows of the question {}); {} {} x {} depths x {} {} each in {}, seed {}{}",
               name_of(settings.task), name_of(settings.mode),
               settings.mode == NeedleMode::kReference ? "and answer attend densely" : "and answer are sparse too",
               settings.lengths.size(), settings.lengths.size() == 1 ? "length" : "lengths", settings.depths,
               settings.prompts, settings.prompts == 1 ? "prompt" : "prompts", settings.haystack.name(), settings.seed,
               budget),
           kLineWidth, 8));
  const MeasureTable table = score_table(results);
  text += "\n" + table.text();
  text += "\n  Exact answers in %, depth of the needle downwards, tokens of the prompt to the right\n";
  return text + heat_maps(results) + "\n" + table.legend();
}

int needle(const NeedleChoice& choice) {
  if (names_suite(choice.flags.settings)) return run_suite_command(choice.suite, choice);
  if (choice.suite.markdown) throw Error("--markdown is for the tables of a suite; name one with --suite.");
  ExperimentSteps<NeedleResults, std::vector<NeedleCell>> steps;
  steps.counted = "prompts";
  steps.part = &NeedleResults::cells;
  steps.parse = parse_needle_results;
  steps.report = [](const NeedleResults& results) { return report(results); };
  return run_over_lengths(choice, needle_options(), NeedleResults(), steps, run_needle);
}

}  // namespace

void add_needle(CLI::App& app, Action& action) {
  auto options = std::make_shared<NeedleChoice>();
  options->methods = kUsualMethods;
  options->lengths = "1K,2K,4K,8K,16K";
  CLI::App* command = app.add_subcommand("needle", "Hide numbers in long texts and ask for them, method beside method");
  command->footer(
      "Every method reads the same prompts. Sentences like \"The secret code of the blue cabinet is 328031.\" stand "
      "in\n"
      "a long text; the question after it asks for the number. A budget counts in the prefill. In reference mode the\n"
      "answer is decoded densely, on the keys and values of all tokens. In strict mode the rows of the answer are part "
      "of\n"
      "the sparse prefill: it is right if the likeliest token is right at each of its places.\n"
      "Parameters given here hold for every method, on top of its preset.\n"
      "Example: dhsa needle --mode strict --budget-share 0.125 --lengths 4K,8K --prompts 5 --json needle.json");
  options->add_to(*command, needle_options(), "Methods to ask", "Most tokens of a prompt with its answer");
  options->suite.add_to(*command, options->flags.settings);
  command->callback([options, &action] { action = [options] { return needle(*options); }; });
}

}  // namespace dhsa::cli
