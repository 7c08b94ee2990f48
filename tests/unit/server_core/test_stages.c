// Plans of several stages: which stage a round is of, what moves in it, readers, starts in the middle.
#include "coordtest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

enum { IN = 160, OWN = 320, UP0 = 480, ALL = 1000, ROWS = 3 };

/* A statistic; an evaluation; three rounds of rows that read the statistic; member i has 16 bytes more of all than i - 1. */
static struct ct *staged(uint32_t n) {
  struct ct *t = ct_start(n, 1);
  t->plan.model.kind = XF_PLAN_MODEL_RECOMMENDER;
  t->plan.eval.every = 0;
  t->plan.n_stages = 3;
  t->plan.stages[0].kind = XF_PLAN_STAGE_STATISTIC;
  t->plan.stages[0].fed.weighting = XF_PLAN_WEIGHTING_UNIFORM;
  t->plan.stages[1] = t->plan.stages[2] = t->plan.stages[0];
  t->plan.stages[1].kind = XF_PLAN_STAGE_EVALUATE;
  t->plan.stages[1].fed.rounds = 0;
  t->plan.stages[2].kind = XF_PLAN_STAGE_ROWS;
  t->plan.stages[2].fed.rounds = ROWS;
  for (uint32_t i = 0; i < n; i++)
    t->lens[i] = (struct xf_plan_lens){.n_stage = 3,
                                       .all = ALL + 16 * i,
                                       .in = {0, 0, IN},
                                       .down = {0, 0, IN + OWN + 16 * i},
                                       .up = {UP0 + 16 * i, 0, OWN + 16 * i}};
  return t;
}

static void answer_all(struct ct *t) {
  for (uint32_t i = 0; i < t->config.n_member; i++) ct_answer(t, i);
}

static void test_whole_run(void **state) {
  (void)state;
  static const struct {
    enum xf_task_kind kind;
    uint32_t stage, committed;
  } want[] = {{XF_TASK_TRAIN, 0, 0}, {XF_TASK_EVALUATE, 2, 1}, {XF_TASK_TRAIN, 2, 1},
              {XF_TASK_TRAIN, 2, 2}, {XF_TASK_TRAIN, 2, 3},    {XF_TASK_EVALUATE, 2, 4}};
  struct ct *t = staged(3);
  ct_run(t);
  assert_int_equal(ct_view(t).rounds, 1 + ROWS);
  ct_join_all(t);
  for (uint32_t r = 0; r < 6; r++) {
    assert_int_equal(ct_view(t).stage, want[r].stage);
    for (uint32_t i = 0; i < 3; i++) {
      const struct xf_msg_task_offer *o = &t->offer[i];
      assert_int_equal(o->round, r + 1);
      assert_int_equal(o->kind, want[r].kind);
      assert_int_equal(o->stage, want[r].stage);
      assert_int_equal(o->committed, want[r].committed);
      assert_int_equal(o->model_len,
                       o->kind == XF_TASK_EVALUATE ? t->lens[i].all : t->lens[i].down[o->stage]);
    }
    answer_all(t);
    assert_int_equal(t->n_participant, 3);
    const struct ct_record *commit = ct_record_last(t, XF_RECORD_COMMIT);
    assert_int_equal(commit->round, r + 1);
    if (want[r].kind == XF_TASK_TRAIN) assert_int_equal(commit->stage, want[r].stage);
    assert_int_equal(commit->committed,
                     want[r].committed + (want[r].kind == XF_TASK_TRAIN ? 1 : 0));
  }
  for (uint32_t k = 0, r = 0; k < t->n_record; k++) { /* as the ledger has it */
    if (t->record[k].type != XF_RECORD_OPEN) continue;
    assert_int_equal(t->record[k].stage, want[r].stage);
    assert_int_equal(t->record[k].kind, want[r].kind);
    r++;
  }
  assert_true(ct_view(t).done);
  for (uint32_t i = 0; i < 3; i++) {
    assert_int_equal(t->offer[i].kind, XF_TASK_FINAL);
    assert_int_equal(t->offer[i].model_len, t->lens[i].all);
  }
  ct_stop(t);
}

