#include "fed/serveropt.h"

#include "fed/serverrule.h"

#include <math.h>
#include <string.h>

static const struct xf_server_rule *rule_of(enum xf_server_kind kind) {
#define ROW(name, text) &xf_server_rule_##name,
  static const struct xf_server_rule *const table[] = {XF_SERVER_RULES(ROW)};
#undef ROW
  const int i = (int)kind - (int)XF_SERVER_N_BUILTIN;
  return i < 0 || kind >= XF_SERVER_N_KIND ? NULL : table[i];
}

uint32_t xf_server_states(enum xf_server_kind kind) {
  switch (kind) {
  case XF_SERVER_MOMENTUM:
  case XF_SERVER_NESTEROV: return 1;
  case XF_SERVER_ADAM:
  case XF_SERVER_YOGI:
  case XF_SERVER_ADAGRAD: return 2;
  default: break;
  }
  const struct xf_server_rule *rule = rule_of(kind);
  return rule ? rule->states : 0;
}

static bool fraction(double x) { return x >= 0 && x < 1; }

bool xf_server_in_range(const struct xf_server_step *step) {
  const uint32_t states = xf_server_states(step->kind);
  const struct xf_server_rule *rule = rule_of(step->kind);
  if (rule) return isfinite(step->eta) && rule->in_range(step);
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
  const struct xf_server_rule *rule = rule_of(s->kind);
  if (rule) return rule->apply(s, p, lane, n);
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
