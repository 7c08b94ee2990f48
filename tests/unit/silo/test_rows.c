/* Rows stages of three silos against the same rounds in plain loops over rec/als.h; repeats, restarts, refusals. */
#include "base/alloc.h"
#include "crypto/pseudonym.h"
#include "crypto/stream.h"
#include "rec/als.h"
#include "rec/inner.h"
#include "stagetest.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct stagetest t;

/* One rows stage in this process: what three domains and a coordinator compute, without silo, resolve or fed. */
struct plain {
  struct xf_als als[3];
  float *target[3];
  float g[STAGETEST_FLOATS]; /* [directory rows x dim] */
  const struct xf_plan_stage_part *stage;
  struct xf_split inner[3];
};

/* without: on the train parts without split A, as the decision takes it out */
static void plain_start(struct plain *p, uint32_t stage, bool without) {
  struct xf_rng rng;
  memset(p, 0, sizeof *p);
  p->stage = &t.plan.stages[stage];
  xf_stream_init(&rng, t.plan.seed, "init", 0, NULL);
  const uint64_t seed = xf_rng_u64(&rng);
  for (size_t k = 0; k < 3; k++) {
    static const uint8_t align_key[XF_SILO_ALIGN_KEY] = {4, 5, 6};
    const struct xf_dataset *data = xf_silo_data(t.s[k].silo);
    struct xf_rec_data d = {data->split.n_users, data->split.n_items,
                            &data->split.part[XF_PART_TRAIN]};
    if (without) {
      struct xf_rng a;
      xf_stream_init(&a, t.plan.seed, "eval", 1, t.s[k].member);
      assert_int_equal(xf_inner_init(&p->inner[k], &data->split, 0, xf_rng_u64(&a), NULL), XF_OK);
      d.train = &p->inner[k].part[XF_PART_TRAIN];
      assert_true(xf_csr_count(d.train) < xf_csr_count(&data->split.part[XF_PART_TRAIN]));
    }
    uint64_t *key = xf_calloc(d.n_users, sizeof *key);
    for (uint32_t u = 0; u < d.n_users; u++) {
      uint8_t name[XF_PSEUDONYM_LEN];
      const char *text = xf_names_get(&data->inter.users, u);
      xf_pseudonym(name, align_key, "user", text, strlen(text));
      for (int b = 7; b >= 0; b--) key[u] = key[u] << 8 | name[b];
    }
    const struct xf_als_spec spec = {
        .dim = p->stage->rows.dim,
        .w = {p->stage->rows.alpha, p->stage->rows.rho, p->stage->rows.nu},
        .seed = seed,
        .key = key};
    assert_int_equal(xf_als_init(&p->als[k], &d, &spec, NULL), XF_OK);
    p->target[k] = xf_calloc((size_t)d.n_users * spec.dim, sizeof(float));
    xf_free(key);
  }
}

static void plain_end(struct plain *p) {
  for (size_t k = 0; k < 3; k++) {
    xf_als_deinit(&p->als[k]);
    xf_free(p->target[k]);
    xf_split_deinit(&p->inner[k]);
  }
}

/* Towards the committed rows: the other holders' mean. */
static void plain_target(struct plain *p, size_t k, bool forming) {
  const size_t d = p->stage->rows.dim;
  for (size_t i = 0; i < t.s[k].n_row; i++)
    for (size_t c = 0; c < d; c++) {
      const size_t at = (size_t)t.s[k].local[i] * d + c;
      const double n = t.directory[0].holders[t.s[k].row[i]],
                   g = (double)p->g[t.s[k].row[i] * d + c];
      p->target[k][at] = (float)(forming ? g : (n * g - (double)p->als[k].p[at]) / (n - 1));
    }
}

/* Round r of the stage: each domain its half-steps, then the mean of what holders moved. */
static void plain_round(struct plain *p, uint32_t r) {
  const size_t d = p->stage->rows.dim;
  for (size_t k = 0; k < 3; k++) {
    const bool forming = r <= p->stage->rows.formation;
    struct xf_als *als = &p->als[k];
    if (r) plain_target(p, k, forming);
    const struct xf_als_pull pull = {p->target[k], forming ? 1 : (float)p->stage->rows.kappa};
    assert_int_equal(xf_als_step_users(als, r ? &pull : NULL, NULL), XF_OK);
    if (r) assert_int_equal(xf_als_step_items(als, NULL), XF_OK);
  }
  for (uint32_t row = 0; row < t.directory[0].all.n; row++)
    for (size_t c = 0; c < d; c++) {
      double acc = 0, n = 0, mean = 0;
      for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < t.s[k].n_row; i++) {
          if (t.s[k].row[i] != row) continue;
          const float own = p->als[k].p[t.s[k].local[i] * d + c];
          acc += (double)(own - p->g[row * d + c]);
          mean += (double)own;
          n++;
        }
      p->g[row * d + c] = (float)((double)p->g[row * d + c] + acc / n);
      assert_true(fabs((double)p->g[row * d + c] - mean / n) < 1e-6);
    }
}

