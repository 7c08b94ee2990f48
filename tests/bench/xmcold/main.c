// XMRec as a cold market: only some of the target's users contribute to its own item co-occurrence; all evaluation users are
// ranked from their own history. Item kernel (a = b = .5) on the own Gram, on own + .3 x the other four markets' sum, and on the
// others' alone; the sum also under user-level noise at epsilon 1, 2, 4, 8 (delta 1e-5, one release, one user added or removed):
//   each silo   every market adds its own noise and drops what does not stand out before anything leaves
//   on-sum      noise once on the sum: a trusted sum, simulated; no stage does that
// Noise is drawn from a seeded stream: the figures repeat, NOT PRIVATE. Three draws of contributing users and of noise.
// nDCG@10 on the development half of the validation users; FINAL=1 reads the final half instead.
// Reads $CROSSFED_DATA/xmrec-wsdm22 (default ../shared/data); exit status 77 without it.
// modules: rec data fed priv crypto tensor base tests/bench/common/markets.c
#include "base/alloc.h"
#include "bench/common/markets.h"
#include "crypto/init.h"
#include "crypto/stream.h"
#include "priv/release.h"
#include "rec/item_model.h"
#include "rec/list_eval.h"
#include "rec/poptime.h"
#include "tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_DRAW = 3, N_EPS = 4, N_SIZE = 6, N_ARM = 4 + 2 * N_EPS, S3 = 2, T1 = 3, SEED = 1 };
enum { POPULARITY, LOCAL, SOURCES, POOLED, EACH, ON_SUM = EACH + N_EPS };
static const double beta = .5, lambda = .3, exponent = .5, delta = 1e-5;
static const double cut = 3.5, off = 2; // deviations: what is dropped, what is taken from the rest
static const double epsilon[N_EPS] = {1, 2, 4, 8};
static const char *const arm_name[N_ARM] = {"popularity",       "local",
                                            "sources only",     "pooled",
                                            "eps 1, each silo", "eps 2, each silo",
                                            "eps 4, each silo", "eps 8, each silo",
                                            "eps 1, on-sum",    "eps 2, on-sum",
                                            "eps 4, on-sum",    "eps 8, on-sum"};
static const uint32_t sizes_t1[N_SIZE] = {53, 134, 269, 674, 1348, 2697},
                      sizes_s3[N_SIZE] = {66, 332, 1664, 3328};

static struct markets markets;

// What the target gets of the others: over its shared items.
struct others {
  float *triangle, *diagonal;
  uint64_t kept; // entries above the cut
};

struct target {
  int d;
  struct xf_lists lists;
  struct others exact, noisy[2][N_EPS][N_DRAW];
};

static int take(struct others *o, int d, const float *sum, const float *diag_sum) {
  const uint32_t n = markets.market[d].n_shared;
  o->triangle = xf_calloc(xf_triangle_count(n) + 1, sizeof *o->triangle);
  o->diagonal = xf_calloc(n + 1, sizeof *o->diagonal);
  markets_take(&markets, d, sum, diag_sum, o->triangle, o->diagonal);
  return 0;
}

// Noise on a triangle, and what the noise alone may have brought is dropped again.
static int noise(float *triangle, float *diagonal, uint32_t n, const struct xf_release *release,
                 const char *who, uint64_t draw, uint64_t *kept) {
  struct xf_noise_rng rng;
  struct xf_release_report report;
  xf_noise_rng_init_seeded(&rng, SEED, draw, who);
  const enum xf_rc rc = xf_release_step(triangle, (size_t)xf_triangle_count(n), release, &rng,
                                        &report, &markets.diag);
  xf_noise_rng_deinit(&rng);
  if (rc) return markets_fail(&markets, who);
  if (report.n_saturated)
    fprintf(stderr, "%s: %llu entries saturated\n", who, (unsigned long long)report.n_saturated);
  *kept += xf_gram_shrink(triangle, diagonal, n, cut * release->sd, off * release->sd);
  return 0;
}

