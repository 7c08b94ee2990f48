/* Arms of one domain: which candidates each may use, its guard, its figures. */
#include "domains.h"

#include "base/alloc.h"
#include "rec/rank_eval.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SEEDS = 3 };
bool final_run;
const char *const domain_arm[N_ARM] = {"popularity",   "local",         "alone",     "pooled",
                                       "federated",    "guarded",       "rows-only", "alone+time",
                                       "guarded+time", "rows-only+time"};

/* Data view, and the users' numbers among all domains' names. */
void domain_users(struct domain *d, const struct xf_names *all) {
  d->data = (struct xf_rec_data){d->split.n_users, d->split.n_items, &d->split.part[XF_PART_TRAIN]};
  d->global = xf_calloc((size_t)d->split.n_users + 1, sizeof *d->global);
  d->key = xf_calloc((size_t)d->split.n_users + 1, sizeof *d->key);
  for (uint32_t u = 0; u < d->split.n_users; u++) {
    const char *name = xf_names_get(&d->inter.users, u);
    d->key[u] = d->global[u] = xf_names_find(all, name, strlen(name));
  }
}

void domain_deinit(struct domain *d) {
  xf_recommender_free(d->rec);
  xf_split_deinit(&d->split);
  xf_interactions_deinit(&d->inter);
  xf_free(d->global);
  xf_free(d->key);
  for (int a = 0; a < N_ARM; a++) xf_free(d->hr[a]), xf_free(d->ndcg[a]);
}

enum xf_rc domain_fit(struct domain *d, uint32_t k, const struct xf_joint *joint,
                      const char *const *name, uint32_t n, struct xf_worker *pool,
                      struct xf_diag *diag) {
  struct xf_recommender_rows rows[XF_BLEND_PARTS];
  const struct xf_recommender_input in = {
      .split = &d->split, .rows = rows, .n_rows = n, .key = d->key, .pool = pool};
  const struct xf_recommender_spec spec = xf_recommender_defaults();
  d->bytes = 0;
  for (uint32_t r = 0; r < n; r++) {
    const struct xf_als_pull *pull = &joint[r].pull[k];
    rows[r] = (struct xf_recommender_rows){name[r], &joint[r].als[k], pull->target ? pull : NULL};
    d->bytes += joint[r].bytes[k];
  }
  return xf_recommender_fit(&d->rec, &in, &spec, diag);
}

/* The transfer report, and what each arm's guard took. */
enum xf_rc domain_report(struct domain *d, struct xf_diag *diag) {
  struct xf_buf text;
  xf_buf_init(&text, 1 << 20);
  enum xf_rc rc = xf_recommender_print(d->rec, &text);
  if (rc) rc = xf_diag_set(diag, rc, "the report of domain %s", d->name);
  else printf("domain %s: %s%s", d->name, xf_buf_cstr(&text), d->report);
  xf_buf_deinit(&text);
  return rc;
}

static bool arm_uses(enum arm arm, const struct xf_recommender_candidate *c) {
  const bool shared = c->flags & XF_RECOMMENDER_SHARED, timed = c->flags & XF_RECOMMENDER_TIMED;
  const bool pooled = strcmp(c->name, "pooled") == 0;
  switch (arm) {
  case POPULARITY: return strcmp(c->name, "popularity") == 0;
  case LOCAL: return strcmp(c->name, "als") == 0;
  case POOLED: return pooled;
  case ALONE: return !shared && !timed;
  case FEDERATED: return shared && !timed;
  case GUARDED: return !timed;
  case ROWS_ONLY: return !timed && !pooled;
  case ALONE_TIME: return !shared;
  case ROWS_TIME: return !pooled;
  default: return true;
  }
}

/* Whether the arm is one candidate, picked but not blended. */
static bool arm_single(enum arm arm) {
  return arm == POPULARITY || arm == LOCAL || arm == POOLED || arm == FEDERATED;
}

struct asker {
  const struct xf_scorer *scorer;
  struct xf_heldout_spec held;
  float *row;
};

static enum xf_rc ask(void *arg, const uint32_t *users, uint32_t n, const float **out,
                      struct xf_diag *diag) {
  struct asker *a = arg;
  struct xf_query q[XF_HELDOUT_BLOCK];
  bool served[XF_HELDOUT_BLOCK];
  for (uint32_t i = 0; i < n; i++) q[i] = xf_heldout_query(&a->held, users[i]);
  *out = a->row;
  return xf_scorer_score_many(a->scorer, q, n, a->row, served, diag);
}

