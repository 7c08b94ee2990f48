/* Loading, resolving defaults, printing, canonical bytes and digest of a plan. */
#include "plan/plan.h"

#include "base/str.h"
#include "conf/conf.h"
#include "crypto/sha256.h"
#include "plan/schema.h"
#include "plan/stages.h"
#include "plan/view.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char magic[8] = {'X', 'F', 'P', 'L', 'A', 'N', '0', '1'};

void xf_plan_init(struct xf_plan *plan) { xf_conf_init_target(&xf_plan_schema, plan); }

void xf_plan_deinit(struct xf_plan *plan) { xf_conf_deinit_target(&xf_plan_schema, plan); }

static void add_metric(struct xf_plan *plan, const char *text) {
  char *to = plan->eval.metrics[plan->eval.n_metrics++];
  memcpy(to, text, strlen(text) + 1);
}

/* Metrics that fit data, loss and algorithm, when the plan names none. */
static void resolve_eval(struct xf_plan *plan) {
  bool events = plan->data.kind == XF_PLAN_DATA_INTERACTIONS, ranks = false;
  enum xf_plan_loss loss = plan->model.loss;
  if (plan->eval.n_metrics == 0) {
    if (plan->n_stages && xf_plan_is_meta(&plan->stages[0]) && loss != XF_PLAN_LOSS_BPR) {
      char text[32];
      (void)snprintf(text, sizeof text, "%s@adapt%u", loss == XF_PLAN_LOSS_MSE ? "rmse" : "acc",
                     plan->stages[0].local.meta.steps);
      add_metric(plan, text);
    }
    if (loss == XF_PLAN_LOSS_MSE) add_metric(plan, "rmse");
    else if (events) {
      add_metric(plan, "hr@10");
      add_metric(plan, "ndcg@10");
    } else {
      add_metric(plan, "acc");
      if (loss == XF_PLAN_LOSS_BCE) add_metric(plan, "auc");
      add_metric(plan, "logloss");
    }
  }
  for (uint32_t i = 0; i < plan->eval.n_metrics; i++) {
    struct xf_metric m;
    if (!xf_plan_metric(&m, plan, i) && (xf_metric_is_ranking(m.kind) || m.kind == XF_METRIC_AUC))
      ranks = true;
  }
  if (events && ranks && plan->eval.n_protocol == 0) {
    memcpy(plan->eval.protocol[0], "full", 5);
    plan->eval.n_protocol = 1;
  }
  if (plan->early_stop.patience && !plan->early_stop.metric[0])
    memcpy(plan->early_stop.metric, plan->eval.metrics[0], XF_PLAN_NAME_MAX);
}

/* Replaces "not given" by the value in force. */
static void resolve(struct xf_plan *plan) {
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    struct xf_plan_stage_part *s = &plan->stages[i];
    if (s->kind == XF_PLAN_STAGE_STATISTIC && s->fed.rounds == 0) s->fed.rounds = 1;
    if (s->kind != XF_PLAN_STAGE_TRAIN && s->fed.weighting == XF_PLAN_WEIGHTING_SAMPLES)
      s->fed.weighting =
          XF_PLAN_WEIGHTING_UNIFORM; /* each silo counts once in a sum or a mean of rows */
    if (s->fed.cohort == 0 && s->fed.cohort_count == 0) s->fed.cohort = 1;
    if (s->fed.quorum == 0 && s->fed.quorum_count == 0) s->fed.quorum = 0.75;
    if (s->fed.eval_deadline_s == 0) s->fed.eval_deadline_s = s->fed.deadline_s;
    if (s->local.epochs == 0 && s->local.steps == 0) s->local.epochs = 1;
    if (s->local.meta.hessian == XF_PLAN_HESSIAN_AUTO && xf_plan_is_meta(s))
      s->local.meta.hessian = xf_plan_hessian_of(s->fed.algorithm);
  }
  resolve_eval(plan);
}

static enum xf_rc load(struct xf_plan *out, const struct xf_conf_source *source,
                       struct xf_buf *errors, struct xf_diag *diag) {
  struct xf_conf *conf = xf_conf_new(&xf_plan_schema);
  struct xf_diag local;
  if (!diag) diag = &local;
  xf_diag_init(diag);
  enum xf_rc rc = xf_conf_read(conf, out, source, diag);
  enum xf_rc put = errors ? xf_buf_put_str(errors, xf_conf_errors(conf)) : XF_OK;
  xf_conf_free(conf);
  if (rc) return rc;
  resolve(out);
  rc = xf_plan_check(out, diag);
  if (rc) {
    rc = xf_diag_prefix(diag, rc, "%s", source->path ? source->path : source->name);
    if (errors) put = xf_buf_printf(errors, "%s\n", diag->text);
  }
  if (rc || put) xf_plan_deinit(out);
  return rc ? rc : put;
}

enum xf_rc xf_plan_load(struct xf_plan *out, const char *path, const char *const *sets,
                        size_t n_sets, struct xf_buf *errors, struct xf_diag *diag) {
  struct xf_conf_source source = {
      .path = path, .env = (const char *const *)environ, .sets = sets, .n_sets = n_sets};
  return load(out, &source, errors, diag);
}

enum xf_rc xf_plan_load_text(struct xf_plan *out, const char *name, const char *text, size_t len,
                             const char *const *sets, size_t n_sets, struct xf_buf *errors,
                             struct xf_diag *diag) {
  struct xf_conf_source source = {.name = name,
                                  .text = text,
                                  .text_len = len,
                                  .env = (const char *const *)environ,
                                  .sets = sets,
                                  .n_sets = n_sets};
  return load(out, &source, errors, diag);
}

