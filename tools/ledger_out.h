/*
 * ledger_out.h - between the verbs: a coordinator's ledger read beside or without its daemon, as the JSON that the admin
 * socket answers, so that `status`, `rounds` and `inspect` print one shape whatever they read.
 *
 * Objects carry "source": "ledger"; what only a running coordinator knows (connections, progress, waits) is left out.
 * Not for: writing to the ledger. Owner: writer and buffer are the caller's. Thread: main.
 */
#ifndef XF_TOOLS_LEDGER_OUT_H
#define XF_TOOLS_LEDGER_OUT_H

#include "store/ledger_read.h"
#include "json/jsonw.h"

/* Opens the ledger below a state directory for reading. @own caller: xf_ledger_close @err as xf_ledger_open */
XF_WARN_UNUSED enum xf_rc xf_tool_ledger_open(struct xf_ledger **out, const char *state_dir,
                                              struct xf_diag *diag);
/* Keys of the run and array "members" into the open object. @err E_NOTFOUND (no run yet) E_CORRUPT E_IO */
XF_WARN_UNUSED enum xf_rc xf_tool_put_status(struct xf_jsonw *w, struct xf_ledger *l,
                                             struct xf_diag *diag);
/* Array "rounds" with the last n into the open object. @err as xf_tool_put_status */
XF_WARN_UNUSED enum xf_rc xf_tool_put_rounds(struct xf_jsonw *w, struct xf_ledger *l, uint64_t last,
                                             bool metrics, struct xf_diag *diag);

#endif
