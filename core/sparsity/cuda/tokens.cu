// Single keys: estimates of token refinement, and what a group keeps of its candidates, of true attention or of lines.
#include <cuda_bf16.h>

#include "core/sparsity/cuda/choose.cuh"
#include "core/sparsity/cuda/mma.cuh"

namespace dhsa::cuda {
namespace {

constexpr int kWarps = kThreads / 32;
constexpr int kTogether = 8;  // asked rows that one product takes

__device__ __forceinline__ std::int64_t wide(int a) { return a; }

// One mask head and group of a span: its asked rows, of all heads of the mask (index head * rows + row), and its place
// in scratch memory.
struct Slot {
  int m, g, index;
  int rows, first, all;  // asked; first: into AskedRows::rows
  int tiles, most_tiles;
  std::int64_t tile;  // of its first
  std::int64_t logit;
  __device__ Slot(const Refinement& work, int head, int group) {
    const GroupSpan& span = work.span;
    m = span.first_head + head;
    g = group;
    index = head * span.groups + g - span.first_group;
    first = work.asked.start[g];
    rows = work.asked.start[g + 1] - first;
    all = work.heads / span.mask_heads * rows;
    const GroupRoom room = work.tiles.room[g], base = work.tiles.room[span.first_group];
    tiles = work.tiles.count[index];
    most_tiles = room.most_tiles;
    tile = wide(head) * work.tiles.per_head + room.first_tile - base.first_tile;
    logit = head * work.logits_per_head + room.first_logit - base.first_logit;
  }
  __device__ float* logits(const Refinement& work, int row) const {
    return work.logits + logit + wide(row) * most_tiles * kTileKeys;
  }
  // Largest logit, and what its exponentials are multiplied by.
  __device__ float* softmax(const Refinement& work, int row) const {
    return work.softmax + (wide(index) * (work.heads / work.span.mask_heads * work.most_asked) + row) * 2;
  }
  __device__ float* own(const Refinement& work) const { return work.own + tile * kTileKeys; }
};
__device__ __forceinline__ Slot slot_of_block(const Refinement& work) {
  const int index = static_cast<int>(blockIdx.x);
  return {work, index / work.span.groups, work.span.first_group + index % work.span.groups};
}

// Logits of all asked rows of a slot over one tile of keys a warp. The keys are the 16 rows of the product, eight asked
// rows its columns; both are read straight from memory, 8 values of a row at a time, and the sum over the head
// dimension runs in the order that this gives.
template <int D>
__global__ void __launch_bounds__(kThreads) logit_kernel(Refinement work) {
  constexpr int kSteps = D / 32;
  const Slot slot = slot_of_block(work);
  const int m = slot.m, lane = static_cast<int>(threadIdx.x) & 31, step = static_cast<int>(gridDim.y) * kWarps;
  const int per_mask = work.heads / work.span.mask_heads, per_kv = work.heads / work.kv_heads;
  const int heads_together = min(per_kv, per_mask);
  const auto* keys = static_cast<const __nv_bfloat16*>(work.k.data) + (lane & 3) * 8;
  const auto* queries = static_cast<const __nv_bfloat16*>(work.queries) + (lane & 3) * 8;
  for (int at = static_cast<int>(blockIdx.y) * kWarps + (static_cast<int>(threadIdx.x) >> 5); at < slot.tiles;
       at += step) {
    const int tile = work.tiles.tile[slot.tile + at], key = tile * kTileKeys + (lane >> 2);
    for (int head = m * per_mask; head < (m + 1) * per_mask; head += heads_together) {
      const auto* of_head = keys + head / per_kv * work.k.head_stride;
      uint4 low[kSteps], high[kSteps];
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
        low[s] = *reinterpret_cast<const uint4*>(of_head + min(key, work.rows - 1) * work.k.row_stride + s * 32);
        high[s] = *reinterpret_cast<const uint4*>(of_head + min(key + 8, work.rows - 1) * work.k.row_stride + s * 32);
      }
      const int count = heads_together * slot.rows;
      for (int base = 0; base < count; base += kTogether) {
        const int mine = min(base + (lane >> 2), count - 1);
        const std::int64_t row =
            wide(head + mine / slot.rows) * work.asked.count + slot.first - work.asked.first + mine % slot.rows;
        float c[4] = {};
        for (int part = 0; part < work.parts; ++part) {
          const auto* query = queries + (wide(part) * work.heads * work.asked.count + row) * D;
#pragma unroll
          for (int s = 0; s < kSteps; ++s) {
            const uint4 b = *reinterpret_cast<const uint4*>(query + s * 32);
            const std::uint32_t first[4] = {low[s].x, high[s].x, low[s].y, high[s].y};
            multiply_add(c, first, b.x, b.y);
            const std::uint32_t second[4] = {low[s].z, high[s].z, low[s].w, high[s].w};
            multiply_add(c, second, b.z, b.w);
          }
        }
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int index = base + (lane & 3) * 2 + (e & 1), of_tile = (lane >> 2) + (e >> 1) * 8;
          if (index >= count) continue;
          const int row_seen = work.asked.rows[slot.first + index % slot.rows], j = tile * kTileKeys + of_tile;
          float z = c[e] * work.scale;
          if (work.softcap > 0) z = work.softcap * tanhf(z / work.softcap);
          if (j > row_seen || (work.window > 0 && j <= row_seen - work.window)) z = -INFINITY;
          slot.logits(work, (head - m * per_mask) * slot.rows + index)[at * kTileKeys + of_tile] = z;
        }
      }
    }
  }
}