enum xf_rc xf_plan_print(struct xf_buf *out, const struct xf_plan *plan) {
  return xf_conf_print(out, &xf_plan_schema, plan, NULL);
}

enum xf_rc xf_plan_encode(struct xf_buf *out, const struct xf_plan *plan) {
  enum xf_rc rc = xf_buf_put(out, magic, sizeof magic);
  return rc ? rc : xf_conf_encode(out, &xf_plan_schema, plan);
}

enum xf_rc xf_plan_decode(struct xf_plan *out, const uint8_t *p, size_t len, struct xf_diag *diag) {
  memset(out, 0, sizeof *out);
  if (len > XF_PLAN_BYTES_MAX)
    return xf_diag_set(diag, XF_E_FORMAT, "plan: %zu bytes, at most %d", len, XF_PLAN_BYTES_MAX);
  if (len < sizeof magic || memcmp(p, magic, 6) != 0)
    return xf_diag_set(diag, XF_E_FORMAT, "plan: the bytes are not a plan");
  if (memcmp(p, magic, sizeof magic) != 0)
    return xf_diag_set(diag, XF_E_VERSION, "plan: encoding \"%.2s\" is not known to this version",
                       (const char *)p + 6);
  struct xf_diag local;
  if (!diag) diag = &local;
  xf_diag_init(diag);
  enum xf_rc rc = xf_conf_decode(out, &xf_plan_schema, p + sizeof magic, len - sizeof magic, diag);
  if (rc) return xf_diag_prefix(diag, rc, "plan");
  /* A peer sends a resolved plan: whatever resolving would still change was left out on purpose. */
  struct xf_plan resolved;
  memcpy(&resolved, out, sizeof resolved);
  resolve(&resolved);
  rc = memcmp(&resolved, out, sizeof *out) == 0
           ? xf_plan_check(out, diag)
           : xf_diag_set(diag, XF_E_FORMAT, "defaults that depend on other keys are missing");
  if (rc) {
    xf_plan_deinit(out);
    return xf_diag_prefix(diag, rc, "plan");
  }
  return XF_OK;
}

enum xf_rc xf_plan_digest(struct xf_digest *out, const struct xf_plan *plan) {
  struct xf_buf buf;
  xf_buf_init(&buf, XF_PLAN_BYTES_MAX);
  enum xf_rc rc = xf_plan_encode(&buf, plan);
  if (!rc) xf_sha256(out, buf.p, buf.len);
  xf_buf_deinit(&buf);
  return rc;
}

const char *xf_plan_claim(const struct xf_plan *plan) {
#define PER_SILO "largest over silos; per silo, against the coordinator, not per person"
  if (!plan)
    return PER_SILO
        "; with the plan's privacy.unit user or record: per user or record of one silo instead";
  if (plan->privacy.unit == XF_PLAN_UNIT_RECORD)
    return "largest over silos; per record of one silo, against the coordinator; a person with "
           "several records, or in several silos, pays for each";
  if (plan->privacy.unit == XF_PLAN_UNIT_USER)
    return "largest over silos; per user of one silo, against the coordinator; a person in several "
           "silos pays in each";
  return PER_SILO;
#undef PER_SILO
}

enum xf_rc xf_plan_stamps(struct xf_buf *out, const struct xf_plan *plan) {
  struct xf_plan_view view;
  xf_plan_policy_view(&view, plan);
  enum xf_rc rc = XF_OK;
  bool average = false;
  for (uint32_t i = 0; i < plan->n_stages; i++)
    average = average || plan->stages[i].rows.rule == XF_PLAN_ROW_RULE_AVERAGE;
  if (xf_plan_maps(plan))
    rc = xf_buf_put_str(out,
                        "needs paired computation: the map, the cross Gram and what is combined of "
                        "them multiply two rows of one person; here on that person's device, and "
                        "between two silos no stage does it\n");
  else if (view.aligned)
    rc = xf_buf_put_str(out,
                        "trusted alignment: the silos share a key that the coordinator must not "
                        "have; it learns which pseudonyms several silos hold\n");
  if (!rc && view.aligned && view.min_holders == 2 && !xf_plan_maps(plan))
    rc = xf_buf_put_str(out, "rows visible to the other domain: with two holders the mean of the "
                             "others is the other's row\n");
  if (!rc && view.aligned && average)
    rc = xf_buf_put_str(out, "rows are averaged: worse than training alone on known data; for "
                             "comparison only\n");
  if (!rc && view.exact)
    rc = xf_buf_put_str(
        out, "exact sums of rows: the coordinator sees, for each user that several silos "
             "hold, how many items each of them has, and more of these than a row says\n");
  if (!rc && plan->privacy.noise_multiplier > 0)
    rc = xf_buf_put_str(
        out,
        plan->privacy.unit == XF_PLAN_UNIT_RECORD
            ? "epsilon is per record of a silo's train part, against the coordinator; a person "
              "with several records, or in several silos, pays for each\n"
        : plan->privacy.unit == XF_PLAN_UNIT_USER
            ? "epsilon is per user of one silo, against the coordinator; a person in several "
              "silos pays in each; which rows a silo holds is outside it\n"
            : "epsilon is per silo, against the coordinator, not per person; which rows a silo "
              "holds is outside it\n");
  if (!rc && plan->privacy.noise_multiplier == 0)
    rc = xf_buf_put_str(out,
                        "no noise: nothing is claimed about what the coordinator can infer from "
                        "an update\n");
  return rc;
}
