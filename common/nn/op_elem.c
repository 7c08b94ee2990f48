/* Elementwise operations. */
#ifndef RUN
#include "nn/oprule.h"

static bool is_zero(const struct xf_graph *g, int a) {
  return xf_node_is_fill(g, a) && g->node[a].attr.alpha == 0;
}

/* --- shapes */

static bool shape_div_dim(struct xf_graph *g, struct xf_node *n) {
  if (n->attr.dim.sym >= XF_N_SYM) return xf_shape_fail(g, n, "unknown symbol in the divisor");
  return xf_shape_same1(g, n);
}

/* --- derivatives */

VJP(add) {
  (void)g, (void)y;
  gin[0] = gin[1] = gout[0];
}

VJP(sub) {
  (void)y;
  gin[0] = gout[0];
  gin[1] = xf_op_neg(g, gout[0]);
}

VJP(mul) {
  NODE;
  gin[0] = xf_op_mul(g, gout[0], n->in[1]);
  gin[1] = xf_op_mul(g, gout[0], n->in[0]);
}

VJP(div) { /* d(a/b) = da/b - y db/b */
  NODE;
  gin[0] = xf_op_div(g, gout[0], n->in[1]);
  gin[1] = xf_op_neg(g, xf_op_mul(g, gin[0], y));
}

VJP(scale) { gin[0] = xf_op_scale(g, gout[0], g->node[y].attr.alpha); }

VJP(div_dim) {
  const struct xf_attr attr = g->node[y].attr;
  gin[0] = xf_op_div_dim_less(g, gout[0], attr.dim, attr.k[0]);
}

VJP(exp) { gin[0] = xf_op_mul(g, gout[0], y); }

VJP(log) { gin[0] = xf_op_div(g, gout[0], g->node[y].in[0]); }

VJP(sqrt) { gin[0] = xf_op_div(g, xf_op_scale(g, gout[0], 0.5), y); }

VJP(softplus) { gin[0] = xf_op_mul(g, gout[0], xf_op_sigmoid(g, g->node[y].in[0])); }

VJP(act) { gin[0] = xf_op_act_grad(g, gout[0], y, g->node[y].attr.act); }

VJP(act_grad) { /* of g0 act'(x) in terms of a = act(x): relu' constant; tanh' = 1-a^2; sigmoid' = a(1-a) */
  NODE;
  const enum xf_act act = n->attr.act;
  const int a = n->in[1];
  gin[0] = xf_op_act_grad(g, gout[0], a, act);
  if (act == XF_ACT_RELU) return;
  const int h = xf_op_mul(g, gout[0], n->in[0]);
  const int ha2 = xf_op_scale(g, xf_op_mul(g, h, a), -2);
  gin[1] = act == XF_ACT_TANH ? ha2 : xf_op_add(g, h, ha2);
}

VJP(bce) { /* d/dz = sigmoid(z) - t, d/dt = -z */
  NODE;
  gin[0] = xf_op_mul(g, gout[0], xf_op_sub(g, xf_op_sigmoid(g, n->in[0]), n->in[1]));
  gin[1] = xf_op_neg(g, xf_op_mul(g, gout[0], n->in[0]));
}

/* --- builders */

int xf_op_add(struct xf_graph *g, int a, int b) {
  if (is_zero(g, b) && xf_node_same_shape(g, a, b)) return a;
  if (is_zero(g, a) && xf_node_same_shape(g, a, b)) return b;
  return xf_op_add2(g, XF_OP_ADD, a, b, XF_NO_ATTR);
}

int xf_op_sub(struct xf_graph *g, int a, int b) {
  if (is_zero(g, b) && xf_node_same_shape(g, a, b)) return a;
  return xf_op_add2(g, XF_OP_SUB, a, b, XF_NO_ATTR);
}

