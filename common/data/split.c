/* Splitting interactions. An event's part is decided first; then the parts are laid out as CSR. */
#include "data/split.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

enum { DROPPED = 255, DEFAULT_MIN = 5 };

struct work {
  const struct xf_interactions *inter;
  bool timed;
  uint32_t *order;   /* [n] events by user, then time, then file */
  uint32_t *start;   /* [n_users + 1] a user's events in order */
  uint8_t *part;     /* [n] */
  uint32_t *by_item; /* [n] events by item, then file */
};

static int by_time(const void *a, const void *b, void *arg) {
  const struct xf_interactions *x = arg;
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  if (x->time && x->time[i] < x->time[j]) return -1;
  if (x->time && x->time[i] > x->time[j]) return 1;
  return (i > j) - (i < j);
}

/* Stable counting sort of the events by key; start may be kept. */
static bool bucket(uint32_t *order, uint32_t **start, const uint32_t *key, size_t n,
                   uint32_t n_key) {
  uint32_t *at = xf_try_calloc((size_t)n_key + 2, sizeof *at);
  if (!at) return false;
  for (size_t i = 0; i < n; i++) at[key[i] + 2]++;
  for (uint32_t k = 0; k < n_key; k++) at[k + 2] += at[k + 1];
  for (size_t i = 0; i < n; i++) order[at[key[i] + 1]++] = (uint32_t)i;
  *start = at; /* at[k] is now where key k begins, at[n_key] the end */
  return true;
}

static bool work_init(struct work *w, const struct xf_interactions *x) {
  uint32_t *start = NULL;
  w->inter = x;
  w->order = xf_try_calloc(x->n + 1, sizeof *w->order);
  w->by_item = xf_try_calloc(x->n + 1, sizeof *w->by_item);
  w->part = xf_try_calloc(x->n + 1, 1);
  if (!w->order || !w->by_item || !w->part) return false;
  if (!bucket(w->order, &w->start, x->user, x->n, x->users.n)) return false;
  if (!bucket(w->by_item, &start, x->item, x->n, x->items.n)) return false;
  xf_free(start);
  if (w->timed)
    for (uint32_t u = 0; u < x->users.n; u++)
      qsort_r(w->order + w->start[u], w->start[u + 1] - w->start[u], sizeof *w->order, by_time,
              (void *)(uintptr_t)x);
  return true;
}

static void work_deinit(struct work *w) {
  xf_free(w->order);
  xf_free(w->start);
  xf_free(w->part);
  xf_free(w->by_item);
}

/* Drops all but the first event, in time, of each (user, item). */
static bool drop_repeats(struct work *w, struct xf_split_count *count) {
  const struct xf_interactions *x = w->inter;
  uint32_t *seen = xf_try_calloc((size_t)x->items.n + 1, sizeof *seen);
  if (!seen) return false;
  for (uint32_t u = 0; u < x->users.n; u++)
    for (uint32_t k = w->start[u]; k < w->start[u + 1]; k++) {
      const uint32_t i = w->order[k];
      if (seen[x->item[i]] == u + 1) {
        w->part[i] = DROPPED;
        count->repeats++;
      }
      seen[x->item[i]] = u + 1;
    }
  xf_free(seen);
  return true;
}

static uint32_t user_events(const struct work *w, uint32_t u) {
  uint32_t n = 0;
  for (uint32_t k = w->start[u]; k < w->start[u + 1]; k++) n += w->part[w->order[k]] != DROPPED;
  return n;
}

static void leave_one_out(struct work *w, uint32_t u) {
  uint8_t next = XF_PART_TEST;
  for (uint32_t k = w->start[u + 1]; k > w->start[u] && next != XF_PART_TRAIN; k--) {
    if (w->part[w->order[k - 1]] == DROPPED) continue;
    w->part[w->order[k - 1]] = next;
    next = next == XF_PART_TEST ? XF_PART_VALID : XF_PART_TRAIN;
  }
}

static void assign(struct work *w, struct xf_split *out, const struct xf_split_spec *spec,
                   struct xf_rng *rng) {
  const uint32_t min = spec->min ? spec->min : DEFAULT_MIN;
  for (uint32_t u = 0; u < out->n_users; u++) {
    if (user_events(w, u) < min) {
      out->count.few_users++;
      continue;
    }
    if (spec->kind == XF_SPLIT_LEAVE_ONE_OUT) {
      leave_one_out(w, u);
      continue;
    }
    for (uint32_t k = w->start[u]; k < w->start[u + 1]; k++) {
      if (w->part[w->order[k]] == DROPPED) continue;
      const double r = xf_rng_double(rng);
      if (r < spec->test_fraction) w->part[w->order[k]] = XF_PART_TEST;
      else if (r < spec->test_fraction + spec->valid_fraction) w->part[w->order[k]] = XF_PART_VALID;
    }
  }
}

/* Counts train events of items; drops held-out events whose item has none. */
static bool keep_trained(struct work *w, struct xf_split *out) {
  const struct xf_interactions *x = w->inter;
  out->item_count = xf_try_calloc((size_t)out->n_items + 1, sizeof *out->item_count);
  if (!out->item_count) return false;
  for (size_t i = 0; i < x->n; i++)
    if (w->part[i] == XF_PART_TRAIN) out->item_count[x->item[i]]++;
  for (uint32_t i = 0; i < out->n_items; i++) out->count.n_items_train += out->item_count[i] > 0;
  for (size_t i = 0; i < x->n; i++) {
    if (w->part[i] == DROPPED || w->part[i] == XF_PART_TRAIN || out->item_count[x->item[i]])
      continue;
    out->count.no_train[w->part[i]]++;
    w->part[i] = DROPPED;
  }
  return true;
}

