// Micro-benchmark of attend(): dense and random sparse masks, every kernel.
//   bench_attention --benchmark_filter='dense/avx512/.*' --benchmark_repetitions=5
// Arguments: length, head dimension, budget (0: dense). Counters: GFLOP/s of wall time and of processor time (times the
// threads: what it would be on a free machine), and the share of the measured peak of the latter.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "core/attention/attend.h"
#include "core/attention/cpu/peak.h"
#include "core/base/parallel.h"

namespace {

using namespace dhsa;

double processor_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return static_cast<double>(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

// Like a planner's: blocks of 128 queries, runs of 8 to 64 keys and the block itself, `budget` keys in all.
KeyMask random_budget_mask(std::int64_t length, int heads, std::int64_t budget, std::int64_t block) {
  std::mt19937 random(7);
  const std::vector<std::int32_t> groups = fixed_groups(length, block);
  KeyMask::Builder builder(groups, heads, 0);
  for (int head = 0; head < heads; ++head) {
    for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
      const std::int32_t end = groups[g + 1];
      std::vector<bool> kept(static_cast<std::size_t>(end), false);
      std::int64_t left = std::min<std::int64_t>(budget, end);
      for (std::int32_t j = groups[g]; j < end && left > 0; ++j, --left) kept[static_cast<std::size_t>(j)] = true;
      while (left > 0) {
        const auto start = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(end));
        const auto stop = std::min(end, start + 8 + static_cast<std::int32_t>(random() % 57));
        for (std::int32_t j = start; j < stop && left > 0; ++j) {
          if (kept[static_cast<std::size_t>(j)]) continue;
          kept[static_cast<std::size_t>(j)] = true;
          --left;
        }
      }
      std::vector<KeyRange> ranges;
      for (std::int32_t j = 0; j < end; ++j) {
        if (!kept[static_cast<std::size_t>(j)]) continue;
        if (!ranges.empty() && ranges.back().end == j) {
          ++ranges.back().end;
        } else {
          ranges.push_back({j, j + 1});
        }
      }
      builder.add(std::move(ranges));
    }
  }
  return builder.finish();
}

double peak_of(CpuKernel kernel) {
  static std::map<CpuKernel, double> peaks;
  double& peak = peaks[kernel];
  if (peak == 0.0) peak = cpu::measured_peak_gflops(kernel, compute_threads());
  return peak;
}

struct Case {
  CpuKernel kernel;
  DType type;
  std::int64_t length;
  std::int64_t dim;
  std::int64_t budget;
  std::int64_t block;
  int mask_heads;
  float softcap;
};

void run(benchmark::State& state, const Case& c) {
  const std::int64_t heads = c.dim == 256 ? 8 : 4;
  const std::int64_t kv_heads = heads / 2;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto filled = [&](std::int64_t count, float deviation) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& x : values) x = normal(random) * deviation;
    return values;
  };
  const auto q = filled(heads * c.length * c.dim, 4.0F);
  const auto k = filled(kv_heads * c.length * c.dim, 1.0F);
  const auto v = filled(kv_heads * c.length * c.dim, 1.0F);
  std::vector<float> out(q.size());
  std::vector<std::uint16_t> halves[4];
  const auto view_of = [&](const std::vector<float>& values, std::int64_t n, int slot) {
    HeadsView view = heads_view(values.data(), n, c.length, c.dim);
    if (c.type == DType::kBFloat16) {
      for (const float x : values) halves[slot].push_back(float_to_bfloat16(x));
      view.data = halves[slot].data();
      view.type = c.type;
    }
    return view;
  };
  const HeadsView qv = view_of(q, heads, 0);
  const HeadsView kv = view_of(k, kv_heads, 1);
  const HeadsView vv = view_of(v, kv_heads, 2);
  MutableHeadsView ov = mutable_heads_view(out.data(), heads, c.length, c.dim);
  if (c.type == DType::kBFloat16) {
    halves[3].resize(out.size());
    ov.data = halves[3].data();
    ov.type = c.type;
  }
  const KeyMask mask = c.budget == 0 ? KeyMask::dense(c.length, 0, c.block)
                                     : random_budget_mask(c.length, c.mask_heads, c.budget, c.block);
  const double operations =
      4.0 * static_cast<double>(mask.kept_pairs() / mask.heads() * heads) * static_cast<double>(c.dim);
  const ScoreRule rule{1.0F / std::sqrt(static_cast<float>(c.dim)), c.softcap};
  const int threads = compute_threads();
  double best_wall = 1e30;
  double best_processor = 1e30;
  for (auto _ : state) {
    const double processor = processor_seconds();
    const auto start = std::chrono::steady_clock::now();
    attend_with(c.kernel, qv, kv, vv, mask, rule, ov);
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
    best_wall = std::min(best_wall, wall.count());
    best_processor = std::min(best_processor, processor_seconds() - processor);
  }
  state.counters["GFs_wall"] = operations / best_wall * 1e-9;
  state.counters["GFs_cpu"] = operations / best_processor * 1e-9 * threads;
  state.counters["peak%"] = 100.0 * operations / best_processor * 1e-9 * threads / peak_of(c.kernel);
  state.counters["peak"] = peak_of(c.kernel);
}

}  // namespace

int main(int argc, char** argv) {
  set_compute_threads(0);
  for (const CpuKernel kernel : available_cpu_kernels()) {
    const DType type = kernel == CpuKernel::kAvx512Bf16 ? DType::kBFloat16 : DType::kFloat32;
    for (const std::int64_t length : {2048, 8192, 16384}) {
      for (const std::int64_t dim : {64, 256}) {
        const auto add = [&](const std::string& method, std::int64_t budget, std::int64_t block, int mask_heads,
                             float softcap) {
          const std::string name =
              method + "/" + name_of(kernel) + "/" + std::to_string(length) + "/" + std::to_string(dim);
          const Case c{kernel, type, length, dim, budget, block, mask_heads, softcap};
          benchmark::RegisterBenchmark(name.c_str(), [c](benchmark::State& state) { run(state, c); })
              ->Unit(benchmark::kMillisecond)
              ->UseRealTime();
        };
        add("dense", 0, 128, 1, 50.0F);
        add("dense_nocap", 0, 128, 1, 0.0F);
        add("sparse", 1024, 128, dim == 256 ? 8 : 4, 50.0F);
        add("sparse_shared", 1024, 128, dim == 256 ? 4 : 2, 50.0F);
        add("sparse_rows", 1024, 1, 2, 50.0F);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
