#include "http/bind.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/str.h"
#include "crypto/sha256.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128, HOST_MAX = 64 };

/* --- addresses --- */

static bool is_loopback4(const struct in_addr *a) { return ntohl(a->s_addr) >> 24 == 127; }

static bool is_loopback6(const struct in6_addr *a) {
  struct in_addr v4;
  if (!IN6_IS_ADDR_V4MAPPED(a)) return IN6_IS_ADDR_LOOPBACK(a);
  memcpy(&v4, a->s6_addr + 12, sizeof v4);
  return is_loopback4(&v4);
}

static enum xf_rc no_address(const char *text, struct xf_diag *diag) {
  return xf_diag_set(diag, XF_E_CONFIG,
                     "\"%s\" is no address; write numbers such as 127.0.0.1:8080 or [::1]:8080 "
                     "(port 0: the system chooses)",
                     text);
}

enum xf_rc xf_http_address_parse(struct xf_http_address *out, const char *text,
                                 struct xf_diag *diag) {
  char host[HOST_MAX];
  const char *colon = strrchr(text, ':');
  uint64_t port = 0;
  *out = (struct xf_http_address){.len = 0};
  if (!colon || xf_str_u64(&port, colon + 1, strlen(colon + 1)) || port > UINT16_MAX)
    return no_address(text, diag);
  const bool six = text[0] == '[';
  const size_t n = (size_t)(colon - text);
  if (n >= sizeof host || n < 3 || (six && text[n - 1] != ']')) return no_address(text, diag);
  memcpy(host, text + six, n - 2 * (size_t)six);
  host[n - 2 * (size_t)six] = '\0';
  if (six) {
    struct sockaddr_in6 *sa = (struct sockaddr_in6 *)&out->sa;
    sa->sin6_family = AF_INET6;
    sa->sin6_port = htons((uint16_t)port);
    if (inet_pton(AF_INET6, host, &sa->sin6_addr) != 1) return no_address(text, diag);
    out->len = sizeof *sa;
    out->loopback = is_loopback6(&sa->sin6_addr);
  } else {
    struct sockaddr_in *sa = (struct sockaddr_in *)&out->sa;
    sa->sin_family = AF_INET;
    sa->sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &sa->sin_addr) != 1) return no_address(text, diag);
    out->len = sizeof *sa;
    out->loopback = is_loopback4(&sa->sin_addr);
  }
  return XF_OK;
}

bool xf_http_host_is_local(const char *host) {
  char text[HOST_MAX];
  struct in_addr v4;
  struct in6_addr v6;
  if (!host) return true;
  size_t n = strlen(host);
  const char *colon = strrchr(host, ':');
  if (host[0] == '[') {
    const char *close = strchr(host, ']');
    if (!close || (close[1] && close[1] != ':')) return false;
    n = (size_t)(close - host) + 1;
  } else if (colon) n = (size_t)(colon - host);
  if (n == 0 || n >= sizeof text) return false;
  memcpy(text, host, n);
  text[n] = '\0';
  if (strcasecmp(text, "localhost") == 0) return true;
  if (text[0] != '[') return inet_pton(AF_INET, text, &v4) == 1 && is_loopback4(&v4);
  text[n - 1] = '\0';
  return inet_pton(AF_INET6, text + 1, &v6) == 1 && is_loopback6(&v6);
}

/* --- sockets --- */

static enum xf_rc failed(int fd, const char *what, const char *where, struct xf_diag *diag) {
  const int err = errno;
  enum xf_rc rc = err == EADDRINUSE ? XF_E_EXISTS : xf_rc_from_errno(err);
  if (err == EACCES || err == EPERM) rc = XF_E_AUTH;
  if (fd >= 0) (void)close(fd); /* it was never used */
  return xf_diag_set(diag, rc, "cannot %s \"%s\": %s", what, where, strerror(err));
}

enum xf_rc xf_http_listen_tcp(int *fd, uint16_t *port, const struct xf_http_address *address,
                              struct xf_diag *diag) {
  struct sockaddr_storage got;
  socklen_t len = sizeof got;
  const int one = 1;
  char where[INET6_ADDRSTRLEN + 16] = "?";
  const bool six = address->sa.ss_family == AF_INET6;
  const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->sa;
  const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->sa;
  char text[INET6_ADDRSTRLEN];
  if (inet_ntop(six ? AF_INET6 : AF_INET, six ? (const void *)&v6->sin6_addr : &v4->sin_addr, text,
                sizeof text))
    (void)snprintf(where, sizeof where, six ? "[%s]:%u" : "%s:%u", text,
                   ntohs(six ? v6->sin6_port : v4->sin_port));
  *fd = -1;
  const int s = socket(address->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s < 0) return failed(s, "make a socket for", where, diag);
  if (setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
      (six && setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one)) ||
      bind(s, (const struct sockaddr *)&address->sa, address->len) || listen(s, BACKLOG) ||
      getsockname(s, (struct sockaddr *)&got, &len))
    return failed(s, "listen on", where, diag);
  *port = ntohs(six ? ((struct sockaddr_in6 *)&got)->sin6_port
                    : ((struct sockaddr_in *)&got)->sin_port);
  *fd = s;
  return XF_OK;
}

