// dhsa needle: can the model still find what it read?
#include <fmt/format.h>

#include <algorithm>

#include "app/cli/common.h"
#include "app/cli/results_files.h"
#include "app/cli/table.h"
#include "core/evaluate/needle.h"

namespace dhsa::cli {
namespace {

struct NeedleChoice {
  ModelOptionsText model;
  OutputOptions output;
  ParameterOptions parameters;
  std::string methods = "dense,dhsa";
  std::string lengths = "1024,2048,4096,8192,16384";
  std::string task = "single";
  std::string mode = "reference";
  std::string haystack;
  ResultsFiles files;
  bool allow_long = false;
  NeedleSettings settings;
};

NeedleResults asked_for(const NeedleChoice& options) {
  NeedleResults asked;
  asked.settings = options.settings;
  asked.settings.task = needle_task(options.task);
  asked.settings.mode = needle_mode(options.mode);
  asked.settings.lengths = token_counts(options.lengths, "--lengths");
  asked.methods = options.parameters.choices(options.methods);
  check_settings(asked.settings);
  return asked;
}

std::string number(double value, int places = 2) { return fmt::format("{:.{}f}", value, places); }

void print_table(const NeedleResults& results) {
  Table table({"method", "tokens", "budget", "prompts", "exact", "found", "log-prob.", "density", "prefill"});
  for (const std::int64_t length : results.settings.lengths) {
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      const NeedleScore score = results.score(m, length);
      if (score.answers.empty()) continue;
      const bool dense = results.methods[m].parameters.method == Method::kDense;
      const SparsityParameters used = needle_parameters(results.settings, results.methods[m].parameters, length, 0);
      table.add({results.methods[m].name, count(length), dense ? "-" : count(used.budget),
                 count(static_cast<std::int64_t>(score.answers.size())), percent(score.exact()), percent(score.found()),
                 number(score.log_probability()), percent(score.density), seconds(score.seconds)});
    }
  }
  fmt::print("{}", table.text());
}

// One map for each method: depth downwards, length to the right, exact answers in percent.
void print_maps(const NeedleResults& results) {
  for (std::size_t m = 0; m < results.methods.size(); ++m) {
    fmt::print("\n  {}: exact answers in %, depth of the needle downwards\n", results.methods[m].name);
    std::string head = "   depth";
    for (const std::int64_t length : results.settings.lengths) head += fmt::format("{:>9}", count(length));
    fmt::print("{}\n", head);
    for (std::int64_t d = 0; d < results.settings.depths; ++d) {
      std::string line = fmt::format("  {:>4.0f} %", 100 * results.settings.depth(d));
      for (const std::int64_t length : results.settings.lengths) {
        const NeedleCell* cell = results.cell(length, d);
        line += cell == nullptr || cell->prompts == 0 ? fmt::format("{:>9}", ".")
                                                      : fmt::format("{:>9.0f}", 100 * cell->scores[m].exact());
      }
      fmt::print("{}\n", line);
    }
  }
}

int needle(const NeedleChoice& options) {
  NeedleResults results = asked_for(options);
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
    throw Error(fmt::format("Prompts of {} tokens are longer than the model's context of {}; --allow-long runs them.",
                            results.settings.lengths.back(), most));
  }
  if (const std::string text = options.files.earlier(options.output.json); !text.empty()) {
    NeedleResults file = parse_needle_results(text, options.output.json);
    const std::string other = difference(file, results);
    if (!other.empty()) throw Error(fmt::format("{} cannot be continued: {}.", options.output.json, other));
    results.cells = std::move(file.cells);
  }
  NeedleOptions run;
  run.cancel = &interrupt();
  run.progress = [&](const NeedleProgress& at) {
    progress.show(fmt::format("{} tokens, depth {:.0f} %, prompt {}, {}", count(at.length),
                              100 * results.settings.depth(at.depth), at.prompt + 1, at.method),
                  at.fraction);
  };
  run.updated = [&](const NeedleResults& so_far, std::size_t) {
    options.files.write(options.output.json, so_far, to_csv(so_far));
  };
  progress.restart();
  run_needle(*loaded.model, *loaded.tokenizer, results, run, load_predictor(results.methods, loaded.folder));
  progress.clear();
  fmt::print("Model   {}\n", wrap(results.model, 100, 8));
  print_table(results);
  print_maps(results);
  return 0;
}

}  // namespace

void add_needle(CLI::App& app, Action& action) {
  auto options = std::make_shared<NeedleChoice>();
  CLI::App* command = app.add_subcommand("needle", "Hide numbers in long texts and ask for them, method beside method");
  NeedleSettings& settings = options->settings;
  const auto add = [&](const char* name, auto& value, const std::string& help, const char* type) {
    command->add_option(name, value, help)->type_name(type)->group("Test");
  };
  add("--methods", options->methods, "Methods and presets, separated by commas [default dense,dhsa]", "NAMES");
  add("--lengths", options->lengths, "Tokens of a prompt [default 1024,2048,4096,8192,16384]", "LIST");
  add("--depths", settings.depths, "Depths of the needle, evenly from first to last [default 10]", "N");
  add("--prompts", settings.prompts, "Prompts in each cell [default 1]", "N");
  add("--task", options->task, "single, multi-key or multi-value [default single]", "NAME");
  add("--mode", options->mode, "reference or strict [default reference]", "NAME");
  add("--needles", settings.needles, "Needles in a prompt of multi-key and multi-value [default 4]", "N");
  add("--digits", settings.digits, "Digits of a number [default 6]", "N");
  add("--budget-share", settings.budget_share, "Budget as a share of the length, for every method", "X");
  add("--seed", settings.seed, "Seed of prompts and prose [default 1]", "N");
  add("--haystack", options->haystack, "Text file to hide needles in [default: generated prose]", "FILE");
  command->add_flag("--allow-long", options->allow_long, "Allow prompts longer than the model's context")
      ->group("Test");
  options->model.add_to(*command);
  options->parameters.add_to(*command, {}, {"method", "instruction-tokens"});
  options->output.add_to(*command);
  options->files.add_to(*command);
  command->callback([options, &action] { action = [options] { return needle(*options); }; });
}

}  // namespace dhsa::cli
