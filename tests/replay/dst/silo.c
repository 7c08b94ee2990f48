/* A silo's shell: local work, outbox, what it fetched. */
#include "parts.h"

#include "base/alloc.h"
#include "base/crc32c.h"
#include "crypto/sha256.h"
#include "wire/codec.h"

#include <stdio.h>
#include <string.h>

static void client_later(struct world *w, uint32_t i, const struct item *it, double s) {
  struct item copy = *it;
  copy.client = i;
  copy.generation = w->c[i].generation;
  world_push(w, CLIENT_EVENT, s, &copy);
}

/* What was fetched is what the task moves of its model, artifacts that were kept included. */
static void check_fetched(struct world *w, uint32_t i, const struct xf_msg_task_offer *o) {
  float x[N_FLOAT];
  const struct client *c = &w->c[i];
  const float *model = late_model(w, &o->base_digest);
  if (!model) {
    world_fail(w, "a task of a model that is not kept", o->round, i);
    return;
  }
  const size_t n = moves_down(w, i, o->kind, o->stage, model, x);
  if (c->fetched.len != n * sizeof *x || o->model_len != n * sizeof *x)
    world_fail(w, "work without the whole model", o->round, i);
  else if (memcmp(c->fetched.b, x, n * sizeof *x) != 0)
    world_fail(w, "the fetched model is not the task's", o->round, i);
}

/* "Training": a function of the base model, the member and the task kind. The outbox is written here, in
   one step with the charge; only later the core hears of it. */
static void run_task(struct world *w, uint32_t i, const struct xf_msg_task_offer *o) {
  struct client *c = &w->c[i];
  struct xf_msg_update_begin *b = &c->disk.begin;
  const bool uniform = w->plan.stages[o->stage].fed.weighting == XF_PLAN_WEIGHTING_UNIFORM;
  if (c->disk.pending) {
    world_fail(w, "work started with an unsettled outbox entry", o->round, i);
    return;
  }
  *b = (struct xf_msg_update_begin){.task_id = o->task_id,
                                    .round = o->round,
                                    .base_digest = o->base_digest,
                                    .layout_digest = o->layout_digest,
                                    .weight = uniform ? 1 : 1 + i,
                                    .dtype = XF_DTYPE_FLOAT32};
  struct payload *p = &c->disk.payload;
  check_fetched(w, i, o);
  if (o->kind == XF_TASK_TRAIN) {
    if (o->counted != server_counted(w, i))
      world_fail(w, "the offer miscounts what the model has of a silo", o->round, i);
    float x[N_FLOAT], down[N_FLOAT];
    memcpy(down, c->fetched.b, c->fetched.len);
    const size_t n = moves_work(w, i, o->stage, down, x);
    memcpy(p->b, x, n * sizeof *x);
    p->len = n * sizeof *x;
    b->n_samples = b->loss_count = 10 + i;
    b->has_loss = true;
    for (size_t j = 0; j < n; j++) b->loss_sum += x[j] < 0 ? -(double)x[j] : (double)x[j];
  } else {
    struct xf_eval_metric m = {"federated", "test", "ndcg_10_full", 0.25 * (i + 1), 7};
    struct xf_buf buf;
    xf_buf_init(&buf, sizeof p->b);
    if (xf_eval_report_encode(&buf, &m, 1)) world_fail(w, "report does not fit", o->round, i);
    memcpy(p->b, buf.p, buf.len);
    p->len = buf.len;
    xf_buf_deinit(&buf);
    b->dtype = XF_DTYPE_REPORT;
  }
  uint8_t input[XF_UPDATE_DIGEST_INPUT];
  b->payload_len = p->len;
  xf_sha256(&b->payload_digest, p->b, p->len);
  xf_update_digest_input(input, b);
  xf_sha256(&b->update_digest, input, sizeof input);
  c->disk.pending = true;
  c->disk.released += o->kind == XF_TASK_TRAIN;
  c->releases++;
  struct item it = {.begin = *b, .ce = {.type = XF_SESSION_EV_WORKED}};
  const bool straggler = w->hasty && world_chance(w, 0.15);
  client_later(w, i, &it, straggler ? 40 * xf_rng_double(&w->rng) : world_delay(w));
}

