// Starting kernels. Functions return nullptr, or CUDA's words for what went wrong.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "core/sparsity/cuda/device_mask.h"

namespace dhsa::cuda {

inline const char* words(cudaError_t error) { return error == cudaSuccess ? nullptr : cudaGetErrorString(error); }

// `shared` bytes of dynamic shared memory, found by dynamic_shared(). An empty grid is nothing to do.
template <class... Parameters, class... Arguments>
const char* launch(void (*kernel)(Parameters...), dim3 grid, int threads, std::size_t shared, Stream stream,
                   const Arguments&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return nullptr;
  constexpr std::size_t kWithoutAsking = 48 * 1024;
  if (shared > kWithoutAsking) {
    const cudaError_t raised =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (raised != cudaSuccess) return words(raised);
  }
  kernel<<<grid, threads, shared, static_cast<cudaStream_t>(stream)>>>(static_cast<Parameters>(arguments)...);
  return words(cudaGetLastError());
}

// All blocks at once, so that they may wait for each other: as many as fit, at most `blocks`.
template <class... Parameters, class... Arguments>
const char* launch_together(void (*kernel)(Parameters...), int blocks, int threads, Stream stream,
                            const Arguments&... arguments) {
  int device = 0, processors = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return words(error);
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(blocks < processors ? blocks : processors));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = static_cast<cudaStream_t>(stream);
  cudaLaunchAttribute together = {};
  together.id = cudaLaunchAttributeCooperative;
  together.val.cooperative = 1;
  config.attrs = &together;
  config.numAttrs = 1;
  return words(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char dynamic_bytes[];
  return reinterpret_cast<T*>(dynamic_bytes);
}

}  // namespace dhsa::cuda
