/*
 * parts.h - private to client/io: the functions its files share, file by file (the memory: client.h).
 * Owner: struct xf_client owns what they make. Thread: the loop's, unless said otherwise.
 */
#ifndef XF_CLIENT_IO_PARTS_H
#define XF_CLIENT_IO_PARTS_H

#include "client/io/client.h"
#include "resolve/dataset.h"

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
/* Says that the coordinator's certificate was revoked and ends the connection; there is one. @thread loop */
void client_revoked(struct xf_client *c);
/* Hangs up when the coordinator's certificate has expired. @unit s since 1970 */
void client_expired(struct xf_client *c, int64_t now_s);
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
/* Where the private data are and what their columns mean. @own borrows c's config */
struct xf_source client_source(const struct xf_client *c);
/* The knowledge graph that data.kg names, for a recommender's plan; *out NULL: none. @own *out: xf_kg_side_unref */
enum xf_rc client_kg(struct xf_kg_side **out, const struct xf_client *c, const struct xf_plan *plan,
                     const struct xf_names *items, struct xf_diag *diag);
/* @thread loop */
void client_adopt(struct xf_client *c, const struct xf_session_action *action);

/* --- align.c --- */
/* @thread loop */
void client_manifest(struct xf_client *c, const char *ns);
void client_manifest_pump(struct xf_client *c);
void client_directory(struct xf_client *c, const struct xf_msg_directory *part);
/* The directory's answer for each key of a namespace of the plan; the silo is aligned. @own client */
const uint32_t *client_holders(const struct xf_client *c, uint32_t space);
/* Aligns a silo just adopted with what is known already (stored, or received meanwhile). @err E_CONFLICT E_CORRUPT
   E_LIMIT E_IO */
XF_WARN_UNUSED enum xf_rc client_align_adopted(struct xf_client *c, struct xf_diag *diag);
/* Sends what waited for the data, hears what was missing. @thread loop */
void client_align_ready(struct xf_client *c);

/* --- fetch.c --- */
/* @thread loop */
void client_fetch_begin(struct xf_client *c, const struct xf_msg_task_offer *offer, uint64_t keep);
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
/* @thread loop */
void client_final(struct xf_client *c, const struct xf_msg_task_offer *offer);

/* --- http.c --- */
/* Whether client.yaml wants HTTP. @thread any */
bool client_http_wanted(const struct xf_client_config *config);
/* What would keep HTTP from starting. @err of xf_http_check, E_CONFIG (categories) */
XF_WARN_UNUSED enum xf_rc client_http_check(const struct xf_client_config *config,
                                            struct xf_diag *diag);
/* Listens, if wanted. @own c, until client_http_stop @err of xf_http_start */
XF_WARN_UNUSED enum xf_rc client_http_start(struct xf_client *c, struct xf_diag *diag);
/* Reads the token again. @thread loop */
void client_http_reload(struct xf_client *c);
/* Lets answers out and closes; legal without a start. @thread main, after the worker */
void client_http_stop(struct xf_client *c);

/* --- early.c --- */
/* After a task's work: what it brought of other silos is served once its answer is settled, where it was not yet. @thread loop */
void client_early(struct xf_client *c, const struct xf_msg_task_offer *offer);
void client_early_settled(struct xf_client *c);
/* Work comes, or the end: a decision under way is given up. @thread loop */
void client_early_yield(struct xf_client *c);

/* --- serving.c --- */
/* What was served before this start, from the files of the state directory. @thread loop */
void client_serving_restore(struct xf_client *c);
/* These make a new snapshot and put it in the slot; without HTTP they do nothing. A snapshot that cannot be made is logged and
   the one before stays: the federation goes on. @thread worker */
void client_serving_adopted(struct xf_client *c, const char *run);
void client_serving_decided(struct xf_client *c, uint64_t committed); /* of a recommender */
void client_serving_committed(struct xf_client *c, const struct xf_digest *task);
/* params of each arm, NULL where it has none. @shape params[XF_SILO_N_ARM][layout.n] @thread worker */
void client_serving_final(struct xf_client *c, enum xf_silo_arm arm, float *const *params,
                          uint64_t committed);

#endif
