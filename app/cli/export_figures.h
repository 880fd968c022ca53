// The part of `dhsa export` that needs Qt. Built without it, every function says so.
#pragma once

#include <string>

#include "core/figures/sidecar.h"

namespace dhsa::cli {

struct SessionChoice {
  std::string text;         // file; empty: the sample or `pasted`
  std::string pasted;       // pasted text
  std::string text_sha256;  // of the document's bytes when the session was saved
  TextReading reading;
  std::string model;        // folder; empty: the demo model
  std::string fingerprint;  // of its weights; may be empty
  std::string device;       // that the window computed on
  std::string dtype;
  SparsityParameters parameters;
  SparsityParameters ran_with;
  int layer = 0;
  int head = 0;
};
[[nodiscard]] SessionChoice read_session(const std::string& path);  // throws Error

// Of ".pdf", ".svg" or ".png". Throws Error where this build cannot draw.
[[nodiscard]] FigurePainter painter_for(const std::string& suffix);

}  // namespace dhsa::cli
