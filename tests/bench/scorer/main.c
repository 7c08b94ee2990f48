// XMRec, leave one market out: the net over unit-free features, trained by the other four markets and used in the market
// left out as it is (k = 0) or after k steps on 128 of its lists; targets t1 and s3 with their candidate lists.
// Beside it: popularity, single item models, the linear stack trained in the market itself on all its lists.
//   fedavg   300 rounds x 10 SGD steps of rate .1 on 32 lists, equal weights, through the coordinator's fold
//   reptile  300 rounds x 5 steps, server rate annealed to 0     joint    the four markets' lists in one place
//   linear   fedavg without hidden layer                         scratch  start weights, trained on the 128 lists only
// Arguments: versions of the features (rec/features.h), default 2; with a + also the rows of `train` whose item `train_5core`
// has. nDCG@10 over the development half of the validation users; FINAL=1 reads the final half.
// Reads $CROSSFED_DATA/xmrec-wsdm22 (default ../shared/data); exit status 77 without it.
// modules: rec train fed data tensor base tests/bench/common/markets.c
#include "base/alloc.h"
#include "bench/scorer/learn.h"
#include "bench/scorer/world.h"
#include "rec/evaluate.h"
#include "rec/list_eval.h"
#include "rec/poptime.h"
#include "rec/stack.h"
#include "rec/unitfree.h"
#include "tensor/blas.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { S3 = 2, T1 = 3, SEEDS = 3, DRAWS = 3, N_K = 7, ADAPT_USERS = 128 };
static const uint32_t steps_of[N_K] = {0, 1, 2, 5, 10, 20, 50};
enum arm { FEDAVG, REPTILE, JOINT, LINEAR, SCRATCH, N_ARM };
static const char *const arm_name[N_ARM] = {"fedavg", "reptile", "joint", "linear", "scratch"};

static struct markets markets;
static struct world world;
static struct xf_dataset lists[N_MARKET]; // split A of each market, all train
static uint32_t version;

// The market left out.
struct target {
  int d;
  struct xf_lists eval;
  struct xf_feature_models model; // fitted on its whole train part
  float *reference;               // [eval.n] of pooled EASE
  float *stack;                   // [eval.n] of the stack
  float *adapted[N_ARM];          // [N_K x eval.n] after k steps, means over seeds and draws
  double curve[N_ARM][SEEDS * DRAWS * N_K];
};

static double per_user(const struct target *t, const struct xf_scorer *s, xf_list_rank rank,
                       float *out) {
  const struct xf_measure m = {XF_MEASURE_NDCG, 10};
  const struct xf_list_spec spec = {&m, 1, out};
  struct xf_measure_sum sum;
  if (xf_list_eval_ranked(&sum, &t->eval, &markets.market[t->d].data, s, rank, &spec,
                          &markets.diag)) {
    (void)markets_fail(&markets, s->kind->name);
    return (double)NAN;
  }
  return xf_measure_value(XF_MEASURE_NDCG, sum);
}

// n_nets 0: no net; sd NaN: one figure.
static void print_row(const struct target *t, const char *arm, int n_nets, double value, double sd,
                      const float *users) {
  printf("{\"market\":\"%s\",\"features\":%u,\"arm\":\"%s\",\"k\":0,\"ndcg_10\":%.4f",
         markets.market[t->d].name, version, arm, value);
  if (n_nets) printf(",\"nets\":%d", n_nets);
  if (!isnan(sd)) printf(",\"sd\":%.4f", sd);
  const struct {
    const char *name;
    const float *users;
  } than[] = {{"ease_pooled", t->reference}, {"stack", t->stack}};
  for (int i = 0; i < 2; i++) {
    double mean, se;
    if (!than[i].users || than[i].users == users) continue;
    xf_measure_paired(users, than[i].users, t->eval.n, &mean, &se);
    printf(",\"minus_%s\":%.4f,\"se_%s\":%.4f", than[i].name, mean, than[i].name, se);
  }
  printf("}\n");
  (void)fflush(stdout);
}

