/* A training answer: what is in it, what is not, how it is clipped and weighed; evaluation; what an error leaves. */
#include "base/arena.h"
#include "crypto/sha256.h"
#include "silotest.h"
#include "wire/codec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct silotest t;

/* The wire vector of silo i's parameters without the wire map: key k's row is the one that starts as base says. */
static size_t wire_of(const float *first, const float *params, size_t i, float *wire) {
  const struct xf_layout *layout = xf_model_get_layout(xf_silo_model(t.silo[i]));
  const struct xf_segment *user = xf_layout_find(layout, "user");
  const size_t n_key = xf_silo_manifest(t.silo[i], 0)->n, n_shared = t.global.n_shared;
  size_t n = 0;
  for (size_t g = 0; g < layout->n_seg; g++) {
    const struct xf_segment *seg = &layout->seg[g];
    if (seg->role != XF_ROLE_SHARED) continue;
    memcpy(wire + n, params + seg->offset, (size_t)seg->rows * seg->cols * sizeof(float));
    n += (size_t)seg->rows * seg->cols;
  }
  assert_int_equal(n, n_shared);
  for (size_t g = 0; g < layout->n_seg; g++) {
    const struct xf_segment *seg = &layout->seg[g];
    if (seg->role != XF_ROLE_ALIGNED) continue;
    for (size_t k = 0; k < n_key; k++, n += seg->cols) {
      uint32_t r = 0;
      while (memcmp(t.base[i] + n_shared + k * user->cols,
                    first + user->offset + (uint64_t)r * user->cols, user->cols * sizeof(float)))
        assert_true(++r < user->rows);
      memcpy(wire + n, params + seg->offset + (uint64_t)r * seg->cols, seg->cols * sizeof(float));
    }
  }
  return n;
}

static const float *payload(size_t *n) {
  *n = t.answer.payload.len / sizeof(float);
  return (const float *)(const void *)t.answer.payload.p;
}

/* The payload is the delta of what is shared, byte for byte. */
static void check_delta(const float *first) {
  float wire[SILOTEST_FLOATS];
  size_t n = 0;
  const float *p = payload(&n);
  assert_int_equal(wire_of(first, xf_silo_personal(t.silo[0], true), 0, wire), n);
  for (size_t j = 0; j < n; j++) wire[j] -= t.base[0][j];
  assert_memory_equal(p, wire, n * sizeof(float));
  double norm2 = 0;
  for (size_t j = 0; j < n; j++) norm2 += (double)p[j] * (double)p[j];
  assert_true(fabs(t.answer.norm - sqrt(norm2)) < 1e-9 && norm2 > 0);
}

static void test_payload_is_the_delta(void **state) {
  (void)state;
  static const struct {
    const char *text, *sets;
  } row[] = {{silotest_mf, ""},
             {silotest_mf, "rows.rule=average"},
             {silotest_mf, "model.loss=bce"},
             {silotest_mf, "model.loss=mse rows.rule=average"},
             {silotest_mf, "model.loss=bce model.users=user"},
             {silotest_table, ""}};
  for (size_t c = 0; c < sizeof row / sizeof row[0]; c++) {
    float first[SILOTEST_FLOATS];
    silotest_init(&t, row[c].text, row[c].sets, NULL);
    memcpy(first, xf_silo_personal(t.silo[0], false), xf_silo_params(t.silo[0]) * sizeof(float));
    silotest_work(&t, 0, 1);
    assert_int_equal(t.answer.payload.len, xf_silo_model_len(t.silo[0]));
    if (xf_silo_manifest(t.silo[0], 0)->n || t.plan.data.kind == XF_PLAN_DATA_TABLE)
      check_delta(first);
    else assert_int_equal(t.answer.payload.len, sizeof(float)); /* only the bias leaves */
    assert_true(!t.answer.clipped && t.answer.charge.noise_multiplier == 0 &&
                t.answer.begin.epsilon == 0);
    assert_memory_equal(xf_silo_personal(t.silo[0], false), first,
                        xf_silo_params(t.silo[0]) * sizeof(float));
    silotest_deinit(&t);
  }
}

