/* Schedules of rates: which key belongs to which kind. */
#include "plan/stages.h"
#include "plan/view.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

static enum xf_rc check(const struct xf_plan_schedule_part *s, const char *key, uint32_t rounds,
                        struct xf_diag *diag) {
  const enum xf_plan_schedule k = s->kind;
  const char *kind = xf_plan_schedule_text(k);
  const bool step = k == XF_PLAN_SCHEDULE_STEP,
             ends = k == XF_PLAN_SCHEDULE_LINEAR || k == XF_PLAN_SCHEDULE_COSINE,
             scaled = step || k == XF_PLAN_SCHEDULE_EXPONENTIAL || k == XF_PLAN_SCHEDULE_INVERSE;
  if (s->warmup && s->warmup >= rounds)
    REFUSE("%s.warmup: %u commits of a stage whose fed.rounds is %u; write fewer", key, s->warmup,
           rounds);
  if (step && !s->every) REFUSE("%s.every: kind step needs it", key);
  if (!step && s->every)
    REFUSE("%s.every: %u has no effect with kind %s; write kind: step", key, s->every, kind);
  if (scaled && s->factor == 0) REFUSE("%s.factor: kind %s needs it, above 0", key, kind);
  if (!scaled && s->factor != 0)
    REFUSE("%s.factor: %g has no effect with kind %s; write step, exponential or inverse", key,
           s->factor, kind);
  if (!ends && s->floor != 0)
    REFUSE("%s.floor: %g has no effect with kind %s; write linear or cosine", key, s->floor, kind);
  return XF_OK;
}

enum xf_rc xf_plan_check_schedules(const struct xf_plan_stage_part *s, struct xf_diag *diag) {
  const bool trains = s->kind == XF_PLAN_STAGE_TRAIN;
  const struct xf_plan_schedule_part *const fed = &s->fed.schedule, *const local =
                                                                        &s->local.schedule;
  const struct {
    const struct xf_plan_schedule_part *s;
    const char *key;
  } each[] = {{fed, "fed.schedule"}, {local, "local.schedule"}};
  for (int i = 0; i < 2; i++) {
    const enum xf_rc rc = check(each[i].s, each[i].key, s->fed.rounds, diag);
    if (rc) return rc;
    if (!trains && (each[i].s->kind != XF_PLAN_SCHEDULE_CONSTANT || each[i].s->warmup))
      REFUSE("%s: a stage of kind %s has no rate; leave it out", each[i].key,
             xf_plan_stage_text(s->kind));
  }
  if (xf_plan_is_meta(s) && (local->kind != XF_PLAN_SCHEDULE_CONSTANT || local->warmup))
    REFUSE("local.schedule: is not followed by fed.algorithm %s; write fed.schedule",
           xf_plan_algorithm_text(s->fed.algorithm));
  if (s->fed.server.anneal != XF_PLAN_ANNEAL_NONE &&
      (fed->kind != XF_PLAN_SCHEDULE_CONSTANT || fed->warmup))
    REFUSE("fed.server.anneal: and fed.schedule are both given; leave anneal out");
  return XF_OK;
}
