// Adapting to a client that has not trained: whose rows are what, the silo's own steps, what is refused.
#include "silotest.h"

#include "base/alloc.h"
#include "silo/adapt.h"
#include "tensor/blas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define MLP "model.kind=mlp model.hidden=4 model.activation=tanh local.batch=4 "

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
  close_client(&c);
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
      cmocka_unit_test(query_labels_only_measure),
      cmocka_unit_test(refuses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
