#include "rec/rerank.h"

#include "base/alloc.h"
#include "base/str.h"
#include "rec/calibrate.h"
#include "rec/cover.h"
#include "rec/dpp.h"
#include "rec/mmr.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name, *number;
  double weight;
} info[XF_N_RERANK] = {
#define ROW(n, t, w, d) {t, w, d},
    XF_RERANK_LIST(ROW)
#undef ROW
};

#define THERE_IS "none, dpp[:THETA], mmr[:LAMBDA], calibrated[:LAMBDA] and cover[:BONUS]"

/* The text in the middle of a message, shortened. */
static int shown(size_t len) { return len < XF_RERANK_TEXT ? (int)len : XF_RERANK_TEXT; }

enum xf_rc xf_rerank_parse(struct xf_rerank *out, const char *s, size_t len, struct xf_diag *diag) {
  const char *colon = memchr(s, ':', len);
  const size_t n = colon ? (size_t)(colon - s) : len;
  int kind = 0;
  *out = (struct xf_rerank){0};
  while (kind < XF_N_RERANK && (strlen(info[kind].name) != n || memcmp(info[kind].name, s, n) != 0))
    kind++;
  if (kind == XF_N_RERANK)
    return xf_diag_set(diag, XF_E_FORMAT, "diversity \"%.*s\": there are " THERE_IS, shown(len), s);
  out->kind = (enum xf_rerank_kind)kind;
  out->weight = info[kind].weight;
  if (!colon) return XF_OK;
  if (kind == XF_RERANK_NONE)
    return xf_diag_set(diag, XF_E_FORMAT, "diversity \"%.*s\": \"none\" takes no number",
                       shown(len), s);
  if (xf_str_double(&out->weight, colon + 1, len - n - 1))
    return xf_diag_set(diag, XF_E_FORMAT,
                       "diversity \"%.*s\": what follows the colon is not a number; %s:%g say",
                       shown(len), s, info[kind].name, info[kind].weight);
  const bool dpp = kind == XF_RERANK_DPP;
  if (!(out->weight >= 0) || !(dpp ? out->weight < 1 : out->weight <= 1))
    return xf_diag_set(diag, XF_E_RANGE, "diversity \"%.*s\": %s must be 0 or above and %s 1%s",
                       shown(len), s, info[kind].number, dpp ? "below" : "at most",
                       dpp ? "; towards 1 the list is that of \"none\"" : "");
  return XF_OK;
}

/* The fewest digits that read back as the same number. */
const char *xf_rerank_print(char out[XF_RERANK_TEXT], struct xf_rerank rerank) {
  const char *name = info[rerank.kind].name;
  struct xf_rerank back = {0};
  if (rerank.kind == XF_RERANK_NONE) (void)snprintf(out, XF_RERANK_TEXT, "%s", name);
  else
    for (int digits = 1; digits <= 17; digits++) {
      (void)snprintf(out, XF_RERANK_TEXT, "%s:%.*g", name, digits, rerank.weight);
      if (!xf_rerank_parse(&back, out, strlen(out), NULL) && !(back.weight < rerank.weight) &&
          !(back.weight > rerank.weight))
        break;
    }
  return out;
}

enum xf_rc xf_rerank_check(struct xf_rerank rerank, const struct xf_rerank_source *source,
                           struct xf_diag *diag) {
  const char *name = info[rerank.kind].name;
  if ((rerank.kind == XF_RERANK_DPP || rerank.kind == XF_RERANK_MMR) && !source->sim)
    return xf_diag_set(
        diag, XF_E_NOTFOUND,
        "diversity \"%s\" needs to know which items are alike: neither categories of "
        "the items nor item factors are there",
        name);
  if ((rerank.kind == XF_RERANK_CALIBRATED || rerank.kind == XF_RERANK_COVER) &&
      !source->categories)
    return xf_diag_set(diag, XF_E_NOTFOUND,
                       "diversity \"%s\" needs the categories of the items: name a file of them",
                       name);
  return XF_OK;
}

