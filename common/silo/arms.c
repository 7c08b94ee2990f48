/* The arms a silo can serve: popularity, alone, federated - measured and asked in the same way. */
#include "crypto/stream.h"
#include "model/score.h"
#include "rec/popularity.h"
#include "silo/parts.h"

#include <math.h>
#include <string.h>

const char *xf_silo_arm_name(enum xf_silo_arm arm) {
  static const char *const names[] = {
#define ARM_NAME(n, t) t,
      XF_SILO_ARM_LIST(ARM_NAME)
#undef ARM_NAME
  };
  return (size_t)arm < sizeof names / sizeof names[0] ? names[arm] : "?";
}

const char *xf_silo_part_name(enum xf_part part) {
  return part == XF_PART_TRAIN ? "train" : part == XF_PART_VALID ? "valid" : "test";
}

int xf_silo_first_part(const struct xf_silo *silo) {
  return silo->cfg.plan->eval.train ? XF_PART_TRAIN : XF_PART_VALID;
}

static void begin_alone(void *arg, uint32_t task, struct xf_train_job *job) {
  const struct xf_silo *s = arg;
  silo_streams(s, ((uint64_t)1 << 32) + task, &job->shuffle, &job->negative);
  job->lr = xf_resolve_rate(s->cfg.plan, 0, task - 1);
}

static enum xf_rc make_alone(struct xf_silo *s, struct xf_diag *diag) {
  if (!s->trainer)
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "the arm alone trains, and the plan has no local "
                       "optimiser");
  enum xf_rc rc = silo_first(s, s->arm, diag);
  struct xf_train_job job = {.start = s->arm, .data = &s->data, .cancel = s->cancel, .out = s->arm};
  const uint32_t rounds = s->cfg.plan->stages[0].fed.rounds;
  if (rc || !xf_plan_by_units(s->cfg.plan))
    return rc ? rc : xf_train_alone(s->trainer, &job, rounds, begin_alone, s, diag);
  /* it never leaves, so it is neither sampled, clipped nor noised: the same steps of the same batch */
  struct xf_local_config local = xf_resolve_local(s->cfg.plan, 0);
  struct xf_trainer *plain = NULL;
  local.unit = XF_UNIT_NONE;
  rc = xf_trainer_new(&plain, s->model, &local,
                      (uint32_t)xf_model_samples(s->model, &s->data, XF_PART_TRAIN), diag);
  if (!rc) rc = xf_train_alone(plain, &job, rounds, begin_alone, s, diag);
  xf_trainer_free(plain);
  return rc;
}

void xf_silo_set_cancel(struct xf_silo *silo, const atomic_bool *cancel) { silo->cancel = cancel; }

bool xf_silo_has_arm(const struct xf_silo *silo, enum xf_silo_arm arm) {
  if (arm == XF_SILO_POPULARITY) return silo->data.kind == XF_DATASET_INTERACTIONS;
  if (arm == XF_SILO_ALONE && !silo->recommends) return silo->trainer != NULL;
  if (arm == XF_SILO_PERSONAL) return silo->personal && xf_personal_has_net(silo->personal);
  return arm != XF_SILO_GUARDED || silo->recommends;
}

enum xf_rc xf_silo_arm_make(struct xf_silo *silo, enum xf_silo_arm arm, const float *base,
                            struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  if (silo->recommends) {
    if (!silo->aligned) return xf_diag_set(diag, XF_E_STATE, "the silo is not aligned yet");
    rc = silo_decide(silo, base, diag);
    silo->made = arm;
    return rc;
  }
  if (arm == XF_SILO_GUARDED)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "only a recommender is guarded");
  if (arm == XF_SILO_PERSONAL && !xf_silo_has_arm(silo, arm))
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "the plan's algorithm keeps no net of the silo's own");
  if (arm == XF_SILO_FEDERATED || arm == XF_SILO_PERSONAL) {
    if (!silo->aligned) return xf_diag_set(diag, XF_E_STATE, "the silo is not aligned yet");
    silo_start(silo, silo->arm, base);
    if (arm == XF_SILO_PERSONAL) xf_personal_serve(silo->model, silo->arm);
  } else if (arm == XF_SILO_ALONE) {
    rc = make_alone(silo, diag);
  }
  silo->made = arm;
  return rc;
}

/* adapt: steps on the silo's support before, the same rows for every arm and part. */
static enum xf_rc measure(struct xf_silo *silo, const struct xf_rank_spec *spec, uint32_t adapt,
                          struct xf_measure_sum *sum, struct xf_diag *diag) {
  if (silo->recommends) return silo_decision_measure(silo, spec, sum, diag);
  if (silo->made == XF_SILO_POPULARITY)
    return xf_evaluate_popularity(&silo->data.split, spec, sum, diag);
  if (!adapt) return xf_evaluator_run(silo->evaluator, silo->arm, &silo->data, spec, sum, diag);
  struct xf_rng rng;
  xf_stream_init(&rng, silo->cfg.plan->seed, "task", 0, silo->cfg.member);
  const enum xf_rc rc =
      xf_metawork_adapt(silo->meta, silo->arm, &silo->data, &rng, adapt, silo->adapted, diag);
  return rc ? rc : xf_evaluator_run(silo->evaluator, silo->adapted, &silo->data, spec, sum, diag);
}

