/*
 * world.h - the deterministic simulation: one coordinator core and five session cores in one thread, on virtual
 * time, a network that delays, cuts and a disk whose unsynced writes a crash may lose. One seed, one schedule.
 *
 * Kinds of world. Patient: cohort 1, quorum 1, deadlines longer than any outage; the final model is the same bytes
 * as in the undisturbed run, every acknowledged update is in its round once, and the run ends (operations.md 4.8,
 * decisions 3 and 26). Hasty: deadlines shorter than some work, quorum .6; rounds close without stragglers or are
 * abandoned, updates come late; which model comes out is a matter of chance, everything else must hold.
 * Two more patient worlds ask three of the five silos in each round, by power-of-choice and by Oort: a coordinator that forgets
 * what it has learned of the silos asks others, and another model comes out.
 * Patient or hasty, a world may be staged: keys are exchanged first; then a sum, rows, and rows that read the rows before, each a slice of the
 * model, of which each silo has other floats; evaluations between. What a silo works on is compared with the model it is of.
 * A fifth world is asynchronous: hasty, and commits take two updates of whatever age; tasks outlive rounds and crashes.
 */
#ifndef XF_DST_WORLD_H
#define XF_DST_WORLD_H

#include "base/arena.h"
#include "base/eventq.h"
#include "base/rng.h"
#include "client/core/session.h"
#include "server/core/coord.h"

enum { N_CLIENT = 5, N_ROUND = 8, N_FLOAT = 16, MAX_ROUND = 128, MAX_PAST = 32, PAYLOAD_MAX = 256 };

struct payload {
  uint8_t b[PAYLOAD_MAX];
  size_t len;
};

/* What a disk keeps of one accepted update. */
struct stored {
  bool durable;
  struct xf_msg_update_begin begin;
  struct payload payload;
  double seconds;
};

struct ledger_round {
  bool opened, closing, committing, committed, abandoned;
  enum xf_task_kind kind;
  struct xf_digest base, model;
  uint64_t before; /* commits before it */
  uint32_t participant[N_CLIENT], cohort[N_CLIENT];
  size_t n_participant, n_cohort;
  struct stored update[N_CLIENT];
  struct stored spool[N_CLIENT]; /* durable spool file, row or not */
  bool acked[N_CLIENT];          /* the silo has seen ACCEPTED or DUPLICATE_OK */
};

struct past { /* a committed model */
  struct xf_digest digest;
  float model[N_FLOAT];
};

struct server {
  struct xf_coord *core;
  bool up;
  uint64_t generation;
  struct xf_time tick_at;       /* of the tick in the queue */
  struct payload tmp[N_CLIENT]; /* spool in memory, lost in a crash */
  struct ledger_round round[MAX_ROUND + 1];
  uint64_t last_round, committed, evaluated_at, epoch;
  uint32_t abandoned_in_row;
  bool done, paused;
  bool frozen, known[N_CLIENT]; /* the directory of keys, and whose are in it; durable */
  bool final[N_CLIENT];         /* who has stored the final model; durable */
  bool late[N_CLIENT];          /* announced after the freeze; of this start */
  unsigned have[N_CLIENT];      /* namespaces whose keys have come, bits; of this start */
  float model[N_FLOAT], next[N_FLOAT];
  struct past past[MAX_PAST];
  uint64_t n_past;
  struct xf_digest digest, next_digest;
};

struct client {
  struct xf_session *core;
  char id[16];
  bool up;
  uint64_t generation, conn;
  struct xf_time tick_at;
  bool dialing, adopted;
  bool tell;            /* its core does not know yet that the directory came */
  unsigned directories; /* of which namespaces, bits; of this start */
  struct {              /* durable */
    bool pending, has_plan, final, aligned;
    struct xf_msg_update_begin begin;
    struct payload payload;
    uint64_t released;
    struct xf_digest plan_digest, final_task;
    char run_id[64];
  } disk;
  struct payload fetched;
  uint64_t releases; /* distinct outbox entries made, for I6 */
};

struct world {
  struct xf_rng rng;
  struct xf_time now;
  struct xf_plan plan;
  struct xf_buf canonical;
  struct xf_digest plan_digest, layout_digest;
  struct xf_coord_member member[N_CLIENT];
  struct server s;
  struct client c[N_CLIENT];
  struct xf_eventq queue;
  uint64_t next_conn;
  const char *name;
  bool calm;  /* no faults */
  bool hasty; /* stragglers, late updates, abandoned rounds */
  uint64_t late, abandoned, readers, stale;
  uint32_t crashes;
  bool finished, exited;
  char error[256];
  struct xf_arena arena;
  struct xf_buf wire;
};

/* Runs one schedule; false when an invariant broke or the run did not end (world->error says what).
   `final` gets the digest of the last model. */
bool world_run(struct world *w, uint64_t seed, bool calm, struct xf_digest *final);
/* One world is reused for many schedules. */
void world_init(struct world *w);
void world_deinit(struct world *w);

#endif