/* Candidates that a slate is made of, and its picks. */
struct work {
  struct xf_rerank rerank;
  const struct xf_rerank_source *source;
  const struct xf_rerank_row *row;
  struct xf_topk_item top[XF_RERANK_TOP];
  uint32_t item[XF_RERANK_TOP], pick[XF_RERANK_TOP];
  double rel[XF_RERANK_TOP];
  struct xf_slate slate;
};

static void scale(struct work *w) {
  const double most = (double)w->top[0].score;
  const double range = most - (double)w->top[w->slate.n - 1].score;
  for (uint32_t i = 0; i < w->slate.n; i++) {
    const double r = range > 0 ? 1 - (most - (double)w->top[i].score) / range : 1;
    w->item[i] = w->top[i].item;
    w->rel[i] = w->rerank.kind == XF_RERANK_DPP ? xf_dpp_quality(w->rerank.weight, r) : r;
  }
}

static enum xf_rc calibrated(struct work *w, uint32_t k) {
  const struct xf_categories *c = w->source->categories;
  double *target = xf_try_calloc((size_t)c->n + 1, sizeof *target);
  if (!target) return XF_E_NOMEM;
  (void)xf_calibrate_shares(target, c, w->row->history, w->row->n_history);
  const enum xf_rc rc = xf_calibrate(w->pick, &w->slate, k, w->rerank.weight, c, target);
  xf_free(target);
  return rc;
}

static enum xf_rc pick(struct work *w, uint32_t k) {
  switch (w->rerank.kind) {
  case XF_RERANK_DPP: return xf_dpp(w->pick, NULL, &w->slate, k, XF_DPP_RIDGE);
  case XF_RERANK_MMR: return xf_mmr(w->pick, NULL, &w->slate, k, w->rerank.weight);
  case XF_RERANK_COVER:
    return xf_cover(w->pick, &w->slate, k, w->rerank.weight, w->source->categories);
  default: return calibrated(w, k);
  }
}

enum xf_rc xf_rerank_top(struct xf_topk_item *out, uint32_t *n, uint32_t k, struct xf_rerank rerank,
                         const struct xf_rerank_source *source, const struct xf_rerank_row *row,
                         struct xf_diag *diag) {
  struct work w = {.rerank = rerank, .source = source, .row = row};
  *n = 0;
  enum xf_rc rc = xf_rerank_check(rerank, source, diag);
  if (rc) return rc;
  const bool all = rerank.kind == XF_RERANK_NONE || k > XF_RERANK_TOP;
  if (all) *n = xf_topk(out, k, row->score, row->n_items, row->exclude, row->n_exclude);
  if (rerank.kind == XF_RERANK_NONE) return XF_OK;
  if (all) {
    w.slate.n = *n < XF_RERANK_TOP ? *n : XF_RERANK_TOP;
    memcpy(w.top, out, w.slate.n * sizeof *out);
  } else
    w.slate.n =
        xf_topk(w.top, XF_RERANK_TOP, row->score, row->n_items, row->exclude, row->n_exclude);
  if (w.slate.n > 0 && w.top[0].score > 0 && isinf(w.top[0].score))
    return xf_diag_set(diag, XF_E_NAN, "the score of item number %" PRIu32 " is infinite",
                       w.top[0].item);
  const uint32_t found = w.slate.n;
  while (w.slate.n > 0 && isinf(w.top[w.slate.n - 1].score)) w.slate.n--; /* last in any order */
  if (w.slate.n > 0) scale(&w);
  w.slate.sim = source->sim;
  w.slate.item = w.item;
  w.slate.rel = w.rel;
  const uint32_t show = k < found ? k : found, picked = show < w.slate.n ? show : w.slate.n;
  rc = pick(&w, picked);
  if (rc)
    return xf_diag_set(diag, rc, "cannot re-rank %" PRIu32 " items: %s", w.slate.n, xf_rc_text(rc));
  for (uint32_t t = 0; t < picked; t++) out[t] = w.top[w.pick[t]];
  for (uint32_t t = picked; t < show; t++) out[t] = w.top[t];
  if (!all) *n = show;
  return XF_OK;
}
