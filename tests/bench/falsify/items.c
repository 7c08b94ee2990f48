/* XMRec: the others' statistic about other items than it says, and markets without any taste. */
#include "falsify.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "bench/common/markets.h"
#include "rec/list_eval.h"
#include "rec/rank_eval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { S3 = 2, T1 = 3, NEGATIVES = 99, K = 10 };
enum kind { REAL, PERMUTED, RANDOM };

static struct markets markets;
static const double beta = .5;

/* The train part anew after the events have changed: every event, as markets_load makes it. */
static int again(struct market *k) {
  const struct xf_split_spec all = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .min = UINT32_MAX};
  xf_split_deinit(&k->split);
  if (xf_split_init(&k->split, &k->inter, &all, NULL, &markets.diag))
    return markets_fail(&markets, k->name);
  k->data = (struct xf_rec_data){k->split.n_users, k->split.n_items, &k->split.part[XF_PART_TRAIN]};
  return 0;
}

static int permute(struct market *k, struct xf_rng *rng) {
  const uint32_t n = k->inter.items.n;
  uint32_t *to = xf_calloc(n + 1, sizeof *to);
  for (uint32_t i = 0; i < n; i++) to[i] = i;
  xf_rng_shuffle(rng, to, n);
  for (size_t e = 0; e < k->inter.n; e++) k->inter.item[e] = to[k->inter.item[e]];
  xf_free(to);
  return again(k);
}

/* Repeats of an item for a user are dropped by the split, as they are of real events. */
static int randomise(struct market *k, struct xf_rng *rng) {
  for (size_t e = 0; e < k->inter.n; e++) k->inter.item[e] = xf_rng_below(rng, k->inter.items.n);
  return again(k);
}

static int alter(int target, enum kind kind, uint64_t seed) {
  struct xf_rng rng;
  xf_rng_init(&rng, seed, (uint64_t)kind);
  for (int d = 0; d < N_MARKET; d++) {
    if (kind == PERMUTED && d != target && permute(&markets.market[d], &rng)) return 1;
    if (kind == RANDOM && randomise(&markets.market[d], &rng)) return 1;
  }
  return 0;
}

/* The decision of a market between its own candidates and those with the others' sum. */
static int decide(struct xf_recommender **rec, const struct xf_split *held, int target,
                  struct xf_worker *pool) {
  const struct market *k = &markets.market[target];
  const uint64_t n = xf_triangle_count(k->n_shared), all = xf_triangle_count(markets.n_shared);
  float *sum = xf_calloc(all + 1, sizeof *sum);
  float *diag_sum = xf_calloc(markets.n_shared + 1, sizeof *diag_sum);
  float *triangle = xf_calloc(n + 1, sizeof *triangle);
  float *diagonal = xf_calloc(k->n_shared + 1, sizeof *diagonal);
  bool in[N_MARKET];
  int status = 0;
  for (int d = 0; d < N_MARKET && !status; d++) {
    in[d] = d != target;
    if (in[d]) status = markets_release(&markets, d, beta, 0);
  }
  if (!status) status = markets_sum(&markets, in, sum, diag_sum);
  markets_take(&markets, target, sum, diag_sum, triangle, diagonal);
  const struct xf_recommender_gram gram = {.shared = k->shared,
                                           .m = k->n_shared,
                                           .triangle = triangle,
                                           .diagonal = diagonal,
                                           .beta = beta};
  const struct xf_recommender_input input = {.split = held, .gram = &gram, .pool = pool};
  const struct xf_recommender_spec spec = xf_recommender_defaults();
  if (!status &&
      (xf_recommender_fit(rec, &input, &spec, &markets.diag) ||
       xf_recommender_mix(*rec, &markets.diag) || xf_recommender_decide(*rec, NULL, &markets.diag)))
    status = markets_fail(&markets, k->name);
  xf_free(sum);
  xf_free(diag_sum);
  xf_free(triangle);
  xf_free(diagonal);
  return status;
}

/* Every user's NDCG@10 on the lists. */
static int on_lists(float *out, const struct xf_lists *lists, const struct xf_split *held,
                    const struct xf_recommender *rec, enum xf_recommender_arm arm) {
  const struct xf_measure ndcg = {XF_MEASURE_NDCG, K};
  const struct xf_list_spec what = {&ndcg, 1, out};
  const struct xf_rec_data data = {held->n_users, held->n_items, &held->part[XF_PART_TRAIN]};
  struct xf_measure_sum value;
  if (xf_list_eval(&value, lists, &data, rec->arm[arm].scorer, &what, &markets.diag))
    return markets_fail(&markets, "lists");
  return 0;
}

static int gain(const struct xf_lists *lists, const struct xf_split *held,
                const struct xf_recommender *rec, const char *name, uint64_t seed) {
  float *guarded = xf_calloc(lists->n + 1, sizeof *guarded);
  float *alone = xf_calloc(lists->n + 1, sizeof *alone);
  double mean = NAN, se = NAN;
  int status = on_lists(guarded, lists, held, rec, XF_RECOMMENDER_ARM_GUARDED);
  if (!status) status = on_lists(alone, lists, held, rec, XF_RECOMMENDER_ARM_ALONE);
  if (!status) {
    const struct brought b = brought(rec, &rec->arm[XF_RECOMMENDER_ARM_GUARDED]);
    xf_measure_paired(guarded, alone, lists->n, &mean, &se);
    printf("{\"data\":\"%s\",\"domain\":\"%s\",\"seed\":%llu,\"shared\":%u,\"chosen\":%u,"
           "\"lambda\":%g,"
           "\"gain_ndcg_10\":%.4f,\"se\":%.4f}\n",
           seed ? "permuted items" : "as they are", name, (unsigned long long)seed, b.shared,
           b.chosen, b.lambda, mean, se);
    (void)fflush(stdout);
  }
  xf_free(guarded);
  xf_free(alone);
  return status;
}

