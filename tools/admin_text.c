/* Status, rounds and commands as text. */
#include "tools/admin_text.h"

#include "base/time.h"

#include <stdio.h>
#include <string.h>

/* --- values of an answer, with what stands for a missing one ------------------------------------------------------ */

static const char *str(const struct xf_json_value *v, const char *key) {
  const char *s = "";
  (void)xf_json_str(xf_json_find(v, key), &s); /* absent: "" */
  return s;
}

static uint64_t num(const struct xf_json_value *v, const char *key) {
  uint64_t n = 0;
  (void)xf_json_uint(xf_json_find(v, key), &n); /* absent: 0 */
  return n;
}

static double real(const struct xf_json_value *v, const char *key) {
  double x = 0;
  (void)xf_json_double(xf_json_find(v, key), &x); /* absent: 0 */
  return x;
}

static bool flag(const struct xf_json_value *v, const char *key) {
  bool b = false;
  (void)xf_json_bool(xf_json_find(v, key), &b); /* absent: false */
  return b;
}

static bool has(const struct xf_json_value *v, const char *key) {
  return xf_json_kind_of(xf_json_find(v, key)) > XF_JSON_NULL;
}

const char *xf_admin_ago(char out[32], double seconds) {
  const uint64_t s = seconds > 0 ? (uint64_t)seconds : 0;
  const unsigned long long d = s / 86400, h = s / 3600 % 24, m = s / 60 % 60, rest = s % 60;
  if (d) (void)snprintf(out, 32, "%llu d %llu h", d, h);
  else if (h) (void)snprintf(out, 32, "%llu h %llu m", h, m);
  else if (m) (void)snprintf(out, 32, "%llu m %llu s", m, rest);
  else (void)snprintf(out, 32, "%llu s", rest);
  return out;
}

static const char *bytes(char out[32], uint64_t n) {
  if (n < 10 * 1024) (void)snprintf(out, 32, "%llu B", (unsigned long long)n);
  else if (n < 10 * 1024 * 1024) (void)snprintf(out, 32, "%.1f KiB", (double)n / 1024);
  else (void)snprintf(out, 32, "%.1f MiB", (double)n / (1024 * 1024));
  return out;
}

enum xf_rc xf_tool_drift_text(struct xf_buf *out, const struct xf_json_value *drift,
                              const char *head) {
  if (!has(drift, "round")) return XF_OK; /* null, or an empty object */
  enum xf_rc rc =
      xf_buf_printf(out, "%sround %llu: norms of the updates %.4g to %.4g, median %.4g", head,
                    (unsigned long long)num(drift, "round"), real(drift, "norm_min"),
                    real(drift, "norm_max"), real(drift, "norm_median"));
  if (!rc && has(drift, "ratio"))
    rc = xf_buf_printf(out, "; agreement %.3f (1: all pull the same way)", real(drift, "ratio"));
  return rc ? rc : xf_buf_put_str(out, "\n");
}

/* --- status ---------------------------------------------------------------------------------------------------- */

static enum xf_rc put_head(struct xf_buf *out, const struct xf_json_value *r) {
  const bool live = has(r, "connected");
  char ago[32], planned[24] = "?";
  if (has(r, "rounds"))
    (void)snprintf(planned, sizeof planned, "%llu", (unsigned long long)num(r, "rounds"));
  enum xf_rc rc = xf_buf_printf(out, "run     %s   plan %s   epoch %llu\n", str(r, "run"),
                                str(r, "plan"), (unsigned long long)num(r, "epoch"));
  if (!rc)
    rc = xf_buf_printf(
        out, "state   %s%s%s   round %llu   %llu of %s commits", str(r, "state"),
        flag(r, "paused") && strcmp(str(r, "state"), "paused") ? ", paused" : "",
        flag(r, "draining") && strcmp(str(r, "state"), "draining") ? ", draining" : "",
        (unsigned long long)num(r, "round"), (unsigned long long)num(r, "committed"), planned);
  if (!rc && has(r, "last_commit_s"))
    rc = xf_buf_printf(out, "   last commit %s ago", xf_admin_ago(ago, real(r, "last_commit_s")));
  if (!rc) rc = xf_buf_put_str(out, "\n");
  if (!rc && has(r, "selected")) {
    rc = xf_buf_printf(out, "round   %s%s%s   %llu of %llu answered", str(r, "kind"),
                       has(r, "round_state") ? ", " : "", str(r, "round_state"),
                       (unsigned long long)num(r, "answered"),
                       (unsigned long long)num(r, "selected"));
    if (!rc && live)
      rc = xf_buf_printf(out, " (quorum %llu)   %llu connected",
                         (unsigned long long)num(r, "quorum"),
                         (unsigned long long)num(r, "connected"));
    if (!rc) rc = xf_buf_put_str(out, "\n");
  }
  if (!rc && str(r, "reason")[0]) rc = xf_buf_printf(out, "reason  %s\n", str(r, "reason"));
  if (!rc && has(r, "model_blake2b"))
    rc = xf_buf_printf(out, "model   %.16s...\n", str(r, "model_blake2b"));
  if (!rc) rc = xf_tool_drift_text(out, xf_json_find(r, "drift"), "drift   ");
  const struct xf_json_value *privacy = xf_json_find(r, "privacy");
  if (!rc && real(privacy, "epsilon_max") > 0)
    rc = xf_buf_printf(out, "epsilon %.4g (%s)\n", real(privacy, "epsilon_max"),
                       str(privacy, "claim"));
  return rc;
}

