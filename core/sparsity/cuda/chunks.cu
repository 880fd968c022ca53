// Chunks: what their keys are reduced to, how groups score them, which of them a group keeps.
#include <cuda_bf16.h>

#include "core/sparsity/cuda/choose.cuh"

namespace dhsa::cuda {
namespace {

constexpr int kPoolThreads = 512;
constexpr int kVector = 8;  // values of a row that a thread reads at once

__device__ __forceinline__ float undefined() { return __int_as_float(0x7fc00000); }

// visit(values) for rows [begin, end) of heads [first_head, first_head + joined), the same kVector columns each time:
// thread t takes columns t % (dim / kVector) * kVector, and every (threads / (dim / kVector))-th row.
template <class Visit>
__device__ __forceinline__ void each_row(const DeviceHeads& x, int first_head, int joined, int begin, int end, int dim,
                                         const Visit& visit) {
  const int lanes = dim / kVector, rows_together = static_cast<int>(blockDim.x) / lanes;
  const int n = end - begin, mine = static_cast<int>(threadIdx.x) / lanes;
  const auto* column = static_cast<const __nv_bfloat16*>(x.data) + threadIdx.x % lanes * kVector;
  if (mine >= rows_together) return;
  for (int head = first_head; head < first_head + joined; ++head) {
    const auto* at = column + head * x.head_stride + (begin + mine) * x.row_stride;
#pragma unroll 8
    for (int row = mine; row < n; row += rows_together, at += rows_together * x.row_stride) {
      const uint4 bits = *reinterpret_cast<const uint4*>(at);
      float values[kVector];
      const std::uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        values[2 * i] = __uint_as_float(words[i] << 16U);
        values[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000U);
      }
      visit(values);
    }
  }
}

// Joins what the threads of each_row() hold of a column: total[dim]; `parts` holds kVector values a thread.
template <class Join>
__device__ __forceinline__ void join_columns(const float (&part)[kVector], int dim, float* parts, float* total,
                                             const Join& join) {
  const int lanes = dim / kVector, rows_together = static_cast<int>(blockDim.x) / lanes;
  const int row = static_cast<int>(threadIdx.x) / lanes, lane = static_cast<int>(threadIdx.x) % lanes;
#pragma unroll
  for (int i = 0; i < kVector; ++i) {
    if (row < rows_together) parts[row * dim + lane * kVector + i] = part[i];
  }
  __syncthreads();
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += static_cast<int>(blockDim.x)) {
    float all = parts[d];
    for (int r = 1; r < rows_together; ++r) all = join(all, parts[r * dim + d]);
    total[d] = all;
  }
  __syncthreads();
}
__device__ __forceinline__ float add(float a, float b) { return a + b; }

__global__ void __launch_bounds__(kPoolThreads)
    pool_kernel(const __grid_constant__ PooledRows keys, const __grid_constant__ PooledRows queries, int dim,
                bool sqrt_mean) {
  __shared__ float parts[kPoolThreads * kVector], total[kPoolThreads];
  const int of_keys = keys.heads / keys.joined * keys.segments.most;
  const bool is_key = static_cast<int>(blockIdx.x) < of_keys;
  const PooledRows& work = is_key ? keys : queries;
  const int item = static_cast<int>(blockIdx.x) - (is_key ? 0 : of_keys);
  const int head = item / work.segments.most, segment = item % work.segments.most;
  if (work.segments.count != nullptr && segment >= *work.segments.count) return;
  const int begin = work.segments.edges[segment], end = work.segments.edges[segment + 1];
  float sum[kVector] = {};
  each_row(work.x, head * work.joined, work.joined, begin, end, dim, [&](const float(&values)[kVector]) {
#pragma unroll
    for (int i = 0; i < kVector; ++i) sum[i] += values[i];
  });
  join_columns(sum, dim, parts, total, add);
  const auto n = static_cast<float>(end - begin);
  const float by = (sqrt_mean ? sqrtf(n) : 1.0F) / (n * static_cast<float>(work.joined));
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += kPoolThreads) {
    work.out[static_cast<std::int64_t>(item) * dim + d] = total[d] * by;
  }
}

