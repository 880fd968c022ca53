// What planning and attention on CUDA share: plain structs over device memory.
#pragma once

#include <cstdint>

namespace dhsa::cuda {

using Stream = void*;  // cudaStream_t

// KeyMask in device memory. Ranges of (mask head m, group g) are ranges[start[s]] ... with s = m * groups + g;
// offsets[r] counts the kept keys of the same group before range r.
struct DeviceMask {
  int rows = 0;
  int heads = 1;
  int groups = 0;
  int window = 0;                         // 0: none
  const std::int32_t* start = nullptr;    // [heads * groups]
  const std::int32_t* count = nullptr;    // [heads * groups] ranges
  const std::int32_t* ranges = nullptr;   // [.., 2] begin, end
  const std::int32_t* offsets = nullptr;  // [..]
};

// bfloat16 [heads, rows, dim]; strides in elements, multiples of 8; 16-byte aligned.
struct DeviceHeads {
  void* data = nullptr;
  std::int64_t head_stride = 0;
  std::int64_t row_stride = 0;
};

}  // namespace dhsa::cuda
