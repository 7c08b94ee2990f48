#include "tools/exper/sweepgrid.h"

#include "base/alloc.h"
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static char *copy(const char *p, size_t n) {
  char *s = xf_calloc(n + 1, 1);
  memcpy(s, p, n);
  return s;
}

/* The value at p: up to a comma outside brackets, braces and quotes. */
static size_t value_len(const char *p) {
  int depth = 0;
  char quote = '\0';
  size_t n = 0;
  for (; p[n]; n++) {
    if (quote) {
      if (p[n] == quote) quote = '\0';
    } else if (p[n] == '"' || p[n] == '\'') quote = p[n];
    else if (p[n] == '[' || p[n] == '{') depth++;
    else if (p[n] == ']' || p[n] == '}') depth--;
    else if (p[n] == ',' && depth <= 0) break;
  }
  return n;
}

static enum xf_rc add_value(struct xf_sweepgrid_axis *a, const char *p, size_t n, const char *text,
                            struct xf_diag *diag) {
  if (!n)
    return xf_diag_set(diag, XF_E_INVAL, "--grid %s: a value is empty; write KEY=V1,V2", text);
  if (a->n == XF_SWEEPGRID_VALUES)
    return xf_diag_set(diag, XF_E_LIMIT, "--grid %s: more than %d values", a->key,
                       XF_SWEEPGRID_VALUES);
  for (size_t i = 0; i < a->n; i++)
    if (strlen(a->value[i]) == n && memcmp(a->value[i], p, n) == 0)
      return xf_diag_set(diag, XF_E_INVAL, "--grid %s: the value %s is given twice", a->key,
                         a->value[i]);
  a->value[a->n++] = copy(p, n);
  return XF_OK;
}

enum xf_rc xf_sweepgrid_add(struct xf_sweepgrid *grid, const char *text, struct xf_diag *diag) {
  const char *equal = strchr(text, '=');
  if (!equal || equal == text)
    return xf_diag_set(diag, XF_E_INVAL, "--grid %s: must be KEY=V1,V2,...", text);
  if (grid->n_axis == XF_SWEEPGRID_AXES)
    return xf_diag_set(diag, XF_E_LIMIT, "--grid is given more than %d times", XF_SWEEPGRID_AXES);
  struct xf_sweepgrid_axis *a = &grid->axis[grid->n_axis++];
  a->key = copy(text, (size_t)(equal - text));
  if (strcmp(a->key, "seed") == 0)
    return xf_diag_set(diag, XF_E_INVAL, "--grid seed=...: seeds are --seeds %s", equal + 1);
  for (size_t i = 0; i + 1 < grid->n_axis; i++)
    if (strcmp(grid->axis[i].key, a->key) == 0)
      return xf_diag_set(diag, XF_E_INVAL,
                         "--grid %s is given twice; write all its values in one: %s=V1,V2", a->key,
                         a->key);
  enum xf_rc rc = XF_OK;
  for (const char *p = equal + 1; !rc; p++) {
    const size_t n = value_len(p);
    rc = add_value(a, p, n, text, diag);
    p += n;
    if (!*p) break;
  }
  return rc;
}

static enum xf_rc add_seed(struct xf_sweepgrid *g, uint64_t seed, const char *text,
                           struct xf_diag *diag) {
  for (size_t i = 0; i < g->n_seed; i++)
    if (g->seed[i] == seed)
      return xf_diag_set(diag, XF_E_INVAL, "--seeds %s: %llu is given twice", text,
                         (unsigned long long)seed);
  if (g->n_seed == XF_SWEEPGRID_SEEDS)
    return xf_diag_set(diag, XF_E_LIMIT, "--seeds %s: more than %d seeds", text,
                       XF_SWEEPGRID_SEEDS);
  g->seed[g->n_seed++] = seed;
  return XF_OK;
}

enum xf_rc xf_sweepgrid_seeds(struct xf_sweepgrid *grid, const char *text, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  grid->n_seed = 0;
  for (const char *p = text; !rc; p++) {
    const size_t n = strcspn(p, ",");
    const char *dots = memmem(p, n, "..", 2);
    uint64_t from = 0, to = 0;
    rc = xf_str_u64(&from, p, dots ? (size_t)(dots - p) : n);
    to = from;
    if (!rc && dots) rc = xf_str_u64(&to, dots + 2, n - (size_t)(dots - p) - 2);
    if (rc || to < from)
      return xf_diag_set(diag, XF_E_INVAL,
                         "--seeds %s: must be numbers, as 1..5 (both ends) or 1,2,7", text);
    for (uint64_t s = from; !rc && s <= to; s++) {
      rc = add_seed(grid, s, text, diag);
      if (s == UINT64_MAX) break;
    }
    p += n;
    if (!*p) break;
  }
  return rc;
}

size_t xf_sweepgrid_combinations(const struct xf_sweepgrid *grid) {
  size_t n = 1;
  for (size_t i = 0; i < grid->n_axis && n <= XF_SWEEPGRID_CELLS; i++) n *= grid->axis[i].n;
  return n;
}

const char *xf_sweepgrid_value(const struct xf_sweepgrid *grid, size_t combination, size_t axis) {
  for (size_t i = grid->n_axis; i-- > axis + 1;) combination /= grid->axis[i].n;
  return grid->axis[axis].value[combination % grid->axis[axis].n];
}

void xf_sweepgrid_name(char *out, size_t cap, const struct xf_sweepgrid *grid, size_t combination) {
  size_t at = 0;
  out[0] = '\0';
  for (size_t i = 0; i < grid->n_axis && at < cap; i++) {
    const char *dot = strrchr(grid->axis[i].key, '.');
    at += (size_t)snprintf(out + at, cap - at, "%s%s=%s", i ? "_" : "",
                           dot ? dot + 1 : grid->axis[i].key,
                           xf_sweepgrid_value(grid, combination, i));
  }
  for (char *p = out; *p; p++)
    if (!isalnum((unsigned char)*p) && !strchr("._=-", *p)) *p = '_';
}

void xf_sweepgrid_deinit(struct xf_sweepgrid *grid) {
  for (size_t i = 0; i < grid->n_axis; i++) {
    for (size_t k = 0; k < grid->axis[i].n; k++) xf_free(grid->axis[i].value[k]);
    xf_free(grid->axis[i].key);
  }
  *grid = (struct xf_sweepgrid){0};
}
