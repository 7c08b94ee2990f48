/*
 * roundmetrics.h - one figure out of the metrics that the ledger keeps of a round:
 * {"lines": [{"scope", "arm", "split", "values": {name: [sum, count]}}]}.
 * Owner: nobody. Thread: any.
 */
#ifndef XF_STORE_ROUNDMETRICS_H
#define XF_STORE_ROUNDMETRICS_H

#include "base/diag.h"

#include <stdint.h>

/* Sum and count of `name` on the federated arm's validation part over all silos; 0 and 0 where there is none, or no
   metrics at all (""). @err E_FORMAT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_roundmetrics_valid(double *sum, uint64_t *count, const char *json,
                                                const char *name, struct xf_diag *diag);

#endif