/* Plants recognisable values in what must stay and looks for them, before and after training, in what leaves. */
static void test_own_floats_stay(void **state) {
  (void)state;
  static const char *const sets[] = {"", "model.loss=bce", "model.loss=bce model.users=user"};
  for (size_t c = 0; c < 3; c++) {
    float planted[SILOTEST_FLOATS];
    silotest_init(&t, silotest_mf, sets[c], NULL);
    const struct xf_layout *layout = xf_model_get_layout(xf_silo_model(t.silo[0]));
    memcpy(planted, xf_silo_personal(t.silo[0], false), layout->n * sizeof(float));
    size_t n_own = 0;
    for (size_t g = 0; g < layout->n_seg; g++) {
      const struct xf_segment *seg = &layout->seg[g];
      if (seg->role != XF_ROLE_DOMAIN && seg->role != XF_ROLE_USER) continue;
      for (uint64_t j = 0; j < (uint64_t)seg->rows * seg->cols; j++)
        planted[seg->offset + j] = 0.75f + ldexpf((float)++n_own, -18);
    }
    assert_true(n_own > 10);
    assert_int_equal(xf_silo_restore(t.silo[0], planted, layout->n, false), XF_OK);
    silotest_work(&t, 0, 1);
    size_t n = 0;
    const float *p = payload(&n), *next = xf_silo_personal(t.silo[0], true);
    assert_true(n > 0);
    assert_int_equal(n * sizeof(float), xf_silo_model_len(t.silo[0]));
    for (size_t g = 0; g < layout->n_seg; g++) {
      const struct xf_segment *seg = &layout->seg[g];
      if (seg->role != XF_ROLE_DOMAIN && seg->role != XF_ROLE_USER) continue;
      for (uint64_t j = seg->offset; j < seg->offset + (uint64_t)seg->rows * seg->cols; j++)
        for (size_t k = 0; k < n; k++)
          assert_true(p[k] != planted[j] && p[k] != next[j] &&
                      (next[j] == planted[j] || p[k] != next[j] - planted[j]));
    }
    silotest_deinit(&t);
  }
}

static double norm(const float *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
  return sqrt(sum);
}

/* Rows first, then the whole: the order is seen where the two disagree. */
static void test_clips(void **state) {
  (void)state;
  enum { ROWS = 8, COLS = 3 };
  float raw[ROWS * COLS], want[ROWS * COLS];
  char sets[128];
  size_t n = 0;
  silotest_init(&t, silotest_mf, "", NULL);
  silotest_work(&t, 0, 1);
  const float *p = payload(&n);
  assert_int_equal(n, ROWS * COLS);
  memcpy(raw, p, sizeof raw);
  const double whole = t.answer.norm;
  silotest_deinit(&t);

  double clip_row = 0;
  uint32_t n_long = 0;
  for (size_t r = 0; r < ROWS; r++) clip_row = fmax(clip_row, 0.7 * norm(raw + r * COLS, COLS));
  memcpy(want, raw, sizeof raw);
  for (size_t r = 0; r < ROWS; r++) {
    const double len = norm(raw + r * COLS, COLS);
    n_long += len > clip_row;
    for (size_t c = 0; c < COLS && len > clip_row; c++)
      want[r * COLS + c] = (float)((double)raw[r * COLS + c] * clip_row / len);
  }
  const double after = norm(want, n), clip = 0.8 * after;
  assert_true(n_long > 0 && n_long < ROWS);
  for (size_t j = 0; j < n; j++) want[j] = (float)((double)want[j] * clip / after);

  (void)snprintf(sets, sizeof sets, "rows.clip_row=%.17g privacy.clip=%.17g", clip_row, clip);
  silotest_init(&t, silotest_mf, sets, NULL);
  silotest_work(&t, 0, 1);
  p = payload(&n);
  for (size_t j = 0; j < n; j++) assert_true(fabs((double)(p[j] - want[j])) < 1e-7 * whole);
  assert_true(t.answer.clipped && norm(p, n) <= clip * (1 + 1e-6));
  assert_true(t.answer.begin.clip == clip);
  assert_true(fabs(t.answer.norm - whole) < 1e-9); /* before any clipping */
  silotest_deinit(&t);

  silotest_init(&t, silotest_mf, "rows.clip_row=1000 privacy.clip=1000", NULL);
  silotest_work(&t, 0, 1);
  p = payload(&n);
  assert_memory_equal(p, raw, sizeof raw);
  assert_false(t.answer.clipped);
  silotest_deinit(&t);
}

