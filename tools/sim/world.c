/* The event loop: a network without loss, a ledger in memory, virtual time; workers do the local work. */
#include "base/alloc.h"
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/eventq.h"
#include "base/log.h"
#include "client/core/session.h"
#include "crypto/stream.h"
#include "server/core/coord.h"
#include "tools/sim/edges.h"
#include "tools/sim/past.h"
#include "wire/codec.h"

#include <stdio.h>
#include <string.h>

enum kind {
  TO_SERVER,
  TO_CLIENT,
  CONN_UP,
  CONN_DOWN,
  SERVER_EVENT,
  CLIENT_EVENT,
  WORK_DONE,
  TICK_SERVER,
  TICK_CLIENT
};

struct item {
  enum kind kind;
  uint32_t client;
  struct xf_coord_event se;
  struct xf_session_event ce;
  uint8_t *frame;
  size_t frame_len;
};

struct world {
  struct sim *sim;
  struct xf_coord *coord;
  struct xf_session **session;
  bool *connected, *up;
  struct xf_buf *spool, *accepted; /* per member */
  struct xf_worker *pool;
  struct xf_eventq queue;
  struct xf_time now;
  bool exited;
  enum xf_rc rc;
  struct xf_diag *diag;
  struct xf_digest digest, next_digest;
  struct xf_arena arena;
  struct xf_buf wire;
  struct sim_edges edges;
  struct sim_past past;
  uint32_t commits;
  uint64_t round; /* being aggregated */
  uint32_t *who;
  size_t n_who;
};

static const struct xf_time start = {1000000000};

static void push(struct world *w, enum kind kind, double after_s, struct item it) {
  struct item *own = xf_memdup(&it, sizeof it);
  own->kind = kind;
  xf_eventq_put(&w->queue, xf_time_add_s(w->now, after_s), own);
}

static void item_free(struct item *it) {
  if (!it) return;
  xf_free(it->frame);
  xf_free(it);
}

static void stop(struct world *w, enum xf_rc rc, const char *text) {
  if (w->rc) return;
  w->rc = xf_diag_set(w->diag, rc, "%s", text);
}

static void post(struct world *w, enum kind kind, uint32_t client, const struct xf_msg *msg) {
  xf_buf_reset(&w->wire);
  if (xf_msg_encode(&w->wire, msg)) {
    stop(w, XF_E_LIMIT, "a message does not fit its frame");
    return;
  }
  struct item it = {.client = client, .frame_len = w->wire.len};
  it.frame = xf_memdup(w->wire.p, w->wire.len);
  if (kind == TO_SERVER) w->sim->bytes_up += w->wire.len;
  else w->sim->bytes_down += w->wire.len;
  push(w, kind, 0.001, it);
}

/* conn ids are member index + 1: one connection per silo for the whole run */
static uint32_t client_of(uint64_t conn) { return (uint32_t)conn - 1; }

static void feed_server(struct world *w, const struct xf_coord_event *e);

static void later(struct world *w, struct xf_coord_event e, double s) {
  push(w, SERVER_EVENT, s, (struct item){.se = e});
}

static void aggregate(struct world *w, const struct xf_coord_action *a) {
  struct xf_coord_event e = {.type = XF_COORD_EV_AGGREGATED, .digest = w->digest};
  if (a->kind == XF_TASK_TRAIN) {
    e.rc = sim_edges_fold(&w->edges, w->sim, a, w->commits, w->accepted, w->diag);
    if (e.rc) e.text = w->diag->text;
    if (!e.rc && w->sim->stale) {
      e.rc = sim_report_staleness(w->sim, a->round, a->staleness, a->n_participant, w->diag);
      if (e.rc) e.text = w->diag->text;
    }
    sim_model_digest(&w->next_digest, w->sim, w->sim->next_x);
    e.digest = w->next_digest;
  } else {
    e.rc =
        sim_stop_figure(w->sim, w->accepted, a->participant, a->n_participant, &e.figure, w->diag);
    if (e.rc) e.text = w->diag->text;
  }
  w->round = a->round;
  w->n_who = a->n_participant;
  if (a->n_participant) memcpy(w->who, a->participant, a->n_participant * sizeof *w->who);
  later(w, e, 0.001);
}

