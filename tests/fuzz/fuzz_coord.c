// modules: server/core wire plan priv crypto param base
/* The coordinator's core against three silos that say anything in any order:
   each byte of the input is a step (connect, Hello, announce, chunk, hang up,
   time passes, a pending answer of the shell arrives ...), some are messages as
   hostile bytes. Judged is what the shell and the ledger rely on: spool writes
   are contiguous and inside what was announced, an update is recorded once and
   only after its bytes, nothing is ACCEPTED before its row, a round closes only
   on recorded updates and the next one opens only after its commit. Some plans
   have two stages and keys: offers and lengths are those of the stage that the
   commits say, nobody is offered anything before its keys are known, who came
   late is in no round. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "crypto/init.h"
#include "crypto/sha256.h"
#include "server/core/coord.h"
#include "wire/codec.h"
#include "wire/frame.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { N = 3, MODEL = 256, CONNS = 8, PENDING = 4096, ROUNDS = 512, STEPS = 600 };

struct silo {
  struct xf_msg_task_offer offer;        /* the last one */
  struct xf_msg_update_begin begin;      /* the last announcement, for chunks */
  struct xf_msg_update_begin spool;      /* announced to the spool */
  bool open;                             /* a temporary spool file is there */
  uint64_t got;                          /* its bytes */
  uint32_t finishing;                    /* SPOOL_FINISH without SPOOLED */
  bool spooled;                          /* the last finished file is whole */
  struct xf_digest row[ROUNDS];          /* by round: its recorded update's task id */
  bool has_row[ROUNDS], durable[ROUNDS]; /* recorded; and PERSISTED */
  uint64_t row_weight[ROUNDS];
  bool aligned, reader; /* as the core was told */
  bool has_final, final_durable;
  struct xf_digest final_task; /* the one whose model it has recorded as stored */
};

struct pending {
  struct xf_coord_event event;
  uint32_t member; /* of an UPDATE record, else N */
  uint64_t round;
  bool commit;
  bool final;            /* a STORED record, */
  uint32_t final_member; /* of whom */
};

struct world {
  struct xf_coord *coord;
  struct silo silo[N];
  uint64_t conn[CONNS], next_conn; /* 0: free */
  uint32_t conn_member[CONNS];
  struct pending pending[PENDING];
  uint32_t n_pending;
  const struct xf_msg *message; /* being fed */
  uint64_t opened, committed, closing;
  uint64_t durable; /* commits of training rounds whose rows are */
  enum xf_task_kind kind;
  bool exited, durable_open, published, frozen;
  struct xf_time now;
  const uint8_t *p; /* the input */
  size_t len;
};

static struct xf_plan plan;
static struct xf_coord_member members[N];
static const struct xf_plan_lens one_lens = {
    .n_stage = 1, .all = MODEL, .down = {MODEL}, .up = {MODEL}};
/* A statistic, then rows that read it; the second silo has no key, the others
 * not the same number. */
static const struct xf_plan_lens stage_lens[N] = {
    {.n_stage = 2, .all = 160, .in = {0, 96}, .down = {0, 160}, .up = {96, 64}},
    {.n_stage = 2},
    {.n_stage = 2, .all = MODEL, .in = {0, 160}, .down = {0, MODEL}, .up = {160, 96}}};

static bool staged(void) { return plan.n_stages > 1; }
static const struct xf_plan_lens *lens_of(uint32_t member) {
  return staged() ? &stage_lens[member] : &one_lens;
}

static uint8_t take(struct world *w) {
  if (!w->len) return 0;
  w->len--;
  return *w->p++;
}

/* What a task of the member moves down in the stage that is due. */
static uint64_t down_of(const struct world *w, uint32_t member, enum xf_task_kind kind) {
  const uint32_t stage = xf_plan_stage_at(&plan, w->durable, NULL);
  return kind == XF_TASK_TRAIN ? lens_of(member)->down[stage] : lens_of(member)->all;
}

