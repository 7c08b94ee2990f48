/* A rows stage: implicit ALS whose user rows are pulled towards the other holders' mean. */
#include "silo/parts.h"

#include "base/alloc.h"
#include "crypto/stream.h"
#include "fed/pull.h"
#include "param/vec.h"

#include <string.h>

enum { NEWCOMER_SWEEPS = 6 };

/* Start rows follow the user's key, so that all holders begin alike. */
static enum xf_rc make_als(struct xf_silo *s, uint32_t stage, struct xf_diag *diag) {
  const struct xf_plan_stage_part *st = &s->cfg.plan->stages[stage];
  struct silo_rows *r = &s->rows[stage];
  const struct xf_rec_data data = {s->data.split.n_users, s->data.split.n_items,
                                   &s->data.split.part[XF_PART_TRAIN]};
  if (r->ready) return XF_OK;
  uint64_t *key = xf_try_calloc((size_t)data.n_users + 1, sizeof *key);
  r->target = xf_try_calloc((size_t)data.n_users * st->rows.dim + 1, sizeof *r->target);
  if (!key || !r->target) {
    xf_free(key);
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for rows of %u users", data.n_users);
  }
  const struct xf_key *local = silo_space_of(s, false)->local_key;
  for (uint32_t u = 0; u < data.n_users; u++)
    for (size_t b = 0; b < sizeof *key; b++) key[u] |= (uint64_t)local[u].b[b] << (8 * b);
  struct xf_rng rng;
  xf_stream_init(&rng, s->cfg.plan->seed, "init", 0, NULL);
  const struct xf_als_spec spec = {.dim = st->rows.dim,
                                   .w = {st->rows.alpha, st->rows.rho, st->rows.nu},
                                   .seed = xf_rng_u64(&rng),
                                   .key = key};
  enum xf_rc rc = xf_als_init(&r->als, &data, &spec, diag);
  xf_free(key);
  r->ready = rc == XF_OK;
  return rc;
}

/* Start rows again, whatever was worked on meanwhile. */
static enum xf_rc start_over(struct xf_silo *s, uint32_t stage, struct xf_diag *diag) {
  struct silo_rows *r = &s->rows[stage];
  if (r->ready) {
    xf_als_deinit(&r->als);
    xf_free(r->target);
    *r = (struct silo_rows){0};
  }
  return make_als(s, stage, diag);
}

/* Whether rows of this silo are in the committed mean: a silo that came later has none. */
static bool contributed(const struct xf_silo *s, uint32_t stage) {
  const struct xf_segment *user = silo_segment(s, stage, "user");
  const float *p = s->full + user->offset;
  for (uint64_t i = 0; i < xf_segment_len(user); i++)
    if (p[i] != 0) return true;
  return false;
}

static void load(struct xf_silo *s, uint32_t stage, const float *from) {
  struct xf_als *als = &s->rows[stage].als;
  const size_t d = als->spec.dim;
  memcpy(als->p, from + silo_segment(s, stage, "user")->offset, als->n_users * d * sizeof *als->p);
  memcpy(als->q, from + silo_segment(s, stage, "item")->offset, als->n_items * d * sizeof *als->q);
}

static void save(struct xf_silo *s, uint32_t stage, float *to) {
  const struct xf_als *als = &s->rows[stage].als;
  const size_t d = als->spec.dim;
  memcpy(to + silo_segment(s, stage, "user")->offset, als->p, als->n_users * d * sizeof *als->p);
  memcpy(to + silo_segment(s, stage, "item")->offset, als->q, als->n_items * d * sizeof *als->q);
}

/* The other holders' mean of each known row; plain: the mean as it is. A row that the directory does not know has none. */
static void make_target(struct xf_silo *s, uint32_t stage, const float *base, bool plain) {
  const struct xf_als *als = &s->rows[stage].als;
  const size_t d = als->spec.dim;
  float *target = s->rows[stage].target;
  memset(target, 0, (size_t)als->n_users * d * sizeof *target);
  const struct silo_space *users = silo_space_of(s, false);
  for (size_t k = 0; k < users->n_known; k++) {
    const size_t at = (size_t)users->known_row[k] * d;
    if (plain) memcpy(target + at, base + k * d, d * sizeof *target);
    else
      xf_pull_prior(target + at, base + k * d, als->p + at, d, users->holders[k],
                    s->cfg.plan->stages[stage].rows.min_holders, 1);
  }
}

enum xf_rc silo_rows(struct xf_silo *s, uint32_t stage, uint64_t round, const float *base,
                     const atomic_bool *cancel, struct xf_diag *diag) {
  const struct xf_plan_stage_part *st = &s->cfg.plan->stages[stage];
  const bool enters = round == 0 || !contributed(s, stage); /* it may have missed rounds */
  enum xf_rc rc = enters ? start_over(s, stage, diag) : make_als(s, stage, diag);
  if (rc) return rc;
  struct xf_als *als = &s->rows[stage].als;
  if (round == 0) { /* nothing is committed */
    rc = xf_als_step_users(als, NULL, diag);
  } else {
    const bool forming = round <= st->rows.formation;
    if (!enters) load(s, stage, s->full);
    make_target(s, stage, base, forming || enters);
    const struct xf_als_pull pull = {s->rows[stage].target, forming ? 1 : (float)st->rows.kappa};
    rc = xf_als_step_users(als, &pull, diag);
    if (!rc && cancel && atomic_load(cancel)) rc = XF_E_CANCELLED;
    if (!rc) rc = xf_als_step_items(als, diag);
  }
  if (rc) return rc;
  memcpy(s->task, s->full, (size_t)s->layout->n * sizeof *s->task);
  save(s, stage, s->task);
  xf_wire_map_gather(&s->slice[stage], s->wire, s->task);
  xf_vec_delta(s->wire, s->wire, base, (size_t)s->slice[stage].n_wire);
  return XF_OK;
}

enum xf_rc silo_rows_final(struct xf_silo *s, uint32_t stage, const float *base,
                           struct xf_als_pull *pull, struct xf_diag *diag) {
  const struct xf_plan_stage_part *st = &s->cfg.plan->stages[stage];
  const bool newcomer = !contributed(s, stage);
  enum xf_rc rc = newcomer ? start_over(s, stage, diag) : make_als(s, stage, diag);
  if (rc) return rc;
  struct xf_als *als = &s->rows[stage].als;
  if (!newcomer) load(s, stage, s->full);
  make_target(s, stage, base, newcomer);
  *pull = (struct xf_als_pull){s->rows[stage].target, (float)st->rows.kappa};
  for (int sweep = 0; sweep < (newcomer ? NEWCOMER_SWEEPS : 1) && !rc; sweep++) {
    rc = xf_als_step_users(als, pull, diag);
    if (!rc) rc = xf_als_step_items(als, diag);
  }
  return rc ? rc : xf_als_step_users(als, pull, diag);
}
