/* Contradictions in a plan, each with a sentence: what is written, why it cannot be, what to write. */
#include "plan/combine.h"
#include "plan/plan.h"
#include "plan/stages.h"
#include "plan/view.h"

#include <string.h>

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

static bool is_events(const struct xf_plan *plan) {
  return plan->data.kind == XF_PLAN_DATA_INTERACTIONS;
}

static enum xf_rc check_split(const struct xf_plan *plan, struct xf_diag *diag) {
  const char *kind = xf_plan_data_text(plan->data.kind);
  switch (plan->data.split.kind) {
  case XF_PLAN_SPLIT_LEAVE_ONE_OUT:
    if (!is_events(plan))
      REFUSE("data.split.kind: leave-one-out needs users with events, and data.kind is %s; write "
             "random or predefined",
             kind);
    break;
  case XF_PLAN_SPLIT_RANDOM:
    if (plan->data.split.test_fraction <= 0)
      REFUSE("data.split.test_fraction: 0 leaves nothing to test on");
    if (plan->data.split.test_fraction + plan->data.split.valid_fraction >= 1)
      REFUSE("data.split: test_fraction %g and valid_fraction %g leave nothing to train on",
             plan->data.split.test_fraction, plan->data.split.valid_fraction);
    break;
  case XF_PLAN_SPLIT_PREDEFINED:
    if (plan->data.split.by != XF_PLAN_BY_FILE)
      REFUSE("data.split.by: a predefined split is named by its files; write by: file");
    if (is_events(plan) && !xf_plan_maps(plan))
      REFUSE("data.split.kind: a predefined split of interactions is not in this version but for "
             "statistic.of: map; write leave-one-out or random");
    break;
  }
  return XF_OK;
}

static enum xf_rc check_table(const struct xf_plan *plan, struct xf_diag *diag) {
  uint32_t label = plan->data.table.label;
  bool used = plan->data.table.n_drop || plan->data.table.n_one_hot || label ||
              plan->data.table.binary || plan->data.table.missing != XF_PLAN_MISSING_REFUSE ||
              (is_events(plan) && plan->data.table.scale != XF_PLAN_SCALE_NONE);
  if (used && plan->data.kind != XF_PLAN_DATA_TABLE)
    REFUSE("data.table: belongs to data.kind table, and it is %s",
           xf_plan_data_text(plan->data.kind));
  struct xf_plan_one_hot hot[16];
  for (uint32_t i = 0; i < plan->data.table.n_one_hot; i++) {
    enum xf_rc rc = xf_plan_one_hot_parse(&hot[i], plan->data.table.one_hot[i], diag);
    if (rc) return xf_diag_prefix(diag, XF_E_CONFIG, "data.table.one_hot");
    if (hot[i].column == label) REFUSE("data.table.one_hot: column %u is the label", label);
    for (uint32_t j = 0; j < i; j++)
      if (hot[j].column == hot[i].column)
        REFUSE("data.table.one_hot: column %u is given twice", hot[i].column);
    for (uint32_t j = 0; j < plan->data.table.n_drop; j++)
      if (plan->data.table.drop[j] == hot[i].column)
        REFUSE("data.table.one_hot: column %u is also in data.table.drop", hot[i].column);
  }
  for (uint32_t i = 0; i < plan->data.table.n_drop; i++) {
    if (plan->data.table.drop[i] == label) REFUSE("data.table.drop: column %u is the label", label);
    for (uint32_t j = 0; j < i; j++)
      if (plan->data.table.drop[j] == plan->data.table.drop[i])
        REFUSE("data.table.drop: column %u is given twice", plan->data.table.drop[i]);
  }
  return XF_OK;
}

