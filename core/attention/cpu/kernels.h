// What attend.cpp and the kernels of one instruction set agree on. The kernel_*.cpp files are compiled with flags of
// their own, so nothing here may be inline or a template with external linkage: the linker could keep the copy that
// needs AVX-512 for everybody. Plain data and function pointers only.
#pragma once

#include <cstdint>

namespace dhsa::cpu {

struct KeyRange {
  std::int32_t begin;  // first key
  std::int32_t end;    // one past the last
};

// Several query heads of one kv head over the same rows and the same keys: their queries are the "lanes" of a block,
// lane = head * rows + row. Strides count elements of the tensor's own type.
struct BlockTask {
  const void* query;  // first head, first row of the block
  std::int64_t query_head_stride;
  std::int64_t query_row_stride;
  const void* key;  // row 0 of the kv head
  std::int64_t key_row_stride;
  const void* value;
  std::int64_t value_row_stride;
  void* out;
  std::int64_t out_head_stride;
  std::int64_t out_row_stride;
  bool bfloat16_in;
  bool bfloat16_out;
  std::int32_t heads;
  std::int32_t rows;
  std::int32_t dim;
  std::int32_t row_begin;  // position of the block's first row
  std::int32_t window;     // 0: none
  const KeyRange* ranges;  // ascending, disjoint, none beyond the last row
  std::int32_t range_count;
  float scale;
  float softcap;  // 0: none
};

struct KernelTable {
  // A block may have at most this many lanes.
  int (*max_lanes)(int dim);
  std::int64_t (*scratch_bytes)(int dim);
  // scratch: scratch_bytes(dim), aligned to 64 bytes, contents irrelevant.
  void (*attend_block)(const BlockTask& task, void* scratch);
  // weights[i] = exp(softcap(scores[i])), softcap 0: exp(scores[i]). The same arithmetic as the kernel's, for tests;
  // the kernel's own rounding of weights to bfloat16 is left out.
  void (*weigh)(const float* scores, float* weights, std::int64_t count, float softcap);
  // Runs `steps` rounds of independent multiply-adds in registers and returns the floating-point operations done.
  double (*multiply_add_loop)(std::int64_t steps);
};

// One per instruction set; each may be called only where the machine has it.
const KernelTable* portable_kernel() noexcept;
#if defined(__x86_64__)
const KernelTable* avx2_kernel() noexcept;
const KernelTable* avx512_kernel() noexcept;
const KernelTable* avx512_bf16_kernel() noexcept;
#endif

}  // namespace dhsa::cpu
