/* Twin items: per item of A, the items of B that its users hold are counted in one dense array. */
#include "data/twins.h"

#include "base/alloc.h"
#include "data/csr.h"

#include <string.h>

enum { DEFAULT_BOTH = 2 };
#define DEFAULT_SHARE .5

/* A side's distinct (user, item) pairs, by user and by item. */
struct side {
  const struct xf_interactions *x;
  const uint8_t *held;
  uint32_t *other_user; /* [users] id on the other side or XF_NO_ID */
  struct xf_csr user;   /* items of a user, ascending */
  uint8_t *in_train;    /* [pairs of `user`] */
  struct xf_csr item;   /* users of an item, ascending */
  uint8_t *trained;     /* [items] has a train event */
  uint32_t *first;      /* [items + 1] twins of an item: index[first[i] .. first[i + 1]) */
  uint32_t *index;      /* [n twins] the other side's item */
};

struct work {
  struct side side[2];
  struct xf_twins *out;
  struct xf_twins_spec spec;
  size_t cap;
};

static void side_deinit(struct side *s) {
  xf_free(s->other_user);
  xf_csr_deinit(&s->user);
  xf_csr_deinit(&s->item);
  xf_free(s->in_train);
  xf_free(s->trained);
  xf_free(s->first);
  xf_free(s->index);
}

/* Where (row, col) is in a row, or UINT32_MAX. */
static uint32_t csr_at(const struct xf_csr *csr, uint32_t row, uint32_t col) {
  uint32_t lo = csr->start[row], hi = csr->start[row + 1];
  while (lo < hi) {
    const uint32_t mid = lo + (hi - lo) / 2;
    if (csr->item[mid] < col) lo = mid + 1;
    else hi = mid;
  }
  return lo < csr->start[row + 1] && csr->item[lo] == col ? lo : UINT32_MAX;
}

/* Both directions of the side's pairs. */
static bool side_pairs(struct side *s) {
  const struct xf_interactions *x = s->x;
  return !xf_csr_init(&s->user, x->users.n, x->items.n, x->user, x->item, x->n) &&
         !xf_csr_init(&s->item, x->items.n, x->users.n, x->item, x->user, x->n);
}

static bool side_init(struct side *s, const struct xf_twins_side *from,
                      const struct xf_interactions *other) {
  const struct xf_interactions *x = from->inter;
  s->x = x;
  s->held = from->held;
  s->other_user = xf_try_calloc((size_t)x->users.n + 1, sizeof *s->other_user);
  s->in_train = xf_try_calloc(x->n + 1, 1);
  s->trained = xf_try_calloc((size_t)x->items.n + 1, 1);
  s->first = xf_try_calloc((size_t)x->items.n + 2, sizeof *s->first);
  if (!s->other_user || !s->in_train || !s->trained || !s->first || !side_pairs(s)) return false;
  for (uint32_t u = 0; u < x->users.n; u++) {
    const char *key = xf_names_get(&x->users, u);
    s->other_user[u] = xf_names_find(&other->users, key, strlen(key));
  }
  for (size_t i = 0; i < x->n; i++) {
    if (s->held && s->held[i]) continue;
    s->in_train[csr_at(&s->user, x->user[i], x->item[i])] = 1;
    s->trained[x->item[i]] = 1;
  }
  return true;
}

static bool push(struct work *w, struct xf_twin twin) {
  if (w->out->n == w->cap) {
    const size_t cap = w->cap ? 2 * w->cap : 64;
    struct xf_twin *more = xf_try_realloc_array(w->out->twin, cap, sizeof *more);
    if (!more) return false;
    w->out->twin = more;
    w->cap = cap;
  }
  w->out->twin[w->out->n++] = twin;
  return true;
}

static bool is_twin(const struct xf_twins_spec *spec, const struct xf_twin *t) {
  return t->both >= spec->min_both &&
         (double)t->both >= spec->min_share * ((double)t->n_a + t->n_b - t->both);
}

/* Twins of all items of A. */
static bool find_all(struct work *w) {
  const struct side *a = &w->side[0], *b = &w->side[1];
  const uint32_t n_b = b->x->items.n;
  uint32_t *both = xf_try_calloc((size_t)n_b + 1, sizeof *both);
  uint32_t *met = xf_try_calloc((size_t)n_b + 1, sizeof *met);
  bool ok = both && met;
  for (uint32_t i = 0; ok && i < a->x->items.n; i++) {
    uint32_t n_met = 0;
    for (uint32_t k = a->item.start[i]; k < a->item.start[i + 1]; k++) {
      const uint32_t u = a->other_user[a->item.item[k]];
      if (u == XF_NO_ID) continue;
      for (uint32_t j = b->user.start[u]; j < b->user.start[u + 1]; j++)
        if (both[b->user.item[j]]++ == 0) met[n_met++] = b->user.item[j];
    }
    const size_t from = w->out->n;
    for (uint32_t m = 0; ok && m < n_met; m++) {
      const struct xf_twin t = {.a = i,
                                .b = met[m],
                                .both = both[met[m]],
                                .n_a = a->item.start[i + 1] - a->item.start[i],
                                .n_b = b->item.start[met[m] + 1] - b->item.start[met[m]]};
      both[met[m]] = 0;
      if (is_twin(&w->spec, &t)) ok = push(w, t);
    }
    for (size_t k = from + 1; k < w->out->n; k++) /* few: insertion sort by b */
      for (size_t j = k; j > from && w->out->twin[j].b < w->out->twin[j - 1].b; j--) {
        const struct xf_twin t = w->out->twin[j];
        w->out->twin[j] = w->out->twin[j - 1];
        w->out->twin[j - 1] = t;
      }
  }
  xf_free(both);
  xf_free(met);
  return ok;
}

