#include "base/arena.h"

#include "base/alloc.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

enum { BLOCK_MIN = 16 * 1024, ALIGN = 16 };

struct xf_arena_block {
  struct xf_arena_block *next;
  size_t cap;
  size_t used;
  alignas(ALIGN) uint8_t bytes[];
};

void xf_arena_init(struct xf_arena *arena, size_t max) { *arena = (struct xf_arena){.max = max}; }

void xf_arena_deinit(struct xf_arena *arena) {
  for (struct xf_arena_block *b = arena->first, *next; b; b = next) {
    next = b->next;
    xf_free(b);
  }
  *arena = (struct xf_arena){.max = arena->max};
}

void xf_arena_reset(struct xf_arena *arena) {
  for (struct xf_arena_block *b = arena->first; b; b = b->next) b->used = 0;
  arena->now = arena->first;
  arena->used = 0;
}

static struct xf_arena_block *arena_block(struct xf_arena *arena, size_t n) {
  for (struct xf_arena_block *b = arena->now; b; b = b->next) {
    if (b->cap - b->used >= n) return arena->now = b;
  }
  size_t cap = n > BLOCK_MIN ? n : BLOCK_MIN, len = 0;
  if (!xf_add_size(&len, cap, sizeof(struct xf_arena_block))) return NULL;
  struct xf_arena_block *b = xf_try_realloc_array(NULL, len, 1);
  if (!b) return NULL;
  b->cap = cap;
  b->used = 0;
  /* After `now`, so blocks that still have room behind it stay reachable. */
  if (arena->now) {
    b->next = arena->now->next;
    arena->now->next = b;
  } else {
    b->next = arena->first;
    arena->first = b;
  }
  return arena->now = b;
}

void *xf_arena_alloc(struct xf_arena *arena, size_t n) {
  size_t left = arena->max - arena->used;
  if (n > left || left == 0) return NULL;
  size_t len = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
  if (len < n) return NULL;
  if (len == 0) len = ALIGN;
  struct xf_arena_block *b = arena_block(arena, len);
  if (!b) return NULL;
  void *p = b->bytes + b->used;
  b->used += len;
  arena->used += len < left ? len : left; /* the rounding counts: empty allocations cannot add up */
  return p;
}

void *xf_arena_calloc(struct xf_arena *arena, size_t n, size_t size) {
  size_t len = 0;
  if (!xf_mul_size(&len, n, size)) return NULL;
  void *p = xf_arena_alloc(arena, len);
  if (p) memset(p, 0, len);
  return p;
}

char *xf_arena_strdup(struct xf_arena *arena, const char *s) {
  size_t n = strlen(s) + 1;
  char *p = xf_arena_alloc(arena, n);
  if (p) memcpy(p, s, n);
  return p;
}