/* Each stage has its own deadlines, weights and quorum. */
static void test_rules_of_the_stage(void **state) {
  (void)state;
  struct ct *t = staged(4);
  t->plan.stages[2].fed.deadline_s = 10;
  t->plan.stages[2].fed.quorum = 0.25;
  t->plan.stages[0].fed.quorum = 1;
  ct_run(t);
  assert_int_equal(ct_view(t).quorum, 4);
  ct_join_all(t);
  ct_answer(t, 0);
  ct_pass(t, 50, true);
  assert_int_equal(ct_view(t).committed, 0); /* its deadline is 100 s, and it wants all */
  for (uint32_t i = 1; i < 4; i++) ct_answer(t, i);
  answer_all(t); /* the evaluation */
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(ct_view(t).quorum, 1);
  ct_answer(t, 2);
  ct_pass(t, 11, true);
  assert_int_equal(ct_view(t).committed, 2);
  assert_int_equal(t->n_participant, 1);
  ct_stop(t);
}

static void test_lengths(void **state) {
  (void)state;
  struct ct *t = staged(3);
  ct_run(t);
  ct_join_all(t);
  struct xf_msg_update_begin u = ct_update(t, 0);
  u.payload_len = OWN; /* of another stage */
  ct_seal(&u);
  ct_begin(t, 0, &u);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_REJECTED);
  assert_string_equal(ct_last(t, t->conn[0], XF_MSG_UPDATE_ACK)->code, "E_SHAPE");
  ct_answer(t, 1);
  ct_answer(t, 2);
  ct_answer(t, 0); /* refused is refused */
  assert_int_equal(t->n_participant, 2);
  answer_all(t); /* the evaluation */
  assert_int_equal(t->offer[1].stage, 2);
  assert_int_equal(t->offer[1].kind, XF_TASK_TRAIN);
  static const uint64_t wrong[] = {UP0, IN + OWN, OWN,
                                   0}; /* of silo 0; with its inputs; of silo 0 */
  for (uint32_t k = 0; k < 3; k++) {
    u = ct_update(t, k);
    assert_int_equal(u.payload_len, OWN + 16 * k);
    u.payload_len = k == 2 ? wrong[3] : wrong[k];
    if (k == 1) u.payload_len = wrong[2];
    ct_seal(&u);
    ct_begin(t, k, &u);
    assert_int_equal(ct_verdict(t, k), XF_VERDICT_REJECTED);
    assert_string_equal(ct_last(t, t->conn[k], XF_MSG_UPDATE_ACK)->code, "E_SHAPE");
  }
  ct_stop(t);
}

static void get(struct ct *t, uint32_t i, uint64_t offset, uint64_t length) {
  const struct xf_msg m = {.type = XF_MSG_MODEL_GET,
                           .model_get = {t->offer[i].task_id, offset, length}};
  ct_msg(t, t->conn[i], &m);
}

/* A silo may ask for what its task moves and no byte more; io is told of which stage. */
static void test_served(void **state) {
  (void)state;
  struct ct *t = staged(3);
  ct_run(t);
  ct_join_all(t);
  answer_all(t);
  t->served = 0;
  get(t, 1, 0, ALL + 16); /* the evaluation moves everything */
  assert_int_equal(t->served, ALL + 16);
  answer_all(t);
  t->served = 0;
  get(t, 1, IN, OWN + 16); /* the artifacts are there already */
  assert_int_equal(t->served, OWN + 16);
  assert_int_equal(t->served_stage, 2);
  get(t, 0, 0, IN + OWN + 16); /* silo 1's length */
  assert_int_equal(t->served, OWN + 16);
  assert_int_equal(t->conn[0], 0);
  assert_int_not_equal(t->conn[1], 0);
  ct_stop(t);
}

/* It shares no key with anyone: nothing to fetch, nothing to send, and yet an answer that counts. */
static void test_nothing_to_send(void **state) {
  (void)state;
  struct ct *t = staged(3);
  t->config.max_transfers = 1;
  t->lens[1] = (struct xf_plan_lens){.n_stage = 3};
  ct_run(t);
  ct_join_all(t);
  assert_int_equal(t->offer[1].model_len, 0);
  ct_reply(t, 1, true);
  struct xf_msg_update_begin u = ct_update(t, 1);
  assert_int_equal(u.payload_len, 0);
  ct_begin(t, 1, &u);
  assert_int_equal(ct_verdict(t, 1), XF_VERDICT_ACCEPTED);
  assert_int_equal(ct_count(t, t->conn[1], XF_MSG_UPDATE_READY), 0);
  assert_false(t->spool_open[1]);
  ct_begin(t, 1, &u);
  assert_int_equal(ct_verdict(t, 1), XF_VERDICT_DUPLICATE_OK);
  ct_answer(t, 0); /* the only transfer is free again */
  ct_answer(t, 2);
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(t->n_participant, 3);
  ct_stop(t);
}

