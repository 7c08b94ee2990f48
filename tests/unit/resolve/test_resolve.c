/* What a plan may say and this version cannot do is refused by its key; the rest arrives in the libraries' structs. */
#include "plans.h"
#include "resolve/resolve.h"
#include "resolve/stop.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static struct xf_plan plan;

static void two_stages(struct xf_plan *p) {
  p->stages[1] = p->stages[0];
  p->n_stages = 2;
}
static void from_checkpoint(struct xf_plan *p) { memcpy(p->init, "x.ckpt", 7); }
static void pooled(struct xf_plan *p) {
  p->arms[0] = XF_PLAN_ARM_FEDERATED;
  p->arms[1] = XF_PLAN_ARM_POOLED;
  p->n_arms = 2;
}
static void guarded(struct xf_plan *p) {
  p->arms[0] = XF_PLAN_ARM_GUARDED;
  p->n_arms = 1;
}
static void aligned_items(struct xf_plan *p) { p->model.items = XF_PLAN_ITEMS_ALIGNED; }
static void shared_items(struct xf_plan *p) { p->model.items = XF_PLAN_ITEMS_SHARED; }
static void own_users(struct xf_plan *p) { p->model.users = XF_PLAN_USERS_USER; }

static void test_refusals(void **state) {
  (void)state;
  static const struct {
    void (*change)(struct xf_plan *p);
    const char *says;
    enum xf_rc rc;
  } row[] = {
      {two_stages, "stages: more than one", XF_E_UNSUPPORTED},
      {from_checkpoint, "init", XF_E_UNSUPPORTED},
      {pooled, "arms: pooled", XF_E_UNSUPPORTED},
      {guarded, "arms: pooled, guarded (but of a recommender)", XF_E_UNSUPPORTED},
      {aligned_items, "model.items: aligned", XF_E_UNSUPPORTED},
      {shared_items, "model.items: aligned, shared", XF_E_UNSUPPORTED},
      {own_users, "users: user and items: domain shares nothing", XF_E_CONFIG},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    struct xf_diag diag;
    plans_load(&plan, plans_mf, "");
    row[i].change(&plan);
    xf_diag_init(&diag);
    assert_int_equal(xf_resolve_check(&plan, &diag), row[i].rc);
    if (!strstr(diag.text, row[i].says)) fail_msg("\"%s\" lacks \"%s\"", diag.text, row[i].says);
  }
}

static void test_accepts(void **state) {
  (void)state;
  static const struct {
    const char *text, *sets;
  } row[] = {
      {plans_mf, ""},
      {plans_mf, "rows.rule=average"},
      {plans_mf, "model.loss=bce model.users=user"},
      {plans_mf, "model.loss=mse"},
      {plans_table, ""},
      {plans_table, "model.kind=mlp model.hidden=4,3 model.loss=mse eval.metrics=rmse"},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    struct xf_diag diag;
    plans_load(&plan, row[i].text, row[i].sets);
    xf_diag_init(&diag);
    if (xf_resolve_check(&plan, &diag)) fail_msg("%s: %s", row[i].sets, diag.text);
  }
}

static void test_model(void **state) {
  (void)state;
  struct xf_model_config c;
  plans_load(&plan, plans_mf, "model.loss=bce model.init_std=0.5 model.user_ns=people");
  assert_int_equal(xf_resolve_model(&c, &plan, NULL), XF_OK);
  assert_int_equal(c.kind, XF_MODEL_MF);
  assert_int_equal(c.loss, XF_LOSS_BCE);
  assert_int_equal(c.users, XF_ROWS_ALIGNED);
  assert_int_equal(c.items, XF_ROWS_LOCAL);
  assert_int_equal(c.dim, 3);
  assert_true(c.init_std == 0.5);
  assert_string_equal(c.user_ns, "people");
  assert_string_equal(xf_resolve_spaces(&plan).at[0].ns, "people");

  plans_load(&plan, plans_table,
             "model.kind=mlp model.loss=softmax model.n_in=5 model.n_out=3 model.hidden=4,6 "
             "model.activation=tanh eval.metrics=acc");
  assert_int_equal(xf_resolve_model(&c, &plan, NULL), XF_OK);
  assert_int_equal(c.kind, XF_MODEL_MLP);
  assert_int_equal(c.loss, XF_LOSS_SOFTMAX);
  assert_int_equal(c.activation, XF_ACT_TANH);
  assert_int_equal(c.n_in, 5);
  assert_int_equal(c.n_out, 3);
  assert_int_equal(c.n_hidden, 2);
  assert_int_equal(c.hidden[0], 4);
  assert_int_equal(c.hidden[1], 6);
  assert_int_equal(xf_resolve_spaces(&plan).n, 0);
  assert_false(xf_resolve_pulls(&plan, 0));
}

