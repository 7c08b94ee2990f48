/* Lion on the server: each coordinate moves by the rate in the direction of a mix of m and D.
     w += eta sign(b1 m + (1 - b1) D);  m = b2 m + (1 - b2) D;  sign(0) = 0
   Without weight decay. @source Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms", algorithm 2 */
#include "fed/serverrule.h"

#include <math.h>

static bool in_range(const struct xf_server_step *s) {
  return s->b1 >= 0 && s->b1 < 1 && s->b2 >= 0 && s->b2 < 1;
}

static bool apply(const struct xf_server_step *s, const struct xf_server_part *p, double *lane,
                  size_t n) {
  bool ok = true;
  for (size_t j = 0; j < n; j++) {
    const double mean = p->acc[j] / p->weight, m = (double)p->state[0][j];
    const double mix = s->b1 * m + (1 - s->b1) * mean;
    const double sign = (double)((mix > 0) - (mix < 0));
    lane[j % 8] += mean * mean;
    p->state[0][j] = (float)(s->b2 * m + (1 - s->b2) * mean);
    p->new_value[j] = (float)((double)p->old_value[j] + s->eta * sign);
    ok &= isfinite(p->new_value[j]) && isfinite(p->state[0][j]);
  }
  return ok;
}

const struct xf_server_rule xf_server_rule_LION = {1, in_range, apply};
