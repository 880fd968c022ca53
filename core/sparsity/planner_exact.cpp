// Planners that look at true attention rows: vertical-slash, from the last queries only, and the token top-k oracle,
// from all of them.
#include <algorithm>
#include <numeric>
#include <utility>

#include "core/base/parallel.h"
#include "core/sparsity/attention_rows.h"
#include "core/sparsity/chunk_scores.h"
#include "core/sparsity/planner_parts.h"
#include "core/sparsity/selection.h"

namespace dhsa {
namespace {

// Indices of positive scores, highest first, ties: lower index first.
std::vector<std::int32_t> ranked(const std::vector<float>& scores) {
  std::vector<std::int32_t> order;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > 0) order.push_back(static_cast<std::int32_t>(i));
  }
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
  });
  return order;
}

// MInference: the columns (verticals) and diagonals (slashes) that hold most of the attention of the last 64 queries
// are kept for all rows.
class VerticalSlashPlanner : public ParameterPlanner {
 public:
  using ParameterPlanner::ParameterPlanner;

  Plan plan(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, const CancelToken* cancel) override {
    Plan plan;
    Stopwatch watch;
    const std::int64_t heads = mask_head_count(parameters_.mask_heads, q.heads, k.heads);
    const std::int64_t per_mask = q.heads / heads;
    const AttentionRows attention(q, k, layer);
    constexpr std::int64_t kProbes = 64;
    const std::int64_t probe_begin = std::max<std::int64_t>(0, q.rows - kProbes);
    std::vector<std::vector<std::int32_t>> verticals;
    std::vector<std::vector<std::int32_t>> slashes;
    for (std::int64_t m = 0; m < heads; ++m) {
      std::vector<float> columns(static_cast<std::size_t>(q.rows), 0.0F);
      std::vector<float> offsets(static_cast<std::size_t>(q.rows), 0.0F);
      for (std::int64_t h = m * per_mask; h < (m + 1) * per_mask; ++h) {
        attention.each_row(h, probe_begin, q.rows,
                           [&](std::int64_t i, std::int64_t see, std::int64_t n, const float* row) {
                             for (std::int64_t j = 0; j < n; ++j) {
                               columns[static_cast<std::size_t>(see + j)] += row[j];
                               offsets[static_cast<std::size_t>(i - see - j)] += row[j];
                             }
                           });
        if (cancel != nullptr) cancel->check();
      }
      verticals.push_back(ranked(columns));
      slashes.push_back(ranked(offsets));
    }
    plan.seconds.similarity = watch.lap();

    const QueryGroups groups = query_groups(q.rows, parameters_.query_block, parameters_.instruction_tokens);
    plan.mask = build_mask(
        groups, heads, layer.window,
        [&](std::int64_t head, std::int64_t g) -> std::vector<KeyRange> {
          const std::int64_t row_begin = groups.begin(g);
          const std::int64_t row_end = groups.end(g);
          const GroupReach reach = group_reach(row_begin, row_end, layer.window, parameters_.budget);
          if (reach.whole) return {key_range(reach.begin, reach.end)};
          return lines(verticals[static_cast<std::size_t>(head)], slashes[static_cast<std::size_t>(head)], row_begin,
                       row_end, reach);
        },
        cancel);
    plan.seconds.selection = watch.lap();
    return plan;
  }

 private:
  // Sinks and local keys, then lines: half of what is left of the budget for slashes, the rest for verticals. A slash
  // crosses as many keys as the group has rows, so slashes are charged by the keys that they add. What the verticals
  // leave goes to further slashes, the last of them cut to its most recent keys: on a local layer the last queries see
  // the columns of the last window only, and the groups before it have few or none.
  [[nodiscard]] std::vector<KeyRange> lines(const std::vector<std::int32_t>& verticals,
                                            const std::vector<std::int32_t>& slashes, std::int64_t row_begin,
                                            std::int64_t row_end, const GroupReach& reach) const {
    std::vector<bool> chosen(static_cast<std::size_t>(row_end), false);
    std::int64_t left = parameters_.budget;
    const auto take = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t j = begin; j < end; ++j) {
        if (chosen[static_cast<std::size_t>(j)]) continue;
        chosen[static_cast<std::size_t>(j)] = true;
        --left;
      }
    };
    const auto [sink_end, local_begin] = always_kept(reach.begin, row_end, row_end - row_begin, parameters_.sink_tokens,
                                                     parameters_.local_tokens, parameters_.budget);
    take(reach.begin, sink_end);
    take(local_begin, row_end);
    const std::int64_t for_verticals = std::max<std::int64_t>(0, left) / 2;
    auto slash = slashes.begin();
    for (; slash != slashes.end(); ++slash) {
      const std::int64_t begin = std::max(reach.begin, row_begin - *slash);
      const std::int64_t end = row_end - *slash;
      std::int64_t added = 0;
      for (std::int64_t j = begin; j < end; ++j) added += chosen[static_cast<std::size_t>(j)] ? 0 : 1;
      if (added == 0) continue;
      if (left - added < for_verticals) break;
      take(begin, end);
    }
    for (const std::int32_t column : verticals) {
      if (left <= 0) break;
      if (column >= reach.begin && column < row_end) take(column, column + 1);
    }
    for (; slash != slashes.end() && left > 0; ++slash) {
      const std::int64_t begin = std::max(reach.begin, row_begin - *slash);
      for (std::int64_t j = row_end - *slash; j > begin && left > 0; --j) take(j - 1, j);
    }
    return ranges_of_marks(chosen, reach.begin, row_end);
  }
};

