#include "core/figures/figure_spec.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/excerpt.h"
#include "core/experiments/sweep.h"

namespace dhsa {
namespace {

using Form = FigureKindInfo::Form;
using From = FigureKindInfo::From;

constexpr std::array kKinds = {
    FigureKindInfo{FigureKind::kMask, "mask", "Retained mask", "Mask", "Which keys each query keeps.", Form::kMatrix,
                   From::kLayer, true},
    FigureKindInfo{FigureKind::kDense, "dense", "Dense attention", "Dense", "Attention probabilities without a mask.",
                   Form::kMatrix, From::kLayer, true},
    FigureKindInfo{FigureKind::kSparse, "sparse", "Sparse attention", "Sparse",
                   "Attention probabilities under the mask.", Form::kMatrix, From::kLayer, true},
    FigureKindInfo{FigureKind::kDifference, "difference", "Dense − sparse", "Difference", "What the mask changes.",
                   Form::kMatrix, From::kLayer, true},
    FigureKindInfo{FigureKind::kDropped, "dropped", "Dropped mass", "Dropped",
                   "Dense attention on the pairs that the mask drops.", Form::kMatrix, From::kLayer, true},
    FigureKindInfo{FigureKind::kChunkScores, "chunk-scores", "Chunk similarity", "Chunks",
                   "S_c with the chunk boundaries.", Form::kMatrix, From::kLayer, true},
    FigureKindInfo{FigureKind::kTokenScores, "token-scores", "Token similarity", "Tokens",
                   "S_t, the scores brought to tokens.", Form::kMatrix, From::kLayer, true},
    FigureKindInfo{FigureKind::kImportance, "importance", "Token importance", "Importance",
                   "Attention received, score and retention of every token.", Form::kStrips, From::kLayer, false},
    FigureKindInfo{FigureKind::kHeadMass, "head-mass", "Retained mass", "Mass",
                   "Dense attention mass on kept keys, layer by head.", Form::kCells, From::kAllLayers, false},
    FigureKindInfo{FigureKind::kChunkLengths, "chunk-lengths", "Chunk lengths", "Lengths",
                   "How long the chunks of a layer are.", Form::kBars, From::kLayer, false},
    FigureKindInfo{FigureKind::kLatency, "latency", "Latency", "Latency",
                   "Time against length, from a file of bench or sweep.", Form::kCurves, From::kFile, false},
    FigureKindInfo{FigureKind::kMemory, "memory", "Memory", "Memory",
                   "Peak memory against length, from a file of bench or sweep.", Form::kCurves, From::kFile, false},
    FigureKindInfo{FigureKind::kBudget, "budget", "Budget", "Budget",
                   "Retained mass against budget, from a file of sweep.", Form::kCurves, From::kFile, false},
    FigureKindInfo{FigureKind::kNeedle, "needle", "Needle test", "Needles",
                   "Needles found by depth and length, from a file of needle.", Form::kCells, From::kFile, false},
    FigureKindInfo{FigureKind::kScores, "scores", "Scores", "Scores",
                   "Scores by task and method, from a file of needle --suite or longbench.", Form::kCells, From::kFile,
                   false},
    FigureKindInfo{FigureKind::kScoreBudget, "score-budget", "Score against budget", "Budget",
                   "Scores of one method under several budgets, from such files.", Form::kCurves, From::kFile, false},
    FigureKindInfo{FigureKind::kScoreLength, "score-length", "Score against length", "Length",
                   "Scores by length of the prompts, from such files.", Form::kCurves, From::kFile, false},
};

// Widths and type sizes of the venues' own templates; slide and poster are meant to be read from afar.
constexpr std::array kVenues = {
    Venue{"neurips", "NeurIPS", 0, 5.5, 9, 9, 7},
    Venue{"iclr", "ICLR", 0, 5.5, 9, 9, 7},
    Venue{"icml", "ICML", 3.25, 6.75, 9, 8, 6},
    Venue{"aistats", "AISTATS, UAI", 3.25, 6.75, 9.25, 8, 6},
    Venue{"cvpr", "CVPR", 3.25, 6.875, 8.875, 8, 6},
    Venue{"aaai", "AAAI", 3.3, 6.975, 9, 8, 6},
    Venue{"acl", "ACL", 3.03, 6.3, 9.69, 8, 6.5},
    Venue{"jmlr", "JMLR", 0, 6.0, 8.5, 9.95, 7.95},
    Venue{"tmlr", "TMLR", 0, 6.5, 9, 9, 7},
    Venue{"eccv", "ECCV", 0, 4.8, 7.6, 8, 6},
    Venue{"slide", "Slide, 16:9", 6.0, 12.0, 6.75, 18, 14},
    Venue{"poster", "Poster", 12.0, 24.0, 32, 32, 26},
};

std::vector<std::string> venue_keys() {
  std::vector<std::string> keys;
  for (const Venue& venue : kVenues) keys.emplace_back(venue.key);
  return keys;
}

// As an option of the command line is written: words joined by "-".
std::string dashed(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return key;
}

std::vector<std::string> measure_keys() {
  std::vector<std::string> keys;
  for (const Measure& measure : measures()) {
    if (is_measured(measure)) keys.push_back(dashed(std::string(measure.key)));
  }
  return keys;
}

constexpr double kMostTokens = 16777216;

std::vector<Option<FigureSpec>> make_options() {
  using S = FigureSpec;
  constexpr ReadWhen<S> kManual{"range manual", [](const S& s) { return s.range == "manual"; }};
  constexpr ReadWhen<S> kPercentile{"range percentile", [](const S& s) { return s.range == "percentile"; }};
  return {
      {{.key = "row-begin",
        .label = "First row",
        .group = "Part",
        .unit = "tokens",
        .help = "First query shown",
        .maximum = kMostTokens},
       &S::row_begin},
      {{.key = "row-end",
        .label = "End of rows",
        .group = "Part",
        .unit = "tokens",
        .help = "One past the last query shown; 0: to the last",
        .maximum = kMostTokens},
       &S::row_end},
      {{.key = "key-begin",
        .label = "First key",
        .group = "Part",
        .unit = "tokens",
        .help = "First key shown",
        .maximum = kMostTokens},
       &S::key_begin},
      {{.key = "key-end",
        .label = "End of keys",
        .group = "Part",
        .unit = "tokens",
        .help = "One past the last key shown; 0: to the last",
        .maximum = kMostTokens},
       &S::key_end},
      {{.key = "skip-keys",
        .label = "Leave out first keys",
        .group = "Part",
        .unit = "tokens",
        .help = "Leave out the first n keys, whose share outshines others",
        .maximum = kMostTokens},
       &S::skip_keys},
      {{.key = "reducer",
        .label = "Reducer",
        .group = "Part",
        .help = "Of the cells behind one point of the picture, show",
        .choices = {"max", "mean"}},
       &S::reducer},
      {{.key = "metrics-rows",
        .label = "Measure one row in n",
        .group = "Part",
        .unit = "rows",
        .help = "Measure retained mass and importance on one row in n, drawn at random",
        .minimum = 1,
        .maximum = 4096},
       &S::metrics_rows},
      {{.key = "map",
        .label = "Colour map",
        .group = "Colours",
        .help = "Colour map",
        .choices = {"auto", "viridis", "cividis", "magma", "grey", "grey-reversed", "diverging"}},
       &S::map},
      {{.key = "scale",
        .label = "Scale",
        .group = "Colours",
        .help = "Scale of the colours",
        .choices = {"auto", "linear", "log", "sqrt"}},
       &S::scale},
      {{.key = "range",
        .label = "Range",
        .group = "Colours",
        .help = "Values at the ends of the colour bar",
        .choices = {"auto", "min-max", "percentile", "manual"}},
       &S::range},
      {{.key = "percentile-low",
        .label = "Lower percentile",
        .group = "Colours",
        .unit = "%",
        .help = "Lower end of the percentile range",
        .maximum = 100},
       &S::percentile_low,
       kPercentile},
      {{.key = "percentile-high",
        .label = "Upper percentile",
        .group = "Colours",
        .unit = "%",
        .help = "Upper end of the percentile range",
        .maximum = 100},
       &S::percentile_high,
       kPercentile},
      {{.key = "low",
        .label = "Lowest value",
        .group = "Colours",
        .help = "Lower end of the manual range",
        .minimum = -1e30,
        .maximum = 1e30},
       &S::low,
       kManual},
      {{.key = "high",
        .label = "Highest value",
        .group = "Colours",
        .help = "Upper end of the manual range",
        .minimum = -1e30,
        .maximum = 1e30},
       &S::high,
       kManual},
      {{.key = "marks", .label = "Chunk boundaries", .group = "Colours", .help = "Mark chunk boundaries"},
       &S::boundaries},
      {{.key = "venue", .label = "Venue", .group = "Size", .help = "Widths and type sizes of", .choices = venue_keys()},
       &S::venue},
      {{.key = "columns",
        .label = "Width",
        .group = "Size",
        .help = "One column of the page or its full width",
        .choices = {"one", "full"}},
       &S::columns},
      {{.key = "width",
        .label = "Width",
        .group = "Size",
        .unit = "in",
        .help = "Width; 0: the venue's",
        .maximum = 60},
       &S::width},
      {{.key = "height",
        .label = "Height",
        .group = "Size",
        .unit = "in",
        .help = "Height; 0: by what is shown",
        .maximum = 60},
       &S::height},
      {{.key = "font",
        .label = "Font",
        .group = "Size",
        .help = "Font family; without it the first installed one of a list"},
       &S::font},
      {{.key = "label-size",
        .label = "Label size",
        .group = "Size",
        .unit = "TeX pt",
        .help = "Type size of axis titles; 0: the venue's",
        .maximum = 200},
       &S::label_size},
      {{.key = "tick-size",
        .label = "Tick size",
        .group = "Size",
        .unit = "TeX pt",
        .help = "Type size of numbers; 0: the venue's",
        .maximum = 200},
       &S::tick_size},
      {{.key = "line-width",
        .label = "Line width",
        .group = "Size",
        .unit = "TeX pt",
        .help = "Width of axes and thin lines",
        .minimum = 0.25,
        .maximum = 5},
       &S::line_width},
      {{.key = "dpi",
        .label = "Resolution",
        .group = "Size",
        .unit = "dpi",
        .help = "Resolution of PNG files and of matrices inside PDF and SVG",
        .minimum = 50,
        .maximum = 2400},
       &S::dpi},
      {{.key = "grid-columns",
        .label = "Panels in a row",
        .group = "Panels",
        .unit = "panels",
        .help = "Panels side by side; 0: as fits",
        .maximum = 12},
       &S::grid_columns},
      {{.key = "letters",
        .label = "Panel letters",
        .group = "Panels",
        .help = "(a), (b), … where there are several panels"},
       &S::panel_letters},
      {{.key = "names",
        .label = "Panel names",
        .group = "Panels",
        .help = "What each of several panels shows, above it"},
       &S::panel_names},
      {{.key = "shared-bar",
        .label = "Shared colour bar",
        .group = "Panels",
        .help = "One colour bar for all panels of one quantity"},
       &S::shared_bar},
      {{.key = "title",
        .label = "Title",
        .group = "Panels",
        .help = "A title inside the figure; most venues want it in the caption"},
       &S::title},
      {{.key = "measure",
        .label = "Measure",
        .group = "Data",
        .help = "What curves against the budget show",
        .choices = measure_keys()},
       &S::measure},
      {{.key = "data",
        .label = "Data beside it",
        .group = "Data",
        .help = "Also write the arrays or curves that are shown"},
       &S::data},
      {{.key = "dense-bits",
        .label = "Masks as bits",
        .group = "Data",
        .help = "Masks also as one bit per pair of tokens"},
       &S::dense_bits},
  };
}

int number_of(const std::string& text, std::string_view digits) {
  int value = -1;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || fault != std::errc() || end != digits.data() + digits.size() || value < 0) {
    throw Error(fmt::format("\"{}\" is no panel; write WHAT, WHAT@LAYER or WHAT@LAYER.HEAD, for example mask@3.",
                            excerpt(text)));
  }
  return value;
}

}  // namespace