static uint32_t slot_of(const struct world *w, uint64_t conn) {
  for (uint32_t i = 0; i < CONNS; i++)
    if (conn && w->conn[i] == conn) return i;
  return CONNS;
}

static struct pending *defer(struct world *w, enum xf_coord_event_type type,
                             const struct xf_coord_action *a) {
  XF_ASSERT(w->n_pending < PENDING);
  struct pending *q = &w->pending[w->n_pending++];
  *q = (struct pending){
      .event = {.type = type, .conn = a->conn, .member = a->member, .token = a->token},
      .member = N};
  return q;
}

static void on_send(struct world *w, const struct xf_coord_action *a) {
  const uint32_t slot = slot_of(w, a->conn);
  struct xf_buf bytes;
  XF_ASSERT(slot < CONNS); /* nothing is sent to who is gone */
  struct silo *s = &w->silo[w->conn_member[slot]];
  xf_buf_init(&bytes, XF_FRAME_MAX);
  XF_ASSERT(xf_msg_encode(&bytes, &a->msg) == XF_OK); /* what it sends is a legal message */
  xf_buf_deinit(&bytes);
  if (a->msg.type == XF_MSG_TASK_OFFER) {
    s->offer = a->msg.task_offer;
    const uint32_t stage = xf_plan_stage_at(&plan, w->durable, NULL);
    XF_ASSERT(s->offer.kind == XF_TASK_FINAL || (w->durable_open && s->offer.round == w->opened));
    XF_ASSERT(s->offer.stage == stage && s->offer.committed == w->durable);
    XF_ASSERT(s->offer.model_len == down_of(w, w->conn_member[slot], s->offer.kind));
    XF_ASSERT(!staged() || s->aligned);
    XF_ASSERT(s->offer.kind != XF_TASK_TRAIN || !s->reader);
  }
  if (a->msg.type == XF_MSG_UPDATE_READY)
    XF_ASSERT(s->open && a->msg.update_ready.offset == s->got);
  if (a->msg.type != XF_MSG_UPDATE_ACK) return;
  const struct xf_msg_update_ack *ack = &a->msg.update_ack;
  if (ack->verdict != XF_VERDICT_ACCEPTED && ack->verdict != XF_VERDICT_DUPLICATE_OK) return;
  bool durable = false;
  for (uint64_t r = 0; r <= w->opened; r++)
    durable |= s->durable[r] && xf_digest_equal(&s->row[r], &ack->task_id);
  XF_ASSERT(durable || (s->final_durable && xf_digest_equal(&s->final_task, &ack->task_id)));
}

static void on_spool(struct world *w, const struct xf_coord_action *a) {
  struct silo *s = &w->silo[a->member];
  switch (a->type) {
  case XF_COORD_SPOOL_BEGIN:
    XF_ASSERT(!s->open);
    s->open = true;
    s->got = 0;
    s->spool = a->begin;
    XF_ASSERT(a->kind != XF_TASK_TRAIN ||
              a->begin.payload_len ==
                  lens_of(a->member)->up[xf_plan_stage_at(&plan, w->durable, NULL)]);
    return;
  case XF_COORD_SPOOL_WRITE:
    XF_ASSERT(s->open && a->offset == s->got && a->data_len <= s->spool.payload_len - s->got);
    XF_ASSERT(w->message && a->data == w->message->chunk.data &&
              a->data_len == w->message->chunk.data_len);
    XF_ASSERT(xf_crc32c(0, a->data, a->data_len) == w->message->chunk.crc32c);
    s->got += a->data_len;
    return;
  case XF_COORD_SPOOL_ABORT:
    s->open = false;
    s->spooled = false;
    return;
  default:
    XF_ASSERT(s->open && s->got == s->spool.payload_len);
    s->open = false;
    s->finishing++;
    (void)defer(w, XF_COORD_EV_SPOOLED, a);
  }
}