/* The same while the disk refuses, and while the only transfer is another's. */
static void test_nothing_to_send_waits(void **state) {
  (void)state;
  struct ct *t = staged(3);
  t->config.max_transfers = 1;
  t->lens[1] = t->lens[2] = (struct xf_plan_lens){.n_stage = 3};
  ct_run(t);
  ct_join_all(t);
  struct xf_msg_update_begin u = ct_update(t, 0);
  ct_begin(t, 0, &u);
  ct_chunk(t, 0, 0, 16);
  for (uint32_t i = 1; i < 3; i++) {
    u = ct_update(t, i);
    ct_begin(t, i, &u);
    assert_int_equal(ct_verdict(t, i), XF_VERDICT_NONE); /* queued */
  }
  t->spool_rc = XF_E_CORRUPT;
  ct_chunk(t, 0, 16, UP0 - 16);
  assert_int_equal(ct_verdict(t, 0), XF_VERDICT_CORRUPT);
  assert_int_equal(ct_verdict(t, 1), XF_VERDICT_CORRUPT);
  t->spool_rc = XF_OK;
  answer_all(t);
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(t->n_participant, 3);
  ct_stop(t);
}

/* Who came after the freeze evaluates and gets the final model; no draw, quorum or round knows it. */
static void test_readers(void **state) {
  (void)state;
  struct ct *t = staged(4);
  t->config.exit_when_done = true;
  t->plan.stages[0].fed.quorum = t->plan.stages[2].fed.quorum = 1;
  t->hold_reserve = true;
  ct_run(t);
  xf_coord_set_reader(t->coord, 3);
  ct_release(t);
  ct_join_all(t);
  assert_int_equal(ct_count(t, t->conn[3], XF_MSG_TASK_OFFER), 0);
  for (uint32_t i = 0; i < 3; i++) ct_answer(t, i);
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(t->offer[3].kind, XF_TASK_EVALUATE);
  assert_int_equal(t->offer[3].model_len, ALL + 48);
  answer_all(t);
  assert_int_equal(t->n_participant, 4); /* of the evaluation */
  for (uint32_t r = 0; r < ROWS; r++) {
    assert_int_equal(ct_view(t).quorum, 3);
    assert_int_equal(ct_record_last(t, XF_RECORD_OPEN)->n_member, 3);
    assert_int_equal(t->offer[3].kind, XF_TASK_EVALUATE); /* no other since */
    for (uint32_t i = 0; i < 3; i++) ct_answer(t, i);
    assert_int_equal(ct_view(t).committed, 2 + r);
    assert_int_equal(t->n_participant, 3);
  }
  assert_int_equal(ct_count(t, t->conn[3], XF_MSG_TASK_CANCEL), 0);
  answer_all(t);
  assert_true(ct_view(t).done);
  assert_int_equal(t->offer[3].kind, XF_TASK_FINAL);
  for (uint32_t i = 0; i < 3; i++) ct_reply(t, i, true);
  assert_int_equal(t->exits, 0); /* the reader has not stored it yet */
  ct_reply(t, 3, true);
  assert_int_equal(t->exits, 1);
  ct_stop(t);
}

/* Drawn before it announced itself too late: it is offered nothing, and the round does not wait for it. */
static void test_reader_in_mid_round(void **state) {
  (void)state;
  struct ct *t = staged(4);
  t->strangers = 1u << 3;
  t->plan.stages[0].fed.quorum = 1;
  ct_run(t);
  ct_join_all(t);
  ct_pass(t, 21, true);
  assert_int_equal(ct_record_last(t, XF_RECORD_OPEN)->n_member, 4);
  xf_coord_set_lens(t->coord, 3, &t->lens[3]);
  xf_coord_set_reader(t->coord, 3);
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = 3});
  assert_int_equal(ct_count(t, t->conn[3], XF_MSG_TASK_OFFER), 0);
  for (uint32_t i = 0; i < 3; i++) ct_answer(t, i);
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(t->n_participant, 3);
  assert_int_equal(t->offer[3].kind, XF_TASK_EVALUATE);
  ct_stop(t);
}

