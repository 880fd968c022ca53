# CUDA sources of the whole core; included by core/CMakeLists.txt. The .cu files see raw pointers only, never libtorch;
# the .cpp files beside them hand libtorch's device memory to them.
if(DHSA_CUDA)
  file(GLOB_RECURSE DHSA_CUDA_HOST_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/core/*/cuda/*.cpp)
  target_sources(dhsa_core PRIVATE ${DHSA_CUDA_HOST_SOURCES})
  enable_language(CUDA)
  find_package(CUDAToolkit REQUIRED)
  file(GLOB_RECURSE DHSA_CUDA_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/core/*.cu)
  add_library(dhsa_cuda_kernels STATIC ${DHSA_CUDA_SOURCES})
  set_target_properties(dhsa_cuda_kernels PROPERTIES CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON)
  target_include_directories(dhsa_cuda_kernels PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_options(dhsa_cuda_kernels PRIVATE --expt-relaxed-constexpr)
  if("90a" IN_LIST CMAKE_CUDA_ARCHITECTURES)
    target_compile_definitions(dhsa_cuda_kernels PRIVATE DHSA_SM90A)  # this build holds the Hopper kernel
  endif()
  target_link_libraries(dhsa_cuda_kernels PUBLIC CUDA::cudart)
  target_link_libraries(dhsa_core PRIVATE dhsa_cuda_kernels)
  target_compile_definitions(dhsa_core PUBLIC DHSA_CUDA)
endif()