// Popularity, every slot by itself, and the stack trained in the market on all its lists.
static int locals(struct target *t) {
  const struct xf_feature_set *set = xf_feature_set_find(version);
  const struct market *k = &markets.market[t->d];
  float *users = xf_calloc(t->eval.n, sizeof *users);
  struct xf_scorer *popular = NULL, *stack = NULL;
  struct xf_stack fit;
  t->reference = xf_calloc(t->eval.n, sizeof *t->reference);
  double v = per_user(t, xf_feature_models_find(&t->model, "ease.pooled"), NULL, t->reference);
  if (isnan(v) || xf_popular_fit(&popular, &k->data, &markets.diag))
    return markets_fail(&markets, k->name);
  v = per_user(t, popular, NULL, users);
  print_row(t, "popularity", 0, v, (double)NAN, users);
  for (uint32_t s = 0; s < set->n_slot; s++) {
    v = per_user(t, t->model.scorer[s], NULL, users);
    print_row(t, set->slot[s], 0, v, (double)NAN, users);
  }
  if (xf_stack_fit(&fit, version, &lists[t->d].lists, XF_PART_TRAIN, XF_STACK_L2, &markets.diag) ||
      xf_stack_scorer(&stack, &fit, &t->model.features, &markets.diag))
    return markets_fail(&markets, "stack");
  v = per_user(t, stack, xf_listnet_rank, users);
  print_row(t, "stack", 0, v, (double)NAN, users);
  t->stack = users;
  xf_scorer_free(popular);
  xf_scorer_free(stack);
  return isnan(v);
}

// Figure of weights as they are; *users gets each user's.
static int rank_with(const struct target *t, const struct xf_model *model,
                     const float *const *weights, uint32_t n, float *users, double *value) {
  struct xf_scorer *s = NULL;
  if (xf_unitfree_scorer(&s, model, weights, n, &t->model.features, &markets.diag))
    return markets_fail(&markets, "scorer");
  *value = per_user(t, s, xf_listnet_rank, users);
  xf_scorer_free(s);
  return isnan(*value);
}

static int learn(enum arm arm, const struct target *t, const struct xf_model *model, uint64_t seed,
                 float *w) {
  const struct xf_dataset *source[N_MARKET];
  size_t n = 0;
  for (int d = 0; d < N_MARKET; d++)
    if (d != t->d) source[n++] = &lists[d];
  switch (arm) {
  case REPTILE:
    return learn_rounds(model, source, n, XF_STRATEGY_REPTILE, LEARN_STEPS / 2, seed, w);
  case JOINT: return learn_joint(model, source, n, seed, w);
  case SCRATCH: return learn_start(model, seed, w);
  default: return learn_rounds(model, source, n, XF_STRATEGY_FEDAVG, LEARN_STEPS, seed, w);
  }
}

// 128 of the target's lists are train, the others validation.
static void draw_users(struct xf_listset *l, uint64_t draw) {
  struct xf_rng rng;
  uint32_t *order = xf_calloc(l->n, sizeof *order);
  xf_rng_init(&rng, draw, 128);
  for (uint32_t u = 0; u < l->n; u++) order[u] = u;
  xf_rng_shuffle(&rng, order, l->n);
  memset(l->part, XF_PART_VALID, l->n);
  for (uint32_t u = 0; u < ADAPT_USERS && u < l->n; u++) l->part[order[u]] = XF_PART_TRAIN;
  xf_free(order);
}

