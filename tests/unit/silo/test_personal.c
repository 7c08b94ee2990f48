/* Personalisation in a silo: nothing of what stays is in what leaves, rounds repeat, the silo's own net is an arm. */
#include "silotest.h"

#include "base/alloc.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define MLP "model.kind=mlp model.hidden=3 "

static struct silotest t;

static const struct {
  const char *sets;
  const char *stays[9]; /* names of the segments that do */
  bool second;          /* a net beside the shared one */
} methods[] = {
    {MLP "fed.algorithm=fedper", {"w2", "b2"}, false},
    {MLP "fed.algorithm=fedrep local.personal.head_epochs=2", {"w2", "b2"}, false},
    {MLP "fed.algorithm=ditto local.personal.lambda=0.5",
     {"own.w1", "own.b1", "own.w2", "own.b2"},
     true},
    {MLP "fed.algorithm=pfedme local.personal.lambda=15 local.personal.lr=0.01",
     {"own.w1", "own.b1", "own.w2", "own.b2"},
     true},
    {MLP "fed.algorithm=apfl local.personal.alpha=0.3",
     {"own.w1", "own.b1", "own.w2", "own.b2", "own.alpha"},
     true},
};
enum { N = sizeof methods / sizeof *methods };

static const float *payload(void) { return (const float *)(const void *)t.answer.payload.p; }

/* Whether the bytes of a float, or of its change since `before`, are anywhere in the payload. */
static bool leaves(float now, float before) {
  const float change = now - before;
  for (size_t at = 0; at + sizeof(float) <= t.answer.payload.len; at++)
    if (!memcmp(t.answer.payload.p + at, &now, sizeof now) ||
        (change != 0 && !memcmp(t.answer.payload.p + at, &change, sizeof change)))
      return true;
  return false;
}

/* Of each method: which segments stay, that they moved, that none of their floats is in the answer, and that the rest is. */
static void test_stays(void **state) {
  (void)state;
  for (size_t m = 0; m < N; m++) {
    float before[SILOTEST_FLOATS];
    silotest_init(&t, silotest_table, methods[m].sets, NULL);
    const struct xf_layout *l = xf_silo_layout(t.silo[0]);
    memcpy(before, xf_silo_personal(t.silo[0], false), l->n * sizeof(float));
    for (uint64_t i = 0; i < l->n; i++) /* what stays is known by its values */
      for (size_t k = 0; methods[m].stays[k]; k++) {
        const struct xf_segment *s = xf_layout_find(l, methods[m].stays[k]);
        assert_non_null(s);
        if (i >= s->offset && i < s->offset + xf_segment_len(s)) before[i] += .01f * (float)(i + 1);
      }
    assert_int_equal(xf_silo_restore(t.silo[0], before, l->n, false), XF_OK);
    silotest_work(&t, 0, 1);
    const float *after = xf_silo_personal(t.silo[0], true);
    uint64_t n_stay = 0, wire = 0;
    for (size_t k = 0; methods[m].stays[k]; k++) {
      const struct xf_segment *s = xf_layout_find(l, methods[m].stays[k]);
      assert_int_equal(s->role, XF_ROLE_DOMAIN);
      n_stay += xf_segment_len(s);
      for (uint64_t i = s->offset; i < s->offset + xf_segment_len(s); i++) {
        assert_true(after[i] != before[i]);
        assert_false(leaves(after[i], before[i]));
      }
    }
    assert_int_equal(t.answer.payload.len, (l->n - n_stay) * sizeof(float));
    assert_int_equal(t.global.n, l->n - n_stay);
    for (size_t g = 0; g < l->n_seg; g++)
      for (uint64_t i = 0; l->seg[g].role == XF_ROLE_SHARED && i < xf_segment_len(&l->seg[g]);
           i++) {
        assert_true(payload()[wire] == after[l->seg[g].offset + i] - t.base[0][wire]);
        wire++;
      }
    silotest_deinit(&t);
  }
}

/* A task that is worked on again, after its answer was lost or the silo was started with the state of before, has the same bytes; a
   committed one moves what stays, one that was not does not. */
static void test_repeats(void **state) {
  (void)state;
  for (size_t m = 0; m < N; m++) {
    static float first[SILOTEST_FLOATS], kept[SILOTEST_FLOATS], was[SILOTEST_FLOATS];
    silotest_init(&t, silotest_table, methods[m].sets, NULL);
    const uint64_t n = xf_silo_params(t.silo[0]);
    silotest_work(&t, 0, 1);
    xf_silo_outcome(t.silo[0], true);
    memcpy(was, xf_silo_personal(t.silo[0], false), n * sizeof(float));
    silotest_work(&t, 0, 2);
    const size_t size = t.answer.payload.len;
    memcpy(first, payload(), size);
    memcpy(kept, xf_silo_personal(t.silo[0], true), n * sizeof(float));
    xf_silo_outcome(t.silo[0], false);
    assert_memory_equal(xf_silo_personal(t.silo[0], false), was, n * sizeof(float));
    silotest_work(&t, 0, 2);
    assert_memory_equal(payload(), first, size);
    silotest_deinit(&t);
    silotest_init(&t, silotest_table, methods[m].sets, NULL);
    assert_int_equal(xf_silo_restore(t.silo[0], was, n, false), XF_OK);
    silotest_work(&t, 0, 2);
    assert_memory_equal(payload(), first, size);
    assert_memory_equal(xf_silo_personal(t.silo[0], true), kept, n * sizeof(float));
    silotest_deinit(&t);
  }
}

