// The JSON beside every exported file: where it comes from, and the command that makes it again. Of files that
// `dhsa export` wrote, that command makes the same bytes; of the window's, which knows less of the machine, the same
// figure and data.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/figures/figure_data.h"
#include "core/figures/figure_spec.h"
#include "core/text/text_reading.h"

namespace dhsa {

// Where a figure comes from, as a person named it.
struct FigureOrigin {
  std::string text;  // file; empty: the sample document
  TextReading reading;
  std::string model;    // folder; empty: the demo model
  std::string session;  // instead of text and model; empty: none
  std::string device = "cpu";
  std::string dtype = "auto";
  SparsityParameters parameters;
  SparsityParameters ran_with;     // other than `parameters` where a plan is looked at as what-if
  SparsityParameters defaults;     // what holds without options: the defaults, or the session's
  std::vector<std::string> files;  // results of bench, sweep, needle

  int threads = 0;     // 0: as many as there are
  std::string remark;  // what the command cannot do, one sentence; usually empty

  nlohmann::json model_facts;  // see describe_sources
  nlohmann::json document_facts;
};
// Fills in model_facts and document_facts. `name`: what the document's file is called. Throws Error where the tokenizer
// cannot be read.
void describe_sources(FigureOrigin& origin, const std::filesystem::path& model_folder, const Gemma2& model,
                      const Document& document, const std::string& name, const std::string& sha256_of_text);

// `dhsa export ...`, to be run in the folder that text and model are named from; writes into that folder.
[[nodiscard]] std::vector<std::string> export_arguments(const FigureOrigin& origin, const FigureSpec& spec,
                                                        const std::filesystem::path& output);

// "key=value,..." of the parameters that differ, and back. Throws Error.
[[nodiscard]] std::string differences_of(const SparsityParameters& parameters, const SparsityParameters& defaults);
void apply_differences(SparsityParameters& parameters, const std::string& text);

// What one export writes. Contents are empty where there is nothing to write.
struct FigureFiles {
  std::filesystem::path path;  // of the figure; the others have its name and their own suffix
  std::string figure;          // PDF, SVG or PNG
  std::string json;
  std::map<std::string, NpyArray> arrays;
  std::string csv;
  nlohmann::json page;  // {"width_inches": ..., ...}; null for data alone
};
// How figures are drawn: ui/figures has painters for PDF, SVG and PNG.
struct FigurePainter {
  // What will be drawn on each panel and the page; fills in the font.
  std::function<nlohmann::json(const FigureData& data, FigureSpec& spec)> describe;
  std::function<std::string(const FigureData& data, const FigureSpec& spec, const std::string& json)> draw;
};
// Everything one export writes, for the command line as for the window. `painter` null: data alone. `spec` as resolved;
// its font is filled in. Throws Error, Cancelled.
[[nodiscard]] FigureFiles make_figure_files(const FigureOrigin& origin, FigureSpec& spec,
                                            const FigureMaterial& material, const std::filesystem::path& path,
                                            const FigurePainter* painter, const FigureProgress& progress,
                                            const CancelToken* cancel);

// `drawing` is what the painter says about each panel; null for data alone. No time stamps anywhere: the same input
// gives the same bytes.
[[nodiscard]] std::string sidecar_json(const FigureOrigin& origin, const FigureSpec& spec, const FigureData& data,
                                       const FigureFiles& files, const nlohmann::json& drawing);
// All of them or none, over what was there before. Throws Error naming the file.
void write_figure_files(const FigureFiles& files);

}  // namespace dhsa
