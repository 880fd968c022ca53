// What the sub-commands share: the options for model, text, method and output, and what they lead to.
#pragma once

#include <CLI/App.hpp>
#include <algorithm>
#include <functional>
#include <list>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/cli/progress.h"
#include "core/base/lists.h"
#include "core/files/atomic_write.h"
#include "core/model/gemma2.h"
#include "core/run/open_model.h"
#include "core/run/provenance.h"
#include "core/run/run.h"
#include "core/sparsity/parameters.h"
#include "core/text/document.h"
#include "core/text/tokenizer.h"

namespace dhsa::cli {

// The chosen sub-command; returns the exit code (0 fine, 1 a verification failed). Run after parsing is over.
using Action = std::function<int()>;

// Each adds its sub-command and sets `action` when that was chosen.
void add_run(CLI::App& app, Action& action);
void add_inspect(CLI::App& app, Action& action);
void add_generate(CLI::App& app, Action& action);
void add_verify(CLI::App& app, Action& action);
void add_synth_model(CLI::App& app, Action& action);
void add_info(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_needle(CLI::App& app, Action& action);
void add_longbench(CLI::App& app, Action& action);
void add_sweep(CLI::App& app, Action& action);
void add_export(CLI::App& app, Action& action);
void add_train_predictor(CLI::App& app, Action& action);
void add_ablate(CLI::App& app, Action& action);

struct ModelOptionsText {
  std::string folder;  // empty: the demo model
  std::string device = "cpu";
  std::string dtype = "auto";
  int threads = 0;

  void add_to(CLI::App& app, bool with_folder = true);
  [[nodiscard]] std::filesystem::path path() const;
  [[nodiscard]] ModelOptions options() const;  // throws Error where the device is not there
  void use_threads() const;
};

// Options that name a file or folder to write, in help under "Output" all of them.
CLI::Option* add_output(CLI::App& app, const std::string& name, std::string& path, const std::string& help,
                        const char* type = "FILE");
[[nodiscard]] bool names_output(const CLI::Option& option);

struct OutputOptions {
  std::string json;
  bool progress = false;
  bool quiet = false;

  void add_to(CLI::App& app);
  [[nodiscard]] ProgressStyle style() const;
};

// Opened before the work, so that a path that cannot be written is refused at once; there only if written.
class JsonFile {
 public:
  explicit JsonFile(const std::string& path);
  [[nodiscard]] explicit operator bool() const noexcept { return file_.has_value(); }
  void write(const nlohmann::json& json);

 private:
  std::optional<AtomicFile> file_;
};

// One option of the command line for each row of a table, and what was given of them.
class OptionFlags {
 public:
  // In help under the option's group, after `prefix`; keys in `without` get none.
  template <class Settings>
  void add_to(CLI::App& app, const OptionTable<Settings>& table, const Settings& defaults,
              const std::string& prefix = {}, const std::vector<std::string>& without = {}) {
    for (const Option<Settings>& option : table) {
      if (std::find(without.begin(), without.end(), option.key) != without.end()) continue;
      add(app, option, help_of(option, option.get(defaults)), prefix + option.group);
    }
  }
  void add(CLI::App& app, const OptionInfo& info, const std::string& help, const std::string& group);
  // Keys and values in the order of the table; the value of a flag is a bool, others are as they were written.
  [[nodiscard]] std::vector<std::pair<std::string, OptionValue>> given() const;
  template <class Settings>
  void put(const OptionTable<Settings>& table, Settings& settings) const {
    for (const auto& [key, value] : given()) table.at(key).set(settings, value);
  }

 private:
  struct Flag {
    std::string key;
    bool on = false;
    std::string text;
    const CLI::Option* option = nullptr;
  };
  std::list<Flag> flags_;  // CLI11 keeps their addresses
};

// Says on standard error which of the changes, `mark` before their keys, make no difference to the method.
void say_unread(const std::string& mark, const MethodChoice& choice, const ParameterChanges& changes);

// One option per row of parameter_table(), and --preset. Instruction tokens also take "auto".
class ParameterOptions {
 public:
  void add_to(CLI::App& app, const std::vector<std::string>& without = {});
  // Defaults, then the preset, then the method with its preset where it is another, then single options. `question`
  // replaces "auto".
  [[nodiscard]] SparsityParameters read(std::int64_t question) const;
  // The same on top of other values than the defaults; their instruction tokens hold unless the option is given.
  [[nodiscard]] SparsityParameters read_onto(SparsityParameters parameters) const;
  // read() under the name of --preset, or of its method where that is another.
  [[nodiscard]] MethodChoice choice(std::int64_t question) const;
  // What each name (at commas) stands for, single options (but for --preset and --method) between a name's preset and
  // what it says after "+". Throws Error on other names, on none, and on one that comes twice.
  [[nodiscard]] std::vector<MethodChoice> choices(const std::string& names, std::int64_t question = 0) const;
  // Says on standard error which of the options given make no difference: to any of the methods, or, after "+", to its
  // own. A name may come several times, with all the values it will be measured at. See is_read() for `has_predictor`.
  void say_unread(const std::vector<MethodChoice>& choices, bool has_predictor = false) const;
  // The budget, and whatever else the method reads that differs from what its name stands for.
  [[nodiscard]] std::string settings_text(const MethodChoice& choice, bool has_predictor) const;

 private:
  std::string preset_;
  std::string instruction_ = "auto";
  OptionFlags flags_;
};
// Help of an option that takes names of methods: `what` it is for, `standard` its default.
[[nodiscard]] std::string method_names_help(const std::string& what, const std::string& standard);

// `warm_up`: prefills will be timed.
[[nodiscard]] OpenModel load_model(const ModelOptionsText& choice, ProgressLine& progress, bool warm_up = false);

// The text of a command and how it is read.
struct TextOptions {
  std::string path;  // "-": standard input, empty: the sample document
  TextReading reading;

  void add_to(CLI::App& app);
};
// Throws Error where a number given is out of its range.
void check_count(const char* option, std::int64_t value, std::int64_t least, std::int64_t most = 1'000'000);
// How the question at the end begins, in quotes; empty where there is none.
[[nodiscard]] std::string question_line(const Document& document);
[[nodiscard]] Document load_document(const TextOptions& text, const OpenModel& loaded,
                                     ProgressLine* progress = nullptr);
// The same for a model of which only this is known.
struct TextReader {
  std::filesystem::path folder;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::int64_t context = 0;
};
[[nodiscard]] Document load_document(const TextOptions& text, const TextReader& reader,
                                     ProgressLine* progress = nullptr);
// The model's line in a report, and the same as JSON.
[[nodiscard]] std::string describe(const OpenModel& loaded);
[[nodiscard]] nlohmann::json model_json(const OpenModel& loaded);

}  // namespace dhsa::cli