static enum xf_rc check_mf(const struct xf_plan *plan, struct xf_diag *diag) {
  if (!is_events(plan))
    REFUSE("model.kind: mf learns from users and items, and data.kind is %s; write data.kind: "
           "interactions, or model.kind mlp or logreg",
           xf_plan_data_text(plan->data.kind));
  if (plan->model.loss == XF_PLAN_LOSS_SOFTMAX)
    REFUSE("model.loss: mf takes bpr, bce or mse, not softmax");
  if (plan->model.n_in || plan->model.n_out || plan->model.n_hidden)
    REFUSE(
        "model: n_in, n_out and hidden belong to mlp and logreg; mf takes its sizes from the data");
  if (plan->model.users == XF_PLAN_USERS_ALIGNED && plan->model.items == XF_PLAN_ITEMS_ALIGNED &&
      strcmp(plan->model.user_ns, plan->model.item_ns) == 0)
    REFUSE(
        "model.user_ns: \"%s\" is also model.item_ns; users and items need namespaces of their own",
        plan->model.user_ns);
  return XF_OK;
}

static enum xf_rc check_neumf(const struct xf_plan *plan, struct xf_diag *diag) {
  if (!is_events(plan))
    REFUSE("model.kind: neumf learns from users and items, and data.kind is %s; write data.kind: "
           "interactions, or model.kind mlp or logreg",
           xf_plan_data_text(plan->data.kind));
  if (plan->model.loss != XF_PLAN_LOSS_BCE && plan->model.loss != XF_PLAN_LOSS_BPR)
    REFUSE("model.loss: neumf takes bce or bpr, not %s", xf_plan_loss_text(plan->model.loss));
  if (plan->model.users != XF_PLAN_USERS_USER || plan->model.items != XF_PLAN_ITEMS_DOMAIN)
    REFUSE("model: neumf keeps users and items in the silo; leave out users and items");
  if (plan->model.n_in || plan->model.n_out)
    REFUSE("model: n_in and n_out belong to mlp and logreg; neumf takes its sizes from the data");
  if (plan->model.n_hidden < 2 || plan->model.hidden[0] % 2)
    REFUSE(
        "model.hidden: neumf needs at least two widths, the first (user and item together) even, "
        "e.g. [64, 32, 16, 8]");
  return XF_OK;
}

static enum xf_rc check_net(const struct xf_plan *plan, struct xf_diag *diag) {
  const char *kind = xf_plan_model_text(plan->model.kind);
  enum xf_plan_loss loss = plan->model.loss;
  if (is_events(plan))
    REFUSE("model.kind: %s learns from a table or images, and data.kind is interactions; write "
           "model.kind: mf",
           kind);
  if (plan->model.users != XF_PLAN_USERS_USER || plan->model.items != XF_PLAN_ITEMS_DOMAIN)
    REFUSE("model: %s has no users and items; leave out users and items", kind);
  if (plan->model.n_in == 0 || plan->model.n_out == 0)
    REFUSE("model: %s needs n_in and n_out, so that every silo has the same shape", kind);
  if (loss == XF_PLAN_LOSS_BPR)
    REFUSE("model.loss: bpr ranks items, and data.kind is %s; write bce, softmax or mse",
           xf_plan_data_text(plan->data.kind));
  if (loss == XF_PLAN_LOSS_SOFTMAX && plan->model.n_out < 2)
    REFUSE("model.n_out: softmax needs at least 2 outputs; for one yes/no output write loss: bce");
  if (loss == XF_PLAN_LOSS_BCE && plan->model.n_out != 1)
    REFUSE("model.n_out: bce takes 1 output, not %u; for classes write loss: softmax",
           plan->model.n_out);
  bool logreg = plan->model.kind == XF_PLAN_MODEL_LOGREG;
  if (logreg && loss == XF_PLAN_LOSS_MSE)
    REFUSE("model.loss: logreg takes bce or softmax, not mse");
  if (logreg && plan->model.n_hidden)
    REFUSE("model.hidden: logreg has no hidden layers; write model.kind: mlp");
  const bool fixed =
      plan->model.kind == XF_PLAN_MODEL_CNN || plan->model.kind == XF_PLAN_MODEL_CNN_SMALL ||
      plan->model.kind == XF_PLAN_MODEL_CONV4 || plan->model.kind == XF_PLAN_MODEL_SINE_MLP;
  if (fixed && plan->model.n_hidden)
    REFUSE("model.hidden: the layers of %s are fixed; leave it out, or write model.kind: mlp",
           kind);
  if (plan->model.kind == XF_PLAN_MODEL_SINE_MLP &&
      (loss != XF_PLAN_LOSS_MSE || plan->model.n_in != 1))
    REFUSE("model: sine-mlp learns one number from one; write n_in: 1, n_out: 1, loss: mse");
  if (!logreg && !fixed && plan->model.n_hidden == 0)
    REFUSE(
        "model.hidden: an mlp needs at least one hidden layer; without, write model.kind: logreg");
  return XF_OK;
}

