/*
 * client.h - private to client/io: the daemon's memory and the functions its files share.
 *
 * The loop thread owns everything. A callback translates to an event, client_feed hands it to the core and performs the
 * actions (perform.c). What computes or waits for the disk is a struct client_job on the one worker thread: jobs run in
 * the order they were submitted and come back on the loop. The silo and the outbox belong to the job that runs; the loop
 * touches them only when the core's task state says that none can.
 * Owner: main.c, by xf_daemon_run. Thread: the loop's, but for `work` of a job.
 */
#ifndef XF_CLIENT_IO_CLIENT_H
#define XF_CLIENT_IO_CLIENT_H

#include "base/worker.h"
#include "client/core/session.h"
#include "client/io/config.h"
#include "client/io/release.h"
#include "crypto/secret.h"
#include "net/conn.h"
#include "net/mailbox.h"
#include "net/timer.h"
#include "silo/silo.h"
#include "store/lock.h"
#include "store/outbox.h"

#include <stdatomic.h>

#define XF_CLIENT_SOFTWARE "crossfed-client 0.1.0"

struct xf_client;

struct client_job {
  struct xf_job job; /* first */
  struct xf_client *client;
  void (*work)(struct client_job *job); /* on the worker */
  void (*done)(struct client_job *job); /* on the loop; frees the job */
  enum xf_rc rc;
  struct xf_diag diag;
};

/* One connection; outlives `client->link` until its on_close. */
struct client_link {
  struct xf_client *client;
  struct xf_conn *conn;
  bool detached; /* the session has left it */
};

struct client_later {
  struct xf_session_event event; /* without pointers but text */
  char text[256];
};

/* The directory's answer for this silo's keys. */
struct client_align {
  bool manifest_wanted; /* a request that came before the data were loaded, or is being sent */
  uint64_t sent;        /* keys */
  char ns[64];
  struct xf_digest digest;
  uint64_t n_all, total, got; /* keys */
  uint32_t *holders;          /* [total] */
  bool complete, aligned;
};

enum { CLIENT_LATER = 8, CLIENT_HELD = 8, CLIENT_SIGNALS = 4 };

struct xf_client {
  struct xf_client_config cfg;
  struct xf_client_source source;
  const struct xf_fs *fs;
  struct xf_lock lock;
  uv_loop_t loop;
  struct xf_net net;
  struct xf_tls_ctx *tls;
  struct xf_mailbox mailbox;
  struct xf_worker *worker;
  struct xf_timer tick;  /* the core's deadline */
  struct xf_timer beat;  /* progress of the work at hand */
  struct xf_timer watch; /* certificates' files, leaving */
  uv_signal_t signal[CLIENT_SIGNALS];
  unsigned n_stop;
  bool exiting, closed;
  enum xf_rc fatal;
  char fatal_text[XF_DIAG_LEN];
  int status;

  struct xf_session *session;
  bool feeding;
  struct client_later later[CLIENT_LATER];
  size_t n_later;

  struct client_link *link; /* in use, or NULL */
  uint32_t chunk_max;
  struct xf_msg held[CLIENT_HELD]; /* small messages that found the queue full */
  size_t n_held;
  struct {
    bool on;
    struct xf_digest task;
    uint64_t at, len;
  } upload;

  char run[64];
  struct xf_plan *plan;
  struct xf_digest plan_digest;
  bool has_plan, adopted;
  struct xf_policy_effect effect;
  struct xf_silo *silo; /* made by a job; the loop looks at it once `adopted` */
  struct xf_secret align_key;
  struct client_align align;

  struct xf_file model; /* being fetched */
  bool model_open;
  uint64_t model_len;
  float *base; /* [model_len / 4], for the work at hand */
  uint64_t base_len;

  struct xf_outbox *outbox;
  struct client_account account;
  bool has_tentative; /* worker's: the silo's tentative state belongs to this task */
  struct xf_digest tentative;
  bool final_stored;
  unsigned n_lost_after_final;

  struct client_job *running; /* RUN or STORE_FINAL */
  atomic_ullong done, total;
  unsigned long long told;
  struct xf_time told_at, started;
};

/* --- daemon.c --- */
/* Feeds an event and performs the actions; from within a performance it is kept for right after. @thread loop */
void client_feed(struct xf_client *c, const struct xf_session_event *event);
/* Ends the daemon: logged, exit status of rc. @thread loop */
void client_fail(struct xf_client *c, enum xf_rc rc, const char *what, const char *text);
/* Submits a job made with xf_calloc. @own takes job, until done frees it */
void client_submit(struct xf_client *c, struct client_job *job, void (*work)(struct client_job *),
                   void (*done)(struct client_job *));