static const float *part(const struct xf_silo *s, const char *name) {
  return xf_silo_personal(s, false) + xf_layout_find(xf_silo_layout(s), name)->offset;
}

static void same(const struct plain *p, const char *user, const char *item, const float *global) {
  const size_t d = p->stage->rows.dim;
  for (size_t k = 0; k < 3; k++) {
    const struct xf_als *als = &p->als[k];
    assert_memory_equal(part(t.s[k].silo, user), als->p, als->n_users * d * sizeof(float));
    assert_memory_equal(part(t.s[k].silo, item), als->q, als->n_items * d * sizeof(float));
  }
  assert_memory_equal(global, p->g, t.directory[0].all.n * d * sizeof(float));
}

static void test_rounds(void **state) {
  (void)state;
  static struct plain weak, strong;
  static float kept[STAGETEST_FLOATS];
  stagetest_init(&t, stagetest_rows, "", NULL);
  assert_true(t.directory[0].all.n >= 6); /* u4 .. u11 are in all three */
  const size_t rows = t.directory[0].all.n;
  plain_start(&weak, 0, false);
  for (uint32_t r = 0; r < 5; r++) {
    assert_int_equal(xf_plan_stage_at(&t.plan, t.committed, NULL), 0);
    stagetest_commit(&t);
    plain_round(&weak, r);
    same(&weak, "weak/user", "weak/item", t.x);
    for (size_t k = 0; k < 3; k++) assert_int_equal(t.s[k].answer.begin.weight, 1);
  }
  memcpy(kept, t.x, rows * 4 * sizeof(float));
  plain_start(&strong, 2, false);
  for (uint32_t r = 0; r < 3; r++) {
    assert_int_equal(xf_plan_stage_at(&t.plan, t.committed, NULL), 2);
    stagetest_commit(&t);
    plain_round(&strong, r);
    same(&strong, "strong/user", "strong/item", t.x + rows * 4);
    same(&weak, "weak/user", "weak/item", kept);
    assert_memory_equal(t.x, kept, rows * 4 * sizeof(float));
  }
  plain_end(&weak);
  plain_end(&strong);
  stagetest_deinit(&t);
}

/* The first rounds leave out split A, and what they left is kept: the model as their last commit ends it. The others go on from there
   with the whole train part. */
static void test_without_split_a(void **state) {
  (void)state;
  static struct plain without, whole;
  enum { INNER = 3 };
  stagetest_init(&t, stagetest_rows, "stages[0].rows.inner=3", NULL);
  plain_start(&without, 0, true);
  plain_start(&whole, 0, false);
  for (uint32_t r = 0; r < INNER; r++) {
    stagetest_commit(&t);
    plain_round(&without, r);
    same(&without, "weak/user", "weak/item", t.x);
    for (size_t k = 0; k < 3; k++) assert_true(part(t.s[k].silo, "weak/inner_user")[0] == 0);
  }
  memcpy(whole.g, without.g, sizeof whole.g);
  for (size_t k = 0; k < 3; k++) {
    struct xf_als *als = &without.als[k];
    const size_t n_p = als->n_users * 4 * sizeof(float), n_q = als->n_items * 4 * sizeof(float);
    memcpy(whole.als[k].p, als->p, n_p);
    memcpy(whole.als[k].q, als->q, n_q);
    plain_target(&without, k, false);
    const struct xf_als_pull pull = {without.target[k], .25f};
    assert_int_equal(xf_als_step_users(als, &pull, NULL), XF_OK);
    assert_int_equal(xf_als_step_items(als, NULL), XF_OK);
    assert_int_equal(xf_als_step_users(als, &pull, NULL), XF_OK);
  }
  for (uint32_t r = INNER; r < 5; r++) {
    stagetest_commit(&t);
    plain_round(&whole, r);
    same(&whole, "weak/user", "weak/item", t.x);
    for (size_t k = 0; k < 3; k++) {
      const struct xf_als *als = &without.als[k];
      const size_t n_p = als->n_users * 4 * sizeof(float), n_q = als->n_items * 4 * sizeof(float);
      assert_memory_equal(part(t.s[k].silo, "weak/inner_user"), als->p, n_p);
      assert_memory_equal(part(t.s[k].silo, "weak/inner_item"), als->q, n_q);
      assert_memory_equal(part(t.s[k].silo, "weak/inner_target"), without.target[k], n_p);
    }
  }
  plain_end(&without);
  plain_end(&whole);
  stagetest_deinit(&t);
}

