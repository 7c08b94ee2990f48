/* Arms of one domain: which candidates each may use, its guard, its figures. */
#include "domains.h"

#include "base/alloc.h"
#include "data/csr.h"
#include "rec/mix.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SEEDS = 3, N_NEG = 999 };
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
  xf_free(d->judge);
  xf_free(d->tested);
  for (int a = 0; a < N_ARM; a++) xf_free(d->hr[a]), xf_free(d->ndcg[a]);
}

enum xf_rc domain_fit(struct domain *d, struct xf_worker *pool, struct xf_diag *diag) {
  const struct xf_recommender_input in = {.split = &d->split, .key = d->key, .pool = pool};
  const struct xf_recommender_spec spec = xf_recommender_defaults();
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

/* SEEDS x 999 negatives of each user with a held-out item: items that occur in train and that the user has in no part. */
static enum xf_rc negatives(struct xf_csr *out, const struct xf_split *split, enum xf_part part) {
  struct xf_csr draw[SEEDS] = {{0}};
  enum xf_rc rc = XF_OK;
  *out = (struct xf_csr){.n_row = split->n_users};
  out->start = xf_calloc((size_t)split->n_users + 1, sizeof *out->start);
  for (uint64_t s = 0; !rc && s < SEEDS; s++)
    rc = xf_mix_negatives(&draw[s], split, part, N_NEG, s);
  if (!rc) out->item = xf_calloc((size_t)xf_csr_count(&draw[0]) * SEEDS + 1, sizeof *out->item);
  for (uint32_t u = 0; !rc && u < split->n_users; u++) {
    uint32_t at = out->start[u];
    const bool held = split->part[part].start[u + 1] > split->part[part].start[u];
    for (int s = 0; held && s < SEEDS; s++) {
      const uint32_t n = draw[s].start[u + 1] - draw[s].start[u];
      if (n < N_NEG) rc = XF_E_RANGE;
      else memcpy(out->item + at, draw[s].item + draw[s].start[u], n * sizeof *out->item);
      at += n < N_NEG ? 0 : n;
    }
    out->start[u + 1] = at;
  }
  for (int s = 0; s < SEEDS; s++) xf_csr_deinit(&draw[s]);
  return rc;
}

/* HR@10 and NDCG@10 of each of `users` by a guard's blend, from the candidates' scores of held-out items and negatives. */
static void measure(const struct xf_guard_table *t, const struct xf_recommender_choice *c,
                    const bool *users, float *hr, float *ndcg) {
  float *row = xf_calloc(1 + SEEDS * N_NEG, sizeof *row);
  for (uint32_t i = 0; i < t->n_user; i++) {
    const uint32_t u = t->user[i];
    if (!users[u]) continue;
    memset(row, 0, (1 + SEEDS * N_NEG) * sizeof *row);
    for (uint32_t k = 0; k < c->guard.n_candidate; k++) {
      const float *part = xf_guard_table_row(t, i, c->index[k]), w = (float)c->guard.weight[k];
      for (uint32_t s = 0; w != 0 && s < 1 + SEEDS * N_NEG; s++) row[s] += w * part[s];
    }
    hr[u] = ndcg[u] = 0;
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
      uint32_t above = 0;
      for (uint32_t k = 0; k < N_NEG; k++) above += row[1 + seed * N_NEG + k] >= row[0];
      if (above >= 10) continue;
      hr[u] += 1.0f / SEEDS;
      ndcg[u] += (float)(1 / log2(above + 2.0) / SEEDS);
    }
  }
  xf_free(row);
}

static void say_guard(struct domain *d, enum arm arm, const struct xf_recommender_choice *c,
                      int half, bool refused) {
  size_t at = strlen(d->report);
  at += (size_t)snprintf(d->report + at, sizeof d->report - at, "    %s%s:", domain_arm[arm],
                         half < 0 ? ""
                         : half   ? " (by half 2)"
                                  : " (by half 1)");
  for (uint32_t s = 0; s < c->guard.n_step && at < sizeof d->report; s++)
    at += (size_t)snprintf(d->report + at, sizeof d->report - at, "%s %g %s", s ? " +" : "",
                           c->guard.step[s].weight,
                           d->rec->candidate[c->index[c->guard.step[s].candidate]].name);
  if (at < sizeof d->report)
    (void)snprintf(d->report + at, sizeof d->report - at, "%s\n", refused ? " (refused)" : "");
}

/* What an arm with shared candidates must not be worse than, as a silo serves it; N_ARM: nothing. */
static enum arm arm_floor(enum arm arm) {
  if (arm == GUARDED || arm == ROWS_ONLY) return ALONE;
  return arm == GUARDED_TIME || arm == ROWS_TIME ? ALONE_TIME : N_ARM;
}