static enum xf_rc check_cohort(const struct xf_plan_stage_part *s, struct xf_diag *diag) {
  if (s->fed.cohort > 0 && s->fed.cohort_count)
    REFUSE("fed: cohort %g and cohort_count %u are both given; keep one", s->fed.cohort,
           s->fed.cohort_count);
  if (s->fed.quorum > 0 && s->fed.quorum_count)
    REFUSE("fed: quorum %g and quorum_count %u are both given; keep one", s->fed.quorum,
           s->fed.quorum_count);
  if (s->fed.cohort == 0 && s->fed.cohort_count == 0)
    REFUSE("fed: neither cohort nor cohort_count is given");
  if (s->fed.quorum == 0 && s->fed.quorum_count == 0)
    REFUSE("fed: neither quorum nor quorum_count is given");
  if (s->fed.cohort_count && s->fed.quorum_count > s->fed.cohort_count)
    REFUSE("fed.quorum_count: %u answers can never come from a cohort_count of %u",
           s->fed.quorum_count, s->fed.cohort_count);
  if (s->fed.cohort_count && s->fed.min_domains > s->fed.cohort_count)
    REFUSE("fed.min_domains: %u domains can never be in a cohort_count of %u", s->fed.min_domains,
           s->fed.cohort_count);
  if (s->fed.over_select > 1 && s->fed.cohort == 1)
    REFUSE("fed.over_select: cohort 1 selects every member already; lower cohort or leave it out");
  return XF_OK;
}

static enum xf_rc check_algorithm(const struct xf_plan_stage_part *s, struct xf_diag *diag) {
  bool capped = s->fed.weighting == XF_PLAN_WEIGHTING_CAPPED;
  if (capped && s->fed.weight_cap == 0) REFUSE("fed.weight_cap: weighting capped needs it");
  if (!capped && s->fed.weight_cap)
    REFUSE("fed.weight_cap: %u has no effect; write weighting: capped", s->fed.weight_cap);
  if (s->local.epochs && s->local.steps)
    REFUSE("local: epochs %u and steps %u are both given; keep one", s->local.epochs,
           s->local.steps);
  if (s->local.epochs == 0 && s->local.steps == 0)
    REFUSE("local: neither epochs nor steps is given");
  if (s->local.optimizer.weight_decay > 0 && s->local.optimizer.kind != XF_PLAN_OPTIMIZER_ADAMW)
    REFUSE("local.optimizer.weight_decay: belongs to kind adamw, and it is %s; write local.l2",
           xf_plan_optimizer_text(s->local.optimizer.kind));
  if (s->local.optimizer.sparse == XF_PLAN_SPARSE_LAZY &&
      s->local.optimizer.kind != XF_PLAN_OPTIMIZER_ADAM &&
      s->local.optimizer.kind != XF_PLAN_OPTIMIZER_ADAMW)
    REFUSE("local.optimizer.sparse: lazy belongs to kind adam, and it is %s",
           xf_plan_optimizer_text(s->local.optimizer.kind));
  if (s->fed.server.bias_correction && s->fed.server.kind != XF_PLAN_SERVER_ADAM &&
      s->fed.server.kind != XF_PLAN_SERVER_YOGI)
    REFUSE("fed.server.bias_correction: belongs to the server kinds adam and yogi; leave it out");
  const bool fedprox = s->fed.algorithm == XF_PLAN_ALGORITHM_FEDPROX;
  if (fedprox && s->local.prox <= 0)
    REFUSE("local.prox: fedprox needs it, above 0; with 0 it is algorithm: fedavg");
  if (!fedprox && s->local.prox > 0 && s->fed.algorithm != XF_PLAN_ALGORITHM_FEDNOVA)
    REFUSE("local.prox: belongs to algorithm fedprox, and it is %s",
           xf_plan_algorithm_text(s->fed.algorithm));
  if (s->fed.algorithm != XF_PLAN_ALGORITHM_REPTILE) return XF_OK;
  if (s->fed.weighting != XF_PLAN_WEIGHTING_UNIFORM)
    REFUSE("fed.weighting: reptile weighs every task equally; write weighting: uniform");
  if (s->local.steps == 1 || (s->local.epochs == 1 && s->local.batch == 0))
    REFUSE(
        "local.steps: with one local step reptile is joint training and does not learn to adapt; "
        "write steps: 2 or more");
  if (s->fed.server.kind != XF_PLAN_SERVER_SGD)
    REFUSE("fed.server.kind: reptile moves by epsilon (fed.server.lr) alone; write sgd");
  return XF_OK;
}