/* A line of the report that begins with two candidates' weights, behind "is": a mix. */
static bool mixes(size_t k, const char *name) {
  struct xf_buf words;
  struct xf_diag diag;
  bool found = false;
  xf_diag_init(&diag);
  (void)stagetest_view(&t, k, XF_TASK_EVALUATE, 0);
  if (xf_silo_arm_make(t.s[k].silo, XF_SILO_GUARDED, t.s[k].base, &diag)) fail_msg("%s", diag.text);
  xf_buf_init(&words, 1 << 16);
  assert_int_equal(xf_silo_explain(t.s[k].silo, &words), XF_OK);
  for (const char *at = xf_buf_cstr(&words); (at = strstr(at, "mix.shared is "));) {
    const char *line = strchr(at, '\n'), *hit = strstr(at, name);
    found |= hit && hit < line;
    at = line;
  }
  xf_buf_deinit(&words);
  return found;
}

/* Only a model that has not seen split A is a part of a mix, whenever the silo decides; a newcomer's is, too. */
static void test_mixes(void **state) {
  (void)state;
  static const char *const sets[] = {"", "stages[0].rows.inner=3", "stages[0].rows.inner=5"};
  for (int i = 0; i < 3; i++) {
    stagetest_init(&t, stagetest_rows, sets[i], NULL);
    while (t.committed < 2) stagetest_commit(&t);
    assert_int_equal(mixes(1, " weak "), i > 0); /* in the rounds without split A */
    while (t.committed < 5) stagetest_commit(&t);
    const uint64_t n = xf_silo_params(t.s[1].silo);
    float *before = xf_calloc(n, sizeof *before);
    memcpy(before, xf_silo_personal(t.s[1].silo, false), n * sizeof *before);
    assert_int_equal(mixes(1, " weak "), i > 0);
    assert_memory_equal(before, xf_silo_personal(t.s[1].silo, false), n * sizeof *before);
    xf_free(before);
    stagetest_late(&t);
    assert_int_equal(mixes(3, " weak "), i > 0);
    stagetest_deinit(&t);
  }
}

/* A silo that missed the first rounds enters as it is: from its start rows, towards the mean, which has nothing of it. */
static void test_enters_later(void **state) {
  (void)state;
  static struct plain p;
  for (uint32_t missed = 1; missed <= 3; missed += 2) {
    stagetest_init(&t, stagetest_rows, "", NULL);
    for (uint32_t r = 0; r < missed; r++) stagetest_commit_of(&t, 2);
    plain_start(&p, 0, false);
    struct xf_als *als = &p.als[2];
    (void)stagetest_view(&t, 2, XF_TASK_TRAIN, 0);
    for (size_t i = 0; i < t.s[2].n_row; i++)
      memcpy(p.target[2] + t.s[2].local[i] * 4, t.s[2].base + 4 * i, 4 * sizeof(float));
    const struct xf_als_pull pull = {p.target[2], missed <= 2 ? 1 : .25f}; /* formation is 2 */
    assert_int_equal(xf_als_step_users(als, &pull, NULL), XF_OK);
    assert_int_equal(xf_als_step_items(als, NULL), XF_OK);
    for (int again = 0; again < 2; again++) { /* the first answer is dropped */
      stagetest_work(&t, 2);
      const float *next = xf_silo_personal(t.s[2].silo, true);
      const struct xf_layout *l = xf_silo_layout(t.s[2].silo);
      assert_memory_equal(next + xf_layout_find(l, "weak/user")->offset, als->p,
                          als->n_users * 4 * sizeof(float));
      assert_memory_equal(next + xf_layout_find(l, "weak/item")->offset, als->q,
                          als->n_items * 4 * sizeof(float));
      xf_silo_outcome(t.s[2].silo, false);
    }
    for (uint32_t u = 0; u < als->n_users; u++) { /* users that nobody else holds, too */
      double norm = 0;
      for (int c = 0; c < 4; c++)
        norm += (double)als->p[4 * u + (uint32_t)c] * (double)als->p[4 * u + (uint32_t)c];
      assert_true(norm > 0);
    }
    plain_end(&p);
    stagetest_deinit(&t);
  }
}

