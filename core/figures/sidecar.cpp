#include "core/figures/sidecar.h"

#include <fmt/format.h>

#include <list>

#include "core/base/error.h"
#include "core/files/atomic_write.h"
#include "core/files/sha256.h"
#include "core/run/provenance.h"
#include "core/text/sentencepiece_internal.h"

namespace dhsa {

std::string differences_of(const SparsityParameters& parameters, const SparsityParameters& defaults) {
  std::string text;
  for (const auto& option : parameter_table()) {
    const OptionValue value = option.get(parameters);
    if (value == option.get(defaults)) continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", option.key, plain_text(value));
  }
  return text;
}

void apply_differences(SparsityParameters& parameters, const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const auto [key, value] = assignment(text.substr(at, comma - at), "--ran-with");
    set_parameter(parameters, key, value);
    at = comma + 1;
  }
}

std::vector<std::string> export_arguments(const FigureOrigin& origin, const FigureSpec& spec,
                                          const std::filesystem::path& output) {
  std::vector<std::string> arguments = {"dhsa", "export"};
  std::string panels;
  for (const FigurePanel& panel : spec.panels) panels += (panels.empty() ? "" : ",") + to_text(panel);
  arguments.push_back(panels);
  const auto add = [&](const char* option, const std::string& value) {
    if (value.empty()) return;
    arguments.emplace_back(option);
    arguments.push_back(value);
  };
  if (needs_model(spec)) {
    add("--session", origin.session);
    if (origin.session.empty()) {
      if (!origin.text.empty()) arguments.push_back(origin.text);
      add("--model", origin.model);
      if (origin.reading.allow_long) arguments.emplace_back("--allow-long");
      if (origin.reading.chat != "auto") add("--chat", origin.reading.chat);
      add("--question-marks", origin.reading.question_marks);
    }
    if (origin.device != "cpu") add("--device", origin.device);
    if (origin.dtype != "auto") add("--dtype", origin.dtype);
    if (origin.threads > 0) add("--threads", std::to_string(origin.threads));
    const auto parameters = arguments_of(origin.parameters, origin.defaults);
    arguments.insert(arguments.end(), parameters.begin(), parameters.end());
    if (!(origin.ran_with == origin.parameters)) add("--ran-with", differences_of(origin.ran_with, origin.parameters));
  }
  if (needs_files(spec)) {
    for (const std::string& file : origin.files) add("--data-file", file);
  }
  const auto looks = arguments_of(spec);
  arguments.insert(arguments.end(), looks.begin(), looks.end());
  add("--out", output.filename().string());
  return arguments;
}

std::string sidecar_json(const FigureOrigin& origin, const FigureSpec& spec, const FigureData& data,
                         const FigureFiles& files, const nlohmann::json& drawing) {
  using Json = nlohmann::ordered_json;
  Json json = Json::object();
  json["kind"] = drawing.is_null() ? "dhsa-data" : "dhsa-figure";
  json["schema"] = 1;
  json["command"] = shell_line(export_arguments(origin, spec, files.path));
  if (!origin.remark.empty()) json["remark"] = origin.remark;
  json["program"] = {{"name", "dhsa"}, {"version", program_version()}, {"revision", program_revision()}};
  const auto named = [&](const char* suffix) {
    return std::filesystem::path(files.path).replace_extension(suffix).filename().string();
  };
  Json& written = json["files"] = Json::object();
  if (!files.figure.empty() || !drawing.is_null()) written["figure"] = files.path.filename().string();
  if (!files.arrays.empty()) written["arrays"] = named(".npz");
  if (!files.csv.empty()) written["table"] = named(".csv");
  json["figure"] = nlohmann::json(spec);
  Json& panels = json["panels"] = Json::array();
  for (std::size_t p = 0; p < data.panels.size(); ++p) {
    const FigurePanelData& panel = data.panels[p];
    Json entry = {{"letter", panel_letter(p)}, {"shows", to_text(panel.panel)}, {"name", panel.long_name}};
    if (!panel.value_title.empty()) entry["values"] = panel.value_title;
    if (!drawing.is_null()) entry["drawing"] = drawing.at("panels").at(p);
    entry["facts"] = panel.facts;
    panels.push_back(std::move(entry));
  }
  if (!drawing.is_null()) json["page"] = drawing.at("page");
  if (needs_model(spec)) {
    json["model"] = origin.model_facts;
    json["document"] = origin.document_facts;
    json["parameters"] = nlohmann::json(origin.parameters);
    if (!(origin.ran_with == origin.parameters)) json["ran_with"] = nlohmann::json(origin.ran_with);
  }
  if (!files.arrays.empty()) json["arrays"] = array_notes_of(data);
  json["machine"] = machine_json();
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void describe_sources(FigureOrigin& origin, const std::filesystem::path& model_folder, const Gemma2& model,
                      const Document& document, const std::string& name, const std::string& sha256_of_text) {
  origin.model_facts = model_json(model_folder, model);
  // The command names the folder; here, what identifies it wherever it lies.
  const auto folder = model_folder.filename().empty() ? model_folder.parent_path() : model_folder;
  origin.model_facts["folder"] = folder.filename().string();
  origin.model_facts["tokenizer_sha256"] = sha256(tokenizer_bytes(model_folder));
  origin.document_facts = document_json(document);
  origin.document_facts["name"] = name;
  origin.document_facts["sha256"] = sha256_of_text;
}

FigureFiles make_figure_files(const FigureOrigin& origin, FigureSpec& spec, const FigureMaterial& material,
                              const std::filesystem::path& path, const FigurePainter* painter,
                              const FigureProgress& progress, const CancelToken* cancel) {
  const FigureData data = make_figure_data(spec, material, painter == nullptr, progress, cancel);
  FigureFiles files;
  files.path = path;
  if (spec.data || painter == nullptr) {
    files.arrays = arrays_of(data);
    files.csv = csv_of(data);
  }
  nlohmann::json drawing;
  if (painter != nullptr) {
    if (progress) progress("drawing", 0.9);
    drawing = painter->describe(data, spec);
    files.page = drawing.at("page");
  }
  files.json = sidecar_json(origin, spec, data, files, drawing);
  if (painter != nullptr) files.figure = painter->draw(data, spec, files.json);
  if (cancel != nullptr) cancel->check();
  return files;
}

void write_figure_files(const FigureFiles& files) {
  const auto named = [&](const char* suffix) { return std::filesystem::path(files.path).replace_extension(suffix); };
  // All is written, and found to fit, before anything takes the place of an older file.
  std::list<AtomicFile> open;
  if (!files.arrays.empty()) write_npz(open.emplace_back(named(".npz")), files.arrays);
  if (!files.csv.empty()) open.emplace_back(named(".csv")).write(files.csv);
  if (!files.json.empty()) open.emplace_back(named(".json")).write(files.json);
  if (!files.figure.empty()) open.emplace_back(files.path).write(files.figure);
  for (AtomicFile& file : open) file.commit();
}

}  // namespace dhsa
