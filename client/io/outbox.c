/* The outbox as the daemon uses it: recovery, streaming the stored bytes, verdicts, the fate of personal states. */
#include "base/alloc.h"
#include "base/crc32c.h"
#include "base/fail.h"
#include "base/str.h"
#include "client/io/parts.h"
#include "client/io/vector.h"

#include <stdio.h>
#include <string.h>

/* Without a plan nothing was ever released, so this delta is never printed as a claim. */
static double delta_of(const struct xf_client *c) {
  return c->plan ? c->plan->privacy.delta : 1e-5;
}

static enum xf_rc first_pending(void *arg, const struct xf_outbox_item *item) {
  struct xf_session_recovery *r = arg;
  struct xf_diag diag;
  if (r->pending) return XF_OK;
  xf_diag_init(&diag);
  enum xf_rc rc = client_release_begin(&r->begin, item, &diag);
  if (rc)
    xf_log(XF_LOG_ERROR, "outbox_damaged", XF_U("round", item->round),
           XF_S("reason", xf_diag_text(&diag, rc)));
  r->pending = rc == XF_OK;
  return rc;
}

static enum xf_rc known_run(struct xf_client *c, struct xf_diag *diag) {
  char stored[XF_OUTBOX_TEXT_MAX] = "";
  enum xf_rc rc = xf_outbox_meta_get(c->outbox, "run", stored, sizeof stored, diag);
  if (rc == XF_E_NOTFOUND) rc = XF_OK;
  return rc ? rc : xf_str_copy(c->run, sizeof c->run, stored);
}

/* Certificates may be renewed; the state stays that of one federation and member. */
static enum xf_rc same_silo(struct xf_client *c, const char *key, const char *now,
                            struct xf_diag *diag) {
  char stored[XF_OUTBOX_TEXT_MAX] = "";
  enum xf_rc rc = xf_outbox_meta_get(c->outbox, key, stored, sizeof stored, diag);
  if (rc == XF_E_NOTFOUND) return xf_outbox_meta_set(c->outbox, key, now, diag);
  if (!rc && strcmp(stored, now) != 0)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "%s is \"%s\", but the state in \"%s\" belongs to \"%s\": use another "
                       "state_dir",
                       key, now, c->cfg.state_dir, stored);
  return rc;
}

enum xf_rc client_outbox_open(struct xf_client *c, struct xf_session_recovery *r,
                              struct xf_diag *diag) {
  struct xf_outbox_recovery found;
  char final[XF_OUTBOX_TEXT_MAX];
  *r = (struct xf_session_recovery){0};
  enum xf_rc rc = xf_outbox_open(&c->outbox, c->fs, c->cfg.state_dir, NULL, &found, diag);
  /* A database of a newer crossfed is damaged state to this one, not a protocol to negotiate. */
  if (rc == XF_E_VERSION) rc = xf_diag_prefix(diag, XF_E_CORRUPT, "state_dir");
  if (rc) return rc;
  rc = same_silo(c, "federation", c->cfg.federation, diag);
  if (!rc) rc = same_silo(c, "member", c->cfg.member, diag);
  if (!rc) rc = known_run(c, diag);
  if (!rc) rc = client_plan_load(c, diag);
  if (!rc) rc = client_release_account(&c->account, c->outbox, c->run, delta_of(c), diag);
  if (!rc) rc = xf_outbox_pending(c->outbox, first_pending, r, diag);
  if (rc) return rc;
  rc = xf_outbox_meta_get(c->outbox, "final", final, sizeof final, diag);
  if (rc && rc != XF_E_NOTFOUND) return rc;
  c->final_stored = r->final_stored = rc == XF_OK;
  if (!rc && xf_digest_parse(&r->final_task, final))
    return xf_diag_set(diag, XF_E_CORRUPT,
                       "client.db: the final model's task \"%.80s\" is no digest", final);
  r->has_plan = c->has_plan;
  r->plan_digest = c->plan_digest;
  r->released = c->account.released;
  r->epsilon = c->account.epsilon;
  xf_log(XF_LOG_INFO, "state_opened", XF_S("run", c->run), XF_B("pending", r->pending),
         XF_U("released", r->released), XF_U("unsent_deleted", found.unsent),
         XF_U("left_overs_deleted", found.temps + found.personal + found.left_blobs),
         XF_B("final", r->final_stored));
  return XF_OK;
}