/* Rows as they would enter the ledger. */
static void on_record(struct world *w, const struct xf_coord_action *a) {
  const struct xf_coord_record *r = a->record;
  struct pending *q = defer(w, XF_COORD_EV_PERSISTED, a);
  XF_ASSERT(r->type == XF_RECORD_OPEN || r->round < ROUNDS || r->type == XF_RECORD_VERDICT);
  q->round = r->round;
  if (r->type == XF_RECORD_OPEN) {
    XF_ASSERT(r->round == w->opened + 1 && r->n_member > 0 && r->round < ROUNDS);
    for (uint32_t i = 0; i < w->n_pending; i++) XF_ASSERT(!w->pending[i].commit);
    for (size_t i = 0; i < r->n_member && r->kind == XF_TASK_TRAIN; i++)
      XF_ASSERT(!w->silo[r->member[i]].reader);
    XF_ASSERT(r->stage == xf_plan_stage_at(&plan, w->durable, NULL));
    w->opened = r->round;
    w->kind = r->kind;
    w->durable_open = false;
    q->event.conn = UINT64_MAX; /* marks the opening; the core does not read it */
  } else if (r->type == XF_RECORD_UPDATE) {
    struct silo *s = &w->silo[r->member[0]];
    XF_ASSERT(r->n_member == 1 && r->update->round == w->opened && s->spooled);
    XF_ASSERT(!s->has_row[w->opened] && w->closing != w->opened);
    s->spooled = false;
    s->has_row[w->opened] = true;
    s->row[w->opened] = *r->task_id;
    s->row_weight[w->opened] = r->update->weight;
    q->member = r->member[0];
    q->round = w->opened;
  } else if (r->type == XF_RECORD_STORED) {
    struct silo *s = &w->silo[r->member[0]];
    XF_ASSERT(r->n_member == 1 && r->kind == XF_TASK_FINAL && !s->has_final);
    XF_ASSERT(s->offer.kind == XF_TASK_FINAL && xf_digest_equal(r->task_id, &s->offer.task_id));
    s->has_final = q->final = true;
    s->final_task = *r->task_id;
    q->final_member = r->member[0];
  } else if (r->type == XF_RECORD_CLOSING) {
    XF_ASSERT(r->round == w->opened && w->closing != r->round);
    w->closing = r->round;
    w->published = false;
    struct xf_coord_view view;
    xf_coord_view_get(w->coord, w->now, &view);
    XF_ASSERT(w->kind != XF_TASK_TRAIN || r->n_member >= view.quorum);
    for (size_t i = 0; i < r->n_member; i++) {
      const struct silo *s = &w->silo[r->member[i]];
      XF_ASSERT(s->durable[r->round] && (i == 0 || r->member[i - 1] < r->member[i]));
      XF_ASSERT(w->kind != XF_TASK_TRAIN || r->weight[i] == s->row_weight[r->round]);
    }
  } else if (r->type == XF_RECORD_COMMITTING || r->type == XF_RECORD_COMMIT) {
    XF_ASSERT(r->round == w->closing);
    if (r->type == XF_RECORD_COMMIT) {
      XF_ASSERT(w->published || r->kind != XF_TASK_TRAIN);
      w->committed += r->kind == XF_TASK_TRAIN;
      q->commit = true;
      XF_ASSERT(r->committed == w->committed);
    }
  }
}