int xf_op_mul(struct xf_graph *g, int a, int b) {
  if (xf_node_is_fill(g, b) && xf_node_same_shape(g, a, b))
    return xf_op_scale(g, a, g->node[b].attr.alpha);
  if (xf_node_is_fill(g, a) && xf_node_same_shape(g, a, b))
    return xf_op_scale(g, b, g->node[a].attr.alpha);
  return xf_op_add2(g, XF_OP_MUL, a, b, XF_NO_ATTR);
}

int xf_op_div(struct xf_graph *g, int a, int b) {
  return xf_op_add2(g, XF_OP_DIV, a, b, XF_NO_ATTR);
}

int xf_op_neg(struct xf_graph *g, int a) { return xf_op_scale(g, a, -1); }

int xf_op_scale(struct xf_graph *g, int a, double alpha) {
  if (xf_node_is_fill(g, a))
    return xf_graph_fill(g, g->node[a].rows, g->node[a].cols, g->node[a].attr.alpha * alpha);
  return alpha == 1 ? a : xf_op_add1(g, XF_OP_SCALE, a, (struct xf_attr){.alpha = alpha});
}

int xf_op_div_dim(struct xf_graph *g, int a, struct xf_dim count) {
  return xf_op_div_dim_less(g, a, count, 0);
}

int xf_op_div_dim_less(struct xf_graph *g, int a, struct xf_dim count, uint32_t less) {
  if (less == 0 && xf_dim_is(count, 1)) return a;
  return xf_op_add1(g, XF_OP_DIV_DIM, a, (struct xf_attr){.dim = count, .k = {less}});
}

int xf_op_exp(struct xf_graph *g, int a) { return xf_op_add1(g, XF_OP_EXP, a, XF_NO_ATTR); }

int xf_op_log(struct xf_graph *g, int a) { return xf_op_add1(g, XF_OP_LOG, a, XF_NO_ATTR); }

int xf_op_sqrt(struct xf_graph *g, int a) { return xf_op_add1(g, XF_OP_SQRT, a, XF_NO_ATTR); }

int xf_op_softplus(struct xf_graph *g, int a) {
  return xf_op_add1(g, XF_OP_SOFTPLUS, a, XF_NO_ATTR);
}

int xf_op_step(struct xf_graph *g, int a) { return xf_op_add1(g, XF_OP_STEP, a, XF_NO_ATTR); }

int xf_op_act(struct xf_graph *g, int a, enum xf_act act) {
  return act == XF_ACT_NONE ? a : xf_op_add1(g, XF_OP_ACT, a, (struct xf_attr){.act = act});
}

int xf_op_act_grad(struct xf_graph *g, int grad, int y, enum xf_act act) {
  return act == XF_ACT_NONE ? grad
                            : xf_op_add2(g, XF_OP_ACT_GRAD, grad, y, (struct xf_attr){.act = act});
}

int xf_op_bce(struct xf_graph *g, int z, int y) {
  return xf_op_add2(g, XF_OP_BCE, z, y, XF_NO_ATTR);
}

/* --- the table */

#define XF_SELF "nn/op_elem.c"
#include "nn/op_both.inc"

XF_OP(ADD, .name = "add", .min_in = 2, .max_in = 2, .shape = xf_shape_same2, .vjp = vjp_add,
      XF_KERNEL(add));
XF_OP(SUB, .name = "sub", .min_in = 2, .max_in = 2, .shape = xf_shape_same2, .vjp = vjp_sub,
      XF_KERNEL(sub));
XF_OP(MUL, .name = "mul", .min_in = 2, .max_in = 2, .shape = xf_shape_same2, .vjp = vjp_mul,
      XF_KERNEL(mul));
XF_OP(DIV, .name = "div", .min_in = 2, .max_in = 2, .shape = xf_shape_same2, .vjp = vjp_div,
      XF_KERNEL(div));
XF_OP(SCALE, .name = "scale", .min_in = 1, .max_in = 1, .shape = xf_shape_same1, .vjp = vjp_scale,
      XF_KERNEL(scale));
