// dhsa sweep: what methods cost and lose as length, budget or another parameter varies.
#include <fmt/format.h>

#include "app/cli/common.h"
#include "app/cli/results_files.h"
#include "app/cli/table.h"
#include "core/experiments/sweep.h"

namespace dhsa::cli {
namespace {

struct SweepChoice {
  ModelOptionsText model;
  OutputOptions output;
  ParameterOptions parameters;
  ResultsFiles files;
  std::string methods = "dhsa,best,block-sparse,window-sinks";
  std::string lengths = "4K";
  std::vector<std::string> vary;
  std::string haystack;
  bool allow_long = false;
  SweepSettings settings;
};

// "budget=256,512"
SweepAxis axis_of(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw Error(fmt::format("--vary: {} is not of the form PARAMETER=VALUE,VALUE.", in_quotes(text)));
  }
  SweepAxis axis{text.substr(0, equals), {}};
  for (const std::string& part : split_list(text.substr(equals + 1))) {
    SparsityParameters scratch;
    set_parameter(scratch, axis.key, part);
    axis.values.push_back(get_parameter(scratch, axis.key));
  }
  if (axis.values.empty()) throw Error(fmt::format("--vary: {} is given no value.", axis.key));
  return axis;
}

SweepResults asked_for(const SweepChoice& options) {
  SweepResults asked;
  asked.settings = options.settings;
  asked.settings.lengths = token_counts(options.lengths, "--lengths");
  for (const std::string& text : options.vary) asked.settings.axes.push_back(axis_of(text));
  asked.methods = with_dense_first(options.parameters.choices(options.methods));
  check_settings(asked.settings);
  return asked;
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
      cells.push_back(varies_with(point.parameters.method, axis.key)
                          ? plain_text(get_parameter(point.parameters, axis.key))
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
  SweepResults results = asked_for(options);
  options.files.check(options.output.json);
  if (!options.haystack.empty()) results.settings.haystack = file_haystack(options.haystack);
  ProgressLine progress(options.output.style());
  const LoadedModel loaded = load_model(options.model, progress);
  results.model = describe(loaded);
  results.fingerprint = loaded.model->fingerprint();
  check_context(results.settings.lengths.back(), loaded, options.allow_long);
  options.files.go_on(options.output.json, results, parse_sweep_results, &SweepResults::points);

  SweepOptions run;
  run.cancel = &interrupt();
  run.progress = [&](const SweepProgress& at) {
    progress.show(fmt::format("{} tokens, text {} of {}, {}", count(at.length), at.sample + 1, results.settings.samples,
                              at.method),
                  at.fraction);
  };
  run.updated = [&](const SweepResults& so_far, std::size_t) { options.files.write(options.output.json, so_far); };
  progress.restart();
  const bool whole = run_or_stop([&] {
    run_sweep(*loaded.model, *loaded.tokenizer, results, run, load_predictor(results.methods, loaded.folder));
  });
  progress.clear();
  if (whole) options.files.write(options.output.json, results);
  std::int64_t done = 0;
  for (const SweepPoint& point : results.points) done += static_cast<std::int64_t>(point.samples.size());
  if (done > 0) fmt::print("{}", report(results));
  const auto all = static_cast<std::int64_t>(results.points.size()) * results.settings.samples;
  return whole ? 0 : options.files.stopped(options.output.json, done, all, "measurements");
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
      "          dhsa sweep --methods best --vary chunks-per-block=1,2,4,8 --vary query-block=64,128");
  SweepSettings& settings = options->settings;
  const auto add = [&](const char* name, auto& value, const std::string& help, const char* type) {
    command->add_option(name, value, help)->type_name(type)->group("Sweep");
  };
  add("--methods", options->methods,
      fmt::format("Presets and methods, separated by commas; +PARAMETER=VALUE after a name changes it, as in "
                  "best+score-rows=8 [default {}]",
                  options->methods),
      "NAMES");
  add("--lengths", options->lengths, "Tokens of a text [default 4K]", "LIST");
  add("--vary", options->vary,
      "A parameter of those below and its values, for example budget=256,512,1024; may be repeated", "PARAMETER=LIST");
  add("--samples", settings.samples, "Texts of each length [default 1]", "N");
  add("--repeats", settings.repeats, "Prefills of each method on each text, for the median time [default 3]", "N");
  add("--metrics-rows", settings.metrics_rows, "Measure masks on every N-th row; 0 no mask metrics [default 7]", "N");
  add("--logit-positions", settings.logit_positions,
      "Compare logits with dense at most at N positions; 0 none [default 1024]", "N");
  add("--seed", settings.seed, "Seed of the texts [default 1]", "N");
  add("--haystack", options->haystack, "Text file to take the texts from [default: prose from a generator]", "FILE");
  command->add_flag("--allow-long", options->allow_long, "Allow texts longer than the model's context")->group("Sweep");
  options->model.add_to(*command);
  options->parameters.add_to(*command, {}, {"method", "instruction-tokens"});
  options->output.add_to(*command);
  options->files.add_to(*command);
  command->callback([options, &action] { action = [options] { return sweep(*options); }; });
}

}  // namespace dhsa::cli