/* --- personal states at start --- */

struct finding {
  struct xf_outbox *outbox;
  const struct xf_fs *fs;
  const char *promoted;
  char personal[XF_OUTBOX_TEXT_MAX];
  struct xf_digest task;
};

/* A personal file that is still there and was not promoted waits for its outcome: the sweep removed the others. */
static enum xf_rc find_tentative(void *arg, const struct xf_outbox_item *item) {
  struct finding *f = arg;
  char path[XF_PATH_MAX];
  if (!item->personal[0] || strcmp(item->personal, f->promoted) == 0) return XF_OK;
  enum xf_rc rc = xf_outbox_personal_path(f->outbox, path, item->personal);
  if (rc || !xf_fs_exists(f->fs, path)) return rc;
  f->task = item->task_id;
  return xf_str_copy(f->personal, sizeof f->personal, item->personal);
}

static enum xf_rc restore_one(struct xf_client *c, struct xf_silo *silo, const char *personal,
                              bool tentative, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  uint64_t n = xf_silo_params(silo);
  enum xf_rc rc = xf_outbox_personal_path(c->outbox, path, personal);
  /* A recommender knows its length once it is aligned, and judges then. */
  if (!rc && xf_silo_recommends(silo)) rc = xf_vector_len(c->fs, path, &n, diag);
  float *x = rc ? NULL : xf_try_calloc((size_t)n + 1, sizeof *x);
  if (!rc && !x) rc = XF_E_NOMEM;
  if (!rc) rc = xf_vector_load(c->fs, path, x, n, diag);
  if (!rc) rc = xf_silo_restore(silo, x, n, tentative);
  xf_free(x);
  return rc;
}

enum xf_rc client_outbox_restore(struct xf_client *c, struct xf_diag *diag) {
  char promoted[XF_OUTBOX_TEXT_MAX];
  struct finding f = {.outbox = c->outbox, .fs = c->fs, .promoted = promoted};
  c->has_tentative = false;
  enum xf_rc rc = xf_outbox_personal(c->outbox, promoted, diag);
  if (!rc && promoted[0]) rc = restore_one(c, c->silo, promoted, false, diag);
  if (!rc) rc = xf_outbox_items(c->outbox, find_tentative, &f, diag);
  if (rc || !f.personal[0]) return rc;
  rc = restore_one(c, c->silo, f.personal, true, diag);
  c->has_tentative = rc == XF_OK;
  c->tentative = f.task;
  return rc;
}

/* --- sending --- */

void client_upload(struct xf_client *c, const struct xf_digest *task, uint64_t offset) {
  struct xf_outbox_item item;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_outbox_get(c->outbox, task, &item, &diag);
  if (rc) {
    client_fail(c, rc, "outbox", xf_diag_text(&diag, rc));
    return;
  }
  c->upload.on = true;
  c->upload.task = *task;
  c->upload.at = offset;
  c->upload.len = item.bytes;
  client_upload_pump(c);
}

void client_upload_pump(struct xf_client *c) {
  static uint8_t data[XF_CHUNK_MAX]; /* the loop's, like net's buffers */
  struct xf_diag diag;
  xf_diag_init(&diag);
  while (c->upload.on && c->upload.at < c->upload.len) {
    const uint64_t left = c->upload.len - c->upload.at;
    const size_t n = left < c->chunk_max ? (size_t)left : c->chunk_max;
    enum xf_rc rc = xf_outbox_read(c->outbox, &c->upload.task, data, n, c->upload.at, &diag);
    if (rc) {
      c->upload.on = false;
      client_fail(c, rc, "outbox", xf_diag_text(&diag, rc));
      return;
    }
    const struct xf_msg msg = {.type = XF_MSG_UPDATE_CHUNK,
                               .chunk = {.task_id = c->upload.task,
                                         .offset = c->upload.at,
                                         .crc32c = xf_crc32c(0, data, n),
                                         .data = data,
                                         .data_len = n}};
    rc = client_send_bulk(c, &msg);
    if (rc == XF_E_AGAIN) return; /* on_drain goes on */
    if (rc) {
      c->upload.on = false; /* on_close follows; the coordinator will say where to go on */
      return;
    }
    c->upload.at += n;
  }
  if (!c->upload.on) return;
  c->upload.on = false;
  XF_FAILPOINT("C5");
  client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_UPLOADED});
}

