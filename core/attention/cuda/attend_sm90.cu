// Fused attention for Hopper. One thread block per (query tile, query head): a producer warpgroup brings the kept keys
// and values in, up to two to four steps ahead, and two consumer warpgroups of 64 query rows each multiply (wgmma).
//
// What bounds it, per score and multiprocessor: the products cost 4 D / 4096 cycles, that is 0.25, 0.125 and 0.0625 for
// D = 256, 128, 64. An exponential takes 1/16 of a cycle on the special-function unit, a tanh by exponential and
// reciprocal two more, and every other instruction 1/128. So at D = 64 the exponential alone lasts as long as the
// products, and a tanh on that unit would triple it: the softcap is a polynomial on the multiply-add units instead
// (five instructions), wherever a tile's scores lie within three quarters of the cap. Capped scores need no running
// maximum.
// At D = 256 the products are the limit; each consumer's score work hides behind its own P V and the other's products.
#include <cudaTypedefs.h>

#include <cmath>

#include "core/attention/cuda/attend_sm90.h"
#include "core/attention/cuda/kept_keys.cuh"
#include "core/attention/cuda/wgmma.cuh"
#include "core/sparsity/cuda/mma.cuh"

namespace dhsa::cuda {
namespace {

constexpr int kGroup = 128;        // threads of a warpgroup
constexpr int kConsumers = 2;      // warpgroups that multiply
constexpr int kConsumerRows = 64;  // query rows of each
constexpr int kThreads = (kConsumers + 1) * kGroup;
constexpr float kLog2E = 1.4426950408889634F;
constexpr float kMostCap = 60.0F;  // scores inside +-60: exp() of a float32 needs no running maximum
static_assert(kTileRows == kConsumers * kConsumerRows);

template <int D>
struct Shape {
  // As many keys a step as shared memory and registers hold beside 64 x D sums a warpgroup, and as many tiles of K and
  // of V in flight: gathered rows take longer to come than a step of D = 64 lasts.
  static constexpr int kKeys = D == 256 ? 80 : 128;
  static constexpr int kStages = D == 256 ? 2 : D == 128 ? 3 : 4;
  static constexpr int kIndexRing = kStages + 2;  // lists of keys: the consumers still read those of two steps before
};

constexpr int kPiece = 8;  // rows of the smallest box that the copy engine brings

template <int D>
struct alignas(1024) SharedTiles {
  static constexpr int kKeys = Shape<D>::kKeys, kStages = Shape<D>::kStages, kIndexRing = Shape<D>::kIndexRing;
  __nv_bfloat16 q[kConsumers][kConsumerRows * D];
  __nv_bfloat16 k[kStages][kKeys * D];
  __nv_bfloat16 v[kStages][kKeys * D];
  std::int32_t key[kIndexRing][kKeys];
  std::uint64_t k_full[kStages], k_free[kStages], v_full[kStages], v_free[kStages];
};
static_assert(sizeof(SharedTiles<256>) <= 232448 && sizeof(SharedTiles<128>) <= 232448);

// cap * tanh(scale * s / cap) in units of log2 as s * P(s^2): a minimax fit, off by less than 4e-6 of the cap as long
// as tanh's argument is within +-0.75. Tiles with larger scores take the exponential and the reciprocal.
constexpr int kTerms = 4;
constexpr double kTanh[kTerms] = {0.9999556008025867, -0.3322276375999544, 0.12577092498986356, -0.033778284952953035};
constexpr double kMostTanhArgument = 0.75;

struct Launch {
  struct Boxes {
    CUtensorMap tile, piece;  // kKeys and kPiece rows of one head
  } k, v;
  AttendArguments a;
  float terms[kTerms];  // of P, with scale, cap and log2(e) multiplied in
  float most_score;     // largest |s| that P is right for
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;  // 40 * 128 + 232 * 256 = 168 * 384

// Named barriers; 0 is __syncthreads.
constexpr int kProducerBarrier = 1, kConsumerBarrier = 2;  // and one more

// Tiles of bfloat16 as wgmma reads them: groups of 8 rows, in each one slab of 64 columns after another, in a slab
// 128 bytes a row, whose 16-byte columns are permuted by the row. Eight whole rows lie together, so that a piece of a
// range is one box for the copy engine, wherever it goes.
constexpr int kSlabBytes = 1024;
template <int D>
__device__ __forceinline__ std::uint32_t tile_offset(int row, int column) {
  return static_cast<std::uint32_t>(row / kPiece * kPiece * D * 2 + (column >> 3) * kSlabBytes + row % kPiece * 128 +
                                    (((column ^ row) & 7) << 4));
}

// What one thread block computes: 64 query rows for each consumer, all of one group and one kv head. Tiles of at most
// 64 rows are taken two heads at a time where heads share keys.
struct Work {
  int kv_head, slot;
  int head;     // of consumer 0
  bool paired;  // consumer 1 takes the next head instead of the next rows
  int row_begin, row_end;
  bool any;

