/* Queue, network and the loop. */
#include "parts.h"

#include "base/alloc.h"
#include "wire/codec.h"

#include <stdio.h>
#include <string.h>

enum { MAX_EVENTS = 60000, HEAL_S = 60 };

struct item *world_push(struct world *w, enum kind kind, double delay_s, const struct item *init) {
  struct item *it = xf_alloc(sizeof *it);
  *it = init ? *init : (struct item){0};
  it->kind = kind;
  xf_eventq_put(&w->queue, xf_time_add_s(w->now, delay_s), it);
  return it;
}

static void item_free(struct item *it) {
  xf_free(it->frame);
  xf_free(it);
}

void world_fail(struct world *w, const char *what, uint64_t round, uint32_t client) {
  if (!w->error[0])
    (void)snprintf(w->error, sizeof w->error, "%s (round %llu, client %u)", what,
                   (unsigned long long)round, client);
}

double world_delay(struct world *w) {
  return w->calm ? 0.01 : 0.001 + 0.2 * xf_rng_double(&w->rng);
}
/* Faults stop after a while: from then on everything must come to its end by itself (I9). */
bool world_chance(struct world *w, double p) {
  const bool healed = w->now.ns > (int64_t)HEAL_S * 1000000000 || w->s.committed == N_ROUND;
  return !w->calm && !healed && xf_rng_double(&w->rng) < p;
}

struct ledger_round *world_round(struct world *w, uint64_t round) {
  if (round == 0 || round > MAX_ROUND) {
    world_fail(w, "round number out of range", round, 0);
    round = MAX_ROUND;
  }
  return &w->s.round[round];
}

/* --- network ------------------------------------------------------------------------------------------- */

void world_cut(struct world *w, uint64_t conn, double after_s) {
  struct item it = {.conn = conn};
  world_push(w, CONN_DOWN, after_s, &it);
}

void world_post(struct world *w, enum kind kind, uint32_t client, uint64_t conn,
                const struct xf_msg *msg) {
  xf_buf_reset(&w->wire);
  if (xf_msg_encode(&w->wire, msg)) {
    world_fail(w, "a message does not encode", 0, client);
    return;
  }
  struct item it = {.client = client, .conn = conn, .frame_len = w->wire.len};
  it.frame = xf_memdup(w->wire.p, w->wire.len);
  /* In order per connection: the queue is by time, so a message never overtakes: constant part by seq. */
  world_push(w, kind, w->hasty ? 0.3 : 0.002, &it);
  if (world_chance(w, 0.004)) world_cut(w, conn, 0.001);
}

static bool open_frame(struct world *w, struct xf_msg *msg, const struct item *it) {
  struct xf_diag diag;
  xf_arena_reset(&w->arena);
  uint16_t type = (uint16_t)(it->frame[4] << 8 | it->frame[5]);
  enum xf_rc rc = xf_msg_decode(msg, &w->arena, type, it->frame + 8, it->frame_len - 8, &diag);
  if (rc) world_fail(w, "a message does not decode", 0, it->client);
  return rc == XF_OK;
}

/* --- the loop ------------------------------------------------------------------------------------------ */

static void conn_down(struct world *w, uint64_t conn) {
  for (uint32_t i = 0; i < N_CLIENT; i++) {
    if (w->c[i].conn != conn) continue;
    w->c[i].conn = 0;
    server_feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_CLOSED, .conn = conn});
    client_feed(w, i, &(struct xf_session_event){.type = XF_SESSION_EV_LOST, .text = "cut"});
  }
}

static void step(struct world *w, struct item *it) {
  struct client *c = &w->c[it->client];
  struct xf_msg msg;
  switch (it->kind) {
  case TO_SERVER:
    if (w->s.up && c->conn == it->conn && open_frame(w, &msg, it) &&
        !keys_message(w, it->client, &msg))
      server_feed(
          w, &(struct xf_coord_event){.type = XF_COORD_EV_MESSAGE, .conn = it->conn, .msg = &msg});
    return;
  case TO_CLIENT:
    if (c->conn == it->conn && open_frame(w, &msg, it))
      client_feed(w, it->client,
                  &(struct xf_session_event){.type = XF_SESSION_EV_MESSAGE, .msg = &msg});
    return;
  case CONN_UP:
    if (!c->up || c->generation != it->generation) return;
    c->dialing = false;
    if (!w->s.up) {
      client_feed(w, it->client,
                  &(struct xf_session_event){.type = XF_SESSION_EV_LOST, .text = "refused"});
      return;
    }
    c->conn = it->conn;
    server_feed(w, &(struct xf_coord_event){
                       .type = XF_COORD_EV_OPENED, .conn = it->conn, .member_id = c->id});
    client_feed(w, it->client, &(struct xf_session_event){.type = XF_SESSION_EV_DIALED});
    return;
  case CONN_DOWN: conn_down(w, it->conn); return;
  case DIAL_FAILED:
    if (c->generation == it->generation)
      client_feed(w, it->client,
                  &(struct xf_session_event){.type = XF_SESSION_EV_LOST, .text = "nobody listens"});
    return;
  case SERVER_EVENT:
    if (w->s.generation == it->generation) server_feed(w, &it->se);
    return;
  case CLIENT_EVENT:
    if (c->generation != it->generation) return;
    it->ce.begin = &it->begin;
    client_feed(w, it->client, &it->ce);
    return;
  case PERSISTED: /* a row whose process died in flight may or may not have reached the disk */
    if (w->s.generation != it->generation) return;
    row_apply(w, it);
    if (world_chance(w, 0.004) ||
        (it->row.type == XF_RECORD_STORED && !w->calm && xf_rng_below(&w->rng, 5) == 0)) {
      server_crash(w); /* durable, but the answer is never heard */
      return;
    }
    server_feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_PERSISTED, .token = it->row.token});
    return;
  case SERVER_TICK:
    if (w->s.generation != it->generation) return;
    w->s.tick_at = XF_TIME_NEVER;
    if (w->s.up) server_feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_TICK});
    return;
  case CLIENT_TICK:
    if (c->generation != it->generation) return;
    c->tick_at = XF_TIME_NEVER;
    if (c->up) client_feed(w, it->client, &(struct xf_session_event){.type = XF_SESSION_EV_TICK});
    return;
  case SERVER_START: server_start(w); return;
  case CLIENT_START: client_start(w, it->client); return;
  case CRASH:
    w->crashes++;
    if (it->client == N_CLIENT - 1 || xf_rng_below(&w->rng, 2)) server_crash(w);
    else client_crash(w, it->client);
    return;
  }
}