/* "<state_dir>/<name>". @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc client_path(const struct xf_client *c, char out[XF_PATH_MAX],
                                      const char *name);
/* The core has stopped. @thread loop */
void client_exit(struct xf_client *c, enum xf_rc rc, const char *text);
/* The loop may end as soon as nothing is under way. @thread loop */
void client_shutdown(struct xf_client *c);

/* --- perform.c --- */
/* @thread loop */
void client_perform(struct xf_client *c, const struct xf_session_action *action);

/* --- link.c --- */
/* @thread loop */
void client_dial(struct xf_client *c);
/* Leaves the connection; what was sent is delivered. @thread loop */
void client_hang_up(struct xf_client *c);
/* A message of the core; kept when the queue is full. @thread loop */
void client_send(struct xf_client *c, const struct xf_msg *msg);
/* A bulk message. @err E_AGAIN (on_drain follows) E_STATE E_UNREACHABLE */
XF_WARN_UNUSED enum xf_rc client_send_bulk(struct xf_client *c, const struct xf_msg *msg);

/* --- adopt.c --- */
/* Reads the plan that was accepted earlier; none is OK. @err E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc client_plan_load(struct xf_client *c, struct xf_diag *diag);
/* Takes the key of data.align_key. @err E_NOTFOUND E_AUTH (others may read it) E_FORMAT */
XF_WARN_UNUSED enum xf_rc client_key_load(struct xf_secret *out, const char *path,
                                          struct xf_diag *diag);
/* @thread loop */
void client_adopt(struct xf_client *c, const struct xf_session_action *action);

/* --- align.c --- */
/* @thread loop */
void client_manifest(struct xf_client *c, const char *ns);
void client_manifest_pump(struct xf_client *c);
void client_directory(struct xf_client *c, const struct xf_msg_directory *part);
/* Aligns a silo just adopted with what is known already (stored, or received meanwhile). @err E_CONFLICT E_CORRUPT
   E_LIMIT E_IO */
XF_WARN_UNUSED enum xf_rc client_align_adopted(struct xf_client *c, struct xf_diag *diag);
/* Sends what waited for the data, hears what was missing. @thread loop */
void client_align_ready(struct xf_client *c);

/* --- fetch.c --- */
/* @thread loop */
void client_fetch_begin(struct xf_client *c, const struct xf_msg_task_offer *offer);
void client_fetch_write(struct xf_client *c, uint64_t offset, const uint8_t *data, size_t len);
/* Reads the fetched model into c->base and checks its digest where that can be. @thread worker @err E_CORRUPT E_IO E_NOMEM */
XF_WARN_UNUSED enum xf_rc
client_fetch_read(struct xf_client *c, const struct xf_msg_task_offer *offer, struct xf_diag *diag);

/* --- work.c --- */
/* @thread loop */
void client_run(struct xf_client *c, const struct xf_msg_task_offer *offer);
void client_cancel(struct xf_client *c);
void client_beat(struct xf_client *c);

/* --- outbox.c --- */
/* Opens the outbox and fills what the core must know. @err those of xf_outbox_open */
XF_WARN_UNUSED enum xf_rc client_outbox_open(struct xf_client *c, struct xf_session_recovery *r,
                                             struct xf_diag *diag);
/* Restores personal states into the fresh silo. @thread worker @err E_CORRUPT E_SHAPE E_IO */
XF_WARN_UNUSED enum xf_rc client_outbox_restore(struct xf_client *c, struct xf_diag *diag);
/* @thread loop */
void client_upload(struct xf_client *c, const struct xf_digest *task, uint64_t offset);
void client_upload_pump(struct xf_client *c);
void client_settle(struct xf_client *c, const struct xf_digest *task, enum xf_verdict verdict);
void client_outcome(struct xf_client *c, const struct xf_digest *task, enum xf_outcome outcome);

/* --- privacy.c --- */
/* Logs the whole statement, a line each. @thread loop */
void client_privacy_print(const struct xf_client *c);
/* Logs the short one, after a release. @thread loop */
void client_privacy_print_short(const struct xf_client *c, uint64_t round);

/* --- final.c --- */
void client_final(struct xf_client *c, const struct xf_msg_task_offer *offer); /* @thread loop */

#endif
