/* The fast kernels for every x86-64 CPU (x86-64-v2) and for other machines. */
#define XF_ISA "base"
#define xf_fast_table xf_fast_base
#include "tensor/fast_body.inc"
