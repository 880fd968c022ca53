#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "core/model/cuda/ops_cuda.h"

namespace dhsa::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kVector = 8;  // values a thread moves at once: 16 bytes of bfloat16, 32 of float32

struct alignas(16) HalfVector {
  __nv_bfloat162 pair[4];
};
struct alignas(16) FloatVector {
  float4 low, high;
};

__device__ __forceinline__ void load(const HalfVector& v, float (&x)[kVector]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 two = __bfloat1622float2(v.pair[i]);
    x[2 * i] = two.x;
    x[2 * i + 1] = two.y;
  }
}
__device__ __forceinline__ void load(const FloatVector& v, float (&x)[kVector]) {
  x[0] = v.low.x, x[1] = v.low.y, x[2] = v.low.z, x[3] = v.low.w;
  x[4] = v.high.x, x[5] = v.high.y, x[6] = v.high.z, x[7] = v.high.w;
}
__device__ __forceinline__ void store(const float (&x)[kVector], HalfVector& v) {
  HalfVector packed;
#pragma unroll
  for (int i = 0; i < 4; ++i) packed.pair[i] = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
  v = packed;
}
__device__ __forceinline__ void store(const float (&x)[kVector], FloatVector& v) {
  v = {{x[0], x[1], x[2], x[3]}, {x[4], x[5], x[6], x[7]}};
}

// Sum over the block; every thread gets it. `slots` holds one float per warp.
__device__ __forceinline__ float block_sum(float x, float* slots) {
#pragma unroll
  for (int lane = 16; lane > 0; lane >>= 1) x += __shfl_xor_sync(0xffffffffU, x, lane);
  if ((threadIdx.x & 31) == 0) slots[threadIdx.x >> 5] = x;
  __syncthreads();
  float total = 0;
  for (int i = 0; i < static_cast<int>(blockDim.x) / 32; ++i) total += slots[i];
  return total;
}

// One block per row, the row held in registers, kEach accesses a thread. kAdd: to += the normed row.
template <class From, class To, bool kAdd, int kEach>
__global__ void __launch_bounds__(128) norm_kernel(const From* from, const FloatVector* weight, float eps, To* to,
                                                   int vectors) {
  __shared__ float slots[4];
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * vectors;
  float row[kEach][kVector];
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int c = i * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
    if (c >= vectors) break;
    load(from[at + c], row[i]);
#pragma unroll
    for (int e = 0; e < kVector; ++e) squares += row[i][e] * row[i][e];
  }
  const float by = rsqrtf(block_sum(squares, slots) / static_cast<float>(vectors * kVector) + eps);
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int c = i * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
    if (c >= vectors) break;
    float w[kVector], sum[kVector] = {};
    load(weight[c], w);
    if constexpr (kAdd) load(to[at + c], sum);
#pragma unroll
    for (int e = 0; e < kVector; ++e) sum[e] += row[i][e] * by * (1.0F + w[e]);
    store(sum, to[at + c]);
  }
}

// Few threads, several vectors each: 2304 columns are 96 threads of three.
template <class From, class To, bool kAdd>
const char* norm(const void* from, const float* weight, float eps, void* to, std::int64_t rows, std::int64_t n,
                 Stream stream) {
  const int vectors = static_cast<int>(n / kVector);
  const int each = (vectors + 127) / 128;
  if (n % kVector != 0 || each > 16) return "row width is not a multiple of 8 up to 16384";
  const auto threads = static_cast<unsigned>(((vectors + each - 1) / each + 31) / 32 * 32);
  const auto blocks = static_cast<unsigned>(rows);
  const auto at = static_cast<cudaStream_t>(stream);
  const auto* x = static_cast<const From*>(from);
  const auto* w = reinterpret_cast<const FloatVector*>(weight);
  auto* y = static_cast<To*>(to);
  if (each <= 1) {
    norm_kernel<From, To, kAdd, 1><<<blocks, threads, 0, at>>>(x, w, eps, y, vectors);
  } else if (each <= 4) {
    norm_kernel<From, To, kAdd, 4><<<blocks, threads, 0, at>>>(x, w, eps, y, vectors);
  } else {
    norm_kernel<From, To, kAdd, 16><<<blocks, threads, 0, at>>>(x, w, eps, y, vectors);
  }
  return nullptr;
}

__global__ void __launch_bounds__(kThreads) embed_kernel(const std::int32_t* ids, const HalfVector* table, float scale,
                                                         FloatVector* x, int vectors) {
  const std::int64_t from = static_cast<std::int64_t>(ids[blockIdx.x]) * vectors;
  const std::int64_t to = static_cast<std::int64_t>(blockIdx.x) * vectors;
  for (int c = static_cast<int>(threadIdx.x); c < vectors; c += kThreads) {
    float row[kVector];
    load(table[from + c], row);
#pragma unroll
    for (int e = 0; e < kVector; ++e) row[e] *= scale;
    store(row, x[to + c]);
  }
}

__global__ void angle_kernel(const float* inverse_frequency, std::int64_t first, float* angles, int half) {
  float* row = angles + static_cast<std::int64_t>(blockIdx.x) * 2 * half;
  for (int d = static_cast<int>(threadIdx.x); d < half; d += static_cast<int>(blockDim.x)) {
    sincosf(static_cast<float>(first + blockIdx.x) * inverse_frequency[d], row + half + d, row + d);
  }
}

struct SplitHeads {
  DeviceHeads part[3];  // q, k, v
  int heads[3];
};