static void perform(struct world *w, const struct xf_coord_action *a, uint64_t *closed) {
  const uint32_t slot = slot_of(w, a->conn);
  switch (a->type) {
  case XF_COORD_SEND: on_send(w, a); return;
  case XF_COORD_CLOSE:
    if (slot == CONNS) return;
    w->conn[slot] = 0;
    *closed = a->conn;
    return;
  case XF_COORD_SERVE:
    XF_ASSERT(slot < CONNS && a->length > 0);
    XF_ASSERT(a->offset + a->length <= down_of(w, a->member, a->kind));
    return;
  case XF_COORD_FREEZE: (void)defer(w, XF_COORD_EV_FROZEN, a); return;
  case XF_COORD_RESERVE: (void)defer(w, XF_COORD_EV_RESERVED, a); return;
  case XF_COORD_SPOOL_BEGIN:
  case XF_COORD_SPOOL_WRITE:
  case XF_COORD_SPOOL_FINISH:
  case XF_COORD_SPOOL_ABORT: on_spool(w, a); return;
  case XF_COORD_PERSIST: on_record(w, a); return;
  case XF_COORD_AGGREGATE:
    XF_ASSERT(a->round == w->closing && a->n_participant <= N);
    (void)defer(w, XF_COORD_EV_AGGREGATED, a);
    return;
  case XF_COORD_PUBLISH: (void)defer(w, XF_COORD_EV_PUBLISHED, a); return;
  case XF_COORD_EXIT: w->exited = true; return;
  case XF_COORD_ALIGN:
  case XF_COORD_DIRECTORY:
  case XF_COORD_COLLECT: return;
  }
}

static void feed(struct world *w, const struct xf_coord_event *event) {
  uint64_t closed[CONNS + 1];
  uint32_t n = 0;
  if (w->exited) return;
  xf_coord_feed(w->coord, w->now, event);
  for (const struct xf_coord_action *a = xf_coord_next(w->coord); a; a = xf_coord_next(w->coord)) {
    closed[n] = 0;
    perform(w, a, &closed[n]);
    if (closed[n]) n++;
  }
  for (uint32_t i = 0; i < n; i++)
    feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_CLOSED, .conn = closed[i]});
}

/* An answer of the shell. Rows become durable in their order, the rest as it
 * comes. */
static void answer(struct world *w, uint8_t which, uint8_t how) {
  if (!w->n_pending) return;
  uint32_t k = which % w->n_pending;
  if (w->pending[k].event.type == XF_COORD_EV_PERSISTED)
    for (k = 0; w->pending[k].event.type != XF_COORD_EV_PERSISTED;) k++;
  struct pending q = w->pending[k];
  memmove(&w->pending[k], &w->pending[k + 1], (--w->n_pending - k) * sizeof q);
  struct xf_coord_event *e = &q.event;
  e->text = "as the input wants";
  if (e->type == XF_COORD_EV_SPOOLED) {
    static const enum xf_rc rc[] = {XF_OK, XF_OK, XF_E_CORRUPT, XF_E_NAN, XF_E_NOSPACE};
    e->rc = rc[how % 5];
    struct silo *s = &w->silo[e->member];
    s->finishing--;
    s->spooled = e->rc == XF_OK && !s->open;
  } else if (e->type == XF_COORD_EV_PERSISTED) {
    if (q.member < N) w->silo[q.member].durable[q.round] = true;
    if (q.final) w->silo[q.final_member].final_durable = true;
    if (q.commit && w->kind == XF_TASK_TRAIN) w->durable++;
    if (e->conn == UINT64_MAX && q.round == w->opened) w->durable_open = true;
    e->conn = 0;
  } else if (e->type == XF_COORD_EV_PUBLISHED) {
    w->published = true;
  } else if (e->type == XF_COORD_EV_RESERVED) {
    e->rc = how % 5 == 4 ? XF_E_NOSPACE : XF_OK;
  } else if (e->type == XF_COORD_EV_AGGREGATED) {
    e->rc = how % 7 == 6 ? XF_E_IO : XF_OK;
    memset(e->digest.b, (int)(w->opened + 1), XF_DIGEST_LEN);
  } else if (e->type == XF_COORD_EV_FROZEN) {
    for (uint32_t i = 0; i < N; i++)
      if (!staged() || w->silo[i].aligned) xf_coord_set_lens(w->coord, i, lens_of(i));
    w->frozen = true;
    memset(e->digest.b, 0x33, XF_DIGEST_LEN);
  }
  feed(w, e);
}

