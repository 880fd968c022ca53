#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cub/block/block_radix_sort.cuh>
#include <cub/block/block_scan.cuh>

#include <algorithm>
#include <type_traits>

#include "core/sparsity/cuda/plan_cuda.h"

namespace dhsa::cuda {
namespace {

constexpr int kScoreTokens = 32;     // tokens of one block of window_sum_kernel
constexpr int kThreads = 256;
constexpr int kNmsThreads = 1024;
constexpr int kNmsItems = 16;        // accepted boundaries that can be ranked: kNmsThreads * kNmsItems
constexpr int kMostChunks = 12 * kThreads;

// For each token t: |S(t)|^2 and S(t) . S(t + w), S(t) the sum of the w joined keys that end at t.
__global__ void __launch_bounds__(kThreads) window_sum_kernel(const __nv_bfloat16* k, std::int64_t head_stride,
                                                              std::int64_t row_stride, int rows, int dim, int channels,
                                                              int w, float2* out) {
  __shared__ float2 total[kThreads / 32][kScoreTokens];  // one row per warp: summed in a fixed order
  for (int i = static_cast<int>(threadIdx.x); i < kThreads / 32 * kScoreTokens; i += kThreads) {
    total[i / kScoreTokens][i % kScoreTokens] = make_float2(0, 0);
  }
  __syncthreads();
  const int first = static_cast<int>(blockIdx.x) * kScoreTokens;
  const int last = min(rows, first + kScoreTokens);
  for (int base = 0; base < channels; base += 2 * kThreads) {
    const int c = base + 2 * static_cast<int>(threadIdx.x);
    const bool active = c < channels;
    const __nv_bfloat16* column = k + (active ? c / dim * head_stride + c % dim : 0);
    const auto key = [&](int t) {
      if (!active || t < 0 || t >= rows) return make_float2(0, 0);
      return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(column + t * row_stride));
    };
    const auto window_sum = [&](int t) {  // summed afresh each time, so that the result does not depend on the block
      float2 sum = make_float2(0, 0);
      for (int i = t - w + 1; i <= t; ++i) {
        const float2 x = key(i);
        sum.x += x.x;
        sum.y += x.y;
      }
      return sum;
    };
    for (int t = first; t < last; ++t) {
      const float2 left = window_sum(t), right = window_sum(t + w);
      float square = left.x * left.x + left.y * left.y, dot = left.x * right.x + left.y * right.y;
#pragma unroll
      for (int lane = 16; lane > 0; lane >>= 1) {
        square += __shfl_xor_sync(0xffffffffU, square, lane);
        dot += __shfl_xor_sync(0xffffffffU, dot, lane);
      }
      if ((threadIdx.x & 31) == 0) {
        total[threadIdx.x >> 5][t - first].x += square;
        total[threadIdx.x >> 5][t - first].y += dot;
      }
    }
  }
  __syncthreads();
  if (first + static_cast<int>(threadIdx.x) < last) {
    float2 sum = make_float2(0, 0);
    for (int i = 0; i < kThreads / 32; ++i) {
      sum.x += total[i][threadIdx.x].x;
      sum.y += total[i][threadIdx.x].y;
    }
    out[first + threadIdx.x] = sum;
  }
}

__global__ void key_shift_kernel(const float2* sums, int rows, int w, float* score) {
  const int t = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (t >= rows) return;
  float r = -INFINITY;  // no candidate
  if (t >= w - 1 && t < rows - w) {
    const float norms = sqrtf(sums[t].x) * sqrtf(sums[t + w].x);
    r = 1.0F - (norms > 0 ? sums[t].y / norms : 0.0F);
  }
  score[t] = r;
}

enum State : std::int8_t { kOpen = 0, kAccepted = 1, kOut = 2 };

// Greedy non-maximum suppression by rounds: a candidate is accepted once it beats every open candidate within reach,
// and drops out once an accepted one is. That accepts exactly what descending order would; the first `chunks` by score
// are then where the greedy pass would have stopped. One block.
__global__ void __launch_bounds__(kNmsThreads) boundary_kernel(const float* score, std::int8_t* state, int rows,
                                                               int reach, int chunks, float threshold,
                                                               int instruction_tokens, std::int32_t* boundaries,
                                                               std::int32_t* chunk_count) {
  using Sort = cub::BlockRadixSort<float, kNmsThreads, kNmsItems, std::int32_t>;
  using IndexSort = cub::BlockRadixSort<std::int32_t, kNmsThreads, kNmsItems>;
  using Scan = cub::BlockScan<int, kNmsThreads>;
  extern __shared__ __align__(16) unsigned char raw[];
  const int tid = static_cast<int>(threadIdx.x);
  const int fixed = instruction_tokens > 0 && instruction_tokens < rows ? rows - instruction_tokens : -1;
  const int last = fixed >= 0 ? fixed : rows - 1;  // later candidates are skipped
  for (int t = tid; t < rows; t += kNmsThreads) {
    const bool candidate = t <= last && score[t] > -INFINITY && (threshold <= 0.0F || score[t] > threshold) &&
                           !(fixed >= 0 && fixed - t <= reach);
    state[t] = candidate ? kOpen : kOut;
  }
  __syncthreads();

  const auto beats = [&](int a, int b) { return score[a] > score[b] || (score[a] == score[b] && a < b); };
  volatile std::int8_t* live = state;  // a neighbour's state read early only costs a round
  for (bool open = true; open;) {
    bool left = false;
    for (int t = tid; t < rows; t += kNmsThreads) {
      if (live[t] != kOpen) continue;
      bool wins = true, out = false;
      for (int u = max(0, t - reach); u <= min(rows - 1, t + reach); ++u) {
        const std::int8_t s = live[u];
        if (u == t || s == kOut) continue;
        if (s == kAccepted) {
          out = true;
        } else if (beats(u, t)) {
          wins = false;
        }
      }
      if (out) {
        live[t] = kOut;
      } else if (wins) {
        live[t] = kAccepted;
      } else {
        left = true;
      }
    }
    open = __syncthreads_or(left);
  }

  // Rank the accepted ones: compact in index order (equal scores stay so, the sort is stable), sort, keep the first.
  float key[kNmsItems];
  std::int32_t index[kNmsItems];
  auto* list = reinterpret_cast<std::int32_t*>(raw);
  const int per_thread = (rows + kNmsThreads - 1) / kNmsThreads;
  const int begin = min(rows, tid * per_thread), end = min(rows, begin + per_thread);
  int mine = 0;
  for (int t = begin; t < end; ++t) mine += state[t] == kAccepted;
  __shared__ typename Scan::TempStorage scan_storage;
  int before = 0, all = 0;
  Scan(scan_storage).ExclusiveSum(mine, before, all);
  all = min(all, kNmsThreads * kNmsItems);
  for (int t = begin; t < end; ++t) {
    if (state[t] == kAccepted && before < all) list[before++] = t;
  }
  __syncthreads();
  for (int i = 0; i < kNmsItems; ++i) {
    const int at = tid * kNmsItems + i;
    index[i] = at < all ? list[at] : 0x7fffffff;
    key[i] = at < all ? score[index[i]] : -INFINITY;
  }
  __syncthreads();
  Sort(*reinterpret_cast<typename Sort::TempStorage*>(raw)).SortDescending(key, index);
  __syncthreads();
  const int keep = min(all, max(0, chunks - (fixed >= 0 ? 1 : 0)));
  for (int i = 0; i < kNmsItems; ++i) {
    const int at = tid * kNmsItems + i;
    index[i] = at < keep ? index[i] + 1 : (at == keep && fixed >= 0 ? fixed + 1 : 0x7fffffff);
    if (index[i] >= rows) index[i] = 0x7fffffff;  // b = rows is there anyway
  }
  mine = 0;
  for (int i = 0; i < kNmsItems; ++i) mine += index[i] != 0x7fffffff;
  int inner = 0;
  Scan(scan_storage).ExclusiveSum(mine, before, inner);
  IndexSort(*reinterpret_cast<typename IndexSort::TempStorage*>(raw)).Sort(index);
  for (int i = 0; i < kNmsItems; ++i) {
    const int at = tid * kNmsItems + i;
    if (at < inner) boundaries[1 + at] = index[i];
  }
  if (tid == 0) {
    boundaries[0] = 0;
    boundaries[inner + 1] = rows;
    *chunk_count = inner + 1;
  }
}

// Sum over rows [begin, end) and `joined` heads, as sqrt(n) * mean or mean: one block per (item, mask head).
__device__ __forceinline__ void represent(const __nv_bfloat16* x, std::int64_t head_stride, std::int64_t row_stride,
                                          int first_head, int joined, int begin, int end, int dim, bool sqrt_mean,
                                          float* out) {
  const float n = static_cast<float>(end - begin);
  const float by = (sqrt_mean ? rsqrtf(n) : 1.0F / n) / static_cast<float>(joined);
  for (int d = static_cast<int>(threadIdx.x); d < dim; d += static_cast<int>(blockDim.x)) {
    float sum = 0;
    for (int h = first_head; h < first_head + joined; ++h) {
      const __nv_bfloat16* column = x + h * head_stride + d;
#pragma unroll 8
      for (int t = begin; t < end; ++t) sum += __bfloat162float(column[t * row_stride]);
    }
    out[d] = sum * by;
  }
}

__global__ void chunk_key_kernel(const __nv_bfloat16* k, std::int64_t head_stride, std::int64_t row_stride, int joined,
                                 int dim, bool sqrt_mean, const std::int32_t* boundaries,
                                 const std::int32_t* chunk_count, int most_chunks, float* out) {
  const int chunk = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  if (chunk >= *chunk_count) return;
  represent(k, head_stride, row_stride, head * joined, joined, boundaries[chunk], boundaries[chunk + 1], dim, sqrt_mean,
            out + (static_cast<std::int64_t>(head) * most_chunks + chunk) * dim);
}

__global__ void group_query_kernel(const __nv_bfloat16* q, std::int64_t head_stride, std::int64_t row_stride, int joined,
                                   int dim, bool sqrt_mean, int block, int planned_rows, float* out) {
  const int group = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  represent(q, head_stride, row_stride, head * joined, joined, group * block, min(planned_rows, (group + 1) * block),
            dim, sqrt_mean, out + (static_cast<std::int64_t>(head) * gridDim.x + group) * dim);
}

// S_c of one group and mask head, then selection: chunks by descending score until the budget is full, the last one cut
// to its most recent tokens; sinks and local tokens always. One block per (group, mask head).
template <int kItems>
__global__ void __launch_bounds__(kThreads) select_kernel(PlanShape shape, PlanBuffers b) {
  using Sort = cub::BlockRadixSort<float, kThreads, kItems, std::int32_t>;
  using Scan = cub::BlockScan<int, kThreads>;
  constexpr int kCapacity = kThreads * kItems;
  __shared__ union {
    typename Sort::TempStorage sort;
    typename Scan::TempStorage scan;
  } storage;
  __shared__ float score[kCapacity];
  __shared__ std::int32_t kept[kCapacity];  // tokens chosen of each chunk
  const int tid = static_cast<int>(threadIdx.x);
  const int group = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  const int planned = shape.planned_groups(), most_chunks = shape.most_chunks(), groups = shape.groups();
  const int planned_rows = shape.rows - shape.instruction_tokens;
  const int slot = head * groups + group;
  std::int32_t* ranges = b.ranges + static_cast<std::int64_t>(slot) * (most_chunks + 2) * 2;
  std::int32_t* offsets = b.offsets + static_cast<std::int64_t>(slot) * (most_chunks + 2);
  if (tid == 0) b.start[slot] = slot * (most_chunks + 2);

  const bool instruction = group >= planned;
  const int row_begin = instruction ? planned_rows + (group - planned) * shape.query_block : group * shape.query_block;
  const int row_end = min(instruction ? shape.rows : planned_rows, row_begin + shape.query_block);
  const bool window_fits = shape.window > 0 && shape.budget >= shape.window;
  if (instruction || window_fits || shape.budget >= row_end) {  // dense rows
    if (tid == 0) {
      ranges[0] = shape.window > 0 ? max(0, row_begin - shape.window + 1) : 0;
      if (!instruction && !window_fits && shape.window > 0) ranges[0] = max(0, row_end - shape.window);
      ranges[1] = row_end;
      offsets[0] = 0;
      b.count[slot] = 1;
    }
    if (instruction) return;
  }

  // Allowed keys: [lowest, row_end). Always kept, as AlwaysKept (core/sparsity/selection.h) says: own rows and sinks
  // whatever the budget, then local keys as far as it goes.
  const int lowest = shape.window > 0 ? max(0, row_end - shape.window) : 0;
  const int budget = min(shape.budget, row_end - lowest);
  const int local = max(row_end - row_begin, min(shape.local_tokens, shape.budget - shape.sink_tokens));
  const int local_begin = row_end - min(local, row_end - lowest);
  const int sink_end = min(lowest + shape.sink_tokens, local_begin);
  const int chunks = *b.chunk_count;
  const float* query = b.group_queries + (static_cast<std::int64_t>(head) * planned + group) * shape.dim;
  const float* keys =
      b.chunk_keys + static_cast<std::int64_t>(head * shape.key_heads() / shape.mask_heads) * most_chunks * shape.dim;
  float* scores = b.chunk_scores + (static_cast<std::int64_t>(head) * planned + group) * most_chunks;
  for (int c = tid >> 5; c < kCapacity; c += kThreads / 32) {
    float dot = 0;
    const bool seen = c < chunks && b.boundaries[c] < row_end;
    if (seen) {
      for (int d = tid & 31; d < shape.dim; d += 32) dot += query[d] * keys[static_cast<std::int64_t>(c) * shape.dim + d];
    }
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) dot += __shfl_xor_sync(0xffffffffU, dot, lane);
    if ((tid & 31) == 0) {
      score[c] = seen ? dot : -INFINITY;
      kept[c] = 0;
      if (c < most_chunks) scores[c] = seen ? dot : __int_as_float(0x7fc00000);
    }
  }
  __syncthreads();
  if (window_fits || shape.budget >= row_end) return;

