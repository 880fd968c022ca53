// The data behind a figure, panel by panel: what is drawn, and the same as arrays and tables for other programs. Made
// from one prefill, or from the files that bench, sweep and needle write. Memory O(L * heads) per layer; never O(L^2)
// unless a stated, bounded block is asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/analysis/metrics.h"
#include "core/analysis/pyramid.h"
#include "core/base/error.h"
#include "core/figures/figure_spec.h"
#include "core/files/npy.h"
#include "core/model/gemma2.h"
#include "core/run/trace.h"
#include "core/text/document.h"

namespace dhsa {

// One curve, strip or row of bars. low and high: spread of y; empty where there is none.
struct FigureSeries {
  std::string name;
  std::string method;   // of curves: "dhsa",
  std::string setting;  // and under what, "budget 512"; empty: there is nothing to tell apart
  std::vector<double> x;
  std::vector<double> y;
  std::vector<double> low;
  std::vector<double> high;
  // [x] standard error and row step of the values; empty where none of them is sampled.
  std::vector<double> standard_error;
  std::vector<std::int64_t> row_step;
};

// A table of numbers drawn as coloured cells. NaN: not measured.
struct FigureCells {
  std::vector<std::string> row_names;
  std::vector<std::string> column_names;
  std::string row_title;
  std::string column_title;
  std::vector<double> values;  // [rows, columns]
  std::vector<bool> local;     // [rows] marks sliding-window layers; may be empty
};

struct FigurePanelData {
  FigurePanel panel;  // layer resolved
  std::string name;   // "Dense attention", "layer 3, head 1"
  std::string brief;  // the same where there is little room: "Dense", "L3 H1"
  std::string long_name;
  std::string value_title;  // of the colour bar, with its unit: "attention probability"
  std::string value_brief;  // "probability"; empty: as value_title
  bool percent = false;     // values are shares and shown as %

  // Of a matrix.
  std::shared_ptr<const MatrixSource> matrix;
  std::shared_ptr<const Plan> plan;  // boundaries and query groups
  std::int64_t window = 0;

  // Of curves, strips (x: token) and bars (x: left edges, one more than y).
  std::vector<FigureSeries> series;
  std::string x_title;
  std::string y_title;
  bool log_x = false;
  bool log_y = false;
  double mark = 0;  // a value of x to mark, 0: none
  std::string mark_name;

  FigureCells cells;

  nlohmann::json facts = nlohmann::json::object();  // numbers worth having beside the picture
  std::map<std::string, NpyArray> arrays;
  std::map<std::string, std::string> array_notes;  // what each array is: axes, units, order
  std::string csv;                                 // empty: none
};

struct FigureData {
  std::string title;  // what all panels have in common
  std::vector<FigurePanelData> panels;
};

// A file of bench, sweep or needle.
struct FigureFile {
  std::string path;
  nlohmann::json content;
};
[[nodiscard]] FigureFile read_figure_file(const std::string& path);  // throws Error
[[nodiscard]] FigureFile parse_figure_file(const std::string& raw, const std::string& path);

// What a prefill left of the layers that a figure shows.
struct FigureMaterial {
  const Document* document = nullptr;  // null: figures from files only
  std::int64_t query_heads = 0;
  struct Layer {
    std::shared_ptr<const Plan> plan;               // null: not there
    std::shared_ptr<const CapturedLayer> captured;  // null: not kept
    std::optional<MaskMetrics> metrics;             // without the oracle; measured from `captured` where absent
  };
  std::vector<Layer> layers;
  std::vector<bool> local;  // [layers]
  std::vector<FigureFile> files;
};

using FigureProgress = std::function<void(const std::string& what, double fraction)>;

// Puts the first global layer where no layer was named. Throws Error where a layer or head is not there, or `files`
// is empty and a panel needs one.
void resolve_panels(FigureSpec& spec, const Gemma2Config& config);
[[nodiscard]] bool needs_model(const FigureSpec& spec);
[[nodiscard]] bool needs_files(const FigureSpec& spec);

// Prefill under `ran_with` up to the last layer needed; masks are planned with `parameters` on its q and k (the same,
// unless something is looked at as what-if). Throws Error, Cancelled.
[[nodiscard]] FigureMaterial prefill_for_figure(const Gemma2& model, const Document& document,
                                                const SparsityParameters& parameters,
                                                const SparsityParameters& ran_with,
                                                std::shared_ptr<const BoundaryPredictor> predictor,
                                                const FigureSpec& spec, const FigureProgress& progress,
                                                const CancelToken* cancel);

// `data_only`: the arrays are what is wanted, so that blocks of attention may be large.
[[nodiscard]] FigureData make_figure_data(const FigureSpec& spec, const FigureMaterial& material, bool data_only,
                                          const FigureProgress& progress, const CancelToken* cancel);

// Every array of the figure under its own name where panels agree, else after the panel's letter: "a/begin".
[[nodiscard]] std::map<std::string, NpyArray> arrays_of(const FigureData& data);
[[nodiscard]] nlohmann::json array_notes_of(const FigureData& data);
[[nodiscard]] std::string csv_of(const FigureData& data);  // of all panels that have one
// All numbers as text for a spreadsheet: csv_of, or where there is none the arrays, those of one length side by side,
// tab-separated. Throws Error above kMostTableNumbers.
inline constexpr std::size_t kMostTableNumbers = 1'000'000;
[[nodiscard]] std::string table_of(const FigureData& data);
[[nodiscard]] std::string panel_letter(std::size_t index);  // a, b, ... z, aa

// The mask as CSR key ranges: group_rows [G + 1], indptr [heads * G + 1], begin, end, window [] (0: none).
void add_mask(const KeyMask& mask, std::map<std::string, NpyArray>& arrays);
// kept_bits_little, uint8 [heads, L, ceil(L / 8)]: bit j % 8 of byte j / 8, least significant first, says whether the
// row keeps key j; causality and window applied. Throws Error above kMostBitBytes.
inline constexpr std::int64_t kMostBitBytes = std::int64_t{256} << 20U;
void add_mask_bits(const KeyMask& mask, std::map<std::string, NpyArray>& arrays);

}  // namespace dhsa
