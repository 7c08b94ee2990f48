/* crossfed plan: checks a plan and prints what it resolves to. */
#include "plan/plan.h"

#include "base/buf.h"
#include "base/cursor.h"
#include "base/str.h"
#include "plan/combine.h"
#include "plan/view.h"
#include "priv/grid.h"
#include "priv/odometer.h"
#include "resolve/global.h"
#include "resolve/resolve.h"
#include "tools/plan_json.h"
#include "tools/tools.h"

#include <stdio.h>
#include <string.h>

enum { SETS_MAX = 64, TEXT_MAX = 256 * 1024 };

static const char usage[] =
    "usage: crossfed plan PLAN.yaml [--set KEY=VALUE]... [--rows N] [--members N] [--digest | "
    "--json |\n"
    "                     --combine]\n"
    "\n"
    "Checks a plan and prints it resolved, every value in force, and what it costs: bytes, and "
    "epsilon\n"
    "when there is noise. Exit status 78 when it is refused or not there.\n"
    "  --set KEY=VALUE   overrides one value: fed.rounds=5, stages[0].local.epochs=2\n"
    "  --rows N          for the bytes: aligned rows that one silo holds (users; items; of both, N "
    "each)\n"
    "  --members N       for the bytes: silos that take part, all of this size\n"
    "  --digest          only the plan digest (without `sim`): what silos accept and the ledger "
    "records\n"
    "  --json            one object: what the plan asks for and costs, without its text\n"
    "  --combine         only the table of what combines: strategy, encoding, privacy\n";

static int print_buf(struct xf_buf *buf, enum xf_rc rc, const char *what) {
  if (rc) {
    fprintf(stderr, "crossfed plan: %s: %s\n", what, xf_rc_text(rc));
    return xf_rc_exit(rc);
  }
  return fwrite(buf->p, 1, buf->len, stdout) == buf->len && fflush(stdout) == 0 ? XF_EXIT_OK
                                                                                : XF_EXIT_FAILED;
}

struct plan_traffic xf_tool_plan_traffic(const struct xf_plan *plan,
                                         const struct xf_plan_lens *lens) {
  struct plan_traffic t = {.down = lens->all * (xf_plan_evaluations(plan) + 1)};
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const uint64_t rounds = plan->stages[i].fed.rounds;
    t.up += rounds * lens->up[i];
    t.down += rounds * (lens->down[i] - lens->in[i]);
    t.down += rounds ? lens->in[i] : 0; /* artifacts come once a stage */
  }
  return t;
}

static enum xf_rc put_stages(struct xf_buf *out, const struct xf_plan *plan,
                             const struct xf_plan_lens *lens) {
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < plan->n_stages && !rc; i++) {
    const struct xf_plan_stage_part *s = &plan->stages[i];
    if (s->kind == XF_PLAN_STAGE_EVALUATE) continue;
    if (plan->n_stages > 1)
      rc = xf_buf_printf(out, "# stage %s, %u rounds: ", s->name, s->fed.rounds);
    else rc = xf_buf_put_str(out, "# each silo: ");
    if (!rc)
      rc = xf_buf_printf(out, "%llu bytes down, %llu up a round\n",
                         (unsigned long long)lens->down[i], (unsigned long long)lens->up[i]);
  }
  return rc;
}

/* Payload bytes: float32 both ways. The final model is one more download. */
static enum xf_rc put_bytes(struct xf_buf *out, const struct xf_plan *plan,
                            const struct plan_sizes *sizes) {
  struct xf_global g;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_global_init(&g, plan, NULL, &diag);
  if (rc) return xf_buf_printf(out, "# bytes: no estimate: %s\n", xf_diag_text(&diag, rc));
  const bool keyed = xf_plan_is_aligned(plan);
  struct xf_member_rows held = {{0}, {0}};
  for (uint32_t k = 0; k < g.n_space; k++) held.n[k] = (size_t)sizes->rows;
  const struct xf_plan_lens lens = xf_global_lens(&g, plan, &held);
  const struct plan_traffic t = xf_tool_plan_traffic(plan, &lens);
  if (g.n_shared)
    rc = xf_buf_printf(out, "# shared part %llu floats, %llu bytes\n",
                       (unsigned long long)g.n_shared, (unsigned long long)(4 * g.n_shared));
  for (uint32_t k = 0; k < g.n_space && !rc; k++)
    if (g.row_cols[k])
      rc = xf_buf_printf(out, "# %llu floats, %llu bytes for each aligned row (%s) of a silo\n",
                         (unsigned long long)g.row_cols[k], (unsigned long long)(4 * g.row_cols[k]),
                         g.ns[k]);
  if (!rc && keyed && !sizes->has_rows) {
    rc = xf_buf_printf(out, "# bytes: say with --rows how many aligned rows a silo holds\n");
  } else if (!rc) {
    rc = put_stages(out, plan, &lens);
    if (!rc)
      rc = xf_buf_printf(out, "# each silo: %llu bytes down, %llu up the whole run\n",
                         (unsigned long long)t.down, (unsigned long long)t.up);
    if (!rc && sizes->members)
      rc = xf_buf_printf(out, "# %llu silos: %llu bytes down, %llu up the whole run\n",
                         (unsigned long long)sizes->members,
                         (unsigned long long)(sizes->members * t.down),
                         (unsigned long long)(sizes->members * t.up));
    if (!rc)
      rc = xf_buf_printf(
          out,
          "#   assumes: selected in all %llu rounds, %llu evaluations and the final model "
          "fetched; no repeats; payloads only,\n"
          "#   without frames, plan, keys and evaluation reports (at most 65536 bytes each)\n",
          (unsigned long long)xf_plan_rounds(plan), (unsigned long long)xf_plan_evaluations(plan));
  }
  xf_global_deinit(&g);
  return rc;
}

