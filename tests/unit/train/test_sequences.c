// Models of sequences: what they learn, that padding and batch order change nothing, what they refuse.
#include "base/alloc.h"
#include "tensor/blas.h"
#include "train/train.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { SKILLS = 3, LETTERS = 4, LONG = 17 };

static const struct xf_model_config dkt = {.kind = XF_MODEL_DKT,
                                           .loss = XF_LOSS_BCE,
                                           .n_in = SKILLS,
                                           .n_out = 1,
                                           .hidden = {8},
                                           .n_hidden = 1,
                                           .steps = 10};

static struct xf_model_config letters(enum xf_model_kind kind) {
  return (struct xf_model_config){.kind = kind,
                                  .loss = XF_LOSS_SOFTMAX,
                                  .n_in = LETTERS,
                                  .n_out = LETTERS,
                                  .dim = 4,
                                  .hidden = {8},
                                  .n_hidden = 1,
                                  .steps = 10};
}

// A student answers right exactly when the answer before was wrong, the first one right.
static void alternating(struct xf_dataset *d, uint32_t n) {
  xf_dataset_init(d, XF_DATASET_SEQUENCES);
  for (uint32_t i = 0; i < n; i++) {
    int32_t token[LONG];
    uint8_t answer[LONG];
    const uint32_t len = 4 + i % (LONG - 3);
    for (uint32_t t = 0; t < len; t++) {
      token[t] = (int32_t)((i + t * t) % SKILLS);
      answer[t] = t % 2 == 0;
    }
    assert_int_equal(xf_seqset_add(&d->seqs, token, answer, len, XF_PART_TRAIN, 0), XF_OK);
  }
}

// 0 1 1 2 0 1 1 2 ...: what follows a 1 depends on the letter before it.
static void periodic(struct xf_dataset *d, uint32_t n) {
  static const int32_t pattern[] = {0, 1, 1, 2};
  xf_dataset_init(d, XF_DATASET_SEQUENCES);
  for (uint32_t i = 0; i < n; i++) {
    int32_t token[LONG];
    for (uint32_t t = 0; t < LONG; t++) token[t] = pattern[t % 4];
    assert_int_equal(xf_seqset_add(&d->seqs, token, NULL, 6 + i % 10, XF_PART_TRAIN, 0), XF_OK);
  }
}

static float *start_of(const struct xf_model *model) {
  struct xf_rng shared;
  float *x = xf_calloc(xf_model_get_layout(model)->n, sizeof *x);
  xf_rng_init(&shared, 7, 1);
  assert_int_equal(xf_model_init(model, x, &(struct xf_model_seed){.shared = &shared}, NULL),
                   XF_OK);
  return x;
}

// Trains in place and gives the last epochs' mean loss.
static double train(const struct xf_model_config *config, const struct xf_dataset *data,
                    uint32_t epochs, uint32_t batch, uint64_t *samples) {
  struct xf_model *model;
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_model_new(&model, config, (struct xf_model_size){0, 0}, &diag)) fail_msg("%s", diag.text);
  float *x = start_of(model);
  double loss = 0;
  for (uint32_t e = 0; e < epochs; e++) {
    struct xf_local_config local = {
        .epochs = 1, .batch = batch, .optimizer = xf_optim_default(XF_OPTIM_SGD, 0.5f)};
    struct xf_train_job job = {.start = x, .out = x, .data = data};
    xf_rng_init(&job.shuffle, 3, e);
    if (xf_train_once(model, &local, &job, &diag)) fail_msg("%s", diag.text);
    loss = job.loss;
    if (samples) *samples = job.n_samples;
  }
  xf_free(x);
  xf_model_free(model);
  return loss;
}

static void test_dkt_learns(void **state) {
  (void)state;
  struct xf_dataset d;
  uint64_t samples = 0;
  alternating(&d, 40);
  const double first = train(&dkt, &d, 1, 8, &samples), last = train(&dkt, &d, 150, 8, NULL);
  assert_int_equal(samples, xf_seqset_chunks(&d.seqs, XF_PART_TRAIN, dkt.steps, NULL));
  assert_true(first > .6);
  if (!(last < .15)) fail_msg("loss %g", last);
  xf_dataset_deinit(&d);
}

