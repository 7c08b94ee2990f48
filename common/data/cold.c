#include "data/cold.h"

#include "base/alloc.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY = 64 };
static const struct xf_interactions_spec columns = {.user = 1, .item = 2, .keep_lines = true};

/* The key that tells people apart. */
static enum xf_rc person(char out[KEY], const struct xf_interactions *x, size_t i, const char *path,
                         const char *domain, uint32_t n_common, struct xf_diag *diag) {
  const char *key = xf_names_get(&x->users, x->user[i]);
  uint64_t id = 0;
  if (xf_str_u64(&id, key, strlen(key)) || snprintf(out, KEY, "%llu", (unsigned long long)id) < 0)
    return xf_diag_set(diag, XF_E_FORMAT,
                       "%s:%llu:1: user \"%.40s\" is no number; ids below %u are people of both "
                       "domains, so they must be numbers",
                       path, (unsigned long long)x->line[i], key, n_common);
  if (id >= n_common) (void)snprintf(out, KEY, "%s:%llu", domain, (unsigned long long)id);
  return XF_OK;
}

static enum xf_rc load_train(struct xf_interactions *out, const char *path, const char *domain,
                             uint32_t n_common, struct xf_diag *diag) {
  struct xf_interactions x;
  char key[KEY];
  enum xf_rc rc = xf_interactions_load(&x, path, &columns, diag);
  for (size_t i = 0; !rc && i < x.n; i++) {
    rc = person(key, &x, i, path, domain, n_common, diag);
    if (!rc)
      rc = xf_interactions_add(out, key, xf_names_get(&x.items, x.item[i]), NULL, (double)NAN,
                               (double)NAN);
  }
  xf_interactions_deinit(&x);
  return rc;
}

/* A held-out user must be known in the source and unknown in the target. */
static enum xf_rc cold_user(const struct xf_cold *c, uint32_t *id, const char *key,
                            const char *place, uint64_t line, const struct xf_cold_files *files,
                            struct xf_diag *diag) {
  *id = xf_names_find(&c->source.users, key, strlen(key));
  if (*id == XF_NO_ID)
    return xf_diag_set(diag, XF_E_FORMAT,
                       "%s:%llu:1: user %s has no train event in %s, so there is nothing to score "
                       "from; remove the line, or swap source and target",
                       place, (unsigned long long)line, key, files->source_train);
  if (xf_names_find(&c->target.users, key, strlen(key)) != XF_NO_ID)
    return xf_diag_set(
        diag, XF_E_FORMAT,
        "%s:%llu:1: user %s is not cold: %s has train events of theirs; remove those, "
        "or this line",
        place, (unsigned long long)line, key, files->target_train);
  return XF_OK;
}

static enum xf_rc collect(struct xf_cold *c, enum xf_part part, const struct xf_interactions *x,
                          const char *path, const struct xf_cold_files *files, uint32_t n_common,
                          uint32_t *user, uint32_t *item, struct xf_diag *diag) {
  char key[KEY];
  size_t n = 0;
  for (size_t i = 0; i < x->n; i++) {
    enum xf_rc rc = person(key, x, i, path, "target", n_common, diag);
    if (!rc) rc = cold_user(c, &user[n], key, path, x->line[i], files, diag);
    if (rc) return rc;
    const char *name = xf_names_get(&x->items, x->item[i]);
    item[n] = xf_names_find(&c->target.items, name, strlen(name));
    if (item[n] == XF_NO_ID) c->count.no_train[part]++;
    else n++;
  }
  struct xf_csr *held = &c->held[part];
  const enum xf_rc rc = xf_csr_init(held, c->source.users.n, c->target.items.n, user, item, n);
  if (rc) return xf_diag_set(diag, rc, "%s: cannot keep %zu events: %s", path, n, xf_rc_text(rc));
  c->count.repeats[part] = n - xf_csr_count(held);
  for (uint32_t u = 0; u < held->n_row; u++)
    c->count.users[part] += held->start[u + 1] > held->start[u];
  return XF_OK;
}

static enum xf_rc load_held(struct xf_cold *c, enum xf_part part, const char *path,
                            const struct xf_cold_files *files, uint32_t n_common,
                            struct xf_diag *diag) {
  struct xf_interactions x;
  enum xf_rc rc = xf_interactions_load(&x, path, &columns, diag);
  if (rc) return rc;
  uint32_t *user = xf_try_calloc(x.n + 1, sizeof *user);
  uint32_t *item = xf_try_calloc(x.n + 1, sizeof *item);
  if (!user || !item) rc = xf_diag_set(diag, XF_E_NOMEM, "%s: not enough memory", path);
  else rc = collect(c, part, &x, path, files, n_common, user, item, diag);
  xf_free(user);
  xf_free(item);
  xf_interactions_deinit(&x);
  return rc;
}

enum xf_rc xf_cold_load(struct xf_cold *out, const struct xf_cold_files *files, uint32_t n_common,
                        struct xf_diag *diag) {
  *out = (struct xf_cold){0};
  xf_interactions_init(&out->source);
  xf_interactions_init(&out->target);
  enum xf_rc rc = load_train(&out->source, files->source_train, "source", n_common, diag);
  if (!rc) rc = load_train(&out->target, files->target_train, "target", n_common, diag);
  if (!rc && files->valid) rc = load_held(out, XF_PART_VALID, files->valid, files, n_common, diag);
  if (!rc && files->test) rc = load_held(out, XF_PART_TEST, files->test, files, n_common, diag);
  for (uint32_t u = 0; !rc && u < out->target.users.n; u++) {
    const char *key = xf_names_get(&out->target.users, u);
    out->count.both += xf_names_find(&out->source.users, key, strlen(key)) != XF_NO_ID;
  }
  if (rc) xf_cold_deinit(out);
  return rc;
}

void xf_cold_deinit(struct xf_cold *cold) {
  xf_interactions_deinit(&cold->source);
  xf_interactions_deinit(&cold->target);
  for (int p = 0; p < XF_N_PART; p++) xf_csr_deinit(&cold->held[p]);
}
