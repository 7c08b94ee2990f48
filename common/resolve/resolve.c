#include "resolve/resolve.h"

#include "fed/stale.h"
#include "plan/metric.h"
#include "plan/view.h"

#include <float.h>
#include <string.h>

static enum xf_rc not_here(struct xf_diag *diag, const char *what) {
  return xf_diag_set(diag, XF_E_UNSUPPORTED, "%s: not in this version of crossfed", what);
}

/* A namespace has one directory: all its stages count holders alike. */
static enum xf_rc check_recommender(const struct xf_plan *plan, struct xf_diag *diag) {
  const struct xf_spaces spaces = xf_resolve_spaces(plan);
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const struct xf_plan_stage_part *s = &plan->stages[i];
    for (uint32_t k = 0; k < spaces.n; k++)
      if (xf_resolve_keyed(s, spaces.at[k].of) && s->rows.min_holders != spaces.at[k].min_holders)
        return not_here(diag, "rows.min_holders: different ones for the same keys");
  }
  struct xf_layout layout;
  const struct xf_stage_sizes none = {0};
  const enum xf_rc rc = xf_resolve_layout(&layout, plan, &none, diag);
  xf_layout_deinit(&layout);
  return rc;
}

/* Whether the model can be personalised so: found by making one. */
static enum xf_rc check_personal(const struct xf_model_config *config, const struct xf_plan *plan,
                                 struct xf_diag *diag) {
  const struct xf_personal_config personal = xf_resolve_personal(plan, 0);
  const struct xf_local_config local = xf_resolve_local(plan, 0);
  struct xf_model *model = NULL;
  struct xf_personal *work = NULL;
  enum xf_rc rc = xf_model_new(&model, config, (struct xf_model_size){0}, diag);
  if (!rc && personal.rule != XF_PERSONAL_PLAIN)
    rc = xf_personal_new(&work, model, &personal, &local, 1, diag);
  xf_personal_free(work);
  xf_model_free(model);
  return rc ? xf_diag_prefix(diag, rc, "fed.algorithm: %s",
                             xf_plan_algorithm_text(plan->stages[0].fed.algorithm))
            : XF_OK;
}

/* Whether the model's loss can be differentiated as the algorithm wants: found by planning it. */
static enum xf_rc check_meta(const struct xf_model_config *config, const struct xf_plan *plan,
                             struct xf_diag *diag) {
  const struct xf_plan_stage_part *s = &plan->stages[0];
  const struct xf_metawork_config meta = xf_resolve_meta(plan, 0);
  const size_t rows = (size_t)meta.support + (meta.query ? meta.query : 1);
  struct xf_model *model = NULL;
  struct xf_metawork *work = NULL;
  enum xf_rc rc = xf_model_new(&model, config, (struct xf_model_size){0}, diag);
  if (!rc) rc = xf_metawork_new(&work, model, &meta, rows, diag);
  xf_metawork_free(work);
  xf_model_free(model);
  return rc ? xf_diag_prefix(diag, rc, "fed.algorithm: %s",
                             xf_plan_algorithm_text(s->fed.algorithm))
            : XF_OK;
}

enum xf_rc xf_resolve_check(const struct xf_plan *plan, struct xf_diag *diag) {
  const bool recommends = xf_resolve_recommends(plan);
  if (!recommends && plan->n_stages != 1)
    return not_here(diag, "stages: more than one, but in plans of model.kind recommender");
  if (plan->init[0]) return not_here(diag, "init");
  for (uint32_t i = 0; i < plan->n_arms; i++)
    if (plan->arms[i] == XF_PLAN_ARM_POOLED ||
        (plan->arms[i] == XF_PLAN_ARM_GUARDED && !recommends))
      return not_here(diag, "arms: pooled, guarded (but of a recommender)");
  if (recommends) return check_recommender(plan, diag);
  struct xf_model_config config;
  const enum xf_rc rc = xf_resolve_model(&config, plan, diag);
  if (!rc && xf_plan_is_personal(&plan->stages[0])) return check_personal(&config, plan, diag);
  return rc || !xf_plan_is_meta(&plan->stages[0]) ? rc : check_meta(&config, plan, diag);
}