// Figures after k steps for each draw of users, into the row of this seed; each user's into its mean.
static int adapt(enum arm arm, struct target *t, const struct xf_model *model, uint64_t seed,
                 const float *w, const struct xf_dataset *eval, double *row) {
  const struct xf_measure m = {XF_MEASURE_NDCG, 10};
  const size_t n = eval->lists.n;
  float *one = xf_calloc(n, sizeof *one);
  const struct xf_rank_spec spec = {
      .part = XF_PART_TRAIN, .measure = &m, .n_measure = 1, .per_user = one};
  float *to = xf_calloc(xf_model_get_layout(model)->n, sizeof *to);
  struct xf_evaluator *e = NULL;
  int status = xf_evaluator_new(&e, model, &markets.diag) ? markets_fail(&markets, "evaluator") : 0;
  for (uint64_t draw = 0; !status && draw < DRAWS; draw++) {
    draw_users(&lists[t->d].lists, draw);
    for (int k = 0; !status && k < N_K; k++) {
      struct xf_measure_sum sum;
      status = learn_adapt(model, &lists[t->d], steps_of[k], arm == SCRATCH ? .1f : .03f,
                           seed << 8 | draw, w, to);
      if (!status && xf_evaluator_run(e, to, eval, &spec, &sum, &markets.diag))
        status = markets_fail(&markets, "evaluation");
      for (size_t u = 0; !status && u < n; u++)
        t->adapted[arm][(size_t)k * n + u] += one[u] / (SEEDS * DRAWS);
      if (!status) row[draw * N_K + (uint64_t)k] = xf_measure_value(XF_MEASURE_NDCG, sum);
    }
  }
  memset(lists[t->d].lists.part, XF_PART_TRAIN, lists[t->d].lists.n);
  xf_evaluator_free(e);
  xf_free(to);
  xf_free(one);
  return status;
}

// After k steps; beside each the same users' difference to the net of random start weights that is trained on the market's 128
// lists alone, after as many steps, and to the stack that is trained in the market on all its lists.
static void print_curve(const struct target *t, enum arm arm) {
  const double *value = t->curve[arm];
  const size_t n = t->eval.n;
  for (int k = 0; k < N_K; k++) {
    const float *own = t->adapted[arm] + (size_t)k * n;
    double sum = 0, sq = 0, mean, se, mean_alone, se_alone, mean_stack, se_stack;
    float *zero = xf_calloc(n, sizeof *zero);
    for (int i = 0; i < SEEDS * DRAWS; i++) sum += value[i * N_K + k] / (SEEDS * DRAWS);
    for (int i = 0; i < SEEDS * DRAWS; i++)
      sq += (value[i * N_K + k] - sum) * (value[i * N_K + k] - sum) / (SEEDS * DRAWS - 1);
    xf_measure_paired(own, zero, n, &mean, &se);
    xf_measure_paired(own, t->adapted[SCRATCH] + (size_t)k * n, n, &mean_alone, &se_alone);
    xf_measure_paired(own, t->stack, n, &mean_stack, &se_stack);
    xf_free(zero);
    printf("{\"market\":\"%s\",\"features\":%u,\"arm\":\"%s\",\"adapted\":true,\"k\":%u,\"ndcg_"
           "10\":%.4f,\"sd\":%.4f,\"se\":%.4f",
           markets.market[t->d].name, version, arm_name[arm], steps_of[k], sum, sqrt(sq), se);
    if (arm != SCRATCH) printf(",\"minus_alone\":%.4f,\"se_alone\":%.4f", mean_alone, se_alone);
    printf(",\"minus_stack\":%.4f,\"se_stack\":%.4f}\n", mean_stack, se_stack);
  }
}

// One arm: three seeds as they are and adapted, their mean over seeds per user, the three nets as one.
static int run_arm(enum arm arm, struct target *t, const struct xf_dataset *eval) {
  struct xf_model_config config;
  struct xf_model *model = NULL;
  double value = 0, sum = 0, sq = 0;
  float *w[SEEDS] = {0}, *one = xf_calloc(t->eval.n, sizeof *one),
        *mean = xf_calloc(t->eval.n, sizeof *mean);
  int status = 0;
  if (xf_unitfree_config(&config, version, arm == LINEAR ? 0 : XF_UNITFREE_HIDDEN, &markets.diag) ||
      xf_model_new(&model, &config, (struct xf_model_size){0, 0}, &markets.diag))
    status = markets_fail(&markets, "model");
  for (int s = 0; !status && s < SEEDS; s++) {
    w[s] = xf_calloc(xf_model_get_layout(model)->n, sizeof *w[s]);
    status = learn(arm, t, model, (uint64_t)s + 1, w[s]);
    const float *const weights[] = {w[s]};
    if (!status) status = rank_with(t, model, weights, 1, one, &value);
    for (uint32_t u = 0; u < t->eval.n; u++) mean[u] += one[u] / SEEDS;
    sum += value / SEEDS;
    sq += value * value / SEEDS;
    if (!status)
      status = adapt(arm, t, model, (uint64_t)s + 1, w[s], eval, t->curve[arm] + s * DRAWS * N_K);
  }
  if (!status && arm != SCRATCH) {
    print_row(t, arm_name[arm], 1, sum, sqrt(fmax(sq - sum * sum, 0) * SEEDS / (SEEDS - 1)), mean);
    status = rank_with(t, model, (const float *const *)w, SEEDS, one, &value);
    if (!status) print_row(t, arm_name[arm], SEEDS, value, (double)NAN, one);
  }
  for (int s = 0; s < SEEDS; s++) xf_free(w[s]);
  xf_free(one);
  xf_free(mean);
  xf_model_free(model);
  return status;
}

