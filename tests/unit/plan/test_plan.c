/* Plans: examples load, print reads back, the digest is of what matters. */
#include "conf/schema.h"
#include "plan/combine.h"
#include "plan/plan.h"
#include "plan/schema.h"
#include "plan/view.h"
#include "texts.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void digest_of(struct xf_digest *out, const char *text, const char *sets) {
  struct xf_plan plan;
  texts_load_ok(&plan, text, sets);
  assert_int_equal(xf_plan_digest(out, &plan), XF_OK);
}

static void test_schema(void **state) {
  (void)state;
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_conf_schema_check(&xf_plan_schema, &diag)) fail_msg("%s", diag.text);
  /* everything but sim is encoded */
  for (size_t i = 0; i < xf_plan_schema.n_key; i++) {
    const struct xf_conf_key *k = &xf_plan_schema.key[i];
    assert_int_equal(k->tag == 0, strncmp(k->path, "sim.", 4) == 0);
    assert_true(strncmp(k->path, "sim.", 4) == 0 || !k->expand);
  }
}

static void test_defaults(void **state) {
  (void)state;
  struct xf_plan p;
  texts_load_ok(&p, base, "");
  assert_true(p.stages[0].fed.cohort == 1 && p.stages[0].fed.quorum == 0.75);
  assert_int_equal(p.stages[0].local.epochs, 1);
  assert_true(p.stages[0].fed.eval_deadline_s == p.stages[0].fed.deadline_s);
  assert_int_equal(p.stages[0].rows.min_holders, 3);
  assert_true(p.stages[0].rows.kappa == 0.25);
  assert_int_equal(p.eval.n_metrics, 2);
  assert_string_equal(p.eval.metrics[1], "ndcg@10");
  assert_string_equal(p.eval.protocol[0], "full");
  assert_int_equal(p.n_arms, 1);
  assert_int_equal(p.arms[0], XF_PLAN_ARM_FEDERATED);
  texts_load_ok(&p, table_base, "");
  assert_int_equal(p.eval.n_protocol, 0);
  assert_string_equal(p.eval.metrics[0], "acc");
  texts_load_ok(&p, base, "fed.rounds=9 fed.cohort_count=3 local.steps=7 early_stop.patience=2");
  assert_int_equal(p.stages[0].fed.rounds, 9);
  assert_true(p.stages[0].fed.cohort == 0);
  assert_int_equal(p.stages[0].local.epochs, 0);
  assert_string_equal(p.early_stop.metric, "hr@10");
}

static void test_print_fixpoint(void **state) {
  (void)state;
  static const char *const sets[] = {
      "", "fed.cohort_count=3 local.steps=7 arms=alone,federated,guarded seed=18446744073709551615",
      "eval.metrics=mrr,hr@5 eval.protocol=s99 privacy.clip=0.1 sim.clients.only=a,b"};
  for (size_t i = 0; i < 3; i++) {
    struct xf_plan p, q;
    struct xf_buf a, b;
    xf_buf_init(&a, 65536);
    xf_buf_init(&b, 65536);
    texts_load_ok(&p, base, sets[i]);
    assert_int_equal(xf_plan_print(&a, &p), XF_OK);
    texts_load_ok(&q, xf_buf_cstr(&a), "");
    assert_int_equal(xf_plan_print(&b, &q), XF_OK);
    assert_string_equal(xf_buf_cstr(&a), xf_buf_cstr(&b));
    assert_memory_equal(&p, &q, sizeof p);
    xf_buf_deinit(&a);
    xf_buf_deinit(&b);
  }
}

