/* The data of cold.h: users' and items' attributes, splits, tasks. */
#include "cold.h"

#include "base/alloc.h"
#include "data/lines.h"
#include "tensor/lapack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEAN_SHRINK 5.

enum { FIRST_FLAG = 5, FIRST_YEAR = 1920, PATH = 1024 };
static const double AGE[] = {18, 25, 35, 45, 50, 56}; /* MovieLens-1M's groups */

/* u.user: id|age|gender|occupation|zip. */
static enum xf_rc load_users(struct world *w, const char *path, struct xf_diag *diag) {
  struct xf_lines *lines;
  struct xf_names jobs;
  const struct xf_field *f;
  size_t n;
  xf_names_init(&jobs);
  enum xf_rc rc = xf_lines_open(&lines, path, '|', diag);
  while (!rc && !(rc = xf_lines_next(lines, &f, &n, diag))) {
    if (n != 5) rc = xf_lines_fail(lines, 0, XF_E_FORMAT, diag, "not u.user");
    const uint32_t u = rc ? XF_NO_ID : xf_names_find(&w->inter.users, f[0].p, f[0].len);
    double age = 0;
    uint32_t job = 0, group = 0;
    if (!rc) rc = xf_lines_number(lines, 2, &f[1], "age", &age, diag);
    if (!rc) rc = xf_names_add(&jobs, &job, f[3].p, f[3].len);
    if (!rc && job >= 21) rc = xf_lines_fail(lines, 4, XF_E_LIMIT, diag, "a 22nd occupation");
    if (rc || u == XF_NO_ID) continue;
    while (group < 6 && age >= AGE[group]) group++;
    w->user_x[u][f[2].p[0] == 'F'] = 1;
    w->user_x[u][2 + group] = 1;
    w->user_x[u][2 + 7 + job] = 1;
  }
  xf_lines_close(lines);
  xf_names_deinit(&jobs);
  return rc == XF_E_EOF ? XF_OK : rc;
}

/* u.item: id|title|dd-Mon-yyyy|video date|address|19 flags. */
static enum xf_rc load_items(struct world *w, const char *path, struct xf_diag *diag) {
  struct xf_lines *lines;
  const struct xf_field *f;
  size_t n;
  enum xf_rc rc = xf_lines_open(&lines, path, '|', diag);
  while (!rc && !(rc = xf_lines_next(lines, &f, &n, diag))) {
    if (n != FIRST_FLAG + N_GENRE) rc = xf_lines_fail(lines, 0, XF_E_FORMAT, diag, "not u.item");
    const uint32_t i = rc ? XF_NO_ID : xf_names_find(&w->inter.items, f[0].p, f[0].len);
    if (i == XF_NO_ID) continue;
    for (int g = 0; g < N_GENRE; g++) w->item_x[i][g] = f[FIRST_FLAG + g].p[0] == '1';
    const long year = f[2].len > 4 ? strtol(f[2].p + f[2].len - 4, NULL, 10) : 0;
    if (year >= FIRST_YEAR && year < FIRST_YEAR + 80)
      w->item_x[i][N_GENRE + (year - FIRST_YEAR) / 10] = 1;
  }
  xf_lines_close(lines);
  return rc == XF_E_EOF ? XF_OK : rc;
}

enum xf_rc world_load(struct world *w, const char *folder, struct xf_diag *diag) {
  const struct xf_interactions_spec spec = {.user = 1, .item = 2, .value = 3, .time = 4};
  char path[PATH];
  *w = (struct world){0};
  (void)snprintf(path, sizeof path, "%s/u.data.gz", folder);
  enum xf_rc rc = xf_interactions_load(&w->inter, path, &spec, diag);
  if (rc) return rc;
  const uint32_t n_users = (uint32_t)w->inter.users.n;
  w->from = xf_calloc((size_t)n_users + 2, sizeof *w->from);
  w->event = xf_calloc(w->inter.n + 1, sizeof *w->event);
  w->user_x = xf_calloc(n_users + 1, sizeof *w->user_x);
  w->item_x = xf_calloc(w->inter.items.n + 1, sizeof *w->item_x);
  for (size_t e = 0; e < w->inter.n; e++) w->from[w->inter.user[e] + 2]++;
  for (uint32_t u = 0; u < n_users; u++) w->from[u + 2] += w->from[u + 1];
  for (size_t e = 0; e < w->inter.n; e++) w->event[w->from[w->inter.user[e] + 1]++] = (uint32_t)e;
  (void)snprintf(path, sizeof path, "%s/u.user.gz", folder);
  rc = load_users(w, path, diag);
  (void)snprintf(path, sizeof path, "%s/u.item.gz", folder);
  return rc ? rc : load_items(w, path, diag);
}

void world_deinit(struct world *w) {
  xf_interactions_deinit(&w->inter);
  xf_free(w->from);
  xf_free(w->event);
  xf_free(w->user_x);
  xf_free(w->item_x);
}

static double shrunk_mean(const struct split *s, uint32_t i) {
  return s->sum[i] / (s->count[i] + MEAN_SHRINK);
}

/* The item sides of the largest singular vectors of (learning users x items) ratings less the items' means: eigenvectors of the
   users' products, carried over to the items. */
