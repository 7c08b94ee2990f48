#include "http/server.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "http/bind.h"
#include "http/conns.h"
#include "http/mhd.h"
#include "json/jsonw.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { DEFAULT_CONNECTIONS = 256, DEFAULT_PER_ADDRESS = 64, DEFAULT_TIMEOUT_S = 30, BUSY_S = 60 };
enum { HEADERS_MAX = 32 * 1024, SOCKET_MODE = 0600, PATH_LEN = 108, DESCRIPTORS_LEFT = 128 };
static const double quiet_s = 0.05;

struct listener {
  struct xf_http *http;
  struct MHD_Daemon *daemon;
  int quiesced;    /* its socket, ours to close once the daemon's thread is gone */
  bool local_only; /* judge the Host header */
};

struct xf_http {
  const struct xf_mhd *mhd;
  struct xf_http_options opt;
  pthread_mutex_t mutex; /* of the token's bytes */
  struct xf_secret token;
  bool has_token;
  struct listener tcp, local;
  uint16_t port;
  char token_file[XF_PATH_MAX];
  char socket[PATH_LEN]; /* removed at the end; "" without one */
  struct xf_http_conns conns;
  atomic_bool stopping;
};

/* One request, from its first line to the end of its answer. */
struct request {
  struct xf_time start;
  size_t len;
  bool seen;
  unsigned status;
  size_t bytes;
  const char *route;                   /* static; "" for none */
  char target[XF_HTTP_TARGET_MAX + 1]; /* one more than is read: too long shows */
};

/* --- replies --- */

void xf_http_fail(struct xf_http_reply *reply, unsigned status, const char *code,
                  const char *message, const char *fix) {
  struct xf_jsonw w;
  reply->status = status;
  reply->type = "application/json";
  xf_buf_reset(&reply->body);
  xf_jsonw_init(&w, &reply->body);
  xf_jsonw_object(&w);
  xf_jsonw_key(&w, "error");
  xf_jsonw_object(&w);
  xf_jsonw_kstr(&w, "code", code);
  xf_jsonw_kstr(&w, "message", message);
  if (fix) xf_jsonw_kstr(&w, "fix", fix);
  xf_jsonw_object_end(&w);
  xf_jsonw_object_end(&w);
  if (xf_jsonw_finish(&w)) xf_buf_reset(&reply->body); /* the status alone must do */
}

static void free_body(void *p) { xf_free(p); }

static bool send_reply(const struct listener *l, struct MHD_Connection *connection,
                       struct request *r, struct xf_http_reply *reply) {
  const struct xf_mhd *m = l->http->mhd;
  r->status = reply->status;
  r->bytes = reply->body.len;
  /* the body's memory is the response's from here on, also of one that could not be made */
  void *const body = reply->body.p ? reply->body.p : xf_alloc(1);
  struct MHD_Response *response =
      m->create_response_from_buffer_with_free_callback(reply->body.len, body, free_body);
  if (!response) {
    xf_free(body);
    return false;
  }
  bool ok = m->add_response_header(response, "Content-Type", reply->type) == MHD_YES &&
            m->add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
            m->add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES;
  if (ok && reply->status == 405)
    ok = m->add_response_header(response, "Allow", "GET, HEAD") == MHD_YES;
  if (ok && reply->status == 401)
    ok = m->add_response_header(response, "WWW-Authenticate", "Bearer") == MHD_YES;
  if (ok && atomic_load(&l->http->stopping))
    ok = m->add_response_header(response, "Connection", "close") == MHD_YES;
  ok = ok && m->queue_response(connection, reply->status, response) == MHD_YES;
  m->destroy_response(response);
  return ok;
}

/* --- judging a request --- */

