/* The upper half of the Gram row by row: for item i, what stands behind i in the histories of its users is summed into a
   dense row whose touched places are bits, then stored where the row will lie: its lower half, whose length is known by
   then, is left open in front. At the end the upper half is mirrored into the gaps, some rows at a time, so that what is
   written lies in few pages. Only the matrix itself is ever in memory, and each pair is added once. */
#include "rec/gram.h"

#include "base/alloc.h"
#include "param/triangle.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define DEFAULT_BYTES ((uint64_t)4 << 30)

void xf_gram_deinit(struct xf_gram *gram) {
  xf_free(gram->start);
  xf_free(gram->item);
  xf_free(gram->value);
  xf_free(gram->diag);
  *gram = (struct xf_gram){0};
}

static bool init(struct xf_gram *out, uint32_t n) {
  *out = (struct xf_gram){.n = n};
  out->start = xf_try_calloc((size_t)n + 1, sizeof *out->start);
  out->diag = xf_try_calloc((size_t)n + 1, sizeof *out->diag);
  return out->start && out->diag;
}

/* Room for `more` entries behind `used`, and one. */
static enum xf_rc reserve(struct xf_gram *g, uint64_t used, uint64_t more, uint64_t max_bytes,
                          struct xf_diag *diag) {
  if (used + more <= g->cap && g->item) return XF_OK;
  const uint64_t entry = sizeof *g->item + sizeof *g->value;
  uint64_t cap = g->cap + g->cap / 2 + 4096;
  if (cap < used + more) cap = used + more;
  if (cap * entry > max_bytes) cap = max_bytes / entry;
  if (cap < used + more)
    return xf_diag_set(diag, XF_E_LIMIT,
                       "item co-occurrence of %" PRIu32 " items has more than %" PRIu64
                       " pairs (%" PRIu64 " MB), the limit is %" PRIu64
                       " MB: raise it, or drop rare items",
                       g->n, used + more, ((used + more) * entry) >> 20, max_bytes >> 20);
  uint32_t *item = xf_try_realloc_array(g->item, (size_t)cap + 1, sizeof *item);
  if (item) g->item = item;
  float *value = xf_try_realloc_array(g->value, (size_t)cap + 1, sizeof *value);
  if (value) g->value = value;
  if (!item || !value)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for %" PRIu64 " pairs of items", cap);
  g->cap = cap;
  return XF_OK;
}

/* A row being summed. All zero between rows. */
enum { WORD = 64, FULL = 2 };
struct row {
  double *acc;    /* [n] */
  uint64_t *bits; /* [n / 64 + 1] of the places that something was added to */
};

static bool row_init(struct row *row, uint32_t n) {
  row->bits = xf_try_calloc((size_t)n / WORD + 1, sizeof *row->bits);
  row->acc = xf_try_calloc((size_t)n + 1, sizeof *row->acc);
  return row->bits && row->acc;
}

static void row_deinit(struct row *row) {
  xf_free(row->acc);
  xf_free(row->bits);
}

static void row_add(const struct row *row, uint32_t j, double x) {
  row->acc[j] += x;
  row->bits[j / WORD] |= (uint64_t)1 << j % WORD;
}

/* row_add of x at n places. @shape j[n] */
static void row_add_all(const struct row *row, const uint32_t *j, uint32_t n, double x) {
  double *restrict acc = row->acc;
  uint64_t *restrict bits = row->bits;
  for (uint32_t k = 0; k < n; k++) {
    acc[j[k]] += x;
    bits[j[k] / WORD] |= (uint64_t)1 << j[k] % WORD;
  }
}

/* Touched places from `from` on. */
static uint64_t row_count(const struct row *row, uint32_t from, uint32_t n) {
  uint64_t count = 0;
  for (size_t b = from / WORD; b <= n / WORD; b++)
    count += (uint64_t)__builtin_popcountll(row->bits[b]);
  return count;
}

/* The non-zero entries of a row at g->item[at..], ascending; clears it. Returns where they end. There must be room for
   row_count entries and one more. low (may be NULL) counts the rows that an entry of the upper half will be mirrored into. */
static uint64_t row_take(struct xf_gram *g, const struct row *row, uint32_t from, uint64_t at,
                         uint32_t *low) {
  for (size_t b = from / WORD; b <= g->n / WORD; b++) {
    for (uint64_t m = row->bits[b]; m; m &= m - 1) {
      const uint32_t j = (uint32_t)(b * WORD) + (uint32_t)__builtin_ctzll(m);
      const double x = row->acc[j];
      g->item[at] = j; /* a zero is overwritten by what comes next */
      g->value[at] = (float)x;
      row->acc[j] = 0;
      if (low) low[j] += x != 0;
      at += x != 0;
    }
    row->bits[b] = 0;
  }
  return at;
}

