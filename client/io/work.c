/* RUN: train or evaluate on the worker, then store with the charge; only then the core hears of an answer. */
#include "base/alloc.h"
#include "client/io/parts.h"

#include <string.h>

enum { BEAT_MS = 1000, QUIET_S = 20 };
#define PAYLOAD_SLACK 4096u

struct working {
  struct client_job base;
  struct xf_msg_task_offer offer;
  struct xf_silo_answer answer;
  struct client_account before, after;
  struct xf_msg_update_begin begin;
  bool stored;  /* by this job */
  bool storing; /* the error came from the disk */
};

static void on_progress(void *arg, uint64_t done, uint64_t total) {
  struct xf_client *c = arg;
  atomic_store(&c->done, done);
  atomic_store(&c->total, total);
}

/* A task is never turned into two different answers: one that is stored already is the answer. */
static enum xf_rc find_stored(struct working *w, bool *found) {
  struct xf_client *c = w->base.client;
  struct xf_outbox_item item;
  enum xf_rc rc = xf_outbox_get(c->outbox, &w->offer.task_id, &item, NULL);
  *found = rc == XF_OK;
  if (rc == XF_E_NOTFOUND) return XF_OK;
  if (rc) return xf_diag_set(&w->base.diag, rc, "the outbox cannot be read: %s", xf_rc_text(rc));
  if (item.settled)
    return xf_diag_set(&w->base.diag, XF_E_EXISTS, "this task was answered before: %s",
                       item.verdict);
  return client_release_begin(&w->begin, &item, &w->base.diag);
}

static enum xf_rc store(struct working *w) {
  struct xf_client *c = w->base.client;
  const bool train = w->offer.kind == XF_TASK_TRAIN;
  const struct client_release release = {.run = c->run,
                                         .kind = w->offer.kind,
                                         .answer = &w->answer,
                                         .personal = train ? xf_silo_personal(c->silo, true) : NULL,
                                         .n = xf_silo_params(c->silo),
                                         .before = &w->before,
                                         .delta = c->plan->privacy.delta,
                                         .unit = client_release_unit(c->plan),
                                         .policy = &c->cfg.policy};
  enum xf_rc rc = client_release_put(c->outbox, c->fs, &release, &w->after, &w->base.diag);
  w->storing = rc && rc != XF_E_POLICY;
  w->stored = rc == XF_OK;
  w->begin = w->answer.begin;
  if (!train) return rc;
  if (rc) {
    xf_silo_outcome(c->silo, false); /* what was not released never happened */
    return rc;
  }
  c->has_tentative = true;
  c->tentative = w->offer.task_id;
  return XF_OK;
}

static void working_work(struct client_job *job) {
  struct working *w = (struct working *)job;
  struct xf_client *c = job->client;
  bool found = false;
  job->rc = find_stored(w, &found);
  if (job->rc || found) return;
  job->rc = client_fetch_read(c, &w->offer, &job->diag);
  if (job->rc) return;
  const struct xf_silo_task task = {.offer = w->offer,
                                    .base = c->base,
                                    .spent = w->before.spent,
                                    .cancel = &job->job.cancel,
                                    .progress = on_progress,
                                    .arg = c};
  job->rc = xf_silo_work(c->silo, &task, &w->answer, &job->diag);
  if (!job->rc && atomic_load(&job->job.cancel)) {
    xf_silo_outcome(c->silo, false);
    job->rc = xf_diag_set(&job->diag, XF_E_CANCELLED, "cancelled");
  }
  if (!job->rc) job->rc = store(w);
  if (!job->rc && w->offer.kind == XF_TASK_EVALUATE) client_serving_decided(c, w->offer.committed);
}