static enum xf_rc check_combination(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                                    struct xf_diag *diag) {
  enum xf_combine_strategy strategy, rows;
  enum xf_combine_encoding encoding;
  enum xf_combine_privacy privacy;
  xf_combine_of_plan(plan, s, &strategy, &rows, &encoding, &privacy);
  const char *no = xf_combine_find(strategy, encoding, privacy);
  if (!no) no = xf_combine_find(rows, encoding, privacy);
  return no ? xf_diag_set(diag, XF_E_UNSUPPORTED, "%s", no) : XF_OK;
}

static enum xf_rc check_stage(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                              struct xf_diag *diag) {
  enum xf_rc rc = check_cohort(s, diag);
  if (!rc && s->kind == XF_PLAN_STAGE_TRAIN) rc = check_algorithm(s, diag);
  if (!rc && s->kind == XF_PLAN_STAGE_TRAIN) rc = xf_plan_check_meta(plan, s, diag);
  if (!rc) rc = xf_plan_check_personal(plan, s, diag);
  if (!rc && s->kind == XF_PLAN_STAGE_TRAIN) rc = xf_plan_check_control(plan, s, diag);
  if (!rc) rc = xf_plan_check_async(plan, s, diag);
  if (!rc) rc = xf_plan_check_schedules(s, diag);
  if (!rc && s->kind == XF_PLAN_STAGE_TRAIN) rc = xf_plan_check_server(plan, s, diag);
  if (!rc && (s->kind == XF_PLAN_STAGE_STATISTIC || s->kind == XF_PLAN_STAGE_ROWS))
    rc = xf_plan_check_keyed(plan, s, diag);
  if (!rc) rc = xf_plan_check_select(plan, s, diag);
  if (!rc) rc = xf_plan_check_edges(plan, s, diag);
  if (!rc) rc = xf_plan_check_encoding(plan, s, diag);
  if (!rc) rc = check_combination(plan, s, diag);
  if (rc) return rc;
  if (plan->privacy.noise_multiplier > 0 && s->fed.weighting != XF_PLAN_WEIGHTING_UNIFORM)
    REFUSE(
        "fed.weighting: with noise the numbers of samples stay private; write weighting: uniform");
  if (s->rows.clip_row > 0 && !xf_plan_is_aligned(plan))
    REFUSE("rows.clip_row: no rows are exchanged; write model.users: aligned, or leave it out");
  return XF_OK;
}

