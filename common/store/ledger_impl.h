/*
 * ledger_impl.h - private to store: what the ledger's files share.
 * Not for: other modules. Owner: xf_ledger_open's caller. Thread: one at a time.
 */
#ifndef XF_STORE_LEDGER_IMPL_H
#define XF_STORE_LEDGER_IMPL_H

#include "base/buf.h"
#include "store/ledger.h"
#include "store/sql.h"
#include "json/jsonw.h"

struct xf_ledger {
  struct xf_sql sql;
  enum xf_ledger_mode mode;
  bool in_txn;
  bool broken; /* a transaction was lost: nothing more until rollback */
  int64_t now_us;
  bool has_run;
  char run[XF_LEDGER_ID_MAX]; /* the current one; loaded by xf_ledger_need_run */
  enum xf_ledger_run_state run_state;
  int64_t run_seq;
  bool chain_known;
  uint64_t chain_seq; /* of the last event; 0: none */
  struct xf_digest chain_hash;
  struct xf_buf body; /* of the event being made */
  struct xf_jsonw w;  /* into body */
};

/* Schema and migrations. @own static */
const struct xf_sql_kind *xf_ledger_schema(void);

/* Loads the current run. @err E_NOTFOUND (none yet) E_IO */
XF_WARN_UNUSED enum xf_rc xf_ledger_need_run(struct xf_ledger *l, struct xf_diag *diag);
/* The frame of every writing function: `enter` needs a transaction and (need_run) a run, and sets a
   savepoint; `leave` releases it, or undoes everything since when rc. @err E_STATE E_NOTFOUND E_IO */
XF_WARN_UNUSED enum xf_rc xf_ledger_enter(struct xf_ledger *l, bool need_run, struct xf_diag *diag);
XF_WARN_UNUSED enum xf_rc xf_ledger_leave(struct xf_ledger *l, enum xf_rc rc, struct xf_diag *diag);

/* The body of the next event is written into l->w, key by key; event_add reports what did not fit. @own l */
void xf_ledger_body_start(struct xf_ledger *l);
void xf_ledger_body_digest(struct xf_ledger *l, const char *key, const struct xf_digest *value);
/* Appends the event with the body made so far. Round 0 and member "": none. @err E_LIMIT E_IO */
XF_WARN_UNUSED enum xf_rc xf_ledger_event_add(struct xf_ledger *l, const char *kind, uint64_t round,
                                              const char *member, struct xf_diag *diag);
/* Hash of an event. @source docs/FORMATS.md "event chain" */
void xf_ledger_event_hash(struct xf_digest *out, const struct xf_digest *prev, uint64_t seq,
                          int64_t at_us, const char *run, uint64_t round, const char *member,
                          const char *kind, const char *body);
/* Numbers that must fit SQLite's signed 64 bits. @err E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_ledger_fits(uint64_t v, const char *what, struct xf_diag *diag);

#endif
