#define DHSA_KERNEL portable_kernel
#include "core/attention/cpu/kernel_body.inc"