/* An arm's choice, with the refusal a silo's has. */
static enum xf_rc choose(struct xf_recommender_choice *out, bool *refused, struct domain *d,
                         enum arm arm, const struct xf_guard_table *table, const bool *chooses,
                         struct xf_diag *diag) {
  const uint32_t max_add = d->rec->guard.max_add;
  bool use[XF_BLEND_PARTS];
  for (uint32_t i = 0; i < d->rec->n_candidate; i++) use[i] = arm_uses(arm, &d->rec->candidate[i]);
  if (arm_single(arm)) d->rec->guard.max_add = 0;
  enum xf_rc rc = xf_recommender_choose(out, d->rec, table, use, chooses, diag);
  d->rec->guard.max_add = max_add;
  *refused = false;
  if (rc || arm_floor(arm) == N_ARM) return rc;
  struct xf_recommender_choice alone;
  struct xf_recommender_refused what;
  bool no;
  rc = choose(&alone, &no, d, arm_floor(arm), table, chooses, diag);
  if (!rc) rc = xf_recommender_refuse(out, &alone, d->rec, chooses, &what, diag);
  *refused = !rc && what.guard.n_candidate > 0;
  xf_recommender_choice_deinit(&alone);
  if (rc) xf_recommender_choice_deinit(out);
  return rc;
}

/* One arm by one guard; measures the users it was not chosen on (half -1: all, on test). */
static enum xf_rc one_guard(struct domain *d, enum arm arm, const struct xf_guard_table *table,
                            const struct xf_guard_table *eval, int half, struct xf_diag *diag) {
  const uint32_t n = d->split.n_users;
  bool refused;
  bool *chooses = xf_calloc((size_t)n + 1, sizeof *chooses);
  bool *measured = xf_calloc((size_t)n + 1, sizeof *measured);
  struct xf_recommender_choice choice;
  for (uint32_t u = 0; u < n; u++) {
    const int side = (int)((d->global[u] * UINT32_C(2654435761)) >> 31);
    chooses[u] = half < 0 || side == half;
    measured[u] = half < 0 || side != half;
    if (half < 0 && d->tested) measured[u] = d->tested[u];
    if (half >= 0 && d->judge) measured[u] = measured[u] && d->judge[u];
  }
  const enum xf_rc rc = choose(&choice, &refused, d, arm, table, chooses, diag);
  if (!rc) {
    say_guard(d, arm, &choice, half, refused);
    d->valid[arm] += choice.guard.value / (half < 0 ? 1 : 2);
    measure(eval, &choice, measured, d->hr[arm], d->ndcg[arm]);
    xf_recommender_choice_deinit(&choice);
  }
  xf_free(chooses);
  xf_free(measured);
  return rc;
}

/* All candidates' scores of the part that is measured. */
static enum xf_rc eval_table(struct xf_guard_table *out, const struct domain *d,
                             struct xf_diag *diag) {
  struct xf_guard_spec spec = d->rec->guard;
  struct xf_csr list;
  spec.part = final_run ? XF_PART_TEST : XF_PART_VALID;
  spec.users = final_run ? d->tested : d->judge;
  spec.max_bytes = (uint64_t)4 << 30;
  enum xf_rc rc = negatives(&list, &d->split, spec.part);
  if (rc) return xf_diag_set(diag, rc, "domain %s has too few items", d->name);
  spec.list = &list;
  rc = xf_recommender_table(out, d->rec, &spec, diag);
  xf_csr_deinit(&list);
  out->held.list = NULL;
  return rc;
}

enum xf_rc domain_measure(struct domain *d, uint32_t n_arm, struct xf_diag *diag) {
  struct xf_guard_table table = {0}, eval = {0};
  struct xf_guard_spec guard = d->rec->guard;
  guard.users = d->judge;
  enum xf_rc rc = xf_recommender_table(&table, d->rec, &guard, diag);
  if (!rc) rc = eval_table(&eval, d, diag);
  d->report[0] = 0;
  for (uint32_t a = 0; !rc && a < n_arm; a++) {
    d->valid[a] = 0;
    for (int m = 0; m < 2; m++) {
      float **f = m ? &d->ndcg[a] : &d->hr[a];
      if (!*f) *f = xf_calloc((size_t)d->split.n_users + 1, sizeof **f);
      for (uint32_t u = 0; u < d->split.n_users; u++) (*f)[u] = NAN;
    }
    if (final_run) rc = one_guard(d, (enum arm)a, &table, &eval, -1, diag);
    for (int half = 0; !rc && !final_run && half < 2; half++)
      rc = one_guard(d, (enum arm)a, &table, &eval, half, diag);
  }
  if (!rc) rc = xf_recommender_decide(d->rec, &table, diag);
  xf_guard_table_deinit(&table);
  xf_guard_table_deinit(&eval);
  return rc;
}
