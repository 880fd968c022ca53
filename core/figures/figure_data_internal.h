// Shared by the sources of figure_data.h.
#pragma once

#include "core/figures/figure_data.h"

namespace dhsa {

// Panels that are drawn from a file of bench, sweep or needle: figure_curves.cpp.
// A needle test makes one panel for each method.
[[nodiscard]] std::vector<FigurePanelData> panels_from_files(const FigurePanel& panel, const FigureSpec& spec,
                                                             const std::vector<FigureFile>& files);

// Boundaries and where they lie in the text: tokens, bytes and characters.
void add_boundaries(const Plan& plan, const Document& document, FigurePanelData& data);

void add_array(FigurePanelData& data, const std::string& name, NpyArray array, const std::string& note);
template <class T>
void add_array(FigurePanelData& data, const std::string& name, const std::vector<T>& values,
               std::vector<std::int64_t> shape, const std::string& note) {
  add_array(data, name, NpyArray::of(std::span<const T>(values), std::move(shape)), note);
}

}  // namespace dhsa
