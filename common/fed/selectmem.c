#include "fed/selectmem.h"

#include "base/alloc.h"

#include <math.h>
#include <stdbool.h>

/* What silos say is bounded, so that products of it are finite. */
#define SAMPLES_MAX 1e15
#define LOSS_MAX 1e30

void xf_select_memory_init(struct xf_select_memory *mem, uint32_t n,
                           const struct xf_select_pacer *pacer) {
  *mem = (struct xf_select_memory){.n = n, .pacer = *pacer, .quantile = pacer->quantile};
  mem->known = xf_calloc(n ? n : 1, sizeof *mem->known);
  if (pacer->window) mem->utility = xf_calloc(2 * (size_t)pacer->window, sizeof *mem->utility);
}

void xf_select_memory_deinit(struct xf_select_memory *mem) {
  xf_free(mem->known);
  xf_free(mem->utility);
  *mem = (struct xf_select_memory){0};
}

/* Commits first + 1 .. first + window. */
static double window_sum(const struct xf_select_memory *mem, uint64_t first) {
  const uint64_t len = 2 * (uint64_t)mem->pacer.window;
  double sum = 0;
  for (uint64_t k = first; k < first + mem->pacer.window; k++) sum += mem->utility[k % len];
  return sum;
}

static void pace(struct xf_select_memory *mem, double utility) {
  const uint32_t w = mem->pacer.window;
  mem->utility[(mem->commits - 1) % (2 * (uint64_t)w)] = utility;
  if (mem->commits < 2 * (uint64_t)w || mem->commits % w) return;
  const double before = window_sum(mem, mem->commits - 2 * (uint64_t)w),
               now = window_sum(mem, mem->commits - w), moved = fabs(now - before);
  if (moved <= 0.1 * before) mem->quantile = fmin(1, mem->quantile + mem->pacer.step);
  else if (moved >= 5 * before)
    mem->quantile = fmax(mem->pacer.step, mem->quantile - mem->pacer.step);
}

void xf_select_learn(struct xf_select_memory *mem, const struct xf_select_seen *seen, uint32_t n) {
  double sum = 0;
  uint32_t count = 0;
  mem->commits++;
  for (uint32_t k = 0; k < n; k++) {
    struct xf_select_known *m = &mem->known[seen[k].member];
    const bool first = m->times == 0;
    m->times++;
    m->last = mem->commits;
    m->loss = isfinite(seen[k].loss) ? fmax(-LOSS_MAX, fmin(seen[k].loss, LOSS_MAX)) : (double)NAN;
    if (seen[k].samples > 0) m->samples = fmin(seen[k].samples, SAMPLES_MAX);
    if (!first && !isnan(m->loss)) {
      sum += m->samples * fmax(0, m->loss);
      count++;
    }
    if (seen[k].seconds > 0) m->seconds = seen[k].seconds;
  }
  if (mem->pacer.window) pace(mem, count ? sum / count : 0);
}
