/* Candidates asked once, 32 users at a time. */
#include "rec/guardtable.h"

#include "base/alloc.h"
#include "base/rng.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 32 };
#define DEFAULT_BYTES ((uint64_t)1 << 30)

void xf_guard_table_deinit(struct xf_guard_table *table) {
  xf_free(table->user);
  xf_free(table->start);
  xf_free(table->n_pos);
  xf_free(table->score);
  *table = (struct xf_guard_table){0};
}

struct build {
  struct xf_guard_table *table;
  const struct xf_guard_candidate *candidate;
  const struct xf_guard_spec *spec;
  uint32_t *rival, *order;
  float *row;    /* [BLOCK x n_items] of the candidate at hand */
  float *bent;   /* as all: xf_guard_bend of each, with mixes */
  float *all;    /* [n_candidate x BLOCK x n_items] with mixes, else one candidate's */
  size_t stride; /* BLOCK x n_items */
  uint32_t cap;  /* negatives kept of a user */
};

/* The first n of a seeded shuffle, ascending order kept; the same for all candidates. */
static uint32_t thin(struct build *b, uint32_t user, uint32_t n) {
  if (n <= b->cap) return n;
  struct xf_rng rng;
  xf_rng_init(&rng, b->spec->seed, user);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < n; i++) /* selection sampling. @source Knuth 1969, algorithm S */
    if (xf_rng_below(&rng, n - i) < b->cap - kept) b->rival[kept++] = b->rival[i];
  return kept;
}

/* Users, numbers of held-out items, and how many negatives fit. */
static enum xf_rc plan(struct build *b, struct xf_diag *diag) {
  struct xf_guard_table *t = b->table;
  const struct xf_csr *held = &t->held.split->part[t->held.part];
  const uint64_t max = (b->spec->max_bytes ? b->spec->max_bytes : DEFAULT_BYTES) / sizeof(float);
  uint64_t total = 0, most = 0;
  for (uint32_t u = 0; u < t->n_all_users; u++) {
    const uint32_t n = held->start[u + 1] - held->start[u];
    if (n == 0 || (b->spec->users && !b->spec->users[u])) continue;
    const uint32_t r = xf_heldout_rivals(&t->held, u, b->rival);
    t->user[t->n_user] = u;
    t->n_pos[t->n_user++] = n;
    total += n + r;
    if (n + r > most) most = n + r;
  }
  if (t->n_user == 0)
    return xf_diag_set(diag, XF_E_NOTFOUND, "no user has a held-out item; the guard cannot decide");
  t->sampled = total * t->n_candidate > max;
  b->cap = t->sampled ? (uint32_t)(max / t->n_candidate / t->n_user) : UINT32_MAX;
  if (t->sampled && (t->held.n_neg == 0 || b->cap < 100 || b->cap < t->held.n_neg / 2))
    return xf_diag_set(diag, XF_E_LIMIT,
                       "the guard would keep %" PRIu32 " users x %" PRIu32
                       " candidates x up to %" PRIu64 " items, more than %" PRIu64
                       " MB; raise max_bytes, or give each user a list of negatives",
                       t->n_user, t->n_candidate, most, max * sizeof(float) >> 20);
  return XF_OK;
}

/* A mix of the candidates before, standardised already. */
static void mixed(struct build *b, uint32_t c, uint32_t m) {
  const size_t n = (size_t)m * b->table->held.split->n_items;
  memset(b->row, 0, n * sizeof *b->row);
  for (uint32_t j = 0; j < c; j++) {
    const struct xf_guard_mix *w = &b->spec->mix[c][j];
    const float *z = b->all + j * b->stride, *bend = b->bent + j * b->stride;
    const float wl = (float)w->linear, wb = (float)w->bend;
    for (size_t i = 0; (wl != 0 || wb != 0) && i < n; i++) b->row[i] += wl * z[i] + wb * bend[i];
  }
}

