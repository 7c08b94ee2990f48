// XMRec's markets, for the programs that print tables of them.
// modules: rec data fed tensor base
#include "bench/common/markets.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const market_name[N_MARKET] = {"s1", "s2", "s3", "t1", "t2"};

enum xf_qrel_half markets_half(void) {
  const char *final = getenv("FINAL");
  return final && strcmp(final, "1") == 0 ? XF_QREL_FINAL : XF_QREL_DEVELOPMENT;
}

const char *markets_half_name(enum xf_qrel_half half) {
  return half == XF_QREL_FINAL ? "final" : "development";
}

int markets_fail(const struct markets *m, const char *what) {
  fprintf(stderr, "%s: %s\n", what, m->diag.text);
  return 1;
}

static const char *file(char path[1024], const char *who, const char *name) {
  const char *root = getenv("CROSSFED_DATA");
  (void)snprintf(path, 1024, "%s/xmrec-wsdm22/%s/%s", root ? root : "../shared/data", who, name);
  return path;
}

// Every event is train.
static int split_all(struct markets *m, struct market *k) {
  const struct xf_split_spec all = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .min = UINT32_MAX};
  if (xf_split_init(&k->split, &k->inter, &all, NULL, &m->diag)) return markets_fail(m, k->name);
  k->data = (struct xf_rec_data){k->split.n_users, k->split.n_items, &k->split.part[XF_PART_TRAIN]};
  return 0;
}

static const struct xf_interactions_spec columns = {
    .user = 1, .item = 2, .value = 3, .header = XF_HEADER_YES};

static int load(struct markets *m, int d) {
  struct market *k = &m->market[d];
  char path[1024];
  k->name = market_name[d];
  if (xf_interactions_load(&k->inter, file(path, k->name, "train_5core.tsv.gz"), &columns,
                           &m->diag))
    return markets_fail(m, k->name);
  return split_all(m, k);
}

// How many markets have each key; keys in order of first appearance.
static uint32_t *count_holders(struct markets *m, struct xf_names *all) {
  uint32_t *holders = NULL, cap = 0;
  for (int d = 0; d < N_MARKET; d++)
    for (uint32_t i = 0; i < m->market[d].inter.items.n; i++) {
      const char *key = xf_names_get(&m->market[d].inter.items, i);
      uint32_t id;
      if (xf_names_add(all, &id, key, strlen(key))) {
        xf_free(holders);
        return NULL;
      }
      if (id >= cap) {
        holders = xf_realloc_array(holders, cap + 65536, sizeof *holders);
        memset(holders + cap, 0, 65536 * sizeof *holders);
        cap += 65536;
      }
      holders[id]++;
    }
  return holders;
}

// Directory: items that two or more markets have in their train part, in order of first appearance.
static int directory(struct markets *m) {
  struct xf_names all;
  xf_names_init(&all);
  uint32_t *row = count_holders(m, &all), n = 0;
  if (!row) return markets_fail(m, "item keys");
  for (uint32_t i = 0; i < all.n; i++) row[i] = row[i] >= 2 ? n++ : XF_NO_ID;
  for (int d = 0; d < N_MARKET; d++) {
    struct market *k = &m->market[d];
    uint32_t *local = xf_calloc(n + 1, sizeof *local); // directory row -> local item + 1
    k->counted = xf_calloc(k->inter.items.n + 1, 1);
    for (uint32_t i = 0; i < k->inter.items.n; i++) {
      const char *key = xf_names_get(&k->inter.items, i);
      const uint32_t r = row[xf_names_find(&all, key, strlen(key))];
      if (r != XF_NO_ID) local[r] = i + 1;
      k->counted[i] = r != XF_NO_ID;
    }
    k->shared = xf_calloc(n + 1, sizeof *k->shared);
    k->row = xf_calloc(n + 1, sizeof *k->row);
    for (uint32_t r = 0; r < n; r++)
      if (local[r]) {
        k->shared[k->n_shared] = local[r] - 1;
        k->row[k->n_shared++] = r;
      }
    k->triangle = xf_calloc(xf_triangle_count(k->n_shared) + 1, sizeof *k->triangle);
    k->diagonal = xf_calloc(k->n_shared + 1, sizeof *k->diagonal);
    xf_free(local);
  }
  m->n_items = all.n;
  m->n_shared = n;
  xf_free(row);
  xf_names_deinit(&all);
  return 0;
}

int markets_load(struct markets *m) {
  char path[1024];
  FILE *there = fopen(file(path, "t1", "train_5core.tsv.gz"), "rb");
  if (!there) {
    printf("no XMRec data at %s\n", path);
    return 77;
  }
  fclose(there);
  for (int d = 0; d < N_MARKET; d++)
    if (load(m, d)) return 1;
  return directory(m);
}

static enum xf_rc add_rows(struct market *k, const struct xf_interactions *more) {
  for (size_t e = 0; e < more->n; e++) {
    const char *item = xf_names_get(&more->items, more->item[e]);
    if (xf_names_find(&k->inter.items, item, strlen(item)) == XF_NO_ID) continue;
    const enum xf_rc rc =
        xf_interactions_add(&k->inter, xf_names_get(&more->users, more->user[e]), item, NULL,
                            more->value ? (double)more->value[e] : (double)NAN, (double)NAN);
    if (rc) return rc;
  }
  return XF_OK;
}