// RoPE turns the pair (d, d + D/2) the faster the lower d is.
__device__ __forceinline__ bool fast(int d, int dim) { return d % (dim / 2) < dim / 4; }

__global__ void __launch_bounds__(kThreads)
    feature_kernel(DeviceHeads k, int dim, ChunkFeatures kind, DeviceChunks chunks, float* out) {
  __shared__ float parts[kThreads * kVector], mean[kThreads], other[kThreads], low[kThreads];
  const int chunk = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y),
            tid = static_cast<int>(threadIdx.x);
  if (chunk >= *chunks.count) return;
  const int begin = chunks.edges[chunk], end = chunks.edges[chunk + 1];
  const float inverse = 1.0F / static_cast<float>(end - begin);
  const int lane = tid % (dim / kVector) * kVector;
  float part[kVector] = {};
  each_row(k, head, 1, begin, end, dim, [&](const float(&values)[kVector]) {
#pragma unroll
    for (int i = 0; i < kVector; ++i) part[i] += values[i];
  });
  join_columns(part, dim, parts, mean, add);
  if (tid < dim) mean[tid] *= inverse;
  __syncthreads();
  const bool wide = kind == ChunkFeatures::kMoments || kind == ChunkFeatures::kBounds;
  const std::int64_t width = wide ? 2 * dim : dim;
  float* to = out + (static_cast<std::int64_t>(head) * chunks.most + chunk) * width;
  if (kind == ChunkFeatures::kMean) {
    if (tid < dim) to[tid] = mean[tid];
  } else if (kind == ChunkFeatures::kMoments) {
    float squares[kVector] = {};
    each_row(k, head, 1, begin, end, dim, [&](const float(&values)[kVector]) {
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        const float off = values[i] - mean[lane + i];
        squares[i] += off * off;
      }
    });
    join_columns(squares, dim, parts, other, add);
    if (tid < dim) {
      to[tid] = mean[tid];
      to[dim + tid] = other[tid] * inverse;
    }
  } else if (kind == ChunkFeatures::kBounds) {
    float least[kVector], most[kVector];
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      least[i] = INFINITY;
      most[i] = -INFINITY;
    }
    each_row(k, head, 1, begin, end, dim, [&](const float(&values)[kVector]) {
#pragma unroll
      for (int i = 0; i < kVector; ++i) {
        least[i] = fminf(least[i], values[i]);
        most[i] = fmaxf(most[i], values[i]);
      }
    });
    join_columns(least, dim, parts, low, [](float a, float b) { return fminf(a, b); });
    join_columns(most, dim, parts, other, [](float a, float b) { return fmaxf(a, b); });
    if (tid < dim) {
      to[tid] = 0.5F * (low[tid] + other[tid]);
      to[dim + tid] = 0.5F * (other[tid] - low[tid]);
    }
  } else {
    float squares[kVector] = {};
    each_row(k, head, 1, begin, end, dim, [&](const float(&values)[kVector]) {
#pragma unroll
      for (int i = 0; i < kVector; ++i) squares[i] += values[i] * values[i];
    });
    join_columns(squares, dim, parts, other, add);
    const std::int64_t part_stride = static_cast<std::int64_t>(gridDim.y) * chunks.most * dim;
    for (int band = 0; band < 2; ++band) {
      float of_keys = 0, of_mean = 0;
      for (int d = 0; d < dim; ++d) {
        if (fast(d, dim) != (band == 0)) continue;
        of_keys += other[d] * inverse;
        of_mean += mean[d] * mean[d];
      }
      const float gain = of_mean > 0 ? sqrtf(of_keys / of_mean) : 0.0F;
      if (tid < dim) to[band * part_stride + tid] = gain * mean[tid];
    }
  }
}

// Chunks that begin before `key`.
__device__ __forceinline__ int chunks_before(const DeviceChunks& chunks, int key) {
  int low = 0, high = *chunks.count;
  while (low < high) {
    const int middle = (low + high) >> 1;
    if (chunks.edges[middle] < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int lane = 16; lane > 0; lane >>= 1) x = fmaxf(x, __shfl_xor_sync(0xffffffffU, x, lane));
  return x;
}
__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int lane = 16; lane > 0; lane >>= 1) x += __shfl_xor_sync(0xffffffffU, x, lane);
  return x;
}

