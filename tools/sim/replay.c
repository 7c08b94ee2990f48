/* A daemons' run again: who trained on which model, and which commit took it, from the ledger; the rest is computed. */
#include "base/alloc.h"
#include "server/core/coord.h"
#include "store/ledger_read.h"
#include "store/state.h"
#include "tools/sim/past.h"

#include <stdio.h>
#include <string.h>

struct step { /* a committed training round */
  uint64_t round;
  uint32_t stage;
  struct xf_digest base, model;
};

struct taken { /* a task whose update a round took */
  uint32_t client;
  uint64_t issued, round;
  struct xf_digest base;
};

struct replay {
  struct sim *sim;
  struct xf_ledger *ledger;
  struct xf_diag *diag;
  struct step *step;
  size_t n_step;
  struct taken *taken;
  size_t n_taken;
  struct sim_past past;
  struct xf_buf *accepted; /* per client */
  uint32_t *who;           /* [n_client] of the round, and their weights */
  uint64_t *weight;
  size_t n_who;
  uint64_t *counted; /* [n_client] of its updates, those in the model */
};

static uint32_t client_of(const struct sim *sim, const char *id) {
  for (uint32_t i = 0; i < sim->n_client; i++)
    if (strcmp(sim->client[i].id, id) == 0) return i;
  return UINT32_MAX;
}

static enum xf_rc on_round(void *arg, const struct xf_ledger_round *r) {
  struct replay *p = arg;
  if (r->kind != XF_LEDGER_KIND_TRAIN || r->state != XF_LEDGER_ROUND_COMMITTED) return XF_OK;
  if (p->n_step % 64 == 0) p->step = xf_realloc_array(p->step, p->n_step + 64, sizeof *p->step);
  p->step[p->n_step++] = (struct step){r->round, r->stage, r->base, r->model};
  return XF_OK;
}

static enum xf_rc on_given(void *arg, const struct xf_ledger_given *g) {
  struct replay *p = arg;
  if (!g->taken) return XF_OK;
  if (p->n_taken % 64 == 0)
    p->taken = xf_realloc_array(p->taken, p->n_taken + 64, sizeof *p->taken);
  const uint32_t i = client_of(p->sim, g->member);
  if (i == UINT32_MAX)
    return xf_diag_set(p->diag, XF_E_CONFIG,
                       "the ledger's member \"%s\" is no client of this plan; give the plan that "
                       "was exported, with its sim section",
                       g->member);
  p->taken[p->n_taken++] = (struct taken){i, g->round, g->taken, g->base};
  return XF_OK;
}

static enum xf_rc on_update(void *arg, const struct xf_ledger_stored *s) {
  struct replay *p = arg;
  if (!s->frozen || p->n_who == p->sim->n_client) return XF_OK;
  p->who[p->n_who] = client_of(p->sim, s->u.member);
  p->weight[p->n_who++] = s->weight;
  return XF_OK;
}

static enum xf_rc open_ledger(struct replay *p, const char *path) {
  struct xf_ledger_status status;
  char inner[XF_PATH_MAX];
  const int n = snprintf(inner, sizeof inner, "%s/%s", path, XF_STATE_LEDGER);
  struct xf_diag why;
  xf_diag_init(&why);
  enum xf_rc rc = n < 0 || (size_t)n >= sizeof inner
                      ? XF_E_NOTFOUND
                      : xf_ledger_open(&p->ledger, inner, XF_LEDGER_READ, NULL, &why);
  if (rc) rc = xf_ledger_open(&p->ledger, path, XF_LEDGER_READ, NULL, p->diag);
  if (!rc) rc = xf_ledger_status(p->ledger, &status, p->diag);
  if (!rc && !xf_digest_equal(&status.run.plan, &p->sim->plan_digest))
    rc = xf_diag_set(p->diag, XF_E_CONFIG,
                     "--replay: run \"%s\" was made with another plan than this one",
                     status.run.run);
  if (!rc) rc = xf_ledger_rounds(p->ledger, 1, INT64_MAX, on_round, p, p->diag);
  return rc ? rc : xf_ledger_tasks(p->ledger, on_given, p, p->diag);
}

static const struct taken *task_of(const struct replay *p, uint32_t client, uint64_t round) {
  for (size_t k = 0; k < p->n_taken; k++)
    if (p->taken[k].client == client && p->taken[k].round == round) return &p->taken[k];
  return NULL;
}

/* Commits before a round: what its tasks were told. */
static uint64_t commits_before(const struct replay *p, uint64_t round) {
  uint64_t n = 0;
  while (n < p->n_step && p->step[n].round < round) n++;
  return n;
}

