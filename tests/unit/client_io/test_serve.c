/* serve/: written, read back, answered from; damage is seen. */
#include "client/io/serve.h"
#include "crypto/init.h"
#include "crypto/stream.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char text[] = "name: t\n"
                           "data: {kind: interactions, split: {kind: leave-one-out, by: file}}\n"
                           "model: {kind: mf, dim: 4, loss: bpr, users: aligned, items: domain}\n"
                           "stages:\n"
                           "  - fed: {algorithm: fedavg, rounds: 1}\n"
                           "    local: {epochs: 1, batch: 4, optimizer: {kind: sgd, lr: 0.1}}\n"
                           "eval: {metrics: [ndcg@10], protocol: [full]}\n";

static char dir[128];
static struct xf_plan plan;
static struct xf_dataset data;
static struct xf_model *model;
static float *params;
static uint64_t n;

static void ok(enum xf_rc rc, const struct xf_diag *diag) {
  if (rc) fail_msg("%s", xf_diag_text(diag, rc));
}

static void make_model(struct xf_diag *diag) {
  struct xf_model_config config;
  struct xf_rng rng;
  ok(xf_resolve_model(&config, &plan, diag), diag);
  const struct xf_model_size size = {data.split.n_users, data.split.n_items};
  ok(xf_model_new(&model, &config, size, diag), diag);
  n = xf_model_get_layout(model)->n;
  params = calloc(n, sizeof *params); /* lint: allow calloc, a test's own memory */
  assert_non_null(params);
  xf_stream_init(&rng, 1, "init", 0, NULL);
  static const struct xf_key key[4] = {{{1}}, {{2}}, {{3}}, {{4}}};
  const struct xf_model_seed seed = {&rng, &rng, key, NULL};
  ok(xf_model_init(model, params, &seed, diag), diag);
}

/* Users u0..u3; item i(k) is taken by users 0..k%4: i3 and i7 by all, so they are the most popular. */
static int set_up(void **state) {
  (void)state;
  struct xf_diag diag;
  struct xf_split_spec spec = {.kind = XF_SPLIT_LEAVE_ONE_OUT, .by_file = true, .min = 100};
  const char *base = getenv("TMPDIR");
  xf_diag_init(&diag);
  snprintf(dir, sizeof dir, "%.90s/xf-serve-XXXXXX", base ? base : "/tmp");
  assert_non_null(mkdtemp(dir));
  ok(xf_crypto_start(), &diag);
  ok(xf_blas_start(NULL, &diag), &diag);
  ok(xf_plan_load_text(&plan, "t", text, sizeof text - 1, NULL, 0, NULL, &diag), &diag);
  xf_dataset_init(&data, XF_DATASET_INTERACTIONS);
  for (int i = 0; i < 8; i++)
    for (int u = 0; u <= i % 4; u++) {
      char user[16], item[16];
      snprintf(user, sizeof user, "u%d", u);
      snprintf(item, sizeof item, "i%d", i);
      if (u == 3 && i == 7) continue;
      ok(xf_interactions_add(&data.inter, user, item, NULL, NAN, NAN), &diag);
    }
  ok(xf_split_init(&data.split, &data.inter, &spec, NULL, &diag), &diag);
  make_model(&diag);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  char path[256];
  snprintf(path, sizeof path, "%s/serve/" XF_SERVE_FILE, dir);
  (void)unlink(path);
  snprintf(path, sizeof path, "%s/serve", dir);
  (void)rmdir(path);
  (void)rmdir(dir);
  xf_model_free(model);
  xf_dataset_deinit(&data);
  free(params); /* lint: allow free, a test's own memory */
  return 0;
}

static void save(void) {
  struct xf_diag diag;
  struct xf_serve_source s = {.plan = &plan,
                              .data = &data,
                              .n = n,
                              .served = XF_SILO_FEDERATED,
                              .run = "run-1",
                              .member = "d1",
                              .committed = 3};
  s.params[XF_SILO_FEDERATED] = params;
  xf_diag_init(&diag);
  ok(xf_serve_save(xf_fs_posix(), dir, &s, &diag), &diag);
}

static const char *item_name(const struct xf_serve *s, const struct xf_topk_item *t) {
  return xf_names_get(&s->items, t->item);
}

static struct xf_diag diag_of_ask;

static enum xf_rc ask(struct xf_serve *s, struct xf_topk_item *out, uint32_t *got,
                      enum xf_silo_arm *used, enum xf_silo_arm arm, const char *user, uint32_t k,
                      enum xf_rerank_kind kind) {
  const struct xf_serve_ask what = {user, k, arm, {kind, .5}};
  xf_diag_init(&diag_of_ask);
  return xf_serve_top(s, out, got, used, &what, &diag_of_ask);
}

