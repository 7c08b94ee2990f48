/* Files and processes of a benchmark's federation. */
#include "tools/bench/lab.h"

#include "base/buf.h"
#include "base/str.h"
#include "pki/ca.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONFIG_MAX = 1 << 20, START_LIMIT_S = 30, STEP_MS = 5 };

void lab_member(char out[16], unsigned i) { snprintf(out, 16, "m%04u", i); }

static enum xf_rc issue(const struct lab *lab, enum xf_pki_role role, const char *member) {
  char ca[XF_PATH_MAX + 8], cert[XF_PATH_MAX + 32], key[XF_PATH_MAX + 32];
  const struct xf_leaf_options options = {.days = 2};
  struct xf_pki_issued issued;
  snprintf(ca, sizeof ca, "%s/ca", lab->dir);
  snprintf(cert, sizeof cert, "%s/%s.pem", lab->dir, member);
  snprintf(key, sizeof key, "%s/%s.key", lab->dir, member);
  return xf_pki_issue(&issued, ca, role, member, cert, key, &options, lab->b->diag);
}

static enum xf_rc put(const struct lab *lab, const char *name, struct xf_buf *text) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_fs_join(path, lab->dir, name);
  if (!rc) rc = xf_fs_replace(xf_fs_posix(), path, text->p, text->len, lab->b->diag);
  xf_buf_reset(text);
  return rc;
}

static enum xf_rc put_configs(const struct lab *lab, const struct lab_options *o) {
  struct xf_buf t;
  const char *d = lab->dir;
  xf_buf_init(&t, CONFIG_MAX);
  enum xf_rc rc = xf_buf_printf(
      &t,
      "name: bench\ndata: {kind: table, split: {kind: random}}\n"
      "model: {kind: mlp, loss: bce, n_in: %u, n_out: 1, hidden: [%u]}\n"
      "stages:\n  - kind: train\n"
      "    fed: {algorithm: fedavg, rounds: 1000000, cohort: 1.0, quorum: 1.0, deadline_s: 3600}\n"
      "    local: {steps: 1, batch: 1, optimizer: {kind: sgd, lr: 0.1}}\n"
      "eval: {every: 0}\n",
      o->width - 1, o->width);
  if (!rc) rc = put(lab, "plan.yaml", &t);
  if (!rc)
    rc = xf_buf_printf(
        &t,
        "federation: bench\nplan: \"%s/plan.yaml\"\nstate_dir: \"%s/state\"\n"
        "listen: {address: \"127.0.0.1:0\"}\nport_file: \"%s/port\"\n"
        "tls: {cert: \"%s/coordinator.pem\", key: \"%s/coordinator.key\", ca: \"%s/ca/ca.pem\"}\n"
        "admin_socket: \"%s/admin.sock\"\nlog: {format: logfmt}\nmembers:\n",
        d, d, d, d, d, d, d);
  char member[16];
  for (unsigned i = 0; i < o->n_client && !rc; i++) {
    lab_member(member, i);
    rc = xf_buf_printf(&t, "  - {id: %s, domain: d}\n", member);
  }
  if (!rc) rc = put(lab, "server.yaml", &t);
  xf_buf_deinit(&t);
  return rc;
}

enum xf_rc lab_init(struct lab *lab, struct bench *b, const struct lab_options *o) {
  char path[XF_PATH_MAX + 8], member[16];
  static unsigned serial;
  *lab = (struct lab){.b = b};
  int n =
      snprintf(lab->dir, sizeof lab->dir, "%.400s/lab%u-%ld", o->parent, serial++, (long)getpid());
  enum xf_rc rc = n > 0 ? xf_fs_posix()->mkdir(xf_fs_posix(), lab->dir, 0700) : XF_E_LIMIT;
  if (rc) {
    rc = xf_diag_set(b->diag, rc, "%s cannot be made", lab->dir);
    lab->dir[0] = '\0';
    return rc;
  }
  snprintf(path, sizeof path, "%s/ca", lab->dir);
  const struct xf_ca_options ca = {.days = 3};
  rc = xf_pki_ca_create(path, "bench", &ca, b->diag);
  if (!rc) rc = issue(lab, XF_PKI_ROLE_COORDINATOR, "coordinator");
  for (unsigned i = 0; i < o->n_client && !rc; i++) {
    lab_member(member, i);
    rc = issue(lab, XF_PKI_ROLE_CLIENT, member);
  }
  return rc ? rc : put_configs(lab, o);
}

static void end_process(pid_t *pid) {
  int status;
  if (*pid <= 0) return;
  (void)kill(*pid, SIGKILL); /* it may have ended by itself */
  while (waitpid(*pid, &status, 0) < 0 && errno == EINTR) continue;
  *pid = 0;
}

void lab_deinit(struct lab *lab) {
  struct xf_diag diag;
  end_process(&lab->server);
  end_process(&lab->peer);
  xf_diag_init(&diag);
  if (!lab->dir[0]) return;
  enum xf_rc rc = bench_remove(lab->dir, &diag);
  if (rc) fprintf(stderr, "scratch files are left: %s\n", xf_diag_text(&diag, rc));
  lab->dir[0] = '\0';
}