static void test_letters_learn(void **state) {
  (void)state;
  const enum xf_model_kind kind[] = {XF_MODEL_CHAR_LSTM, XF_MODEL_CHAR_GRU};
  for (int k = 0; k < 2; k++) {
    const struct xf_model_config config = letters(kind[k]);
    struct xf_dataset d;
    periodic(&d, 20);
    const double last = train(&config, &d, 150, 8, NULL);
    if (!(last < .25)) fail_msg("%s: loss %g", xf_model_kind_name(kind[k]), last);
    xf_dataset_deinit(&d);
  }
}

// Two layers learn what one does, each with batches of unlike lengths.
static void test_two_layers_learn(void **state) {
  (void)state;
  struct xf_dataset d, text;
  alternating(&d, 40);
  periodic(&text, 20);
  struct xf_model_config two = dkt;
  two.n_hidden = 2, two.hidden[1] = 6;
  const double answers = train(&two, &d, 250, 8, NULL);
  if (!(answers < .2)) fail_msg("dkt: loss %g", answers);
  const enum xf_model_kind kind[] = {XF_MODEL_CHAR_LSTM, XF_MODEL_CHAR_GRU};
  for (int k = 0; k < 2; k++) {
    struct xf_model_config c = letters(kind[k]);
    c.n_hidden = 2, c.hidden[1] = 6;
    const double last = train(&c, &text, 400, 8, NULL);
    if (!(last < .25)) fail_msg("%s: loss %g", xf_model_kind_name(kind[k]), last);
  }
  xf_dataset_deinit(&d);
  xf_dataset_deinit(&text);
}

// Steps no chunk reaches are masked: a model made for longer chunks learns the same.
static void test_padding_changes_nothing(void **state) {
  (void)state;
  struct xf_dataset d;
  alternating(&d, 12);
  struct xf_model_config exact = dkt, roomy = dkt;
  exact.steps = LONG;
  roomy.steps = 3 * LONG;
  const double a = train(&exact, &d, 5, 4, NULL), b = train(&roomy, &d, 5, 4, NULL);
  assert_true(fabs(a - b) <= 1e-6 * fabs(a));
  xf_dataset_deinit(&d);
}

static void refuse(const struct xf_model_config *config, const struct xf_dataset *data,
                   enum xf_rc want, const char *says) {
  struct xf_model *model = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_model_new(&model, config, (struct xf_model_size){0, 0}, &diag);
  if (!rc) {
    const struct xf_local_config local = {
        .epochs = 1, .batch = 4, .optimizer = xf_optim_default(XF_OPTIM_SGD, 0.1f)};
    float *x = start_of(model);
    struct xf_train_job job = {.start = x, .out = x, .data = data};
    rc = xf_train_once(model, &local, &job, &diag);
    xf_free(x);
  }
  xf_model_free(model);
  assert_int_equal(rc, want);
  if (!strstr(diag.text, says)) fail_msg("said: %s\nnot: %s", diag.text, says);
}

static void test_refusals(void **state) {
  (void)state;
  struct xf_dataset d, text;
  alternating(&d, 4);
  periodic(&text, 4);
  struct xf_model_config c = dkt;
  refuse(&c, &text, XF_E_SHAPE, "model dkt learns from answers, the silo's data are texts");
  c.n_in = 2;
  refuse(&c, &d, XF_E_SHAPE, "the data have 3 tokens, model.n_in is 2");
  c = dkt;
  c.loss = XF_LOSS_SOFTMAX;
  refuse(&c, &d, XF_E_UNSUPPORTED, "model dkt has no loss softmax; it has bce");
  c = dkt;
  c.n_out = 2;
  refuse(&c, &d, XF_E_CONFIG, "model.n_out is 2; dkt predicts one answer");
  c = dkt;
  c.n_hidden = 3, c.hidden[1] = c.hidden[2] = 8;
  refuse(&c, &d, XF_E_CONFIG, "has one or two recurrent layers");
  c = dkt;
  c.steps = 0;
  refuse(&c, &d, XF_E_CONFIG, "model.steps is 0");
  c = letters(XF_MODEL_CHAR_GRU);
  refuse(&c, &d, XF_E_SHAPE, "model char-gru learns from texts, the silo's data are answers");
  c.n_out = 3;
  refuse(&c, &text, XF_E_CONFIG, "the same letters, at least 2, in both");
  xf_dataset_deinit(&d);
  xf_dataset_deinit(&text);
}

static int start_blas(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  return xf_blas_start(NULL, &diag) ? -1 : 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_dkt_learns),       cmocka_unit_test(test_letters_learn),
      cmocka_unit_test(test_two_layers_learn), cmocka_unit_test(test_padding_changes_nothing),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, start_blas, NULL);
}