// One block for each group and mask head; a warp takes one row of logits after the other.
__global__ void __launch_bounds__(kThreads) mass_kernel(MassScores work) {
  const int g = work.span.first_group + static_cast<int>(blockIdx.x);
  const int m = work.span.first_head + static_cast<int>(blockIdx.y);
  const int tid = static_cast<int>(threadIdx.x), lane = tid & 31, warp = tid >> 5;
  const GroupKeys group = work.span.keys[g];
  const int first = work.asked.start[g], rows = work.asked.start[g + 1] - first;
  const int per_mask = work.heads / work.span.mask_heads, all = work.parts * per_mask * rows;
  const float share = 1.0F / static_cast<float>(all);
  // The group's first row of one head and part; the others follow.
  const auto logits_of = [&](int part, int head) {
    const std::int64_t row = (static_cast<std::int64_t>(part) * work.heads + m * per_mask + head) * work.asked.count +
                             (first - work.asked.first);
    return work.logits + row * work.columns - work.first_chunk;
  };
  const int seen = chunks_before(work.chunks, group.row_end), from = work.first_chunk;
  for (int at = warp; at < all; at += kThreads / 32) {
    float* z = logits_of(at / rows / per_mask, at / rows % per_mask) + at % rows * work.columns;
    const int row = work.asked.rows[first + at % rows];
    const int see = work.window > 0 ? max(0, row - work.window + 1) : 0;
    const int c0 = chunks_before(work.chunks, see + 1) - 1, c1 = chunks_before(work.chunks, row + 1);
    float largest = -INFINITY;
    for (int c = from + lane; c < seen; c += 32) {
      float x = -INFINITY;
      if (c >= c0 && c < c1) {
        x = z[c];
        if (work.softcap > 0) x = work.softcap * tanhf(x / work.softcap);
        if (work.less_log_length) x -= logf(static_cast<float>(work.chunks.edges[c + 1] - work.chunks.edges[c]));
      }
      z[c] = x;
      largest = fmaxf(largest, x);
    }
    largest = warp_max(largest);
    float total = 0;  // chunks count with their length; of the first and last only what the row may see
    for (int c = from + lane; c < seen; c += 32) {
      if (c < c0 || c >= c1) continue;
      total += expf(z[c] - largest) *
               static_cast<float>(min(row + 1, work.chunks.edges[c + 1]) - max(see, work.chunks.edges[c]));
    }
    const float by = share / fmaxf(warp_sum(total), 1e-30F);
    for (int c = from + lane; c < seen; c += 32) z[c] = z[c] == -INFINITY ? 0.0F : expf(z[c] - largest) * by;
  }
  __syncthreads();
  float* scores = work.scores + (static_cast<std::int64_t>(m) * work.span.all_groups + g) * work.chunks.most;
  for (int c = tid; c < work.chunks.most; c += kThreads) {
    float sum = c < seen ? 0.0F : undefined();
    if (c >= from && c < seen) {
      for (int head = 0; head < work.parts * per_mask; ++head) {
        const float* z = logits_of(head / per_mask, head % per_mask) + c;
#pragma unroll 4
        for (int row = 0; row < rows; ++row) sum += z[row * work.columns];
      }
    }
    scores[c] = sum;
  }
}

template <bool kThreshold>
struct ScoredChunks {
  static constexpr bool kMass = kThreshold;
  const std::int32_t* edges;  // from the first chunk that reaches beyond the sinks
  const float* scores;
  int chunks;
  GroupKeys group;
  bool mass_scores;
  float highest;   // of similarities
  double inverse;  // one over the mass of all allowed chunks

