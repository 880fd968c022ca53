// dhsa sweep: what methods cost and lose as length, budget or another parameter varies.
#include <fmt/format.h>

#include "app/cli/common.h"
#include "app/cli/results_files.h"
#include "app/cli/table.h"
#include "core/experiments/sweep.h"

namespace dhsa::cli {
namespace {

struct SweepChoice {
  ExperimentFlags flags;
  ParameterOptions parameters;
  std::string methods = "dhsa,best,block-sparse,window-sinks";
  std::string lengths = "4K";
  std::vector<std::string> vary;
  std::string haystack;
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

std::string point_table(const SweepResults& results) {
  std::vector<std::string> headings = {"method", "tokens"};
  for (const SweepAxis& axis : results.settings.axes) headings.push_back(axis.key);
  for (const char* heading :
       {"density", "mass", "global", "oracle", "IoU", "error", "KL", "top", "prefill", "plan", "memory"}) {
    headings.emplace_back(heading);
  }
  Table table(headings);
  const bool masks = results.settings.metrics_rows > 0;
  const bool logits = results.settings.logit_positions > 0;
  for (const SweepPoint& point : results.points) {
    if (point.samples.empty()) continue;
    std::vector<std::string> cells = {results.methods[point.method].name, count(point.length)};
    for (const SweepAxis& axis : results.settings.axes) {
      cells.push_back(is_read(point.parameters, axis.key) ? plain_text(get_parameter(point.parameters, axis.key))
                                                          : std::string("-"));
    }
    const auto cell = [&](bool there, const std::string& text) { cells.push_back(there ? text : "-"); };
    cell(true, percent(point.mean(&SweepSample::density)));
    for (double SweepSample::*share : {&SweepSample::retained_mass, &SweepSample::retained_mass_global,
                                       &SweepSample::of_oracle, &SweepSample::iou, &SweepSample::output_error}) {
      cell(masks, percent(point.mean(share)));
    }
    cell(logits, fmt::format("{:.4f}", point.mean(&SweepSample::kl)));
    cell(logits, percent(point.mean(&SweepSample::same_top)));
    cell(true, seconds(point.mean(&SweepSample::seconds)));
    cell(true, percent(point.mean(&SweepSample::planning_share)));
    cell(true, bytes(static_cast<std::int64_t>(point.mean(&SweepSample::extra_bytes))));
    table.add(cells);
  }
  return table.text(2, 140);
}

std::string report(const SweepResults& results) {
  const SweepSettings& settings = results.settings;
  const auto many = [](std::int64_t n, const char* one, const char* more) {
    return fmt::format("{} {}", n, n == 1 ? one : more);
  };
  std::string text = fmt::format("Model   {}\n", wrap(results.model, 100, 8));
  text += fmt::format(
      "Text    {}\n",
      wrap(fmt::format("{} of each length from {}, seed {}; {} each", many(settings.samples, "text", "texts"),
                       settings.haystack.name(), settings.seed, many(settings.repeats, "prefill", "prefills")),
           100, 8));
  text += "\n" + point_table(results);
  return text + "\n  " +
         wrap(
             "Means over the texts. density: kept / causal pairs; mass: dense attention mass on the kept keys, over "
             "all layers, and over the global ones; oracle: that mass relative to the best choice of as many keys; "
             "error: of the attention output, relative to dense; KL: of the next token against dense, in nats; top: "
             "same top token; prefill: median of the prefills; plan: planning's share of it; memory: above weights "
             "and libraries.",
             100, 2) +
         "\n";
}

int sweep(const SweepChoice& options) {
  SweepResults results;
  results.settings.lengths = token_counts(options.lengths, "--lengths");
  options.flags.settings.put(sweep_options(), results.settings);
  for (const std::string& text : options.vary) results.settings.axes.push_back(axis_of(text));
  results.methods = with_dense_first(options.parameters.choices(options.methods));
  check_settings(results.settings);
  options.flags.files.check(options.flags.output.json);
  results.settings.haystack = file_haystack(options.haystack);

  ExperimentSteps<SweepResults, std::vector<SweepPoint>> steps;
  steps.longest = results.settings.lengths.back();
  steps.counted = "measurements";
  steps.part = &SweepResults::points;
  steps.parse = parse_sweep_results;
  steps.run = [](const OpenModel& loaded, SweepResults& asked, const SweepOptions& how) {
    run_sweep(*loaded.model, *loaded.tokenizer, asked, how, load_predictor(asked.methods, loaded.folder));
  };
  steps.report = report;
  return run_experiment(options.flags, std::move(results), steps);
}

}  // namespace

void add_sweep(CLI::App& app, Action& action) {
  auto options = std::make_shared<SweepChoice>();
  CLI::App* command =
      app.add_subcommand("sweep", "Vary length, budget or any other parameter and measure cost and loss");
  command->footer(
      "Dense is always run, once for each text, and the others are held against it. A method that does not read a\n"
      "parameter has one point for all its values. Parameters given here hold for every method, on top of its preset.\n"
      "Examples: dhsa sweep --vary budget=256,512,1024,2048 --csv budget.csv\n"
      "          dhsa sweep --lengths 1K,2K,4K,8K --methods dhsa,best --samples 4 --json length.json\n"
      "          dhsa sweep --methods best --vary chunk-length=16,32,64 --vary query-block=64,128");
  const auto add = [&](const char* name, auto& value, const std::string& help, const char* type) {
    command->add_option(name, value, help)->type_name(type)->group("Sweep");
  };
  add("--methods", options->methods, method_names_help("Methods to measure", options->methods), "NAMES");
  add("--lengths", options->lengths, "Tokens of a text [default 4K]", "LIST");
  add("--vary", options->vary,
      "A parameter of those below and its values, for example budget=256,512,1024; may be repeated", "PARAMETER=LIST");
  add_haystack_option(*command, options->haystack, "Sweep");
  options->flags.add_to(*command, sweep_options());
  options->parameters.add_to(*command, {"method", "instruction-tokens"});
  command->callback([options, &action] { action = [options] { return sweep(*options); }; });
}

}  // namespace dhsa::cli
