// XMRec markets: popularity, EASE on the market's own Gram, EASE on own + .3 x the others' sum, for t1 and s3 with the
// candidate lists of the data set. The sum goes through the coordinator's fold (fed/trisum.h) and each market takes its own
// release out again. One process, no network. Hyper-parameters are fixed beforehand: beta .5, r 30, lambda .3.
// nDCG@10 and recall@10 over the development half of the validation users; FINAL=1 reads the final half instead.
// Reads $CROSSFED_DATA/xmrec-wsdm22 (default ../shared/data); exit status 77 without it.
// modules: rec data fed tensor base tests/bench/common/markets.c
#include "base/alloc.h"
#include "bench/common/markets.h"
#include "rec/item_model.h"
#include "rec/list_eval.h"
#include "rec/poptime.h"
#include "tensor/blas.h"

#include <stdio.h>
#include <string.h>

enum { N_MEASURE = 2, N_ARM = 3, S3 = 2, T1 = 3 };
static const char *const arm_name[N_ARM] = {"popularity", "own", "pooled"};
static const double beta = .5, ridge = 30, lambda = .3;

static struct markets markets;

// Popularity, EASE on the own Gram, EASE with lambda times the others'. The sum has the own release in it: it is taken out.
static int fit(int d, const float *sum, const float *diag_sum, struct xf_scorer *scorer[N_ARM]) {
  struct market *k = &markets.market[d];
  const uint64_t n = xf_triangle_count(k->n_shared);
  float *others = xf_calloc(n + 1, sizeof *others);
  float *diagonal = xf_calloc(k->n_shared + 1, sizeof *diagonal);
  struct xf_gram own = {0}, both = {0};
  const struct xf_gram_spec spec = {.beta = beta};
  markets_take(&markets, d, sum, diag_sum, others, diagonal);
  for (uint64_t i = 0; i < n; i++) others[i] -= k->triangle[i];
  for (uint32_t a = 0; a < k->n_shared; a++) diagonal[a] -= k->diagonal[a];
  struct xf_diag *diag = &markets.diag;
  const bool bad =
      xf_popular_fit(&scorer[0], &k->data, diag) || xf_gram_build(&own, &k->data, &spec, diag) ||
      xf_gram_combine(&both, &own, lambda, k->shared, k->n_shared, others, diagonal, 0, diag) ||
      xf_ease_fit(&scorer[1], &own, ridge, 0, diag) ||
      xf_ease_fit(&scorer[2], &both, ridge, 0, diag);
  xf_free(others);
  xf_free(diagonal);
  xf_gram_deinit(&own);
  xf_gram_deinit(&both);
  return bad ? markets_fail(&markets, k->name) : 0;
}

// One market's three scorers on its lists. Items of lists without a train event score 0 in all of them.
static int table(int d, const float *sum, const float *diag_sum, enum xf_qrel_half half) {
  struct market *k = &markets.market[d];
  struct xf_lists lists;
  struct xf_scorer *scorer[N_ARM] = {0};
  if (markets_lists(&markets, d, half, &lists) || fit(d, sum, diag_sum, scorer)) return 1;
  const struct xf_measure measure[N_MEASURE] = {{XF_MEASURE_NDCG, 10}, {XF_MEASURE_RECALL, 10}};
  float *per_user[N_ARM];
  for (int a = 0; a < N_ARM; a++) {
    struct xf_measure_sum value[N_MEASURE];
    per_user[a] = xf_calloc((size_t)lists.n * N_MEASURE, sizeof *per_user[a]);
    const struct xf_list_spec what = {measure, N_MEASURE, per_user[a]};
    if (xf_list_eval(value, &lists, &k->data, scorer[a], &what, &markets.diag))
      return markets_fail(&markets, k->name);
    printf("{\"market\":\"%s\",\"half\":\"%s\",\"arm\":\"%s\",\"users\":%u,\"ndcg_10\":%.4f,"
           "\"recall_10\":%.4f}\n",
           k->name, markets_half_name(half), arm_name[a], lists.n,
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
  printf("{\"market\":\"%s\",\"pooled_minus_own_ndcg_10\":%.4f,\"se\":%.4f}\n", k->name, mean, se);
  for (int a = 0; a < N_ARM; a++) {
    xf_free(per_user[a]);
    xf_scorer_free(scorer[a]);
  }
  xf_free(x);
  xf_free(y);
  xf_lists_deinit(&lists);
  return 0;
}

int main(void) {
  const bool all[N_MARKET] = {true, true, true, true, true};
  int status = markets_load(&markets);
  if (status) return status;
  if (xf_blas_start(NULL, &markets.diag)) return markets_fail(&markets, "BLAS");
  for (int d = 0; d < N_MARKET; d++)
    if (markets_release(&markets, d, beta, 0)) return 1;
  const uint32_t m = markets.n_shared;
  float *sum = xf_calloc(xf_triangle_count(m) + 1, sizeof *sum);
  float *diag_sum = xf_calloc(m + 1, sizeof *diag_sum);
  if (markets_sum(&markets, all, sum, diag_sum)) return 1;
  printf("{\"items\":%u,\"shared_items\":%u,\"triangle_bytes\":%llu}\n", markets.n_items, m,
         (unsigned long long)xf_triangle_count(m) * 4);
  status = table(T1, sum, diag_sum, markets_half()) || table(S3, sum, diag_sum, markets_half());
  markets_free(&markets);
  xf_free(sum);
  xf_free(diag_sum);
  return status;
}
