/* Two Amazon pairs, each a federation of two domains: one seeded train item of each user is validation, the given held-out item is
   test. Clean: held-out events whose item has a twin that the user holds in the other domain are left out (data/twins.h); they
   are the same purchase listed twice. At most 2,500 users a domain judge, 3,000 are tested. */
#include "domains.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "base/time.h"
#include "data/csr.h"
#include "data/twins.h"
#include "rec/inner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS = 2, JUDGES = 2500, TESTED = 3000, ARMS = ROWS_ONLY + 1 };
static const char *const NAME[PAIRS][2] = {{"sport", "cloth"}, {"electronic", "phone"}};
static struct domain domains[PAIRS * 2];

static enum xf_rc read(struct xf_interactions *out, const char *own, const char *other,
                       const char *file, struct xf_diag *diag) {
  static const struct xf_interactions_spec COLUMNS = {.user = 1, .item = 2, .header = XF_HEADER_NO};
  const char *root = getenv("CROSSFED_DATA");
  char path[4096];
  (void)snprintf(path, sizeof path, "%s/amazon-disencdr/%s_%s/%s.txt.gz",
                 root ? root : "../shared/data", own, other, file);
  return xf_interactions_load(out, path, &COLUMNS, diag);
}

/* Train events, then the held-out ones, under the names of both. */
static enum xf_rc read_all(struct domain *d, const char *other, size_t *n_train,
                           struct xf_diag *diag) {
  struct xf_interactions held;
  enum xf_rc rc = read(&d->inter, d->name, other, "train", diag);
  if (rc) return rc;
  *n_train = d->inter.n;
  rc = read(&held, d->name, other, "test_original", diag);
  for (size_t i = 0; !rc && i < held.n; i++)
    rc = xf_interactions_add(&d->inter, xf_names_get(&held.users, held.user[i]),
                             xf_names_get(&held.items, held.item[i]), NULL, NAN, NAN);
  xf_interactions_deinit(&held);
  return rc;
}

/* Rows of the events [from, to) of inter. */
static enum xf_rc rows(struct xf_csr *out, const struct xf_interactions *inter, size_t from,
                       size_t to) {
  return xf_csr_init(out, inter->users.n, inter->items.n, inter->user + from, inter->item + from,
                     to - from);
}

/* split: train without one event of each user, validation, test where the item occurs in train and the user lacks it. */
static enum xf_rc deal(struct domain *d, size_t n_train, struct xf_diag *diag) {
  struct xf_split all = {.n_users = d->inter.users.n, .n_items = d->inter.items.n};
  struct xf_csr *test = &d->split.part[XF_PART_TEST];
  enum xf_rc rc = rows(&all.part[XF_PART_TRAIN], &d->inter, 0, n_train);
  if (!rc) rc = rows(&all.part[XF_PART_VALID], &d->inter, 0, 0);
  if (!rc) rc = rows(&all.part[XF_PART_TEST], &d->inter, n_train, d->inter.n);
  if (!rc) rc = xf_inner_init(&d->split, &all, 3, 1, diag);
  for (uint32_t u = 0, n = 0; !rc && u < all.n_users; u++) {
    const struct xf_csr *held = &all.part[XF_PART_TEST];
    if (u == 0) {
      xf_free(test->item);
      test->item = xf_calloc((size_t)xf_csr_count(held) + 1, sizeof *test->item);
    }
    for (uint32_t k = held->start[u]; k < held->start[u + 1]; k++)
      if (d->split.item_count[held->item[k]] &&
          !xf_csr_find(&all.part[XF_PART_TRAIN], u, held->item[k]))
        test->item[n++] = held->item[k];
    test->start[u + 1] = n;
  }
  d->split.count.n_users[XF_PART_TEST] = d->split.count.n_events[XF_PART_TEST] = 0;
  for (uint32_t u = 0; !rc && u < all.n_users; u++) {
    d->split.count.n_users[XF_PART_TEST] += test->start[u + 1] > test->start[u];
    d->split.count.n_events[XF_PART_TEST] = test->start[u + 1];
  }
  xf_split_deinit(&all);
  return rc;
}

/* Marks the events of inter that are held out: those of test, and a validation pair's train event. */
static uint8_t *held_out(const struct domain *d, size_t n_train) {
  uint8_t *held = xf_calloc(d->inter.n + 1, sizeof *held);
  for (size_t i = 0; i < d->inter.n; i++)
    held[i] = i >= n_train ||
              xf_csr_find(&d->split.part[XF_PART_VALID], d->inter.user[i], d->inter.item[i]);
  return held;
}

