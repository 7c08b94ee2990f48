/* fed.server: which key belongs to which kind, and what the row rule pull needs of it. */
#include "plan/stages.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

static enum xf_rc check_kind(const struct xf_plan_stage_part *s, struct xf_diag *diag) {
  const enum xf_plan_server k = s->fed.server.kind;
  const bool heavy = k == XF_PLAN_SERVER_MOMENTUM || k == XF_PLAN_SERVER_NESTEROV,
             adam = k == XF_PLAN_SERVER_ADAM || k == XF_PLAN_SERVER_YOGI,
             adaptive = adam || k == XF_PLAN_SERVER_ADAGRAD,
             rule = k > XF_PLAN_SERVER_NESTEROV; /* in a file of its own: may read all four */
  const struct {
    const char *key, *kinds;
    bool read;
    double value, def; /* the schema's */
  } each[] = {{"momentum", "momentum or nesterov", heavy, s->fed.server.momentum, 0.9},
              {"b1", "adam or yogi", adam || rule, s->fed.server.b1, 0.9},
              {"b2", "adam or yogi", adam || rule, s->fed.server.b2, 0.99},
              {"tau", "adam, yogi or adagrad", adaptive || rule, s->fed.server.tau, 0.001},
              {"v0", "adam, yogi or adagrad", adaptive || rule, s->fed.server.v0, -1}};
  for (size_t i = 0; i < sizeof each / sizeof each[0]; i++)
    if (!each[i].read && each[i].value != each[i].def)
      REFUSE("fed.server.%s: %g has no effect with kind %s; leave it out, or write kind: %s",
             each[i].key, each[i].value, xf_plan_server_text(k), each[i].kinds);
  return XF_OK;
}

enum xf_rc xf_plan_check_server(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                                struct xf_diag *diag) {
  const enum xf_rc rc = check_kind(s, diag);
  if (rc || s->rows.rule != XF_PLAN_ROW_RULE_PULL || plan->model.kind != XF_PLAN_MODEL_MF ||
      (plan->model.users != XF_PLAN_USERS_ALIGNED && plan->model.items != XF_PLAN_ITEMS_ALIGNED))
    return rc;
  const char *key = s->fed.server.kind != XF_PLAN_SERVER_SGD      ? "fed.server.kind"
                    : s->fed.server.lr != 1                       ? "fed.server.lr"
                    : s->fed.server.anneal != XF_PLAN_ANNEAL_NONE ? "fed.server.anneal"
                    : s->fed.schedule.kind != XF_PLAN_SCHEDULE_CONSTANT || s->fed.schedule.warmup
                        ? "fed.schedule"
                        : NULL;
  if (key)
    REFUSE("%s: rows.rule pull takes a silo's own row out of the committed one, which must be the "
           "plain mean (server kind sgd, lr 1, no schedule); leave it out, or write rows.rule: "
           "average",
           key);
  return XF_OK;
}
