#include <optional>

#include "core/model/cuda/device_planner_internal.h"
#include "core/model/ops_internal.h"

namespace dhsa::on_cuda {

struct LayerAttention::State {
  Planner& planner;
  std::optional<DevicePlanner> device;      // where the planner can be had there
  std::optional<MaskOnDevice> uploaded[2];  // global and local layers
  std::optional<Plan> by_length[2];         // plans of planners that look at lengths only
  Plan host;                                // the last plan made on the host
  const MaskOnDevice* mask = nullptr;       // the last
  int kind = 0;

  State(Planner& asked, std::int64_t tokens) : planner(asked) {
    if (asked.reads_tensors() && asked.inputs() != nullptr) device.emplace(*asked.inputs(), tokens);
  }

  void plan_on_host(const at::Tensor& q, const at::Tensor& k, const LayerInfo& layer, const CancelToken* cancel) {
    kind = layer.local() ? 1 : 0;
    if (planner.reads_tensors() || !uploaded[kind]) {
      if (planner.reads_tensors()) {
        const at::Tensor host_q = q.cpu(), host_k = k.cpu();
        host = planner.plan(ops::view(host_q), ops::view(host_k), layer, cancel);
      } else {
        host = planner.plan(ops::view(q), ops::view(k), layer, cancel);  // looks at the shapes only
        by_length[kind] = host;
      }
      uploaded[kind].emplace(host.mask);
    }
    mask = &*uploaded[kind];
  }
};

LayerAttention::LayerAttention(Planner& planner, std::int64_t tokens)
    : state_(std::make_unique<State>(planner, tokens)) {}
LayerAttention::~LayerAttention() = default;

void LayerAttention::plan(const at::Tensor& q, const at::Tensor& k, const LayerInfo& layer, const CancelToken* cancel) {
  State& s = *state_;
  if (s.device) {
    s.mask = &s.device->plan(q, k, layer, cancel);
  } else {
    s.plan_on_host(q, k, layer, cancel);
  }
}

void LayerAttention::attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const ScoreRule& rule,
                            at::Tensor& out) {
  const MaskOnDevice& mask = *state_->mask;
  cuda::AttendArguments a;
  a.q = heads_of(q);
  a.k = heads_of(k);
  a.v = heads_of(v);
  a.out = heads_of(out);
  a.heads = static_cast<int>(q.size(0));
  a.kv_heads = static_cast<int>(k.size(0));
  a.dim = static_cast<int>(q.size(2));
  a.scale = rule.scale;
  a.softcap = rule.softcap;
  a.mask = mask.view();
  a.tiles = mask.tiles();
  a.tile_count = mask.tile_count();
  check(cuda::attend(a, stream()));
}

Plan LayerAttention::host_plan() {
  const State& s = *state_;
  if (s.device) return s.device->host_plan();
  return s.by_length[s.kind] ? *s.by_length[s.kind] : s.host;
}

}  // namespace dhsa::on_cuda
