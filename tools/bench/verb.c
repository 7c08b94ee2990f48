/* crossfed bench: runs benchmarks one after the other in a scratch directory, then prints figures and probes. */
#include "tools/bench/verb.h"

#include "base/log.h"
#include "tools/bench/bench.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JSON_MAX = 256 * 1024, NAMES_MAX = 16 };

static const struct {
  const char *name;
  enum xf_rc (*run)(struct bench *b);
  const char *help;
} benches[] = {
    {"wire", bench_wire, "pack and unpack chunks, against memcpy"},
    {"aggregation", bench_fold, "the fold of a round's updates, against axpy"},
    {"durable_commit", bench_commit,
     "a ledger transaction, and a round's commit, against raw fsync"},
    {"page_faults", bench_faults, "page faults for each received chunk, in steady state"},
    {"updates", bench_updates,
     "updates a second over mTLS, acknowledged when durable, against an echo pair"},
    {"idle_connections", bench_idle, "resident bytes of an idle mTLS connection"},
    {"server_rss", bench_server_rss, "peak resident size of crossfed-server by model and clients"},
    /* the last three: nothing may fork once BLAS has started */
    {"train", bench_train, "local training, against the FMA loop, one worker, and page faults"},
    {"rec", bench_rec, "fitting ALS, EASE and the Gram, against sgemm, dpotrf + dpotri and axpy"},
    {"serving", bench_serving, "recommendations as a call and over HTTP, against sgemv"},
};
enum { N_BENCH = sizeof benches / sizeof benches[0] };

struct request {
  bool wanted[N_BENCH], json, check;
};

static void usage(FILE *out) {
  fprintf(out, "usage: crossfed bench [NAME]... [--json] [--check] [--quick] [--dir DIR]\n\n"
               "Measures this machine and crossfed on it, each figure as a ratio to a probe of the "
               "same run.\n"
               "Close other programs first; two minutes for all of:\n");
  for (size_t i = 0; i < N_BENCH; i++)
    fprintf(out, "  %-17s %s\n", benches[i].name, benches[i].help);
  fprintf(out, "\n  --json     one JSON object\n"
               "  --check    exit status 3 when a floor is missed\n"
               "  --quick    tiny sizes: whether everything runs; the figures mean nothing\n"
               "  --dir DIR  where the scratch files go (default: $TMPDIR, /tmp); what is durable "
               "is measured there\n");
}

static bool parse(struct bench *b, struct request *r, int argc, char **argv) {
  bool some = false;
  const char *dir = getenv("TMPDIR");
  if (!dir || !dir[0]) dir = "/tmp";
  for (int i = 1; i < argc; i++) {
    size_t k = 0;
    while (k < N_BENCH && strcmp(argv[i], benches[k].name) != 0) k++;
    if (k < N_BENCH) r->wanted[k] = some = true;
    else if (strcmp(argv[i], "--json") == 0) r->json = true;
    else if (strcmp(argv[i], "--check") == 0) r->check = true;
    else if (strcmp(argv[i], "--quick") == 0) b->quick = true;
    else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) dir = argv[++i];
    else return false;
  }
  for (size_t k = 0; k < N_BENCH && !some; k++) r->wanted[k] = true;
  return snprintf(b->parent, sizeof b->parent, "%s", dir) < (int)sizeof b->parent / 2;
}

/* The other programs lie beside this one. */
static enum xf_rc find_bin(struct bench *b) {
  const ssize_t n = readlink("/proc/self/exe", b->bin, sizeof b->bin - 1);
  if (n <= 0) return xf_diag_set(b->diag, XF_E_IO, "/proc/self/exe: %s", strerror(errno));
  b->bin[n] = '\0';
  char *slash = strrchr(b->bin, '/');
  if (!slash) return xf_diag_set(b->diag, XF_E_IO, "%s has no folder", b->bin);
  *slash = '\0';
  return XF_OK;
}

static enum xf_rc make_dir(struct bench *b) {
  snprintf(b->dir, sizeof b->dir, "%.500s/crossfed-bench-XXXXXX", b->parent);
  if (mkdtemp(b->dir)) return XF_OK;
  enum xf_rc rc =
      xf_diag_set(b->diag, XF_E_IO, "%s: %s; choose another --dir", b->parent, strerror(errno));
  b->dir[0] = '\0';
  return rc;
}

static bool within(const struct bench_result *r, double bound) {
  if (!isfinite(r->ratio)) return false;
  return bound <= 0 || (r->lower ? r->ratio <= bound : r->ratio >= bound);
}