/* What of the model each algorithm keeps in the silo. */
static enum xf_model_personal personal_of(enum xf_plan_algorithm algorithm) {
  switch (algorithm) {
  case XF_PLAN_ALGORITHM_FEDPER:
  case XF_PLAN_ALGORITHM_FEDREP: return XF_PERSONAL_HEAD;
  case XF_PLAN_ALGORITHM_FEDBN: return XF_PERSONAL_NORM;
  case XF_PLAN_ALGORITHM_DITTO:
  case XF_PLAN_ALGORITHM_PFEDME: return XF_PERSONAL_COPY;
  case XF_PLAN_ALGORITHM_APFL: return XF_PERSONAL_MIX;
  default: return XF_PERSONAL_NONE;
  }
}

struct xf_personal_config xf_resolve_personal(const struct xf_plan *plan, uint32_t stage) {
  const struct xf_plan_stage_part *st = &plan->stages[stage];
  struct xf_personal_config c = {.rule = XF_PERSONAL_PLAIN,
                                 .head_epochs = st->local.personal.head_epochs,
                                 .steps = st->local.personal.steps,
                                 .lambda = st->local.personal.lambda,
                                 .lr = st->local.personal.lr};
  switch (st->fed.algorithm) {
  case XF_PLAN_ALGORITHM_FEDREP: c.rule = XF_PERSONAL_REP; break;
  case XF_PLAN_ALGORITHM_DITTO: c.rule = XF_PERSONAL_DITTO; break;
  case XF_PLAN_ALGORITHM_PFEDME: c.rule = XF_PERSONAL_PFEDME; break;
  case XF_PLAN_ALGORITHM_APFL: c.rule = XF_PERSONAL_APFL; break;
  default: break;
  }
  return c;
}

enum xf_rc xf_resolve_model(struct xf_model_config *out, const struct xf_plan *plan,
                            struct xf_diag *diag) {
  const struct xf_plan_model_part *m = &plan->model;
  struct xf_model_config c = {.init_std = m->init_std,
                              .bias = m->bias,
                              .dim = m->dim,
                              .users = XF_ROWS_LOCAL,
                              .items = XF_ROWS_LOCAL,
                              .n_in = m->n_in,
                              .n_out = m->n_out,
                              .n_hidden = m->n_hidden,
                              .steps = m->steps};
  switch (m->kind) {
  case XF_PLAN_MODEL_MF: c.kind = XF_MODEL_MF; break;
  case XF_PLAN_MODEL_MLP: c.kind = XF_MODEL_MLP; break;
  case XF_PLAN_MODEL_LOGREG: c.kind = XF_MODEL_LOGREG; break;
  case XF_PLAN_MODEL_DKT: c.kind = XF_MODEL_DKT; break;
  case XF_PLAN_MODEL_CHAR_LSTM: c.kind = XF_MODEL_CHAR_LSTM; break;
  case XF_PLAN_MODEL_CHAR_GRU: c.kind = XF_MODEL_CHAR_GRU; break;
  case XF_PLAN_MODEL_NEUMF: c.kind = XF_MODEL_NEUMF; break;
  case XF_PLAN_MODEL_CNN: c.kind = XF_MODEL_CNN; break;
  case XF_PLAN_MODEL_CNN_SMALL: c.kind = XF_MODEL_CNN_SMALL; break;
  case XF_PLAN_MODEL_CONV4: c.kind = XF_MODEL_CONV4; break;
  case XF_PLAN_MODEL_SINE_MLP: c.kind = XF_MODEL_SINE_MLP; break;
  case XF_PLAN_MODEL_RECOMMENDER:
    return xf_diag_set(diag, XF_E_UNSUPPORTED, "model.kind: a recommender is no network");
  }
  switch (m->loss) {
  case XF_PLAN_LOSS_BPR: c.loss = XF_LOSS_BPR; break;
  case XF_PLAN_LOSS_BCE: c.loss = XF_LOSS_BCE; break;
  case XF_PLAN_LOSS_SOFTMAX: c.loss = XF_LOSS_SOFTMAX; break;
  case XF_PLAN_LOSS_MSE: c.loss = XF_LOSS_MSE; break;
  }
  switch (m->activation) {
  case XF_PLAN_ACTIVATION_RELU: c.activation = XF_ACT_RELU; break;
  case XF_PLAN_ACTIVATION_TANH: c.activation = XF_ACT_TANH; break;
  case XF_PLAN_ACTIVATION_SIGMOID: c.activation = XF_ACT_SIGMOID; break;
  }
  if (plan->stages[0].fed.algorithm == XF_PLAN_ALGORITHM_METASGD)
    c.rates = plan->stages[0].local.meta.lr;
  c.personal = personal_of(plan->stages[0].fed.algorithm);
  c.mix = plan->stages[0].local.personal.alpha;
  c.control = plan->stages[0].fed.algorithm == XF_PLAN_ALGORITHM_SCAFFOLD;
  c.nova = plan->stages[0].fed.algorithm == XF_PLAN_ALGORITHM_FEDNOVA;
  c.feedback = plan->stages[0].fed.encoding == XF_PLAN_ENCODING_TOPK &&
               plan->stages[0].fed.compress.feedback;
  memcpy(c.hidden, m->hidden, sizeof c.hidden);
  memcpy(c.user_ns, m->user_ns, sizeof c.user_ns);
  memcpy(c.item_ns, m->item_ns, sizeof c.item_ns);
  if (m->kind == XF_PLAN_MODEL_MF) {
    if (m->items != XF_PLAN_ITEMS_DOMAIN) return not_here(diag, "model.items: aligned, shared");
    if (m->users == XF_PLAN_USERS_ALIGNED) c.users = XF_ROWS_ALIGNED;
    else if (m->loss == XF_PLAN_LOSS_BPR)
      return xf_diag_set(
          diag, XF_E_CONFIG,
          "model: mf with loss bpr, users: user and items: domain shares nothing; make "
          "users aligned");
  }
  *out = c;
  return XF_OK;
}

