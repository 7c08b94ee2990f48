/* What the ledger says of each update's training: the core chooses members by it (server/core/cohort.c). */
#include "base/alloc.h"
#include "server/io/state.h"
#include "json/json.h"

#include <string.h>

struct xf_coord_figures srv_figures_of(const struct xf_ledger_stored *s) {
  struct xf_coord_figures f = {.n_samples = s->u.n_samples};
  struct xf_json *json = NULL;
  if (!s->metrics || !s->metrics[0] ||
      xf_json_parse(&json, "ledger", s->metrics, strlen(s->metrics), NULL, NULL))
    return f;
  const struct xf_json_value *root = xf_json_root(json);
  f.has_loss = xf_json_double(xf_json_find(root, "loss_sum"), &f.loss_sum) &&
               xf_json_uint(xf_json_find(root, "loss_count"), &f.loss_count);
  if (!xf_json_double(xf_json_find(root, "seconds"), &f.seconds)) f.seconds = 0;
  xf_json_free(json);
  return f;
}

void srv_history_add(struct srv_recovery *out, const struct srv_state *st, uint64_t commit,
                     uint32_t member, const struct xf_ledger_stored *s) {
  const uint32_t stage = xf_plan_stage_at(&st->plan, commit, NULL);
  if (!xf_plan_remembers(&st->plan.stages[stage])) return;
  if (out->r.n_history == out->cap_history) {
    out->cap_history = 2 * out->cap_history + 64;
    out->history = xf_realloc_array(out->history, out->cap_history, sizeof *out->history);
    out->r.history = out->history;
  }
  out->history[out->r.n_history++] = (struct xf_coord_history){commit, member, srv_figures_of(s)};
}
