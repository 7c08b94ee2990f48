/*
 * alloc.h - allocation wrappers.
 *
 * need memory of a size we decide        -> xf_alloc / xf_calloc (abort on exhaustion, never NULL)
 * need memory of a size input influences -> xf_try_calloc (NULL: return XF_E_NOMEM), never xf_alloc
 * need n * size                          -> xf_mul_size first; it reports overflow
 * Owner: the caller; release with xf_free. Thread: any.
 */
#ifndef XF_BASE_ALLOC_H
#define XF_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* Uninitialised bytes; aborts when memory is exhausted. n = 0 gives a valid pointer. @own caller */
void *xf_alloc(size_t n) __attribute__((malloc, returns_nonnull, alloc_size(1)));
/* Zeroed array; aborts on overflow or exhaustion. @own caller */
void *xf_calloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
/* Grows or shrinks an array; aborts on overflow or exhaustion. @own caller */
void *xf_realloc_array(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
/* Zeroed array or NULL (overflow or exhaustion): for sizes influenced by input. @own caller */
void *xf_try_calloc(size_t n, size_t size) __attribute__((malloc));
/* Grows an array or gives NULL and leaves `p` as it was: for sizes influenced by input. @own caller */
void *xf_try_realloc_array(void *p, size_t n, size_t size);
/* Releases; NULL is legal. @own takes p */
void xf_free(void *p);
/* Copy of a NUL-terminated string; aborts on exhaustion. @own caller */
char *xf_strdup(const char *s) __attribute__((malloc, returns_nonnull));
/* Copy of n bytes; aborts on exhaustion. @own caller */
void *xf_memdup(const void *p, size_t n) __attribute__((malloc, returns_nonnull));
/* out = a * b; false on overflow (out untouched). @err false */
bool xf_mul_size(size_t *out, size_t a, size_t b);
/* out = a + b; false on overflow (out untouched). @err false */
bool xf_add_size(size_t *out, size_t a, size_t b);

/* Huge-page friendly, 64-byte aligned, zeroed block for large long-lived arrays (hot arenas).
   Release with xf_free_pages(p, n). NULL on exhaustion. @own caller */
void *xf_try_pages(size_t n);
/* Releases a block of xf_try_pages with the same n. @own takes p */
void xf_free_pages(void *p, size_t n);

#endif
