// Both attention kernels on raw device memory, without libtorch: against a double-precision twin on random shapes and
// masks, against each other at full size, then timed side by side. Run by tests/gpu.sh.
// Usage: attend_kernels [random cases] [repeats]
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "core/attention/cuda/attend_cuda.h"

namespace {

using dhsa::cuda::AttendArguments;
using dhsa::cuda::DeviceKernel;
using dhsa::cuda::QueryTile;

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::printf("CUDA: %s\n", cudaGetErrorString(error));
  std::exit(1);
}

template <class T>
struct Device {
  T* data = nullptr;
  std::size_t count = 0;
  explicit Device(std::size_t n) : count(n) { check(cudaMalloc(&data, std::max<std::size_t>(n, 1) * sizeof(T))); }
  explicit Device(const std::vector<T>& from) : Device(from.size()) {
    check(cudaMemcpy(data, from.data(), count * sizeof(T), cudaMemcpyHostToDevice));
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() { cudaFree(data); }
};

// Normal deviates from a hash of the index.
__global__ void fill_normal(__nv_bfloat16* to, std::size_t count, std::uint32_t seed, float amplitude) {
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
    std::uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ULL + seed * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    x ^= x >> 31;
    const float u = (static_cast<float>(x & 0xffffffU) + 1.0F) / 16777217.0F;
    const float angle = static_cast<float>(x >> 40) / 16777216.0F * 6.2831853F;
    to[i] = __float2bfloat16(amplitude * sqrtf(-2.0F * logf(u)) * cosf(angle));
  }
}

struct Mask {
  int rows = 0, heads = 1, window = 0;
  std::vector<std::int32_t> group_rows{0};
  std::vector<std::vector<std::pair<int, int>>> ranges;  // [heads * groups]
  [[nodiscard]] int groups() const { return static_cast<int>(group_rows.size()) - 1; }
};

// A mask in device memory, as core/model/cuda hands it over.
struct Uploaded {
  std::vector<std::int32_t> start, count, flat, offset;
  std::vector<QueryTile> tile;
  explicit Uploaded(const Mask& mask) {
    for (const auto& slot : mask.ranges) {
      start.push_back(static_cast<std::int32_t>(offset.size()));
      count.push_back(static_cast<std::int32_t>(slot.size()));
      std::int32_t before = 0;
      for (const auto& [begin, end] : slot) {
        flat.push_back(begin);
        flat.push_back(end);
        offset.push_back(before);
        before += end - begin;
      }
    }
    for (int g = 0; g < mask.groups(); ++g) {
      for (int row = mask.group_rows[g]; row < mask.group_rows[g + 1]; row += dhsa::cuda::kTileRows) {
        tile.push_back({row, std::min(mask.group_rows[g + 1], row + dhsa::cuda::kTileRows), g, 0});
      }
    }
  }
};

double kept_pairs(const Mask& mask) {
  double pairs = 0;
  for (std::size_t slot = 0; slot < mask.ranges.size(); ++slot) {
    const int g = static_cast<int>(slot) % mask.groups();
    for (int row = mask.group_rows[g]; row < mask.group_rows[g + 1]; ++row) {
      const int first = mask.window > 0 ? std::max(0, row - mask.window + 1) : 0;
      for (const auto& [begin, end] : mask.ranges[slot]) {
        pairs += std::max(0, std::min(end, row + 1) - std::max(begin, first));
      }
    }
  }
  return pairs / mask.heads;
}

