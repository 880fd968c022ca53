# One source compiled for several instruction sets; gemm.cpp and ops_kernels.cpp pick at run time. -O3 in every build type:
# at -O2 the loops stay scalar, and a debugging build would be too slow to use.
set(model_kernels ${CMAKE_CURRENT_LIST_DIR})
set(model_kernel_options -O3 -fopenmp-simd -fno-math-errno -fno-trapping-math -ffp-contract=fast)
set(model_kernel_portable "")
set(model_kernel_avx2 -march=x86-64-v3)
set(model_kernel_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
set(model_kernel_avx512bf16 -march=x86-64-v4 -mavx512bf16 -mprefer-vector-width=512)
set(model_x86 FALSE)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(model_x86 TRUE)
  set_property(SOURCE ${model_kernels}/ops_kernels.cpp ${model_kernels}/gemm.cpp APPEND PROPERTY
    COMPILE_DEFINITIONS DHSA_OPS_X86)
endif()
foreach(set portable avx2 avx512 avx512bf16)
  set(source ${model_kernels}/kernel_${set}.cpp)
  set_source_files_properties(${source} PROPERTIES
    OBJECT_DEPENDS "${model_kernels}/ops_kernels.inc;${model_kernels}/gemm.inc")
  set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${model_kernel_options})
  if(model_x86)
    set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS ${model_kernel_${set}})
  endif()
endforeach()
