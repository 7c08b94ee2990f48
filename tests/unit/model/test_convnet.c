// Convolutional nets and sine-mlp: segments, numbers of parameters, refusals, and that they learn.
#include "base/alloc.h"
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

static struct xf_model_config config_of(enum xf_model_kind kind) {
  return (struct xf_model_config){.kind = kind,
                                  .loss = XF_LOSS_SOFTMAX,
                                  .bias = true,
                                  .n_in = 784,
                                  .n_out = 10,
                                  .activation = XF_ACT_RELU};
}

static struct xf_model *model_of(struct xf_model_config config) {
  struct xf_model *m = NULL;
  xf_diag_init(&diag);
  if (xf_model_new(&m, &config, (struct xf_model_size){0, 0}, &diag)) fail_msg("%s", diag.text);
  return m;
}

static void test_numbers_of_parameters(void **state) {
  (void)state;
  static const struct {
    enum xf_model_kind kind;
    uint64_t n;
  } row[] = {
      {XF_MODEL_CNN, 1663370},     // McMahan et al. 2017
      {XF_MODEL_CNN_SMALL, 26010}, // Opacus' MNIST example
      {XF_MODEL_CONV4, 9 * 32 + 3 * 9 * 32 * 32 + 4 * 4 * 32 + 32 * 10 + 10},
  };
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    struct xf_model *m = model_of(config_of(row[i].kind));
    assert_int_equal(xf_model_get_layout(m)->n, row[i].n);
    for (size_t s = 0; s < xf_model_get_layout(m)->n_seg; s++)
      assert_int_equal(xf_model_get_layout(m)->seg[s].role, XF_ROLE_SHARED);
    xf_model_free(m);
  }
}

static void refused(struct xf_model_config config, enum xf_rc rc, const char *says) {
  struct xf_model *m = NULL;
  xf_diag_init(&diag);
  assert_int_equal(xf_model_new(&m, &config, (struct xf_model_size){0, 0}, &diag), rc);
  assert_null(m);
  if (!strstr(diag.text, says)) fail_msg("\"%s\" is not in \"%s\"", says, diag.text);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_model_config c = config_of(XF_MODEL_CNN);
  c.n_in = 783;
  refused(c, XF_E_CONFIG, "square images of one channel");
  c = config_of(XF_MODEL_CONV4);
  c.n_in = 64; // 8 x 8: nothing is left for the fourth block
  refused(c, XF_E_CONFIG, "large enough for its 4 blocks; model.n_in is 64");
  c = config_of(XF_MODEL_CNN_SMALL);
  c.n_hidden = 1;
  c.hidden[0] = 3;
  refused(c, XF_E_CONFIG, "the layers of cnn-small are fixed");
  c = config_of(XF_MODEL_CNN);
  c.n_out = 1;
  refused(c, XF_E_CONFIG, "needs at least 2");
  c.loss = XF_LOSS_BPR;
  refused(c, XF_E_UNSUPPORTED, "no loss bpr");
  refused(config_of(XF_MODEL_SINE_MLP), XF_E_CONFIG, "1 input, 1 output and loss mse");
}

// Two kinds of images told apart within a few steps of plain descent; running statistics move and scores use them.
static void learns(enum xf_model_kind kind, double lr, int steps) {
  enum { N = 8, PIXELS = 784 };
  struct xf_model_config c = config_of(kind);
  c.n_out = 2;
  struct xf_model *m = model_of(c);
  const struct xf_layout *l = xf_model_get_layout(m);
  float *p = calloc(l->n, sizeof *p), *g = calloc(l->n, sizeof *g),
        *x = calloc((size_t)N * PIXELS, sizeof *x);
  int32_t t[N];
  struct xf_rng rng;
  xf_rng_init(&rng, 3, 0);
  assert_int_equal(xf_model_init(m, p, &(struct xf_model_seed){.shared = &rng}, &diag), XF_OK);
  for (int i = 0; i < N; i++) {
    t[i] = i % 2;
    for (int k = 0; k < PIXELS; k++) // stripes across or along, with noise
      x[i * PIXELS + k] =
          ((i % 2 ? k / 28 : k % 28) % 4 < 2 ? 1.0f : 0.0f) + 0.1f * (float)xf_rng_normal(&rng);
  }
  struct xf_model_net net;
  struct xf_nnplan *plan;
  if (xf_model_net_loss(&net, m, &(struct xf_model_loss){.l2 = 1e-4}, &diag))
    fail_msg("%s", diag.text);
  if (xf_nnplan_new(&plan, net.graph,
                    &(struct xf_nnplan_spec){
                        .loss = net.loss, .has_loss = true, .train = true, .max = {[XF_SYM_B] = N}},
                    &diag))
    fail_msg("%s", diag.text);
  xf_nnplan_set_input(plan, net.feed[XF_FEED_X], x);
  xf_nnplan_set_input(plan, net.feed[XF_FEED_CLASS], t);
  double first = 0;
  for (int s = 0; s < steps; s++) {
    if (xf_nnplan_run(plan, p, g, (uint32_t[XF_N_SYM]){[XF_SYM_B] = N}, &diag))
      fail_msg("%s", diag.text);
    if (s == 0) first = xf_nnplan_get_loss(plan);
    size_t n = 0;
    const struct xf_grad_piece *piece = xf_nnplan_get_pieces(plan, &n);
    for (size_t k = 0; k < n; k++)
      for (size_t j = 0; j < (size_t)piece[k].seg->rows * piece[k].seg->cols; j++)
        p[piece[k].seg->offset + j] -= (float)lr * piece[k].g[j];
    xf_nnplan_apply(plan, p);
  }
  assert_true(xf_nnplan_get_loss(plan) < first / 3);
  struct xf_score *score;
  const float *z;
  assert_int_equal(xf_score_new(&score, m, &diag), XF_OK);
  assert_int_equal(xf_score_rows(score, p, x, N, &z, &diag), XF_OK);
  for (int i = 0; i < N; i++) assert_int_equal(z[2 * i + 1] > z[2 * i], t[i]);
  xf_score_free(score);
  xf_nnplan_free(plan);
  xf_model_net_deinit(&net);
  xf_model_free(m);
  free(p);
  free(g);
  free(x);
}