static const char *header(const struct listener *l, struct MHD_Connection *connection,
                          const char *name) {
  return l->http->mhd->lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* A mutex of the default kind, held for a comparison: locking cannot fail. */
static bool may_ask(struct xf_http *http, const char *authorization) {
  int failed = pthread_mutex_lock(&http->mutex);
  const bool good = xf_http_token_check(&http->token, authorization);
  failed |= pthread_mutex_unlock(&http->mutex);
  XF_ASSERT(!failed);
  return good;
}

static bool has_body(const struct listener *l, struct MHD_Connection *connection) {
  const char *length = header(l, connection, "Content-Length");
  return header(l, connection, "Transfer-Encoding") || (length && strcmp(length, "0") != 0);
}

static const struct xf_http_route *find_route(const struct xf_http *http, const char *path) {
  for (size_t i = 0; i < http->opt.n_route; i++)
    if (strcmp(http->opt.route[i].path, path) == 0) return &http->opt.route[i];
  return NULL;
}

/* The reply of everything but a route's own work. Returns the route that may answer, or NULL: the reply is made. */
static const struct xf_http_route *judge(const struct listener *l,
                                         struct MHD_Connection *connection, struct request *r,
                                         const char *method, struct xf_http_query *query,
                                         struct xf_http_reply *reply) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  struct xf_http *http = l->http;
  if (l->local_only && !xf_http_host_is_local(header(l, connection, "Host"))) {
    xf_http_fail(reply, 421, "wrong_host", "the Host header does not name this machine",
                 "use 127.0.0.1, [::1] or localhost, or set a token_file");
    return NULL;
  }
  const enum xf_rc rc = xf_http_query_parse(query, r->target, r->len, &diag);
  const struct xf_http_route *route = rc ? NULL : find_route(http, query->path);
  if (route) r->route = route->path;
  if (http->has_token && !(route && route->open) &&
      !may_ask(http, header(l, connection, "Authorization"))) {
    xf_http_fail(reply, 401, "unauthorized", "the bearer token is missing or wrong",
                 "send the header Authorization: Bearer TOKEN, the line in the token_file");
    return NULL;
  }
  if (rc) {
    const bool too_long = rc == XF_E_LIMIT && r->len > XF_HTTP_TARGET_MAX;
    xf_http_fail(reply, too_long ? 414 : 400, too_long ? "address_too_long" : "bad_address",
                 xf_diag_text(&diag, rc), NULL);
    return NULL;
  }
  if (!route) {
    xf_http_fail(reply, 404, "no_such_path", "there is nothing at this path",
                 "GET /openapi.yaml describes what there is");
    return NULL;
  }
  if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
    xf_http_fail(reply, 405, "method_not_allowed", "this path answers GET and HEAD only", NULL);
    return NULL;
  }
  if (has_body(l, connection)) {
    xf_http_fail(reply, 400, "body_not_allowed", "a request with a body cannot be answered here",
                 "give everything as parameters of the address");
    return NULL;
  }
  return route;
}

static bool answer(const struct listener *l, struct MHD_Connection *connection, struct request *r,
                   const char *method) {
  struct xf_http_query *query = xf_alloc(sizeof *query);
  struct xf_http_reply reply = {.status = 200, .type = "application/json"};
  xf_buf_init(&reply.body, XF_HTTP_REPLY_MAX);
  const struct xf_http_route *route = judge(l, connection, r, method, query, &reply);
  if (route) {
    const struct xf_http_request request = {query->path, query};
    route->answer(l->http->opt.arg, &request, &reply);
  }
  const bool ok = send_reply(l, connection, r, &reply);
  xf_free(query);
  return ok;
}

/* --- libmicrohttpd's callbacks --- */

static struct xf_http_conn *conn_of(const struct xf_mhd *m, struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info =
      m->get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

static void *on_target(void *cls, const char *target, struct MHD_Connection *connection) {
  struct request *r = xf_alloc(sizeof *r);
  (void)cls;
  (void)connection;
  r->start = xf_time_now(); /* not the whole struct: its target is 8 KiB */
  r->seen = false;
  r->status = 0;
  r->bytes = 0;
  r->route = "";
  r->len = strnlen(target, sizeof r->target);
  memcpy(r->target, target, r->len);
  return r;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **context) {
  const struct listener *l = cls;
  struct request *r = *context;
  (void)url;
  (void)version;
  (void)data;
  if (!r->seen) { /* headers are whole; a body would follow */
    r->seen = true;
    struct xf_http_conn *conn = conn_of(l->http->mhd, connection);
    if (conn) xf_http_conns_mark(&l->http->conns, conn, true);
    if (!has_body(l, connection))
      return MHD_YES; /* the second call answers, which keeps the connection */
    return answer(l, connection, r, method) ? MHD_YES : MHD_NO;
  }
  if (r->status) { /* answered already: what still comes of a body is dropped */
    *data_len = 0;
    return MHD_YES;
  }
  return answer(l, connection, r, method) ? MHD_YES : MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code) {
  const struct listener *l = cls;
  struct request *r = *context;
  struct xf_http_conn *conn = conn_of(l->http->mhd, connection);
  if (!r) return;
  if (conn) xf_http_conns_mark(&l->http->conns, conn, false);
  if (l->http->opt.log && r->status)
    xf_log(XF_LOG_INFO, "http_request", XF_S("route", r->route), XF_U("status", r->status),
           XF_U("bytes", r->bytes), XF_F("dur_s", xf_time_diff_s(xf_time_now(), r->start)),
           XF_B("whole", code == MHD_REQUEST_TERMINATED_COMPLETED_OK));
  xf_free(r);
  *context = NULL;
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code) {
  const struct listener *l = cls;
  struct xf_http *http = l->http;
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    xf_http_conns_remove(&http->conns, *socket_context);
    *socket_context = NULL;
    return;
  }
  const union MHD_ConnectionInfo *info =
      http->mhd->get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  *socket_context = info ? xf_http_conns_add(&http->conns, info->connect_fd) : NULL;
}

