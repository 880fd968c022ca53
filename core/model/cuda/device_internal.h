// What the host side of the CUDA code shares: libtorch's stream and tensors as the kernels take them.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/cuda/CUDAStream.h>
#include <fmt/format.h>

#include <vector>

#include "core/base/error.h"
#include "core/model/on_cuda_internal.h"
#include "core/sparsity/cuda/device_mask.h"

namespace dhsa::on_cuda {

inline cuda::Stream stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

inline void check(const char* fault) {
  if (fault != nullptr) throw Error(fmt::format("The GPU refused a step: {}.", fault));
}

inline cuda::DeviceHeads heads_of(const at::Tensor& tensor) {
  return {tensor.data_ptr(), tensor.stride(0), tensor.stride(1)};
}

// Plain values as bytes on the device.
template <class T>
at::Tensor upload(const std::vector<T>& values) {
  const auto bytes = static_cast<std::int64_t>(values.size() * sizeof(T));
  return to_device(at::from_blob(const_cast<T*>(values.data()), {bytes}, at::TensorOptions().dtype(at::kByte)));
}

template <class T>
T* data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

}  // namespace dhsa::on_cuda