static void test_local(void **state) {
  (void)state;
  plans_load(
      &plan, plans_mf,
      "local.epochs=2 local.batch=16 local.l2=0.5 local.negatives=3 local.optimizer.kind=adam "
      "local.optimizer.lr=0.25 local.optimizer.b1=0.5 local.optimizer.b2=0.75 "
      "local.optimizer.eps=0.125 local.optimizer.sparse=lazy rows.kappa=0.75");
  struct xf_local_config l = xf_resolve_local(&plan, 0);
  assert_int_equal(l.epochs, 2);
  assert_int_equal(l.steps, 0);
  assert_int_equal(l.batch, 16);
  assert_int_equal(l.negatives, 3);
  assert_true(l.l2 == 0.5 && l.pull == XF_PULL_DEFAULT && l.kappa == 0.75);
  assert_int_equal(l.optimizer.kind, XF_OPTIM_ADAM);
  assert_true(l.optimizer.lr == 0.25f && l.optimizer.beta1 == 0.5f && l.optimizer.beta2 == 0.75f &&
              l.optimizer.eps == 0.125f && l.optimizer.lazy);
  assert_true(xf_resolve_pulls(&plan, 0));

  plans_load(&plan, plans_mf,
             "rows.rule=average local.optimizer.kind=momentum local.optimizer.momentum=0.5 "
             "local.steps=9");
  l = xf_resolve_local(&plan, 0);
  assert_int_equal(l.steps, 9);
  assert_int_equal(l.epochs, 0);
  assert_int_equal(l.optimizer.kind, XF_OPTIM_MOMENTUM);
  assert_true(l.optimizer.momentum == 0.5f && l.pull == 0 && l.kappa == 0);
  assert_false(xf_resolve_pulls(&plan, 0));
}

static void test_schedules(void **state) {
  (void)state;
  plans_load(&plan, plans_mf, "local.optimizer.lr=0.25");
  assert_true(xf_resolve_rate(&plan, 0, 0) == 0.25F && xf_resolve_rate(&plan, 0, 99) == 0.25F);
  plans_load(&plan, plans_mf,
             "local.optimizer.lr=0.25 local.schedule.kind=linear local.schedule.floor=0.5 "
             "fed.rounds=9 local.schedule.warmup=1 fed.schedule.kind=step fed.schedule.every=2 "
             "fed.schedule.factor=0.5 fed.server.lr=0.5 rows.rule=average");
  assert_true(xf_resolve_rate(&plan, 0, 0) == 0.25F && xf_resolve_rate(&plan, 0, 1) == 0.25F);
  assert_true(xf_resolve_rate(&plan, 0, 5) == 0.1875F && xf_resolve_rate(&plan, 0, 9) == 0.125F);
  const struct xf_strategy s = xf_resolve_strategy(&plan, 0);
  assert_true(xf_strategy_get(&s, 1).eta == 0.5 && xf_strategy_get(&s, 4).eta == 0.125);
  plans_load(&plan, plans_mf,
             "fed.rounds=5 local.schedule.kind=exponential local.schedule.factor=1e-30");
  assert_true(xf_resolve_rate(&plan, 0, 4) > 0); /* a rate of 0 is no rate */
  /* every kind of the plan is that of the library */
  for (int k = XF_PLAN_SCHEDULE_CONSTANT; k <= XF_PLAN_SCHEDULE_INVERSE_ROOT; k++) {
    plan.stages[0].fed.schedule.kind = (enum xf_plan_schedule)k;
    assert_int_equal(xf_resolve_strategy(&plan, 0).schedule.kind, k);
  }
}