  __device__ int count() const { return chunks; }
  __device__ int begin(int i) const { return max(edges[i], group.sink_end); }
  __device__ int end(int i) const { return min(edges[i + 1], group.local_begin); }
  __device__ std::uint32_t rank(int i) const { return begin(i) < end(i) ? rank_of(scores[i]) : 0; }
  // Of the chunk's allowed keys.
  __device__ double weight(int i) const {
    const int keys = min(edges[i + 1], group.row_end) - max(edges[i], group.key_begin);
    if (keys <= 0 || isnan(scores[i])) return 0;
    return mass_scores ? static_cast<double>(scores[i]) * keys : exp(static_cast<double>(scores[i]) - highest);
  }
  __device__ long long mass(int i) const {
    const int keys = min(edges[i + 1], group.row_end) - max(edges[i], group.key_begin);
    if (keys <= 0) return 0;
    return static_cast<long long>(weight(i) * inverse * (end(i) - begin(i)) / keys / kMassUnit);
  }
};

template <class T, class Join>
__device__ T over_block(T x, const Join& join) {
  __shared__ T of_thread[kThreads];
  of_thread[threadIdx.x] = x;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half >>= 1) {
    if (static_cast<int>(threadIdx.x) < half) {
      of_thread[threadIdx.x] = join(of_thread[threadIdx.x], of_thread[threadIdx.x + half]);
    }
    __syncthreads();
  }
  const T all = of_thread[0];
  __syncthreads();
  return all;
}

// The chunks that group g chooses from, and when its choice ends.
template <bool kThreshold>
__device__ ScoredChunks<kThreshold> scored_chunks(const ChunkChoice& choice, int m, int g, Goal& goal) {
  const GroupKeys group = choice.span.keys[g];
  const float* scores =
      choice.scores + (static_cast<std::int64_t>(m) * choice.span.all_groups + g) * choice.chunks.most;
  const int first = max(0, chunks_before(choice.chunks, group.sink_end + 1) - 1);
  const int last = chunks_before(choice.chunks, group.local_begin);
  ScoredChunks<kThreshold> items{
      choice.chunks.edges + first, scores + first, max(0, last - first), group, choice.mass_scores, 0, 1};
  goal = {group.choose, 0, 0};
  if constexpr (kThreshold) {
    // Over all allowed chunks, of which the items are a part.
    const int allowed_first = max(0, chunks_before(choice.chunks, group.key_begin + 1) - 1);
    const int allowed_last = chunks_before(choice.chunks, group.row_end);
    ScoredChunks<true> all{choice.chunks.edges + allowed_first,
                           scores + allowed_first,
                           allowed_last - allowed_first,
                           group,
                           choice.mass_scores,
                           0,
                           1};
    if (!choice.mass_scores) {
      float highest = -INFINITY;
      for (int i = static_cast<int>(threadIdx.x); i < all.count(); i += kThreads) {
        if (!isnan(all.scores[i])) highest = fmaxf(highest, all.scores[i]);
      }
      all.highest = items.highest = over_block(highest, [](float a, float b) { return fmaxf(a, b); });
    }
    double total = 0;
    for (int i = static_cast<int>(threadIdx.x); i < all.count(); i += kThreads) total += all.weight(i);
    items.inverse = 1.0 / fmax(over_block(total, [](double a, double b) { return a + b; }), 1e-300);
    long long in_items = 0;
    for (int i = static_cast<int>(threadIdx.x); i < items.count(); i += kThreads) {
      if (items.rank(i) != 0) in_items += items.mass(i);
    }
    in_items = over_block(in_items, [](long long a, long long b) { return a + b; });
    // What sinks and local keys hold counts; a share that rounding keeps from its last decimals counts as reached.
    goal.at_least = group.at_least;
    goal.mass = static_cast<long long>((choice.mass - 1e-9 - 1.0) / kMassUnit) + in_items;
  }
  return items;
}

template <bool kThreshold>
__global__ void __launch_bounds__(kThreads) select_kernel(ChunkChoice choice, MaskBuffers out) {
  const int g = choice.span.first_group + static_cast<int>(blockIdx.x);
  const int m = choice.span.first_head + static_cast<int>(blockIdx.y);
  const GroupKeys group = choice.span.keys[g];
  const int slot = m * choice.span.all_groups + g;
  if (group.whole != 0) return write_whole(group, out, slot);
  Goal goal;
  const auto items = scored_chunks<kThreshold>(choice, m, g, goal);
  write_ranges(items, group, choose(items, group, goal), out, slot);
}