static void put_result(struct xf_jsonw *w, const struct bench_result *r) {
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "bench", r->bench);
  xf_jsonw_kstr(w, "case", r->name);
  xf_jsonw_kdouble(w, "value", r->value);
  xf_jsonw_kstr(w, "unit", r->unit);
  xf_jsonw_kstr(w, "probe", r->probe);
  xf_jsonw_kdouble(w, "probe_value", r->probe_value);
  xf_jsonw_kdouble(w, "ratio", r->ratio);
  xf_jsonw_kstr(w, "better", r->lower ? "lower" : "higher");
  if (r->goal > 0) {
    xf_jsonw_kdouble(w, "goal", r->goal);
    xf_jsonw_kdouble(w, "floor", r->floor);
    xf_jsonw_kbool(w, "meets_goal", within(r, r->goal));
    xf_jsonw_kbool(w, "meets_floor", within(r, r->floor));
  }
  xf_jsonw_object_end(w);
}

static enum xf_rc print_json(const struct bench *b) {
  struct xf_buf buf;
  struct xf_jsonw w;
  xf_buf_init(&buf, JSON_MAX);
  xf_jsonw_init(&w, &buf);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kbool(&w, "quick", b->quick);
  xf_jsonw_kint(&w, "cores", sysconf(_SC_NPROCESSORS_ONLN));
  xf_jsonw_key(&w, "results");
  xf_jsonw_array(&w);
  for (size_t i = 0; i < b->n_result; i++) put_result(&w, &b->result[i]);
  xf_jsonw_array_end(&w);
  xf_jsonw_object_end(&w);
  enum xf_rc rc = xf_jsonw_finish(&w);
  if (!rc) rc = xf_buf_put_u8(&buf, '\n');
  if (!rc && fwrite(buf.p, 1, buf.len, stdout) != buf.len) rc = XF_E_IO;
  xf_buf_deinit(&buf);
  return rc;
}

static void print_table(const struct bench *b) {
  printf("%-17s %-16s %12s %-10s %8s %6s %6s  %s\n", "benchmark", "case", "value", "unit", "ratio",
         "goal", "floor", "against");
  for (size_t i = 0; i < b->n_result; i++) {
    const struct bench_result *r = &b->result[i];
    const char *verdict = r->goal <= 0          ? ""
                          : within(r, r->goal)  ? ""
                          : within(r, r->floor) ? "  (goal missed)"
                                                : "  FLOOR MISSED";
    printf("%-17s %-16s %12.5g %-10s %8.3f ", r->bench, r->name, r->value, r->unit, r->ratio);
    if (r->goal > 0) printf("%6.3g %6.3g", r->goal, r->floor);
    else printf("%6s %6s", "-", "-");
    printf("  %s = %.5g%s\n", r->probe, r->probe_value, verdict);
  }
  if (b->quick) printf("\n--quick: these figures mean nothing\n");
}

static enum xf_rc run(struct bench *b, const struct request *r) {
  enum xf_rc rc = find_bin(b);
  if (!rc) rc = make_dir(b);
  for (size_t k = 0; k < N_BENCH && !rc; k++) {
    if (!r->wanted[k]) continue;
    if (!r->json) fprintf(stderr, "%s ...\n", benches[k].name);
    rc = benches[k].run(b);
    if (rc) xf_diag_prefix(b->diag, rc, "%s", benches[k].name);
  }
  struct xf_diag late;
  xf_diag_init(&late);
  if (b->dir[0]) {
    enum xf_rc left = bench_remove(b->dir, &late);
    if (left) fprintf(stderr, "scratch files are left: %s\n", xf_diag_text(&late, left));
  }
  return rc;
}

int xf_tool_bench(int argc, char **argv) {
  static struct bench b;
  struct request r = {0};
  struct xf_diag diag;
  if (argc > 1 && strcmp(argv[1], "--help") == 0) {
    usage(stdout);
    return XF_EXIT_OK;
  }
  if (!parse(&b, &r, argc, argv)) {
    usage(stderr);
    return XF_EXIT_USAGE;
  }
  xf_diag_init(&diag);
  b.diag = &diag;
  xf_log_set_level(XF_LOG_ERROR);
  enum xf_rc rc = run(&b, &r);
  if (!rc && r.json) rc = print_json(&b);
  else if (!rc) print_table(&b);
  if (rc) {
    fprintf(stderr, "crossfed bench: %s\n", xf_diag_text(&diag, rc));
    return xf_rc_exit(rc);
  }
  for (size_t i = 0; i < b.n_result && r.check; i++)
    if (!within(&b.result[i], b.result[i].floor)) return XF_EXIT_CONDITION;
  return XF_EXIT_OK;
}