int markets_more(struct markets *m) {
  for (int d = 1; d < N_MARKET; d++) { // s1's file is not in the data set
    struct market *k = &m->market[d];
    struct xf_interactions more;
    char path[1024];
    if (xf_interactions_load(&more, file(path, k->name, "train.tsv.gz"), &columns, &m->diag))
      return markets_fail(m, k->name);
    const enum xf_rc rc = add_rows(k, &more);
    xf_interactions_deinit(&more);
    xf_split_deinit(&k->split);
    if (rc) {
      (void)xf_diag_set(&m->diag, rc, "a row of train.tsv.gz cannot be added");
      return markets_fail(m, k->name);
    }
    if (split_all(m, k)) return 1;
  }
  return 0;
}

void markets_free(struct markets *m) {
  for (int d = 0; d < N_MARKET; d++) {
    struct market *k = &m->market[d];
    xf_split_deinit(&k->split);
    xf_interactions_deinit(&k->inter);
    xf_free(k->shared);
    xf_free(k->row);
    xf_free(k->counted);
    xf_free(k->triangle);
    xf_free(k->diagonal);
    *k = (struct market){0};
  }
}

int markets_release(struct markets *m, int d, double beta, double step) {
  struct market *k = &m->market[d];
  const struct xf_rec_data train = {k->split.n_users, k->split.n_items,
                                    &k->split.part[XF_PART_TRAIN]};
  const struct xf_gram_spec spec = {.beta = beta, .counted = k->counted, .step = step};
  struct xf_gram gram;
  if (xf_gram_build(&gram, &train, &spec, &m->diag)) return markets_fail(m, "Gram");
  const enum xf_rc rc = xf_gram_pack(&gram, k->shared, k->n_shared, k->triangle, k->diagonal);
  xf_gram_deinit(&gram);
  return rc ? markets_fail(m, "pack") : 0;
}

struct fold {
  const struct market *market;
  float *sum;
};
static enum xf_rc read_part(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  memcpy(out, ((const struct fold *)arg)->market[slot].triangle + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc read_sum(void *arg, uint64_t at, float *out, size_t n) {
  memcpy(out, ((const struct fold *)arg)->sum + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc write_sum(void *arg, uint64_t at, const float *x, size_t n) {
  memcpy(((const struct fold *)arg)->sum + at, x, n * sizeof *x);
  return XF_OK;
}

int markets_sum(struct markets *m, const bool in[N_MARKET], float *triangle, float *diagonal) {
  struct xf_trisum_member member[N_MARKET];
  struct fold fold = {m->market, triangle};
  size_t n = 0;
  memset(triangle, 0, (size_t)xf_triangle_count(m->n_shared) * sizeof *triangle);
  memset(diagonal, 0, m->n_shared * sizeof *diagonal);
  for (int d = 0; d < N_MARKET; d++) {
    const struct market *k = &m->market[d];
    if (!in[d]) continue;
    member[n++] = (struct xf_trisum_member){k->name, (size_t)d, k->row, k->n_shared};
    for (uint32_t s = 0; s < k->n_shared; s++) diagonal[k->row[s]] += k->diagonal[s];
  }
  const struct xf_trisum_job job = {m->n_shared, member, n, &fold, read_part, read_sum, write_sum};
  struct xf_trisum_scratch *s = xf_trisum_scratch_new(m->n_shared);
  const bool bad =
      !s || xf_trisum_check(&job, &m->diag) || xf_trisum_fold(&job, s, 0, m->n_shared, &m->diag);
  xf_trisum_scratch_free(s);
  return bad ? markets_fail(m, "fold") : 0;
}

void markets_take(const struct markets *m, int d, const float *sum, const float *sum_diagonal,
                  float *triangle, float *diagonal) {
  const struct market *k = &m->market[d];
  const struct xf_trisum_member me = {k->name, (size_t)d, k->row, k->n_shared};
  for (uint32_t a = 0; a < k->n_shared; a++) {
    xf_trisum_take(triangle + xf_triangle_row(k->n_shared, a), &me, a,
                   sum + xf_triangle_row(m->n_shared, k->row[a]));
    diagonal[a] = sum_diagonal[k->row[a]];
  }
}

int markets_lists(struct markets *m, int d, enum xf_qrel_half half, struct xf_lists *lists) {
  struct market *k = &m->market[d];
  struct xf_qrel qrel;
  char path[1024];
  if (xf_qrel_load(&qrel, file(path, k->name, "valid_qrel.tsv.gz"), &k->inter.users,
                   &k->inter.items, &m->diag))
    return markets_fail(m, k->name);
  const enum xf_rc rc = xf_lists_load(lists, file(path, k->name, "valid_run.tsv.gz"), &qrel, half,
                                      &k->inter.users, &k->inter.items, &m->diag);
  xf_qrel_deinit(&qrel);
  k->data.n_items = k->inter.items.n;
  return rc ? markets_fail(m, k->name) : 0;
}