  __device__ __forceinline__ explicit Work(const AttendArguments& a) {
    // One kv head after the other (its keys stay in L2), long rows first, the query heads of a kv head side by side.
    const int ratio = a.heads / a.kv_heads;
    const int item = static_cast<int>(blockIdx.x);
    const int rest = item % (a.tile_count * ratio);
    const QueryTile tile = a.tiles[a.tile_count - 1 - rest / ratio];
    kv_head = item / (a.tile_count * ratio);
    const int first = kv_head * ratio + rest % ratio;
    slot = first * a.mask.heads / a.heads * a.mask.groups + tile.group;
    row_begin = tile.row_begin;
    row_end = tile.row_end;
    paired = row_end - row_begin <= kConsumerRows && ratio % 2 == 0 &&
             (first | 1) * a.mask.heads / a.heads == (first & ~1) * a.mask.heads / a.heads;
    any = !paired || first % 2 == 0;
    head = first;
  }
  // Positions of the first key that any of the rows sees, and behind the last.
  __device__ __forceinline__ int first_key(const AttendArguments& a, const KeptKeys& kept) const {
    return a.mask.window > 0 ? kept.below(row_begin - a.mask.window + 1) : 0;
  }
  __device__ __forceinline__ int end_key(const KeptKeys& kept) const { return kept.below(row_end); }
};

template <int D>
__device__ __forceinline__ int steps_of(int from, int to) {
  return (to - from + Shape<D>::kKeys - 1) / Shape<D>::kKeys;
}

// --- producer ---

// kPiece rows of K or V, by one warp; absent keys become zeros.
template <int D>
__device__ __forceinline__ void gather_rows(std::uint32_t tile, const __nv_bfloat16* from, std::int64_t row_stride,
                                            const std::int32_t* keys, int first, int lane) {
  constexpr int kColumns = D / 8;
#pragma unroll
  for (int i = 0; i < kPiece * kColumns / 32; ++i) {
    const int item = i * 32 + lane, row = first + item / kColumns, column = item % kColumns;
    const int key = keys[row];
    const bool valid = key != kNoKey;
    copy_async_16(tile + tile_offset<D>(row, column), from + (valid ? key * row_stride : 0) + column * 8, valid);
  }
}

// Tile after tile of keys, then of the step before's values: they are let go in this order. A tile that is one piece
// of a range comes as one box, else its pieces of kPiece rows do where they are whole, and the rest row by row.
template <int D>
struct Producer {
  static constexpr int kKeys = Shape<D>::kKeys, kStages = Shape<D>::kStages, kIndexRing = Shape<D>::kIndexRing;
  const Launch& launch;
  SharedTiles<D>& tiles;
  const KeptKeys& kept;
  const int kv_head, thread = static_cast<int>(threadIdx.x), lane = thread % 32;