static enum xf_rc check_privacy(const struct xf_plan *plan, struct xf_diag *diag) {
  if (xf_plan_by_units(plan)) return xf_plan_check_units(plan, diag);
  for (uint32_t i = 0; i < plan->n_stages; i++)
    if (plan->stages[i].local.sample_rate > 0)
      REFUSE("stages[%u].local.sample_rate: belongs to training that is private per unit; write "
             "privacy.unit: record or user",
             i);
  if (plan->privacy.unit == XF_PLAN_UNIT_RECORD)
    REFUSE("privacy.unit: record belongs to models of tables and images; write user, with a "
           "statistic, or silo");
  if (plan->privacy.noise_multiplier <= 0) {
    if (plan->privacy.unit == XF_PLAN_UNIT_USER)
      REFUSE(
          "privacy.unit: user is what noise on statistics hides; write noise_multiplier above 0");
    return XF_OK;
  }
  bool statistics = false, others = false;
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const enum xf_plan_stage kind = plan->stages[i].kind;
    statistics = statistics || kind == XF_PLAN_STAGE_STATISTIC;
    others = others || (kind != XF_PLAN_STAGE_STATISTIC && kind != XF_PLAN_STAGE_EVALUATE);
  }
  if (statistics && others)
    REFUSE("privacy.noise_multiplier: noise on statistics hides one user, on other updates one "
           "silo, and no plan can do both; leave out the noise or the other stages");
  if (statistics != (plan->privacy.unit == XF_PLAN_UNIT_USER))
    REFUSE("privacy.unit: noise on statistics hides one user, noise on updates one silo; write "
           "unit: %s",
           statistics ? "user" : "silo");
  if (plan->privacy.clip <= 0 && !statistics)
    REFUSE("privacy.clip: noise_multiplier %g is measured in clips; write clip above 0",
           plan->privacy.noise_multiplier);
  if (plan->early_stop.patience)
    REFUSE("early_stop: needs metrics, which silos do not send with noise; leave it out");
  return XF_OK;
}

static enum xf_rc check_metric(const struct xf_plan *plan, struct xf_metric m, const char *text,
                               struct xf_diag *diag) {
  enum xf_plan_loss loss = plan->model.loss;
  bool events = is_events(plan), classes = loss == XF_PLAN_LOSS_BCE || loss == XF_PLAN_LOSS_SOFTMAX;
  bool ok = false;
  const char *why = "";
  switch (m.kind) {
  case XF_METRIC_HR:
  case XF_METRIC_NDCG:
  case XF_METRIC_RECALL:
  case XF_METRIC_PRECISION:
  case XF_METRIC_MRR:
    ok = events;
    why = "ranks items and needs data.kind interactions";
    break;
  case XF_METRIC_AUC:
    ok = events || loss == XF_PLAN_LOSS_BCE;
    why = "needs interactions, or model.loss bce";
    break;
  case XF_METRIC_ACC:
  case XF_METRIC_LOGLOSS:
    ok = !events && classes;
    why = "needs a table or images with model.loss bce or softmax";
    break;
  case XF_METRIC_RMSE:
    ok = loss == XF_PLAN_LOSS_MSE;
    why = "needs model.loss mse";
    break;
  }
  if (ok && m.adapt && plan->data.kind != XF_PLAN_DATA_TABLE &&
      plan->data.kind != XF_PLAN_DATA_IDX) {
    ok = false;
    why = "adapts to samples of a table or images";
  }
  if (!ok)
    REFUSE("eval.metrics: %s %s; data.kind is %s and model.loss is %s", text, why,
           xf_plan_data_text(plan->data.kind), xf_plan_loss_text(loss));
  return XF_OK;
}

static enum xf_rc check_protocols(const struct xf_plan *plan, bool ranks, struct xf_diag *diag) {
  for (uint32_t i = 0; i < plan->eval.n_protocol; i++) {
    uint32_t n = 0;
    if (xf_metric_protocol_parse(&n, plan->eval.protocol[i], diag))
      return xf_diag_prefix(diag, XF_E_CONFIG, "eval.protocol");
    for (uint32_t j = 0; j < i; j++)
      if (strcmp(plan->eval.protocol[j], plan->eval.protocol[i]) == 0)
        REFUSE("eval.protocol: %s is given twice", plan->eval.protocol[i]);
  }
  if (plan->eval.n_protocol && !ranks)
    REFUSE("eval.protocol: %s says among which items to rank, and no metric ranks; leave it out",
           plan->eval.protocol[0]);
  if (!plan->eval.n_protocol && ranks)
    REFUSE("eval.protocol: none is given; write [full] or [s999]");
  return XF_OK;
}