static void test_stop(void **state) {
  (void)state;
  struct xf_measures m;
  struct xf_diag diag;
  plans_load(&plan, plans_mf,
             "eval.metrics=hr@10,mrr eval.protocol=full,s9 early_stop.patience=2 "
             "early_stop.metric=mrr");
  assert_int_equal(xf_resolve_check(&plan, &diag), XF_OK);
  assert_int_equal(xf_resolve_measures(&m, &plan, &diag), XF_OK);
  assert_int_equal(xf_resolve_stop_measure(&plan, &m), 1);
  assert_string_equal(m.key[1], "mrr_full"); /* of the first protocol */
  assert_true(xf_resolve_stop_value(&plan, &m, 3, 4) == 0.75);
  assert_true(isnan(xf_resolve_stop_value(&plan, &m, 0, 0)));
  plan.early_stop.patience = 0;
  assert_int_equal(xf_resolve_stop_measure(&plan, &m), m.n);
  assert_true(isnan(xf_resolve_stop_value(&plan, &m, 3, 4)));
}

static void test_strategy_and_weight(void **state) {
  (void)state;
  plans_load(&plan, plans_mf,
             "fed.server.kind=momentum fed.server.lr=0.5 fed.server.momentum=0.25 "
             "fed.weighting=capped fed.weight_cap=9 rows.rule=average");
  struct xf_strategy s = xf_resolve_strategy(&plan, 0);
  assert_int_equal(s.kind, XF_STRATEGY_FEDAVG);
  assert_int_equal(s.server.kind, XF_SERVER_MOMENTUM);
  assert_true(s.server.eta == 0.5 && s.server.b1 == 0.25);
  assert_int_equal(s.schedule.kind, XF_SCHEDULE_CONSTANT);
  assert_int_equal(s.schedule.rounds, 4);
  assert_int_equal(xf_resolve_weight(&plan, 0), XF_WEIGHT_CAPPED);

  plans_load(&plan, plans_mf,
             "fed.algorithm=reptile fed.weighting=uniform fed.server.anneal=linear local.steps=4 "
             "rows.rule=average");
  s = xf_resolve_strategy(&plan, 0);
  assert_int_equal(s.kind, XF_STRATEGY_REPTILE);
  assert_int_equal(s.server.kind, XF_SERVER_SGD);
  assert_int_equal(s.schedule.kind, XF_SCHEDULE_LINEAR);
  assert_int_equal(xf_resolve_weight(&plan, 0), XF_WEIGHT_UNIFORM);
  plans_load(&plan, plans_mf, "fed.weighting=samples");
  assert_int_equal(xf_resolve_weight(&plan, 0), XF_WEIGHT_SAMPLES);
}

static void test_measures(void **state) {
  (void)state;
  struct xf_measures m;
  plans_load(&plan, plans_mf, "eval.metrics=hr@10,ndcg@5 eval.protocol=full,s99");
  assert_int_equal(xf_resolve_measures(&m, &plan, NULL), XF_OK);
  static const char *const key[] = {"hr_10_full", "ndcg_5_full", "hr_10_s99", "ndcg_5_s99"};
  assert_int_equal(m.n, 4);
  for (size_t i = 0; i < 4; i++) {
    assert_string_equal(m.key[i], key[i]);
    assert_int_equal(m.n_neg[i], i < 2 ? 0 : 99);
  }
  assert_int_equal(xf_measures_main(&m), 1);

  plans_load(&plan, plans_table, "");
  assert_int_equal(xf_resolve_measures(&m, &plan, NULL), XF_OK);
  assert_int_equal(m.n, 2);
  assert_string_equal(m.key[0], "acc");
  assert_int_equal(xf_measures_main(&m), 0);
}

