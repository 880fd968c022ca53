// dhsa sweep: what methods cost and lose as length, budget or another parameter varies.
#include <fmt/format.h>

#include "app/cli/common.h"
#include "app/cli/results_files.h"
#include "app/cli/table.h"
#include "core/evaluate/sweep.h"

namespace dhsa::cli {
namespace {

struct SweepChoice {
  ModelOptionsText model;
  OutputOptions output;
  ParameterOptions parameters;
  ResultsFiles files;
  std::string methods = "dense,dhsa,block-sparse,window-sinks";
  std::string lengths = "4096";
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

void print_table(const SweepResults& results) {
  std::vector<std::string> headings = {"method", "tokens"};
  for (const SweepAxis& axis : results.settings.axes) headings.push_back(axis.key);
  for (const char* heading :
       {"density", "mass", "oracle", "IoU", "error", "KL", "same top", "prefill", "plan", "memory"}) {
    headings.emplace_back(heading);
  }
  Table table(headings);
  for (const SweepPoint& point : results.points) {
    if (point.samples.empty()) continue;
    const bool dense = point.parameters.method == Method::kDense;
    std::vector<std::string> cells = {results.methods[point.method].name, count(point.length)};
    for (const SweepAxis& axis : results.settings.axes) {
      cells.push_back(dense ? "-" : plain_text(get_parameter(point.parameters, axis.key)));
    }
    for (double SweepSample::*share : {&SweepSample::density, &SweepSample::retained_mass, &SweepSample::of_oracle,
                                       &SweepSample::iou, &SweepSample::output_error}) {
      cells.push_back(percent(point.mean(share)));
    }
    cells.push_back(fmt::format("{:.4f}", point.mean(&SweepSample::kl)));
    cells.push_back(percent(point.mean(&SweepSample::same_top)));
    cells.push_back(seconds(point.mean(&SweepSample::seconds)));
    cells.push_back(percent(point.mean(&SweepSample::planning_share)));
    cells.push_back(bytes(static_cast<std::int64_t>(point.mean(&SweepSample::extra_bytes))));
    table.add(cells);
  }
  fmt::print("{}", table.text(2, 140));
}

int sweep(const SweepChoice& options) {
  SweepResults results = asked_for(options);
  options.files.check(options.output.json);
  ProgressLine progress(options.output.style());
  if (!options.haystack.empty()) {
    results.settings.haystack =
        Haystack(std::filesystem::path(options.haystack).filename().string(), read_text(options.haystack));
  }
  const LoadedModel loaded = load_model(options.model, progress);
  results.model = describe(loaded);
  results.fingerprint = loaded.model->fingerprint();
  if (const std::int64_t most = loaded.model->config().context;
      results.settings.lengths.back() > most && !options.allow_long) {
    throw Error(fmt::format("Texts of {} tokens are longer than the model's context of {}; --allow-long runs them.",
                            results.settings.lengths.back(), most));
  }
  if (const std::string text = options.files.earlier(options.output.json); !text.empty()) {
    SweepResults file = parse_sweep_results(text, options.output.json);
    const std::string other = difference(file, results);
    if (!other.empty()) throw Error(fmt::format("{} cannot be continued: {}.", options.output.json, other));
    results.points = std::move(file.points);
  }
  SweepOptions run;
  run.cancel = &interrupt();
  run.progress = [&](const SweepProgress& at) {
    progress.show(fmt::format("{} tokens, text {} of {}, {}", count(at.length), at.sample + 1, results.settings.samples,
                              at.method),
                  at.fraction);
  };
  run.updated = [&](const SweepResults& so_far, std::size_t) {
    options.files.write(options.output.json, so_far, to_csv(so_far));
  };
  progress.restart();
  run_sweep(*loaded.model, *loaded.tokenizer, results, run, load_predictor(results.methods, loaded.folder));
  progress.clear();
  fmt::print("Model   {}\n", wrap(results.model, 100, 8));
  print_table(results);
  return 0;
}

}  // namespace

void add_sweep(CLI::App& app, Action& action) {
  auto options = std::make_shared<SweepChoice>();
  CLI::App* command =
      app.add_subcommand("sweep", "Vary length, budget or any other parameter and measure cost and loss");
  SweepSettings& settings = options->settings;
  const auto add = [&](const char* name, auto& value, const std::string& help, const char* type) {
    command->add_option(name, value, help)->type_name(type)->group("Sweep");
  };
  add("--methods", options->methods, "Methods and presets [default dense,dhsa,block-sparse,window-sinks]", "NAMES");
  add("--lengths", options->lengths, "Tokens of a text [default 4096]", "LIST");
  add("--vary", options->vary, "A parameter and its values, for example budget=256,512,1024; may be repeated",
      "PARAMETER=LIST");
  add("--samples", settings.samples, "Texts of each length [default 1]", "N");
  add("--repeats", settings.repeats, "Prefills of each method on each text, for the median time [default 3]", "N");
  add("--metrics-rows", settings.metrics_rows, "Measure masks on every N-th row [default 8]", "N");
  add("--logit-positions", settings.logit_positions, "Compare logits at most at N positions [default 1024]", "N");
  add("--seed", settings.seed, "Seed of the texts [default 1]", "N");
  add("--haystack", options->haystack, "Text file to read [default: generated prose]", "FILE");
  command->add_flag("--allow-long", options->allow_long, "Allow texts longer than the model's context")->group("Sweep");
  options->model.add_to(*command);
  options->parameters.add_to(*command, {}, {"method", "instruction-tokens"});
  options->output.add_to(*command);
  options->files.add_to(*command);
  command->callback([options, &action] { action = [options] { return sweep(*options); }; });
}

}  // namespace dhsa::cli