/* Places with something in them, of a row that was added to without marks. @shape acc[from .. n) */
static uint64_t full_count(const struct row *row, uint32_t from, uint32_t n) {
  uint64_t count = 0;
  for (uint32_t j = from; j < n; j++) count += row->acc[j] != 0;
  return count;
}

/* row_take of it. */
static uint64_t full_take(struct xf_gram *g, const struct row *row, uint32_t from, uint64_t at,
                          uint32_t *low) {
  for (uint32_t j = from; j < g->n; j++) {
    const double x = row->acc[j];
    g->item[at] = j;
    g->value[at] = (float)x;
    low[j] += x != 0;
    at += x != 0;
  }
  memset(row->acc + from, 0, (g->n - from) * sizeof *row->acc);
  return at;
}

/* Stores a whole row, both halves, as row i. */
static enum xf_rc store_row(struct xf_gram *g, uint32_t i, const struct row *row,
                            uint64_t max_bytes, struct xf_diag *diag) {
  const uint64_t at = g->start[i];
  g->diag[i] = (float)row->acc[i];
  row->acc[i] = 0;
  const enum xf_rc rc = reserve(g, at, row_count(row, 0, g->n), max_bytes, diag);
  if (!rc) g->start[i + 1] = row_take(g, row, 0, at, NULL);
  return rc;
}

/* Row i's lower half, low[i] entries at its start, is the transpose of what the rows before it have. Rows are filled in
   strips of about STRIP entries, more where rows are so many that visiting them would cost more than filling; each row above gives to a strip what it has there, and goes on from there for the next. */
enum { STRIP = 1 << 16, STRIP_ROW = 8 };
static enum xf_rc mirror(struct xf_gram *g, const uint32_t *low, struct xf_diag *diag) {
  const uint32_t n = g->n;
  uint64_t *to = xf_try_calloc((size_t)n + 1, sizeof *to);     /* next free place of each row */
  uint64_t *from = xf_try_calloc((size_t)n + 1, sizeof *from); /* next entry of each row to give */
  if (!to || !from) {
    xf_free(to);
    xf_free(from);
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for the co-occurrence of %" PRIu32 " items", n);
  }
  for (uint32_t i = 0; i < n; i++) {
    to[i] = g->start[i];
    from[i] = g->start[i] + low[i];
  }
  const uint64_t strip = n < STRIP / STRIP_ROW ? STRIP : (uint64_t)n * STRIP_ROW;
  for (uint32_t begin = 0, end; begin < n; begin = end) {
    uint64_t size = low[begin];
    for (end = begin + 1; end < n && size + low[end] <= strip; end++) size += low[end];
    for (uint32_t i = 0; i < end && size > 0; i++) {
      const uint64_t stop = g->start[i + 1];
      uint64_t k = from[i];
      for (; k < stop && g->item[k] < end; k++) {
        const uint64_t at = to[g->item[k]]++;
        g->item[at] = i;
        g->value[at] = g->value[k];
      }
      from[i] = k;
    }
  }
  xf_free(to);
  xf_free(from);
  return XF_OK;
}

/* |x_u|^-beta of every user; 0 without a counted item. */
static void user_weights(double *w, const struct xf_rec_data *data,
                         const struct xf_gram_spec *spec) {
  const struct xf_csr *x = data->train;
  for (uint32_t u = 0; u < data->n_users; u++) {
    uint32_t n = 0;
    for (uint32_t k = x->start[u]; k < x->start[u + 1]; k++)
      n += !spec->counted || spec->counted[x->item[k]];
    w[u] = n == 0 ? 0 : spec->beta == 0 ? 1 : pow((double)n, -spec->beta);
    if (spec->step > 0) w[u] = floor(w[u] / spec->step) * spec->step;
  }
}

/* Users of each item, ascending. */
static bool transpose(const struct xf_rec_data *data, uint32_t **start, uint32_t **user) {
  const struct xf_csr *x = data->train;
  uint32_t *at = xf_try_calloc((size_t)data->n_items + 2, sizeof *at);
  uint32_t *who = xf_try_calloc((size_t)xf_csr_count(x) + 1, sizeof *who);
  *start = at;
  *user = who;
  if (!at || !who) return false;
  for (uint32_t k = x->start[0]; k < xf_csr_count(x); k++) at[x->item[k] + 2]++;
  for (uint32_t i = 0; i < data->n_items; i++) at[i + 2] += at[i + 1];
  for (uint32_t u = 0; u < data->n_users; u++)
    for (uint32_t k = x->start[u]; k < x->start[u + 1]; k++) who[at[x->item[k] + 1]++] = u;
  return true;
}