/* A knowledge graph is kept whole; its paths are the reasons of the arms it has a part in, and of no other. */
static void test_paths(void **state) {
  (void)state;
  struct xf_serve s;
  struct xf_serve_why why;
  struct xf_diag diag;
  struct xf_kg_side *kg = NULL;
  struct xf_serve_source from = {.plan = &plan,
                                 .data = &data,
                                 .n = n,
                                 .served = XF_SILO_FEDERATED,
                                 .paths = 1u << XF_SILO_FEDERATED,
                                 .run = "run-1",
                                 .member = "d1",
                                 .committed = 3};
  char path[256];
  snprintf(path, sizeof path, "%s/triples", dir);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs("i3\tby\tann\ni5\tby\tann\nann\tin\trome\n", f) >= 0);
  assert_int_equal(fclose(f), 0);
  xf_diag_init(&diag);
  const struct xf_kg_files files = {.triples = path};
  ok(xf_kg_side_new(&kg, &files, &data.inter.items, &diag), &diag);
  assert_int_equal(unlink(path), 0); /* what is served needs it no more */
  from.kg = kg;
  from.params[XF_SILO_FEDERATED] = params;
  ok(xf_serve_save(xf_fs_posix(), dir, &from, &diag), &diag);
  xf_kg_side_unref(kg);
  ok(xf_serve_open(&s, xf_fs_posix(), dir, &diag), &diag);
  assert_non_null(s.kg);
  assert_int_equal(s.paths, 1u << XF_SILO_FEDERATED);
  const uint32_t five = xf_names_find(&s.items, "i5", 2), four = xf_names_find(&s.items, "i4", 2);
  assert_true(five != XF_NO_ID && four != XF_NO_ID);
  ok(xf_serve_explain(&s, &why, "u3", XF_SILO_FEDERATED, (struct xf_topk_item){five, 1}, &diag),
     &diag);
  assert_string_equal(why.path, "i3 -by- ann -by- i5"); /* i3 is all that u3 has */
  ok(xf_serve_explain(&s, &why, "u3", XF_SILO_FEDERATED, (struct xf_topk_item){four, 1}, &diag),
     &diag);
  assert_string_equal(why.path, "");
  ok(xf_serve_explain(&s, &why, "u3", XF_SILO_POPULARITY, (struct xf_topk_item){five, 1}, &diag),
     &diag);
  assert_string_equal(why.path, "");
  xf_serve_close(&s);
}

/* Who is unknown is answered by the row kept for strangers; a known user's popularity stays the silo's own. */
static void test_strangers(void **state) {
  (void)state;
  const float row[8] = {0, 1, 2, 9, 4, 5, 6, 7};
  struct xf_serve s;
  struct xf_serve_why why;
  struct xf_topk_item top[8];
  enum xf_silo_arm used;
  struct xf_diag diag;
  uint32_t k = 0;
  struct xf_serve_source from = {.plan = &plan,
                                 .data = &data,
                                 .n = n,
                                 .served = XF_SILO_FEDERATED,
                                 .strangers = row,
                                 .crowd = XF_RECOMMENDER_CROWD_OVERLAP,
                                 .run = "run-1",
                                 .member = "d1",
                                 .committed = 3};
  from.params[XF_SILO_FEDERATED] = params;
  xf_diag_init(&diag);
  ok(xf_serve_save(xf_fs_posix(), dir, &from, &diag), &diag);
  ok(xf_serve_open(&s, xf_fs_posix(), dir, &diag), &diag);
  assert_int_equal(s.crowd, XF_RECOMMENDER_CROWD_OVERLAP);
  ok(ask(&s, top, &k, &used, XF_SILO_FEDERATED, "nobody", 2, XF_RERANK_NONE), &diag);
  assert_int_equal(used, XF_SILO_POPULARITY);
  assert_true(top[0].item == 3 && top[0].score == 9 && top[1].item == 7);
  ok(xf_serve_explain(&s, &why, "nobody", used, top[0], &diag), &diag);
  assert_string_equal(why.part[0].name, "popularity among users of several silos");
  ok(ask(&s, top, &k, &used, XF_SILO_POPULARITY, "u3", 2, XF_RERANK_NONE), &diag);
  assert_true(top[0].score < 4); /* log(1 + events) */
  ok(xf_serve_explain(&s, &why, "u3", used, top[0], &diag), &diag);
  assert_string_equal(why.part[0].name, "popularity");
  xf_serve_close(&s);
}