static enum xf_rc put_member(struct xf_buf *out, const struct xf_json_value *m) {
  char seen[32] = "never", note[64] = "-", eps[32] = "-";
  const uint64_t total = num(m, "total"), done = num(m, "done");
  if (has(m, "last_seen_s")) (void)xf_admin_ago(seen, real(m, "last_seen_s"));
  if (total && done < total)
    (void)snprintf(note, sizeof note, "%.0f %%", 100 * (double)done / (double)total);
  if (real(m, "epsilon") > 0) (void)snprintf(eps, sizeof eps, "%.4g", real(m, "epsilon"));
  return xf_buf_printf(out, "%-20s  %-14s  %-10s  %-10s  %-8s  %7llu  %s\n", str(m, "client"),
                       str(m, "domain"), has(m, "state") ? str(m, "state") : "-", seen, note,
                       (unsigned long long)num(m, "updates"), eps);
}

enum xf_rc xf_admin_text_status(struct xf_buf *out, const struct xf_json_value *r) {
  const struct xf_json_value *members = xf_json_find(r, "members");
  enum xf_rc rc = put_head(out, r);
  if (!rc)
    rc = xf_buf_printf(out, "%-20s  %-14s  %-10s  %-10s  %-8s  %7s  %s\n", "client", "domain",
                       "state", "last seen", "progress", "updates", "epsilon");
  for (size_t i = 0; i < xf_json_len(members) && !rc; i++)
    rc = put_member(out, xf_json_at(members, i));
  return rc;
}

/* --- rounds ---------------------------------------------------------------------------------------------------- */

static enum xf_rc put_round(struct xf_buf *out, const struct xf_json_value *r) {
  char took[32] = "-", up[32], opened[XF_WALL_LEN], model[17] = "-";
  const uint64_t from = num(r, "opened_us"), to = num(r, "ended_us");
  if (to > from) (void)snprintf(took, sizeof took, "%.2f s", (double)(to - from) / 1e6);
  if (has(r, "model")) (void)snprintf(model, sizeof model, "%.12s", str(r, "model"));
  return xf_buf_printf(
      out, "%6llu  %-8s  %-10s  %4llu/%-4llu  %7llu  %10s  %-24s  %8s  %-12s  %s\n",
      (unsigned long long)num(r, "round"), str(r, "kind"), str(r, "state"),
      (unsigned long long)num(r, "participants"), (unsigned long long)num(r, "cohort"),
      (unsigned long long)num(r, "refused"), bytes(up, num(r, "bytes_up")),
      xf_wall_print(opened, (int64_t)from), took, model, str(r, "reason"));
}

enum xf_rc xf_admin_text_rounds(struct xf_buf *out, const struct xf_json_value *reply) {
  const struct xf_json_value *rounds = xf_json_find(reply, "rounds");
  enum xf_rc rc = xf_buf_printf(out, "%6s  %-8s  %-10s  %9s  %7s  %10s  %-24s  %8s  %-12s  %s\n",
                                "round", "kind", "state", "counted", "refused", "bytes up",
                                "opened", "took", "model", "reason");
  for (size_t i = 0; i < xf_json_len(rounds) && !rc; i++)
    rc = put_round(out, xf_json_at(rounds, i));
  if (!rc && xf_json_len(rounds) == 0) rc = xf_buf_put_str(out, "no round was opened yet\n");
  return rc;
}

/* --- commands -------------------------------------------------------------------------------------------------- */

enum xf_rc xf_admin_text_done(struct xf_buf *out, const char *command,
                              const struct xf_json_value *reply) {
  if (strcmp(command, "reload") == 0) {
    const char *changed = str(reply, "changed");
    return xf_buf_printf(out, "reloaded; changed: %s\n", changed[0] ? changed : "nothing");
  }
  return xf_buf_printf(out, "%s: %s; state %s\n", command,
                       flag(reply, "draining") ? "draining, the coordinator ends after this round"
                       : flag(reply, "paused") ? "paused, no new round is opened"
                                               : "running",
                       str(reply, "state"));
}
