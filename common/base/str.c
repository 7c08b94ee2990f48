#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 63, WORD_MAX = 64 };

enum xf_rc xf_str_copy(char *out, size_t cap, const char *s) {
  size_t n = strlen(s);
  if (n >= cap) {
    if (cap) out[0] = '\0';
    return XF_E_LIMIT;
  }
  memcpy(out, s, n + 1);
  return XF_OK;
}

/* Copies a number's text so that it is NUL-terminated; the character set is checked by the caller. */
static enum xf_rc number_text(char out[NUMBER_MAX + 1], const char *s, size_t len,
                              const char *set) {
  if (len == 0 || len > NUMBER_MAX) return XF_E_FORMAT;
  memcpy(out, s, len);
  out[len] = '\0';
  return strspn(out, set) == len ? XF_OK : XF_E_FORMAT;
}

enum xf_rc xf_str_i64(int64_t *out, const char *s, size_t len) {
  char t[NUMBER_MAX + 1], *end = NULL;
  enum xf_rc rc = number_text(t, s, len, "+-0123456789");
  if (rc) return rc;
  errno = 0;
  long long v = strtoll(t, &end, 10);
  if (*end || end == t) return XF_E_FORMAT;
  if (errno == ERANGE) return XF_E_RANGE;
  *out = v;
  return XF_OK;
}

enum xf_rc xf_str_u64(uint64_t *out, const char *s, size_t len) {
  char t[NUMBER_MAX + 1], *end = NULL;
  enum xf_rc rc = number_text(t, s, len, "0123456789");
  if (rc) return rc;
  errno = 0;
  unsigned long long v = strtoull(t, &end, 10);
  if (*end || end == t) return XF_E_FORMAT;
  if (errno == ERANGE) return XF_E_RANGE;
  *out = v;
  return XF_OK;
}

enum xf_rc xf_str_double(double *out, const char *s, size_t len) {
  char t[NUMBER_MAX + 1], *end = NULL;
  enum xf_rc rc = number_text(t, s, len, "+-.0123456789eE");
  if (rc) return rc;
  errno = 0;
  double v = strtod(t, &end);
  if (*end || end == t) return XF_E_FORMAT;
  if (!isfinite(v)) return XF_E_RANGE;
  *out = v;
  return XF_OK;
}

size_t xf_str_distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  if (n > WORD_MAX || m > WORD_MAX) return SIZE_MAX;
  size_t row[WORD_MAX + 1];
  for (size_t j = 0; j <= m; j++) row[j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t diag = row[0];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t up = row[j];
      size_t best = diag + (a[i - 1] != b[j - 1]);
      if (up + 1 < best) best = up + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      row[j] = best;
      diag = up;
    }
  }
  return row[m];
}

const char *xf_str_closest(const char *word, const char *const *words, size_t n_words) {
  const char *best = NULL;
  size_t limit = strlen(word) / 3 + 1, best_d = limit + 1;
  for (size_t i = 0; i < n_words; i++) {
    size_t d = xf_str_distance(word, words[i]);
    if (d < best_d) {
      best_d = d;
      best = words[i];
    }
  }
  return best;
}

bool xf_str_is_id(const char *s) {
  size_t n = strlen(s);
  return n >= 1 && n <= 63 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

size_t xf_str_utf8_len(const unsigned char *p, size_t left) {
  if (p[0] < 0x80) return 1;
  size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
  if (p[0] < 0xc2 || p[0] > 0xf4 || n > left) return 0;
  for (size_t i = 1; i < n; i++)
    if ((p[i] & 0xc0) != 0x80) return 0;
  if (p[0] == 0xe0 && p[1] < 0xa0) return 0;  /* over-long */
  if (p[0] == 0xed && p[1] >= 0xa0) return 0; /* surrogate */
  if (p[0] == 0xf0 && p[1] < 0x90) return 0;
  if (p[0] == 0xf4 && p[1] >= 0x90) return 0;
  return n;
}

bool xf_str_is_utf8(const char *s) {
  const unsigned char *p = (const unsigned char *)s;
  for (size_t left = strlen(s), n = 0; left; p += n, left -= n) {
    n = xf_str_utf8_len(p, left);
    if (n == 0) return false;
  }
  return true;
}
