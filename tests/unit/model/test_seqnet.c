// Nets over sequences with one and two layers: layout, initial values, gradients against differences, states carried over chunks.
#include "base/alloc.h"
#include "model/net.h"
#include "model/seqscore.h"
#include "nn/nnplan.h"
#include "tensor/blas.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { TOKENS = 4, STEPS = 5, CHUNKS = 3, ROWS = STEPS * CHUNKS };

static struct xf_diag diag;

static struct xf_model_config config(enum xf_model_kind kind, uint32_t layers) {
  const bool dkt = kind == XF_MODEL_DKT;
  return (struct xf_model_config){.kind = kind,
                                  .loss = dkt ? XF_LOSS_BCE : XF_LOSS_SOFTMAX,
                                  .n_in = TOKENS,
                                  .n_out = dkt ? 1 : TOKENS,
                                  .dim = 3,
                                  .hidden = {4, 3},
                                  .n_hidden = layers,
                                  .steps = STEPS};
}

static struct xf_model *make(const struct xf_model_config *c) {
  struct xf_model *m = NULL;
  if (xf_model_new(&m, c, (struct xf_model_size){0, 0}, &diag)) fail_msg("%s", diag.text);
  return m;
}

static float *start_of(const struct xf_model *m) {
  struct xf_rng shared;
  float *x = xf_calloc(xf_model_get_layout(m)->n, sizeof *x);
  xf_rng_init(&shared, 7, 1);
  assert_int_equal(xf_model_init(m, x, &(struct xf_model_seed){.shared = &shared}, NULL), XF_OK);
  return x;
}

static void shape(const struct xf_layout *l, const char *name, uint32_t rows, uint32_t cols) {
  const struct xf_segment *s = xf_layout_find(l, name);
  if (!s || s->rows != rows || s->cols != cols) fail_msg("%s", name);
}

static void test_layout(void **state) {
  (void)state;
  const struct xf_model_config lstm = config(XF_MODEL_CHAR_LSTM, 2),
                               gru = config(XF_MODEL_CHAR_GRU, 2), dkt = config(XF_MODEL_DKT, 2);
  struct xf_model *m = make(&lstm);
  const struct xf_layout *l = xf_model_get_layout(m);
  shape(l, "in", 3, 16), shape(l, "u", 4, 16), shape(l, "in2", 4, 12);
  shape(l, "in2_bias", 12, 1), shape(l, "u2", 3, 12), shape(l, "out", 3, TOKENS);
  xf_model_free(m);
  m = make(&gru);
  l = xf_model_get_layout(m);
  shape(l, "u", 5, 12), shape(l, "in2", 4, 9), shape(l, "u2", 4, 9);
  xf_model_free(m);
  m = make(&dkt);
  l = xf_model_get_layout(m);
  shape(l, "in", 2 * TOKENS, 16), shape(l, "u2", 3, 12), shape(l, "out", TOKENS, 3);
  xf_model_free(m);
  struct xf_model_config three = dkt;
  three.n_hidden = 3, three.hidden[2] = 2;
  assert_int_equal(xf_model_new(&m, &three, (struct xf_model_size){0, 0}, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "one or two widths"));
}

// uniform within 1/sqrt of the width of the layer a segment belongs to, and near its edge
static void test_initial_values(void **state) {
  (void)state;
  struct xf_model_config c = config(XF_MODEL_CHAR_LSTM, 2);
  c.hidden[0] = 100, c.hidden[1] = 25;
  struct xf_model *m = make(&c);
  float *x = start_of(m);
  const struct {
    const char *name;
    float bound;
  } rows[] = {{"in", 0.1f},       {"u", 0.1f},  {"in2", 0.2f},
              {"in2_bias", 0.2f}, {"u2", 0.2f}, {"out", 0.2f}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const struct xf_segment *s = xf_layout_find(xf_model_get_layout(m), rows[i].name);
    float most = 0;
    for (size_t k = 0; k < (size_t)s->rows * s->cols; k++)
      most = fmaxf(most, fabsf(x[s->offset + k]));
    assert_true(most <= rows[i].bound && most > 0.9f * rows[i].bound);
  }
  xf_free(x);
  xf_model_free(m);
}

// chunks of 5, 3 and 1 steps, time-major, the longest first
static void feed(struct xf_nnplan *p, const struct xf_model_net *net, int32_t *item, int32_t *step,
                 int32_t *mask, double *y, double *weight) {
  const int len[CHUNKS] = {5, 3, 1};
  for (int t = 0; t < STEPS; t++)
    for (int b = 0; b < CHUNKS; b++) {
      const int r = t * CHUNKS + b;
      item[r] = (3 * t + b) % TOKENS;
      y[r] = (t + b) % 2;
      step[r] = item[r] + (y[r] > 0 ? TOKENS : 0);
      mask[r] = t < len[b];
      weight[r] = mask[r] / 9.0;
    }
  const void *const of[XF_N_FEED] = {[XF_FEED_ITEM] = item,
                                     [XF_FEED_STEP] = step,
                                     [XF_FEED_MASK] = mask,
                                     [XF_FEED_Y] = y,
                                     [XF_FEED_WEIGHT] = weight};
  for (int f = 0; f < XF_N_FEED; f++)
    if (net->feed[f] != XF_NO_NODE) xf_nnplan_set_input(p, net->feed[f], of[f]);
}