/* Of many rounds with half of the contributors none draws a reader; what it sends all the same is refused. */
static void test_readers_are_not_drawn(void **state) {
  (void)state;
  struct ct *t = staged(6);
  t->plan.stages[0].fed.rounds = 40;
  t->plan.stages[0].fed.cohort = 0.5;
  t->plan.stages[0].fed.quorum = 0.5;
  t->hold_reserve = true;
  ct_run(t);
  xf_coord_set_reader(t->coord, 1);
  xf_coord_set_reader(t->coord, 4);
  ct_release(t);
  ct_join_all(t);
  uint32_t drawn[6] = {0};
  for (uint32_t r = 0; r < 40; r++) {
    const struct ct_record *open = ct_record_last(t, XF_RECORD_OPEN);
    assert_int_equal(open->n_member, 2); /* of four contributors */
    uint32_t who[2] = {open->member[0], open->member[1]};
    for (uint32_t k = 0; k < 2; k++) {
      drawn[who[k]]++;
      ct_answer(t, who[k]);
    }
    assert_int_equal(ct_view(t).committed, r + 1);
  }
  assert_true(drawn[1] == 0 && drawn[4] == 0);
  for (uint32_t i = 0; i < 6; i++) assert_true(i == 1 || i == 4 || drawn[i] > 5);
  answer_all(t); /* the evaluation */
  const struct xf_msg_task_offer *o = &t->offer[0];
  struct xf_msg_update_begin u = {.round = 42,
                                  .base_digest = o->base_digest,
                                  .layout_digest = o->layout_digest,
                                  .weight = 1,
                                  .dtype = XF_DTYPE_FLOAT32,
                                  .payload_len = t->lens[1].up[2]};
  xf_coord_task_id(&u.task_id, "run-1", 42, t->member[1].id, &u.base_digest,
                   &t->config.plan_digest);
  ct_seal(&u);
  ct_begin(t, 1, &u);
  assert_int_not_equal(ct_verdict(t, 1), XF_VERDICT_ACCEPTED);
  assert_int_not_equal(ct_verdict(t, 1), XF_VERDICT_NONE);
  assert_false(t->spool_open[1]);
  ct_stop(t);
}

/* Without zeros a payload is shorter than its floats, where the plan says so, and only there. */
static void test_sparse(void **state) {
  (void)state;
  static const struct {
    enum xf_plan_encoding encoding;
    enum xf_dtype dtype;
    uint64_t len;
    bool good;
  } row[] = {{XF_PLAN_ENCODING_SPARSE, XF_DTYPE_SPARSE, UP0 - 12, true},
             {XF_PLAN_ENCODING_SPARSE, XF_DTYPE_FLOAT32, UP0, true},
             {XF_PLAN_ENCODING_SPARSE, XF_DTYPE_SPARSE, UP0, false},
             {XF_PLAN_ENCODING_SPARSE, XF_DTYPE_SPARSE, UP0 + 8, false},
             {XF_PLAN_ENCODING_SPARSE, XF_DTYPE_SPARSE, 0, false},
             {XF_PLAN_ENCODING_SPARSE, XF_DTYPE_FLOAT32, UP0 - 12, false},
             {XF_PLAN_ENCODING_FLOAT16, XF_DTYPE_FLOAT16, UP0 / 2, true},
             {XF_PLAN_ENCODING_FLOAT16, XF_DTYPE_FLOAT16, UP0 / 2 - 1, false},
             {XF_PLAN_ENCODING_FLOAT16, XF_DTYPE_BFLOAT16, UP0 / 2, false},
             {XF_PLAN_ENCODING_FLOAT16, XF_DTYPE_FLOAT32, UP0, false},
             {XF_PLAN_ENCODING_INT8, XF_DTYPE_INT8, UP0 / 4 + 4, true},
             {XF_PLAN_ENCODING_INT8, XF_DTYPE_REPORT, UP0 / 4 + 4, false},
             {XF_PLAN_ENCODING_FLOAT32, XF_DTYPE_QSGD, UP0, false},
             {XF_PLAN_ENCODING_FLOAT32, XF_DTYPE_SPARSE, UP0 - 12, false}};
  for (size_t k = 0; k < sizeof row / sizeof row[0]; k++) {
    struct ct *t = staged(3);
    t->plan.stages[0].fed.encoding = row[k].encoding;
    ct_run(t);
    ct_join_all(t);
    struct xf_msg_update_begin u = ct_update(t, 0);
    u.dtype = row[k].dtype;
    u.payload_len = row[k].len;
    ct_seal(&u);
    ct_reply(t, 0, true);
    ct_begin(t, 0, &u);
    assert_int_equal(t->spool_open[0], row[k].good);
    if (!row[k].good) assert_int_not_equal(ct_verdict(t, 0), XF_VERDICT_NONE);
    ct_stop(t);
  }
}

