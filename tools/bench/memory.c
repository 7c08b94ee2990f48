/* Resident sizes: the coordinator with a 16 MB model by number of clients, and what an idle connection costs. */
#include "base/alloc.h"
#include "tools/bench/client.h"

#include <malloc.h>

enum { MIB = 1024 * 1024, KIB = 1024 };

/* A coordinator that has run two rounds with n clients: its peak, and its size while all rest connected. */
static enum xf_rc size_of(struct bench *b, unsigned n, struct bench_proc *p, double *model) {
  static struct lab lab;
  static struct hub hub;
  static struct swarm swarm;
  const struct lab_options o = {.parent = b->dir, .n_client = n, .width = b->quick ? 16 : 2048};
  hub = (struct hub){.b = b};
  swarm = (struct swarm){.hub = NULL};
  enum xf_rc rc = lab_init(&lab, b, &o);
  if (!rc) rc = lab_start_server(&lab);
  if (!rc) rc = hub_init(&hub, b, 0);
  if (!rc) rc = swarm_open(&swarm, &hub, &lab, n);
  if (!rc) rc = hub_set_update(&hub, (size_t)swarm.model_len);
  for (int round = 0; round < 2 && !rc; round++) {
    rc = swarm_update(&swarm);
    if (!rc) rc = swarm_gate(&swarm);
  }
  if (!rc) rc = bench_proc_get(p, lab.server, b->diag);
  *model = (double)hub.len;
  swarm_close(&swarm);
  hub_deinit(&hub);
  lab_deinit(&lab);
  return rc;
}

enum xf_rc bench_server_rss(struct bench *b) {
  const unsigned few = b->quick ? 2 : 10, many = b->quick ? 4 : 100;
  struct bench_proc at_few = {0}, at_many = {0};
  double model = 0;
  enum xf_rc rc = size_of(b, few, &at_few, &model);
  if (!rc) rc = size_of(b, many, &at_many, &model);
  if (rc) return rc;
  const double limit = 2.5 * model + 24 * MIB;
  struct bench_result r = {.bench = "server_rss",
                           .name = "clients_10",
                           .value = (double)at_few.peak,
                           .unit = "bytes",
                           .probe = "2.5 model + 24 MiB",
                           .probe_value = limit,
                           .lower = true,
                           .goal = 1,
                           .floor = 1};
  r.ratio = r.value / limit;
  bench_put(b, &r);
  r.name = "clients_100";
  r.value = (double)at_many.peak;
  r.ratio = r.value / limit;
  r.goal = r.floor = 0;
  bench_put(b, &r);
  r = (struct bench_result){.bench = "server_rss",
                            .name = "per_client",
                            .unit = "bytes",
                            .probe = "64 KiB",
                            .probe_value = 64 * KIB,
                            .lower = true,
                            .goal = 1,
                            .floor = 1};
  r.value = ((double)at_many.peak - (double)at_few.peak) / (many - few);
  r.ratio = r.value / (64 * KIB);
  bench_put(b, &r);
  /* The peak may lie where models are made, not where connections are: the resting process says what those cost. */
  r.name = "per_client_rest";
  r.value = ((double)at_many.rss - (double)at_few.rss) / (many - few);
  r.ratio = r.value / (64 * KIB);
  bench_put(b, &r);
  return XF_OK;
}

struct pair {
  struct xf_tls *end[2];
  struct xf_buf out[2];
};

/* Moves what an end has written to the other one. */
static enum xf_rc carry(struct pair *p, int from, struct xf_diag *diag) {
  uint8_t plain[XF_TLS_RECORD];
  size_t n = 0;
  enum xf_rc rc = XF_OK;
  xf_tls_feed(p->end[!from], p->out[from].p, p->out[from].len);
  while (!rc) rc = xf_tls_next(p->end[!from], plain, sizeof plain, &n, diag);
  xf_buf_deinit(&p->out[from]);
  return rc == XF_E_AGAIN ? XF_OK : rc;
}

static enum xf_rc handshake(struct pair *p, struct xf_tls_ctx *const ctx[2], struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (int i = 0; i < 2 && !rc; i++) {
    xf_buf_init(&p->out[i], MIB);
    rc = xf_tls_new(&p->end[i], ctx[i], &p->out[i]);
    if (!rc) rc = xf_tls_start(p->end[i], diag);
  }
  for (int turn = 0; turn < 4 && !rc; turn++) {
    rc = carry(p, 1, diag);
    if (!rc) rc = carry(p, 0, diag);
  }
  return rc;
}