static void test_meta(void **state) {
  (void)state;
  static const struct {
    const char *algorithm;
    enum xf_meta_kind kind;
    enum xf_metawork_part adapts;
    uint32_t steps;
  } row[] = {
      {"maml", XF_META_MAML, XF_METAWORK_ALL, 0},    {"fomaml", XF_META_FOMAML, XF_METAWORK_ALL, 0},
      {"anil", XF_META_MAML, XF_METAWORK_HEAD, 0},   {"boil", XF_META_MAML, XF_METAWORK_BODY, 0},
      {"metasgd", XF_META_MAML, XF_METAWORK_ALL, 0}, {"perfedavg", XF_META_HF, XF_METAWORK_ALL, 3}};
  struct xf_model_config model;
  struct xf_diag diag;
  char sets[256];
  xf_diag_init(&diag);
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    (void)snprintf(sets, sizeof sets,
                   "model.kind=mlp model.hidden=4 fed.algorithm=%s local.steps=3 local.l2=0.5 "
                   "local.meta.lr=0.25 local.meta.support=6 local.meta.query=7 local.meta.steps=8 "
                   "local.meta.tasks=9",
                   row[i].algorithm);
    plans_load(&plan, plans_table, sets);
    const struct xf_metawork_config c = xf_resolve_meta(&plan, 0);
    assert_int_equal(c.kind, row[i].kind);
    assert_int_equal(c.adapts, row[i].adapts);
    assert_int_equal(c.steps, row[i].steps);
    assert_true(c.support == 6 && c.query == 7 && c.inner_steps == 8 && c.tasks == 9);
    assert_true(c.inner_lr == .25 && c.l2 == .5);
    assert_int_equal(xf_resolve_model(&model, &plan, &diag), XF_OK);
    assert_true(model.rates == (i == 4 ? .25 : 0));
    if (xf_resolve_check(&plan, &diag)) fail_msg("%s", diag.text);
    const struct xf_strategy s = xf_resolve_strategy(&plan, 0);
    assert_int_equal(s.kind, XF_STRATEGY_FEDAVG);
  }
  plans_load(&plan, plans_table,
             "fed.algorithm=perfedavg local.steps=2 local.meta.lr=1 "
             "local.meta.hessian=exact");
  assert_int_equal(xf_resolve_meta(&plan, 0).kind, XF_META_MAML);
  plans_load(&plan, plans_table, "fed.algorithm=boil local.meta.lr=1");
  assert_int_equal(xf_resolve_check(&plan, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "fed.algorithm: boil: model logreg is all head"));
  // plans that only measure adaptation
  struct xf_measures m;
  plans_load(&plan, plans_table, "local.meta.lr=1 eval.metrics=acc,acc@adapt2,acc@adapt7,logloss");
  assert_int_equal(xf_resolve_meta(&plan, 0).tasks, 0);
  assert_int_equal(xf_resolve_measures(&m, &plan, &diag), XF_OK);
  static const uint32_t adapt[] = {0, 2, 7, 0};
  for (size_t i = 0; i < 4; i++) assert_int_equal(m.adapt[i], adapt[i]);
  assert_string_equal(m.key[2], "acc_adapt7");
}

static void measure_refused(const char *metric, enum xf_rc want, const char *says) {
  struct xf_measures m;
  struct xf_diag diag;
  plans_load(&plan, plans_table, "");
  memset(plan.eval.metrics[1], 0, sizeof plan.eval.metrics[1]);
  memcpy(plan.eval.metrics[1], metric, strlen(metric));
  xf_diag_init(&diag);
  assert_int_equal(xf_resolve_measures(&m, &plan, &diag), want);
  if (!strstr(diag.text, says)) fail_msg("\"%s\" lacks \"%s\"", diag.text, says);
}

static void test_measures_refused(void **state) {
  (void)state;
  measure_refused("ndcg@10", XF_E_UNSUPPORTED, "eval.metrics: \"ndcg@10\" does not fit");
  measure_refused("beauty", XF_E_CONFIG, "eval.metrics: \"beauty\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_accepts),
      cmocka_unit_test(test_model),
      cmocka_unit_test(test_local),
      cmocka_unit_test(test_schedules),
      cmocka_unit_test(test_stop),
      cmocka_unit_test(test_strategy_and_weight),
      cmocka_unit_test(test_measures),
      cmocka_unit_test(test_measures_refused),
      cmocka_unit_test(test_meta),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