static void test_digest(void **state) {
  (void)state;
  struct xf_digest d, e;
  digest_of(&d, base, "");
  /* key order, comments, spelling of numbers and defaults do not matter; neither does sim */
  digest_of(&e,
            "# other order\nstages: [{local: {optimizer: {lr: 1.0e-1}, epochs: 1}, fed: {cohort: "
            "1.0, rounds: 4}}]\nmodel: {loss: bpr, kind: mf}\ndata: {kind: interactions}\n"
            "sim: {threads: 3, dropout: 0.5}\nname: base\n",
            "");
  assert_true(xf_digest_equal(&d, &e));
  digest_of(&e, base,
            "sim.data=/x/y sim.columns.user=1 sim.columns.item=2 sim.columns.domain=3 "
            "sim.columns.time=4 sim.clients.name=q-{} sim.delay_s=5");
  assert_true(xf_digest_equal(&d, &e));
  /* each of these does */
  static const char *const sets[] = {"seed=2",
                                     "name=other",
                                     "model.dim=33",
                                     "fed.rounds=5",
                                     "local.optimizer.lr=0.10000000000000002",
                                     "rows.kappa=0.2",
                                     "privacy.clip=1",
                                     "eval.every=6",
                                     "arms=alone,federated",
                                     "init=/x",
                                     "model.users=aligned",
                                     "fed.server.anneal=linear",
                                     "fed.schedule.kind=linear",
                                     "local.schedule.kind=linear",
                                     "local.schedule.warmup=1",
                                     "data.split.min=6",
                                     "eval.protocol=s999"};
  for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
    digest_of(&e, base, sets[i]);
    if (xf_digest_equal(&d, &e)) fail_msg("%s does not change the digest", sets[i]);
  }
}

/* The encoding is a contract between releases: these bytes and this digest never change. */
static void test_digest_pinned(void **state) {
  (void)state;
  struct xf_digest d;
  char hex[XF_DIGEST_HEX];
  digest_of(&d, base, "");
  assert_string_equal(xf_digest_print(hex, &d),
                      "c808f14f1f18ab2ec4b47c19139659d4d6649ee58ccdb9d675eab5ad3fdb8735");
  digest_of(&d, table_base, "privacy.clip=1 fed.weighting=uniform privacy.noise_multiplier=2");
  assert_string_equal(xf_digest_print(hex, &d),
                      "90b3c9773e342f2c12de641f75df1a8012eb22f091371d15573db4596d69fe6f");
}

static void test_code(void **state) {
  (void)state;
  struct xf_plan p, q;
  struct xf_diag diag;
  struct xf_buf a, b;
  xf_buf_init(&a, 65536);
  xf_buf_init(&b, 65536);
  texts_load_ok(&p, base,
                "sim.threads=3 model.users=aligned eval.metrics=mrr arms=alone,federated");
  assert_int_equal(xf_plan_encode(&a, &p), XF_OK);
  if (xf_plan_decode(&q, a.p, a.len, &diag)) fail_msg("%s", diag.text);
  assert_int_equal(q.sim.threads, 0);
  q.sim = p.sim;
  assert_memory_equal(&p, &q, sizeof p);
  for (size_t n = 0; n < a.len; n++) {
    assert_int_not_equal(xf_plan_decode(&q, a.p, n, &diag), XF_OK);
    assert_true(strncmp(diag.text, "plan: ", 6) == 0);
    for (int bit = 0; bit < 8; bit++) {
      a.p[n] ^= (uint8_t)(1 << bit);
      if (!xf_plan_decode(&q, a.p, a.len, &diag)) {
        xf_buf_reset(&b);
        assert_int_equal(xf_plan_encode(&b, &q), XF_OK);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.p, b.p, a.len);
      }
      a.p[n] ^= (uint8_t)(1 << bit);
    }
  }
  a.p[6] = '9';
  assert_int_equal(xf_plan_decode(&q, a.p, a.len, &diag), XF_E_VERSION);
  assert_int_equal(xf_plan_decode(&q, a.p, XF_PLAN_BYTES_MAX + 1, &diag), XF_E_FORMAT);
  /* a contradiction is refused on this way, too */
  p.stages[0].fed.cohort_count = 3;
  xf_buf_reset(&a);
  assert_int_equal(xf_plan_encode(&a, &p), XF_OK);
  assert_int_equal(xf_plan_decode(&q, a.p, a.len, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "cohort 1 and cohort_count 3 are both given"));
  xf_buf_deinit(&a);
  xf_buf_deinit(&b);
}

