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

std::vector<std::string> measure_keys() {
  std::vector<std::string> keys;
  for (const SweepMeasure& measure : sweep_measures()) keys.push_back(measure.key);
  return keys;
}

constexpr double kMostTokens = 16777216;

std::vector<FigureOption> make_options() {
  using S = FigureSpec;
  std::vector<FigureOption> options = {
      {"row-begin", "First row", "Part", "tokens", "First query shown", &S::row_begin, 0, kMostTokens, {}},
      {"row-end",
       "End of rows",
       "Part",
       "tokens",
       "One past the last query shown; 0: to the last",
       &S::row_end,
       0,
       kMostTokens,
       {}},
      {"key-begin", "First key", "Part", "tokens", "First key shown", &S::key_begin, 0, kMostTokens, {}},
      {"key-end",
       "End of keys",
       "Part",
       "tokens",
       "One past the last key shown; 0: to the last",
       &S::key_end,
       0,
       kMostTokens,
       {}},
      {"skip-keys",
       "Leave out first keys",
       "Part",
       "tokens",
       "Leave out the first n keys, whose share outshines others",
       &S::skip_keys,
       0,
       kMostTokens,
       {}},
      {"reducer",
       "Reducer",
       "Part",
       "",
       "Of the cells behind one point of the picture, show",
       &S::reducer,
       0,
       0,
       {"max", "mean"}},
      {"metrics-rows",
       "Measure every n-th row",
       "Part",
       "rows",
       "Measure retained mass and importance on every n-th row",
       &S::metrics_rows,
       1,
       4096,
       {}},

      {"map",
       "Colour map",
       "Colours",
       "",
       "Colour map",
       &S::map,
       0,
       0,
       {"auto", "viridis", "cividis", "magma", "grey", "grey-reversed", "diverging"}},
      {"scale", "Scale", "Colours", "", "Scale of the colours", &S::scale, 0, 0, {"auto", "linear", "log", "sqrt"}},
      {"range",
       "Range",
       "Colours",
       "",
       "Values at the ends of the colour bar",
       &S::range,
       0,
       0,
       {"auto", "min-max", "percentile", "manual"}},
      {"percentile-low",
       "Lower percentile",
       "Colours",
       "%",
       "Lower end of the percentile range",
       &S::percentile_low,
       0,
       100,
       {}},
      {"percentile-high",
       "Upper percentile",
       "Colours",
       "%",
       "Upper end of the percentile range",
       &S::percentile_high,
       0,
       100,
       {}},
      {"low", "Lowest value", "Colours", "", "Lower end of the manual range", &S::low, -1e30, 1e30, {}},
      {"high", "Highest value", "Colours", "", "Upper end of the manual range", &S::high, -1e30, 1e30, {}},
      {"marks", "Chunk boundaries", "Colours", "", "Mark chunk boundaries", &S::boundaries, 0, 1, {}},

      {"venue", "Venue", "Size", "", "Widths and type sizes of", &S::venue, 0, 0, venue_keys()},
      {"columns", "Width", "Size", "", "One column of the page or its full width", &S::columns, 0, 0, {"one", "full"}},
      {"width", "Width", "Size", "in", "Width; 0: the venue's", &S::width, 0, 60, {}},
      {"height", "Height", "Size", "in", "Height; 0: by what is shown", &S::height, 0, 60, {}},
      {"font", "Font", "Size", "", "Font family; without it the first installed one of a list", &S::font, 0, 0, {}},
      {"label-size",
       "Label size",
       "Size",
       "TeX pt",
       "Type size of axis titles; 0: the venue's",
       &S::label_size,
       0,
       200,
       {}},
      {"tick-size", "Tick size", "Size", "TeX pt", "Type size of numbers; 0: the venue's", &S::tick_size, 0, 200, {}},
      {"line-width", "Line width", "Size", "TeX pt", "Width of axes and thin lines", &S::line_width, 0.25, 5, {}},
      {"dpi",
       "Resolution",
       "Size",
       "dpi",
       "Resolution of PNG files and of matrices inside PDF and SVG",
       &S::dpi,
       50,
       2400,
       {}},

      {"grid-columns",
       "Panels in a row",
       "Panels",
       "panels",
       "Panels side by side; 0: as fits",
       &S::grid_columns,
       0,
       12,
       {}},
      {"letters",
       "Panel letters",
       "Panels",
       "",
       "(a), (b), … where there are several panels",
       &S::panel_letters,
       0,
       1,
       {}},
      {"names", "Panel names", "Panels", "", "What each of several panels shows, above it", &S::panel_names, 0, 1, {}},
      {"shared-bar",
       "Shared colour bar",
       "Panels",
       "",
       "One colour bar for all panels of one quantity",
       &S::shared_bar,
       0,
       1,
       {}},
      {"title",
       "Title",
       "Panels",
       "",
       "A title inside the figure; most venues want it in the caption",
       &S::title,
       0,
       1,
       {}},

      {"measure", "Measure", "Data", "", "What curves against the budget show", &S::measure, 0, 0, measure_keys()},
      {"data", "Data beside it", "Data", "", "Also write the arrays or curves that are shown", &S::data, 0, 1, {}},
      {"dense-bits", "Masks as bits", "Data", "", "Masks also as one bit per pair of tokens", &S::dense_bits, 0, 1, {}},
  };
  return options;
}

