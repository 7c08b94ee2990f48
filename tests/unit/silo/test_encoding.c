/* Encoded updates of a silo: lengths, what is decoded, what waits for the next round, the same bytes again. */
#include "silotest.h"

#include "base/alloc.h"
#include "param/codec.h"

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

static enum xf_rc read_bytes(void *arg, uint64_t at, uint8_t *out, size_t len) {
  const struct xf_buf *b = arg;
  assert_true(at <= b->len && len <= b->len - at);
  memcpy(out, b->p + at, len);
  return XF_OK;
}

static uint64_t floats(void) { return xf_silo_model_len(t.silo[0]) / sizeof(float); }

/* What the coordinator reads of the last answer. @shape out[floats()] */
static void decoded(float *out, uint64_t round) {
  struct xf_codec codec;
  struct xf_codec_reader r;
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_true(xf_plan_codec_of(&codec, &t.plan, 0, round, (uint32_t)t.answer.begin.dtype));
  assert_int_equal(xf_codec_open(&r, &codec, floats(), t.answer.payload.len, read_bytes,
                                 &t.answer.payload, &diag),
                   XF_OK);
  assert_int_equal(xf_codec_get(&r, 0, out, (size_t)floats(), &diag), XF_OK);
  xf_codec_close(&r);
}

enum { ROUNDS = 5 };

/* The updates of the same rounds as floats; the base never moves. */
static void plain(const char *text, const char *more, double *sum, float last[SILOTEST_FLOATS]) {
  silotest_init(&t, text, more, NULL);
  memset(sum, 0, SILOTEST_FLOATS * sizeof *sum);
  for (uint64_t round = 1; round <= ROUNDS; round++) {
    silotest_work(&t, 0, round);
    memcpy(last, t.answer.payload.p, t.answer.payload.len);
    for (uint64_t i = 0; i < floats(); i++) sum[i] += (double)last[i];
    xf_silo_outcome(t.silo[0], true);
  }
  silotest_deinit(&t);
}

/* The decoded update is near the floats; done again it is the same bytes. */
static void test_each(void **state) {
  (void)state;
  static const struct {
    const char *sets;
    double near; /* of the largest change */
  } row[] = {{"fed.encoding=float16", 1e-3},
             {"fed.encoding=bfloat16", 1e-2},
             {"fed.encoding=int8", 1.01 / 127},
             {"fed.encoding=qsgd fed.compress.levels=127 fed.compress.bucket=8", 3.0 / 127},
             {"fed.encoding=mask fed.compress.fraction=1", 0}};
  static double sum[SILOTEST_FLOATS];
  static float want[SILOTEST_FLOATS], got[SILOTEST_FLOATS];
  plain(silotest_table, "", sum, want);
  for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
    silotest_init(&t, silotest_table, row[k].sets, NULL);
    uint64_t least, most;
    double largest = 0;
    const struct xf_codec codec = xf_plan_codec(&t.plan, 0, ROUNDS);
    xf_codec_range(&codec, floats(), &least, &most);
    silotest_work(&t, 0, ROUNDS);
    assert_int_equal(t.answer.payload.len, most);
    assert_int_equal(t.answer.begin.payload_len, most);
    decoded(got, ROUNDS);
    for (uint64_t i = 0; i < floats(); i++) largest = fmax(largest, fabs((double)want[i]));
    for (uint64_t i = 0; i < floats(); i++)
      assert_true(fabs((double)got[i] - (double)want[i]) <= row[k].near * largest + 1e-9);
    const struct xf_digest digest = t.answer.begin.payload_digest;
    silotest_work(&t, 0, ROUNDS);
    assert_true(xf_digest_equal(&digest, &t.answer.begin.payload_digest));
    silotest_deinit(&t);
  }
}

