// XMRec markets: popularity, EASE on the market's own Gram, EASE on own + .3 x the others' sum, for t1 and s3 with the
// candidate lists of the data set. The sum goes through the coordinator's fold (fed/trisum.h) and each market takes its own
// release out again. One process, no network. Hyper-parameters are fixed beforehand: beta .5, r 30, lambda .3.
// nDCG@10 and recall@10 over the development half of the validation users; FINAL=1 reads the final half instead.
// Reads $CROSSFED_DATA/xmrec-wsdm22 (default ../shared/data); exit status 77 without it.
// modules: rec data fed tensor base
#include "base/alloc.h"
#include "base/fs.h"
#include "data/interactions.h"
#include "data/lists.h"
#include "fed/trisum.h"
#include "rec/item_model.h"
#include "rec/list_eval.h"
#include "tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_MARKET = 5, N_MEASURE = 2, N_ARM = 3 };
static const char *const name_of[N_MARKET] = {"s1", "s2", "s3", "t1", "t2"};
static const char *const arm_name[N_ARM] = {"popularity", "own", "pooled"};
static const double beta = .5, ridge = 30, lambda = .3;

struct market {
  struct xf_interactions inter;
  struct xf_split split;
  struct xf_rec_data data;
  uint32_t *shared, *row; // [n_shared] local items by directory row
  uint32_t n_shared;
  float *triangle, *diagonal; // its release
};

static struct market market[N_MARKET];
static struct xf_diag diag;
static char path[1024];

static int fail(const char *what) {
  fprintf(stderr, "xmrec: %s: %s\n", what, diag.text);
  return 1;
}

static const char *file(const char *who, const char *name) {
  const char *root = getenv("CROSSFED_DATA");
  snprintf(path, sizeof path, "%s/xmrec-wsdm22/%s/%s", root ? root : "../shared/data", who, name);
  return path;
}

// A market's train part: every event.
static int load(struct market *m, const char *who) {
  const struct xf_interactions_spec spec = {
      .user = 1, .item = 2, .value = 3, .header = XF_HEADER_YES};
  const struct xf_split_spec all = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .min = UINT32_MAX};
  if (xf_interactions_load(&m->inter, file(who, "train_5core.tsv.gz"), &spec, &diag) ||
      xf_split_init(&m->split, &m->inter, &all, NULL, &diag))
    return fail(who);
  return 0;
}

// Directory: items that two or more markets have in their train part, in order of first appearance.
static int directory(struct xf_names *all, uint32_t *m) {
  xf_names_init(all);
  uint32_t *holders = NULL, cap = 0;
  for (int d = 0; d < N_MARKET; d++)
    for (uint32_t i = 0; i < market[d].inter.items.n; i++) {
      const char *key = xf_names_get(&market[d].inter.items, i);
      uint32_t id;
      if (xf_names_add(all, &id, key, strlen(key))) return fail("item keys");
      if (id >= cap) {
        holders = xf_realloc_array(holders, cap + 65536, sizeof *holders);
        memset(holders + cap, 0, 65536 * sizeof *holders);
        cap += 65536;
      }
      holders[id]++;
    }
  uint32_t *row = xf_calloc(all->n + 1, sizeof *row), n = 0;
  for (uint32_t i = 0; i < all->n; i++) row[i] = holders[i] >= 2 ? n++ : XF_NO_ID;
  for (int d = 0; d < N_MARKET; d++) {
    struct market *k = &market[d];
    uint32_t *local = xf_calloc(n + 1, sizeof *local); // directory row -> local item + 1
    for (uint32_t i = 0; i < k->inter.items.n; i++) {
      const char *key = xf_names_get(&k->inter.items, i);
      const uint32_t r = row[xf_names_find(all, key, strlen(key))];
      if (r != XF_NO_ID) local[r] = i + 1;
    }
    k->shared = xf_calloc(n + 1, sizeof *k->shared);
    k->row = xf_calloc(n + 1, sizeof *k->row);
    for (uint32_t r = 0; r < n; r++)
      if (local[r]) {
        k->shared[k->n_shared] = local[r] - 1;
        k->row[k->n_shared++] = r;
      }
    xf_free(local);
  }
  xf_free(row);
  xf_free(holders);
  *m = n;
  return 0;
}