/* HR@10 and NDCG@10 of each of `users` (NULL: all). */
static enum xf_rc measure(const struct xf_split *split, enum xf_part part,
                          const struct xf_scorer *scorer, const bool *users, float *hr, float *ndcg,
                          struct xf_diag *diag) {
  static const struct xf_measure MEASURE[] = {{XF_MEASURE_HR, 10}, {XF_MEASURE_NDCG, 10}};
  const size_t n = split->n_users;
  const int seeds = final_run ? SEEDS : 1;
  float *each = xf_calloc(n * 2, sizeof *each);
  struct asker a = {scorer,
                    {split, part, NULL, true, 10, 0},
                    xf_calloc((size_t)XF_HELDOUT_BLOCK * split->n_items, sizeof *a.row)};
  struct xf_measure_sum sum[2];
  enum xf_rc rc = XF_OK;
  for (size_t u = 0; u < n; u++)
    if (!users || users[u]) hr[u] = ndcg[u] = 0;
  for (uint64_t seed = 0; !rc && seed < (uint64_t)seeds; seed++) {
    const struct xf_rank_spec spec = {.part = part,
                                      .n_neg = 999,
                                      .train_items = true,
                                      .seed = seed,
                                      .measure = MEASURE,
                                      .n_measure = 2,
                                      .per_user = each};
    rc = xf_rank_eval(sum, split, &spec, ask, &a, diag);
    for (size_t u = 0; u < n; u++) {
      if (users && !users[u]) continue;
      hr[u] += each[u * 2] / (float)seeds;
      ndcg[u] += each[u * 2 + 1] / (float)seeds;
    }
  }
  xf_free(each);
  xf_free(a.row);
  return rc;
}

static void say_guard(struct domain *d, enum arm arm, const struct xf_recommender_choice *c,
                      int half) {
  size_t at = strlen(d->report);
  at += (size_t)snprintf(d->report + at, sizeof d->report - at, "    %s%s:", domain_arm[arm],
                         half < 0 ? ""
                         : half   ? " (by half 2)"
                                  : " (by half 1)");
  for (uint32_t s = 0; s < c->guard.n_step && at < sizeof d->report; s++)
    at += (size_t)snprintf(d->report + at, sizeof d->report - at, "%s %g %s", s ? " +" : "",
                           c->guard.step[s].weight,
                           d->rec->candidate[c->index[c->guard.step[s].candidate]].name);
  if (at < sizeof d->report) (void)snprintf(d->report + at, sizeof d->report - at, "\n");
}

/* One arm by one guard; measures the users it was not chosen on (half -1: all, on test). */
static enum xf_rc one_guard(struct domain *d, enum arm arm, const struct xf_guard_table *table,
                            const struct xf_split *judged, int half, struct xf_diag *diag) {
  const uint32_t n = d->split.n_users, max_add = d->rec->guard.max_add;
  bool use[XF_BLEND_PARTS];
  bool *chooses = xf_calloc((size_t)n + 1, sizeof *chooses);
  bool *measured = xf_calloc((size_t)n + 1, sizeof *measured);
  struct xf_recommender_choice choice;
  for (uint32_t i = 0; i < d->rec->n_candidate; i++) use[i] = arm_uses(arm, &d->rec->candidate[i]);
  for (uint32_t u = 0; u < n; u++) {
    const int side = (int)((d->global[u] * UINT32_C(2654435761)) >> 31);
    chooses[u] = half < 0 || side == half;
    measured[u] = half < 0 || side != half;
  }
  if (arm_single(arm)) d->rec->guard.max_add = 0;
  enum xf_rc rc = xf_recommender_choose(&choice, d->rec, table, use, chooses, diag);
  d->rec->guard.max_add = max_add;
  if (!rc) {
    say_guard(d, arm, &choice, half);
    d->valid[arm] += choice.guard.value / (half < 0 ? 1 : 2);
    rc = measure(judged, final_run ? XF_PART_TEST : XF_PART_VALID, choice.scorer, measured,
                 d->hr[arm], d->ndcg[arm], diag);
    xf_recommender_choice_deinit(&choice);
  }
  xf_free(chooses);
  xf_free(measured);
  return rc;
}

/* All arms of a domain; `judged` has the parts to choose and to measure on (the domain's split, or one cleaned). */
enum xf_rc domain_measure(struct domain *d, const struct xf_split *judged, uint32_t n_arm,
                          struct xf_diag *diag) {
  struct xf_guard_table table;
  struct xf_guard_spec guard = d->rec->guard;
  guard.split = judged;
  enum xf_rc rc = xf_recommender_table(&table, d->rec, &guard, diag);
  d->report[0] = 0;
  for (uint32_t a = 0; !rc && a < n_arm; a++) {
    d->valid[a] = 0;
    for (int m = 0; m < 2; m++) {
      float **f = m ? &d->ndcg[a] : &d->hr[a];
      if (!*f) *f = xf_calloc((size_t)d->split.n_users + 1, sizeof **f);
      for (uint32_t u = 0; u < d->split.n_users; u++) (*f)[u] = NAN;
    }
    if (final_run) rc = one_guard(d, (enum arm)a, &table, judged, -1, diag);
    for (int half = 0; !rc && !final_run && half < 2; half++)
      rc = one_guard(d, (enum arm)a, &table, judged, half, diag);
  }
  xf_guard_table_deinit(&table);
  return rc;
}