/* Epsilon of the whole run as a silo's odometer would have it: multiplier as used, each release whole. */
enum xf_rc xf_tool_plan_epsilon(struct plan_epsilon *out, const struct xf_plan *plan,
                                struct xf_diag *diag) {
  struct xf_grid grid;
  struct xf_odometer spent;
  struct xf_odometer_report report;
  const bool steps = xf_plan_by_units(plan);
  *out = (struct plan_epsilon){.unit = plan->privacy.unit == XF_PLAN_UNIT_USER     ? "user"
                                       : plan->privacy.unit == XF_PLAN_UNIT_RECORD ? "record"
                                                                                   : "silo",
                               .steps = steps,
                               .releases =
                                   xf_plan_rounds(plan) * (steps ? plan->stages[0].local.steps : 1),
                               .delta = plan->privacy.delta};
  /* noise on statistics, whose bound is 1 */
  enum xf_rc rc = xf_grid_init(
      &grid, plan->privacy.unit == XF_PLAN_UNIT_USER && !steps ? 1 : plan->privacy.clip,
      plan->privacy.noise_multiplier, diag);
  if (rc) return rc;
  const struct xf_odometer_charge charge = {grid.z_used, out->releases,
                                            steps ? plan->stages[0].local.sample_rate : 0};
  xf_odometer_init(&spent);
  rc = xf_odometer_add(&spent, &charge, 1);
  if (!rc) rc = xf_odometer_get(&report, &spent, plan->privacy.delta);
  if (rc) return xf_diag_set(diag, rc, "%s", xf_rc_text(rc));
  out->zero_out = report.zero_out.value;
  out->replace_one = report.replace_one.value;
  out->z_used = grid.z_used;
  return XF_OK;
}

static enum xf_rc put_epsilon(struct xf_buf *out, const struct xf_plan *plan) {
  struct plan_epsilon e;
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (plan->privacy.noise_multiplier <= 0)
    return xf_buf_printf(out, "# epsilon: none; the plan has no noise, so nothing is claimed\n");
  const enum xf_rc rc = xf_tool_plan_epsilon(&e, plan, &diag);
  if (rc) return xf_buf_printf(out, "# epsilon: no estimate: %s\n", xf_diag_text(&diag, rc));
  return xf_buf_printf(
      out,
      "# epsilon of the whole run, per %s%s against the coordinator: %.4g (%s), %.4g "
      "(replace-one) at delta %g\n"
      "#   assumes: %llu %s, noise multiplier %.6g as used; a round that is abandoned after a "
      "silo\n"
      "#   has trained costs %s, a silo's policy may ask for more noise, and what it spent before "
      "comes on top\n",
      e.unit, plan->privacy.unit == XF_PLAN_UNIT_SILO ? "" : " of one silo", e.zero_out,
      e.steps ? "add-or-remove" : "zero-out", e.replace_one, e.delta,
      (unsigned long long)e.releases,
      e.steps ? "steps of Poisson samples" : "releases, each charged whole", e.z_used,
      e.steps ? "its steps again" : "one more");
}

