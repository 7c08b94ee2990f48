// crossfed verify's own fold: a round made by hand, against sums written out. All values are exact in binary.
#include "tools/recompute.h"

#include "base/fs.h"
#include "crypto/sha256.h"
#include "plan/plan.h"
#include "resolve/global.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { N = 3, PARTS = 2 }; // two inputs and a bias
static const float old_x[N] = {1, -2, 0.5f}, old_v[N] = {4, 8, -16};
static const float sent[PARTS][N] = {{8, 16, -4}, {0, 8, 4}};

static const char reptile[] =
    "name: t\nseed: 1\ndata: {kind: table, split: {kind: random, test_fraction: 0.2}}\nmodel: "
    "{kind: logreg, loss: bce, n_in: 2, n_out: 1}\n"
    "stages:\n  - fed: {algorithm: reptile, rounds: 4, weighting: uniform,"
    " server: {lr: 0.5, anneal: linear}}\n    local: {steps: 2, batch: 4, optimizer: {kind: sgd, "
    "lr: 0.1}}\n"
    "eval: {metrics: [acc]}\n";
static const char momentum[] =
    "name: t\nseed: 1\ndata: {kind: table, split: {kind: random, test_fraction: 0.2}}\nmodel: "
    "{kind: logreg, loss: bce, n_in: 2, n_out: 1}\n"
    "stages:\n  - fed: {algorithm: fedavg, rounds: 4, weighting: samples,"
    " server: {kind: momentum, lr: 0.25, momentum: 0.5}}\n"
    "    local: {steps: 2, batch: 4, optimizer: {kind: sgd, lr: 0.1}}\neval: {metrics: [acc]}\n";

struct world {
  char dir[64];
  struct xf_buf plan;
  struct xf_digest digest;
  struct xf_checkpoint base;
  struct xf_spool spool;
  struct xf_spool_entry part[PARTS];
  struct xf_ledger_part who[PARTS];
  struct xf_verify_round round;
  struct xf_diag diag;
};

static void ok(enum xf_rc rc, const struct world *w) {
  if (rc) fail_msg("%s", xf_diag_text(&w->diag, rc));
}

static void make_base(struct world *w, const struct xf_global *global, bool with_state) {
  char path[XF_PATH_MAX];
  struct xf_checkpoint_saved saved;
  struct xf_checkpoint_info info = {.run = "r", .round = 1, .plan = w->digest};
  const struct xf_checkpoint_src src = {
      .layout = global->layout, .global = old_x, .state = {with_state ? old_v : NULL}};
  assert_int_equal(xf_layout_digest(&info.layout, global->layout), XF_OK);
  assert_int_equal(xf_fs_join(path, w->dir, "base"), XF_OK);
  ok(xf_checkpoint_save(xf_fs_posix(), path, &info, &src, &saved, &w->diag), w);
  ok(xf_checkpoint_open(&w->base, xf_fs_posix(), path, &w->diag), w);
}

static void make_part(struct world *w, size_t k, uint64_t weight) {
  struct xf_spool_in in;
  struct xf_spool_head head = {.round = 2, .weight = weight, .payload_len = sizeof sent[k]};
  char name[XF_SPOOL_NAME_MAX];
  head.task_id.b[0] = (uint8_t)k;
  head.member[0] = w->who[k].member[0] = (char)('a' + (int)k);
  w->who[k].weight = weight;
  xf_sha256(&head.payload_digest, sent[k], sizeof sent[k]);
  ok(xf_spool_begin(&in, &w->spool, &head, &w->diag), w);
  ok(xf_spool_write(&in, sent[k], sizeof sent[k], 0, &w->diag), w);
  ok(xf_spool_finish(&in, name, &w->diag), w);
  ok(xf_spool_open(&w->part[k], &w->spool, name, &w->diag), w);
}

static void start(struct world *w, const char *text, uint64_t wa, uint64_t wb, bool with_state) {
  static struct xf_plan plan;
  struct xf_global global = {0};
  *w = (struct world){.dir = "/tmp/xf-recompute-XXXXXX"};
  assert_non_null(mkdtemp(w->dir));
  xf_buf_init(&w->plan, XF_PLAN_BYTES_MAX);
  ok(xf_plan_load_text(&plan, "plan", text, strlen(text), NULL, 0, NULL, &w->diag), w);
  assert_int_equal(xf_plan_encode(&w->plan, &plan), XF_OK);
  xf_sha256(&w->digest, w->plan.p, w->plan.len);
  ok(xf_global_init(&global, &plan, NULL, &w->diag), w);
  assert_int_equal(global.n, N);
  make_base(w, &global, with_state);
  xf_global_deinit(&global);
  ok(xf_spool_init(&w->spool, xf_fs_posix(), w->dir, &w->diag), w);
  make_part(w, 0, wa);
  make_part(w, 1, wb);
  w->round = (struct xf_verify_round){.round = 2,
                                      .commits_before = 1,
                                      .plan = w->plan.p,
                                      .plan_len = w->plan.len,
                                      .base = &w->base,
                                      .part = w->part,
                                      .who = w->who,
                                      .n_part = PARTS};
}

