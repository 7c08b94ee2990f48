// Rounds on a real ledger and spool: records to rows, the fold against memory, every point of a restart.
#include "base/time.h"
#include "param/vec.h"
#include "server/io/aggregate.h"
#include "store/verify.h"
#include "unit/server_io/iotest.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { N = 4 }; /* floats of the shared model */

static void quiet(void *arg, const char *invariant, enum xf_verify_level level, const char *text) {
  (void)arg;
  if (level == XF_VERIFY_DAMAGED) print_message("%s: %s\n", invariant, text);
}

static void verify(struct io *io) {
  struct xf_verify_opts o = {.report = quiet};
  struct xf_verify_result result = {0};
  struct xf_diag diag;
  xf_diag_init(&diag);
  io_close(io);
  assert_ok(xf_store_verify(xf_fs_posix(), io->cfg.state_dir, &o, &result, &diag), &diag);
  assert_true(result.checks > 0);
  io_restart(io);
}

static const uint32_t all[IO_MEMBERS] = {0, 1, 2};
static const uint64_t weights[IO_MEMBERS] = {3, 1, 5};

static void deltas(float x[IO_MEMBERS][N], uint64_t round) {
  for (int i = 0; i < IO_MEMBERS; i++)
    for (int j = 0; j < N; j++)
      x[i][j] = 0.01F * (float)(i + 1) * (float)(j - 2) + 0.001F * (float)round;
}

/* The same in memory. */
static void expect(float *model, float *state, uint64_t commit, float x[IO_MEMBERS][N]) {
  struct xf_diag diag;
  struct xf_layout layout;
  struct xf_fold_shape shape;
  xf_diag_init(&diag);
  xf_layout_init(&layout);
  assert_ok(xf_layout_add(&layout, "w", XF_ROLE_SHARED, NULL, 1, N, &diag), &diag);
  assert_ok(xf_fold_shape_init(&shape, &layout, &diag), &diag);
  const float *vec[IO_MEMBERS] = {x[0], x[1], x[2]};
  const struct xf_fold_member member[IO_MEMBERS] = {
      {"ann", 0, 3, NULL}, {"bob", 1, 1, NULL}, {"cyd", 2, 5, NULL}};
  const struct xf_strategy s = {.server = {.kind = XF_SERVER_MOMENTUM, .eta = 0.5, .b1 = 0.9}};
  struct xf_fold_memory memory = {vec, model, model, {state}};
  const struct xf_fold_job job = {&shape,
                                  member,
                                  IO_MEMBERS,
                                  false,
                                  0,
                                  xf_strategy_get(&s, (uint32_t)commit),
                                  xf_fold_memory_io(&memory)};
  struct xf_fold_stats stats = {0};
  assert_ok(xf_fold_step(&job, &stats, &diag), &diag);
  xf_fold_shape_deinit(&shape);
  xf_layout_deinit(&layout);
}

static enum xf_rc simple(struct io *io, enum xf_coord_record_type type, uint64_t round,
                         enum xf_task_kind kind, const struct xf_digest *model) {
  struct xf_coord_record r = {.type = type, .round = round, .kind = kind, .text = "why"};
  if (type == XF_RECORD_CLOSING) {
    r.member = all;
    r.weight = weights;
    r.n_member = IO_MEMBERS;
  }
  if (model) r.model_digest = *model;
  return io_record(io, &r);
}

static void aggregate(struct io *io, uint64_t round, enum xf_task_kind kind) {
  struct srv_agg a;
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_digest task[IO_MEMBERS];
  for (uint32_t i = 0; i < IO_MEMBERS; i++)
    xf_coord_task_id(&task[i], io->st.run_id, round, io->st.cfg->members[i].id,
                     &io->st.model_digest, &io->st.plan_digest);
  const struct srv_frozen list = {all, weights, task, NULL, IO_MEMBERS};
  srv_agg_init(&a, &io->st, round, kind, &list);
  assert_ok(srv_agg_run(&a, &diag), &diag);
  srv_agg_give(&a, &io->st);
  srv_agg_deinit(&a);
}

