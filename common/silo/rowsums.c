/* A rows stage of rule `sums`: exact federated ALS. Each silo sends, for each user that others hold too, what its items say of the row
   (rec/als.h "sums"); the coordinator adds up; each silo solves the rows from the totals and its own items from the rows. What
   travels is the change since the last commit, so that the total is that of the newest sums of all. */
#include "silo/parts.h"

#include "base/alloc.h"

#include <string.h>

static size_t len_of(const struct xf_als *als) { return xf_als_sums_len(als->spec.dim); }

/* @own caller */
static float *buffer(const struct xf_als *als) {
  return xf_try_calloc((size_t)als->n_users * len_of(als) + 1, sizeof(float));
}

static enum xf_rc no_memory(const struct xf_als *als, struct xf_diag *diag) {
  return xf_diag_set(diag, XF_E_NOMEM,
                     "no memory for the sums of %u users, %zu numbers each: a plan with a smaller "
                     "rows.dim needs less",
                     als->n_users, len_of(als));
}

static const float *sent(const struct xf_silo *s, uint32_t stage) {
  return s->full + silo_segment(s, stage, "sums")->offset;
}

/* Rows from this silo's sums and the others': the total less what this silo has in it, NULL: nothing. Users that nobody else holds
   have their own sums alone. own: sent, or NULL for those of the items at hand. */
static enum xf_rc solve(const struct xf_silo *s, uint32_t stage, struct xf_als *als,
                        const float *own, const float *total, const float *in_total,
                        struct xf_diag *diag) {
  const struct silo_space *users = silo_space_of(s, XF_SPACE_USERS);
  const float weight = (float)s->cfg.plan->stages[stage].rows.others;
  const size_t len = len_of(als);
  float *sums = buffer(als);
  if (!sums) return no_memory(als, diag);
  enum xf_rc rc = XF_OK;
  if (own) memcpy(sums, own, (size_t)als->n_users * len * sizeof *sums);
  else rc = xf_als_add_sums(als, 0, als->n_users, 1, sums);
  if (rc) rc = no_memory(als, diag);
  for (size_t k = 0; k < users->n_known && !rc; k++) {
    float *to = sums + (size_t)users->known_row[k] * len;
    const float *all = total + k * len;
    const float *mine = in_total ? in_total + (size_t)users->known_row[k] * len : NULL;
    for (size_t i = 0; i < len; i++) to[i] += weight * (all[i] - (mine ? mine[i] : 0));
  }
  if (!rc) rc = xf_als_set_sums(als, 0, als->n_users, sums, diag);
  xf_free(sums);
  return rc;
}

/* Rows by their own sums and the others', items by the rows, by turns; rows last. */
static enum xf_rc turns(const struct xf_silo *s, uint32_t stage, struct xf_als *als,
                        const float *total, const float *in_total, int sweeps,
                        struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (int sweep = 0; sweep < sweeps && !rc; sweep++) {
    rc = solve(s, stage, als, NULL, total, in_total, diag);
    if (!rc) rc = xf_als_step_items(als, diag);
  }
  return rc ? rc : solve(s, stage, als, NULL, total, in_total, diag);
}

static void load_items(const struct xf_silo *s, uint32_t stage, struct xf_als *als) {
  memcpy(als->q, s->full + silo_segment(s, stage, "item")->offset,
         (size_t)als->n_items * als->spec.dim * sizeof *als->q);
}

/* The model as the committed totals end it. */
static enum xf_rc committed(const struct xf_silo *s, uint32_t stage, struct xf_als *als,
                            const float *total, struct xf_diag *diag) {
  load_items(s, stage, als);
  return solve(s, stage, als, sent(s, stage), total, sent(s, stage), diag);
}

/* This silo's next sums into `to`, its items beside them. */
static enum xf_rc save(const struct xf_silo *s, uint32_t stage, const struct xf_als *als, float *to,
                       struct xf_diag *diag) {
  const struct xf_segment *sums = silo_segment(s, stage, "sums");
  memset(to + sums->offset, 0, (size_t)xf_segment_len(sums) * sizeof *to);
  memcpy(to + silo_segment(s, stage, "item")->offset, als->q,
         (size_t)als->n_items * als->spec.dim * sizeof *to);
  const enum xf_rc rc = xf_als_add_sums(als, 0, als->n_users, 1, to + sums->offset);
  return rc ? no_memory(als, diag) : XF_OK;
}

/* The wire has what changed of the known users' sums. */
static void change(struct xf_silo *s, uint32_t stage) {
  const struct xf_wire_map *slice = &s->slice[stage];
  xf_wire_map_gather(slice, s->wire, s->task);
  for (size_t k = 0; k < slice->n_run; k++) {
    const struct xf_wire_run *r = &slice->run[k];
    for (uint32_t i = 0; i < r->len; i++) s->wire[r->wire + i] -= s->full[r->full + i];
  }
}

enum xf_rc silo_sums(struct xf_silo *s, uint32_t stage, uint64_t round, const float *base,
                     const atomic_bool *cancel, struct xf_diag *diag) {
  const uint64_t n_inner = s->cfg.plan->stages[stage].rows.inner;
  const bool enters = round == 0 || !silo_rows_contributed(s, stage);
  if (s->cfg.clip > 0 || s->cfg.noise_multiplier > 0)
    return xf_diag_set(
        diag, XF_E_POLICY,
        "stage \"%s\" adds up exact sums, and this silo's policy clips or noises what "
        "leaves: allow it, or let the plan say rows.rule: pull",
        s->cfg.plan->stages[stage].name);
  enum xf_rc rc = silo_rows_models(s, stage, enters, diag);
  if (rc) return rc;
  struct silo_rows *r = &s->rows[stage];
  struct xf_als *als = &r->model[r->inner && round < n_inner].als;
  const bool ends_inner = r->inner && round == n_inner && !enters;
  if (ends_inner) rc = committed(s, stage, &r->model[1].als, base, diag);
  if (!rc && round > 0) {
    rc = enters ? solve(s, stage, als, NULL, base, NULL, diag)
                : committed(s, stage, als, base, diag);
    if (!rc && cancel && atomic_load(cancel)) rc = XF_E_CANCELLED;
    if (!rc) rc = xf_als_step_items(als, diag);
  } /* before the first commit: items from the start rows */
  if (rc) return rc;
  memcpy(s->task, s->full, (size_t)s->layout->n * sizeof *s->task);
  rc = save(s, stage, als, s->task, diag);
  if (rc) return rc;
  if (ends_inner) silo_rows_keep_inner(s, stage, s->task);
  change(s, stage);
  return XF_OK;
}

enum xf_rc silo_sums_final(struct xf_silo *s, uint32_t stage, const float *base,
                           struct xf_diag *diag) {
  struct silo_rows *r = &s->rows[stage];
  const bool newcomer = !silo_rows_contributed(s, stage);
  enum xf_rc rc = silo_rows_models(s, stage, newcomer, diag);
  if (rc) return rc;
  if (newcomer) {
    for (int k = 0; k < (r->inner ? 2 : 1) && !rc; k++)
      rc = turns(s, stage, &r->model[k].als, base, NULL, SILO_ROWS_NEWCOMER, diag);
    return rc;
  }
  struct xf_als *whole = &r->model[0].als, *inner = &r->model[1].als;
  if (!r->inner || silo_rows_load_inner(s, stage)) return committed(s, stage, whole, base, diag);
  rc = committed(s, stage, inner, base, diag); /* what was exchanged is without split A */
  load_items(s, stage, whole);
  return rc ? rc : turns(s, stage, whole, base, sent(s, stage), SILO_ROWS_WHOLE, diag);
}
