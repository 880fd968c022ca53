#include "core/sparsity/boundaries.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/base/parallel.h"
#include "core/sparsity/row_math.h"

namespace dhsa {
namespace {

constexpr float kUndefined = std::numeric_limits<float>::quiet_NaN();

// Orders as the float does, as an unsigned number.
std::uint32_t rank_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0F);  // -0 as 0
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

}  // namespace

std::vector<float> key_shift_scores(const HeadsView& k, std::int64_t boundary_window, const CancelToken* cancel) {
  const std::int64_t tokens = k.rows;
  const std::int64_t w = boundary_window;
  const std::int64_t channels = k.heads * k.dim;
  std::vector<float> scores(static_cast<std::size_t>(tokens), kUndefined);
  const std::int64_t first = w - 1;
  const std::int64_t end = tokens - w;  // j in [first, end)
  if (end <= first) return scores;
  const RowKernels& kernels = row_kernels();
  constexpr std::int64_t kBlock = 256;
  parallel_for((end - first + kBlock - 1) / kBlock,
               [&](std::int64_t block) {
                 const std::int64_t from = first + block * kBlock;
                 const std::int64_t to = std::min(end, from + kBlock);
                 // sums[t] is the sum of keys start + t ... start + t + w - 1: left of j at j - w + 1, right of j at j
                 // + 1.
                 const std::int64_t start = from - w + 1;
                 const std::int64_t count = to - from + w;
                 std::vector<float> sums(static_cast<std::size_t>(count * channels), 0.0F);
                 std::vector<float> norms(static_cast<std::size_t>(count));
                 std::vector<float> key(static_cast<std::size_t>(channels));
                 for (std::int64_t t = start; t < start + count + w - 1; ++t) {
                   for (std::int64_t h = 0; h < k.heads; ++h) k.load_row(h, t, key.data() + h * k.dim);
                   const std::int64_t last = std::min(t - start, count - 1);
                   for (std::int64_t at = std::max<std::int64_t>(0, t - start - w + 1); at <= last; ++at) {
                     kernels.add(sums.data() + at * channels, key.data(), channels);
                   }
                 }
                 for (std::int64_t at = 0; at < count; ++at) {
                   const float* sum = sums.data() + at * channels;
                   norms[static_cast<std::size_t>(at)] = kernels.dot(sum, sum, channels);
                 }
                 for (std::int64_t j = from; j < to; ++j) {
                   const std::int64_t left = j - w + 1 - start;
                   const std::int64_t right = j + 1 - start;
                   const float product =
                       kernels.dot(sums.data() + left * channels, sums.data() + right * channels, channels);
                   const float norm = std::sqrt(norms[static_cast<std::size_t>(left)]) *
                                      std::sqrt(norms[static_cast<std::size_t>(right)]);
                   scores[static_cast<std::size_t>(j)] = 1.0F - product / std::max(norm, 1e-12F);
                 }
               },
               cancel);
  return scores;
}