std::span<const FigureKindInfo> figure_kinds() { return kKinds; }

const FigureKindInfo& figure_kind(FigureKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

FigureKind figure_kind_of(const std::string& key) {
  std::vector<std::string> keys;
  for (const FigureKindInfo& info : kKinds) {
    if (key == info.key) return info.kind;
    keys.emplace_back(info.key);
  }
  throw Error(fmt::format("There is no figure \"{}\"; there are {}.", excerpt(key), fmt::join(keys, ", ")));
}

FigurePanel parse_panel(const std::string& text) {
  const std::size_t at = text.find('@');
  FigurePanel panel;
  panel.what = figure_kind_of(text.substr(0, at));
  if (at == std::string::npos) return panel;
  const std::string_view place = std::string_view(text).substr(at + 1);
  const std::size_t dot = place.find('.');
  panel.layer = number_of(text, place.substr(0, dot));
  if (dot != std::string_view::npos) panel.head = number_of(text, place.substr(dot + 1));
  return panel;
}

std::string to_text(const FigurePanel& panel) {
  const FigureKindInfo& info = figure_kind(panel.what);
  if (panel.layer < 0 || info.from != From::kLayer) return info.key;
  if (panel.head < 0 || !info.per_head) return fmt::format("{}@{}", info.key, panel.layer);
  return fmt::format("{}@{}.{}", info.key, panel.layer, panel.head);
}

const OptionTable<FigureSpec>& figure_options() {
  static const OptionTable<FigureSpec> options("setting of a figure", make_options());
  return options;
}

void check_figure(const FigureSpec& spec) {
  figure_options().check_ranges(spec);
  if (spec.panels.empty()) throw Error("The figure has no panel; say what to show, for example mask.");
  if (spec.panels.size() > 64) {
    throw Error(fmt::format("The figure has {} panels; at most 64 fit on a page.", spec.panels.size()));
  }
  const auto part = [](const char* name, std::int64_t begin, std::int64_t end) {
    if (end != 0 && end <= begin) {
      throw Error(fmt::format("--{0}-end: {1} is not after --{0}-begin {2}; 0 means to the last.", name, end, begin));
    }
  };
  part("row", spec.row_begin, spec.row_end);
  part("key", spec.key_begin, spec.key_end);
  if (spec.range == "manual" && !(spec.high > spec.low)) {
    throw Error(fmt::format("--high {:g} has to be above --low {:g}.", spec.high, spec.low));
  }
  if (spec.range == "percentile" && !(spec.percentile_high > spec.percentile_low)) {
    throw Error(fmt::format("--percentile-high {:g} has to be above --percentile-low {:g}.", spec.percentile_high,
                            spec.percentile_low));
  }
  if (spec.columns == "one" && spec.width == 0 && venue_of(spec).column == 0) {
    throw Error(fmt::format("Pages of {} have one column only; leave --columns full or give a --width in inches.",
                            venue_of(spec).label));
  }
  if (width_inches(spec) < 0.8) {
    throw Error(fmt::format("--width: {:g} in is too narrow for a figure; 0.8 in is the least.", width_inches(spec)));
  }
  if (spec.height != 0 && spec.height < 0.6) {
    throw Error(fmt::format("--height: {:g} in is too low for a figure; 0.6 in is the least.", spec.height));
  }
}

void to_json(nlohmann::json& json, const FigureSpec& spec) {
  json = nlohmann::json::object();
  figure_options().write(json, spec);
  json["panels"] = nlohmann::json::array();
  for (const FigurePanel& panel : spec.panels) json["panels"].push_back(to_text(panel));
}

void from_json(const nlohmann::json& json, FigureSpec& spec) {
  if (!json.is_object()) throw Error("The description of a figure is not a JSON object.");
  FigureSpec read = spec;
  for (const auto& [key, value] : json.items()) {
    if (key == "panels") {
      if (!value.is_array()) throw Error("\"panels\" of a figure is not a list.");
      read.panels.clear();
      for (const auto& panel : value) {
        if (!panel.is_string()) throw Error("\"panels\" of a figure holds something that is no text.");
        read.panels.push_back(parse_panel(panel.get<std::string>()));
      }
      continue;
    }
    if (key == "measure" && value.is_string()) {  // by its key of today
      figure_options().at(key).set(read, dashed(key_of(value.get<std::string>())));
      continue;
    }
    if (!figure_options().read(read, key, value)) static_cast<void>(figure_options().at(key));
  }
  spec = std::move(read);
}

std::span<const Venue> venues() { return kVenues; }

const Venue& venue_of(const FigureSpec& spec) {
  const auto* found =
      std::find_if(kVenues.begin(), kVenues.end(), [&](const Venue& venue) { return spec.venue == venue.key; });
  return found == kVenues.end() ? kVenues.front() : *found;
}

double width_inches(const FigureSpec& spec) {
  if (spec.width > 0) return spec.width;
  const Venue& venue = venue_of(spec);
  return spec.columns == "one" && venue.column > 0 ? venue.column : venue.full;
}

double label_size_of(const FigureSpec& spec) {
  return spec.label_size > 0 ? spec.label_size : venue_of(spec).label_size;
}

double tick_size_of(const FigureSpec& spec) { return spec.tick_size > 0 ? spec.tick_size : venue_of(spec).tick_size; }

std::vector<std::string> arguments_of(const FigureSpec& spec, const FigureSpec& defaults) {
  return figure_options().arguments(spec, defaults);
}

std::vector<std::string> arguments_of(const SparsityParameters& parameters, SparsityParameters defaults) {
  std::vector<std::string> said;
  if (parameters.method != defaults.method) said = {"--method", name_of(parameters.method)};
  switch_method(defaults, parameters.method);
  // Without the option, the number of instruction tokens is read from the text.
  const auto others = parameter_table().arguments(parameters, defaults, "instruction-tokens");
  said.insert(said.end(), others.begin(), others.end());
  return said;
}

std::string shell_line(std::span<const std::string> arguments) {
  static constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:=@+";
  std::string line;
  for (const std::string& argument : arguments) {
    if (!line.empty()) line += ' ';
    if (!argument.empty() && argument.find_first_not_of(kPlain) == std::string::npos) {
      line += argument;
      continue;
    }
    line += '\'';
    for (const char c : argument) {
      if (c == '\'') {
        line += "'\\''";
      } else {
        line += c;
      }
    }
    line += '\'';
  }
  return line;
}

}  // namespace dhsa