static enum xf_rc check_eval(const struct xf_plan *plan, struct xf_diag *diag) {
  if (plan->eval.train && is_events(plan))
    REFUSE("eval.train: rankings leave out the items that were learned from; write false");
  bool ranks = false, stop_known = plan->early_stop.patience == 0;
  for (uint32_t i = 0; i < plan->eval.n_metrics; i++) {
    const char *text = plan->eval.metrics[i];
    struct xf_metric m;
    if (xf_metric_parse(&m, text, diag)) return xf_diag_prefix(diag, XF_E_CONFIG, "eval.metrics");
    for (uint32_t j = 0; j < i; j++)
      if (strcmp(plan->eval.metrics[j], text) == 0) REFUSE("eval.metrics: %s is given twice", text);
    enum xf_rc rc = check_metric(plan, m, text, diag);
    if (rc) return rc;
    ranks = ranks || xf_metric_is_ranking(m.kind) || (m.kind == XF_METRIC_AUC && is_events(plan));
    stop_known = stop_known || strcmp(text, plan->early_stop.metric) == 0;
  }
  if (!stop_known)
    REFUSE("early_stop.metric: %s is not in eval.metrics; add it there", plan->early_stop.metric);
  const enum xf_rc rc = xf_plan_check_stop(plan, diag);
  return rc ? rc : check_protocols(plan, ranks, diag);
}

static enum xf_rc check_arms(const struct xf_plan *plan, struct xf_diag *diag) {
  unsigned seen = 0;
  if (plan->n_arms == 0) REFUSE("arms: nothing is computed; write [federated]");
  for (uint32_t i = 0; i < plan->n_arms; i++) {
    unsigned bit = 1u << plan->arms[i];
    if (seen & bit) REFUSE("arms: %s is given twice", xf_plan_arm_text(plan->arms[i]));
    seen |= bit;
  }
  if (seen & 1u << XF_PLAN_ARM_POPULARITY &&
      (!is_events(plan) || plan->model.loss == XF_PLAN_LOSS_MSE))
    REFUSE("arms: popularity ranks items and needs interactions with model.loss bpr or bce");
  unsigned parts = 1u << XF_PLAN_ARM_ALONE | 1u << XF_PLAN_ARM_FEDERATED;
  if (seen & 1u << XF_PLAN_ARM_GUARDED && (seen & parts) != parts)
    REFUSE("arms: guarded chooses between alone and federated; list both");
  return XF_OK;
}

/* Clients by user: people who hold both histories of theirs, source file and target file, and nothing else. */
static enum xf_rc check_by_user(const struct xf_plan *plan, struct xf_diag *diag) {
  const struct xf_plan_sim_part *sim = &plan->sim;
  const bool by_user = sim->clients.by == XF_PLAN_CLIENTS_USER;
  if (by_user != xf_plan_maps(plan))
    REFUSE(
        "sim.clients.by: user belongs to a stage with statistic.of map, and only to it: two rows "
        "of one person meet on that person's device");
  if (!by_user && sim->clients.common)
    REFUSE("sim.clients.common: %u has no effect; write by: user", sim->clients.common);
  if (!by_user) return XF_OK;
  if (sim->clients.n_files != 3)
    REFUSE("sim.clients.files: by user needs three files, source, target and the target's held-out "
           "rows of cold users, and there are %u",
           sim->clients.n_files);
  if (!sim->clients.common)
    REFUSE("sim.clients.common: below which number users are the same people in both files is "
           "missing");
  if (sim->columns.user != 1 || sim->columns.item != 2)
    REFUSE("sim.columns: by user reads user and item from columns 1 and 2");
  return XF_OK;
}