// Of each asked row, a warp one after the other: the largest logit, and its share of the estimate over the sum of
// exponentials.
__global__ void __launch_bounds__(kThreads) softmax_kernel(Refinement work) {
  const Slot slot = slot_of_block(work);
  const int n = slot.tiles * kTileKeys, lane = static_cast<int>(threadIdx.x) & 31;
  for (int row = static_cast<int>(blockIdx.y) * kWarps + (static_cast<int>(threadIdx.x) >> 5); row < slot.all;
       row += static_cast<int>(gridDim.y) * kWarps) {
    const auto* z = reinterpret_cast<const float4*>(slot.logits(work, row));
    float largest = -INFINITY, sum = 0;
#pragma unroll 4
    for (int i = lane; i < n / 4; i += 32) {
      const float4 x = z[i];
      largest = fmaxf(fmaxf(fmaxf(largest, x.x), fmaxf(x.y, x.z)), x.w);
    }
#pragma unroll
    for (int other = 16; other > 0; other >>= 1) largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, other));
    if (largest > -INFINITY) {
#pragma unroll 4
      for (int i = lane; i < n / 4; i += 32) {
        const float4 x = z[i];
        sum += expf(x.x - largest) + expf(x.y - largest) + expf(x.z - largest) + expf(x.w - largest);
      }
    }
#pragma unroll
    for (int other = 16; other > 0; other >>= 1) sum += __shfl_xor_sync(0xffffffffU, sum, other);
    if (lane != 0) continue;
    slot.softmax(work, row)[0] = largest;
    slot.softmax(work, row)[1] = largest > -INFINITY ? 1.0F / (static_cast<float>(slot.all) * sum) : 0.0F;
  }
}

// The mean of the asked rows' probabilities.
__global__ void __launch_bounds__(kThreads) own_kernel(Refinement work) {
  const Slot slot = slot_of_block(work);
  for (int i = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x); i < slot.tiles * kTileKeys;
       i += static_cast<int>(gridDim.y) * kThreads) {
    float sum = 0;
#pragma unroll 8
    for (int row = 0; row < slot.all; ++row) {
      const float* softmax = slot.softmax(work, row);
      if (softmax[1] != 0.0F) sum += expf(slot.logits(work, row)[i] - softmax[0]) * softmax[1];
    }
    slot.own(work)[i] = sum;
  }
}

struct CandidateKeys {
  static constexpr bool kMass = false;
  const std::int32_t* tile;
  const std::uint32_t* ranks;
  int tiles;
  __device__ int count() const { return tiles * kTileKeys; }
  __device__ int begin(int i) const { return tile[i / kTileKeys] * kTileKeys + i % kTileKeys; }
  __device__ int end(int i) const { return begin(i) + 1; }
  __device__ std::uint32_t rank(int i) const { return ranks[i]; }
};

