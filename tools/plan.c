/* crossfed plan: checks a plan and prints what it resolves to. */
#include "plan/plan.h"

#include "base/buf.h"
#include "base/cursor.h"
#include "plan/combine.h"
#include "plan/view.h"
#include "tools/tools.h"

#include <stdio.h>
#include <string.h>

enum { SETS_MAX = 64, TEXT_MAX = 256 * 1024 };

static const char usage[] =
    "usage: crossfed plan PLAN.yaml [--set KEY=VALUE]... [--digest | --combine]\n"
    "\n"
    "Checks a plan and prints it resolved, every value in force; exit status 78 when it is "
    "refused.\n"
    "  --set KEY=VALUE   overrides one value: fed.rounds=5, stages[0].local.epochs=2\n"
    "  --digest          only the plan digest (without `sim`): what silos accept and the ledger "
    "records\n"
    "  --combine         only the table of what combines: strategy, encoding, privacy\n";

static int print_buf(struct xf_buf *buf, enum xf_rc rc, const char *what) {
  if (rc) {
    fprintf(stderr, "crossfed plan: %s: %s\n", what, xf_rc_text(rc));
    return xf_rc_exit(rc);
  }
  return fwrite(buf->p, 1, buf->len, stdout) == buf->len && fflush(stdout) == 0 ? XF_EXIT_OK
                                                                                : XF_EXIT_FAILED;
}

/* "# " lines after the plan: what a silo would be asked for, and what readers of results must know. */
static enum xf_rc put_summary(struct xf_buf *out, const struct xf_plan *plan) {
  struct xf_plan_view v;
  struct xf_digest digest;
  char hex[XF_DIGEST_HEX];
  xf_plan_policy_view(&v, plan);
  enum xf_rc rc = xf_plan_digest(&digest, plan);
  if (!rc)
    rc = xf_buf_printf(
        out, "\n# digest %s\n# asks a silo for %llu rounds, at most %u epochs or %u steps each\n",
        xf_digest_print(hex, &digest), (unsigned long long)v.rounds, v.max_epochs, v.max_steps);
  if (!rc) rc = xf_buf_printf(out, "# clip %g, noise multiplier %g\n", v.clip, v.noise_multiplier);
  if (rc) return rc;
  struct xf_buf stamps;
  xf_buf_init(&stamps, TEXT_MAX);
  rc = xf_plan_stamps(&stamps, plan);
  struct xf_cursor cur;
  const char *line = NULL;
  size_t len = 0;
  xf_cursor_init(&cur, stamps.p, stamps.len);
  while (!rc && xf_cursor_line(&cur, &line, &len) == XF_OK)
    rc = xf_buf_printf(out, "# stamp: %.*s\n", (int)len, line);
  xf_buf_deinit(&stamps);
  return rc;
}

int xf_tool_plan(int argc, char **argv) {
  const char *path = NULL, *sets[SETS_MAX];
  size_t n_sets = 0;
  bool digest_only = false, combine_only = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0) {
      fputs(usage, stdout);
      return XF_EXIT_OK;
    }
    if (strcmp(argv[i], "--set") == 0 && i + 1 < argc && n_sets < SETS_MAX)
      sets[n_sets++] = argv[++i];
    else if (strcmp(argv[i], "--digest") == 0) digest_only = true;
    else if (strcmp(argv[i], "--combine") == 0) combine_only = true;
    else if (argv[i][0] != '-' && !path) path = argv[i];
    else {
      fprintf(stderr, "crossfed plan: \"%s\" is not understood here\n\n%s", argv[i], usage);
      return XF_EXIT_USAGE;
    }
  }
  struct xf_buf out, errors;
  xf_buf_init(&out, TEXT_MAX);
  xf_buf_init(&errors, TEXT_MAX);
  int status = XF_EXIT_USAGE;
  if (combine_only) {
    status = print_buf(&out, xf_combine_print(&out), "table");
  } else if (!path) {
    fputs(usage, stderr);
  } else {
    static struct xf_plan plan;
    struct xf_diag diag;
    xf_diag_init(&diag);
    enum xf_rc rc = xf_plan_load(&plan, path, sets, n_sets, &errors, &diag);
    if (rc) {
      fprintf(stderr, "%s%s", errors.len ? xf_buf_cstr(&errors) : xf_diag_text(&diag, rc),
              errors.len ? "" : "\n");
      status = xf_rc_exit(rc);
    } else if (digest_only) {
      struct xf_digest d;
      char hex[XF_DIGEST_HEX];
      rc = xf_plan_digest(&d, &plan);
      if (!rc) rc = xf_buf_printf(&out, "%s\n", xf_digest_print(hex, &d));
      status = print_buf(&out, rc, path);
    } else {
      rc = xf_plan_print(&out, &plan);
      if (!rc) rc = put_summary(&out, &plan);
      status = print_buf(&out, rc, path);
    }
  }
  xf_buf_deinit(&out);
  xf_buf_deinit(&errors);
  return status;
}
