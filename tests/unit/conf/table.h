/* The schema the tests of this folder share: sections, a heap list of sections, every type. */
#ifndef XF_TEST_CONF_TABLE_H
#define XF_TEST_CONF_TABLE_H

#include "conf/conf.h"

enum color { RED, GREEN };

struct member {
  char id[64];
  char domain[32];
  uint32_t max_weight;
  char *tags_unused; /* a field without a key */
};

struct target {
  char name[16];
  bool fast;
  int32_t shift;
  uint64_t seed;
  struct {
    uint32_t rounds;
    double quorum;
    double deadline_s;
    struct {
      double lr;
      enum color color;
    } server;
  } fed;
  struct {
    uint64_t quota;
    char dir[32];
  } store;
  uint16_t hidden[4];
  uint32_t n_hidden;
  enum color colors[3];
  uint32_t n_colors;
  struct member *members;
  uint32_t n_members;
};

extern const struct xf_conf_schema table;

#endif