static enum xf_rc check_clients(const struct xf_plan *plan, struct xf_diag *diag) {
  const struct xf_plan_sim_part *sim = &plan->sim;
  enum xf_plan_clients by = sim->clients.by;
  const bool counted = xf_plan_clients_numbered(plan);
  if (counted && sim->clients.n == 0)
    REFUSE("sim.clients.n: how many clients the data are dealt to is missing");
  if (!counted && sim->clients.n)
    REFUSE("sim.clients.n: %u has no effect; the data decide how many clients there are",
           sim->clients.n);
  if (sim->clients.domains && !counted)
    REFUSE("sim.clients.domains: %u has no effect; sim.clients.by names the domains",
           sim->clients.domains);
  if ((by == XF_PLAN_CLIENTS_SHARDS || by == XF_PLAN_CLIENTS_DIRICHLET) && is_events(plan))
    REFUSE("sim.clients.by: shards and dirichlet deal labels; interactions have none");
  if (by == XF_PLAN_CLIENTS_DOMAIN && plan->data.kind != XF_PLAN_DATA_TEXT &&
      (!is_events(plan) || sim->columns.domain == 0))
    REFUSE("sim.clients.by: domain needs interactions and sim.columns.domain");
  if (by == XF_PLAN_CLIENTS_COLUMN && sim->columns.client == 0)
    REFUSE("sim.columns.client: sim.clients.by column needs it");
  if ((by == XF_PLAN_CLIENTS_FILE || by == XF_PLAN_CLIENTS_USER) != (sim->clients.n_files > 0))
    REFUSE("sim.clients.files: the files of sim.clients.by file or user, and only of them, are "
           "listed here");
  if (sim->clients.n_only && by != XF_PLAN_CLIENTS_DOMAIN && by != XF_PLAN_CLIENTS_COLUMN &&
      !counted)
    REFUSE("sim.clients.only: chooses domains, column values or numbers of clients; "
           "sim.clients.by gives none of them");
  uint64_t first = 0, last = 0;
  for (uint32_t i = 0; i < sim->clients.n_only && counted; i++)
    if (xf_plan_client_range(&first, &last, plan, sim->clients.only[i]))
      REFUSE(
          "sim.clients.only: \"%s\" is no number of a client and no range of them, such as 1-%u; "
          "sim.clients.n is %u",
          sim->clients.only[i], sim->clients.n, sim->clients.n);
  char id[XF_PLAN_CLIENT_ID];
  if (xf_plan_client_id(id, sim->clients.name, "1"))
    REFUSE("sim.clients.name: \"%s\" must be made of a-z 0-9 - and one {}", sim->clients.name);
  const enum xf_rc rc = xf_plan_check_sinusoid(plan, diag);
  return rc ? rc : check_by_user(plan, diag);
}

static enum xf_rc check_sim(const struct xf_plan *plan, struct xf_diag *diag) {
  const struct xf_plan_sim_part *sim = &plan->sim;
  if (!sim->data[0] && sim->clients.by != XF_PLAN_CLIENTS_SINUSOID)
    return XF_OK; /* a plan for daemons */
  if (sim->kg.triples[0] && plan->model.kind != XF_PLAN_MODEL_RECOMMENDER)
    REFUSE("sim.kg.triples: only model.kind recommender decides with a knowledge graph");
  if (!sim->kg.triples[0] && (sim->kg.items[0] || sim->kg.relations[0]))
    REFUSE("sim.kg.triples: sim.kg.%s is of no use without the graph",
           sim->kg.items[0] ? "items" : "relations");
  if (is_events(plan)) {
    if (!sim->columns.user || !sim->columns.item) REFUSE("sim.columns: user and item are missing");
    if (sim->columns.user == sim->columns.item)
      REFUSE("sim.columns: user and item are both column %u", sim->columns.user);
    if (plan->model.loss == XF_PLAN_LOSS_MSE && !sim->columns.value)
      REFUSE("sim.columns.value: model.loss mse learns values");
    if (plan->data.min_value != 0 && !sim->columns.value)
      REFUSE("sim.columns.value: data.min_value needs it");
    if (plan->data.split.kind == XF_PLAN_SPLIT_LEAVE_ONE_OUT &&
        plan->data.split.by == XF_PLAN_BY_TIME && !sim->columns.time)
      REFUSE("sim.columns.time: data.split.by time needs it; without times write by: file");
  }
  if (plan->data.kind == XF_PLAN_DATA_TABLE &&
      (plan->data.split.kind == XF_PLAN_SPLIT_PREDEFINED) != (sim->split[0] != '\0'))
    REFUSE("sim.split: names the file of data.split.kind predefined, and only of it");
  return check_clients(plan, diag);
}

