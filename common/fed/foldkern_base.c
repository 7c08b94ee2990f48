/* For every x86-64-v2 machine (and, as plain vectors, for others). */
#include "fed/foldkern.h"

#include <float.h>
#include <string.h>

#define KERN_ADD add_sse2
#define KERN_FINISH finish_sse2
#define KERN_WIDTH 4
#define FMA(a, b, c) ((a) * (b) + (c))
#include "fed/foldkern_body.inc"

const struct xf_fold_kern xf_fold_kern_sse2 = {"sse2", add_sse2, finish_sse2};
