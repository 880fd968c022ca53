// How one thread block chooses keys for one (mask head, query group): items (chunks, tokens) by descending rank until
// enough keys are taken, the last one cut to its most recent keys, and what is kept as ranges. No sort and no limit on
// the number of items: the rank at which the choice ends is found digit by digit.
//
// An Items type says
//   count()            how many, in ascending order of their keys
//   begin(i), end(i)   its keys, between the group's sinks and local keys; empty where begin >= end
//   rank(i)            a score as rank_of() orders it; 0: cannot be chosen, as with an empty item
//   mass(i)            its estimated attention mass, in units of kMassUnit; read where kMass
#pragma once

#include <cstdint>

#include "core/sparsity/cuda/launch.cuh"
#include "core/sparsity/cuda/plan_cuda.h"

namespace dhsa::cuda {

constexpr int kThreads = 256;       // of a block that chooses; at least one for each value of a digit
constexpr int kMostThreads = 1024;  // of any block here
constexpr int kDigits = 256;
constexpr double kMassUnit = 1.0 / (1ULL << 50U);  // integers, so that sums do not depend on their order

// Orders as the float does.
__device__ __forceinline__ std::uint32_t rank_of(float value) {
  if (isnan(value)) return 0;
  const std::uint32_t bits = __float_as_uint(value == 0.0F ? 0.0F : value);  // -0 as 0
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

// Sum of x over the threads before this one, plus `total`, to which the sum over all threads is added. Every thread
// passes the same total and gets the same one back.
template <class T>
__device__ __forceinline__ T exclusive_sum(T x, T& total) {
  __shared__ T of_warp[kMostThreads / 32];
  const int tid = static_cast<int>(threadIdx.x), lane = tid & 31, warps = static_cast<int>(blockDim.x) >> 5;
  T inclusive = x;
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const T other = __shfl_up_sync(0xffffffffU, inclusive, step);
    if (lane >= step) inclusive += other;
  }
  if (lane == 31) of_warp[tid >> 5] = inclusive;
  __syncthreads();
  T before = total;
  for (int w = 0; w < warps; ++w) {
    if (w == tid >> 5) before += inclusive - x;
    total += of_warp[w];
    if (w < tid >> 5) before += of_warp[w];
  }
  __syncthreads();
  return before;
}

// When a choice ends: with `keys` keys, or sooner with at least `at_least` of them and this much mass.
struct Goal {
  int keys;
  int at_least;
  long long mass;
  template <bool kMass>
  __device__ __forceinline__ bool reached(int taken, long long taken_mass) const {
    return taken >= keys || (kMass && taken >= at_least && taken_mass >= mass);
  }
};

// Where a choice ends: items above `rank` are taken whole, keys and mass of them are known; those of exactly this rank
// follow in their order until the goal is reached. 0: everything is taken.
struct Bar {
  std::uint32_t rank;
  int keys;
  long long mass;
};
constexpr std::uint32_t kNothing = 0xffffffffU;  // no float has this rank

template <class Items>
__device__ Bar find_bar(const Items& items, const Goal& goal) {
  __shared__ int keys[kDigits];
  __shared__ unsigned long long mass[kDigits];
  __shared__ Bar found;
  const int tid = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  Bar bar{0, 0, 0};
  if (goal.reached<Items::kMass>(0, 0)) {
    bar.rank = kNothing;
    return bar;
  }
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (tid < kDigits) {
      keys[tid] = 0;
      mass[tid] = 0;
    }
    if (tid == 0) found.keys = -1;
    __syncthreads();
    for (int i = tid; i < items.count(); i += threads) {
      const std::uint32_t rank = items.rank(i);
      if (rank == 0 || (shift < 24 && (rank ^ bar.rank) >> (shift + 8) != 0)) continue;
      const int digit = static_cast<int>(rank >> shift & (kDigits - 1));
      atomicAdd(&keys[digit], items.end(i) - items.begin(i));
      if constexpr (Items::kMass) atomicAdd(&mass[digit], static_cast<unsigned long long>(items.mass(i)));
    }
    __syncthreads();
    // From the highest digit down; exactly one digit takes the choice to its goal, or none if there is too little.
    const int digit = kDigits - 1 - tid;
    const int of_digit = tid < kDigits ? keys[digit] : 0;
    int all_keys = bar.keys;
    const int before = exclusive_sum(of_digit, all_keys);
    long long mass_before = 0, of_digit_mass = 0;
    if constexpr (Items::kMass) {
      long long all_mass = bar.mass;
      of_digit_mass = tid < kDigits ? static_cast<long long>(mass[digit]) : 0;
      mass_before = exclusive_sum(of_digit_mass, all_mass);
    }
    if (of_digit > 0 && !goal.reached<Items::kMass>(before, mass_before) &&
        goal.reached<Items::kMass>(before + of_digit, mass_before + of_digit_mass)) {
      found.rank = bar.rank | static_cast<std::uint32_t>(digit) << shift;
      found.keys = before;
      found.mass = mass_before;
    }
    __syncthreads();
    if (found.keys < 0)
      return {0, 0, 0};  // only in the first round: later ones share out a digit that reaches the goal
    bar = found;
    __syncthreads();
  }
  return bar;
}

// Which items are kept. One bit each, in dynamic shared memory; of one item only the last keys.
struct Kept {
  std::uint32_t* bits;
  int cut_item, cut_keys;
  bool joins_sinks, joins_local;  // a kept key lies beside theirs
  __device__ __forceinline__ bool has(int i) const { return (bits[i >> 5] >> (i & 31) & 1U) != 0; }
  template <class Items>
  __device__ __forceinline__ int begin(const Items& items, int i) const {
    return i == cut_item ? items.end(i) - cut_keys : items.begin(i);
  }
};
[[nodiscard]] constexpr std::size_t kept_bytes(int items) {
  return (static_cast<std::size_t>(items) + 31) / 32 * sizeof(std::uint32_t);
}