/* Rows in keyed stages are keyed rows: silos are asked for their keys before anything else. */
static void test_aligns(void **state) {
  (void)state;
  for (int rows = 0; rows < 2; rows++) {
    struct ct *t = staged(3);
    if (rows) t->plan.stages[0] = t->plan.stages[2];
    t->recovery.frozen = false;
    ct_run(t);
    ct_join_all(t);
    assert_int_equal(t->aligned, 3);
    assert_int_equal(ct_records(t, XF_RECORD_OPEN), 0);
    for (uint32_t i = 0; i < 3; i++)
      ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = i});
    assert_int_equal(t->frozen, 1);
    assert_int_equal(t->directories, 3);
    assert_int_equal(ct_records(t, XF_RECORD_OPEN), 1);
    ct_leave(t, 1);
    ct_join(t, 1);
    assert_int_equal(t->directories, 4); /* again on each connection */
    assert_int_equal(t->aligned, 3);
    ct_stop(t);
  }
}

static void announces(struct ct *t, uint32_t i) {
  xf_coord_set_lens(t->coord, i, &t->lens[i]);
  ct_feed(t, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = i});
}

/* A member whose keys nobody knows yet is asked for them, and offered nothing before: it could not tell what fits. */
static void test_keys_before_tasks(void **state) {
  (void)state;
  struct ct *t = staged(3);
  t->strangers = 1u << 2;
  t->plan.stages[0].fed.quorum = 0.5;
  ct_run(t);
  ct_join_all(t);
  assert_int_equal(t->aligned, 1);
  assert_int_equal(t->directories, 2);
  assert_int_equal(ct_view(t).state,
                   XF_ROUND_SELECTING); /* two of three can be told of the round */
  ct_pass(t, 21, true);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 1);
  assert_int_equal(ct_count(t, t->conn[2], XF_MSG_TASK_OFFER), 0);
  announces(t, 2); /* in time for the open round */
  assert_int_equal(t->directories, 3);
  assert_int_equal(ct_count(t, t->conn[2], XF_MSG_TASK_OFFER), 1);
  answer_all(t);
  assert_int_equal(t->n_participant, 3);
  ct_stop(t);

  t = staged(3);
  t->strangers = 1u << 2;
  t->plan.stages[0].fed.quorum = 0.5;
  ct_run(t);
  ct_join_all(t);
  ct_pass(t, 21, true);
  ct_answer(t, 0);
  ct_answer(t, 1);
  ct_pass(t, 101, true); /* the round closes without it; the evaluation does not ask it */
  assert_int_equal(ct_view(t).committed, 1);
  assert_int_equal(ct_record_last(t, XF_RECORD_OPEN)->n_member, 2);
  ct_stop(t);
}

static void test_keys_before_final(void **state) {
  (void)state;
  struct ct *t = staged(2);
  t->strangers = 1;
  t->recovery.last_round = 6;
  t->recovery.committed = 1 + ROWS;
  t->recovery.evaluated_at = 1 + ROWS;
  t->recovery.done = true;
  ct_run(t);
  ct_join_all(t);
  assert_int_equal(t->offer[1].kind, XF_TASK_FINAL);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 0);
  ct_pass(t, 20, true);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 0);
  announces(t, 0);
  assert_int_equal(t->offer[0].kind, XF_TASK_FINAL);
  assert_int_equal(t->offer[0].model_len, ALL);
  assert_int_equal(ct_count(t, t->conn[0], XF_MSG_TASK_OFFER), 1);
  ct_stop(t);
}

/* --- starts ------------------------------------------------------------------------------------------- */

struct ledger {
  struct xf_coord_accepted row[3];
  uint32_t cohort[3], participant[3];
};

