// dhsa synth-model: random weights in the Hugging Face layout, for speed work.
#include <fmt/format.h>

#include "app/cli/common.h"
#include "app/cli/table.h"
#include "core/files/safetensors.h"

namespace dhsa::cli {
namespace {

struct Options {
  SynthOptions synth;
  std::string out;
  OutputOptions output;
};

int synth_model(const Options& options) {
  const SynthOptions& synth = options.synth;
  if (synth.layers < 0 || synth.vocab < 0 || synth.window < 0 || synth.context < 0) {
    throw Error("--layers, --vocab, --window and --context cannot be negative; 0 leaves them as the shape has them.");
  }
  JsonFile json(options.output.json);
  ProgressLine progress(options.output.style());
  progress.show("writing random weights", -1);
  write_synthetic_model(synth, options.out, &interrupt());
  progress.clear();
  const Gemma2Config config = read_config(std::filesystem::path(options.out) / "config.json");
  fmt::print("{}: {} with {} layers, {:.1f} M random weights (bfloat16, {})\n", options.out, synth.shape, config.layers,
             static_cast<double>(config.parameters()) / 1e6, bytes(2 * config.parameters()));
  json.write({{"kind", "dhsa-synth-model"},
              {"folder", options.out},
              {"shape", synth.shape},
              {"seed", synth.seed},
              {"layers", config.layers},
              {"vocab", config.vocab_size},
              {"window", config.sliding_window},
              {"weights", config.parameters()}});
  return 0;
}

}  // namespace

void add_synth_model(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("synth-model", "Write a model of random weights, for speed work");
  command
      ->add_option("--shape", options->synth.shape,
                   "Sizes to take [gemma2-2b, gemma2-9b, gemma2-27b, demo; default demo]")
      ->type_name("NAME")
      ->group("Model");
  add_output(*command, "--out", options->out, "Folder to write; made if it is not there", "DIR")->required();
  const auto size = [&](const char* name, std::int64_t& value, const char* help) {
    command->add_option(name, value, help)->type_name("N")->group("Model");
  };
  size("--layers", options->synth.layers, "Layers [default: the shape's]");
  size("--vocab", options->synth.vocab, "Vocabulary [tokens; default: the shape's]");
  size("--window", options->synth.window, "Sliding window of local layers [tokens; default: the shape's]");
  size("--context", options->synth.context, "Context in the config [tokens; default: the shape's]");
  command->add_option("--seed", options->synth.seed, "Seed of the random numbers [default 1]")
      ->type_name("N")
      ->group("Model");
  options->output.add_to(*command);
  command->callback([options, &action] { action = [options] { return synth_model(*options); }; });
}

}  // namespace dhsa::cli
