/* crossfed sim sweep: a plan over a grid of settings and seeds. */
#include "tools/exper/sweep.h"

#include "base/str.h"
#include "store/lock.h"
#include "tools/exper/verb.h"

#include <stdio.h>
#include <string.h>

enum { ERRORS_MAX = 64 * 1024, PARALLEL_MAX = 256 };

static const char usage[] =
    "usage: crossfed sim sweep PLAN.yaml [--grid KEY=V1,V2,...]... [--seeds 1..5] [-j N]\n"
    "                          [--set KEY=VALUE]... [--out DIR] [--metric KEY] [--arm ARM] "
    "[--json]\n"
    "\n"
    "Runs a plan with every combination of the values, each with every seed, N at a time, and "
    "says\n"
    "which is best on validation. Test figures are read of that setting alone; how many were tried "
    "is\n"
    "printed with it.\n"
    "  --grid KEY=...  a plan key and its values; lists in brackets: arms=[alone],[federated]\n"
    "  --seeds S       1..5 (both ends) or 1,2,7; without it the seed 1\n"
    "  -j N            runs at a time (as many as cores)\n"
    "  --set K=V       for all runs\n"
    "  --out DIR       a folder for each run below it (runs/NAME, NAME being the plan's)\n"
    "  --metric KEY    as in metrics.jsonl; without it the plan's NDCG or first\n"
    "  --arm ARM       federated; guarded where the plan recommends\n"
    "  --json          one JSON object instead of the table, as in DIR/sweep.json\n"
    "The same command goes on where a killed one was: finished runs are kept, others begin anew,\n"
    "and those of another build of crossfed. A\n"
    "larger grid may use the same folder: then the best of all that is there is chosen, and all "
    "count\n"
    "as tried. crossfed compare DIR reads it.\n";

static enum xf_rc take(struct xf_sweep *s, const char *name, const char *value,
                       struct xf_diag *diag) {
  if (strcmp(name, "--grid") == 0) return xf_sweepgrid_add(&s->grid, value, diag);
  if (strcmp(name, "--seeds") == 0) return xf_sweepgrid_seeds(&s->grid, value, diag);
  if (strcmp(name, "--out") == 0) s->out = value;
  else if (strcmp(name, "--metric") == 0) s->metric = value;
  else if (strcmp(name, "--arm") == 0) s->arm = value;
  else if (strcmp(name, "-j") == 0) {
    if (xf_str_u64(&s->parallel, value, strlen(value)) || !s->parallel ||
        s->parallel > PARALLEL_MAX)
      return xf_diag_set(diag, XF_E_INVAL, "-j %s: must be 1 to %d", value, PARALLEL_MAX);
  } else if (strcmp(name, "--set") == 0) {
    if (s->n_sets == XF_SWEEP_SETS)
      return xf_diag_set(diag, XF_E_LIMIT, "--set is given more than %d times", XF_SWEEP_SETS);
    s->sets[s->n_sets++] = value;
  } else {
    return xf_diag_set(diag, XF_E_INVAL, "unknown argument \"%s\"", name);
  }
  return XF_OK;
}

/* A key set for all runs and varied as well would be a grid that does nothing. */
static enum xf_rc check(const struct xf_sweep *s, struct xf_diag *diag) {
  for (size_t i = 0; i < s->n_sets; i++) {
    const size_t n = strcspn(s->sets[i], "=");
    for (size_t a = 0; a < s->grid.n_axis; a++)
      if (strlen(s->grid.axis[a].key) == n && memcmp(s->sets[i], s->grid.axis[a].key, n) == 0)
        return xf_diag_set(diag, XF_E_INVAL, "%s is in --set and in --grid; leave one out",
                           s->grid.axis[a].key);
    if (n == 4 && memcmp(s->sets[i], "seed", n) == 0)
      return xf_diag_set(diag, XF_E_INVAL, "--set %s: seeds are --seeds", s->sets[i]);
  }
  return s->plan_path ? XF_OK : xf_diag_set(diag, XF_E_INVAL, "PLAN.yaml is missing");
}

static enum xf_rc parse(struct xf_sweep *s, int argc, char **argv, struct xf_diag *diag) {
  s->grid.seed[0] = 1;
  s->grid.n_seed = 1;
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i];
    if (strcmp(arg, "--help") == 0) {
      s->help = true;
      return XF_OK;
    }
    if (strcmp(arg, "--json") == 0) s->json = true;
    else if (strncmp(arg, "-j", 2) == 0 && arg[2]) {
      if (take(s, "-j", arg + 2, diag)) return diag->rc;
    } else if (arg[0] != '-') {
      if (s->plan_path)
        return xf_diag_set(diag, XF_E_INVAL, "one PLAN.yaml, not \"%s\" and \"%s\"", s->plan_path,
                           arg);
      s->plan_path = arg;
    } else if (i + 1 == argc) {
      return xf_diag_set(diag, XF_E_INVAL, "%s: unknown, or its value is missing", arg);
    } else if (take(s, arg, argv[++i], diag)) {
      return diag->rc;
    }
  }
  return check(s, diag);
}

static enum xf_rc sweep(struct xf_sweep *s, struct xf_buf *errors, struct xf_diag *diag) {
  struct xf_lock lock = {.fd = -1};
  enum xf_rc rc = xf_sweep_plan(s, errors, diag);
  if (!rc) rc = xf_lock_take(&lock, s->dir, diag);
  if (!rc) rc = xf_sweep_find(s, diag);
  if (!rc) rc = xf_sweep_record(s, diag);
  if (!rc) rc = xf_sweep_run(s, diag);
  if (!rc) rc = xf_sweep_report(s, diag);
  xf_lock_give(&lock);
  return rc;
}

int xf_tool_sweep(int argc, char **argv) {
  static struct xf_sweep s;
  struct xf_buf errors;
  struct xf_diag diag;
  int status = XF_EXIT_OK;
  xf_buf_init(&errors, ERRORS_MAX);
  xf_diag_init(&diag);
  enum xf_rc rc = parse(&s, argc, argv, &diag);
  if (rc) {
    (void)fprintf(stderr, "crossfed sim sweep: %s\n%s", xf_diag_text(&diag, rc), usage);
    status = XF_EXIT_USAGE;
  } else if (s.help) {
    status = fputs(usage, stdout) < 0 ? XF_EXIT_FAILED : XF_EXIT_OK;
  } else if ((rc = sweep(&s, &errors, &diag)) != XF_OK) {
    if (errors.len) (void)fputs(xf_buf_cstr(&errors), stderr);
    else (void)fprintf(stderr, "crossfed sim sweep: %s\n", xf_diag_text(&diag, rc));
    status = xf_rc_exit(rc);
  }
  xf_sweep_deinit(&s);
  xf_buf_deinit(&errors);
  return status;
}