/* A dropped answer leaves no trace: the same task again gives the same bytes, in the first round and later. */
static void test_dropped(void **state) {
  (void)state;
  static float first[STAGETEST_FLOATS];
  stagetest_init(&t, stagetest_rows, "", NULL);
  for (uint32_t r = 0; r < 5; r++) {
    stagetest_work(&t, 0);
    const size_t n = t.s[0].n_update;
    memcpy(first, t.s[0].update, n * sizeof(float));
    assert_int_equal(n, t.s[0].n_row * 4);
    xf_silo_outcome(t.s[0].silo, false);
    stagetest_work(&t, 0);
    assert_memory_equal(first, t.s[0].update, n * sizeof(float));
    stagetest_commit(&t);
    assert_memory_equal(first, t.s[0].update, n * sizeof(float));
  }
  stagetest_deinit(&t);
}

/* A silo that starts again has its state before it is aligned: it goes on as one that never stopped. */
static void test_restart(void **state) {
  (void)state;
  static float full[STAGETEST_FLOATS], next[STAGETEST_FLOATS], want[STAGETEST_FLOATS];
  struct xf_diag diag;
  stagetest_init(&t, stagetest_rows, "", NULL);
  for (int r = 0; r < 3; r++) stagetest_commit(&t);
  stagetest_work(&t, 1);
  const uint64_t n = xf_silo_params(t.s[1].silo);
  memcpy(full, xf_silo_personal(t.s[1].silo, false), n * sizeof(float));
  memcpy(next, xf_silo_personal(t.s[1].silo, true), n * sizeof(float));
  memcpy(want, t.s[1].update, t.s[1].n_update * sizeof(float));
  assert_memory_not_equal(full, next, n * sizeof(float));

  xf_silo_free(t.s[1].silo);
  t.s[1].silo = stagetest_again(&t, 1, "silo-b");
  assert_int_equal(xf_silo_restore(t.s[1].silo, next, n, false), XF_OK); /* overwritten below */
  assert_int_equal(xf_silo_restore(t.s[1].silo, full, n, false), XF_OK);
  assert_int_equal(xf_silo_restore(t.s[1].silo, next, n, true), XF_OK);
  assert_int_equal(stagetest_align(&t, 1, t.s[1].silo, NULL), XF_OK);
  assert_int_equal(xf_silo_params(t.s[1].silo), n);
  assert_memory_equal(xf_silo_personal(t.s[1].silo, false), full, n * sizeof(float));
  assert_memory_equal(xf_silo_personal(t.s[1].silo, true), next, n * sizeof(float));
  stagetest_work(&t, 1);
  assert_memory_equal(want, t.s[1].update, t.s[1].n_update * sizeof(float));
  xf_silo_outcome(t.s[1].silo, true);
  assert_memory_equal(xf_silo_personal(t.s[1].silo, false), next, n * sizeof(float));

  struct xf_silo *s = stagetest_again(&t, 1, "silo-b"); /* of another directory, or damaged */
  assert_int_equal(xf_silo_restore(s, full, n - 1, false), XF_OK);
  xf_diag_init(&diag);
  assert_int_equal(stagetest_align(&t, 1, s, &diag), XF_E_SHAPE);
  assert_non_null(strstr(diag.text, "does not fit the directory"));
  xf_silo_free(s);
  s = stagetest_again(&t, 1, "silo-b");
  full[n / 2] = NAN;
  assert_int_equal(xf_silo_restore(s, full, n, true), XF_OK);
  assert_int_equal(stagetest_align(&t, 1, s, NULL), XF_E_NAN);
  xf_silo_free(s);
  stagetest_deinit(&t);
}

static enum xf_rc try(struct xf_silo_task *task, struct xf_diag *diag) {
  xf_diag_init(diag);
  return xf_silo_work(t.s[0].silo, task, &t.s[0].answer, diag);
}

