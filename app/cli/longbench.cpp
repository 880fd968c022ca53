// dhsa longbench: LongBench's tables from one command, method beside method.
#include "core/experiments/longbench.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "app/cli/common.h"
#include "app/cli/report.h"
#include "app/cli/results_files.h"
#include "app/cli/table.h"
#include "core/base/resources.h"
#include "core/sparsity/parameters_name.h"
#include "core/text/chat.h"
#include "core/text/tokenizer_config.h"

namespace dhsa::cli {
namespace {

namespace fs = std::filesystem;

// The authors' own settings: budget 2048, eight chunks a block, boundaries of the first layer for all.
constexpr const char* kAuthorsMethods =
    "dense,longbench+chunks-per-block=8+share-boundaries=true,block-sparse+budget=2048";

struct LongBenchChoice {
  ModelOptionsText model;
  OutputOptions output;
  std::string data;
  std::string prompts;
  std::string tasks;
  std::string methods;
  std::string preset = "official";
  std::int64_t max_length = 0;
  std::string truncate;
  std::string chat;
  std::string mode = "reference";
  std::int64_t limit = 0;
  bool e = false;
  std::string out;
  bool resume = false;
  bool allow_long = false;
};

LongBenchSettings settings_of(const LongBenchChoice& options) {
  LongBenchSettings settings = longbench_preset(options.preset);
  if (options.max_length != 0) settings.max_length = options.max_length;
  if (!options.truncate.empty()) settings.truncate = truncation(options.truncate);
  if (!options.chat.empty() && options.chat != "on" && options.chat != "off") {
    throw Error(fmt::format("--chat: {} is neither on nor off.", in_quotes(options.chat)));
  }
  if (!options.chat.empty()) settings.chat = options.chat == "on";
  settings.mode = longbench_mode(options.mode);
  settings.limit = options.limit;
  settings.e = options.e;
  check_settings(settings);
  return settings;
}

void add_lines(Table& table, const LongBenchResults& results, const std::vector<LongBenchLine>& lines) {
  for (const LongBenchLine& line : lines) {
    std::vector<std::string> cells = {line.kind == LongBenchLine::Kind::kTask ? "  " + line.label : line.label};
    for (std::size_t m = 0; m < results.methods.size(); ++m) {
      cells.push_back(line.percents[m] ? fmt::format("{:.2f}", *line.percents[m]) : "-");
    }
    table.add(std::move(cells));
  }
}

std::string score_table(const LongBenchResults& results, const std::string& heading,
                        const std::vector<LongBenchLine>& lines) {
  if (lines.empty()) return {};
  std::vector<std::string> headings = {heading};
  for (const MethodChoice& method : results.methods) headings.push_back(method.name);
  Table table(headings);
  add_lines(table, results, lines);
  return "\n" + table.text();
}

std::string report(const LongBenchResults& results) {
  const LongBenchSettings& settings = results.settings;
  std::int64_t rows = 0;
  for (const LongBenchTaskResults& task : results.tasks) rows += task.rows;
  std::string text = fmt::format("Model   {}\n", wrap(results.model, kLineWidth, 8));
  text += fmt::format(
      "Test    {}\n",
      wrap(fmt::format(
               "LongBench{} of {}: {} {}, {} {}; {}, prompts of at most {} tokens ({}), {}", settings.e ? "-E" : "",
               results.data, results.tasks.size(), results.tasks.size() == 1 ? "task" : "tasks", count(rows),
               rows == 1 ? "row" : "rows", longbench_preset_text(settings), count(settings.max_length),
               settings.truncate == Truncation::kMiddle ? "longer ones keep both ends" : "longer ones keep their end",
               longbench_mode_text(settings.mode)),
           kLineWidth, 8));
  text += score_table(results, "English", longbench_table(results, false));
  text += score_table(results, "Chinese", longbench_table(results, true));
  if (settings.e) text += score_table(results, "by length", longbench_e_table(results));
  MeasureTable measured({"method"}, {});
  for (std::size_t m = 0; m < results.methods.size(); ++m) {
    measured.add({{}, {results.methods[m].name}, results.summary(m), {}});
  }
  return text + "\n" + measured.text() + "\n  " +
         wrap(
             "Scores in percent by the official metrics; a group is the mean of its tasks, the average that of the "
             "groups.",
             kLineWidth, 2) +
         "\n" + measured.legend();
}

// Takes over what the folder holds, or begins it; it is this program's as long as the result lives.
FileLock open_folder(const LongBenchChoice& options, LongBenchResults& results) {
  if (options.out.empty()) {
    if (options.resume) throw Error("--resume goes on from the folder that --out names; name one.");
    return {};
  }
  const fs::path folder = options.out;
  if (fs::exists(folder / "results.json") && !options.resume) {
    throw Error(fmt::format("{} holds results; add --resume to go on with them, or name another folder.", options.out));
  }
  std::error_code ignored;  // who writes there says what is wrong
  fs::create_directories(folder, ignored);
  FileLock held(folder / "results.json");
  begin_longbench_folder(folder, results);
  return held;
}

int longbench(const LongBenchChoice& options) {
  LongBenchSettings settings = settings_of(options);
  const std::string methods =
      !options.methods.empty() ? options.methods : (settings.authors() ? kAuthorsMethods : kUsualMethods);
  std::vector<MethodChoice> choices = ParameterOptions().choices(methods);
  ParameterOptions().say_unread(choices);
  JsonFile json(options.output.json);
  const fs::path folder = options.data.empty() ? resource_path("longbench") : fs::path(options.data);
  const LongBenchData data =
      read_longbench(folder, options.prompts, split_list(options.tasks), settings.e, settings.limit);

  ProgressLine progress(options.output.style());
  const OpenModel loaded = load_model(options.model, progress, true);
  if (options.chat.empty()) settings.chat = settings.chat && is_instruction_tuned(loaded.folder);
  const auto predictor = open_predictor(choices, loaded.folder);
  LongBenchResults results = begin_longbench(settings, data, std::move(choices));
  results.model = describe(loaded);
  results.fingerprint = identity_of(*loaded.model, predictor.get());
  check_context(settings.max_length, loaded, options.allow_long);
  const FileLock held = open_folder(options, results);
  progress.clear();
  if (settings.chat && !turn_markers(*loaded.tokenizer)) {
    say("dhsa: This model knows no turns of a chat; its prompts stand alone.\n");
  }

  LongBenchOptions run;
  run.cancel = &interrupt();
  run.progress = [&](const ExperimentProgress& at) { progress.show(at.step, at.fraction); };
  run.updated = [&](const LongBenchResults& now, std::size_t answer) {
    const LongBenchPlace place = now.place(answer);
    if (!options.out.empty()) append_longbench_answer(options.out, now, place, data.sets[place.task].rows[place.row]);
  };
  progress.restart();
  const bool whole =
      run_or_stop([&] { run_longbench(*loaded.model, *loaded.tokenizer, data, results, run, predictor); });
  progress.clear();
  const ExperimentCount count = results.count();
  if (count.done > 0) fmt::print("{}", report(results));
  if (whole) {
    json.write(results);
    return 0;
  }
  say(fmt::format("dhsa: Cancelled after {} of {} answers; {}.\n", count.done, count.all,
                  options.out.empty() ? "they are shown above" : options.out + " has them, and --resume goes on"));
  return 1;
}

}  // namespace

void add_longbench(CLI::App& app, Action& action) {
  auto options = std::make_shared<LongBenchChoice>();
  CLI::App* command = app.add_subcommand("longbench", "LongBench's tasks, prompts and scores, method beside method");
  command->footer(
      "Without --data a tiny set of our own is asked, made for the demo model. Answers are decoded densely on the "
      "keys\n"
      "and values of the prefill. Chinese texts are cut into words by jieba's dictionary, which comes with the "
      "program.\n"
      "dhsa-v1 is what the authors of DHSA ran: the last 8192 tokens of a prompt (their table says 7950, which their\n"
      "look-up never finds), no chat turn, <eos> alone ends an answer. Their own prompts are not part of it.\n"
      "Example: dhsa longbench --data LongBench/data --model gemma-2-2b-it --methods dense,best+budget=512 --out lb");
  const auto add = [&](const char* name, auto& value, const std::string& help, const char* type) {
    command->add_option(name, value, help)->type_name(type)->group("Test");
  };
  add("--data", options->data, "Folder with the official TASK.jsonl files [default: our own tiny set]", "DIR");
  add("--prompts", options->prompts, "The official dataset2prompt.json [default: the one in the data's folder]",
      "FILE");
  add("--tasks", options->tasks, "Tasks, separated by commas [default: all in the folder]", "NAMES");
  add("--methods", options->methods,
      fmt::format("Presets and methods, separated by commas; +PARAMETER=VALUE after a name changes it, as in "
                  "best+budget=512 [default {}]",
                  kUsualMethods),
      "NAMES");
  add("--preset", options->preset,
      "official: both ends of long prompts, chat turn; dhsa-v1: as the authors of DHSA ran it [default official]",
      "NAME");
  add("--max-length", options->max_length, "Most tokens of a prompt [default 7500; dhsa-v1: 8192]", "N");
  add("--truncate", options->truncate,
      "middle: longer prompts keep both ends; last: their end [default middle; dhsa-v1: last]", "NAME");
  add("--chat", options->chat,
      "on, off: a user's turn around the prompts that the official script wraps [default on for models with a chat "
      "template; dhsa-v1: off]",
      "on|off");
  add("--mode", options->mode,
      "reference: in the prefill the rows of the question attend densely, as the authors' do; strict: they are sparse "
      "too [default reference]",
      "NAME");
  add("--limit", options->limit, "Rows of each task [default 0: all]", "N");
  command->add_flag("--longbench-e", options->e, "Read TASK_e.jsonl, LongBench-E, and score by length")->group("Test");
  command->add_flag("--allow-long", options->allow_long, "Allow prompts longer than the model's context")
      ->group("Test");
  options->model.add_to(*command);
  options->output.add_to(*command);
  add_output(*command, "--out", options->out,
             "Folder for every prediction (pred/METHOD/TASK.jsonl, in the official form) and the tables as JSON, CSV "
             "and Markdown",
             "DIR");
  command->add_flag("--resume", options->resume, "Go on from the answers in the folder that --out names")
      ->group("Output");
  command->callback([options, &action] { action = [options] { return longbench(*options); }; });
}

}  // namespace dhsa::cli