template <class Items>
__device__ Kept choose(const Items& items, const GroupKeys& group, const Goal& goal) {
  __shared__ int cut_item, cut_keys, joins_sinks, joins_local;
  Kept kept{dynamic_shared<std::uint32_t>(), -1, 0, false, false};
  const int tid = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x), n = items.count();
  const Bar bar = find_bar(items, goal);
  if (tid == 0) {
    cut_item = -1;
    joins_sinks = joins_local = 0;
  }
  __syncthreads();
  int taken = bar.keys;  // with the items of the bar's rank so far
  long long taken_mass = bar.mass;
  for (int base = 0; base < n; base += threads) {
    const int i = base + tid;
    const std::uint32_t rank = i < n ? items.rank(i) : 0;
    const int size = rank != 0 ? items.end(i) - items.begin(i) : 0;
    bool keep = rank != 0 && rank >= bar.rank;
    if (bar.rank != 0 && bar.rank != kNothing) {
      const bool tie = rank == bar.rank;
      const int before = exclusive_sum(tie ? size : 0, taken);
      long long mass_before = 0;
      if constexpr (Items::kMass) mass_before = exclusive_sum(tie ? items.mass(i) : 0LL, taken_mass);
      if (tie) {
        keep = !goal.reached<Items::kMass>(before, mass_before);
        if (keep && size > goal.keys - before) {
          cut_item = i;
          cut_keys = goal.keys - before;
        }
      }
    }
    const unsigned word = __ballot_sync(0xffffffffU, keep);
    if ((tid & 31) == 0 && i < n) kept.bits[i >> 5] = word;
  }
  __syncthreads();
  kept.cut_item = cut_item;
  kept.cut_keys = cut_keys;
  for (int i = tid; i < n; i += threads) {
    if (!kept.has(i)) continue;
    if (kept.begin(items, i) == group.sink_end && group.sink_end > group.key_begin) joins_sinks = 1;
    if (items.end(i) == group.local_begin) joins_local = 1;
  }
  __syncthreads();
  kept.joins_sinks = joins_sinks != 0;
  kept.joins_local = joins_local != 0;
  return kept;
}

// Sinks, kept items and local keys of one slot as ascending ranges that do not touch.
template <class Items>
__device__ void write_ranges(const Items& items, const GroupKeys& group, const Kept& kept, const MaskBuffers& out,
                             int slot) {
  const int tid = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x), n = items.count();
  const std::int64_t first = static_cast<std::int64_t>(slot) * out.most_ranges;
  std::int32_t* ranges = out.ranges + 2 * first;
  std::int32_t* offsets = out.offsets + first;
  const int sinks = max(0, group.sink_end - group.key_begin);
  const bool sinks_touch_local = sinks > 0 && group.sink_end == group.local_begin;
  if (tid == 0 && sinks > 0) {
    ranges[0] = group.key_begin;
    offsets[0] = 0;
    if (!sinks_touch_local && !kept.joins_sinks) ranges[1] = group.sink_end;
  }
  // Upper half: ranges begun; lower half: keys kept.
  unsigned long long done = sinks > 0 ? 1ULL << 32U | static_cast<unsigned>(sinks) : 0;
  for (int base = 0; base < n; base += threads) {
    const int i = base + tid;
    const bool keep = i < n && kept.has(i);
    int begin = 0, end = 0;
    bool starts = false, ends = false;
    if (keep) {
      begin = kept.begin(items, i);
      end = items.end(i);
      starts = !(sinks > 0 && begin == group.sink_end) && !(i > 0 && kept.has(i - 1) && items.end(i - 1) == begin);
      ends = end != group.local_begin && !(i + 1 < n && kept.has(i + 1) && kept.begin(items, i + 1) == end);
    }
    const unsigned long long mine = (starts ? 1ULL << 32U : 0) | static_cast<unsigned>(end - begin);
    const unsigned long long before = exclusive_sum(mine, done);
    const auto range = static_cast<std::int64_t>(before >> 32U) - (starts ? 0 : 1);
    if (starts) {
      ranges[2 * range] = begin;
      offsets[range] = static_cast<std::int32_t>(before);
    }
    if (ends) ranges[2 * range + 1] = end;
  }
  if (tid == 0) {
    const bool joined = sinks_touch_local || kept.joins_local;
    const auto range = static_cast<std::int64_t>(done >> 32U) - (joined ? 1 : 0);
    if (!joined) {
      ranges[2 * range] = group.local_begin;
      offsets[range] = static_cast<std::int32_t>(done);
    }
    ranges[2 * range + 1] = group.row_end;
    out.start[slot] = static_cast<std::int32_t>(first);
    out.count[slot] = static_cast<std::int32_t>(range) + 1;
  }
}

// All keys of a group that has nothing to choose.
__device__ __forceinline__ void write_whole(const GroupKeys& group, const MaskBuffers& out, int slot) {
  if (threadIdx.x != 0) return;
  const std::int64_t first = static_cast<std::int64_t>(slot) * out.most_ranges;
  out.ranges[2 * first] = group.key_begin;
  out.ranges[2 * first + 1] = group.row_end;
  out.offsets[first] = 0;
  out.start[slot] = static_cast<std::int32_t>(first);
  out.count[slot] = 1;
}

}  // namespace dhsa::cuda