static void say(struct world *w, uint32_t slot, const struct xf_msg *m) {
  if (!w->conn[slot]) return;
  w->message = m;
  feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_MESSAGE, .conn = w->conn[slot], .msg = m});
  w->message = NULL;
}

static void pass(struct world *w, double seconds) {
  const struct xf_time end = xf_time_add_s(w->now, seconds);
  for (uint32_t guard = 0; !w->exited; guard++) {
    const struct xf_time d = xf_coord_deadline(w->coord);
    XF_ASSERT(guard < 2000); /* a deadline that never moves */
    if (xf_time_before(end, d)) break;
    if (xf_time_before(w->now, d)) w->now = d;
    feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_TICK});
  }
  w->now = end;
}

static void announce(struct world *w, uint32_t slot, uint8_t how) {
  struct silo *s = &w->silo[w->conn_member[slot]];
  const struct xf_msg_task_offer *o = &s->offer;
  const bool report = o->kind == XF_TASK_EVALUATE;
  struct xf_msg m = {.type = XF_MSG_UPDATE_BEGIN};
  struct xf_msg_update_begin *u = &m.update_begin;
  *u = (struct xf_msg_update_begin){.task_id = o->task_id,
                                    .round = o->round,
                                    .base_digest = o->base_digest,
                                    .layout_digest = o->layout_digest,
                                    .weight = 1,
                                    .n_samples = 10,
                                    .dtype = report ? XF_DTYPE_REPORT : XF_DTYPE_FLOAT32,
                                    .payload_len =
                                        report ? 40 : lens_of(w->conn_member[slot])->up[o->stage]};
  memset(u->payload_digest.b, how >> 6, XF_DIGEST_LEN); /* four different updates of a task */
  if ((how & 15) == 1) u->round += 1 + (how >> 4);
  if ((how & 15) == 2) u->weight = how >> 4;
  if ((how & 15) == 3) u->payload_len = (uint64_t)how << (how >> 2);
  if ((how & 15) == 4) u->base_digest.b[0] ^= 1;
  if ((how & 15) == 5) u->layout_digest.b[0] ^= 1;
  if ((how & 15) == 6) u->task_id = w->silo[(w->conn_member[slot] + 1) % N].offer.task_id;
  uint8_t input[XF_UPDATE_DIGEST_INPUT];
  xf_update_digest_input(input, u);
  xf_sha256(&u->update_digest, input, sizeof input);
  if ((how & 15) == 7) u->update_digest.b[0] ^= 1;
  s->begin = *u;
  say(w, slot, &m);
}

/* The next bytes as the spool has them, or others. */
static void chunk(struct world *w, uint32_t slot, uint8_t how) {
  static const uint8_t zero[2 * MODEL];
  const struct silo *s = &w->silo[w->conn_member[slot]];
  const size_t len = (size_t)(how & 15) * 16 + 16;
  struct xf_msg m = {.type = XF_MSG_UPDATE_CHUNK,
                     .chunk = {.task_id = s->begin.task_id,
                               .offset = s->open ? s->got : 0,
                               .data = zero,
                               .data_len = len}};
  if (s->open && len > s->spool.payload_len - s->got && how < 240)
    m.chunk.data_len = (size_t)(s->spool.payload_len - s->got);
  if (how >> 4 == 13) m.chunk.offset++;
  m.chunk.crc32c = xf_crc32c(0, zero, m.chunk.data_len) + (how >> 4 == 14);
  say(w, slot, &m);
}

/* Bytes from the network: whatever the decoder lets through. */
static void hostile(struct world *w, uint32_t slot) {
  struct xf_arena arena;
  struct xf_msg m;
  struct xf_diag diag;
  const uint16_t type = take(w);
  const size_t want = take(w), len = want < w->len ? want : w->len;
  xf_arena_init(&arena, XF_MSG_ARENA);
  if (xf_msg_decode(&m, &arena, type, w->p, len, &diag) == XF_OK) say(w, slot, &m);
  w->p += len;
  w->len -= len;
  xf_arena_deinit(&arena);
}

