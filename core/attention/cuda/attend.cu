// Fused attention on tensor cores. One thread block per (query tile, query head): it walks the keys its group keeps in
// tiles of kKeys, gathered row by row with asynchronous copies, two tiles deep. Per tile and warp: S = Q K^T for 16
// query rows, softcap, masked exponential, O += P V; scores never leave registers.
#include <cmath>

#include "core/attention/cuda/attend_cuda.h"
#include "core/attention/cuda/attend_sm90.h"
#include "core/attention/cuda/kept_keys.cuh"
#include "core/sparsity/cuda/mma.cuh"

namespace dhsa::cuda {
namespace {

constexpr int kKeys = 64;                      // keys per tile
constexpr int kThreads = kTileRows / 16 * 32;  // a warp owns 16 query rows
constexpr int kIndexRing = 4;
constexpr float kLog2E = 1.4426950408889634F;
constexpr float kMostCap = 60.0F;  // scores inside +-60: exp() of a float32 needs no running maximum

// Offset, in bytes, of 16-byte column `column` of `row` in a tile of rows of D bfloat16: columns are permuted so that
// eight rows of one column lie in different banks.
template <int D>
__device__ __forceinline__ std::uint32_t swizzled(int row, int column) {
  return static_cast<std::uint32_t>(row * D * 2 + ((column ^ (row & 7)) << 4));
}

template <int D>
struct SharedTiles {
  __nv_bfloat16 q[kTileRows * D];
  __nv_bfloat16 k[2][kKeys * D];
  __nv_bfloat16 v[2][kKeys * D];
  std::int32_t key[kIndexRing][kKeys];
};

// Rows of K or V named by `keys` into one swizzled tile; absent keys become zeros.
template <int D>
__device__ __forceinline__ void gather_rows(std::uint32_t to, const __nv_bfloat16* from, std::int64_t row_stride,
                                            const std::int32_t* keys) {
  constexpr int kColumns = D / 8;
#pragma unroll
  for (int i = 0; i < kKeys * kColumns / kThreads; ++i) {
    const int item = i * kThreads + static_cast<int>(threadIdx.x);
    const int row = item / kColumns, column = item % kColumns;
    const int key = keys[row];
    const bool valid = key != kNoKey;
    copy_async_16(to + swizzled<D>(row, column), from + (valid ? key * row_stride : 0) + column * 8, valid);
  }
}

template <int D, bool kBounded>
__global__ void __launch_bounds__(kThreads, 1) attend_kernel(const AttendArguments a) {
  extern __shared__ __align__(128) unsigned char raw[];
  auto& tiles = *reinterpret_cast<SharedTiles<D>*>(raw);
  const int tid = static_cast<int>(threadIdx.x), lane = tid & 31, warp = tid >> 5;

  // One kv head after the other (its keys stay in L2), long rows first, the query heads of a kv head side by side.
  const int ratio = a.heads / a.kv_heads;
  const int item = static_cast<int>(blockIdx.x);
  const int kv_head = item / (a.tile_count * ratio), rest = item % (a.tile_count * ratio);
  const QueryTile tile = a.tiles[a.tile_count - 1 - rest / ratio];
  const int head = kv_head * ratio + rest % ratio;
  const int slot = head * a.mask.heads / a.heads * a.mask.groups + tile.group;
  const KeptKeys kept(a.mask, slot);
  const int window = a.mask.window;
  const int from = window > 0 ? kept.below(tile.row_begin - window + 1) : 0;
  const int to = kept.below(tile.row_end);  // keys at or after the tile's end are seen by none of its rows
  const int steps = (to - from + kKeys - 1) / kKeys;

  const auto* q = static_cast<const __nv_bfloat16*>(a.q.data) + head * a.q.head_stride;
  const auto* k = static_cast<const __nv_bfloat16*>(a.k.data) + kv_head * a.k.head_stride;
  const auto* v = static_cast<const __nv_bfloat16*>(a.v.data) + kv_head * a.v.head_stride;
  const std::uint32_t q_tile = shared_address(tiles.q);

  const auto find_keys = [&](int step) {
    if (tid < kKeys) {
      const int position = from + step * kKeys + tid;
      tiles.key[step % kIndexRing][tid] = position < to ? kept.key_at(position) : kNoKey;
    }
  };
  const auto load_step = [&](int step) {
    const std::int32_t* keys = tiles.key[step % kIndexRing];
    gather_rows<D>(shared_address(tiles.k[step & 1]), k, a.k.row_stride, keys);
    gather_rows<D>(shared_address(tiles.v[step & 1]), v, a.v.row_stride, keys);
    copy_async_commit();
  };

  constexpr int kColumns = D / 8;
#pragma unroll
  for (int i = 0; i < kTileRows * kColumns / kThreads; ++i) {
    const int at = i * kThreads + tid, row = at / kColumns, column = at % kColumns;
    const bool valid = tile.row_begin + row < tile.row_end;
    copy_async_16(q_tile + swizzled<D>(row, column),
                  q + (valid ? (tile.row_begin + row) * a.q.row_stride : 0) + column * 8, valid);
  }
  find_keys(0);
  find_keys(1);
  __syncthreads();
  load_step(0);

  float o[D / 8][4];
#pragma unroll
  for (int n = 0; n < D / 8; ++n) o[n][0] = o[n][1] = o[n][2] = o[n][3] = 0.0F;
  float most[2] = {-INFINITY, -INFINITY};  // of rows lane/4 and lane/4 + 8
  float sum[2] = {0.0F, 0.0F};
  const int row_low = tile.row_begin + warp * 16 + (lane >> 2);
  const bool capped = a.softcap > 0.0F;
  const float to_cap = capped ? a.scale / a.softcap : 0.0F;
  const float cap2 = a.softcap * kLog2E, scale2 = a.scale * kLog2E;

  for (int step = 0; step < steps; ++step) {
    copy_async_wait<0>();
    __syncthreads();  // this step's rows are in; the other buffer and the ring slot of step + 2 are free
    if (step + 1 < steps) load_step(step + 1);
    if (step + 2 < steps) find_keys(step + 2);

    float s[kKeys / 8][4];
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0.0F;
    const std::uint32_t k_tile = shared_address(tiles.k[step & 1]);
#pragma unroll
    for (int d = 0; d < D / 16; ++d) {
      std::uint32_t query[4];
      load_matrices(query, q_tile + swizzled<D>(warp * 16 + (lane & 15), d * 2 + (lane >> 4)));
#pragma unroll
      for (int n = 0; n < kKeys / 16; ++n) {
        std::uint32_t key[4];
        load_matrices(key, k_tile + swizzled<D>(n * 16 + (lane & 7) + ((lane >> 4) << 3), d * 2 + ((lane >> 3) & 1)));
        multiply_add(s[2 * n], query, key[0], key[1]);
        multiply_add(s[2 * n + 1], query, key[2], key[3]);
      }
    }

    // Scores in units of log2, softcap applied.
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) s[n][e] = capped ? cap2 * tanh_fast(s[n][e] * to_cap) : s[n][e] * scale2;
    }
    const std::int32_t* keys = tiles.key[step % kIndexRing];
    if (keys[kKeys - 1] > tile.row_begin || (window > 0 && keys[0] <= tile.row_end - 1 - window)) {
#pragma unroll
      for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int key = keys[n * 8 + (lane & 3) * 2 + (e & 1)];
          const int row = row_low + (e >> 1) * 8;
          if (key > row || (window > 0 && key <= row - window)) s[n][e] = -INFINITY;
        }
      }
    }
    if constexpr (!kBounded) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float now = most[half];
