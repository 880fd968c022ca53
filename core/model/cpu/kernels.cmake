# One source compiled for several instruction sets; ops_kernels.cpp picks at run time. -O3 in every build type: at -O2
# the loops stay scalar, and a debugging build would be too slow to use.
set(model_kernels ${CMAKE_CURRENT_LIST_DIR})
set(model_kernel_options -O3 -fopenmp-simd -fno-math-errno -fno-trapping-math -ffp-contract=fast)
foreach(set portable avx2 avx512)
  set_source_files_properties(${model_kernels}/kernel_${set}.cpp PROPERTIES
    OBJECT_DEPENDS ${model_kernels}/ops_kernels.inc)
endforeach()
set_property(SOURCE ${model_kernels}/kernel_portable.cpp APPEND PROPERTY COMPILE_OPTIONS ${model_kernel_options})
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_property(SOURCE ${model_kernels}/kernel_avx2.cpp APPEND PROPERTY COMPILE_OPTIONS ${model_kernel_options}
    -march=x86-64-v3)
  set_property(SOURCE ${model_kernels}/kernel_avx512.cpp APPEND PROPERTY COMPILE_OPTIONS ${model_kernel_options}
    -march=x86-64-v4 -mprefer-vector-width=512)
  set_property(SOURCE ${model_kernels}/ops_kernels.cpp APPEND PROPERTY COMPILE_DEFINITIONS DHSA_OPS_X86)
endif()