static void upload(struct world *w, uint32_t i, const struct xf_session_action *a) {
  struct client *c = &w->c[i];
  size_t at = (size_t)a->offset;
  while (at < c->disk.payload.len) { /* two chunks, so that a cut can fall between them */
    size_t n = c->disk.payload.len - at > 40 ? 40 : c->disk.payload.len - at;
    struct xf_msg msg = {.type = XF_MSG_UPDATE_CHUNK};
    msg.chunk = (struct xf_msg_chunk){
        .task_id = a->task_id, .offset = at, .data = c->disk.payload.b + at, .data_len = n};
    msg.chunk.crc32c = xf_crc32c(0, msg.chunk.data, n);
    uint8_t damaged[40];
    if (world_chance(w, 0.01)) { /* a bit flips between the checksum and the disk */
      memcpy(damaged, msg.chunk.data, n);
      damaged[xf_rng_below(&w->rng, (uint32_t)n)] ^= 1;
      msg.chunk.data = damaged;
    }
    world_post(w, TO_SERVER, i, c->conn, &msg);
    at += n;
  }
  const struct item it = {.ce = {.type = XF_SESSION_EV_UPLOADED}};
  client_later(w, i, &it, 0.001);
}

static void client_dial(struct world *w, uint32_t i) {
  struct item it = {.client = i, .generation = w->c[i].generation};
  w->c[i].dialing = true;
  if (!w->s.up) {
    world_push(w, DIAL_FAILED, 0.01, &it);
    return;
  }
  it.conn = ++w->next_conn;
  world_push(w, CONN_UP, world_delay(w), &it);
}

static void client_settle(struct world *w, uint32_t i, const struct xf_session_action *a) {
  struct client *c = &w->c[i];
  w->late += a->verdict == XF_VERDICT_LATE;
  if (a->verdict == XF_VERDICT_ACCEPTED || a->verdict == XF_VERDICT_DUPLICATE_OK) {
    struct ledger_round *r = late_round(w, i, &c->disk.begin);
    if (!r->update[i].durable)
      world_fail(w, "acknowledged before it was durable", c->disk.begin.round, i);
    r->acked[i] = true;
  } else if (a->verdict != XF_VERDICT_LATE ||
             (c->disk.begin.dtype != XF_DTYPE_REPORT && !w->hasty)) {
    world_fail(w, "an update was refused in a run without refusals", c->disk.begin.round, i);
  }
  c->disk.pending = false;
  struct item it = {.ce = {.type = XF_SESSION_EV_SETTLED}};
  client_later(w, i, &it, world_delay(w));
}

static void client_act(struct world *w, uint32_t i, const struct xf_session_action *a) {
  struct client *c = &w->c[i];
  struct item it = {0};
  switch (a->type) {
  case XF_SESSION_DIAL_ACTION: client_dial(w, i); return;
  case XF_SESSION_CLOSE_ACTION:
    if (c->conn) world_cut(w, c->conn, w->hasty ? 0.4 : 0.004);
    return;
  case XF_SESSION_SEND_ACTION:
    if (c->conn) world_post(w, TO_SERVER, i, c->conn, &a->msg);
    return;
  case XF_SESSION_ADOPT_ACTION:
    c->disk.has_plan = true;
    c->disk.plan_digest = w->plan_digest;
    (void)snprintf(c->disk.run_id, sizeof c->disk.run_id, "%s", a->text);
    it.ce =
        (struct xf_session_event){.type = XF_SESSION_EV_ADOPTED, .layout_digest = w->layout_digest};
    client_later(w, i, &it, 0.001);
    return;
  case XF_SESSION_FETCH_BEGIN_ACTION:
    if (a->offset > c->fetched.len) world_fail(w, "kept bytes that are not there", 0, i);
    c->fetched.len = (size_t)a->offset;
    return;
  case XF_SESSION_FETCH_WRITE_ACTION:
    if (a->offset != c->fetched.len || a->data_len > sizeof c->fetched.b - c->fetched.len) {
      world_fail(w, "model bytes out of place", 0, i);
      return;
    }
    memcpy(c->fetched.b + c->fetched.len, a->data, a->data_len);
    c->fetched.len += a->data_len;
    return;
  case XF_SESSION_RUN_ACTION: run_task(w, i, a->offer); return;
  case XF_SESSION_UPLOAD_ACTION: upload(w, i, a); return;
  case XF_SESSION_STORE_FINAL_ACTION:
    check_fetched(w, i, a->offer);
    c->disk.final = true;
    c->disk.final_task = a->offer->task_id;
    it.ce = (struct xf_session_event){.type = XF_SESSION_EV_STORED};
    client_later(w, i, &it, world_delay(w));
    return;
  case XF_SESSION_SETTLE_ACTION: client_settle(w, i, a); return;
  case XF_SESSION_EXIT_ACTION:
    if (a->rc) world_fail(w, "a silo gave up", 0, i);
    c->up = false;
    return;
  case XF_SESSION_OUTCOME_ACTION:
    if (a->outcome != XF_OUTCOME_COMMITTED && !w->hasty)
      world_fail(w, "an update was discarded", 0, i);
    return;
  case XF_SESSION_CANCEL_ACTION: return; /* the work at hand comes back by itself */
  case XF_SESSION_MANIFEST_ACTION:
  case XF_SESSION_DIRECTORY_ACTION: keys_client_act(w, i, a); return;
  }
}