static void test_learning(void **state) {
  (void)state;
  learns(XF_MODEL_CNN, 0.05, 30);
  learns(XF_MODEL_CNN_SMALL, 0.1, 60);
  learns(XF_MODEL_CONV4, 0.1, 60);
}

// An episode's net: five rows to learn from, four asked. What is asked is normalised by the former alone, so its outputs do not
// depend on what else is asked; without anything asked the net is the ordinary one.
static void test_episode(void **state) {
  (void)state;
  enum { S = 5, Q = 4, N = S + Q, PIXELS = 784 };
  struct xf_model_config c = config_of(XF_MODEL_CONV4);
  c.n_out = 5;
  struct xf_model *m = model_of(c);
  const size_t n = (size_t)xf_model_get_layout(m)->n;
  float *p = calloc(n, sizeof *p), *g = calloc(n, sizeof *g), *g2 = calloc(n, sizeof *g2),
        *x = calloc((size_t)N * PIXELS, sizeof *x);
  struct xf_rng rng;
  xf_rng_init(&rng, 3, 0);
  assert_int_equal(xf_model_init(m, p, &(struct xf_model_seed){.shared = &rng}, &diag), XF_OK);
  for (int i = 0; i < N * PIXELS; i++) x[i] = (float)xf_rng_double(&rng);
  const int32_t class_of[N] = {0, 1, 2, 3, 4, 0, 1, 2, 3};
  const float fifth = .2F, quarter = .25F, norm[N] = {fifth, fifth, fifth, fifth, fifth},
              teach[S] = {fifth, fifth, fifth, fifth, fifth},
              ask[N] = {0, 0, 0, 0, 0, quarter, quarter, quarter, quarter};
  struct xf_model_net net, plain;
  struct xf_nnplan *plan, *other;
  if (xf_model_net_loss(&net, m, &(struct xf_model_loss){.episode = true}, &diag) ||
      xf_model_net_loss(&plain, m, &(struct xf_model_loss){0}, &diag))
    fail_msg("%s", diag.text);
  struct xf_nnplan_spec spec = {.loss = net.loss, .train = true, .max = {[XF_SYM_B] = N}};
  spec.outputs[0] = net.score;
  spec.n_output = 1;
  assert_int_equal(xf_nnplan_new(&plan, net.graph, &spec, &diag), XF_OK);
  spec.loss = plain.loss;
  spec.n_output = 0;
  assert_int_equal(xf_nnplan_new(&other, plain.graph, &spec, &diag), XF_OK);
  xf_nnplan_set_input(plan, net.feed[XF_FEED_X], x);
  xf_nnplan_set_input(plan, net.feed[XF_FEED_CLASS], class_of);
  xf_nnplan_set_input(plan, net.feed[XF_FEED_NORM], norm);
  xf_nnplan_set_input(plan, net.feed[XF_FEED_WEIGHT], teach);
  xf_nnplan_set_input(other, plain.feed[XF_FEED_X], x);
  xf_nnplan_set_input(other, plain.feed[XF_FEED_CLASS], class_of);
  assert_int_equal(xf_nnplan_run(plan, p, g, (uint32_t[XF_N_SYM]){[XF_SYM_B] = S}, &diag), XF_OK);
  assert_int_equal(xf_nnplan_run(other, p, g2, (uint32_t[XF_N_SYM]){[XF_SYM_B] = S}, &diag), XF_OK);
  assert_true(fabs(xf_nnplan_get_loss(plan) - xf_nnplan_get_loss(other)) < 1e-4);
  double size = 0, apart = 0;
  for (size_t i = 0; i < n; i++) {
    size += (double)(g[i] * g[i]);
    apart += (double)((g[i] - g2[i]) * (g[i] - g2[i]));
  }
  assert_true(size > 0 && apart < 1e-6 * size);
  float first[(S + 1) * 5];
  xf_nnplan_set_input(plan, net.feed[XF_FEED_WEIGHT], ask);
  for (int k = 0; k < 2; k++) {
    assert_int_equal(xf_nnplan_run(plan, p, g, (uint32_t[XF_N_SYM]){[XF_SYM_B] = N}, &diag), XF_OK);
    const float *z = xf_nnplan_get(plan, net.score, NULL, NULL);
    double loss = 0;
    for (int i = S; i < N; i++) {
      double sum = 0;
      for (int o = 0; o < 5; o++) sum += exp((double)z[i * 5 + o]);
      loss += (log(sum) - (double)z[i * 5 + class_of[i]]) / Q;
    }
    assert_true(fabs(xf_nnplan_get_loss(plan) - loss) < 1e-4);
    for (int i = 0; k && i < (S + 1) * 5; i++) assert_true(fabsf(z[i] - first[i]) < 1e-5F);
    memcpy(first, z, sizeof first);
    for (int i = (S + 1) * PIXELS; i < N * PIXELS; i++) x[i] = 5 * x[i] - 1; // the other three
  }
  xf_nnplan_free(plan);
  xf_nnplan_free(other);
  xf_model_net_deinit(&net);
  xf_model_net_deinit(&plain);
  xf_model_free(m);
  m = model_of((struct xf_model_config){
      .kind = XF_MODEL_SINE_MLP, .loss = XF_LOSS_MSE, .bias = true, .n_in = 1, .n_out = 1});
  assert_int_equal(xf_model_net_loss(&net, m, &(struct xf_model_loss){.episode = true}, &diag),
                   XF_E_UNSUPPORTED);
  assert_non_null(strstr(diag.text, "sine-mlp with loss mse"));
  xf_model_free(m);
  free(p);
  free(g);
  free(g2);
  free(x);
}