static void train_until_closing(struct io *io, uint64_t round, float x[IO_MEMBERS][N]) {
  struct xf_msg_update_begin u;
  deltas(x, round);
  io_round_open(io, round, XF_TASK_TRAIN);
  for (uint32_t i = 0; i < IO_MEMBERS; i++) {
    io_spool(io, round, i, XF_TASK_TRAIN, weights[i], x[i], N * sizeof(float), &u);
    io_accept(io, round, i, XF_TASK_TRAIN, &u);
  }
  assert_rc(simple(io, XF_RECORD_CLOSING, round, XF_TASK_TRAIN, NULL), XF_OK);
}

static void finish(struct io *io, uint64_t round) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  aggregate(io, round, XF_TASK_TRAIN);
  assert_rc(simple(io, XF_RECORD_COMMITTING, round, XF_TASK_TRAIN, &io->st.next.model), XF_OK);
  assert_ok(srv_publish_run(&io->st, &diag), &diag);
  assert_rc(simple(io, XF_RECORD_COMMIT, round, XF_TASK_TRAIN, &io->st.next.model), XF_OK);
  assert_ok(srv_metrics_write(&io->st, round, io->st.committed + 1, io->st.next.metrics, &diag),
            &diag);
  assert_ok(srv_model_adopt(&io->st, &diag), &diag);
  srv_next_drop(&io->st);
}

static void model_now(struct io *io, float out[N]) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(srv_model_lens(&io->st, 0).all, N * sizeof(float));
  assert_ok(srv_model_read(&io->st, 0, &io->st.model_digest,
                           xf_global_view_of(&io->st.plan, true, 0), 0, (uint8_t *)out,
                           N * sizeof(float), &diag),
            &diag);
}

/* Two rounds with momentum equal the fold in memory; a restart in CLOSING and one in COMMITTING give the same bytes. */
static void test_fold(void **state) {
  (void)state;
  struct io io;
  float x[IO_MEMBERS][N], want[N], momentum[N] = {0}, have[N];
  io_init(&io, io_plan_shared);
  assert_int_equal(io.recovery.r.epoch, 1);
  assert_true(io.recovery.r.frozen);
  assert_true(io.recovery.r.evaluated_at == UINT64_MAX);
  model_now(&io, want);
  train_until_closing(&io, 1, x);
  io_restart(&io); /* K8 */
  assert_int_equal(io.recovery.r.open.state, XF_ROUND_CLOSING);
  assert_int_equal(io.recovery.r.open.n_participant, IO_MEMBERS);
  assert_int_equal(io.recovery.r.n_accepted, IO_MEMBERS);
  assert_int_equal(io.recovery.r.accepted[2].weight, 5);
  finish(&io, 1);
  expect(want, momentum, 0, x);
  model_now(&io, have);
  assert_memory_equal(want, have, sizeof want);

  train_until_closing(&io, 2, x);
  aggregate(&io, 2, XF_TASK_TRAIN);
  const struct xf_digest computed = io.st.next.model;
  assert_rc(simple(&io, XF_RECORD_COMMITTING, 2, XF_TASK_TRAIN, &computed), XF_OK);
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_ok(srv_publish_run(&io.st, &diag), &diag); /* K12: durable, no row */
  io_restart(&io);
  assert_int_equal(io.recovery.r.open.state, XF_ROUND_COMMITTING);
  assert_int_equal(io.recovery.r.committed, 1);
  finish(&io, 2); /* COMMITTING again is refused unless the digest is the same */
  assert_memory_equal(&io.st.model_digest, &computed, sizeof computed);
  expect(want, momentum, 1, x);
  model_now(&io, have);
  assert_memory_equal(want, have, sizeof want);
  assert_ok(srv_model_collect(&io.st, &diag), &diag);
  verify(&io);
  /* how much the updates disagreed, from their norms; after a start it is read from the ledger */
  double norm[IO_MEMBERS], least = INFINITY, most = 0;
  for (uint32_t i = 0; i < IO_MEMBERS; i++) {
    norm[i] = sqrt(xf_vec_norm2(x[i], N));
    least = fmin(least, norm[i]);
    most = fmax(most, norm[i]);
  }
  for (int again = 0; again < 2; again++) {
    assert_true(io.st.drift.set);
    assert_int_equal(io.st.drift.round, 2);
    assert_true(fabs(io.st.drift.d.min - least) < 1e-12 * least);
    assert_true(fabs(io.st.drift.d.max - most) < 1e-12 * most);
    assert_true(io.st.drift.d.ratio > 0 && io.st.drift.d.ratio <= 1 + 1e-9);
    if (!again) io_restart(&io);
  }
  assert_int_equal(io.recovery.r.committed, 2);
  assert_int_equal(io.recovery.r.last_round, 2);
  assert_int_equal(io.recovery.r.n_accepted, IO_MEMBERS);
  assert_int_equal(io.recovery.r.accepted[0].outcome, XF_OUTCOME_COMMITTED);
  assert_int_equal(io.recovery.r.open.round, 0);
  io_deinit(&io);
}

