/*
 * str.h - small string helpers: strict numbers, safe copies, "did you mean".
 * Thread: any. Owner: caller's buffers.
 */
#ifndef XF_BASE_STR_H
#define XF_BASE_STR_H

#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

/* Copies s into out[cap] with NUL. @err E_LIMIT when it does not fit (out is then empty) */
XF_WARN_UNUSED enum xf_rc xf_str_copy(char *out, size_t cap, const char *s);
/* Strict decimal numbers: the whole text (length len), no spaces, no trailing characters.
   Floats accept 1, -1.5, 1e-5 and reject inf/nan/hex. @err E_FORMAT E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_str_i64(int64_t *out, const char *s, size_t len);
XF_WARN_UNUSED enum xf_rc xf_str_u64(uint64_t *out, const char *s, size_t len);
XF_WARN_UNUSED enum xf_rc xf_str_double(double *out, const char *s, size_t len);
/* Bytes of the well-formed UTF-8 character at p (left >= 1 bytes follow), or 0. @source RFC 3629, section 4 */
size_t xf_str_utf8_len(const unsigned char *p, size_t left);
/* Whether s is well-formed UTF-8. @thread any */
bool xf_str_is_utf8(const char *s);
/* Levenshtein distance, bounded by 64-character words (longer: SIZE_MAX). @unit edits */
size_t xf_str_distance(const char *a, const char *b);
/* The candidate closest to `word` within a third of its length, or NULL. @own borrowed from words */
const char *xf_str_closest(const char *word, const char *const *words, size_t n_words);
/* Whether s matches [a-z0-9-]{1,63} (member ids, federation names). @thread any */
bool xf_str_is_id(const char *s);

#endif