// out in double precision; one block a (row, head), scores in shared memory.
__global__ void twin(AttendArguments a, const std::int32_t* group_of_row, double* out) {
  extern __shared__ double score[];
  const int row = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  const int slot = head * a.mask.heads / a.heads * a.mask.groups + group_of_row[row];
  const auto* q = static_cast<const __nv_bfloat16*>(a.q.data) + head * a.q.head_stride + row * a.q.row_stride;
  const int kv_head = head / (a.heads / a.kv_heads);
  const auto* k = static_cast<const __nv_bfloat16*>(a.k.data) + kv_head * a.k.head_stride;
  const auto* v = static_cast<const __nv_bfloat16*>(a.v.data) + kv_head * a.v.head_stride;
  for (int key = static_cast<int>(threadIdx.x); key <= row; key += static_cast<int>(blockDim.x)) {
    bool kept = a.mask.window == 0 || key > row - a.mask.window;
    bool listed = false;
    for (int r = a.mask.start[slot]; kept && r < a.mask.start[slot] + a.mask.count[slot]; ++r) {
      listed = listed || (a.mask.ranges[2 * r] <= key && key < a.mask.ranges[2 * r + 1]);
    }
    kept = kept && listed;
    double s = 0;
    for (int d = 0; kept && d < a.dim; ++d) {
      s += static_cast<double>(__bfloat162float(q[d])) *
           static_cast<double>(__bfloat162float(k[key * a.k.row_stride + d]));
    }
    s *= a.scale;
    if (a.softcap > 0) s = a.softcap * tanh(s / a.softcap);
    score[key] = kept ? s : -INFINITY;
  }
  __syncthreads();
  double most = -INFINITY, sum = 0;
  for (int key = 0; key <= row; ++key) most = fmax(most, score[key]);
  if (most == -INFINITY) most = 0;
  for (int key = 0; key <= row; ++key) sum += exp(score[key] - most);
  for (int d = static_cast<int>(threadIdx.x); d < a.dim; d += static_cast<int>(blockDim.x)) {
    double o = 0;
    for (int key = 0; key <= row; ++key) {
      if (score[key] > -INFINITY) {
        o += exp(score[key] - most) * static_cast<double>(__bfloat162float(v[key * a.v.row_stride + d]));
      }
    }
    out[(static_cast<std::size_t>(head) * a.mask.rows + row) * a.dim + d] = sum > 0 ? o / sum : 0;
  }
}

__global__ void largest_difference(const __nv_bfloat16* a, const __nv_bfloat16* b, std::size_t count, float* worst) {
  float most = 0;
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
    const float difference = fabsf(__bfloat162float(a[i]) - __bfloat162float(b[i]));
    most = difference <= most ? most : difference;  // NaN stays
    if (!(difference <= 1e30F)) most = INFINITY;
  }
  atomicMax(reinterpret_cast<int*>(worst), __float_as_int(most));
}

struct Problem {
  int heads, kv_heads, dim;
  float softcap, amplitude;
  bool apart;  // heads side by side in a row, [rows, heads, dim], as a fused projection leaves them
  Mask mask;
  std::uint32_t seed;
};

struct Loaded {
  const Problem& p;
  std::size_t q_count, kv_count;
  Device<__nv_bfloat16> q, k, v, out;
  Uploaded host;
  Device<std::int32_t> start, count, ranges, offsets;
  Device<QueryTile> tiles;
  AttendArguments a;

  explicit Loaded(const Problem& problem)
      : p(problem),
        q_count(static_cast<std::size_t>(p.heads) * p.mask.rows * p.dim),
        kv_count(static_cast<std::size_t>(p.kv_heads) * p.mask.rows * p.dim),
        q(q_count),
        k(kv_count),
        v(kv_count),
        out(q_count),
        host(p.mask),
        start(host.start),
        count(host.count),
        ranges(host.flat),
        offsets(host.offset),
        tiles(host.tile) {
    fill_normal<<<512, 256>>>(q.data, q_count, p.seed, p.amplitude);
    fill_normal<<<512, 256>>>(k.data, kv_count, p.seed + 1, p.amplitude);
    fill_normal<<<512, 256>>>(v.data, kv_count, p.seed + 2, 1.0F);
    const auto heads_at = [&](__nv_bfloat16* data, int heads) {
      return p.apart ? dhsa::cuda::DeviceHeads{data, p.dim, static_cast<std::int64_t>(heads) * p.dim}
                     : dhsa::cuda::DeviceHeads{data, static_cast<std::int64_t>(p.mask.rows) * p.dim, p.dim};
    };
    a.q = heads_at(q.data, p.heads);
    a.k = heads_at(k.data, p.kv_heads);
    a.v = heads_at(v.data, p.kv_heads);
    a.out = heads_at(out.data, p.heads);
    a.heads = p.heads;
    a.kv_heads = p.kv_heads;
    a.dim = p.dim;
    a.scale = 1.0F / std::sqrt(static_cast<float>(p.dim));
    a.softcap = p.softcap;
    a.mask = {p.mask.rows, p.mask.heads, p.mask.groups(), p.mask.window,
              start.data,  count.data,   ranges.data,     offsets.data};
    a.tiles = tiles.data;
    a.tile_count = static_cast<int>(host.tile.size());
  }
  void run(DeviceKernel kernel) const {
    if (const char* error = dhsa::cuda::attend_with(kernel, a, nullptr)) {
      std::printf("attend: %s\n", error);
      std::exit(1);
    }
  }
  void poison() const { check(cudaMemset(out.data, 0xff, q_count * 2)); }
};

