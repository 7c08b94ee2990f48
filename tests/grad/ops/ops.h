// ops.h - a case of the operation table: what to build, over which inputs.
#ifndef TESTS_GRAD_OPS_H
#define TESTS_GRAD_OPS_H

#include "nn/nn.h"
#include "nn/optable.h"

enum { X_MAX = 6, NUM_MAX = 1024, LEVELS = 2 };

// Values of an input: ordinary [-1, 1], positive, away from 0 (kinks), within (0, 1).
enum range { ORD, POS, KINK, UNIT };
struct in {
  enum xf_sym sym; // rows = n * sym
  uint32_t n, cols;
  enum range range;
};
struct ids {
  enum xf_sym sym;
  uint32_t n, cols, below;
};
struct op_case {
  const char *name;
  enum xf_op op; // what it is there to cover
  int (*build)(struct xf_graph *g, const int *x, const int *id);
  struct in x[X_MAX];
  struct ids id[2];
};

#define BUILD(name) static int name(struct xf_graph *g, const int *x, const int *id)
#define EXPR(name, expr) \
  BUILD(name) {          \
    (void)id;            \
    return expr;         \
  }
// inputs of rows k B or k, and c columns
#define B(k, c) \
  { XF_SYM_B, k, c, ORD }
#define BR(k, c, r) \
  { XF_SYM_B, k, c, r }
#define C(k, c) \
  { XF_SYM_ONE, k, c, ORD }

// One array per file, closed by a case without a name.
extern const struct op_case basic_cases[], image_cases[], sequence_cases[];

#endif
