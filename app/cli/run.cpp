// dhsa run: prefill a text under one or several methods and report what it cost and what it lost.
#include <fmt/format.h>

#include <algorithm>

#include "app/cli/common.h"
#include "app/cli/report.h"
#include "app/cli/table.h"

namespace dhsa::cli {
namespace {

struct RunOptions {
  ModelOptionsText model;
  OutputOptions output;
  ParameterOptions parameters;
  TextOptions text;
  std::string compare = "dense";
  std::int64_t metrics_rows = kMetricsRows;
  std::int64_t logit_positions = 2048;
  std::int64_t max_new_tokens = 16;
};

std::vector<MethodChoice> choices_of(const RunOptions& options, std::int64_t question) {
  std::vector<MethodChoice> choices = {options.parameters.choice(question)};
  std::string others;
  for (const std::string& name : split_list(options.compare == "none" ? "" : options.compare)) {
    if (name != choices.front().name) others += name + ",";
  }
  if (others.empty()) return choices;
  std::vector<MethodChoice> beside = options.parameters.choices(others, question);
  std::move(beside.begin(), beside.end(), std::back_inserter(choices));
  return choices;
}

int run(const RunOptions& options) {
  check_count("--metrics-rows", options.metrics_rows, 0);
  check_count("--logit-positions", options.logit_positions, 0);
  check_count("--max-new-tokens", options.max_new_tokens, 0);
  check_reading(options.text.reading);
  static_cast<void>(choices_of(options, 0));  // a wrong parameter is said before a model is loaded
  JsonFile json(options.output.json);
  ProgressLine progress(options.output.style());
  const OpenModel loaded = load_model(options.model, progress, true);
  progress.show("reading the text", -1);
  const Document document = load_document(options.text, loaded, &progress);
  const std::vector<MethodChoice> choices = choices_of(options, document.question_tokens);
  const auto predictor = open_predictor(choices, loaded.folder);
  options.parameters.say_unread(choices, predictor != nullptr);

  CompareOptions compare;
  compare.metrics_rows = options.metrics_rows;
  compare.logit_positions = options.logit_positions;
  compare.max_new_tokens = options.max_new_tokens;
  compare.cancel = &interrupt();
  compare.progress = [&](const CompareProgress& state) { progress.show(state); };
  progress.restart();
  const Comparison comparison = compare_methods(*loaded.model, document.encoding.ids, document.info(), choices, compare,
                                                loaded.tokenizer.get(), predictor);
  progress.clear();
  json.write({{"kind", "dhsa-run"},
              {"machine", machine_json()},
              {"model", model_json(loaded)},
              {"document", document_json(document)},
              {"comparison", comparison}});

  fmt::print("Model   {}\n", wrap(describe(loaded), kLineWidth, 8));
  const std::string line = question_line(document);
  fmt::print("Text    {}: {} tokens, {} characters, question of {} tokens{}\n", document.name, count(document.tokens()),
             count(static_cast<std::int64_t>(characters(document.text))), document.question_tokens,
             line.empty() ? "" : ": " + line);
  for (const std::string& note : document.notes) fmt::print("Note    {}\n", wrap(note, kLineWidth, 8));
  for (const MethodChoice& choice : choices) {
    const std::string settings = options.parameters.settings_text(choice, predictor != nullptr);
    if (settings.empty()) continue;
    fmt::print("{:<8}{}\n", "Method", wrap(fmt::format("{}: {}", choice.name, settings), kLineWidth, 8));
  }
  fmt::print("\n{}", comparison_text(comparison, loaded.model->config()));
  return 0;
}

}  // namespace

void add_run(CLI::App& app, Action& action) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Prefill a text under a sparse mask and report cost and loss");
  command->footer(
      "Without arguments: the demo model on the sample document, DHSA with a budget of 1024, beside dense.\n"
      "Example: dhsa run notes.txt --method block-sparse --budget 2048 --compare dense,dhsa --json run.json");
  options->text.add_to(*command);
  options->model.add_to(*command);
  command
      ->add_option("--compare", options->compare,
                   method_names_help("Methods to run beside it (none: no other)", options->compare))
      ->type_name("NAMES")
      ->group("Comparison");
  command
      ->add_option("--metrics-rows", options->metrics_rows,
                   "Measure masks on one row in N, drawn at random; 1 all rows, 0 no mask metrics [default 7]")
      ->type_name("N")
      ->group("Comparison");
  command
      ->add_option("--logit-positions", options->logit_positions,
                   "Compare next-token logits with dense at most at N positions; 0 none [default 2048]")
      ->type_name("N")
      ->group("Comparison");
  command
      ->add_option("--max-new-tokens", options->max_new_tokens,
                   "Tokens of the greedy answer after the text; 0 none [default 16]")
      ->type_name("N")
      ->group("Comparison");
  options->parameters.add_to(*command);
  options->output.add_to(*command);
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace dhsa::cli