/* Round 4 is the second of the rows; silo 2's update is in the ledger. */
static struct ct *crashed(struct ledger *l, enum xf_round_state at) {
  struct ct *t = staged(3);
  *l = (struct ledger){.cohort = {0, 1, 2}, .participant = {2}};
  t->plan.stages[0].fed.quorum = t->plan.stages[2].fed.quorum = at == XF_ROUND_COLLECTING ? 1 : 0.1;
  t->recovery.epoch = 2;
  t->recovery.last_round = 4;
  t->recovery.committed = 2;
  t->recovery.evaluated_at = 1;
  t->recovery.open.round = 4;
  t->recovery.open.kind = XF_TASK_TRAIN;
  t->recovery.open.state = at;
  t->recovery.open.cohort = l->cohort;
  t->recovery.open.n_cohort = 3;
  t->recovery.open.participant = l->participant;
  t->recovery.open.n_participant = at == XF_ROUND_COLLECTING ? 0 : 1;
  l->row[0] = (struct xf_coord_accepted){
      .member = 2, .round = 4, .kind = XF_TASK_TRAIN, .weight = 1, .outcome = XF_OUTCOME_NONE};
  xf_coord_task_id(&l->row[0].task_id, "run-1", 4, t->member[2].id, &t->recovery.model_digest,
                   &t->config.plan_digest);
  t->recovery.accepted = l->row;
  t->recovery.n_accepted = 1;
  return t;
}

static void test_start_in_the_middle(void **state) {
  (void)state;
  struct ledger l;
  struct ct *t = crashed(&l, XF_ROUND_COLLECTING);
  ct_run(t);
  assert_int_equal(ct_view(t).stage, 2);
  assert_int_equal(ct_view(t).quorum, 3); /* of the stage that goes on */
  ct_join_all(t);
  for (uint32_t i = 0; i < 2; i++) {
    assert_int_equal(t->offer[i].stage, 2);
    assert_int_equal(t->offer[i].committed, 2);
    assert_int_equal(t->offer[i].model_len, t->lens[i].down[2]);
    ct_answer(t, i);
  }
  assert_int_equal(t->n_participant, 3);
  assert_int_equal(ct_record_last(t, XF_RECORD_COMMIT)->stage, 2);
  assert_int_equal(ct_view(t).committed, 3);
  answer_all(t); /* the last round of rows */
  answer_all(t); /* and the evaluation */
  assert_true(ct_view(t).done);
  assert_int_equal(ct_records(t, XF_RECORD_OPEN), 2);
  ct_stop(t);
  t = crashed(&l, XF_ROUND_COMMITTING); /* folded again, as what it was: a round of rows */
  ct_run(t);
  assert_int_equal(t->n_participant, 1);
  assert_int_equal(ct_record_last(t, XF_RECORD_COMMIT)->stage, 2);
  assert_int_equal(ct_view(t).committed, 3);
  ct_stop(t);
}

/* Between two stages: the evaluation that lies there is made once, then the next stage begins. */
static void test_start_between(void **state) {
  (void)state;
  for (int evaluated = 0; evaluated < 2; evaluated++) {
    struct ct *t = staged(3);
    t->recovery.epoch = 2;
    t->recovery.last_round = 1 + (uint64_t)evaluated;
    t->recovery.committed = 1;
    t->recovery.evaluated_at = evaluated ? 1 : UINT64_MAX;
    ct_run(t);
    ct_join_all(t);
    if (!evaluated) {
      assert_int_equal(t->offer[0].kind, XF_TASK_EVALUATE);
      answer_all(t);
    }
    assert_int_equal(t->offer[0].kind, XF_TASK_TRAIN);
    assert_int_equal(t->offer[0].stage, 2);
    assert_int_equal(t->offer[0].round, 3);
    ct_stop(t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_whole_run),
      cmocka_unit_test(test_rules_of_the_stage),
      cmocka_unit_test(test_lengths),
      cmocka_unit_test(test_served),
      cmocka_unit_test(test_nothing_to_send),
      cmocka_unit_test(test_nothing_to_send_waits),
      cmocka_unit_test(test_readers),
      cmocka_unit_test(test_reader_in_mid_round),
      cmocka_unit_test(test_readers_are_not_drawn),
      cmocka_unit_test(test_sparse),
      cmocka_unit_test(test_aligns),
      cmocka_unit_test(test_keys_before_tasks),
      cmocka_unit_test(test_keys_before_final),
      cmocka_unit_test(test_start_in_the_middle),
      cmocka_unit_test(test_start_between),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
