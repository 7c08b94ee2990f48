/*
 * outbox_impl.h - private to store: what the outbox's files share.
 * Not for: other modules. Owner: xf_outbox_open's caller. Thread: one at a time.
 */
#ifndef XF_STORE_OUTBOX_IMPL_H
#define XF_STORE_OUTBOX_IMPL_H

#include "base/buf.h"
#include "store/outbox.h"
#include "store/sql.h"

struct xf_outbox {
  const struct xf_fs *fs;
  struct xf_sql sql;
  char dir[XF_PATH_MAX];
  struct xf_file reading; /* the blob that is being sent */
  bool is_reading;
  struct xf_digest reading_task;
  uint64_t reading_len;
  struct xf_buf text; /* meta of the last xf_outbox_get */
};

#define XF_OUTBOX_COLUMNS                                                              \
  "run, task_id, round, kind, dtype, base, layout, payload_digest, update_digest,"     \
  " weight, n_samples, bytes, o.meta, personal, state='settled', verdict, created_us," \
  " c.clipped, c.noised, c.clip, c.noise_multiplier, c.sensitivity, c.epsilon,"        \
  " c.epsilon_zero_out FROM outbox o JOIN odometer c USING(run, task_id, round)"

/* A row of XF_OUTBOX_COLUMNS; item->meta is borrowed from the row. @own item */
void xf_outbox_read_item(const struct xf_sql_rows *rows, struct xf_outbox_item *item);
/* "<dir>/outbox/<task id hex>.upd". @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_outbox_blob_path(const struct xf_outbox *ob, char out[XF_PATH_MAX],
                                              const struct xf_digest *task_id);
/* Deletes every blob and personal file whose row says that it is done with; `starting`: also those without a
   row, which a crash has left. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_outbox_sweep(struct xf_outbox *ob, bool starting,
                                          struct xf_outbox_recovery *found, struct xf_diag *diag);
/* Closes the blob that is being read, if any. @own ob */
void xf_outbox_stop_reading(struct xf_outbox *ob);
/* BEGIN IMMEDIATE; and COMMIT, or ROLLBACK when rc. @err of SQLite */
XF_WARN_UNUSED enum xf_rc xf_outbox_begin(struct xf_outbox *ob, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_outbox_end(struct xf_outbox *ob, enum xf_rc rc, struct xf_diag *diag);
/* Tables. @own static */
const struct xf_sql_kind *xf_outbox_schema(void);

#endif
