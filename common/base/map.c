#include "base/map.h"

#include "base/alloc.h"

#include <string.h>

#define uthash_malloc(n) xf_alloc(n)
#define uthash_free(p, n) xf_free(p)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <uthash.h>

struct xf_map_node {
  UT_hash_handle hh;
  uint32_t value;
  unsigned key_len;
  uint8_t key[];
};

void xf_map_init(struct xf_map *map) { *map = (struct xf_map){0}; }

void xf_map_deinit(struct xf_map *map) {
  struct xf_map_node *node = NULL, *next = NULL;
  HASH_ITER(hh, map->nodes, node, next) {
    HASH_DEL(map->nodes, node);
    xf_free(node);
  }
  map->n = 0;
}

static struct xf_map_node *map_node(const struct xf_map *map, const void *key, size_t key_len) {
  struct xf_map_node *node = NULL;
  HASH_FIND(hh, map->nodes, key, (unsigned)key_len, node);
  return node;
}

void xf_map_set(struct xf_map *map, const void *key, size_t key_len, uint32_t value) {
  struct xf_map_node *node = map_node(map, key, key_len);
  if (node) {
    node->value = value;
    return;
  }
  node = xf_alloc(sizeof *node + key_len);
  node->value = value;
  node->key_len = (unsigned)key_len;
  memcpy(node->key, key, key_len);
  HASH_ADD_KEYPTR(hh, map->nodes, node->key, node->key_len, node);
  map->n++;
}

bool xf_map_get(const struct xf_map *map, const void *key, size_t key_len, uint32_t *value) {
  const struct xf_map_node *node = map_node(map, key, key_len);
  if (node && value) *value = node->value;
  return node != NULL;
}

bool xf_map_remove(struct xf_map *map, const void *key, size_t key_len) {
  struct xf_map_node *node = map_node(map, key, key_len);
  if (!node) return false;
  HASH_DEL(map->nodes, node);
  xf_free(node);
  map->n--;
  return true;
}
#pragma GCC diagnostic pop