/* Whether the stage moves keyed rows: of a recommender's the statistics and rows, of other aligned plans each. */
static bool moves_rows(const struct xf_plan *plan, const struct xf_plan_stage_part *s) {
  return s->kind == XF_PLAN_STAGE_STATISTIC || s->kind == XF_PLAN_STAGE_ROWS ||
         (plan->model.kind != XF_PLAN_MODEL_RECOMMENDER && s->kind != XF_PLAN_STAGE_EVALUATE &&
          xf_plan_is_aligned(plan));
}

static enum xf_rc check_domains(const struct xf_plan *plan, uint32_t n, struct xf_diag *diag) {
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const struct xf_plan_stage_part *s = &plan->stages[i];
    if (s->fed.min_domains > n)
      REFUSE("stages[%u].fed.min_domains: %u, and there are %u domains", i, s->fed.min_domains, n);
    if (!moves_rows(plan, s) || s->rows.min_holders <= n) continue;
    if (n == 2)
      REFUSE("stages[%u].rows.min_holders: no row has %u holders in two domains; write 2, and know "
             "that each domain then sees the other's rows",
             i, s->rows.min_holders);
    REFUSE("stages[%u].rows.min_holders: no row has %u holders in %u domains", i,
           s->rows.min_holders, n);
  }
  return XF_OK;
}

enum xf_rc xf_plan_check(const struct xf_plan *plan, struct xf_diag *diag) {
  if (plan->n_stages == 0) REFUSE("stages: there is none");
  enum xf_rc rc = xf_plan_check_stages(plan, diag);
  if (!rc && (xf_plan_models_sequences(plan) || xf_plan_has_sequences(plan)))
    rc = xf_plan_check_sequences(plan, diag);
  else if (!rc && plan->model.kind != XF_PLAN_MODEL_RECOMMENDER)
    rc = plan->model.kind == XF_PLAN_MODEL_MF      ? check_mf(plan, diag)
         : plan->model.kind == XF_PLAN_MODEL_NEUMF ? check_neumf(plan, diag)
                                                   : check_net(plan, diag);
  if (!rc) rc = check_split(plan, diag);
  if (!rc) rc = check_table(plan, diag);
  if (!rc) rc = check_privacy(plan, diag);
  for (uint32_t i = 0; i < plan->n_stages && !rc; i++) {
    rc = check_stage(plan, &plan->stages[i], diag);
    if (rc) rc = xf_diag_prefix(diag, rc, "stages[%u]", i);
  }
  if (!rc) rc = check_eval(plan, diag);
  if (!rc) rc = check_arms(plan, diag);
  if (!rc) rc = check_sim(plan, diag);
  bool listed = plan->sim.clients.by == XF_PLAN_CLIENTS_DOMAIN && plan->sim.clients.n_only > 0;
  if (!rc && listed) rc = check_domains(plan, plan->sim.clients.n_only, diag);
  return rc;
}

enum xf_rc xf_plan_check_members(const struct xf_plan *plan, uint32_t n_members, uint32_t n_domains,
                                 struct xf_diag *diag) {
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const struct xf_plan_stage_part *s = &plan->stages[i];
    if (s->fed.cohort_count > n_members)
      REFUSE("stages[%u].fed.cohort_count: %u, and there are %u members", i, s->fed.cohort_count,
             n_members);
    if (s->fed.quorum_count > n_members)
      REFUSE("stages[%u].fed.quorum_count: %u, and there are %u members", i, s->fed.quorum_count,
             n_members);
    if (moves_rows(plan, s) && s->rows.min_holders > n_members)
      REFUSE("stages[%u].rows.min_holders: no row has %u holders among %u members", i,
             s->rows.min_holders, n_members);
  }
  return check_domains(plan, n_domains, diag);
}
