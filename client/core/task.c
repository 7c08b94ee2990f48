/* The task at hand: offer, fetch, work, outbox, verdict. */
#include "base/crc32c.h"
#include "base/fail.h"
#include "base/log.h"
#include "client/core/machine.h"
#include "crypto/blake2b.h"

#include <string.h>

enum { SAY_AGAIN_S = 30 };

static void reply(struct xf_session *s, const struct xf_digest *task_id, enum xf_rc code,
                  const char *key, const char *text) {
  session_send(s, XF_MSG_TASK_REPLY)->task_reply = (struct xf_msg_task_reply){
      *task_id, code == XF_OK, code ? xf_rc_name(code) : "", key ? key : "", text ? text : ""};
  if (code)
    xf_log(XF_LOG_WARN, "task_refused", XF_U("round", s->offer.round), XF_S("key", key ? key : ""),
           XF_S("reason", text ? text : ""));
}

/* The same recipe as the coordinator's (docs/PROTOCOL.md "Digests"): an offer cannot be for another
   member, run, base or plan than it says. */
static void task_id_of(struct xf_digest *out, const struct xf_session *s,
                       const struct xf_msg_task_offer *o) {
  struct xf_blake2b_ctx ctx;
  xf_blake2b_init(&ctx, NULL);
  xf_blake2b_feed_field(&ctx, s->run_id, strlen(s->run_id));
  xf_blake2b_feed_u64(&ctx, o->kind == XF_TASK_FINAL ? UINT64_MAX : o->round);
  xf_blake2b_feed_field(&ctx, s->cfg.member, strlen(s->cfg.member));
  xf_blake2b_feed(&ctx, o->base_digest.b, XF_DIGEST_LEN);
  xf_blake2b_feed(&ctx, o->plan_digest.b, XF_DIGEST_LEN);
  xf_blake2b_take(&ctx, out);
}

static enum xf_rc offer_check(struct xf_session *s, const struct xf_msg_task_offer *o,
                              const char **key, struct xf_diag *diag) {
  struct xf_digest id;
  task_id_of(&id, s, o);
  *key = "task_id";
  if (!xf_digest_equal(&id, &o->task_id))
    return xf_diag_set(diag, XF_E_INVAL,
                       "the task id does not belong to this run, plan and member");
  *key = "plan_digest";
  if (!s->adopted || !xf_digest_equal(&o->plan_digest, &s->plan_digest))
    return xf_diag_set(diag, XF_E_STALE,
                       "the offer is for another plan than the one accepted here");
  *key = "layout_digest";
  if (!xf_digest_equal(&o->layout_digest, &s->layout_digest))
    return xf_diag_set(diag, XF_E_SHAPE, "the offer's layout is not what this plan gives here");
  *key = "stage";
  if (o->stage >= s->lens.n_stage)
    return xf_diag_set(diag, XF_E_RANGE, "the offer is of stage %u, the plan has %u", o->stage,
                       s->lens.n_stage);
  *key = "model_len";
  const uint64_t want = o->kind == XF_TASK_TRAIN ? s->lens.down[o->stage] : s->lens.all;
  if (o->model_len != want)
    return xf_diag_set(diag, XF_E_SHAPE, "the offer's model has %llu bytes, this silo expects %llu",
                       (unsigned long long)o->model_len, (unsigned long long)want);
  if (o->kind != XF_TASK_TRAIN) return XF_OK;
  return xf_policy_check_offer(&s->cfg.policy, s->released, o->cohort, s->epsilon, key, diag);
}

static void fetch_more(struct xf_session *s) {
  uint64_t left = s->offer.model_len - s->fetched;
  uint64_t n = left < WINDOW ? left : WINDOW;
  s->asked = s->fetched + n;
  session_send(s, XF_MSG_MODEL_GET)->model_get =
      (struct xf_msg_model_get){s->offer.task_id, s->fetched, n};
}