/* Scores of m users by a candidate; zeros where it cannot serve, as in the blend. */
static enum xf_rc ask(struct build *b, uint32_t c, const struct xf_query *q, uint32_t m,
                      bool *served, struct xf_diag *diag) {
  const struct xf_scorer *s = b->candidate[c].scorer;
  const size_t n_items = b->table->held.split->n_items;
  if (b->spec->mix && b->spec->mix[c]) {
    mixed(b, c, m);
    for (uint32_t i = 0; i < m; i++) served[i] = true;
    return XF_OK;
  }
  if (s) return xf_scorer_score_many(s, q, m, b->row, served, diag);
  for (uint32_t i = 0; i < m; i++) {
    const enum xf_rc rc = b->spec->row(b->spec->arg, c, &q[i], b->row + i * n_items, diag);
    served[i] = rc == XF_OK;
    if (rc && rc != XF_E_NOTFOUND) return rc;
    if (rc) memset(b->row + i * n_items, 0, n_items * sizeof *b->row);
  }
  return XF_OK;
}

static void gather(struct build *b, uint32_t i, uint32_t c, const float *row) {
  struct xf_guard_table *t = b->table;
  const struct xf_csr *held = &t->held.split->part[t->held.part];
  const uint32_t u = t->user[i], n = t->n_pos[i], slots = xf_guard_table_slots(t, i);
  float *out = t->score + t->start[i] * t->n_candidate + (size_t)c * slots;
  for (uint32_t k = 0; k < n; k++) out[k] = row[held->item[held->start[u] + k]];
  for (uint32_t k = n; k < slots; k++) out[k] = row[b->rival[k - n]];
}

static enum xf_rc fill(struct build *b, uint32_t at, uint32_t m, uint32_t c, struct xf_diag *diag) {
  const struct xf_guard_table *t = b->table;
  const uint32_t n_items = t->held.split->n_items;
  struct xf_query q[BLOCK];
  bool served[BLOCK];
  if (b->spec->mix) b->row = b->all + c * b->stride;
  for (uint32_t i = 0; i < m; i++) q[i] = xf_heldout_query(&t->held, t->user[at + i]);
  enum xf_rc rc = ask(b, c, q, m, served, diag);
  for (uint32_t i = 0; !rc && i < m; i++) {
    float *row = b->row + (size_t)i * n_items;
    uint32_t bad = 0;
    double unit = 0;
    if (served[i]) rc = xf_blend_standardise(row, n_items, q[i].item, q[i].n, &unit, &bad);
    if (rc) {
      (void)xf_diag_set(diag, rc, "user %u: the score of item %u is not a number", q[i].user, bad);
      break;
    }
    thin(b, q[i].user, xf_heldout_rivals(&t->held, q[i].user, b->rival));
    gather(b, at + i, c, row);
  }
  const size_t n = (size_t)m * n_items;
  float *bend = b->bent ? b->bent + c * b->stride : NULL;
  for (size_t i = 0; !rc && bend && !b->spec->mix[c] && i < n; i++)
    bend[i] = xf_guard_bend(b->row[i]);
  return rc ? xf_diag_prefix(diag, rc, "candidate \"%s\"", b->candidate[c].name) : XF_OK;
}

static enum xf_rc build(struct build *b, struct xf_diag *diag) {
  struct xf_guard_table *t = b->table;
  enum xf_rc rc = plan(b, diag);
  if (rc) return rc;
  for (uint32_t i = 0; i < t->n_user; i++)
    t->start[i + 1] = t->start[i] + t->n_pos[i] +
                      thin(b, t->user[i], xf_heldout_rivals(&t->held, t->user[i], b->rival));
  t->score = xf_try_calloc((size_t)t->start[t->n_user] * t->n_candidate + 1, sizeof *t->score);
  if (!t->score)
    return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u candidates of %u users",
                       t->n_candidate, t->n_user);
  for (uint32_t at = 0; !rc && at < t->n_user; at += BLOCK) {
    const uint32_t left = t->n_user - at, m = left < BLOCK ? left : BLOCK;
    for (uint32_t c = 0; !rc && c < t->n_candidate; c++) rc = fill(b, at, m, c, diag);
  }
  return rc;
}