#pragma unroll
        for (int n = 0; n < kKeys / 8; ++n) now = fmaxf(now, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
        now = fmaxf(now, __shfl_xor_sync(0xffffffffU, now, 1));
        now = fmaxf(now, __shfl_xor_sync(0xffffffffU, now, 2));
        const float shift = now == -INFINITY ? 0.0F : now;  // a row that has seen no key yet
        const float fade = exp2_fast(most[half] - shift);
        most[half] = now;
        sum[half] *= fade;
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
          o[n][2 * half] *= fade;
          o[n][2 * half + 1] *= fade;
        }
#pragma unroll
        for (int n = 0; n < kKeys / 8; ++n) {
          s[n][2 * half] -= shift;
          s[n][2 * half + 1] -= shift;
        }
      }
    }
    const std::uint32_t v_tile = shared_address(tiles.v[step & 1]);
#pragma unroll
    for (int n = 0; n < kKeys / 16; ++n) {
      std::uint32_t p[4];
#pragma unroll
      for (int half = 0; half < 2; ++half) {  // the two 8-key columns of this 16-key step
        float(&x)[4] = s[2 * n + half];
#pragma unroll
        for (int e = 0; e < 4; ++e) x[e] = exp2_fast(x[e]);
        sum[0] += x[0] + x[1];
        sum[1] += x[2] + x[3];
        p[2 * half] = pack_bfloat16(x[0], x[1]);
        p[2 * half + 1] = pack_bfloat16(x[2], x[3]);
      }
#pragma unroll
      for (int d = 0; d < D / 16; ++d) {
        std::uint32_t value[4];
        load_matrices_transposed(value, v_tile + swizzled<D>(n * 16 + (lane & 15), d * 2 + (lane >> 4)));
        multiply_add(o[2 * d], p, value[0], value[1]);
        multiply_add(o[2 * d + 1], p, value[2], value[3]);
      }
    }
  }

  auto* out = static_cast<__nv_bfloat16*>(a.out.data) + head * a.out.head_stride;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    sum[half] += __shfl_xor_sync(0xffffffffU, sum[half], 1);
    sum[half] += __shfl_xor_sync(0xffffffffU, sum[half], 2);
    const int row = row_low + half * 8;
    if (row >= tile.row_end) continue;
    const float by = sum[half] > 0.0F ? 1.0F / sum[half] : 0.0F;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      *reinterpret_cast<std::uint32_t*>(out + row * a.out.row_stride + n * 8 + (lane & 3) * 2) =
          pack_bfloat16(o[n][2 * half] * by, o[n][2 * half + 1] * by);
    }
  }
}