XF_OP(DIV_DIM, .name = "div_dim", .min_in = 1, .max_in = 1, .shape = shape_div_dim,
      .vjp = vjp_div_dim, XF_KERNEL(div_dim));
XF_OP(EXP, .name = "exp", .min_in = 1, .max_in = 1, .shape = xf_shape_same1, .vjp = vjp_exp,
      XF_KERNEL(exp));
XF_OP(LOG, .name = "log", .min_in = 1, .max_in = 1, .shape = xf_shape_same1, .vjp = vjp_log,
      XF_KERNEL(log));
XF_OP(SQRT, .name = "sqrt", .min_in = 1, .max_in = 1, .shape = xf_shape_same1, .vjp = vjp_sqrt,
      XF_KERNEL(sqrt));
XF_OP(SOFTPLUS, .name = "softplus", .min_in = 1, .max_in = 1, .shape = xf_shape_same1,
      .vjp = vjp_softplus, XF_KERNEL(softplus));
XF_OP(STEP, .name = "step", .min_in = 1, .max_in = 1, .shape = xf_shape_same1, .vjp = xf_vjp_none,
      XF_KERNEL(step));
XF_OP(ACT, .name = "act", .min_in = 1, .max_in = 1, .shape = xf_shape_same1, .vjp = vjp_act,
      XF_KERNEL(act));
/* g, y = act(x): g act'(x) */
XF_OP(ACT_GRAD, .name = "act_grad", .min_in = 2, .max_in = 2, .shape = xf_shape_same2,
      .vjp = vjp_act_grad, XF_KERNEL(act_grad));
XF_OP(BCE, .name = "bce", .min_in = 2, .max_in = 2, .shape = xf_shape_same2, .vjp = vjp_bce,
      XF_KERNEL(bce));

#else /* kernels: float, then double */

#define UNARY(name) \
  static void RUN(name)(const struct xf_kargs *a) { TABLE(a)->name(OUT(a), IN(a, 0), N(a)); }
#define BINARY(name)                                  \
  static void RUN(name)(const struct xf_kargs *a) {   \
    TABLE(a)->name(OUT(a), IN(a, 0), IN(a, 1), N(a)); \
  }
BINARY(add)
BINARY(sub)
BINARY(mul)
BINARY(div)
UNARY(exp)
UNARY(log)
UNARY(sqrt)
UNARY(softplus)
UNARY(step)
BINARY(bce)
#undef UNARY
#undef BINARY

static void RUN(scale)(const struct xf_kargs *a) {
  TABLE(a)->scale(OUT(a), IN(a, 0), (xf_real)a->attr->alpha, N(a));
}

static void RUN(div_dim)(const struct xf_kargs *a) {
  const double d = a->divisor - a->attr->k[0];
  TABLE(a)->scale(OUT(a), IN(a, 0), (xf_real)(d > 0 ? 1 / d : 0), N(a));
}

static void RUN(act)(const struct xf_kargs *a) {
  const struct K *k = TABLE(a);
  if (a->attr->act == XF_ACT_RELU) k->relu(OUT(a), IN(a, 0), N(a));
  else if (a->attr->act == XF_ACT_TANH) k->tanh(OUT(a), IN(a, 0), N(a));
  else if (a->attr->act == XF_ACT_SIGMOID) k->sigmoid(OUT(a), IN(a, 0), N(a));
}

static void RUN(act_grad)(const struct xf_kargs *a) {
  const struct K *k = TABLE(a);
  if (a->attr->act == XF_ACT_RELU) k->relu_grad(OUT(a), IN(a, 0), IN(a, 1), N(a));
  else if (a->attr->act == XF_ACT_TANH) k->tanh_grad(OUT(a), IN(a, 0), IN(a, 1), N(a));
  else if (a->attr->act == XF_ACT_SIGMOID) k->sigmoid_grad(OUT(a), IN(a, 0), IN(a, 1), N(a));
}

#endif
