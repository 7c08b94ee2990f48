/* Decayed sums are kept relative to their own event: D_k = 1 + D_(k-1) exp(-(t_k - t_(k-1)) / tau), so that neither
   old data nor large time stamps overflow; a request decays the last one before it. */
#include "rec/poptime.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const double xf_poptime_taus[XF_POPTIME_TAUS] = {30 * XF_POPTIME_DAY, 90 * XF_POPTIME_DAY,
                                                 365 * XF_POPTIME_DAY};

struct popular {
  struct xf_scorer base; /* first */
  float *score;          /* [n_items] */
};

static enum xf_rc popular_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                                struct xf_diag *diag) {
  (void)q;
  (void)diag;
  memcpy(out, ((const struct popular *)s)->score, s->n_items * sizeof *out);
  return XF_OK;
}

static void popular_free(struct xf_scorer *s) {
  xf_free(((struct popular *)s)->score);
  xf_free(s);
}

static const struct xf_scorer_kind POPULAR = {"popular", popular_score, NULL, popular_free};

enum xf_rc xf_popular_fit(struct xf_scorer **out, const struct xf_rec_data *data,
                          struct xf_diag *diag) {
  struct popular *p = xf_calloc(1, sizeof *p);
  uint32_t *count = xf_try_calloc((size_t)data->n_items + 1, sizeof *count);
  *out = NULL;
  p->base = (struct xf_scorer){.kind = &POPULAR, .n_items = data->n_items};
  p->base.cost.memory = data->n_items * sizeof *p->score;
  p->score = xf_try_calloc((size_t)data->n_items + 1, sizeof *p->score);
  if (!count || !p->score) {
    xf_free(count);
    popular_free(&p->base);
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for the counts of %" PRIu32 " items",
                       data->n_items);
  }
  for (uint32_t k = 0; k < xf_csr_count(data->train); k++) count[data->train->item[k]]++;
  for (uint32_t i = 0; i < data->n_items; i++) p->score[i] = (float)log1p((double)count[i]);
  xf_free(count);
  *out = &p->base;
  return XF_OK;
}

struct event {
  double time;
  double sum; /* decayed to `time`, this event and those before of the same item */
};

struct poptime {
  struct xf_scorer base; /* first */
  uint32_t *start;       /* [n_items + 1] */
  struct event *event;   /* of item i, by time: [start[i], start[i + 1]) */
  double tau, last;      /* seconds; the last event of all */
};

/* Events of [low, high) before t. */
static uint32_t before(const struct event *event, uint32_t low, uint32_t high, double t) {
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (event[middle].time < t) low = middle + 1;
    else high = middle;
  }
  return low;
}

static enum xf_rc poptime_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                                struct xf_diag *diag) {
  const struct poptime *p = (const struct poptime *)s;
  const bool now = isnan(q->at);
  const double t = now ? p->last : q->at;
  (void)diag;
  for (uint32_t i = 0; i < s->n_items; i++) {
    const uint32_t from = p->start[i], to = p->start[i + 1];
    const uint32_t end = now ? to : before(p->event, from, to, t);
    const struct event *e = end > from ? &p->event[end - 1] : NULL;
    out[i] = e ? (float)sqrt(e->sum * exp((e->time - t) / p->tau)) : 0;
  }
  return XF_OK;
}

static void poptime_free(struct xf_scorer *s) {
  struct poptime *p = (struct poptime *)s;
  xf_free(p->start);
  xf_free(p->event);
  xf_free(p);
}

static const struct xf_scorer_kind POPTIME = {"poptime", poptime_score, NULL, poptime_free};

static int by_time(const void *a, const void *b) {
  const double x = ((const struct event *)a)->time, y = ((const struct event *)b)->time;
  return (x > y) - (x < y);
}