Mask random_mask(std::mt19937& random, int rows) {
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  Mask mask;
  mask.rows = rows;
  const int window[] = {0, 0, 1, 37, 150, 1000};
  mask.window = window[pick(0, 5)];
  const int kind = pick(0, 3);  // 0: dense
  if (kind == 0) {
    mask.group_rows.push_back(rows);
    mask.ranges.push_back({{0, rows}});
    return mask;
  }
  const int longest_group[] = {1, 40, 64, 128, 300};
  const int most = longest_group[pick(0, 4)];
  while (mask.group_rows.back() < rows)
    mask.group_rows.push_back(std::min(rows, mask.group_rows.back() + pick((most + 1) / 2, most)));
  const int longest_range[] = {0, 1, 70, 600};
  for (int g = 0; g < mask.groups(); ++g) {
    std::vector<std::pair<int, int>>& slot = mask.ranges.emplace_back();
    const int end = mask.group_rows[g + 1];
    if (pick(0, 30) == 0) continue;  // a group that keeps nothing
    int at = pick(0, 1) == 0 ? 0 : pick(0, end - 1);
    while (at < end) {
      const int stop = std::min(end, at + pick(1, longest_range[kind]));
      slot.push_back({at, stop});
      at = stop + pick(1, kind == 1 ? 3 : 90);
    }
  }
  return mask;
}

bool matches_twin(const Problem& p, DeviceKernel kernel, double& worst_seen) {
  const Loaded on(p);
  std::vector<std::int32_t> group_of_row(static_cast<std::size_t>(p.mask.rows));
  for (int g = 0; g < p.mask.groups(); ++g) {
    std::fill(group_of_row.begin() + p.mask.group_rows[g], group_of_row.begin() + p.mask.group_rows[g + 1], g);
  }
  const Device<std::int32_t> groups(group_of_row);
  const Device<double> expected(on.q_count);
  twin<<<dim3(p.mask.rows, p.heads), 128, p.mask.rows * sizeof(double)>>>(on.a, groups.data, expected.data);
  on.poison();
  on.run(kernel);
  check(cudaDeviceSynchronize());
  std::vector<double> want(on.q_count);
  std::vector<std::uint16_t> got(on.q_count);
  check(cudaMemcpy(want.data(), expected.data, on.q_count * 8, cudaMemcpyDeviceToHost));
  check(cudaMemcpy(got.data(), on.out.data, on.q_count * 2, cudaMemcpyDeviceToHost));
  double worst = 0, largest = 1e-30;
  bool finite = true;
  for (int h = 0; h < p.heads; ++h) {
    for (int row = 0; row < p.mask.rows; ++row) {
      for (int d = 0; d < p.dim; ++d) {
        const std::size_t at = (static_cast<std::size_t>(h) * p.mask.rows + row) * p.dim + d;
        const std::size_t stored = h * on.a.out.head_stride + row * on.a.out.row_stride + d;
        const std::uint32_t bits = static_cast<std::uint32_t>(got[stored]) << 16;
        float value;
        static_assert(sizeof value == sizeof bits);
        __builtin_memcpy(&value, &bits, 4);
        finite = finite && std::isfinite(value);
        worst = std::max(worst, std::abs(static_cast<double>(value) - want[at]));
        largest = std::max(largest, std::abs(want[at]));
      }
    }
  }
  worst_seen = std::max(worst_seen, worst / largest);
  if (finite && worst < 0.01 * largest) return true;
  std::printf("WRONG %s: H %d KV %d D %d L %d W %d groups %d ranges %zu softcap %g amplitude %g apart %d: %g of %g%s\n",
              kernel == DeviceKernel::kMma ? "mma" : "hopper", p.heads, p.kv_heads, p.dim, p.mask.rows, p.mask.window,
              p.mask.groups(), on.host.offset.size(), p.softcap, p.amplitude, p.apart, worst, largest,
              finite ? "" : ", not finite");
  return false;
}