bool xf_resolve_pulls(const struct xf_plan *plan, uint32_t stage) {
  return !xf_resolve_recommends(plan) && xf_resolve_spaces(plan).n &&
         plan->stages[stage].rows.rule == XF_PLAN_ROW_RULE_PULL;
}

struct xf_local_config xf_resolve_local(const struct xf_plan *plan, uint32_t stage) {
  const struct xf_plan_stage_part *st = &plan->stages[stage];
  enum xf_optim_kind kind = XF_OPTIM_SGD;
  switch (st->local.optimizer.kind) {
  case XF_PLAN_OPTIMIZER_SGD: break;
  case XF_PLAN_OPTIMIZER_MOMENTUM: kind = XF_OPTIM_MOMENTUM; break;
  case XF_PLAN_OPTIMIZER_ADAM: kind = XF_OPTIM_ADAM; break;
  case XF_PLAN_OPTIMIZER_NESTEROV: kind = XF_OPTIM_NESTEROV; break;
  case XF_PLAN_OPTIMIZER_ADAGRAD: kind = XF_OPTIM_ADAGRAD; break;
  case XF_PLAN_OPTIMIZER_ADAMW: kind = XF_OPTIM_ADAMW; break;
  }
  struct xf_local_config l = {.epochs = st->local.epochs,
                              .steps = st->local.steps,
                              .batch = st->local.batch,
                              .optimizer = xf_optim_default(kind, (float)st->local.optimizer.lr),
                              .l2 = st->local.l2,
                              .prox = st->local.prox,
                              .plain_grads = st->fed.algorithm == XF_PLAN_ALGORITHM_SCAFFOLD,
                              .negatives = st->local.negatives};
  if (kind == XF_OPTIM_ADAM || kind == XF_OPTIM_ADAMW) {
    l.optimizer.beta1 = (float)st->local.optimizer.b1;
    l.optimizer.beta2 = (float)st->local.optimizer.b2;
    l.optimizer.eps = (float)st->local.optimizer.eps;
    l.optimizer.lazy = st->local.optimizer.sparse == XF_PLAN_SPARSE_LAZY;
    if (kind == XF_OPTIM_ADAMW) l.optimizer.weight_decay = (float)st->local.optimizer.weight_decay;
  } else if (kind == XF_OPTIM_ADAGRAD) {
    l.optimizer.eps = (float)st->local.optimizer.eps;
  } else if (kind == XF_OPTIM_MOMENTUM || kind == XF_OPTIM_NESTEROV) {
    l.optimizer.momentum = (float)st->local.optimizer.momentum;
  }
  if (xf_plan_by_units(plan))
    l.unit = plan->privacy.unit == XF_PLAN_UNIT_USER ? XF_UNIT_SEQUENCE : XF_UNIT_SAMPLE;
  if (xf_resolve_pulls(plan, stage)) {
    l.pull = XF_PULL_DEFAULT;
    l.kappa = st->rows.kappa;
  }
  return l;
}