static enum xf_rc remove_file(void *arg, const char *name) {
  char path[XF_PATH_MAX];
  const enum xf_rc rc = xf_fs_join(path, arg, name);
  return rc ? rc : xf_fs_posix()->unlink(xf_fs_posix(), path);
}

static void stop(struct world *w) {
  for (size_t k = 0; k < PARTS; k++) xf_spool_close(&w->part[k]);
  xf_checkpoint_close(&w->base);
  xf_buf_deinit(&w->plan);
  assert_int_equal(xf_fs_posix()->list(xf_fs_posix(), w->dir, remove_file, w->dir), XF_OK);
  assert_int_equal(rmdir(w->dir), 0);
}

static enum xf_rc recompute(struct world *w, float x[N]) {
  memcpy(x, old_x, sizeof old_x);
  xf_diag_init(&w->diag);
  return xf_tool_recompute(NULL, &w->round, x, N, &w->diag);
}

// Commit 1 of 4: the rate is 0.5 (1 - 1/4); the mean of equal weights.
static void test_reptile(void **state) {
  (void)state;
  struct world w;
  float x[N];
  start(&w, reptile, 1, 1, false);
  ok(recompute(&w, x), &w);
  for (int j = 0; j < N; j++)
    assert_true(x[j] == old_x[j] + 0.375f * (sent[0][j] + sent[1][j]) / 2);
  w.round.commits_before = 0;
  ok(recompute(&w, x), &w);
  for (int j = 0; j < N; j++) assert_true(x[j] == old_x[j] + 0.5f * (sent[0][j] + sent[1][j]) / 2);
  stop(&w);
}

// v = 0.5 v + mean with weights 3 and 1; new = old + 0.25 v; at the first commit v was 0.
static void test_momentum(void **state) {
  (void)state;
  for (int stored = 0; stored < 2; stored++) {
    struct world w;
    float x[N], v[N] = {0};
    start(&w, momentum, 3, 1, stored);
    w.round.commits_before = (uint64_t)stored;
    assert_int_equal(recompute(&w, x), XF_E_CORRUPT); // the model that is compared with has none
    if (stored) memcpy(v, old_v, sizeof v);
    w.round.state[0] = v;
    ok(recompute(&w, x), &w);
    for (int j = 0; j < N; j++) {
      const float mean = (3 * sent[0][j] + sent[1][j]) / 4;
      const float want = 0.5f * (stored ? old_v[j] : 0) + mean;
      assert_true(v[j] == want);
      assert_true(x[j] == old_x[j] + 0.25f * want);
    }
    stop(&w);
  }
}

static void refuses_as(struct world *w, enum xf_rc rc, const char *words) {
  float x[N];
  assert_int_equal(recompute(w, x), rc);
  if (!strstr(w->diag.text, words)) fail_msg("no \"%s\" in: %s", words, w->diag.text);
}

static void refuses(struct world *w, const char *words) { refuses_as(w, XF_E_CORRUPT, words); }

static void test_disagreement(void **state) {
  (void)state;
  struct world w;
  start(&w, momentum, 3, 1, true);
  w.who[1].weight = 2;
  refuses(&w, "weight 1, the frozen list has 2");
  w.who[1].weight = 1;
  w.who[1].member[0] = 'z';
  refuses(&w, "is of \"b\"");
  w.who[1].member[0] = 'b';
  w.part[0].head.payload_len = 8;
  refuses_as(&w, XF_E_SHAPE, "has 8 bytes, its floats 12");
  w.part[0].head.payload_len = sizeof sent[0];
  w.round.round = 3;
  refuses(&w, "for round 2");
  w.round.round = 2;
  w.round.stage = 1;
  refuses(&w, "stage 1");
  w.round.stage = 0;
  w.base.info.layout.b[3] ^= 1;
  refuses(&w, "layout");
  w.base.info.plan.b[3] ^= 1;
  refuses(&w, "not the one of the parent model");
  stop(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reptile),
      cmocka_unit_test(test_momentum),
      cmocka_unit_test(test_disagreement),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