static void swap(float **a, float **b) {
  float *const t = *a;
  *a = *b;
  *b = t;
}

static void persist(struct world *w, const struct xf_coord_action *a) {
  const struct xf_coord_record *r = a->record;
  if (r->type == XF_RECORD_UPDATE) {
    xf_buf_reset(&w->accepted[r->member[0]]);
    if (xf_buf_put(&w->accepted[r->member[0]], w->spool[r->member[0]].p,
                   w->spool[r->member[0]].len))
      stop(w, XF_E_NOMEM, "no memory for an update");
  } else if (r->type == XF_RECORD_COMMIT) {
    w->sim->time_s = xf_time_diff_s(w->now, start);
    if (r->kind == XF_TASK_TRAIN) {
      w->sim->rounds++;
      swap(&w->sim->x, &w->sim->next_x);
      for (int k = 0; k < XF_SERVER_STATES; k++) swap(&w->sim->state[k], &w->sim->next_state[k]);
      sim_edges_commit(&w->edges);
      w->digest = w->next_digest;
      sim_past_put(&w->past, &w->digest, w->sim->x);
      w->sim->commit_s = xf_time_diff_s(w->now, start);
      w->commits++;
    } else {
      enum xf_rc rc = sim_report_round(w->sim, w->round, w->accepted, w->who, w->n_who, w->diag);
      if (rc && !w->rc) w->rc = rc;
    }
  } else if (r->type == XF_RECORD_ABANDON) {
    w->sim->abandoned++;
  } else if (r->type == XF_RECORD_DONE && r->text) {
    (void)snprintf(w->sim->stopped, sizeof w->sim->stopped, "%s", r->text);
  } else if (r->type == XF_RECORD_PAUSE) {
    stop(w, XF_E_STATE, r->text ? r->text : "the run paused itself");
  }
  later(w, (struct xf_coord_event){.type = XF_COORD_EV_PERSISTED, .token = a->token}, 0.001);
}

static void serve(struct world *w, const struct xf_coord_action *a) {
  struct sim_client *s = &w->sim->client[a->member];
  const bool train = a->kind == XF_TASK_TRAIN, now = xf_digest_equal(&a->base, &w->digest);
  const float *x = !now    ? sim_past_find(&w->past, &a->base)
                   : train ? sim_edges_base(&w->edges, w->sim, a->member)
                           : w->sim->x;
  if (!x) {
    stop(w, XF_E_STATE, "a task's model is not kept any more");
    return;
  }
  sim_base(w->sim, s, xf_global_view_of(&w->sim->plan, train, a->stage), x, s->base);
  for (uint64_t at = a->offset; at < a->offset + a->length;) {
    uint64_t n = a->offset + a->length - at;
    if (n > XF_CHUNK_MAX) n = XF_CHUNK_MAX;
    struct xf_msg msg = {.type = XF_MSG_MODEL_CHUNK};
    msg.chunk = (struct xf_msg_chunk){.task_id = a->task_id,
                                      .offset = at,
                                      .data = (const uint8_t *)s->base + at,
                                      .data_len = (size_t)n};
    msg.chunk.crc32c = xf_crc32c(0, msg.chunk.data, msg.chunk.data_len);
    post(w, TO_CLIENT, a->member, &msg);
    at += n;
  }
}

