/*
 * parts.h - between the files of the simulation: world.c runs queue and network, server.c and silo.c are the shells around the
 * two cores, late.c is what asynchronous rounds need besides, moves.c says what tasks move and what local work and a fold make of it, keys.c exchanges keys of rows.
 */
#ifndef XF_DST_PARTS_H
#define XF_DST_PARTS_H

#include "world.h"

enum kind {
  TO_SERVER,   /* frame from client i on conn */
  TO_CLIENT,   /* frame to client i on conn */
  CONN_UP,     /* both ends learn of conn */
  CONN_DOWN,   /* both ends learn that conn is gone */
  DIAL_FAILED, /* nobody listens */
  SERVER_EVENT,
  CLIENT_EVENT,
  PERSISTED,
  SERVER_TICK,
  CLIENT_TICK,
  SERVER_START,
  CLIENT_START,
  CRASH
};

struct item {
  enum kind kind;
  uint32_t client;
  uint64_t conn, generation;
  struct xf_coord_event se;
  struct xf_session_event ce;
  struct xf_msg_update_begin begin;
  struct { /* a ledger row in flight */
    enum xf_coord_record_type type;
    uint64_t round, committed;
    enum xf_task_kind kind;
    uint32_t stage;
    struct xf_digest base, model;
    uint32_t member[N_CLIENT];
    size_t n_member;
    uint64_t token;
    double seconds;
  } row;
  uint8_t *frame;
  size_t frame_len;
};

/* world.c */
struct item *world_push(struct world *w, enum kind kind, double delay_s, const struct item *init);
void world_fail(struct world *w, const char *what, uint64_t round, uint32_t client);
double world_delay(struct world *w);
bool world_chance(struct world *w, double p); /* of a fault */
struct ledger_round *world_round(struct world *w, uint64_t round);
void world_cut(struct world *w, uint64_t conn, double after_s);
void world_post(struct world *w, enum kind kind, uint32_t client, uint64_t conn,
                const struct xf_msg *msg);

/* late.c */
void late_put(struct world *w); /* the model that was committed */
const float *late_model(const struct world *w, const struct xf_digest *digest);
/* The round that took a client's update; the one it is named after when none has. */
struct ledger_round *late_round(struct world *w, uint32_t client,
                                const struct xf_msg_update_begin *u);
void late_check(struct world *w, const struct xf_coord_action *a); /* of AGGREGATE */
size_t late_held(struct world *w, struct xf_coord_held held[N_CLIENT]);

/* server.c */
void server_feed(struct world *w, const struct xf_coord_event *e);
void server_later(struct world *w, struct xf_coord_event e, double s);
void server_start(struct world *w);
/* Updates of a silo that are in the model, by the ledger. */
uint64_t server_counted(const struct world *w, uint32_t i);
void server_crash(struct world *w);
void row_apply(struct world *w, const struct item *it); /* a row becomes durable */
void model_digest(struct xf_digest *out, const float *model);

/* silo.c */
void client_feed(struct world *w, uint32_t i, const struct xf_session_event *e);
void client_start(struct world *w, uint32_t i);
void client_crash(struct world *w, uint32_t i);

/* moves.c. Floats of the model; every list is in wire order. */
struct xf_plan_lens moves_lens(const struct world *w, uint32_t client);
/* What a task of silo `client` moves down, of `model`. */
size_t moves_down(const struct world *w, uint32_t client, enum xf_task_kind kind, uint32_t stage,
                  const float *model, float out[N_FLOAT]);
/* Its update, from what it fetched. */
size_t moves_work(const struct world *w, uint32_t client, uint32_t stage, const float *down,
                  float out[N_FLOAT]);
/* The commit of the stage that is due: next from model. */
void moves_fold(struct world *w, const struct xf_coord_action *a);

/* keys.c: only in worlds whose plan aligns rows. */
bool keys_wanted(const struct world *w);
void keys_start(struct world *w); /* of the coordinator: what its core hears first */
/* An action of the coordinator or of a silo that is about keys; a message of a silo that is not for the core. */
void keys_server_act(struct world *w, const struct xf_coord_action *a);
void keys_client_act(struct world *w, uint32_t client, const struct xf_session_action *a);
bool keys_message(struct world *w, uint32_t client, const struct xf_msg *msg);

#endif