/* "# " lines after the plan: what a silo would be asked for, and what readers of results must know. */
static enum xf_rc put_summary(struct xf_buf *out, const struct xf_plan *plan,
                              const struct plan_sizes *sizes) {
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
  if (!rc) rc = put_bytes(out, plan, sizes);
  if (!rc) rc = put_epsilon(out, plan);
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

/* At most 2^28, so that the products stay below 2^64. */
static bool set_size(uint64_t *out, const char *option, const char *text) {
  if (xf_str_u64(out, text, strlen(text)) == XF_OK && *out <= (uint64_t)1 << 28) return true;
  fprintf(stderr, "crossfed plan: %s %s: must be a whole number up to 268435456\n", option, text);
  return false;
}

/* What daemons and simulator of this version refuse though the plan reads well. */
static enum xf_rc check_here(const struct xf_plan *plan, struct xf_diag *diag) {
  struct xf_measures measures;
  enum xf_rc rc = xf_plan_maps(plan) ? XF_OK : xf_resolve_check(plan, diag);
  return rc ? rc : xf_resolve_measures(&measures, plan, diag);
}

enum output { TEXT, DIGEST, JSON };

static int print_plan(const struct xf_plan *plan, const char *path, enum output as,
                      const struct plan_sizes *sizes) {
  struct xf_buf out;
  struct xf_digest d;
  char hex[XF_DIGEST_HEX];
  enum xf_rc rc = XF_OK;
  xf_buf_init(&out, TEXT_MAX);
  switch (as) {
  case TEXT:
    rc = xf_plan_print(&out, plan);
    if (!rc) rc = put_summary(&out, plan, sizes);
    break;
  case DIGEST:
    rc = xf_plan_digest(&d, plan);
    if (!rc) rc = xf_buf_printf(&out, "%s\n", xf_digest_print(hex, &d));
    break;
  case JSON: rc = xf_tool_plan_json(&out, plan, sizes); break;
  }
  const int status = print_buf(&out, rc, path);
  xf_buf_deinit(&out);
  return status;
}

static int load_and_print(const char *path, const char *const *sets, size_t n_sets, enum output as,
                          const struct plan_sizes *sizes) {
  static struct xf_plan plan;
  struct xf_buf errors;
  struct xf_diag diag;
  int status = XF_EXIT_CONFIG; /* whatever it is, as for the daemons: the plan is what is wrong */
  xf_buf_init(&errors, TEXT_MAX);
  xf_diag_init(&diag);
  enum xf_rc rc = xf_plan_load(&plan, path, sets, n_sets, &errors, &diag);
  if (rc) {
    fprintf(stderr, "%s%s", errors.len ? xf_buf_cstr(&errors) : xf_diag_text(&diag, rc),
            errors.len ? "" : "\n");
    if (rc != XF_E_NOTFOUND) status = xf_rc_exit(rc);
  } else if ((rc = check_here(&plan, &diag)) != XF_OK) {
    fprintf(stderr, "%s: %s\n", path, xf_diag_text(&diag, rc));
  } else {
    status = print_plan(&plan, path, as, sizes);
  }
  xf_buf_deinit(&errors);
  return status;
}

int xf_tool_plan(int argc, char **argv) {
  const char *path = NULL, *sets[SETS_MAX];
  size_t n_sets = 0;
  struct plan_sizes sizes = {0};
  bool digest_only = false, combine_only = false, json = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0) {
      fputs(usage, stdout);
      return XF_EXIT_OK;
    }
    if (strcmp(argv[i], "--set") == 0 && i + 1 < argc && n_sets < SETS_MAX)
      sets[n_sets++] = argv[++i];
    else if (strcmp(argv[i], "--rows") == 0 && i + 1 < argc) {
      sizes.has_rows = true;
      if (!set_size(&sizes.rows, argv[i], argv[i + 1])) return XF_EXIT_USAGE;
      i++;
    } else if (strcmp(argv[i], "--members") == 0 && i + 1 < argc) {
      if (!set_size(&sizes.members, argv[i], argv[i + 1])) return XF_EXIT_USAGE;
      i++;
    } else if (strcmp(argv[i], "--digest") == 0) digest_only = true;
    else if (strcmp(argv[i], "--combine") == 0) combine_only = true;
    else if (strcmp(argv[i], "--json") == 0) json = true;
    else if (argv[i][0] != '-' && !path) path = argv[i];
    else {
      fprintf(stderr, "crossfed plan: \"%s\" is not understood here\n\n%s", argv[i], usage);
      return XF_EXIT_USAGE;
    }
  }
  if (combine_only) {
    struct xf_buf out;
    xf_buf_init(&out, TEXT_MAX);
    const int status = print_buf(&out, xf_combine_print(&out), "table");
    xf_buf_deinit(&out);
    return status;
  }
  if (!path || (json && digest_only)) {
    fputs(usage, stderr);
    return XF_EXIT_USAGE;
  }
  return load_and_print(path, sets, n_sets, digest_only ? DIGEST : json ? JSON : TEXT, &sizes);
}