static void simple(struct world *w, uint32_t slot, uint8_t op, uint8_t how) {
  const uint64_t down = down_of(w, w->conn_member[slot], w->silo[w->conn_member[slot]].offer.kind);
  const struct silo *s = &w->silo[w->conn_member[slot]];
  struct xf_msg m = {.type = XF_MSG_PONG};
  if (op == 0)
    m = (struct xf_msg){.type = XF_MSG_HELLO,
                        .hello = {.minor_min = how == 255,
                                  .minor_max = how,
                                  .software = "fuzz",
                                  .run_id = how % 8 == 7 ? "run-2"
                                            : how % 2    ? "run-1"
                                                         : "",
                                  .chunk_max = 1024}};
  else if (op == 1)
    m = (struct xf_msg){.type = XF_MSG_TASK_REPLY,
                        .task_reply = {.task_id = s->offer.task_id,
                                       .accepted = how < 192,
                                       .code = how < 192 ? "" : "E_POLICY",
                                       .key = "policy.max_rounds",
                                       .text = "no"}};
  else if (op == 2)
    m = (struct xf_msg){.type = XF_MSG_MODEL_GET,
                        .model_get = {s->offer.task_id, how < 240 ? 0 : how,
                                      how < 240 ? down : (uint64_t)how << (how >> 2)}};
  else if (op == 3)
    m = (struct xf_msg){.type = XF_MSG_PROGRESS, .progress = {s->offer.task_id, how, 255}};
  if (op == 2 && down == 0 && how < 240) return; /* nobody asks for nothing */
  say(w, slot, &m);
}

static void command(struct world *w, uint8_t how) {
  static const enum xf_coord_command c[] = {XF_COMMAND_PAUSE, XF_COMMAND_RESUME, XF_COMMAND_MEMBERS,
                                            XF_COMMAND_DRAIN};
  feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_COMMAND, .command = c[how % 4]});
}

/* As the shell does: the second time says nothing, after the freeze its tasks
 * are known first. */
static void align(struct world *w, uint32_t member) {
  struct silo *s = &w->silo[member];
  if (staged() && s->aligned) return;
  if (staged() && w->frozen) {
    s->reader = true;
    xf_coord_set_lens(w->coord, member, lens_of(member));
    xf_coord_set_reader(w->coord, member);
  }
  s->aligned = true;
  feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = member});
}

static void step(struct world *w) {
  const uint8_t op = take(w), how = take(w);
  const uint32_t slot = (op >> 4) % CONNS, member = slot % N;
  switch (op & 15) {
  case 0:
    if (w->conn[slot]) return;
    w->conn[slot] = w->next_conn++;
    w->conn_member[slot] = member;
    feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_OPENED,
                                     .conn = w->conn[slot],
                                     .member_id = how == 255 ? "nobody" : members[member].id});
    return;
  case 1: simple(w, slot, 0, how); return;
  case 2: {
    const uint64_t conn = w->conn[slot];
    if (!conn) return;
    w->conn[slot] = 0;
    feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_CLOSED, .conn = conn});
    return;
  }
  case 3: simple(w, slot, 1, how); return;
  case 4: announce(w, slot, how); return;
  case 5: chunk(w, slot, how); return;
  case 6:
  case 7: answer(w, how, op >> 4); return;
  case 8: pass(w, how * (op >> 4 & 1 ? 4.0 : 0.05)); return;
  case 9: simple(w, slot, 2, how); return;
  case 10: simple(w, slot, 3, how); return;
  case 11: simple(w, slot, 4, how); return;
  case 12: command(w, how); return;
  case 13: align(w, member); return;
  case 14: hostile(w, slot); return;
  default:
    for (uint32_t i = 0; w->n_pending && i < 64; i++) answer(w, 0, 0);
  }
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  xf_log_start(open("/dev/null", O_WRONLY | O_CLOEXEC), XF_LOG_LOGFMT, XF_LOG_ERROR, "fuzz");
  return 0;
}

