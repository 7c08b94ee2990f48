/*
 * outbox.h - the silo's side of exactly-once: finished updates that wait for an answer, and the odometer of
 * what was released (client.db, SQLite, WAL, synchronous=FULL; blobs are files).
 *
 * put: blob file written, fsynced, renamed, directory fsynced; then one transaction records digest, privacy
 * charge and the name of the personal state. From then on exactly these bytes are sent, for ever; noise is
 * never drawn again. A file without a row is deleted unsent at the next open. The charge is recorded
 * whatever the coordinator answers, and never removed.
 * Personal state (decision 9): the task reads the promoted one and its result is promoted or discarded
 * when the coordinator says whether the update was committed. Files are the caller's (below personal/).
 * Not for: what the payload means; accounting of epsilon (priv).
 * Owner: caller of open. Thread: one at a time. Directory (0700): client.db, outbox/, personal/.
 */
#ifndef XF_STORE_OUTBOX_H
#define XF_STORE_OUTBOX_H

#include "base/digest.h"
#include "base/fs.h"
#include "store/charge.h"

#include <stddef.h>
#include <stdint.h>

struct xf_outbox;

enum { XF_OUTBOX_SCHEMA = 1, XF_OUTBOX_TEXT_MAX = 128, XF_OUTBOX_META_MAX = 4096 };

struct xf_outbox_item {
  char run[64];
  struct xf_digest task_id;
  uint64_t round;
  uint32_t kind;            /* the wire's task kind, opaque here */
  uint32_t dtype;           /* the wire's number, opaque here */
  struct xf_digest base;    /* model digest the task was based on */
  struct xf_digest layout;  /* layout digest */
  struct xf_digest payload; /* SHA-256 of the payload; put computes it */
  struct xf_digest update;  /* update_digest */
  uint64_t weight;
  uint64_t n_samples;
  uint64_t bytes; /* payload length; put sets it */
  struct xf_charge charge;
  const char *meta; /* JSON text to send along (loss sums, ...), opaque; NULL: none */
  char personal[XF_OUTBOX_TEXT_MAX]; /* file below personal/, "" : none */
  bool settled;
  char verdict[XF_OUTBOX_TEXT_MAX]; /* of a settled one */
  int64_t created_us;
};

/* The names under a client's state directory. @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_outbox_personal_path(const struct xf_outbox *ob, char out[XF_PATH_MAX],
                                                  const char *personal);
/* "personal.<task id hex>". @own caller's buffer */
void xf_outbox_personal_name(char out[XF_OUTBOX_TEXT_MAX], const struct xf_digest *task_id);

struct xf_outbox_recovery {
  uint64_t pending;    /* updates to send again */
  uint64_t unsent;     /* blob files without a row, deleted */
  uint64_t temps;      /* temporary files deleted */
  uint64_t personal;   /* personal files nobody refers to, deleted */
  uint64_t left_blobs; /* blobs of settled updates, deleted */
};

/* Opens or creates, migrates, checks integrity, and recovers: every pending blob must be there and match its
   digest. `vfs`: see ledger.h. @own caller: xf_outbox_close
   @err E_CORRUPT E_VERSION (the program exits with XF_EXIT_STATE) E_LOCKED E_NOSPACE E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_open(struct xf_outbox **out, const struct xf_fs *fs,
                                         const char *dir, const char *vfs,
                                         struct xf_outbox_recovery *found, struct xf_diag *diag);
/* Opens for reading beside a running client; recovers nothing. @own caller @err as xf_outbox_open */
XF_WARN_UNUSED enum xf_rc xf_outbox_open_read(struct xf_outbox **out, const struct xf_fs *fs,
                                              const char *dir, const char *vfs,
                                              struct xf_diag *diag);
/* NULL is legal. @own takes ob */
void xf_outbox_close(struct xf_outbox *ob);

/* Charge before release. Failpoints: "C4_blob" (file durable, no row), "C4" (row durable, nothing sent).
   item->payload and item->bytes are set here. @err E_EXISTS (the task is there: send that one)
   E_INVAL E_NOSPACE (nothing charged) E_IO (fatal) */
XF_WARN_UNUSED enum xf_rc xf_outbox_put(struct xf_outbox *ob, struct xf_outbox_item *item,
                                        const void *payload, size_t len, int64_t now_us,
                                        struct xf_diag *diag);
/* The item of a task; `item->meta` is valid until the next call. @err E_NOTFOUND */
XF_WARN_UNUSED enum xf_rc xf_outbox_get(struct xf_outbox *ob, const struct xf_digest *task_id,
                                        struct xf_outbox_item *item, struct xf_diag *diag);
/* Payload bytes [at, at+len) of a pending item. @unit bytes @err E_NOTFOUND E_RANGE E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_read(struct xf_outbox *ob, const struct xf_digest *task_id,
                                         void *out, size_t len, uint64_t at, struct xf_diag *diag);
/* The coordinator answered (any answer but CORRUPT): the row stays, the blob goes. `accepted`: it holds the
   update (ACCEPTED, DUPLICATE_OK); otherwise it never will, and the personal state is discarded too. Again:
   OK, the first answer stands. Failpoint "C6" (before). @err E_NOTFOUND E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_settle(struct xf_outbox *ob, const struct xf_digest *task_id,
                                           const char *verdict, bool accepted, int64_t now_us,
                                           struct xf_diag *diag);

typedef enum xf_rc (*xf_outbox_on_item)(void *arg, const struct xf_outbox_item *item);
/* Pending items, oldest first. The callback must not call the outbox. @err the callback's, E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_pending(struct xf_outbox *ob, xf_outbox_on_item fn, void *arg,
                                            struct xf_diag *diag);
/* All items ever, oldest first. @err the callback's, E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_items(struct xf_outbox *ob, xf_outbox_on_item fn, void *arg,
                                          struct xf_diag *diag);

/* The fate of a task's update: promotes its personal state or discards it. A promotion also discards what
   older tasks left undecided. Unknown tasks and repetitions are OK. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_outcome(struct xf_outbox *ob, const struct xf_digest *task_id,
                                            bool committed, int64_t now_us, struct xf_diag *diag);
/* File name of the promoted personal state below personal/; "" : none yet. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_personal(struct xf_outbox *ob, char out[XF_OUTBOX_TEXT_MAX],
                                             struct xf_diag *diag);
/* The coordinator's run: another than before settles what is pending as "run-replaced" and forgets the
   promoted personal state; the odometer stays. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_run(struct xf_outbox *ob, const char *run, int64_t now_us,
                                        struct xf_diag *diag);
/* Small facts: federation, run, final model file... @err E_NOTFOUND E_LIMIT E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_meta_set(struct xf_outbox *ob, const char *key,
                                             const char *value, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_outbox_meta_get(struct xf_outbox *ob, const char *key, char *out,
                                             size_t cap, struct xf_diag *diag);

/* --- odometer ----------------------------------------------------------------------------------- */

struct xf_outbox_charge {
  uint64_t seq; /* from 1 */
  char run[64];
  struct xf_digest task_id;
  uint64_t round;
  struct xf_charge charge;
  int64_t at_us;
};
typedef enum xf_rc (*xf_outbox_on_charge)(void *arg, const struct xf_outbox_charge *charge);
/* Every charge ever, in order, over all runs. @err the callback's, E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_charges(struct xf_outbox *ob, xf_outbox_on_charge fn, void *arg,
                                            struct xf_diag *diag);
/* How many releases were charged, and how many of them with noise. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_charged(struct xf_outbox *ob, uint64_t *n, uint64_t *noised,
                                            struct xf_diag *diag);

#endif
