/*
 * arena.h - a bump allocator over blocks: many small allocations, one release.
 *
 * Born with a maximum; an allocation beyond it returns NULL (sizes may come from a peer).
 * Reset keeps the memory, so steady state allocates nothing.
 * Owner: whoever called xf_arena_init. Thread: one at a time.
 */
#ifndef XF_BASE_ARENA_H
#define XF_BASE_ARENA_H

#include <stddef.h>

struct xf_arena_block;

struct xf_arena {
  struct xf_arena_block *first;
  struct xf_arena_block *now;
  size_t used;
  size_t max;
};

/* An empty arena that hands out at most `max` bytes between resets; each allocation counts as a multiple
   of 16. @own caller */
void xf_arena_init(struct xf_arena *arena, size_t max);
/* Releases all blocks; idempotent. @own arena */
void xf_arena_deinit(struct xf_arena *arena);
/* Forgets all allocations and keeps the blocks. @own arena */
void xf_arena_reset(struct xf_arena *arena);
/* n bytes aligned to 16, uninitialised; NULL beyond the maximum. @own arena */
void *xf_arena_alloc(struct xf_arena *arena, size_t n);
/* n*size zeroed bytes; NULL on overflow or beyond the maximum. @own arena */
void *xf_arena_calloc(struct xf_arena *arena, size_t n, size_t size);
/* Copy of a string; NULL beyond the maximum. @own arena */
char *xf_arena_strdup(struct xf_arena *arena, const char *s);

#endif
