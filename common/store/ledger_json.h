/*
 * ledger_json.h - a round of the ledger as the JSON object that a coordinator's socket and `crossfed rounds` print.
 * Owner: the writer is the caller's. Thread: any.
 */
#ifndef XF_STORE_LEDGER_JSON_H
#define XF_STORE_LEDGER_JSON_H

#include "store/ledger_read.h"
#include "json/jsonw.h"

/* One object with every figure of the round; its metrics as they were stored, if wanted. @err sticky in w */
void xf_ledger_json_round(struct xf_jsonw *w, const struct xf_ledger_round *round, bool metrics);

#endif
