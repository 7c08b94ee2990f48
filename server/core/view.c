/* What status prints: every wait has a sentence. */
#include "server/core/state.h"

#include <stdio.h>
#include <string.h>

const char *xf_coord_record_name(enum xf_coord_record_type type) {
  static const char *const names[] = {
#define RECORD_NAME(n, t) t,
      XF_COORD_RECORD_LIST(RECORD_NAME)
#undef RECORD_NAME
  };
  return (size_t)type < sizeof names / sizeof names[0] ? names[type] : "?";
}

static const char *const task_names[] = {
#define TASK_NAME(n, t) t,
    TASK_STATE_LIST(TASK_NAME)
#undef TASK_NAME
};

/* "waiting for books (training 62 %), music (not connected)" */
static void reason_collecting(const struct xf_coord *c, char *out, size_t cap) {
  size_t at = 0;
  int n = snprintf(out, cap, "round %llu: waiting for", (unsigned long long)c->round);
  at = n > 0 ? (size_t)n : 0;
  for (uint32_t k = 0; k < c->n_cohort && at < cap; k++) {
    const struct member *m = &c->m[c->cohort[k]];
    if (m->task == T_ANSWERED || m->task == T_REFUSED) continue;
    if (m->task == T_WORKING && m->total)
      n = snprintf(out + at, cap - at, " %s (training %llu %%)", m->info->id,
                   (unsigned long long)(100 * m->done / m->total));
    else n = snprintf(out + at, cap - at, " %s (%s)", m->info->id, task_names[m->task]);
    if (n < 0) break;
    at += (size_t)n;
  }
}

void xf_coord_view_get(const struct xf_coord *c, struct xf_time now, struct xf_coord_view *view) {
  (void)now;
  *view = (struct xf_coord_view){.state = c->state,
                                 .kind = c->kind,
                                 .round = c->round,
                                 .committed = c->committed,
                                 .rounds = c->rounds,
                                 .stage = c->stage_at,
                                 .epoch = c->epoch,
                                 .model_digest = c->model_digest,
                                 .n_member = c->n,
                                 .n_selected = c->n_cohort,
                                 .quorum = round_quorum(c),
                                 .paused = c->paused,
                                 .draining = c->draining,
                                 .done = c->done};
  for (uint32_t i = 0; i < c->n; i++) {
    view->n_connected += c->m[i].ready;
    view->n_answered += c->m[i].selected && c->m[i].task == T_ANSWERED;
  }
  if (c->state == XF_ROUND_BROADCASTING || c->state == XF_ROUND_COLLECTING)
    reason_collecting(c, view->reason, sizeof view->reason);
  else memcpy(view->reason, c->wait, sizeof view->reason);
}

void xf_coord_member_get(const struct xf_coord *c, struct xf_time now, uint32_t member,
                         struct xf_coord_member_view *view) {
  const struct member *m = &c->m[member];
  *view = (struct xf_coord_member_view){.id = m->info->id,
                                        .domain = m->info->domain,
                                        .state = !m->conn ? "absent" : task_names[m->task],
                                        .selected = m->selected,
                                        .last_seen_s =
                                            m->ever_seen ? xf_time_diff_s(now, m->last_seen) : -1,
                                        .done = m->done,
                                        .total = m->total,
                                        .epsilon = m->epsilon,
                                        .epsilon_zero_out = m->epsilon_zero_out,
                                        .noise_multiplier = m->noise_multiplier,
                                        .clip = m->clip,
                                        .updates = m->updates,
                                        .bytes_up = m->bytes_up};
}