// The others' sum at one epsilon and draw in both topologies.
static int noisy(struct target *t, int e, int draw, float *sum, float *diag_sum) {
  struct xf_release release;
  const struct xf_release_spec spec = {XF_GRAM_SENSITIVITY, epsilon[e], delta, 0, 0};
  bool in[N_MARKET];
  if (xf_release_init(&release, &spec, &markets.diag)) return markets_fail(&markets, "release");
  struct others *each = &t->noisy[0][e][draw], *once = &t->noisy[1][e][draw];
  for (int d = 0; d < N_MARKET; d++) {
    in[d] = d != t->d;
    if (in[d] && markets_release(&markets, d, 1, release.step)) return 1;
  }
  if (markets_sum(&markets, in, sum, diag_sum) || take(once, t->d, sum, diag_sum) ||
      noise(once->triangle, once->diagonal, markets.market[t->d].n_shared, &release, "sum",
            (uint64_t)(draw * N_EPS + e), &once->kept))
    return 1;
  for (int d = 0; d < N_MARKET; d++) {
    struct market *k = &markets.market[d];
    if (in[d] && noise(k->triangle, k->diagonal, k->n_shared, &release, k->name,
                       (uint64_t)(draw * N_EPS + e), &each->kept))
      return 1;
  }
  return markets_sum(&markets, in, sum, diag_sum) || take(each, t->d, sum, diag_sum);
}

// The histories of the first n of the shuffled users; the others' rows are empty.
static void contribute(struct xf_csr *out, const struct xf_csr *all, const uint32_t *order,
                       uint32_t n) {
  uint8_t *in = xf_calloc(all->n_row + 1, 1);
  for (uint32_t i = 0; i < n; i++) in[order[i]] = 1;
  *out = (struct xf_csr){.n_row = all->n_row};
  out->start = xf_calloc(all->n_row + 1, sizeof *out->start);
  out->item = xf_calloc(xf_csr_count(all) + 1, sizeof *out->item);
  uint32_t at = 0;
  for (uint32_t u = 0; u < all->n_row; u++) {
    out->start[u] = at;
    for (uint32_t k = all->start[u]; in[u] && k < all->start[u + 1]; k++)
      out->item[at++] = all->item[k];
  }
  out->start[all->n_row] = at;
  xf_free(in);
}

static enum xf_rc fit(struct xf_scorer **out, const struct xf_rec_data *data, int arm, int draw,
                      const struct target *t) {
  const struct market *k = &markets.market[t->d];
  const struct xf_gram_spec spec = {.beta = beta};
  const struct others *o =
      arm < EACH ? &t->exact : &t->noisy[arm >= ON_SUM][(arm - EACH) % N_EPS][draw];
  struct xf_gram own = {0}, both = {0};
  if (arm == POPULARITY) return xf_popular_fit(out, data, &markets.diag);
  enum xf_rc rc = xf_gram_build(&own, data, &spec, &markets.diag);
  if (!rc && arm != LOCAL)
    rc = xf_gram_combine(&both, &own, lambda, k->shared, k->n_shared, o->triangle, o->diagonal, 0,
                         &markets.diag);
  if (!rc) rc = xf_kernel_fit(out, arm == LOCAL ? &own : &both, exponent, exponent, &markets.diag);
  xf_gram_deinit(&own);
  xf_gram_deinit(&both);
  return rc;
}

// Mean over the draws for each user, in `mean`; the deviation of the draws' means in *spread.
static int measure(float *mean, double *spread, int arm, uint32_t n, const struct target *t) {
  const struct market *k = &markets.market[t->d];
  const struct xf_measure ndcg = {XF_MEASURE_NDCG, 10};
  float *per_user = xf_calloc(t->lists.n, sizeof *per_user);
  uint32_t *order = xf_calloc(k->data.n_users + 1, sizeof *order);
  double sum = 0, sum2 = 0;
  memset(mean, 0, t->lists.n * sizeof *mean);
  for (int draw = 0; draw < N_DRAW; draw++) {
    struct xf_rng rng;
    struct xf_csr some;
    struct xf_scorer *scorer = NULL;
    struct xf_measure_sum value;
    const struct xf_list_spec what = {&ndcg, 1, per_user};
    xf_stream_init(&rng, SEED, "partition", (uint64_t)draw, k->name);
    for (uint32_t u = 0; u < k->data.n_users; u++) order[u] = u;
    xf_rng_shuffle(&rng, order, k->data.n_users);
    contribute(&some, k->data.train, order, arm == SOURCES ? 0 : n);
    const struct xf_rec_data data = {k->data.n_users, k->data.n_items, &some};
    if (fit(&scorer, &data, arm, draw, t) ||
        xf_list_eval(&value, &t->lists, &k->data, scorer, &what, &markets.diag))
      return markets_fail(&markets, arm_name[arm]);
    for (uint32_t u = 0; u < t->lists.n; u++) mean[u] += per_user[u] / N_DRAW;
    const double v = xf_measure_value(XF_MEASURE_NDCG, value);
    sum += v;
    sum2 += v * v;
    xf_scorer_free(scorer);
    xf_free(some.start);
    xf_free(some.item);
  }
  *spread = sqrt(fmax(0, (sum2 - sum * sum / N_DRAW) / (N_DRAW - 1)));
  xf_free(per_user);
  xf_free(order);
  return 0;
}

