/* Which candidates each arm serves: the guard over subsets of them (recommender.h). */
#include "rec/recommender.h"

#include "base/alloc.h"
#include "base/time.h"
#include "rec/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- choose ---- */

static struct xf_guard_candidate guard_candidate(const struct xf_recommender_candidate *c) {
  return (struct xf_guard_candidate){c->name, c->scorer, (c->flags & XF_RECOMMENDER_SHARED) != 0};
}

enum xf_rc xf_recommender_table(struct xf_guard_table *out, const struct xf_recommender *rec,
                                const struct xf_guard_spec *guard, struct xf_diag *diag) {
  struct xf_guard_candidate c[XF_BLEND_PARTS];
  for (uint32_t i = 0; i < rec->n_candidate; i++) c[i] = guard_candidate(&rec->candidate[i]);
  const struct xf_guard_mix *mix[XF_BLEND_PARTS];
  bool any = false;
  struct xf_guard_spec spec = guard ? *guard : rec->guard;
  for (uint32_t i = 0; i < rec->n_candidate; i++) {
    mix[i] = rec->candidate[i].mix;
    any |= mix[i] != NULL;
  }
  spec.mix = any ? mix : NULL;
  return xf_guard_table_init(out, c, rec->n_candidate, &spec, diag);
}

void xf_recommender_choice_deinit(struct xf_recommender_choice *choice) {
  xf_scorer_free(choice->scorer);
  xf_free(choice->figure);
  *choice = (struct xf_recommender_choice){0};
}

static enum xf_rc choose(struct xf_recommender_choice *out, const struct xf_recommender *rec,
                         const struct xf_guard_table *table, const bool *use, const bool *users,
                         uint32_t max_add, struct xf_diag *diag) {
  struct xf_guard_candidate c[XF_BLEND_PARTS];
  struct xf_scorer *scorer[XF_BLEND_PARTS];
  struct xf_guard_spec spec = rec->guard;
  uint32_t n = 0;
  *out = (struct xf_recommender_choice){0};
  spec.split = table->held.split;
  spec.part = table->held.part;
  spec.list = table->held.list;
  spec.max_add = max_add;
  for (uint32_t i = 0; i < rec->n_candidate; i++) {
    if (use && !use[i]) continue;
    c[n] = guard_candidate(&rec->candidate[i]);
    scorer[n] = rec->candidate[i].scorer;
    out->index[n++] = i;
  }
  if (n == 0) return xf_diag_set(diag, XF_E_NOTFOUND, "no candidate to choose from");
  enum xf_rc rc = xf_guard_table_fit(&out->guard, table, c, out->index, n, users, &spec, diag);
  if (rc) return rc;
  out->figure = xf_try_calloc((size_t)table->n_all_users + 1, sizeof *out->figure);
  if (!out->figure) rc = XF_E_NOMEM;
  if (!rc) rc = xf_guard_table_eval(table, &out->guard, out->index, out->figure);
  if (rc) rc = xf_diag_set(diag, rc, "the figures of %u users", table->n_all_users);
  if (!rc) rc = xf_guard_blend(&out->scorer, &out->guard, c, scorer, false, diag);
  if (rc) xf_recommender_choice_deinit(out);
  return rc;
}

enum xf_rc xf_recommender_choose(struct xf_recommender_choice *out,
                                 const struct xf_recommender *rec,
                                 const struct xf_guard_table *table, const bool *use,
                                 const bool *users, struct xf_diag *diag) {
  return choose(out, rec, table, use, users, rec->guard.max_add, diag);
}

/* ---- decide ---- */

/* Which candidates an arm may use; returns how many. */
static uint32_t arm_use(const struct xf_recommender *rec, enum xf_recommender_arm arm, bool *use) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < rec->n_candidate; i++) {
    const struct xf_recommender_candidate *c = &rec->candidate[i];
    const bool shared = (c->flags & XF_RECOMMENDER_SHARED) != 0;
    use[i] = arm == XF_RECOMMENDER_ARM_POPULARITY  ? strcmp(c->name, "popularity") == 0
             : arm == XF_RECOMMENDER_ARM_ALONE     ? !shared
             : arm == XF_RECOMMENDER_ARM_FEDERATED ? shared
                                                   : true;
    n += use[i];
  }
  return n;
}

