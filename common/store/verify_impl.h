/*
 * verify_impl.h - private to store: what the verifier's files share.
 * Not for: other modules. Owner: xf_store_verify. Thread: its caller's.
 */
#ifndef XF_STORE_VERIFY_IMPL_H
#define XF_STORE_VERIFY_IMPL_H

#include "store/ledger_impl.h"
#include "store/verify.h"

struct xf_verify {
  const struct xf_fs *fs;
  const char *dir;
  const struct xf_verify_opts *opts;
  struct xf_verify_result *result;
  bool running; /* a daemon holds the lock */
  struct xf_ledger *l;
};

/* One finding. @own borrows the texts */
void xf_verify_say(struct xf_verify *v, const char *invariant, enum xf_verify_level level,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Runs a query whose every row is a damage: its columns are appended to `what` as "name value", so the
   column names are the words of the report. Adds the rows to *n. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_verify_rows(struct xf_verify *v, struct xf_sql *sql,
                                         const char *invariant, const char *what, const char *query,
                                         uint64_t *n, struct xf_diag *diag);
/* The ledger's rows: I1, I2, I4, I6, I7. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_verify_ledger(struct xf_verify *v, struct xf_diag *diag);
/* The files: I3, I5, I8 and the bytes of the open round. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_verify_files(struct xf_verify *v, struct xf_diag *diag);
/* A silo's state directory. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_verify_client(struct xf_verify *v, struct xf_diag *diag);

#endif
