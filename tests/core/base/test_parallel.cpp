#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>
#include <vector>

#include "core/base/heads_view.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"

namespace dhsa {
namespace {

TEST(ParallelFor, VisitsEveryIndexOnce) {
  set_compute_threads(0);
  std::vector<std::atomic<int>> visits(1000);
  parallel_for(1000, [&](std::int64_t i) { ++visits[static_cast<std::size_t>(i)]; });
  for (const auto& count : visits) EXPECT_EQ(count, 1);
}

// Processors that each thread of the pool may run on.
std::vector<int> processors_of_pool(int threads) {
  std::vector<int> counts(static_cast<std::size_t>(threads), 0);
  std::atomic<int> here{0};
  parallel_for(threads, [&](std::int64_t i) {
    ++here;
    // No thread takes two.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (here < threads && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    counts[static_cast<std::size_t>(i)] = CPU_COUNT(&set);
  });
  return counts;
}

TEST(ComputeThreads, KeepToProcessorsOnlyWhenThereIsOneForEach) {
  set_compute_threads(0);
  const int all = compute_threads();
  EXPECT_EQ(processors_of_pool(all), std::vector<int>(static_cast<std::size_t>(all), 1));
  if (all > 1) {
    set_compute_threads(all - 1);
    EXPECT_EQ(processors_of_pool(all - 1), std::vector<int>(static_cast<std::size_t>(all - 1), all));
    set_compute_threads(0);
    EXPECT_EQ(processors_of_pool(all), std::vector<int>(static_cast<std::size_t>(all), 1));
  }
}

TEST(ComputeThreads, AreNoMoreThanProcessors) {
  set_compute_threads(0);
  const int all = compute_threads();
  set_compute_threads(1000);
  EXPECT_EQ(compute_threads(), all);
}

TEST(ParallelFor, RethrowsAndStops) {
  std::atomic<int> done{0};
  EXPECT_THROW(parallel_for(100000,
                            [&](std::int64_t i) {
                              if (i == 3) throw Error("three");
                              ++done;
                            }),
               Error);
  EXPECT_LT(done, 100000 - 1);
}

TEST(ParallelFor, CancelSkipsTheRest) {
  CancelToken token;
  std::atomic<int> done{0};
  EXPECT_THROW(parallel_for(
                   100000,
                   [&](std::int64_t) {
                     if (++done == 10) token.cancel();
                   },
                   &token),
               Cancelled);
  EXPECT_LT(done, 100);
}

TEST(BFloat16, RoundsToNearestEven) {
  EXPECT_EQ(bfloat16_to_float(float_to_bfloat16(1.0F)), 1.0F);
  EXPECT_EQ(bfloat16_to_float(float_to_bfloat16(1.00390625F)), 1.0F);       // halfway: to even
  EXPECT_EQ(bfloat16_to_float(float_to_bfloat16(1.01171875F)), 1.015625F);  // halfway: to even, upwards
  EXPECT_NE(bfloat16_to_float(float_to_bfloat16(NAN)), bfloat16_to_float(float_to_bfloat16(NAN)));
  EXPECT_EQ(bfloat16_to_float(float_to_bfloat16(-INFINITY)), -INFINITY);
}

TEST(Memory, PeakFollowsAnAllocation) {
  reset_peak_resident();
  const std::int64_t before = peak_resident_bytes();
  {
    std::vector<char> block(64 << 20, 1);
    EXPECT_GE(resident_bytes(), 64 << 20);
    EXPECT_EQ(block[12345], 1);
  }
  EXPECT_GE(peak_resident_bytes(), before + (60 << 20));
#ifndef __SANITIZE_ADDRESS__  // which keeps what was freed for a while
  reset_peak_resident();
  EXPECT_LT(peak_resident_bytes(), before + (30 << 20));
#endif
  EXPECT_GT(available_bytes(), 0);
}

}  // namespace
}  // namespace dhsa