/* At most `most` users of `user`, drawn by seed. */
static void draw(bool *user, uint32_t n, uint32_t most) {
  struct xf_rng rng;
  uint32_t left = 0, want = most;
  xf_rng_init(&rng, 1, 0);
  for (uint32_t u = 0; u < n; u++) left += user[u];
  for (uint32_t u = 0; u < n; u++) {
    if (!user[u]) continue;
    user[u] = left <= want || xf_rng_below(&rng, left) < want;
    want -= user[u];
    left--;
  }
}

/* Who judges and who is tested: users with a held-out event that is not leaked (leaked NULL: nobody's is). */
static void masks(struct domain *d, size_t n_train, const uint8_t *leaked) {
  const uint32_t n = d->split.n_users;
  uint32_t lost[2] = {0};
  d->judge = xf_calloc((size_t)n + 1, sizeof *d->judge);
  d->tested = xf_calloc((size_t)n + 1, sizeof *d->tested);
  for (uint32_t u = 0; u < n; u++) {
    d->judge[u] = d->split.part[XF_PART_VALID].start[u + 1] > d->split.part[XF_PART_VALID].start[u];
    d->tested[u] = d->split.part[XF_PART_TEST].start[u + 1] > d->split.part[XF_PART_TEST].start[u];
  }
  for (size_t i = 0; leaked && i < d->inter.n; i++) {
    const uint32_t u = d->inter.user[i];
    bool *mask = i < n_train ? d->judge : d->tested;
    if (!leaked[i] || !mask[u]) continue;
    mask[u] = false;
    lost[i >= n_train]++;
  }
  draw(d->judge, n, JUDGES);
  draw(d->tested, n, TESTED);
  printf("%s: %u users, %u items; left out as twins: %u validation, %u test events\n", d->name, n,
         d->split.n_items, lost[0], lost[1]);
}

static enum xf_rc load(struct domain pair[2], bool clean, uint32_t *n_global,
                       struct xf_diag *diag) {
  size_t n_train[2];
  struct xf_names users;
  struct xf_twins twins = {0};
  uint8_t *held[2] = {NULL, NULL};
  enum xf_rc rc = XF_OK;
  xf_names_init(&users);
  for (int k = 0; !rc && k < 2; k++) {
    rc = read_all(&pair[k], pair[1 - k].name, &n_train[k], diag);
    if (!rc) rc = deal(&pair[k], n_train[k], diag);
    for (uint32_t u = 0; !rc && u < pair[k].inter.users.n; u++) {
      uint32_t id;
      const char *name = xf_names_get(&pair[k].inter.users, u);
      rc = xf_names_add(&users, &id, name, strlen(name));
    }
    if (!rc) held[k] = held_out(&pair[k], n_train[k]);
  }
  const struct xf_twins_side side[2] = {{&pair[0].inter, held[0]}, {&pair[1].inter, held[1]}};
  if (!rc && clean) rc = xf_twins_find(&twins, side, &(struct xf_twins_spec){0}, diag);
  for (int k = 0; !rc && k < 2; k++) {
    domain_users(&pair[k], &users);
    masks(&pair[k], n_train[k], twins.leaked[k]);
  }
  *n_global = users.n;
  xf_twins_deinit(&twins);
  xf_names_deinit(&users);
  xf_free(held[0]);
  xf_free(held[1]);
  return rc;
}

enum xf_rc amazon(struct xf_worker *pool, bool verbose, bool clean, struct xf_diag *diag) {
  static const enum arm RIVAL[] = {LOCAL, POOLED}, ALL[] = {POPULARITY, ALONE, POOLED};
  const struct xf_time from = xf_time_now();

  enum xf_rc rc = XF_OK;
  for (int p = 0; !rc && p < PAIRS; p++) {
    uint32_t n_global = 0;
    for (int k = 0; k < 2; k++) domains[2 * p + k].name = NAME[p][k];
    rc = load(&domains[2 * p], clean, &n_global, diag);
    for (int k = 0; !rc && k < 2; k++) rc = domain_fit(&domains[2 * p + k], pool, diag);
    if (!rc) rc = domain_federate(&domains[2 * p], 2, n_global, pool, diag);
    for (int k = 0; !rc && k < 2; k++) {
      rc = domain_measure(&domains[2 * p + k], ARMS, diag);
      if (!rc && verbose) rc = domain_report(&domains[2 * p + k], diag);
    }
  }
  if (!rc) {
    print_table(domains, 2 * PAIRS, ARMS, clean ? "amazon" : "amazon-given");
    print_buckets(domains, 2 * PAIRS, ARMS);
    rc = print_paired(domains, 2 * PAIRS, GUARDED, RIVAL, 2, diag);
  }
  if (!rc) rc = print_paired(domains, 2 * PAIRS, GUARDED, ALL, 3, diag);
  if (!rc) printf("%.1f s\n", xf_time_diff_s(xf_time_now(), from));
  for (int d = 0; d < 2 * PAIRS; d++) domain_deinit(&domains[d]);
  return rc;
}
