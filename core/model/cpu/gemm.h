// Matrix product with packed weights: out [rows, columns] = a [rows, k] weight^T, what every linear layer on the CPU
// runs on. Weights are packed once, when the model is loaded, so that the inner loop only reads forward.
//
// Packed form: panels of 32 output columns. float32: [panel][k][32]; bfloat16: [panel][k / 2][32][2], which a
// bfloat16 dot-product instruction takes as it is and float32 kernels widen on the way. Columns past the last are zero.
// A sum runs over k in order, so a result does not depend on how rows are cut into blocks or on threads.
#pragma once

#include <cstdint>
#include <vector>

namespace dhsa {

constexpr std::int64_t kPanelColumns = 32;

struct GemmCall {
  const void* a = nullptr;
  bool a_bf16 = false;
  const void* weight = nullptr;  // packed
  bool weight_bf16 = false;
  std::int64_t k = 0;  // even where the weight is bfloat16
  std::int64_t rows = 0;
  std::int64_t columns = 0;  // of out
  void* out = nullptr;
  bool out_bf16 = false;
  std::int64_t a_stride = 0;  // elements from row to row
  std::int64_t out_stride = 0;
  // Panels hold 16 gates and the 16 ups that belong to them; out gets gelu_tanh(gate) * up, so 16 columns per panel.
  bool gated = false;
};

constexpr std::int64_t panel_outputs(bool gated) { return gated ? kPanelColumns / 2 : kPanelColumns; }
constexpr std::int64_t panels_of(std::int64_t columns, bool gated) {
  return (columns + panel_outputs(gated) - 1) / panel_outputs(gated);
}

struct GemmKernel {
  const char* name;
  bool a_bf16;  // takes bfloat16 activations (with bfloat16 weights only); others take float32
  void (*run)(const GemmCall& call, std::int64_t panel_begin, std::int64_t panel_end);
};

[[nodiscard]] std::vector<const GemmKernel*> available_gemm_kernels();  // those this machine runs, slowest first
// The fastest for these activations; null where the machine has no bfloat16 dot product (then widen them).
[[nodiscard]] const GemmKernel* gemm_kernel(bool a_bf16);
// Runs all panels on all threads, with the fastest kernel (or the one given).
void gemm(const GemmCall& call, const GemmKernel* kernel = nullptr);
// Packs 32 rows [32, k] of a weight into one panel.
void pack_panel(const float* rows, std::int64_t k, float* panel);
void pack_panel(const std::uint16_t* rows, std::int64_t k, std::uint16_t* panel);

}  // namespace dhsa
