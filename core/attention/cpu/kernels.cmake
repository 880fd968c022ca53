# One object library per instruction set. Optimised in every build type: an unoptimised kernel cannot be judged.
# -ffp-contract=fast: fused multiply-adds from plain a * b + c. No -ffast-math: rounding by a large constant must stay.
# GCC 12 warns about its own AVX-512 headers (-Wmaybe-uninitialized), and about vectors passed between inlined functions (-Wpsabi).
function(dhsa_add_kernel name)
  add_library(dhsa_kernel_${name} OBJECT ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/kernel_${name}.cpp)
  target_link_libraries(dhsa_kernel_${name} PRIVATE dhsa_options)
  target_compile_options(dhsa_kernel_${name} PRIVATE -O3 -fno-math-errno -fno-trapping-math -ffp-contract=fast -Wno-psabi
                                                     -Wno-maybe-uninitialized
                                                     ${ARGN})
  target_sources(dhsa_core PRIVATE $<TARGET_OBJECTS:dhsa_kernel_${name}>)
endfunction()

dhsa_add_kernel(portable)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  dhsa_add_kernel(avx2 -march=x86-64-v3)
  dhsa_add_kernel(avx512 -march=x86-64-v4 -mprefer-vector-width=512)
  dhsa_add_kernel(avx512_bf16 -march=x86-64-v4 -mavx512bf16 -mprefer-vector-width=512)
endif()