/* A probe: heap bytes of a TLS session alone, both ends in memory after the handshake, per end. */
static enum xf_rc tls_alone(struct bench *b, const struct lab *lab, unsigned n, double *each) {
  struct xf_tls_ctx *ctx[2] = {NULL, NULL};
  struct pair *pair = xf_calloc(2 * (size_t)n, sizeof *pair);
  char member[16];
  lab_member(member, 0);
  enum xf_rc rc = lab_tls(lab, &ctx[0], XF_PKI_ROLE_COORDINATOR, "coordinator");
  if (!rc) rc = lab_tls(lab, &ctx[1], XF_PKI_ROLE_CLIENT, member);
  for (unsigned i = 0; i < n && !rc; i++) rc = handshake(&pair[i], ctx, b->diag); /* warm */
  const size_t before = mallinfo2().uordblks; /* OpenSSL's too */
  for (unsigned i = n; i < 2 * n && !rc; i++) rc = handshake(&pair[i], ctx, b->diag);
  *each = (double)(mallinfo2().uordblks - before) / (2.0 * n);
  for (unsigned i = 0; i < 2 * n; i++)
    for (int k = 0; k < 2; k++) {
      xf_tls_free(pair[i].end[k]);
      xf_buf_deinit(&pair[i].out[k]);
    }
  xf_free(pair);
  xf_tls_ctx_free(ctx[0]);
  xf_tls_ctx_free(ctx[1]);
  return rc;
}

static enum xf_rc idle(struct bench *b, const struct lab *lab, unsigned n, double *each) {
  static struct hub hub;
  static struct line line;
  struct bench_proc before = {0}, after = {0};
  const unsigned first = n / 10;
  hub = (struct hub){.b = b};
  line = (struct line){.hub = NULL};
  enum xf_rc rc = hub_init(&hub, b, XF_CHUNK_MAX);
  if (!rc) rc = line_open(&line, &hub, lab, n);
  if (!rc) rc = line_dial(&line, first);
  if (!rc) rc = line_update(&line, first, false); /* they have worked before they rest */
  if (!rc) rc = bench_proc_get(&before, lab->peer, b->diag);
  if (!rc) rc = line_dial(&line, n);
  if (!rc) rc = line_update(&line, n, false);
  const struct xf_time t = xf_time_now();
  while (!rc && bench_since(t) < (b->quick ? 0.1 : 1.5)) {
    (void)uv_run(&hub.loop, UV_RUN_ONCE); /* the timer ends each turn */
    rc = hub.rc;
  }
  if (!rc) rc = bench_proc_get(&after, lab->peer, b->diag);
  *each = ((double)after.rss - (double)before.rss) / (n - first);
  line_close(&line);
  hub_deinit(&hub);
  return rc;
}

enum xf_rc bench_idle(struct bench *b) {
  static struct lab lab;
  const unsigned n = b->quick ? 400 : 5000;
  const struct lab_options o = {.parent = b->dir, .n_client = 1, .width = 16};
  double each = 0, alone = 0;
  enum xf_rc rc = bench_files(n + 256, b->diag); /* the peer inherits it */
  if (!rc) rc = lab_init(&lab, b, &o);
  if (!rc) rc = lab_start_peer(&lab, n + 16);
  if (!rc) rc = tls_alone(b, &lab, b->quick ? 100 : 500, &alone);
  if (!rc) rc = idle(b, &lab, n, &each);
  lab_deinit(&lab);
  if (rc) return rc;
  struct bench_result r = {.bench = "idle_connections",
                           .name = "resident",
                           .value = each,
                           .unit = "bytes",
                           .probe = "28 KiB",
                           .probe_value = 28 * KIB,
                           .ratio = each / (28 * KIB),
                           .lower = true,
                           .goal = 1,
                           .floor = 40.0 / 28};
  bench_put(b, &r);
  if (alone <= 0) return XF_OK; /* an allocator that does not count (a sanitizer's) */
  r.name = "beside_tls";
  r.probe = "TLS session, heap";
  r.probe_value = alone;
  r.ratio = each / alone;
  r.goal = r.floor = 0;
  bench_put(b, &r);
  return XF_OK;
}