/* Beside a second net the answer of ditto is FedAvg's, to the byte. */
static void test_ditto_is_fedavg(void **state) {
  (void)state;
  static float want[SILOTEST_FLOATS];
  silotest_init(&t, silotest_table, MLP, NULL);
  silotest_work(&t, 0, 1);
  const size_t size = t.answer.payload.len;
  memcpy(want, payload(), size);
  silotest_deinit(&t);
  silotest_init(&t, silotest_table, methods[2].sets, NULL);
  silotest_work(&t, 0, 1);
  assert_int_equal(t.answer.payload.len, size);
  assert_memory_equal(payload(), want, size);
  silotest_deinit(&t);
}

static void measure(enum xf_silo_arm arm, struct xf_measure_sum *sum) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_silo_arm_make(t.silo[0], arm, t.base[0], &diag)) fail_msg("%s", diag.text);
  if (xf_silo_measure(t.silo[0], XF_PART_TEST, sum, &diag)) fail_msg("%s", diag.text);
}

/* Before the first round all nets are the same; afterwards the own one has its own figures, also in an evaluation's report. */
static void test_arm(void **state) {
  (void)state;
  for (size_t m = 0; m < N; m++) {
    struct xf_measure_sum federated[XF_RESOLVE_MEASURES], own[XF_RESOLVE_MEASURES];
    struct xf_diag diag;
    char sets[256];
    (void)snprintf(sets, sizeof sets, "%s eval.metrics=logloss arms=alone,federated",
                   methods[m].sets);
    silotest_init(&t, silotest_table, sets, NULL);
    assert_int_equal(xf_silo_has_arm(t.silo[0], XF_SILO_PERSONAL), methods[m].second);
    xf_diag_init(&diag);
    if (!methods[m].second) {
      assert_int_equal(xf_silo_arm_make(t.silo[0], XF_SILO_PERSONAL, t.base[0], &diag),
                       XF_E_UNSUPPORTED);
      assert_non_null(strstr(diag.text, "no net of the silo's own"));
      silotest_deinit(&t);
      continue;
    }
    measure(XF_SILO_FEDERATED, federated);
    measure(XF_SILO_PERSONAL, own);
    assert_true(own[0].count == 8 && own[0].sum == federated[0].sum);
    for (uint64_t round = 1; round <= 3; round++) {
      silotest_work(&t, 0, round);
      xf_silo_outcome(t.silo[0], true);
    }
    measure(XF_SILO_PERSONAL, own);
    assert_true(own[0].sum < federated[0].sum); /* the base is still the first model */
    struct xf_silo_task task = silotest_task(&t, 0, 4);
    task.offer.kind = XF_TASK_EVALUATE;
    assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, &diag), XF_OK);
    assert_non_null(memmem(t.answer.payload.p, t.answer.payload.len, "personal", 8));
    assert_non_null(memmem(t.answer.payload.p, t.answer.payload.len, "federated", 9));
    silotest_deinit(&t);
  }
}

/* It is served where validation says so. */
static void test_choice(void **state) {
  (void)state;
  struct xf_measures m;
  bool chosen = false;
  silotest_init(&t, silotest_table, methods[2].sets, NULL);
  m = *xf_silo_measures(t.silo[0]);
  const double better[XF_SILO_N_ARM] = {0, .5, .6, NAN, .7},
               same[XF_SILO_N_ARM] = {0, .5, .6, NAN, .6};
  const bool made[XF_SILO_N_ARM] = {false, true, true, false, true};
  assert_int_equal(xf_silo_choose(&m, better, made, &chosen), XF_SILO_PERSONAL);
  assert_true(chosen);
  assert_int_equal(xf_silo_choose(&m, same, made, &chosen), XF_SILO_FEDERATED);
  silotest_deinit(&t);
}

/* Images of 16 x 16 of two classes. @own out */
static void images(struct xf_dataset *out) {
  enum { ROWS = 6, PIXELS = 256 };
  struct xf_rng rng;
  xf_rng_init(&rng, 9, 0);
  xf_dataset_init(out, XF_DATASET_TABLE);
  struct xf_table *d = &out->table;
  d->n = d->cap = ROWS;
  d->n_in = PIXELS;
  d->n_class = 2;
  d->x = xf_calloc(ROWS * PIXELS, sizeof *d->x);
  d->y = xf_calloc(ROWS, sizeof *d->y);
  d->part = xf_calloc(ROWS, 1);
  d->row = xf_calloc(ROWS, sizeof *d->row);
  for (size_t i = 0; i < ROWS * PIXELS; i++) d->x[i] = (float)xf_rng_normal(&rng);
  for (size_t i = 0; i < ROWS; i++) d->y[i] = (float)(i % 2);
}

