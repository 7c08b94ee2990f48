// Ranking candidate lists: figures by hand, ties, missed items, users without history, refusals.
#include "base/fs.h"
#include "rec/list_eval.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

/* A scorer that gives fixed scores and checks what it is asked. */
struct fixed {
  struct xf_scorer base;
  const float *score;
  uint32_t want_user[4], want_n[4], asked; /* what it must be asked */
};

static enum xf_rc score(const struct xf_scorer *s, const struct xf_query *q, float *out,
                        struct xf_diag *diag) {
  struct fixed *f = (struct fixed *)(uintptr_t)s; /* counts calls: one thread here */
  (void)diag;
  if (f->asked < 4) {
    assert_int_equal(q->user, f->want_user[f->asked]);
    assert_int_equal(q->n, f->want_n[f->asked]);
    f->asked++;
  }
  assert_true(isnan(q->at));
  memcpy(out, f->score, s->n_items * sizeof *out);
  return XF_OK;
}

static void release(struct xf_scorer *s) { (void)s; }
static const struct xf_scorer_kind kind = {.name = "fixed", .score = score, .free = release};

enum { ITEMS = 6, MEASURES = 5 };
static const struct xf_measure measures[MEASURES] = {{XF_MEASURE_NDCG, 2},
                                                     {XF_MEASURE_RECALL, 2},
                                                     {XF_MEASURE_HR, 1},
                                                     {XF_MEASURE_AUC, 0},
                                                     {XF_MEASURE_MRR, 0}};
static const float scores[ITEMS] = {6, 5, 4, 4, 2, 1};

/* Lists: user 0 ranks 1, 0*, 2;  user 1 ranks 3*, 2, 4, 0;  user 9 (unknown) ranks 4*, 5 and misses one. */
static uint32_t user[] = {0, 1, 9}, start[] = {0, 3, 7, 9}, item[] = {1, 0, 2, 3, 2, 4, 0, 4, 5},
                n_relevant[] = {1, 1, 2};
static uint8_t relevant[] = {0, 1, 0, 1, 0, 0, 0, 1, 0};
static uint32_t train_start[] = {0, 2, 3}, train_item[] = {3, 4, 5};

static const struct xf_csr train = {.n_row = 2, .start = train_start, .item = train_item};
static const struct xf_rec_data data = {.n_users = 2, .n_items = ITEMS, .train = &train};

static struct xf_lists lists(void) {
  return (struct xf_lists){.n = 3,
                           .user = user,
                           .start = start,
                           .item = item,
                           .relevant = relevant,
                           .n_relevant = n_relevant};
}

static void near(double got, double want) {
  if (fabs(got - want) > 1e-6) fail_msg("%.9g, want %.9g", got, want);
}

static void test_by_hand(void **state) {
  (void)state;
  const struct xf_lists l = lists();
  struct fixed f = {.base = {.kind = &kind, .n_items = ITEMS},
                    .score = scores,
                    .want_user = {0, 1, XF_NO_ID},
                    .want_n = {2, 1, 0}};
  float per_user[3 * MEASURES];
  struct xf_measure_sum sum[MEASURES];
  const struct xf_list_spec spec = {measures, MEASURES, per_user};
  assert_int_equal(xf_list_eval(sum, &l, &data, &f.base, &spec, NULL), XF_OK);
  assert_int_equal(f.asked, 3);
  /* user 0: rank 0. user 1: 0 scores more and 2 the same, so rank 2; AUC (1 + .5) / 3. user 9: rank 0, one missed. */
  const double ndcg2 = 1 / (1 + 1 / log2(3));
  const double want[3][MEASURES] = {{1, 1, 1, 1, 1}, {0, 0, 0, .5, 1. / 3}, {ndcg2, .5, 1, 1, 1}};
  for (int m = 0; m < MEASURES; m++) {
    double total = 0;
    for (int k = 0; k < 3; k++) {
      near((double)per_user[k * MEASURES + m], want[k][m]);
      total += want[k][m];
    }
    near(sum[m].sum, total);
    near(sum[m].count, 3);
  }
}

/* A constant scorer ranks the relevant items last and has AUC a half. */
static void test_constant(void **state) {
  (void)state;
  static const float same[ITEMS] = {2, 2, 2, 2, 2, 2};
  const struct xf_lists l = lists();
  struct fixed f = {.base = {.kind = &kind, .n_items = ITEMS}, .score = same, .asked = 4};
  struct xf_measure_sum sum[MEASURES];
  const struct xf_list_spec spec = {measures, MEASURES, NULL};
  assert_int_equal(xf_list_eval(sum, &l, &data, &f.base, &spec, NULL), XF_OK);
  near(sum[2].sum, 0);
  near(sum[3].sum, 1.5);
}

