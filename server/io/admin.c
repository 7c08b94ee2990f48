/* The admin socket: UNIX, 0660, one JSON line in, one out. Who may open it may command the coordinator. */
#include "base/alloc.h"
#include "base/log.h"
#include "server/io/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { ADMIN_MAX = 16, LINE_MAX_LEN = 4096, REPLY_MAX = 64 << 20, BACKLOG = 8 };

struct admin {
  uv_pipe_t pipe;
  struct srv *srv;
  struct admin *next;
  struct xf_buf in;
  char read[LINE_MAX_LEN];
};

struct reply {
  uv_write_t write;
  struct xf_buf out;
};

static void on_admin_closed(uv_handle_t *handle) {
  struct admin *a = handle->data;
  xf_buf_deinit(&a->in);
  xf_free(a);
}

static void admin_close(struct admin *a) {
  if (uv_is_closing((uv_handle_t *)&a->pipe)) return;
  struct admin **at = &a->srv->admins;
  while (*at && *at != a) at = &(*at)->next;
  if (*at) *at = a->next;
  a->srv->n_admin--;
  uv_close((uv_handle_t *)&a->pipe, on_admin_closed);
}

static void on_written(uv_write_t *write, int status) {
  struct reply *r = write->data;
  (void)status; /* who has gone does not wait for an answer */
  xf_buf_deinit(&r->out);
  xf_free(r);
}

static void answer(struct admin *a, const char *line, size_t len) {
  struct reply *r = xf_calloc(1, sizeof *r);
  xf_buf_init(&r->out, REPLY_MAX);
  srv_admin_answer(a->srv, &r->out, line, len);
  r->write.data = r;
  const uv_buf_t buf = uv_buf_init((char *)r->out.p, (unsigned)r->out.len);
  if (r->out.len && uv_is_writable((uv_stream_t *)&a->pipe) &&
      uv_write(&r->write, (uv_stream_t *)&a->pipe, &buf, 1, on_written) == 0)
    return;
  xf_buf_deinit(&r->out);
  xf_free(r);
  admin_close(a);
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
  struct admin *a = handle->data;
  (void)hint;
  *buf = uv_buf_init(a->read, sizeof a->read);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  struct admin *a = stream->data;
  if (n < 0 || xf_buf_put(&a->in, buf->base, (size_t)n)) {
    admin_close(a); /* the end, or a line longer than any command */
    return;
  }
  for (const uint8_t *end; a->in.len && (end = memchr(a->in.p, '\n', a->in.len));) {
    const size_t len = (size_t)(end - a->in.p);
    answer(a, (const char *)a->in.p, len);
    if (uv_is_closing((uv_handle_t *)&a->pipe)) return;
    xf_buf_consume(&a->in, len + 1);
  }
}

static void on_connection(uv_stream_t *server, int status) {
  struct srv *srv = server->data;
  if (status) {
    xf_log(XF_LOG_WARN, "admin_accept_failed", XF_S("reason", uv_strerror(status)));
    return;
  }
  struct admin *a = xf_calloc(1, sizeof *a);
  a->srv = srv;
  xf_buf_init(&a->in, LINE_MAX_LEN);
  if (uv_pipe_init(&srv->loop, &a->pipe, 0)) {
    xf_buf_deinit(&a->in);
    xf_free(a);
    return;
  }
  a->pipe.data = a;
  a->next = srv->admins;
  srv->admins = a;
  srv->n_admin++;
  if (uv_accept(server, (uv_stream_t *)&a->pipe) || srv->n_admin > ADMIN_MAX ||
      uv_read_start((uv_stream_t *)&a->pipe, on_alloc, on_read))
    admin_close(a);
}

/* A socket that nobody listens on any more is left by a process that was killed. */
static enum xf_rc remove_stale(const char *path, struct xf_diag *diag) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  struct stat st;
  if (lstat(path, &st) != 0) return XF_OK;
  if (!S_ISSOCK(st.st_mode))
    return xf_diag_set(diag, XF_E_EXISTS,
                       "admin_socket: \"%s\" is a file; remove it or choose another path", path);
  memcpy(at.sun_path, path, strnlen(path, sizeof at.sun_path - 1)); /* the config was checked */
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return xf_diag_set(diag, XF_E_IO, "admin_socket: %s", strerror(errno));
  const bool alive = connect(fd, (const struct sockaddr *)&at, sizeof at) == 0 || errno == EAGAIN;
  (void)close(fd); /* only asked whether somebody listens */
  if (alive)
    return xf_diag_set(diag, XF_E_EXISTS,
                       "admin_socket: another process listens on \"%s\"; choose another path",
                       path);
  if (unlink(path) != 0)
    return xf_diag_set(diag, xf_rc_from_errno(errno), "admin_socket: cannot remove \"%s\"", path);
  return XF_OK;
}

enum xf_rc srv_admin_open(struct srv *srv, struct xf_diag *diag) {
  const char *path = srv->cfg.admin_socket;
  enum xf_rc rc = remove_stale(path, diag);
  if (rc) return rc;
  int error = uv_pipe_init(&srv->loop, &srv->admin, 0);
  if (error) return xf_diag_set(diag, XF_E_IO, "admin_socket: %s", uv_strerror(error));
  srv->admin.data = srv;
  srv->admin_open = true;
  const mode_t mask = umask(0117); /* no other thread makes files yet */
  error = uv_pipe_bind(&srv->admin, path);
  (void)umask(mask);
  if (!error) error = uv_listen((uv_stream_t *)&srv->admin, BACKLOG, on_connection);
  return error ? xf_diag_set(diag, XF_E_IO, "admin_socket: cannot listen on \"%s\": %s", path,
                             uv_strerror(error))
               : XF_OK;
}

void srv_admin_close(struct srv *srv) {
  while (srv->admins) admin_close(srv->admins);
  if (!srv->admin_open) return;
  srv->admin_open = false;
  uv_close((uv_handle_t *)&srv->admin, NULL); /* libuv removes the socket it bound */
}