static void test_answers(void **state) {
  (void)state;
  struct xf_serve s;
  struct xf_diag diag;
  struct xf_topk_item top[8];
  enum xf_silo_arm used;
  uint32_t k = 0;
  xf_diag_init(&diag);
  save();
  ok(xf_serve_open(&s, xf_fs_posix(), dir, &diag), &diag);
  assert_int_equal(s.served, XF_SILO_FEDERATED);
  assert_int_equal(s.users.n, 4);
  assert_int_equal(s.items.n, 8);
  /* an unknown user: popularity, the most popular first, ties by lower id */
  ok(ask(&s, top, &k, &used, XF_SILO_FEDERATED, "nobody", 3, XF_RERANK_NONE), &diag);
  assert_int_equal(used, XF_SILO_POPULARITY);
  assert_int_equal(k, 3);
  assert_string_equal(item_name(&s, &top[0]), "i3");
  assert_string_equal(item_name(&s, &top[1]), "i2"); /* i2, i6 and i7 have three each */
  assert_string_equal(item_name(&s, &top[2]), "i6");
  /* u3 has only i3 in train: everything else, scored as the model scores */
  ok(ask(&s, top, &k, &used, XF_SILO_FEDERATED, "u3", 8, XF_RERANK_NONE), &diag);
  assert_int_equal(used, XF_SILO_FEDERATED);
  assert_int_equal(k, 7);
  struct xf_score *scorer = NULL;
  const float *score = NULL;
  const uint32_t u3 = xf_names_find(&data.inter.users, "u3", 2);
  ok(xf_score_new(&scorer, model, &diag), &diag);
  ok(xf_score_users(scorer, params, &u3, 1, &score, &diag), &diag);
  for (uint32_t i = 0; i < k; i++) {
    assert_string_not_equal(item_name(&s, &top[i]), "i3");
    assert_true(top[i].score == score[top[i].item]);
    if (i) assert_true(top[i - 1].score >= top[i].score);
  }
  xf_score_free(scorer);
  /* u0 has everything: nothing is left; an arm that was not stored is no arm */
  ok(ask(&s, top, &k, &used, XF_SILO_POPULARITY, "u0", 8, XF_RERANK_NONE), &diag);
  assert_int_equal(k, 0);
  assert_int_equal(ask(&s, top, &k, &used, XF_SILO_ALONE, "u0", 8, XF_RERANK_NONE), XF_E_CORRUPT);
  assert_int_equal(ask(&s, top, &k, &used, XF_SILO_ALONE, "u0", 0, XF_RERANK_NONE), XF_E_RANGE);
  xf_serve_close(&s);
}

static void test_damage(void **state) {
  (void)state;
  struct xf_serve s;
  struct xf_diag diag;
  struct xf_file f;
  char path[256];
  uint64_t len = 0;
  const struct xf_fs *fs = xf_fs_posix();
  xf_diag_init(&diag);
  snprintf(path, sizeof path, "%s/serve/" XF_SERVE_FILE, dir);
  (void)unlink(path);
  assert_int_equal(xf_serve_open(&s, fs, dir, &diag), XF_E_NOTFOUND);
  assert_non_null(strstr(diag.text, "state_dir of a client"));
  xf_serve_close(&s);
  save();
  assert_int_equal(fs->open(fs, &f, path, XF_FS_RDWR), XF_OK);
  assert_int_equal(fs->size(&f, &len), XF_OK);
  for (uint64_t back = 1; back < 200; back += 37) { /* in the data, one byte at a time */
    uint8_t was, is;
    size_t got = 0;
    assert_int_equal(fs->pread(&f, &was, 1, len - back, &got), XF_OK);
    is = (uint8_t)(was ^ 1);
    assert_int_equal(fs->pwrite(&f, &is, 1, len - back), XF_OK);
    assert_int_equal(xf_serve_open(&s, fs, dir, &diag), XF_E_CORRUPT);
    xf_serve_close(&s);
    assert_int_equal(fs->pwrite(&f, &was, 1, len - back), XF_OK);
  }
  assert_int_equal(fs->close(&f), XF_OK);
  ok(xf_serve_open(&s, fs, dir, &diag), &diag);
  xf_serve_close(&s);
}

