#include "rec/guard.h"

#include "base/alloc.h"
#include "rec/expected.h"

#include <math.h>
#include <string.h>

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
  const struct xf_guard_candidate *candidate;
  const struct xf_guard_spec *spec;
  struct xf_guard *guard;
  uint32_t n_items, best_local;
  float *row;       /* [n_candidate x n_items] standardised */
  float *blend;     /* [n_items] */
  uint32_t *rival;  /* [n_items] negatives of the user */
  uint32_t n_rival; /* of the user */
  struct moments value, local, trial[XF_BLEND_PARTS][XF_GUARD_WEIGHTS];
};

static enum xf_rc rows(struct fit *f, const struct xf_query *q, struct xf_diag *diag) {
  for (uint32_t c = 0; c < f->guard->n_candidate; c++) {
    float *row = f->row + (size_t)c * f->n_items;
    const struct xf_scorer *s = f->candidate[c].scorer;
    uint32_t bad = 0;
    double unit = 0;
    enum xf_rc rc =
        s ? xf_scorer_score(s, q, row, diag) : f->spec->row(f->spec->arg, c, q, row, diag);
    if (rc == XF_E_NOTFOUND) { /* as the blend does */
      memset(row, 0, f->n_items * sizeof *row);
      continue;
    }
    if (!rc) {
      rc = xf_blend_standardise(row, f->n_items, q->item, q->n, &unit, &bad);
      if (rc) (void)xf_diag_set(diag, rc, "the score of item %u is not a number", bad);
    }
    if (rc)
      return xf_diag_prefix(diag, rc, "candidate \"%s\", user %u", f->candidate[c].name, q->user);
  }
  return XF_OK;
}

/* The negatives: all items but the user's positives of any part, or the given list. */
static void rivals(struct fit *f, uint32_t u) {
  const struct xf_csr *list = f->spec->list;
  f->n_rival = 0;
  if (list) {
    for (uint32_t k = list->start[u]; k < list->start[u + 1]; k++)
      if (!xf_csr_find(&f->spec->split->part[f->spec->part], u, list->item[k]))
        f->rival[f->n_rival++] = list->item[k];
    return;
  }
  uint32_t at[XF_N_PART];
  for (int p = 0; p < XF_N_PART; p++) at[p] = f->spec->split->part[p].start[u];
  for (uint32_t i = 0; i < f->n_items; i++) {
    bool positive = false;
    for (int p = 0; p < XF_N_PART; p++) {
      const struct xf_csr *csr = &f->spec->split->part[p];
      while (at[p] < csr->start[u + 1] && csr->item[at[p]] < i) at[p]++;
      positive |= at[p] < csr->start[u + 1] && csr->item[at[p]] == i;
    }
    if (!positive) f->rival[f->n_rival++] = i;
  }
}

/* Figure of a + w b for the user's held-out items; ties count against. */
static double figure(const struct fit *f, uint32_t u, const float *a, float w, const float *b) {
  const struct xf_csr *held = &f->spec->split->part[f->spec->part];
  double sum = 0;
  for (uint32_t h = held->start[u]; h < held->start[u + 1]; h++) {
    const float mine = a[held->item[h]] + w * b[held->item[h]];
    uint32_t above = 0;
    for (uint32_t r = 0; r < f->n_rival; r++) above += a[f->rival[r]] + w * b[f->rival[r]] >= mine;
    sum += f->spec->n_neg
               ? xf_expected_rank(above, f->n_rival, f->spec->n_neg, f->spec->k, false).ndcg
           : above < f->spec->k ? 1 / log2(above + 2.0)
                                : 0;
  }
  return sum / (held->start[u + 1] - held->start[u]);
}

static void blend_row(struct fit *f) {
  memset(f->blend, 0, f->n_items * sizeof *f->blend);
  for (uint32_t c = 0; c < f->guard->n_candidate; c++) {
    const float w = (float)f->guard->weight[c], *row = f->row + (size_t)c * f->n_items;
    if (w == 0) continue;
    for (uint32_t i = 0; i < f->n_items; i++) f->blend[i] += w * row[i];
  }
}