static int run_target(struct target *t) {
  struct market *k = &markets.market[t->d];
  struct xf_dataset eval;
  xf_dataset_init(&eval, XF_DATASET_LISTS);
  int status = market_model_fit(&t->model, &world, t->d, k->data.train, version);
  if (!status && xf_features_given(&eval.lists, &t->model.features, k->data.train, &t->eval, 100,
                                   false, &markets.diag))
    status = markets_fail(&markets, k->name);
  if (!status && eval.lists.n != t->eval.n)
    status = markets_fail(&markets, "lists without features");
  if (!status) status = locals(t);
  for (int arm = 0; arm < N_ARM; arm++)
    t->adapted[arm] = xf_calloc((size_t)N_K * t->eval.n + 1, sizeof(float));
  for (int arm = 0; !status && arm < N_ARM; arm++) status = run_arm((enum arm)arm, t, &eval);
  for (int arm = 0; !status && arm < N_ARM; arm++)
    if (arm != LINEAR) print_curve(t, (enum arm)arm);
  for (int arm = 0; arm < N_ARM; arm++) xf_free(t->adapted[arm]);
  xf_dataset_deinit(&eval);
  xf_feature_models_deinit(&t->model);
  xf_lists_deinit(&t->eval);
  xf_free(t->reference);
  xf_free(t->stack);
  return status;
}

// Everything for one version of the features.
static int run(bool more) {
  const enum xf_qrel_half half = markets_half();
  struct target target[2] = {{.d = T1}, {.d = S3}};
  int status = markets_load(&markets);
  if (!status && more) status = markets_more(&markets);
  for (int i = 0; !status && i < 2; i++)
    status = markets_lists(&markets, target[i].d, half, &target[i].eval);
  if (!status) status = world_init(&world, &markets);
  for (int d = 0; !status && d < N_MARKET; d++) {
    xf_dataset_init(&lists[d], XF_DATASET_LISTS);
    status = market_lists(&lists[d].lists, &world, d, version);
  }
  if (!status)
    printf("{\"half\":\"%s\",\"features\":%u,\"per_candidate\":%u,\"all_rows\":%s}\n",
           markets_half_name(half), version, lists[0].lists.n_in, more ? "true" : "false");
  for (int i = 0; !status && i < 2; i++) status = run_target(&target[i]);
  for (int d = 0; d < N_MARKET; d++) xf_dataset_deinit(&lists[d]);
  world_free(&world);
  markets_free(&markets);
  return status;
}

int main(int argc, char **argv) {
  static const char *const newest[] = {"scorer", "2"};
  int status = 0;
  if (xf_blas_start(NULL, &markets.diag)) return markets_fail(&markets, "BLAS");
  for (int a = 1; !status && a < (argc > 1 ? argc : 2); a++) {
    char *end = NULL;
    version = (uint32_t)strtoul(argc > 1 ? argv[a] : newest[a], &end, 10);
    if (!xf_feature_set_find(version) || (*end && strcmp(end, "+") != 0)) {
      fprintf(stderr, "features of version \"%s\": there are 1 to %d, or 1+ to %d+\n", argv[a],
              XF_FEATURES_VERSION, XF_FEATURES_VERSION);
      return 2;
    }
    status = run(*end == '+');
  }
  return status;
}