static void set_plan(uint8_t how) {
  static const enum xf_plan_weighting rule[] = {XF_PLAN_WEIGHTING_SAMPLES,
                                                XF_PLAN_WEIGHTING_UNIFORM};
  memset(&plan, 0, sizeof plan);
  plan.seed = 7;
  plan.n_stages = 1;
  plan.eval.every = 2;
  plan.eval.n_metrics = 1;
  struct xf_plan_stage_part *s = &plan.stages[0];
  s->fed.rounds = 4;
  s->fed.cohort = how & 1 ? 0.5 : 1;
  s->fed.quorum = how & 2 ? 1 : 0.5;
  s->fed.min_domains = how & 4 ? 2 : 1;
  s->fed.deadline_s = 100;
  s->fed.select_timeout_s = 20;
  s->fed.eval_deadline_s = 50;
  s->fed.over_select = how & 8 ? 1.3 : 1;
  s->fed.weighting = rule[how >> 4 & 1];
  if ((how & 0x18) == 0x18) {
    s->fed.over_select = 1;
    plan.n_stages = 2;
    plan.stages[1] = *s;
    s->kind = XF_PLAN_STAGE_STATISTIC;
    s->fed.rounds = 1;
    plan.stages[1].kind = XF_PLAN_STAGE_ROWS;
    plan.stages[1].fed.rounds = 3;
  }
  for (uint32_t i = 0; i < N; i++) {
    (void)snprintf(members[i].id, sizeof members[i].id, "silo-%u", i);
    (void)snprintf(members[i].domain, sizeof members[i].domain, "domain-%u", i / 2);
    members[i].max_weight = i == 2 ? 5 : 0;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct world w;
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (size < 1 || size > 4096 || xf_crypto_start()) return 0;
  set_plan(data[0]);
  struct xf_coord_config config = {.federation = "fed",
                                   .run_id = "run-1",
                                   .member = members,
                                   .n_member = N,
                                   .plan = &plan,
                                   .plan_canonical = (const uint8_t *)"plan",
                                   .plan_canonical_len = 4,
                                   .max_transfers = data[0] & 0x40 ? 1 : 0,
                                   .exit_when_done = data[0] & 0x80};
  memset(config.plan_digest.b, 0x11, XF_DIGEST_LEN);
  memset(config.layout_digest.b, 0x22, XF_DIGEST_LEN);
  const bool frozen = !(data[0] & 0x20);
  struct xf_coord_recovery recovery = {.epoch = 1, .evaluated_at = UINT64_MAX, .frozen = frozen};
  memset(recovery.model_digest.b, 0x33, XF_DIGEST_LEN);
  memset(&w, 0, sizeof w);
  w.now = (struct xf_time){1000000000};
  w.next_conn = 1;
  w.p = data + 1;
  w.len = size - 1;
  XF_ASSERT(xf_coord_new(&w.coord, &config, &recovery, w.now, &diag) == XF_OK);
  w.frozen = frozen;
  for (uint32_t i = 0; frozen && i < N; i++)
    if (!staged()) xf_coord_set_lens(w.coord, i, lens_of(i));
  for (uint32_t i = 0; frozen && staged() && i < 2; i++) { /* the third came never yet */
    xf_coord_set_lens(w.coord, i, lens_of(i));
    w.silo[i].aligned = true;
    feed(&w, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = i});
  }
  pass(&w, 0);
  for (uint32_t i = 0; i < STEPS && w.len && !w.exited && w.opened < ROUNDS - 2; i++) step(&w);
  struct xf_coord_view view;
  xf_coord_view_get(w.coord, w.now, &view);
  XF_ASSERT(view.committed == w.committed || w.n_pending > 0);
  for (uint32_t i = 0; i < N; i++) {
    struct xf_coord_member_view m;
    xf_coord_member_get(w.coord, w.now, i, &m);
  }
  xf_coord_free(w.coord);
  return 0;
}