void client_feed(struct world *w, uint32_t i, const struct xf_session_event *e) {
  struct client *c = &w->c[i];
  struct xf_session_event mine = *e;
  if (!c->up) return;
  if (e->type == XF_SESSION_EV_ADOPTED) {
    c->adopted = true;
    mine.lens = (struct xf_plan_lens){.n_stage = w->plan.n_stages};
    if (c->disk.aligned || !keys_wanted(w)) mine.lens = moves_lens(w, i);
  }
  xf_session_feed(c->core, w->now, &mine);
  for (const struct xf_session_action *a; (a = xf_session_next(c->core));) client_act(w, i, a);
  if (c->tell) { /* before anything else that comes */
    c->tell = false;
    mine = (struct xf_session_event){.type = XF_SESSION_EV_ALIGNED, .lens = moves_lens(w, i)};
    client_feed(w, i, &mine);
  }
  if (i % 2 && xf_session_is_over(c->core)) { /* exit_when_done: it never comes back */
    c->up = false;
    if (c->conn) world_cut(w, c->conn, 0.001);
    return;
  }
  const struct xf_time t = xf_session_deadline(c->core);
  if (!xf_time_before(t, c->tick_at)) return;
  const struct item it = {.client = i, .generation = c->generation};
  const double s = xf_time_diff_s(t, w->now);
  c->tick_at = t;
  world_push(w, CLIENT_TICK, s > 0 ? s : 0.0001, &it);
}

void client_start(struct world *w, uint32_t i) {
  struct client *c = &w->c[i];
  struct xf_session_config cfg = {.federation = "sim",
                                  .software = "dst",
                                  .policy = {.allow_aligned = true},
                                  .jitter_key = xf_rng_u64(&w->rng)};
  memcpy(cfg.member, c->id, sizeof c->id);
  memcpy(cfg.run_id, c->disk.run_id, sizeof cfg.run_id);
  struct xf_session_recovery r = {.pending = c->disk.pending,
                                  .begin = c->disk.begin,
                                  .released = c->disk.released,
                                  .has_plan = c->disk.has_plan,
                                  .plan_digest = c->disk.plan_digest,
                                  .final_stored = c->disk.final,
                                  .final_task = c->disk.final_task};
  c->core = xf_session_new(&cfg, &r);
  c->up = true;
  c->tick_at = XF_TIME_NEVER;
  client_feed(w, i, &(struct xf_session_event){.type = XF_SESSION_EV_START});
}

void client_crash(struct world *w, uint32_t i) {
  struct client *c = &w->c[i];
  if (!c->up) return;
  c->up = false;
  c->generation++;
  xf_session_free(c->core);
  c->core = NULL;
  c->fetched.len = 0;
  c->adopted = c->tell = false;
  c->directories = 0;
  if (c->conn) world_cut(w, c->conn, 0.001);
  struct item it = {.client = i};
  world_push(w, CLIENT_START, 0.5 + xf_rng_double(&w->rng), &it);
}
