#include "rec/seq_eval.h"

#include "base/alloc.h"
#include "rec/rowsums.h"

#include <math.h>

struct collect {
  const struct xf_model_config *config;
  const struct xf_seqset *set;
  struct xf_row_sums sums;
  float *score, *label; /* [steps of the part]; of one output */
  size_t n;
  bool bad; /* a logit was no number */
};

static void take(void *arg, uint32_t step, const float *z) {
  struct collect *c = arg;
  const float label = c->set->answer ? (float)c->set->answer[step] : (float)c->set->token[step];
  for (uint32_t k = 0; k < c->config->n_out; k++) c->bad = c->bad || !isfinite(z[k]);
  if (c->bad) return;
  xf_row_sums_add(&c->sums, c->config, z, label);
  if (c->score) {
    c->score[c->n] = z[0];
    c->label[c->n] = label;
  }
  c->n++;
}

static enum xf_rc run(struct collect *c, struct xf_seqscore *scorer, const float *params,
                      uint8_t part, struct xf_diag *diag) {
  uint32_t block[XF_SCORE_BLOCK], n = 0;
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i <= c->set->n && !rc; i++) {
    if (i < c->set->n && c->set->part[i] == part) block[n++] = i;
    if (n < XF_SCORE_BLOCK && (i < c->set->n || n == 0)) continue;
    rc = xf_seqscore_run(scorer, params, c->set, block, n, take, c, diag);
    n = 0;
  }
  if (!rc && c->bad)
    rc = xf_diag_set(diag, XF_E_NAN, "an output of the model is not a number; it has diverged");
  return rc;
}

enum xf_rc xf_seq_eval(struct xf_measure_sum *sum, struct xf_seqscore *scorer,
                       const struct xf_model *model, const float *params,
                       const struct xf_seqset *set, const struct xf_rank_spec *spec,
                       struct xf_diag *diag) {
  struct collect c = {.config = xf_model_get_config(model), .set = set};
  size_t steps = 0;
  for (size_t m = 0; m < spec->n_measure; m++)
    if (!xf_row_fits(spec->measure[m].kind, c.config->loss))
      return xf_diag_set(diag, XF_E_INVAL, "measure \"%s\" does not fit sequences with loss %s",
                         xf_measure_name(spec->measure[m].kind), xf_loss_name(c.config->loss));
  for (uint32_t i = 0; i < set->n; i++)
    if (set->part[i] == spec->part) steps += xf_seqset_len(set, i);
  uint32_t *scratch = xf_try_calloc(steps + 1, sizeof *scratch);
  c.score = xf_try_calloc(steps + 1, sizeof *c.score);
  c.label = xf_try_calloc(steps + 1, sizeof *c.label);
  enum xf_rc rc = scratch && c.score && c.label
                      ? run(&c, scorer, params, (uint8_t)spec->part, diag)
                      : xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %zu steps", steps);
  for (size_t m = 0; !rc && m < spec->n_measure; m++)
    sum[m] = spec->measure[m].kind == XF_MEASURE_AUC
                 ? xf_measure_auc(c.score, c.label, c.n, scratch)
                 : xf_row_sums_get(&c.sums, spec->measure[m].kind, c.n);
  xf_free(scratch);
  xf_free(c.score);
  xf_free(c.label);
  return rc;
}
