#include "tools/exper/setting.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

enum { DEPTH = 16, KEY_MAX = 256, ENTRIES_MAX = 4096 };

static enum xf_rc add(struct xf_setting *s, const char *key, const char *value, size_t n) {
  if (strcmp(key, "seed") == 0) return XF_OK;
  if (s->n == ENTRIES_MAX) return XF_E_LIMIT;
  s->entry = xf_realloc_array(s->entry, s->n + 1, sizeof *s->entry);
  char *copy = xf_calloc(n + 1, 1);
  memcpy(copy, value, n);
  s->entry[s->n++] = (struct xf_setting_entry){xf_strdup(key), copy};
  return XF_OK;
}

struct reader {
  struct xf_setting *out;
  char path[DEPTH][KEY_MAX]; /* of the block at each depth, with its dot */
  unsigned item[DEPTH];      /* list items seen at each depth */
};

static enum xf_rc read_line(struct reader *r, const char *p, size_t n) {
  size_t spaces = 0;
  while (spaces < n && p[spaces] == ' ') spaces++;
  const size_t depth = spaces / 2;
  if (spaces == n || p[spaces] == '#') return XF_OK;
  if (spaces % 2 || depth + 1 >= DEPTH) return XF_E_FORMAT;
  const char *base = depth ? r->path[depth] : "", *s = p + spaces;
  n -= spaces;
  int len = 0;
  if (n == 1 && *s == '-') { /* the next item of the list above: its keys stand one deeper */
    len = snprintf(r->path[depth + 1], KEY_MAX, "%.*s[%u].", (int)strlen(base) - (*base != 0), base,
                   r->item[depth]++);
    return len < KEY_MAX ? XF_OK : XF_E_LIMIT;
  }
  const char *colon = memchr(s, ':', n);
  if (!colon) return XF_E_FORMAT;
  const size_t rest = n - (size_t)(colon - s) - 1;
  char key[KEY_MAX];
  len = snprintf(key, sizeof key, "%s%.*s", base, (int)(colon - s), s);
  if (len >= KEY_MAX - 1) return XF_E_LIMIT;
  if (rest) return colon[1] == ' ' ? add(r->out, key, colon + 2, rest - 1) : XF_E_FORMAT;
  (void)snprintf(r->path[depth + 1], KEY_MAX, "%.*s.", KEY_MAX - 2, key);
  r->item[depth + 1] = 0;
  return XF_OK;
}

/* One stage: its keys are those that --set takes. */
static void shorten(struct xf_setting *s) {
  static const char first[] = "stages[0].";
  for (size_t i = 0; i < s->n; i++)
    if (strncmp(s->entry[i].key, "stages[1].", 10) == 0) return;
  for (size_t i = 0; i < s->n; i++)
    if (strncmp(s->entry[i].key, first, sizeof first - 1) == 0 &&
        !xf_setting_find(s, s->entry[i].key + sizeof first - 1)) /* "name" is the plan's */
      memmove(s->entry[i].key, s->entry[i].key + sizeof first - 1,
              strlen(s->entry[i].key) - sizeof first + 2);
}

enum xf_rc xf_setting_read(struct xf_setting *out, const char *text, size_t len) {
  struct reader *r = xf_calloc(1, sizeof *r);
  enum xf_rc rc = XF_OK;
  *out = (struct xf_setting){0};
  r->out = out;
  for (const char *p = text, *end = text + len; p < end && !rc;) {
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    const size_t n = (size_t)((stop ? stop : end) - p);
    rc = read_line(r, p, n);
    p = stop ? stop + 1 : end;
  }
  xf_free(r);
  if (rc) xf_setting_deinit(out);
  else shorten(out);
  return rc;
}

void xf_setting_deinit(struct xf_setting *s) {
  for (size_t i = 0; i < s->n; i++) {
    xf_free(s->entry[i].key);
    xf_free(s->entry[i].value);
  }
  xf_free(s->entry);
  *s = (struct xf_setting){0};
}

const char *xf_setting_find(const struct xf_setting *s, const char *key) {
  for (size_t i = 0; i < s->n; i++)
    if (strcmp(s->entry[i].key, key) == 0) return s->entry[i].value;
  return NULL;
}

bool xf_setting_same(const struct xf_setting *a, const struct xf_setting *b) {
  if (a->n != b->n) return false;
  for (size_t i = 0; i < a->n; i++)
    if (strcmp(a->entry[i].key, b->entry[i].key) != 0 ||
        strcmp(a->entry[i].value, b->entry[i].value) != 0)
      return false;
  return true;
}

static bool differs(const struct xf_setting_entry *e, const struct xf_setting *const *all,
                    size_t n) {
  for (size_t i = 0; i < n; i++) {
    const char *v = xf_setting_find(all[i], e->key);
    if (!v || strcmp(v, e->value) != 0) return true;
  }
  return false;
}

static const char *last_word(const char *key) {
  const char *dot = strrchr(key, '.');
  return dot ? dot + 1 : key;
}

void xf_setting_label(char *out, size_t cap, const struct xf_setting *s,
                      const struct xf_setting *const *all, size_t n) {
  bool *shown = xf_calloc(s->n + 1, sizeof *shown);
  size_t at = 0;
  out[0] = '\0';
  for (size_t i = 0; i < s->n; i++) shown[i] = differs(&s->entry[i], all, n);
  for (size_t i = 0; i < s->n && at < cap; i++) {
    if (!shown[i]) continue;
    const char *word = last_word(s->entry[i].key);
    bool twice = false;
    for (size_t k = 0; k < s->n; k++)
      twice |= shown[k] && k != i && strcmp(last_word(s->entry[k].key), word) == 0;
    at += (size_t)snprintf(out + at, cap - at, "%s%s=%s", at ? " " : "",
                           twice ? s->entry[i].key : word, s->entry[i].value);
  }
  xf_free(shown);
}