/* Where to begin: artifacts of earlier stages, which the last model of this stage brought, are here already. */
static void fetch_begin(struct xf_session *s) {
  const uint32_t stage = s->offer.stage;
  const bool kept = s->offer.kind == XF_TASK_TRAIN && s->kept_stage == stage + 1;
  s->fetched = kept ? s->lens.in[stage] : 0;
  if (!XF_PLANTED("stale_artifacts")) s->kept_stage = 0;
  struct xf_session_action *a = session_act(s, XF_SESSION_FETCH_BEGIN_ACTION);
  a->offer = &s->offer;
  a->offset = s->fetched;
}

static void fetched_all(struct xf_session *s) {
  if (s->offer.kind == XF_TASK_TRAIN) s->kept_stage = s->offer.stage + 1;
  if (s->offer.kind == XF_TASK_FINAL) {
    s->task = XF_TASK_STATE_WORKING;
    session_act(s, XF_SESSION_STORE_FINAL_ACTION)->offer = &s->offer;
    return;
  }
  s->task = XF_TASK_STATE_WORKING;
  s->working = true;
  s->cancelled = false;
  s->done = s->total = 0;
  XF_FAILPOINT("C2");
  session_act(s, XF_SESSION_RUN_ACTION)->offer = &s->offer;
}

/* The final model is being stored: its bytes must stay as they are. */
static bool storing(const struct xf_session *s) {
  return s->task == XF_TASK_STATE_WORKING && !s->working;
}

void task_offer(struct xf_session *s, const struct xf_msg_task_offer *o) {
  bool same = xf_digest_equal(&o->task_id, &s->offer.task_id);
  if (same && (s->task == XF_TASK_STATE_PENDING || s->task == XF_TASK_STATE_SENDING ||
               s->task == XF_TASK_STATE_SETTLING))
    return; /* the stored answer is on its way */
  if (same && s->state == XF_SESSION_READY && s->task == XF_TASK_STATE_WORKING && s->working &&
      !s->cancelled) {
    reply(s, &o->task_id, XF_OK, NULL, NULL); /* reconnected in the middle of the work */
    return;
  }
  if (same && s->state == XF_SESSION_READY && o->kind == XF_TASK_FINAL) {
    if (storing(s)) return; /* the reply follows when it is stored */
    if (s->task == XF_TASK_STATE_NONE && s->final_stored) {
      reply(s, &o->task_id, XF_OK, NULL, NULL); /* the first reply was lost */
      return;
    }
  }
  /* The plan is being read, an answer is unsettled, or cancelled work or a store is under way. */
  if (s->state != XF_SESSION_READY || s->task >= XF_TASK_STATE_PENDING || s->working ||
      storing(s)) {
    s->held = *o;
    s->has_held = true;
    return;
  }
  struct xf_diag diag;
  const char *key = "";
  xf_diag_init(&diag);
  enum xf_rc rc = offer_check(s, o, &key, &diag);
  if (rc) {
    reply(s, &o->task_id, rc, key, session_text(s, "%s", xf_diag_text(&diag, rc)));
    if (o->kind == XF_TASK_FINAL) s->final_refused = rc;
    return;
  }
  if (!xf_digest_is_zero(&o->prev_task_id) && o->prev_outcome != XF_OUTCOME_NONE) {
    struct xf_session_action *a = session_act(s, XF_SESSION_OUTCOME_ACTION);
    a->task_id = o->prev_task_id;
    a->outcome = o->prev_outcome;
  }
  bool resume = same && s->task == XF_TASK_STATE_FETCHING;
  s->offer = *o;
  XF_FAILPOINT("C1");
  if (o->kind != XF_TASK_FINAL) reply(s, &o->task_id, XF_OK, NULL, NULL);
  s->task = XF_TASK_STATE_FETCHING;
  if (!resume) fetch_begin(s);
  if (s->fetched == o->model_len) fetched_all(s);
  else fetch_more(s);
}

