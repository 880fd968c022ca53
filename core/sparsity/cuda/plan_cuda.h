// DHSA planning on CUDA, from keys and queries to key ranges without the host: key-shift boundary scores, non-maximum
// suppression, chunk and query-group representations, chunk similarity, selection, ranges. Follows the CPU planner; a
// boundary or a chunk may differ where scores tie within float32 rounding.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/sparsity/cuda/device_mask.h"

namespace dhsa::cuda {

struct PlanShape {
  int rows = 0;
  int heads = 0;
  int kv_heads = 0;
  int dim = 0;
  int mask_heads = 1;  // 1, kv_heads or heads
  int window = 0;      // sliding window of the layer, 0: none
  int budget = 0;      // already min(N_b, W)
  int sink_tokens = 0;
  int local_tokens = 0;
  int query_block = 128;
  int instruction_tokens = 0;
  int chunks = 0;  // N_c, boundaries to accept
  int boundary_window = 4;
  int nms_distance = 8;
  float boundary_threshold = 0.0F;  // 0: none
  bool sqrt_mean = true;

  [[nodiscard]] constexpr int planned_groups() const {
    return (rows - instruction_tokens + query_block - 1) / query_block;
  }
  // Groups of the mask: planned ones, then the instruction rows in blocks of their own.
  [[nodiscard]] constexpr int groups() const {
    return planned_groups() + (instruction_tokens + query_block - 1) / query_block;
  }
  // Heads that chunks have representations for.
  [[nodiscard]] constexpr int key_heads() const { return mask_heads < kv_heads ? mask_heads : kv_heads; }
  [[nodiscard]] constexpr int most_chunks() const { return chunks + 2; }
};

// Where one plan is written; all device memory, sized by plan_layout().
struct PlanBuffers {
  float* boundary_scores = nullptr;     // [rows]
  std::int32_t* boundaries = nullptr;   // [most_chunks + 1]
  std::int32_t* chunk_count = nullptr;  // [1]
  float* chunk_scores = nullptr;        // [mask_heads, planned_groups, most_chunks]
  float* window_sums = nullptr;         // [rows, 2] scratch
  std::int8_t* state = nullptr;         // [rows] scratch
  float* chunk_keys = nullptr;          // [key_heads, most_chunks, dim] scratch
  float* group_queries = nullptr;       // [mask_heads, planned_groups, dim] scratch
  std::int32_t* start = nullptr;        // the mask: [mask_heads * groups]
  std::int32_t* count = nullptr;        // [mask_heads * groups]
  std::int32_t* ranges = nullptr;       // [mask_heads * groups, most_chunks + 2, 2]
  std::int32_t* offsets = nullptr;      // [mask_heads * groups, most_chunks + 2]
};
// Assigns the buffers inside one block of memory at `base` (256-byte aligned) and returns its size; base may be null.
[[nodiscard]] std::size_t plan_layout(const PlanShape& shape, std::byte* base, PlanBuffers& buffers);
// Whether this shape can be planned on the device.
[[nodiscard]] bool plan_supports(const PlanShape& shape);

// r_j = 1 - cos(mean of the w keys up to j, mean of the w keys after j); -infinity where a window leaves the sequence.
[[nodiscard]] const char* key_shift_scores(const PlanShape& shape, const DeviceHeads& k, const PlanBuffers& buffers,
                                           Stream stream);
// Boundaries by descending score (-infinity: no candidate), more than nms_distance apart, at most `chunks`.
[[nodiscard]] const char* choose_boundaries(const PlanShape& shape, const PlanBuffers& buffers, Stream stream);
// Representations, S_c, selection and ranges, from boundaries already there.
[[nodiscard]] const char* select_keys(const PlanShape& shape, const DeviceHeads& q, const DeviceHeads& k,
                                      const PlanBuffers& buffers, Stream stream);
[[nodiscard]] DeviceMask mask_of(const PlanShape& shape, const PlanBuffers& buffers);

}  // namespace dhsa::cuda
