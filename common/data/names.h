/*
 * names.h - dense ids (0, 1, 2 ...) for the keys of a file, and the keys' original text.
 *
 * A key is any text of 1 to XF_NAMES_KEY_MAX bytes without NUL; "7" and "07" are two keys. Ids follow the
 * order of first appearance. Not for: pseudonyms (crypto/pseudonym.h).
 * Owner: caller. Thread: one writer; readers only without a writer.
 */
#ifndef XF_DATA_NAMES_H
#define XF_DATA_NAMES_H

#include "base/map.h"
#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

enum { XF_NAMES_KEY_MAX = 1024 };
#define XF_NO_ID UINT32_MAX

struct xf_names {
  struct xf_map map;
  char *text;    /* keys behind each other, each with a NUL */
  size_t *start; /* [n] where a key begins in text */
  size_t text_len, text_cap;
  uint32_t n, cap;
};

/* No keys. @own caller, release with xf_names_deinit */
void xf_names_init(struct xf_names *names);
/* Releases; idempotent. @own names */
void xf_names_deinit(struct xf_names *names);
/* The id of a key; a new key gets the next one. @own copies key @err E_LIMIT (key too long, 2^31 keys)
   E_INVAL (empty or with NUL) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_names_add(struct xf_names *names, uint32_t *id, const char *key,
                                       size_t len);
/* The id of a key, or XF_NO_ID. @thread any reader */
uint32_t xf_names_find(const struct xf_names *names, const char *key, size_t len);
/* The text of an id; "" for a foreign id. @own names, until the next add */
const char *xf_names_get(const struct xf_names *names, uint32_t id);

#endif