struct xf_metawork_config xf_resolve_meta(const struct xf_plan *plan, uint32_t stage) {
  const struct xf_plan_stage_part *st = &plan->stages[stage];
  const bool meta = xf_plan_is_meta(st);
  struct xf_metawork_config c = {.kind = XF_META_FOMAML,
                                 .support = st->local.meta.support,
                                 .query = st->local.meta.query,
                                 .inner_steps = st->local.meta.steps,
                                 .inner_lr = st->local.meta.lr,
                                 .tasks = meta ? st->local.meta.tasks : 0,
                                 .l2 = st->local.l2};
  if (st->local.meta.hessian == XF_PLAN_HESSIAN_EXACT) c.kind = XF_META_MAML;
  if (st->local.meta.hessian == XF_PLAN_HESSIAN_DIFFERENCE) c.kind = XF_META_HF;
  if (st->fed.algorithm == XF_PLAN_ALGORITHM_ANIL) c.adapts = XF_METAWORK_HEAD;
  if (st->fed.algorithm == XF_PLAN_ALGORITHM_BOIL) c.adapts = XF_METAWORK_BODY;
  if (st->fed.algorithm == XF_PLAN_ALGORITHM_PERFEDAVG) {
    c.steps = st->local.steps;
    c.optimizer = xf_resolve_local(plan, stage).optimizer;
  }
  return c;
}

static struct xf_schedule schedule(const struct xf_plan_schedule_part *p, uint32_t rounds) {
  enum xf_schedule_kind kind = XF_SCHEDULE_CONSTANT;
  switch (p->kind) {
  case XF_PLAN_SCHEDULE_CONSTANT: break;
  case XF_PLAN_SCHEDULE_LINEAR: kind = XF_SCHEDULE_LINEAR; break;
  case XF_PLAN_SCHEDULE_COSINE: kind = XF_SCHEDULE_COSINE; break;
  case XF_PLAN_SCHEDULE_STEP: kind = XF_SCHEDULE_STEP; break;
  case XF_PLAN_SCHEDULE_EXPONENTIAL: kind = XF_SCHEDULE_EXPONENTIAL; break;
  case XF_PLAN_SCHEDULE_INVERSE: kind = XF_SCHEDULE_INVERSE; break;
  case XF_PLAN_SCHEDULE_INVERSE_ROOT: kind = XF_SCHEDULE_INVERSE_ROOT; break;
  }
  return (struct xf_schedule){.kind = kind,
                              .rounds = rounds,
                              .warmup = p->warmup,
                              .every = p->every,
                              .factor = p->factor,
                              .floor = p->floor};
}

/* Both lists have the same order. */
#define SAME(name) _Static_assert((int)XF_PLAN_SERVER_##name == (int)XF_SERVER_##name, #name)
SAME(SGD);
SAME(MOMENTUM);
SAME(ADAM);
SAME(YOGI);
SAME(ADAGRAD);
SAME(NESTEROV);
#define SAME_RULE(name, text) SAME(name);
XF_SERVER_RULES(SAME_RULE)

static struct xf_server_step server_step(const struct xf_plan_stage_part *st) {
  struct xf_server_step step = {.kind = (enum xf_server_kind)st->fed.server.kind,
                                .eta = st->fed.server.lr};
  const bool rule = (int)step.kind >= (int)XF_SERVER_N_BUILTIN;
  if (xf_server_states(step.kind) == 1 && !rule) step.b1 = st->fed.server.momentum;
  if (xf_server_states(step.kind) < 2 && !rule) return step;
  step.b1 = step.kind == XF_SERVER_ADAGRAD ? 0 : st->fed.server.b1;
  step.b2 = st->fed.server.b2;
  step.tau = st->fed.server.tau;
  step.v0 = st->fed.server.v0 < 0 ? step.tau * step.tau : st->fed.server.v0;
  return step;
}