/* A spool file without a row (K5): adopted while its round is open, deleted when damaged or foreign. */
static void test_orphans(void **state) {
  (void)state;
  struct io io;
  struct xf_msg_update_begin u;
  float x[IO_MEMBERS][N];
  char path[1400];
  deltas(x, 1);
  io_init(&io, io_plan_shared);
  io_round_open(&io, 1, XF_TASK_TRAIN);
  for (uint32_t i = 0; i < IO_MEMBERS; i++)
    io_spool(&io, 1, i, XF_TASK_TRAIN, weights[i], x[i], sizeof x[i], &u);
  const struct xf_spool_head last = {.round = 1, .task_id = u.task_id};
  char name[XF_SPOOL_NAME_MAX];
  xf_spool_name(name, &last);
  snprintf(path, sizeof path, "%s/%s", io.st.spool.dir, name);
  FILE *f = fopen(path, "r+b"); /* cyd's */
  assert_non_null(f);
  assert_int_equal(fseek(f, XF_SPOOL_HEADER + 3, SEEK_SET), 0);
  assert_int_equal(fputc(0x55, f), 0x55);
  fclose(f);
  io_spool(&io, 9, 0, XF_TASK_TRAIN, 1, x[0], sizeof x[0], &u); /* of no round */
  io_restart(&io);
  assert_int_equal(io.recovery.r.n_accepted, 2);
  assert_int_equal(io.recovery.r.accepted[0].member, 0);
  assert_int_equal(io.recovery.r.accepted[1].member, 1);
  assert_int_equal(io.recovery.r.accepted[1].outcome, XF_OUTCOME_NONE);
  assert_int_not_equal(access(path, F_OK), 0);
  assert_int_equal(io.recovery.r.open.state, XF_ROUND_COLLECTING);
  assert_int_equal(io.recovery.r.open.n_cohort, IO_MEMBERS);
  io_deinit(&io);
}

