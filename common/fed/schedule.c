#include "fed/schedule.h"

#include <math.h>
#include <stddef.h>

static const double pi = 3.14159265358979323846;

static const char *text(enum xf_schedule_kind kind) {
  static const char *const names[] = {
#define SCHEDULE_NAME(name, t) t,
      XF_SCHEDULE_LIST(SCHEDULE_NAME)
#undef SCHEDULE_NAME
  };
  return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : NULL;
}

enum xf_rc xf_schedule_check(const struct xf_schedule *schedule, struct xf_diag *diag) {
  const struct xf_schedule *s = schedule;
  const enum xf_schedule_kind k = s->kind;
  const char *name = text(k);
  if (!name) return xf_diag_set(diag, XF_E_UNSUPPORTED, "no schedule %d", (int)k);
  const bool ends = k == XF_SCHEDULE_LINEAR || k == XF_SCHEDULE_COSINE;
  if ((ends || s->warmup) && s->warmup >= s->rounds)
    return xf_diag_set(
        diag, XF_E_RANGE,
        "schedule %s: %u commits of warm-up in a stage of %u; the stage must be longer", name,
        s->warmup, s->rounds);
  if (k == XF_SCHEDULE_STEP && !s->every)
    return xf_diag_set(diag, XF_E_RANGE, "schedule step: every is 0; it must be at least 1");
  if ((k == XF_SCHEDULE_STEP || k == XF_SCHEDULE_EXPONENTIAL) && !(s->factor > 0 && s->factor <= 1))
    return xf_diag_set(diag, XF_E_RANGE, "schedule %s: factor is %g; it must lie in (0, 1]", name,
                       s->factor);
  if (k == XF_SCHEDULE_INVERSE && (!(s->factor > 0) || !isfinite(s->factor)))
    return xf_diag_set(diag, XF_E_RANGE, "schedule inverse: factor is %g; it must be above 0",
                       s->factor);
  if (!(s->floor >= 0 && s->floor <= 1))
    return xf_diag_set(diag, XF_E_RANGE, "schedule %s: floor is %g; it must lie in [0, 1]", name,
                       s->floor);
  return XF_OK;
}

double xf_schedule_power(double x, uint64_t n) {
  double y = 1;
  for (; n; n >>= 1, x *= x)
    if (n & 1) y *= x;
  return y;
}

double xf_schedule_get(const struct xf_schedule *schedule, uint64_t t) {
  const struct xf_schedule *s = schedule;
  if (t < s->warmup) return (double)(t + 1) / (double)s->warmup;
  const uint64_t u = t - s->warmup, all = s->rounds - s->warmup;
  const double x = (double)(u < all ? u : all) / (double)all; /* linear, cosine */
  switch (s->kind) {
  case XF_SCHEDULE_CONSTANT: break;
  case XF_SCHEDULE_LINEAR: return s->floor + (1 - s->floor) * (1 - x);
  case XF_SCHEDULE_COSINE: return s->floor + (1 - s->floor) * 0.5 * (1 + cos(pi * x));
  case XF_SCHEDULE_STEP: return xf_schedule_power(s->factor, u / s->every);
  case XF_SCHEDULE_EXPONENTIAL: return xf_schedule_power(s->factor, u);
  case XF_SCHEDULE_INVERSE: return 1 / (1 + s->factor * (double)u);
  case XF_SCHEDULE_INVERSE_ROOT: return 1 / sqrt(1 + (double)u);
  }
  return 1;
}