/* sum(sent) + e = sum(D), for shared floats and for aligned rows; an update that was discarded leaves e as it was. */
static void test_feedback(void **state) {
  (void)state;
  static const char *const text[] = {silotest_table, silotest_mf};
  static const char *const more[] = {"", "rows.rule=average"};
  static double sum[SILOTEST_FLOATS], sent[SILOTEST_FLOATS];
  static float x[SILOTEST_FLOATS], e[SILOTEST_FLOATS];
  for (int c = 0; c < 2; c++) {
    char sets[128];
    (void)snprintf(sets, sizeof sets, "fed.encoding=topk fed.compress.fraction=0.2 %s", more[c]);
    silotest_init(&t, text[c], sets, NULL);
    memset(sent, 0, sizeof sent);
    const struct xf_layout *layout = xf_silo_layout(t.silo[0]);
    const struct xf_segment *seg = xf_layout_find(layout, XF_MODEL_FEEDBACK);
    assert_int_equal(seg->role, XF_ROLE_DOMAIN);
    const uint64_t n = floats(), k = (uint64_t)ceil(.2 * (double)n);
    for (uint64_t round = 1; round <= ROUNDS; round++) {
      silotest_work(&t, 0, round); /* discarded, then done again */
      const struct xf_digest digest = t.answer.begin.payload_digest;
      xf_silo_outcome(t.silo[0], false);
      silotest_work(&t, 0, round);
      assert_true(xf_digest_equal(&digest, &t.answer.begin.payload_digest));
      assert_in_range(t.answer.payload.len, 16, 16 + 6 * k);
      decoded(x, round);
      for (uint64_t i = 0; i < n; i++) sent[i] += (double)x[i];
      xf_silo_outcome(t.silo[0], true);
    }
    double left = 0;
    memcpy(e, xf_silo_personal(t.silo[0], false) + seg->offset, xf_segment_len(seg) * sizeof *e);
    for (uint64_t i = 0; i < xf_segment_len(seg); i++) left += (double)e[i];
    double all = 0, got = 0;
    silotest_deinit(&t);
    plain(text[c], more[c], sum, x);
    for (uint64_t i = 0; i < n; i++) all += sum[i], got += sent[i];
    assert_true(fabs(got + left - all) < 1e-5);
    if (c == 0) /* wire positions are the layout's */
      for (uint64_t i = 0; i < n; i++) assert_true(fabs(sent[i] + (double)e[i] - sum[i]) < 1e-6);
  }
}

/* A silo whose memory is gone starts again at 0 and says so; one that has it does not. */
static void test_forgot(void **state) {
  (void)state;
  for (int lost = 0; lost < 2; lost++) {
    struct xf_diag diag;
    silotest_init(&t, silotest_table, "fed.encoding=topk fed.compress.fraction=0.2", NULL);
    xf_diag_init(&diag);
    if (!lost) {
      silotest_work(&t, 0, 1);
      xf_silo_outcome(t.silo[0], true);
    }
    struct xf_silo_task task = silotest_task(&t, 0, 2);
    task.offer.prev_outcome = XF_OUTCOME_COMMITTED;
    assert_int_equal(xf_silo_work(t.silo[0], &task, &t.answer, &diag), XF_OK);
    assert_int_equal(t.answer.forgot, lost);
    silotest_deinit(&t);
  }
}

/* Noise first: what is rounded is what noise has hidden. */
static void change(struct xf_silo_config *config) { config->seeded_noise = true; }
static void test_noised(void **state) {
  (void)state;
  static const char noise[] = "privacy.clip=1 privacy.noise_multiplier=1 fed.weighting=uniform";
  static float want[SILOTEST_FLOATS], got[SILOTEST_FLOATS];
  char sets[160];
  silotest_init(&t, silotest_table, noise, change);
  silotest_work(&t, 0, 1);
  memcpy(want, t.answer.payload.p, t.answer.payload.len);
  silotest_deinit(&t);
  (void)snprintf(sets, sizeof sets, "%s fed.encoding=int8", noise);
  silotest_init(&t, silotest_table, sets, change);
  silotest_work(&t, 0, 1);
  assert_true(t.answer.begin.epsilon > 0);
  decoded(got, 1);
  double largest = 0;
  for (uint64_t i = 0; i < floats(); i++) largest = fmax(largest, fabs((double)want[i]));
  for (uint64_t i = 0; i < floats(); i++)
    assert_true(fabs((double)got[i] - (double)want[i]) <= 1.01 * largest / 127);
  silotest_deinit(&t);
}

/* A clip bounds what leaves, with what waited in it: not only the change of one round. */
static void test_clipped(void **state) {
  (void)state;
  static float x[SILOTEST_FLOATS];
  double largest = 0;
  silotest_init(&t, silotest_table,
                "fed.encoding=topk fed.compress.fraction=0.02 privacy.clip=0.01", NULL);
  for (uint64_t round = 1; round <= 20; round++) {
    double norm2 = 0;
    silotest_work(&t, 0, round);
    decoded(x, round);
    for (uint64_t i = 0; i < floats(); i++) norm2 += (double)x[i] * (double)x[i];
    largest = fmax(largest, sqrt(norm2));
    xf_silo_outcome(t.silo[0], true);
  }
  print_message("clip 0.01, longest sent %g\n", largest);
  assert_true(largest <= 0.01 * (1 + 1e-5));
  silotest_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_each), cmocka_unit_test(test_feedback),
                                     cmocka_unit_test(test_forgot), cmocka_unit_test(test_noised),
                                     cmocka_unit_test(test_clipped)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
