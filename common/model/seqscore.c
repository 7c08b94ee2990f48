#include "model/seqscore.h"

#include "base/alloc.h"
#include "model/net.h"

#include <string.h>

struct xf_seqscore {
  const struct xf_model *model;
  struct xf_model_net net;
  struct xf_nnplan *plan;
  int32_t *item, *in, *mask; /* [steps x 64] */
  float *state[4];           /* [64 x hidden] h, c; of the second layer */
};

static size_t state_len(const struct xf_model_config *c, uint32_t k, uint32_t n) {
  return (size_t)n * c->hidden[k / 2];
}

static void *feed(struct xf_seqscore *s, enum xf_feed which, size_t n, size_t size) {
  void *p = xf_try_calloc(n, size);
  if (p && s->net.feed[which] != XF_NO_NODE) xf_nnplan_set_input(s->plan, s->net.feed[which], p);
  return p;
}

static enum xf_rc build(struct xf_seqscore *s, struct xf_diag *diag) {
  const struct xf_model_config *c = xf_model_get_config(s->model);
  if (xf_model_get_data(s->model) != XF_DATASET_SEQUENCES)
    return xf_diag_set(diag, XF_E_STATE, "this model scores no sequences");
  enum xf_rc rc = xf_model_net_score(&s->net, s->model, diag);
  if (rc) return rc;
  struct xf_nnplan_spec spec = {
      .outputs = {s->net.score}, .n_output = 1, .max = {[XF_SYM_B] = XF_SCORE_BLOCK}};
  for (int k = 0; k < 4; k++)
    if (s->net.state[k] != XF_NO_NODE) spec.outputs[spec.n_output++] = s->net.state[k];
  rc = xf_nnplan_new(&s->plan, s->net.graph, &spec, diag);
  if (rc) return rc;
  const size_t rows = (size_t)c->steps * XF_SCORE_BLOCK;
  s->item = feed(s, XF_FEED_ITEM, rows, sizeof *s->item);
  s->in = feed(s, XF_FEED_STEP, rows, sizeof *s->in);
  s->mask = feed(s, XF_FEED_MASK, rows, sizeof *s->mask);
  bool ok = s->item && s->in && s->mask;
  for (uint32_t k = 0; k < 2 * c->n_hidden; k++) {
    static const enum xf_feed which[] = {XF_FEED_H, XF_FEED_C, XF_FEED_H2, XF_FEED_C2};
    s->state[k] = feed(s, which[k], state_len(c, k, XF_SCORE_BLOCK), sizeof *s->state[k]);
    ok = ok && s->state[k];
  }
  if (!ok)
    return xf_diag_set(diag, XF_E_NOMEM, "not enough memory to score %d sequences of %u steps",
                       XF_SCORE_BLOCK, c->steps);
  return XF_OK;
}

enum xf_rc xf_seqscore_new(struct xf_seqscore **out, const struct xf_model *model,
                           struct xf_diag *diag) {
  *out = NULL;
  struct xf_seqscore *s = xf_calloc(1, sizeof *s);
  s->model = model;
  const enum xf_rc rc = build(s, diag);
  if (rc) xf_seqscore_free(s);
  else *out = s;
  return rc;
}

void xf_seqscore_free(struct xf_seqscore *s) {
  if (!s) return;
  xf_nnplan_free(s->plan);
  xf_model_net_deinit(&s->net);
  xf_free(s->item);
  xf_free(s->in);
  xf_free(s->mask);
  for (int k = 0; k < 4; k++) xf_free(s->state[k]);
  xf_free(s);
}

void xf_seq_feed_step(const struct xf_model_config *config, const struct xf_seqset *set,
                      uint32_t step, int32_t *item, int32_t *in) {
  *item = set->token[step];
  if (in) *in = set->token[step] + (set->answer && set->answer[step] ? (int32_t)config->n_in : 0);
}

/* Chunk `from` of the sequences; ended ones are masked. */
static void fill(struct xf_seqscore *s, const struct xf_seqset *set, const uint32_t *seq,
                 uint32_t n, uint32_t from) {
  const struct xf_model_config *c = xf_model_get_config(s->model);
  memset(s->mask, 0, (size_t)c->steps * n * sizeof *s->mask);
  memset(s->item, 0, (size_t)c->steps * n * sizeof *s->item);
  memset(s->in, 0, (size_t)c->steps * n * sizeof *s->in);
  for (uint32_t b = 0; b < n; b++) {
    const uint32_t len = xf_seqset_len(set, seq[b]);
    for (uint32_t t = 0; t < c->steps && from + t < len; t++) {
      const size_t row = (size_t)t * n + b;
      xf_seq_feed_step(c, set, set->start[seq[b]] + from + t, &s->item[row], &s->in[row]);
      s->mask[row] = 1;
    }
  }
}

static void keep(struct xf_seqscore *s, uint32_t n) {
  const struct xf_model_config *c = xf_model_get_config(s->model);
  for (uint32_t k = 0; k < 2 * c->n_hidden; k++)
    if (s->net.state[k] != XF_NO_NODE)
      memcpy(s->state[k], xf_nnplan_get(s->plan, s->net.state[k], NULL, NULL),
             state_len(c, k, n) * sizeof(float));
}

enum xf_rc xf_seqscore_run(struct xf_seqscore *s, const float *params, const struct xf_seqset *set,
                           const uint32_t *seq, uint32_t n,
                           void (*give)(void *arg, uint32_t step, const float *logits), void *arg,
                           struct xf_diag *diag) {
  const struct xf_model_config *c = xf_model_get_config(s->model);
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = n};
  uint32_t longest = 0;
  if (n > XF_SCORE_BLOCK)
    return xf_diag_set(diag, XF_E_RANGE, "%u sequences in one block, at most %d", n,
                       XF_SCORE_BLOCK);
  if (set->n_token > c->n_in)
    return xf_diag_set(diag, XF_E_SHAPE, "the data have %u tokens, model.n_in is %u", set->n_token,
                       c->n_in);
  for (uint32_t b = 0; b < n; b++)
    longest = xf_seqset_len(set, seq[b]) > longest ? xf_seqset_len(set, seq[b]) : longest;
  for (uint32_t k = 0; k < 2 * c->n_hidden; k++)
    memset(s->state[k], 0, state_len(c, k, n) * sizeof(float));
  for (uint32_t from = 0; from < longest; from += c->steps) {
    fill(s, set, seq, n, from);
    const enum xf_rc rc = xf_nnplan_run(s->plan, params, NULL, extent, diag);
    if (rc) return rc;
    const float *z = xf_nnplan_get(s->plan, s->net.score, NULL, NULL);
    for (uint32_t t = 0; t < c->steps; t++)
      for (uint32_t b = 0; b < n; b++)
        if (s->mask[(size_t)t * n + b])
          give(arg, set->start[seq[b]] + from + t, z + ((size_t)t * n + b) * c->n_out);
    keep(s, n);
  }
  return XF_OK;
}