static void act_server(struct world *w, const struct xf_coord_action *a) {
  switch (a->type) {
  case XF_COORD_SEND: post(w, TO_CLIENT, client_of(a->conn), &a->msg); return;
  case XF_COORD_CLOSE:
    push(w, CONN_DOWN, 0.002, (struct item){.client = client_of(a->conn)});
    return;
  case XF_COORD_RESERVE:
    later(w, (struct xf_coord_event){.type = XF_COORD_EV_RESERVED}, 0.001);
    return;
  case XF_COORD_SERVE: serve(w, a); return;
  case XF_COORD_SPOOL_BEGIN: xf_buf_reset(&w->spool[a->member]); return;
  case XF_COORD_SPOOL_WRITE:
    if (xf_buf_put(&w->spool[a->member], a->data, a->data_len))
      stop(w, XF_E_NOMEM, "no memory for an update");
    return;
  case XF_COORD_SPOOL_FINISH:
    later(w, (struct xf_coord_event){.type = XF_COORD_EV_SPOOLED, .member = a->member}, 0.001);
    return;
  case XF_COORD_SPOOL_ABORT: xf_buf_reset(&w->spool[a->member]); return;
  case XF_COORD_PERSIST: persist(w, a); return;
  case XF_COORD_AGGREGATE: aggregate(w, a); return;
  case XF_COORD_PUBLISH:
    later(w, (struct xf_coord_event){.type = XF_COORD_EV_PUBLISHED}, 0.001);
    return;
  case XF_COORD_EXIT:
    w->exited = true;
    if (a->rc) stop(w, a->rc, a->text ? a->text : "the coordinator stopped");
    return;
  case XF_COORD_ALIGN: /* the simulator aligned everybody before the start */
    later(w, (struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = a->member}, 0.0001);
    return;
  case XF_COORD_FREEZE:
  case XF_COORD_DIRECTORY:
  case XF_COORD_COLLECT: return;
  }
}

static void feed_server(struct world *w, const struct xf_coord_event *e) {
  xf_coord_feed(w->coord, w->now, e);
  for (const struct xf_coord_action *a; (a = xf_coord_next(w->coord));) act_server(w, a);
}

static void feed_client(struct world *w, uint32_t i, const struct xf_session_event *e);

static void work(struct xf_job *job) {
  struct sim_client *c = (struct sim_client *)job;
  xf_diag_init(&c->diag);
  c->rc = xf_silo_work(c->silo, &c->task, &c->answer, &c->diag);
}

/* A seeded uniform of a client's round: who drops out, who is slow. */
static double availability(const struct world *w, const struct sim_client *c, uint64_t round) {
  struct xf_rng rng;
  xf_stream_init(&rng, w->sim->plan.seed, "availability", round, c->id);
  return xf_rng_double(&rng);
}

static void run(struct world *w, uint32_t i, const struct xf_msg_task_offer *o) {
  struct sim_client *c = &w->sim->client[i];
  c->task =
      (struct xf_silo_task){.offer = *o, .base = c->base, .spent = c->spent, .cancel = &c->cancel};
  c->cancel = false;
  c->done = false;
  c->job.run = work;
  xf_worker_submit(w->pool, &c->job);
  const size_t n = xf_dataset_count(xf_silo_data(c->silo), XF_PART_TRAIN);
  const double delay = 2 * w->sim->plan.sim.delay_s * availability(w, c, o->round);
  double cost = 0.01 + 1e-6 * (double)n + delay;
  if (o->kind == XF_TASK_TRAIN) {
    cost += sim_cost_s(w->sim, c, o->stage);
    w->sim->work_s += cost;
  }
  push(w, WORK_DONE, cost, (struct item){.client = i});
}

static void work_done(struct world *w, uint32_t i) {
  struct sim_client *c = &w->sim->client[i];
  while (!c->done) {
    struct sim_client *back = (struct sim_client *)xf_worker_wait(w->pool);
    XF_ASSERT(back != NULL);
    back->done = true;
  }
  struct xf_session_event e = {
      .type = XF_SESSION_EV_WORKED, .rc = c->rc, .text = c->diag.text, .begin = &c->answer.begin};
  const bool train = c->task.offer.kind == XF_TASK_TRAIN;
  if (!c->rc && train &&
      availability(w, c, c->task.offer.round + ((uint64_t)1 << 40)) < w->sim->plan.sim.dropout) {
    e.rc = XF_E_CANCELLED; /* before anything is charged: this client does not answer this round */
    e.text = "dropped out (sim.dropout)";
    xf_silo_outcome(c->silo, false);
  } else if (!c->rc && train) {
    if (xf_odometer_add(&c->spent, &c->answer.charge, 1))
      stop(w, XF_E_RANGE, "the privacy charge is out of range");
    e.epsilon = c->answer.begin.epsilon;
  }
  feed_client(w, i, &e);
}