void world_init(struct world *w) {
  *w = (struct world){0};
  xf_arena_init(&w->arena, XF_MSG_ARENA);
  xf_buf_init(&w->wire, 256 * 1024);
  xf_buf_init(&w->canonical, XF_PLAN_BYTES_MAX);
}

static void world_clear(struct world *w) {
  for (struct item *it; (it = xf_eventq_take(&w->queue, NULL));) item_free(it);
  xf_coord_free(w->s.core);
  for (uint32_t i = 0; i < N_CLIENT; i++) xf_session_free(w->c[i].core);
  memset(&w->s, 0, sizeof w->s);
  memset(w->c, 0, sizeof w->c);
}

void world_deinit(struct world *w) {
  world_clear(w);
  xf_eventq_deinit(&w->queue);
  xf_arena_deinit(&w->arena);
  xf_buf_deinit(&w->wire);
  xf_buf_deinit(&w->canonical);
}

static void world_reset(struct world *w, uint64_t seed, bool calm) {
  world_clear(w);
  xf_rng_init(&w->rng, seed, 0);
  w->now = (struct xf_time){1000000000};
  w->calm = calm;
  w->error[0] = '\0';
  w->finished = w->exited = false;
  w->next_conn = 0;
  w->crashes = 0;
  w->late = w->abandoned = w->readers = w->stale = 0;
  for (uint32_t i = 0; i < N_CLIENT; i++) {
    (void)snprintf(w->c[i].id, sizeof w->c[i].id, "silo-%u", i);
    (void)snprintf(w->member[i].id, sizeof w->member[i].id, "silo-%u", i);
    (void)snprintf(w->member[i].domain, sizeof w->member[i].domain, "domain-%u", i % 3);
    struct item it = {.client = i};
    world_push(w, CLIENT_START, world_delay(w), &it);
  }
  for (int j = 0; j < N_FLOAT; j++) w->s.model[j] = 0.01f * (float)j;
  model_digest(&w->s.digest, w->s.model);
  late_put(w);
  w->s.evaluated_at = UINT64_MAX;
  w->s.frozen = !keys_wanted(w);
  world_push(w, SERVER_START, 0.001, NULL);
  if (calm) return;
  uint32_t n = 2 + xf_rng_below(&w->rng, 4);
  for (uint32_t k = 0; k < n; k++) {
    struct item it = {.client = xf_rng_below(&w->rng, N_CLIENT)};
    world_push(w, CRASH, 0.05 + 25 * xf_rng_double(&w->rng), &it);
  }
}

bool world_run(struct world *w, uint64_t seed, bool calm, struct xf_digest *final) {
  world_reset(w, seed, calm);
  uint32_t n = 0;
  for (; !w->error[0] && !w->exited && n < MAX_EVENTS; n++) {
    struct item *it = xf_eventq_take(&w->queue, &w->now);
    if (!it) break;
    step(w, it);
    item_free(it);
  }
  if (!w->error[0] && !w->exited) world_fail(w, "the run did not end (I9)", w->s.last_round, n);
  for (uint64_t k = 1; k <= w->s.last_round && !w->error[0]; k++) {
    const struct ledger_round *r = &w->s.round[k];
    for (uint32_t i = 0; i < N_CLIENT; i++) {
      bool in = false;
      for (size_t p = 0; p < r->n_participant; p++) in |= r->participant[p] == i;
      if (r->acked[i] && r->committed && !in)
        world_fail(w, "acknowledged, yet not in its round (I2)", k, i);
    }
  }
  if (!w->error[0] && w->s.committed != N_ROUND)
    world_fail(w, "wrong number of commits", w->s.committed, 0);
  *final = w->s.digest;
  return !w->error[0];
}
