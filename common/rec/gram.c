/* Rows of the Gram one by one: for item i, the histories of its users are summed into a dense row, then stored. Which
   eights of the row were touched is marked, so that a sparse row costs its entries and not the catalogue. */
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

/* A row being summed: item j is in the eight j / 8. All zero between rows. */
enum { EIGHT = 8 };
struct row {
  double *acc;  /* [eights x 8] */
  uint8_t *hit; /* [eights] 1: something was added, rounded up to whole words */
  size_t words; /* of hit */
};

static bool row_init(struct row *row, uint32_t n) {
  row->words = n / (EIGHT * sizeof(uint64_t)) + 1;
  row->hit = xf_try_calloc(row->words, sizeof(uint64_t));
  row->acc = xf_try_calloc(row->words * sizeof(uint64_t) * EIGHT, sizeof *row->acc);
  return row->hit && row->acc;
}

static void row_deinit(struct row *row) {
  xf_free(row->acc);
  xf_free(row->hit);
}

static void row_add(const struct row *row, uint32_t j, double x) {
  row->acc[j] += x;
  row->hit[j / EIGHT] = 1;
}

/* row_add of x at n places. @shape j[n] */
static void row_add_all(const struct row *row, const uint32_t *j, uint32_t n, double x) {
  double *restrict acc = row->acc;
  uint8_t *restrict hit = row->hit;
  for (uint32_t k = 0; k < n; k++) {
    acc[j[k]] += x;
    hit[j[k] / EIGHT] = 1;
  }
}

/* The next touched eight from `at` on; row->words * 8 when there is none. */
static size_t next_hit(const struct row *row, size_t at) {
  const size_t n = row->words * sizeof(uint64_t);
  while (at < n) {
    uint64_t word;
    if (at % sizeof word == 0) {
      memcpy(&word, row->hit + at, sizeof word);
      if (word == 0) {
        at += sizeof word;
        continue;
      }
    }
    if (row->hit[at]) return at;
    at++;
  }
  return n;
}

/* Stores the row as row i and clears it. Entries are written without asking whether they are zero: the next one overwrites
   those, which costs no wrong guess of a branch but a place behind the last entry. */
static enum xf_rc store_row(struct xf_gram *g, uint32_t i, const struct row *row,
                            uint64_t max_bytes, struct xf_diag *diag) {
  const size_t end = row->words * sizeof(uint64_t);
  double *acc = row->acc;
  uint64_t count = 0, at = g->start[i];
  g->diag[i] = (float)acc[i];
  acc[i] = 0;
  for (size_t e = next_hit(row, 0); e < end; e = next_hit(row, e + 1))
    for (size_t j = e * EIGHT; j < (e + 1) * EIGHT; j++) count += acc[j] != 0;
  const enum xf_rc rc = reserve(g, at, count, max_bytes, diag);
  if (rc) return rc;
  for (size_t e = next_hit(row, 0); e < end; e = next_hit(row, e + 1)) {
    for (size_t j = e * EIGHT; j < (e + 1) * EIGHT; j++) {
      g->item[at] = (uint32_t)j;
      g->value[at] = (float)acc[j];
      at += acc[j] != 0;
    }
    memset(acc + e * EIGHT, 0, EIGHT * sizeof *acc);
    row->hit[e] = 0;
  }
  g->start[i + 1] = at;
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
  const struct xf_csr *x = data->train;
  uint32_t *start = NULL, *user = NULL;
  double *w = xf_try_calloc((size_t)data->n_users + 1, sizeof *w);
  struct row row = {0};
  enum xf_rc rc = XF_E_NOMEM;
  if (!w || !row_init(&row, data->n_items) || !transpose(data, &start, &user) ||
      !init(out, data->n_items)) {
    rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for the co-occurrence of %" PRIu32 " items",
                     data->n_items);
    goto out;
  }
  rc = XF_OK;
  user_weights(w, data, spec);
  for (uint32_t i = 0; i < data->n_items && !rc; i++) {
    for (uint32_t k = start[i]; k < start[i + 1]; k++) {
      const uint32_t u = user[k];
      row_add_all(&row, x->item + x->start[u], x->start[u + 1] - x->start[u], w[u]);
    }
    rc = store_row(out, i, &row, max_bytes, diag);
  }
out:
  xf_free(w);
  row_deinit(&row);
  xf_free(start);
  xf_free(user);
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