static void test_errors_collected(void **state) {
  (void)state;
  static const char text[] =
      "name: base\ndata: {kind: interactions}\nmodel: {kind: mf, loss: bpr}\n"
      "stages:\n  - fed: {rounds: 5x, quorom: 1}\n";
  struct xf_plan p;
  struct xf_diag diag;
  struct xf_buf errors;
  xf_buf_init(&errors, 65536);
  assert_int_equal(xf_plan_load_text(&p, "p.yaml", text, strlen(text), NULL, 0, &errors, &diag),
                   XF_E_CONFIG);
  assert_string_equal(xf_buf_cstr(&errors),
                      "p.yaml:5:19: stages[0].fed.rounds: \"5x\" is not a whole number\n"
                      "p.yaml:5:23: unknown key \"stages[0].fed.quorom\"; did you mean "
                      "\"stages[0].fed.quorum\"?\n");
  assert_string_equal(
      diag.text, "p.yaml:5:19: stages[0].fed.rounds: \"5x\" is not a whole number (and 1 more)");
  xf_buf_deinit(&errors);
}

static void test_environment_is_not_plan(void **state) {
  (void)state;
  struct xf_plan p;
  struct xf_diag diag;
  assert_int_equal(setenv("CROSSFED__SEED", "99", 1), 0);
  assert_int_equal(setenv("XF_TEST_DIR", "/there", 1), 0);
  texts_load_ok(&p, base,
                "sim.data=${XF_TEST_DIR}/x sim.columns.user=1 sim.columns.item=2 "
                "sim.columns.time=5 sim.columns.domain=3");
  assert_int_equal(p.seed, 1);
  assert_string_equal(p.sim.data, "/there/x");
  assert_int_equal(texts_load(&p, base, "init=${XF_TEST_DIR}", &diag), XF_E_CONFIG);
  assert_int_equal(unsetenv("CROSSFED__SEED"), 0);
}

static void test_two_stages(void **state) {
  (void)state;
  struct xf_plan p;
  struct xf_diag diag;
  char text[1024];
  snprintf(text, sizeof text,
           "%s  - fed: {rounds: 6, min_domains: 2, weighting: uniform}\n"
           "    local: {steps: 3, batch: 0, optimizer: {lr: 0.2}}\n",
           base);
  texts_load_ok(
      &p, text,
      "stages[0].name=a stages[1].name=b stages[1].rows.min_holders=2 model.items=aligned "
      "stages[0].rows.clip_row=2");
  struct xf_plan_view v;
  xf_plan_policy_view(&v, &p);
  assert_int_equal(v.rounds, 10);
  assert_int_equal(v.epochs, 4);
  assert_int_equal(v.steps, 18);
  assert_int_equal(v.max_steps, 3);
  assert_int_equal(v.max_batch, 0);
  assert_int_equal(v.min_domains, 1);
  assert_int_equal(v.min_holders, 2);
  assert_true(v.aligned && v.clip_row == 0 && !v.uniform);
  assert_int_equal(v.evaluations, 2); /* after 5 and 10 commits */
  assert_int_equal(texts_load(&p, text, "fed.rounds=3", &diag), XF_E_CONFIG);
  assert_string_equal(diag.text,
                      "--set fed.rounds: there are 2 stages; write stages[0].fed.rounds");
}

static void test_members(void **state) {
  (void)state;
  struct xf_plan p;
  struct xf_diag diag;
  texts_load_ok(&p, base, "model.users=aligned fed.cohort_count=4 fed.quorum_count=3");
  assert_int_equal(xf_plan_check_members(&p, 4, 3, &diag), XF_OK);
  assert_int_equal(xf_plan_check_members(&p, 3, 3, &diag), XF_E_CONFIG);
  assert_string_equal(diag.text, "stages[0].fed.cohort_count: 4, and there are 3 members");
  assert_int_equal(xf_plan_check_members(&p, 4, 2, &diag), XF_E_CONFIG);
  assert_non_null(
      strstr(diag.text, "write 2, and know that each domain then sees the other's rows"));
  p.stages[0].rows.min_holders = 2;
  assert_int_equal(xf_plan_check_members(&p, 4, 2, &diag), XF_OK);
}

