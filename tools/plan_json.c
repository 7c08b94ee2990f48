/* A plan's digest, demands and costs as one JSON object. */
#include "tools/plan_json.h"

#include "base/cursor.h"
#include "resolve/global.h"
#include "json/jsonw.h"

#include <string.h>

enum { STAMPS_MAX = 64 * 1024 };

/* Bytes need to know how many rows a silo has where the plan aligns some: null without --rows. */
static void put_bytes(struct xf_jsonw *w, const struct xf_plan *plan,
                      const struct plan_sizes *sizes, const struct xf_plan_lens *lens) {
  const bool known = lens && (sizes->has_rows || !xf_plan_is_aligned(plan));
  xf_jsonw_key(w, "stages");
  xf_jsonw_array(w);
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const struct xf_plan_stage_part *s = &plan->stages[i];
    if (s->kind == XF_PLAN_STAGE_EVALUATE) continue;
    xf_jsonw_object(w);
    xf_jsonw_kstr(w, "name", s->name);
    xf_jsonw_kuint(w, "rounds", s->fed.rounds);
    xf_jsonw_key(w, "down_bytes");
    if (known) xf_jsonw_uint(w, lens->down[i]);
    else xf_jsonw_null(w);
    xf_jsonw_key(w, "up_bytes");
    if (known) xf_jsonw_uint(w, lens->up[i]);
    else xf_jsonw_null(w);
    xf_jsonw_object_end(w);
  }
  xf_jsonw_array_end(w);
  xf_jsonw_key(w, "silo_bytes");
  if (!known) {
    xf_jsonw_null(w);
    return;
  }
  const struct plan_traffic t = xf_tool_plan_traffic(plan, lens);
  xf_jsonw_object(w);
  xf_jsonw_kuint(w, "down", t.down);
  xf_jsonw_kuint(w, "up", t.up);
  xf_jsonw_object_end(w);
  if (!sizes->members) return;
  xf_jsonw_key(w, "all_bytes");
  xf_jsonw_object(w);
  xf_jsonw_kuint(w, "members", sizes->members);
  xf_jsonw_kuint(w, "down", sizes->members * t.down);
  xf_jsonw_kuint(w, "up", sizes->members * t.up);
  xf_jsonw_object_end(w);
}

static enum xf_rc put_traffic(struct xf_jsonw *w, const struct xf_plan *plan,
                              const struct plan_sizes *sizes) {
  struct xf_global g;
  struct xf_diag diag;
  xf_diag_init(&diag);
  const enum xf_rc rc = xf_global_init(&g, plan, NULL, &diag);
  if (rc) { /* no estimate, and why */
    xf_jsonw_kstr(w, "bytes_unknown", xf_diag_text(&diag, rc));
    put_bytes(w, plan, sizes, NULL);
    return XF_OK;
  }
  struct xf_member_rows held = {{0}, {0}};
  for (uint32_t k = 0; k < g.n_space; k++) held.n[k] = (size_t)sizes->rows;
  const struct xf_plan_lens lens = xf_global_lens(&g, plan, &held);
  xf_jsonw_kuint(w, "shared_floats", g.n_shared);
  xf_jsonw_key(w, "row_floats");
  xf_jsonw_object(w);
  for (uint32_t k = 0; k < g.n_space; k++)
    if (g.row_cols[k]) xf_jsonw_kuint(w, g.ns[k], g.row_cols[k]);
  xf_jsonw_object_end(w);
  put_bytes(w, plan, sizes, &lens);
  xf_global_deinit(&g);
  return XF_OK;
}

static void put_epsilon(struct xf_jsonw *w, const struct xf_plan *plan) {
  struct plan_epsilon e;
  struct xf_diag diag;
  xf_diag_init(&diag);
  xf_jsonw_key(w, "epsilon");
  if (plan->privacy.noise_multiplier <= 0 || xf_tool_plan_epsilon(&e, plan, &diag)) {
    xf_jsonw_null(w);
    return;
  }
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "unit", e.unit);
  xf_jsonw_kdouble(w, "zero_out", e.zero_out);
  xf_jsonw_kdouble(w, "replace_one", e.replace_one);
  xf_jsonw_kdouble(w, "delta", e.delta);
  xf_jsonw_kuint(w, "releases", e.releases);
  xf_jsonw_kdouble(w, "noise_multiplier", e.z_used);
  xf_jsonw_object_end(w);
}

static enum xf_rc put_stamps(struct xf_jsonw *w, const struct xf_plan *plan) {
  struct xf_buf stamps;
  struct xf_cursor cur;
  const char *line = NULL;
  size_t len = 0;
  xf_buf_init(&stamps, STAMPS_MAX);
  const enum xf_rc rc = xf_plan_stamps(&stamps, plan);
  xf_jsonw_key(w, "stamps");
  xf_jsonw_array(w);
  xf_cursor_init(&cur, stamps.p, stamps.len);
  while (!rc && xf_cursor_line(&cur, &line, &len) == XF_OK) xf_jsonw_text(w, line, len);
  xf_jsonw_array_end(w);
  xf_buf_deinit(&stamps);
  return rc;
}

enum xf_rc xf_tool_plan_json(struct xf_buf *out, const struct xf_plan *plan,
                             const struct plan_sizes *sizes) {
  struct xf_plan_view v;
  struct xf_digest digest;
  struct xf_jsonw w;
  xf_plan_policy_view(&v, plan);
  enum xf_rc rc = xf_plan_digest(&digest, plan);
  if (rc) return rc;
  xf_jsonw_init(&w, out);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "plan", plan->name);
  xf_jsonw_kdigest(&w, "digest", &digest);
  xf_jsonw_kuint(&w, "seed", plan->seed);
  xf_jsonw_kuint(&w, "rounds", v.rounds);
  xf_jsonw_kuint(&w, "evaluations", xf_plan_evaluations(plan));
  xf_jsonw_kuint(&w, "max_epochs", v.max_epochs);
  xf_jsonw_kuint(&w, "max_steps", v.max_steps);
  xf_jsonw_kdouble(&w, "clip", v.clip);
  xf_jsonw_kdouble(&w, "noise_multiplier", v.noise_multiplier);
  rc = put_traffic(&w, plan, sizes);
  put_epsilon(&w, plan);
  if (!rc) rc = put_stamps(&w, plan);
  xf_jsonw_object_end(&w);
  const enum xf_rc end = xf_jsonw_finish(&w);
  if (!rc) rc = end;
  return rc ? rc : xf_buf_put_u8(out, '\n');
}
