/*
 * map.h - string -> uint32 index map (uthash behind it, confined to map.c).
 *
 * For tables keyed by member id, user key, item key: the value is an index into the owner's array,
 * so nothing here owns or frees values. Iteration order is never exposed: ordered walks go over the
 * owner's (sorted) array. Owner: caller. Thread: one writer; readers only without a writer.
 */
#ifndef XF_BASE_MAP_H
#define XF_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xf_map_node;

struct xf_map {
  struct xf_map_node *nodes;
  size_t n;
};

/* An empty map. @own caller, release with xf_map_deinit */
void xf_map_init(struct xf_map *map);
/* Releases all nodes; idempotent. @own map */
void xf_map_deinit(struct xf_map *map);
/* Inserts or replaces; copies the key (any bytes, len < 64 KiB). @own copies key */
void xf_map_set(struct xf_map *map, const void *key, size_t key_len, uint32_t value);
/* Finds a key; false when absent. @err false */
bool xf_map_get(const struct xf_map *map, const void *key, size_t key_len, uint32_t *value);
/* Removes a key; false when absent. @own map */
bool xf_map_remove(struct xf_map *map, const void *key, size_t key_len);

#endif
