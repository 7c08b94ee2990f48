/* The reference tables: ref_body.inc in float and in double. */
#include "tensor/kern.h"

#include <math.h>

#define XF_ISA "reference"
enum { XF_PANEL = 5 }; /* anything will do */

#define xf_real float
#define XF_K(name) name##_float
#define XF_M(name) name##f
#include "tensor/ref_body.inc"
const struct xf_kern xf_kern_ref =
#include "tensor/kern_fill.inc"
    ;
#undef xf_real
#undef XF_K
#undef XF_M

#define xf_real double
#define XF_K(name) name##_double
#define XF_M(name) name
#include "tensor/ref_body.inc"
const struct xf_kern64 xf_kern_ref64 =
#include "tensor/kern_fill.inc"
    ;