std::vector<float> attention_mass_ratios(const HeadsView& q, const HeadsView& k, const AttentionMassRule& rule,
                                         const CancelToken* cancel) {
  const std::int64_t tokens = q.rows;
  const std::int64_t w = rule.boundary_window;
  std::vector<float> ratios(static_cast<std::size_t>(tokens), kUndefined);
  const std::int64_t first = 2 * w - 1;
  const std::int64_t end = tokens - 2 * w;  // j in [first, end)
  if (end <= first) return ratios;

  std::vector<PackedRows> keys;
  for (std::int64_t h = 0; h < k.heads; ++h) keys.push_back(PackedRows::of(k, h));
  const RowKernels& kernels = row_kernels();
  const std::int64_t per_kv = q.heads / k.heads;

  // Row blocks are worked on a batch at a time, each into sums of its own, and added up in order: the result does not
  // depend on which thread did what.
  constexpr std::int64_t kRows = 16;
  constexpr std::int64_t kBatch = 16;
  const std::int64_t blocks = (tokens + kRows - 1) / kRows;
  const auto size = static_cast<std::size_t>(tokens);
  std::vector<double> past(size, 0.0);
  std::vector<double> future(size, 0.0);
  std::vector<std::vector<float>> block_past(kBatch);
  std::vector<std::vector<float>> block_future(kBatch);
  for (std::int64_t batch = 0; batch < blocks; batch += kBatch) {
    const std::int64_t count = std::min(kBatch, blocks - batch);
    parallel_for(
        count,
        [&](std::int64_t slot) {
          const std::int64_t row_begin = (batch + slot) * kRows;
          const std::int64_t row_end = std::min(tokens, row_begin + kRows);
          auto& sum_past = block_past[static_cast<std::size_t>(slot)];
          auto& sum_future = block_future[static_cast<std::size_t>(slot)];
          sum_past.assign(size, 0.0F);
          sum_future.assign(size, 0.0F);
          const std::int64_t lowest = rule.window > 0 ? std::max<std::int64_t>(0, row_begin - rule.window + 1) : 0;
          const std::int64_t column_begin = lowest / kTileColumns * kTileColumns;
          const std::int64_t width = padded_columns(row_end - column_begin);
          std::vector<float> queries(static_cast<std::size_t>(kRows * q.dim));
          std::vector<float> scores(static_cast<std::size_t>(kRows * width));
          // 2w columns of zeros in front, so that no window of columns leaves the buffer.
          const std::int64_t stride = width + 2 * w;
          std::vector<float> mean(static_cast<std::size_t>(kRows * stride), 0.0F);
          for (std::int64_t h = 0; h < q.heads; ++h) {
            for (std::int64_t i = row_begin; i < row_end; ++i) {
              q.load_row(h, i, queries.data() + (i - row_begin) * q.dim);
            }
            keys[static_cast<std::size_t>(h / per_kv)].multiply(queries.data(), row_end - row_begin, q.dim,
                                                                column_begin, row_end, scores.data(), width);
            for (std::int64_t i = row_begin; i < row_end; ++i) {
              const std::int64_t see = rule.window > 0 ? std::max<std::int64_t>(0, i - rule.window + 1) : 0;
              float* row = scores.data() + (i - row_begin) * width + (see - column_begin);
              const std::int64_t n = i + 1 - see;
              kernels.scale_softcap(row, n, rule.scale, rule.softcap);
              const float sum = kernels.exp_sum(row, n, kernels.largest(row, n));
              kernels.add_scaled(mean.data() + (i - row_begin) * stride + 2 * w + (see - column_begin), row, n,
                                 1.0F / (sum * static_cast<float>(q.heads)));
            }
          }
          for (std::int64_t i = row_begin; i < row_end; ++i) {
            // Row i looks at the cuts j with j + w <= i, and i < j + w + row_window.
            std::int64_t from = std::max(first, column_begin - w);
            if (rule.row_window > 0) from = std::max(from, i - w - rule.row_window + 1);
            const std::int64_t to = std::min(end, i - w + 1);
            const float* row = mean.data() + (i - row_begin) * stride + 2 * w - column_begin;
            if (to <= from) continue;
            for (std::int64_t d = 0; d < w; ++d) {
              kernels.add(sum_past.data() + from, row + from - d, to - from);
              kernels.add(sum_future.data() + from, row + from + 1 + d, to - from);
            }
          }
        },
        cancel);
    for (std::int64_t slot = 0; slot < count; ++slot) {
      const auto& sum_past = block_past[static_cast<std::size_t>(slot)];
      const auto& sum_future = block_future[static_cast<std::size_t>(slot)];
      const std::size_t used = static_cast<std::size_t>(std::min(tokens, (batch + slot + 1) * kRows));
      for (std::size_t j = 0; j < used; ++j) {
        past[j] += static_cast<double>(sum_past[j]);
        future[j] += static_cast<double>(sum_future[j]);
      }
    }
  }
  constexpr double kEpsilon = 1e-6;
  for (std::int64_t j = first; j < end; ++j) {
    const auto at = static_cast<std::size_t>(j);
    const auto [smaller, larger] = std::minmax(past[at], future[at]);
    ratios[at] = static_cast<float>((larger + kEpsilon) / (smaller + kEpsilon));
  }
  return ratios;
}

