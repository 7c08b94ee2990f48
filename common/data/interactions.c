/* Building, selecting and writing interactions; reading files is interactions_load.c. */
#include "data/interactions.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "data/interactions_push.h"

#include <math.h>
#include <string.h>

enum { FIRST_ROWS = 256 };

void xf_interactions_init(struct xf_interactions *inter) {
  *inter = (struct xf_interactions){0};
  xf_names_init(&inter->users);
  xf_names_init(&inter->items);
  xf_names_init(&inter->domains);
  xf_names_init(&inter->clients);
}

void xf_interactions_deinit(struct xf_interactions *inter) {
  xf_free(inter->user);
  xf_free(inter->item);
  xf_free(inter->domain);
  xf_free(inter->client);
  xf_free(inter->value);
  xf_free(inter->time);
  xf_free(inter->line);
  xf_names_deinit(&inter->users);
  xf_names_deinit(&inter->items);
  xf_names_deinit(&inter->domains);
  xf_names_deinit(&inter->clients);
  xf_interactions_init(inter);
}

/* Grows the array whose pointer is at `array`. */
static bool grow_one(void *array, size_t cap, size_t size) {
  void *old = NULL;
  memcpy(&old, array, sizeof old);
  void *more = xf_try_realloc_array(old, cap, size);
  if (more) memcpy(array, &more, sizeof more);
  return more != NULL;
}

static enum xf_rc grow(struct xf_interactions *x, const struct xf_event *e) {
  const size_t cap = x->cap ? x->cap * 2 : FIRST_ROWS;
  bool ok = grow_one(&x->user, cap, sizeof *x->user) && grow_one(&x->item, cap, sizeof *x->item);
  if (ok && e->domain) ok = grow_one(&x->domain, cap, sizeof *x->domain);
  if (ok && e->client) ok = grow_one(&x->client, cap, sizeof *x->client);
  if (ok && !isnan(e->value)) ok = grow_one(&x->value, cap, sizeof *x->value);
  if (ok && !isnan(e->time)) ok = grow_one(&x->time, cap, sizeof *x->time);
  if (ok && e->line) ok = grow_one(&x->line, cap, sizeof *x->line);
  if (!ok) return XF_E_NOMEM;
  x->cap = cap;
  return XF_OK;
}

static enum xf_rc push_key(struct xf_names *names, uint32_t *ids, size_t n, const char *key,
                           size_t len) {
  uint32_t id = 0;
  const enum xf_rc rc = xf_names_add(names, &id, key, len);
  if (!rc) ids[n] = id;
  return rc;
}

enum xf_rc xf_interactions_push(struct xf_interactions *x, const struct xf_event *e) {
  const bool same = (x->domain != NULL) == (e->domain != NULL) &&
                    (x->client != NULL) == (e->client != NULL) &&
                    (x->value != NULL) == !isnan(e->value) &&
                    (x->time != NULL) == !isnan(e->time) && (x->line != NULL) == (e->line > 0);
  if (x->n > 0 && !same) return XF_E_INVAL;
  enum xf_rc rc = x->n == x->cap ? grow(x, e) : XF_OK;
  if (!rc) rc = push_key(&x->users, x->user, x->n, e->user, e->user_len);
  if (!rc) rc = push_key(&x->items, x->item, x->n, e->item, e->item_len);
  if (!rc && e->domain) rc = push_key(&x->domains, x->domain, x->n, e->domain, e->domain_len);
  if (!rc && e->client) rc = push_key(&x->clients, x->client, x->n, e->client, e->client_len);
  if (rc) return rc;
  if (x->value) x->value[x->n] = (float)e->value;
  if (x->time) x->time[x->n] = e->time;
  if (x->line) x->line[x->n] = e->line;
  x->n++;
  return XF_OK;
}

enum xf_rc xf_interactions_add(struct xf_interactions *inter, const char *user, const char *item,
                               const char *domain, double value, double time) {
  if (!isnan(value) && !isfinite((float)value)) return XF_E_INVAL;
  const struct xf_event e = {.user = user,
                             .user_len = strlen(user),
                             .item = item,
                             .item_len = strlen(item),
                             .domain = domain,
                             .domain_len = domain ? strlen(domain) : 0,
                             .value = value,
                             .time = time};
  return xf_interactions_push(inter, &e);
}

enum xf_rc xf_interactions_select(struct xf_interactions *out, const struct xf_interactions *src,
                                  const uint32_t *group, uint32_t which) {
  xf_interactions_init(out);
  for (size_t i = 0; i < src->n; i++) {
    if (group[i] != which) continue;
    struct xf_event e = {.user = xf_names_get(&src->users, src->user[i]),
                         .item = xf_names_get(&src->items, src->item[i]),
                         .value = src->value ? (double)src->value[i] : (double)NAN,
                         .time = src->time ? src->time[i] : (double)NAN,
                         .line = src->line ? src->line[i] : 0};
    e.user_len = strlen(e.user);
    e.item_len = strlen(e.item);
    if (src->domain) e.domain = xf_names_get(&src->domains, src->domain[i]);
    if (src->client) e.client = xf_names_get(&src->clients, src->client[i]);
    e.domain_len = e.domain ? strlen(e.domain) : 0;
    e.client_len = e.client ? strlen(e.client) : 0;
    const enum xf_rc rc = xf_interactions_push(out, &e);
    if (rc) {
      xf_interactions_deinit(out);
      return rc;
    }
  }
  out->count.lines = out->n;
  return XF_OK;
}

static enum xf_rc put_row(struct xf_buf *buf, const struct xf_interactions *x, size_t i) {
  enum xf_rc rc = xf_buf_printf(buf, "%s\t%s", xf_names_get(&x->users, x->user[i]),
                                xf_names_get(&x->items, x->item[i]));
  if (!rc && x->domain) rc = xf_buf_printf(buf, "\t%s", xf_names_get(&x->domains, x->domain[i]));
  if (!rc && x->value) rc = xf_buf_printf(buf, "\t%.9g", (double)x->value[i]);
  if (!rc && x->time) rc = xf_buf_printf(buf, "\t%.17g", x->time[i]);
  if (!rc) rc = xf_buf_put_u8(buf, '\n');
  return rc;
}

enum xf_rc xf_interactions_save(const struct xf_interactions *inter, const char *path,
                                struct xf_diag *diag) {
  struct xf_buf buf;
  xf_buf_init(&buf, (size_t)1 << 34);
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; !rc && i < inter->n; i++) rc = put_row(&buf, inter, i);
  if (rc) xf_diag_set(diag, rc, "%s: not enough memory to write %zu events", path, inter->n);
  else rc = xf_fs_replace(xf_fs_posix(), path, buf.p, buf.len, diag);
  xf_buf_deinit(&buf);
  return rc;
}
