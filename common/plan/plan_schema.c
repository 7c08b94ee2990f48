/* The grammar of a plan: one row per key. A tag or a default never changes once released: both are part
   of the canonical encoding. Keys of `sim` have no tag. */
#include "plan/plan.h"
#include "plan/schema.h"

#define NAME(value, text) {text, value, false},
#define LATER(text) \
  { text, 0, true }
#define END \
  { NULL, 0, false }

static const struct xf_conf_name data_names[] = {XF_PLAN_DATA_LIST(NAME) END};
static const struct xf_conf_name split_names[] = {XF_PLAN_SPLIT_LIST(NAME) END};
static const struct xf_conf_name by_names[] = {XF_PLAN_BY_LIST(NAME) END};
static const struct xf_conf_name missing_names[] = {XF_PLAN_MISSING_LIST(NAME) END};
static const struct xf_conf_name scale_names[] = {XF_PLAN_SCALE_LIST(NAME) END};
static const struct xf_conf_name model_names[] = {XF_PLAN_MODEL_LIST(NAME) LATER("two-tower"),
                                                  LATER("lightgcn"), LATER("cnn"), LATER("gru4rec"),
                                                  END};
static const struct xf_conf_name activation_names[] = {XF_PLAN_ACTIVATION_LIST(NAME) END};
static const struct xf_conf_name loss_names[] = {XF_PLAN_LOSS_LIST(NAME) END};
static const struct xf_conf_name users_names[] = {XF_PLAN_USERS_LIST(NAME) END};
static const struct xf_conf_name items_names[] = {XF_PLAN_ITEMS_LIST(NAME) END};
static const struct xf_conf_name stage_names[] = {XF_PLAN_STAGE_LIST(NAME) LATER("align"), END};
static const struct xf_conf_name learns_names[] = {XF_PLAN_LEARNS_LIST(NAME) END};
static const struct xf_conf_name statistic_names[] = {XF_PLAN_STATISTIC_LIST(NAME) END};
static const struct xf_conf_name algorithm_names[] = {XF_PLAN_ALGORITHM_LIST(NAME) END};
static const struct xf_conf_name hessian_names[] = {XF_PLAN_HESSIAN_LIST(NAME) END};
static const struct xf_conf_name weighting_names[] = {XF_PLAN_WEIGHTING_LIST(NAME) END};
#define RULE_NAME(name, text) {text, XF_PLAN_SERVER_##name, false},
static const struct xf_conf_name server_names[] = {XF_PLAN_SERVER_LIST(NAME)
                                                       XF_SERVER_RULES(RULE_NAME) END};
static const struct xf_conf_name anneal_names[] = {XF_PLAN_ANNEAL_LIST(NAME) END};
static const struct xf_conf_name schedule_names[] = {XF_PLAN_SCHEDULE_LIST(NAME) END};
static const struct xf_conf_name select_names[] = {XF_PLAN_SELECT_LIST(NAME) END};
static const struct xf_conf_name staleness_names[] = {XF_PLAN_STALENESS_LIST(NAME) END};
static const struct xf_conf_name encoding_names[] = {XF_PLAN_ENCODING_LIST(NAME) END};
static const struct xf_conf_name optimizer_names[] = {XF_PLAN_OPTIMIZER_LIST(NAME) END};
static const struct xf_conf_name sparse_names[] = {XF_PLAN_SPARSE_LIST(NAME) END};
static const struct xf_conf_name row_rule_names[] = {XF_PLAN_ROW_RULE_LIST(NAME) END};
static const struct xf_conf_name unit_names[] = {XF_PLAN_UNIT_LIST(NAME) END};
static const struct xf_conf_name accountant_names[] = {XF_PLAN_ACCOUNTANT_LIST(NAME) LATER("pld"),
                                                       END};
static const struct xf_conf_name arm_names[] = {XF_PLAN_ARM_LIST(NAME) END};
static const struct xf_conf_name clients_names[] = {XF_PLAN_CLIENTS_LIST(NAME) END};

const char *xf_plan_data_text(enum xf_plan_data value) {
  return xf_conf_name_text(data_names, (int)value);
}
const char *xf_plan_model_text(enum xf_plan_model value) {
  return xf_conf_name_text(model_names, (int)value);
}
const char *xf_plan_loss_text(enum xf_plan_loss value) {
  return xf_conf_name_text(loss_names, (int)value);
}
const char *xf_plan_algorithm_text(enum xf_plan_algorithm value) {
  return xf_conf_name_text(algorithm_names, (int)value);
}
const char *xf_plan_optimizer_text(enum xf_plan_optimizer value) {
  return xf_conf_name_text(optimizer_names, (int)value);
}
const char *xf_plan_arm_text(enum xf_plan_arm value) {
  return xf_conf_name_text(arm_names, (int)value);
}