/* Sums of reports by member order: global, per domain, per client. */
static void test_evaluate(void **state) {
  (void)state;
  struct io io;
  struct xf_msg_update_begin u;
  struct xf_json *json = NULL;
  struct xf_diag diag;
  const char *scope = NULL;
  double sum = 0;
  xf_diag_init(&diag);
  io_init(&io, io_plan_shared);
  io_round_open(&io, 1, XF_TASK_EVALUATE);
  for (uint32_t i = 0; i < IO_MEMBERS; i++) {
    const struct xf_eval_metric m[] = {{"federated", "test", "acc", 10.0 * (i + 1), 20},
                                       {"federated", "test", "never_asked", 1, 1}};
    struct xf_buf report;
    xf_buf_init(&report, XF_REPORT_MAX);
    assert_rc(xf_eval_report_encode(&report, m, 2), XF_OK);
    io_spool(&io, 1, i, XF_TASK_EVALUATE, 1, report.p, report.len, &u);
    io_accept(&io, 1, i, XF_TASK_EVALUATE, &u);
    xf_buf_deinit(&report);
  }
  assert_rc(simple(&io, XF_RECORD_CLOSING, 1, XF_TASK_EVALUATE, NULL), XF_OK);
  aggregate(&io, 1, XF_TASK_EVALUATE);
  assert_ok(
      xf_json_parse(&json, "metrics", io.st.next.metrics, strlen(io.st.next.metrics), NULL, &diag),
      &diag);
  const struct xf_json_value *lines = xf_json_find(xf_json_root(json), "lines");
  static const struct {
    const char *scope;
    double sum;
  } want[] = {{"global", 60},       {"domain:books", 10}, {"client:ann", 10},
              {"domain:films", 50}, {"client:bob", 20},   {"client:cyd", 30}};
  assert_int_equal(xf_json_len(lines), 6);
  for (size_t i = 0; i < 6; i++) {
    const struct xf_json_value *l = xf_json_at(lines, i), *v = xf_json_find(l, "values");
    assert_true(xf_json_str(xf_json_find(l, "scope"), &scope));
    assert_string_equal(scope, want[i].scope);
    assert_int_equal(xf_json_len(v), 1);
    assert_true(xf_json_double(xf_json_at(xf_json_find(v, "acc"), 0), &sum));
    assert_true(sum == want[i].sum);
  }
  xf_json_free(json);
  assert_rc(simple(&io, XF_RECORD_COMMITTING, 1, XF_TASK_EVALUATE, &io.st.model_digest), XF_OK);
  assert_rc(simple(&io, XF_RECORD_COMMIT, 1, XF_TASK_EVALUATE, &io.st.model_digest), XF_OK);
  io_restart(&io);
  assert_true(io.recovery.r.evaluated_at == 0);
  assert_rc(simple(&io, XF_RECORD_DONE, 0, XF_TASK_TRAIN, &io.st.model_digest), XF_OK);
  assert_ok(srv_metrics_summary(&io.st, 5, &diag), &diag);
  verify(&io);
  assert_true(io.recovery.r.done);
  io_deinit(&io);
}

/* Abandonments in a row end with a commit or a resume; a pause survives. */
static void test_abandoned(void **state) {
  (void)state;
  struct io io;
  io_init(&io, io_plan_shared);
  for (uint64_t r = 1; r <= 2; r++) {
    io_round_open(&io, r, XF_TASK_TRAIN);
    assert_rc(simple(&io, XF_RECORD_ABANDON, r, XF_TASK_TRAIN, NULL), XF_OK);
  }
  assert_rc(simple(&io, XF_RECORD_PAUSE, 0, XF_TASK_TRAIN, NULL), XF_OK);
  io_restart(&io);
  assert_int_equal(io.recovery.r.abandoned_in_row, 2);
  assert_true(io.recovery.r.paused);
  assert_rc(simple(&io, XF_RECORD_RESUME, 0, XF_TASK_TRAIN, NULL), XF_OK);
  io_restart(&io);
  assert_int_equal(io.recovery.r.abandoned_in_row, 0);
  assert_false(io.recovery.r.paused);
  io_round_open(&io, 3,
                XF_TASK_EVALUATE); /* its abandonment is one try, and no abandonment in a row */
  assert_rc(simple(&io, XF_RECORD_ABANDON, 3, XF_TASK_EVALUATE, NULL), XF_OK);
  assert_rc(simple(&io, XF_RECORD_ALARM, 0, XF_TASK_TRAIN, NULL), XF_OK);
  io_restart(&io);
  assert_int_equal(io.recovery.r.abandoned_in_row, 0);
  assert_true(io.recovery.r.evaluated_at == 0);
  assert_int_equal(io.recovery.r.last_round, 3);
  io_deinit(&io);
}

