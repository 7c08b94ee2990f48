// Models: layouts and roles, initial values that silos agree on, scores by hand, refusals in words.
#include "model/model.h"
#include "model/net.h"
#include "model/score.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct xf_diag diag;
static const struct xf_model_config mf = {.kind = XF_MODEL_MF,
                                          .loss = XF_LOSS_BPR,
                                          .bias = true,
                                          .dim = 2,
                                          .users = XF_ROWS_ALIGNED,
                                          .user_ns = "people"};

static struct xf_model *model_of(struct xf_model_config config, uint32_t users, uint32_t items) {
  struct xf_model *m = NULL;
  xf_diag_init(&diag);
  if (xf_model_new(&m, &config, (struct xf_model_size){users, items}, &diag))
    fail_msg("%s", diag.text);
  return m;
}

static void says(const char *text) {
  if (!strstr(diag.text, text)) fail_msg("\"%s\" is not in \"%s\"", text, diag.text);
}

static void expect_role(const struct xf_layout *l, const char *name, enum xf_role role,
                        uint32_t rows, uint32_t cols) {
  const struct xf_segment *s = xf_layout_find(l, name);
  if (!s) fail_msg("no segment %s", name);
  else assert_true(s->role == role && s->rows == rows && s->cols == cols);
}

static void test_layouts(void **state) {
  (void)state;
  struct xf_model *m = model_of(mf, 5, 7);
  const struct xf_layout *l = xf_model_get_layout(m);
  expect_role(l, "user", XF_ROLE_ALIGNED, 5, 2);
  expect_role(l, "item", XF_ROLE_DOMAIN, 7, 2);
  expect_role(l, "item_bias", XF_ROLE_DOMAIN, 7, 1);
  assert_int_equal(l->n_seg, 3);
  assert_string_equal(l->seg[0].ns, "people");
  assert_int_equal(xf_model_get_axis(m, &l->seg[0]), XF_AXIS_USER);
  assert_int_equal(xf_model_get_axis(m, &l->seg[2]), XF_AXIS_ITEM);
  xf_model_free(m);
  struct xf_model_config c = mf;
  c.users = XF_ROWS_LOCAL;
  c.loss = XF_LOSS_MSE;
  m = model_of(c, 0, 0); // the coordinator's
  l = xf_model_get_layout(m);
  expect_role(l, "user", XF_ROLE_USER, 0, 2);
  expect_role(l, "user_bias", XF_ROLE_USER, 0, 1);
  expect_role(l, "bias", XF_ROLE_SHARED, 1, 1);
  assert_true(xf_model_is_ranking(m));
  xf_model_free(m);
  c = (struct xf_model_config){.kind = XF_MODEL_MLP,
                               .loss = XF_LOSS_SOFTMAX,
                               .bias = true,
                               .n_in = 4,
                               .n_out = 3,
                               .hidden = {8},
                               .n_hidden = 1};
  m = model_of(c, 0, 0);
  l = xf_model_get_layout(m);
  expect_role(l, "w1", XF_ROLE_SHARED, 4, 8);
  expect_role(l, "b2", XF_ROLE_SHARED, 3, 1);
  assert_int_equal(l->n, 4 * 8 + 8 + 8 * 3 + 3);
  xf_model_free(m);
  c = (struct xf_model_config){
      .kind = XF_MODEL_LOGREG, .loss = XF_LOSS_BCE, .bias = true, .n_in = 13, .n_out = 1};
  m = model_of(c, 0, 0);
  expect_role(xf_model_get_layout(m), "w", XF_ROLE_SHARED, 13, 1);
  xf_model_free(m);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_model_config c[6] = {
      mf,
      mf,
      {.kind = XF_MODEL_LOGREG, .loss = XF_LOSS_BPR, .n_in = 2, .n_out = 1},
      {.kind = XF_MODEL_LOGREG, .loss = XF_LOSS_BCE, .n_in = 0, .n_out = 1},
      {.kind = XF_MODEL_MLP, .loss = XF_LOSS_SOFTMAX, .n_in = 2, .n_out = 1},
      mf};
  c[0].dim = 0;
  c[1].users = XF_ROWS_SHARED;
  c[5].init_std = -1;
  const char *text[] = {"model.dim is 0",
                        "align them",
                        "has no loss bpr",
                        "width 0 of layer 0",
                        "model.n_out is 1; loss softmax needs at least 2",
                        "init_std is -1"};
  for (int i = 0; i < 6; i++) {
    struct xf_model *m = NULL;
    assert_true(xf_model_new(&m, &c[i], (struct xf_model_size){1, 1}, &diag) != XF_OK);
    assert_null(m);
    says(text[i]);
  }
  struct xf_model_config own = mf;
  own.users = XF_ROWS_LOCAL;
  struct xf_model *m = model_of(own, 2, 2);
  struct xf_model_net net;
  assert_int_equal(xf_model_net_loss(&net, m, &(struct xf_model_loss){.pull = 1}, &diag),
                   XF_E_CONFIG);
  says("aligned users");
  xf_model_free(m);
}