/* --- start and end --- */

/* Clients must not use up the descriptors that the rest of the process needs. */
static enum xf_rc check_limits(const struct xf_http_options *o, unsigned n_sockets,
                               struct xf_diag *diag) {
  struct rlimit have;
  const uint64_t want =
      (uint64_t)n_sockets * (o->max_connections ? o->max_connections : DEFAULT_CONNECTIONS);
  if (getrlimit(RLIMIT_NOFILE, &have)) return xf_rc_from_errno(errno);
  if (have.rlim_cur == RLIM_INFINITY || want + DESCRIPTORS_LEFT <= have.rlim_cur) return XF_OK;
  return xf_diag_set(diag, XF_E_LIMIT,
                     "%llu connections and %d files of the process's own need more open files than "
                     "the %llu allowed (ulimit -n); lower max_connections or raise the limit",
                     (unsigned long long)want, DESCRIPTORS_LEFT, (unsigned long long)have.rlim_cur);
}

static enum xf_rc check_options(const struct xf_http_options *o, struct xf_http_address *address,
                                struct xf_diag *diag) {
  const bool tcp = o->listen && o->listen[0], local = o->socket && o->socket[0];
  enum xf_rc rc = check_limits(o, (unsigned)tcp + local, diag);
  if (rc) return rc;
  if (!tcp && !local)
    return xf_diag_set(diag, XF_E_CONFIG, "neither an address nor a socket to listen on is given");
  if (!tcp) return XF_OK;
  rc = xf_http_address_parse(address, o->listen, diag);
  if (!rc && !address->loopback && !(o->token_file && o->token_file[0]))
    rc = xf_diag_set(diag, XF_E_AUTH,
                     "\"%s\" can be reached from other machines: set token_file, or listen on "
                     "127.0.0.1 or a socket",
                     o->listen);
  return rc;
}

enum xf_rc xf_http_check(const struct xf_http_options *options, struct xf_diag *diag) {
  struct xf_http_address address;
  struct xf_secret token = {0};
  const struct xf_mhd *mhd = NULL;
  enum xf_rc rc = check_options(options, &address, diag);
  if (!rc && options->token_file && options->token_file[0])
    rc = xf_http_token_load(&token, options->token_file, diag);
  if (!rc) rc = xf_mhd_get(&mhd, diag);
  xf_secret_deinit(&token);
  return rc;
}

/* Takes fd. */
static enum xf_rc start_daemon(struct listener *l, int fd, bool tcp, struct xf_diag *diag) {
  const struct xf_http_options *o = &l->http->opt;
  struct MHD_OptionItem item[8];
  size_t n = 0;
  item[n++] = (struct MHD_OptionItem){MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL};
  item[n++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, fd, NULL};
  item[n++] =
      (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, (intptr_t)o->max_connections, NULL};
  item[n++] =
      (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)(o->timeout_s + 1), NULL};
  item[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEADERS_MAX, NULL};
  if (tcp)
    item[n++] =
        (struct MHD_OptionItem){MHD_OPTION_PER_IP_CONNECTION_LIMIT, (intptr_t)o->per_address, NULL};
  if (o->threads > 1)
    item[n++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)o->threads, NULL};
  item[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
  l->daemon = l->http->mhd->start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_request, l, MHD_OPTION_ARRAY,
      item, MHD_OPTION_URI_LOG_CALLBACK, on_target, l, MHD_OPTION_NOTIFY_COMPLETED, on_completed, l,
      MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_END);
  if (l->daemon) return XF_OK;
  (void)close(fd); /* a daemon that did not start left it open */
  return xf_diag_set(diag, XF_E_IO,
                     "libmicrohttpd does not start: descriptors or memory are short");
}

