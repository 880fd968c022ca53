#include "core/sparsity/chunk_scores.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/base/parallel.h"
#include "core/sparsity/row_math.h"

namespace dhsa {
namespace {

constexpr float kUndefined = std::numeric_limits<float>::quiet_NaN();

std::vector<float> buffer(std::int64_t n) { return std::vector<float>(static_cast<std::size_t>(n)); }

// Sum of rows [begin, end) of heads [head_begin, head_end). Long ranges are summed in float64, so that small terms are
// not lost.
void sum_rows(const HeadsView& view, std::int64_t head_begin, std::int64_t head_end, std::int64_t begin,
              std::int64_t end, float* row, float* sum) {
  const RowKernels& kernels = row_kernels();
  constexpr std::int64_t kLongRange = 4096;
  std::fill(sum, sum + view.dim, 0.0F);
  if ((end - begin) * (head_end - head_begin) > kLongRange) {
    std::vector<double> total(static_cast<std::size_t>(view.dim), 0.0);
    for (std::int64_t h = head_begin; h < head_end; ++h) {
      for (std::int64_t i = begin; i < end; ++i) {
        view.load_row(h, i, row);
        for (std::int64_t d = 0; d < view.dim; ++d) total[static_cast<std::size_t>(d)] += static_cast<double>(row[d]);
      }
    }
    for (std::int64_t d = 0; d < view.dim; ++d) sum[d] = static_cast<float>(total[static_cast<std::size_t>(d)]);
    return;
  }
  for (std::int64_t h = head_begin; h < head_end; ++h) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (view.type == DType::kFloat32) {
        kernels.add(sum, static_cast<const float*>(view.data) + view.offset(h, i), view.dim);
      } else {
        view.load_row(h, i, row);
        kernels.add(sum, row, view.dim);
      }
    }
  }
}

// One pooled vector per segment [edges[i], edges[i + 1]), averaged over heads.
std::vector<float> pooled(const HeadsView& view, std::int64_t head_begin, std::int64_t head_end,
                          std::span<const std::int32_t> edges, Pooling pooling, const CancelToken* cancel) {
  const auto segments = static_cast<std::int64_t>(edges.size()) - 1;
  auto means = buffer(segments * view.dim);
  constexpr std::int64_t kBlock = 16;
  parallel_for((segments + kBlock - 1) / kBlock,
               [&](std::int64_t block) {
                 auto row = buffer(view.dim);
                 for (std::int64_t s = block * kBlock; s < std::min(segments, (block + 1) * kBlock); ++s) {
                   const std::int64_t begin = edges[static_cast<std::size_t>(s)];
                   const std::int64_t end = edges[static_cast<std::size_t>(s) + 1];
                   float* mean = means.data() + s * view.dim;
                   sum_rows(view, head_begin, head_end, begin, end, row.data(), mean);
                   const auto length = static_cast<float>(end - begin);
                   const float factor = (pooling == Pooling::kSqrtMean ? std::sqrt(length) : 1.0F) /
                                        (length * static_cast<float>(head_end - head_begin));
                   for (std::int64_t d = 0; d < view.dim; ++d) mean[d] *= factor;
                 }
               },
               cancel);
  return means;
}

PackedRows pack(const std::vector<float>& rows, std::int64_t dim) {
  PackedRows packed(static_cast<std::int64_t>(rows.size()) / dim, dim);
  for (std::int64_t i = 0; i < packed.rows(); ++i) packed.set(i, rows.data() + i * dim);
  return packed;
}

std::int64_t chunks_before(std::span<const std::int32_t> boundaries, std::int64_t key) {
  const auto begins = boundaries.first(boundaries.size() - 1);
  return std::lower_bound(begins.begin(), begins.end(), key) - begins.begin();
}

struct Shape {
  std::int64_t per_mask;     // query heads per mask head
  std::int64_t per_kv;       // query heads per kv head
  std::int64_t kv_per_mask;  // kv heads that a mask head spans, at least 1
};

