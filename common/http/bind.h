/*
 * bind.h - where a server listens, and the token it wants: addresses, UNIX sockets, the token's file.
 *
 * Addresses are numbers ("127.0.0.1:8080", "[::1]:0"), never names: what is opened must be readable in the configuration.
 * Not for: serving (server.h). Owner: the caller's descriptors and structs. Thread: any.
 */
#ifndef XF_HTTP_BIND_H
#define XF_HTTP_BIND_H

#include "base/diag.h"
#include "crypto/secret.h"

#include <sys/socket.h>

enum { XF_HTTP_TOKEN_MIN = 32, XF_HTTP_TOKEN_MAX = 512, XF_HTTP_TOKEN_DIGEST = 32 };

struct xf_http_address {
  struct sockaddr_storage sa;
  socklen_t len;
  bool loopback;
};

/* Reads ADDRESS:PORT or [ADDRESS]:PORT. @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_http_address_parse(struct xf_http_address *out, const char *text,
                                                struct xf_diag *diag);
/* A listening TCP socket; *port is the one the system gave. @own *fd caller @err E_EXISTS (in use) E_AUTH (port not
   allowed) E_IO */
XF_WARN_UNUSED enum xf_rc xf_http_listen_tcp(int *fd, uint16_t *port,
                                             const struct xf_http_address *address,
                                             struct xf_diag *diag);
/* A listening UNIX socket of that mode; a socket that a dead process left is replaced. @own *fd caller @err E_EXISTS (another
   process listens, or a file is there) E_LIMIT (path too long) E_NOTFOUND E_AUTH E_IO */
XF_WARN_UNUSED enum xf_rc xf_http_listen_unix(int *fd, const char *path, unsigned mode,
                                              struct xf_diag *diag);
/* Keeps the SHA-256 of the token in the file: XF_HTTP_TOKEN_MIN to MAX visible ASCII characters on one line. @own out: xf_secret_deinit
   @err E_NOTFOUND E_AUTH (others may read it) E_FORMAT */
XF_WARN_UNUSED enum xf_rc xf_http_token_load(struct xf_secret *out, const char *path,
                                             struct xf_diag *diag);
/* Whether an Authorization header carries the token; constant in what is compared. `header` may be NULL. @thread any */
bool xf_http_token_check(const struct xf_secret *token, const char *header);
/* Whether a Host header names this machine: localhost, 127.0.0.0/8 or ::1, with any port. `host` may be NULL (HTTP/1.0).
   A name that a stranger's page made point here does not. @thread any */
bool xf_http_host_is_local(const char *host);

#endif
