// Masks and chunk scores as matrices to look at.
#include <fmt/format.h>

#include <algorithm>

#include "core/analysis/pyramid.h"
#include "core/analysis/pyramid_internal.h"

namespace dhsa {

namespace {

// Kept pairs per column span, for one line of pixels, gathered range by range. A range that covers whole spans costs
// two entries of a difference array.
class LineCounter {
 public:
  explicit LineCounter(const AxisPartition& columns)
      : columns_(columns),
        pairs_(static_cast<std::size_t>(columns.spans())),
        rows_(static_cast<std::size_t>(columns.spans()) + 1) {}

  void clear() {
    std::fill(pairs_.begin(), pairs_.end(), 0);
    std::fill(rows_.begin(), rows_.end(), 0);
  }

  // Rows [row_begin, row_end) of one group keep `range`, inside causality and window.
  void add(std::int64_t row_begin, std::int64_t row_end, KeyRange range, std::int64_t window) {
    std::int64_t begin = std::max<std::int64_t>(range.begin, columns_.first());
    std::int64_t end = std::min<std::int64_t>({range.end, columns_.last(), row_end});
    if (window > 0) begin = std::max(begin, row_begin - window + 1);
    if (begin >= end) return;
    // Keys that every one of these rows sees; those before and after are seen by some, and are counted one by one.
    const std::int64_t whole_begin = window > 0 ? std::clamp(row_end - window, begin, end) : begin;
    const std::int64_t whole_end = std::clamp(row_begin + 1, whole_begin, end);
    add_partly(row_begin, row_end, begin, whole_begin, window);
    if (whole_begin < whole_end) add_whole(row_end - row_begin, whole_begin, whole_end);
    add_partly(row_begin, row_end, whole_end, end, window);
  }

  // Calls use(span, kept pairs).
  template <class Use>
  void finish(Use&& use) const {
    std::int64_t rows = 0;
    for (int c = 0; c < columns_.spans(); ++c) {
      rows += rows_[static_cast<std::size_t>(c)];
      use(c, pairs_[static_cast<std::size_t>(c)] + rows * (columns_.end(c) - columns_.begin(c)));
    }
  }

 private:
  void add_whole(std::int64_t rows, std::int64_t begin, std::int64_t end) {
    const int first = columns_.span_of_cell(begin);
    const int last = columns_.span_of_cell(end - 1);
    if (first == last) {
      pairs_[static_cast<std::size_t>(first)] += rows * (end - begin);
      return;
    }
    pairs_[static_cast<std::size_t>(first)] += rows * (columns_.end(first) - begin);
    pairs_[static_cast<std::size_t>(last)] += rows * (end - columns_.begin(last));
    rows_[static_cast<std::size_t>(first) + 1] += rows;
    rows_[static_cast<std::size_t>(last)] -= rows;
  }

  void add_partly(std::int64_t row_begin, std::int64_t row_end, std::int64_t begin, std::int64_t end,
                  std::int64_t window) {
    if (begin >= end) return;
    int span = columns_.span_of_cell(begin);
    for (std::int64_t key = begin; key < end; ++key) {
      if (key >= columns_.end(span)) ++span;
      const std::int64_t last_row = window > 0 ? std::min(row_end, key + window) : row_end;
      pairs_[static_cast<std::size_t>(span)] += std::max<std::int64_t>(0, last_row - std::max(row_begin, key));
    }
  }