// One block per row.
__global__ void __launch_bounds__(kThreads) split_kernel(const __nv_bfloat16* qkv, const float* angles, SplitHeads to,
                                                         int half) {
  const int dim = 2 * half, pairs = half / 2;  // of neighbouring dims, one 4-byte access each
  const int all = to.heads[0] + to.heads[1] + to.heads[2];
  const std::int64_t row = blockIdx.x;
  const __nv_bfloat16* from = qkv + row * all * dim;
  const float* turn = angles + row * dim;
  for (int i = static_cast<int>(threadIdx.x); i < all * pairs; i += kThreads) {
    const int d = i % pairs * 2, source = i / pairs;
    const int part = source < to.heads[0] ? 0 : (source < to.heads[0] + to.heads[1] ? 1 : 2);
    const int head = source - (part > 0 ? to.heads[0] : 0) - (part > 1 ? to.heads[1] : 0);
    const auto low = *reinterpret_cast<const __nv_bfloat162*>(from + source * dim + d);
    const auto high = *reinterpret_cast<const __nv_bfloat162*>(from + source * dim + half + d);
    const DeviceHeads& target = to.part[part];
    __nv_bfloat16* out = static_cast<__nv_bfloat16*>(target.data) + head * target.head_stride + row * target.row_stride;
    auto* out_low = reinterpret_cast<__nv_bfloat162*>(out + d);
    auto* out_high = reinterpret_cast<__nv_bfloat162*>(out + half + d);
    if (part == 2) {
      *out_low = low;
      *out_high = high;
      continue;
    }
    const float2 a = __bfloat1622float2(low), b = __bfloat1622float2(high);
    const float2 cosine = *reinterpret_cast<const float2*>(turn + d);
    const float2 sine = *reinterpret_cast<const float2*>(turn + half + d);
    *out_low = __floats2bfloat162_rn(a.x * cosine.x - b.x * sine.x, a.y * cosine.y - b.y * sine.y);
    *out_high = __floats2bfloat162_rn(b.x * cosine.x + a.x * sine.x, b.y * cosine.y + a.y * sine.y);
  }
}

__device__ __forceinline__ float gelu_tanh(float x) {
  // 0.5 (1 + tanh(u)) = 1 / (1 + e^(-2u))
  const float u = 0.7978845608028654F * (x + 0.044715F * x * x * x);
  return x / (1.0F + __expf(-2.0F * u));
}

__global__ void __launch_bounds__(kThreads) geglu_kernel(const HalfVector* x, HalfVector* out, std::int64_t total,
                                                         int vectors) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= total) return;
  const std::int64_t row = i / vectors, c = i % vectors;
  float gate[kVector], up[kVector];
  load(x[row * 2 * vectors + c], gate);
  load(x[row * 2 * vectors + vectors + c], up);
#pragma unroll
  for (int e = 0; e < kVector; ++e) gate[e] = gelu_tanh(gate[e]) * up[e];
  store(gate, out[i]);
}

const char* result(const char* refusal = nullptr) {
  if (refusal != nullptr) return refusal;
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace

const char* embed(const std::int32_t* ids, const void* table, float scale, float* x, std::int64_t rows, std::int64_t n,
                  Stream stream) {
  if (n % kVector != 0) return "row width is not a multiple of 8";
  embed_kernel<<<static_cast<unsigned>(rows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      ids, static_cast<const HalfVector*>(table), scale, reinterpret_cast<FloatVector*>(x),
      static_cast<int>(n / kVector));
  return result();
}

const char* rms_norm(const float* x, const float* weight, float eps, void* out, bool out_float32, std::int64_t rows,
                     std::int64_t n, Stream stream) {
  return result(out_float32 ? norm<FloatVector, FloatVector, false>(x, weight, eps, out, rows, n, stream)
                            : norm<FloatVector, HalfVector, false>(x, weight, eps, out, rows, n, stream));
}

const char* add_normed(const void* branch, const float* weight, float eps, float* x, std::int64_t rows, std::int64_t n,
                       Stream stream) {
  return result(norm<HalfVector, FloatVector, true>(branch, weight, eps, x, rows, n, stream));
}

const char* rope_angles(const float* inverse_frequency, std::int64_t first, float* angles, std::int64_t rows, int dim,
                        Stream stream) {
  angle_kernel<<<static_cast<unsigned>(rows), 128, 0, static_cast<cudaStream_t>(stream)>>>(inverse_frequency, first,
                                                                                          angles, dim / 2);
  return result();
}

const char* split_and_rotate(const void* qkv, const float* angles, const DeviceHeads& q, const DeviceHeads& k,
                             const DeviceHeads& v, int heads, int kv_heads, int dim, std::int64_t rows, Stream stream) {
  if (dim % 4 != 0) return "head dimension is not a multiple of 4";
  split_kernel<<<static_cast<unsigned>(rows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      static_cast<const __nv_bfloat16*>(qkv), angles, SplitHeads{{q, k, v}, {heads, kv_heads, kv_heads}}, dim / 2);
  return result();
}

const char* geglu(const void* x, void* out, std::int64_t rows, std::int64_t n, Stream stream) {
  if (n % kVector != 0) return "row width is not a multiple of 8";
  const std::int64_t total = rows * n / kVector;
  geglu_kernel<<<static_cast<unsigned>((total + kThreads - 1) / kThreads), kThreads, 0,
                 static_cast<cudaStream_t>(stream)>>>(static_cast<const HalfVector*>(x), static_cast<HalfVector*>(out),
                                                      total, static_cast<int>(n / kVector));
  return result();
}

}  // namespace dhsa::cuda