/* --- verdicts and outcomes --- */

struct deciding {
  struct client_job base;
  struct xf_digest task;
  enum xf_verdict verdict;
  bool settle, committed;
};

/* On the worker, like everything that reads or writes has_tentative. */
static bool is_tentative(const struct xf_client *c, const struct xf_digest *task) {
  return c->silo && c->has_tentative && xf_digest_equal(&c->tentative, task);
}

static enum xf_rc settle(struct deciding *d) {
  struct xf_client *c = d->base.client;
  const bool accepted = d->verdict == XF_VERDICT_ACCEPTED || d->verdict == XF_VERDICT_DUPLICATE_OK;
  enum xf_rc rc = xf_outbox_settle(c->outbox, &d->task, xf_verdict_name(d->verdict), accepted,
                                   xf_wall_now_us(), &d->base.diag);
  if (!rc && !accepted && is_tentative(c, &d->task)) {
    xf_silo_outcome(c->silo, false);
    c->has_tentative = false;
  }
  return rc;
}

/* A committed task may be older than the silo's tentative state; then its file says what is promoted. */
static enum xf_rc decide(struct deciding *d) {
  struct xf_client *c = d->base.client;
  char before[XF_OUTBOX_TEXT_MAX], after[XF_OUTBOX_TEXT_MAX];
  enum xf_rc rc = xf_outbox_personal(c->outbox, before, &d->base.diag);
  if (!rc)
    rc = xf_outbox_outcome(c->outbox, &d->task, d->committed, xf_wall_now_us(), &d->base.diag);
  if (!rc) rc = xf_outbox_personal(c->outbox, after, &d->base.diag);
  if (rc || !c->silo) return rc;
  if (is_tentative(c, &d->task)) {
    xf_silo_outcome(c->silo, d->committed);
    c->has_tentative = false;
  } else if (after[0] && strcmp(before, after) != 0)
    rc = restore_one(c, c->silo, after, false, &d->base.diag);
  if (!rc && after[0] && strcmp(before, after) != 0) client_serving_committed(c, &d->task);
  return rc;
}

static void deciding_work(struct client_job *job) {
  struct deciding *d = (struct deciding *)job;
  job->rc = d->settle ? settle(d) : decide(d);
}

static void deciding_done(struct client_job *job) {
  struct deciding *d = (struct deciding *)job;
  struct xf_client *c = job->client;
  const enum xf_rc rc = job->rc;
  const bool is_settle = d->settle;
  if (rc) client_fail(c, rc, is_settle ? "settle" : "outcome", xf_diag_text(&job->diag, rc));
  xf_free(job);
  if (!is_settle) return;
  client_feed(c, &(struct xf_session_event){.type = XF_SESSION_EV_SETTLED, .rc = rc});
  client_early_settled(c);
}

static struct deciding *deciding_new(const struct xf_digest *task) {
  struct deciding *d = xf_calloc(1, sizeof *d);
  d->task = *task;
  return d;
}

void client_settle(struct xf_client *c, const struct xf_digest *task, enum xf_verdict verdict) {
  c->upload.on = false;
  struct deciding *d = deciding_new(task);
  d->settle = true;
  d->verdict = verdict;
  client_submit(c, &d->base, deciding_work, deciding_done);
}

void client_outcome(struct xf_client *c, const struct xf_digest *task, enum xf_outcome outcome) {
  if (outcome == XF_OUTCOME_NONE) return;
  struct deciding *d = deciding_new(task);
  d->committed = outcome == XF_OUTCOME_COMMITTED;
  client_submit(c, &d->base, deciding_work, deciding_done);
}