void task_chunk(struct xf_session *s, const struct xf_msg_chunk *k) {
  if (s->task != XF_TASK_STATE_FETCHING || !xf_digest_equal(&k->task_id, &s->offer.task_id)) return;
  if (k->offset != s->fetched || k->data_len > s->asked - s->fetched ||
      xf_crc32c(0, k->data, k->data_len) != k->crc32c) {
    xf_log(XF_LOG_WARN, "model_chunk_damaged", XF_U("offset", k->offset));
    session_act(s, XF_SESSION_CLOSE_ACTION); /* reconnect and resume at `fetched` */
    return;
  }
  struct xf_session_action *a = session_act(s, XF_SESSION_FETCH_WRITE_ACTION);
  a->offset = k->offset;
  a->data = k->data;
  a->data_len = k->data_len;
  s->fetched += k->data_len;
  if (s->fetched == s->offer.model_len) fetched_all(s);
  else if (s->fetched == s->asked) fetch_more(s);
}

static void announce(struct xf_session *s) {
  s->task = XF_TASK_STATE_SENDING;
  s->say_again_at = xf_time_add_s(s->now, SAY_AGAIN_S);
  session_send(s, XF_MSG_UPDATE_BEGIN)->update_begin = s->begin;
}

void task_cancel(struct xf_session *s, const struct xf_msg_task_cancel *c) {
  if (s->has_held && xf_digest_equal(&c->task_id, &s->held.task_id)) s->has_held = false;
  if (!xf_digest_equal(&c->task_id, &s->offer.task_id)) return;
  xf_log(XF_LOG_INFO, "task_cancelled", XF_U("round", s->offer.round), XF_S("reason", c->text));
  if (s->working && !s->cancelled) {
    s->cancelled = true;
    session_act(s, XF_SESSION_CANCEL_ACTION);
  } else if (s->task == XF_TASK_STATE_FETCHING) {
    s->task = XF_TASK_STATE_NONE;
  } else if (s->task == XF_TASK_STATE_SENDING && !XF_PLANTED("silent_cancel")) {
    announce(s); /* the round is gone, the stored answer is not: its verdict (LATE) settles it */
  }
}

void task_worked(struct xf_session *s, const struct xf_session_event *e) {
  s->working = false;
  if (e->rc) {
    s->task = XF_TASK_STATE_NONE;
    if (!s->cancelled && s->state == XF_SESSION_READY)
      /* Of the policy only the account, and whether figures may leave, can be judged as late as this. */
      reply(s, &s->offer.task_id, e->rc,
            e->rc != XF_E_POLICY                ? "local"
            : s->offer.kind == XF_TASK_EVALUATE ? "policy.export_metrics"
                                                : "policy.max_epsilon",
            e->text ? e->text : xf_rc_text(e->rc));
    s->cancelled = false;
    task_free(s);
    return;
  }
  /* Stored and charged: it goes out even when the round was cancelled; the verdict settles it. */
  s->cancelled = false;
  s->begin = *e->begin;
  if (s->has_held && xf_digest_equal(&s->held.task_id, &s->begin.task_id)) s->has_held = false;
  s->released += s->offer.kind == XF_TASK_TRAIN;
  s->epsilon = e->epsilon;
  s->task = XF_TASK_STATE_PENDING;
  if (s->state == XF_SESSION_READY) announce(s);
}

void task_ready(struct xf_session *s) {
  if (s->task == XF_TASK_STATE_PENDING || s->task == XF_TASK_STATE_SENDING) announce(s);
  task_free(s);
}

void task_free(struct xf_session *s) {
  if (!s->has_held || s->state != XF_SESSION_READY) return;
  s->has_held = false;
  struct xf_msg_task_offer o = s->held;
  task_offer(s, &o); /* holds it again if it is still too early */
}

