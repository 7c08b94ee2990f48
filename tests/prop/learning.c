// modules: train rec
// What must hold of learning on whole data sets: chance on noise, better than popularity where there is something to
// learn, known accuracy on hospitals, and a pull that helps when tastes are shared and harms little when they are not.
#include "base/alloc.h"
#include "base/fs.h"
#include "data/synth.h"
#include "rec/evaluate.h"
#include "tensor/blas.h"
#include "train/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct xf_diag diag;
#define OK(call)                                    \
  do {                                              \
    if (call) fail_msg("%s: %s", #call, diag.text); \
  } while (0)

/* One silo with everything it needs. */
struct silo {
  struct xf_dataset data;
  struct xf_model *model;
  struct xf_trainer *trainer;
  struct xf_evaluator *evaluator;
  float *start, *params, *prior;
  uint8_t *held;
  uint32_t *person; /* [n_users] global id */
};

static void silo_init(struct silo *s, const struct xf_model_config *config,
                      const struct xf_local_config *local, uint64_t id) {
  struct xf_model_size size = {s->data.split.n_users, s->data.split.n_items};
  OK(xf_model_new(&s->model, config, size, &diag));
  OK(xf_trainer_new(&s->trainer, s->model, local,
                    (uint32_t)xf_dataset_count(&s->data, XF_PART_TRAIN), &diag));
  OK(xf_evaluator_new(&s->evaluator, s->model, &diag));
  const size_t n = xf_model_get_layout(s->model)->n;
  s->start = xf_calloc(n, sizeof *s->start);
  s->params = xf_calloc(n, sizeof *s->params);
  s->prior = xf_calloc(n, sizeof *s->prior);
  s->held = xf_calloc(size.n_users + 1, 1);
  struct xf_key *key = xf_calloc(size.n_users + 1, sizeof *key);
  for (uint32_t u = 0; u < size.n_users; u++)
    memcpy(key[u].b, s->person ? &s->person[u] : &u, sizeof u);
  struct xf_rng shared, own;
  xf_rng_init(&shared, 1, 0);
  xf_rng_init(&own, 2, id);
  OK(xf_model_init(s->model, s->start, &(struct xf_model_seed){&shared, &own, key, NULL}, &diag));
  memcpy(s->params, s->start, n * sizeof *s->params);
  xf_free(key);
}

static void silo_deinit(struct silo *s) {
  xf_evaluator_free(s->evaluator);
  xf_trainer_free(s->trainer);
  xf_model_free(s->model);
  xf_free(s->start);
  xf_free(s->params);
  xf_free(s->prior);
  xf_free(s->held);
  xf_free(s->person);
  xf_dataset_deinit(&s->data);
}

static void silo_train(struct silo *s, uint64_t id, uint32_t round, bool with_prior) {
  struct xf_train_job job = {.start = s->params,
                             .out = s->params,
                             .data = &s->data,
                             .prior = with_prior ? s->prior : NULL,
                             .held = s->held};
  xf_rng_init(&job.shuffle, 3 + id, round);
  xf_rng_init(&job.negative, 1000 + id, round);
  OK(xf_trainer_run(s->trainer, &job, &diag));
}

static const struct xf_measure hr10 = {XF_MEASURE_HR, 10}, ndcg10 = {XF_MEASURE_NDCG, 10};

/* Measures the silo's parameters, or popularity; per_user may be NULL. */
static double measure(struct silo *s, struct xf_measure m, uint32_t n_neg, bool popularity,
                      float *per_user) {
  struct xf_measure_sum sum;
  const struct xf_rank_spec spec = {.part = XF_PART_TEST,
                                    .n_neg = n_neg,
                                    .seed = 5,
                                    .measure = &m,
                                    .n_measure = 1,
                                    .per_user = per_user};
  if (popularity) OK(xf_evaluate_popularity(&s->data.split, &spec, &sum, &diag));
  else OK(xf_evaluator_run(s->evaluator, s->params, &s->data, &spec, &sum, &diag));
  return xf_measure_value(m.kind, sum);
}

static struct xf_model_config mf_config(enum xf_loss loss) {
  return (struct xf_model_config){.kind = XF_MODEL_MF,
                                  .loss = loss,
                                  .bias = true,
                                  .dim = 16,
                                  .users = XF_ROWS_ALIGNED,
                                  .user_ns = "people"};
}

static struct xf_local_config mf_local(float lr, uint32_t epochs) {
  return (struct xf_local_config){
      .epochs = epochs, .batch = 64, .optimizer = xf_optim_default(XF_OPTIM_ADAM, lr), .l2 = 1e-4};
}

#ifdef XF_SANITIZED /* slow: one loss shows the paths */
enum { LAST_NOISY_LOSS = XF_LOSS_BPR };
#else
enum { LAST_NOISY_LOSS = XF_LOSS_SOFTMAX };
#endif

/* Nothing can be learned from coin flips: if held-out items were left out of the negatives, HR would rise above chance. */
static void test_noise_gives_chance(void **state) {
  (void)state;
  enum { USERS = 2500, ITEMS = 120, EACH = 12 };
  for (int loss = XF_LOSS_BPR; loss <= LAST_NOISY_LOSS; loss++) {
    struct silo s = {0};
    struct xf_rng rng;
    xf_rng_init(&rng, 42, 0);
    xf_dataset_init(&s.data, XF_DATASET_INTERACTIONS);
    uint32_t items[ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++) items[i] = i;
    for (uint32_t u = 0; u < USERS; u++) {
      char user[16], item[16];
      xf_rng_shuffle(&rng, items, ITEMS);
      (void)snprintf(user, sizeof user, "%u", u);
      for (uint32_t k = 0; k < EACH; k++) {
        (void)snprintf(item, sizeof item, "%u", items[k]);
        OK(xf_interactions_add(&s.data.inter, user, item, NULL, 1, k));
      }
    }
    OK(xf_split_init(&s.data.split, &s.data.inter, &(struct xf_split_spec){0}, NULL, &diag));
    const struct xf_model_config config = mf_config((enum xf_loss)loss);
    const struct xf_local_config local = mf_local(.01f, 25);
    silo_init(&s, &config, &local, 0);
    silo_train(&s, 0, 1, false);
    const double p = 10.0 / (ITEMS - EACH + 1), se = sqrt(p * (1 - p) / USERS);
    const double hr = measure(&s, hr10, 0, false, NULL);
    print_message("noise, %s: hr@10 %.4f, chance %.4f +- %.4f\n", xf_loss_name(config.loss), hr, p,
                  se);
    if (fabs(hr - p) > 3 * se)
      fail_msg("%s: HR@10 %.4f is not within 3 SE of chance %.4f", xf_loss_name(config.loss), hr,
               p);
    silo_deinit(&s);
  }
}

enum { SILOS = 3, ROUNDS = 20, MAX_USERS = 4000 };

static void world(struct silo silo[SILOS], double gap, double shared, double pull, double kappa,
                  uint32_t *n_people) {
  struct xf_interactions all;
  struct xf_synth_spec spec = xf_synth_default();
  struct xf_rng rng;
  xf_rng_init(&rng, 7, 0);
  spec.gap = gap;
  spec.shared = shared;
  OK(xf_synth_init(&all, &spec, &rng, &diag));
  *n_people = all.users.n;
  const struct xf_model_config config = mf_config(XF_LOSS_BPR);
  struct xf_local_config local = mf_local(.005f, 1);
  local.pull = pull;
  local.kappa = kappa;
  for (uint32_t d = 0; d < SILOS; d++) {
    struct silo *s = &silo[d];
    *s = (struct silo){0};
    xf_dataset_init(&s->data, XF_DATASET_INTERACTIONS);
    OK(xf_interactions_select(&s->data.inter, &all, all.domain, d));
    OK(xf_split_init(&s->data.split, &s->data.inter, &(struct xf_split_spec){0}, NULL, &diag));
    s->person = xf_calloc(s->data.split.n_users, sizeof *s->person);
    for (uint32_t u = 0; u < s->data.split.n_users; u++) {
      const char *key = xf_names_get(&s->data.inter.users, u);
      s->person[u] = xf_names_find(&all.users, key, strlen(key));
    }
    silo_init(s, &config, &local, d);
  }
  xf_interactions_deinit(&all);
}

/* What the coordinator does for the rule `pull`: the mean of the other holders' rows. */
static void exchange(struct silo silo[SILOS], uint32_t n_people) {
  enum { DIM = 16 };
  float *sum = xf_calloc(n_people, DIM * sizeof *sum);
  uint32_t *holders = xf_calloc(n_people, sizeof *holders);
  for (uint32_t d = 0; d < SILOS; d++)
    for (uint32_t u = 0; u < silo[d].data.split.n_users; u++) {
      const uint32_t p = silo[d].person[u];
      holders[p]++;
      for (uint32_t k = 0; k < DIM; k++) sum[p * DIM + k] += silo[d].params[u * DIM + k];
    }
  for (uint32_t d = 0; d < SILOS; d++)
    for (uint32_t u = 0; u < silo[d].data.split.n_users; u++) {
      const uint32_t p = silo[d].person[u];
      silo[d].held[u] = holders[p] > 1;
      for (uint32_t k = 0; k < DIM && holders[p] > 1; k++)
        silo[d].prior[u * DIM + k] =
            (sum[p * DIM + k] - silo[d].params[u * DIM + k]) / (float)(holders[p] - 1);
    }
  xf_free(sum);
  xf_free(holders);
}

/* Trains alone, then with the pull, and compares the users' NDCG@10 over all silos. */
static void compare(struct silo silo[SILOS], uint32_t n_people, double *alone, double *gain,
                    double *se) {
  static float before[MAX_USERS], after[MAX_USERS];
  size_t n = 0;
  *alone = 0;
  for (uint32_t d = 0; d < SILOS; d++) {
    for (uint32_t r = 1; r <= ROUNDS; r++) silo_train(&silo[d], d, r, false);
    *alone += measure(&silo[d], ndcg10, 0, false, before + n) / SILOS;
    n += silo[d].data.split.n_users;
    assert_true(n <= MAX_USERS);
    memcpy(silo[d].params, silo[d].start, xf_model_get_layout(silo[d].model)->n * sizeof(float));
  }
  for (uint32_t r = 1; r <= ROUNDS; r++) {
    for (uint32_t d = 0; d < SILOS; d++) silo_train(&silo[d], d, r, r > 1);
    exchange(silo, n_people);
  }
  n = 0;
  for (uint32_t d = 0; d < SILOS; d++) {
    (void)measure(&silo[d], ndcg10, 0, false, after + n);
    n += silo[d].data.split.n_users;
  }
  assert_true(xf_measure_paired(after, before, n, gain, se) > 1000);
}

static void test_pull_on_shared_tastes(void **state) {
  (void)state;
  struct silo silo[SILOS];
  uint32_t n_people = 0;
  double alone = 0, gain = 0, se = 0;
  world(silo, 0, 1, XF_PULL_DEFAULT, .5, &n_people);
  compare(silo, n_people, &alone, &gain, &se);
  print_message("same tastes: alone %.4f, pull %+.4f +- %.4f\n", alone, gain, se);
  if (!(gain > 2 * se))
    fail_msg("a pull between silos with the same tastes must help: %+.4f +- %.4f", gain, se);
  for (int d = 0; d < SILOS; d++) silo_deinit(&silo[d]);
  world(silo, 3, .8, XF_PULL_DEFAULT, .25, &n_people);
  compare(silo, n_people, &alone, &gain, &se);
  print_message("other tastes: alone %.4f, pull %+.4f +- %.4f\n", alone, gain, se);
  assert_true(gain > -.02);
  for (int d = 0; d < SILOS; d++) silo_deinit(&silo[d]);
}

static void test_beats_popularity(void **state) {
  (void)state;
  struct silo silo[SILOS];
  uint32_t n_people = 0;
  world(silo, .3, .8, XF_PULL_DEFAULT, .25, &n_people);
  for (uint32_t d = 0; d < SILOS; d++) {
    static float mine[MAX_USERS], theirs[MAX_USERS];
    double mean = 0, se = 0;
    for (uint32_t r = 1; r <= ROUNDS; r++) silo_train(&silo[d], d, r, false);
    for (int sampled = 0; sampled < 2; sampled++) {
      const double mf = measure(&silo[d], ndcg10, sampled ? 99 : 0, false, mine);
      const double pop = measure(&silo[d], ndcg10, sampled ? 99 : 0, true, theirs);
      (void)xf_measure_paired(mine, theirs, silo[d].data.split.n_users, &mean, &se);
      print_message("domain %u %s: ndcg@10 mf %.4f, popularity %.4f\n", d, sampled ? "s99" : "full",
                    mf, pop);
      assert_true(mean > 5 * se);
    }
    silo_deinit(&silo[d]);
  }
}

/* Explicit values: half of the variance is explained. */
static void test_ratings(void **state) {
  (void)state;
  struct silo s = {0};
  struct xf_rng rng;
  xf_rng_init(&rng, 9, 0);
  xf_dataset_init(&s.data, XF_DATASET_INTERACTIONS);
  double taste[100][4], item[60][4], var = 0;
  for (int u = 0; u < 100; u++)
    for (int k = 0; k < 4; k++) taste[u][k] = xf_rng_normal(&rng);
  for (int i = 0; i < 60; i++)
    for (int k = 0; k < 4; k++) item[i][k] = xf_rng_normal(&rng);
  for (int u = 0; u < 100; u++)
    for (int i = 0; i < 60; i++) {
      char a[16], b[16];
      double v = 3;
      for (int k = 0; k < 4; k++) v += taste[u][k] * item[i][k] / 2;
      var += (v - 3) * (v - 3) / 6000;
      (void)snprintf(a, sizeof a, "%d", u);
      (void)snprintf(b, sizeof b, "%d", i);
      OK(xf_interactions_add(&s.data.inter, a, b, NULL, v, (double)NAN));
    }
  const struct xf_split_spec split = {.kind = XF_SPLIT_RANDOM, .test_fraction = .2};
  OK(xf_split_init(&s.data.split, &s.data.inter, &split, &rng, &diag));
  struct xf_model_config config = mf_config(XF_LOSS_MSE);
  config.users = XF_ROWS_LOCAL;
  const struct xf_local_config local = mf_local(.01f, 60);
  silo_init(&s, &config, &local, 0);
  silo_train(&s, 0, 1, false);
  const double rmse = measure(&s, (struct xf_measure){XF_MEASURE_RMSE, 0}, 0, false, NULL);
  print_message("ratings: rmse %.3f, deviation %.3f\n", rmse, sqrt(var));
  assert_true(rmse < .5 * sqrt(var));
  silo_deinit(&s);
}

/* Each hospital alone: accuracy of converged logistic regression on the published split. */
static void test_hospitals(void **state) {
  (void)state;
  static const struct {
    const char *file;
    double acc;
  } want[] = {{"cleveland", .731}, {"hungarian", .719}, {"switzerland", .938}, {"va", .778}};
  static const uint32_t drop[] = {11, 12, 13};
  static const struct xf_table_one_hot hot[] = {{.column = 3, .n = 4, .value = {1, 2, 3, 4}},
                                                {.column = 7, .n = 3, .value = {0, 1, 2}}};
  static const struct xf_table_spec spec = {.binary = true,
                                            .drop_missing = true,
                                            .drop = drop,
                                            .n_drop = 3,
                                            .one_hot = hot,
                                            .n_one_hot = 2};
  const char *root = getenv("CROSSFED_DATA");
  char dir[XF_PATH_MAX], path[XF_PATH_MAX], split[XF_PATH_MAX];
  OK(xf_fs_join(dir, root && *root ? root : "../shared/data", "fed-heart-disease"));
  OK(xf_fs_join(split, dir, "flamby-split.tsv"));
  if (!xf_fs_exists(xf_fs_posix(), split)) {
    print_message("no data set fed-heart-disease: set CROSSFED_DATA\n");
    skip();
  }
  for (int h = 0; h < 4; h++) {
    char name[64], center[2] = {(char)('0' + h), 0};
    struct silo s = {0};
    xf_dataset_init(&s.data, XF_DATASET_TABLE);
    (void)snprintf(name, sizeof name, "processed.%s.data", want[h].file);
    OK(xf_fs_join(path, dir, name));
    OK(xf_table_load(&s.data.table, path, &spec, &diag));
    OK(xf_table_split_file(&s.data.table, split, center, &diag));
    OK(xf_table_standardise(&s.data.table, &diag));
    const struct xf_model_config config = {
        .kind = XF_MODEL_LOGREG, .loss = XF_LOSS_BCE, .bias = true, .n_in = 13, .n_out = 1};
    const struct xf_local_config local = {
        .epochs = 300, .optimizer = xf_optim_default(XF_OPTIM_ADAM, .02f), .l2 = .01};
    silo_init(&s, &config, &local, 0);
    silo_train(&s, 0, 1, false);
    const struct xf_measure measures[] = {
        {XF_MEASURE_ACC, 0}, {XF_MEASURE_AUC, 0}, {XF_MEASURE_LOGLOSS, 0}};
    struct xf_measure_sum sum[3];
    const struct xf_rank_spec eval = {.part = XF_PART_TEST, .measure = measures, .n_measure = 3};
    OK(xf_evaluator_run(s.evaluator, s.params, &s.data, &eval, sum, &diag));
    const double acc = xf_measure_value(XF_MEASURE_ACC, sum[0]),
                 auc = xf_measure_value(XF_MEASURE_AUC, sum[1]);
    print_message("%s: accuracy %.3f (known %.3f), auc %.3f, logloss %.3f\n", want[h].file, acc,
                  want[h].acc, auc, xf_measure_value(XF_MEASURE_LOGLOSS, sum[2]));
    if (fabs(acc - want[h].acc) > .035)
      fail_msg("%s: accuracy %.3f, known %.3f", want[h].file, acc, want[h].acc);
    silo_deinit(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_noise_gives_chance),
      cmocka_unit_test(test_beats_popularity),
      cmocka_unit_test(test_pull_on_shared_tastes),
      cmocka_unit_test(test_ratings),
      cmocka_unit_test(test_hospitals),
  };
  if (xf_blas_start(NULL, &diag)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