static void log_work(const struct working *w, double seconds) {
  const struct xf_client *c = w->base.client;
  if (w->base.rc == XF_E_CANCELLED) {
    xf_log(XF_LOG_INFO, "work_cancelled", XF_U("round", w->offer.round), XF_F("dur_s", seconds));
  } else if (w->base.rc) {
    xf_log(w->base.rc == XF_E_POLICY ? XF_LOG_WARN : XF_LOG_ERROR, "work_failed",
           XF_U("round", w->offer.round), XF_S("code", xf_rc_name(w->base.rc)),
           XF_S("reason", xf_diag_text(&w->base.diag, w->base.rc)));
  } else if (w->offer.kind == XF_TASK_TRAIN) {
    xf_log(XF_LOG_INFO, "trained", XF_U("round", w->offer.round), XF_F("loss", w->answer.loss),
           XF_F("norm", w->answer.norm), XF_B("clipped", w->answer.clipped),
           XF_U("bytes", w->begin.payload_len), XF_F("dur_s", seconds));
    if (w->answer.uncounted)
      xf_log(XF_LOG_WARN, "control_uncounted", XF_U("round", w->offer.round),
             XF_U("counted", w->offer.counted),
             XF_S("what",
                  "the coordinator counts updates of this silo that its control variates are "
                  "not from: the state directory is new or an older copy; they count again "
                  "from the next committed round on"));
    if (w->answer.forgot)
      xf_log(XF_LOG_WARN, "feedback_lost", XF_U("round", w->offer.round),
             XF_S("what", "what earlier updates left unsent (fed.encoding: topk) is not here any "
                          "more; it starts again at 0"));
    if (w->answer.n_lost) /* said here only */
      xf_log(XF_LOG_WARN, "gradients_lost", XF_U("round", w->offer.round),
             XF_U("count", w->answer.n_lost),
             XF_S("what", "gradients of single units were not finite and added nothing: look for "
                          "values in the data that are not finite or far too large"));
    if (c->effect.noise_multiplier > 0) client_privacy_print_short(c, w->offer.round);
  } else {
    xf_log(XF_LOG_INFO, "evaluated", XF_U("round", w->offer.round),
           XF_U("bytes", w->begin.payload_len), XF_F("dur_s", seconds));
  }
}

static void working_done(struct client_job *job) {
  struct working *w = (struct working *)job;
  struct xf_client *c = job->client;
  const enum xf_rc rc = job->rc;
  c->running = NULL;
  xf_timer_set(&c->beat, XF_TIME_NEVER);
  if (w->stored) c->account = w->after;
  log_work(w, xf_time_diff_s(xf_time_now(), c->started));
  if (w->stored) client_early(c, &w->offer);
  /* The core copies begin; text is kept by it too. */
  client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_WORKED,
                                            .rc = rc,
                                            .text = xf_diag_text(&job->diag, rc),
                                            .begin = &w->begin,
                                            .epsilon = c->account.epsilon});
  if (w->storing && rc != XF_E_NOSPACE) client_fail(c, rc, "outbox", xf_diag_text(&job->diag, rc));
  xf_buf_deinit(&w->answer.payload);
  xf_free(job);
}

void client_run(struct xf_client *c, const struct xf_msg_task_offer *offer) {
  struct working *w = xf_calloc(1, sizeof *w);
  /* not by the offer's model: a stage may send more than it was given */
  const uint64_t all = xf_silo_model_len(c->silo), most = all > XF_REPORT_MAX ? all : XF_REPORT_MAX;
  w->offer = *offer;
  w->before = c->account;
  xf_buf_init(&w->answer.payload, (size_t)most + PAYLOAD_SLACK);
  atomic_store(&c->done, 0);
  atomic_store(&c->total, 0);
  c->told = 0;
  c->started = c->told_at = xf_time_now();
  client_early_yield(c);
  c->running = &w->base;
  xf_log(XF_LOG_INFO, "work_started", XF_U("round", offer->round),
         XF_S("kind", xf_task_kind_name(offer->kind)));
  client_submit(c, &w->base, working_work, working_done);
  xf_timer_set(&c->beat, xf_time_add_ms(c->started, BEAT_MS));
}

void client_cancel(struct xf_client *c) {
  client_early_yield(c);
  if (c->running) atomic_store(&c->running->job.cancel, true);
}

/* At most one Progress a second, and one at least every 20 s as long as the work goes on. */
void client_beat(struct xf_client *c) {
  const struct xf_time now = xf_time_now();
  const unsigned long long done = atomic_load(&c->done);
  if (!c->running) return;
  if (done != c->told || xf_time_diff_s(now, c->told_at) >= QUIET_S) {
    c->told = done;
    c->told_at = now;
    client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_PROGRESS,
                                              .done = done,
                                              .total = atomic_load(&c->total)});
  }
  xf_timer_set(&c->beat, xf_time_add_ms(now, BEAT_MS));
}