enum xf_rc lab_tls(const struct lab *lab, struct xf_tls_ctx **out, enum xf_pki_role role,
                   const char *member) {
  char cert[XF_PATH_MAX + 32], key[XF_PATH_MAX + 32], ca[XF_PATH_MAX + 32];
  snprintf(cert, sizeof cert, "%s/%s.pem", lab->dir, member);
  snprintf(key, sizeof key, "%s/%s.key", lab->dir, member);
  snprintf(ca, sizeof ca, "%s/ca/ca.pem", lab->dir);
  const struct xf_tls_options o = {.cert_path = cert, .key_path = key, .ca_path = ca, .role = role};
  return xf_tls_ctx_new(out, &o, lab->b->diag);
}

/* A port file appears whole (it is replaced, not written in place). */
static uint16_t read_port(const struct lab *lab) {
  char path[XF_PATH_MAX];
  struct xf_buf text;
  uint64_t port = 0;
  xf_buf_init(&text, 32);
  if (!xf_fs_join(path, lab->dir, "port") && !xf_fs_read_file(xf_fs_posix(), path, &text, NULL)) {
    while (text.len && text.p[text.len - 1] == '\n') text.len--;
    if (xf_str_u64(&port, (const char *)text.p, text.len)) port = 0;
  }
  xf_buf_deinit(&text);
  return port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* In the child: its output goes to a file, and it ends with us. */
static _Noreturn void exec_server(const struct lab *lab) {
  char program[XF_PATH_MAX + 32], config[XF_PATH_MAX + 32], log[XF_PATH_MAX + 32];
  snprintf(program, sizeof program, "%s/crossfed-server", lab->b->bin);
  snprintf(config, sizeof config, "%s/server.yaml", lab->dir);
  snprintf(log, sizeof log, "%s/server.log", lab->dir);
  const int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), null = open("/dev/null", O_RDONLY);
  if (fd < 0 || null < 0 || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) _exit(127);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL)) _exit(127);
  execl(program, program, "-c", config, (char *)NULL);
  _exit(127);
}

/* Why the server ended: the last line of its log. */
static enum xf_rc died(const struct lab *lab) {
  char path[XF_PATH_MAX];
  struct xf_buf text;
  xf_buf_init(&text, CONFIG_MAX);
  enum xf_rc rc = xf_fs_join(path, lab->dir, "server.log");
  if (!rc) rc = xf_fs_read_file(xf_fs_posix(), path, &text, NULL);
  while (text.len && text.p[text.len - 1] == '\n') text.len--;
  const char *all = rc ? "" : xf_buf_cstr(&text), *last = strrchr(all, '\n');
  rc = xf_diag_set(lab->b->diag, XF_E_NOTFOUND, "%s/crossfed-server did not start: %.400s",
                   lab->b->bin, all[0] ? last ? last + 1 : all : "it is not there");
  xf_buf_deinit(&text);
  return rc;
}

static void nap(void) {
  const struct timespec step = {0, STEP_MS * 1000000L};
  (void)nanosleep(&step, NULL); /* shorter is no harm */
}

enum xf_rc lab_start_server(struct lab *lab) {
  const struct xf_time from = xf_time_now();
  int status;
  lab->server = fork();
  if (lab->server < 0) {
    lab->server = 0;
    return xf_diag_set(lab->b->diag, XF_E_IO, "fork: %s", strerror(errno));
  }
  if (lab->server == 0) exec_server(lab);
  while (bench_since(from) < START_LIMIT_S) {
    lab->server_port = read_port(lab);
    if (lab->server_port) return XF_OK;
    if (waitpid(lab->server, &status, WNOHANG) == lab->server) {
      lab->server = 0;
      return died(lab);
    }
    nap();
  }
  return xf_diag_set(lab->b->diag, XF_E_TIMEOUT, "crossfed-server gave no port in %d s",
                     START_LIMIT_S);
}

enum xf_rc lab_start_peer(struct lab *lab, uint32_t max_conns) {
  int fd[2];
  if (pipe2(fd, O_CLOEXEC)) return xf_diag_set(lab->b->diag, XF_E_IO, "pipe: %s", strerror(errno));
  lab->peer = fork();
  if (lab->peer == 0) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL)) _exit(127);
    (void)close(fd[0]);
    lab_peer_main(lab, max_conns, fd[1]);
  }
  (void)close(fd[1]);
  uint16_t port = 0;
  const ssize_t n = lab->peer > 0 ? read(fd[0], &port, sizeof port) : -1;
  (void)close(fd[0]);
  if (lab->peer < 0) lab->peer = 0;
  if (n != sizeof port) return xf_diag_set(lab->b->diag, XF_E_IO, "the bare peer did not start");
  lab->peer_port = port;
  return XF_OK;
}