static void test_begin(void **state) {
  (void)state;
  silotest_init(&t, silotest_mf, "fed.weighting=samples", NULL);
  silotest_work(&t, 0, 3);
  const struct xf_msg_update_begin *b = &t.answer.begin;
  const struct xf_silo_task task = silotest_task(&t, 0, 3);
  struct xf_digest d;
  uint8_t input[XF_UPDATE_DIGEST_INPUT];
  xf_sha256(&d, t.answer.payload.p, t.answer.payload.len);
  assert_memory_equal(&d, &b->payload_digest, sizeof d);
  xf_update_digest_input(input, b);
  xf_sha256(&d, input, sizeof input);
  assert_memory_equal(&d, &b->update_digest, sizeof d);
  assert_memory_equal(&b->task_id, &task.offer.task_id, sizeof d);
  assert_memory_equal(&b->base_digest, &task.offer.base_digest, sizeof d);
  assert_memory_equal(&b->layout_digest, xf_silo_layout_digest(t.silo[0]), sizeof d);
  assert_int_equal(b->round, 3);
  assert_int_equal(b->payload_len, t.answer.payload.len);
  assert_int_equal(b->dtype, XF_DTYPE_FLOAT32);
  const size_t n = xf_dataset_count(xf_silo_data(t.silo[0]), XF_PART_TRAIN);
  assert_int_equal(b->n_samples, n);
  assert_int_equal(b->loss_count, n);
  assert_true(b->has_loss && b->loss_sum == t.answer.loss * (double)n && t.answer.loss > 0);
  silotest_deinit(&t);
}

static void no_metrics(struct xf_silo_config *c) { c->metrics = false; }

static void test_no_metrics(void **state) {
  (void)state;
  float before[SILOTEST_FLOATS];
  struct xf_diag diag;
  silotest_init(&t, silotest_mf, "", no_metrics);
  silotest_work(&t, 0, 1);
  assert_true(t.answer.n_samples > 0 && t.answer.loss > 0);
  assert_true(t.answer.begin.n_samples == 0 && !t.answer.begin.has_loss &&
              t.answer.begin.loss_sum == 0 && t.answer.begin.loss_count == 0);
  assert_int_equal(t.answer.begin.weight, 1);
  const size_t size = xf_silo_params(t.silo[0]) * sizeof(float);
  memcpy(before, xf_silo_personal(t.silo[0], false), size);
  struct xf_silo_task task = silotest_task(&t, 0, 2);
  task.offer.kind = XF_TASK_EVALUATE;
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, &diag), XF_E_POLICY);
  assert_non_null(strstr(diag.text, "policy.export_metrics"));
  assert_int_equal(t.answer.payload.len, 0);
  assert_memory_equal(xf_silo_personal(t.silo[0], false), before, size);
  silotest_deinit(&t);
}

static void test_evaluation(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t n;
  } row[] = {{silotest_mf, 2}, {silotest_table, 2}};
  for (size_t c = 0; c < 2; c++) {
    struct xf_arena arena;
    struct xf_eval_metric *m = NULL;
    struct xf_measure_sum sum[XF_RESOLVE_MEASURES];
    size_t n = 0;
    silotest_init(&t, row[c].text, "", NULL);
    struct xf_silo_task task = silotest_task(&t, 0, 1);
    task.offer.kind = XF_TASK_EVALUATE;
    assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, NULL), XF_OK);
    assert_int_equal(t.answer.begin.dtype, XF_DTYPE_REPORT);
    assert_int_equal(t.answer.begin.weight, 1);
    assert_true(t.answer.charge.noise_multiplier == 0);
    xf_arena_init(&arena, 1 << 20);
    assert_int_equal(
        xf_eval_report_decode(&m, &n, &arena, t.answer.payload.p, t.answer.payload.len, NULL),
        XF_OK);
    assert_int_equal(n, 2 * row[c].n);
    assert_int_equal(xf_silo_measure(t.silo[0], XF_PART_TEST, sum, NULL), XF_OK);
    for (size_t i = 0; i < row[c].n; i++) {
      assert_string_equal(m[i].split, "valid");
      assert_string_equal(m[row[c].n + i].split, "test");
      assert_string_equal(m[row[c].n + i].arm, "federated");
      assert_string_equal(m[row[c].n + i].name, xf_silo_measures(t.silo[0])->key[i]);
      assert_true(m[row[c].n + i].sum == sum[i].sum &&
                  (double)m[row[c].n + i].count == sum[i].count && sum[i].count > 0);
    }
    xf_arena_deinit(&arena);
    silotest_deinit(&t);
  }
}