// Adds what the groups before say, each a part of the next, where they looked too; then takes the best.
constexpr int kRefineThreads = 512;
constexpr int kMostBefore = 8;  // groups that are heard: a batch
__global__ void __launch_bounds__(kRefineThreads) refine_kernel(Refinement work, MaskBuffers out) {
  struct Before {
    const std::int32_t* tile;
    const float* own;
    int tiles;
  };
  __shared__ Before before[kMostBefore];
  const int head = static_cast<int>(blockIdx.y), g = work.first_chosen + static_cast<int>(blockIdx.x);
  const int tid = static_cast<int>(threadIdx.x);
  const GroupKeys group = work.span.keys[g];
  const int out_slot = (work.span.first_head + head) * work.span.all_groups + g;
  if (group.whole != 0) return write_whole(group, out, out_slot);
  const Slot slot(work, head, g);
  const int count = min(kMostBefore, g - max(work.span.first_group, g / work.batch * work.batch - 1));
  if (tid < count) {
    const Slot other(work, head, g - 1 - tid);
    before[tid] = {work.tiles.tile + other.tile, other.own(work), other.tiles};
  }
  __syncthreads();
  const std::int32_t* tiles = work.tiles.tile + slot.tile;
  const std::uint16_t* keys = work.tiles.keys + slot.tile;
  std::uint32_t* ranks = work.ranks + slot.tile * kTileKeys;
  constexpr int kQuarter = 4;  // keys that a thread works on
  for (int i = tid; i < slot.tiles * (kTileKeys / kQuarter); i += kRefineThreads) {
    const int at = i / (kTileKeys / kQuarter), tile = tiles[at], quarter = i % (kTileKeys / kQuarter);
    float4 estimate = reinterpret_cast<const float4*>(slot.own(work))[i];
    float by = work.carry;
    for (int b = 0; b < count; ++b, by *= work.carry) {
      const Before& other = before[b];
      int low = 0, high = other.tiles;  // the first that is not below
      while (low < high) {
        const int middle = (low + high) >> 1;
        if (other.tile[middle] < tile) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      if (low >= other.tiles || other.tile[low] != tile) break;
      const float4 more = reinterpret_cast<const float4*>(other.own)[low * (kTileKeys / kQuarter) + quarter];
      estimate.x += by * more.x;
      estimate.y += by * more.y;
      estimate.z += by * more.z;
      estimate.w += by * more.w;
    }
    const float of_key[kQuarter] = {estimate.x, estimate.y, estimate.z, estimate.w};
#pragma unroll
    for (int n = 0; n < kQuarter; ++n) {
      const int bit = quarter * kQuarter + n, key = tile * kTileKeys + bit;
      const bool candidate = (keys[at] >> bit & 1) != 0 && key >= group.sink_end && key < group.local_begin;
      // NaN where queries or keys were not finite.
      ranks[at * kTileKeys + bit] = candidate ? rank_of(of_key[n] > 0.0F ? of_key[n] : 0.0F) : 0;
    }
  }
  __syncthreads();
  const CandidateKeys items{tiles, ranks, slot.tiles};
  write_ranges(items, group, choose(items, group, Goal{group.choose, 0, 0}), out, out_slot);
}

// Every earlier key of a group, by a table.
struct TabledKeys {
  static constexpr bool kMass = false;
  const float* sums;  // from the group's first key on
  GroupKeys group;
  __device__ int count() const { return group.local_begin - group.key_begin; }
  __device__ int begin(int i) const { return group.key_begin + i; }
  __device__ int end(int i) const { return group.key_begin + i + 1; }
  __device__ std::uint32_t rank(int i) const { return rank_of(sums[i]); }
};

__global__ void __launch_bounds__(kThreads)
    key_kernel(GroupSpan span, const float* sums, int key_begin, int width, MaskBuffers out) {
  const int m = static_cast<int>(blockIdx.y), slot = m * span.groups + static_cast<int>(blockIdx.x);
  const GroupKeys group = span.keys[span.first_group + static_cast<int>(blockIdx.x)];
  if (group.whole != 0) return write_whole(group, out, slot);
  const TabledKeys items{sums + wide(slot) * width + (group.key_begin - key_begin), group};
  write_ranges(items, group, choose(items, group, Goal{group.choose, 0, 0}), out, slot);
}

// Keys of one group as bits, worked on by one warp.
class KeyBits {
 public:
  __device__ KeyBits(std::uint32_t* words, int keys) : words_(words), count_((keys + 31) / 32) {
    for (int w = lane(); w < count_; w += 32) words_[w] = 0;
    __syncwarp();
  }
  // How many of [begin, end) are not taken; the same for all lanes.
  __device__ int missing(int begin, int end) const {
    int n = 0;
    each_word(begin, end, [&](int w, std::uint32_t mask) { n += __popc(mask & ~words_[w]); });
#pragma unroll
    for (int other = 16; other > 0; other >>= 1) n += __shfl_xor_sync(0xffffffffU, n, other);
    return n;
  }
  __device__ void take(int begin, int end) {
    each_word(begin, end, [&](int w, std::uint32_t mask) { words_[w] |= mask; });
    __syncwarp();
  }
  // The last n of those that are not taken.
  __device__ void take_last(int begin, int end, int n) {
    if (lane() == 0) {
      for (int j = end; j > begin && n > 0; --j) n -= take_one(j - 1) ? 1 : 0;
    }
    __syncwarp();
  }
  // Each lane one key, or -1: the first n of those that are not taken. Returns how many were.
  __device__ int take_first(int key, int n) {
    const unsigned free = __ballot_sync(0xffffffffU, key >= 0 && (words_[key >> 5] >> (key & 31) & 1U) == 0);
    const bool mine = (free >> lane() & 1U) != 0 && __popc(free & ((1U << lane()) - 1)) < n;
    if (mine) atomicOr(&words_[key >> 5], 1U << (key & 31));
    __syncwarp();
    return min(n, __popc(free));
  }
  __device__ void write(const MaskBuffers& out, int slot) const {
    const std::int64_t first = wide(slot) * out.most_ranges;
    std::int32_t* ranges = out.ranges + 2 * first;
    int begun = 0, kept = 0;  // of the words before
    for (int base = 0; base < count_; base += 32) {
      const int w = base + lane();
      const std::uint32_t bits = w < count_ ? words_[w] : 0;
      const std::uint32_t before = w > 0 && w < count_ ? words_[w - 1] >> 31U : 0;
      const std::uint32_t after = w + 1 < count_ ? words_[w + 1] & 1U : 0;
      std::uint32_t starts = bits & ~(bits << 1U | before), ends = bits & ~(bits >> 1U | after << 31U);
      int range = __popc(starts), key = __popc(bits);
#pragma unroll
      for (int step = 1; step < 32; step *= 2) {
        const int other_range = __shfl_up_sync(0xffffffffU, range, step);
        const int other_key = __shfl_up_sync(0xffffffffU, key, step);
        if (lane() >= step) {
          range += other_range;
          key += other_key;
        }
      }
      const int all_ranges = begun + __shfl_sync(0xffffffffU, range, 31);
      const int all_keys = kept + __shfl_sync(0xffffffffU, key, 31);
      range += begun - __popc(starts);
      key += kept - __popc(bits);
      int end_range = range - static_cast<int>(before & bits);  // a range that goes on ends first
      for (; starts != 0; starts &= starts - 1, ++range) {
        const int bit = __ffs(static_cast<int>(starts)) - 1;
        ranges[2 * wide(range)] = w * 32 + bit;
        out.offsets[first + range] = key + __popc(bits & ((1U << bit) - 1));
      }
      for (; ends != 0; ends &= ends - 1, ++end_range) {
        ranges[2 * wide(end_range) + 1] = w * 32 + __ffs(static_cast<int>(ends));
      }
      begun = all_ranges;
      kept = all_keys;
    }
    if (lane() != 0) return;
    out.start[slot] = static_cast<std::int32_t>(first);
    out.count[slot] = begun;
  }

 private:
  __device__ static int lane() { return static_cast<int>(threadIdx.x) & 31; }
  __device__ bool take_one(int key) {
    const std::uint32_t bit = 1U << (key & 31);
    const bool free = (words_[key >> 5] & bit) == 0;
    words_[key >> 5] |= bit;
    return free;
  }
  template <class Visit>
  __device__ void each_word(int begin, int end, const Visit& visit) const {
    for (int w = (begin >> 5) + lane(); w * 32 < end; w += 32) {
      std::uint32_t mask = 0xffffffffU;
      if (begin > w * 32) mask &= 0xffffffffU << (begin - w * 32);
      if (end < w * 32 + 32) mask &= ~(0xffffffffU << (end - w * 32));
      visit(w, mask);
    }
  }
  std::uint32_t* words_;
  int count_;
};

// Sinks and local keys, then lines, as VerticalSlashPlanner takes them: half of what is left of the budget for slashes
// that add keys, then verticals, then further slashes, the last one cut. One warp for each group and mask head.
__global__ void __launch_bounds__(32) line_kernel(Lines lines, MaskBuffers out) {
  const int g = static_cast<int>(blockIdx.x), m = static_cast<int>(blockIdx.y);
  const GroupKeys group = lines.span.keys[g];
  const int slot = m * lines.span.all_groups + g;
  if (group.whole != 0) return write_whole(group, out, slot);
  const std::int64_t* columns = lines.columns + wide(m) * lines.rows;
  const std::int64_t* diagonals = lines.diagonals + wide(m) * lines.rows;
  const auto column_count = static_cast<int>(lines.column_count[m]);
  const auto diagonal_count = static_cast<int>(lines.diagonal_count[m]);
  KeyBits bits(dynamic_shared<std::uint32_t>(), group.row_end);
  bits.take(group.key_begin, group.sink_end);
  bits.take(group.local_begin, group.row_end);
  int left = group.choose;
  const int for_verticals = max(0, left) / 2;
  const auto begin_of = [&](int diagonal) { return max(group.key_begin, group.row_begin - diagonal); };
  int at = 0;
  for (; at < diagonal_count; ++at) {
    const auto diagonal = static_cast<int>(diagonals[at]);
    const int begin = begin_of(diagonal), end = group.row_end - diagonal;
    const int added = begin < end ? bits.missing(begin, end) : 0;
    if (added == 0) continue;
    if (left - added < for_verticals) break;
    bits.take(begin, end);
    left -= added;
  }
  for (int base = 0; base < column_count && left > 0; base += 32) {
    const int i = base + static_cast<int>(threadIdx.x);
    const int column = i < column_count ? static_cast<int>(columns[i]) : -1;
    left -= bits.take_first(column >= group.key_begin && column < group.row_end ? column : -1, left);
  }
  for (; at < diagonal_count && left > 0; ++at) {
    const auto diagonal = static_cast<int>(diagonals[at]);
    const int begin = begin_of(diagonal), end = group.row_end - diagonal;
    const int added = begin < end ? bits.missing(begin, end) : 0;
    if (added == 0) continue;
    bits.take_last(begin, end, left);
    left -= min(left, added);
  }
  bits.write(out, slot);
}

template <int D>
const char* logits(const Refinement& work, dim3 grid, Stream stream) {
  return launch(logit_kernel<D>, grid, kThreads, 0, stream, work);
}

}  // namespace

