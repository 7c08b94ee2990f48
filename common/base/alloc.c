#include "base/alloc.h"

#include "base/assert.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *xf_alloc(size_t n) {
  void *p = malloc(n ? n : 1);
  XF_ASSERT(p != NULL);
  return p;
}

void *xf_calloc(size_t n, size_t size) {
  void *p = calloc(n ? n : 1, size ? size : 1);
  XF_ASSERT(p != NULL);
  return p;
}

void *xf_realloc_array(void *p, size_t n, size_t size) {
  size_t len = 0;
  XF_ASSERT(xf_mul_size(&len, n, size));
  void *q = realloc(p, len ? len : 1);
  XF_ASSERT(q != NULL);
  return q;
}

void *xf_try_calloc(size_t n, size_t size) {
  size_t len = 0; /* calloc checks too, but sanitizers take that for a mistake */
  if (!xf_mul_size(&len, n, size)) return NULL;
  return calloc(len ? len : 1, 1);
}

void *xf_try_realloc_array(void *p, size_t n, size_t size) {
  size_t len = 0;
  if (!xf_mul_size(&len, n, size)) return NULL;
  return realloc(p, len ? len : 1);
}

void xf_free(void *p) { free(p); }

char *xf_strdup(const char *s) { return xf_memdup(s, strlen(s) + 1); }

void *xf_memdup(const void *p, size_t n) {
  void *q = xf_alloc(n);
  if (n) memcpy(q, p, n);
  return q;
}

bool xf_mul_size(size_t *out, size_t a, size_t b) {
  size_t n = 0; /* the builtin stores the wrapped value too */
  if (__builtin_mul_overflow(a, b, &n)) return false;
  *out = n;
  return true;
}

bool xf_add_size(size_t *out, size_t a, size_t b) {
  size_t n = 0;
  if (__builtin_add_overflow(a, b, &n)) return false;
  *out = n;
  return true;
}

/* Blocks from 2 MiB on come from mmap with huge-page advice: a 4 KiB fault per page is what
   dominates big buffers on small machines. */
enum { PAGES_MIN = 2 * 1024 * 1024 };

void *xf_try_pages(size_t n) {
  if (n < PAGES_MIN) {
    size_t len = (n + 63) & ~(size_t)63;
    void *p = aligned_alloc(64, len ? len : 64);
    if (p) memset(p, 0, len ? len : 64);
    return p;
  }
  void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  (void)madvise(p, n, MADV_HUGEPAGE); /* advice only: failure changes speed, nothing else */
  return p;
}

void xf_free_pages(void *p, size_t n) {
  if (!p) return;
  if (n < PAGES_MIN) {
    free(p);
    return;
  }
  XF_ASSERT(munmap(p, n) == 0);
}