static void upload(struct world *w, uint32_t i, const struct xf_session_action *a) {
  const struct xf_buf *payload = &w->sim->client[i].answer.payload;
  for (size_t at = (size_t)a->offset; at < payload->len;) {
    size_t n = payload->len - at > XF_CHUNK_MAX ? XF_CHUNK_MAX : payload->len - at;
    struct xf_msg msg = {.type = XF_MSG_UPDATE_CHUNK};
    msg.chunk = (struct xf_msg_chunk){
        .task_id = a->task_id, .offset = at, .data = payload->p + at, .data_len = n};
    msg.chunk.crc32c = xf_crc32c(0, msg.chunk.data, n);
    post(w, TO_SERVER, i, &msg);
    at += n;
  }
}

static void client_later(struct world *w, uint32_t i, struct xf_session_event e) {
  push(w, CLIENT_EVENT, 0.0001, (struct item){.client = i, .ce = e});
}

static void act_client(struct world *w, uint32_t i, const struct xf_session_action *a) {
  struct sim_client *s = &w->sim->client[i];
  switch (a->type) {
  case XF_SESSION_DIAL_ACTION: push(w, CONN_UP, 0.001, (struct item){.client = i}); return;
  case XF_SESSION_CLOSE_ACTION: push(w, CONN_DOWN, 0.002, (struct item){.client = i}); return;
  case XF_SESSION_SEND_ACTION: post(w, TO_SERVER, i, &a->msg); return;
  case XF_SESSION_ADOPT_ACTION:
    client_later(w, i,
                 (struct xf_session_event){.type = XF_SESSION_EV_ADOPTED,
                                           .layout_digest = w->sim->layout_digest,
                                           .lens = *xf_silo_lens(s->silo)});
    return;
  case XF_SESSION_FETCH_BEGIN_ACTION: return; /* the session has judged the length */
  case XF_SESSION_FETCH_WRITE_ACTION:
    memcpy((uint8_t *)s->base + a->offset, a->data, a->data_len);
    return;
  case XF_SESSION_RUN_ACTION: run(w, i, a->offer); return;
  case XF_SESSION_UPLOAD_ACTION: upload(w, i, a); return;
  case XF_SESSION_STORE_FINAL_ACTION:
    client_later(w, i, (struct xf_session_event){.type = XF_SESSION_EV_STORED});
    return;
  case XF_SESSION_SETTLE_ACTION:
    if (a->verdict != XF_VERDICT_ACCEPTED && a->verdict != XF_VERDICT_DUPLICATE_OK)
      xf_silo_outcome(s->silo, false);
    client_later(w, i, (struct xf_session_event){.type = XF_SESSION_EV_SETTLED});
    return;
  case XF_SESSION_OUTCOME_ACTION:
    xf_silo_outcome(s->silo, a->outcome == XF_OUTCOME_COMMITTED);
    return;
  case XF_SESSION_EXIT_ACTION:
    w->up[i] = false;
    if (a->rc) stop(w, a->rc, a->text ? a->text : "a silo stopped");
    return;
  case XF_SESSION_CANCEL_ACTION: s->job.cancel = true; return;
  case XF_SESSION_MANIFEST_ACTION:
  case XF_SESSION_DIRECTORY_ACTION: return;
  }
}