/* A socket that nobody listens on may go; anything else may not. */
static enum xf_rc remove_stale(const struct sockaddr_un *sa, struct xf_diag *diag) {
  struct stat st;
  if (lstat(sa->sun_path, &st) != 0)
    return errno == ENOENT ? XF_OK : failed(-1, "look at", sa->sun_path, diag);
  if (!S_ISSOCK(st.st_mode))
    return xf_diag_set(diag, XF_E_EXISTS, "\"%s\" is there already and is no socket", sa->sun_path);
  const int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s < 0) return failed(s, "make a socket for", sa->sun_path, diag);
  const bool dead =
      connect(s, (const struct sockaddr *)sa, sizeof *sa) != 0 && errno == ECONNREFUSED;
  (void)close(s); /* it was only a question */
  if (!dead)
    return xf_diag_set(diag, XF_E_EXISTS, "another process listens on \"%s\"", sa->sun_path);
  return unlink(sa->sun_path) ? failed(-1, "remove", sa->sun_path, diag) : XF_OK;
}

enum xf_rc xf_http_listen_unix(int *fd, const char *path, unsigned mode, struct xf_diag *diag) {
  struct sockaddr_un sa = {.sun_family = AF_UNIX};
  *fd = -1;
  if (xf_str_copy(sa.sun_path, sizeof sa.sun_path, path))
    return xf_diag_set(diag, XF_E_LIMIT, "\"%s\" is too long for a socket, at most %zu bytes", path,
                       sizeof sa.sun_path - 1);
  enum xf_rc rc = remove_stale(&sa, diag);
  if (rc) return rc;
  const int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (s < 0) return failed(s, "make a socket for", path, diag);
  /* The mode is set before anybody can connect: there is no listen yet, and fchmod on the socket counts for its file. */
  if (fchmod(s, mode) || bind(s, (const struct sockaddr *)&sa, sizeof sa) || chmod(path, mode) ||
      listen(s, BACKLOG))
    return failed(s, "listen on", path, diag);
  *fd = s;
  return XF_OK;
}

/* --- the token --- */

static void digest(uint8_t out[XF_HTTP_TOKEN_DIGEST], const char *p, size_t n) {
  struct xf_digest d;
  xf_sha256(&d, p, n);
  memcpy(out, d.b, XF_HTTP_TOKEN_DIGEST);
  xf_secret_wipe(&d, sizeof d);
}

static enum xf_rc token_parse(struct xf_secret *out, const char *path, const char *text, size_t n,
                              struct xf_diag *diag) {
  while (n && (text[n - 1] == '\n' || text[n - 1] == '\r')) n--;
  bool visible = true;
  for (size_t i = 0; i < n; i++) visible &= text[i] > ' ' && text[i] < 0x7f;
  if (n < XF_HTTP_TOKEN_MIN || n > XF_HTTP_TOKEN_MAX || !visible)
    return xf_diag_set(diag, XF_E_FORMAT,
                       "\"%s\" must hold one line of %d to %d visible ASCII characters (openssl "
                       "rand -hex 32)",
                       path, XF_HTTP_TOKEN_MIN, XF_HTTP_TOKEN_MAX);
  const enum xf_rc rc = xf_secret_init(out, XF_HTTP_TOKEN_DIGEST);
  if (!rc) digest(out->p, text, n);
  return rc;
}

enum xf_rc xf_http_token_load(struct xf_secret *out, const char *path, struct xf_diag *diag) {
  struct xf_buf text;
  struct stat st;
  if (stat(path, &st) != 0)
    return xf_diag_set(diag, xf_rc_from_errno(errno), "cannot open \"%s\": %s", path,
                       strerror(errno));
  if (st.st_mode & S_IRWXO)
    return xf_diag_set(diag, XF_E_AUTH,
                       "the token in \"%s\" is open to every user (mode %04o); run: chmod 0600 %s",
                       path, (unsigned)(st.st_mode & 07777), path);
  xf_buf_init(&text, XF_HTTP_TOKEN_MAX + 64);
  enum xf_rc rc = XF_E_NOMEM;
  if (xf_buf_reserve(&text, XF_HTTP_TOKEN_MAX + 64)) /* it never moves, so no copy stays behind */
    rc = xf_fs_read_file(xf_fs_posix(), path, &text, diag);
  if (!rc) rc = token_parse(out, path, (const char *)text.p, text.len, diag);
  if (text.p) xf_secret_wipe(text.p, text.len);
  xf_buf_deinit(&text);
  return rc;
}

bool xf_http_token_check(const struct xf_secret *token, const char *header) {
  static const char scheme[] = "Bearer ";
  uint8_t got[XF_HTTP_TOKEN_DIGEST];
  if (!header || strncasecmp(header, scheme, sizeof scheme - 1) != 0) return false;
  const char *s = header + sizeof scheme - 1;
  while (*s == ' ') s++;
  const size_t n = strlen(s);
  if (n > XF_HTTP_TOKEN_MAX) return false;
  digest(got, s, n); /* digests compare in a time that says nothing about the token */
  return xf_secret_equal(token->p, got, sizeof got);
}
