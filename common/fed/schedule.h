/*
 * schedule.h - what becomes of a rate over the commits of a stage: a number that is multiplied with it.
 *
 * With t commits of the stage done, W of them warm-up and T in all, the factor is (t + 1) / W while t < W, and then, of
 * u = t - W and U = T - W:
 *   constant      1
 *   linear        f + (1 - f) (1 - u / U)
 *   cosine        f + (1 - f) (1 + cos(pi u / U)) / 2
 *   step          c^floor(u / every)
 *   exponential   c^u
 *   inverse       1 / (1 + c u)
 *   inverse-root  1 / sqrt(1 + u)
 * with f = floor, c = factor. u counts as U behind the end. A void round changes nothing, so t counts commits: the
 * coordinator's rate and the silos' depend on the same number, whoever missed rounds.
 *
 * Powers are products in one order and the same bits on every CPU; the cosine is libm's, whose bits may differ in the last
 * place between machines with other libm code paths.
 *
 * Not for: rates within one task. Thread: any. Owner: caller's struct.
 * @source Loshchilov, Hutter 2017, "SGDR", eq. 5 without restarts (cosine); Goyal et al. 2017, section 2.2 (warm-up)
 */
#ifndef XF_FED_SCHEDULE_H
#define XF_FED_SCHEDULE_H

#include "base/diag.h"

#include <stdint.h>

/* X(enumerator, text) */
#define XF_SCHEDULE_LIST(X)                 \
  X(XF_SCHEDULE_CONSTANT, "constant")       \
  X(XF_SCHEDULE_LINEAR, "linear")           \
  X(XF_SCHEDULE_COSINE, "cosine")           \
  X(XF_SCHEDULE_STEP, "step")               \
  X(XF_SCHEDULE_EXPONENTIAL, "exponential") \
  X(XF_SCHEDULE_INVERSE, "inverse")         \
  X(XF_SCHEDULE_INVERSE_ROOT, "inverse-root")
#define XF_SCHEDULE_ENUMERATOR_(name, text) name,
enum xf_schedule_kind { XF_SCHEDULE_LIST(XF_SCHEDULE_ENUMERATOR_) };
#undef XF_SCHEDULE_ENUMERATOR_

/* All zero: constant. */
struct xf_schedule {
  enum xf_schedule_kind kind;
  uint32_t rounds; /* T; linear and cosine need it */
  uint32_t warmup; /* W < T */
  uint32_t every;  /* step */
  double factor;   /* step, exponential: in (0, 1]; inverse: above 0 */
  double floor;    /* linear, cosine: in [0, 1] */
};

/* Numbers in range. @err E_RANGE E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_schedule_check(const struct xf_schedule *schedule,
                                            struct xf_diag *diag);
/* The factor of commit t, counted from 0, of a checked schedule; in [0, 1]. @unit of the rate @thread any */
double xf_schedule_get(const struct xf_schedule *schedule, uint64_t t);
/* x^n by squaring: products in one order, so the same bits whatever libm's pow does. @thread any */
double xf_schedule_power(double x, uint64_t n);

#endif