static void feed_client(struct world *w, uint32_t i, const struct xf_session_event *e) {
  if (!w->up[i]) return;
  xf_session_feed(w->session[i], w->now, e);
  for (const struct xf_session_action *a; (a = xf_session_next(w->session[i]));)
    act_client(w, i, a);
}

static void step(struct world *w, struct item *it) {
  struct xf_msg msg;
  struct xf_diag diag;
  switch (it->kind) {
  case TO_SERVER:
  case TO_CLIENT:
    xf_arena_reset(&w->arena);
    if (!w->connected[it->client]) return;
    if (xf_msg_decode(&msg, &w->arena, (uint16_t)(it->frame[4] << 8 | it->frame[5]), it->frame + 8,
                      it->frame_len - 8, &diag))
      stop(w, XF_E_FORMAT, diag.text);
    else if (it->kind == TO_SERVER)
      feed_server(w, &(struct xf_coord_event){
                         .type = XF_COORD_EV_MESSAGE, .conn = it->client + 1, .msg = &msg});
    else
      feed_client(w, it->client,
                  &(struct xf_session_event){.type = XF_SESSION_EV_MESSAGE, .msg = &msg});
    return;
  case CONN_UP:
    w->connected[it->client] = true;
    feed_server(w, &(struct xf_coord_event){.type = XF_COORD_EV_OPENED,
                                            .conn = it->client + 1,
                                            .member_id = w->sim->client[it->client].id});
    feed_client(w, it->client, &(struct xf_session_event){.type = XF_SESSION_EV_DIALED});
    return;
  case CONN_DOWN:
    if (!w->connected[it->client]) return;
    w->connected[it->client] = false;
    feed_server(w, &(struct xf_coord_event){.type = XF_COORD_EV_CLOSED, .conn = it->client + 1});
    feed_client(w, it->client,
                &(struct xf_session_event){.type = XF_SESSION_EV_LOST, .text = "closed"});
    return;
  case SERVER_EVENT: feed_server(w, &it->se); return;
  case CLIENT_EVENT: feed_client(w, it->client, &it->ce); return;
  case WORK_DONE: work_done(w, it->client); return;
  case TICK_SERVER: feed_server(w, &(struct xf_coord_event){.type = XF_COORD_EV_TICK}); return;
  case TICK_CLIENT:
    feed_client(w, it->client, &(struct xf_session_event){.type = XF_SESSION_EV_TICK});
    return;
  }
}

/* The next thing to happen: a queued item, or the tick of a core whose deadline comes before it. */
static struct item *next_item(struct world *w) {
  struct item tick = {.kind = TICK_SERVER};
  struct xf_time t = xf_coord_deadline(w->coord);
  for (uint32_t i = 0; i < w->sim->n_client; i++) {
    if (!w->up[i]) continue;
    const struct xf_time d = xf_session_deadline(w->session[i]);
    if (!xf_time_before(d, t)) continue;
    t = d;
    tick = (struct item){.kind = TICK_CLIENT, .client = i};
  }
  if (!xf_time_before(t, xf_eventq_next(&w->queue))) return xf_eventq_take(&w->queue, &w->now);
  if (xf_time_before(w->now, t)) w->now = t;
  return xf_memdup(&tick, sizeof tick);
}

static void quiet_wake(void *arg) { (void)arg; }