static void test_sine(void **state) {
  (void)state;
  struct xf_model *m = model_of((struct xf_model_config){
      .kind = XF_MODEL_SINE_MLP, .loss = XF_LOSS_MSE, .bias = true, .n_in = 1, .n_out = 1});
  assert_int_equal(xf_model_get_layout(m)->n, 64 + 64 + 64 * 64 + 64 + 64 + 1);
  assert_int_equal(xf_model_get_config(m)->activation, XF_ACT_TANH);
  xf_model_free(m);
}

/* Every trained parameter has a control variate of its shape, running statistics have none; all start at 0. */
static void test_control(void **state) {
  (void)state;
  const struct xf_model_config config = {.kind = XF_MODEL_CONV4,
                                         .loss = XF_LOSS_SOFTMAX,
                                         .bias = true,
                                         .n_in = 784,
                                         .n_out = 5,
                                         .control = true};
  struct xf_model *model = NULL;
  struct xf_model_control c;
  struct xf_rng rng;
  size_t n = 0;
  xf_diag_init(&diag);
  if (xf_model_new(&model, &config, (struct xf_model_size){0, 0}, &diag)) fail_msg("%s", diag.text);
  const struct xf_layout *layout = xf_model_get_layout(model);
  float *x = xf_calloc(layout->n, sizeof *x);
  xf_rng_init(&rng, 1, 0);
  const struct xf_model_seed seed = {&rng, &rng, NULL, NULL};
  assert_int_equal(xf_model_init(model, x, &seed, &diag), XF_OK);
  for (; xf_model_get_control(model, n, &c); n++) {
    assert_true(strncmp(c.of->name, "mean", 4) != 0 && strncmp(c.of->name, "var", 3) != 0);
    assert_true(xf_segment_len(c.all) == xf_segment_len(c.of));
    assert_true(xf_segment_len(c.own) == xf_segment_len(c.of));
    assert_true(c.all->role == XF_ROLE_SHARED && c.own->role == XF_ROLE_DOMAIN);
    assert_string_equal(c.all->name + strlen("control."), c.of->name);
    assert_string_equal(c.own->name + strlen("own."), c.of->name);
    for (uint64_t j = 0; j < xf_segment_len(c.of); j++)
      assert_true(x[c.all->offset + j] == 0 && x[c.own->offset + j] == 0);
  }
  assert_int_equal(n, xf_model_base(model) - 8); /* mean and variance of four blocks */
  assert_string_equal(xf_model_get_counted(model)->name, "own.counted");
  xf_free(x);
  xf_model_free(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers_of_parameters),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_learning),
      cmocka_unit_test(test_episode),
      cmocka_unit_test(test_sine),
      cmocka_unit_test(test_control),
  };
  if (xf_blas_start(NULL, &diag)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