void score_by_similarity(const HeadsView& q, const HeadsView& k, std::span<const std::int32_t> boundaries,
                         std::span<const std::int32_t> group_rows, Pooling pooling, const Shape& shape,
                         ChunkScores& scores, const CancelToken* cancel) {
  constexpr std::int64_t kBlock = 8;
  PackedRows keys;
  for (std::int64_t m = 0; m < scores.heads; ++m) {
    const std::int64_t kv = m * shape.per_mask / shape.per_kv;
    if (m * shape.per_mask % shape.per_kv == 0) {  // else the kv head of the mask head before
      keys = pack(pooled(k, kv, kv + shape.kv_per_mask, boundaries, pooling, cancel), k.dim);
    }
    const std::vector<float> queries =
        pooled(q, m * shape.per_mask, (m + 1) * shape.per_mask, group_rows, pooling, cancel);
    parallel_for((scores.groups + kBlock - 1) / kBlock,
                 [&](std::int64_t block) {
                   const std::int64_t first = block * kBlock;
                   const std::int64_t last = std::min(scores.groups, first + kBlock);
                   const std::int64_t width = chunks_before(boundaries, group_rows[static_cast<std::size_t>(last)]);
                   const std::int64_t stride = padded_columns(width);
                   auto table = buffer((last - first) * stride);
                   keys.multiply(queries.data() + first * q.dim, last - first, q.dim, 0, width, table.data(), stride);
                   for (std::int64_t g = first; g < last; ++g) {
                     const std::int64_t n = chunks_before(boundaries, group_rows[static_cast<std::size_t>(g) + 1]);
                     std::copy_n(table.data() + (g - first) * stride, n,
                                 scores.values.data() + (m * scores.groups + g) * scores.chunks);
                   }
                 },
                 cancel);
  }
}

// What a chunk's keys are reduced to, and what a query is turned into so that their product is the logit z.
// Bands have two such pairs, the others one.
class ChunkModel {
 public:
  ChunkModel(const HeadsView& k, std::span<const std::int32_t> boundaries, ChunkScoring scoring, float scale,
             const CancelToken* cancel)
      : scoring_(scoring), dim_(k.dim), scale_(scale) {
    const auto chunks = static_cast<std::int64_t>(boundaries.size()) - 1;
    for (std::int64_t h = 0; h < k.heads; ++h) {
      for (int part = 0; part < parts(); ++part) packed_.emplace_back(chunks, width());
    }
    constexpr std::int64_t kBlock = 64;  // a multiple of kTileColumns: no two tasks write one tile
    const std::int64_t blocks = (chunks + kBlock - 1) / kBlock;
    parallel_for(
        k.heads * blocks,
        [&](std::int64_t task) {
          const std::int64_t h = task / blocks;
          const std::int64_t first = task % blocks * kBlock;
          auto scratch = buffer(4 * dim_ + 2 * width());
          for (std::int64_t c = first; c < std::min(chunks, first + kBlock); ++c) {
            reduce(k, h, boundaries[static_cast<std::size_t>(c)], boundaries[static_cast<std::size_t>(c) + 1], c,
                   scratch.data());
          }
        },
        cancel);
  }

  [[nodiscard]] int parts() const noexcept { return scoring_ == ChunkScoring::kBands ? 2 : 1; }
  [[nodiscard]] std::int64_t width() const noexcept {
    return scoring_ == ChunkScoring::kMoments || scoring_ == ChunkScoring::kBounds ? 2 * dim_ : dim_;
  }
  [[nodiscard]] const PackedRows& chunks(std::int64_t kv_head, int part) const {
    return packed_[static_cast<std::size_t>(kv_head * parts() + part)];
  }

  void query_features(const float* query, int part, float* out) const {
    for (std::int64_t d = 0; d < dim_; ++d) {
      const float scaled = scale_ * query[d];
      out[d] = scoring_ == ChunkScoring::kBands && fast(d) != (part == 0) ? 0.0F : scaled;
      if (scoring_ == ChunkScoring::kMoments) out[dim_ + d] = 0.5F * scaled * scaled;
      if (scoring_ == ChunkScoring::kBounds) out[dim_ + d] = std::abs(scaled);
    }
  }

 private:
  // RoPE turns the pair (d, d + D/2) the faster the lower d is.
  [[nodiscard]] bool fast(std::int64_t d) const noexcept { return d % (dim_ / 2) < dim_ / 4; }