static void test_stamps(void **state) {
  (void)state;
  struct xf_plan p;
  struct xf_buf out;
  xf_buf_init(&out, 4096);
  texts_load_ok(&p, base,
                "model.users=aligned rows.min_holders=2 privacy.clip=1 fed.weighting=uniform "
                "privacy.noise_multiplier=1");
  assert_int_equal(xf_plan_stamps(&out, &p), XF_OK);
  const char *text = xf_buf_cstr(&out);
  assert_non_null(strstr(text, "trusted alignment"));
  assert_non_null(strstr(text, "rows visible to the other domain"));
  assert_non_null(strstr(text, "not per person"));
  assert_non_null(strstr(xf_plan_claim(&p), "per silo, against the coordinator, not per person"));
  assert_non_null(strstr(xf_plan_claim(NULL), "privacy.unit user or record"));
  p.privacy.unit = XF_PLAN_UNIT_RECORD;
  assert_non_null(strstr(xf_plan_claim(&p), "per record of one silo, against the coordinator"));
  p.privacy.unit = XF_PLAN_UNIT_USER;
  xf_buf_reset(&out);
  assert_int_equal(xf_plan_stamps(&out, &p), XF_OK);
  assert_non_null(strstr(xf_buf_cstr(&out), "epsilon is per user of one silo"));
  assert_null(strstr(xf_buf_cstr(&out), "not per person"));
  assert_null(strstr(xf_plan_claim(&p), "not per person"));
  xf_buf_reset(&out);
  texts_load_ok(&p, base, "");
  assert_int_equal(xf_plan_stamps(&out, &p), XF_OK);
  assert_non_null(strstr(xf_buf_cstr(&out), "no noise: nothing is claimed"));
  xf_buf_deinit(&out);
}

static void test_combine(void **state) {
  (void)state;
  for (unsigned s = 0; s < XF_COMBINE_N_STRATEGY; s++) {
    for (unsigned p = 0; p < XF_COMBINE_N_PRIVACY; p++) {
      const char *no = xf_combine_find(s, XF_COMBINE_FLOAT32, p);
      const bool noised_sums = s == XF_COMBINE_ROWS_SUMS && p == XF_COMBINE_SILO_NOISE;
      assert_int_equal(no != NULL, p == XF_COMBINE_SECURE_AGGREGATION || noised_sums);
      for (unsigned e = XF_COMBINE_FLOAT16; e < XF_COMBINE_N_ENCODING; e++) {
        const bool rows = s == XF_COMBINE_ROWS_PULL || s == XF_COMBINE_ROWS_SUMS;
        const bool noised = e == XF_COMBINE_TOPK && p == XF_COMBINE_SILO_NOISE;
        const bool mask = e == XF_COMBINE_MASK && s == XF_COMBINE_ROWS_AVERAGE;
        no = xf_combine_find(s, e, p);
        assert_int_equal(no != NULL, rows || noised || mask || p == XF_COMBINE_SECURE_AGGREGATION);
        if (no && p != XF_COMBINE_SECURE_AGGREGATION) assert_non_null(strstr(no, "fed.encoding: "));
      }
    }
  }
  struct xf_buf out;
  xf_buf_init(&out, 65536);
  assert_int_equal(xf_combine_print(&out), XF_OK);
  const char *text = xf_buf_cstr(&out);
  assert_non_null(strstr(text, "fedavg                     float32   yes                yes"));
  assert_non_null(strstr(text, "\n(1) secure aggregation is not in this version"));
  assert_non_null(strstr(text, "\n(2) fed.encoding: topk says which parameters changed most"));
  assert_non_null(strstr(text, "\n(3) the row rule pull needs"));
  assert_non_null(strstr(text, "\n(6) the row rule sums needs"));
  assert_null(strstr(text, "\n(8)"));
  xf_buf_deinit(&out);
}