const char *xf_plan_stage_text(enum xf_plan_stage value) {
  return xf_conf_name_text(stage_names, (int)value);
}
const char *xf_plan_server_text(enum xf_plan_server value) {
  return xf_conf_name_text(server_names, (int)value);
}
const char *xf_plan_schedule_text(enum xf_plan_schedule value) {
  return xf_conf_name_text(schedule_names, (int)value);
}
const char *xf_plan_select_text(enum xf_plan_select value) {
  return xf_conf_name_text(select_names, (int)value);
}
const char *xf_plan_unit_text(enum xf_plan_unit value) {
  return xf_conf_name_text(unit_names, (int)value);
}

/* Rows: AT is the field, the rest as in conf/schema.h. A plan is fixed for a run: every key is RESTART. */
#define STAGE(field) XF_CONF_AT(struct xf_plan_stage_part, field), .reload = XF_CONF_RESTART
#define STAGE_LIST(field, n) \
  XF_CONF_LIST_AT(struct xf_plan_stage_part, field, n), .reload = XF_CONF_RESTART
#define PLAN(field) XF_CONF_AT(struct xf_plan, field), .reload = XF_CONF_RESTART
#define PLAN_LIST(field, n) XF_CONF_LIST_AT(struct xf_plan, field, n), .reload = XF_CONF_RESTART
#define UINT .type = XF_CONF_UINT
#define REAL .type = XF_CONF_DOUBLE
#define TEXT .type = XF_CONF_STRING
#define WORD(table) .type = XF_CONF_ENUM, .names = table
#define RANGE(low, high) .min = low, .max = high
#define ABOVE(low, high) .min = low, .max = high, .open_min = true