/* First pass: every candidate alone (trial[c][0]). Later ones: gains of the additions, and over the best local one. */
static void one_user(struct fit *f, uint32_t u, bool first) {
  rivals(f, u);
  blend_row(f);
  const double now = first ? 0 : figure(f, u, f->blend, 0, f->blend);
  if (!first) moments_add(&f->value, now);
  for (uint32_t c = 0; c < f->guard->n_candidate; c++) {
    const float *row = f->row + (size_t)c * f->n_items;
    if (first || c == f->best_local) {
      const double alone = figure(f, u, row, 0, row);
      if (first) moments_add(&f->trial[c][0], alone);
      else moments_add(&f->local, now - alone);
    }
    for (uint32_t w = 0; !first && w < f->spec->n_weight; w++)
      moments_add(&f->trial[c][w], figure(f, u, f->blend, (float)f->spec->weight[w], row) - now);
  }
}

static enum xf_rc pass(struct fit *f, bool first, struct xf_diag *diag) {
  const struct xf_csr *held = &f->spec->split->part[f->spec->part];
  const struct xf_csr *train = &f->spec->split->part[XF_PART_TRAIN];
  memset(f->trial, 0, sizeof f->trial);
  f->value = f->local = (struct moments){0};
  f->guard->n_user = 0;
  for (uint32_t u = 0; u < f->spec->split->n_users; u++) {
    const uint32_t h = held->start[u];
    if (h == held->start[u + 1]) continue;
    const struct xf_query q = {u, train->item + train->start[u],
                               train->start[u + 1] - train->start[u],
                               held->time ? held->time[h] : (double)NAN};
    const enum xf_rc rc = rows(f, &q, diag);
    if (rc) return rc;
    one_user(f, u, first);
    f->guard->n_user++;
  }
  if (f->guard->n_user == 0)
    return xf_diag_set(diag, XF_E_NOTFOUND, "no user has a held-out item; the guard cannot decide");
  return XF_OK;
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

static enum xf_rc run(struct fit *f, struct xf_diag *diag) {
  struct xf_guard *g = f->guard;
  enum xf_rc rc = pass(f, true, diag);
  if (rc) return rc;
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
  do rc = pass(f, false, diag);
  while (!rc && add(f));
  g->value = f->value.mean;
  g->gain = f->local.mean;
  g->se = f->local.n > 1 ? moments_se(&f->local) : 0;
  return rc;
}

static enum xf_rc check(const struct xf_guard_candidate *candidate, uint32_t n,
                        const struct xf_guard_spec *s, struct xf_diag *diag) {
  if (n == 0 || n > XF_BLEND_PARTS)
    return xf_diag_set(diag, XF_E_INVAL, "%u candidates; the guard takes 1 to %d", n,
                       XF_BLEND_PARTS);
  if (s->part >= XF_N_PART || s->part == XF_PART_TRAIN || s->max_add > XF_GUARD_ADDITIONS ||
      s->n_weight > XF_GUARD_WEIGHTS || s->k == 0 || !(s->se >= 0) || !isfinite(s->se))
    return xf_diag_set(diag, XF_E_INVAL,
                       "guard: part %d, k %u, %u additions (at most %d), %u weights (at most %d), "
                       "threshold %g: out of range",
                       (int)s->part, s->k, s->max_add, XF_GUARD_ADDITIONS, s->n_weight,
                       XF_GUARD_WEIGHTS, s->se);
  for (uint32_t w = 0; w < s->n_weight; w++)
    if (!(s->weight[w] > 0) || !isfinite(s->weight[w]))
      return xf_diag_set(diag, XF_E_INVAL, "guard weight %g is not positive", s->weight[w]);
  for (uint32_t c = 0; c < n; c++) {
    if (!candidate[c].scorer && !s->row)
      return xf_diag_set(diag, XF_E_INVAL,
                         "candidate \"%s\" has no scorer and there is no callback",
                         candidate[c].name);
    if (candidate[c].scorer && candidate[c].scorer->n_items != s->split->n_items)
      return xf_diag_set(diag, XF_E_SHAPE, "candidate \"%s\" scores %u items, the data have %u",
                         candidate[c].name, candidate[c].scorer->n_items, s->split->n_items);
  }
  for (size_t k = 0; s->list && k < xf_csr_count(s->list); k++)
    if (s->list->item[k] >= s->split->n_items)
      return xf_diag_set(diag, XF_E_SHAPE, "a list names item %u of %u", s->list->item[k],
                         s->split->n_items);
  return XF_OK;
}

struct xf_guard_spec xf_guard_defaults(const struct xf_split *split) {
  return (struct xf_guard_spec){.split = split,
                                .part = XF_PART_VALID,
                                .k = 10,
                                .n_neg = 999,
                                .se = .5,
                                .max_add = 4,
                                .weight = {.1, .25, .5, 1},
                                .n_weight = 4};
}

enum xf_rc xf_guard_fit(struct xf_guard *out, const struct xf_guard_candidate *candidate,
                        uint32_t n, const struct xf_guard_spec *spec, struct xf_diag *diag) {
  *out = (struct xf_guard){.n_candidate = n};
  enum xf_rc rc = check(candidate, n, spec, diag);
  if (rc) return rc;
  const size_t m = (size_t)spec->split->n_items + 1;
  struct fit f = {
      .candidate = candidate, .spec = spec, .guard = out, .n_items = spec->split->n_items};
  size_t n_rival = m;
  for (uint32_t u = 0; spec->list && u < spec->split->n_users; u++) {
    const size_t len = spec->list->start[u + 1] - spec->list->start[u];
    if (len > n_rival) n_rival = len;
  }
  f.row = xf_try_calloc(m * n, sizeof *f.row);
  f.blend = xf_try_calloc(m, sizeof *f.blend);
  f.rival = xf_try_calloc(n_rival, sizeof *f.rival);
  if (f.row && f.blend && f.rival) rc = run(&f, diag);
  else
    rc = xf_diag_set(diag, XF_E_NOMEM, "not enough memory for %u candidates of %u items", n,
                     spec->split->n_items);
  xf_free(f.row);
  xf_free(f.blend);
  xf_free(f.rival);
  return rc;
}

enum xf_rc xf_guard_print(const struct xf_guard *guard, const struct xf_guard_candidate *candidate,
                          struct xf_buf *text) {
  const struct xf_guard_step *s = guard->step;
  enum xf_rc rc = xf_buf_printf(text, "%u users: start from %s (%.4f)", guard->n_user,
                                candidate[s->candidate].name, guard->alone[s->candidate]);
  for (uint32_t i = 1; !rc && i < guard->n_step; i++)
    rc = xf_buf_printf(text, "; + %g %s (gain %.4f, SE %.4f)", s[i].weight,
                       candidate[s[i].candidate].name, s[i].gain, s[i].se);
  for (uint32_t c = 0; !rc && c < guard->n_candidate; c++)
    if (candidate[c].shared && guard->weight[c] == 0)
      rc =
          xf_buf_printf(text, "; %s switched off (alone %.4f, best gain %.4f, SE %.4f)",
                        candidate[c].name, guard->alone[c], guard->best_gain[c], guard->best_se[c]);
  if (!rc && guard->n_step > 1) rc = xf_buf_printf(text, "; together %.4f", guard->value);
  return rc;
}

enum xf_rc xf_guard_blend(struct xf_scorer **out, const struct xf_guard *guard,
                          const struct xf_guard_candidate *candidate,
                          struct xf_scorer *const *scorer, bool owned, struct xf_diag *diag) {
  struct xf_blend_part part[XF_BLEND_PARTS];
  for (uint32_t c = 0; c < guard->n_candidate; c++)
    part[c] = (struct xf_blend_part){candidate[c].name, scorer[c], guard->weight[c]};
  return xf_blend_new(out, part, guard->n_candidate, owned, diag);
}
