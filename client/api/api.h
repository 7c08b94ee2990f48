/*
 * api.h - what a silo answers over HTTP, as routes of http/server.h: recommend, similar, health, and their description.
 *
 *   GET /v1/recommend   GET /v1/similar   GET /v1/health   GET /healthz (no token)   GET /openapi.yaml
 *
 * docs/openapi.yaml is the description; the very file is built in and served. Each answer comes from one snapshot
 * (rec/serving.h), so a swap is never seen half.
 * Not for: making snapshots (client/io), listening (http). Owner: caller; the server must have stopped before it is freed.
 * Thread: routes on any, at the same time; set functions any.
 */
#ifndef XF_CLIENT_API_API_H
#define XF_CLIENT_API_API_H

#include "http/server.h"
#include "rec/serving.h"

/* X(NAME, text, why nothing is answered) */
#define XF_API_STATE_LIST(X)                                                                    \
  X(STARTING, "starting",                                                                       \
    "the silo has no data loaded yet: it waits for the coordinator's plan, or is reading them") \
  X(SERVING, "serving", "")                                                                     \
  X(TABLE, "table", "this silo's data are a table: there are no items to recommend")            \
  X(STOPPING, "stopping", "")
enum xf_api_state {
#define XF_API_STATE_ENUM(n, t, w) XF_API_##n,
  XF_API_STATE_LIST(XF_API_STATE_ENUM)
#undef XF_API_STATE_ENUM
};

struct xf_api;

/* Over a slot and the silo's name; both must outlive it. @own out: xf_api_free @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_api_new(struct xf_api **out, struct xf_serving_slot *slot,
                                     const char *member);
/* Releases; NULL is legal. @own takes api @thread alone */
void xf_api_free(struct xf_api *api);
/* What health says, and other answers where there is no snapshot. STARTING and SERVING follow from the slot. @thread any */
void xf_api_set_state(struct xf_api *api, enum xf_api_state state);
/* The routes; their arg is the api. @own static */
const struct xf_http_route *xf_api_routes(size_t *n);
/* docs/openapi.yaml, without NUL. @own static */
const char *xf_api_description(size_t *len);

#endif
