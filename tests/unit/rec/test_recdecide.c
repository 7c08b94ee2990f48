// No silo is served worse than by itself: a shared candidate that the guard starts from and cannot leave.
#include "base/buf.h"
#include "rec/recommender.h"
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

enum { USERS = 40, ITEMS = 120 };

// User u has item u in train and item (u + 1) mod USERS held out.
struct world {
  uint32_t start[XF_N_PART][USERS + 1], item[XF_N_PART][USERS], count[ITEMS];
  struct xf_split split;
};

static void world_init(struct world *w) {
  memset(w, 0, sizeof *w);
  for (uint32_t u = 0; u < USERS; u++) {
    w->item[XF_PART_TRAIN][u] = u;
    w->item[XF_PART_VALID][u] = (u + 1) % USERS;
    w->start[XF_PART_TRAIN][u + 1] = w->start[XF_PART_VALID][u + 1] = u + 1;
  }
  for (uint32_t i = 0; i < ITEMS; i++) w->count[i] = 1;
  w->split.n_users = USERS;
  w->split.n_items = ITEMS;
  w->split.item_count = w->count;
  for (int p = 0; p < XF_N_PART; p++)
    w->split.part[p] = (struct xf_csr){.n_row = USERS, .start = w->start[p], .item = w->item[p]};
}

// Knows the held-out item of the users first, first + step, ... below last: top of a flat slope. Of the others it is `low`.
struct knows {
  struct xf_scorer base;
  uint32_t first, last, step;
  float low;
};

static enum xf_rc score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                        struct xf_diag *diag) {
  const struct knows *k = (const struct knows *)s;
  (void)diag;
  const bool known =
      q->user >= k->first && q->user < k->last && (q->user - k->first) % k->step == 0;
  for (uint32_t i = 0; i < ITEMS; i++) out[i] = (float)((i * 37 + q->user) % ITEMS) / ITEMS;
  out[(q->user + 1) % USERS] = known ? 3 : k->low;
  return XF_OK;
}

static const struct xf_scorer_kind KNOWS = {"knows", score, NULL, NULL};

static void add(struct xf_recommender *rec, struct knows *k, const char *name, uint32_t flags) {
  struct xf_diag diag = {0};
  k->base = (struct xf_scorer){.kind = &KNOWS, .n_items = ITEMS};
  struct xf_recommender_candidate c = {.scorer = &k->base, .flags = flags, .tuned = NAN};
  (void)snprintf(c.name, sizeof c.name, "%s", name);
  if (xf_recommender_add(rec, &c, &diag)) fail_msg("%s", diag.text);
}

static struct xf_recommender *make(const struct world *w) {
  struct xf_recommender_spec spec = xf_recommender_defaults();
  const struct xf_recommender_input in = {.split = &w->split};
  struct xf_recommender *rec = NULL;
  struct xf_diag diag = {0};
  spec.families = 0;
  spec.keep_inner = false;
  if (xf_recommender_fit(&rec, &in, &spec, &diag)) fail_msg("%s", diag.text);
  return rec;
}

static void decide(struct xf_recommender *rec) {
  struct xf_diag diag = {0};
  if (xf_recommender_decide(rec, NULL, &diag)) fail_msg("%s", diag.text);
}

static void report(const struct xf_recommender *rec, struct xf_buf *text) {
  xf_buf_init(text, 1 << 16);
  assert_int_equal(xf_recommender_print(rec, text), XF_OK);
}