static void differences(const struct xf_model_config *c) {
  struct xf_model *m = make(c);
  struct xf_model_net net;
  struct xf_nnplan *p = NULL;
  int32_t item[ROWS], step[ROWS], mask[ROWS];
  double y[ROWS], weight[ROWS];
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = CHUNKS};
  const size_t n = xf_model_get_layout(m)->n;
  if (xf_model_net_loss(&net, m, &(struct xf_model_loss){.l2 = 0.05}, &diag))
    fail_msg("%s", diag.text);
  const struct xf_nnplan_spec spec = {.loss = net.loss,
                                      .has_loss = true,
                                      .train = true,
                                      .mode = XF_NN_REF64,
                                      .max = {[XF_SYM_B] = CHUNKS}};
  if (xf_nnplan_new(&p, net.graph, &spec, &diag)) fail_msg("%s", diag.text);
  feed(p, &net, item, step, mask, y, weight);
  float *x = start_of(m);
  double *w = xf_calloc(n, sizeof *w), *g = xf_calloc(n, sizeof *g),
         *spare = xf_calloc(n, sizeof *g);
  for (size_t i = 0; i < n; i++) w[i] = 2 * (double)x[i];
  if (xf_nnplan_run64(p, w, g, extent, &diag)) fail_msg("%s", diag.text);
  size_t moved = 0;
  for (size_t i = 0; i < n; i++) {
    const double at = w[i], h = 1e-5;
    double f[2];
    for (int k = 0; k < 2; k++) {
      w[i] = k ? at + h : at - h;
      if (xf_nnplan_run64(p, w, spare, extent, &diag)) fail_msg("%s", diag.text);
      f[k] = xf_nnplan_get_loss(p);
    }
    w[i] = at;
    const double want = (f[1] - f[0]) / (2 * h);
    if (!(fabs(g[i] - want) < 1e-8)) fail_msg("%zu: %g, by differences %g", i, g[i], want);
    moved += fabs(want) > 1e-6;
  }
  assert_true(moved > n / 2);
  xf_free(x), xf_free(w), xf_free(g), xf_free(spare);
  xf_nnplan_free(p);
  xf_model_net_deinit(&net);
  xf_model_free(m);
}

static void test_gradients(void **state) {
  (void)state;
  const enum xf_model_kind kinds[] = {XF_MODEL_DKT, XF_MODEL_CHAR_LSTM, XF_MODEL_CHAR_GRU};
  for (int k = 0; k < 3; k++)
    for (uint32_t layers = 1; layers <= 2; layers++) {
      const struct xf_model_config c = config(kinds[k], layers);
      differences(&c);
    }
}

enum { LONG = 17 };
struct logits {
  uint32_t n_out;
  float z[2 * LONG * TOKENS];
};
static void take(void *arg, uint32_t step, const float *z) {
  struct logits *l = arg;
  memcpy(l->z + (size_t)step * l->n_out, z, l->n_out * sizeof *z);
}

// whole sequences in chunks of 1, 5 and all steps at once: the same logits, for the states of both layers go on
static void test_states_go_on(void **state) {
  (void)state;
  const enum xf_model_kind kinds[] = {XF_MODEL_DKT, XF_MODEL_CHAR_LSTM, XF_MODEL_CHAR_GRU};
  for (int k = 0; k < 3; k++) {
    struct xf_seqset set;
    struct logits got[3];
    xf_seqset_init(&set);
    for (uint32_t s = 0; s < 2; s++) {
      int32_t token[LONG];
      uint8_t answer[LONG];
      for (uint32_t t = 0; t < LONG; t++)
        token[t] = (int32_t)((t * t + s) % TOKENS), answer[t] = t % 3 == s;
      assert_int_equal(
          xf_seqset_add(&set, token, kinds[k] == XF_MODEL_DKT ? answer : NULL, LONG - 4 * s, 0, 0),
          XF_OK);
    }
    for (int i = 0; i < 3; i++) {
      struct xf_model_config c = config(kinds[k], 2);
      c.steps = (uint32_t[]){1, 5, LONG}[i];
      struct xf_model *m = make(&c);
      struct xf_seqscore *score = NULL;
      float *x = start_of(m);
      for (size_t j = 0; j < xf_model_get_layout(m)->n; j++) x[j] *= 3;
      memset(&got[i], 0, sizeof got[i]);
      got[i].n_out = c.n_out;
      if (xf_seqscore_new(&score, m, &diag)) fail_msg("%s", diag.text);
      if (xf_seqscore_run(score, x, &set, (uint32_t[]){0, 1}, 2, take, &got[i], &diag))
        fail_msg("%s", diag.text);
      xf_seqscore_free(score);
      xf_free(x);
      xf_model_free(m);
    }
    bool differ = false;
    for (size_t j = 0; j < (2 * LONG - 4) * got[0].n_out; j++) {
      assert_true(fabsf(got[0].z[j] - got[2].z[j]) < 1e-5f &&
                  fabsf(got[1].z[j] - got[2].z[j]) < 1e-5f);
      differ = differ || fabsf(got[0].z[j] - got[0].z[0]) > 1e-3f;
    }
    assert_true(differ);
    xf_seqset_deinit(&set);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layout), cmocka_unit_test(test_initial_values),
      cmocka_unit_test(test_gradients), cmocka_unit_test(test_states_go_on)};
  xf_diag_init(&diag);
  if (xf_blas_start(NULL, &diag)) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