struct count {
  const char *kind, *member;
  uint32_t n;
};

static enum xf_rc count_event(void *arg, const struct xf_ledger_entry *e) {
  struct count *k = arg;
  k->n += strcmp(e->kind, k->kind) == 0 && strcmp(e->member, k->member) == 0;
  return XF_OK;
}

static uint32_t events(struct io *io, const char *kind, const char *member) {
  struct count k = {kind, member, 0};
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_ok(xf_ledger_events(io->st.ledger, 0, count_event, &k, &diag), &diag);
  return k.n;
}

static enum xf_rc seen_of_bob(void *arg, const struct xf_ledger_member *m) {
  int64_t *at = arg;
  if (strcmp(m->member, "bob") == 0) at[0] = m->first_seen_us, at[1] = m->last_seen_us;
  return XF_OK;
}

/* Who comes and goes is in the ledger, but who does so without end does not fill it. */
static void test_seen(void **state) {
  (void)state;
  struct io io;
  struct xf_diag diag;
  int64_t at[2] = {-1, -1};
  const int64_t now = xf_wall_now_us();
  xf_diag_init(&diag);
  io_init(&io, io_plan_shared);
  assert_ok(xf_ledger_members(io.st.ledger, seen_of_bob, at, &diag), &diag);
  assert_true(at[0] == 0 && at[1] == 0);
  assert_false(srv_seen_due(&io.st, now));
  srv_seen_set(&io.st, 1, true, now, "");
  srv_seen_set(&io.st, UINT32_MAX, true, now, ""); /* not listed */
  assert_true(srv_seen_due(&io.st, now));
  assert_ok(srv_persist_commit(&io.st, NULL, 0, &diag), &diag);
  for (int k = 1; k <= 100; k++) {
    srv_seen_set(&io.st, 1, k % 2 == 0, now + k, "closed by the client");
    assert_false(srv_seen_due(&io.st, xf_wall_now_us()));
    assert_ok(srv_persist_commit(&io.st, NULL, 0, &diag), &diag);
  }
  assert_int_equal(events(&io, "member_joined", "bob"), 1);
  assert_int_equal(events(&io, "member_left", "bob"), 0);
  assert_true(srv_seen_due(&io.st, now + (SRV_SEEN_S + 5) * (int64_t)1000000));
  srv_seen_set(&io.st, 1, false, now + 101, "closed by the client");
  assert_ok(srv_seen_flush(&io.st, &diag), &diag);
  assert_int_equal(events(&io, "member_left", "bob"), 1);
  assert_ok(xf_ledger_members(io.st.ledger, seen_of_bob, at, &diag), &diag);
  assert_true(at[0] == now && at[1] == now + 101);
  io_deinit(&io);
}

