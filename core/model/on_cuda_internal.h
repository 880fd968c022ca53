// What a prefill needs of a CUDA device. Defined in core/model/cuda/ where CUDA is built, else in without_cuda.cpp.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/attention/attend.h"
#include "core/model/config.h"
#include "core/model/observer.h"

namespace dhsa::on_cuda {

[[nodiscard]] bool available();
// Throws Error where there is no device, with the reason.
void require();
[[nodiscard]] at::Tensor to_device(const at::Tensor& host);

struct Memory {
  std::int64_t allocated = 0;  // tensors now
  std::int64_t peak = 0;       // most since reset_peak()
  std::int64_t free = 0;       // what could still be allocated
};
[[nodiscard]] Memory memory();
void reset_peak();

// The steps of ops_internal.h for tensors on the device: same meaning, same shapes, bfloat16 activations only.
void embed(std::span<const std::int32_t> ids, const at::Tensor& table, float scale, at::Tensor& x);
void rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& out);
void add_normed(const at::Tensor& branch, const at::Tensor& weight, double eps, at::Tensor& x);
void rope_angles(std::span<const float> inverse_frequency, std::int64_t first, at::Tensor& angles);
void split_and_rotate(const at::Tensor& qkv, const at::Tensor& angles, at::Tensor& q, at::Tensor& k, at::Tensor& v);
void geglu(const at::Tensor& gate_up, at::Tensor& out);
void linear(const at::Tensor& x, const at::Tensor& weight, at::Tensor& out);
void attend_one(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const ScoreRule& rule, at::Tensor& out);

// libtorch's scaled_dot_product_attention, causal, without softcap or window: a baseline of the benchmarks. 2.x only.
void attend_sdpa(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, float scale, at::Tensor& out);
[[nodiscard]] at::Tensor random_heads(std::int64_t heads, std::int64_t rows, std::int64_t dim);  // bfloat16, normal

// Stage times from events on the stream, so that the host can run ahead of the device.
class StageClock {
 public:
  StageClock();
  ~StageClock();
  void begin(Stage stage, int layer);
  void end();
  // Reports of stages that have ended since the last call, in order; all of them if `wait`.
  [[nodiscard]] std::vector<StageReport> finished(bool wait);

 private:
  struct Events;
  std::unique_ptr<Events> events_;
};

// Planning and attention of the layers of one prefill. Planners that make_planner() made plan on the device, or from
// lengths alone; of any other, keys and queries go to the host and the mask comes back.
class LayerAttention {
 public:
  LayerAttention(Planner& planner, std::int64_t tokens);
  ~LayerAttention();
  void plan(const at::Tensor& q, const at::Tensor& k, const LayerInfo& layer, const CancelToken* cancel);
  // q, out [H, L, D]; k, v [Hkv, L, D], under the mask planned last.
  void attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const ScoreRule& rule, at::Tensor& out);
  [[nodiscard]] Plan host_plan();  // of the layer planned last

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dhsa::on_cuda
