/* Findings: one sort of the kept events by domain, user, item, then passes over runs; near keys by a map of folded keys. */
#include "data/findings.h"

#include "base/alloc.h"
#include "data/lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_MIN = 5 };

static const struct {
  const char *name, *text, *fix;
} info[XF_N_FINDING] = {
#define ROW(n, k, w, f) {k, w, f},
    XF_FINDING_LIST(ROW)
#undef ROW
};

const char *xf_finding_name(enum xf_finding_kind kind) { return info[kind].name; }
const char *xf_finding_text(enum xf_finding_kind kind) { return info[kind].text; }
const char *xf_finding_fix(enum xf_finding_kind kind) { return info[kind].fix; }

struct work {
  const struct xf_interactions *x;
  struct xf_findings_spec spec;
  struct xf_findings *out;
  uint32_t *order; /* [n] kept events */
  size_t n;
};

static const char *quote(char out[XF_LINES_QUOTE], const char *key) {
  return xf_lines_quote(out, key, strlen(key));
}

/* Counts one; keeps the example of the least line, else of the first call. */
static void found(struct work *w, enum xf_finding_kind kind, size_t event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void found(struct work *w, enum xf_finding_kind kind, size_t event, const char *fmt, ...) {
  struct xf_finding *f = &w->out->of[kind];
  const uint64_t line = w->x->line ? w->x->line[event] : 0;
  if (f->count++ > 0 && !(line < f->line)) return;
  va_list ap;
  va_start(ap, fmt);
  if (vsnprintf(f->example, sizeof f->example, fmt, ap) < 0) f->example[0] = '\0';
  va_end(ap);
  f->line = line;
}

static uint32_t domain_of(const struct xf_interactions *x, uint32_t i) {
  return x->domain ? x->domain[i] : 0;
}

static const char *user_key(const struct work *w, size_t i, char out[XF_LINES_QUOTE]) {
  return quote(out, xf_names_get(&w->x->users, w->x->user[i]));
}
static const char *item_key(const struct work *w, size_t i, char out[XF_LINES_QUOTE]) {
  return quote(out, xf_names_get(&w->x->items, w->x->item[i]));
}
static const char *domain_key(const struct work *w, size_t i, char out[XF_LINES_QUOTE]) {
  return w->x->domain ? quote(out, xf_names_get(&w->x->domains, w->x->domain[i])) : "(all)";
}

#define ORDER(a, b)                            \
  do {                                         \
    if ((a) != (b)) return (a) < (b) ? -1 : 1; \
  } while (0)

/* By domain, user, item, file. */
static int by_domain(const void *a, const void *b, void *arg) {
  const struct xf_interactions *x = arg;
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  ORDER(domain_of(x, i), domain_of(x, j));
  ORDER(x->user[i], x->user[j]);
  ORDER(x->item[i], x->item[j]);
  ORDER(i, j);
  return 0;
}

/* By user, item, domain, file. */
static int by_pair(const void *a, const void *b, void *arg) {
  const struct xf_interactions *x = arg;
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  ORDER(x->user[i], x->user[j]);
  ORDER(x->item[i], x->item[j]);
  ORDER(domain_of(x, i), domain_of(x, j));
  ORDER(i, j);
  return 0;
}

static void sort(struct work *w, int (*order)(const void *, const void *, void *)) {
  qsort_r(w->order, w->n, sizeof *w->order, order, (void *)(uintptr_t)w->x);
}

/* Drops what is below the least value; counts events later than now. */
static void keep(struct work *w) {
  const struct xf_interactions *x = w->x;
  char q[XF_LINES_QUOTE];
  for (size_t i = 0; i < x->n; i++) {
    if (w->spec.has_min_value && x->value && (double)x->value[i] < w->spec.min_value) {
      found(w, XF_FINDING_LOW_VALUE, i, "value %g of user %s", (double)x->value[i],
            user_key(w, i, q));
      continue;
    }
    if (x->time && x->time[i] > w->spec.now)
      found(w, XF_FINDING_FUTURE, i, "time %.17g of user %s", x->time[i], user_key(w, i, q));
    w->order[w->n++] = (uint32_t)i;
  }
}

/* A user's run in a domain: repeats, and whether they reach min. */
static bool user_run(struct work *w, size_t from, size_t to) {
  const struct xf_interactions *x = w->x;
  char u[XF_LINES_QUOTE], v[XF_LINES_QUOTE];
  uint32_t items = 0, first = w->order[from];
  const uint32_t min = w->spec.min ? w->spec.min : DEFAULT_MIN;
  for (size_t k = from; k < to; k++) {
    const uint32_t i = w->order[k];
    if (i < first) first = i;
    if (k > from && x->item[w->order[k - 1]] == x->item[i])
      found(w, XF_FINDING_REPEATS, i, "user %s, item %s again", user_key(w, i, u),
            item_key(w, i, v));
    else items++;
  }
  if (items >= min) return true;
  found(w, XF_FINDING_FEW_USERS, first, "user %s has %u of %u items in domain %s",
        user_key(w, first, u), items, min, domain_key(w, first, v));
  return false;
}

/* Sorted by domain: users, and domains that are too small. */
static void domain_runs(struct work *w) {
  const struct xf_interactions *x = w->x;
  char q[XF_LINES_QUOTE];
  for (size_t from = 0, to = 0; from < w->n; from = to) {
    const uint32_t d = domain_of(x, w->order[from]);
    uint32_t users = 0, enough = 0, first = w->order[from];
    while (to < w->n && domain_of(x, w->order[to]) == d) {
      const size_t begin = to;
      const uint32_t user = x->user[w->order[to]];
      for (; to < w->n && domain_of(x, w->order[to]) == d && x->user[w->order[to]] == user; to++)
        if (w->order[to] < first) first = w->order[to];
      users++;
      enough += user_run(w, begin, to);
    }
    if (users == 1) found(w, XF_FINDING_ONE_USER, first, "domain %s", domain_key(w, first, q));
    if (!enough) found(w, XF_FINDING_NO_TEST, first, "domain %s", domain_key(w, first, q));
  }
}

/* Domains of which every event was left out. */
static bool empty_domains(struct work *w) {
  const struct xf_interactions *x = w->x;
  char q[XF_LINES_QUOTE];
  uint8_t *some = xf_try_calloc((size_t)x->domains.n + 1, 1);
  if (!some) return false;
  for (size_t k = 0; x->domain && k < w->n; k++) some[x->domain[w->order[k]]] = 1;
  for (size_t i = 0; x->domain && i < x->n; i++) {
    if (some[x->domain[i]]) continue;
    some[x->domain[i]] = 1;
    found(w, XF_FINDING_EMPTY_DOMAINS, i, "domain %s", domain_key(w, i, q));
  }
  xf_free(some);
  return true;
}

/* Sorted by pair: pairs, and item keys, in several domains. */
static bool shared_runs(struct work *w) {
  const struct xf_interactions *x = w->x;
  char u[XF_LINES_QUOTE], v[XF_LINES_QUOTE];
  uint32_t *of =
      xf_try_calloc((size_t)x->items.n + 1, sizeof *of); /* 1 + domain; UINT32_MAX: counted */
  if (!of) return false;
  uint32_t counted = UINT32_MAX; /* event that begins the pair already counted */
  for (size_t k = 0, begin = 0; k < w->n; k++) {
    const uint32_t i = w->order[k], b = w->order[begin];
    if (x->user[b] != x->user[i] || x->item[b] != x->item[i]) {
      begin = k;
      continue;
    }
    if (domain_of(x, i) == domain_of(x, b) || counted == b) continue;
    counted = b;
    found(w, XF_FINDING_SHARED_PAIRS, i, "user %s, item %s", user_key(w, i, u), item_key(w, i, v));
  }
  for (size_t i = 0; i < x->n; i++) { /* file order: the example is the first line that shows it */
    uint32_t *o = &of[x->item[i]];
    const uint32_t d = domain_of(x, (uint32_t)i) + 1;
    if (w->spec.has_min_value && x->value && (double)x->value[i] < w->spec.min_value) continue;
    if (*o == 0) *o = d;
    if (*o == d || *o == UINT32_MAX) continue;
    *o = UINT32_MAX;
    found(w, XF_FINDING_SHARED_ITEMS, i, "item %s, also in domain %s", item_key(w, i, u),
          domain_key(w, i, v));
  }
  xf_free(of);
  return true;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static size_t fold(char out[XF_NAMES_KEY_MAX + 1], const char *key) {
  size_t from = 0, to = strlen(key), n = 0;
  while (from < to && is_space(key[from])) from++;
  while (to > from && is_space(key[to - 1])) to--;
  for (; from < to; from++)
    out[n++] = (char)(key[from] >= 'A' && key[from] <= 'Z' ? key[from] + 32 : key[from]);
  return n;
}

/* Keys whose folded form another key had before; ids give each key's first event. */
static enum xf_rc near_keys(struct work *w, enum xf_finding_kind kind, const struct xf_names *names,
                            const uint32_t *ids) {
  char folded[XF_NAMES_KEY_MAX + 1], a[XF_LINES_QUOTE], b[XF_LINES_QUOTE];
  struct xf_names seen;
  uint32_t next =
      0; /* ids appear in order, so a key's first event is where its id is the next new one */
  enum xf_rc rc = XF_OK;
  uint32_t *first = xf_try_calloc((size_t)names->n + 1, sizeof *first);
  if (!first) return XF_E_NOMEM;
  xf_names_init(&seen);
  for (size_t i = 0; !rc && ids && i < w->x->n && next < names->n; i++) {
    if (ids[i] != next) continue;
    const char *key = xf_names_get(names, next);
    const size_t n = fold(folded, key);
    const uint32_t before = seen.n;
    uint32_t id = 0;
    if (n) rc = xf_names_add(&seen, &id, folded, n);
    if (!rc && n && seen.n > before) first[id] = next;
    else if (!rc && n)
      found(w, kind, i, "%s beside %s", quote(a, key), quote(b, xf_names_get(names, first[id])));
    next++;
  }
  xf_names_deinit(&seen);
  xf_free(first);
  return rc;
}

static enum xf_rc look(struct work *w) {
  const struct xf_interactions *x = w->x;
  w->order = xf_try_calloc(x->n + 1, sizeof *w->order);
  if (!w->order) return XF_E_NOMEM;
  keep(w);
  sort(w, by_domain);
  domain_runs(w);
  if (!empty_domains(w)) return XF_E_NOMEM;
  sort(w, by_pair);
  if (x->domain && !shared_runs(w)) return XF_E_NOMEM;
  enum xf_rc rc = near_keys(w, XF_FINDING_NEAR_USERS, &x->users, x->user);
  if (!rc) rc = near_keys(w, XF_FINDING_NEAR_ITEMS, &x->items, x->item);
  if (!rc) rc = near_keys(w, XF_FINDING_NEAR_DOMAINS, &x->domains, x->domain);
  return rc;
}

enum xf_rc xf_findings_check(struct xf_findings *out, const struct xf_interactions *inter,
                             const struct xf_findings_spec *spec, struct xf_diag *diag) {
  struct work w = {.x = inter, .spec = *spec, .out = out};
  *out = (struct xf_findings){0};
  if (inter->n > UINT32_MAX - 2)
    return xf_diag_set(diag, XF_E_LIMIT, "%zu events are too many to look at", inter->n);
  const enum xf_rc rc = look(&w);
  xf_free(w.order);
  if (rc) return xf_diag_set(diag, rc, "cannot look at %zu events: %s", inter->n, xf_rc_text(rc));
  out->of[XF_FINDING_OTHER_DOMAIN].count = inter->count.other_domain;
  out->of[XF_FINDING_OTHER_DOMAIN].line = inter->count.other_line;
  return XF_OK;
}