static enum xf_rc factors(struct split *s, struct xf_diag *diag) {
  const struct world *w = s->world;
  const size_t n_items = w->inter.items.n;
  float *r = xf_calloc(META_USERS * n_items, sizeof *r);
  double *gram = xf_calloc((size_t)META_USERS * META_USERS, sizeof *gram);
  double value[META_USERS];
  for (uint32_t k = 0; k < META_USERS; k++)
    for (uint32_t e = w->from[s->user[k]]; e < w->from[s->user[k] + 1]; e++) {
      const uint32_t ev = w->event[e], i = w->inter.item[ev];
      r[k * n_items + i] = (float)((double)w->inter.value[ev] - s->mean - shrunk_mean(s, i));
    }
  for (uint32_t a = 0; a < META_USERS; a++)
    for (uint32_t b = 0; b <= a; b++) {
      double dot = 0;
      for (size_t i = 0; i < n_items; i++) dot += (double)(r[a * n_items + i] * r[b * n_items + i]);
      gram[a * META_USERS + b] = gram[b * META_USERS + a] = dot;
    }
  const enum xf_rc rc = xf_lapack_dsyev(gram, value, META_USERS);
  for (uint32_t f = 0; !rc && f < N_FACTOR; f++) {
    const double *vec = gram + (size_t)(META_USERS - 1 - f) * META_USERS;
    const double scale = sqrt((double)n_items / value[META_USERS - 1 - f]);
    for (size_t i = 0; i < n_items; i++) {
      double dot = 0;
      for (uint32_t k = 0; k < META_USERS; k++) dot += vec[k] * (double)r[k * n_items + i];
      s->item_x[i][N_ITEM_X + f] = (float)(scale * dot);
    }
  }
  xf_free(r);
  xf_free(gram);
  return rc ? xf_diag_set(diag, rc, "singular vectors of the ratings") : XF_OK;
}

enum xf_rc split_init(struct split *s, const struct world *w, uint64_t seed, struct xf_diag *diag) {
  const size_t n_users = w->inter.users.n, n_items = w->inter.items.n;
  *s = (struct split){.world = w, .seed = seed};
  if (n_users < META_USERS + 2 * VALID_USERS)
    return xf_diag_set(diag, XF_E_FORMAT, "%zu users; 943 are expected", n_users);
  s->user = xf_calloc(n_users, sizeof *s->user);
  s->learns = xf_calloc(n_users, sizeof *s->learns);
  s->sum = xf_calloc(n_items, sizeof *s->sum);
  s->count = xf_calloc(n_items, sizeof *s->count);
  s->item_x = xf_calloc(n_items, sizeof *s->item_x);
  struct xf_rng rng;
  xf_rng_init(&rng, seed, 1);
  for (size_t u = 0; u < n_users; u++) s->user[u] = (uint32_t)u;
  xf_rng_shuffle(&rng, s->user, n_users);
  size_t n = 0;
  for (uint32_t k = 0; k < META_USERS; k++) {
    s->learns[s->user[k]] = true;
    for (uint32_t e = w->from[s->user[k]]; e < w->from[s->user[k] + 1]; e++) {
      const uint32_t ev = w->event[e];
      s->sum[w->inter.item[ev]] += (double)w->inter.value[ev];
      s->count[w->inter.item[ev]]++;
      s->mean += (double)w->inter.value[ev];
      n++;
    }
  }
  s->mean /= (double)n;
  double first = 0, second = 0;
  for (size_t i = 0; i < n_items; i++) {
    s->sum[i] -= s->count[i] * s->mean;
    first += log1p(s->count[i]) / (double)n_items;
    second += log1p(s->count[i]) * log1p(s->count[i]) / (double)n_items;
  }
  for (uint32_t i = 0; i < n_items; i++) {
    memcpy(s->item_x[i], w->item_x[i], sizeof w->item_x[i]);
    s->item_x[i][N_GENRE + 8] = (float)shrunk_mean(s, i);
    s->item_x[i][N_GENRE + 9] =
        (float)((log1p(s->count[i]) - first) / sqrt(second - first * first));
  }
  return factors(s, diag);
}

void split_deinit(struct split *s) {
  xf_free(s->user);
  xf_free(s->learns);
  xf_free(s->sum);
  xf_free(s->count);
  xf_free(s->item_x);
}

void split_task(const struct split *s, uint32_t user, struct xf_rng *rng, struct task *t) {
  const struct world *w = s->world;
  const uint32_t n = w->from[user + 1] - w->from[user];
  uint32_t *event = xf_memdup(w->event + w->from[user], n * sizeof *event);
  xf_rng_shuffle(rng, event, n);
  t->n = n < TASK ? n : TASK;
  t->n_support = SUPPORT;
  for (uint32_t k = 0; k < t->n; k++) {
    const uint32_t i = w->inter.item[event[k]];
    float *x = t->x + (size_t)k * N_IN;
    memcpy(x, w->user_x[user], sizeof w->user_x[user]);
    memcpy(x + N_USER_X, s->item_x[i], sizeof s->item_x[i]);
    t->y[k] = (float)((double)w->inter.value[event[k]] - s->mean);
    t->item[k] = (float)shrunk_mean(s, i);
    if (s->learns[user])
      x[N_USER_X + N_GENRE + 8] =
          (float)((s->sum[i] - (double)t->y[k]) / (s->count[i] - 1 + MEAN_SHRINK));
  }
  xf_free(event);
}