  __device__ __forceinline__ void bring(std::uint32_t tile, std::uint32_t full, const Launch::Boxes& boxes,
                                        const DeviceHeads& heads, const std::int32_t* keys) const {
    int bytes = 0;
    if (keys[kKeys - 1] - keys[0] == kKeys - 1) {
      if (thread == 0) {
        bytes = kKeys * D * 2;
        copy_box(tile, &boxes.tile, keys[0], kv_head, full);
      }
    } else {
      const auto* rows = static_cast<const __nv_bfloat16*>(heads.data) + kv_head * heads.head_stride;
#pragma unroll 1
      for (int first = thread / 32 * kPiece; first < kKeys; first += kGroup / 32 * kPiece) {
        if (keys[first + kPiece - 1] - keys[first] != kPiece - 1) {
          gather_rows<D>(tile, rows, heads.row_stride, keys, first, lane);
        } else if (lane == 0) {
          bytes += kPiece * D * 2;
          copy_box(tile + tile_offset<D>(first, 0), &boxes.piece, keys[first], kv_head, full);
        }
      }
    }
    if (lane == 0) barrier_arrive_expecting(full, bytes);
    barrier_arrive_after_copies(full);
  }

  __device__ __forceinline__ void run(int from, int to) const {
    const int steps = steps_of<D>(from, to);
    int range = 0;
    const auto find_key = [&](int step) {  // this thread's
      const int position = from + step * kKeys + thread;
      if (thread >= kKeys || position >= to) return kNoKey;
      range = kept.range_from(range, position);
      return kept.key_in(range, position);
    };
    int key = find_key(0);
    for (int step = 0; step <= steps; ++step) {
      if (step < steps) {
        std::int32_t* keys = tiles.key[step % kIndexRing];
        if (thread < kKeys) keys[thread] = key;
        named_sync<kGroup>(kProducerBarrier);
        const int stage = step % kStages;
        barrier_wait(shared_address(&tiles.k_free[stage]), (step / kStages & 1) ^ 1);
        bring(shared_address(tiles.k[stage]), shared_address(&tiles.k_full[stage]), launch.k, launch.a.k, keys);
        key = find_key(step + 1);
      }
      if (step > 0) {
        const int last = step - 1, stage = last % kStages;
        barrier_wait(shared_address(&tiles.v_free[stage]), (last / kStages & 1) ^ 1);
        bring(shared_address(tiles.v[stage]), shared_address(&tiles.v_full[stage]), launch.v, launch.a.v,
              tiles.key[last % kIndexRing]);
      }
    }
  }
};

// --- consumers ---

template <int D>
using Scores = float[Shape<D>::kKeys / 2];
template <int D>
using Sums = float[D / 2];

template <int D>
__device__ __forceinline__ void multiply_keys(Scores<D>& s, std::uint32_t q, std::uint32_t k) {
  asm volatile("" : "+r"(q));  // or D / 16 descriptors would be kept across the steps, in registers that are scarce
  const std::uint64_t a = matrix_descriptor(q, kSlabBytes, kPiece * D * 2);
  const std::uint64_t b = matrix_descriptor(k, kSlabBytes, kPiece * D * 2);
#pragma unroll
  for (int d = 0; d < D / 16; ++d) {
    const int bytes = d / 4 * kSlabBytes + d % 4 * 32;
    multiply_shared(s, a + bytes / 16, b + bytes / 16, d > 0);
  }
}

template <int D>
__device__ __forceinline__ void multiply_values(Sums<D>& o, const std::uint32_t (&p)[Shape<D>::kKeys / 16][4],
                                                std::uint32_t v) {
  const std::uint64_t b = matrix_descriptor(v, kSlabBytes, kPiece * D * 2);
#pragma unroll
  for (int n = 0; n < Shape<D>::kKeys / 16; ++n) multiply_registers(o, p[n], b + n * 16 * D * 2 / 16);
}

// One consumer's rows: lane/4 + 16 * warp of its 64, and 8 below. `most` is used where scores are not bounded.
struct RowState {
  float sum[2] = {0.0F, 0.0F};
  float most[2] = {-INFINITY, -INFINITY};
  float fade[2] = {1.0F, 1.0F};  // by which the sums so far shrink
};

// Which of a tile's scores a thread's rows may not see.
struct Sight {
  const std::int32_t* keys;
  int row, window;  // the thread's first row
  __device__ __forceinline__ bool hidden(int i) const {
    const int key = keys[i / 4 * 8 + (static_cast<int>(threadIdx.x) & 3) * 2 + (i & 1)];
    const int at = row + (i >> 1 & 1) * 8;
    return key > at || (window > 0 && key <= at - window);
  }
};

// Capped scores need no maximum: probabilities up to the row's sum.
template <int D, bool kSmall>
__device__ __forceinline__ void weigh_capped(Scores<D>& s, float (&sum)[4], const Launch& launch) {
  const float to_cap = launch.a.scale / launch.a.softcap, cap2 = launch.a.softcap * kLog2E;
#pragma unroll
  for (int i = 0; i < Shape<D>::kKeys / 2; ++i) {
    float y;
    if constexpr (kSmall) {
      const float square = s[i] * s[i];
      y = launch.terms[kTerms - 1];
#pragma unroll
      for (int t = kTerms - 2; t >= 0; --t) y = fmaf(y, square, launch.terms[t]);
      y *= s[i];
    } else {
      y = cap2 * tanh_fast(s[i] * to_cap);
    }
    s[i] = exp2_fast(y);
    sum[i & 3] += s[i];
  }
}

// Any scores: online softmax. A sum's factor is left to fade_sums(), since products are being added to it.
template <int D>
__device__ __forceinline__ void weigh_any(Scores<D>& s, RowState& rows, const Launch& launch, const Sight& sight,
                                          bool masked) {
  constexpr int kCount = Shape<D>::kKeys / 2;
  const float softcap = launch.a.softcap, scale2 = launch.a.scale * kLog2E;
  if (softcap > 0.0F) {
    const float to_cap = launch.a.scale / softcap, cap2 = softcap * kLog2E;
#pragma unroll
    for (int i = 0; i < kCount; ++i) s[i] = cap2 * tanh_fast(s[i] * to_cap);
  } else {
#pragma unroll
    for (int i = 0; i < kCount; ++i) s[i] *= scale2;
  }
  if (masked) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (sight.hidden(i)) s[i] = -INFINITY;
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float now = rows.most[half];
#pragma unroll
    for (int n = 0; n < kCount / 4; ++n) now = fmaxf(now, fmaxf(s[4 * n + 2 * half], s[4 * n + 2 * half + 1]));
    now = fmaxf(now, __shfl_xor_sync(0xffffffffU, now, 1));
    now = fmaxf(now, __shfl_xor_sync(0xffffffffU, now, 2));
    const float shift = now == -INFINITY ? 0.0F : now;  // a row that has seen no key yet
    rows.fade[half] = exp2_fast(rows.most[half] - shift);
    rows.most[half] = now;
    float sum[2] = {0.0F, 0.0F};
#pragma unroll
    for (int n = 0; n < kCount / 4; ++n) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float& x = s[4 * n + 2 * half + e];
        x = exp2_fast(x - shift);
        sum[e] += x;
      }
    }
    rows.sum[half] = rows.sum[half] * rows.fade[half] + sum[0] + sum[1];
  }
}