/* The twins of each item of a side. */
static bool index_twins(struct work *w, int which) {
  struct side *s = &w->side[which];
  const struct xf_twins *out = w->out;
  s->index = xf_try_calloc(out->n + 1, sizeof *s->index);
  if (!s->index) return false;
  for (size_t k = 0; k < out->n; k++) s->first[(which ? out->twin[k].b : out->twin[k].a) + 1]++;
  for (uint32_t i = 0; i < s->x->items.n; i++) {
    w->out->count[which].twin_items += s->first[i + 1] > 0;
    s->first[i + 1] += s->first[i];
  }
  for (size_t k = out->n; k > 0; k--) { /* from behind: first[i] walks back to where i begins */
    const struct xf_twin *t = &out->twin[k - 1];
    s->index[--s->first[(which ? t->b : t->a) + 1]] = which ? t->a : t->b;
  }
  for (uint32_t i = 0; i < s->x->items.n; i++) s->first[i] = s->first[i + 1];
  s->first[s->x->items.n] = (uint32_t)out->n;
  return true;
}

/* 0: no twin with the other side's user, 1: only a held-out one, 2: one in train. */
static int leak_of(const struct work *w, int which, size_t event) {
  const struct side *s = &w->side[which], *o = &w->side[!which];
  const uint32_t u = s->other_user[s->x->user[event]], item = s->x->item[event];
  int found = 0;
  if (u == XF_NO_ID) return 0;
  for (uint32_t k = s->first[item]; k < s->first[item + 1]; k++) {
    const uint32_t at = csr_at(&o->user, u, s->index[k]);
    if (at == UINT32_MAX) continue;
    if (o->in_train[at]) return 2;
    found = 1;
  }
  return found;
}

static void count_leaks(struct work *w, int which) {
  const struct side *s = &w->side[which];
  struct xf_twins_count *c = &w->out->count[which];
  c->items = s->x->items.n;
  for (size_t i = 0; s->held && i < s->x->n; i++) {
    if (!s->held[i]) continue;
    c->held++;
    if (!s->trained[s->x->item[i]]) {
      c->held_no_train++;
      continue;
    }
    c->held_known += s->in_train[csr_at(&s->user, s->x->user[i], s->x->item[i])];
    const int leak = leak_of(w, which, i);
    c->leaked += leak == 2;
    c->leaked_any += leak > 0;
    w->out->leaked[which][i] = leak == 2;
  }
}

static void count_shared(struct work *w) {
  const struct side *a = &w->side[0], *b = &w->side[1];
  for (uint32_t u = 0; u < a->x->users.n; u++) {
    if (a->other_user[u] == XF_NO_ID) continue;
    w->out->shared_users++;
    for (uint32_t k = a->user.start[u]; k < a->user.start[u + 1]; k++) {
      const char *key = xf_names_get(&a->x->items, a->user.item[k]);
      const uint32_t item = xf_names_find(&b->x->items, key, strlen(key));
      w->out->shared_pairs +=
          item != XF_NO_ID && csr_at(&b->user, a->other_user[u], item) != UINT32_MAX;
    }
  }
}

static bool find(struct work *w, const struct xf_twins_side side[2]) {
  for (int d = 0; d < 2; d++) {
    w->out->leaked[d] = xf_try_calloc(side[d].inter->n + 1, 1);
    if (!w->out->leaked[d] || !side_init(&w->side[d], &side[d], side[!d].inter)) return false;
  }
  if (!find_all(w) || !index_twins(w, 0) || !index_twins(w, 1)) return false;
  for (int d = 0; d < 2; d++) count_leaks(w, d);
  count_shared(w);
  return true;
}

enum xf_rc xf_twins_find(struct xf_twins *out, const struct xf_twins_side side[2],
                         const struct xf_twins_spec *spec, struct xf_diag *diag) {
  struct work w = {.out = out, .spec = *spec};
  *out = (struct xf_twins){0};
  if (!w.spec.min_both) w.spec.min_both = DEFAULT_BOTH;
  if (w.spec.min_share == 0) w.spec.min_share = DEFAULT_SHARE;
  if (!(w.spec.min_share > 0 && w.spec.min_share <= 1))
    return xf_diag_set(diag, XF_E_INVAL,
                       "the share of common users is %g; it must be above 0, at most 1",
                       w.spec.min_share);
  for (int d = 0; d < 2; d++)
    if (side[d].inter->n > UINT32_MAX - 2)
      return xf_diag_set(diag, XF_E_LIMIT, "%zu events are too many to look for twins",
                         side[d].inter->n);
  const bool ok = find(&w, side);
  for (int d = 0; d < 2; d++) side_deinit(&w.side[d]);
  if (ok) return XF_OK;
  xf_twins_deinit(out);
  return xf_diag_set(diag, XF_E_NOMEM, "not enough memory to look for twins");
}

void xf_twins_deinit(struct xf_twins *twins) {
  xf_free(twins->twin);
  xf_free(twins->leaked[0]);
  xf_free(twins->leaked[1]);
  *twins = (struct xf_twins){0};
}
