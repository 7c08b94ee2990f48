/* Updates of 1 MB over loopback mTLS into crossfed-server, acknowledged when durable, against the bare peer that takes
   the same bytes from as many connections; and page faults for each chunk received by either. */
#include "tools/bench/client.h"

#include <unistd.h>

struct updating {
  struct bench *b;
  struct lab lab;
  struct hub hub;
  struct swarm swarm;
  struct line sink, echo;    /* of their own each: what one did to its sockets stays */
  unsigned n;                /* clients */
  struct bench_pairs rate;   /* updates a second until all are acknowledged: coordinator, peer */
  struct bench_pairs faults; /* per chunk: coordinator, peer */
  struct bench_pairs
      round; /* of whole rounds, with aggregation, commit and the next model: coordinator, echo */
};

static enum xf_rc updating_init(struct updating *u, struct bench *b, const char *parent,
                                unsigned n) {
  *u = (struct updating){.b = b, .n = n};
  const struct lab_options o = {.parent = parent, .n_client = n, .width = b->quick ? 16 : 512};
  enum xf_rc rc = lab_init(&u->lab, b, &o);
  if (!rc) rc = lab_start_peer(&u->lab, 2 * n + 16);
  if (!rc) rc = lab_start_server(&u->lab);
  if (!rc) rc = hub_init(&u->hub, b, 0);
  if (!rc) rc = line_open(&u->sink, &u->hub, &u->lab, n);
  if (!rc) rc = line_dial(&u->sink, n);
  if (!rc) rc = line_open(&u->echo, &u->hub, &u->lab, n);
  if (!rc) rc = line_dial(&u->echo, n);
  if (!rc) rc = swarm_open(&u->swarm, &u->hub, &u->lab, n);
  if (!rc) rc = hub_set_update(&u->hub, (size_t)u->swarm.model_len);
  return rc;
}

static void updating_deinit(struct updating *u) {
  swarm_close(&u->swarm);
  line_close(&u->sink);
  line_close(&u->echo);
  hub_deinit(&u->hub);
  lab_deinit(&u->lab);
}

static enum xf_rc probe(struct updating *u, bool echo, double *rate) {
  const struct xf_time t = xf_time_now();
  enum xf_rc rc = line_update(echo ? &u->echo : &u->sink, u->n, echo);
  *rate = u->n / bench_since(t);
  return rc;
}

static enum xf_rc one_round(struct updating *u, bool count) {
  const double n = u->n, chunks = n * (double)((u->hub.len + XF_CHUNK_MAX - 1) / XF_CHUNK_MAX);
  struct bench_proc server[2], peer[2];
  struct xf_diag *diag = u->b->diag;
  double sink = 0, echo = 0;
  enum xf_rc rc = probe(u, true, &echo);
  if (!rc) rc = bench_proc_get(&peer[0], u->lab.peer, diag);
  if (!rc) rc = probe(u, false, &sink);
  if (!rc) rc = bench_proc_get(&peer[1], u->lab.peer, diag);
  if (!rc) rc = bench_proc_get(&server[0], u->lab.server, diag);
  const struct xf_time t = xf_time_now();
  if (!rc) rc = swarm_update(&u->swarm);
  const double rate = n / bench_since(t);
  if (!rc) rc = bench_proc_get(&server[1], u->lab.server, diag);
  if (!rc) rc = swarm_gate(&u->swarm);
  if (rc || !count) return rc;
  bench_pair(&u->rate, rate, sink);
  bench_pair(&u->round, n / bench_since(t), echo);
  bench_pair(&u->faults, (double)(server[1].faults - server[0].faults) / chunks,
             (double)(peer[1].faults - peer[0].faults) / chunks);
  return XF_OK;
}

static enum xf_rc run(struct updating *u, struct bench *b, const char *parent, unsigned n,
                      unsigned rounds) {
  enum xf_rc rc = updating_init(u, b, parent, n);
  for (unsigned r = 0; r <= rounds && !rc; r++) rc = one_round(u, r > 0); /* the first one warms */
  return rc;
}

/* The goal is that of whole rounds: what travels is what the echo moves, 1 MB each way for an update. */
static void put_rates(struct bench *b, const struct updating *u, const char *both, const char *up,
                      bool judged) {
  struct bench_result r = {.bench = "updates",
                           .name = both,
                           .unit = "updates/s",
                           .probe = "echo pair, 1 MB each way",
                           .goal = judged ? 0.5 : 0,
                           .floor = judged ? 0.3 : 0};
  bench_put_pairs(b, r, &u->round);
  r = (struct bench_result){
      .bench = "updates", .name = up, .unit = "updates/s", .probe = "bare pair, 1 MB up"};
  bench_put_pairs(b, r, &u->rate);
}

enum xf_rc bench_updates(struct bench *b) {
  static struct updating u;
  const unsigned n = b->quick ? 2 : 100, rounds = b->quick ? 1 : BENCH_PAIRS;
  enum xf_rc rc = run(&u, b, b->dir, n, rounds);
  if (!rc) put_rates(b, &u, "durable", "durable_upload", true);
  updating_deinit(&u);
  if (rc || access("/dev/shm", W_OK)) return rc; /* nowhere to do the rest: left out */
  /* Without durability: the same program where fsync costs nothing. */
  rc = run(&u, b, "/dev/shm", n, rounds);
  if (!rc) put_rates(b, &u, "memory", "memory_upload", false);
  updating_deinit(&u);
  return rc;
}

/* Faults for each chunk; the probe is the chunk itself: one. */
static void put_faults(struct bench *b, const char *name, double *perchunk, size_t n) {
  const double v = bench_median(perchunk, n);
  const struct bench_result r = {.bench = "page_faults",
                                 .name = name,
                                 .value = v,
                                 .unit = "faults",
                                 .probe = "chunk",
                                 .probe_value = 1,
                                 .ratio = v,
                                 .lower = true,
                                 .goal = 0.01,
                                 .floor = 0.1};
  bench_put(b, &r);
}

enum xf_rc bench_faults(struct bench *b) {
  static struct updating u;
  enum xf_rc rc = run(&u, b, b->dir, b->quick ? 2 : 20, b->quick ? 1 : BENCH_PAIRS);
  if (!rc) put_faults(b, "coordinator", u.faults.subject, u.faults.n);
  if (!rc) put_faults(b, "connection", u.faults.probe, u.faults.n);
  updating_deinit(&u);
  return rc;
}
