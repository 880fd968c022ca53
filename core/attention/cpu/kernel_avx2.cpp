#define DHSA_KERNEL avx2_kernel
#include "core/attention/cpu/kernel_body.inc"