static enum xf_rc train(struct replay *p, const struct step *s, uint32_t i) {
  struct sim *sim = p->sim;
  struct sim_client *c = &sim->client[i];
  const struct taken *t = task_of(p, i, s->round);
  const float *x = NULL;
  if (t) x = xf_digest_equal(&t->base, &s->base) ? sim->x : sim_past_find(&p->past, &t->base);
  if (!x)
    return xf_diag_set(p->diag, XF_E_CORRUPT,
                       "round %llu took an update of \"%s\" whose model is unknown",
                       (unsigned long long)s->round, c->id);
  sim_base(sim, c, xf_global_view_of(&sim->plan, true, s->stage), x, c->base);
  const struct xf_silo_task task = {.offer = {.round = t->issued,
                                              .stage = s->stage,
                                              .kind = XF_TASK_TRAIN,
                                              .plan_digest = sim->plan_digest,
                                              .base_digest = t->base,
                                              .layout_digest = sim->layout_digest,
                                              .seed = sim->plan.seed,
                                              .model_len = xf_silo_lens(c->silo)->down[s->stage],
                                              .committed = commits_before(p, t->issued),
                                              .counted = p->counted[i]},
                                    .base = c->base,
                                    .spent = c->spent};
  enum xf_rc rc = xf_silo_work(c->silo, &task, &c->answer, p->diag);
  if (rc)
    return xf_diag_prefix(p->diag, rc, "round %llu, \"%s\"", (unsigned long long)s->round, c->id);
  xf_buf_reset(&p->accepted[i]);
  return xf_buf_put(&p->accepted[i], c->answer.payload.p, c->answer.payload.len);
}

static void swap(float **a, float **b) {
  float *const t = *a;
  *a = *b;
  *b = t;
}

static enum xf_rc commit(struct replay *p, uint32_t commits) {
  struct sim *sim = p->sim;
  const struct step *s = &p->step[commits];
  struct xf_digest digest;
  p->n_who = 0;
  enum xf_rc rc = xf_ledger_updates(p->ledger, s->round, on_update, p, p->diag);
  for (size_t k = 0; k < p->n_who && !rc; k++) rc = train(p, s, p->who[k]);
  const struct xf_coord_action a = {
      .round = s->round, .participant = p->who, .weight = p->weight, .n_participant = p->n_who};
  if (!rc) rc = sim_fold(sim, &a, sim->x, commits, p->accepted, p->diag);
  if (rc) return rc;
  for (size_t k = 0; k < p->n_who; k++) {
    xf_silo_outcome(sim->client[p->who[k]].silo, true);
    p->counted[p->who[k]]++;
  }
  swap(&sim->x, &sim->next_x);
  for (int k = 0; k < XF_SERVER_STATES; k++) swap(&sim->state[k], &sim->next_state[k]);
  sim_model_digest(&digest, sim, sim->x);
  if (!xf_digest_equal(&digest, &s->model))
    return xf_diag_set(p->diag, XF_E_CONFLICT,
                       "--replay: commit %u (round %llu) gives another model than the ledger's: "
                       "other data, another machine's kernels, or another version",
                       commits + 1, (unsigned long long)s->round);
  sim_past_put(&p->past, &digest, sim->x);
  sim->rounds++;
  return XF_OK;
}

enum xf_rc sim_replay(struct sim *sim, const char *path, struct xf_diag *diag) {
  struct replay p = {.sim = sim, .diag = diag};
  struct xf_digest digest;
  if (sim->plan.privacy.noise_multiplier > 0)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "--replay: privacy.noise_multiplier is above 0, and daemons' noise comes "
                       "from the system; a run without noise can be repeated");
  sim_past_init(&p.past, sim);
  p.accepted = xf_calloc(sim->n_client, sizeof *p.accepted);
  p.who = xf_calloc(sim->n_client, sizeof *p.who);
  p.weight = xf_calloc(sim->n_client, sizeof *p.weight);
  p.counted = xf_calloc(sim->n_client, sizeof *p.counted);
  for (size_t i = 0; i < sim->n_client; i++)
    xf_buf_init(&p.accepted[i], xf_silo_model_len(sim->client[i].silo) + XF_REPORT_MAX);
  sim_model_digest(&digest, sim, sim->x);
  sim_past_put(&p.past, &digest, sim->x);
  enum xf_rc rc = open_ledger(&p, path);
  for (uint32_t t = 0; t < p.n_step && !rc; t++) rc = commit(&p, t);
  xf_ledger_close(p.ledger);
  for (size_t i = 0; i < sim->n_client; i++) xf_buf_deinit(&p.accepted[i]);
  xf_free(p.accepted);
  xf_free(p.who);
  xf_free(p.weight);
  xf_free(p.counted);
  xf_free(p.step);
  xf_free(p.taken);
  sim_past_deinit(&p.past);
  return rc;
}
