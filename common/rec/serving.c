/* Snapshots and the slot they are swapped in. */
#include "rec/serving.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <stdio.h>
#include <string.h>

const char *xf_serving_basis_name(enum xf_serving_basis basis) {
  static const char *const names[] = {
#define BASIS_NAME(n, t) t,
      XF_SERVING_BASIS_LIST(BASIS_NAME)
#undef BASIS_NAME
  };
  return (size_t)basis < sizeof names / sizeof names[0] ? names[basis] : "?";
}

static void free_scorer(void *scorer) { xf_scorer_free(scorer); }

enum xf_rc xf_serving_new(struct xf_serving **out, const struct xf_serving_source *source,
                          struct xf_diag *diag) {
  struct xf_serving *s = xf_calloc(1, sizeof *s);
  const struct xf_scorer *scorer = source->scorer;
  *out = NULL;
  atomic_init(&s->refs, 1);
  s->catalog = xf_catalog_ref(source->catalog);
  s->scorer = scorer;
  s->kg = xf_kg_side_ref(source->kg);
  s->alike.sim = source->sim;
  if (!s->alike.sim && s->catalog->has_gram) s->alike.sim = &s->catalog->taken;
  if (s->catalog->has_categories) s->alike.sim = &s->catalog->alike;
  if (s->catalog->has_categories) s->alike.categories = &s->catalog->categories;
  s->owner = source->owner;
  s->owner_free = source->owner_free;
  if (scorer &&
      !s->owner) { /* the snapshot is the scorer's owner and lets it go the way it was made */
    s->owner = (void *)(uintptr_t)scorer;
    s->owner_free = free_scorer;
  }
  s->meta = source->meta;
  if (!s->meta.kind[0])
    (void)snprintf(s->meta.kind, sizeof s->meta.kind, "%s",
                   scorer ? scorer->kind->name : "popularity");
  if (scorer && scorer->n_items != s->catalog->items.n) {
    const uint32_t n_scorer = scorer->n_items, n_names = s->catalog->items.n;
    xf_serving_unref(s);
    return xf_diag_set(diag, XF_E_SHAPE, "the scorer knows %u items, the silo has names of %u",
                       n_scorer, n_names);
  }
  const uint32_t n = s->catalog->items.n;
  if (source->strangers) s->strangers = xf_try_calloc((size_t)n + 1, sizeof *s->strangers);
  if (source->strangers && !s->strangers) {
    xf_serving_unref(s);
    return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u scores", n);
  }
  if (s->strangers) memcpy(s->strangers, source->strangers, n * sizeof *s->strangers);
  s->crowd = s->strangers ? source->crowd : XF_RECOMMENDER_CROWD_OWN;
  *out = s;
  return XF_OK;
}

struct xf_serving *xf_serving_ref(struct xf_serving *serving) {
  atomic_fetch_add_explicit(&serving->refs, 1, memory_order_relaxed);
  return serving;
}

void xf_serving_unref(struct xf_serving *serving) {
  if (!serving || atomic_fetch_sub_explicit(&serving->refs, 1, memory_order_acq_rel) > 1) return;
  if (serving->owner_free) serving->owner_free(serving->owner);
  xf_kg_side_unref(serving->kg);
  xf_catalog_unref(serving->catalog);
  xf_free(serving->strangers);
  xf_free(serving);
}

enum xf_rc xf_serving_slot_init(struct xf_serving_slot *slot) {
  *slot = (struct xf_serving_slot){.now = NULL};
  return pthread_mutex_init(&slot->mutex, NULL) ? XF_E_NOMEM : XF_OK;
}

void xf_serving_slot_deinit(struct xf_serving_slot *slot) {
  xf_serving_unref(slot->now);
  slot->now = NULL;
  (void)pthread_mutex_destroy(&slot->mutex); /* fails only for a mutex in use */
}

/* A mutex of the default kind, held by nobody who could be asked for it again: locking cannot fail. */
static void lock(struct xf_serving_slot *slot) {
  const int failed = pthread_mutex_lock(&slot->mutex);
  XF_ASSERT(!failed);
}
static void unlock(struct xf_serving_slot *slot) {
  const int failed = pthread_mutex_unlock(&slot->mutex);
  XF_ASSERT(!failed);
}

void xf_serving_slot_set(struct xf_serving_slot *slot, struct xf_serving *serving) {
  lock(slot);
  struct xf_serving *before = slot->now;
  serving->meta.version = ++slot->version;
  slot->now = serving;
  unlock(slot);
  xf_serving_unref(before);
}

struct xf_serving *xf_serving_slot_take(struct xf_serving_slot *slot) {
  lock(slot);
  struct xf_serving *s = slot->now ? xf_serving_ref(slot->now) : NULL;
  unlock(slot);
  return s;
}
