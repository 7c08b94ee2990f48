/*
 * coordtest.h - drives the coordinator's core without sockets, files or a clock: performs its actions,
 * answers them at once unless told to hold, and remembers what was sent and recorded.
 * Thread: one. Owner: the test, through ct_start and ct_stop.
 */
#ifndef TESTS_UNIT_SERVER_CORE_COORDTEST_H
#define TESTS_UNIT_SERVER_CORE_COORDTEST_H

#include "server/core/coord.h"

enum { CT_MEMBERS = 20, CT_SENT = 4096, CT_RECORDS = 1024, CT_QUEUE = 512, CT_MODEL = 4096 };

struct ct_sent {
  uint64_t conn;
  enum xf_msg_type type;
  char code[32];
  struct xf_msg_task_offer offer;
  enum xf_verdict verdict;
  uint64_t offset;
};

struct ct_record {
  enum xf_coord_record_type type;
  uint64_t round, committed;
  uint32_t stage;
  enum xf_task_kind kind;
  enum xf_verdict verdict;
  uint32_t member[CT_MEMBERS];
  uint32_t n_member;
};

struct ct {
  struct xf_plan plan;
  struct xf_coord_member member[CT_MEMBERS];
  struct xf_plan_lens lens[CT_MEMBERS];
  struct xf_coord_config config;
  struct xf_coord_recovery recovery;
  struct xf_coord *coord;
  struct xf_time now;
  uint64_t conn[CT_MEMBERS], next_conn;
  struct xf_msg_task_offer offer[CT_MEMBERS]; /* the last of each */
  struct ct_sent sent[CT_SENT];
  uint32_t n_sent;
  struct ct_record record[CT_RECORDS];
  uint32_t n_record;
  struct xf_coord_event queue[CT_QUEUE];
  uint32_t n_queue, at_queue;
  struct xf_coord_event held[64];
  uint32_t n_held;
  uint32_t strangers; /* bits of members that have announced no keys when a frozen run starts */
  uint32_t hold;      /* bits 1 << record type: PERSIST is not answered until ct_release */
  bool hold_spool, hold_reserve, hold_aggregate;
  enum xf_rc reserve_rc, spool_rc, aggregate_rc, publish_rc, persist_rc, freeze_rc;
  bool spool_open[CT_MEMBERS];
  uint64_t served, served_stage, collected, aligned, directories, frozen;
  uint32_t participant[CT_MEMBERS], n_participant;
  uint64_t weight[CT_MEMBERS];
  uint8_t models;
  double figure;       /* that the next evaluation gives */
  char done_text[256]; /* of the DONE record */
  uint32_t exits;
  enum xf_rc exit_rc;
};

/* n members in domains of two, one model of CT_MODEL bytes, a plan of `rounds` rounds with evaluation after each second commit;
   the test may change plan, lens, config and recovery before ct_run. */
struct ct *ct_start(uint32_t n, uint32_t rounds);
void ct_run(struct ct *t);
void ct_stop(struct ct *t);
void ct_feed(struct ct *t, const struct xf_coord_event *event);
void ct_tick(struct ct *t);
/* Lets virtual time pass, with every deadline on the way fed as a tick; pongs for connected silos. */
void ct_pass(struct ct *t, double seconds, bool pong);
void ct_release(struct ct *t); /* answers what is held, and holds no more */
uint64_t ct_open(struct ct *t, const char *id);
void ct_hello(struct ct *t, uint64_t conn, const char *run_id);
void ct_join(struct ct *t, uint32_t i); /* open and Hello */
void ct_join_all(struct ct *t);
void ct_leave(struct ct *t, uint32_t i);
void ct_msg(struct ct *t, uint64_t conn, const struct xf_msg *msg);
void ct_reply(struct ct *t, uint32_t i, bool accepted);
void ct_progress(struct ct *t, uint32_t i, uint64_t done);
/* A correct announcement for member i's last offer. */
struct xf_msg_update_begin ct_update(const struct ct *t, uint32_t i);
void ct_seal(struct xf_msg_update_begin *u); /* its update_digest */
void ct_begin(struct ct *t, uint32_t i, const struct xf_msg_update_begin *u);
void ct_chunk(struct ct *t, uint32_t i, uint64_t offset, size_t len);
/* Everything: reply, begin, all chunks. */
void ct_answer(struct ct *t, uint32_t i);
/* Last thing sent to conn of this type, or NULL. */
const struct ct_sent *ct_last(const struct ct *t, uint64_t conn, enum xf_msg_type type);
uint32_t ct_count(const struct ct *t, uint64_t conn, enum xf_msg_type type);
enum xf_verdict ct_verdict(const struct ct *t, uint32_t i); /* of the last ack; NONE without one */
uint32_t ct_records(const struct ct *t, enum xf_coord_record_type type);
const struct ct_record *ct_record_last(const struct ct *t, enum xf_coord_record_type type);
struct xf_coord_view ct_view(const struct ct *t);

#endif