/* The same key gives the same row in every silo and at the coordinator; own rows differ between silos. */
static void test_init_agrees(void **state) {
  (void)state;
  struct xf_key key[4];
  memset(key, 0, sizeof key);
  for (uint8_t i = 0; i < 4; i++) key[i].b[3] = i, key[i].b[12] = 9;
  struct xf_model *a = model_of(mf, 3, 5), *b = model_of(mf, 2, 4);
  float fa[3 * 2 + 5 * 3], fb[2 * 2 + 4 * 3], row[2];
  struct xf_rng shared, silo_a, silo_b;
  xf_rng_init(&shared, 1, 0);
  xf_rng_init(&silo_a, 2, 0);
  xf_rng_init(&silo_b, 3, 0);
  assert_int_equal(xf_model_init(a, fa, &(struct xf_model_seed){&shared, &silo_a, key, NULL}, NULL),
                   XF_OK);
  assert_int_equal(
      xf_model_init(b, fb, &(struct xf_model_seed){&shared, &silo_b, key + 2, NULL}, NULL), XF_OK);
  assert_memory_equal(fa + 4, fb, 2 * sizeof *fa);         // key 2: row 2 here, row 0 there
  assert_memory_not_equal(fa, fa + 2, 2 * sizeof *fa);     // another key, another row
  assert_memory_not_equal(fa + 6, fb + 4, 2 * sizeof *fa); // items are the silo's own
  struct xf_model *coordinator = model_of(mf, 0, 0);
  xf_model_init_row(coordinator, xf_layout_find(xf_model_get_layout(coordinator), "user"), &shared,
                    &key[2], row);
  assert_memory_equal(row, fb, sizeof row);
  assert_true(fa[6 + 10] == 0.0f); // biases
  float again[3 * 2 + 5 * 3];
  assert_int_equal(
      xf_model_init(a, again, &(struct xf_model_seed){&shared, &silo_a, key, NULL}, NULL), XF_OK);
  assert_memory_equal(fa, again, sizeof fa);
  assert_int_equal(
      xf_model_init(a, fa, &(struct xf_model_seed){&shared, &silo_a, NULL, NULL}, &diag),
      XF_E_INVAL);
  assert_int_equal(xf_model_init(a, fa, &(struct xf_model_seed){&shared, NULL, key, NULL}, &diag),
                   XF_E_INVAL);
  says("needs a random stream");
  xf_model_free(a);
  xf_model_free(b);
  xf_model_free(coordinator);
}

static void test_init_uniform(void **state) {
  (void)state;
  const struct xf_model_config c = {
      .kind = XF_MODEL_LOGREG, .loss = XF_LOSS_SOFTMAX, .bias = true, .n_in = 100, .n_out = 10};
  struct xf_model *m = model_of(c, 0, 0);
  float w[1010];
  struct xf_rng shared;
  xf_rng_init(&shared, 1, 0);
  assert_int_equal(xf_model_init(m, w, &(struct xf_model_seed){.shared = &shared}, NULL), XF_OK);
  float most = 0, sum = 0;
  for (int i = 0; i < 1010; i++) {
    most = fmaxf(most, fabsf(w[i]));
    sum += w[i] * w[i];
  }
  assert_true(most <= .1f && most > .099f && fabsf(sum / 1010 - .01f / 3) < 3e-4f);
  assert_true(fabsf(w[1000]) > 0); // biases too
  xf_model_free(m);
}

static void test_mf_scores(void **state) {
  (void)state;
  struct xf_model_config c = mf;
  for (int level = 0; level < 2; level++) {
    c.loss = level ? XF_LOSS_MSE : XF_LOSS_BPR;
    struct xf_model *m = model_of(c, 2, 3);
    // user [2x2], (user_bias [2]), item [3x2], item_bias [3], (bias)
    const float plain[] = {1, 2, 3, -1, 1, 0, 0, 1, 2, 2, .5f, 0, -1};
    const float levels[] = {1, 2, 3, -1, 10, 20, 1, 0, 0, 1, 2, 2, .5f, 0, -1, 100};
    struct xf_score *s = NULL;
    const float *out = NULL;
    assert_int_equal(xf_score_new(&s, m, &diag), XF_OK);
    assert_int_equal(xf_score_users(s, level ? levels : plain, (uint32_t[]){1, 0}, 2, &out, &diag),
                     XF_OK);
    const float want[] = {3.5f, -1, 3, 1.5f, 2, 5};
    for (int i = 0; i < 6; i++) {
      const float add = level ? (i < 3 ? 120.0f : 110.0f) : 0.0f;
      assert_true(fabsf(out[i] - want[i] - add) < 1e-5f);
    }
    assert_int_equal(xf_score_users(s, plain, (uint32_t[]){2}, 1, &out, &diag), XF_E_RANGE);
    assert_int_equal(xf_score_rows(s, plain, plain, 1, &out, &diag), XF_E_STATE);
    xf_score_free(s);
    xf_model_free(m);
  }
}