/* --- chance ------------------------------------------------------------------------------------------------------------ */

struct asker {
  const struct xf_scorer *scorer;
  struct xf_rng *rng;
  struct xf_heldout_spec held;
  float *row;
};

/* Ties count against the held-out item, and counts of random events tie often: they are broken at random. */
static void break_ties(float *row, uint32_t n, struct xf_rng *rng) {
  float low = row[0], high = row[0];
  for (uint32_t i = 1; i < n; i++) low = fminf(low, row[i]), high = fmaxf(high, row[i]);
  for (uint32_t i = 0; i < n; i++) row[i] += (high - low) * 1e-5f * (float)xf_rng_double(rng);
}

static enum xf_rc ask(void *arg, const uint32_t *users, uint32_t n, const float **out,
                      struct xf_diag *diag) {
  const struct asker *a = arg;
  struct xf_query q[XF_HELDOUT_BLOCK] = {{0}};
  bool served[XF_HELDOUT_BLOCK];
  for (uint32_t i = 0; i < n; i++) q[i] = xf_heldout_query(&a->held, users[i]);
  *out = a->row;
  const enum xf_rc rc = xf_scorer_score_many(a->scorer, q, n, a->row, served, diag);
  for (uint32_t i = 0; i < n && !rc; i++)
    break_ties(a->row + (size_t)i * a->scorer->n_items, a->scorer->n_items, a->rng);
  return rc;
}

static int hits(const struct xf_split *held, const struct xf_scorer *scorer, const char *name,
                uint64_t seed) {
  const struct xf_measure hr = {XF_MEASURE_HR, K};
  const struct xf_rank_spec spec = {.part = XF_PART_VALID,
                                    .n_neg = NEGATIVES,
                                    .train_items = true,
                                    .seed = seed,
                                    .measure = &hr,
                                    .n_measure = 1};
  struct xf_rng rng;
  xf_rng_init(&rng, seed, RANDOM + 1);
  struct asker a = {scorer,
                    &rng,
                    {held, XF_PART_VALID, NULL, true, K, NEGATIVES},
                    xf_calloc((size_t)XF_HELDOUT_BLOCK * held->n_items, sizeof *a.row)};
  struct xf_measure_sum sum;
  const enum xf_rc rc = xf_rank_eval(&sum, held, &spec, ask, &a, &markets.diag);
  xf_free(a.row);
  if (rc) return markets_fail(&markets, name);
  const double chance = (double)K / (1 + NEGATIVES), se = sqrt(chance * (1 - chance) / sum.count),
               x = xf_measure_value(XF_MEASURE_HR, sum);
  printf("{\"data\":\"random items\",\"scorer\":\"%s\",\"seed\":%llu,\"users\":%.0f,"
         "\"hr_10_s99\":%.4f,\"chance\":%.4f,\"chance_se\":%.4f,\"deviations\":%.2f}\n",
         name, (unsigned long long)seed, sum.count, x, chance, se, (x - chance) / se);
  return 0;
}

static int all_hits(const struct xf_split *held, const struct xf_recommender *rec, uint64_t seed) {
  int status = 0;
  for (uint32_t i = 0; i < rec->n_candidate && !status; i++)
    status = hits(held, rec->candidate[i].scorer, rec->candidate[i].name, seed);
  if (!status) status = hits(held, rec->arm[XF_RECOMMENDER_ARM_ALONE].scorer, "alone", seed);
  if (!status) status = hits(held, rec->arm[XF_RECOMMENDER_ARM_GUARDED].scorer, "guarded", seed);
  (void)fflush(stdout);
  return status;
}

/* The train part less two events of each user: one for the guard; the other, the test part, is never looked at. */
static int one(int target, enum kind kind, uint64_t seed, struct xf_worker *pool) {
  const struct xf_split_spec leave_one_out = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .by_file = true};
  struct market *k = &markets.market[target];
  struct xf_lists lists = {0};
  struct xf_split held = {0};
  struct xf_recommender *rec = NULL;
  int status = markets_load(&markets);
  if (!status) status = alter(target, kind, seed);
  if (!status && kind != RANDOM)
    status = markets_lists(&markets, target, XF_QREL_DEVELOPMENT, &lists);
  if (!status && xf_split_init(&held, &k->inter, &leave_one_out, NULL, &markets.diag))
    status = markets_fail(&markets, k->name);
  if (!status) status = decide(&rec, &held, target, pool);
  if (!status)
    status = kind == RANDOM ? all_hits(&held, rec, seed) : gain(&lists, &held, rec, k->name, seed);
  xf_recommender_free(rec);
  xf_split_deinit(&held);
  xf_lists_deinit(&lists);
  markets_free(&markets);
  return status;
}

int falsify_markets(struct xf_worker *pool) {
  static const int TARGET[2] = {T1, S3};
  int status = 0;
  for (int t = 0; t < 2 && !status; t++)
    for (uint64_t seed = 0; seed <= SEEDS && !status; seed++)
      status = one(TARGET[t], seed ? PERMUTED : REAL, seed, pool);
  for (uint64_t seed = 1; seed <= SEEDS && !status; seed++) status = one(T1, RANDOM, seed, pool);
  return status;
}