static void test_refusals(void **state) {
  (void)state;
  static float full[STAGETEST_FLOATS];
  struct xf_diag diag;
  atomic_bool cancel = true;
  stagetest_init(&t, stagetest_rows, "", NULL);
  stagetest_commit(&t);
  const size_t size = xf_silo_params(t.s[0].silo) * sizeof(float);
  memcpy(full, xf_silo_personal(t.s[0].silo, false), size);
  struct xf_silo_task task = stagetest_task(&t, 0, XF_TASK_TRAIN);
  task.offer.stage = 3;
  assert_int_equal(try(&task, &diag), XF_E_RANGE);
  assert_non_null(strstr(diag.text, "stage 3, the plan has 3"));
  task.offer.stage = 2; /* whose length is another */
  assert_int_equal(try(&task, &diag), XF_E_SHAPE);
  task.offer.model_len = xf_silo_lens(t.s[0].silo)->down[2];
  assert_int_equal(try(&task, &diag), XF_E_INVAL); /* after one commit stage 0 goes on */
  assert_non_null(strstr(diag.text, "after 1 commits the plan has another stage than 2"));
  task = stagetest_task(&t, 0, XF_TASK_TRAIN);
  task.offer.committed = 5;
  assert_int_equal(try(&task, &diag), XF_E_INVAL);
  task = stagetest_task(&t, 0, XF_TASK_TRAIN);
  task.cancel = &cancel;
  assert_int_equal(try(&task, &diag), XF_E_CANCELLED);
  assert_int_equal(t.s[0].answer.payload.len, 0);
  assert_memory_equal(full, xf_silo_personal(t.s[0].silo, false), size);
  xf_silo_outcome(t.s[0].silo, true); /* an error made nothing tentative */
  assert_memory_equal(full, xf_silo_personal(t.s[0].silo, false), size);
  stagetest_deinit(&t);
}

/* Rows are clipped one by one; item factors and unknown users' rows never leave. */
static void test_leaves(void **state) {
  (void)state;
  static float free_rows[STAGETEST_FLOATS];
  stagetest_init(&t, stagetest_rows, "", NULL);
  stagetest_work(&t, 0);
  const size_t n = t.s[0].n_update;
  memcpy(free_rows, t.s[0].update, n * sizeof(float));
  const struct xf_layout *l = xf_silo_layout(t.s[0].silo);
  const float *next = xf_silo_personal(t.s[0].silo, true);
  const struct xf_segment *user = xf_layout_find(l, "weak/user"),
                          *item = xf_layout_find(l, "weak/item");
  assert_true(t.s[0].n_row < user->rows);
  for (size_t i = 0; i < t.s[0].n_row; i++) /* the delta from 0 is the row itself */
    assert_memory_equal(free_rows + 4 * i, next + user->offset + 4 * t.s[0].local[i],
                        4 * sizeof(float));
  uint32_t own = 0;
  for (uint64_t j = 0; j < xf_segment_len(item); j++)
    for (size_t i = 0; i < n && next[item->offset + j] != 0; i++, own++)
      assert_true(free_rows[i] != next[item->offset + j]);
  assert_true(own > 100);
  stagetest_deinit(&t);
  stagetest_init(&t, stagetest_rows, "stages[0].rows.clip_row=0.05", NULL);
  stagetest_work(&t, 0);
  assert_true(t.s[0].answer.clipped);
  for (size_t i = 0; i < n / 4; i++) {
    double was = 0, is = 0;
    for (size_t c = 4 * i; c < 4 * i + 4; c++) {
      was += (double)free_rows[c] * (double)free_rows[c];
      is += (double)t.s[0].update[c] * (double)t.s[0].update[c];
    }
    assert_true(fabs(sqrt(is) - fmin(sqrt(was), 0.05)) < 1e-6);
  }
  stagetest_deinit(&t);
}

/* What a silo expects to move is what the coordinator will send and take. */
static void test_lens(void **state) {
  (void)state;
  static const char *const text[] = {stagetest_gram, stagetest_rows};
  for (size_t c = 0; c < 2; c++) {
    stagetest_init(&t, text[c], "", NULL);
    for (size_t k = 0; k < 3; k++) {
      const struct xf_plan_lens want = xf_global_lens(&t.global, &t.plan, &t.s[k].rows);
      const struct xf_plan_lens *got = xf_silo_lens(t.s[k].silo);
      assert_int_equal(got->n_stage, want.n_stage);
      assert_true(got->all == want.all && want.all > 0);
      assert_int_equal(xf_silo_model_len(t.s[k].silo), want.all);
      for (uint32_t s = 0; s < want.n_stage; s++)
        assert_true(got->in[s] == want.in[s] && got->down[s] == want.down[s] &&
                    got->up[s] == want.up[s]);
    }
    stagetest_deinit(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rounds),   cmocka_unit_test(test_enters_later),
      cmocka_unit_test(test_dropped),  cmocka_unit_test(test_restart),
      cmocka_unit_test(test_refusals), cmocka_unit_test(test_leaves),
      cmocka_unit_test(test_lens),     cmocka_unit_test(test_without_split_a),
      cmocka_unit_test(test_mixes),
  };
  if (xf_blas_start(NULL, NULL)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
