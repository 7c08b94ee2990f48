/*
 * daemon.h - private to server/io: the running coordinator - loop, core, sessions, workers - around a srv_state.
 *
 * A callback does three things: translate to an event, feed the core, perform its actions. daemon.c owns the loop and
 * the feeding, perform.c the actions, sessions.c connections, serve.c what is streamed to them, upload.c the spool,
 * signals.c signals and reloads, admin.c the admin socket, status.c what it answers. Owner: main. Thread: the loop's;
 * a job's `run` on a worker.
 */
#ifndef XF_SERVER_IO_DAEMON_H
#define XF_SERVER_IO_DAEMON_H

#include "net/conn.h"
#include "net/listener.h"
#include "net/mailbox.h"
#include "net/timer.h"
#include "server/io/state.h"

struct srv;
struct admin;

/* Work for the pool; the first member of whatever carries it. */
struct srv_job {
  struct xf_job job;
  void (*done)(struct srv *srv, struct srv_job *job); /* on the loop; frees it */
};

enum { SRV_RANGES = 8, SRV_SIGNALS = 4 };

struct srv_range { /* model bytes asked for */
  struct xf_digest task_id, base;
  struct xf_global_view view;
  uint64_t at, end;
};

struct srv_session {
  struct srv *srv;
  struct xf_conn *conn;
  uint64_t id;
  char peer[XF_MEMBER_NAME];
  uint32_t member; /* UINT32_MAX: not listed */
  bool open;       /* the core knows it */
  bool welcomed;
  bool closing; /* nothing is sent any more */
  bool stuck;   /* the queue is full: on_drain goes on */
  uint32_t chunk_max;
  struct xf_buf
      pending;    /* frames to send after what streams now; a frame of type 0: the directory */
  bool directory; /* is streaming */
  uint32_t directory_space; /* which */
  uint64_t directory_at;
  struct srv_range range[SRV_RANGES];
  size_t n_range;
};

struct srv_event { /* waits until the core has been emptied */
  struct xf_coord_event e;
  char *text;
};

struct srv_upload {
  struct srv_job job;
  struct srv *srv;
  uint32_t member;
  enum xf_task_kind kind;
  struct xf_spool_in in;
  struct xf_buf report; /* of an evaluation: its bytes */
  uint8_t carry[4];     /* of a float cut by a chunk's end */
  uint32_t n_carry;
  bool bad_float;
  uint64_t bad_at;
  struct xf_codec codec; /* of an encoded update, which a worker reads */
  uint64_t n_coded;      /* its floats; 0: they travel as they are */
  bool finishing, dropped;
  char name[XF_SPOOL_NAME_MAX];
  enum xf_rc rc;
  struct xf_diag diag;
  struct srv_upload *next; /* finishing ones of all members */
};

struct srv {
  struct srv_config cfg;
  struct srv_config_source source;
  struct srv_state st;
  struct xf_coord *coord;
  uv_loop_t loop;
  struct xf_net net;
  struct xf_tls_ctx *tls;
  struct xf_listener *listener;
  struct xf_timer timer;
  struct xf_mailbox mailbox;
  struct xf_worker *pool;
  uv_signal_t signal[SRV_SIGNALS];
  int n_signal;
  uv_check_t check; /* end of a turn: records become durable */
  uv_idle_t idle;   /* keeps the loop turning while something waits for its turn */
  uv_timer_t watch; /* CRL and certificates */
  uv_pipe_t admin;
  bool admin_open;
  struct admin *admins; /* connected */
  uint32_t n_admin;
  int log_fd;

  struct srv_session **session;
  size_t n_session;
  uint64_t last_conn;
  struct srv_upload **upload; /* [n members]: arriving */
  struct srv_upload *finishing;

  bool feeding;
  struct srv_event *queue;
  size_t n_queue, cap_queue;
  struct srv_record *record;
  size_t n_record, cap_record;

  atomic_bool cancel; /* long work ends early */
  bool draining, stopping, watch_failed;
  int status; /* of the process */
  uint64_t bytes_down;
  uint64_t round_opened_us, round_bytes_up, round_bytes_down;
  uint8_t chunk[XF_CHUNK_MAX];
};

