/* What this silo's releases cost, in the words of priv/statement.h, as log lines. */
#include "client/io/parts.h"
#include "priv/statement.h"

#include <string.h>

enum { TEXT_MAX = 8192 };

static struct xf_statement statement(const struct xf_client *c, const char *exports[4]) {
  const bool noise = c->effect.noise_multiplier > 0;
  struct xf_statement s = {.silo = c->cfg.member,
                           .clip = c->effect.clip,
                           .odometer = c->account.spent,
                           .delta = c->plan->privacy.delta,
                           .exports = exports,
                           .users = c->plan->privacy.unit == XF_PLAN_UNIT_USER,
                           .records = c->plan->privacy.unit == XF_PLAN_UNIT_RECORD,
                           .steps = xf_plan_by_units(c->plan),
                           .rate = c->plan->stages[0].local.sample_rate,
                           .rows = xf_resolve_spaces(c->plan).n > 0,
                           .trusted_alignment = xf_resolve_spaces(c->plan).n > 0};
  if (!noise || c->cfg.policy.export_metrics) {
    exports[s.n_exports++] = "samples";
    exports[s.n_exports++] = "loss";
    exports[s.n_exports++] = "metrics";
  }
  return s;
}

static void log_lines(char *text) {
  for (char *line = text, *end; line && *line; line = end) {
    end = strchr(line, '\n');
    if (end) *end++ = '\0';
    xf_log(XF_LOG_INFO, "privacy", XF_S("statement", line));
  }
}

void client_privacy_print(const struct xf_client *c) {
  const char *exports[4];
  struct xf_buf out;
  const struct xf_statement s = statement(c, exports);
  xf_buf_init(&out, TEXT_MAX);
  enum xf_rc rc = xf_statement_print(&out, &s);
  if (!rc) rc = xf_buf_put_u8(&out, '\0');
  if (rc) xf_log(XF_LOG_ERROR, "privacy", XF_S("reason", xf_rc_text(rc)));
  else log_lines((char *)out.p);
  xf_buf_deinit(&out);
}

void client_privacy_print_short(const struct xf_client *c, uint64_t round) {
  const char *exports[4];
  struct xf_buf out;
  const struct xf_statement s = statement(c, exports);
  xf_buf_init(&out, TEXT_MAX);
  enum xf_rc rc = xf_statement_print_short(&out, &s);
  xf_log(rc ? XF_LOG_ERROR : XF_LOG_INFO, "privacy", XF_U("round", round),
         XF_S("statement", rc ? xf_rc_text(rc) : xf_buf_cstr(&out)));
  xf_buf_deinit(&out);
}
