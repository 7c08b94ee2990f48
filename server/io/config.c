#include "server/io/config.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct xf_conf_name level_names[] = {{"debug", XF_LOG_DEBUG, false},
                                                  {"info", XF_LOG_INFO, false},
                                                  {"warn", XF_LOG_WARN, false},
                                                  {"error", XF_LOG_ERROR, false},
                                                  {NULL, 0, false}};
static const struct xf_conf_name format_names[] = {{"auto", XF_LOG_AUTO, false},
                                                   {"logfmt", XF_LOG_LOGFMT, false},
                                                   {"json", XF_LOG_JSON, false},
                                                   {NULL, 0, false}};

static const struct xf_conf_key member_keys[] = {
    {XF_CONF_AT(struct xf_coord_member, id), .type = XF_CONF_STRING, .id = true, .required = true,
     .help = "member name in its certificate"},
    {XF_CONF_AT(struct xf_coord_member, domain), .type = XF_CONF_STRING, .required = true,
     .help = "domain of its data"},
    {XF_CONF_AT(struct xf_coord_member, max_weight), .type = XF_CONF_UINT, .def = "0", .min = 0,
     .max = 536870911, .help = "largest weight it may claim; 0: no limit"},
};
static const struct xf_conf_schema member_schema = {
    member_keys, sizeof member_keys / sizeof member_keys[0], sizeof(struct xf_coord_member)};

#define AT(field) XF_CONF_AT(struct srv_config, field)
#define RESTART .reload = XF_CONF_RESTART
#define LIVE .reload = XF_CONF_LIVE
static const struct xf_conf_key keys[] = {
    {AT(federation), .type = XF_CONF_STRING, .id = true, .required = true, RESTART,
     .help = "name in every certificate"},
    {AT(plan), .type = XF_CONF_PATH, .required = true, RESTART, .help = "plan of the run"},
    {AT(state_dir), .type = XF_CONF_PATH, .required = true, RESTART,
     .help = "ledger, models, updates of one run; on a local disk"},
    {AT(listen.address), .type = XF_CONF_STRING, .def = "127.0.0.1:7443", RESTART,
     .help = "where silos connect; port 0: the system chooses"},
    {AT(listen.max_connections), .type = XF_CONF_UINT, .def = "4096", .min = 1, .max = 65536,
     RESTART, .help = "further ones are closed at once"},
    {AT(port_file), .type = XF_CONF_PATH, .def = "", RESTART,
     .help = "gets the bound port, for scripts"},
    {AT(tls.cert), .type = XF_CONF_PATH, .required = true, RESTART, .help = "own certificate, PEM"},
    {AT(tls.key), .type = XF_CONF_PATH, .required = true, RESTART,
     .help = "its key, PEM, not open to others"},
    {AT(tls.ca), .type = XF_CONF_PATH, .required = true, RESTART,
     .help = "the federation's CA, PEM"},
    {AT(tls.crl), .type = XF_CONF_PATH, .def = "", RESTART,
     .help = "revoked certificates, PEM; empty: none"},
    {XF_CONF_HEAP_AT(struct srv_config, members, n_members, 65536), .type = XF_CONF_SECTIONS,
     .sections = &member_schema, .required = true, LIVE,
     .help = "silos that may connect; max_weight changes live, the list with a restart"},
    {AT(admin_socket), .type = XF_CONF_PATH, .def = "", RESTART,
     .help = "empty: state_dir/admin.sock"},
    {AT(log.level), .type = XF_CONF_ENUM, .names = level_names, .def = "info", LIVE,
     .help = "least level written"},
    {AT(log.format), .type = XF_CONF_ENUM, .names = format_names, .def = "auto", LIVE,
     .help = "of each line; auto: logfmt on a terminal, else json"},
    {AT(limits.max_transfers), .type = XF_CONF_UINT, .def = "16", .min = 1, .max = 1024, RESTART,
     .help = "uploads at a time"},
    {AT(limits.min_rate), .type = XF_CONF_SIZE, .def = "8KiB", .min = 1, .max = 1e9,
     .unit = "bytes/s", RESTART,
     .help = "rate that keeps a late upload, or a started message, alive"},
    {AT(limits.stall_s), .type = XF_CONF_DURATION, .def = "30", .min = 0.1, .max = 3600,
     .unit = "s", RESTART, .help = "over which a started message must keep limits.min_rate"},
    {AT(limits.handshake_s), .type = XF_CONF_DURATION, .def = "10", .min = 0.1, .max = 600,
     .unit = "s", RESTART, .help = "for a TLS handshake"},
    {AT(limits.drain_timeout_s), .type = XF_CONF_DURATION, .def = "30", .min = 0, .open_min = true,
     .max = 86400, .unit = "s", RESTART, .help = "for the current round at SIGTERM"},
    {AT(limits.heartbeat_s), .type = XF_CONF_DURATION, .def = "10", .min = 0.01, .max = 3600,
     .unit = "s", RESTART, .help = "something is sent at least so often"},
    {AT(limits.dead_after_s), .type = XF_CONF_DURATION, .def = "30", .min = 0.01, .max = 86400,
     .unit = "s", RESTART, .help = "silence after which a session is closed"},
    {AT(spool.retain), .type = XF_CONF_UINT, .def = "1", .min = 0, .max = 60, LIVE,
     .help = "rounds whose updates are kept, so that `crossfed verify` can recompute the model"},
    {AT(checkpoint.keep), .type = XF_CONF_UINT, .def = "3", .min = 2, .max = 100000, LIVE,
     .help = "newest models kept"},
    {AT(checkpoint.keep_old), .type = XF_CONF_UINT, .def = "8", .min = 0, .max = 100000, LIVE,
     .help = "models kept in old/, set aside at a start because the ledger does not know them"},
    {AT(workers), .type = XF_CONF_UINT, .def = "2", .min = 1, .max = 64, RESTART,
     .help = "threads for aggregation and durable writes"},
    {AT(exit_when_done), .type = XF_CONF_BOOL, .def = "false", RESTART,
     .help = "exit once every member has stored the final model or refused it"},
};
const struct xf_conf_schema srv_config_schema = {keys, sizeof keys / sizeof keys[0],
                                                 sizeof(struct srv_config)};