enum xf_rc xf_guard_table_init(struct xf_guard_table *out,
                               const struct xf_guard_candidate *candidate, uint32_t n,
                               const struct xf_guard_spec *spec, struct xf_diag *diag) {
  *out = (struct xf_guard_table){0};
  enum xf_rc rc = xf_guard_check(candidate, n, spec, diag);
  if (rc) return rc;
  const struct xf_split *split = spec->split;
  *out = (struct xf_guard_table){
      .held = {split, spec->part, spec->list, spec->train_items, spec->k, spec->n_neg},
      .n_candidate = n,
      .n_all_users = split->n_users};
  struct build b = {.table = out, .candidate = candidate, .spec = spec};
  const size_t n_users = (size_t)split->n_users + 1;
  out->user = xf_try_calloc(n_users, sizeof *out->user);
  out->start = xf_try_calloc(n_users, sizeof *out->start);
  out->n_pos = xf_try_calloc(n_users, sizeof *out->n_pos);
  b.rival = xf_try_calloc(xf_heldout_most(&out->held) + 1, sizeof *b.rival);
  b.stride = (size_t)BLOCK * split->n_items;
  b.row = b.all = xf_try_calloc(b.stride * (spec->mix ? n : 1) + 1, sizeof *b.all);
  if (spec->mix) b.bent = xf_try_calloc(b.stride * n + 1, sizeof *b.bent);
  if (out->user && out->start && out->n_pos && b.rival && b.all && (b.bent || !spec->mix))
    rc = build(&b, diag);
  else
    rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u candidates of %u items", n,
                     split->n_items);
  xf_free(b.rival);
  xf_free(b.all);
  xf_free(b.bent);
  if (rc) xf_guard_table_deinit(out);
  return rc;
}

double xf_guard_table_figure(const struct xf_guard_table *table, uint32_t i, const float *a,
                             float w, const float *b) {
  const uint32_t n = table->n_pos[i], slots = xf_guard_table_slots(table, i);
  double sum = 0;
  for (uint32_t h = 0; h < n; h++) {
    const float mine = a[h] + w * b[h];
    uint32_t above = 0;
    for (uint32_t r = n; r < slots; r++) above += a[r] + w * b[r] >= mine;
    sum += xf_heldout_rank(&table->held, above, slots - n, !table->sampled);
  }
  return sum / n;
}

static void blend_row(const struct xf_guard_table *t, const struct xf_guard *g,
                      const uint32_t *column, uint32_t i, float *out) {
  const uint32_t slots = xf_guard_table_slots(t, i);
  memset(out, 0, slots * sizeof *out);
  for (uint32_t c = 0; c < g->n_candidate; c++) {
    const float w = (float)g->weight[c], *row = xf_guard_table_row(t, i, column[c]);
    if (w == 0) continue;
    for (uint32_t k = 0; k < slots; k++) out[k] += w * row[k];
  }
}

static float *blend_room(const struct xf_guard_table *t) {
  size_t most = 0;
  for (uint32_t i = 0; i < t->n_user; i++)
    if (xf_guard_table_slots(t, i) > most) most = xf_guard_table_slots(t, i);
  return xf_try_calloc(most + 1, sizeof(float));
}

enum xf_rc xf_guard_table_eval(const struct xf_guard_table *table, const struct xf_guard *guard,
                               const uint32_t *column, float *figure) {
  float *blend = blend_room(table);
  if (!blend) return XF_E_NOMEM;
  for (uint32_t u = 0; u < table->n_all_users; u++) figure[u] = NAN;
  for (uint32_t i = 0; i < table->n_user; i++) {
    blend_row(table, guard, column, i, blend);
    figure[table->user[i]] = (float)xf_guard_table_figure(table, i, blend, 0, blend);
  }
  xf_free(blend);
  return XF_OK;
}

/* Running mean and sum of squared deviations. @source B. P. Welford 1962 */
struct moments {
  double n, mean, sq;
};

static void moments_add(struct moments *m, double x) {
  const double d = x - m->mean;
  m->mean += d / ++m->n;
  m->sq += d * (x - m->mean);
}
static double moments_se(const struct moments *m) {
  return m->n > 1 ? sqrt(fmax(0, m->sq) / (m->n - 1) / m->n) : INFINITY;
}

struct fit {
  const struct xf_guard_table *table;
  const struct xf_guard_candidate *candidate;
  const uint32_t *column;
  const bool *users;
  const struct xf_guard_spec *spec;
  struct xf_guard *guard;
  uint32_t best_local;
  float *blend; /* [slots] */
  struct moments value, local, trial[XF_BLEND_PARTS][XF_GUARD_WEIGHTS];
};