/* Refusals and declined tasks have rows; an update of a closed round has none as accepted. */
static void test_refusals(void **state) {
  (void)state;
  struct io io;
  struct xf_msg_update_begin u;
  float x[IO_MEMBERS][N];
  const uint32_t bob = 1;
  const struct xf_digest other = {{7}};
  struct xf_ledger_status s;
  struct xf_diag diag;
  xf_diag_init(&diag);
  io_init(&io, io_plan_shared);
  train_until_closing(&io, 1, x);
  io_spool(&io, 1, bob, XF_TASK_TRAIN, 9, x[0], sizeof x[0],
           &u); /* other bytes for the same task */
  struct xf_coord_record r = {.type = XF_RECORD_UPDATE,
                              .round = 1,
                              .member = &bob,
                              .n_member = 1,
                              .task_id = &u.task_id,
                              .update = &u};
  assert_rc(io_record(&io, &r), XF_E_CONFLICT);
  r.type = XF_RECORD_VERDICT;
  r.verdict = XF_VERDICT_CONFLICT;
  r.code = "E_CONFLICT";
  assert_rc(io_record(&io, &r), XF_OK);
  r.verdict = XF_VERDICT_CORRUPT; /* asks again: nothing to settle */
  assert_rc(io_record(&io, &r), XF_E_STATE);
  struct xf_coord_record no = {.type = XF_RECORD_REFUSED,
                               .round = 1,
                               .member = &bob,
                               .n_member = 1,
                               .task_id = &u.task_id,
                               .code = "E_POLICY",
                               .text = "policy.max_rounds: enough"};
  assert_rc(io_record(&io, &no), XF_OK);
  no.task_id = &other; /* the final model's: no round has this task */
  assert_rc(io_record(&io, &no), XF_E_NOTFOUND);
  no.kind = XF_TASK_FINAL;
  no.text = "store: no space";
  assert_rc(io_record(&io, &no), XF_OK);
  assert_int_equal(events(&io, "final_refused", "bob"), 1);
  io_restart(&io); /* who answered to the final model is not asked again */
  assert_int_equal(io.recovery.r.n_final, 1);
  assert_int_equal(io.recovery.r.final[0].member, bob);
  assert_false(io.recovery.r.final[0].stored);
  no.type = XF_RECORD_STORED;
  assert_rc(io_record(&io, &no), XF_OK);
  assert_int_equal(events(&io, "final_stored", "bob"), 1);
  io_restart(&io);
  assert_int_equal(io.recovery.r.n_final, 1);
  assert_true(io.recovery.r.final[0].stored);
  assert_ok(xf_ledger_status(io.st.ledger, &s, &diag), &diag);
  assert_int_equal(s.accepted, 3);
  assert_int_equal(s.refused, 1);
  io_deinit(&io);
}

static void damage(const char *path) {
  FILE *f = fopen(path, "r+b");
  assert_non_null(f);
  assert_int_equal(fseek(f, -1, SEEK_END), 0);
  assert_int_equal(fputc(0x55, f), 0x55);
  fclose(f);
}

/* A damaged newest model is made again from the plan, or from its parent and the retained spool; else the start ends. */
static void test_heal(void **state) {
  (void)state;
  struct io io;
  float x[IO_MEMBERS][N], before[N], after[N];
  char path[XF_PATH_MAX], name[XF_PATH_MAX];
  struct xf_diag diag;
  xf_diag_init(&diag);
  io_init(&io, io_plan_shared);
  model_now(&io, before);
  damage(io.st.model_path);
  io_restart(&io);
  model_now(&io, after);
  assert_memory_equal(before, after, sizeof before);
  for (uint64_t r = 1; r <= 2; r++) {
    train_until_closing(&io, r, x);
    finish(&io, r);
    assert_ok(srv_model_collect(&io.st, &diag), &diag);
  }
  model_now(&io, before);
  damage(io.st.model_path);
  io_restart(&io);
  model_now(&io, after);
  assert_memory_equal(before, after, sizeof before);
  verify(&io);
  memcpy(path, io.st.model_path, sizeof path);
  assert_int_equal(unlink(path), 0); /* missing is as damaged */
  io_restart(&io);
  verify(&io);
  memcpy(name, io.st.spool.dir, sizeof name);
  io_close(&io);
  damage(path);
  const uint64_t none = 0;
  struct xf_spool spool;
  assert_ok(xf_spool_init(&spool, xf_fs_posix(), name, &diag), &diag);
  assert_ok(xf_spool_collect(&spool, &none, 0, NULL, &diag), &diag);
  assert_ok(srv_state_init(&io.st, &io.cfg, &diag), &diag);
  assert_ok(srv_state_open(&io.st, false, &diag), &diag);
  assert_rc(srv_recover(&io.st, &io.recovery, &diag), XF_E_CORRUPT);
  io_deinit(&io);
}

