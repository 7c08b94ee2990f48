/* HTTP as client.yaml wants it: the api's routes on a server of their own threads. */
#include "client/io/parts.h"

#include <errno.h>
#include <unistd.h>

static const double drain_s = 10;

bool client_http_wanted(const struct xf_client_config *config) {
  return config->serve.http.listen[0] || config->serve.http.socket[0];
}

static struct xf_http_options options(const struct xf_client_config *config) {
  struct xf_http_options o = {.listen = config->serve.http.listen,
                              .socket = config->serve.http.socket,
                              .socket_mode = config->serve.http.socket_group ? 0660 : 0600,
                              .token_file = config->serve.http.token_file,
                              .threads = config->serve.http.threads,
                              .max_connections = config->serve.http.max_connections,
                              .per_address = config->serve.http.per_address,
                              .timeout_s = config->serve.http.timeout_s,
                              .log = config->serve.http.log};
  o.route = xf_api_routes(&o.n_route);
  return o;
}

enum xf_rc client_http_check(const struct xf_client_config *config, struct xf_diag *diag) {
  const char *categories = config->serve.categories;
  if (!client_http_wanted(config)) return XF_OK;
  const struct xf_http_options o = options(config);
  const enum xf_rc rc = xf_http_check(&o, diag);
  if (rc) return xf_diag_prefix(diag, rc, "serve.http");
  if (categories[0] && access(categories, R_OK) != 0)
    return xf_diag_set(diag, XF_E_CONFIG, "serve.categories: cannot read \"%s\": %s", categories,
                       xf_rc_text(xf_rc_from_errno(errno)));
  return XF_OK;
}

enum xf_rc client_http_start(struct xf_client *c, struct xf_diag *diag) {
  if (!client_http_wanted(&c->cfg)) return XF_OK;
  struct xf_http_options o = options(&c->cfg);
  enum xf_rc rc = xf_serving_slot_init(&c->serving.slot);
  if (rc) return rc;
  c->serving.on = true;
  rc = xf_api_new(&c->serving.api, &c->serving.slot, c->cfg.member);
  o.arg = c->serving.api;
  if (!rc) rc = xf_http_start(&c->serving.http, &o, diag);
  if (rc) return xf_diag_prefix(diag, rc, "serve.http");
  xf_log(XF_LOG_INFO, "http_listening", XF_S("address", c->cfg.serve.http.listen),
         XF_U("port", xf_http_port(c->serving.http)), XF_S("socket", c->cfg.serve.http.socket),
         XF_B("token", c->cfg.serve.http.token_file[0]));
  return XF_OK;
}

void client_http_reload(struct xf_client *c) {
  struct xf_diag diag;
  if (!c->serving.on || !c->cfg.serve.http.token_file[0]) return;
  xf_diag_init(&diag);
  const enum xf_rc rc = xf_http_reload(c->serving.http, &diag);
  xf_log(rc ? XF_LOG_ERROR : XF_LOG_INFO, rc ? "http_token_not_reloaded" : "http_token_reloaded",
         XF_S("reason", rc ? xf_diag_text(&diag, rc) : ""));
}

void client_http_stop(struct xf_client *c) {
  if (!c->serving.on) return;
  xf_http_stop(c->serving.http, drain_s);
  xf_api_free(c->serving.api);
  xf_serving_slot_deinit(&c->serving.slot);
  xf_catalog_unref(c->serving.catalog);
  c->serving.on = false;
}
