/*
 * spool.h - the coordinator's individual updates on disk: a 4 KiB header and the payload, verbatim.
 *
 * An update arrives into "<task id>.tmp"; finish checks length and SHA-256, writes the header, fsyncs,
 * renames to "r<round>-<task id>.upd" and fsyncs the directory. Only then may it enter the ledger, and only
 * after that be acknowledged. The header says enough to adopt a file that has no ledger row after a crash.
 * Not for: what a payload means; the spool never parses it. Directory mode 0700; never in bug reports.
 * Owner: the caller embeds the structs. Thread: each struct one at a time (worker threads may differ);
 * different updates may be written in parallel on the POSIX fs.
 */
#ifndef XF_STORE_SPOOL_H
#define XF_STORE_SPOOL_H

#include "base/digest.h"
#include "base/fs.h"
#include "store/charge.h"

#include <stddef.h>
#include <stdint.h>

enum {
  XF_SPOOL_HEADER = 4096,
  XF_SPOOL_VERSION = 1,
  XF_SPOOL_MEMBER_MAX = 64, /* with NUL */
  XF_SPOOL_META_MAX = 2048, /* with NUL */
  XF_SPOOL_NAME_MAX = 112   /* file name, with NUL */
};
#define XF_SPOOL_PAYLOAD_MAX ((uint64_t)1 << 34) /* bytes */

struct xf_spool_head {
  struct xf_digest task_id;
  char member[XF_SPOOL_MEMBER_MAX];
  uint64_t round;
  uint64_t weight;
  uint64_t n_samples;
  uint32_t dtype; /* the wire's number, opaque here */
  uint64_t payload_len;
  struct xf_digest payload_digest; /* SHA-256 of the payload */
  struct xf_digest update_digest;
  struct xf_charge charge;
  char meta[XF_SPOOL_META_MAX]; /* JSON text for the ledger row, opaque here; "": none */
};

struct xf_spool {
  const struct xf_fs *fs;
  char dir[XF_PATH_MAX];
};

/* Makes the directory (0700) when absent. @own spool needs no release @err E_LIMIT E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_init(struct xf_spool *spool, const struct xf_fs *fs,
                                        const char *dir, struct xf_diag *diag);
/* "r<round, 10 digits>-<task id hex>.upd". @own caller's buffer */
void xf_spool_name(char out[XF_SPOOL_NAME_MAX], const struct xf_spool_head *head);

/* --- arriving ----------------------------------------------------------------------------------- */

struct xf_spool_in {
  const struct xf_spool *spool;
  struct xf_file file;
  struct xf_spool_head head;
  uint64_t got; /* payload bytes written: the offset to go on from */
  bool open;
};

/* Creates the temporary file (replacing one of the same task) and reserves its space.
   @own in: finish or abort @err E_INVAL E_LIMIT E_NOSPACE E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_begin(struct xf_spool_in *in, const struct xf_spool *spool,
                                         const struct xf_spool_head *head, struct xf_diag *diag);
/* Payload bytes at offset `at`, which must be in->got. @unit bytes
   @err E_RANGE (another offset, or beyond payload_len) E_NOSPACE E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_write(struct xf_spool_in *in, const void *p, size_t len,
                                         uint64_t at, struct xf_diag *diag);
/* SHA-256 of what has been written so far, read back from the file: slow work for a worker, so that the
   thread that receives only writes. @err E_STATE E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_digest(struct xf_spool_in *in, struct xf_digest *out,
                                          struct xf_diag *diag);
/* Durable under its final name, which goes to `name`. On error the temporary file is gone, except that
   E_IO of a sync is fatal to the process (restart and recover). Failpoint K5 (durable, no ledger row).
   @own closes in @err E_SHAPE (bytes missing) E_CORRUPT (payload_digest differs) E_NOSPACE E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_finish(struct xf_spool_in *in, char name[XF_SPOOL_NAME_MAX],
                                          struct xf_diag *diag);
/* Closes and removes the temporary file; idempotent, legal after finish and on a zeroed struct. @own in */
void xf_spool_abort(struct xf_spool_in *in);

/* --- reading ------------------------------------------------------------------------------------ */

struct xf_spool_entry {
  struct xf_file file;
  struct xf_spool_head head;
  bool open;
};

/* Opens by file name and checks header and length, not the payload. @own e: xf_spool_close
   @err E_NOTFOUND E_CORRUPT E_VERSION E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_open(struct xf_spool_entry *e, const struct xf_spool *spool,
                                        const char *name, struct xf_diag *diag);
/* Releases; idempotent, legal on a zeroed struct. @own e */
void xf_spool_close(struct xf_spool_entry *e);
/* Payload bytes [at, at+len). @unit bytes @err E_RANGE E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_read(struct xf_spool_entry *e, void *out, size_t len,
                                        uint64_t at, struct xf_diag *diag);
/* Floats [at, at+n) of a float32 payload. @shape out[n] @err E_RANGE E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_read_floats(struct xf_spool_entry *e, float *out, size_t n,
                                               uint64_t at, struct xf_diag *diag);
/* Recomputes the payload's SHA-256. @err E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_verify(struct xf_spool_entry *e, struct xf_diag *diag);

/* --- recovery and collection -------------------------------------------------------------------- */

enum xf_spool_fate { XF_SPOOL_KEEP, XF_SPOOL_DELETE };
/* One finished file: `head` is NULL when damaged, then diag has the sentence. `name` is the file's.
   The callee decides what becomes of it (and may open it to verify the payload). */
typedef enum xf_spool_fate (*xf_spool_visit)(void *arg, const char *name,
                                             const struct xf_spool_head *head,
                                             const struct xf_diag *diag);
struct xf_spool_scan {
  uint64_t temps;   /* temporary files deleted */
  uint64_t kept;    /* finished files kept */
  uint64_t deleted; /* finished files deleted on request */
  uint64_t strange; /* files that are not the spool's; left alone */
};

/* Walks the directory in name order (so by round): deletes temporary files, shows finished ones.
   Call before any begin. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_scan(const struct xf_spool *spool, xf_spool_visit visit,
                                        void *arg, struct xf_spool_scan *out, struct xf_diag *diag);
/* Deletes the finished files of all rounds but keep[n_keep] (the open round and those retained,
   xf_ledger_retained); idempotent. Failpoint K14 (before the first deletion). @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_collect(const struct xf_spool *spool, const uint64_t *keep,
                                           size_t n_keep, uint64_t *n_deleted,
                                           struct xf_diag *diag);
/* Removes one finished file; an absent one is OK. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_spool_remove(const struct xf_spool *spool, const char *name,
                                          struct xf_diag *diag);

#endif
