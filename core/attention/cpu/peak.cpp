#include "core/attention/cpu/peak.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/attention/cpu/dispatch.h"

namespace dhsa::cpu {
namespace {

constexpr int kRuns = 9;
constexpr std::int64_t kSteps = 200000;  // some 2 to 10 ms

double run_once(const KernelTable& table, int threads) {
  std::vector<double> operations(static_cast<std::size_t>(threads), 0.0);
  const auto start = std::chrono::steady_clock::now();
#pragma omp parallel num_threads(threads)
  { operations[static_cast<std::size_t>(omp_get_thread_num())] = table.multiply_add_loop(kSteps); }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  double total = 0.0;
  for (const double count : operations) total += count;
  return total / elapsed.count() * 1e-9;
}

}  // namespace

double measured_peak_gflops(CpuKernel kernel, int threads) {
  const KernelTable& table = kernel_table(kernel);
  double best = 0.0;
  for (int run = 0; run < kRuns; ++run) best = std::max(best, run_once(table, std::max(1, threads)));
  return best;
}

}  // namespace dhsa::cpu