static enum xf_rc open_all(struct xf_http *http, const struct xf_http_address *address,
                           struct xf_diag *diag) {
  const struct xf_http_options *o = &http->opt;
  int fd = -1;
  enum xf_rc rc = XF_OK;
  if (o->listen && o->listen[0]) {
    http->tcp.local_only = address->loopback && !http->has_token;
    rc = xf_http_listen_tcp(&fd, &http->port, address, diag);
    if (!rc) rc = start_daemon(&http->tcp, fd, true, diag);
  }
  if (!rc && o->socket && o->socket[0]) {
    rc = xf_http_listen_unix(&fd, o->socket, o->socket_mode, diag);
    if (!rc) memcpy(http->socket, o->socket, strlen(o->socket) + 1); /* it fitted sun_path */
    if (!rc) rc = start_daemon(&http->local, fd, false, diag);
  }
  return rc;
}

enum xf_rc xf_http_start(struct xf_http **out, const struct xf_http_options *options,
                         struct xf_diag *diag) {
  struct xf_http_address address = {.loopback = false};
  *out = NULL;
  enum xf_rc rc = check_options(options, &address, diag);
  if (rc) return rc;
  struct xf_http *http = xf_calloc(1, sizeof *http);
  if (pthread_mutex_init(&http->mutex, NULL)) {
    xf_free(http);
    return XF_E_NOMEM;
  }
  http->opt = *options;
  http->tcp.http = http->local.http = http;
  if (!http->opt.socket_mode) http->opt.socket_mode = SOCKET_MODE;
  if (!http->opt.max_connections) http->opt.max_connections = DEFAULT_CONNECTIONS;
  if (!http->opt.per_address) http->opt.per_address = DEFAULT_PER_ADDRESS;
  if (!(http->opt.timeout_s > 0)) http->opt.timeout_s = DEFAULT_TIMEOUT_S;
  if (options->token_file && options->token_file[0]) {
    rc = xf_str_copy(http->token_file, sizeof http->token_file, options->token_file);
    if (!rc) rc = xf_http_token_load(&http->token, http->token_file, diag);
    http->has_token = rc == XF_OK;
  }
  if (!rc) rc = xf_mhd_get(&http->mhd, diag);
  if (!rc) rc = xf_http_conns_start(&http->conns, http->opt.timeout_s, BUSY_S);
  if (!rc) rc = open_all(http, &address, diag);
  if (rc) {
    xf_http_stop(http, 0);
    return rc;
  }
  *out = http;
  return XF_OK;
}

enum xf_rc xf_http_reload(struct xf_http *http, struct xf_diag *diag) {
  struct xf_secret token = {0};
  if (!http->has_token) return XF_OK;
  const enum xf_rc rc = xf_http_token_load(&token, http->token_file, diag);
  if (!rc) {
    int failed = pthread_mutex_lock(&http->mutex);
    const struct xf_secret before = http->token;
    http->token = token;
    token = before;
    failed |= pthread_mutex_unlock(&http->mutex);
    XF_ASSERT(!failed);
  }
  xf_secret_deinit(&token);
  return rc;
}

uint16_t xf_http_port(const struct xf_http *http) { return http->port; }

/* Refuses what comes from now on. The daemon's thread may still be at work on the socket, and another
 * file could get its number: it is shut down here and closed in end(). */
static void quiesce(struct listener *l) {
  if (!l->daemon) return;
  l->quiesced = l->http->mhd->quiesce_daemon(l->daemon);
  if (l->quiesced >= 0) (void)shutdown(l->quiesced, SHUT_RDWR); /* at worst it is refused later */
}

static void end(struct listener *l) {
  if (!l->daemon) return;
  l->http->mhd->stop_daemon(l->daemon);
  if (l->quiesced >= 0) (void)close(l->quiesced); /* it only listened */
}

void xf_http_stop(struct xf_http *http, double drain_s) {
  if (!http) return;
  atomic_store(&http->stopping, true);
  quiesce(&http->tcp);
  quiesce(&http->local);
  if (http->socket[0]) (void)unlink(http->socket); /* a next start would replace it */
  if (http->conns.running && drain_s > 0) xf_http_conns_drain(&http->conns, drain_s, quiet_s);
  end(&http->tcp);
  end(&http->local);
  xf_http_conns_stop(&http->conns);
  xf_secret_deinit(&http->token);
  (void)pthread_mutex_destroy(&http->mutex); /* fails only for a mutex in use */
  xf_free(http);
}