int check_random(int cases) {
  std::mt19937 random(1);
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  const int lengths[] = {1, 2, 63, 64, 65, 79, 80, 81, 127, 128, 129, 300, 513, 777, 1203};
  const int shapes[][2] = {{4, 2}, {8, 4}, {8, 1}, {3, 3}, {3, 1}, {8, 8}};
  const float caps[] = {50.0F, 50.0F, 0.0F, 2.0F, 100.0F};
  int wrong = 0;
  double worst[2] = {0, 0};
  for (int i = 0; i < cases && wrong < 12; ++i) {
    Problem p{};
    const int shape = pick(0, 5);
    p.heads = shapes[shape][0];
    p.kv_heads = shapes[shape][1];
    p.dim = 64 << i % 3;
    p.softcap = caps[pick(0, 4)];
    p.amplitude = p.softcap == 0.0F && pick(0, 9) == 0 ? 60.0F : static_cast<float>(pick(1, 4));
    p.apart = pick(0, 1) == 1;
    p.seed = static_cast<std::uint32_t>(i) * 3 + 1;
    p.mask = random_mask(random, lengths[pick(0, 14)]);
    const int mask_heads[] = {1, p.kv_heads, p.heads};
    const int heads = p.mask.groups() > 1 ? mask_heads[pick(0, 2)] : 1;
    const Mask first = p.mask;
    for (p.mask.heads = 1; p.mask.heads < heads; ++p.mask.heads) {  // the other heads: the same groups' ranges, shifted
      for (const auto& slot : first.ranges) {
        std::vector<std::pair<int, int>> shifted;
        for (const auto& [begin, end] : slot) {
          if (begin + p.mask.heads < end) shifted.push_back({begin + p.mask.heads, end});
        }
        p.mask.ranges.push_back(shifted);
      }
    }
    wrong += matches_twin(p, DeviceKernel::kHopper, worst[1]) ? 0 : 1;
    wrong += matches_twin(p, DeviceKernel::kMma, worst[0]) ? 0 : 1;
  }
  std::printf("%d random cases on both kernels, %d wrong; largest error, of the largest value: mma %.2g, hopper %.2g\n",
              cases, wrong, worst[0], worst[1]);
  return wrong;
}

Mask dense_mask(int rows, int window) {
  Mask mask;
  mask.rows = rows;
  mask.window = window;
  mask.group_rows.push_back(rows);
  mask.ranges.push_back({{0, rows}});
  return mask;
}

// Groups of 128 rows, each with about `budget` keys in chunks of 8 to 120, as DHSA chooses them, and its own rows.
Mask chunk_mask(int rows, int budget) {
  std::mt19937 random(5);
  std::vector<int> chunks{0};
  while (chunks.back() < rows) {
    chunks.push_back(std::min(rows, chunks.back() + std::uniform_int_distribution<int>(8, 120)(random)));
  }
  Mask mask;
  mask.rows = rows;
  for (int row = 0; row < rows; row += 128) {
    const int end = std::min(rows, row + 128);
    mask.group_rows.push_back(end);
    std::vector<std::pair<int, int>> past;
    for (std::size_t c = 0; c + 1 < chunks.size() && chunks[c] < row; ++c)
      past.push_back({chunks[c], std::min(row, chunks[c + 1])});
    std::shuffle(past.begin(), past.end(), random);
    int kept = 0;
    std::size_t taken = 0;
    while (taken < past.size() && kept < budget - 128) {
      kept += past[taken].second - past[taken].first;
      ++taken;
    }
    past.resize(taken);
    std::sort(past.begin(), past.end());
    past.push_back({row, end});
    std::vector<std::pair<int, int>> merged;
    for (const auto& range : past) {
      if (!merged.empty() && merged.back().second == range.first) {
        merged.back().second = range.second;
      } else {
        merged.push_back(range);
      }
    }
    mask.ranges.push_back(merged);
  }
  return mask;
}