std::vector<std::int32_t> select_boundaries(std::span<const float> scores, const BoundaryRule& rule) {
  const auto tokens = static_cast<std::int64_t>(scores.size());
  std::vector<std::int32_t> boundaries{0};
  if (tokens == 0) return boundaries;

  std::vector<bool> taken(scores.size(), false);
  std::int64_t accepted = 0;
  std::int64_t last_allowed = tokens - 1;
  const auto accept = [&](std::int64_t j) {
    const std::int64_t reach = std::max<std::int64_t>(rule.nms_distance, 0);
    const std::int64_t end = std::min(tokens, j + reach + 1);
    for (std::int64_t near = std::max<std::int64_t>(0, j - reach); near < end; ++near) {
      taken[static_cast<std::size_t>(near)] = true;
    }
    boundaries.push_back(static_cast<std::int32_t>(j + 1));
    ++accepted;
  };
  if (rule.instruction_tokens > 0 && rule.instruction_tokens < tokens) {
    last_allowed = tokens - rule.instruction_tokens;
    accept(last_allowed);
  }

  // Highest score first, then lowest token: one ascending sort of (inverted score, token).
  std::vector<std::uint64_t> order;
  order.reserve(scores.size());
  for (std::int64_t j = 0; j <= last_allowed; ++j) {
    const float score = scores[static_cast<std::size_t>(j)];
    if (std::isnan(score) || (rule.threshold && !(static_cast<double>(score) > *rule.threshold))) continue;
    order.push_back(static_cast<std::uint64_t>(~rank_of(score)) << 32U | static_cast<std::uint64_t>(j));
  }
  std::sort(order.begin(), order.end());
  for (const std::uint64_t entry : order) {
    if (accepted >= rule.most) break;
    const auto j = static_cast<std::int64_t>(entry & 0xffffffffU);
    if (!taken[static_cast<std::size_t>(j)]) accept(j);
  }

  boundaries.push_back(static_cast<std::int32_t>(tokens));
  std::sort(boundaries.begin(), boundaries.end());
  boundaries.erase(std::unique(boundaries.begin(), boundaries.end()), boundaries.end());
  return boundaries;
}

std::vector<float> sentence_scores(const DocumentInfo& document, std::int64_t tokens) {
  std::vector<float> scores(static_cast<std::size_t>(tokens), 0.0F);
  for (const std::int32_t end : document.sentence_ends) {
    if (end >= 0 && end < tokens) scores[static_cast<std::size_t>(end)] = 1.0F;
  }
  return scores;
}

BoundaryRule sentence_rule(std::int64_t tokens, std::int64_t nms_distance, std::int64_t instruction_tokens) {
  return {tokens, nms_distance, 0.5, instruction_tokens};
}

std::vector<float> edge_scores(std::span<const std::int32_t> boundaries, std::int64_t tokens) {
  std::vector<float> scores(static_cast<std::size_t>(tokens), 0.0F);
  for (const std::int32_t edge : boundaries) {
    if (edge > 0) scores[static_cast<std::size_t>(edge) - 1] = 1.0F;
  }
  return scores;
}

std::vector<std::int32_t> fixed_boundaries(std::int64_t tokens, std::int64_t length, std::int64_t instruction_tokens) {
  const bool instructed = instruction_tokens > 0 && instruction_tokens < tokens;
  const std::int64_t end = instructed ? tokens - instruction_tokens + 1 : tokens;
  std::vector<std::int32_t> boundaries;
  for (std::int64_t at = 0; at < end; at += length) boundaries.push_back(static_cast<std::int32_t>(at));
  if (instructed && end < tokens) boundaries.push_back(static_cast<std::int32_t>(end));
  if (boundaries.empty()) boundaries.push_back(0);
  if (tokens > 0) boundaries.push_back(static_cast<std::int32_t>(tokens));
  return boundaries;
}

}  // namespace dhsa
