#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "core/model/cuda/ops_cuda.h"

namespace dhsa::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kVector = 8;  // bfloat16 of one 16-byte access

struct alignas(16) Vector {
  __nv_bfloat162 pair[4];
};

__device__ __forceinline__ void widen(const Vector& v, float (&x)[kVector]) {
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 two = __bfloat1622float2(v.pair[i]);
    x[2 * i] = two.x;
    x[2 * i + 1] = two.y;
  }
}
__device__ __forceinline__ Vector narrow(const float (&x)[kVector]) {
  Vector v;
#pragma unroll
  for (int i = 0; i < 4; ++i) v.pair[i] = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
  return v;
}

// Sum over the block; every thread gets it. `slots` holds one float per warp.
__device__ __forceinline__ float block_sum(float x, float* slots) {
#pragma unroll
  for (int lane = 16; lane > 0; lane >>= 1) x += __shfl_xor_sync(0xffffffffU, x, lane);
  __syncthreads();  // slots may still be read from the sum before
  if ((threadIdx.x & 31) == 0) slots[threadIdx.x >> 5] = x;
  __syncthreads();
  float total = 0;
  for (int i = 0; i < static_cast<int>(blockDim.x) / 32; ++i) total += slots[i];
  return total;
}

// One block per row, the row held in registers, kVectors accesses a thread. kAdd: x += rms(branch)(1 + post) first.
template <bool kAdd, int kVectors>
__global__ void __launch_bounds__(kThreads) norm_kernel(Vector* x, const Vector* branch, const Vector* post,
                                                        const Vector* next, float eps, Vector* out, int vectors) {
  __shared__ float slots[kThreads / 32];
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * vectors;
  float row[kVectors][kVector];
  const float columns = static_cast<float>(vectors * kVector);
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const int c = i * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
    if (c >= vectors) break;
    widen(kAdd ? branch[at + c] : x[at + c], row[i]);
#pragma unroll
    for (int e = 0; e < kVector; ++e) squares += row[i][e] * row[i][e];
  }
  float by = rsqrtf(block_sum(squares, slots) / columns + eps);
  if constexpr (kAdd) {
    squares = 0;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const int c = i * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
      if (c >= vectors) break;
      float weight[kVector], residual[kVector];
      widen(post[c], weight);
      widen(x[at + c], residual);
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        // Rounded where Hugging Face rounds in bfloat16: the normed branch, then the sum.
        const float normed = __bfloat162float(__float2bfloat16_rn(row[i][e] * by * (1.0F + weight[e])));
        residual[e] = __bfloat162float(__float2bfloat16_rn(residual[e] + normed));
        row[i][e] = residual[e];
        squares += residual[e] * residual[e];
      }
      x[at + c] = narrow(residual);
    }
    by = rsqrtf(block_sum(squares, slots) / columns + eps);
  }
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const int c = i * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
    if (c >= vectors) break;
    float weight[kVector];
    widen(next[c], weight);
#pragma unroll
    for (int e = 0; e < kVector; ++e) row[i][e] *= by * (1.0F + weight[e]);
    out[at + c] = narrow(row[i]);
  }
}

__global__ void __launch_bounds__(kThreads) embed_kernel(const std::int32_t* ids, const Vector* table, float scale,
                                                         Vector* out, int vectors) {
  const std::int64_t from = static_cast<std::int64_t>(ids[blockIdx.x]) * vectors;
  for (int c = static_cast<int>(threadIdx.x); c < vectors; c += kThreads) {
    float x[kVector];
    widen(table[from + c], x);
#pragma unroll
    for (int e = 0; e < kVector; ++e) x[e] *= scale;
    out[static_cast<std::int64_t>(blockIdx.x) * vectors + c] = narrow(x);
  }
}

// One block per row; the row's angles are computed once and serve all heads.
__global__ void __launch_bounds__(kThreads) rope_kernel(__nv_bfloat16* x, std::int64_t row_stride,
                                                        const float* inverse_frequency, std::int64_t first, int heads,
                                                        int half) {
  extern __shared__ float2 turn[];
  for (int d = static_cast<int>(threadIdx.x); d < half; d += kThreads) {
    float sine, cosine;
    sincosf(static_cast<float>(first + blockIdx.x) * inverse_frequency[d], &sine, &cosine);
    turn[d] = make_float2(__bfloat162float(__float2bfloat16_rn(cosine)), __bfloat162float(__float2bfloat16_rn(sine)));
  }
  __syncthreads();
  __nv_bfloat16* row = x + static_cast<std::int64_t>(blockIdx.x) * row_stride;
  const int pairs = half / 2;  // of neighbouring dims, one 4-byte access each
  for (int i = static_cast<int>(threadIdx.x); i < heads * pairs; i += kThreads) {
    const int d = i % pairs * 2;
    auto* low = reinterpret_cast<__nv_bfloat162*>(row + i / pairs * 2 * half + d);
    auto* high = reinterpret_cast<__nv_bfloat162*>(row + i / pairs * 2 * half + half + d);
    const float2 a = __bfloat1622float2(*low), b = __bfloat1622float2(*high);
    *low = __floats2bfloat162_rn(a.x * turn[d].x - b.x * turn[d].y, a.y * turn[d + 1].x - b.y * turn[d + 1].y);
    *high = __floats2bfloat162_rn(b.x * turn[d].x + a.x * turn[d].y, b.y * turn[d + 1].x + a.y * turn[d + 1].y);
  }
}