  // Tokens of chunk c that are still to be chosen: between the sinks and the local tokens.
  const auto middle_begin = [&](int c) { return max(b.boundaries[c], sink_end); };
  const auto middle_end = [&](int c) { return min(b.boundaries[c + 1], local_begin); };
  float key[kItems];
  std::int32_t chunk[kItems];
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    chunk[i] = tid * kItems + i;
    key[i] = score[chunk[i]];
  }
  Sort(storage.sort).SortDescending(key, chunk);
  __syncthreads();
  int size[kItems], before[kItems];
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    size[i] = key[i] == -INFINITY ? 0 : max(0, middle_end(chunk[i]) - middle_begin(chunk[i]));
  }
  Scan(storage.scan).ExclusiveSum(size, before);
  __syncthreads();
  const int want = budget - (row_end - local_begin) - (sink_end - lowest);
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    if (size[i] > 0) kept[chunk[i]] = min(size[i], max(0, want - before[i]));
  }
  __syncthreads();

  // Pieces in ascending order: sinks, the kept end of each chunk, local tokens with the group's own rows. A piece that
  // touches the one before it continues its range.
  const int own_begin = min(local_begin, row_begin);
  struct Piece {
    int begin, end;
  };
  const auto piece = [&](int p) -> Piece {
    if (p == 0) return {lowest, min(sink_end, own_begin)};
    if (p <= chunks) {
      const int c = p - 1;
      return {middle_end(c) - kept[c], min(middle_end(c), own_begin)};
    }
    return p == chunks + 1 ? Piece{own_begin, row_end} : Piece{0, 0};
  };
  constexpr int kPieces = kItems + 1;  // sinks and local tokens need room beside kCapacity chunks
  int flag[kPieces], length[kPieces], range[kPieces], offset[kPieces];
  const auto not_empty = [&](int p) {
    const Piece x = piece(p);
    return x.end > x.begin;
  };