  const AxisPartition& columns_;
  std::vector<std::int64_t> pairs_;
  std::vector<std::int64_t> rows_;  // difference array: rows whose ranges cover the whole span
};

}  // namespace

MaskSource::MaskSource(std::shared_ptr<const KeyMask> mask, int head, std::int64_t many_ranges)
    : mask_(std::move(mask)), head_(head), many_ranges_(many_ranges) {
  if (!mask_ || mask_->rows() == 0) throw Error("There is no mask to show: it has no rows.");
  if (head < 0 || head >= mask_->heads())
    throw Error(fmt::format("The mask has {} lists of keys, so list {} cannot be shown.", mask_->heads(), head));
  const std::int64_t tokens = mask_->rows();
  if (ranges_in_rows(0, static_cast<double>(tokens)) <= many_ranges_) return;
  // Whole numbers of cells per block, so that the blocks are a sampling like any other.
  const std::int64_t block = (tokens + 1023) / 1024;
  const auto blocks = static_cast<int>((tokens + block - 1) / block);
  const auto reach = static_cast<double>(block * blocks);
  SampleGrid grid;
  sample_ranges({0, reach, 0, reach}, blocks, blocks, {}, grid);
  for (std::int64_t b = 0; b <= blocks; ++b) overview_.row_edges.push_back(std::min(b * block, tokens));
  overview_.key_edges = overview_.row_edges;
  overview_.max = std::move(grid.max);
  overview_.mean = std::move(grid.mean);
  overview_.cells = std::move(grid.cells);
  overview_.window = mask_->window();
}

float MaskSource::at(std::int64_t row, std::int64_t key) const {
  if (row < 0 || row >= tokens() || key < mask_->first_visible(row) || key > row) return kNotCausal;
  return mask_->kept(head_, row, key) ? 1.0F : 0.0F;
}

std::int64_t MaskSource::ranges_in_rows(double row_begin, double row_end) const {
  const auto last = static_cast<double>(tokens() - 1);
  const std::int64_t from = mask_->group_of(static_cast<std::int64_t>(std::clamp(row_begin, 0.0, last)));
  const std::int64_t to = mask_->group_of(static_cast<std::int64_t>(std::clamp(row_end, 0.0, last))) + 1;
  const std::int64_t base = head_ * mask_->groups();
  return mask_->indptr()[static_cast<std::size_t>(base + to)] - mask_->indptr()[static_cast<std::size_t>(base + from)];
}

bool MaskSource::refines(const Viewport& view, int width, int height) const {
  if (overview_.row_edges.empty() || ranges_in_rows(view.row_begin, view.row_end) <= many_ranges_) return false;
  const auto block = static_cast<double>(overview_.row_edges[1]);
  return (view.row_end - view.row_begin) / height < block || (view.key_end - view.key_begin) / width < block;
}

void MaskSource::sample(const Viewport& view, int width, int height, const SampleOptions& options,
                        SampleGrid& grid) const {
  const bool fast =
      !overview_.row_edges.empty() && !options.refine && ranges_in_rows(view.row_begin, view.row_end) > many_ranges_;
  if (!fast) {
    sample_ranges(view, width, height, options, grid);
    return;
  }
  overview_.sample(view, width, height, options.skip_keys, grid);
  grid.exact = false;
}

void MaskSource::sample_ranges(const Viewport& view, int width, int height, const SampleOptions& options,
                               SampleGrid& grid) const {
  start_grid(view, width, height, grid);
  const KeyMask& mask = *mask_;
  const std::int64_t window = mask.window();
  const AxisPartition rows(view.row_begin, view.row_end, height, 0, tokens());
  const AxisPartition columns(view.key_begin, view.key_end, width, options.skip_keys, tokens());
  LineCounter counter(columns);
  const auto edges = mask.group_rows();
  std::int64_t group = rows.spans() > 0 ? mask.group_of(rows.first()) : 0;
  fill_grid(rows, columns, grid, options.cancel, [&](int span, float* max, float* mean, float* cells) {
    const std::int64_t begin = rows.begin(span);
    const std::int64_t end = rows.end(span);
    counter.clear();
    while (edges[static_cast<std::size_t>(group) + 1] <= begin) ++group;
    for (; group < mask.groups() && edges[static_cast<std::size_t>(group)] < end; ++group) {
      const std::int64_t from = std::max<std::int64_t>(begin, edges[static_cast<std::size_t>(group)]);
      const std::int64_t to = std::min<std::int64_t>(end, edges[static_cast<std::size_t>(group) + 1]);
      const auto ranges = mask.ranges(head_, group);
      const std::int64_t low = window > 0 ? std::max(columns.first(), from - window + 1) : columns.first();
      auto range = std::partition_point(ranges.begin(), ranges.end(), [&](KeyRange r) { return r.end <= low; });
      const std::int64_t high = std::min(columns.last(), to);
      for (; range != ranges.end() && range->begin < high; ++range) counter.add(from, to, *range, window);
      if (edges[static_cast<std::size_t>(group) + 1] > end) break;  // the next line needs this group again
    }
    count_causal(columns, begin, end, window, cells);
    counter.finish([&](int c, std::int64_t pairs) {
      const bool any_causal = cells[c] > 0;
      max[c] = any_causal ? (pairs > 0 ? 1.0F : 0.0F) : kNotCausal;
      mean[c] = any_causal ? static_cast<float>(pairs) / cells[c] : kNotCausal;
    });
  });
}

ScoreSource::ScoreSource(std::span<const float> chunk_scores, std::span<const std::int32_t> group_rows,
                         std::span<const std::int32_t> boundaries, bool upsampled, std::int64_t window) {
  if (group_rows.size() < 2 || boundaries.size() < 2 ||
      chunk_scores.size() != (group_rows.size() - 1) * (boundaries.size() - 1))
    throw Error(fmt::format("The chunk scores hold {} values, not one for each of {} query groups and {} chunks.",
                            chunk_scores.size(), group_rows.empty() ? 0 : group_rows.size() - 1,
                            boundaries.empty() ? 0 : boundaries.size() - 1));
  blocks_.row_edges.assign(group_rows.begin(), group_rows.end());
  blocks_.key_edges.assign(boundaries.begin(), boundaries.end());
  blocks_.max.assign(chunk_scores.begin(), chunk_scores.end());
  blocks_.mean = blocks_.max;
  blocks_.uniform_blocks = true;
  blocks_.causal = upsampled;
  blocks_.window = upsampled ? window : 0;
  blocks_.cells.resize(blocks_.max.size());
  for (std::int64_t g = 0; g < blocks_.rows(); ++g) {
    for (std::int64_t c = 0; c < blocks_.keys(); ++c) {
      const auto row = static_cast<std::size_t>(g);
      const auto key = static_cast<std::size_t>(c);
      const std::int64_t rows = blocks_.row_edges[row + 1] - blocks_.row_edges[row];
      const std::int64_t keys = blocks_.key_edges[key + 1] - blocks_.key_edges[key];
      blocks_.cells[static_cast<std::size_t>(g * blocks_.keys() + c)] =
          static_cast<float>(upsampled ? causal_cells(blocks_.row_edges[row], blocks_.row_edges[row + 1],
                                                      blocks_.key_edges[key], blocks_.key_edges[key + 1], window)
                                       : rows * keys);
    }
  }
}

float ScoreSource::at(std::int64_t row, std::int64_t key) const {
  if (row < 0 || row >= tokens() || key < 0 || key >= blocks_.key_edges.back()) return kNotCausal;
  if (blocks_.causal && (key > row || (blocks_.window > 0 && key <= row - blocks_.window))) return kNotCausal;
  const auto block_of = [](const std::vector<std::int64_t>& edges, std::int64_t cell) {
    return std::upper_bound(edges.begin(), edges.end(), cell) - edges.begin() - 1;
  };
  return blocks_.max[static_cast<std::size_t>(block_of(blocks_.row_edges, row) * blocks_.keys() +
                                              block_of(blocks_.key_edges, key))];
}

void ScoreSource::sample(const Viewport& view, int width, int height, const SampleOptions& options,
                         SampleGrid& grid) const {
  blocks_.sample(view, width, height, options.skip_keys, grid);
}

namespace {

std::span<const float> scores_of(const Plan& plan, int mask_head) {
  const PlanTrace& trace = plan.trace;
  if (trace.chunk_scores.empty() || trace.boundaries.size() < 2)
    throw Error("This method scores no chunks, so there is no chunk similarity to show.");
  const std::size_t size = static_cast<std::size_t>(plan.mask.groups()) * (trace.boundaries.size() - 1);
  if (mask_head < 0 || trace.chunk_scores.size() < (static_cast<std::size_t>(mask_head) + 1) * size)
    throw Error(fmt::format("The plan holds no chunk scores for list {} of the mask.", mask_head));
  return std::span(trace.chunk_scores).subspan(static_cast<std::size_t>(mask_head) * size, size);
}

}  // namespace

std::shared_ptr<const MatrixSource> score_source(const Plan& plan, int mask_head, bool upsampled) {
  return std::make_shared<ScoreSource>(scores_of(plan, mask_head), plan.mask.group_rows(), plan.trace.boundaries,
                                       upsampled, plan.mask.window());
}

std::vector<float> predicted_importance(const Plan& plan) {
  const auto& boundaries = plan.trace.boundaries;
  if (boundaries.size() < 2 || plan.trace.chunk_scores.empty()) return {};
  const std::size_t chunks = boundaries.size() - 1;
  const auto groups = static_cast<std::size_t>(plan.mask.groups());
  if (groups == 0 || plan.trace.chunk_scores.size() % (groups * chunks) != 0) return {};
  const std::size_t lists = plan.trace.chunk_scores.size() / (groups * chunks);

  std::vector<double> per_token(chunks, 0.0);
  std::vector<double> weights(chunks);
  for (std::size_t list = 0; list < lists; ++list) {
    for (std::size_t group = 0; group < groups; ++group) {
      const float* row = plan.trace.chunk_scores.data() + (list * groups + group) * chunks;
      double top = -std::numeric_limits<double>::infinity();
      for (std::size_t c = 0; c < chunks; ++c) {
        if (std::isfinite(row[c])) top = std::max(top, static_cast<double>(row[c]));
      }
      if (!std::isfinite(top)) continue;
      double sum = 0;
      for (std::size_t c = 0; c < chunks; ++c) {
        weights[c] = std::isfinite(row[c]) ? std::exp(static_cast<double>(row[c]) - top) : 0.0;
        sum += weights[c];
      }
      for (std::size_t c = 0; c < chunks; ++c) {
        per_token[c] += weights[c] / sum / (boundaries[c + 1] - boundaries[c]);
      }
    }
  }
  const auto tokens = static_cast<std::size_t>(boundaries.back());
  const double scale = static_cast<double>(tokens) / static_cast<double>(lists * groups);
  std::vector<float> result(tokens);
  for (std::size_t c = 0; c < chunks; ++c) {
    std::fill(result.begin() + boundaries[c], result.begin() + boundaries[c + 1],
              static_cast<float>(per_token[c] * scale));
  }
  return result;
}

}  // namespace dhsa