/* The bpr loss of one triple with both regularisers, against the formula. */
static void test_mf_loss(void **state) {
  (void)state;
  struct xf_model *m = model_of(mf, 2, 3);
  const float params[] = {1, 2, 3, -1, 1, 0, 0, 1, 2, 2, .5f, 0, -1};
  struct xf_model_net net;
  assert_int_equal(xf_model_net_loss(&net, m, &(struct xf_model_loss){.l2 = .1, .pull = .5}, &diag),
                   XF_OK);
  assert_int_equal(net.group, 1);
  struct xf_nnplan *p = NULL;
  const struct xf_nnplan_spec spec = {.outputs = {net.data},
                                      .n_output = 1,
                                      .loss = net.loss,
                                      .train = true,
                                      .max = {[XF_SYM_B] = 2}};
  assert_int_equal(xf_nnplan_new(&p, net.graph, &spec, &diag), XF_OK);
  const int32_t user[] = {0, 1}, item[] = {0, 0}, neg[] = {1, 2};
  const float prior[] = {0, 0, 3, 1};
  xf_nnplan_set_input(p, net.feed[XF_FEED_USER], user);
  xf_nnplan_set_input(p, net.feed[XF_FEED_ITEM], item);
  xf_nnplan_set_input(p, net.feed[XF_FEED_NEG], neg);
  xf_nnplan_set_input(p, net.feed[XF_FEED_PRIOR], prior);
  float grad[13];
  assert_int_equal(
      xf_nnplan_run(p, params, grad, (uint32_t[XF_N_SYM]){[XF_SYM_ONE] = 1, [XF_SYM_B] = 2}, &diag),
      XF_OK);
  const double x0 = 1.5 - 2, x1 = 3.5 - 3; // s(0,0) - s(0,1), s(1,0) - s(1,2)
  const double data = (log1p(exp(-x0)) + log1p(exp(-x1))) / 2;
  const double l2 = .1 / 2 * ((5 + 10) + (1 + 1) + (1 + 8)) / 2, pull = .5 / 2 * (5 + 4) / 2;
  const float *got = xf_nnplan_get(p, net.data, NULL, NULL);
  assert_true(fabs((double)*got - data) < 1e-6);
  assert_true(fabs(xf_nnplan_get_loss(p) - data - l2 - pull) < 1e-6);
  xf_nnplan_free(p);
  xf_model_net_deinit(&net);
  xf_model_free(m);
}

static const struct xf_model_config scorer = {.kind = XF_MODEL_SCORER,
                                              .loss = XF_LOSS_SOFTMAX,
                                              .bias = true,
                                              .n_in = 3,
                                              .n_out = 1,
                                              .hidden = {4},
                                              .n_hidden = 1,
                                              .activation = XF_ACT_TANH};

/* A scorer's loss, written again: -log softmax over the list of the first candidate, mean over lists, half l2 |w|^2. */
static double list_loss(const double *p, const double *x, int n, int group, double l2) {
  const double *w1 = p, *b1 = p + 12, *w2 = p + 16;
  double loss = 0, norm2 = 0;
  for (int b = 0; b < n; b++) {
    double sum = 0, first = 0;
    for (int i = 0; i < group; i++) {
      const double *row = x + (b * group + i) * 3;
      double z = 0;
      for (int k = 0; k < 4; k++) {
        double h = b1[k];
        for (int j = 0; j < 3; j++) h += row[j] * w1[j * 4 + k];
        z += tanh(h) * w2[k];
      }
      if (i == 0) first = z;
      sum += exp(z);
    }
    loss += (log(sum) - first) / n;
  }
  for (int k = 0; k < 20; k++) norm2 += k < 12 || k > 15 ? p[k] * p[k] : 0; // not biases
  return loss + l2 / 2 * norm2;
}