static int table(const struct target *t, const uint32_t *size, enum xf_qrel_half half) {
  const uint32_t n = t->lists.n;
  float *value = xf_calloc(n, sizeof *value), *local = xf_calloc(n, sizeof *local);
  float *zero = xf_calloc(n, sizeof *zero);
  for (int s = 0; s < N_SIZE && size[s]; s++) {
    double spread, mean, se, gain, gain_se;
    if (measure(local, &spread, LOCAL, size[s], t)) return 1;
    for (int a = 0; a < N_ARM; a++) {
      if (measure(value, &spread, a, size[s], t)) return 1;
      xf_measure_paired(value, zero, n, &mean, &se);
      xf_measure_paired(value, local, n, &gain, &gain_se);
      printf("{\"market\":\"%s\",\"half\":\"%s\",\"users\":%u,\"arm\":\"%s\",\"ndcg_10\":%.4f,"
             "\"se\":%.4f,\"sd_draws\":%.4f,\"minus_local\":%.4f,\"minus_local_se\":%.4f,"
             "\"eval_users\":%u%s%s}\n",
             markets.market[t->d].name, markets_half_name(half), size[s], arm_name[a], mean, se,
             spread, gain, gain_se, n, a >= EACH ? ",\"stamp\":\"NOT PRIVATE: seeded" : "",
             a >= ON_SUM ? "; noise: on-sum\""
             : a >= EACH ? "\""
                         : "");
      (void)fflush(stdout);
    }
  }
  xf_free(value);
  xf_free(local);
  xf_free(zero);
  return 0;
}

static void free_others(struct others *o) {
  xf_free(o->triangle);
  xf_free(o->diagonal);
}

static int run(int d, const uint32_t *size, enum xf_qrel_half half) {
  static struct target t;
  const uint32_t m = markets.n_shared;
  float *sum = xf_calloc(xf_triangle_count(m) + 1, sizeof *sum);
  float *diag_sum = xf_calloc(m + 1, sizeof *diag_sum);
  bool in[N_MARKET];
  t = (struct target){.d = d};
  for (int k = 0; k < N_MARKET; k++) {
    in[k] = k != d;
    if (markets_release(&markets, k, beta, 0)) return 1;
  }
  if (markets_lists(&markets, d, half, &t.lists) || markets_sum(&markets, in, sum, diag_sum) ||
      take(&t.exact, d, sum, diag_sum))
    return 1;
  for (int e = 0; e < N_EPS; e++) {
    uint64_t kept[2] = {0};
    for (int draw = 0; draw < N_DRAW; draw++) {
      if (noisy(&t, e, draw, sum, diag_sum)) return 1;
      for (int w = 0; w < 2; w++) kept[w] += t.noisy[w][e][draw].kept;
    }
    printf("{\"market\":\"%s\",\"epsilon\":%g,\"kept_each_silo\":%llu,\"kept_on_sum\":%llu}\n",
           markets.market[d].name, epsilon[e], (unsigned long long)kept[0] / N_DRAW,
           (unsigned long long)kept[1] / N_DRAW);
  }
  const int status = table(&t, size, half);
  free_others(&t.exact);
  for (int w = 0; w < 2; w++)
    for (int e = 0; e < N_EPS; e++)
      for (int draw = 0; draw < N_DRAW; draw++) free_others(&t.noisy[w][e][draw]);
  xf_lists_deinit(&t.lists);
  xf_free(sum);
  xf_free(diag_sum);
  return status;
}

int main(void) {
  int status = markets_load(&markets);
  if (status) return status;
  if (xf_crypto_start() || xf_blas_start(NULL, &markets.diag))
    return markets_fail(&markets, "start");
  status = run(T1, sizes_t1, markets_half()) || run(S3, sizes_s3, markets_half());
  markets_free(&markets);
  return status;
}