const char* refine_tokens(const Refinement& work, const MaskBuffers& out, Stream stream) {
  if (work.batch > kMostBefore) return "batches of groups are too long";
  const int groups = work.span.groups, rows = work.heads / work.span.mask_heads * work.most_asked;
  // As many blocks as a usual group has work for: the few that look at every key take more rounds, where one block for
  // each of their steps would be idle for all others.
  const int tiles = work.tiles.per_head / groups + 1;
  const auto grid = [&](int all, int of_block) {
    return dim3(static_cast<unsigned>(work.span.heads * groups),
                static_cast<unsigned>((all + of_block - 1) / of_block));
  };
  const dim3 by_tile = grid(tiles, kWarps);
  const char* fault = work.dim == 64    ? logits<64>(work, by_tile, stream)
                      : work.dim == 128 ? logits<128>(work, by_tile, stream)
                      : work.dim == 256 ? logits<256>(work, by_tile, stream)
                                        : "head dimension is not 64, 128 or 256";
  if (fault == nullptr) fault = launch(softmax_kernel, grid(rows, kWarps), kThreads, 0, stream, work);
  if (fault == nullptr) fault = launch(own_kernel, grid(tiles * kTileKeys, kThreads), kThreads, 0, stream, work);
  if (fault != nullptr) return fault;
  const int chosen = work.span.first_group + groups - work.first_chosen;
  return launch(refine_kernel, dim3(static_cast<unsigned>(chosen), static_cast<unsigned>(work.span.heads)),
                kRefineThreads, kept_bytes(work.most_tiles * kTileKeys), stream, work, out);
}

const char* select_keys(const GroupSpan& span, const float* sums, int key_begin, int width, const MaskBuffers& out,
                        Stream stream) {
  return launch(key_kernel, dim3(static_cast<unsigned>(span.groups), static_cast<unsigned>(span.mask_heads)), kThreads,
                kept_bytes(width), stream, span, sums, key_begin, width, out);
}

const char* select_lines(const Lines& lines, const MaskBuffers& out, Stream stream) {
  return launch(line_kernel,
                dim3(static_cast<unsigned>(lines.span.all_groups), static_cast<unsigned>(lines.span.mask_heads)), 32,
                kept_bytes(lines.rows), stream, lines, out);
}

}  // namespace dhsa::cuda
