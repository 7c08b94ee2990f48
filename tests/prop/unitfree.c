// modules: rec train fed
// The federated decision: nets over unit-free features, trained on the lists of two domains by the silos' local procedure and
// the coordinator's fold, rank better than the best single scorer in a third domain that trained nothing; to the same byte again. On
// random interactions they stay at chance.
#include "rec/unitfree.h"
#include "base/alloc.h"
#include "data/csr.h"
#include "fed/fold.h"
#include "rec/evaluate.h"
#include "rec/inner.h"
#include "rec/item_model.h"
#include "rec/list_eval.h"
#include "rec/stack.h"
#include "tensor/blas.h"
#include "train/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { DOMAINS = 3, USERS = 500, ROUNDS = 30, N_NEG = 30 };
static const uint32_t n_items[DOMAINS] = {60, 90, 150};
static const double unit[DOMAINS] = {1, 40, .3}; // of the domain's scores
static struct xf_diag diag;
#define OK(call)                                    \
  do {                                              \
    if (call) fail_msg("%s: %s", #call, diag.text); \
  } while (0)

static uint32_t wanted(uint32_t user, uint32_t items) { return (user * 7 + 6) % items; }

// Knows the wanted item, up to noise, in the domain's unit; the two of a domain err independently.
struct seer {
  struct xf_scorer base;
  double unit, noise;
  uint64_t stream;
};
static enum xf_rc seer_score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                             struct xf_diag *d) {
  const struct seer *e = (const struct seer *)s;
  struct xf_rng rng;
  (void)d;
  xf_rng_init(&rng, q->user, e->stream);
  for (uint32_t i = 0; i < s->n_items; i++)
    out[i] = (float)(e->unit *
                     (e->noise * fabs(xf_rng_normal(&rng)) + (i == wanted(q->user, s->n_items))));
  return XF_OK;
}
static void seer_free(struct xf_scorer *s) { (void)s; }
static const struct xf_scorer_kind seer_kind = {"seer", seer_score, NULL, seer_free};

struct domain {
  struct xf_csr history, held;
  struct xf_features features;
  struct seer seer[2];
  struct xf_dataset data;
};

static void domain_init(struct domain *d, int which) {
  const uint32_t items = n_items[which];
  uint32_t user[USERS], item[2][USERS];
  uint32_t *count = xf_calloc(items, sizeof *count);
  for (uint32_t u = 0; u < USERS; u++) {
    user[u] = u;
    item[0][u] = (u * 7) % items;
    item[1][u] = wanted(u, items);
    count[item[0][u]]++;
  }
  OK(xf_csr_init(&d->history, USERS, items, user, item[0], USERS));
  OK(xf_csr_init(&d->held, USERS, items, user, item[1], USERS));
  OK(xf_features_init(&d->features, 1, count, items, &diag));
  xf_free(count);
  static const char *const slot[] = {"ease.own", "kernel.pooled"};
  for (int k = 0; k < 2; k++) {
    d->seer[k] = (struct seer){{.kind = &seer_kind, .n_items = items},
                               unit[which],
                               k ? .8 : .6,
                               (uint64_t)(10 * which + k)};
    OK(xf_features_bind(&d->features, slot[k], &d->seer[k].base, &diag));
  }
  const struct xf_features_draw draw = {.n_neg = N_NEG, .seed = 11};
  OK(xf_unitfree_data(&d->data, &d->features, &d->history, &d->held, &draw, &diag));
}

static void domain_deinit(struct domain *d) {
  xf_dataset_deinit(&d->data);
  xf_features_deinit(&d->features);
  xf_csr_deinit(&d->history);
  xf_csr_deinit(&d->held);
}

// FedAvg over the first two domains; weights of the last round in `global`.
static void federate(struct domain *dom, const struct xf_model *model, float *global) {
  const struct xf_local_config local = {.steps = 10,
                                        .batch = 32,
                                        .negatives = N_NEG,
                                        .optimizer = xf_optim_default(XF_OPTIM_SGD, .1f)};
  const struct xf_layout *layout = xf_model_get_layout(model);
  struct xf_rng shared;
  xf_rng_init(&shared, 1, 0);
  OK(xf_model_init(model, global, &(struct xf_model_seed){.shared = &shared}, &diag));
  struct xf_fold_shape shape;
  OK(xf_fold_shape_init(&shape, layout, &diag));
  float *delta[2];
  const struct xf_fold_member member[2] = {{.id = "a", .slot = 0, .weight = 1},
                                           {.id = "b", .slot = 1, .weight = 1}};
  struct xf_trainer *trainer;
  OK(xf_trainer_new(&trainer, model, &local, USERS, &diag));
  for (int d = 0; d < 2; d++) delta[d] = xf_calloc(layout->n, sizeof *delta[d]);
  for (uint64_t round = 0; round < ROUNDS; round++) {
    for (int d = 0; d < 2; d++) {
      struct xf_train_job job = {.start = global, .data = &dom[d].data, .out = delta[d]};
      xf_rng_init(&job.shuffle, 3, round * 2 + (uint64_t)d);
      xf_rng_init(&job.negative, 4, round);
      OK(xf_trainer_run(trainer, &job, &diag));
      for (size_t i = 0; i < layout->n; i++) delta[d][i] -= global[i];
    }
    const float *const from[2] = {delta[0], delta[1]};
    struct xf_fold_memory memory = {.member = from, .old_value = global, .new_value = global};
    const struct xf_fold_job job = {.shape = &shape,
                                    .member = member,
                                    .n_member = 2,
                                    .step.eta = 1,
                                    .io = xf_fold_memory_io(&memory)};
    struct xf_fold_stats stats = {0};
    OK(xf_fold_step(&job, &stats, &diag));
  }
  for (int d = 0; d < 2; d++) xf_free(delta[d]);
  xf_trainer_free(trainer);
  xf_fold_shape_deinit(&shape);
}