  void reduce(const HeadsView& k, std::int64_t head, std::int64_t begin, std::int64_t end, std::int64_t chunk,
              float* scratch) {
    const RowKernels& kernels = row_kernels();
    float* row = scratch;
    float* mean = row + dim_;
    float* low = mean + dim_;
    float* high = low + dim_;
    float* features = high + dim_;
    const float inverse = 1.0F / static_cast<float>(end - begin);
    sum_rows(k, head, head + 1, begin, end, row, mean);
    for (std::int64_t d = 0; d < dim_; ++d) mean[d] *= inverse;
    std::copy_n(mean, dim_, features);
    PackedRows* const to = &packed_[static_cast<std::size_t>(head * parts())];
    switch (scoring_) {
      case ChunkScoring::kMean:
        break;
      case ChunkScoring::kMoments: {
        float* variance = features + dim_;
        std::fill(variance, variance + dim_, 0.0F);
        for (std::int64_t i = begin; i < end; ++i) {
          k.load_row(head, i, row);
          kernels.add_scaled(row, mean, dim_, -1.0F);
          kernels.add_squares(variance, row, dim_);
        }
        for (std::int64_t d = 0; d < dim_; ++d) variance[d] *= inverse;
        break;
      }
      case ChunkScoring::kBounds: {
        k.load_row(head, begin, low);
        std::copy_n(low, dim_, high);
        for (std::int64_t i = begin + 1; i < end; ++i) {
          k.load_row(head, i, row);
          kernels.lower_upper(low, high, row, dim_);
        }
        for (std::int64_t d = 0; d < dim_; ++d) {
          features[d] = 0.5F * (low[d] + high[d]);
          features[dim_ + d] = 0.5F * (high[d] - low[d]);
        }
        break;
      }
      case ChunkScoring::kBands: {
        float* squares = low;
        std::fill(squares, squares + dim_, 0.0F);
        for (std::int64_t i = begin; i < end; ++i) {
          k.load_row(head, i, row);
          kernels.add_squares(squares, row, dim_);
        }
        for (int part = 0; part < 2; ++part) {
          float of_keys = 0;
          float of_mean = 0;
          for (std::int64_t d = 0; d < dim_; ++d) {
            if (fast(d) != (part == 0)) continue;
            of_keys += squares[d] * inverse;
            of_mean += mean[d] * mean[d];
          }
          const float gain = of_mean > 0 ? std::sqrt(of_keys / of_mean) : 0.0F;
          for (std::int64_t d = 0; d < dim_; ++d) features[d] = gain * mean[d];
          to[part].set(chunk, features);
        }
        return;
      }
    }
    to->set(chunk, features);
  }

  ChunkScoring scoring_;
  std::int64_t dim_;
  float scale_;
  std::vector<PackedRows> packed_;  // [kv heads][parts]
};

