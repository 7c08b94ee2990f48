/*
 * ledger_rows.h - private to store: rows of the ledger as structs.
 * Not for: other modules. Owner: the caller's structs. Thread: that of the ledger.
 */
#ifndef XF_STORE_LEDGER_ROWS_H
#define XF_STORE_LEDGER_ROWS_H

#include "store/ledger_read.h"
#include "store/sql.h"

#define XF_LEDGER_CHECKPOINT_COLUMNS "round, model, parent, sha256, path, bytes, pruned_us"

/* A row of XF_LEDGER_CHECKPOINT_COLUMNS. @own out */
void xf_ledger_read_checkpoint(const struct xf_sql_rows *rows, struct xf_ledger_checkpoint *out);
/* Values of texts the schema has checked. @thread any */
enum xf_ledger_kind xf_ledger_kind_of(const char *text);
enum xf_ledger_round_state xf_ledger_round_state_of(const char *text);

#endif