// NDCG@10 of the held-out item among all others outside the history.
static double ndcg(const struct domain *d, const struct xf_scorer *s) {
  float *row = xf_calloc(s->n_items, sizeof *row);
  double sum = 0;
  for (uint32_t u = 0; u < USERS; u++) {
    const uint32_t at = d->held.item[d->held.start[u]], own = d->history.item[d->history.start[u]];
    const struct xf_query q = {u, &own, 1, NAN};
    uint32_t rank = 0;
    OK(xf_scorer_score(s, &q, row, &diag));
    for (uint32_t i = 0; i < s->n_items; i++) rank += i != at && i != own && row[i] >= row[at];
    sum += rank < 10 ? 1 / log2(rank + 2.0) : 0;
  }
  xf_free(row);
  return sum / USERS;
}

static void test_unseen_domain(void **state) {
  (void)state;
  struct domain dom[DOMAINS];
  for (int d = 0; d < DOMAINS; d++) domain_init(&dom[d], d);
  struct domain *target = &dom[DOMAINS - 1];
  struct xf_model_config config;
  struct xf_model *model;
  OK(xf_unitfree_config(&config, 1, XF_UNITFREE_HIDDEN, &diag));
  OK(xf_model_new(&model, &config, (struct xf_model_size){0, 0}, &diag));
  assert_int_equal(xf_model_get_layout(model)->n, 9 * 16 + 16 + 16);
  const size_t n = xf_model_get_layout(model)->n;
  float *w = xf_calloc(n, sizeof *w), *again = xf_calloc(n, sizeof *again);
  federate(dom, model, w);
  federate(dom, model, again);
  assert_memory_equal(w, again, n * sizeof *w);
  struct xf_scorer *net, *stack;
  const float *const weights[] = {w};
  OK(xf_unitfree_scorer(&net, model, weights, 1, &target->features, &diag));
  struct xf_stack s;
  OK(xf_stack_fit(&s, 1, &dom[0].data.lists, XF_PART_TRAIN, XF_STACK_L2, &diag));
  OK(xf_stack_scorer(&stack, &s, &target->features, &diag));
  const double one = ndcg(target, &target->seer[0].base), two = ndcg(target, &target->seer[1].base),
               zero_shot = ndcg(target, net), linear = ndcg(target, stack);
  print_message("scorers %.3f and %.3f, net of two other domains %.3f, stack of one other %.3f\n",
                one, two, zero_shot, linear);
  assert_true(zero_shot > one + .03 && zero_shot > two + .03);
  assert_true(linear > one + .03);
  // the graph that trains and the scorer that serves are the same function
  struct xf_evaluator *e;
  const struct xf_measure m = {XF_MEASURE_NDCG, 10};
  const struct xf_rank_spec spec = {.part = XF_PART_TRAIN, .measure = &m, .n_measure = 1};
  struct xf_measure_sum sum;
  OK(xf_evaluator_new(&e, model, &diag));
  OK(xf_evaluator_run(e, w, &target->data, &spec, &sum, &diag));
  const struct xf_listset *l = &target->data.lists;
  const float *wk = w;
  const struct xf_listnet plain = {9, 16, XF_ACT_TANH, wk, wk + 144, wk + 160};
  float z[N_NEG + 1];
  double by_hand = 0;
  for (uint32_t k = 0; k < l->n; k++) {
    uint32_t rank = 0;
    xf_listnet_run(&plain, l->x + k * xf_listset_size(l), N_NEG + 1, z);
    for (int i = 1; i <= N_NEG; i++) rank += z[i] >= z[0];
    by_hand += rank < 10 ? 1 / log2(rank + 2.0) : 0;
  }
  assert_true(sum.count == l->n && fabs(sum.sum - by_hand) < .01 * by_hand);
  xf_evaluator_free(e);
  xf_scorer_free(net);
  assert_int_equal(xf_unitfree_scorer(&net, model, weights, 0, &target->features, &diag),
                   XF_E_INVAL);
  assert_null(net);
  xf_scorer_free(stack);
  xf_model_free(model);
  xf_free(w);
  xf_free(again);
  for (int d = 0; d < DOMAINS; d++) domain_deinit(&dom[d]);
}

