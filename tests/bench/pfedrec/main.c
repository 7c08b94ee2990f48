// Federated recommendation on MovieLens-100K under the protocol of PFedRec's code: one client per user, the latest event is test and
// the one before it validation, each ranked among 99 items that the user never touched, 5 seeds (negatives and starts). FedMF, FedNCF
// and PFedRec written again here: all clients in each of 100 rounds, one local epoch, batch 256, 4 negatives per positive, dimension 32,
// plain mean; test figures at the round with the best validation HR@10. Ours: item co-occurrence as one sum over users, then
// EASE or the item kernel on each user's own history; it draws no negatives and takes one round. Implicit ALS on all data in one
// place beside it.
//   negatives: pfedrec  training negatives avoid the held-out items too, as that code does: leaky by protocol (decision 37)
//   negatives: train    they avoid train items only
// Each method's settings are the best of a grid on validation (docs/BENCHMARKS.md). No noise, one process, no network.
// Validation figures of one seed; FINAL=1 prints test figures of 5 seeds (FedNCF 2).
// Reads $CROSSFED_DATA/ml-100k (default ../shared/data); exit status 77 without it.
// modules: rec data tensor base
#include "pf.h"

#include "base/alloc.h"
#include "rec/als.h"
#include "rec/blend.h"
#include "rec/item_model.h"
#include "rec/metrics.h"
#include "rec/poptime.h"
#include "tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_SEED = 5, ROUNDS = 100, N_ITEM_ARM = 5 };
enum { ITEM_POPULAR, ITEM_EASE, ITEM_KERNEL, ITEM_ALS, ITEM_BLEND };
static const char *const item_arm[N_ITEM_ARM] = {
    "popularity", "EASE, one sum", "item kernel, one sum", "implicit ALS", "EASE + implicit ALS"};
static const double beta = .5, ridge = 30, exponent_a = 1, exponent_b = .75;

static const struct {
  const char *name;
  int seeds;
  struct pf_spec spec; // rounds and seed are filled in
} method[] = {
    {"FedMF", 5, {PF_FEDMF, true, 1, 3000, .03f, 0, 0}},
    {"FedNCF", 2, {PF_FEDNCF, true, 2, 5000, .1f, 0, 0}}, // the perceptron takes most of the time
    {"PFedRec", 5, {PF_PFEDREC, true, 1, 3000, .03f, 0, 0}},
    {"FedMF", 5, {PF_FEDMF, false, 3, 300, .1f, 0, 0}},
    {"FedNCF", 2, {PF_FEDNCF, false, 2, 5000, .1f, 0, 0}},
    {"PFedRec", 5, {PF_PFEDREC, false, 1, 10000, .003f, 0, 0}},
};
enum { N_METHOD = sizeof method / sizeof method[0], N_ARM = N_ITEM_ARM + N_METHOD };

static struct pf_data data;

// What an arm came to: a figure per seed, and HR per user over the seeds.
struct figures {
  double valid_hr[N_SEED], hr[N_SEED], ndcg[N_SEED];
  uint32_t round[N_SEED];
  int seeds;       // done
  float *per_user; // [n_users] test HR, summed over them
};

static int fail(const char *what) {
  fprintf(stderr, "pfedrec: %s: %s\n", what, data.diag.text);
  return 1;
}

static enum xf_rc fit(struct xf_scorer **out, int arm) {
  const struct xf_rec_data train = {data.n_users, data.n_items, &data.train};
  const struct xf_gram_spec spec = {.beta = beta};
  const struct xf_als_spec als_spec = {
      .dim = PF_DIM, .w = {.a = .1, .rho = .01, .nu = 1}, .sweeps = 8, .seed = 1};
  struct xf_gram gram = {0};
  struct xf_als als = {0};
  if (arm == ITEM_POPULAR) return xf_popular_fit(out, &train, &data.diag);
  enum xf_rc rc;
  if (arm == ITEM_BLEND) {
    struct xf_blend_part part[] = {{"ease", NULL, 1}, {"als", NULL, 1}};
    rc = fit(&part[0].scorer, ITEM_EASE);
    if (!rc) rc = fit(&part[1].scorer, ITEM_ALS);
    if (!rc) rc = xf_blend_new(out, part, 2, true, &data.diag);
    if (!rc) return XF_OK;
    xf_scorer_free(part[0].scorer);
    xf_scorer_free(part[1].scorer);
    return rc;
  }
  if (arm == ITEM_ALS) {
    rc = xf_als_init(&als, &train, &als_spec, &data.diag);
    if (!rc) rc = xf_als_fit(&als, &data.diag);
    if (!rc) rc = xf_als_scorer(out, &als, NULL, &data.diag);
    xf_als_deinit(&als);
    return rc;
  }
  rc = xf_gram_build(&gram, &train, &spec, &data.diag);
  if (!rc && arm == ITEM_EASE) rc = xf_ease_fit(out, &gram, ridge, 0, &data.diag);
  if (!rc && arm == ITEM_KERNEL) rc = xf_kernel_fit(out, &gram, exponent_a, exponent_b, &data.diag);
  xf_gram_deinit(&gram);
  return rc;
}