struct summing {
  const struct xf_csr *x;
  double *w;              /* [users] */
  uint32_t *start, *user; /* of each item */
  uint32_t *next;         /* [users] first item of a history behind those whose rows are done */
  uint32_t *low;          /* [items] length of the lower half of a row */
  struct row row;
};

static bool summing_init(struct summing *s, const struct xf_rec_data *data) {
  const size_t users = (size_t)data->n_users;
  s->w = xf_try_calloc(users + 1, sizeof *s->w);
  s->next = xf_try_calloc(users + 1, sizeof *s->next);
  s->low = xf_try_calloc((size_t)data->n_items + 1, sizeof *s->low);
  if (!s->w || !s->next || !s->low || !row_init(&s->row, data->n_items) ||
      !transpose(data, &s->start, &s->user))
    return false;
  memcpy(s->next, s->x->start, users * sizeof *s->next);
  return true;
}

static void summing_deinit(struct summing *s) {
  xf_free(s->w);
  xf_free(s->next);
  xf_free(s->low);
  xf_free(s->start);
  xf_free(s->user);
  row_deinit(&s->row);
}

/* What stands behind i in the histories of i's users. Rows come in order and histories ascend, so the first item of a
   history that is not done yet is i itself. */
static uint64_t begin_row(struct summing *s, uint32_t i) {
  uint64_t pairs = 0;
  for (uint32_t k = s->start[i]; k < s->start[i + 1]; k++)
    pairs += s->x->start[s->user[k] + 1] - ++s->next[s->user[k]];
  return pairs;
}

/* Where a row will be nearly full, marks cost more than looking at all of it. */
static enum xf_rc sum_row(struct xf_gram *g, struct summing *s, uint32_t i, uint64_t max_bytes,
                          struct xf_diag *diag) {
  const bool full = begin_row(s, i) > (g->n - i) / FULL;
  double *restrict acc = s->row.acc;
  double diagonal = 0;
  for (uint32_t k = s->start[i]; k < s->start[i + 1]; k++) {
    const uint32_t u = s->user[k], n = s->x->start[u + 1] - s->next[u];
    const uint32_t *restrict j = s->x->item + s->next[u];
    const double w = s->w[u];
    if (w == 0) continue;
    diagonal += w;
    if (!full) row_add_all(&s->row, j, n, w);
    else
      for (uint32_t t = 0; t < n; t++) acc[j[t]] += w;
  }
  g->diag[i] = (float)diagonal;
  const uint64_t at = g->start[i] + s->low[i];
  const uint64_t count = full ? full_count(&s->row, i + 1, g->n) : row_count(&s->row, i, g->n);
  const enum xf_rc rc = reserve(g, at, count, max_bytes, diag);
  if (rc) return rc;
  g->start[i + 1] =
      full ? full_take(g, &s->row, i + 1, at, s->low) : row_take(g, &s->row, i, at, s->low);
  return XF_OK;
}

enum xf_rc xf_gram_build(struct xf_gram *out, const struct xf_rec_data *data,
                         const struct xf_gram_spec *spec, struct xf_diag *diag) {
  *out = (struct xf_gram){0};
  if (!(spec->beta >= 0 && spec->beta <= 1))
    return xf_diag_set(diag, XF_E_RANGE, "beta is %g; it must lie in 0 .. 1 (0, .5 or 1)",
                       spec->beta);
  int exponent = 0;
  if (!(spec->step >= 0 && spec->step <= 1) ||
      (spec->step > 0 && (frexp(spec->step, &exponent) != .5 || exponent < -23)))
    return xf_diag_set(diag, XF_E_RANGE, "step is %g; it must be 0 or a power of two, 2^-24 to 1",
                       spec->step);
  const uint64_t max_bytes = spec->max_bytes ? spec->max_bytes : DEFAULT_BYTES;
  struct summing s = {.x = data->train};
  enum xf_rc rc = XF_OK;
  if (!summing_init(&s, data) || !init(out, data->n_items))
    rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for the co-occurrence of %" PRIu32 " items",
                     data->n_items);
  if (!rc) user_weights(s.w, data, spec);
  for (uint32_t i = 0; i < data->n_items && !rc; i++) rc = sum_row(out, &s, i, max_bytes, diag);
  if (!rc) rc = mirror(out, s.low, diag);
  summing_deinit(&s);
  if (rc) xf_gram_deinit(out);
  return rc;
}

