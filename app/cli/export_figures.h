// The part of `dhsa export` that needs Qt. Built without it, every function says so.
#pragma once

#include <filesystem>
#include <string>

#include "core/evaluate/figure_companion.h"

namespace dhsa::cli {

enum class FigureFormat { kPdf, kSvg, kPng };

struct SessionChoice {
  std::string text;         // file; empty: the sample or `pasted`
  std::string pasted;       // pasted text
  std::string text_sha256;  // of the document's bytes when the session was saved
  bool allow_long = false;
  std::string model;  // folder; empty: the demo model
  SparsityParameters parameters;
  SparsityParameters ran_with;
  int layer = 0;
  int head = 0;
};
[[nodiscard]] SessionChoice read_session(const std::string& path);  // throws Error

// Fills in the font. What the painter will do, panel by panel: for the JSON companion.
[[nodiscard]] nlohmann::json describe_drawing(const FigureData& data, FigureSpec& spec);
[[nodiscard]] std::string render(FigureFormat format, const FigureData& data, const FigureSpec& spec,
                                 const std::string& json);
void need_figures();  // throws Error where this build cannot draw

}  // namespace dhsa::cli
