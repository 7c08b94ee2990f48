/* Power-of-choice: of d candidates drawn in proportion to their samples, the largest losses first. */
#include "base/alloc.h"
#include "fed/selectpolicy.h"

void xf_select_order_choice(uint32_t *order, const struct xf_select_policy *policy,
                            const struct xf_select_pool *pool, struct xf_rng *rng) {
  const uint32_t n = pool->n;
  uint64_t d = policy->candidates ? policy->candidates : 2 * (uint64_t)pool->asked;
  if (d < pool->asked) d = pool->asked;
  if (d > n) d = n;
  double *samples = xf_calloc(2 * (size_t)n, sizeof *samples), *loss = samples + n;
  xf_select_fill(samples, loss, pool);
  for (uint32_t i = 0; i < n; i++) order[i] = i;
  xf_select_shuffle(order, n, samples, rng);
  xf_select_sort(order, (uint32_t)d, loss);
  xf_free(samples);
}