// Turns scores into probabilities, up to the row's factor.
template <int D, bool kBounded>
__device__ __forceinline__ void weigh(Scores<D>& s, RowState& rows, const Launch& launch, const std::int32_t* keys,
                                      int first_row, int last_row) {
  constexpr int kKeys = Shape<D>::kKeys;
  const int thread = static_cast<int>(threadIdx.x) % kGroup, window = launch.a.mask.window;
  const Sight sight{keys, first_row + thread / 32 * 16 + thread % 32 / 4, window};
  const bool masked = keys[kKeys - 1] > first_row || (window > 0 && keys[0] <= last_row - window);
  if constexpr (kBounded) {
    float largest[4] = {0.0F, 0.0F, 0.0F, 0.0F};
#pragma unroll
    for (int i = 0; i < kKeys / 2; ++i) largest[i % 4] = fmaxf(largest[i % 4], fabsf(s[i]));
    const float most = fmaxf(fmaxf(largest[0], largest[1]), fmaxf(largest[2], largest[3]));
    float sum[4] = {0.0F, 0.0F, 0.0F, 0.0F};
    if (__any_sync(0xffffffffU, most > launch.most_score)) {
      weigh_capped<D, false>(s, sum, launch);
    } else {
      weigh_capped<D, true>(s, sum, launch);
    }
    if (masked) {
      sum[0] = sum[1] = sum[2] = sum[3] = 0.0F;
#pragma unroll
      for (int i = 0; i < kKeys / 2; ++i) {
        if (sight.hidden(i)) s[i] = 0.0F;
        sum[i & 3] += s[i];
      }
    }
    rows.sum[0] += sum[0] + sum[1];
    rows.sum[1] += sum[2] + sum[3];
  } else {
    weigh_any<D>(s, rows, launch, sight, masked);
  }
}