void task_upload(struct xf_session *s, const struct xf_msg_update_ready *r) {
  if (s->task != XF_TASK_STATE_SENDING || !xf_digest_equal(&r->task_id, &s->begin.task_id)) return;
  if (r->offset > s->begin.payload_len) return;
  s->say_again_at = XF_TIME_NEVER; /* the bytes are on their way */
  struct xf_session_action *a = session_act(s, XF_SESSION_UPLOAD_ACTION);
  a->task_id = r->task_id;
  a->offset = r->offset;
}

void task_uploaded(struct xf_session *s) {
  if (s->task == XF_TASK_STATE_SENDING) s->say_again_at = xf_time_add_s(s->now, SAY_AGAIN_S);
}

/* The acknowledgement of the reply to FINAL; after a restart it comes without an offer. */
static bool final_ack(struct xf_session *s, const struct xf_msg_update_ack *a) {
  if (!s->final_stored || a->verdict != XF_VERDICT_ACCEPTED ||
      !xf_digest_equal(&a->task_id, &s->final_task))
    return false;
  s->final_acked = true;
  return true;
}

void task_ack(struct xf_session *s, const struct xf_msg_update_ack *a) {
  if (final_ack(s, a)) return;
  if ((s->task != XF_TASK_STATE_SENDING && s->task != XF_TASK_STATE_PENDING) ||
      !xf_digest_equal(&a->task_id, &s->begin.task_id))
    return;
  if (a->verdict == XF_VERDICT_CORRUPT) { /* the only verdict that asks for the bytes again */
    s->task = XF_TASK_STATE_PENDING;
    if (s->corrupt < 10) s->corrupt++;
    s->resend_at = xf_time_add_ms(s->now, (int64_t)100 << s->corrupt);
    xf_log(XF_LOG_WARN, "update_damaged", XF_U("round", s->begin.round), XF_S("reason", a->text));
    return;
  }
  s->corrupt = 0;
  s->task = XF_TASK_STATE_SETTLING;
  xf_log(a->verdict <= XF_VERDICT_DUPLICATE_OK ? XF_LOG_INFO : XF_LOG_WARN, "update_settled",
         XF_U("round", s->begin.round), XF_S("verdict", xf_verdict_name(a->verdict)),
         XF_S("reason", a->text));
  struct xf_session_action *act = session_act(s, XF_SESSION_SETTLE_ACTION);
  act->task_id = a->task_id;
  act->verdict = a->verdict;
}

void task_settled(struct xf_session *s) {
  if (s->task == XF_TASK_STATE_SETTLING) s->task = XF_TASK_STATE_NONE;
  task_free(s);
}

void task_stored(struct xf_session *s, enum xf_rc rc, const char *text) {
  s->task = XF_TASK_STATE_NONE;
  s->final_stored = rc == XF_OK;
  s->final_refused = rc;
  if (!rc) s->final_task = s->offer.task_id;
  if (s->state == XF_SESSION_READY)
    reply(s, &s->offer.task_id, rc, rc ? "store" : NULL, rc ? text : NULL);
  task_free(s);
}

void task_lost(struct xf_session *s) {
  s->has_held = false; /* offered again on the next connection */
  if (s->task == XF_TASK_STATE_SENDING) s->task = XF_TASK_STATE_PENDING;
}

void task_tick(struct xf_session *s) {
  if (s->task == XF_TASK_STATE_PENDING && s->state == XF_SESSION_READY &&
      !xf_time_before(s->now, s->resend_at))
    announce(s);
  /* Neither a turn to upload nor a verdict came although the coordinator lives: it is asked again. To it this is the same
     announcement, whether the update waits its turn, is being stored or was settled. */
  if (s->task == XF_TASK_STATE_SENDING && s->state == XF_SESSION_READY &&
      !xf_time_before(s->now, s->say_again_at) && !XF_PLANTED("silent_cancel")) {
    xf_log(XF_LOG_INFO, "update_announced_again", XF_U("round", s->begin.round));
    announce(s);
  }
}
