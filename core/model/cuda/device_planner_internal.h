// Every planner that reads queries and keys, on the device: kernels of core/sparsity/cuda and libtorch's operations,
// with the rules of core/sparsity for what a group reaches, always keeps and may choose. Only chunks as query groups
// (query-grouping chunks) and the token top-k oracle wait for the device in between.
#pragma once

#include <memory>

#include "core/model/cuda/mask_on_device_internal.h"
#include "core/sparsity/planner.h"

namespace dhsa::on_cuda {

class DevicePlanner {
 public:
  DevicePlanner(const PlannerInputs& inputs, std::int64_t tokens);
  ~DevicePlanner();
  // Valid until the next layer of the same kind (local or global) is planned.
  const MaskOnDevice& plan(const at::Tensor& q, const at::Tensor& k, const LayerInfo& layer, const CancelToken* cancel);
  [[nodiscard]] Plan host_plan() const;  // of the layer planned last

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace dhsa::on_cuda