// The release: the Gram over shared items, each user normalised by their shared items.
static int release(struct market *k) {
  uint8_t *counted = xf_calloc(k->split.n_items + 1, 1);
  for (uint32_t s = 0; s < k->n_shared; s++) counted[k->shared[s]] = 1;
  k->data = (struct xf_rec_data){k->split.n_users, k->split.n_items, &k->split.part[XF_PART_TRAIN]};
  const struct xf_gram_spec spec = {.beta = beta, .counted = counted};
  struct xf_gram gram;
  if (xf_gram_build(&gram, &k->data, &spec, &diag)) return fail("Gram");
  k->triangle = xf_calloc(xf_triangle_count(k->n_shared) + 1, sizeof *k->triangle);
  k->diagonal = xf_calloc(k->n_shared + 1, sizeof *k->diagonal);
  if (xf_gram_pack(&gram, k->shared, k->n_shared, k->triangle, k->diagonal)) return fail("pack");
  xf_gram_deinit(&gram);
  xf_free(counted);
  return 0;
}

static enum xf_rc read_part(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  (void)arg;
  memcpy(out, market[slot].triangle + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc read_sum(void *arg, uint64_t at, float *out, size_t n) {
  memcpy(out, (float *)arg + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc write_sum(void *arg, uint64_t at, const float *x, size_t n) {
  memcpy((float *)arg + at, x, n * sizeof *x);
  return XF_OK;
}

static int fold(float *sum, float *diag_sum, uint32_t m, struct xf_trisum_member *member) {
  for (int d = 0; d < N_MARKET; d++) {
    member[d] = (struct xf_trisum_member){name_of[d], (size_t)d, market[d].row, market[d].n_shared};
    for (uint32_t s = 0; s < market[d].n_shared; s++)
      diag_sum[market[d].row[s]] += market[d].diagonal[s];
  }
  const struct xf_trisum_job job = {m, member, N_MARKET, sum, read_part, read_sum, write_sum};
  struct xf_trisum_scratch *s = xf_trisum_scratch_new(m);
  if (!s || xf_trisum_check(&job, &diag) || xf_trisum_fold(&job, s, 0, m, &diag))
    return fail("fold");
  xf_trisum_scratch_free(s);
  return 0;
}

struct popularity {
  struct xf_scorer base;
  const uint32_t *count;
};
static enum xf_rc score_popularity(const struct xf_scorer *s, const struct xf_query *q, float *out,
                                   struct xf_diag *d) {
  (void)q, (void)d;
  for (uint32_t i = 0; i < s->n_items; i++)
    out[i] = (float)((const struct popularity *)s)->count[i];
  return XF_OK;
}
static void keep(struct xf_scorer *s) { (void)s; }
static const struct xf_scorer_kind popularity_kind = {"popularity", score_popularity, NULL, keep};

// One market's three scorers on its lists. Items of lists without a train event score 0 in all of them.
static int table(int d, const float *sum, const float *diag_sum, uint32_t m,
                 const struct xf_trisum_member *member, enum xf_qrel_half half) {
  struct market *k = &market[d];
  const struct xf_trisum_member *me = &member[d];
  struct xf_qrel qrel;
  struct xf_lists lists;
  if (xf_qrel_load(&qrel, file(name_of[d], "valid_qrel.tsv.gz"), &k->inter.users, &k->inter.items,
                   &diag) ||
      xf_lists_load(&lists, file(name_of[d], "valid_run.tsv.gz"), &qrel, half, &k->inter.users,
                    &k->inter.items, &diag))
    return fail(name_of[d]);
  k->data.n_items = k->inter.items.n;
  float *others = xf_calloc(xf_triangle_count(me->n) + 1, sizeof *others);
  float *diagonal = xf_calloc(me->n + 1, sizeof *diagonal);
  for (uint32_t a = 0; a < me->n; a++) {
    const uint64_t at = xf_triangle_row(me->n, a);
    xf_trisum_take(others + at, me, a, sum + xf_triangle_row(m, me->row[a]));
    for (uint32_t b = 0; b + a + 1 < me->n; b++) others[at + b] -= k->triangle[at + b];
    diagonal[a] = diag_sum[me->row[a]] - k->diagonal[a];
  }
  struct xf_gram own, both;
  const struct xf_gram_spec spec = {.beta = beta};
  struct popularity popularity = {{.kind = &popularity_kind, .n_items = k->data.n_items}, NULL};
  uint32_t *count = xf_calloc(k->data.n_items + 1, sizeof *count);
  memcpy(count, k->split.item_count, k->split.n_items * sizeof *count);
  popularity.count = count;
  struct xf_scorer *scorer[N_ARM] = {&popularity.base, NULL, NULL};
  if (xf_gram_build(&own, &k->data, &spec, &diag) ||
      xf_gram_combine(&both, &own, lambda, k->shared, me->n, others, diagonal, 0, &diag) ||
      xf_ease_fit(&scorer[1], &own, ridge, 0, &diag) ||
      xf_ease_fit(&scorer[2], &both, ridge, 0, &diag))
    return fail(name_of[d]);
  const struct xf_measure measure[N_MEASURE] = {{XF_MEASURE_NDCG, 10}, {XF_MEASURE_RECALL, 10}};
  float *per_user[N_ARM];
  for (int a = 0; a < N_ARM; a++) {
    struct xf_measure_sum value[N_MEASURE];
    per_user[a] = xf_calloc((size_t)lists.n * N_MEASURE, sizeof *per_user[a]);
    const struct xf_list_spec what = {measure, N_MEASURE, per_user[a]};
    if (xf_list_eval(value, &lists, &k->data, scorer[a], &what, &diag)) return fail(name_of[d]);
    printf("{\"market\":\"%s\",\"half\":\"%s\",\"arm\":\"%s\",\"users\":%u,\"ndcg_10\":%.4f,"
           "\"recall_10\":%.4f}\n",
           name_of[d], half == XF_QREL_FINAL ? "final" : "development", arm_name[a], lists.n,
           xf_measure_value(XF_MEASURE_NDCG, value[0]),
           xf_measure_value(XF_MEASURE_RECALL, value[1]));
  }
  float *x = xf_calloc(lists.n, sizeof *x), *y = xf_calloc(lists.n, sizeof *y);
  for (uint32_t u = 0; u < lists.n; u++) {
    x[u] = per_user[2][(size_t)u * N_MEASURE];
    y[u] = per_user[1][(size_t)u * N_MEASURE];
  }
  double mean, se;
  xf_measure_paired(x, y, lists.n, &mean, &se);
  printf("{\"market\":\"%s\",\"pooled_minus_own_ndcg_10\":%.4f,\"se\":%.4f}\n", name_of[d], mean,
         se);
  for (int a = 0; a < N_ARM; a++) xf_free(per_user[a]);
  xf_free(x);
  xf_free(y);
  xf_free(others);
  xf_free(diagonal);
  xf_free(count);
  xf_scorer_free(scorer[1]);
  xf_scorer_free(scorer[2]);
  xf_gram_deinit(&own);
  xf_gram_deinit(&both);
  xf_lists_deinit(&lists);
  xf_qrel_deinit(&qrel);
  return 0;
}

int main(void) {
  FILE *there = fopen(file("t1", "train_5core.tsv.gz"), "rb");
  if (!there) {
    printf("no XMRec data at %s\n", path);
    return 77;
  }
  fclose(there);
  if (xf_blas_start(NULL, &diag)) return fail("BLAS");
  const char *final = getenv("FINAL");
  const enum xf_qrel_half half =
      final && strcmp(final, "1") == 0 ? XF_QREL_FINAL : XF_QREL_DEVELOPMENT;
  struct xf_names all;
  struct xf_trisum_member member[N_MARKET];
  uint32_t m = 0;
  for (int d = 0; d < N_MARKET; d++)
    if (load(&market[d], name_of[d])) return 1;
  if (directory(&all, &m)) return 1;
  for (int d = 0; d < N_MARKET; d++)
    if (release(&market[d])) return 1;
  float *sum = xf_calloc(xf_triangle_count(m) + 1, sizeof *sum);
  float *diag_sum = xf_calloc(m + 1, sizeof *diag_sum);
  if (fold(sum, diag_sum, m, member)) return 1;
  printf("{\"items\":%u,\"shared_items\":%u,\"triangle_bytes\":%llu}\n", all.n, m,
         (unsigned long long)xf_triangle_count(m) * 4);
  if (table(3, sum, diag_sum, m, member, half) || table(2, sum, diag_sum, m, member, half))
    return 1;
  for (int d = 0; d < N_MARKET; d++) {
    xf_split_deinit(&market[d].split);
    xf_interactions_deinit(&market[d].inter);
    xf_free(market[d].shared);
    xf_free(market[d].row);
    xf_free(market[d].triangle);
    xf_free(market[d].diagonal);
  }
  xf_names_deinit(&all);
  xf_free(sum);
  xf_free(diag_sum);
  return 0;
}
