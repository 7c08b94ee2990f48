/* Where a silo's vector meets the coordinator's: first values, keys, unknown keys, digests. */
#include "silotest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct silotest t;

static void test_first_vector(void **state) {
  (void)state;
  static const char *const sets[] = {"", "rows.rule=average", "model.loss=bce", "model.loss=mse"};
  for (size_t c = 0; c < sizeof sets / sizeof sets[0]; c++) {
    silotest_init(&t, silotest_mf, sets[c], NULL);
    for (size_t i = 0; i < t.n; i++) {
      const struct xf_layout *layout = xf_model_get_layout(xf_silo_model(t.silo[i]));
      const struct xf_segment *user = xf_layout_find(layout, "user");
      const float *full = xf_silo_personal(t.silo[i], false);
      const struct xf_manifest *m = xf_silo_manifest(t.silo[i], 0);
      const float *wire = t.base[i] + t.global.n_shared;
      uint32_t hits = 0;
      for (size_t k = 0; k < m->n; k++)
        for (uint32_t r = 0; r < user->rows; r++)
          hits += memcmp(wire + k * user->cols, full + user->offset + (uint64_t)r * user->cols,
                         user->cols * sizeof(float)) == 0;
      assert_int_equal(hits, m->n); /* every key's row is exactly one row of the silo */
    }
    silotest_deinit(&t);
  }
}

static void test_shared_user(void **state) {
  (void)state;
  silotest_init(&t, silotest_mf, "", NULL);
  const struct xf_names *a = &xf_silo_data(t.silo[0])->inter.users,
                        *b = &xf_silo_data(t.silo[1])->inter.users;
  const struct xf_segment *sa =
                              xf_layout_find(xf_model_get_layout(xf_silo_model(t.silo[0])), "user"),
                          *sb =
                              xf_layout_find(xf_model_get_layout(xf_silo_model(t.silo[1])), "user");
  uint32_t shared = 0;
  for (uint32_t u = 0; u < a->n; u++) {
    const char *name = xf_names_get(a, u);
    const uint32_t v = xf_names_find(b, name, strlen(name));
    if (v >= b->n) continue;
    shared++;
    assert_memory_equal(xf_silo_personal(t.silo[0], false) + sa->offset + (uint64_t)u * sa->cols,
                        xf_silo_personal(t.silo[1], false) + sb->offset + (uint64_t)v * sb->cols,
                        sa->cols * sizeof(float));
  }
  assert_int_equal(shared, 3);
  uint32_t two = 0;
  for (size_t i = 0; i < t.directory.all.n; i++) two += t.directory.holders[i] == 2;
  assert_int_equal(two, 3);
  assert_int_equal(t.directory.all.n, 13);
  /* Items are the domain's own: they start differently. */
  const struct xf_segment *ia =
                              xf_layout_find(xf_model_get_layout(xf_silo_model(t.silo[0])), "item"),
                          *ib =
                              xf_layout_find(xf_model_get_layout(xf_silo_model(t.silo[1])), "item");
  assert_memory_not_equal(xf_silo_personal(t.silo[0], false) + ia->offset,
                          xf_silo_personal(t.silo[1], false) + ib->offset, 3 * sizeof(float));
  silotest_deinit(&t);
}

static void test_layout_digest(void **state) {
  (void)state;
  static const struct {
    const char *text, *sets;
  } row[] = {{silotest_mf, ""}, {silotest_mf, "model.loss=bce"}, {silotest_table, ""}};
  for (size_t c = 0; c < 3; c++) {
    struct xf_digest d;
    silotest_init(&t, row[c].text, row[c].sets, NULL);
    assert_int_equal(xf_layout_digest(&d, t.global.layout), XF_OK);
    for (size_t i = 0; i < t.n; i++)
      assert_memory_equal(&d, xf_silo_layout_digest(t.silo[i]), sizeof d);
    silotest_deinit(&t);
  }
}

static void test_table_start(void **state) {
  (void)state;
  silotest_init(&t, silotest_table, "model.init_std=0.5", NULL);
  for (size_t i = 0; i < t.n; i++) {
    assert_int_equal(xf_silo_manifest(t.silo[i], 0)->n, 0);
    assert_int_equal(xf_silo_model_len(t.silo[i]), 3 * sizeof(float));
    assert_memory_equal(xf_silo_personal(t.silo[i], false), t.x, 3 * sizeof(float));
    assert_int_equal(xf_silo_align(t.silo[i], NULL, NULL), XF_E_STATE);
  }
  silotest_deinit(&t);
}

/* A silo of users 0-7 that the directory knows as `holders` says. */
static struct xf_silo *partly(struct xf_plan *plan, const uint32_t *holders) {
  struct xf_dataset data;
  struct xf_silo *s = NULL;
  silotest_data(&data, plan, "silo-a", 0, 7);
  const struct xf_silo_config config = silotest_config(plan, "silo-a", &data);
  assert_int_equal(xf_silo_new(&s, &config, NULL), XF_OK);
  assert_int_equal(xf_silo_model_len(s), 0);
  assert_int_equal(xf_silo_align(s, (const uint32_t *const[]){holders}, NULL), XF_OK);
  return s;
}

