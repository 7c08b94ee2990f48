// Adapting to a client that has not trained: whose rows are what, the silo's own steps, what is refused.
#include "silotest.h"

#include "base/alloc.h"
#include "silo/adapt.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define MLP "model.kind=mlp model.hidden=4 model.activation=tanh local.batch=4 "
#define META                                                                          \
  MLP "fed.algorithm=maml local.meta.support=5 local.meta.query=5 local.meta.lr=0.5 " \
      "local.meta.tasks=1 "

enum { SUPPORT = 9, MEASURES = 2 };

static struct xf_diag diag;

struct client {
  struct xf_plan plan;
  struct xf_dataset data;
  struct xf_adapt *adapt;
  float *start;
  size_t n;
};

static void open_client(struct client *c, const char *sets) {
  silotest_plan(&c->plan, silotest_table, sets);
  silotest_data(&c->data, &c->plan, "new", 1, 16);
  const struct xf_adapt_spec spec = {.plan = &c->plan, .member = "new", .support = SUPPORT};
  if (xf_adapt_new(&c->adapt, &spec, &c->data, &diag)) fail_msg("%s", diag.text);
  c->n = xf_model_get_layout(xf_adapt_model(c->adapt))->n;
  c->start = xf_calloc(c->n, sizeof *c->start);
  assert_int_equal(xf_adapt_scratch(c->adapt, c->start, &diag), XF_OK);
}

static void close_client(struct client *c) {
  xf_free(c->start);
  xf_adapt_free(c->adapt);
  xf_dataset_deinit(&c->data);
}

static void support_and_query_are_apart(void **state) {
  (void)state;
  struct client c;
  uint8_t first[80];
  open_client(&c, MLP "local.steps=3");
  const struct xf_table *t = &c.data.table;
  assert_true(t->n == sizeof first);
  memcpy(first, xf_adapt_parts(c.adapt), sizeof first);
  for (uint64_t draw = 3; draw-- > 1;) {
    size_t n[XF_N_PART] = {0}, other = 0;
    xf_adapt_draw(c.adapt, draw);
    for (size_t i = 0; i < t->n; i++) {
      const uint8_t part = xf_adapt_parts(c.adapt)[i];
      n[part]++;
      other += part != first[i];
      assert_int_equal(part == XF_PART_VALID, t->part[i] != XF_PART_TRAIN);
    }
    assert_int_equal(n[XF_PART_TRAIN], SUPPORT);
    assert_int_equal(n[XF_PART_TEST], xf_dataset_count(&c.data, XF_PART_TRAIN) - SUPPORT);
    assert_int_equal(other == 0, draw == 1);
  }
  close_client(&c);
}

// What k steps come to is what a silo with local.steps k and the support as its train rows answers a task with.
static void steps_are_the_silos(void **state) {
  (void)state;
  static const char *const one[] = {MLP "local.steps=1",
                                    MLP "local.steps=1 local.optimizer.kind=adam"};
  static const char *const five[] = {MLP "local.steps=5",
                                     MLP "local.steps=5 local.optimizer.kind=adam"};
  for (int i = 0; i < 2; i++) {
    struct client c;
    struct xf_plan plan;
    struct xf_dataset data;
    open_client(&c, one[i]);
    xf_adapt_draw(c.adapt, 2);
    silotest_plan(&plan, silotest_table, five[i]);
    silotest_data(&data, &plan, "new", 1, 16);
    memcpy(data.table.part, xf_adapt_parts(c.adapt), data.table.n);
    const struct xf_silo_config config = silotest_config(&plan, "new", &data);
    struct xf_silo *silo = NULL;
    assert_int_equal(xf_silo_new(&silo, &config, &diag), XF_OK);
    struct xf_silo_answer answer = {0};
    xf_buf_init(&answer.payload, 1 << 20);
    const struct xf_silo_task task = {
        .offer = {.kind = XF_TASK_TRAIN, .round = 2, .model_len = c.n * sizeof(float)},
        .base = c.start};
    assert_int_equal(xf_silo_work(silo, &task, &answer, &diag), XF_OK);

    struct xf_measure_sum got[MEASURES], want[MEASURES], before[MEASURES];
    assert_int_equal(xf_adapt_steps(c.adapt, c.start, 0, before, &diag), XF_OK);
    assert_int_equal(xf_adapt_steps(c.adapt, c.start, 5, got, &diag), XF_OK);
    assert_int_equal(xf_adapt_steps(c.adapt, xf_silo_personal(silo, true), 0, want, &diag), XF_OK);
    assert_memory_equal(got, want, sizeof got);
    assert_memory_not_equal(got, before, sizeof got);
    xf_buf_deinit(&answer.payload);
    xf_silo_free(silo);
    close_client(&c);
  }
}

