#include "data/names.h"

#include "base/alloc.h"

#include <string.h>

enum { FIRST_KEYS = 64, FIRST_TEXT = 1024 };
#define MAX_KEYS ((uint32_t)1 << 31)

void xf_names_init(struct xf_names *names) {
  *names = (struct xf_names){0};
  xf_map_init(&names->map);
}

void xf_names_deinit(struct xf_names *names) {
  xf_map_deinit(&names->map);
  xf_free(names->text);
  xf_free(names->start);
  *names = (struct xf_names){0};
}

/* Room for one more key of len bytes. */
static enum xf_rc names_grow(struct xf_names *names, size_t len) {
  if (names->n == names->cap) {
    const uint32_t cap = names->cap ? names->cap * 2 : FIRST_KEYS;
    size_t *start = xf_try_realloc_array(names->start, cap, sizeof *start);
    if (!start) return XF_E_NOMEM;
    names->start = start;
    names->cap = cap;
  }
  if (names->text_cap - names->text_len <= len) {
    size_t cap = names->text_cap ? names->text_cap * 2 : FIRST_TEXT;
    while (cap - names->text_len <= len) cap *= 2;
    char *text = xf_try_realloc_array(names->text, cap, 1);
    if (!text) return XF_E_NOMEM;
    names->text = text;
    names->text_cap = cap;
  }
  return XF_OK;
}

enum xf_rc xf_names_add(struct xf_names *names, uint32_t *id, const char *key, size_t len) {
  if (xf_map_get(&names->map, key, len, id)) return XF_OK;
  if (len == 0 || memchr(key, 0, len)) return XF_E_INVAL;
  if (len > XF_NAMES_KEY_MAX || names->n >= MAX_KEYS) return XF_E_LIMIT;
  const enum xf_rc rc = names_grow(names, len);
  if (rc) return rc;
  memcpy(names->text + names->text_len, key, len);
  names->text[names->text_len + len] = '\0';
  names->start[names->n] = names->text_len;
  names->text_len += len + 1;
  xf_map_set(&names->map, key, len, names->n);
  *id = names->n++;
  return XF_OK;
}

uint32_t xf_names_find(const struct xf_names *names, const char *key, size_t len) {
  uint32_t id = XF_NO_ID;
  return xf_map_get(&names->map, key, len, &id) ? id : XF_NO_ID;
}

const char *xf_names_get(const struct xf_names *names, uint32_t id) {
  return id < names->n ? names->text + names->start[id] : "";
}