/* fedbn with conv4: gains, shifts and running statistics stay and move, no two of their floats are in the answer; the rest is. */
static void test_fedbn(void **state) {
  (void)state;
  static const char text[] =
      "name: t\ndata: {kind: idx, split: {kind: predefined, by: file}}\n"
      "model: {kind: conv4, loss: softmax, n_in: 256, n_out: 2}\n"
      "stages:\n  - {fed: {rounds: 3, algorithm: fedbn}, local: {optimizer: {lr: 0.1}}}\n";
  struct xf_dataset data;
  struct xf_diag diag;
  xf_diag_init(&diag);
  t = (struct silotest){0};
  xf_buf_init(&t.answer.payload, 1 << 20);
  silotest_plan(&t.plan, text, "");
  images(&data);
  const struct xf_silo_config config = silotest_config(&t.plan, "silo-a", &data);
  if (xf_silo_new(&t.silo[0], &config, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(xf_global_init(&t.global, &t.plan, NULL, &diag), XF_OK);
  float *base = xf_calloc(t.global.n, sizeof *base);
  assert_int_equal(xf_global_first(&t.global, base, &t.plan, NULL, &diag), XF_OK);
  const struct xf_layout *l = xf_silo_layout(t.silo[0]);
  float *before = xf_calloc(l->n, sizeof *before);
  memcpy(before, xf_silo_personal(t.silo[0], false), l->n * sizeof *before);
  for (size_t g = 0; g < l->n_seg; g++) /* what stays is known by its values */
    for (uint64_t i = 0; l->seg[g].role == XF_ROLE_DOMAIN && i < xf_segment_len(&l->seg[g]); i++)
      before[l->seg[g].offset + i] += .001f * (float)(i + 32 * g + 1);
  assert_int_equal(xf_silo_restore(t.silo[0], before, l->n, false), XF_OK);
  struct xf_silo_task task = silotest_task(&t, 0, 1);
  task.base = base;
  if (xf_silo_work(t.silo[0], &task, &t.answer, &diag)) fail_msg("%s", diag.text);
  const float *after = xf_silo_personal(t.silo[0], true);
  uint64_t n_stay = 0, wire = 0, moved = 0;
  for (size_t g = 0; g < l->n_seg; g++) {
    const struct xf_segment *s = &l->seg[g];
    const bool norm = !strncmp(s->name, "gain", 4) || !strncmp(s->name, "shift", 5) ||
                      !strncmp(s->name, "mean", 4) || !strncmp(s->name, "var", 3);
    assert_int_equal(s->role, norm ? XF_ROLE_DOMAIN : XF_ROLE_SHARED);
    for (uint64_t i = s->offset; i < s->offset + xf_segment_len(s); i++) {
      if (!norm) {
        assert_true(payload()[wire] == after[i] - base[wire]);
        wire++;
        continue;
      }
      n_stay++;
      moved += after[i] != before[i];
      /* two at a time: among so many floats one may look like another by chance */
      if (after[i] == before[i] || i + 1 == s->offset + xf_segment_len(s)) continue;
      const float change[2] = {after[i] - before[i], after[i + 1] - before[i + 1]};
      assert_null(memmem(t.answer.payload.p, t.answer.payload.len, after + i, 2 * sizeof(float)));
      assert_null(memmem(t.answer.payload.p, t.answer.payload.len, change, sizeof change));
    }
  }
  assert_int_equal(n_stay, 16 * 32);
  assert_true(moved > n_stay / 2);
  assert_int_equal(t.answer.payload.len, (l->n - n_stay) * sizeof(float));
  assert_int_equal(t.global.n, l->n - n_stay);
  xf_free(base);
  xf_free(before);
  t.n = 1;
  silotest_deinit(&t);
}

/* What a model cannot do is refused with the algorithm's name and a way out. */
static void test_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *sets, *says;
  } cases[] = {
      {silotest_table, "fed.algorithm=fedper",
       "fed.algorithm: fedper: model logreg has no layers before a linear output layer"},
      {silotest_table, "fed.algorithm=fedrep local.personal.head_epochs=1",
       "write fed.algorithm: ditto, or model.kind: mlp"},
      {silotest_table, MLP "fed.algorithm=fedbn",
       "model mlp has no normalisation layers to keep; write model.kind: conv4"},
      {silotest_mf, "fed.algorithm=ditto local.personal.lambda=1",
       "model mf is personal already: its segment \"user\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct xf_plan plan;
    struct xf_diag diag;
    xf_diag_init(&diag);
    silotest_plan(&plan, cases[i].text, cases[i].sets);
    assert_int_equal(xf_resolve_check(&plan, &diag), XF_E_CONFIG);
    if (!strstr(diag.text, cases[i].says)) fail_msg("%s", diag.text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_stays),   cmocka_unit_test(test_repeats),
      cmocka_unit_test(test_arm),     cmocka_unit_test(test_ditto_is_fedavg),
      cmocka_unit_test(test_choice),  cmocka_unit_test(test_fedbn),
      cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