// Random interactions, item models fitted without the items set aside: lists and net find nothing in them.
static void noise_domain(struct xf_dataset *out, uint64_t seed) {
  enum { PEOPLE = 2000, ITEMS = 300, EACH = 6 };
  static uint32_t user[PEOPLE * EACH], item[PEOPLE * EACH];
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 42);
  for (uint32_t i = 0; i < PEOPLE * EACH; i++) {
    user[i] = i / EACH;
    item[i] = xf_rng_below(&rng, ITEMS);
  }
  struct xf_split split = {.n_users = PEOPLE, .n_items = ITEMS}, inner;
  OK(xf_csr_init(&split.part[XF_PART_TRAIN], PEOPLE, ITEMS, user, item, PEOPLE * EACH));
  for (int p = 1; p < XF_N_PART; p++) OK(xf_csr_init(&split.part[p], PEOPLE, ITEMS, user, item, 0));
  OK(xf_inner_init(&inner, &split, 0, seed, &diag));
  const struct xf_csr *rest = &inner.part[XF_PART_TRAIN];
  const struct xf_rec_data data = {PEOPLE, ITEMS, rest};
  const struct xf_gram_spec spec = {.beta = .5};
  struct xf_gram gram;
  struct xf_scorer *ease, *kernel;
  struct xf_features f;
  OK(xf_gram_build(&gram, &data, &spec, &diag));
  OK(xf_ease_fit(&ease, &gram, 30, 0, &diag));
  OK(xf_kernel_fit(&kernel, &gram, .5, .25, &diag));
  OK(xf_features_init(&f, 1, inner.item_count, ITEMS, &diag));
  OK(xf_features_bind(&f, "ease.own", ease, &diag));
  OK(xf_features_bind(&f, "kernel.own", kernel, &diag));
  const struct xf_features_draw draw = {.n_neg = N_NEG, .seed = seed};
  OK(xf_unitfree_data(out, &f, rest, &inner.part[XF_PART_VALID], &draw, &diag));
  xf_features_deinit(&f);
  xf_scorer_free(ease);
  xf_scorer_free(kernel);
  xf_gram_deinit(&gram);
  xf_split_deinit(&inner);
  xf_split_deinit(&split);
}

static void test_noise_is_chance(void **state) {
  (void)state;
  struct xf_dataset train, other;
  struct xf_model_config config;
  struct xf_model *model;
  struct xf_evaluator *e;
  noise_domain(&train, 1);
  noise_domain(&other, 2);
  OK(xf_unitfree_config(&config, 1, XF_UNITFREE_HIDDEN, &diag));
  OK(xf_model_new(&model, &config, (struct xf_model_size){0, 0}, &diag));
  OK(xf_evaluator_new(&e, model, &diag));
  float *w = xf_calloc(xf_model_get_layout(model)->n, sizeof *w);
  struct xf_rng shared;
  xf_rng_init(&shared, 1, 0);
  OK(xf_model_init(model, w, &(struct xf_model_seed){.shared = &shared}, &diag));
  const struct xf_local_config local = {.steps = 500,
                                        .batch = 32,
                                        .negatives = N_NEG,
                                        .optimizer = xf_optim_default(XF_OPTIM_SGD, .1f)};
  struct xf_train_job job = {.start = w, .data = &train, .out = w};
  xf_rng_init(&job.shuffle, 3, 0);
  OK(xf_train_once(model, &local, &job, &diag));
  const struct xf_measure m = {XF_MEASURE_HR, 10};
  const struct xf_rank_spec spec = {.part = XF_PART_TRAIN, .measure = &m, .n_measure = 1};
  struct xf_measure_sum sum;
  OK(xf_evaluator_run(e, w, &other, &spec, &sum, &diag));
  const double chance = 10.0 / (N_NEG + 1), se = sqrt(chance * (1 - chance) / sum.count);
  print_message("random interactions: HR@10 %.3f, chance %.3f +- %.3f\n", sum.sum / sum.count,
                chance, se);
  assert_true(sum.count > 1900 && sum.sum / sum.count < chance + 3 * se);
  // ties in popularity (1 or 2 of a list) count against the positive
  assert_true(sum.sum / sum.count > chance - 3 * se - .03);
  xf_free(w);
  xf_evaluator_free(e);
  xf_model_free(model);
  xf_dataset_deinit(&train);
  xf_dataset_deinit(&other);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_unseen_domain),
                                     cmocka_unit_test(test_noise_is_chance)};
  if (xf_blas_start(NULL, &diag)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
