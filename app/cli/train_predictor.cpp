// dhsa train-predictor: learn from texts where chunks should end.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "app/cli/common.h"
#include "app/cli/table.h"
#include "core/files/file_lock.h"
#include "core/sparsity/boundary_predictor.h"
#include "core/training/train_predictor.h"

namespace dhsa::cli {
namespace {

struct TrainingChoice {
  ModelOptionsText model;
  OutputOptions output;
  std::vector<std::string> texts;
  std::string out;
  std::string checkpoint;
  TrainingSettings settings;
  std::int64_t sequences = 200;
  std::int64_t measure_every = 20;
  bool resume = false;
};

std::vector<TrainingText> read_texts(const std::vector<std::string>& paths, const Tokenizer& tokenizer) {
  std::vector<TrainingText> texts;
  for (const std::string& path : paths) {
    std::string text = read_text(path);
    if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
    replace_invalid_utf8(text);
    texts.push_back({std::filesystem::path(path).filename().string(), tokenizer.encode(text, false).ids});
  }
  return texts;
}

const char* name_of(TrainingProgress::Phase phase) {
  switch (phase) {
    case TrainingProgress::Phase::kHeldOut:
      return "labelling the held-out text";
    case TrainingProgress::Phase::kLabels:
      return "labelling";
    case TrainingProgress::Phase::kLearning:
      return "learning";
    case TrainingProgress::Phase::kMeasuring:
      return "measuring";
  }
  return "";
}

void print_row(const TrainingRow& row) {
  const HeldOutQuality& held_out = row.held_out;
  fmt::print("{:>9}  {:>6}  {:>6.4f}  {:>8.4f}  {:>9}  {:>6}  {:>6}  {:>7}\n", row.sequences, row.steps, row.loss,
             held_out.loss, percent(held_out.precision), percent(held_out.recall), percent(held_out.f1),
             percent(held_out.overlap));
  std::fflush(stdout);
}

int train(const TrainingChoice& options) {
  if (options.sequences < 1 || options.sequences > 1000000 || options.measure_every < 1) {
    throw Error("--sequences must be from 1 to 1000000 and --measure-every at least 1.");
  }
  TrainingOptions how;
  how.sequences = options.sequences;
  how.measure_every = options.measure_every;
  how.checkpoint = options.checkpoint.empty() ? options.out + ".checkpoint" : options.checkpoint;
  how.resume = options.resume;
  how.cancel = &interrupt();
  if (how.resume && !std::filesystem::exists(how.checkpoint)) {
    throw Error(
        fmt::format("There is no checkpoint {} to go on from; train without --resume.", how.checkpoint.string()));
  }
  const AtomicFile writable(options.out);  // a path that cannot be written is refused before the work
  const FileLock held[] = {FileLock(options.out), FileLock(how.checkpoint)};
  JsonFile json(options.output.json);
  ProgressLine progress(options.output.style());
  const OpenModel loaded = load_model(options.model, progress);
  const Gemma2Config& config = loaded.model->config();
  check_settings(options.settings, config.kv_heads * config.head_dim);
  progress.show("reading the texts", -1);
  const std::vector<TrainingText> texts = read_texts(options.texts, *loaded.tokenizer);
  std::int64_t tokens = 0;
  for (const TrainingText& text : texts) tokens += static_cast<std::int64_t>(text.ids.size());
  progress.clear();
  // Printed once nothing has been refused.
  bool begun = false;
  const auto begin = [&] {
    if (std::exchange(begun, true)) return;
    progress.clear();
    fmt::print("Model   {}\n", wrap(describe(loaded), kLineWidth, 8));
    fmt::print("Texts   {} {} of {} tokens in all; the last tenth of each is held out\n", texts.size(),
               texts.size() == 1 ? "text" : "texts", count(tokens));
    fmt::print("\n{:>9}  {:>6}  {:>6}  {:>8}  {:>9}  {:>6}  {:>6}  {:>7}\n", "sequences", "steps", "loss", "held-out",
               "precision", "recall", "F1", "overlap");
    std::fflush(stdout);
  };

  how.progress = [&](const TrainingProgress& state) {
    begin();
    progress.show(fmt::format("sequence {} of {}: {}", std::min(state.sequence + 1, state.sequences), state.sequences,
                              name_of(state.phase)),
                  state.fraction);
  };
  how.row = [&](const TrainingRow& row) {
    progress.clear();
    print_row(row);
  };
  progress.restart();
  const TrainedPredictor trained =
      train_predictor(*loaded.model, loaded.tokenizer->bos(), texts, options.settings, how);
  progress.clear();
  const nlohmann::json settings = options.settings;
  write_predictor(options.out, trained.weights,
                  {{"trained_for", loaded.model->fingerprint()},
                   {"settings", settings.dump()},
                   {"sequences", fmt::format("{}", trained.sequences)}});
  if (!trained.history.empty()) {
    const HeldOutQuality& last = trained.history.back().held_out;
    fmt::print("\nHeld out: {} tokens of all layers, {} of them end a chunk; naming every token has F1 {}.\n",
               count(last.tokens), percent(last.positives), percent(last.trivial_f1));
  }
  fmt::print("{}{} holds the predictor of {} sequences; {} lets --resume go on.\n",
             trained.cancelled ? "Cancelled. " : "", options.out, trained.sequences, how.checkpoint.string());
  json.write({{"kind", "dhsa-train-predictor"},
              {"machine", machine_json()},
              {"model", model_json(loaded)},
              {"tokens", tokens},
              {"settings", settings},
              {"sequences", trained.sequences},
              {"steps", trained.steps},
              {"cancelled", trained.cancelled},
              {"history", trained.history}});
  return trained.cancelled ? 1 : 0;
}

}  // namespace

void add_train_predictor(CLI::App& app, Action& action) {
  auto options = std::make_shared<TrainingChoice>();
  CLI::App* command = app.add_subcommand("train-predictor", "Learn from texts where chunks should end");
  command->footer(
      "Dense prefills say after which tokens attention changes; one predictor for all layers learns it. The last "
      "tenth\n"
      "of each text is held out. Written as MODEL/predictor.safetensors it becomes the model's own.\n"
      "Example: dhsa train-predictor --model MODEL --text a.txt b.txt --out MODEL/predictor.safetensors");
  options->model.add_to(*command);
  const auto number = [&](const char* name, auto& value, const char* help) {
    command->add_option(name, value, help)->type_name("N")->group("Training");
  };
  command->add_option("--text", options->texts, "Text files to learn from")
      ->type_name("FILE...")
      ->required()
      ->group("Training");
  add_output(*command, "--out", options->out, "Predictor to write (safetensors)")->required();
  number("--sequences", options->sequences, "Sequences to learn from in all [default 200]");
  number("--min-tokens", options->settings.min_tokens, "Tokens of the shortest sequences [default 512]");
  number("--max-tokens", options->settings.max_tokens, "Tokens of the longest, by doubling [default 8192]");
  number("--cuts", options->settings.cuts, "Tokens learned from per sequence, over all layers [default 32768]");
  number("--batch", options->settings.batch, "Tokens per optimiser step [default 512]");
  number("--learning-rate", options->settings.rule.learning_rate, "Of Adam [default 0.0001]");
  number("--focal-gamma", options->settings.rule.focal_gamma, "Of the focal cross-entropy [default 2]");
  number("--positive-weight", options->settings.rule.positive_weight,
         "Weight of tokens that end a chunk [default 1.3]");
  number("--hidden", options->settings.hidden, "Hidden units of the predictor [default 256]");
  number("--heads", options->settings.heads, "Heads of its attention [default 4]");
  number("--boundary-window", options->settings.boundary_window,
         "Tokens compared on each side of a possible boundary [default 4]");
  number("--measure-every", options->measure_every,
         "Sequences between two measurements on held-out text, each followed by a checkpoint [default 20]");
  number("--seed", options->settings.seed, "Seed of weights and sequences [default 1]");
  add_output(*command, "--checkpoint", options->checkpoint, "Where the training stands [default: --out + .checkpoint]");
  command->add_flag("--resume", options->resume, "Go on from the checkpoint")->group("Training");
  options->output.add_to(*command);
  command->callback([options, &action] { action = [options] { return train(*options); }; });
}

}  // namespace dhsa::cli