template <int D>
__device__ __forceinline__ void pack(std::uint32_t (&p)[Shape<D>::kKeys / 16][4], const Scores<D>& s) {
#pragma unroll
  for (int i = 0; i < Shape<D>::kKeys / 4; ++i) p[i / 4][i % 4] = pack_bfloat16(s[2 * i], s[2 * i + 1]);
}

template <int D>
__device__ __forceinline__ void fade_sums(Sums<D>& o, const RowState& rows) {
  if (!__any_sync(0xffffffffU, rows.fade[0] != 1.0F || rows.fade[1] != 1.0F)) return;
#pragma unroll
  for (int i = 0; i < D / 2; ++i) o[i] *= rows.fade[i >> 1 & 1];
}

template <int D>
__device__ __forceinline__ void load_queries(std::uint32_t to, const AttendArguments& a, int head, int row,
                                             int row_end) {
  constexpr int kColumns = D / 8;
  const int thread = static_cast<int>(threadIdx.x) % kGroup;
  const auto* q = static_cast<const __nv_bfloat16*>(a.q.data) + head * a.q.head_stride;
#pragma unroll
  for (int i = 0; i < kConsumerRows * kColumns / kGroup; ++i) {
    const int item = i * kGroup + thread, at = item / kColumns, column = item % kColumns;
    const bool valid = row + at < row_end;
    copy_async_16(to + tile_offset<D>(at, column), q + (valid ? (row + at) * a.q.row_stride : 0) + column * 8, valid);
  }
  copy_async_commit();
}

// The consumer's results through its query tile, so that global memory sees whole rows.
template <int D>
__device__ __forceinline__ void store(const Sums<D>& o, RowState& rows, unsigned char* tile, const AttendArguments& a,
                                      int head, int first_row, int row_end) {
  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) % kGroup / 32;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float sum = rows.sum[half];
    sum += __shfl_xor_sync(0xffffffffU, sum, 1);
    sum += __shfl_xor_sync(0xffffffffU, sum, 2);
    const float by = sum > 0.0F ? 1.0F / sum : 0.0F;
    const int row = warp * 16 + half * 8 + (lane >> 2);
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      *reinterpret_cast<std::uint32_t*>(tile + tile_offset<D>(row, n) + (lane & 3) * 4) =
          pack_bfloat16(o[4 * n + 2 * half] * by, o[4 * n + 2 * half + 1] * by);
    }
  }
  __syncwarp();
  auto* out = static_cast<__nv_bfloat16*>(a.out.data) + head * a.out.head_stride;
  constexpr int kColumns = D / 8;
#pragma unroll
  for (int i = 0; i < 16 * kColumns / 32; ++i) {
    const int item = i * 32 + lane, row = warp * 16 + item / kColumns, column = item % kColumns;
    if (first_row + row < row_end) {
      *reinterpret_cast<uint4*>(out + (first_row + row) * a.out.row_stride + column * 8) =
          *reinterpret_cast<const uint4*>(tile + tile_offset<D>(row, column));
    }
  }
}