/* First pass: every candidate alone (trial[c][0]). Later ones: gains of the additions, and over the best local one. */
static void one_user(struct fit *f, uint32_t i, bool first) {
  const struct xf_guard_table *t = f->table;
  blend_row(t, f->guard, f->column, i, f->blend);
  const double now = first ? 0 : xf_guard_table_figure(t, i, f->blend, 0, f->blend);
  if (!first) moments_add(&f->value, now);
  for (uint32_t c = 0; c < f->guard->n_candidate; c++) {
    const float *row = xf_guard_table_row(t, i, f->column[c]);
    if (first || c == f->best_local) {
      const double alone = xf_guard_table_figure(t, i, row, 0, row);
      if (first) moments_add(&f->trial[c][0], alone);
      else moments_add(&f->local, now - alone);
    }
    for (uint32_t w = 0; !first && w < f->spec->n_weight; w++)
      moments_add(&f->trial[c][w],
                  xf_guard_table_figure(t, i, f->blend, (float)f->spec->weight[w], row) - now);
  }
}

static void pass(struct fit *f, bool first) {
  memset(f->trial, 0, sizeof f->trial);
  f->value = f->local = (struct moments){0};
  f->guard->n_user = 0;
  for (uint32_t i = 0; i < f->table->n_user; i++) {
    if (f->users && !f->users[f->table->user[i]]) continue;
    one_user(f, i, first);
    f->guard->n_user++;
  }
}

/* Takes the addition of the largest gain among those that prove themselves; false when none does. */
static bool add(struct fit *f) {
  struct xf_guard *g = f->guard;
  struct xf_guard_step best = {.candidate = XF_NO_ID};
  for (uint32_t c = 0; c < g->n_candidate; c++) {
    g->best_gain[c] = -INFINITY;
    for (uint32_t w = 0; w < f->spec->n_weight; w++) {
      const double gain = f->trial[c][w].mean, se = moments_se(&f->trial[c][w]);
      if (gain > g->best_gain[c]) {
        g->best_gain[c] = gain;
        g->best_se[c] = se;
      }
      if (!(gain > 0) || !(gain > f->spec->se * se)) continue;
      if (best.candidate == XF_NO_ID || gain > best.gain)
        best = (struct xf_guard_step){c, f->spec->weight[w], gain, se};
    }
  }
  if (best.candidate == XF_NO_ID || g->n_step > f->spec->max_add) return false;
  g->weight[best.candidate] += best.weight;
  g->step[g->n_step++] = best;
  return true;
}

static void run(struct fit *f) {
  struct xf_guard *g = f->guard;
  pass(f, true);
  uint32_t best = 0;
  f->best_local = XF_NO_ID;
  for (uint32_t c = 0; c < g->n_candidate; c++) {
    g->alone[c] = f->trial[c][0].mean;
    if (g->alone[c] > g->alone[best]) best = c;
    if (f->candidate[c].shared) continue;
    if (f->best_local == XF_NO_ID || g->alone[c] > g->alone[f->best_local]) f->best_local = c;
  }
  g->weight[best] = 1;
  g->step[g->n_step++] = (struct xf_guard_step){best, 1, 0, 0};
  do pass(f, false);
  while (add(f));
  g->value = f->value.mean;
  g->gain = f->local.mean;
  g->se = f->local.n > 1 ? moments_se(&f->local) : 0;
}

enum xf_rc xf_guard_table_fit(struct xf_guard *out, const struct xf_guard_table *table,
                              const struct xf_guard_candidate *candidate, const uint32_t *column,
                              uint32_t n, const bool *users, const struct xf_guard_spec *spec,
                              struct xf_diag *diag) {
  *out = (struct xf_guard){.n_candidate = n};
  const enum xf_rc rc = xf_guard_check(candidate, n, spec, diag);
  if (rc) return rc;
  uint32_t n_judge = 0;
  for (uint32_t i = 0; i < table->n_user; i++) n_judge += !users || users[table->user[i]];
  if (n_judge == 0)
    return xf_diag_set(diag, XF_E_NOTFOUND, "no user has a held-out item; the guard cannot decide");
  struct fit f = {.table = table,
                  .candidate = candidate,
                  .column = column,
                  .users = users,
                  .spec = spec,
                  .guard = out,
                  .blend = blend_room(table)};
  if (!f.blend) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u candidates", n);
  run(&f);
  xf_free(f.blend);
  return XF_OK;
}