static enum xf_rc world_start(struct world *w, const struct xf_coord_member *member) {
  struct sim *sim = w->sim;
  struct xf_coord_config cfg = {.run_id = "sim",
                                .member = member,
                                .n_member = sim->n_client,
                                .plan = &sim->plan,
                                .plan_canonical = sim->canonical.p,
                                .plan_canonical_len = sim->canonical.len,
                                .plan_digest = sim->plan_digest,
                                .layout_digest = sim->layout_digest,
                                .exit_when_done = true};
  memcpy(cfg.federation, "sim", 4);
  sim_model_digest(&w->digest, sim, sim->x);
  sim_edges_init(&w->edges, sim);
  sim_past_put(&w->past, &w->digest, sim->x);
  struct xf_coord_recovery r = {
      .epoch = 1, .evaluated_at = UINT64_MAX, .model_digest = w->digest, .frozen = true};
  enum xf_rc rc = xf_coord_new(&w->coord, &cfg, &r, w->now, w->diag);
  if (!rc) rc = xf_worker_start(&w->pool, sim->threads, quiet_wake, NULL);
  if (rc) return rc;
  for (uint32_t i = 0; i < sim->n_client; i++) {
    struct sim_client *s = &sim->client[i];
    const uint64_t most = xf_silo_model_len(s->silo) + XF_REPORT_MAX;
    xf_coord_set_lens(w->coord, i, xf_silo_lens(s->silo));
    xf_buf_init(&w->spool[i], most);
    xf_buf_init(&w->accepted[i], most);
    struct xf_session_config sc = {.software = "crossfed sim", .jitter_key = i};
    memcpy(sc.federation, "sim", 4);
    memcpy(sc.member, s->id, sizeof sc.member);
    sc.policy.allow_aligned = true;
    w->session[i] = xf_session_new(&sc, &(struct xf_session_recovery){0});
    w->up[i] = true;
    client_later(w, i, (struct xf_session_event){.type = XF_SESSION_EV_START});
  }
  feed_server(w, &(struct xf_coord_event){.type = XF_COORD_EV_TICK});
  return XF_OK;
}

static void world_end(struct world *w) {
  if (w->pool)
    while (xf_worker_wait(w->pool)) continue; /* work that nobody asks for any more */
  xf_worker_stop(w->pool);
  for (uint32_t i = 0; i < w->sim->n_client; i++) {
    xf_session_free(w->session[i]);
    xf_buf_deinit(&w->spool[i]);
    xf_buf_deinit(&w->accepted[i]);
  }
  for (struct item *it; (it = xf_eventq_take(&w->queue, NULL));) item_free(it);
  xf_eventq_deinit(&w->queue);
  sim_edges_deinit(&w->edges);
  sim_past_deinit(&w->past);
  xf_free(w->who);
  xf_coord_free(w->coord);
  xf_free(w->session);
  xf_free(w->connected);
  xf_free(w->up);
  xf_free(w->spool);
  xf_free(w->accepted);
  xf_arena_deinit(&w->arena);
  xf_buf_deinit(&w->wire);
}

enum xf_rc sim_world_run(struct sim *sim, struct xf_diag *diag) {
  struct world w = {.sim = sim, .diag = diag, .now = start};
  struct xf_coord_member *member = xf_calloc(sim->n_client, sizeof *member);
  for (size_t i = 0; i < sim->n_client; i++) {
    memcpy(member[i].id, sim->client[i].id, sizeof member[i].id);
    memcpy(member[i].domain, sim->client[i].domain, sizeof member[i].domain);
  }
  w.session = xf_calloc(sim->n_client, sizeof *w.session);
  w.connected = xf_calloc(sim->n_client, sizeof *w.connected);
  w.up = xf_calloc(sim->n_client, sizeof *w.up);
  w.spool = xf_calloc(sim->n_client, sizeof *w.spool);
  w.who = xf_calloc(sim->n_client, sizeof *w.who);
  w.accepted = xf_calloc(sim->n_client, sizeof *w.accepted);
  xf_arena_init(&w.arena, XF_MSG_ARENA);
  xf_buf_init(&w.wire, 256 * 1024);
  sim_past_init(&w.past, sim);
  enum xf_rc rc = world_start(&w, member);
  while (!rc && !w.rc && !w.exited) {
    struct item *it = next_item(&w);
    if (!it) {
      rc = xf_diag_set(diag, XF_E_STATE,
                       "the simulation stands still: no event and no deadline is left");
      break;
    }
    step(&w, it);
    item_free(it);
  }
  if (!rc) rc = w.rc;
  world_end(&w);
  xf_free(member);
  return rc;
}