static void limit(struct xf_silo_config *c) { c->max_weight = 5; }

static void test_weights(void **state) {
  (void)state;
  static const struct {
    const char *sets;
    void (*change)(struct xf_silo_config *c);
    uint64_t want; /* 0: the samples */
  } row[] = {{"fed.weighting=samples", NULL, 0},
             {"fed.weighting=samples", limit, 5},
             {"fed.weighting=capped fed.weight_cap=9", NULL, 9},
             {"fed.weighting=capped fed.weight_cap=9", limit, 5},
             {"fed.weighting=capped fed.weight_cap=3", limit, 3},
             {"fed.weighting=capped fed.weight_cap=100000", NULL, 0},
             {"fed.weighting=uniform", limit, 1}};
  for (size_t c = 0; c < sizeof row / sizeof row[0]; c++) {
    silotest_init(&t, silotest_mf, row[c].sets, row[c].change);
    silotest_work(&t, 0, 1);
    const size_t n = xf_dataset_count(xf_silo_data(t.silo[0]), XF_PART_TRAIN);
    assert_int_equal(t.answer.begin.weight, row[c].want ? row[c].want : n);
    silotest_deinit(&t);
  }
}

static void test_repeats(void **state) {
  (void)state;
  float first[SILOTEST_FLOATS];
  size_t n = 0;
  silotest_init(&t, silotest_mf, "", NULL);
  silotest_work(&t, 0, 1);
  memcpy(first, payload(&n), t.answer.payload.len);
  silotest_work(&t, 0, 1); /* asked again before the outcome */
  assert_memory_equal(payload(&n), first, t.answer.payload.len);
  silotest_work(&t, 0, 2);
  assert_memory_not_equal(payload(&n), first, t.answer.payload.len);
  silotest_deinit(&t);
}

/* Rows with enough other holders are drawn to their mean from the first commit on. */
static void test_prior(void **state) {
  (void)state;
  float without[SILOTEST_FLOATS];
  size_t n = 0;
  for (int held = 0; held < 2; held++) {
    silotest_init(&t, silotest_mf, held ? "" : "rows.min_holders=3", NULL);
    struct xf_silo_task task = silotest_task(&t, 0, 1);
    for (size_t i = 0; i < 24; i++) t.base[0][i] += 0.5f;
    assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, NULL), XF_OK);
    memcpy(without, payload(&n), t.answer.payload.len);
    task.offer.committed = 1;
    assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, NULL), XF_OK);
    uint32_t moved = 0;
    for (size_t r = 0; r < 8; r++)
      moved += memcmp(payload(&n) + 3 * r, without + 3 * r, 3 * sizeof(float)) != 0;
    if (held) assert_true(moved >= 3); /* three users are in both silos */
    else assert_int_equal(moved, 0);
    silotest_deinit(&t);
  }
}

static void seen(void *arg, uint64_t done, uint64_t total) {
  uint64_t *last = arg;
  assert_true(done >= *last && done <= total && total > 0);
  *last = done;
}

static void test_progress(void **state) {
  (void)state;
  uint64_t last = 0;
  silotest_init(&t, silotest_mf, "", NULL);
  struct xf_silo_task task = silotest_task(&t, 0, 1);
  task.progress = seen;
  task.arg = &last;
  assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, NULL), XF_OK);
  assert_true(last > 0);
  silotest_deinit(&t);
}

static void test_final_is_no_work(void **state) {
  (void)state;
  struct xf_diag diag;
  silotest_init(&t, silotest_mf, "", NULL);
  struct xf_silo_task task = silotest_task(&t, 0, 1);
  task.offer.kind = XF_TASK_FINAL;
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, &diag), XF_E_INVAL);
  assert_non_null(strstr(diag.text, "final"));
  assert_int_equal(t.answer.payload.len, 0);
  silotest_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_payload_is_the_delta),
      cmocka_unit_test(test_own_floats_stay),
      cmocka_unit_test(test_clips),
      cmocka_unit_test(test_begin),
      cmocka_unit_test(test_no_metrics),
      cmocka_unit_test(test_evaluation),
      cmocka_unit_test(test_weights),
      cmocka_unit_test(test_repeats),
      cmocka_unit_test(test_prior),
      cmocka_unit_test(test_progress),
      cmocka_unit_test(test_final_is_no_work),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