static void test_unknown_keys(void **state) {
  (void)state;
  static const uint32_t holders[8] = {2, 0, 1, 0, 0, 3, 0, 1};
  static struct xf_plan plan;
  float base[12];
  struct xf_diag diag;
  silotest_plan(&plan, silotest_mf, "rows.rule=average");
  struct xf_silo *s = partly(&plan, holders);
  assert_int_equal(xf_silo_model_len(s), 4 * 3 * sizeof(float));
  /* The rows that the base changes are those of the known keys, and no others. */
  for (size_t i = 0; i < 12; i++) base[i] = 100.0f + (float)i;
  xf_diag_init(&diag);
  if (xf_silo_arm_make(s, XF_SILO_FEDERATED, base, &diag)) fail_msg("%s", diag.text);
  const struct xf_segment *user = xf_layout_find(xf_model_get_layout(xf_silo_model(s)), "user");
  const float *arm = xf_silo_arm_params(s) + user->offset;
  const float *own = xf_silo_personal(s, false) + user->offset;
  uint32_t from_base = 0, kept = 0;
  for (uint32_t r = 0; r < 8; r++) {
    kept += memcmp(arm + 3 * r, own + 3 * r, 3 * sizeof(float)) == 0;
    for (uint32_t k = 0; k < 4; k++)
      from_base += memcmp(arm + 3 * r, base + 3 * k, 3 * sizeof(float)) == 0;
  }
  assert_int_equal(from_base, 4);
  assert_int_equal(kept, 4);
  xf_silo_free(s);
}

static void test_no_known_key(void **state) {
  (void)state;
  static const uint32_t none[8] = {0};
  static struct xf_plan plan;
  struct xf_silo_answer answer = {0};
  silotest_plan(&plan, silotest_mf, "");
  struct xf_silo *s = partly(&plan, none);
  assert_int_equal(xf_silo_model_len(s), 0);
  xf_buf_init(&answer.payload, 1024);
  struct xf_silo_task task = {.offer = {.kind = XF_TASK_TRAIN, .round = 1}, .base = (float[1]){0}};
  xf_odometer_init(&task.spent);
  assert_int_equal(xf_silo_work(s, &task, &answer, NULL), XF_OK);
  assert_int_equal(answer.payload.len, 0);
  xf_buf_deinit(&answer.payload);
  xf_silo_free(s);
}

static void test_states(void **state) {
  (void)state;
  static struct xf_plan plan;
  static const uint32_t all[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  struct xf_dataset data;
  struct xf_silo *s = NULL;
  struct xf_diag diag;
  struct xf_silo_answer answer = {0};
  struct xf_silo_task task = {.offer = {.kind = XF_TASK_TRAIN, .round = 1}};
  silotest_plan(&plan, silotest_mf, "");
  silotest_data(&data, &plan, "silo-a", 0, 7);
  struct xf_silo_config config = silotest_config(&plan, "silo-a", &data);
  config.align_key = NULL;
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_new(&s, &config, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "data.align_key"));
  assert_int_equal(data.inter.n, 0); /* taken all the same */

  silotest_data(&data, &plan, "silo-a", 0, 7);
  config = silotest_config(&plan, "silo-a", &data);
  assert_int_equal(xf_silo_new(&s, &config, NULL), XF_OK);
  xf_buf_init(&answer.payload, 1024);
  assert_int_equal(xf_silo_work(s, &task, &answer, NULL), XF_E_SHAPE); /* not aligned yet */
  assert_int_equal(xf_silo_arm_make(s, XF_SILO_FEDERATED, NULL, NULL), XF_E_STATE);
  assert_int_equal(xf_silo_align(s, (const uint32_t *const[]){all}, NULL), XF_OK);
  assert_int_equal(xf_silo_align(s, (const uint32_t *const[]){all}, NULL), XF_E_STATE);
  task.offer.model_len = 4;
  assert_int_equal(xf_silo_work(s, &task, &answer, NULL), XF_E_SHAPE);
  xf_silo_free(s);

  xf_dataset_init(&data, XF_DATASET_INTERACTIONS);
  assert_int_equal(xf_silo_new(&s, &config, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "0 train samples"));
  silotest_plan(&plan, silotest_table, "");
  xf_dataset_init(&data, XF_DATASET_TABLE);
  xf_diag_init(&diag);
  assert_int_equal(xf_silo_new(&s, &config, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "0 train samples"));
  xf_buf_deinit(&answer.payload);
  xf_silo_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_vector),  cmocka_unit_test(test_shared_user),
      cmocka_unit_test(test_layout_digest), cmocka_unit_test(test_table_start),
      cmocka_unit_test(test_unknown_keys),  cmocka_unit_test(test_no_known_key),
      cmocka_unit_test(test_states),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