__global__ void __launch_bounds__(kThreads) tile_kernel(ChunkChoice choice, CandidateTiles out) {
  const int g = choice.span.first_group + static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  const int m = choice.span.first_head + head;
  const GroupRoom room = out.room[g];
  const std::int64_t to =
      static_cast<std::int64_t>(head) * out.per_head + room.first_tile - out.room[choice.span.first_group].first_tile;
  const GroupKeys group = choice.span.keys[g];
  Goal goal;
  ScoredChunks<false> items{};
  Kept kept{};
  if (group.whole == 0) {
    items = scored_chunks<false>(choice, m, g, goal);
    kept = choose(items, group, goal);
  }
  const int first = group.key_begin / kTileKeys, last = (group.row_end + kTileKeys - 1) / kTileKeys;
  int tiles = 0;
  for (int base = first; base < last; base += kThreads) {
    const int tile = base + static_cast<int>(threadIdx.x);
    unsigned keys = 0;
    if (tile < last) {
      int item = -1;  // that holds the key, looked for at the first one
      for (int bit = 0; bit < kTileKeys; ++bit) {
        const int key = tile * kTileKeys + bit;
        if (key < group.key_begin || key >= group.row_end) continue;
        bool has = group.whole != 0 || key < group.sink_end || key >= group.local_begin;
        if (!has) {
          if (item < 0) {
            int low = 0, high = items.count() - 1;  // the last that begins at or before the key
            while (low < high) {
              const int middle = (low + high + 1) >> 1;
              if (items.edges[middle] <= key) {
                low = middle;
              } else {
                high = middle - 1;
              }
            }
            item = low;
          }
          while (items.edges[item + 1] <= key) ++item;
          has = kept.has(item) && key >= kept.begin(items, item);
        }
        keys |= (has ? 1U : 0U) << bit;
      }
    }
    const int at = exclusive_sum(keys != 0 ? 1 : 0, tiles);
    if (keys != 0 && at < room.most_tiles) {
      out.tile[to + at] = tile;
      out.keys[to + at] = static_cast<std::uint16_t>(keys);
    }
  }
  if (threadIdx.x == 0) out.count[head * choice.span.groups + blockIdx.x] = min(tiles, room.most_tiles);
}

dim3 grid_of(const GroupSpan& span) {
  return dim3(static_cast<unsigned>(span.groups), static_cast<unsigned>(span.heads));
}

}  // namespace

const char* pool_rows(const PooledRows& keys, const PooledRows& queries, int dim, bool sqrt_mean, Stream stream) {
  const int blocks =
      keys.heads / keys.joined * keys.segments.most + queries.heads / queries.joined * queries.segments.most;
  return launch(pool_kernel, dim3(static_cast<unsigned>(blocks)), kPoolThreads, 0, stream, keys, queries, dim,
                sqrt_mean);
}

const char* chunk_features(const DeviceHeads& k, int kv_heads, int dim, ChunkFeatures kind, const DeviceChunks& chunks,
                           float* out, Stream stream) {
  return launch(feature_kernel, dim3(static_cast<unsigned>(chunks.most), static_cast<unsigned>(kv_heads)), kThreads, 0,
                stream, k, dim, kind, chunks, out);
}

const char* mass_scores(const MassScores& work, Stream stream) {
  return launch(mass_kernel, grid_of(work.span), kThreads, 0, stream, work);
}

const char* select_chunks(const ChunkChoice& choice, const MaskBuffers& out, Stream stream) {
  return launch(choice.threshold ? select_kernel<true> : select_kernel<false>, grid_of(choice.span), kThreads,
                kept_bytes(choice.chunks.most), stream, choice, out);
}

const char* candidate_tiles(const ChunkChoice& choice, const CandidateTiles& out, Stream stream) {
  return launch(tile_kernel, grid_of(choice.span), kThreads, kept_bytes(choice.chunks.most), stream, choice, out);
}

}  // namespace dhsa::cuda