std::string shown(const FigureOption& option, const ParameterValue& value) {
  (void)option;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return std::to_string(*whole);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  return fmt::format("{}", std::get<double>(value));
}

[[noreturn]] void refuse(const FigureOption& option, const ParameterValue& value, const std::string& allowed) {
  throw Error(fmt::format("--{}: \"{}\" is not allowed; {}.", option.key, excerpt(shown(option, value)), allowed));
}

double in_range(const FigureOption& option, const ParameterValue& value, double number) {
  if (!(number >= option.minimum && number <= option.maximum)) {
    refuse(option, value, fmt::format("it has to be between {:.10g} and {:.10g}", option.minimum, option.maximum));
  }
  return number;
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

std::span<const FigureOption> figure_options() {
  static const std::vector<FigureOption> options = make_options();
  return options;
}

const FigureOption& figure_option(const std::string& key) {
  for (const FigureOption& option : figure_options()) {
    if (key == option.key) return option;
  }
  throw Error(fmt::format("A figure has no setting \"{}\".", excerpt(key)));
}

ParameterValue get_option(const FigureSpec& spec, const FigureOption& option) {
  return std::visit([&](auto member) { return ParameterValue(spec.*member); }, option.member);
}

void set_option(FigureSpec& spec, const FigureOption& option, const ParameterValue& value) {
  if (const auto* flag = std::get_if<bool FigureSpec::*>(&option.member)) {
    if (!std::holds_alternative<bool>(value)) refuse(option, value, "it is true or false");
    spec.** flag = std::get<bool>(value);
  } else if (const auto* whole = std::get_if<std::int64_t FigureSpec::*>(&option.member)) {
    if (!std::holds_alternative<std::int64_t>(value)) refuse(option, value, "a whole number is expected");
    const std::int64_t number = std::get<std::int64_t>(value);
    in_range(option, value, static_cast<double>(number));
    spec.** whole = number;
  } else if (const auto* real = std::get_if<double FigureSpec::*>(&option.member)) {
    if (std::holds_alternative<double>(value)) {
      spec.** real = in_range(option, value, std::get<double>(value));
    } else if (std::holds_alternative<std::int64_t>(value)) {
      spec.** real = in_range(option, value, static_cast<double>(std::get<std::int64_t>(value)));
    } else {
      refuse(option, value, "a number is expected");
    }
  } else {
    if (!std::holds_alternative<std::string>(value)) refuse(option, value, "a text is expected");
    const auto& text = std::get<std::string>(value);
    if (!option.choices.empty() &&
        std::find(option.choices.begin(), option.choices.end(), text) == option.choices.end()) {
      refuse(option, value, fmt::format("choose from {}", fmt::join(option.choices, ", ")));
    }
    spec.*std::get<std::string FigureSpec::*>(option.member) = text;
  }
}

void check_figure(const FigureSpec& spec) {
  FigureSpec copy;
  for (const FigureOption& option : figure_options()) set_option(copy, option, get_option(spec, option));
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
  for (const FigureOption& option : figure_options()) {
    std::visit([&](const auto& value) { json[option.key] = value; }, get_option(spec, option));
  }
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
    const FigureOption& option = figure_option(key);
    if (value.is_boolean()) {
      set_option(read, option, value.get<bool>());
    } else if (value.is_number_integer()) {
      set_option(read, option, value.get<std::int64_t>());
    } else if (value.is_number()) {
      set_option(read, option, value.get<double>());
    } else if (value.is_string()) {
      set_option(read, option, value.get<std::string>());
    } else {
      throw Error(fmt::format("\"{}\" of a figure is neither a number, a text nor true or false.", excerpt(key)));
    }
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
  std::vector<std::string> arguments;
  for (const FigureOption& option : figure_options()) {
    const ParameterValue value = get_option(spec, option);
    if (value == get_option(defaults, option)) continue;
    if (const auto* flag = std::get_if<bool>(&value)) {
      arguments.push_back(fmt::format("--{}{}", *flag ? "" : "no-", option.key));
    } else {
      arguments.push_back(fmt::format("--{}", option.key));
      arguments.push_back(shown(option, value));
    }
  }
  return arguments;
}

std::vector<std::string> arguments_of(const SparsityParameters& parameters, const SparsityParameters& defaults) {
  std::vector<std::string> arguments;
  for (const ParameterInfo& info : parameter_table()) {
    const ParameterValue value = get_parameter(parameters, info.key);
    // Without the option, the number of instruction tokens is read from the text.
    if (value == get_parameter(defaults, info.key) && info.key != "instruction-tokens") continue;
    if (const auto* flag = std::get_if<bool>(&value)) {
      arguments.push_back(fmt::format("--{}{}", *flag ? "" : "no-", info.key));
      continue;
    }
    arguments.push_back("--" + info.key);
    if (const auto* text = std::get_if<std::string>(&value)) {
      arguments.push_back(*text);
    } else if (const auto* real = std::get_if<double>(&value)) {
      arguments.push_back(fmt::format("{}", *real));  // shortest form that reads back the same
    } else {
      arguments.push_back(std::to_string(std::get<std::int64_t>(value)));
    }
  }
  return arguments;
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
