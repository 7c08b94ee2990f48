/* The kernels of each operation in float (fast and reference: the table decides) and in double. */
#include "nn/optable.h"

#include <string.h>

typedef void run_fn(const struct xf_kargs *a);
static run_fn *const f_none = NULL, *const d_none = NULL;

#define xf_real float
#define K xf_kern
#define RUN(name) f_##name
#include "nn/run_body.inc"
#undef xf_real
#undef K
#undef RUN

#define xf_real double
#define K xf_kern64
#define RUN(name) d_##name
#include "nn/run_body.inc"

void (*const xf_op_run_f[XF_N_OP])(const struct xf_kargs *a) = {
#define XF_OP_RUN(n, text, lo, hi, outs, shape, vjp, run) f_##run,
    XF_OP_LIST(XF_OP_RUN)
#undef XF_OP_RUN
};

void (*const xf_op_run_d[XF_N_OP])(const struct xf_kargs *a) = {
#define XF_OP_RUN(n, text, lo, hi, outs, shape, vjp, run) d_##run,
    XF_OP_LIST(XF_OP_RUN)
#undef XF_OP_RUN
};