static const struct xf_conf_key stage_keys[] = {
    {STAGE(kind), WORD(stage_names), .def = "train", .tag = 1, .help = "what the stage does"},
    {STAGE(name), TEXT, .id = true, .def = "", .tag = 2,
     .help = "of the stage and its artifact; needed when there are several"},
    {STAGE_LIST(in, n_in), TEXT, .tag = 3,
     .help = "earlier stages whose artifacts silos read in this one"},
    {STAGE(learns), WORD(learns_names), .def = "model", .tag = 4,
     .help = "train: the plan's model, or the recommender's unit-free scorer"},
    {STAGE(statistic.of), WORD(statistic_names), .def = "gram", .tag = 5,
     .help =
         "statistic: item co-occurrence, users per item, overlapping users per item, co-occurrence "
         "of public categories, or for cold users a map between two domains"},
    {STAGE(statistic.beta), REAL, .def = "0.5", RANGE(0, 1), .tag = 6,
     .help = "gram, categories: a user's part is divided by (items, categories)^beta; 0, 0.5 or 1 "
             "(with noise 1)"},
    {STAGE(fed.algorithm), WORD(algorithm_names), .def = "fedavg", .tag = 10,
     .help = "what silos send and the coordinator makes of it"},
    {STAGE(fed.rounds), UINT, RANGE(1, 10000000), .unit = "commits", .tag = 11,
     .help = "rounds that must commit; a round number is an attempt; statistic: 1"},
    {STAGE(fed.cohort), REAL, ABOVE(0, 1), .tag = 12,
     .help = "fraction of the members selected per round; 1 when nothing is given"},
    {STAGE(fed.cohort_count), UINT, RANGE(1, 1000000), .unit = "members", .tag = 13,
     .help = "members selected per round, instead of cohort"},
    {STAGE(fed.quorum), REAL, ABOVE(0, 1), .tag = 14,
     .help = "fraction of the cohort that must answer by the deadline; 0.75 when nothing is given"},
    {STAGE(fed.quorum_count), UINT, RANGE(1, 1000000), .unit = "members", .tag = 15,
     .help = "members that must answer by the deadline, instead of quorum"},
    {STAGE(fed.min_domains), UINT, .def = "1", RANGE(1, 1000000), .unit = "domains", .tag = 16,
     .help = "domains that must be among the answers"},
    {STAGE(fed.deadline_s), .type = XF_CONF_DURATION, .def = "60", ABOVE(0, 604800), .unit = "s",
     .tag = 17, .help = "from the offers to closing with a quorum"},
    {STAGE(fed.select_timeout_s), .type = XF_CONF_DURATION, .def = "60", ABOVE(0, 604800),
     .unit = "s", .tag = 18, .help = "how long selected members may take to connect"},
    {STAGE(fed.eval_deadline_s), .type = XF_CONF_DURATION, ABOVE(0, 604800), .unit = "s", .tag = 19,
     .help = "deadline of evaluation rounds; as deadline_s when not given"},
    {STAGE(fed.over_select), REAL, .def = "1", RANGE(1, 10), .unit = "x cohort", .tag = 20,
     .help = "members asked for each answer wanted"},
    {STAGE(fed.select.policy), WORD(select_names), .def = "stratified", .tag = 100,
     .help = "who is asked: each domain its share; all alike; by samples; the largest losses among "
             "candidates; by utility"},
    {STAGE(fed.select.candidates), UINT, .def = "0", RANGE(0, 1000000), .unit = "members",
     .tag = 101,
     .help = "power-of-choice: drawn by samples, those with the largest losses are "
             "asked; 0: twice the members asked"},
    {STAGE(fed.select.explore), REAL, .def = "0.9", RANGE(0, 1), .tag = 102,
     .help = "oort: part of the cohort that was never seen, before the first commit"},
    {STAGE(fed.select.explore_decay), REAL, .def = "0.98", ABOVE(0, 1), .tag = 103,
     .help = "oort: factor of explore with each commit"},
    {STAGE(fed.select.explore_min), REAL, .def = "0.3", RANGE(0, 1), .tag = 104,
     .help = "oort: explore falls to it"},
    {STAGE(fed.select.cutoff), REAL, .def = "0.95", RANGE(0, 1), .tag = 105,
     .help =
         "oort: who has this part of the least utility of the best may be drawn in their place"},
    {STAGE(fed.select.clip), REAL, .def = "0.95", RANGE(0, 1), .tag = 106,
     .help = "oort: quantile of samples times loss above which it is cut"},
    {STAGE(fed.select.duration_quantile), REAL, .def = "1", ABOVE(0, 1), .tag = 107,
     .help = "oort: slower members than this quantile of durations lose utility; 1: none"},
    {STAGE(fed.select.duration_penalty), REAL, .def = "2", RANGE(0, 10), .tag = 108,
     .help = "oort: exponent of preferred by actual duration, for slower members"},
    {STAGE(fed.select.pacer_window), UINT, .def = "0", RANGE(0, 10000), .unit = "commits",
     .tag = 109, .help = "oort: after so many commits duration_quantile may move; 0: it stays"},
    {STAGE(fed.select.pacer_step), REAL, .def = "0.05", ABOVE(0, 1), .tag = 110,
     .help = "oort: by how much"},
    {STAGE(fed.select.max_times), UINT, .def = "0", RANGE(0, 10000000), .unit = "commits",
     .tag = 111, .help = "oort: who took part more often is barred; 0: nobody"},
    {STAGE(fed.select.max_times_part), REAL, .def = "0.3", RANGE(0, 1), .tag = 112,
     .help = "oort: at most this part of the members is barred"},
    {STAGE(fed.edge_rounds), UINT, .def = "0", RANGE(0, 10000000), .unit = "commits", .tag = 113,
     .help = "hierarchical averaging, simulator only: so many commits each domain averages its own "
             "silos, then all domains are averaged; 0: flat"},
    {STAGE(fed.weighting), WORD(weighting_names), .def = "samples", .tag = 21,
     .help = "weight of a silo: its train samples, 1, or min(samples, weight_cap)"},
    {STAGE(fed.weight_cap), UINT, RANGE(1, 536870911), .unit = "samples", .tag = 22,
     .help = "largest weight with weighting capped"},
    {STAGE(fed.encoding), WORD(encoding_names), .def = "float32", .tag = 23,
     .help =
         "numbers of an update on the wire; sparse: of a statistic without noise those not 0; of a "
         "train stage float16, bfloat16, int8 and qsgd (rounded by chance), topk (the largest, "
         "the rest waits in the silo), mask (the same random part of all silos)"},
    {STAGE(fed.compress.fraction), REAL, .def = "0", RANGE(0, 1), .tag = 120,
     .help = "topk, mask: part of the parameters that travels"},
    {STAGE(fed.compress.feedback), .type = XF_CONF_BOOL, .def = "true", .tag = 123,
     .help = "topk: what was not sent waits in the silo for later rounds; false: it is lost"},
    {STAGE(fed.compress.levels), UINT, .def = "0", RANGE(0, 127), .tag = 121,
     .help = "qsgd: levels beside 0, of each sign; 7 when nothing is given"},
    {STAGE(fed.compress.bucket), UINT, .def = "0", RANGE(0, 65536), .unit = "parameters",
     .tag = 122,
     .help = "int8, qsgd: parameters of one scale; 1024 (int8), 512 (qsgd) when nothing is given"},
    {STAGE(fed.server.kind), WORD(server_names), .def = "sgd", .tag = 24,
     .help = "server optimiser on the mean delta"},
    {STAGE(fed.server.lr), REAL, .def = "1", ABOVE(0, 1000), .tag = 25,
     .help = "server learning rate; Reptile's epsilon"},
    {STAGE(fed.server.momentum), REAL, .def = "0.9", RANGE(0, 0.9999), .tag = 26,
     .help = "of kinds momentum and nesterov"},
    {STAGE(fed.server.anneal), WORD(anneal_names), .def = "none", .tag = 27,
     .help = "linear: the rate falls to 0 over the stage; the same as schedule.kind: linear"},
    {STAGE(fed.server.b1), REAL, .def = "0.9", RANGE(0, 0.9999), .tag = 28, .help = "adam, yogi"},
    {STAGE(fed.server.b2), REAL, .def = "0.99", RANGE(0, 0.999999), .tag = 29,
     .help = "adam, yogi"},
    {STAGE(fed.server.tau), REAL, .def = "0.001", ABOVE(0, 1000), .tag = 35,
     .help = "adam, yogi, adagrad: added to the root of v"},
    {STAGE(fed.server.v0), REAL, .def = "-1", RANGE(-1, 1000000), .tag = 36,
     .help = "adam, yogi, adagrad: v before the first commit; below 0: tau squared"},
    {STAGE(fed.server.bias_correction), .type = XF_CONF_BOOL, .def = "false", .tag = 37,
     .help = "adam, yogi: the rate of commit t times sqrt(1 - b2^t) / (1 - b1^t)"},
    {STAGE(fed.schedule.kind), WORD(schedule_names), .def = "constant", .tag = 30,
     .help = "server.lr over the stage's commits"},
    {STAGE(fed.schedule.warmup), UINT, .def = "0", RANGE(0, 10000000), .unit = "commits", .tag = 31,
     .help = "commits over which the rate first rises linearly to its full size"},
    {STAGE(fed.schedule.every), UINT, .def = "0", RANGE(0, 10000000), .unit = "commits", .tag = 32,
     .help = "step: commits from one cut to the next"},
    {STAGE(fed.schedule.factor), REAL, .def = "0", RANGE(0, 1), .tag = 33,
     .help = "step: of each cut; exponential: of each commit; inverse: c of 1 / (1 + c t)"},
    {STAGE(fed.schedule.floor), REAL, .def = "0", RANGE(0, 1), .tag = 34,
     .help = "linear, cosine: part of the rate that is left at the stage's end"},
    {STAGE(fed.async.buffer), UINT, .def = "0", RANGE(0, 1000000), .unit = "updates", .tag = 140,
     .help = "updates of a commit, which comes when the last of them has; 0: synchronous rounds"},
    {STAGE(fed.async.concurrency), UINT, .def = "0", RANGE(0, 1000000), .unit = "silos", .tag = 141,
     .help = "silos that work at a time; at least the buffer"},
    {STAGE(fed.async.max_staleness), UINT, .def = "20", RANGE(0, 1000), .unit = "commits",
     .tag = 142, .help = "an update whose base is older is not taken; as many models are kept"},
    {STAGE(fed.async.staleness), WORD(staleness_names), .def = "inverse-sqrt", .tag = 143,
     .help = "what an update counts by the age of its base"},
    {STAGE(fed.async.a), REAL, .def = "0", RANGE(0, 1000), .tag = 144, .help = "polynomial, hinge"},
    {STAGE(fed.async.b), REAL, .def = "0", RANGE(0, 1000), .unit = "commits", .tag = 145,
     .help = "hinge: staleness up to which an update counts in full"},
    {STAGE(fed.async.threshold), REAL, .def = "0", RANGE(0, 1000), .unit = "commits", .tag = 146,
     .help = "adasgd: staleness that few updates exceed"},
    {STAGE(local.epochs), UINT, RANGE(1, 100000), .tag = 40,
     .help = "passes over the silo's train part per round; 1 when neither is given"},
    {STAGE(local.steps), UINT, RANGE(1, 10000000), .tag = 41,
     .help = "batches per round, instead of epochs"},
    {STAGE(local.batch), UINT, .def = "256", RANGE(0, 1048576), .unit = "samples", .tag = 42,
     .help = "samples of a step; 0: all at once"},
    {STAGE(local.optimizer.kind), WORD(optimizer_names), .def = "sgd", .tag = 43,
     .help = "local optimiser, reset per task"},
    {STAGE(local.optimizer.lr), REAL, ABOVE(0, 1000), .tag = 44,
     .help = "local learning rate; train needs it"},
    {STAGE(local.optimizer.momentum), REAL, .def = "0.9", RANGE(0, 0.9999), .tag = 45,
     .help = "of kinds momentum and nesterov"},
    {STAGE(local.optimizer.b1), REAL, .def = "0.9", RANGE(0, 0.9999), .tag = 46,
     .help = "adam, adamw"},
    {STAGE(local.optimizer.b2), REAL, .def = "0.999", RANGE(0, 0.999999), .tag = 47,
     .help = "adam, adamw"},
    {STAGE(local.optimizer.eps), REAL, .def = "1e-8", ABOVE(0, 1), .tag = 48,
     .help = "adam, adamw, adagrad"},
    {STAGE(local.optimizer.sparse), WORD(sparse_names), .def = "dense", .tag = 49,
     .help = "Adam on embeddings: dense is exact, lazy updates touched rows only"},
    {STAGE(local.optimizer.weight_decay), REAL, .def = "0", RANGE(0, 0.9999), .tag = 52,
     .help = "adamw: parameters shrink by lr times this before each step"},
    {STAGE(local.schedule.kind), WORD(schedule_names), .def = "constant", .tag = 54,
     .help = "optimizer.lr over the stage's commits"},
    {STAGE(local.schedule.warmup), UINT, .def = "0", RANGE(0, 10000000), .unit = "commits",
     .tag = 55, .help = "commits over which the rate first rises linearly to its full size"},
    {STAGE(local.schedule.every), UINT, .def = "0", RANGE(0, 10000000), .unit = "commits",
     .tag = 56, .help = "step: commits from one cut to the next"},
    {STAGE(local.schedule.factor), REAL, .def = "0", RANGE(0, 1), .tag = 57,
     .help = "step: of each cut; exponential: of each commit; inverse: c of 1 / (1 + c t)"},
    {STAGE(local.schedule.floor), REAL, .def = "0", RANGE(0, 1), .tag = 58,
     .help = "linear, cosine: part of the rate that is left at the stage's end"},
    {STAGE(local.l2), REAL, .def = "0", RANGE(0, 1000), .tag = 50,
     .help = "weight decay, on the rows a batch touches"},
    {STAGE(local.prox), REAL, .def = "0", RANGE(0, 1000), .tag = 59,
     .help =
         "fedprox, fednova: mu of mu/2 |u - w|^2 over the shared parameters, w the round's model"},
    {STAGE(local.negatives), UINT, .def = "1", RANGE(1, 1000), .tag = 51,
     .help = "sampled per positive (bpr and bce of interactions)"},
    {STAGE(local.meta.support), UINT, .def = "10", RANGE(1, 1048576), .unit = "samples", .tag = 80,
     .help = "train samples that inner steps see, each step all of them"},
    {STAGE(local.meta.query), UINT, .def = "10", RANGE(0, 1048576), .unit = "samples", .tag = 81,
     .help = "other train samples, by whose loss the start is judged; 0: all others"},
    {STAGE(local.meta.steps), UINT, .def = "1", RANGE(1, 1000), .tag = 82, .help = "inner steps"},
    {STAGE(local.meta.tasks), UINT, .def = "1", RANGE(1, 100000), .tag = 83,
     .help = "draws of support and query that a meta-gradient is the mean over"},
    {STAGE(local.meta.lr), REAL, .def = "0", RANGE(0, 1000), .tag = 84,
     .help = "rate of inner steps; metasgd: where the learnt rates start"},
    {STAGE(local.meta.hessian), WORD(hessian_names), .def = "auto", .tag = 85,
     .help =
         "how the meta-gradient goes through inner steps; auto: none for fomaml, difference for "
         "perfedavg, else exact"},
    {STAGE(local.personal.head_epochs), UINT, .def = "0", RANGE(0, 100000), .tag = 90,
     .help = "fedrep: passes of a round in which the head learns and the body stands still"},
    {STAGE(local.personal.steps), UINT, .def = "5", RANGE(1, 1000), .tag = 91,
     .help = "pfedme: inner steps on each batch"},
    {STAGE(local.personal.lambda), REAL, .def = "0", RANGE(0, 1000), .tag = 92,
     .help = "ditto, pfedme: pull of the silo's own net towards the round's model"},
    {STAGE(local.personal.lr), REAL, .def = "0", RANGE(0, 1000), .tag = 93,
     .help = "pfedme: rate of inner steps; apfl: of the mix's weight, 0: as optimizer.lr"},
    {STAGE(local.personal.alpha), REAL, .def = "0.5", RANGE(0, 1), .tag = 94,
     .help = "apfl: first weight of the silo's own net in the mix"},
    {STAGE(local.sample_rate), REAL, ABOVE(0, 1), .tag = 53,
     .help = "privacy.unit record or user: probability with which each unit takes part in a step; "
             "the sum is divided by batch"},
    {STAGE(rows.rule), WORD(row_rule_names), .def = "pull", .tag = 60,
     .help =
         "what aligned rows get from other silos: their mean as prior, the mean itself, or (rows "
         "stage) exact sums of the normal equations"},
    {STAGE(rows.kappa), REAL, .def = "0.25", RANGE(0, 1), .tag = 61,
     .help = "pull: weight of the others' mean as prior"},
    {STAGE(rows.min_holders), UINT, .def = "3", RANGE(2, 1000000), .unit = "silos", .tag = 62,
     .help = "silos that must hold a row before it is exchanged"},
    {STAGE(rows.clip_row), REAL, .def = "0", RANGE(0, 1000000), .unit = "L2", .tag = 63,
     .help = "bound of one row's delta; 0: none"},
    {STAGE(rows.dim), UINT, .def = "96", RANGE(1, 1024), .unit = "factors", .tag = 64,
     .help = "rows stage: length of a row"},
    {STAGE(rows.alpha), REAL, .def = "0.01", ABOVE(0, 1000), .tag = 65,
     .help = "rows stage: weight of unobserved pairs"},
    {STAGE(rows.rho), REAL, .def = "0.3", ABOVE(0, 1000), .tag = 66,
     .help = "rows stage: regularisation, scaled by frequency^nu"},
    {STAGE(rows.nu), REAL, .def = "0.5", RANGE(0, 2), .tag = 67, .help = "rows stage"},
    {STAGE(rows.formation), UINT, .def = "1", RANGE(0, 1000), .unit = "rounds", .tag = 68,
     .help = "rows stage: first pulls, with kappa 1"},
    {STAGE(rows.inner), UINT, .def = "0", RANGE(0, 10000000), .unit = "rounds", .tag = 69,
     .help = "rows stage: first rounds whose rows leave out each user's split A, so that mixes can "
             "learn from this stage too"},
    {STAGE(rows.others), REAL, .def = "1", RANGE(0, 1), .tag = 70,
     .help = "sums: weight of the other silos' sums against the own ones; 1: as if all were one"},
};
static const struct xf_conf_schema stage_schema = {
    stage_keys, sizeof stage_keys / sizeof stage_keys[0], sizeof(struct xf_plan_stage_part)};