template <int D, bool kBounded>
__device__ __forceinline__ void consume(const Launch& launch, SharedTiles<D>& tiles, const Work& work,
                                        const KeptKeys& kept) {
  constexpr int kStages = Shape<D>::kStages;
  const int consumer = static_cast<int>(threadIdx.x) / kGroup - 1;
  const int head = work.head + (work.paired ? consumer : 0);
  const int first_row = work.row_begin + (work.paired ? 0 : consumer * kConsumerRows);
  const int last_row = min(first_row + kConsumerRows, work.row_end) - 1;
  const std::uint32_t q = shared_address(tiles.q[consumer]);

  const auto wait_full = [&](std::uint64_t(&full)[kStages], int step) {
    barrier_wait(shared_address(&full[step % kStages]), step / kStages & 1);
    fence_to_async_proxy();  // gathered rows came by ordinary asynchronous copies
  };
  const auto release = [&](std::uint64_t(&free)[kStages], int step) {
    if (threadIdx.x % 32 == 0) barrier_arrive(shared_address(&free[step % kStages]));
  };

  load_queries<D>(q, launch.a, head, first_row, work.row_end);
  const int steps = steps_of<D>(work.first_key(launch.a, kept), work.end_key(kept));  // while the queries come
  copy_async_wait<0>();
  fence_to_async_proxy();
  named_sync<kGroup>(kConsumerBarrier + consumer);

  Sums<D> o;
#pragma unroll
  for (int i = 0; i < D / 2; ++i) o[i] = 0.0F;
  RowState rows;
  if (steps > 0) {
    Scores<D> s;
    std::uint32_t p[Shape<D>::kKeys / 16][4];
    wait_full(tiles.k_full, 0);
    products_fence();
    multiply_keys<D>(s, q, shared_address(tiles.k[0]));
    products_commit();
    products_wait<0>();
    pin(s);
    release(tiles.k_free, 0);
    weigh<D, kBounded>(s, rows, launch, tiles.key[0], first_row, last_row);
    pack<D>(p, s);
    // Q K^T of this step and P V of the last one run while this step's scores are weighed.
    for (int step = 1; step < steps; ++step) {
      wait_full(tiles.k_full, step);
      pin(s);
      pin(o);
      for (auto& one : p) pin(one);
      products_fence();
      multiply_keys<D>(s, q, shared_address(tiles.k[step % kStages]));
      products_commit();
      wait_full(tiles.v_full, step - 1);
      multiply_values<D>(o, p, shared_address(tiles.v[(step - 1) % kStages]));
      products_commit();
      products_wait<1>();
      pin(s);
      release(tiles.k_free, step);
      weigh<D, kBounded>(s, rows, launch, tiles.key[step % Shape<D>::kIndexRing], first_row, last_row);
      pin(s);  // weighed before, not after, the wait
      products_wait<0>();
      pin(o);
      release(tiles.v_free, step - 1);
      if constexpr (!kBounded) fade_sums<D>(o, rows);
      pack<D>(p, s);
    }
    wait_full(tiles.v_full, steps - 1);
    pin(o);
    for (auto& one : p) pin(one);
    products_fence();
    multiply_values<D>(o, p, shared_address(tiles.v[(steps - 1) % kStages]));
    products_commit();
    products_wait<0>();
    pin(o);
  }
  named_sync<kGroup>(kConsumerBarrier + consumer);  // nobody reads the queries any more
  store<D>(o, rows, reinterpret_cast<unsigned char*>(tiles.q[consumer]), launch.a, head, first_row, work.row_end);
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

template <int D, bool kBounded>
__global__ void __launch_bounds__(kThreads, 1) attend_kernel(const __grid_constant__ Launch launch) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ __align__(1024) unsigned char raw[];
  auto& tiles = *reinterpret_cast<SharedTiles<D>*>(raw);
  const AttendArguments& a = launch.a;
  const Work work(a);
  if (!work.any) return;
  const KeptKeys kept(a.mask, work.slot);
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Shape<D>::kStages; ++stage) {
      // Full: each producer thread's own copies, and each warp's boxes.
      barrier_init(shared_address(&tiles.k_full[stage]), kGroup + kGroup / 32);
      barrier_init(shared_address(&tiles.v_full[stage]), kGroup + kGroup / 32);
      barrier_init(shared_address(&tiles.k_free[stage]), kConsumers * kGroup / 32);
      barrier_init(shared_address(&tiles.v_free[stage]), kConsumers * kGroup / 32);
    }
    fence_to_async_proxy();
  }
  __syncthreads();
  if (threadIdx.x < kGroup) {
    fewer_registers<kProducerRegisters>();
    const Producer<D> producer{launch, tiles, kept, work.kv_head};
    producer.run(work.first_key(a, kept), work.end_key(kept));
  } else {
    more_registers<kConsumerRegisters>();
    consume<D, kBounded>(launch, tiles, work, kept);
  }