__device__ __forceinline__ float gelu_tanh(float x) {
  // 0.5 (1 + tanh(u)) = 1 / (1 + e^(-2u))
  const float u = 0.7978845608028654F * (x + 0.044715F * x * x * x);
  return x / (1.0F + __expf(-2.0F * u));
}

__global__ void __launch_bounds__(kThreads) geglu_kernel(const Vector* x, Vector* out, std::int64_t total, int vectors) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= total) return;
  const std::int64_t row = i / vectors, c = i % vectors;
  float gate[kVector], up[kVector];
  widen(x[row * 2 * vectors + c], gate);
  widen(x[row * 2 * vectors + vectors + c], up);
#pragma unroll
  for (int e = 0; e < kVector; ++e) {
    gate[e] = __bfloat162float(__float2bfloat16_rn(gelu_tanh(gate[e]))) * up[e];
  }
  out[i] = narrow(gate);
}

const char* result() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}
constexpr const char* kBadWidth = "row width is not a multiple of 8 up to 16384";

template <class T>
Vector* vectors_of(T* p) {
  return static_cast<Vector*>(const_cast<void*>(static_cast<const void*>(p)));
}

struct NormOperands {
  Vector *x, *branch, *post, *next, *out;
};

// Few threads, several vectors each: 2304 columns are 96 threads of three.
template <bool kAdd>
const char* norm(const NormOperands& o, float eps, std::int64_t rows, std::int64_t n, Stream stream) {
  const int vectors = static_cast<int>(n / kVector);
  const int each = (vectors + 127) / 128;
  const auto threads = static_cast<unsigned>(((vectors + each - 1) / each + 31) / 32 * 32);
  const auto blocks = static_cast<unsigned>(rows);
  const auto at = static_cast<cudaStream_t>(stream);
  if (n % kVector != 0 || each > 16) return kBadWidth;
  if (each <= 1) {
    norm_kernel<kAdd, 1><<<blocks, threads, 0, at>>>(o.x, o.branch, o.post, o.next, eps, o.out, vectors);
  } else if (each <= 4) {
    norm_kernel<kAdd, 4><<<blocks, threads, 0, at>>>(o.x, o.branch, o.post, o.next, eps, o.out, vectors);
  } else {
    norm_kernel<kAdd, 16><<<blocks, threads, 0, at>>>(o.x, o.branch, o.post, o.next, eps, o.out, vectors);
  }
  return result();
}

}  // namespace

const char* embed(const std::int32_t* ids, const void* table, float scale, void* out, std::int64_t rows, std::int64_t n,
                  Stream stream) {
  if (n % kVector != 0) return kBadWidth;
  embed_kernel<<<static_cast<unsigned>(rows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      ids, vectors_of(table), scale, vectors_of(out), static_cast<int>(n / kVector));
  return result();
}

const char* rms_norm(const void* x, const void* weight, float eps, void* out, std::int64_t rows, std::int64_t n,
                     Stream stream) {
  return norm<false>({vectors_of(x), nullptr, nullptr, vectors_of(weight), vectors_of(out)}, eps, rows, n, stream);
}

const char* add_norm(void* x, const void* branch, const void* post, const void* next, float eps, void* out,
                     std::int64_t rows, std::int64_t n, Stream stream) {
  return norm<true>({vectors_of(x), vectors_of(branch), vectors_of(post), vectors_of(next), vectors_of(out)}, eps, rows,
                    n, stream);
}

const char* rope(void* x, std::int64_t row_stride, const float* inverse_frequency, std::int64_t first,
                 std::int64_t rows, int heads, int dim, Stream stream) {
  rope_kernel<<<static_cast<unsigned>(rows), kThreads, static_cast<std::size_t>(dim / 2) * sizeof(float2),
                static_cast<cudaStream_t>(stream)>>>(static_cast<__nv_bfloat16*>(x), row_stride, inverse_frequency,
                                                     first, heads, dim / 2);
  return result();
}

const char* geglu(const void* x, void* out, std::int64_t rows, std::int64_t n, Stream stream) {
  if (n % kVector != 0) return kBadWidth;
  const std::int64_t total = rows * n / kVector;
  geglu_kernel<<<static_cast<unsigned>((total + kThreads - 1) / kThreads), kThreads, 0,
                 static_cast<cudaStream_t>(stream)>>>(vectors_of(x), vectors_of(out), total,
                                                      static_cast<int>(n / kVector));
  return result();
}

}  // namespace dhsa::cuda
