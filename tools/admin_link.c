/* The client's end of the admin socket. */
#include "tools/admin_link.h"

#include "base/time.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct link {
  int fd;
  const char *path;
  struct xf_time end;
  struct xf_diag *diag;
};

static enum xf_rc late(const struct link *k, const char *what) {
  return xf_diag_set(k->diag, XF_E_TIMEOUT,
                     "the coordinator at \"%s\" does not %s in time; --timeout gives it longer",
                     k->path, what);
}

static enum xf_rc failed(const struct link *k, int error) {
  if (error == EPIPE || error == ECONNRESET)
    return xf_diag_set(k->diag, XF_E_EOF, "the coordinator at \"%s\" closed the connection",
                       k->path);
  return xf_diag_set(k->diag, XF_E_IO, "\"%s\": %s", k->path, strerror(error));
}

/* Waits for the socket, or with `events` 0 only a moment. */
static enum xf_rc wait_for(const struct link *k, short events, const char *what) {
  enum { MOMENT_MS = 20 };
  struct pollfd p = {.fd = events ? k->fd : -1, .events = events};
  const int64_t left = xf_time_diff_ms(k->end, xf_time_now());
  if (left <= 0) return late(k, what);
  const int ms = events ? (int)(left < 60000 ? left : 60000) : MOMENT_MS;
  return poll(&p, 1, ms) < 0 && errno != EINTR ? failed(k, errno) : XF_OK;
}

static enum xf_rc reach(struct link *k) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  const size_t len = strlen(k->path);
  if (len >= sizeof at.sun_path)
    return xf_diag_set(
        k->diag, XF_E_LIMIT,
        "\"%s\" is longer than the %zu bytes of a socket's name; go there and give a "
        "relative path",
        k->path, sizeof at.sun_path - 1);
  memcpy(at.sun_path, k->path, len);
  k->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (k->fd < 0) return failed(k, errno);
  while (connect(k->fd, (const struct sockaddr *)&at, sizeof at) != 0) {
    const int error = errno;
    if (error == EAGAIN || error == EINTR) { /* its queue is full */
      enum xf_rc rc = wait_for(k, 0, "take the connection");
      if (rc) return rc;
      continue;
    }
    if (error == EACCES || error == EPERM)
      return xf_diag_set(k->diag, XF_E_AUTH,
                         "\"%s\" may only be opened by the coordinator's user and group", k->path);
    if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR)
      return xf_diag_set(k->diag, XF_E_UNREACHABLE, "no coordinator listens on \"%s\"", k->path);
    return failed(k, error);
  }
  return XF_OK;
}

static enum xf_rc ask(const struct link *k, const char *p, size_t len) {
  while (len) {
    const ssize_t n = send(k->fd, p, len, MSG_NOSIGNAL);
    if (n > 0) {
      p += n;
      len -= (size_t)n;
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return failed(k, errno);
    enum xf_rc rc = wait_for(k, POLLOUT, "read the command");
    if (rc) return rc;
  }
  return XF_OK;
}

static enum xf_rc listen_to(const struct link *k, struct xf_buf *reply) {
  char chunk[16384];
  for (;;) {
    const ssize_t n = recv(k->fd, chunk, sizeof chunk, 0);
    if (n == 0)
      return xf_diag_set(k->diag, XF_E_EOF, "the coordinator at \"%s\" closed without an answer",
                         k->path);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) return failed(k, errno);
      enum xf_rc rc = wait_for(k, POLLIN, "answer");
      if (rc) return rc;
      continue;
    }
    const char *end = memchr(chunk, '\n', (size_t)n);
    enum xf_rc rc = xf_buf_put(reply, chunk, end ? (size_t)(end - chunk) : (size_t)n);
    if (rc) return xf_diag_set(k->diag, rc, "the answer is longer than %zu bytes", reply->max);
    if (end) return XF_OK;
  }
}

enum xf_rc xf_admin_link(const char *path, const char *request, double timeout_s,
                         struct xf_buf *reply, struct xf_diag *diag) {
  struct link k = {
      .fd = -1, .path = path, .end = xf_time_add_s(xf_time_now(), timeout_s), .diag = diag};
  enum xf_rc rc = reach(&k);
  if (!rc) rc = ask(&k, request, strlen(request));
  if (!rc) rc = listen_to(&k, reply);
  if (k.fd >= 0) (void)close(k.fd); /* everything has been read */
  return rc;
}
