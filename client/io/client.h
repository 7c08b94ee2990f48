/*
 * client.h - private to client/io: the daemon's memory (its functions: parts.h).
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
#include "client/api/api.h"
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

/* Keys of one namespace: what is asked of this silo, and the directory's answer. */
struct client_space {
  char ns[64];   /* "": not used */
  bool wanted;   /* a request that came before the data were loaded, or is being sent */
  uint64_t sent; /* keys */
  struct xf_digest digest;
  uint64_t n_all, total, got; /* keys */
  uint32_t *holders;          /* [total] */
  bool complete;
};

struct client_align {
  struct client_space space[XF_SPACES_MAX]; /* in the order they were first heard of */
  bool aligned;
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
  struct xf_time patience; /* exiting: until then a job at hand is waited for */
  bool staying;            /* the core has ended with the run, HTTP answers on */
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

  struct {
    bool on; /* HTTP is configured */
    struct xf_serving_slot slot;
    struct xf_api *api;
    struct xf_http *http;
    struct xf_catalog *catalog; /* the worker's */
  } serving;

  struct {
    struct client_job *job;         /* deciding from what a task brought */
    uint32_t served;                /* stages that a decision was made with */
    struct xf_msg_task_offer offer; /* answered, its verdict is to come */
    uint32_t brought;               /* by it, to decide from; 0: nothing */
    bool adopting;                  /* the worker may be replacing the silo */
  } early;
  struct client_job *running; /* RUN or STORE_FINAL */
  atomic_ullong done, total;
  unsigned long long told;
  struct xf_time told_at, started;
};

#endif