// All keys but every 80th or so: no tile of keys is in one piece.
Mask holes_mask(int rows) {
  Mask mask = dense_mask(rows, 0);
  mask.ranges[0].clear();
  for (int at = 0; at < rows; at += 64) mask.ranges[0].push_back({at, std::min(rows, at + 63)});
  return mask;
}

double median_ms(const Loaded& on, DeviceKernel kernel, int repeats) {
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin));
  check(cudaEventCreate(&end));
  std::vector<float> times;
  for (int i = 0; i < repeats + 2; ++i) {
    check(cudaEventRecord(begin));
    on.run(kernel);
    check(cudaEventRecord(end));
    check(cudaEventSynchronize(end));
    float ms = 0;
    check(cudaEventElapsedTime(&ms, begin, end));
    if (i >= 2) times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

int time_both(const char* name, const Problem& p, int repeats) {
  const Loaded on(p);
  const Device<__nv_bfloat16> other(on.q_count);
  const Device<float> worst(std::vector<float>{0.0F});
  on.poison();
  on.run(DeviceKernel::kMma);
  check(cudaMemcpy(other.data, on.out.data, on.q_count * 2, cudaMemcpyDeviceToDevice));
  on.poison();
  on.run(DeviceKernel::kHopper);
  largest_difference<<<512, 256>>>(other.data, on.out.data, on.q_count, worst.data);
  float difference = 0;
  check(cudaMemcpy(&difference, worst.data, 4, cudaMemcpyDeviceToHost));
  const double tera = kept_pairs(p.mask) * 4 * p.dim * p.heads / 1e12;
  const double mma = median_ms(on, DeviceKernel::kMma, repeats), hopper = median_ms(on, DeviceKernel::kHopper, repeats);
  std::printf("| %-30s | %3d | %6d | %7.3f | %4.0f | %7.3f | %4.0f | %4.2f | %.1e |\n", name, p.dim, p.mask.rows, mma,
              tera / mma * 1e3, hopper, tera / hopper * 1e3, mma / hopper, difference);
  std::fflush(stdout);
  return difference < 0.05F ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  const int cases = count > 1 ? std::atoi(arguments[1]) : 300, repeats = count > 2 ? std::atoi(arguments[2]) : 9;
  cudaDeviceProp card{};
  check(cudaGetDeviceProperties(&card, 0));
  std::printf("%s, %d multiprocessors\n", card.name, card.multiProcessorCount);
  int wrong = check_random(cases);
  if (repeats > 0) {
    std::printf("\n8 query and 4 key/value heads; TFLOP/s of kept pairs; medians of %d\n", repeats);
    std::printf(
        "| case | D | tokens | mma ms | TFLOP/s | hopper ms | TFLOP/s | ratio | largest difference "
        "|\n|---|---|---|---|---|---|---|---|---|\n");
    for (const int dim : {256, 128, 64}) {
      const auto problem = [&](float cap, Mask mask) {
        return Problem{8, 4, dim, cap, 1.0F, true, std::move(mask), 9};
      };
      wrong += time_both("dense, softcap 50", problem(50.0F, dense_mask(32768, 0)), repeats);
      wrong += time_both("dense, no softcap", problem(0.0F, dense_mask(32768, 0)), repeats);
      wrong += time_both("dense, 8192, softcap 50", problem(50.0F, dense_mask(8192, 0)), repeats);
      wrong += time_both("window 4096, softcap 50", problem(50.0F, dense_mask(32768, 4096)), repeats);
      wrong += time_both("chunks, budget 2048", problem(50.0F, chunk_mask(32768, 2048)), repeats);
      wrong += time_both("all gathered, softcap 50", problem(50.0F, holes_mask(32768)), repeats);
    }
  }
  std::printf(wrong == 0 ? "attend_kernels: all right\n" : "attend_kernels: WRONG\n");
  return wrong == 0 ? 0 : 1;
}
