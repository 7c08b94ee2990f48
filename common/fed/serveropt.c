#include "fed/serveropt.h"

#include <math.h>
#include <string.h>

uint32_t xf_server_states(enum xf_server_kind kind) {
  switch (kind) {
  case XF_SERVER_MOMENTUM:
  case XF_SERVER_NESTEROV: return 1;
  case XF_SERVER_ADAM:
  case XF_SERVER_YOGI:
  case XF_SERVER_ADAGRAD: return 2;
  case XF_SERVER_SGD:
  case XF_SERVER_N_KIND: break;
  }
  return 0;
}

static bool fraction(double x) { return x >= 0 && x < 1; }

bool xf_server_in_range(const struct xf_server_step *step) {
  const uint32_t states = xf_server_states(step->kind);
  if (!isfinite(step->eta) || (states && !fraction(step->b1))) return false;
  return states < 2 || (fraction(step->b2) && step->tau > 0 && isfinite(step->tau) &&
                        step->v0 >= 0 && isfinite(step->v0));
}

void xf_server_start(const struct xf_server_step *step, uint32_t state, float *out, size_t n) {
  const float x = state == 1 ? (float)step->v0 : 0;
  for (size_t j = 0; j < n; j++) out[j] = x;
}

static bool nesterov(const struct xf_server_step *s, const struct xf_server_part *p, double *lane,
                     size_t n) {
  bool ok = true;
  for (size_t j = 0; j < n; j++) {
    const double mean = p->acc[j] / p->weight, m = s->b1 * (double)p->state[0][j] + mean;
    lane[j % 8] += mean * mean;
    p->state[0][j] = (float)m;
    p->new_value[j] = (float)((double)p->old_value[j] + s->eta * (mean + s->b1 * m));
    ok &= isfinite(p->new_value[j]) && isfinite(p->state[0][j]);
  }
  return ok;
}

static double second(const struct xf_server_step *s, double v, double square) {
  if (s->kind == XF_SERVER_ADAGRAD) return v + square;
  if (s->kind == XF_SERVER_ADAM) return s->b2 * v + (1 - s->b2) * square;
  return v > square ? v - (1 - s->b2) * square : v < square ? v + (1 - s->b2) * square : v;
}

bool xf_server_apply(const struct xf_server_step *s, const struct xf_server_part *p, double *lane,
                     size_t n) {
  if (s->kind == XF_SERVER_NESTEROV) return nesterov(s, p, lane, n);
  bool ok = true;
  for (size_t j = 0; j < n; j++) {
    const double mean = p->acc[j] / p->weight, square = mean * mean;
    const double m = s->b1 * (double)p->state[0][j] + (1 - s->b1) * mean;
    const double v = second(s, (double)p->state[1][j], square);
    lane[j % 8] += square;
    p->state[0][j] = (float)m;
    p->state[1][j] = (float)v;
    p->new_value[j] = (float)((double)p->old_value[j] + s->eta * m / (sqrt(v) + s->tau));
    ok &= isfinite(p->new_value[j]) && isfinite(p->state[0][j]) && isfinite(p->state[1][j]);
  }
  return ok;
}