struct xf_strategy xf_resolve_strategy(const struct xf_plan *plan, uint32_t stage) {
  const struct xf_plan_stage_part *st = &plan->stages[stage];
  return (struct xf_strategy){
      .kind =
          st->fed.algorithm == XF_PLAN_ALGORITHM_REPTILE ? XF_STRATEGY_REPTILE : XF_STRATEGY_FEDAVG,
      .server = server_step(st),
      .bias_correction = st->fed.server.bias_correction,
      .schedule = st->fed.server.anneal == XF_PLAN_ANNEAL_LINEAR
                      ? (struct xf_schedule){.kind = XF_SCHEDULE_LINEAR, .rounds = st->fed.rounds}
                      : schedule(&st->fed.schedule, st->fed.rounds)};
}

float xf_resolve_rate(const struct xf_plan *plan, uint32_t stage, uint64_t commit) {
  const struct xf_plan_stage_part *st = &plan->stages[stage];
  const struct xf_schedule s = schedule(&st->local.schedule, st->fed.rounds);
  const float rate = (float)(st->local.optimizer.lr * xf_schedule_get(&s, commit));
  return rate > FLT_MIN ? rate : FLT_MIN;
}

uint32_t xf_resolve_server_states(const struct xf_plan *plan) {
  uint32_t most = 0;
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const uint32_t n = xf_server_states(server_step(&plan->stages[i]).kind);
    if (n > most) most = n;
  }
  return most;
}

uint64_t xf_resolve_divisor(const struct xf_plan *plan, uint32_t stage) {
  return (uint64_t)plan->stages[stage].fed.async.buffer * XF_STALE_ONE;
}

enum xf_weight_rule xf_resolve_weight(const struct xf_plan *plan, uint32_t stage) {
  switch (plan->stages[stage].fed.weighting) {
  case XF_PLAN_WEIGHTING_SAMPLES: return XF_WEIGHT_SAMPLES;
  case XF_PLAN_WEIGHTING_CAPPED: return XF_WEIGHT_CAPPED;
  case XF_PLAN_WEIGHTING_UNIFORM: break;
  }
  return XF_WEIGHT_UNIFORM;
}

enum xf_rc xf_resolve_measures(struct xf_measures *out, const struct xf_plan *plan,
                               struct xf_diag *diag) {
  const bool ranking = plan->data.kind == XF_PLAN_DATA_INTERACTIONS;
  const uint32_t n_protocol = ranking ? plan->eval.n_protocol : 1;
  out->n = 0;
  for (uint32_t p = 0; p < n_protocol; p++) {
    uint32_t n_neg = 0;
    if (ranking) {
      enum xf_rc rc = xf_metric_protocol_parse(&n_neg, plan->eval.protocol[p], diag);
      if (rc) return rc;
    }
    for (uint32_t i = 0; i < plan->eval.n_metrics; i++) {
      const char *text = plan->eval.metrics[i];
      if (out->n == XF_RESOLVE_MEASURES)
        return xf_diag_set(diag, XF_E_LIMIT, "eval: more than %d measures", XF_RESOLVE_MEASURES);
      struct xf_metric metric;
      if (xf_plan_metric(&metric, plan, i) ||
          xf_measure_parse(&out->measure[out->n], text, xf_metric_plain(text)))
        return xf_diag_set(diag, XF_E_CONFIG, "eval.metrics: \"%s\" is not a measure", text);
      if (!xf_measure_fits(out->measure[out->n].kind, ranking))
        return xf_diag_set(diag, XF_E_UNSUPPORTED, "eval.metrics: \"%s\" does not fit data.kind",
                           text);
      out->n_neg[out->n] = n_neg;
      out->adapt[out->n] = metric.adapt;
      if (metric.adapt) xf_metric_key(out->key[out->n], metric, NULL);
      else xf_measure_key(out->key[out->n], out->measure[out->n], ranking, n_neg);
      out->n++;
    }
  }
  return XF_OK;
}

size_t xf_measures_main(const struct xf_measures *measures) {
  for (size_t i = 0; i < measures->n; i++)
    if (measures->measure[i].kind == XF_MEASURE_NDCG) return i;
  return 0;
}
