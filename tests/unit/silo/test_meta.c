/* Meta-learning in a silo: rounds repeat, the start stays, adaptation is measured alike for every arm. */
#include "silotest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define MLP "model.kind=mlp model.hidden=3 "
#define META MLP "local.meta.support=4 local.meta.query=6 local.meta.lr=0.1 local.meta.tasks=2 "

static struct silotest t;

static const float *payload(void) { return (const float *)(const void *)t.answer.payload.p; }

/* The same task on a silo that has just started again gives the same bytes; another round draws other tasks. */
static void test_repeats(void **state) {
  (void)state;
  static const char *const sets[] = {
      META "fed.algorithm=maml", META "fed.algorithm=metasgd", META "fed.algorithm=boil",
      META "fed.algorithm=perfedavg local.steps=3 local.optimizer.kind=adam",
      META "fed.algorithm=anil privacy.clip=0.01"};
  for (size_t k = 0; k < sizeof sets / sizeof *sets; k++) {
    static float first[SILOTEST_FLOATS];
    silotest_init(&t, silotest_table, sets[k], NULL);
    silotest_work(&t, 0, 1);
    silotest_work(&t, 0, 2);
    const size_t size = t.answer.payload.len;
    memcpy(first, payload(), size);
    assert_int_equal(size, xf_silo_model_len(t.silo[0]));
    assert_int_equal(t.answer.begin.weight, 12); /* 2 tasks of 6 query rows */
    assert_int_equal(t.answer.begin.loss_count, 12);
    double norm2 = 0;
    for (size_t i = 0; i < size / sizeof(float); i++) norm2 += (double)first[i] * (double)first[i];
    assert_true(norm2 > 0);
    assert_int_equal(t.answer.clipped, k == 4);
    if (k == 4) assert_true(sqrt(norm2) < .0100001);
    silotest_work(&t, 0, 3);
    assert_memory_not_equal(first, payload(), size);
    silotest_deinit(&t);
    silotest_init(&t, silotest_table, sets[k], NULL);
    silotest_work(&t, 0, 2);
    assert_memory_equal(first, payload(), size);
    silotest_deinit(&t);
  }
}

/* Learnt rates are shared segments behind the net's, and start at local.meta.lr everywhere. */
static void test_rates(void **state) {
  (void)state;
  silotest_init(&t, silotest_table, META "fed.algorithm=metasgd", NULL);
  const struct xf_layout *layout = xf_silo_layout(t.silo[0]);
  assert_int_equal(layout->n_seg, 8);
  assert_int_equal(layout->n % 2, 0);
  assert_int_equal(t.global.n, layout->n);
  for (uint64_t i = 0; i < layout->n; i++) assert_int_equal(t.x[i] == .1F, i >= layout->n / 2);
  silotest_deinit(&t);
}

static void evaluate(enum xf_silo_arm arm, struct xf_measure_sum *sum) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_silo_arm_make(t.silo[0], arm, t.base[0], &diag)) fail_msg("%s", diag.text);
  if (xf_silo_measure(t.silo[0], XF_PART_TEST, sum, &diag)) fail_msg("%s", diag.text);
}

/* Before and after adaptation, of every arm, on held-out rows; with steps the loss falls; FedAvg plans can be measured so, too. */
static void test_adaptation(void **state) {
  (void)state;
  static const char *const sets[] = {
      META "local.meta.support=20 fed.algorithm=fomaml arms=alone,federated "
           "eval.metrics=logloss,logloss@adapt1,logloss@adapt40,acc",
      MLP "local.meta.support=20 local.meta.lr=0.1 arms=alone,federated "
          "eval.metrics=logloss,logloss@adapt1,logloss@adapt40,acc"};
  for (size_t k = 0; k < 2; k++) {
    struct xf_measure_sum first[XF_RESOLVE_MEASURES], sum[XF_RESOLVE_MEASURES];
    silotest_init(&t, silotest_table, sets[k], NULL);
    evaluate(XF_SILO_FEDERATED, first);
    for (int i = 0; i < 4; i++) assert_true(first[i].count == 8); /* test rows of 40 */
    assert_true(first[1].sum != first[0].sum && first[2].sum < first[0].sum);
    evaluate(XF_SILO_ALONE, sum);
    assert_true(sum[0].sum != first[0].sum && sum[1].sum != sum[0].sum);
    evaluate(XF_SILO_FEDERATED, sum); /* measuring changes nothing */
    assert_memory_equal(sum, first, 4 * sizeof *sum);
    silotest_deinit(&t);
  }
}

/* Without a local optimiser there is no arm alone, and nobody can ask for it. */
static void test_no_alone(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  silotest_init(&t, silotest_table, META "fed.algorithm=maml", NULL);
  assert_true(xf_silo_has_arm(t.silo[0], XF_SILO_ALONE)); /* the plan has a local rate */
  silotest_deinit(&t);
  static const char plan[] =
      "name: t\ndata: {kind: table, split: {kind: random}}\n"
      "model: {kind: logreg, loss: bce, n_in: 2, n_out: 1}\n"
      "stages:\n  - {fed: {rounds: 3, algorithm: maml}, local: {meta: {lr: 0.1}}}\n";
  silotest_init(&t, plan, "", NULL);
  assert_false(xf_silo_has_arm(t.silo[0], XF_SILO_ALONE));
  assert_int_equal(xf_silo_arm_make(t.silo[0], XF_SILO_ALONE, t.base[0], &diag), XF_E_UNSUPPORTED);
  assert_non_null(strstr(diag.text, "no local optimiser"));
  silotest_deinit(&t);
}

/* A silo with too few rows does not start, and says how many it needs. */
static void test_too_few(void **state) {
  (void)state;
  struct xf_plan plan;
  struct xf_dataset data;
  struct xf_silo *silo = NULL;
  struct xf_diag diag;
  silotest_plan(&plan, silotest_table, META "fed.algorithm=maml local.meta.query=40");
  silotest_data(&data, &plan, "silo-a", 0, 7);
  const struct xf_silo_config cfg = silotest_config(&plan, "silo-a", &data);
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_new(&silo, &cfg, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "support 4 and query 40 need 44 train rows, and there are 32"));
  xf_dataset_deinit(&data);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_repeats),    cmocka_unit_test(test_rates),
      cmocka_unit_test(test_adaptation), cmocka_unit_test(test_no_alone),
      cmocka_unit_test(test_too_few),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