#endif
}

// Boxes of box_rows rows of one head as tile_offset() lays them out. Null, or what is wrong.
const char* describe(CUtensorMap& map, const DeviceHeads& rows, const AttendArguments& a, int box_rows) {
  static const auto encode = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    const cudaError_t error =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
    if (error != cudaSuccess || result != cudaDriverEntryPointSuccess) found = nullptr;
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(found);
  }();
  if (encode == nullptr) return "the CUDA driver has no cuTensorMapEncodeTiled";
  const auto slabs = static_cast<cuuint32_t>(a.dim / 64), groups = static_cast<cuuint32_t>(box_rows / kPiece);
  const auto row_bytes = static_cast<cuuint64_t>(rows.row_stride) * 2;
  // Columns of a slab, rows from any one on, slabs, groups of rows from there on, heads.
  const cuuint64_t size[5] = {64, static_cast<cuuint64_t>(a.mask.rows), slabs, groups,
                              static_cast<cuuint64_t>(a.kv_heads)};
  const cuuint64_t stride[4] = {row_bytes, 128, row_bytes * kPiece, static_cast<cuuint64_t>(rows.head_stride) * 2};
  const cuuint32_t box[5] = {64, kPiece, slabs, groups, 1};
  const cuuint32_t step[5] = {1, 1, 1, 1, 1};
  const CUresult result = encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 5, rows.data, size, stride, box, step,
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? nullptr : "keys or values whose strides the copy engine does not take";
}

template <int D, bool kBounded>
const char* launch(const Launch& arguments, cudaStream_t stream) {
  constexpr int kBytes = static_cast<int>(sizeof(SharedTiles<D>));
  static const cudaError_t raised =
      cudaFuncSetAttribute(attend_kernel<D, kBounded>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (raised != cudaSuccess) return cudaGetErrorString(raised);
  const AttendArguments& a = arguments.a;
  attend_kernel<D, kBounded><<<a.tile_count * a.heads, kThreads, kBytes, stream>>>(arguments);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

template <int D>
const char* choose(const AttendArguments& a, cudaStream_t stream) {
  Launch arguments{};
  arguments.a = a;
  for (const char* refused :
       {describe(arguments.k.tile, a.k, a, Shape<D>::kKeys), describe(arguments.k.piece, a.k, a, kPiece),
        describe(arguments.v.tile, a.v, a, Shape<D>::kKeys), describe(arguments.v.piece, a.v, a, kPiece)}) {
    if (refused != nullptr) return refused;
  }
  if (a.softcap > 0.0F) {
    const double to_cap = static_cast<double>(a.scale) / static_cast<double>(a.softcap);
    double factor = static_cast<double>(a.scale * kLog2E);
    for (int t = 0; t < kTerms; ++t, factor *= to_cap * to_cap) {
      arguments.terms[t] = static_cast<float>(kTanh[t] * factor);
    }
    arguments.most_score = static_cast<float>(kMostTanhArgument / std::abs(to_cap));
  }
  return a.softcap > 0.0F && a.softcap <= kMostCap ? launch<D, true>(arguments, stream)
                                                   : launch<D, false>(arguments, stream);
}

}  // namespace

bool has_sm90() noexcept {
  // Asked of the code that the device has loaded, since build systems name architectures in many ways: where it was not
  // compiled for sm_90a the kernel is empty, and an empty kernel needs hardly a register.
  cudaFuncAttributes loaded{};
  if (cudaFuncGetAttributes(&loaded, attend_kernel<64, true>) != cudaSuccess) {
    (void)cudaGetLastError();
    return false;
  }
  return loaded.numRegs > 100;
}

const char* attend_sm90(const AttendArguments& a, Stream stream) {
  const auto s = static_cast<cudaStream_t>(stream);
  switch (a.dim) {
    case 64:
      return choose<64>(a, s);
    case 128:
      return choose<128>(a, s);
    default:
      return choose<256>(a, s);
  }
}

}  // namespace dhsa::cuda