static int by_id(const void *a, const void *b) {
  return strcmp(((const struct xf_coord_member *)a)->id, ((const struct xf_coord_member *)b)->id);
}

static enum xf_rc cross_check(struct srv_config *c, struct xf_diag *diag) {
  char host[SRV_HOST];
  uint16_t port = 0;
  if (!c->n_members) return xf_diag_set(diag, XF_E_CONFIG, "members: list at least one silo");
  qsort(c->members, c->n_members, sizeof *c->members, by_id);
  for (uint32_t i = 0; i < c->n_members; i++) {
    if (!c->members[i].domain[0])
      return xf_diag_set(diag, XF_E_CONFIG, "members: \"%s\" has no domain", c->members[i].id);
    if (i && strcmp(c->members[i - 1].id, c->members[i].id) == 0)
      return xf_diag_set(diag, XF_E_CONFIG, "members: \"%s\" is listed twice", c->members[i].id);
  }
  if (c->limits.dead_after_s < c->limits.heartbeat_s)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "limits.dead_after_s (%g) must not be below limits.heartbeat_s (%g)",
                       c->limits.dead_after_s, c->limits.heartbeat_s);
  if (!c->admin_socket[0]) {
    int n = snprintf(c->admin_socket, sizeof c->admin_socket, "%s/admin.sock", c->state_dir);
    if (n < 0 || (size_t)n >= sizeof c->admin_socket) c->admin_socket[0] = '\0';
  }
  size_t len = strlen(c->admin_socket);
  if (len == 0 || len >= SRV_SOCKET_PATH)
    return xf_diag_set(
        diag, XF_E_CONFIG,
        "admin_socket: \"%.120s\" has %zu bytes, a socket's path at most %d; give a shorter one",
        c->admin_socket, len, SRV_SOCKET_PATH - 1);
  return srv_config_listen(c, host, &port, diag);
}

