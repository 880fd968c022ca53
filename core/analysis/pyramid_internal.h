// Helpers shared by the sources of pyramid.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/analysis/pyramid.h"

namespace dhsa {

inline constexpr float kNotCausal = std::numeric_limits<float>::quiet_NaN();

// Sizes the grid and says how many cells a pixel stands for.
inline void start_grid(const Viewport& view, int width, int height, SampleGrid& grid) {
  grid.width = width;
  grid.height = height;
  const auto size = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  grid.max.resize(size);
  grid.mean.resize(size);
  grid.cells.resize(size);
  grid.rows_per_value = std::max(1.0, (view.row_end - view.row_begin) / height);
  grid.keys_per_value = std::max(1.0, (view.key_end - view.key_begin) / width);
  grid.exact = true;
}

// Cells that count, per column span, of the rows [row_begin, row_end): closed forms near the edges of the causal band,
// whole rectangles elsewhere.
inline void count_causal(const AxisPartition& columns, std::int64_t row_begin, std::int64_t row_end,
                         std::int64_t window, float* counts) {
  const std::int64_t rows = row_end - row_begin;
  for (int c = 0; c < columns.spans(); ++c) {
    const std::int64_t begin = columns.begin(c);
    const std::int64_t end = columns.end(c);
    if (begin >= row_end) {
      std::fill(counts + c, counts + columns.spans(), 0.0F);
      return;
    }
    if (window > 0 && end <= row_begin - window + 1) {
      counts[c] = 0;
      continue;
    }
    const bool whole = end <= row_begin + 1 && (window == 0 || begin > row_end - 1 - window);
    counts[c] = whole ? static_cast<float>(rows * (end - begin))
                      : static_cast<float>(causal_cells(row_begin, row_end, begin, end, window));
  }
}

// One line of values per row span is made by `line(span, max, mean, cells)`, each [columns.spans()], and spread over
// the pixels; pixels outside the matrix become NaN.
template <class Line>
void fill_grid(const AxisPartition& rows, const AxisPartition& columns, SampleGrid& grid, const CancelToken* cancel,
               Line&& line) {
  const auto spans = static_cast<std::size_t>(columns.spans());
  std::vector<float> max(spans), mean(spans), cells(spans);
  const auto width = static_cast<std::size_t>(grid.width);
  int previous = -1;
  for (int y = 0; y < grid.height; ++y) {
    const std::size_t at = static_cast<std::size_t>(y) * width;
    float* to[3] = {grid.max.data() + at, grid.mean.data() + at, grid.cells.data() + at};
    const int span = rows.span_of_pixel(y);
    if (span < 0 || spans == 0) {
      std::fill_n(to[0], width, kNotCausal);
      std::fill_n(to[1], width, kNotCausal);
      std::fill_n(to[2], width, 0.0F);
      continue;
    }
    if (span == previous) {
      for (float* row : to) std::copy_n(row - width, width, row);
      continue;
    }
    previous = span;
    if (cancel != nullptr) cancel->check();
    line(span, max.data(), mean.data(), cells.data());
    const float* from[3] = {max.data(), mean.data(), cells.data()};
    const float outside[3] = {kNotCausal, kNotCausal, 0.0F};
    for (int a = 0; a < 3; ++a) {
      if (columns.one_to_one()) {
        const auto first = static_cast<std::size_t>(columns.first_pixel());
        std::fill_n(to[a], first, outside[a]);
        std::copy_n(from[a], spans, to[a] + first);
        std::fill(to[a] + first + spans, to[a] + width, outside[a]);
      } else {
        for (int x = 0; x < grid.width; ++x) {
          const int s = columns.span_of_pixel(x);
          to[a][x] = s < 0 ? outside[a] : from[a][s];
        }
      }
    }
  }
}

}  // namespace dhsa
