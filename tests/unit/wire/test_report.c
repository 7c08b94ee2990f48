/* Evaluation reports, and the bytes under an update's digest. */
#include "unit/wire/samples.h"
#include "wire/codec.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct xf_arena arena;
static struct xf_buf out;
static struct xf_diag diag;

static void test_round_trip(void **state) {
  (void)state;
  static const struct xf_eval_metric m[] = {{"federated", "test", "ndcg_10_full", 12.75, 40},
                                            {"alone", "valid", "loss", -0.5, 3},
                                            {"popularity", "train", "hr_10_s999", 0, 0}};
  struct xf_eval_metric *back = NULL;
  size_t n = 0;
  assert_int_equal(xf_eval_report_encode(&out, m, 3), XF_OK);
  assert_int_equal(xf_eval_report_decode(&back, &n, &arena, out.p, out.len, &diag), XF_OK);
  assert_int_equal(n, 3);
  for (size_t i = 0; i < n; i++) {
    assert_string_equal(back[i].arm, m[i].arm);
    assert_string_equal(back[i].split, m[i].split);
    assert_string_equal(back[i].name, m[i].name);
    assert_true(back[i].sum == m[i].sum);
    assert_int_equal(back[i].count, m[i].count);
  }
  assert_int_equal(xf_eval_report_decode(&back, &n, &arena, NULL, 0, &diag), XF_OK);
  assert_int_equal(n, 0);
}

static void test_bounds(void **state) {
  (void)state;
  static struct xf_eval_metric m[XF_EVAL_METRIC_MAX + 1];
  struct xf_eval_metric *back = NULL;
  size_t n = 0;
  for (size_t i = 0; i <= XF_EVAL_METRIC_MAX; i++)
    m[i] = (struct xf_eval_metric){"federated", "test", "hr_10_full", 1, i};
  assert_int_equal(xf_eval_report_encode(&out, m, XF_EVAL_METRIC_MAX + 1), XF_E_LIMIT);
  assert_int_equal(out.len, 0);
  assert_int_equal(xf_eval_report_encode(&out, m, XF_EVAL_METRIC_MAX), XF_OK);
  assert_int_equal(xf_eval_report_decode(&back, &n, &arena, out.p, out.len, &diag), XF_OK);
  assert_int_equal(n, XF_EVAL_METRIC_MAX);
  assert_int_equal(back[511].count, 511);
  /* One more, by hand. */
  size_t one = out.len;
  assert_int_equal(xf_eval_report_encode(&out, m, 1), XF_OK);
  assert_true(out.len > one);
  assert_int_equal(xf_eval_report_decode(&back, &n, &arena, out.p, out.len, &diag), XF_E_LIMIT);
  assert_non_null(strstr(diag.text, "513 metrics"));
  static uint8_t huge[XF_REPORT_MAX + 1];
  assert_int_equal(xf_eval_report_decode(&back, &n, &arena, huge, sizeof huge, &diag), XF_E_LIMIT);
  static const uint8_t garbage[] = {0x0a, 0x7f};
  assert_int_equal(xf_eval_report_decode(&back, &n, &arena, garbage, 2, &diag), XF_E_FORMAT);
  /* A report that does not fit is not written in part. */
  struct xf_buf small;
  xf_buf_init(&small, 10);
  assert_int_equal(xf_eval_report_encode(&small, m, 1), XF_E_LIMIT);
  assert_int_equal(small.len, 0);
  xf_buf_deinit(&small);
}

static void test_values(void **state) {
  (void)state;
  char long_name[65];
  memset(long_name, 'n', sizeof long_name - 1);
  long_name[64] = '\0';
  struct xf_eval_metric m = {"federated", "test", "loss", (double)NAN, 1}, *back = NULL;
  size_t n = 0;
  assert_int_equal(xf_eval_report_encode(&out, &m, 1), XF_OK);
  assert_int_equal(xf_eval_report_decode(&back, &n, &arena, out.p, out.len, &diag), XF_E_NAN);
  assert_non_null(strstr(diag.text, "federated.loss"));
  xf_buf_reset(&out);
  m.sum = 1;
  m.name = long_name;
  assert_int_equal(xf_eval_report_encode(&out, &m, 1), XF_OK);
  assert_int_equal(xf_eval_report_decode(&back, &n, &arena, out.p, out.len, &diag), XF_E_LIMIT);
  assert_non_null(strstr(diag.text, "metric 0"));
  m.name = long_name + 1;
  xf_buf_reset(&out);
  assert_int_equal(xf_eval_report_encode(&out, &m, 1), XF_OK);
  assert_int_equal(xf_eval_report_decode(&back, &n, &arena, out.p, out.len, &diag), XF_OK);
}

/* task_id, weight, n_samples, payload_len, dtype, layout_digest, payload_digest. */
static void test_digest_input(void **state) {
  (void)state;
  struct xf_msg m = sample(XF_MSG_UPDATE_BEGIN);
  uint8_t got[XF_UPDATE_DIGEST_INPUT], other[XF_UPDATE_DIGEST_INPUT];
  struct xf_digest d;
  assert_int_equal(sizeof got, 121);
  xf_update_digest_input(got, &m.update_begin);
  d = sample_digest(1);
  assert_memory_equal(got, d.b, 32);
  static const uint8_t numbers[] = {0xff, 0xff, 0xff, 0x1f, 0, 0, 0, 0, /* 2^29 - 1 */
                                    0xd2, 0x04, 0,    0,    0, 0, 0, 0, /* 1234 */
                                    0x01, 0x10, 0,    0,    0, 0, 0, 0, /* 4097 */
                                    4};
  assert_memory_equal(got + 32, numbers, sizeof numbers);
  d = sample_digest(4);
  assert_memory_equal(got + 57, d.b, 32);
  d = sample_digest(6);
  assert_memory_equal(got + 89, d.b, 32);
  /* What it does not cover: fields the transfer adds, and itself. */
  m.update_begin.update_digest = sample_digest(99);
  m.update_begin.loss_sum = 7;
  xf_update_digest_input(other, &m.update_begin);
  assert_memory_equal(got, other, sizeof got);
  m.update_begin.weight++;
  xf_update_digest_input(other, &m.update_begin);
  assert_memory_not_equal(got, other, sizeof got);
}

static int fresh(void **state) {
  (void)state;
  xf_arena_init(&arena, XF_MSG_ARENA);
  xf_buf_init(&out, 1 << 20);
  xf_diag_init(&diag);
  return 0;
}

static int used(void **state) {
  (void)state;
  xf_arena_deinit(&arena);
  xf_buf_deinit(&out);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_round_trip, fresh, used),
      cmocka_unit_test_setup_teardown(test_bounds, fresh, used),
      cmocka_unit_test_setup_teardown(test_values, fresh, used),
      cmocka_unit_test_setup_teardown(test_digest_input, fresh, used),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