/* Loss and gradient of a scorer in double, against the formula and its differences. */
static void test_scorer_loss(void **state) {
  (void)state;
  enum { GROUP = 6, LISTS = 3, N = 20 };
  struct xf_model *m = model_of(scorer, 0, 0);
  const struct xf_layout *l = xf_model_get_layout(m);
  assert_int_equal(l->n, N);
  expect_role(l, "w1", XF_ROLE_SHARED, 3, 4);
  expect_role(l, "b1", XF_ROLE_SHARED, 4, 1);
  expect_role(l, "w2", XF_ROLE_SHARED, 4, 1);
  assert_int_equal(l->n_seg, 3); // no bias behind
  assert_int_equal(xf_model_get_data(m), XF_DATASET_LISTS);
  struct xf_model_net net;
  assert_int_equal(
      xf_model_net_loss(&net, m, &(struct xf_model_loss){.l2 = .1, .negatives = 5}, &diag), XF_OK);
  assert_int_equal(net.group, GROUP);
  struct xf_nnplan *p = NULL;
  const struct xf_nnplan_spec spec = {.outputs = {net.data},
                                      .n_output = 1,
                                      .loss = net.loss,
                                      .train = true,
                                      .mode = XF_NN_REF64,
                                      .max = {[XF_SYM_B] = LISTS}};
  assert_int_equal(xf_nnplan_new(&p, net.graph, &spec, &diag), XF_OK);
  double x[LISTS * GROUP * 3], w[N], grad[N];
  const int32_t class_[LISTS] = {0};
  struct xf_rng rng;
  xf_rng_init(&rng, 7, 0);
  for (int i = 0; i < LISTS * GROUP * 3; i++) x[i] = xf_rng_normal(&rng);
  for (int i = 0; i < N; i++) w[i] = xf_rng_normal(&rng) / 2;
  xf_nnplan_set_input(p, net.feed[XF_FEED_X], x);
  xf_nnplan_set_input(p, net.feed[XF_FEED_CLASS], class_);
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = LISTS};
  assert_int_equal(xf_nnplan_run64(p, w, grad, extent, &diag), XF_OK);
  assert_true(fabs(xf_nnplan_get_loss(p) - list_loss(w, x, LISTS, GROUP, .1)) < 1e-9);
  const double *data = xf_nnplan_get(p, net.data, NULL, NULL);
  assert_true(fabs(*data - list_loss(w, x, LISTS, GROUP, 0)) < 1e-9);
  for (int i = 0; i < N; i++) {
    const double at = w[i], h = 1e-5;
    w[i] = at + h;
    const double up = list_loss(w, x, LISTS, GROUP, .1);
    w[i] = at - h;
    const double down = list_loss(w, x, LISTS, GROUP, .1);
    w[i] = at;
    assert_true(fabs((up - down) / (2 * h) - grad[i]) < 1e-7);
  }
  xf_nnplan_free(p);
  xf_model_net_deinit(&net);
  assert_int_equal(xf_model_net_loss(&net, m, &(struct xf_model_loss){.negatives = 70000}, &diag),
                   XF_E_CONFIG);
  says("local.negatives is 70000");
  xf_model_free(m);
}

static void test_scorer_refusals(void **state) {
  (void)state;
  struct xf_model *m = NULL;
  struct xf_model_config c = scorer;
  c.loss = XF_LOSS_BCE;
  assert_int_equal(xf_model_new(&m, &c, (struct xf_model_size){0, 0}, &diag), XF_E_UNSUPPORTED);
  says("model scorer has no loss bce");
  c = scorer;
  c.n_out = 2;
  assert_int_equal(xf_model_new(&m, &c, (struct xf_model_size){0, 0}, &diag), XF_E_CONFIG);
  says("model.n_out is 2");
  c = scorer;
  c.n_hidden = 2;
  c.hidden[1] = 4;
  assert_int_equal(xf_model_new(&m, &c, (struct xf_model_size){0, 0}, &diag), XF_E_CONFIG);
  says("at most 1 hidden layer");
  c.n_hidden = 0;
  m = model_of(c, 0, 0); // linear: one segment, no bias
  assert_int_equal(xf_model_get_layout(m)->n, 3);
  xf_model_free(m);
}

static void test_names(void **state) {
  (void)state;
  enum xf_model_kind kind;
  enum xf_loss loss;
  assert_int_equal(xf_model_kind_parse(&kind, "logreg", 6), XF_OK);
  assert_string_equal(xf_model_kind_name(kind), "logreg");
  assert_int_equal(xf_model_kind_parse(&kind, "gcn", 3), XF_E_INVAL);
  assert_int_equal(xf_loss_parse(&loss, "softmax", 7), XF_OK);
  assert_string_equal(xf_loss_name(loss), "softmax");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layouts),         cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_init_agrees),     cmocka_unit_test(test_init_uniform),
      cmocka_unit_test(test_mf_scores),       cmocka_unit_test(test_mf_loss),
      cmocka_unit_test(test_names),           cmocka_unit_test(test_scorer_loss),
      cmocka_unit_test(test_scorer_refusals),
  };
  if (xf_blas_start(NULL, &diag)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
