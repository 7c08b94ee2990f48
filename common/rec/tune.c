/* What the families share: split A, figures, candidates, notes. */
#include "rec/tune.h"

#include "base/alloc.h"
#include "rec/inner.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct xf_rec_data data_of(const struct xf_split *split) {
  return (struct xf_rec_data){split->n_users, split->n_items, &split->part[XF_PART_TRAIN]};
}

enum xf_rc xf_tune_init(struct xf_tune *out, struct xf_recommender *rec,
                        const struct xf_recommender_input *in,
                        const struct xf_recommender_spec *spec, struct xf_diag *diag) {
  *out = (struct xf_tune){.in = in, .spec = spec, .rec = rec, .data = data_of(in->split)};
  const size_t n = (size_t)in->split->n_users + 1;
  out->judge = xf_try_calloc(n, sizeof *out->judge);
  out->figure = xf_try_calloc(n, sizeof *out->figure);
  out->best = xf_try_calloc(n, sizeof *out->best);
  enum xf_rc rc = XF_E_NOMEM;
  if (!out->judge || !out->figure || !out->best)
    rc = xf_diag_set(diag, rc, "not enough memory for %u users", in->split->n_users);
  else rc = xf_inner_init(&out->inner, in->split, 0, spec->seed, NULL);
  out->possible = rc == XF_OK;
  if (rc == XF_E_NOTFOUND) {
    rc = XF_OK;
    xf_tune_note(out, "too few train events for a split to tune on: the first settings are used");
  }
  if (rc) {
    xf_tune_deinit(out);
    return rc;
  }
  if (!out->possible) return XF_OK;
  out->inner_data = data_of(&out->inner);
  out->held = (struct xf_heldout_spec){.split = &out->inner,
                                       .part = XF_PART_VALID,
                                       .train_items = spec->guard.train_items,
                                       .k = spec->guard.k,
                                       .n_neg = spec->guard.list ? 99 : spec->guard.n_neg};
  (void)xf_inner_judges(&out->inner, spec->tune_users, spec->seed, out->judge);
  return XF_OK;
}

void xf_tune_deinit(struct xf_tune *tune) {
  xf_split_deinit(&tune->inner);
  xf_free(tune->judge);
  xf_free(tune->figure);
  xf_free(tune->best);
  *tune = (struct xf_tune){0};
}

enum xf_rc xf_tune_try(struct xf_tune *tune, const struct xf_scorer *scorer, double *mean,
                       struct xf_diag *diag) {
  enum xf_rc rc = xf_tune_go_on(tune, diag);
  if (rc) return rc;
  rc = xf_heldout_eval(scorer, &tune->held, tune->judge, tune->figure, diag);
  *mean = xf_heldout_mean(tune->figure, tune->inner.n_users);
  tune->rec->tries++;
  return rc;
}

enum xf_rc xf_tune_go_on(const struct xf_tune *tune, struct xf_diag *diag) {
  const bool stop = tune->in->cancel && atomic_load(tune->in->cancel);
  return stop ? xf_diag_set(diag, XF_E_CANCELLED, "the decision was cancelled") : XF_OK;
}

enum xf_rc xf_tune_candidate(struct xf_tune *tune, struct xf_recommender_candidate **out,
                             const char *name, uint32_t flags, struct xf_diag *diag) {
  struct xf_recommender *rec = tune->rec;
  *out = NULL;
  if (rec->n_candidate == XF_BLEND_PARTS)
    return xf_diag_set(diag, XF_E_LIMIT, "more than %d candidates; \"%s\" does not fit",
                       XF_BLEND_PARTS, name);
  if (strlen(name) >= XF_RECOMMENDER_NAME || xf_recommender_find(rec, name))
    return xf_diag_set(diag, XF_E_INVAL,
                       "candidate \"%s\": the name is taken or longer than %d characters", name,
                       XF_RECOMMENDER_NAME - 1);
  struct xf_recommender_candidate *c = &rec->candidate[rec->n_candidate++];
  *c = (struct xf_recommender_candidate){.flags = flags, .tuned = NAN, .owned = true};
  (void)snprintf(c->name, sizeof c->name, "%s", name);
  *out = c;
  return XF_OK;
}

void xf_tune_note(struct xf_tune *tune, const char *fmt, ...) {
  struct xf_recommender *rec = tune->rec;
  va_list ap;
  if (rec->n_note == XF_RECOMMENDER_NOTES) return;
  va_start(ap, fmt);
  (void)vsnprintf(rec->note[rec->n_note++], XF_RECOMMENDER_NOTE, fmt, ap);
  va_end(ap);
}
