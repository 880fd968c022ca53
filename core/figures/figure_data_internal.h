// Shared by the sources of figure_data.h.
#pragma once

#include "core/figures/figure_data.h"

namespace dhsa {

// Panels that are drawn from a file of bench, sweep, needle or longbench: figure_curves.cpp.
// A needle test makes one panel for each method.
[[nodiscard]] std::vector<FigurePanelData> panels_from_files(const FigurePanel& panel, const FigureSpec& spec,
                                                             const std::vector<FigureFile>& files);

// Scores of suites and of LongBench: figure_scores.cpp.
[[nodiscard]] std::vector<FigurePanelData> score_panels(const FigurePanel& panel, const std::vector<FigureFile>& files);

// A value that was measured several times, or once.
struct PlotValue {
  double median = 0, low = 0, high = 0;
  double standard_error = 0;  // of a value that is sampled; then low and high reach as far
  std::int64_t row_step = 1;
};
// The curve of a method; `setting`: what else tells it apart, each ", key value". Begun if it is not there.
[[nodiscard]] FigureSeries& series_of(FigurePanelData& data, const std::string& method, const std::string& setting);
void add_point(FigureSeries& series, double x, const PlotValue& y);
void finish_curves(FigurePanelData& data, const std::string& x_name, const std::string& y_name);  // its CSV

// Boundaries and where they lie in the text: tokens, bytes and characters.
void add_boundaries(const Plan& plan, const Document& document, FigurePanelData& data);

// Ends the name of the array that says on how many rows another one rests, where that is sampled.
inline const std::string kRowStep = "_row_step";

void add_array(FigurePanelData& data, const std::string& name, NpyArray array, const std::string& note);
template <class T>
void add_array(FigurePanelData& data, const std::string& name, const std::vector<T>& values,
               std::vector<std::int64_t> shape, const std::string& note) {
  add_array(data, name, NpyArray::of(std::span<const T>(values), std::move(shape)), note);
}

}  // namespace dhsa