// `even` and `odd` know half the users each and complete one another; `shared` knows three of five and is far off for the others.
static void test_alone_is_the_floor(void **state) {
  (void)state;
  static struct world w;
  struct knows even = {.last = USERS, .step = 2, .low = .5f},
               odd = {.first = 1, .last = USERS, .step = 2, .low = .5f},
               shared = {.last = USERS * 3 / 5, .step = 1, .low = -100};
  world_init(&w);
  struct xf_recommender *rec = make(&w);
  add(rec, &shared, "shared", XF_RECOMMENDER_SHARED);
  add(rec, &even, "even", 0);
  add(rec, &odd, "odd", 0);
  decide(rec);
  const struct xf_recommender_choice *guarded = &rec->arm[XF_RECOMMENDER_ARM_GUARDED],
                                     *alone = &rec->arm[XF_RECOMMENDER_ARM_ALONE];
  assert_true(guarded->guard.alone[0] > .6 - 1e-6 &&
              guarded->guard.alone[0] > alone->guard.alone[0]);
  assert_true(alone->guard.value > .9); /* the better of the two, by much */
  for (uint32_t u = 0; u < USERS; u++) assert_true(guarded->figure[u] == alone->figure[u]);
  assert_true(guarded->guard.weight[0] == 0);
  assert_true(guarded->guard.weight[1] == alone->guard.weight[0]);
  assert_true(guarded->guard.weight[2] == alone->guard.weight[1]);
  assert_true(guarded->guard.value == alone->guard.value && rec->gain == 0 && rec->gain_se == 0);
  assert_int_equal(guarded->guard.n_step, alone->guard.n_step);
  for (uint32_t i = 0; i < alone->guard.n_step; i++)
    assert_int_equal(guarded->guard.step[i].candidate, alone->guard.step[i].candidate + 1);
  assert_true(rec->refused.gain < -.3 && rec->refused.guard.weight[0] == 1);
  /* served to the bit */
  float a[ITEMS], b[ITEMS];
  for (uint32_t u = 0; u < USERS; u++) {
    const struct xf_query q = {u, &w.item[XF_PART_TRAIN][u], 1, NAN};
    assert_int_equal(xf_scorer_score(xf_recommender_served(rec), &q, a, NULL), XF_OK);
    assert_int_equal(xf_scorer_score(alone->scorer, &q, b, NULL), XF_OK);
    assert_memory_equal(a, b, sizeof a);
  }
  struct xf_buf text;
  report(rec, &text);
  const char *said = xf_buf_cstr(&text);
  assert_non_null(strstr(said, "refused, with the federation: 40 users: start from shared"));
  assert_non_null(
      strstr(said, "worse than alone, so everything from the federation is switched off"));
  assert_non_null(strstr(said, "served: what alone serves"));
  xf_buf_deinit(&text);
  /* decided anew with a better shared candidate, nothing of that is left */
  struct knows all = {.last = USERS, .step = 1, .low = 0};
  add(rec, &all, "all", XF_RECOMMENDER_SHARED);
  decide(rec);
  assert_int_equal(rec->refused.guard.n_candidate, 0);
  assert_true(guarded->guard.weight[3] >= 1 && rec->gain >= 0);
  report(rec, &text);
  assert_non_null(strstr(xf_buf_cstr(&text), "served: 40 users: start from all"));
  assert_null(strstr(xf_buf_cstr(&text), "refused"));
  xf_buf_deinit(&text);
  xf_recommender_free(rec);
}

// Equal figures are no reason to refuse: what the guard found is served.
static void test_no_loss_is_no_refusal(void **state) {
  (void)state;
  static struct world w;
  struct knows local = {.last = USERS, .step = 2, .low = .5f},
               shared = {.last = USERS * 3 / 5, .step = 1, .low = .5f};
  world_init(&w);
  struct xf_recommender *rec = make(&w);
  add(rec, &local, "local", 0);
  add(rec, &shared, "shared", XF_RECOMMENDER_SHARED);
  decide(rec);
  assert_true(rec->gain > 0);
  assert_int_equal(rec->refused.guard.n_candidate, 0);
  assert_true(rec->arm[XF_RECOMMENDER_ARM_GUARDED].guard.weight[1] > 0);
  xf_recommender_free(rec);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_alone_is_the_floor),
                                     cmocka_unit_test(test_no_loss_is_no_refusal)};
  if (xf_blas_start(NULL, NULL)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
