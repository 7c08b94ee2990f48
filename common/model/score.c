#include "model/score.h"

#include "base/alloc.h"
#include "model/net.h"

#include <string.h>

struct xf_score {
  const struct xf_model *model;
  struct xf_model_net net;
  struct xf_nnplan *plan;
  int out; /* node */
  int32_t ids[XF_SCORE_BLOCK];
};

static enum xf_rc make(struct xf_score **out, const struct xf_model *model, bool hidden,
                       struct xf_diag *diag) {
  *out = NULL;
  struct xf_score *s = xf_calloc(1, sizeof *s);
  s->model = model;
  enum xf_rc rc = xf_model_net_score(&s->net, model, diag);
  s->out = hidden ? s->net.hidden : s->net.score;
  if (!rc) {
    const struct xf_nnplan_spec spec = {
        .outputs = {s->out}, .n_output = 1, .max = {[XF_SYM_B] = XF_SCORE_BLOCK}};
    rc = xf_nnplan_new(&s->plan, s->net.graph, &spec, diag);
  }
  if (rc) {
    xf_score_free(s);
    return rc;
  }
  *out = s;
  return XF_OK;
}

enum xf_rc xf_score_new(struct xf_score **out, const struct xf_model *model, struct xf_diag *diag) {
  return make(out, model, false, diag);
}

enum xf_rc xf_score_new_hidden(struct xf_score **out, const struct xf_model *model,
                               struct xf_diag *diag) {
  const struct xf_segment *weight = NULL, *bias = NULL;
  if (xf_model_get_head(model, &weight, &bias)) return make(out, model, true, diag);
  *out = NULL;
  return xf_diag_set(diag, XF_E_UNSUPPORTED,
                     "model %s has no linear head behind a hidden layer: mlp, sine-mlp and the "
                     "convolutional nets have one",
                     xf_model_kind_name(xf_model_get_config(model)->kind));
}

void xf_score_free(struct xf_score *scorer) {
  if (!scorer) return;
  xf_nnplan_free(scorer->plan);
  xf_model_net_deinit(&scorer->net);
  xf_free(scorer);
}

static enum xf_rc run(struct xf_score *s, const float *params, uint32_t n, const float **out,
                      struct xf_diag *diag) {
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = n};
  const enum xf_rc rc = xf_nnplan_run(s->plan, params, NULL, extent, diag);
  if (!rc) *out = xf_nnplan_get(s->plan, s->out, NULL, NULL);
  return rc;
}

enum xf_rc xf_score_users(struct xf_score *scorer, const float *params, const uint32_t *users,
                          uint32_t n, const float **out, struct xf_diag *diag) {
  if (!xf_model_is_ranking(scorer->model))
    return xf_diag_set(diag, XF_E_STATE, "this model scores rows of a table, not users");
  if (n > XF_SCORE_BLOCK)
    return xf_diag_set(diag, XF_E_RANGE, "%u users in one block, at most %d", n, XF_SCORE_BLOCK);
  for (uint32_t i = 0; i < n; i++) {
    if (users[i] >= xf_model_get_size(scorer->model).n_users)
      return xf_diag_set(diag, XF_E_RANGE, "user %u of %u", users[i],
                         xf_model_get_size(scorer->model).n_users);
    scorer->ids[i] = (int32_t)users[i];
  }
  xf_nnplan_set_input(scorer->plan, scorer->net.feed[XF_FEED_USER], scorer->ids);
  return run(scorer, params, n, out, diag);
}

enum xf_rc xf_score_rows(struct xf_score *scorer, const float *params, const float *x, uint32_t n,
                         const float **out, struct xf_diag *diag) {
  if (xf_model_is_ranking(scorer->model))
    return xf_diag_set(diag, XF_E_STATE, "this model scores users, not rows of a table");
  if (n > XF_SCORE_BLOCK)
    return xf_diag_set(diag, XF_E_RANGE, "%u rows in one block, at most %d", n, XF_SCORE_BLOCK);
  xf_nnplan_set_input(scorer->plan, scorer->net.feed[XF_FEED_X], x);
  return run(scorer, params, n, out, diag);
}