/* The parts of each score add up to it; the most similar of the user's items come with it. */
static void check_why(struct xf_serve *s, const char *user, enum xf_silo_arm used,
                      struct xf_topk_item of) {
  struct xf_diag diag;
  struct xf_serve_why why;
  double sum = 0;
  xf_diag_init(&diag);
  const uint32_t u = xf_names_find(&s->users, user, strlen(user));
  ok(xf_serve_explain(s, &why, user, used, of, &diag), &diag);
  for (uint32_t p = 0; p < why.n_part; p++) sum += (double)why.part[p].share;
  assert_true(fabs(sum - (double)of.score) <= 1e-6);
  assert_string_equal(why.part[0].name, used == XF_SILO_POPULARITY ? "popularity" : "taste");
  for (uint32_t l = 0; l < why.n_like; l++) {
    bool has = false;
    for (uint32_t e = s->start[u]; e < s->start[u + 1]; e++) has |= s->item[e] == why.like[l].item;
    assert_true(has);
    assert_true(why.like[l].similarity > 0);
    assert_true(l == 0 || why.like[l - 1].similarity >= why.like[l].similarity);
  }
}

static void test_diverse_and_why(void **state) {
  (void)state;
  struct xf_serve s;
  struct xf_diag diag;
  struct xf_topk_item top[8], plain[8];
  struct xf_serve_why why;
  enum xf_silo_arm used;
  uint32_t k = 0, n_plain = 0;
  char path[256];
  xf_diag_init(&diag);
  save();
  ok(xf_serve_open(&s, xf_fs_posix(), dir, &diag), &diag);
  for (int arm = 0; arm < XF_SILO_N_ARM; arm++) {
    if (arm == XF_SILO_ALONE || arm == XF_SILO_GUARDED || arm == XF_SILO_PERSONAL)
      continue; /* were not stored */
    const enum xf_silo_arm a = (enum xf_silo_arm)arm;
    assert_int_equal(ask(&s, plain, &n_plain, &used, a, "u3", 8, XF_RERANK_NONE), XF_OK);
    assert_int_equal(ask(&s, top, &k, &used, a, "u3", 8, XF_RERANK_DPP), XF_OK);
    assert_int_equal(used, a);
    assert_int_equal(k, 7);
    assert_int_equal(n_plain, 7);
    assert_int_equal(s.sim_arm, XF_SILO_FEDERATED); /* popularity has no factors of its own */
    for (uint32_t i = 0; i < k; i++) {
      uint32_t at = 0;
      while (plain[at].item != top[i].item) assert_true(++at < n_plain);
      assert_true(plain[at].score == top[i].score);
      check_why(&s, "u3", used, top[i]);
    }
  }
  assert_int_equal(ask(&s, top, &k, &used, XF_SILO_FEDERATED, "u3", 8, XF_RERANK_CALIBRATED),
                   XF_E_NOTFOUND);
  assert_non_null(strstr(diag_of_ask.text, "categories"));
  /* i0 and i1 share a shelf with i3, u3's only item: calibrated towards it they come first */
  static const char text_of[] = "i3\tb\ni0\tb\ni1\tb\ni2\ta\ni4\ta\ni5\ta\ni6\ta\ni7\ta\n";
  snprintf(path, sizeof path, "%s/categories.tsv", dir);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text_of, f) >= 0);
  assert_int_equal(fclose(f), 0);
  ok(xf_serve_categorise(&s, path, &diag), &diag);
  struct xf_serve_ask what = {"u3", 2, XF_SILO_POPULARITY, {XF_RERANK_CALIBRATED, 0}};
  ok(xf_serve_top(&s, top, &k, &used, &what, &diag), &diag);
  assert_string_equal(item_name(&s, &top[0]), "i1");
  assert_string_equal(item_name(&s, &top[1]), "i0");
  ok(xf_serve_explain(&s, &why, "u3", used, top[0], &diag), &diag);
  assert_int_equal(why.n_like, 1);
  assert_string_equal(xf_names_get(&s.items, why.like[0].item), "i3");
  ok(xf_serve_top(&s, top, &k, &used, &(struct xf_serve_ask){"nobody", 1, XF_SILO_FEDERATED, {0}},
                  &diag),
     &diag);
  ok(xf_serve_explain(&s, &why, "nobody", used, top[0], &diag), &diag);
  assert_int_equal(why.n_like, 0);
  assert_string_equal(why.part[0].name, "popularity");
  assert_int_equal(xf_serve_explain(&s, &why, "nobody", XF_SILO_FEDERATED, top[0], &diag),
                   XF_E_NOTFOUND);
  assert_int_equal(xf_serve_categorise(&s, "/nonexistent/categories", &diag), XF_E_NOTFOUND);
  (void)unlink(path);
  xf_serve_close(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_answers), cmocka_unit_test(test_strangers),
      cmocka_unit_test(test_damage), cmocka_unit_test(test_diverse_and_why),
      cmocka_unit_test(test_paths)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
