#include "app/cli/common.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "app/cli/table.h"
#include "core/attention/attend.h"
#include "core/base/parallel.h"
#include "core/base/resources.h"
#include "core/model/folder.h"
#include "core/run/open_model.h"
#include "core/sparsity/boundary_predictor.h"

namespace dhsa::cli {
namespace {

std::string joined(const std::vector<std::string>& parts, const char* between) {
  return fmt::format("{}", fmt::join(parts, between));
}

std::string all_of_input() {
  std::string text;
  std::vector<char> buffer(std::size_t{1} << 16U);
  while (true) {
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    interrupt().check();
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error("Standard input cannot be read.");
    if (got == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > kLargestText) {
      throw Error(fmt::format("The text on standard input is longer than {}; give a shorter one.",
                              bytes(static_cast<std::int64_t>(kLargestText))));
    }
  }
}

}  // namespace

void ModelOptionsText::add_to(CLI::App& app, bool with_folder) {
  if (with_folder) {
    app.add_option("--model", folder,
                   "Folder of a Gemma 2 model in the Hugging Face layout, or its GGUF file [default: the demo model]")
        ->type_name("DIR")
        ->group("Model");
  }
  app.add_option("--device", device, "Where to compute [cpu, cuda; default cpu]")->type_name("NAME")->group("Model");
  app.add_option(
         "--dtype", dtype,
         "Type of activations, queries, keys and values [float32, bfloat16; default float32 on cpu, bfloat16 on "
         "cuda]")
      ->type_name("TYPE")
      ->group("Model");
  app.add_option("--threads", threads, "Threads to compute with [0 to 1024; default 0: one per processor]")
      ->type_name("N")
      ->group("Model");
}

std::filesystem::path ModelOptionsText::path() const {
  return model_folder(folder.empty() ? resource_path("models/demo") : std::filesystem::path(folder));
}

ModelOptions ModelOptionsText::options() const {
  ModelOptions options;
  if (device == "cuda") {
    options.device = Device::kCuda;
    if (!cuda_available()) {
      throw Error(
          "No CUDA device can be used: this program was built without CUDA or no device is there; use --device cpu.");
    }
  } else if (device != "cpu") {
    throw Error(fmt::format("--device: \"{}\" is not a device; use cpu or cuda.", device));
  }
  if (dtype == "bfloat16" || (dtype == "auto" && options.device == Device::kCuda)) {
    options.compute = DType::kBFloat16;
  } else if (dtype != "float32" && dtype != "auto") {
    throw Error(fmt::format("--dtype: \"{}\" is not a type to compute in; use float32 or bfloat16.", dtype));
  }
  return options;
}

void ModelOptionsText::use_threads() const {
  if (threads < 0 || threads > 1024) throw Error(fmt::format("--threads: {} is outside 0 to 1024.", threads));
  set_compute_threads(threads);
}

CLI::Option* add_output(CLI::App& app, const std::string& name, std::string& path, const std::string& help,
                        const char* type) {
  return app.add_option(name, path, help)->type_name(type)->group("Output");
}

bool names_output(const CLI::Option& option) { return option.get_group() == "Output" && option.get_expected_max() > 0; }

void OutputOptions::add_to(CLI::App& app) {
  add_output(app, "--json", json, "Also write the results to this file as JSON");
  app.add_flag("--progress", progress, "Progress as plain lines on standard error, also where that is no terminal")
      ->group("Output");
  app.add_flag("--quiet", quiet, "No progress")->group("Output");
}

ProgressStyle OutputOptions::style() const {
  if (quiet) return ProgressStyle::kNone;
  if (progress) return ProgressStyle::kPlainLines;
  return isatty(STDERR_FILENO) != 0 ? ProgressStyle::kTerminal : ProgressStyle::kNone;
}

JsonFile::JsonFile(const std::string& path) {
  if (path.empty()) return;
  if (std::filesystem::is_directory(path)) throw Error(fmt::format("--json: {} is a folder; name a file.", path));
  file_.emplace(path);
}

void JsonFile::write(const nlohmann::json& json) {
  if (!file_) return;
  // Answers may hold any bytes the model makes up.
  file_->write(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  file_->write(std::string_view("\n"));
  file_->commit();
  file_.reset();
}

void OptionFlags::add(CLI::App& app, const OptionInfo& info, const std::string& help, const std::string& group) {
  using Kind = OptionInfo::Kind;
  Flag& flag = flags_.emplace_back(Flag{info.key, false, {}, nullptr});
  CLI::Option* made = info.kind == Kind::kFlag ? app.add_flag(fmt::format("--{0},!--no-{0}", info.key), flag.on, help)
                                               : app.add_option("--" + info.key, flag.text, help);
  if (info.kind != Kind::kFlag) {
    made->type_name(info.kind == Kind::kCount  ? "N"
                    : info.kind == Kind::kReal ? "X"
                    : info.kind == Kind::kFile ? "FILE"
                                               : "NAME");
  }
  flag.option = made->group(group);
}

std::vector<std::pair<std::string, OptionValue>> OptionFlags::given() const {
  std::vector<std::pair<std::string, OptionValue>> values;
  for (const Flag& flag : flags_) {
    if (flag.option->count() == 0) continue;
    const bool takes_value = flag.option->get_expected_max() > 0;
    values.emplace_back(flag.key, takes_value ? OptionValue(flag.text) : OptionValue(flag.on));
  }
  return values;
}

void ParameterOptions::add_to(CLI::App& app, const std::vector<std::string>& without) {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) names.push_back(preset.name);
  const auto offered = [&](const char* key) { return std::find(without.begin(), without.end(), key) == without.end(); };
  if (offered("method")) {
    app.add_option("--preset", preset_,
                   fmt::format("Named settings; single options go on top [{}]", joined(names, ", ")))
        ->type_name("NAME")
        ->group("Method");
  }
  std::vector<std::string> left_out = without;
  left_out.emplace_back("instruction-tokens");
  flags_.add_to(app, parameter_table(), SparsityParameters{}, {}, left_out);
  if (!offered("instruction-tokens")) return;
  const OptionInfo& instruction = parameter_table().at("instruction-tokens");
  app.add_option(
         "--instruction-tokens", instruction_,
         fmt::format("{} [tokens; default auto: from the last line that begins with one of --question-marks, where it "
                     "stands at most {} tokens before the end, else 0]",
                     instruction.help, kMostQuestionTokens))
      ->type_name("N|auto")
      ->group(instruction.group);
}

SparsityParameters ParameterOptions::read(std::int64_t question) const {
  SparsityParameters parameters;
  parameters.instruction_tokens = question;
  return read_onto(parameters);
}

SparsityParameters ParameterOptions::read_onto(SparsityParameters parameters) const {
  if (!preset_.empty()) apply_preset(parameters, preset_);
  if (instruction_ != "auto") set_parameter(parameters, "instruction-tokens", instruction_);
  const auto given = flags_.given();
  for (const auto& [key, value] : given) {
    if (key != "method") continue;
    SparsityParameters asked = parameters;
    set_parameter(asked, key, value);
    switch_method(parameters, asked.method);
  }
  flags_.put(parameter_table(), parameters);
  check_parameters(parameters);
  return parameters;
}

MethodChoice ParameterOptions::choice(std::int64_t question) const {
  const SparsityParameters parameters = read(question);
  const bool of_preset = !preset_.empty() && named_parameters(preset_).method == parameters.method;
  return {of_preset ? preset_ : name_of(parameters.method), parameters};
}

std::vector<MethodChoice> ParameterOptions::choices(const std::string& names, std::int64_t question) const {
  SparsityParameters parameters;
  parameters.instruction_tokens = question;
  if (instruction_ != "auto") set_parameter(parameters, "instruction-tokens", instruction_);
  ParameterChanges changes = flags_.given();
  std::erase_if(changes, [](const auto& change) { return change.first == "method"; });
  std::vector<MethodChoice> choices;
  for (const std::string& name : split_list(names)) {
    if (std::any_of(choices.begin(), choices.end(), [&](const auto& other) { return other.name == name; })) {
      throw Error(fmt::format("{} is named twice among the methods; name it once.", name));
    }
    choices.push_back({name, named_parameters(name, parameters, changes)});
  }
  if (choices.empty()) throw Error("--methods names no method.");
  return choices;
}

// Says which of the changes no choice reads.
static void say_unread(const std::string& mark, const std::vector<MethodChoice>& choices,
                       const ParameterChanges& changes, bool has_predictor) {
  std::vector<std::string> names;
  for (const MethodChoice& choice : choices) {
    if (std::find(names.begin(), names.end(), choice.name) == names.end()) names.push_back(choice.name);
  }
  for (const auto& [key, value] : changes) {
    const auto reads = [&](const MethodChoice& choice) { return is_read(choice.parameters, key, has_predictor); };
    if (std::any_of(choices.begin(), choices.end(), reads)) continue;
    say(fmt::format("dhsa: {}{} makes no difference to {}, which does not read it here.\n", mark, key,
                    joined(names, " and ")));
  }
}

void say_unread(const std::string& mark, const MethodChoice& choice, const ParameterChanges& changes) {
  say_unread(mark, std::vector<MethodChoice>{choice}, changes, false);
}

void ParameterOptions::say_unread(const std::vector<MethodChoice>& choices, bool has_predictor) const {
  ParameterChanges given = flags_.given();
  if (instruction_ != "auto") given.emplace_back("instruction-tokens", instruction_);
  cli::say_unread("--", choices, given, has_predictor);
  for (auto choice = choices.begin(); choice != choices.end(); ++choice) {
    const auto same = [&](const MethodChoice& other) { return other.name == choice->name; };
    if (std::find_if(choices.begin(), choices.end(), same) != choice) continue;  // said already
    std::vector<MethodChoice> all;
    std::copy_if(choices.begin(), choices.end(), std::back_inserter(all), same);
    cli::say_unread("+", all, changes_in(choice->name), has_predictor);
  }
}

std::string ParameterOptions::settings_text(const MethodChoice& choice, bool has_predictor) const {
  const std::string name = choice.name.substr(0, choice.name.find('+'));
  const SparsityParameters named = named_parameters(name);
  std::string text;
  for (const Option<SparsityParameters>& option : parameter_table()) {
    if (option.key == "method" || !is_read(choice.parameters, option.key, has_predictor)) continue;
    const OptionValue value = option.get(choice.parameters);
    if (option.key != "budget" && value == option.get(named)) continue;
    const std::string shown =
        std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : to_text(option, value);
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", option.key, shown);
  }
  return text;
}

std::string method_names_help(const std::string& what, const std::string& standard) {
  return fmt::format(
      "{}, separated by commas: a preset, or a method with the values of its preset; single options below hold for "
      "all of them, and +PARAMETER=VALUE after a name changes it alone, as in best+score-rows=8 [default {}]",
      what, standard);
}

OpenModel load_model(const ModelOptionsText& choice, ProgressLine& progress, bool warm_up) {
  choice.use_threads();
  OpenModelOptions options;
  options.model = choice.options();
  options.warm_up = warm_up;
  options.cancel = &interrupt();
  options.progress = [&](const char* what) { progress.show(what, -1); };
  return open_model(choice.path(), options);
}

void check_count(const char* option, std::int64_t value, std::int64_t least, std::int64_t most) {
  if (value < least || value > most) {
    throw Error(fmt::format("{} cannot be {}; give {} to {}.", option, value, least, count(most)));
  }
}

void TextOptions::add_to(CLI::App& app) {
  app.add_option("TEXT", path, "Text file, or - for standard input [default: the sample document]")
      ->type_name("")
      ->group("Text");
  app.add_flag("--allow-long", reading.allow_long,
               "Run a text longer than the model's context whole instead of cutting it")
      ->group("Text");
  app.add_option("--question-marks", reading.question_marks,
                 fmt::format("What the line of a question at the end begins with, separated by commas; none: no line "
                             "[default {}]",
                             joined(usual_question_marks(), ", ")))
      ->type_name("LIST")
      ->group("Text");
  app.add_option(
         "--chat", reading.chat,
         "Give the text as one turn of the user [auto, on, off; default auto: where the model's chat template is "
         "Gemma's]")
      ->type_name("MODE")
      ->group("Text");
}

std::string question_line(const Document& document) {
  if (document.question_tokens == 0) return {};
  const TokenSpan& first =
      document.encoding.spans[static_cast<std::size_t>(document.tokens() - document.question_tokens)];
  std::string_view line = std::string_view(document.text).substr(static_cast<std::size_t>(first.begin));
  line.remove_prefix(std::min(line.find_first_not_of("\r\n "), line.size()));
  line = line.substr(0, line.find_first_of("\r\n"));
  const bool whole = characters(line) <= 40;
  return in_quotes(std::string(first_characters(line, 40)) + (whole ? "" : "..."));
}

Document load_document(const TextOptions& text, const TextReader& reader, ProgressLine* progress) {
  DocumentOptions options = document_options(text.reading, reader.folder, reader.context);
  options.cancel = &interrupt();
  if (progress != nullptr) options.progress = [progress](double share) { progress->show("reading the text", share); };
  const std::filesystem::path path =
      text.path.empty() ? resource_path("documents/sample.txt") : std::filesystem::path(text.path);
  Document document = text.path == "-"
                          ? make_document("standard input", all_of_input(), *reader.tokenizer, options)
                          : make_document(path.filename().string(), read_text(path), *reader.tokenizer, options);
  if (document.tokens() < document.whole_tokens) document.notes.emplace_back("--allow-long runs the text whole.");
  return document;
}

Document load_document(const TextOptions& text, const OpenModel& loaded, ProgressLine* progress) {
  const TextReader reader = {loaded.folder, loaded.tokenizer, loaded.model->config().context};
  Document document = load_document(text, reader, progress);
  // What was chosen in reading the model is said with what was done to the text.
  for (std::string& note : weight_notes(loaded.folder)) document.notes.push_back(std::move(note));
  return document;
}

std::string describe(const OpenModel& loaded) {
  const Gemma2Config& config = loaded.model->config();
  const ModelOptions& options = loaded.model->options();
  return fmt::format("{}: {:.1f} M weights ({}), {} layers, {} query and {} key/value heads of {}, window {}, {} on {}",
                     loaded.folder.filename().empty() ? loaded.folder.parent_path().filename().string()
                                                      : loaded.folder.filename().string(),
                     static_cast<double>(config.parameters()) / 1e6, bytes(loaded.model->weight_bytes()), config.layers,
                     config.heads, config.kv_heads, config.head_dim, config.sliding_window, name_of(options.compute),
                     options.device == Device::kCpu ? fmt::format("CPU, {} threads", compute_threads()) : "CUDA");
}

nlohmann::json model_json(const OpenModel& loaded) { return dhsa::model_json(loaded.folder, *loaded.model); }

}  // namespace dhsa::cli
