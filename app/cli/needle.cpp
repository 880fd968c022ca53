// dhsa needle: can the model still find what it read?
#include "core/experiments/needle.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/cli/common.h"
#include "app/cli/results_files.h"
#include "app/cli/table.h"

namespace dhsa::cli {
namespace {

constexpr std::size_t kColumns = 100;

struct NeedleChoice {
  ModelOptionsText model;
  OutputOptions output;
  ParameterOptions parameters;
  ResultsFiles files;
  std::string methods = "dense,dhsa,best,block-sparse,window-sinks";
  std::string lengths = "1K,2K,4K,8K,16K";
  std::string task = "single";
  std::string mode = "reference";
  std::string haystack;
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

std::string shown(const NeedleProgress& at, const NeedleSettings& settings) {
  std::string text = fmt::format("{} tokens, depth {:.0f} %", count(at.length), 100 * settings.depth(at.depth));
  if (settings.prompts > 1) text += fmt::format(", prompt {} of {}", at.prompt + 1, settings.prompts);
  return text + ", " + at.method;
}

std::string score_table(const NeedleResults& results) {
  Table table({"method", "tokens", "budget", "prompts", "exact", "found", "log-prob.", "density", "prefill"});
  for (const std::int64_t length : results.settings.lengths) {
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      const NeedleScore score = results.score(m, length);
      if (score.answers.empty()) continue;
      const bool dense = results.methods[m].parameters.method == Method::kDense;
      const SparsityParameters used = needle_parameters(results.settings, results.methods[m].parameters, length, 0);
      table.add({results.methods[m].name, count(length), dense ? "-" : count(used.budget),
                 count(static_cast<std::int64_t>(score.answers.size())), percent(score.exact()), percent(score.found()),
                 fmt::format("{:.3f}", score.log_probability()), percent(score.density), seconds(score.seconds)});
    }
  }
  return table.text();
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
      const double exact = cell->scores[method].exact();
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
  const std::size_t beside = std::max<std::size_t>(1, kColumns / width);
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
  std::string text = fmt::format("Model   {}\n", wrap(results.model, kColumns, 8));
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
           kColumns, 8));
  text += "\n" + score_table(results);
  text += "\n  Exact answers in %, depth of the needle downwards, tokens of the prompt to the right\n";
  text += heat_maps(results);
  return text + "\n  " +
         wrap(
             "exact: answers that give all numbers asked for; found: share of those numbers given; log-prob.: mean "
             "log-probability of the right answer's tokens, in nats; density: kept / causal pairs of the prefill.",
             kColumns, 2) +
         "\n";
}

std::int64_t prompts_of(const NeedleResults& results) {
  std::int64_t prompts = 0;
  for (const NeedleCell& cell : results.cells) prompts += cell.prompts;
  return prompts;
}

int needle(const NeedleChoice& options) {
  NeedleResults results = asked_for(options);
  options.files.check(options.output.json);
  if (!options.haystack.empty()) results.settings.haystack = file_haystack(options.haystack);
  ProgressLine progress(options.output.style());
  const LoadedModel loaded = load_model(options.model, progress);
  results.model = describe(loaded);
  results.fingerprint = loaded.model->fingerprint();
  check_context(results.settings.lengths.back(), loaded, options.allow_long);
  options.files.go_on(options.output.json, results, parse_needle_results, &NeedleResults::cells);

  NeedleOptions run;
  run.cancel = &interrupt();
  run.progress = [&](const NeedleProgress& at) { progress.show(shown(at, results.settings), at.fraction); };
  run.updated = [&](const NeedleResults& so_far, std::size_t) { options.files.write(options.output.json, so_far); };
  progress.restart();
  const bool whole = run_or_stop([&] {
    run_needle(*loaded.model, *loaded.tokenizer, results, run, load_predictor(results.methods, loaded.folder));
  });
  progress.clear();
  if (whole) options.files.write(options.output.json, results);
  if (prompts_of(results) > 0) fmt::print("{}", report(results));
  if (whole) return 0;
  const auto cells = static_cast<std::int64_t>(results.settings.lengths.size()) * results.settings.depths;
  return options.files.stopped(options.output.json, prompts_of(results), cells * results.settings.prompts, "prompts");
}

}  // namespace

void add_needle(CLI::App& app, Action& action) {
  auto options = std::make_shared<NeedleChoice>();
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
  NeedleSettings& settings = options->settings;
  const auto add = [&](const char* name, auto& value, const std::string& help, const char* type) {
    command->add_option(name, value, help)->type_name(type)->group("Test");
  };
  add("--methods", options->methods,
      fmt::format("Presets and methods, separated by commas; +PARAMETER=VALUE after a name changes it, as in "
                  "best+score-rows=8 [default {}]",
                  options->methods),
      "NAMES");
  add("--lengths", options->lengths,
      fmt::format("Most tokens of a prompt with its answer [default {}]", options->lengths), "LIST");
  add("--depths", settings.depths, "Depths of the needle, evenly from first to last in the text [default 10]", "N");
  add("--prompts", settings.prompts, "Prompts of each length and depth, all different [default 1]", "N");
  add("--task", options->task,
      "single: one needle; multi-key: needles of other things beside it; multi-value: several numbers of one thing, "
      "all "
      "asked for [default single]",
      "NAME");
  add("--mode", options->mode,
      "reference: the rows of the question and the answer attend densely, as the authors' do; strict: they are sparse "
      "too "
      "[default reference]",
      "NAME");
  add("--needles", settings.needles, "Needles of multi-key and multi-value [2 to 64; default 4]", "N");
  add("--digits", settings.digits, "Digits of a number [2 to 18; default 6]", "N");
  add("--budget-share", settings.budget_share,
      "Budget of every method as a share of the length, in place of --budget [above 0 to 1]", "X");
  add("--seed", settings.seed, "Seed of the prompts [default 1]", "N");
  add("--haystack", options->haystack, "Text file to hide needles in [default: prose from a generator]", "FILE");
  command->add_flag("--allow-long", options->allow_long, "Allow prompts longer than the model's context")
      ->group("Test");
  options->model.add_to(*command);
  options->parameters.add_to(*command, {}, {"method", "instruction-tokens"});
  options->output.add_to(*command);
  options->files.add_to(*command);
  command->callback([options, &action] { action = [options] { return needle(*options); }; });
}

}  // namespace dhsa::cli