/* Lays out one part. Events come in item order, so every user's items ascend. */
static bool fill_part(const struct work *w, struct xf_split *out, enum xf_part part) {
  const struct xf_interactions *x = w->inter;
  struct xf_csr *csr = &out->part[part];
  csr->n_row = out->n_users;
  csr->start = xf_try_calloc((size_t)out->n_users + 2, sizeof *csr->start);
  if (!csr->start) return false;
  for (size_t i = 0; i < x->n; i++)
    if (w->part[i] == part) csr->start[x->user[i] + 2]++;
  for (uint32_t u = 0; u < out->n_users; u++) {
    out->count.n_users[part] += csr->start[u + 2] > 0;
    csr->start[u + 2] += csr->start[u + 1];
  }
  const uint32_t n = csr->start[out->n_users + 1];
  out->count.n_events[part] = n;
  csr->item = xf_try_calloc((size_t)n + 1, sizeof *csr->item);
  if (x->value) csr->value = xf_try_calloc((size_t)n + 1, sizeof *csr->value);
  if (x->time) csr->time = xf_try_calloc((size_t)n + 1, sizeof *csr->time);
  if (!csr->item || (x->value && !csr->value) || (x->time && !csr->time)) return false;
  for (size_t k = 0; k < x->n; k++) {
    const uint32_t i = w->by_item[k];
    if (w->part[i] != part) continue;
    const uint32_t at = csr->start[x->user[i] + 1]++;
    csr->item[at] = x->item[i];
    if (x->value) csr->value[at] = x->value[i];
    if (x->time) csr->time[at] = x->time[i];
  }
  return true;
}

static bool fill_train_users(struct xf_split *out) {
  const struct xf_csr *train = &out->part[XF_PART_TRAIN];
  out->train_user = xf_try_calloc((size_t)xf_csr_count(train) + 1, sizeof *out->train_user);
  if (!out->train_user) return false;
  for (uint32_t u = 0; u < train->n_row; u++)
    for (uint32_t k = train->start[u]; k < train->start[u + 1]; k++) out->train_user[k] = u;
  return true;
}

static enum xf_rc check(const struct xf_interactions *inter, const struct xf_split_spec *spec,
                        const struct xf_rng *rng, struct xf_diag *diag) {
  if (inter->n > UINT32_MAX - 2)
    return xf_diag_set(diag, XF_E_LIMIT, "%zu events are too many to split", inter->n);
  if (spec->kind == XF_SPLIT_LEAVE_ONE_OUT) return XF_OK;
  const double v = spec->valid_fraction, t = spec->test_fraction;
  if (!(v >= 0 && t >= 0 && v + t > 0 && v + t < 1))
    return xf_diag_set(diag, XF_E_INVAL,
                       "split fractions %g (validation) and %g (test) must be at least 0 and their "
                       "sum above 0 and below 1",
                       v, t);
  if (!rng) return xf_diag_set(diag, XF_E_INVAL, "a random split needs a random stream");
  return XF_OK;
}

enum xf_rc xf_split_init(struct xf_split *out, const struct xf_interactions *inter,
                         const struct xf_split_spec *spec, struct xf_rng *rng,
                         struct xf_diag *diag) {
  *out = (struct xf_split){.n_users = inter->users.n, .n_items = inter->items.n};
  enum xf_rc rc = check(inter, spec, rng, diag);
  if (rc) return rc;
  struct work w = {.timed = inter->time && !spec->by_file};
  bool ok = work_init(&w, inter) && drop_repeats(&w, &out->count);
  if (ok) {
    assign(&w, out, spec, rng);
    ok = keep_trained(&w, out);
  }
  for (int p = 0; ok && p < XF_N_PART; p++) ok = fill_part(&w, out, (enum xf_part)p);
  if (ok) ok = fill_train_users(out);
  work_deinit(&w);
  if (ok) return XF_OK;
  xf_split_deinit(out);
  return xf_diag_set(diag, XF_E_NOMEM, "not enough memory to split %zu events", inter->n);
}

void xf_split_deinit(struct xf_split *split) {
  for (int p = 0; p < XF_N_PART; p++) {
    xf_free(split->part[p].start);
    xf_free(split->part[p].item);
    xf_free(split->part[p].value);
    xf_free(split->part[p].time);
  }
  xf_free(split->train_user);
  xf_free(split->item_count);
  *split = (struct xf_split){0};
}

bool xf_csr_find(const struct xf_csr *csr, uint32_t user, uint32_t item) {
  if (user >= csr->n_row) return false;
  uint32_t lo = csr->start[user], hi = csr->start[user + 1];
  while (lo < hi) {
    const uint32_t mid = lo + (hi - lo) / 2;
    if (csr->item[mid] < item) lo = mid + 1;
    else hi = mid;
  }
  return lo < csr->start[user + 1] && csr->item[lo] == item;
}