#pragma unroll
  for (int i = 0; i < kPieces; ++i) {
    const int p = tid * kPieces + i;
    const Piece x = piece(p);
    length[i] = max(0, x.end - x.begin);
    flag[i] = 0;
    if (length[i] > 0) {
      int previous = p - 1;
      while (previous >= 0 && !not_empty(previous)) --previous;
      flag[i] = previous < 0 || piece(previous).end != x.begin;
    }
  }
  Scan(storage.scan).ExclusiveSum(flag, range);
  __syncthreads();
  Scan(storage.scan).ExclusiveSum(length, offset);
#pragma unroll
  for (int i = 0; i < kPieces; ++i) {
    if (length[i] == 0) continue;
    const int p = tid * kPieces + i;
    const Piece x = piece(p);
    const int r = range[i] - (flag[i] ? 0 : 1);
    if (flag[i]) {
      ranges[2 * r] = x.begin;
      offsets[r] = offset[i];
    }
    int next = p + 1;
    while (next <= chunks + 1 && !not_empty(next)) ++next;
    if (next > chunks + 1 || piece(next).begin != x.end) ranges[2 * r + 1] = x.end;
    if (p == chunks + 1) b.count[slot] = r + 1;  // the group's own rows: never empty
  }
}

const char* result() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace

std::size_t plan_layout(const PlanShape& s, std::byte* base, PlanBuffers& b) {
  std::size_t used = 0;
  const auto take = [&](auto*& pointer, std::size_t count) {
    using T = std::remove_reference_t<decltype(*pointer)>;
    pointer = base == nullptr ? nullptr : reinterpret_cast<T*>(base + used);
    used += (count * sizeof(T) + 255) / 256 * 256;
  };
  const auto rows = static_cast<std::size_t>(s.rows), heads = static_cast<std::size_t>(s.mask_heads);
  const auto groups = static_cast<std::size_t>(s.groups()), planned = static_cast<std::size_t>(s.planned_groups());
  const auto chunks = static_cast<std::size_t>(s.most_chunks()), dim = static_cast<std::size_t>(s.dim);
  take(b.boundary_scores, rows);
  take(b.boundaries, chunks + 1);
  take(b.chunk_count, 1);
  take(b.chunk_scores, heads * planned * chunks);
  take(b.window_sums, rows * 2);
  take(b.state, rows);
  take(b.chunk_keys, static_cast<std::size_t>(s.key_heads()) * chunks * dim);
  take(b.group_queries, heads * planned * dim);
  take(b.start, heads * groups);
  take(b.count, heads * groups);
  take(b.ranges, heads * groups * (chunks + 2) * 2);
  take(b.offsets, heads * groups * (chunks + 2));
  return used;
}

