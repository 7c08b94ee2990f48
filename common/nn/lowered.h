/*
 * lowered.h - inside nn: the derivative of a fused gradient, taken through the primitives that it stands for.
 *
 * A fused operation F (GRU, LSTM, attention) has a fused gradient G. G's own derivative is exact and needs no third kernel:
 * G's first n inputs are F's inputs, its last is d loss / d F, and what it computes is the gradient of sum(F * that) - which
 * the lowering of F (the same function from primitives) has, too, and which is a graph that can be differentiated.
 * Not for: users of the engine (nn.h). Owner, thread: as graph.h.
 */
#ifndef XF_NN_LOWERED_H
#define XF_NN_LOWERED_H

#include "nn/oprule.h"

/* F from primitives over inputs x[n_x]; ids stay where F has them. @shape as F */
typedef int xf_lower_fn(struct xf_graph *g, const int *x, const struct xf_attr *attr);

/* How G belongs to F. */
struct xf_lowered {
  xf_lower_fn *lower;
  int n_x, ids;       /* inputs of F; which of them is ids, or -1 */
  int n_out;          /* outputs of G that are gradients */
  int of[XF_OUT_MAX]; /* output k is the gradient of that input */
  const char *name;   /* of F, for messages */
};
/* The derivative rule of G, node y. @own graph */
void xf_vjp_lowered(struct xf_graph *g, int y, const int *gout, int *gin,
                    const struct xf_lowered *what);

#endif