/* Events by item, then by time, with their decayed sums. */
static enum xf_rc fill(struct poptime *p, const struct xf_rec_data *data, struct xf_diag *diag) {
  const struct xf_csr *x = data->train;
  const uint32_t n = xf_csr_count(x), n_items = data->n_items;
  p->last = n ? x->time[0] : 0;
  for (uint32_t k = 0; k < n; k++) {
    if (!isfinite(x->time[k]))
      return xf_diag_set(diag, XF_E_NAN, "train event %" PRIu32 " has no finite time", k);
    if (x->time[k] > p->last) p->last = x->time[k];
    p->start[x->item[k] + 1]++;
  }
  for (uint32_t i = 0; i < n_items; i++) p->start[i + 1] += p->start[i];
  /* start[i] serves as the next free place of i, then moves back one item */
  for (uint32_t k = 0; k < n; k++) p->event[p->start[x->item[k]]++].time = x->time[k];
  memmove(p->start + 1, p->start, n_items * sizeof *p->start);
  p->start[0] = 0;
  for (uint32_t i = 0; i < n_items; i++) {
    struct event *e = p->event + p->start[i];
    const uint32_t m = p->start[i + 1] - p->start[i];
    qsort(e, m, sizeof *e, by_time);
    for (uint32_t k = 0; k < m; k++)
      e[k].sum = k ? 1 + e[k - 1].sum * exp((e[k - 1].time - e[k].time) / p->tau) : 1;
  }
  return XF_OK;
}

enum xf_rc xf_poptime_fit(struct xf_scorer **out, const struct xf_rec_data *data, double tau,
                          struct xf_diag *diag) {
  *out = NULL;
  if (!(tau > 0) || !isfinite(tau))
    return xf_diag_set(diag, XF_E_RANGE,
                       "popularity of the recent past: tau is %g seconds; it must be above 0", tau);
  const uint32_t n = xf_csr_count(data->train);
  if (n && !data->train->time)
    return xf_diag_set(diag, XF_E_INVAL,
                       "popularity of the recent past needs the times of events and the data have "
                       "none: name the time column, or use popularity of all time");
  struct poptime *p = xf_calloc(1, sizeof *p);
  p->base = (struct xf_scorer){.kind = &POPTIME, .n_items = data->n_items};
  p->base.cost.memory = n * sizeof *p->event + (data->n_items + 1ull) * sizeof *p->start;
  p->tau = tau;
  p->start = xf_try_calloc((size_t)data->n_items + 2, sizeof *p->start);
  p->event = xf_try_calloc((size_t)n + 1, sizeof *p->event);
  const enum xf_rc rc =
      p->start && p->event
          ? fill(p, data, diag)
          : xf_diag_set(diag, XF_E_NOMEM, "no memory for the times of %" PRIu32 " events", n);
  if (rc) poptime_free(&p->base);
  else *out = &p->base;
  return rc;
}

enum xf_rc xf_poptime_search(uint32_t *best, double *value, const struct xf_rec_data *data,
                             const double *tau, uint32_t n, xf_poptime_value ask, void *arg,
                             struct xf_diag *diag) {
  *best = 0;
  if (n < 1 || n > XF_POPTIME_TAUS_MAX)
    return xf_diag_set(diag, XF_E_INVAL, "%" PRIu32 " values of tau; give 1 to %d", n,
                       XF_POPTIME_TAUS_MAX);
  for (uint32_t k = 0; k < n; k++) {
    struct xf_scorer *scorer = NULL;
    enum xf_rc rc = xf_poptime_fit(&scorer, data, tau[k], diag);
    if (!rc) rc = ask(arg, scorer, &value[k], diag);
    xf_scorer_free(scorer);
    if (!rc && isnan(value[k]))
      rc = xf_diag_set(diag, XF_E_NAN, "tau %g days: the figure is not a number",
                       tau[k] / XF_POPTIME_DAY);
    if (rc) return rc;
    if (value[k] > value[*best]) *best = k;
  }
  return XF_OK;
}