// The keys to which dense attention gives most: what no mask of this budget can beat.
class TokenTopKPlanner : public ParameterPlanner {
 public:
  using ParameterPlanner::ParameterPlanner;

  Plan plan(const HeadsView& q, const HeadsView& k, const LayerInfo& layer, const CancelToken* cancel) override {
    Plan plan;
    Stopwatch watch;
    const std::int64_t heads = mask_head_count(parameters_.mask_heads, q.heads, k.heads);
    const std::int64_t per_mask = q.heads / heads;
    const AttentionRows attention(q, k, layer);
    const QueryGroups groups = query_groups(q.rows, parameters_.oracle_rows, parameters_.instruction_tokens);
    // Rows are worked on in batches, so that keys are read once for many of them.
    const std::int64_t batch = std::max<std::int64_t>(1, 16 / parameters_.oracle_rows);
    const std::int64_t batches = (groups.sparse + batch - 1) / batch;
    std::vector<std::vector<KeyRange>> lists(static_cast<std::size_t>(heads * groups.sparse));
    parallel_for(
        heads * batches,
        [&](std::int64_t task) {
          const std::int64_t m = task / batches;
          const std::int64_t first_group = task % batches * batch;
          const std::int64_t last_group = std::min(groups.sparse, first_group + batch);
          const std::int64_t rows_begin = groups.begin(first_group);
          const std::int64_t rows_end = groups.begin(last_group);
          const std::int64_t key_begin = attention.first_visible(rows_begin);
          const std::int64_t width = rows_end - key_begin;
          std::vector<float> sums(static_cast<std::size_t>((last_group - first_group) * width), 0.0F);
          for (std::int64_t h = m * per_mask; h < (m + 1) * per_mask; ++h) {
            attention.each_row(h, rows_begin, rows_end,
                               [&](std::int64_t i, std::int64_t see, std::int64_t n, const float* row) {
                                 const std::int64_t g = i / parameters_.oracle_rows - first_group;
                                 row_kernels().add_scaled(sums.data() + g * width + (see - key_begin), row, n, 1.0F);
                               });
          }
          for (std::int64_t g = first_group; g < last_group; ++g) {
            const std::int64_t row_begin = groups.begin(g);
            const std::int64_t row_end = groups.end(g);
            auto& list = lists[static_cast<std::size_t>(m * groups.sparse + g)];
            const bool dense = layer.window > 0 && parameters_.budget >= layer.window;
            list = dense ? std::vector<KeyRange>{key_range(0, row_end)}
                         : best(sums.data() + (g - first_group) * width, key_begin, row_begin, row_end,
                                attention.first_visible(row_begin));
          }
        },
        cancel);
    plan.seconds.similarity = watch.lap();
    plan.mask = build_mask(
        groups, heads, layer.window,
        [&](std::int64_t head, std::int64_t g) {
          return std::move(lists[static_cast<std::size_t>(head * groups.sparse + g)]);
        },
        cancel);
    plan.seconds.selection = watch.lap();
    return plan;
  }

 private:
  // The rows keep themselves; the rest of the budget goes to the earlier keys with the largest sums.
  [[nodiscard]] std::vector<KeyRange> best(const float* sums, std::int64_t key_begin, std::int64_t row_begin,
                                           std::int64_t row_end, std::int64_t first) const {
    const std::int64_t own = row_end - row_begin;
    const std::int64_t wanted = parameters_.budget - own;
    const std::int64_t candidates = row_begin - first;
    if (wanted >= candidates) return {key_range(first, row_end)};
    if (wanted <= 0) return {key_range(row_begin, row_end)};
    std::vector<std::int32_t> keys(static_cast<std::size_t>(candidates));
    std::iota(keys.begin(), keys.end(), static_cast<std::int32_t>(first));
    std::nth_element(keys.begin(), keys.begin() + wanted, keys.end(), [&](std::int32_t a, std::int32_t b) {
      const float of_a = sums[a - key_begin];
      const float of_b = sums[b - key_begin];
      return of_a != of_b ? of_a > of_b : a < b;
    });
    keys.resize(static_cast<std::size_t>(wanted));
    std::sort(keys.begin(), keys.end());
    std::vector<KeyRange> ranges;
    for (const std::int32_t key : keys) {
      if (!ranges.empty() && ranges.back().end == key) {
        ++ranges.back().end;
      } else {
        ranges.push_back(key_range(key, key + 1));
      }
    }
    ranges.push_back(key_range(row_begin, row_end));
    return ranges;
  }
};

}  // namespace

std::unique_ptr<Planner> make_vertical_slash_planner(const SparsityParameters& parameters) {
  return std::make_unique<VerticalSlashPlanner>(parameters);
}

std::unique_ptr<Planner> make_token_topk_planner(const SparsityParameters& parameters) {
  return std::make_unique<TokenTopKPlanner>(parameters);
}

}  // namespace dhsa
