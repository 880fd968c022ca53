#include <cuda_bf16.h>

#include "core/sparsity/cuda/choose.cuh"

namespace dhsa::cuda {
namespace {

constexpr int kScoreTokens = 32;  // tokens of one block of window_sum_kernel
constexpr int kAhead = 8;         // of them whose keys are asked for together

// For each token t: |S(t)|^2 and S(t) . S(t + w), S(t) the sum of the w joined keys that end at t. kWindow: w, whose 2
// w keys are then kept in registers; 0: any.
template <int kWindow>
__global__ void __launch_bounds__(kThreads)
    window_sum_kernel(const __nv_bfloat16* k, std::int64_t head_stride, std::int64_t row_stride, int rows, int dim,
                      int channels, int w, float2* out) {
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
    const auto add_token = [&](int t, const float2& left, const float2& right) {
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
    };
    // Sums are taken afresh each time, so that the result does not depend on the block.
    const auto sum_of = [](int n, const auto& nth) {
      float2 sum = make_float2(0, 0);
#pragma unroll
      for (int i = 0; i < n; ++i) {
        const float2 x = nth(i);
        sum.x += x.x;
        sum.y += x.y;
      }
      return sum;
    };
    if constexpr (kWindow > 0) {
      constexpr int kKeys = 2 * kWindow;  // keys t - w + 1 ... t + w of the token at hand
      float2 keys[kKeys + kAhead];
#pragma unroll
      for (int i = 0; i < kKeys - 1; ++i) keys[i] = key(first - kWindow + 1 + i);
      for (int begin = first; begin < last; begin += kAhead) {
#pragma unroll
        for (int i = 0; i < kAhead; ++i) keys[kKeys - 1 + i] = key(begin + kWindow + i);
#pragma unroll
        for (int i = 0; i < kAhead; ++i) {
          if (begin + i >= last) break;
          add_token(begin + i, sum_of(kWindow, [&](int n) { return keys[i + n]; }),
                    sum_of(kWindow, [&](int n) { return keys[i + kWindow + n]; }));
        }
#pragma unroll
        for (int i = 0; i < kKeys - 1; ++i) keys[i] = keys[i + kAhead];
      }
    } else {
      for (int t = first; t < last; ++t) {
        add_token(t, sum_of(w, [&](int n) { return key(t - w + 1 + n); }),
                  sum_of(w, [&](int n) { return key(t + 1 + n); }));
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
  float r = __int_as_float(0x7fc00000);  // no candidate
  if (t >= w - 1 && t < rows - w) {
    const float norms = sqrtf(sums[t].x) * sqrtf(sums[t + w].x);
    r = 1.0F - (norms > 0 ? sums[t].y / norms : 0.0F);
  }
  score[t] = r;
}

enum State : std::int8_t { kOpen = 0, kAccepted = 1, kOut = 2 };

// The token that ends the document before its instruction, accepted whatever its score; -1: none.
__device__ __forceinline__ int fixed_token(const DeviceBoundaryRule& rule) {
  return rule.instruction_tokens > 0 && rule.instruction_tokens < rule.rows ? rule.rows - rule.instruction_tokens : -1;
}

__global__ void candidate_kernel(DeviceBoundaryRule rule, const float* score, std::int8_t* state) {
  const int t = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (t >= rule.rows) return;
  const int fixed = fixed_token(rule);
  const bool candidate = !isnan(score[t]) && (rule.threshold <= 0 || static_cast<double>(score[t]) > rule.threshold) &&
                         (fixed < 0 || fixed - t > rule.nms_distance);
  state[t] = candidate ? kOpen : kOut;
}

// Greedy non-maximum suppression, all tokens at once: a candidate is accepted once it beats every open candidate within
// reach, and drops out once an accepted one is. That accepts exactly what descending order would; the first ones by
// score are then where the greedy pass would have stopped. Blocks wait for each other's tokens: launch_together().
__global__ void __launch_bounds__(kThreads)
    suppress_kernel(DeviceBoundaryRule rule, const float* score, std::int8_t* state) {
  volatile std::int8_t* live = state;
  const int threads = static_cast<int>(gridDim.x * blockDim.x);
  for (bool open = true; open;) {
    open = false;
    for (int t = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); t < rule.rows; t += threads) {
      if (live[t] != kOpen) continue;
      bool wins = true, out = false;
      const float mine = score[t];
      for (int u = max(0, t - rule.nms_distance); u <= min(rule.rows - 1, t + rule.nms_distance); ++u) {
        const std::int8_t s = live[u];
        if (u == t || s == kOut) continue;
        if (s == kAccepted) {
          out = true;
        } else if (score[u] > mine || (score[u] == mine && u < t)) {
          wins = false;
        }
      }
      if (out || wins) {
        live[t] = out ? kOut : kAccepted;
      } else {
        open = true;
      }
    }
    if (open) __nanosleep(50);
  }
}

struct AcceptedTokens {
  static constexpr bool kMass = false;
  const float* score;
  const std::int32_t* token;
  int tokens;
  __device__ int count() const { return tokens; }
  __device__ int begin(int i) const { return token[i]; }
  __device__ int end(int i) const { return token[i] + 1; }
  __device__ std::uint32_t rank(int i) const { return rank_of(score[token[i]]); }
};

// The best of the accepted, as chunk edges. One block.
__global__ void __launch_bounds__(kMostThreads)
    edge_kernel(DeviceBoundaryRule rule, const float* score, const std::int8_t* state, std::int32_t* accepted,
                std::int32_t* edges, std::int32_t* count) {
  const int tid = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int fixed = fixed_token(rule);
  const int most = max(0, rule.most - (fixed >= 0 ? 1 : 0));
  // In order: each thread lists a stretch of its own.
  const int stretch = (rule.rows + threads - 1) / threads;
  const int first = min(rule.rows, tid * stretch), last = min(rule.rows, first + stretch);
  int mine = 0, all = 0;
  for (int t = first; t < last; ++t) mine += state[t] == kAccepted ? 1 : 0;
  int at = exclusive_sum(mine, all);
  for (int t = first; t < last; ++t) {
    if (state[t] == kAccepted) accepted[at++] = t;
  }
  __syncthreads();
  const AcceptedTokens tokens{score, accepted, all};
  const Kept kept = choose(tokens, GroupKeys{0, 0, 0, 0, -1, most, 0, 0}, Goal{most, 0, 0});
  int inner = 0;
  for (int base = 0; base < all; base += threads) {
    const int i = base + tid;
    const bool edge = i < all && kept.has(i) && tokens.end(i) < rule.rows;  // one at the very end is there anyway
    const int to = exclusive_sum(edge ? 1 : 0, inner);
    if (edge) edges[1 + to] = tokens.end(i);
  }
  if (tid != 0) return;
  edges[0] = 0;
  if (fixed >= 0 && fixed + 1 < rule.rows) edges[++inner] = fixed + 1;
  edges[inner + 1] = rule.rows;
  *count = inner + 1;
}

dim3 blocks_for(int items) { return dim3(static_cast<unsigned>((items + kThreads - 1) / kThreads)); }

}  // namespace

const char* key_shift_scores(const DeviceHeads& k, int rows, int kv_heads, int dim, int boundary_window, float* sums,
                             float* scores, Stream stream) {
  auto* pairs = reinterpret_cast<float2*>(sums);
  if (const char* fault = launch(boundary_window == 4 ? window_sum_kernel<4> : window_sum_kernel<0>,
                                 dim3(static_cast<unsigned>((rows + kScoreTokens - 1) / kScoreTokens)), kThreads, 0,
                                 stream, static_cast<const __nv_bfloat16*>(k.data), k.head_stride, k.row_stride, rows,
                                 dim, kv_heads * dim, boundary_window, pairs)) {
    return fault;
  }
  return launch(key_shift_kernel, blocks_for(rows), kThreads, 0, stream, pairs, rows, boundary_window, scores);
}

const char* choose_boundaries(const DeviceBoundaryRule& rule, const float* scores, std::int8_t* state,
                              std::int32_t* accepted, std::int32_t* edges, std::int32_t* count, Stream stream) {
  const dim3 blocks = blocks_for(rule.rows);
  if (const char* fault = launch(candidate_kernel, blocks, kThreads, 0, stream, rule, scores, state)) return fault;
  if (const char* fault =
          launch_together(suppress_kernel, static_cast<int>(blocks.x), kThreads, stream, rule, scores, state)) {
    return fault;
  }
  return launch(edge_kernel, dim3(1), kMostThreads, kept_bytes(rule.rows), stream, rule, scores, state, accepted, edges,
                count);
}

}  // namespace dhsa::cuda
