// dhsa sweep: what methods cost and lose as length, budget or another parameter varies.
#include <fmt/format.h>

#include "app/cli/common.h"
#include "app/cli/report.h"
#include "app/cli/results_files.h"
#include "app/cli/table.h"
#include "core/experiments/sweep.h"
#include "core/sparsity/parameters_name.h"

namespace dhsa::cli {
namespace {

struct SweepChoice {
  LengthsChoice texts;
  std::vector<std::string> vary;
};

// "budget=256,512"
SweepAxis axis_of(const std::string& text) {
  const auto [key, values] = assignment(text, "--vary");
  const Option<SparsityParameters>& option = parameter_table().at(key);
  SweepAxis axis{key, {}};
  for (const std::string& part : split_list(values)) axis.values.push_back(fitting(option, OptionValue(part)));
  if (axis.values.empty()) throw Error(fmt::format("--vary: {} is given no value.", axis.key));
  return axis;
}

MeasureTable point_table(const SweepResults& results) {
  std::vector<std::string> headings = {"method", "tokens"};
  for (const SweepAxis& axis : results.settings.axes) headings.push_back(axis.key);
  MeasureTable table(headings, {});
  for (const SweepPoint& point : results.points) {
    if (point.samples.empty()) continue;
    std::vector<std::string> cells = {results.methods[point.method].name, count(point.length)};
    for (const SweepAxis& axis : results.settings.axes) {
      cells.push_back(is_read(point.parameters, axis.key) ? plain_text(get_parameter(point.parameters, axis.key))
                                                          : std::string("-"));
    }
    table.add({{}, std::move(cells), point.summary(), {}});
  }
  return table;
}

std::string report(const SweepResults& results) {
  const SweepSettings& settings = results.settings;
  const auto many = [](std::int64_t n, const char* one, const char* more) {
    return fmt::format("{} {}", n, n == 1 ? one : more);
  };
  std::string text = fmt::format("Model   {}\n", wrap(results.model, kLineWidth, 8));
  text += fmt::format(
      "Text    {}\n",
      wrap(fmt::format("{} of each length from {}, seed {}; {} each", many(settings.samples, "text", "texts"),
                       settings.haystack.name(), settings.seed, many(settings.repeats, "prefill", "prefills")),
           100, 8));
  const MeasureTable table = point_table(results);
  return text + "\n" + table.text() +
         "\n  Over the texts; shares in %. The prefill time is the median of the prefills.\n" + table.legend();
}

int sweep(const SweepChoice& options) {
  SweepResults results;
  for (const std::string& text : options.vary) results.settings.axes.push_back(axis_of(text));
  ExperimentSteps<SweepResults, std::vector<SweepPoint>> steps;
  steps.counted = "measurements";
  steps.part = &SweepResults::points;
  steps.parse = parse_sweep_results;
  steps.prepare = [](const OpenModel&, SweepResults& asked) {
    asked.methods = with_dense_first(std::move(asked.methods));
  };
  steps.points = [](const SweepResults& asked) {
    std::vector<MethodChoice> points;
    for (const SweepPoint& point : make_points(asked.settings, asked.methods)) {
      points.push_back({asked.methods[point.method].name, point.parameters});
    }
    return points;
  };
  steps.report = [](const SweepResults& swept) { return report(swept); };
  return run_over_lengths(options.texts, sweep_options(), std::move(results), steps, run_sweep);
}

}  // namespace

void add_sweep(CLI::App& app, Action& action) {
  auto options = std::make_shared<SweepChoice>();
  options->texts.methods = kUsualMethods;
  options->texts.lengths = "4K";
  CLI::App* command =
      app.add_subcommand("sweep", "Vary length, budget or any other parameter and measure cost and loss");
  command->footer(
      "Dense is always run, once for each text, and the others are held against it. A method that does not read a\n"
      "parameter has one point for all its values. Parameters given here hold for every method, on top of its preset.\n"
      "Examples: dhsa sweep --vary budget=256,512,1024,2048 --csv budget.csv\n"
      "          dhsa sweep --lengths 1K,2K,4K,8K --methods dhsa,best --samples 4 --json length.json\n"
      "          dhsa sweep --methods best --vary chunk-length=16,32,64 --vary query-block=64,128");
  command
      ->add_option("--vary", options->vary,
                   "A parameter of those below and its values, for example budget=256,512,1024; may be repeated")
      ->type_name("PARAMETER=LIST")
      ->group("Sweep");
  options->texts.add_to(*command, sweep_options(), "Methods to measure", "Tokens of a text");
  command->callback([options, &action] { action = [options] { return sweep(*options); }; });
}

}  // namespace dhsa::cli