/* --- daemon.c --- */
/* Opens everything and runs until the core or a signal ends it; the exit status. */
int srv_run(struct srv *srv, bool new_run);
/* --check-config: everything that can be opened without touching a running daemon. */
XF_WARN_UNUSED enum xf_rc srv_check(struct srv *srv, struct xf_diag *diag);
/* Gives the core an event, performs what it wants, and what follows from that; from inside an action: after it. */
void srv_feed(struct srv *srv, const struct xf_coord_event *event);
/* Submits work; with no pool thread left over it waits its turn. */
void srv_submit(struct srv *srv, struct srv_job *job, void (*run)(struct xf_job *job),
                void (*done)(struct srv *srv, struct srv_job *job));
/* Lets the loop turn once more without waiting. */
void srv_turn(struct srv *srv);
/* Ends the process with a status: goodbye to the silos, work is finished or cancelled, handles are closed. */
void srv_stop(struct srv *srv, int status, const char *text);
/* An error of the disk or the ledger: the run goes on after a restart, from what is durable. */
void srv_fail(struct srv *srv, enum xf_rc rc, const char *what, const struct xf_diag *diag);

/* --- perform.c --- */
void srv_perform(struct srv *srv, const struct xf_coord_action *a);
/* Stores what waits and tells the core. */
void srv_flush(struct srv *srv);

/* --- sessions.c --- */
extern const struct xf_conn_handler srv_conn_handler;
void *srv_session_accept(void *arg, struct xf_conn *conn);
struct srv_session *srv_session_find(struct srv *srv, uint64_t id);
/* Sends now or, behind what is waiting, later; never loses or reorders a message of a session that lives. */
void srv_session_send(struct srv_session *s, const struct xf_msg *msg);
/* Closes after what was sent; the core hears of it at once. */
void srv_session_close(struct srv_session *s, bool flush);
/* Closes the sessions whose certificate is revoked now. */
void srv_session_revoked(struct srv *srv);
/* Ends the sessions whose certificate has expired. @unit s since 1970 */
void srv_session_expired(struct srv *srv, int64_t now_s);

/* --- serve.c --- */
void srv_serve_range(struct srv_session *s, const struct xf_coord_action *a);
void srv_serve_directory(struct srv_session *s);
/* Tells the core what an aligned member's tasks move, and who only reads. */
void srv_set_lens(struct srv *srv, uint32_t member);
void srv_serve_queue(struct srv_session *s, const struct xf_msg *msg);
/* Sends what the connection takes: directory, waiting messages, a few chunks. */
void srv_serve_pump(struct srv_session *s);
/* No more model bytes: of everybody's tasks (the model changes), or of one session. */
void srv_serve_drop(struct srv *srv, struct srv_session *s);
/* Whether a session has something to send and a connection that takes it. */
bool srv_serve_ready(const struct srv_session *s);

/* --- upload.c --- */
void srv_upload_begin(struct srv *srv, const struct xf_coord_action *a);
void srv_upload_write(struct srv *srv, uint32_t member, uint64_t at, const uint8_t *p, size_t len);
void srv_upload_finish(struct srv *srv, uint32_t member, uint64_t round);
void srv_upload_abort(struct srv *srv, uint32_t member);
void srv_upload_free_all(struct srv *srv);

/* --- signals.c --- */
XF_WARN_UNUSED enum xf_rc srv_signals_start(struct srv *srv, struct xf_diag *diag);
void srv_signals_stop(struct srv *srv);
/* Reads the configuration, certificates, CRL and log file again; after an error everything stays as it was. */
XF_WARN_UNUSED enum xf_rc srv_reload(struct srv *srv, struct xf_buf *changed, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc srv_log_open(struct srv *srv, struct xf_diag *diag);

/* --- admin.c --- */
XF_WARN_UNUSED enum xf_rc srv_admin_open(struct srv *srv, struct xf_diag *diag);
void srv_admin_close(struct srv *srv);

/* --- status.c --- */
/* One request line to one reply line (with its newline). */
void srv_admin_answer(struct srv *srv, struct xf_buf *out, const char *line, size_t len);
/* One log line with the whole state. */
void srv_status_log(struct srv *srv);

#endif
