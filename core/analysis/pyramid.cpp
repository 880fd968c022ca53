#include "core/analysis/pyramid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/analysis/pyramid_internal.h"

namespace dhsa {

AxisPartition::AxisPartition(double begin, double end, int pixels, std::int64_t first, std::int64_t cells)
    : pixel_span_(static_cast<std::size_t>(std::max(pixels, 0)), -1) {
  const double step = pixels > 0 ? (end - begin) / pixels : 0;
  first = std::clamp<std::int64_t>(first, 0, cells);
  first_pixel_ = pixels;
  if (step > 0) {
    // A cell belongs to the pixel whose half-open interval (a, a + step] holds the cell's centre.
    const auto cells_before = [&](int pixel) {
      return static_cast<std::int64_t>(std::floor(begin + pixel * step - 0.5)) + 1;
    };
    std::int64_t from = cells_before(0);
    for (int p = 0; p < pixels; ++p) {
      const std::int64_t to = cells_before(p + 1);
      std::int64_t low = from;
      std::int64_t high = to;
      if (low >= high) {  // no centre inside: the cell that covers the pixel's centre
        low = static_cast<std::int64_t>(std::floor(begin + (p + 0.5) * step));
        high = low + 1;
      }
      from = to;
      low = std::max(low, first);
      high = std::min(high, cells);
      if (low >= high) continue;
      if (edges_.empty()) {
        edges_ = {low, high};
        first_pixel_ = p;
      } else if (low >= edges_.back()) {
        edges_.push_back(high);
      } else {
        one_to_one_ = false;
      }
      pixel_span_[static_cast<std::size_t>(p)] = spans() - 1;
    }
  }
  if (edges_.empty()) edges_.push_back(first);
  if (spans() > 0) cells_per_span_ = static_cast<double>(last() - AxisPartition::first()) / spans();
}

int AxisPartition::span_of_cell(std::int64_t cell) const noexcept {
  int span = static_cast<int>(static_cast<double>(cell - first()) / cells_per_span_);
  span = std::clamp(span, 0, spans() - 1);
  while (cell < begin(span)) --span;
  while (cell >= end(span)) ++span;
  return span;
}

namespace {

// Pairs with row < rows, key < keys, key <= row.
std::int64_t triangle(std::int64_t rows, std::int64_t keys) noexcept {
  if (rows <= 0 || keys <= 0) return 0;
  return rows <= keys ? rows * (rows + 1) / 2 : keys * (keys + 1) / 2 + (rows - keys) * keys;
}

std::int64_t below_diagonal(std::int64_t row_begin, std::int64_t row_end, std::int64_t key_begin,
                            std::int64_t key_end) noexcept {
  return triangle(row_end, key_end) - triangle(row_begin, key_end) - triangle(row_end, key_begin) +
         triangle(row_begin, key_begin);
}

}  // namespace

std::int64_t causal_cells(std::int64_t row_begin, std::int64_t row_end, std::int64_t key_begin, std::int64_t key_end,
                          std::int64_t window) noexcept {
  if (row_begin >= row_end || key_begin >= key_end) return 0;
  std::int64_t pairs = below_diagonal(row_begin, row_end, key_begin, key_end);
  if (window > 0) pairs -= below_diagonal(row_begin - window, row_end - window, key_begin, key_end);
  return pairs;
}

void ReducedMatrix::sample(const Viewport& view, int width, int height, std::int64_t skip_keys,
                           SampleGrid& grid) const {
  start_grid(view, width, height, grid);
  const std::int64_t tokens = row_edges.back();
  // Blocks whose cells differ cannot be taken apart: leave out every block that holds a key to be left out.
  if (!uniform_blocks) {
    const auto edge = std::lower_bound(key_edges.begin(), key_edges.end(), skip_keys);
    skip_keys = edge == key_edges.end() ? key_edges.back() : *edge;
  }
  const AxisPartition row_parts(view.row_begin, view.row_end, height, 0, tokens);
  const AxisPartition columns(view.key_begin, view.key_end, width, skip_keys, key_edges.back());
  const auto block_of = [](const std::vector<std::int64_t>& edges, std::int64_t cell) {
    return std::upper_bound(edges.begin(), edges.end(), cell) - edges.begin() - 1;
  };
  if (!uniform_blocks && columns.spans() > 0 && row_parts.spans() > 0) {
    const auto mean_block = [&](const std::vector<std::int64_t>& edges, const AxisPartition& parts) {
      const auto met = block_of(edges, parts.last() - 1) - block_of(edges, parts.first()) + 1;
      return static_cast<double>(parts.last() - parts.first()) / static_cast<double>(met);
    };
    grid.rows_per_value = std::max(grid.rows_per_value, mean_block(row_edges, row_parts));
    grid.keys_per_value = std::max(grid.keys_per_value, mean_block(key_edges, columns));
  }
  const std::int64_t blocks = keys();
  const std::int64_t first_block = columns.spans() > 0 ? block_of(key_edges, columns.first()) : 0;
  const std::int64_t last_block = columns.spans() > 0 ? block_of(key_edges, columns.last() - 1) + 1 : 0;
  // Overlap of every column span with its blocks, found once.
  std::vector<std::int64_t> span_block(static_cast<std::size_t>(columns.spans()));
  for (int c = 0; c < columns.spans(); ++c)
    span_block[static_cast<std::size_t>(c)] = block_of(key_edges, columns.begin(c));

  std::vector<float> line_max(static_cast<std::size_t>(blocks)), line_sum(static_cast<std::size_t>(blocks)),
      line_cells(static_cast<std::size_t>(blocks));
  const auto larger = [this](float a, float b) {
    return signed_values ? (std::abs(b) > std::abs(a) ? b : a) : std::max(a, b);
  };
  std::int64_t made_begin = -1;  // block rows the line buffers hold, when they are one whole block row
  fill_grid(row_parts, columns, grid, nullptr, [&](int span, float* out_max, float* out_mean, float* out_cells) {
    const std::int64_t begin = row_parts.begin(span);
    const std::int64_t end = row_parts.end(span);
    const std::int64_t block_row = block_of(row_edges, begin);
    const bool inside_one = end <= row_edges[static_cast<std::size_t>(block_row) + 1];
    if (!inside_one || made_begin != block_row) {
      std::fill(line_max.begin() + first_block, line_max.begin() + last_block, kNotCausal);
      std::fill(line_sum.begin() + first_block, line_sum.begin() + last_block, 0.0F);
      std::fill(line_cells.begin() + first_block, line_cells.begin() + last_block, 0.0F);
      for (std::int64_t r = block_row; r < rows() && row_edges[static_cast<std::size_t>(r)] < end; ++r) {
        const std::int64_t from = row_edges[static_cast<std::size_t>(r)];
        const std::int64_t to = row_edges[static_cast<std::size_t>(r) + 1];
        const float share =
            inside_one ? 1.0F
                       : static_cast<float>(std::min(to, end) - std::max(from, begin)) / static_cast<float>(to - from);
        for (std::int64_t b = first_block; b < last_block; ++b) {
          const auto at = static_cast<std::size_t>(r * blocks + b);
          const auto to_at = static_cast<std::size_t>(b);
          if (std::isnan(max[at])) continue;
          line_max[to_at] = std::isnan(line_max[to_at]) ? max[at] : larger(line_max[to_at], max[at]);
          line_sum[to_at] += share * cells[at] * mean[at];
          line_cells[to_at] += share * cells[at];
        }
      }
      made_begin = inside_one ? block_row : -1;
    }
    if (causal) {
      count_causal(columns, begin, end, window, out_cells);
    } else {
      for (int c = 0; c < columns.spans(); ++c)
        out_cells[c] = static_cast<float>((end - begin) * (columns.end(c) - columns.begin(c)));
    }
    for (int c = 0; c < columns.spans(); ++c) {
      out_max[c] = out_mean[c] = kNotCausal;
      if (out_cells[c] <= 0) continue;
      float sum = 0;
      float weight = 0;
      float most = kNotCausal;
      std::int64_t b = span_block[static_cast<std::size_t>(c)];
      for (; b < blocks && key_edges[static_cast<std::size_t>(b)] < columns.end(c); ++b) {
        const auto at = static_cast<std::size_t>(b);
        if (std::isnan(line_max[at])) continue;
        const std::int64_t from = std::max(key_edges[at], columns.begin(c));
        const std::int64_t to = std::min(key_edges[at + 1], columns.end(c));
        const float share = static_cast<float>(to - from) / static_cast<float>(key_edges[at + 1] - key_edges[at]);
        most = std::isnan(most) ? line_max[at] : larger(most, line_max[at]);
        sum += share * line_sum[at];
        weight += share * line_cells[at];
      }
      if (weight <= 0) {
        out_cells[c] = 0;
        continue;
      }
      out_max[c] = most;
      out_mean[c] = sum / weight;
    }
  });
}

std::string describe_reducer(Reducer reducer, MatrixSource::Kind kind, double rows_per_value, double keys_per_value) {
  const auto rows = static_cast<std::int64_t>(std::lround(rows_per_value));
  const auto keys = static_cast<std::int64_t>(std::lround(keys_per_value));
  if (rows <= 1 && keys <= 1) return "every pair";
  const char* word = reducer == Reducer::kMean ? (kind == MatrixSource::Kind::kMask ? "share kept" : "mean")
                     : kind == MatrixSource::Kind::kDifference ? "largest magnitude"
                                                               : "max";
  return fmt::format("{} of {}×{} pairs", word, rows, keys);
}

}  // namespace dhsa
