/* crossfed sim: a plan's whole federation in this process. */
#include "tools/sim/verb.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "plan/view.h"
#include "tensor/blas.h"
#include "tools/exper/verb.h"
#include "tools/sim/sim.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SETS_MAX = 64, ERRORS_MAX = 64 * 1024 };

static const char usage[] =
    "usage: crossfed sim PLAN.yaml [--set KEY=VALUE]... [--seed N] [--threads N] [--json] "
    "[--verbose]\n"
    "       crossfed sim sweep PLAN.yaml ... (--help tells more)\n"
    "\n"
    "Runs a plan with one client for each domain of sim.data: the daemons' state machines on a "
    "virtual\n"
    "clock, real training. Prints popularity, alone, federated and guarded side by side, and which "
    "domain\n"
    "is worse off than by its strongest baseline, on the same test users. A plan of statistic.of "
    "map has "
    "a\n"
    "client for each person of two domains and ranks cold users.\n"
    "  --threads N  workers for local training (0: all cores); the result does not depend on it\n"
    "  --out DIR    a run directory: plan.resolved.yaml, metrics.jsonl, summary.json, log.jsonl\n"
    "  --export DIR writes the federation as configs and data for crossfed-server and "
    "crossfed-client instead\n"
    "  --replay L   a run of the daemons again, from its ledger or state directory: the same "
    "model, or an "
    "error\n"
    "  --json       one JSON object instead of the table\n"
    "  --verbose    the coordinator's log on stderr\n";

struct request {
  const char *path, *out, *export, *replay, *sets[SETS_MAX];
  size_t n_sets;
  uint64_t seed, threads;
  bool has_seed, json, verbose;
};

static bool parse(struct request *r, int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const bool more = i + 1 < argc;
    if (strcmp(argv[i], "--set") == 0 && more && r->n_sets < SETS_MAX)
      r->sets[r->n_sets++] = argv[++i];
    else if (strcmp(argv[i], "--seed") == 0 && more) {
      r->has_seed = xf_str_u64(&r->seed, argv[i + 1], strlen(argv[i + 1])) == XF_OK;
      if (!r->has_seed) return false;
      i++;
    } else if (strcmp(argv[i], "--threads") == 0 && more) {
      if (xf_str_u64(&r->threads, argv[i + 1], strlen(argv[i + 1])) || r->threads > 256)
        return false;
      i++;
    } else if (strcmp(argv[i], "--out") == 0 && more) r->out = argv[++i];
    else if (strcmp(argv[i], "--replay") == 0 && more) r->replay = argv[++i];
    else if (strcmp(argv[i], "--export") == 0 && more) r->export = argv[++i];
    else if (strcmp(argv[i], "--json") == 0) r->json = true;
    else if (strcmp(argv[i], "--verbose") == 0) r->verbose = true;
    else if (argv[i][0] != '-' && !r->path) r->path = argv[i];
    else return false;
  }
  return r->path != NULL;
}

static enum xf_rc open_run(struct sim *sim, const char *dir, int *log_fd, struct xf_diag *diag) {
  struct xf_buf text;
  char path[XF_PATH_MAX];
  xf_buf_init(&text, ERRORS_MAX);
  enum xf_rc rc = xf_rundir_open(&sim->run, xf_fs_posix(), dir, true, diag);
  if (!rc) rc = xf_plan_print(&text, &sim->plan);
  if (!rc) rc = xf_rundir_plan(&sim->run, (const char *)text.p, text.len, diag);
  if (!rc) rc = xf_rundir_path(&sim->run, path, "log.jsonl");
  xf_buf_deinit(&text);
  if (rc) return rc;
  *log_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (*log_fd < 0) return xf_diag_set(diag, XF_E_IO, "%s cannot be written", path);
  xf_log_set_file(*log_fd, XF_LOG_INFO);
  return XF_OK;
}

static enum xf_rc simulate(struct sim *sim, const struct request *r, struct xf_buf *errors,
                           struct xf_diag *diag) {
  enum xf_rc rc = xf_plan_load(&sim->plan, r->path, r->sets, r->n_sets, errors, diag);
  if (rc) return rc;
  if (r->has_seed) sim->plan.seed = r->seed;
  const long cores = sysconf(_SC_NPROCESSORS_ONLN);
  sim->threads = r->threads ? (uint32_t)r->threads : sim->plan.sim.threads;
  if (!sim->threads) sim->threads = cores > 0 ? (uint32_t)cores : 1;
  rc = xf_blas_start(&sim->blas, diag);
  const struct xf_time from = xf_time_now();
  int log_fd = -1;
  const bool cold = xf_plan_maps(&sim->plan);
  if (!rc && cold && (r->export || r->replay || sim->plan.sim.clients.by != XF_PLAN_CLIENTS_USER))
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "statistic.of: map runs in crossfed sim alone, with sim.data and "
                       "sim.clients.by: user; no daemon does, so there is nothing to export");
  if (!rc && !cold) rc = sim_init(sim, diag);
  if (!rc && r->export) return sim_export(sim, r->export, diag);
  if (!rc && r->out) rc = open_run(sim, r->out, &log_fd, diag);
  if (!rc && cold) rc = sim_cold(sim, r->json, from, diag);
  else if (!rc) {
    rc = r->replay ? sim_replay(sim, r->replay, diag) : sim_world_run(sim, diag);
    if (!rc) rc = sim_report(sim, r->json, from, diag);
  }
  if (log_fd >= 0) {
    xf_log_set_file(-1, XF_LOG_INFO);
    (void)close(log_fd); /* lines are written as they come; nothing is buffered here */
  }
  return rc;
}

int xf_tool_sim(int argc, char **argv) {
  struct request r = {0};
  if (argc > 1 && strcmp(argv[1], "sweep") == 0) return xf_tool_sweep(argc - 1, argv + 1);
  if (argc > 1 && strcmp(argv[1], "--help") == 0) {
    fputs(usage, stdout);
    return XF_EXIT_OK;
  }
  if (!parse(&r, argc, argv)) {
    fputs(usage, stderr);
    return XF_EXIT_USAGE;
  }
  xf_log_set_level(r.verbose ? XF_LOG_INFO : XF_LOG_ERROR);
  static struct sim sim;
  struct xf_buf errors;
  struct xf_diag diag;
  xf_buf_init(&errors, ERRORS_MAX);
  xf_diag_init(&diag);
  enum xf_rc rc = simulate(&sim, &r, &errors, &diag);
  if (rc)
    fprintf(stderr, "%s%s", errors.len ? xf_buf_cstr(&errors) : xf_diag_text(&diag, rc),
            errors.len ? "" : "\n");
  sim_deinit(&sim);
  xf_buf_deinit(&errors);
  return xf_rc_exit(rc);
}