enum xf_rc srv_config_load(struct srv_config *out, const struct srv_config_source *source,
                           struct xf_buf *errors, struct xf_conf **conf, struct xf_diag *diag) {
  struct xf_conf *c = xf_conf_new(&srv_config_schema);
  const struct xf_conf_source from = {.path = source->path,
                                      .with_dir = true,
                                      .with_env = source->env != NULL,
                                      .env = source->env,
                                      .sets = source->sets,
                                      .n_sets = source->n_sets};
  enum xf_rc rc = xf_conf_read(c, out, &from, diag);
  if (rc) {
    if (errors && xf_buf_put_str(errors, xf_conf_errors(c))) xf_buf_reset(errors);
  } else {
    rc = cross_check(out, diag);
    if (rc) {
      xf_diag_prefix(diag, rc, "%s", source->path ? source->path : "server.yaml");
      srv_config_deinit(out);
    }
  }
  if (rc == XF_OK && conf) *conf = c;
  else xf_conf_free(c);
  return rc;
}

void srv_config_deinit(struct srv_config *cfg) { xf_conf_deinit_target(&srv_config_schema, cfg); }

enum xf_rc srv_config_listen(const struct srv_config *cfg, char host[SRV_HOST], uint16_t *port,
                             struct xf_diag *diag) {
  const char *a = cfg->listen.address, *colon = strrchr(a, ':');
  uint64_t value = 0;
  size_t n = colon ? (size_t)(colon - a) : 0;
  if (!colon || xf_str_u64(&value, colon + 1, strlen(colon + 1)) || value > 65535)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "listen.address: \"%s\" is not HOST:PORT, such as 127.0.0.1:7443", a);
  if (n && a[0] == '[') {
    if (a[n - 1] != ']')
      return xf_diag_set(diag, XF_E_CONFIG, "listen.address: \"%s\" has no ] before the port", a);
    a++;
    n -= 2;
  } else if (memchr(a, ':', n)) {
    return xf_diag_set(diag, XF_E_CONFIG,
                       "listen.address: write an IPv6 address in brackets: [%.*s]:%s", (int)n, a,
                       colon + 1);
  }
  memcpy(host, a, n);
  host[n] = '\0';
  *port = (uint16_t)value;
  return XF_OK;
}

struct reload {
  struct xf_buf *changed;
  const char *restart; /* first key of that class */
  enum xf_rc rc;
};

static void on_changed(void *arg, const struct xf_conf_key *key) {
  struct reload *r = arg;
  if (key->reload == XF_CONF_RESTART && !r->restart) r->restart = key->path;
  if (!r->rc && r->changed)
    r->rc = xf_buf_printf(r->changed, "%s%s", r->changed->len ? " " : "", key->path);
}

enum xf_rc srv_config_check_reload(const struct srv_config *now, const struct srv_config *next,
                                   struct xf_buf *changed, struct xf_diag *diag) {
  struct reload r = {.changed = changed};
  enum xf_conf_reload strongest = XF_CONF_LIVE;
  if (!xf_conf_diff(&srv_config_schema, now, next, &strongest, on_changed, &r)) return XF_OK;
  if (r.restart)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "%s changed: that needs a restart; the running configuration stays",
                       r.restart);
  bool same = now->n_members == next->n_members;
  for (uint32_t i = 0; same && i < now->n_members; i++)
    same = strcmp(now->members[i].id, next->members[i].id) == 0 &&
           strcmp(now->members[i].domain, next->members[i].domain) == 0;
  if (!same)
    return xf_diag_set(
        diag, XF_E_CONFIG,
        "members: the list or a domain changed; that needs a restart (only max_weight is live)");
  return r.rc;
}

void srv_config_apply(struct srv_config *now, const struct srv_config *next) {
  for (uint32_t i = 0; i < now->n_members; i++)
    now->members[i].max_weight = next->members[i].max_weight;
  now->log = next->log;
  now->spool = next->spool;
  now->checkpoint = next->checkpoint;
}
