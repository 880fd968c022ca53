// Coarse attention of one head from a few of its rows.
#include <algorithm>
#include <cmath>

#include "core/analysis/dense_weights_internal.h"
#include "core/analysis/pyramid.h"
#include "core/analysis/pyramid_internal.h"
#include "core/analysis/values.h"
#include "core/base/parallel.h"

namespace dhsa {

ReducedMatrix glance(const AttentionInput& input, AttentionLevels::What what, std::int64_t blocks,
                     const CancelToken* cancel) {
  const bool dropped = what == AttentionLevels::What::kDropped;
  if (input.heads.size() != 1 || (dropped ? !input.mask : what != AttentionLevels::What::kDense)) {
    throw Error("A glance shows dense attention or dropped mass of one head.");
  }
  dense::check_shapes(input.q, input.k, input.layer);
  const std::int64_t tokens = input.q.rows;
  const int head = input.heads.front();
  ReducedMatrix matrix;
  matrix.window = input.layer.window;
  blocks = std::min(blocks, tokens);
  for (std::int64_t b = 0; b <= blocks; ++b) matrix.row_edges.push_back(b * tokens / blocks);
  matrix.key_edges = matrix.row_edges;
  const auto size = static_cast<std::size_t>(blocks * blocks);
  matrix.max.assign(size, kNotCausal);
  matrix.mean.assign(size, kNotCausal);
  matrix.cells.assign(size, 0.0F);
  parallel_for(
      blocks,
      [&](std::int64_t b) {
        const std::int64_t begin = matrix.row_edges[static_cast<std::size_t>(b)];
        const std::int64_t end = matrix.row_edges[static_cast<std::size_t>(b) + 1];
        const RowSample sample = draw_rows(begin, end, (end - begin + kGlanceRows - 1) / kGlanceRows,
                                           static_cast<std::uint64_t>(b) + input.layer.text);
        dense::WeightBlock block(input.q, input.k, input.layer, head, sample.rows);
        std::vector<double> sums(static_cast<std::size_t>(blocks)), counts(sums.size());
        std::vector<KeyRange> ranges;
        for (std::int64_t r = 0; r < sample.size(); ++r) {
          const std::int64_t row = sample.rows[static_cast<std::size_t>(r)];
          float* weights = block.weights(r);
          if (dropped) {
            input.mask->row_ranges(input.mask->mask_head(head, input.q.heads), row, ranges);
            for (const KeyRange& range : ranges)
              std::fill(weights + (range.begin - block.begin()), weights + (range.end - block.begin()), 0.0F);
          }
          const std::int64_t first = block.begin() + block.visible_begin(input.layer, r);
          for (std::int64_t c = 0; c <= b; ++c) {
            const std::int64_t low = std::max(first, matrix.key_edges[static_cast<std::size_t>(c)]);
            const std::int64_t high = std::min(row + 1, matrix.key_edges[static_cast<std::size_t>(c) + 1]);
            if (low >= high) continue;
            const float* from = weights + (low - block.begin());
            const double most = static_cast<double>(dense::largest_of(from, high - low)) / block.total(r);
            float& known = matrix.max[static_cast<std::size_t>(b * blocks + c)];
            known = std::fmax(known, static_cast<float>(most));
            sums[static_cast<std::size_t>(c)] += dense::sum_of(from, high - low) / block.total(r);
            counts[static_cast<std::size_t>(c)] += static_cast<double>(high - low);
          }
        }
        for (std::size_t c = 0; c < sums.size(); ++c) {
          if (counts[c] <= 0) continue;
          const std::size_t at = static_cast<std::size_t>(b * blocks) + c;
          matrix.mean[at] = static_cast<float>(sums[c] / counts[c]);
          matrix.cells[at] = static_cast<float>(
              causal_cells(begin, end, matrix.key_edges[c], matrix.key_edges[c + 1], input.layer.window));
        }
      },
      cancel);
  return matrix;
}

}  // namespace dhsa
