// The keys that one (mask head, group) of a KeyMask keeps, addressed by their position in ascending order.
#pragma once

#include <cstdint>

#include "core/sparsity/cuda/device_mask.h"

namespace dhsa::cuda {

inline constexpr int kNoKey = 0x7fffffff;

struct KeptKeys {
  const int2* ranges;
  const std::int32_t* offsets;
  int count;

  __device__ __forceinline__ KeptKeys(const DeviceMask& mask, int slot)
      : ranges(reinterpret_cast<const int2*>(mask.ranges) + mask.start[slot]),
        offsets(mask.offsets + mask.start[slot]),
        count(mask.count[slot]) {}

  // The range that holds `position`, looked for in [low, high].
  __device__ __forceinline__ int range_of(int position, int low, int high) const {
    while (low < high) {  // last range with offset <= position
      const int middle = (low + high + 1) >> 1;
      if (__ldg(offsets + middle) <= position) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }
  // The same, at or after `range`: a few ranges on as a rule.
  __device__ __forceinline__ int range_from(int range, int position) const {
    int jump = 1;
    while (range + jump < count && __ldg(offsets + range + jump) <= position) {
      range += jump;
      jump *= 2;
    }
    return range_of(position, range, min(range + jump, count) - 1);
  }
  __device__ __forceinline__ int key_in(int range, int position) const {
    return ranges[range].x + position - __ldg(offsets + range);
  }
  __device__ __forceinline__ int key_at(int position) const {
    return key_in(range_of(position, 0, count - 1), position);
  }
  // Number of kept keys below `key`.
  __device__ __forceinline__ int below(int key) const {
    if (count == 0) return 0;
    const int2 last = ranges[count - 1];
    if (last.y <= key) return __ldg(offsets + count - 1) + last.y - last.x;  // as a rule
    int low = 0, high = count - 1;                                           // first range with end > key
    while (low < high) {
      const int middle = (low + high) >> 1;
      if (ranges[middle].y > key) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return __ldg(offsets + low) + max(0, key - ranges[low].x);
  }
};

}  // namespace dhsa::cuda
