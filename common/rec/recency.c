/* Ages of items by their events in order of time. */
#include "rec/recency.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static const double DAY = 86400, NEVER = 5000 * 86400.0;

struct recency {
  struct xf_scorer base; /* first */
  uint32_t *start;       /* [n_items + 1] */
  double *time;          /* of item i, ascending: [start[i], start[i + 1]) */
  double last;           /* of all events */
};

static const struct recency *self(const struct xf_scorer *s) { return (const struct recency *)s; }

static double instant(const struct recency *r, const struct xf_query *q, bool *now) {
  *now = isnan(q->at);
  return *now ? r->last : q->at;
}

static float score_of(double age, double least) {
  return (float)-log(least + fmin(fmax(age, 0), NEVER) / DAY);
}

static enum xf_rc newest_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                               struct xf_diag *diag) {
  const struct recency *r = self(s);
  bool now;
  const double t = instant(r, q, &now);
  (void)diag;
  for (uint32_t i = 0; i < s->n_items; i++) {
    const bool any = r->start[i + 1] > r->start[i];
    const double first = any ? r->time[r->start[i]] : 0;
    out[i] = score_of(any && (now || first < t) ? t - first : NEVER, 10);
  }
  return XF_OK;
}

static enum xf_rc latest_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                               struct xf_diag *diag) {
  const struct recency *r = self(s);
  bool now;
  const double t = instant(r, q, &now);
  (void)diag;
  for (uint32_t i = 0; i < s->n_items; i++) {
    uint32_t low = r->start[i], high = r->start[i + 1];
    while (!now && low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (r->time[middle] < t) low = middle + 1;
      else high = middle;
    }
    out[i] = score_of(high > r->start[i] ? t - r->time[high - 1] : NEVER, 1);
  }
  return XF_OK;
}

static void recency_free(struct xf_scorer *s) {
  struct recency *r = (struct recency *)s;
  xf_free(r->start);
  xf_free(r->time);
  xf_free(r);
}

static const struct xf_scorer_kind NEWEST = {"newest", newest_score, NULL, recency_free};
static const struct xf_scorer_kind LATEST = {"latest", latest_score, NULL, recency_free};

static int by_time(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static enum xf_rc fill(struct recency *r, const struct xf_rec_data *data, struct xf_diag *diag) {
  const struct xf_csr *x = data->train;
  const uint32_t n = xf_csr_count(x), n_items = data->n_items;
  uint32_t *at = r->start + 1; /* becomes the next free place, then the row's end */
  r->last = -INFINITY;
  for (uint32_t k = 0; k < n; k++) {
    if (!isfinite(x->time[k]))
      return xf_diag_set(diag, XF_E_NAN, "train event %" PRIu32 " has no finite time", k);
    r->last = fmax(r->last, x->time[k]);
    r->start[x->item[k] + 1]++;
  }
  for (uint32_t i = 0; i < n_items; i++) r->start[i + 1] += r->start[i];
  for (uint32_t i = n_items; i > 0; i--) at[i - 1] = r->start[i - 1];
  for (uint32_t k = 0; k < n; k++) r->time[at[x->item[k]]++] = x->time[k];
  for (uint32_t i = 0; i < n_items; i++)
    qsort(r->time + r->start[i], r->start[i + 1] - r->start[i], sizeof *r->time, by_time);
  return XF_OK;
}

static enum xf_rc fit(struct xf_scorer **out, const struct xf_scorer_kind *kind,
                      const struct xf_rec_data *data, struct xf_diag *diag) {
  const uint32_t n = xf_csr_count(data->train);
  *out = NULL;
  if (n && !data->train->time)
    return xf_diag_set(diag, XF_E_INVAL,
                       "\"%s\" needs the times of events and the data have none: name the time "
                       "column, or leave it out",
                       kind->name);
  struct recency *r = xf_calloc(1, sizeof *r);
  r->base = (struct xf_scorer){.kind = kind, .n_items = data->n_items};
  r->base.cost.memory = n * sizeof *r->time + (data->n_items + 1ull) * sizeof *r->start;
  r->start = xf_try_calloc((size_t)data->n_items + 2, sizeof *r->start);
  r->time = xf_try_calloc((size_t)n + 1, sizeof *r->time);
  const enum xf_rc rc =
      r->start && r->time
          ? fill(r, data, diag)
          : xf_diag_set(diag, XF_E_NOMEM, "no memory for the times of %" PRIu32 " events", n);
  if (rc) recency_free(&r->base);
  else *out = &r->base;
  return rc;
}

enum xf_rc xf_newest_fit(struct xf_scorer **out, const struct xf_rec_data *data,
                         struct xf_diag *diag) {
  return fit(out, &NEWEST, data, diag);
}

enum xf_rc xf_latest_fit(struct xf_scorer **out, const struct xf_rec_data *data,
                         struct xf_diag *diag) {
  return fit(out, &LATEST, data, diag);
}

struct logged {
  struct xf_scorer base; /* first */
  struct xf_scorer *of;
};

static enum xf_rc logged_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                               struct xf_diag *diag) {
  const enum xf_rc rc = xf_scorer_score(((const struct logged *)s)->of, q, out, diag);
  for (uint32_t i = 0; !rc && i < s->n_items; i++) out[i] = logf(.1f + out[i] * out[i]);
  return rc;
}

static void logged_free(struct xf_scorer *s) {
  xf_scorer_free(((struct logged *)s)->of);
  xf_free(s);
}

static const struct xf_scorer_kind LOGGED = {"logged", logged_score, NULL, logged_free};

enum xf_rc xf_logged_new(struct xf_scorer **out, struct xf_scorer *scorer, struct xf_diag *diag) {
  struct logged *l = xf_try_calloc(1, sizeof *l);
  *out = NULL;
  if (!l) {
    xf_scorer_free(scorer);
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for a scorer");
  }
  l->base = (struct xf_scorer){.kind = &LOGGED, .n_items = scorer->n_items, .cost = scorer->cost};
  l->of = scorer;
  *out = &l->base;
  return XF_OK;
}