static uint64_t eval_seed(const struct xf_silo *silo) {
  struct xf_rng rng;
  xf_stream_init(&rng, silo->cfg.plan->seed, "eval", 0, silo->cfg.member);
  return xf_rng_u64(&rng);
}

enum xf_rc xf_silo_measure(struct xf_silo *silo, enum xf_part part, struct xf_measure_sum *sum,
                           struct xf_diag *diag) {
  const struct xf_measures *m = &silo->measures;
  memset(sum, 0, m->n * sizeof *sum);
  if (silo->made == XF_SILO_POPULARITY && silo->data.kind != XF_DATASET_INTERACTIONS) return XF_OK;
  for (size_t i = 0, j = 0; i < m->n; i = j) { /* one pass per protocol and adaptation */
    for (j = i; j < m->n && m->n_neg[j] == m->n_neg[i] && m->adapt[j] == m->adapt[i]; j++) continue;
    const struct xf_rank_spec spec = {.part = part,
                                      .n_neg = m->n_neg[i],
                                      .seed = eval_seed(silo),
                                      .measure = m->measure + i,
                                      .n_measure = j - i};
    const enum xf_rc rc = measure(silo, &spec, m->adapt[i], sum + i, diag);
    if (rc) return rc;
  }
  return XF_OK;
}

enum xf_rc xf_silo_figures(struct xf_silo *silo, enum xf_part part, float *figure,
                           struct xf_diag *diag) {
  const struct xf_measures *m = &silo->measures;
  const size_t main = xf_measures_main(m);
  struct xf_measure_sum sum;
  if (silo->data.kind != XF_DATASET_INTERACTIONS || m->n == 0)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "figures of users need interactions and a measure");
  const struct xf_rank_spec spec = {.part = part,
                                    .n_neg = m->n_neg[main],
                                    .seed = eval_seed(silo),
                                    .measure = m->measure + main,
                                    .n_measure = 1,
                                    .per_user = figure};
  return measure(silo, &spec, 0, &sum, diag);
}

enum xf_silo_arm xf_silo_choose(const struct xf_measures *measures, const double *valid,
                                const bool *made, bool *chosen) {
  const enum xf_measure_kind kind = measures->measure[xf_measures_main(measures)].kind;
  const double sign = kind == XF_MEASURE_RMSE || kind == XF_MEASURE_LOGLOSS ? -1 : 1;
  enum xf_silo_arm served =
      made[XF_SILO_FEDERATED] && !made[XF_SILO_ALONE] ? XF_SILO_FEDERATED : XF_SILO_ALONE;
  double best = NAN;
  for (int arm = 0; arm < XF_SILO_N_ARM && measures->n; arm++) {
    if (arm == XF_SILO_GUARDED && !isnan(valid[arm])) {
      served = XF_SILO_GUARDED;
      best = valid[arm];
      break;
    }
    if (!made[arm] || isnan(valid[arm]) || (!isnan(best) && !(sign * valid[arm] > best))) continue;
    best = sign * valid[arm];
    served = (enum xf_silo_arm)arm;
  }
  if (chosen) *chosen = !isnan(best);
  return served;
}

enum xf_rc xf_silo_scores(struct xf_silo *silo, uint32_t user, float *out, struct xf_diag *diag) {
  if (silo->data.kind != XF_DATASET_INTERACTIONS)
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "only interactions have items to score");
  if (user >= silo->data.split.n_users)
    return xf_diag_set(diag, XF_E_NOTFOUND, "user %u of %u", user, silo->data.split.n_users);
  if (silo->recommends) return silo_decision_scores(silo, user, out, diag);
  const float *row = NULL;
  enum xf_rc rc = XF_OK;
  if (silo->made == XF_SILO_POPULARITY) {
    struct xf_popularity pop;
    rc = xf_popularity_init(&pop, &silo->data.split);
    if (!rc) memcpy(out, pop.score, pop.n_items * sizeof *out);
    xf_popularity_deinit(&pop);
    return rc;
  }
  struct xf_score *scorer = NULL;
  rc = xf_score_new(&scorer, silo->model, diag);
  if (!rc) rc = xf_score_users(scorer, silo->arm, &user, 1, &row, diag);
  if (!rc) memcpy(out, row, silo->data.split.n_items * sizeof *out);
  xf_score_free(scorer);
  return rc;
}

const float *xf_silo_arm_params(const struct xf_silo *silo) { return silo->arm; }
