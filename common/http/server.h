/*
 * server.h - a small HTTP/1.1 server on libmicrohttpd: a loopback address, a UNIX socket, or both; GET and HEAD; JSON errors.
 *
 * Threads of its own accept, read and answer; the caller's loop never waits for a client. A route's function runs on one of
 * them and fills a reply; everything around it is done here:
 *   404 unknown path, 405 with Allow, 400 bad target or a body, 414 target too long
 *   401 without the token, where one is set; routes that are `open` need none
 *   421 a Host that is not this machine, on a TCP port without a token (a page elsewhere cannot reach it by a name of its own)
 * What libmicrohttpd finds wrong before there is a target (headers too large, bad syntax) it answers itself, without JSON.
 * Bounds: connections in all and from one address, 32 KiB of headers, `timeout_s` from one answer to the next whole request.
 * An address that is not loopback is refused without a token. There is no TLS: a token in the clear belongs behind a proxy.
 * Not for: what is answered. Owner: caller. Thread: start and stop from one thread.
 */
#ifndef XF_HTTP_SERVER_H
#define XF_HTTP_SERVER_H

#include "base/buf.h"
#include "http/query.h"

enum { XF_HTTP_REPLY_MAX = 4 * 1024 * 1024 };

struct xf_http_request {
  const char *path;
  const struct xf_http_query *query;
};

/* Filled by a route; starts as 200 application/json with an empty body of at most XF_HTTP_REPLY_MAX bytes. */
struct xf_http_reply {
  unsigned status;
  const char *type; /* static */
  struct xf_buf body;
};

/* @thread a server's */
typedef void (*xf_http_answer)(void *arg, const struct xf_http_request *request,
                               struct xf_http_reply *reply);

struct xf_http_route {
  const char *path;
  xf_http_answer answer;
  bool open; /* without the token */
};

struct xf_http_options {
  const char *listen;                /* ADDRESS:PORT; NULL or "": none */
  const char *socket;                /* path of a UNIX socket; NULL or "": none */
  unsigned socket_mode;              /* 0: 0600 */
  const char *token_file;            /* NULL or "": none */
  const struct xf_http_route *route; /* [n_route], borrowed */
  size_t n_route;
  void *arg;                /* of the routes */
  unsigned threads;         /* of each listening socket; 0: 1 */
  unsigned max_connections; /* of each listening socket; 0: 256 */
  unsigned per_address;     /* connections from one IP address; 0: 64 */
  double timeout_s;         /* 0: 30 */
  bool log;                 /* a line for each answer: route, status, duration; never parameters */
};

struct xf_http;

/* Opens, listens, answers. @own out: xf_http_stop; borrows route, arg @err E_CONFIG (address, nothing to listen on) E_AUTH
   (not loopback and no token; token file open to others; port or path not allowed) E_EXISTS (in use) E_FORMAT (token)
   E_LIMIT (more connections than open files) E_UNSUPPORTED (libmicrohttpd is missing) E_NOTFOUND E_IO */
XF_WARN_UNUSED enum xf_rc xf_http_start(struct xf_http **out, const struct xf_http_options *options,
                                        struct xf_diag *diag);
/* What start would refuse, without opening anything. @err as xf_http_start but those of the sockets */
XF_WARN_UNUSED enum xf_rc xf_http_check(const struct xf_http_options *options,
                                        struct xf_diag *diag);
/* Reads the token's file again, if there is one; after an error the token before stays. @err those of the token in
   xf_http_start @thread any */
XF_WARN_UNUSED enum xf_rc xf_http_reload(struct xf_http *http, struct xf_diag *diag);
/* The TCP port, 0 without one. @unit host byte order */
uint16_t xf_http_port(const struct xf_http *http);
/* Accepts no more, lets what is being answered end (at most drain_s), closes everything. NULL is legal. @own takes http
   @unit s */
void xf_http_stop(struct xf_http *http, double drain_s);

/* Makes a reply an error: {"error":{"code","message","fix"}}; fix may be NULL. @own reply */
void xf_http_fail(struct xf_http_reply *reply, unsigned status, const char *code,
                  const char *message, const char *fix);

#endif