/* Another plan, a new run, a state in use. */
static void test_start(void **state) {
  (void)state;
  struct io io;
  struct srv_state second;
  struct xf_diag diag;
  char run[XF_LEDGER_ID_MAX];
  xf_diag_init(&diag);
  io_init(&io, io_plan_shared);
  memcpy(run, io.st.run_id, sizeof run);
  assert_ok(srv_state_init(&second, &io.cfg, &diag), &diag);
  assert_rc(srv_state_open(&second, false, &diag), XF_E_LOCKED);
  assert_ok(srv_state_check(&second, &diag), &diag); /* --check-config beside a running daemon */
  srv_state_close(&second);
  io_restart(&io);
  assert_string_equal(io.st.run_id, run);
  assert_int_equal(io.recovery.r.epoch, 2);
  io_close(&io);

  char other[2048];
  snprintf(other, sizeof other, "%s", io_plan_shared);
  char *seed = strstr(other, "seed: 7");
  assert_non_null(seed);
  seed[6] = '8';
  io_plan(&io, other);
  assert_ok(srv_state_init(&io.st, &io.cfg, &diag), &diag);
  assert_rc(srv_state_check(&io.st, &diag), XF_E_CONFIG);
  assert_rc(srv_state_open(&io.st, false, &diag), XF_E_CONFIG);
  assert_non_null(strstr(diag.text, "--new-run"));
  io_close(&io);
  assert_ok(srv_state_init(&io.st, &io.cfg, &diag), &diag);
  assert_ok(srv_state_open(&io.st, true, &diag), &diag); /* the former models went to old/ */
  assert_string_not_equal(io.st.run_id, run);
  assert_ok(srv_recover(&io.st, &io.recovery, &diag), &diag);
  assert_int_equal(io.recovery.r.last_round, 0);
  io_deinit(&io);
}

/* What was set aside does not pile up: the newest few stay, whatever else lies there. */
static void test_old_is_bounded(void **state) {
  (void)state;
  struct io io;
  struct xf_diag diag;
  char path[XF_PATH_MAX], name[64];
  xf_diag_init(&diag);
  io_init(&io, io_plan_shared);
  io.cfg.checkpoint.keep_old = 3;
  for (int k = 0; k < 12; k++) {
    io.st.epoch = (uint64_t)k + 1;
    snprintf(name, sizeof name, "ckpt/stray-%d.safetensors", k);
    assert_ok(srv_state_path(&io.st, path, name, &diag), &diag);
    assert_ok(xf_fs_replace(io.st.fs, path, "x", 1, &diag), &diag);
    assert_ok(srv_model_set_aside(&io.st, name, &diag), &diag);
    if (k == 0) { /* somebody else's file */
      assert_ok(srv_state_path(&io.st, path, "old/notes", &diag), &diag);
      assert_ok(xf_fs_replace(io.st.fs, path, "x", 1, &diag), &diag);
    }
  }
  for (int k = 0; k < 12; k++) { /* by number: 12 is newer than 9 */
    snprintf(name, sizeof name, "old/epoch-%d-stray-%d.safetensors", k + 1, k);
    assert_ok(srv_state_path(&io.st, path, name, &diag), &diag);
    assert_int_equal(xf_fs_exists(io.st.fs, path), k >= 9);
  }
  assert_ok(srv_state_path(&io.st, path, "old/notes", &diag), &diag);
  assert_true(xf_fs_exists(io.st.fs, path));
  io_deinit(&io);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fold),     cmocka_unit_test(test_orphans),
      cmocka_unit_test(test_evaluate), cmocka_unit_test(test_abandoned),
      cmocka_unit_test(test_seen),     cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_heal),     cmocka_unit_test(test_old_is_bounded),
      cmocka_unit_test(test_start)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
