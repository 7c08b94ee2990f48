// NeuMF: layout and roles, scores and both losses against plain loops, refusals in words.
#include "base/alloc.h"
#include "model/model.h"
#include "model/net.h"
#include "model/score.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { USERS = 5, ITEMS = 7, DIM = 3, HALF = 2, H1 = 4, H2 = 3 };

static struct xf_diag diag;
static const struct xf_model_config neumf = {.kind = XF_MODEL_NEUMF,
                                             .loss = XF_LOSS_BCE,
                                             .init_std = 1,
                                             .dim = DIM,
                                             .hidden = {2 * HALF, H1, H2},
                                             .n_hidden = 3};

static struct xf_model *model_of(struct xf_model_config config) {
  struct xf_model *m = NULL;
  xf_diag_init(&diag);
  if (xf_model_new(&m, &config, (struct xf_model_size){USERS, ITEMS}, &diag))
    fail_msg("%s", diag.text);
  return m;
}

static float *start_of(const struct xf_model *m) {
  struct xf_rng shared, silo;
  float *x = xf_calloc(xf_model_get_layout(m)->n, sizeof *x);
  xf_rng_init(&shared, 1, 1);
  xf_rng_init(&silo, 2, 2);
  assert_int_equal(
      xf_model_init(m, x, &(struct xf_model_seed){.shared = &shared, .silo = &silo}, NULL), XF_OK);
  return x;
}

static const float *seg(const struct xf_model *m, const float *x, const char *name, uint32_t row) {
  const struct xf_segment *s = xf_layout_find(xf_model_get_layout(m), name);
  assert_non_null(s);
  return x + s->offset + (size_t)row * s->cols;
}

static double plain(const struct xf_model *m, const float *x, uint32_t user, uint32_t item) {
  double h0[2 * HALF], h1[H1], h2[H2], z = (double)*seg(m, x, "out_bias", 0);
  for (uint32_t k = 0; k < HALF; k++) {
    h0[k] = (double)seg(m, x, "user_mlp", user)[k];
    h0[HALF + k] = (double)seg(m, x, "item_mlp", item)[k];
  }
  for (uint32_t j = 0; j < H1; j++) {
    h1[j] = (double)*seg(m, x, "b1", j);
    for (uint32_t k = 0; k < 2 * HALF; k++) h1[j] += h0[k] * (double)seg(m, x, "w1", k)[j];
    h1[j] = fmax(h1[j], 0);
  }
  for (uint32_t j = 0; j < H2; j++) {
    h2[j] = (double)*seg(m, x, "b2", j);
    for (uint32_t k = 0; k < H1; k++) h2[j] += h1[k] * (double)seg(m, x, "w2", k)[j];
    z += fmax(h2[j], 0) * (double)*seg(m, x, "out", DIM + j);
  }
  for (uint32_t k = 0; k < DIM; k++)
    z += (double)seg(m, x, "user_gmf", user)[k] * (double)seg(m, x, "item_gmf", item)[k] *
         (double)*seg(m, x, "out", k);
  return z;
}

static void test_layout(void **state) {
  (void)state;
  static const struct {
    const char *name;
    enum xf_role role;
    uint32_t rows, cols;
    enum xf_model_axis axis;
  } want[] = {{"user_gmf", XF_ROLE_USER, USERS, DIM, XF_AXIS_USER},
              {"user_mlp", XF_ROLE_USER, USERS, HALF, XF_AXIS_USER},
              {"item_gmf", XF_ROLE_DOMAIN, ITEMS, DIM, XF_AXIS_ITEM},
              {"item_mlp", XF_ROLE_DOMAIN, ITEMS, HALF, XF_AXIS_ITEM},
              {"w1", XF_ROLE_SHARED, 2 * HALF, H1, XF_AXIS_NONE},
              {"b1", XF_ROLE_SHARED, H1, 1, XF_AXIS_NONE},
              {"w2", XF_ROLE_SHARED, H1, H2, XF_AXIS_NONE},
              {"b2", XF_ROLE_SHARED, H2, 1, XF_AXIS_NONE},
              {"out", XF_ROLE_SHARED, DIM + H2, 1, XF_AXIS_NONE},
              {"out_bias", XF_ROLE_SHARED, 1, 1, XF_AXIS_NONE}};
  struct xf_model *m = model_of(neumf);
  const struct xf_layout *l = xf_model_get_layout(m);
  assert_int_equal(l->n_seg, sizeof want / sizeof *want);
  for (size_t i = 0; i < l->n_seg; i++) {
    assert_string_equal(l->seg[i].name, want[i].name);
    assert_int_equal(l->seg[i].role, want[i].role);
    assert_int_equal(l->seg[i].rows, want[i].rows);
    assert_int_equal(l->seg[i].cols, want[i].cols);
    assert_int_equal(xf_model_get_axis(m, &l->seg[i]), want[i].axis);
  }
  xf_model_free(m);
}

