#define DHSA_KERNEL avx512_bf16_kernel
#define DHSA_BFLOAT16_PRODUCTS 1
#include "core/attention/cpu/kernel_body.inc"
