#include "data/qrel.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

uint64_t xf_qrel_hash(const char *key) {
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  for (; *key; key++) h = (h ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
  h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
  h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
  return h ^ (h >> 33);
}

enum xf_qrel_half xf_qrel_half(const char *key) {
  return xf_qrel_hash(key) % 2 ? XF_QREL_FINAL : XF_QREL_DEVELOPMENT;
}

static int by_pair(const void *a, const void *b, void *arg) {
  const struct xf_interactions *x = arg;
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  if (x->user[i] != x->user[j]) return x->user[i] < x->user[j] ? -1 : 1;
  if (x->item[i] != x->item[j]) return x->item[i] < x->item[j] ? -1 : 1;
  return (i > j) - (i < j);
}

/* A pair twice is a contradiction or a mistake. */
static enum xf_rc refuse_repeats(const struct xf_interactions *x, const char *path,
                                 struct xf_diag *diag) {
  uint32_t *order = xf_try_calloc(x->n + 1, sizeof *order);
  enum xf_rc rc = XF_OK;
  if (!order) return xf_diag_set(diag, XF_E_NOMEM, "%s: not enough memory", path);
  for (size_t i = 0; i < x->n; i++) order[i] = (uint32_t)i;
  qsort_r(order, x->n, sizeof *order, by_pair, (void *)(uintptr_t)x);
  for (size_t k = 1; !rc && k < x->n; k++) {
    const uint32_t i = order[k], b = order[k - 1];
    if (x->user[i] == x->user[b] && x->item[i] == x->item[b])
      rc = xf_diag_set(diag, XF_E_FORMAT,
                       "%s:%llu: user \"%.40s\" and item \"%.40s\" again, first on line %llu; keep "
                       "one of the two",
                       path, (unsigned long long)x->line[i], xf_names_get(&x->users, x->user[i]),
                       xf_names_get(&x->items, x->item[i]), (unsigned long long)x->line[b]);
  }
  xf_free(order);
  return rc;
}

static enum xf_rc add_key(struct xf_names *to, uint32_t *id, const char *key) {
  return xf_names_add(to, id, key, strlen(key));
}

/* The relevant pairs as rows, with the ids of the names. */
static enum xf_rc collect(struct xf_qrel *out, const struct xf_interactions *x,
                          struct xf_names *users, struct xf_names *items) {
  const uint32_t old_users = users->n, old_items = items->n;
  uint32_t *user = xf_try_calloc(x->n + 1, sizeof *user);
  uint32_t *item = xf_try_calloc(x->n + 1, sizeof *item);
  enum xf_rc rc = user && item ? XF_OK : XF_E_NOMEM;
  size_t n = 0;
  for (size_t i = 0; !rc && i < x->n; i++) {
    if (!(x->value[i] > 0)) {
      out->count.irrelevant++;
      continue;
    }
    rc = add_key(users, &user[n], xf_names_get(&x->users, x->user[i]));
    if (!rc) rc = add_key(items, &item[n], xf_names_get(&x->items, x->item[i]));
    n++;
  }
  if (!rc) rc = xf_csr_init(&out->relevant, users->n, items->n, user, item, n);
  for (uint32_t u = 0; !rc && u < users->n; u++)
    out->count.users += out->relevant.start[u + 1] > out->relevant.start[u];
  out->count.new_users = users->n - old_users;
  out->count.new_items = items->n - old_items;
  xf_free(user);
  xf_free(item);
  return rc;
}

enum xf_rc xf_qrel_load(struct xf_qrel *out, const char *path, struct xf_names *users,
                        struct xf_names *items, struct xf_diag *diag) {
  const struct xf_interactions_spec spec = {.user = 1, .item = 2, .value = 3, .keep_lines = true};
  struct xf_interactions x;
  *out = (struct xf_qrel){0};
  enum xf_rc rc = xf_interactions_load(&x, path, &spec, diag);
  if (rc) return rc;
  out->count.lines = x.count.lines;
  rc = refuse_repeats(&x, path, diag);
  if (!rc) {
    rc = collect(out, &x, users, items);
    if (rc) xf_diag_set(diag, rc, "%s: cannot keep %zu pairs: %s", path, x.n, xf_rc_text(rc));
  }
  if (!rc && out->count.users == 0)
    rc = xf_diag_set(diag, XF_E_FORMAT,
                     "%s: no relevant pair among %llu; ratings above 0 mean relevant", path,
                     (unsigned long long)x.count.lines);
  xf_interactions_deinit(&x);
  if (rc) xf_qrel_deinit(out);
  return rc;
}

void xf_qrel_deinit(struct xf_qrel *qrel) {
  xf_csr_deinit(&qrel->relevant);
  *qrel = (struct xf_qrel){0};
}