template <int D, bool kBounded>
const char* launch(const AttendArguments& a, cudaStream_t stream) {
  constexpr int kBytes = static_cast<int>(sizeof(SharedTiles<D>));
  static const cudaError_t raised =
      cudaFuncSetAttribute(attend_kernel<D, kBounded>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (raised != cudaSuccess) return cudaGetErrorString(raised);
  attend_kernel<D, kBounded><<<a.tile_count * a.heads, kThreads, kBytes, stream>>>(a);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

template <int D>
const char* choose(const AttendArguments& a, cudaStream_t stream) {
  return a.softcap > 0.0F && a.softcap <= kMostCap ? launch<D, true>(a, stream) : launch<D, false>(a, stream);
}

}  // namespace

DeviceKernel best_device_kernel() {
  static const bool hopper = has_sm90();
  return hopper ? DeviceKernel::kHopper : DeviceKernel::kMma;
}

const char* attend_with(DeviceKernel kernel, const AttendArguments& a, Stream stream) {
  if (!attend_supports(a.dim)) return "head dimension is not 64, 128 or 256";
  if (a.tile_count == 0) return nullptr;
  if (kernel == DeviceKernel::kHopper) return attend_sm90(a, stream);
  const auto s = static_cast<cudaStream_t>(stream);
  if (a.dim == 64) return choose<64>(a, s);
  return a.dim == 128 ? choose<128>(a, s) : choose<256>(a, s);
}

const char* attend(const AttendArguments& a, Stream stream) { return attend_with(best_device_kernel(), a, stream); }

}  // namespace dhsa::cuda