// A fitted scorer on the lists of one seed.
static enum xf_rc rank_all(struct figures *f, int seed, const struct xf_scorer *scorer) {
  const struct xf_measure hr = {XF_MEASURE_HR, 10}, ndcg = {XF_MEASURE_NDCG, 10};
  float *all = xf_calloc(data.n_items, sizeof *all);
  enum xf_rc rc = XF_OK;
  for (uint32_t u = 0; u < data.n_users && !rc; u++) {
    const uint32_t at = data.train.start[u];
    const struct xf_query q = {u, data.train.item + at, data.train.start[u + 1] - at, (double)NAN};
    rc = xf_scorer_score(scorer, &q, all, &data.diag);
    for (int part = 0; part < 2 && !rc; part++) {
      float score[PF_NEG + 1] = {all[data.held[part][u]]};
      for (uint32_t k = 0; k < PF_NEG; k++)
        score[k + 1] = all[data.negative[part][(size_t)u * PF_NEG + k]];
      const uint32_t rank = pf_rank(score);
      const double hit = xf_measure_ranks(hr, &rank, 1) / data.n_users;
      if (part == PF_VALID) {
        f->valid_hr[seed] += hit;
        continue;
      }
      f->hr[seed] += hit;
      f->ndcg[seed] += xf_measure_ranks(ndcg, &rank, 1) / data.n_users;
      f->per_user[u] += (float)xf_measure_ranks(hr, &rank, 1);
    }
  }
  xf_free(all);
  return rc;
}

static void run_method(struct figures *f, int seed, int m) {
  float *hit = xf_calloc(data.n_users, sizeof *hit);
  struct pf_result r = {.per_user = hit};
  struct pf_spec spec = method[m].spec;
  spec.rounds = ROUNDS;
  spec.seed = (uint64_t)seed + 1;
  pf_run(&r, &data, &spec);
  f->valid_hr[seed] = r.valid_hr;
  f->hr[seed] = r.hr;
  f->ndcg[seed] = r.ndcg;
  f->round[seed] = r.round;
  for (uint32_t u = 0; u < data.n_users; u++) f->per_user[u] += hit[u];
  xf_free(hit);
}

static void moments(const double *x, int n, double *mean, double *sd) {
  *mean = *sd = 0;
  for (int k = 0; k < n; k++) *mean += x[k] / n;
  for (int k = 0; k < n; k++) *sd += (x[k] - *mean) * (x[k] - *mean);
  *sd = n > 1 ? sqrt(*sd / (n - 1)) : 0;
}

// How many hits EASE has more, per user and seed.
static void compare(const struct figures *all, int arm, double *diff, double *se) {
  float *a = xf_calloc(data.n_users, sizeof *a), *b = xf_calloc(data.n_users, sizeof *b);
  for (uint32_t u = 0; u < data.n_users; u++) {
    a[u] = all[ITEM_EASE].per_user[u] / (float)all[ITEM_EASE].seeds;
    b[u] = all[arm].per_user[u] / (float)all[arm].seeds;
  }
  xf_measure_paired(a, b, data.n_users, diff, se);
  xf_free(a);
  xf_free(b);
}

static void print(const struct figures *all, int arm, bool final) {
  const struct figures *f = &all[arm];
  const int m = arm - N_ITEM_ARM;
  double valid, sd, hr, hr_sd, ndcg, ndcg_sd, diff, se;
  moments(f->valid_hr, f->seeds, &valid, &sd);
  printf("{\"arm\":\"%s\",\"negatives\":\"%s\",\"seeds\":%d,\"valid_hr_10_s99\":%.4f",
         m < 0 ? item_arm[arm] : method[m].name,
         m < 0                  ? "none"
         : method[m].spec.leaky ? "pfedrec"
                                : "train",
         f->seeds, valid);
  if (final) {
    moments(f->hr, f->seeds, &hr, &hr_sd);
    moments(f->ndcg, f->seeds, &ndcg, &ndcg_sd);
    compare(all, arm, &diff, &se);
    printf(",\"hr_10_s99\":%.4f,\"hr_sd\":%.4f,\"ndcg_10_s99\":%.4f,\"ndcg_sd\":%.4f,"
           "\"ease_minus_this_hr\":%.4f,\"se\":%.4f",
           hr, hr_sd, ndcg, ndcg_sd, diff, se);
  }
  if (m >= 0) printf(",\"round\":%u", f->round[0]);
  printf("%s}\n", m >= 0 && method[m].spec.leaky ? ",\"stamp\":\"leaky-by-protocol\"" : "");
}

int main(void) {
  static struct figures figures[N_ARM];
  const char *final = getenv("FINAL");
  const bool test = final && strcmp(final, "1") == 0;
  const int n_seed = test ? N_SEED : 1;
  const int status = pf_load(&data);
  if (status) return status;
  if (xf_blas_start(NULL, &data.diag)) return fail("BLAS");
  for (int a = 0; a < N_ARM; a++)
    figures[a].per_user = xf_calloc(data.n_users, sizeof *figures[a].per_user);
  for (int seed = 0; seed < n_seed; seed++) {
    pf_draw(&data, (uint64_t)seed + 1);
    for (int a = 0; a < N_ITEM_ARM; a++) {
      struct xf_scorer *scorer = NULL;
      if (fit(&scorer, a) || rank_all(&figures[a], seed, scorer)) return fail(item_arm[a]);
      xf_scorer_free(scorer);
      figures[a].seeds++;
    }
    for (int m = 0; m < N_METHOD; m++) {
      if (seed >= method[m].seeds) continue;
      run_method(&figures[N_ITEM_ARM + m], seed, m);
      figures[N_ITEM_ARM + m].seeds++;
    }
  }
  for (int a = 0; a < N_ARM; a++) print(figures, a, test);
  for (int a = 0; a < N_ARM; a++) xf_free(figures[a].per_user);
  pf_free(&data);
  return 0;
}