/* Weights and steps of alone's blend, over the candidates of `served`. */
static void take_alone(struct xf_recommender_choice *served,
                       const struct xf_recommender_choice *alone) {
  struct xf_guard *g = &served->guard;
  uint32_t at[XF_BLEND_PARTS] = {0}; /* of alone's candidates among served's */
  for (uint32_t i = 0, k = 0; i < g->n_candidate; i++) {
    g->weight[i] = 0;
    if (k == alone->guard.n_candidate || alone->index[k] != served->index[i]) continue;
    at[k] = i;
    g->weight[i] = alone->guard.weight[k++];
  }
  g->n_step = alone->guard.n_step;
  g->value = alone->guard.value;
  g->gain = alone->guard.gain;
  g->se = alone->guard.se;
  for (uint32_t i = 0; i < g->n_step; i++) {
    g->step[i] = alone->guard.step[i];
    g->step[i].candidate = at[g->step[i].candidate];
  }
}

enum xf_rc xf_recommender_refuse(struct xf_recommender_choice *served,
                                 const struct xf_recommender_choice *alone,
                                 const struct xf_recommender *rec, const bool *users,
                                 struct xf_recommender_refused *refused, struct xf_diag *diag) {
  const uint32_t n = rec->split->n_users;
  struct xf_guard_candidate c[XF_BLEND_PARTS];
  struct xf_scorer *scorer[XF_BLEND_PARTS], *blend = NULL;
  float *figure = xf_memdup(served->figure, ((size_t)n + 1) * sizeof *figure);
  *refused = (struct xf_recommender_refused){0};
  for (uint32_t u = 0; users && u < n; u++)
    if (!users[u]) figure[u] = NAN;
  (void)xf_measure_paired(figure, alone->figure, n, &refused->gain, &refused->se);
  xf_free(figure);
  if (!(refused->gain < 0)) return XF_OK;
  refused->guard = served->guard;
  take_alone(served, alone);
  for (uint32_t i = 0; i < served->guard.n_candidate; i++) {
    c[i] = guard_candidate(&rec->candidate[served->index[i]]);
    scorer[i] = rec->candidate[served->index[i]].scorer;
  }
  const enum xf_rc rc = xf_guard_blend(&blend, &served->guard, c, scorer, false, diag);
  if (rc) return rc;
  xf_scorer_free(served->scorer);
  served->scorer = blend;
  memcpy(served->figure, alone->figure, n * sizeof *served->figure);
  return XF_OK;
}

static enum xf_rc decide(struct xf_recommender *rec, const struct xf_guard_table *table,
                         struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (int a = 0; !rc && a < XF_RECOMMENDER_N_ARM; a++) {
    const enum xf_recommender_arm arm = (enum xf_recommender_arm)a;
    bool use[XF_BLEND_PARTS];
    xf_recommender_choice_deinit(&rec->arm[a]);
    if (arm_use(rec, arm, use) == 0) continue;
    const bool one = arm == XF_RECOMMENDER_ARM_POPULARITY || arm == XF_RECOMMENDER_ARM_FEDERATED;
    rc = choose(&rec->arm[a], rec, table, use, NULL, one ? 0 : rec->guard.max_add, diag);
  }
  struct xf_recommender_choice *guarded = &rec->arm[XF_RECOMMENDER_ARM_GUARDED],
                               *alone = &rec->arm[XF_RECOMMENDER_ARM_ALONE];
  rec->gain = rec->gain_se = NAN;
  rec->refused = (struct xf_recommender_refused){0};
  if (rc || !guarded->scorer || !alone->scorer) return rc;
  rc = xf_recommender_refuse(guarded, alone, rec, NULL, &rec->refused, diag);
  rec->gain = rec->refused.guard.n_candidate ? 0 : rec->refused.gain;
  rec->gain_se = rec->refused.guard.n_candidate ? 0 : rec->refused.se;
  return rc;
}

