#define DHSA_KERNEL avx512_kernel
#include "core/attention/cpu/kernel_body.inc"
