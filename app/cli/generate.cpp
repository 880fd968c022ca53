// dhsa generate: greedy continuation of a text after a sparse or dense prefill.
#include <fmt/format.h>

#include <cstdio>

#include "app/cli/common.h"
#include "app/cli/table.h"
#include "core/run/run.h"

namespace dhsa::cli {
namespace {

struct GenerateOptions {
  ModelOptionsText model;
  OutputOptions output;
  ParameterOptions parameters;
  TextOptions text;
  std::int64_t max_new_tokens = 64;
};

int generate(const GenerateOptions& options) {
  check_count("--max-new-tokens", options.max_new_tokens, 1);
  static_cast<void>(options.parameters.read(0));
  JsonFile json(options.output.json);
  ProgressLine progress(options.output.style());
  const OpenModel loaded = load_model(options.model, progress);
  progress.show("reading the text", -1);
  const Document document = load_document(options.text, loaded, &progress);
  const std::vector<MethodChoice> choices = {options.parameters.choice(document.question_tokens)};
  progress.clear();
  const auto predictor = open_predictor(choices, loaded.folder);
  options.parameters.say_unread(choices, predictor != nullptr);
  for (const std::string& note : document.notes) say(fmt::format("dhsa: {}\n", note));

  CompareOptions compare;
  compare.metrics_rows = 0;
  compare.logit_positions = 0;
  compare.max_new_tokens = options.max_new_tokens;
  compare.cancel = &interrupt();
  // The answer itself is the progress once it has begun.
  compare.progress = [&](const CompareProgress& state) {
    if (state.phase == CompareProgress::Phase::kPrefill) progress.show(state);
  };
  compare.answer_piece = [&](const std::string& piece) {
    progress.clear();
    fmt::print("{}", piece);
    std::fflush(stdout);
  };
  progress.restart();
  const Comparison comparison = compare_methods(*loaded.model, document.encoding.ids, document.info(), choices, compare,
                                                loaded.tokenizer.get(), predictor);
  progress.clear();
  const MethodRun& run = comparison.runs.front();
  if (!run.answer_text.ends_with('\n')) fmt::print("\n");
  std::fflush(stdout);
  if (!options.output.quiet) {
    const double rate = run.answer_seconds > 0 ? static_cast<double>(run.answer.size()) / run.answer_seconds : 0;
    say(fmt::format("{} tokens read in {} under {}, {} written in {} ({:.1f} per second); {}\n",
                    count(document.tokens()), seconds(run.seconds), run.name, run.answer.size(),
                    seconds(run.answer_seconds), rate, run.answer_end));
  }
  json.write({{"kind", "dhsa-generate"},
              {"machine", machine_json()},
              {"model", model_json(loaded)},
              {"document", document_json(document)},
              {"stop", run.stop_token ? "stop-token" : "most-tokens"},
              {"run", run}});
  return 0;
}

}  // namespace

void add_generate(CLI::App& app, Action& action) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App* command = app.add_subcommand("generate", "Continue a text greedily after a sparse or dense prefill");
  command->footer(
      "The continuation goes to standard output as it is made, all else to standard error.\n"
      "Example: echo \"The capital of France is\" | dhsa generate - --method dense");
  options->text.add_to(*command);
  options->model.add_to(*command);
  command->add_option("--max-new-tokens", options->max_new_tokens, "Most tokens to write [default 64]")
      ->type_name("N")
      ->group("Text");
  options->parameters.add_to(*command);
  options->output.add_to(*command);
  command->callback([options, &action] { action = [options] { return generate(*options); }; });
}

}  // namespace dhsa::cli