float xf_gram_get(const struct xf_gram *gram, uint32_t i, uint32_t j) {
  if (i == j) return gram->diag[i];
  uint64_t low = gram->start[i], high = gram->start[i + 1];
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (gram->item[middle] < j) low = middle + 1;
    else high = middle;
  }
  return low < gram->start[i + 1] && gram->item[low] == j ? gram->value[low] : 0;
}

/* place[i] = k where shared[k] == i, else XF_NO_ID. */
static enum xf_rc places(uint32_t **place, const struct xf_gram *gram, const uint32_t *shared,
                         uint32_t m) {
  *place = xf_try_calloc((size_t)gram->n + 1, sizeof **place);
  if (!*place) return XF_E_NOMEM;
  for (uint32_t i = 0; i < gram->n; i++) (*place)[i] = XF_NO_ID;
  for (uint32_t k = 0; k < m; k++) {
    if (shared[k] >= gram->n || (*place)[shared[k]] != XF_NO_ID) return XF_E_INVAL;
    (*place)[shared[k]] = k;
  }
  return XF_OK;
}

/* First entry of row a in a triangle of m items, minus a + 1: entry (a, b) is there + b. */
static size_t row_at(uint32_t m, uint32_t a) { return (size_t)xf_triangle_row(m, a) - a - 1; }

enum xf_rc xf_gram_pack(const struct xf_gram *gram, const uint32_t *shared, uint32_t m,
                        float *triangle, float *diagonal) {
  uint32_t *place = NULL;
  const enum xf_rc rc = places(&place, gram, shared, m);
  if (!rc && triangle && m > 0)
    memset(triangle, 0, (size_t)xf_triangle_count(m) * sizeof *triangle);
  for (uint32_t a = 0; a < m && !rc; a++) {
    const uint32_t i = shared[a];
    if (diagonal) diagonal[a] = gram->diag[i];
    if (!triangle) continue;
    for (uint64_t k = gram->start[i]; k < gram->start[i + 1]; k++) {
      const uint32_t b = place[gram->item[k]];
      if (b != XF_NO_ID && b > a) triangle[row_at(m, a) + b] = gram->value[k];
    }
  }
  xf_free(place);
  return rc;
}

enum xf_rc xf_gram_combine(struct xf_gram *out, const struct xf_gram *own, double lambda,
                           const uint32_t *shared, uint32_t m, const float *triangle,
                           const float *diagonal, uint64_t max_bytes, struct xf_diag *diag) {
  *out = (struct xf_gram){0};
  uint32_t *place = NULL;
  struct row row = {0};
  enum xf_rc rc = row_init(&row, own->n) ? places(&place, own, shared, m) : XF_E_NOMEM;
  if (!rc && !init(out, own->n)) rc = XF_E_NOMEM;
  for (uint32_t i = 0; i < own->n && !rc; i++) {
    row_add(&row, i, (double)own->diag[i]);
    for (uint64_t k = own->start[i]; k < own->start[i + 1]; k++)
      row_add(&row, own->item[k], (double)own->value[k]);
    const uint32_t a = place[i];
    if (a != XF_NO_ID) {
      row_add(&row, i, lambda * (double)diagonal[a]);
      for (uint32_t b = 0; b < m; b++)
        if (b != a)
          row_add(&row, shared[b],
                  lambda * (double)triangle[a < b ? row_at(m, a) + b : row_at(m, b) + a]);
    }
    rc = store_row(out, i, &row, max_bytes ? max_bytes : DEFAULT_BYTES, diag);
  }
  row_deinit(&row);
  xf_free(place);
  if (rc) xf_gram_deinit(out);
  return rc;
}

double xf_gram_sensitivity(uint32_t n) {
  return n < 2 ? 0 : sqrt(((double)n - 1) / (2 * (double)n));
}

uint64_t xf_gram_threshold(float *triangle, float *diagonal, uint32_t m, double sd) {
  return xf_gram_shrink(triangle, diagonal, m, 4 * sd, 0);
}

uint64_t xf_gram_shrink(float *triangle, float *diagonal, uint32_t m, double cut, double off) {
  uint64_t kept = 0;
  for (uint32_t a = 0; a < m; a++) diagonal[a] = 0;
  for (uint32_t a = 0; a < m; a++)
    for (uint32_t b = a + 1; b < m; b++) {
      float *x = &triangle[row_at(m, a) + b];
      if ((double)*x <= cut) {
        *x = 0;
        continue;
      }
      kept++;
      *x = (float)((double)*x - off);
      diagonal[a] += *x / 3;
      diagonal[b] += *x / 3;
    }
  return kept;
}