/* Without a judged user nothing speaks for the federation: the local candidate that split A likes best, else the first. */
static enum xf_rc decide_blind(struct xf_recommender *rec, struct xf_diag *diag) {
  uint32_t best = XF_NO_ID;
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < rec->n_candidate; i++) {
    const struct xf_recommender_candidate *c = &rec->candidate[i];
    if (c->flags & XF_RECOMMENDER_SHARED) continue;
    if (best == XF_NO_ID || c->tuned > rec->candidate[best].tuned ||
        (isnan(rec->candidate[best].tuned) && !isnan(c->tuned)))
      best = i;
  }
  if (best == XF_NO_ID) return xf_diag_set(diag, XF_E_NOTFOUND, "no local candidate to serve");
  for (int a = 0; a < XF_RECOMMENDER_N_ARM; a++) xf_recommender_choice_deinit(&rec->arm[a]);
  const enum xf_recommender_arm arm[] = {XF_RECOMMENDER_ARM_ALONE, XF_RECOMMENDER_ARM_GUARDED};
  const struct xf_guard_candidate c = guard_candidate(&rec->candidate[best]);
  for (int a = 0; !rc && a < 2; a++) {
    struct xf_recommender_choice *choice = &rec->arm[arm[a]];
    choice->index[0] = best;
    choice->guard = (struct xf_guard){.n_candidate = 1, .n_step = 1};
    choice->guard.weight[0] = 1;
    choice->guard.alone[0] = choice->guard.value = NAN;
    rc = xf_guard_blend(&choice->scorer, &choice->guard, &c, &rec->candidate[best].scorer, false,
                        diag);
  }
  rec->gain = rec->gain_se = NAN;
  rec->refused = (struct xf_recommender_refused){0};
  if (!rc && rec->n_note < XF_RECOMMENDER_NOTES)
    (void)snprintf(rec->note[rec->n_note++], XF_RECOMMENDER_NOTE,
                   "no validation event: nothing speaks for the federation; the local candidate "
                   "that split A likes best is served");
  return rc;
}

enum xf_rc xf_recommender_decide(struct xf_recommender *rec, const struct xf_guard_table *table,
                                 struct xf_diag *diag) {
  const struct xf_time from = xf_time_now();
  struct xf_guard_table own = {0};
  enum xf_rc rc = table ? XF_OK : xf_recommender_table(&own, rec, NULL, diag);
  if (rc == XF_E_NOTFOUND && !table) return decide_blind(rec, diag);
  if (!rc) rc = decide(rec, table ? table : &own, diag);
  xf_guard_table_deinit(&own);
  rec->seconds += xf_time_diff_s(xf_time_now(), from);
  return rc;
}

/* The last candidate with a flag that has a part in an arm, by itself or in a mix; NULL: none. */
static const struct xf_recommender_candidate *used(const struct xf_recommender *rec,
                                                   enum xf_recommender_arm arm, uint32_t flag) {
  const struct xf_recommender_choice *c = &rec->arm[arm];
  const struct xf_recommender_candidate *last = NULL;
  for (uint32_t i = 0; i < rec->n_candidate; i++) {
    bool uses = false;
    for (uint32_t k = 0; c->scorer && k < c->guard.n_candidate; k++) {
      const struct xf_guard_mix *mix = rec->candidate[c->index[k]].mix;
      if (c->guard.weight[k] == 0) continue;
      uses |= c->index[k] == i || (mix && (mix[i].linear != 0 || mix[i].bend != 0));
    }
    if (uses && rec->candidate[i].flags & flag) last = &rec->candidate[i];
  }
  return last;
}

bool xf_recommender_uses_kg(const struct xf_recommender *rec, enum xf_recommender_arm arm) {
  return used(rec, arm, XF_RECOMMENDER_GRAPH) != NULL;
}

const struct xf_scorer *xf_recommender_categories(const struct xf_recommender *rec,
                                                  enum xf_recommender_arm arm) {
  const struct xf_recommender_candidate *c = used(rec, arm, XF_RECOMMENDER_SHELVES);
  return c ? c->scorer : NULL;
}

const struct xf_scorer *xf_recommender_served(const struct xf_recommender *rec) {
  return rec->arm[XF_RECOMMENDER_ARM_GUARDED].scorer;
}
