// What a figure shows and how it is to look: plain data that the command line, the export dialog and JSON files share
// through one table. Nothing here draws; ui/figures does.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/sparsity/parameters.h"

namespace dhsa {

enum class FigureKind : std::uint8_t {
  kMask,
  kDense,
  kSparse,
  kDifference,
  kDropped,
  kChunkScores,
  kTokenScores,
  kImportance,
  kHeadMass,
  kChunkLengths,
  kLatency,
  kMemory,
  kBudget,
  kNeedle,
  kScores,
  kScoreBudget,
  kScoreLength,
};

struct FigureKindInfo {
  // What it is drawn as; kMatrix is square over query and key tokens.
  enum class Form : std::uint8_t { kMatrix, kStrips, kCells, kBars, kCurves };
  // Where it comes from: one layer of a prefill, all of them, or a file that bench, sweep, needle or
  // longbench wrote.
  enum class From : std::uint8_t { kLayer, kAllLayers, kFile };
  FigureKind kind;
  const char* key;    // "mask": on the command line and in JSON
  const char* label;  // "Retained mask"
  const char* brief;  // "Mask": over a small panel
  const char* help;   // one sentence
  Form form;
  From from;
  bool per_head;  // the head makes a difference
};
[[nodiscard]] std::span<const FigureKindInfo> figure_kinds();
[[nodiscard]] const FigureKindInfo& figure_kind(FigureKind kind);
[[nodiscard]] FigureKind figure_kind_of(const std::string& key);  // throws Error

struct FigurePanel {
  FigureKind what = FigureKind::kMask;
  int layer = -1;  // -1: the first global layer
  int head = -1;   // query head; -1: mean of all heads, of a mask the list of head 0
  bool operator==(const FigurePanel&) const = default;
};
// "mask", "mask@3" (layer 3), "dense@3.1" (head 1 of it). Throws Error.
[[nodiscard]] FigurePanel parse_panel(const std::string& text);
[[nodiscard]] std::string to_text(const FigurePanel& panel);

// Lengths in inches, type sizes and line widths in TeX points (72.27 to the inch). 0 or "auto": by venue or content.
struct FigureSpec {
  std::vector<FigurePanel> panels;  // row by row

  std::int64_t row_begin = 0;  // part of the matrix, in tokens; end 0: to the last
  std::int64_t row_end = 0;
  std::int64_t key_begin = 0;
  std::int64_t key_end = 0;
  std::int64_t skip_keys = 0;  // leave out the first n keys: sinks outshine everything
  std::string reducer = "max";
  std::int64_t metrics_rows = 1;  // measure on one row in n

  std::string map = "auto";
  std::string scale = "auto";
  std::string range = "auto";
  double percentile_low = 1;
  double percentile_high = 99;
  double low = 0;
  double high = 1;
  bool boundaries = true;  // chunk boundaries on matrices and strips

  std::string venue = "neurips";
  std::string columns = "full";
  double width = 0;
  double height = 0;
  std::string font;  // family; empty: the first installed one of a list
  double label_size = 0;
  double tick_size = 0;
  double line_width = 0.6;
  std::int64_t dpi = 300;

  std::int64_t grid_columns = 0;
  bool panel_letters = true;  // (a) (b) (c) where there are several panels
  bool panel_names = true;    // what each panel shows, where there are several
  bool shared_bar = true;     // one colour bar for panels of one quantity
  bool title = false;

  std::string measure = "retained-mass";  // of curves against the budget: a key of measures(), its words joined by "-"

  bool data = true;         // arrays beside the figure
  bool dense_bits = false;  // masks also as one bit per pair

  bool operator==(const FigureSpec&) const = default;
};

[[nodiscard]] const OptionTable<FigureSpec>& figure_options();
// Ranges of single values and what one alone cannot tell. Throws Error.
void check_figure(const FigureSpec& spec);

void to_json(nlohmann::json& json, const FigureSpec& spec);
void from_json(const nlohmann::json& json, FigureSpec& spec);  // unknown keys and wrong types throw Error

// A page or a screen to fit: widths in inches, sizes in TeX points.
struct Venue {
  const char* key;
  const char* label;
  double column;  // width of one column; 0: the page has one
  double full;
  double page_height;  // of text: no figure is taller
  double label_size;
  double tick_size;
};
[[nodiscard]] std::span<const Venue> venues();
[[nodiscard]] const Venue& venue_of(const FigureSpec& spec);
[[nodiscard]] double width_inches(const FigureSpec& spec);
[[nodiscard]] double label_size_of(const FigureSpec& spec);  // TeX points
[[nodiscard]] double tick_size_of(const FigureSpec& spec);

// The one place where the two kinds of point meet: TeX's is 1/72.27 inch, PDF's 1/72.
[[nodiscard]] constexpr double pdf_points(double tex_points) { return tex_points * 72.0 / 72.27; }
[[nodiscard]] constexpr double pdf_points_of_inches(double inches) { return inches * 72.0; }

// Options of the command line that lead from `defaults` to `spec`, panels not among them.
[[nodiscard]] std::vector<std::string> arguments_of(const FigureSpec& spec, const FigureSpec& defaults = {});
// The same for parameters of the method; from another method than that of `defaults` they begin with its preset.
[[nodiscard]] std::vector<std::string> arguments_of(const SparsityParameters& parameters,
                                                    SparsityParameters defaults = {});
// As one line for a shell, quoted where needed.
[[nodiscard]] std::string shell_line(std::span<const std::string> arguments);

}  // namespace dhsa