void score_by_mass(const HeadsView& q, const HeadsView& k, std::span<const std::int32_t> boundaries,
                   std::span<const std::int32_t> group_rows, const ChunkScoreRule& rule, const Shape& shape,
                   ChunkScores& scores, const CancelToken* cancel) {
  const ChunkModel model(k, boundaries, rule.scores, rule.scale, cancel);
  const RowKernels& kernels = row_kernels();
  std::vector<float> lengths(static_cast<std::size_t>(scores.chunks));
  for (std::size_t c = 0; c < lengths.size(); ++c) lengths[c] = static_cast<float>(boundaries[c + 1] - boundaries[c]);
  constexpr std::int64_t kRows = 32;  // rows scored together

  parallel_for(
      scores.heads * scores.groups,
      [&](std::int64_t task) {
        const std::int64_t m = task / scores.groups;
        // The last groups see most: they go first, so that both threads end together.
        const std::int64_t g = scores.groups - 1 - task % scores.groups;
        const std::int64_t begin = group_rows[static_cast<std::size_t>(g)];
        const std::int64_t end = group_rows[static_cast<std::size_t>(g) + 1];
        std::vector<std::int64_t> rows = rule.rows.of_group(begin, end, q.rows);
        const bool mean_query = rows.empty();
        if (mean_query) rows.push_back(end - 1);  // it sees what the last row sees
        const auto count = static_cast<std::int64_t>(rows.size());
        const std::int64_t reach = rule.window > 0 ? std::max<std::int64_t>(0, rows.back() - rule.window + 1) : 0;
        const std::int64_t first =
            std::max<std::int64_t>(0, chunks_before(boundaries, reach + 1) - 1) / kTileColumns * kTileColumns;
        const std::int64_t last = chunks_before(boundaries, end);
        const std::int64_t stride = padded_columns(last - first);
        float* const sums = scores.values.data() + (m * scores.groups + g) * scores.chunks;
        std::fill(sums, sums + last, 0.0F);
        auto features = buffer(kRows * model.width());
        auto logits = buffer(kRows * stride);
        auto query = buffer(q.dim);
        const float share = 1.0F / static_cast<float>(count * shape.per_mask * model.parts());

        for (std::int64_t h = m * shape.per_mask; h < (m + 1) * shape.per_mask; ++h) {
          for (std::int64_t from = 0; from < count; from += kRows) {
            const std::int64_t n = std::min(kRows, count - from);
            for (int part = 0; part < model.parts(); ++part) {
              for (std::int64_t r = 0; r < n; ++r) {
                if (mean_query) {
                  auto row = buffer(q.dim);
                  sum_rows(q, h, h + 1, begin, end, row.data(), query.data());
                  for (float& value : query) value /= static_cast<float>(end - begin);
                } else {
                  q.load_row(h, rows[static_cast<std::size_t>(from + r)], query.data());
                }
                model.query_features(query.data(), part, features.data() + r * model.width());
              }
              model.chunks(h / shape.per_kv, part)
                  .multiply(features.data(), n, model.width(), first, last, logits.data(), stride);
              for (std::int64_t r = 0; r < n; ++r) {
                const std::int64_t row = rows[static_cast<std::size_t>(from + r)];
                const std::int64_t see = rule.window > 0 ? std::max<std::int64_t>(0, row - rule.window + 1) : 0;
                const std::int64_t c0 = chunks_before(boundaries, see + 1) - 1;
                const std::int64_t c1 = chunks_before(boundaries, row + 1);
                float* const z = logits.data() + r * stride + (c0 - first);
                const float* const length = lengths.data() + c0;
                if (rule.softcap > 0) kernels.scale_softcap(z, c1 - c0, 1.0F, rule.softcap);
                if (rule.scores == ChunkScoring::kBounds) {
                  for (std::int64_t c = 0; c < c1 - c0; ++c) z[c] -= std::log(length[c]);
                }
                kernels.exp_sum(z, c1 - c0, kernels.largest(z, c1 - c0));
                // Chunks count with their length; of the first and last only what the row may see.
                float total = kernels.dot(z, length, c1 - c0);
                total -= z[0] * static_cast<float>(see - boundaries[static_cast<std::size_t>(c0)]);
                total -= z[c1 - c0 - 1] * static_cast<float>(boundaries[static_cast<std::size_t>(c1)] - row - 1);
                kernels.add_scaled(sums + c0, z, c1 - c0, share / std::max(total, 1e-30F));
              }
            }
          }
        }
      },
      cancel);
}

}  // namespace

std::vector<std::int64_t> ScoredRows::of_group(std::int64_t row_begin, std::int64_t row_end,
                                               std::int64_t tokens) const {
  std::vector<std::int64_t> rows;
  for (std::int64_t i = row_end - 1; i >= row_begin && step > 0; --i) {
    if (i >= tokens - last || (row_end - 1 - i) % step == 0) rows.push_back(i);
  }
  return rows;
}

std::int64_t mask_head_count(MaskHeads mask_heads, std::int64_t heads, std::int64_t kv_heads) noexcept {
  switch (mask_heads) {
    case MaskHeads::kShared:
      return 1;
    case MaskHeads::kPerKvHead:
      return kv_heads;
    case MaskHeads::kPerHead:
      return heads;
  }
  return 1;
}

ChunkScores score_chunks(const HeadsView& q, const HeadsView& k, std::span<const std::int32_t> boundaries,
                         std::span<const std::int32_t> group_rows, const ChunkScoreRule& rule,
                         const CancelToken* cancel) {
  ChunkScores scores;
  scores.heads = mask_head_count(rule.mask_heads, q.heads, k.heads);
  scores.groups = static_cast<std::int64_t>(group_rows.size()) - 1;
  scores.chunks = static_cast<std::int64_t>(boundaries.size()) - 1;
  scores.mass = rule.scores != ChunkScoring::kMean || rule.rows.step > 0;
  scores.values.assign(static_cast<std::size_t>(scores.heads * scores.groups * scores.chunks), kUndefined);
  const std::int64_t per_mask = q.heads / scores.heads;
  const std::int64_t per_kv = q.heads / k.heads;
  const Shape shape{per_mask, per_kv, std::max<std::int64_t>(1, per_mask / per_kv)};
  if (scores.mass) {
    score_by_mass(q, k, boundaries, group_rows, rule, shape, scores, cancel);
  } else {
    score_by_similarity(q, k, boundaries, group_rows, rule.pooling, shape, scores, cancel);
  }
  return scores;
}

}  // namespace dhsa