static void test_scores(void **state) {
  (void)state;
  const uint32_t users[] = {4, 0, 2};
  struct xf_model *m = model_of(neumf);
  float *x = start_of(m);
  struct xf_score *s;
  const float *z = NULL;
  assert_int_equal(xf_score_new(&s, m, &diag), XF_OK);
  assert_int_equal(xf_score_users(s, x, users, 3, &z, &diag), XF_OK);
  for (uint32_t u = 0; u < 3; u++)
    for (uint32_t i = 0; i < ITEMS; i++)
      assert_true(fabs((double)z[u * ITEMS + i] - plain(m, x, users[u], i)) < 1e-5);
  xf_score_free(s);
  xf_free(x);
  xf_model_free(m);
}

static double softplus(double z) { return z > 0 ? z + log1p(exp(-z)) : log1p(exp(z)); }

// The data loss of two samples of the loss graph.
static void check_loss(enum xf_loss loss, uint32_t negatives, double l2) {
  struct xf_model_config c = neumf;
  struct xf_model_net net;
  struct xf_nnplan *plan;
  c.loss = loss;
  struct xf_model *m = model_of(c);
  float *x = start_of(m), *grad = xf_calloc(xf_model_get_layout(m)->n, sizeof *grad);
  const struct xf_model_loss spec = {.negatives = negatives, .l2 = l2};
  if (xf_model_net_loss(&net, m, &spec, &diag)) fail_msg("%s", diag.text);
  const bool bpr = loss == XF_LOSS_BPR;
  assert_int_equal(net.group, bpr ? negatives : negatives + 1);
  const struct xf_nnplan_spec what = {.outputs = {net.data},
                                      .n_output = 1,
                                      .loss = net.loss,
                                      .has_loss = true,
                                      .train = true,
                                      .max = {[XF_SYM_B] = 2}};
  assert_int_equal(xf_nnplan_new(&plan, net.graph, &what, &diag), XF_OK);
  const int32_t user[6] = {1, 1, 1, 4, 4, 4}, item[6] = {0, 5, 6, 2, 2, 3},
                neg[6] = {3, 4, 1, 1, 0, 6};
  const float y[6] = {1, 0, 0, 1, 0, 0};
  const uint32_t n = 2 * net.group;
  assert_true(n <= 6);
  xf_nnplan_set_input(plan, net.feed[XF_FEED_USER], user);
  xf_nnplan_set_input(plan, net.feed[XF_FEED_ITEM], item);
  xf_nnplan_set_input(plan, net.feed[bpr ? XF_FEED_NEG : XF_FEED_Y],
                      bpr ? (const void *)neg : (const void *)y);
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = 2};
  if (xf_nnplan_run(plan, x, grad, extent, &diag)) fail_msg("%s", diag.text);
  double want = 0;
  for (uint32_t r = 0; r < n; r++) {
    const double z = plain(m, x, (uint32_t)user[r], (uint32_t)item[r]);
    want += bpr ? softplus(plain(m, x, (uint32_t)user[r], (uint32_t)neg[r]) - z)
                : softplus(z) - (double)y[r] * z;
  }
  const float *data = xf_nnplan_get(plan, net.data, NULL, NULL);
  assert_true(fabs((double)*data - want / n) < 1e-5 * fmax(1, want / n));
  assert_true(l2 > 0 ? xf_nnplan_get_loss(plan) > (double)*data + 1e-3
                     : xf_nnplan_get_loss(plan) == (double)*data);
  size_t n_piece = 0; // factors of rows that occur, weights whole
  const struct xf_grad_piece *piece = xf_nnplan_get_pieces(plan, &n_piece);
  assert_int_equal(n_piece, xf_model_get_layout(m)->n_seg);
  for (size_t i = 0; i < n_piece; i++)
    assert_int_equal(piece[i].row != NULL, piece[i].seg->role != XF_ROLE_SHARED);
  xf_nnplan_free(plan);
  xf_model_net_deinit(&net);
  xf_free(grad);
  xf_free(x);
  xf_model_free(m);
}

static void test_losses(void **state) {
  (void)state;
  check_loss(XF_LOSS_BCE, 2, 0);
  check_loss(XF_LOSS_BCE, 1, .1);
  check_loss(XF_LOSS_BPR, 3, 0);
  check_loss(XF_LOSS_BPR, 1, .1);
}

static void refuse(struct xf_model_config c, const char *says) {
  struct xf_model *m = NULL;
  xf_diag_init(&diag);
  assert_true(xf_model_new(&m, &c, (struct xf_model_size){USERS, ITEMS}, &diag) != XF_OK);
  if (!strstr(diag.text, says)) fail_msg("\"%s\" is not in \"%s\"", says, diag.text);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_model_config c = neumf;
  c.loss = XF_LOSS_MSE;
  refuse(c, "model neumf has no loss mse; it has bce, bpr");
  c = neumf;
  c.hidden[0] = 5;
  refuse(c, "the first (user and item together) even");
  c = neumf;
  c.n_hidden = 1;
  refuse(c, "neumf needs 2 to 8 widths");
  c = neumf;
  c.dim = 0;
  refuse(c, "model.dim is 0");
  c = neumf;
  c.users = XF_ROWS_ALIGNED;
  refuse(c, "users and items stay in the silo");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layout),
      cmocka_unit_test(test_scores),
      cmocka_unit_test(test_losses),
      cmocka_unit_test(test_refusals),
  };
  xf_diag_init(&diag);
  if (xf_blas_start(NULL, &diag)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