/* What a silo's own policy is told of inner loops; defaults that depend on the algorithm. */
static void test_meta(void **state) {
  (void)state;
  static const char text[] = "name: meta\n"
                             "data: {kind: table, split: {kind: random}}\n"
                             "model: {kind: mlp, loss: softmax, n_in: 4, n_out: 3, hidden: [8]}\n"
                             "stages:\n  - fed: {rounds: 4}\n"
                             "    local: {steps: 6, optimizer: {lr: 0.1}, meta: {support: 5, "
                             "query: 9, steps: 3, tasks: 2, "
                             "lr: 0.1}}\n";
  static const struct {
    const char *sets;
    enum xf_plan_hessian hessian;
    uint32_t steps; /* gradients of a round */
  } row[] = {{"fed.algorithm=maml", XF_PLAN_HESSIAN_EXACT, 2 * (3 + 1 + 3)},
             {"fed.algorithm=fomaml", XF_PLAN_HESSIAN_NONE, 2 * (3 + 1)},
             {"fed.algorithm=anil local.meta.hessian=none", XF_PLAN_HESSIAN_NONE, 2 * (3 + 1)},
             {"fed.algorithm=perfedavg", XF_PLAN_HESSIAN_DIFFERENCE, 6 * 2 * (3 + 1 + 6)}};
  struct xf_plan p;
  struct xf_plan_view v;
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    texts_load_ok(&p, text, row[i].sets);
    assert_int_equal(p.stages[0].local.meta.hessian, row[i].hessian);
    assert_string_equal(p.eval.metrics[0], "acc@adapt3");
    assert_string_equal(p.eval.metrics[1], "acc");
    xf_plan_policy_view(&v, &p);
    assert_int_equal(v.max_steps, row[i].steps);
    assert_int_equal(v.steps, 4 * row[i].steps);
    assert_int_equal(v.max_epochs, 0);
    assert_int_equal(v.max_batch, 9);
  }
  texts_load_ok(&p, text, "fed.algorithm=maml local.meta.query=0");
  xf_plan_policy_view(&v, &p);
  assert_int_equal(v.max_batch, 0);
}

/* Work on what stays is work that a silo's policy counts. */
static void test_personal_view(void **state) {
  (void)state;
  static const struct {
    const char *sets;
    uint32_t epochs, steps;
  } row[] = {
      {"local.epochs=2 fed.algorithm=fedper", 2, 0},
      {"local.epochs=2 fed.algorithm=fedrep local.personal.head_epochs=3", 5, 0},
      {"local.steps=7 fed.algorithm=fedrep local.personal.head_epochs=3", 3, 7},
      {"local.epochs=2 fed.algorithm=ditto local.personal.lambda=1", 4, 0},
      {"local.steps=7 fed.algorithm=apfl", 0, 14},
      {"local.steps=7 fed.algorithm=pfedme local.personal.lambda=1 local.personal.lr=1", 0, 35}};
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
    struct xf_plan p;
    struct xf_plan_view v;
    texts_load_ok(&p, table_base, row[i].sets);
    xf_plan_policy_view(&v, &p);
    assert_int_equal(v.max_epochs, row[i].epochs);
    assert_int_equal(v.max_steps, row[i].steps);
    assert_int_equal(v.epochs, 4 * row[i].epochs);
    assert_int_equal(v.steps, 4 * row[i].steps);
  }
}

