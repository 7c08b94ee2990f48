/* What kernels need beside their operands while they run. */
#include "nn/optable.h"

uint64_t xf_op_scratch(const struct xf_graph *g, const struct xf_node *node) {
  (void)g;
  switch (node->op) {
  /* A convolution's node adds its case here: xf_conv_scratch of its shape. */
  default: return 0;
  }
}