bool plan_supports(const PlanShape& s) {
  const bool chunks_fit = s.most_chunks() <= kMostChunks;
  const bool candidates_fit = s.rows / (s.nms_distance + 1) < kNmsThreads * kNmsItems;
  return chunks_fit && candidates_fit && s.heads * s.dim % 2 == 0;  // channels are read in pairs
}

const char* key_shift_scores(const PlanShape& s, const DeviceHeads& k, const PlanBuffers& b, Stream stream) {
  const auto at = static_cast<cudaStream_t>(stream);
  window_sum_kernel<<<(s.rows + kScoreTokens - 1) / kScoreTokens, kThreads, 0, at>>>(
      static_cast<const __nv_bfloat16*>(k.data), k.head_stride, k.row_stride, s.rows, s.dim, s.kv_heads * s.dim,
      s.boundary_window, reinterpret_cast<float2*>(b.window_sums));
  key_shift_kernel<<<(s.rows + kThreads - 1) / kThreads, kThreads, 0, at>>>(
      reinterpret_cast<const float2*>(b.window_sums), s.rows, s.boundary_window, b.boundary_scores);
  return result();
}

const char* choose_boundaries(const PlanShape& s, const PlanBuffers& b, Stream stream) {
  using Sort = cub::BlockRadixSort<float, kNmsThreads, kNmsItems, std::int32_t>;
  using IndexSort = cub::BlockRadixSort<std::int32_t, kNmsThreads, kNmsItems>;
  constexpr std::size_t kList = sizeof(std::int32_t) * kNmsThreads * kNmsItems;
  constexpr std::size_t kBytes = std::max({kList, sizeof(Sort::TempStorage), sizeof(IndexSort::TempStorage)});
  static const cudaError_t raised = cudaFuncSetAttribute(boundary_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                         static_cast<int>(kBytes));
  if (raised != cudaSuccess) return cudaGetErrorString(raised);
  boundary_kernel<<<1, kNmsThreads, kBytes, static_cast<cudaStream_t>(stream)>>>(
      b.boundary_scores, b.state, s.rows, s.nms_distance, s.chunks, s.boundary_threshold, s.instruction_tokens,
      b.boundaries, b.chunk_count);
  return result();
}

const char* select_keys(const PlanShape& s, const DeviceHeads& q, const DeviceHeads& k, const PlanBuffers& b,
                        Stream stream) {
  const auto at = static_cast<cudaStream_t>(stream);
  const auto heads = static_cast<unsigned>(s.mask_heads);
  chunk_key_kernel<<<dim3(static_cast<unsigned>(s.most_chunks()), static_cast<unsigned>(s.key_heads())), kThreads, 0,
                     at>>>(
      static_cast<const __nv_bfloat16*>(k.data), k.head_stride, k.row_stride, s.kv_heads / s.key_heads(), s.dim,
      s.sqrt_mean, b.boundaries, b.chunk_count, s.most_chunks(), b.chunk_keys);
  if (s.planned_groups() > 0) {
    group_query_kernel<<<dim3(static_cast<unsigned>(s.planned_groups()), heads), kThreads, 0, at>>>(
        static_cast<const __nv_bfloat16*>(q.data), q.head_stride, q.row_stride, s.heads / s.mask_heads, s.dim,
        s.sqrt_mean, s.query_block, s.rows - s.instruction_tokens, b.group_queries);
  }
  const dim3 grid(static_cast<unsigned>(s.groups()), heads);
  if (s.most_chunks() <= 4 * kThreads) {
    select_kernel<4><<<grid, kThreads, 0, at>>>(s, b);
  } else {
    select_kernel<12><<<grid, kThreads, 0, at>>>(s, b);
  }
  return result();
}

DeviceMask mask_of(const PlanShape& s, const PlanBuffers& b) {
  return {s.rows, s.mask_heads, s.groups(), s.window, b.start, b.count, b.ranges, b.offsets};
}

}  // namespace dhsa::cuda
