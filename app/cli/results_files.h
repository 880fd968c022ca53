// How needle tests, sweeps and ablations are run on the command line: a model, files that grow, an interrupt, a report.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/cli/common.h"
#include "core/experiments/experiment.h"
#include "core/files/file_lock.h"
#include "core/text/haystack.h"

namespace dhsa::cli {

// Ascending token counts, each once: "4096,8192" or "4K,8K". Throws Error that names the option.
[[nodiscard]] std::vector<std::int64_t> token_counts(const std::string& text, const char* option);

// The JSON and CSV files of a long piece of work, written whole after each part of it, so that what is there is valid
// whenever it stops.
class ResultsFiles {
 public:
  void add_to(CLI::App& app);  // --csv, --resume; --json belongs to OutputOptions
  // Refuses, before the work, what could not be written after it, what another program is writing, and to write over
  // unfinished results. The files are this program's alone as long as the result lives.
  [[nodiscard]] std::vector<FileLock> hold(const std::string& json) const;
  // Text of the file to go on from; none without --resume, or where there is no such file yet.
  [[nodiscard]] std::optional<std::string> earlier(const std::string& json) const;
  void write(const std::string& json, nlohmann::json results, const std::string& csv) const;
  // Says what became of the work that was cancelled; returns the exit code.
  [[nodiscard]] int stopped(const std::string& json, const ExperimentCount& count, const char* what) const;

 private:
  std::string csv_;
  bool resume_ = false;
};

// Options that all of them have.
struct ExperimentFlags {
  ModelOptionsText model;
  OutputOptions output;
  ResultsFiles files;
  OptionFlags settings;
  bool allow_long = false;

  // Settings of `table`, among them --allow-long, under their group.
  template <class Settings>
  void add_to(CLI::App& app, const OptionTable<Settings>& table) {
    settings.add_to(app, table, Settings{});
    app.add_flag("--allow-long", allow_long, "Allow texts longer than the model's context")
        ->group(table.begin()->group);
    model.add_to(app);
    output.add_to(app);
    files.add_to(app);
  }
};
// What tells one experiment from another. `part` of its results is what came out.
template <class Results, class Part>
struct ExperimentSteps {
  std::int64_t longest = 0;  // tokens of a text
  const char* counted = "";  // "prompts": what ExperimentCount counts
  Part Results::*part = nullptr;
  Results (*parse)(const std::string&, const std::string&) = nullptr;
  std::function<void(const OpenModel&, Results&)> prepare;  // may be empty
  std::function<std::vector<MethodChoice>(const Results&)> methods;
  std::function<std::vector<MethodChoice>(const Results&)> points;  // methods at all their values; empty: as methods
  std::function<void(const OpenModel&, Results&, const ExperimentOptions<Results>&,
                     const std::shared_ptr<const BoundaryPredictor>&)>
      run;
  std::function<std::string(const Results&)> report;
};

// Throws Error where `longest` tokens are more than the model's context and not allowed.
void check_context(std::int64_t longest, const OpenModel& loaded, bool allow_long);
[[nodiscard]] bool run_or_stop(const std::function<void()>& work);  // false: cancelled

// Loads the model, goes on from the file's results under --resume, writes after every part, reports what is there at
// the end or an interrupt. Returns the exit code.
template <class Results, class Part>
int run_experiment(const ExperimentFlags& flags, Results results, const ExperimentSteps<Results, Part>& steps) {
  const std::string& json = flags.output.json;
  ProgressLine progress(flags.output.style());
  const OpenModel loaded = load_model(flags.model, progress, true);
  results.model = describe(loaded);
  check_context(steps.longest, loaded, flags.allow_long);
  if (steps.prepare) steps.prepare(loaded, results);
  const auto predictor = open_predictor(steps.methods(results), loaded.folder);
  results.fingerprint = identity_of(*loaded.model, predictor.get());
  if (const std::optional<std::string> text = flags.files.earlier(json)) {
    Results file = steps.parse(*text, json);
    if (const std::string other = difference(file, results); !other.empty()) {
      throw Error(fmt::format("{} cannot be continued: {}.", json, other));
    }
    results.*steps.part = std::move(file.*steps.part);
  }
  ExperimentOptions<Results> options;
  options.cancel = &interrupt();
  options.progress = [&](const ExperimentProgress& at) { progress.show(at.step, at.fraction); };
  options.updated = [&](const Results& so_far, std::size_t) { flags.files.write(json, so_far, to_csv(so_far)); };
  progress.restart();
  const bool whole = run_or_stop([&] { steps.run(loaded, results, options, predictor); });
  progress.clear();
  if (whole) flags.files.write(json, results, to_csv(results));
  const ExperimentCount count = results.count();
  if (count.done > 0) fmt::print("{}", steps.report(results));
  return whole ? 0 : flags.files.stopped(json, count, steps.counted);
}

// Needle tests and sweeps: methods on texts of a haystack, of several lengths.
struct LengthsChoice {
  ExperimentFlags flags;
  ParameterOptions parameters;
  std::string methods;
  std::string lengths;
  std::string haystack;

  // Defaults are what the members hold. `methods_for` is "Methods to ask".
  template <class Settings>
  void add_to(CLI::App& app, const OptionTable<Settings>& table, const char* methods_for, const char* lengths_help) {
    add_own(app, table.begin()->group, methods_for, lengths_help);
    flags.add_to(app, table);
    parameters.add_to(app, {"method", "instruction-tokens"});
  }
  [[nodiscard]] Haystack read_haystack() const;  // generated prose where no file is named

 private:
  void add_own(CLI::App& app, const std::string& group, const char* methods_for, const char* lengths_help);
};

// `results` hold what its settings have beside the table's. `run` is run_needle() or run_sweep().
template <class Results, class Part>
int run_over_lengths(const LengthsChoice& choice, const OptionTable<decltype(Results::settings)>& table,
                     Results results, ExperimentSteps<Results, Part> steps,
                     void (*run)(const Gemma2&, const Tokenizer&, Results&, const ExperimentOptions<Results>&,
                                 const std::shared_ptr<const BoundaryPredictor>&)) {
  results.settings.lengths = token_counts(choice.lengths, "--lengths");
  choice.flags.settings.put(table, results.settings);
  results.methods = choice.parameters.choices(choice.methods);
  check_settings(results.settings);
  choice.parameters.say_unread(steps.points ? steps.points(results) : results.methods);
  const auto held = choice.flags.files.hold(choice.flags.output.json);
  results.settings.haystack = choice.read_haystack();
  steps.longest = results.settings.lengths.back();
  steps.methods = [](const Results& asked) { return asked.methods; };
  steps.run = [run](const OpenModel& loaded, Results& asked, const ExperimentOptions<Results>& how,
                    const std::shared_ptr<const BoundaryPredictor>& predictor) {
    run(*loaded.model, *loaded.tokenizer, asked, how, predictor);
  };
  return run_experiment(choice.flags, std::move(results), steps);
}

}  // namespace dhsa::cli
