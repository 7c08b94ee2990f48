// MovieLens-100K under the protocol of PFedRec's code.
#include "pf.h"

#include "base/alloc.h"
#include "data/csr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Events by user, the latest first; of equal instants the earlier in the file counts as the later, as in that code.
static int latest_first(const void *a, const void *b, void *arg) {
  const struct xf_interactions *x = arg;
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  if (x->user[i] != x->user[j]) return x->user[i] < x->user[j] ? -1 : 1;
  if (x->time[i] != x->time[j]) return x->time[i] > x->time[j] ? -1 : 1;
  return i < j ? -1 : i > j;
}

static int split(struct pf_data *d) {
  struct xf_interactions *x = &d->inter;
  uint32_t *order = xf_calloc(x->n + 1, sizeof *order);
  uint32_t *user = xf_calloc(x->n + 1, sizeof *user), *item = xf_calloc(x->n + 1, sizeof *item);
  size_t n = 0;
  for (size_t i = 0; i < x->n; i++) order[i] = (uint32_t)i;
  qsort_r(order, x->n, sizeof *order, latest_first, x);
  for (int part = 0; part < 2; part++) {
    d->held[part] = xf_calloc(d->n_users + 1, sizeof *d->held[part]);
    d->negative[part] = xf_calloc((size_t)d->n_users * PF_NEG + 1, sizeof *d->negative[part]);
  }
  for (size_t k = 0, nth = 0; k < x->n; k++) {
    const uint32_t e = order[k], u = x->user[e];
    nth = k && x->user[order[k - 1]] == u ? nth + 1 : 0;
    if (nth == 0) {
      d->held[PF_TEST][u] = x->item[e];
    } else if (nth == 1) {
      d->held[PF_VALID][u] = x->item[e];
    } else {
      user[n] = u;
      item[n++] = x->item[e];
    }
  }
  enum xf_rc rc = xf_csr_init(&d->train, d->n_users, d->n_items, user, item, n);
  if (!rc) rc = xf_csr_init(&d->all, d->n_users, d->n_items, x->user, x->item, x->n);
  xf_free(order);
  xf_free(user);
  xf_free(item);
  if (rc) fprintf(stderr, "pfedrec: %s\n", xf_rc_text(rc));
  return rc ? 1 : 0;
}

int pf_load(struct pf_data *d) {
  const char *root = getenv("CROSSFED_DATA");
  const struct xf_interactions_spec spec = {
      .user = 1, .item = 2, .value = 3, .time = 4, .sep = ',', .header = XF_HEADER_NO};
  char path[1024];
  *d = (struct pf_data){0};
  (void)snprintf(path, sizeof path, "%s/ml-100k/pfedrec-ratings.dat.gz",
                 root ? root : "../shared/data");
  FILE *there = fopen(path, "rb");
  if (!there) {
    printf("no data at %s\n", path);
    return 77;
  }
  fclose(there);
  if (xf_interactions_load(&d->inter, path, &spec, &d->diag)) {
    fprintf(stderr, "pfedrec: %s\n", d->diag.text);
    return 1;
  }
  d->n_users = d->inter.users.n;
  d->n_items = d->inter.items.n;
  return split(d);
}

void pf_draw(struct pf_data *d, uint64_t seed) {
  uint8_t *seen = xf_calloc(d->n_items + 1, 1);
  for (uint32_t u = 0; u < d->n_users; u++) {
    struct xf_rng rng;
    xf_rng_init(&rng, seed, u);
    memset(seen, 0, d->n_items);
    for (uint32_t k = d->all.start[u]; k < d->all.start[u + 1]; k++) seen[d->all.item[k]] = 1;
    for (int part = 0; part < 2; part++)
      for (uint32_t k = 0; k < PF_NEG;) {
        const uint32_t i = xf_rng_below(&rng, d->n_items);
        if (seen[i]) continue;
        seen[i] = 1;
        d->negative[part][(size_t)u * PF_NEG + k++] = i;
      }
  }
  xf_free(seen);
}

void pf_free(struct pf_data *d) {
  xf_csr_deinit(&d->train);
  xf_csr_deinit(&d->all);
  for (int part = 0; part < 2; part++) {
    xf_free(d->held[part]);
    xf_free(d->negative[part]);
  }
  xf_interactions_deinit(&d->inter);
}

uint32_t pf_rank(const float score[PF_NEG + 1]) {
  uint32_t above = 0;
  for (int k = 1; k <= PF_NEG; k++) above += !(score[k] < score[0]);
  return above;
}