static void test_nothing_ranked(void **state) {
  (void)state;
  struct xf_lists l = lists();
  static uint8_t none[9];
  l.relevant = none; /* every relevant item is missed */
  struct fixed f = {.base = {.kind = &kind, .n_items = ITEMS}, .score = scores, .asked = 4};
  float per_user[3 * MEASURES];
  struct xf_measure_sum sum[MEASURES];
  const struct xf_list_spec spec = {measures, MEASURES, per_user};
  assert_int_equal(xf_list_eval(sum, &l, &data, &f.base, &spec, NULL), XF_OK);
  for (int m = 0; m < MEASURES; m++) near(sum[m].sum, 0);
  near(sum[3].count, 0); /* AUC has no value */
  near(sum[0].count, 3);
  assert_true(isnan(per_user[3]));
}

static void refuse(const struct xf_lists *l, struct fixed *f, struct xf_measure m, enum xf_rc rc,
                   const char *says) {
  struct xf_measure_sum sum;
  struct xf_diag diag;
  const struct xf_list_spec spec = {&m, 1, NULL};
  xf_diag_init(&diag);
  assert_int_equal(xf_list_eval(&sum, l, &data, &f->base, &spec, &diag), rc);
  if (!strstr(diag.text, says)) fail_msg("%s", diag.text);
}

static void test_refusals(void **state) {
  (void)state;
  static const float broken[ITEMS] = {1, NAN, 3, 4, 5, 6};
  struct xf_lists l = lists(), empty = {0};
  struct fixed f = {.base = {.kind = &kind, .n_items = ITEMS}, .score = scores, .asked = 4};
  const struct xf_measure hr = {XF_MEASURE_HR, 1}, acc = {XF_MEASURE_ACC, 0};
  refuse(&l, &f, acc, XF_E_INVAL, "not of ranked lists");
  refuse(&empty, &f, hr, XF_E_INVAL, "no candidate lists");
  f.base.n_items = 5;
  refuse(&l, &f, hr, XF_E_SHAPE, "candidate 5, but scorer \"fixed\" knows 5 items");
  f.base.n_items = ITEMS;
  f.score = broken;
  refuse(&l, &f, hr, XF_E_NAN, "the score of item 1 for user 0");
}

static bool real(char path[XF_PATH_MAX], const char *name) {
  const char *root = getenv("CROSSFED_DATA");
  return !xf_fs_join(path, root && *root ? root : "../shared/data", name) &&
         xf_fs_exists(xf_fs_posix(), path);
}

/* Popularity on the development half of market t1: an independent count gives .32322395 and .55029155 over 1,372 users. */
static void test_xmrec(void **state) {
  (void)state;
  static const char *const names[3] = {"xmrec-wsdm22/t1/train_5core.tsv.gz",
                                       "xmrec-wsdm22/t1/valid_qrel.tsv.gz",
                                       "xmrec-wsdm22/t1/valid_run.tsv.gz"};
  static char path[3][XF_PATH_MAX];
  for (int k = 0; k < 3; k++)
    if (!real(path[k], names[k])) {
      print_message("no data set xmrec-wsdm22: set CROSSFED_DATA\n");
      skip();
    }
  const struct xf_interactions_spec cols = {.user = 1, .item = 2, .value = 3};
  struct xf_interactions x;
  struct xf_qrel q;
  struct xf_lists l;
  assert_int_equal(xf_interactions_load(&x, path[0], &cols, NULL), XF_OK);
  assert_int_equal(xf_qrel_load(&q, path[1], &x.users, &x.items, NULL), XF_OK);
  assert_int_equal(xf_lists_load(&l, path[2], &q, XF_QREL_DEVELOPMENT, &x.users, &x.items, NULL),
                   XF_OK);
  static float count[2000];
  static uint32_t no_rows[1];
  assert_true(x.items.n <= 2000);
  for (size_t i = 0; i < x.n; i++) count[x.item[i]]++;
  struct fixed f = {.base = {.kind = &kind, .n_items = x.items.n}, .score = count, .asked = 4};
  const struct xf_csr none = {.start = no_rows};
  const struct xf_rec_data nobody = {.n_items = x.items.n, .train = &none};
  const struct xf_measure m[2] = {{XF_MEASURE_NDCG, 10}, {XF_MEASURE_RECALL, 10}};
  const struct xf_list_spec spec = {m, 2, NULL};
  struct xf_measure_sum sum[2];
  assert_int_equal(xf_list_eval(sum, &l, &nobody, &f.base, &spec, NULL), XF_OK);
  near(sum[0].count, 1372);
  near(xf_measure_value(m[0].kind, sum[0]), 0.3232239483425995);
  near(xf_measure_value(m[1].kind, sum[1]), 0.5502915451895044);
  xf_lists_deinit(&l);
  xf_qrel_deinit(&q);
  xf_interactions_deinit(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_hand),
                                     cmocka_unit_test(test_constant),
                                     cmocka_unit_test(test_nothing_ranked),
                                     cmocka_unit_test(test_refusals), cmocka_unit_test(test_xmrec)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