static const struct xf_conf_key plan_keys[] = {
    {PLAN(name), TEXT, .required = true, .id = true, .tag = 1, .help = "name of the experiment"},
    {PLAN(seed), UINT, .def = "1", .tag = 2, .help = "of all seeded streams"},
    {PLAN(init), .type = XF_CONF_PATH, .def = "", .tag = 3,
     .help = "checkpoint of the coordinator to start from"},
    {PLAN(data.kind), WORD(data_names), .required = true, .tag = 10, .help = "what silos hold"},
    {PLAN(data.min_value), REAL, .def = "0", RANGE(-1e9, 1e9), .tag = 11,
     .help = "interactions with a value below it are dropped; 0: none"},
    {PLAN(data.split.kind), WORD(split_names), .def = "leave-one-out", .tag = 12,
     .help = "how train, validation and test are told apart"},
    {PLAN(data.split.by), WORD(by_names), .def = "time", .tag = 13,
     .help = "which event is the last; what names a predefined part"},
    {PLAN(data.split.min), UINT, .def = "5", RANGE(1, 1000000), .unit = "events", .tag = 14,
     .help = "a user needs to give any away"},
    {PLAN(data.split.test_fraction), REAL, .def = "0.2", RANGE(0, 0.95), .tag = 15,
     .help = "of a random split"},
    {PLAN(data.split.valid_fraction), REAL, .def = "0.1", RANGE(0, 0.95), .tag = 16,
     .help = "of a random split; of the train part of a predefined one"},
    {PLAN(data.table.label), UINT, .def = "0", RANGE(0, 4096), .unit = "column", .tag = 17,
     .help = "counted from 1; 0: the last"},
    {PLAN(data.table.binary), .type = XF_CONF_BOOL, .def = "false", .tag = 18,
     .help = "the label becomes 1 if above 0, else 0"},
    {PLAN(data.table.missing), WORD(missing_names), .def = "refuse", .tag = 19,
     .help = "rows with a missing value"},
    {PLAN(data.table.scale), WORD(scale_names), .def = "none", .tag = 20,
     .help = "silo: mean 0, deviation 1 by the silo's own train rows"},
    {PLAN_LIST(data.table.drop, data.table.n_drop), UINT, RANGE(1, 4096), .unit = "column",
     .tag = 21, .help = "columns left out"},
    {PLAN_LIST(data.table.one_hot, data.table.n_one_hot), TEXT, .tag = 22,
     .help = "\"3:1,2,4\": column 3 takes these values; each but the first becomes a 0/1 input"},
    {PLAN(model.kind), WORD(model_names), .required = true, .tag = 30, .help = "the model"},
    {PLAN(model.loss), WORD(loss_names), .def = "bpr", .tag = 31,
     .help = "the loss; recommender: leave it out"},
    {PLAN(model.init_std), REAL, .def = "0", RANGE(0, 10), .tag = 32,
     .help = "deviation of initial weights; 0: the model's own rule"},
    {PLAN(model.bias), .type = XF_CONF_BOOL, .def = "true", .tag = 33, .help = "bias terms"},
    {PLAN(model.dim), UINT, .def = "32", RANGE(1, 4096), .tag = 34,
     .help = "mf: factors; char-*: of a letter"},
    {PLAN(model.users), WORD(users_names), .def = "user", .tag = 35,
     .help = "mf: user rows stay, or are exchanged by pseudonym"},
    {PLAN(model.items), WORD(items_names), .def = "domain", .tag = 36,
     .help = "mf: item rows stay, are one shared table, or are exchanged by key"},
    {PLAN(model.user_ns), TEXT, .id = true, .def = "user", .tag = 37,
     .help = "namespace of aligned users"},
    {PLAN(model.item_ns), TEXT, .id = true, .def = "item", .tag = 38,
     .help = "namespace of aligned items"},
    {PLAN(model.n_in), UINT, .def = "0", RANGE(0, 1048576), .tag = 39,
     .help = "mlp, logreg: inputs; dkt: skills; char-*: 96 letters"},
    {PLAN(model.n_out), UINT, .def = "0", RANGE(0, 65536), .tag = 40,
     .help = "mlp, logreg: outputs; dkt: 1; char-*: 96 letters"},
    {PLAN_LIST(model.hidden, model.n_hidden), UINT, RANGE(1, 65536), .tag = 41,
     .help = "mlp: sizes of the hidden layers; dkt, char-*: of the one or two "
             "recurrent ones"},
    {PLAN(model.activation), WORD(activation_names), .def = "relu", .tag = 42,
     .help = "mlp: of the hidden layers"},
    {PLAN(model.steps), UINT, .def = "200", RANGE(1, 16384), .unit = "steps", .tag = 43,
     .help = "dkt, char-lstm, char-gru: sequences are cut into chunks of so many for training"},
    {PLAN_LIST(stages, n_stages), .type = XF_CONF_SECTIONS, .sections = &stage_schema,
     .required = true, .tag = 50, .help = "what happens, in order"},
    {PLAN(privacy.unit), WORD(unit_names), .def = "silo", .tag = 60,
     .help = "whom the noise hides: the silo, or one user or record of it (each step clipped and "
             "noised)"},
    {PLAN(privacy.clip), REAL, .def = "0", RANGE(0, 1000000), .unit = "L2", .tag = 61,
     .help = "bound of one update, with unit user or record of one unit's gradient in a step; 0: "
             "none"},
    {PLAN(privacy.noise_multiplier), REAL, .def = "0", RANGE(0, 1000), .unit = "x clip", .tag = 62,
     .help = "deviation of the noise each silo adds to an update, or to each step; 0: none"},
    {PLAN(privacy.delta), REAL, .def = "1e-5", ABOVE(0, 0.1), .tag = 63,
     .help = "of the (epsilon, delta) account"},
    {PLAN(privacy.accountant), WORD(accountant_names), .def = "rdp", .tag = 64,
     .help = "how releases compose"},
    {PLAN(privacy.secure_aggregation), .type = XF_CONF_BOOL, .def = "false", .tag = 65,
     .help = "reserved"},
    {PLAN(eval.every), UINT, .def = "5", RANGE(0, 10000000), .unit = "commits", .tag = 70,
     .help = "evaluation rounds; 0: only after the last commit"},
    {PLAN_LIST(eval.metrics, eval.n_metrics), TEXT, .tag = 71,
     .help = "hr@k ndcg@k recall@k precision@k mrr auc acc rmse logloss; of tables also @adaptK, "
             "after K "
             "steps on own samples (local.meta); by data, loss and algorithm when not given"},
    {PLAN_LIST(eval.protocol, eval.n_protocol), TEXT, .tag = 72,
     .help = "ranking among all items (full) or N sampled ones (s999)"},
    {PLAN(eval.train), .type = XF_CONF_BOOL, .def = "false", .tag = 73,
     .help = "also the figures of the train part, reported as train; not of interactions"},
    {PLAN_LIST(arms, n_arms), WORD(arm_names), .def = "federated", .tag = 80,
     .help = "what is computed and compared"},
    {PLAN(early_stop.patience), UINT, .def = "0", RANGE(0, 100000), .unit = "evaluations",
     .tag = 85,
     .help = "without improvement before the stage ends; 0: off; one without a figure (NaN) does "
             "not count"},
    {PLAN(early_stop.metric), TEXT, .def = "", .tag = 86,
     .help = "one of eval.metrics, on the validation part; the first when not given"},
    {PLAN(early_stop.min_delta), REAL, .def = "0", RANGE(0, 1000000), .tag = 87,
     .help = "smallest change that counts as improvement"},
    {PLAN(sim.data), .type = XF_CONF_PATH, .def = "", .expand = true,
     .help = "file, or directory of the files"},
    {PLAN(sim.split), .type = XF_CONF_PATH, .def = "", .expand = true,
     .help = "file that names the parts of a predefined split"},
    {PLAN(sim.columns.user), UINT, .def = "0", RANGE(0, 4096), .help = "column, from 1"},
    {PLAN(sim.columns.item), UINT, .def = "0", RANGE(0, 4096), .help = "column, from 1"},
    {PLAN(sim.columns.domain), UINT, .def = "0", RANGE(0, 4096), .help = "column; 0: none"},
    {PLAN(sim.columns.value), UINT, .def = "0", RANGE(0, 4096), .help = "column; 0: none"},
    {PLAN(sim.columns.time), UINT, .def = "0", RANGE(0, 4096), .help = "column; 0: none"},
    {PLAN(sim.columns.client), UINT, .def = "0", RANGE(0, 4096), .help = "column; 0: none"},
    {PLAN(sim.clients.by), WORD(clients_names), .def = "domain",
     .help = "how the data are dealt to clients"},
    {PLAN(sim.clients.n), UINT, .def = "0", RANGE(0, 1000000),
     .help = "clients (uniform, shards, dirichlet, sinusoid)"},
    {PLAN(sim.clients.domains), UINT, .def = "0", RANGE(0, 1000000), .unit = "domains",
     .help = "numbered clients belong to so many domains, in turn; 0: each to its own"},
    {PLAN(sim.clients.shards), UINT, .def = "2", RANGE(1, 1000), .help = "label shards per client"},
    {PLAN(sim.clients.alpha), REAL, .def = "0.5", ABOVE(0, 1000000), .help = "of dirichlet"},
    {PLAN_LIST(sim.clients.only, sim.clients.n_only), TEXT, .expand = true,
     .help = "domains, column values, or numbers of clients (3, 1-40) that take part; all when not "
             "given"},
    {PLAN_LIST(sim.clients.files, sim.clients.n_files), TEXT, .expand = true,
     .help =
         "by file: names below sim.data, a client each; by user: source, target, held-out rows"},
    {PLAN(sim.clients.common), UINT, .def = "0", RANGE(0, 1000000000), .unit = "people",
     .help = "by user: user numbers below it name the same person in both files"},
    {PLAN(sim.clients.rows), UINT, .def = "0", RANGE(0, 1000000), .unit = "samples",
     .help = "sinusoid: points of a client; 100 when not given"},
    {PLAN(sim.clients.name), TEXT, .def = "silo-{}",
     .help = "member id; {} is the domain, column value, file or number"},
    {PLAN(sim.categories), .type = XF_CONF_PATH, .def = "", .expand = true,
     .help = "categories of every client's items: lines of item, tab, categories separated by '|'"},
    {PLAN(sim.kg.triples), .type = XF_CONF_PATH, .def = "", .expand = true,
     .help = "knowledge graph beside every client's items: lines of head, relation, tail"},
    {PLAN(sim.kg.items), .type = XF_CONF_PATH, .def = "", .expand = true,
     .help = "lines of item, entity; none: the entity of the item's key"},
    {PLAN(sim.kg.relations), .type = XF_CONF_PATH, .def = "", .expand = true,
     .help = "relations there may be, one a line; none: any"},
    {PLAN(sim.cost.sample_s), REAL, .def = "0", RANGE(0, 3600), .unit = "s",
     .help = "virtual time of a trained sample at the fastest client; 0: no cost"},
    {PLAN(sim.cost.byte_s), REAL, .def = "0", RANGE(0, 3600), .unit = "s",
     .help = "virtual time of a byte of model and update at the fastest client"},
    {PLAN(sim.cost.spread), REAL, .def = "1", RANGE(1, 10000),
     .help = "slowest by fastest client, evenly in the logarithm, for each of the two"},
    {PLAN(sim.cost.latency_s), REAL, .def = "0", RANGE(0, 3600), .unit = "s",
     .help = "virtual time that each training task takes besides"},
    {PLAN(sim.dropout), REAL, .def = "0", RANGE(0, 0.999),
     .help = "probability that a selected client does not answer"},
    {PLAN(sim.delay_s), .type = XF_CONF_DURATION, .def = "0", RANGE(0, 604800), .unit = "s",
     .help = "mean extra time of a client, virtual"},
    {PLAN(sim.threads), UINT, .def = "0", RANGE(0, 4096), .help = "workers; 0: all cores"},
};
const struct xf_conf_schema xf_plan_schema = {plan_keys, sizeof plan_keys / sizeof plan_keys[0],
                                              sizeof(struct xf_plan)};