// A plan of maml adapts by its inner loop: in double, but else SGD on the whole support as often.
static void inner_steps_are_the_plans(void **state) {
  (void)state;
  struct client c, sgd;
  struct xf_measure_sum got[MEASURES], want[MEASURES], before[MEASURES];
  open_client(&c, META "eval.metrics=acc@adapt2,logloss");
  open_client(&sgd,
              MLP "local.steps=1 local.batch=0 local.optimizer.lr=0.5 eval.metrics=acc,logloss");
  assert_true(xf_adapt_lr(c.adapt) == .5 && xf_adapt_lr(sgd.adapt) == .5);
  assert_int_equal(xf_adapt_measures(c.adapt)->n, 1);
  assert_memory_equal(xf_adapt_parts(c.adapt), xf_adapt_parts(sgd.adapt), c.data.table.n);
  assert_int_equal(xf_adapt_steps(c.adapt, c.start, 0, before, &diag), XF_OK);
  assert_int_equal(xf_adapt_steps(c.adapt, c.start, 6, got, &diag), XF_OK);
  assert_int_equal(xf_adapt_steps(sgd.adapt, c.start, 6, want, &diag), XF_OK);
  assert_true(fabs(got[0].sum - want[1].sum) < 1e-3 && fabs(got[0].sum - before[0].sum) > .1);
  assert_true(got[0].count == want[1].count);
  close_client(&sgd);
  close_client(&c);
}

// Other labels of the query change what is measured, and only that.
static void query_labels_only_measure(void **state) {
  (void)state;
  struct client c;
  struct xf_measure_sum a[3][MEASURES], b[3][MEASURES];
  struct xf_head_report report;
  open_client(&c, MLP "local.steps=3");
  for (int turned = 0; turned < 2; turned++) {
    struct xf_measure_sum(*to)[MEASURES] = turned ? b : a;
    assert_int_equal(xf_adapt_steps(c.adapt, c.start, 0, to[0], &diag), XF_OK);
    assert_int_equal(xf_adapt_steps(c.adapt, c.start, 20, to[1], &diag), XF_OK);
    assert_int_equal(xf_adapt_ridge(c.adapt, c.start, to[2], &report, &diag), XF_OK);
    for (size_t i = 0; i < c.data.table.n; i++)
      if (xf_adapt_parts(c.adapt)[i] != XF_PART_TRAIN) c.data.table.y[i] = 1 - c.data.table.y[i];
  }
  for (int i = 0; i < 3; i++) {
    assert_true(a[i][0].count > 0 && a[i][0].count == b[i][0].count);
    assert_true(a[i][0].sum + b[i][0].sum == a[i][0].count);
  }
  close_client(&c);
}

static void refuses(void **state) {
  (void)state;
  struct client c;
  struct xf_adapt *adapt = NULL;
  struct xf_plan plan;
  open_client(&c, MLP "local.steps=3");
  struct xf_adapt_spec spec = {.plan = &c.plan, .member = "new", .support = 50, .query = 40};
  assert_int_equal(xf_adapt_new(&adapt, &spec, &c.data, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "a support of 50 and a query of 40 need 90"));
  spec.support = 0;
  assert_int_equal(xf_adapt_new(&adapt, &spec, &c.data, &diag), XF_E_RANGE);
  silotest_plan(&plan, silotest_mf, "");
  assert_int_equal(xf_adapt_check(&plan, &diag), XF_E_UNSUPPORTED);
  assert_non_null(strstr(diag.text, "crossfed recommend"));
  silotest_plan(&plan, silotest_table, MLP "fed.algorithm=ditto local.personal.lambda=1");
  assert_int_equal(xf_adapt_check(&plan, &diag), XF_E_UNSUPPORTED);
  assert_non_null(strstr(diag.text, "train the start with fedavg, reptile"));
  close_client(&c);
  silotest_plan(&plan, silotest_table, META "fed.algorithm=metasgd");
  silotest_data(&c.data, &plan, "new", 1, 16);
  spec = (struct xf_adapt_spec){.plan = &plan, .member = "new", .support = 5, .lr = .1};
  assert_int_equal(xf_adapt_new(&adapt, &spec, &c.data, &diag), XF_E_CONFLICT);
  silotest_plan(&plan, silotest_table, META "eval.metrics=acc@adapt2");
  spec.lr = 0;
  assert_int_equal(xf_adapt_new(&adapt, &spec, &c.data, &diag), XF_E_CONFIG);
  xf_dataset_deinit(&c.data);
  open_client(&c, ""); // logreg
  struct xf_measure_sum sum[MEASURES];
  struct xf_head_report report;
  assert_int_equal(xf_adapt_ridge(c.adapt, c.start, sum, &report, &diag), XF_E_UNSUPPORTED);
  close_client(&c);
}

int main(void) {
  struct xf_blas_info info;
  if (xf_blas_start(&info, &diag)) return 1;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(support_and_query_are_apart),
      cmocka_unit_test(steps_are_the_silos),
      cmocka_unit_test(inner_steps_are_the_plans),
      cmocka_unit_test(query_labels_only_measure),
      cmocka_unit_test(refuses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