static void test_texts(void **state) {
  (void)state;
  struct xf_metric m;
  char key[XF_METRIC_KEY_MAX], id[XF_PLAN_CLIENT_ID];
  assert_int_equal(xf_metric_parse(&m, "ndcg@10", NULL), XF_OK);
  assert_string_equal(xf_metric_key(key, m, "s999"), "ndcg_10_s999");
  assert_int_equal(m.adapt, 0);
  assert_int_equal(xf_metric_parse(&m, "rmse@adapt32", NULL), XF_OK);
  assert_int_equal(m.kind, XF_METRIC_RMSE);
  assert_int_equal(m.adapt, 32);
  assert_int_equal(m.k, 0);
  assert_string_equal(xf_metric_key(key, m, NULL), "rmse_adapt32");
  assert_int_equal(xf_metric_plain("rmse@adapt32"), 4);
  assert_int_equal(xf_metric_plain("ndcg@10"), 7);
  assert_int_equal(xf_metric_parse(&m, "acc", NULL), XF_OK);
  assert_string_equal(xf_metric_key(key, m, NULL), "acc");
  assert_false(xf_metric_is_ranking(m.kind));
  assert_true(xf_metric_is_better_up(m.kind));
  assert_false(xf_metric_is_better_up(XF_METRIC_RMSE));
  uint32_t n = 1;
  assert_int_equal(xf_metric_protocol_parse(&n, "full", NULL), XF_OK);
  assert_int_equal(n, 0);
  assert_int_equal(xf_metric_protocol_parse(&n, "s99", NULL), XF_OK);
  assert_int_equal(n, 99);
  assert_int_equal(xf_plan_client_id(id, "silo-{}", "Books 3"), XF_OK);
  assert_string_equal(id, "silo-books-3");
  assert_int_equal(xf_plan_client_id(id, "silo", "a"), XF_E_INVAL);
  assert_int_equal(xf_plan_client_id(id, "Silo-{}", "a"), XF_E_INVAL);
  char longest[80];
  memset(longest, 'a', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  assert_int_equal(xf_plan_client_id(id, "{}", longest), XF_E_LIMIT);
  struct xf_plan_one_hot hot;
  assert_int_equal(xf_plan_one_hot_parse(&hot, "3:1,2,4.5", NULL), XF_OK);
  assert_int_equal(hot.column, 3);
  assert_int_equal(hot.n, 3);
  assert_true(hot.value[2] == 4.5);
  assert_string_equal(xf_plan_loss_text(XF_PLAN_LOSS_BPR), "bpr");
  assert_string_equal(xf_plan_arm_text((enum xf_plan_arm)77), "?");
}

/* Every example of the repository (tests run from its root). */
static void test_examples(void **state) {
  (void)state;
  DIR *dir = opendir("deploy/examples/plans");
  if (!dir) {
    print_message("skipped: deploy/examples/plans is not below the working directory\n");
    skip();
  }
  unsigned n = 0;
  for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
    size_t len = strlen(e->d_name);
    if (len < 6 || strcmp(e->d_name + len - 5, ".yaml") != 0) continue;
    char path[512];
    struct xf_plan p, q;
    struct xf_diag diag;
    struct xf_buf a;
    xf_buf_init(&a, 65536);
    snprintf(path, sizeof path, "deploy/examples/plans/%s", e->d_name);
    if (xf_plan_load(&p, path, NULL, 0, NULL, &diag)) fail_msg("%s", diag.text);
    assert_int_equal(strncmp(p.name, e->d_name, len - 5), 0);
    assert_int_equal(xf_plan_print(&a, &p), XF_OK);
    texts_load_ok(&q, xf_buf_cstr(&a), "");
    assert_memory_equal(&p, &q, sizeof p);
    xf_buf_reset(&a);
    assert_int_equal(xf_plan_encode(&a, &p), XF_OK);
    if (xf_plan_decode(&q, a.p, a.len, &diag)) fail_msg("%s: %s", path, diag.text);
    xf_buf_deinit(&a);
    n++;
  }
  closedir(dir);
  assert_true(n >= 5);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_schema),
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_print_fixpoint),
      cmocka_unit_test(test_digest),
      cmocka_unit_test(test_digest_pinned),
      cmocka_unit_test(test_code),
      cmocka_unit_test(test_errors_collected),
      cmocka_unit_test(test_environment_is_not_plan),
      cmocka_unit_test(test_two_stages),
      cmocka_unit_test(test_members),
      cmocka_unit_test(test_stamps),
      cmocka_unit_test(test_combine),
      cmocka_unit_test(test_meta),
      cmocka_unit_test(test_personal_view),
      cmocka_unit_test(test_texts),
      cmocka_unit_test(test_examples),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
