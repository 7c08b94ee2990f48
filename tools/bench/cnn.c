/* The convolutional network of McMahan et al. 2017 (5x5x32, pool, 5x5x64, pool, 512, 10 on 28 x 28) as a graph and a plan, trained on
   random images with plain SGD, batch 10: convolutions in tiles, dense layers in panels, against the FMA loop. */
#include "base/alloc.h"
#include "base/rng.h"
#include "nn/nn.h"
#include "nn/op_image.h"
#include "tensor/kern.h"
#include "tools/bench/bench.h"

#include <string.h>

enum {
  SIDE = 28,
  PIXELS = SIDE * SIDE,
  BATCH = 10,
  C1 = 32,
  C2 = 64,
  FLAT = 49 * C2,
  FC = 512,
  OUT = 10
};

/* Forward, gradients of weights, and back through all but the first layer. */
static const double flop = 2 * (2.0 * PIXELS * 25 * C1 +
                                3 * (196.0 * 25 * C1 * C2 + (double)FLAT * FC + (double)FC * OUT));

struct cnn {
  struct xf_layout layout;
  struct xf_graph *g;
  struct xf_nnplan *plan;
  struct xf_optim *optim;
  int x, t;
  uint32_t n; /* images */
  float *images, *params, *packed, *grad;
  int32_t classes[BATCH];
};

static enum xf_rc lay_out(struct xf_layout *l, struct xf_diag *diag) {
  static const struct {
    const char *name;
    uint32_t rows, cols;
  } seg[] = {{"c1", 25, C1},   {"b1", C1, 1}, {"c2", 25 * C1, C2}, {"b2", C2, 1},
             {"w3", FLAT, FC}, {"b3", FC, 1}, {"w4", FC, OUT},     {"b4", OUT, 1}};
  enum xf_rc rc = XF_OK;
  xf_layout_init(l);
  for (size_t i = 0; i < sizeof seg / sizeof *seg && !rc; i++)
    rc = xf_layout_add(l, seg[i].name, XF_ROLE_SHARED, "", seg[i].rows, seg[i].cols, diag);
  return rc;
}

static int conv_pool(struct xf_graph *g, int x, uint32_t side, const char *w, const char *b) {
  const struct xf_window five = {side, side, 5, 5, 1, 1, 2, 2},
                         two = {side, side, 2, 2, 2, 2, 0, 0};
  x = xf_op_conv(g, x, xf_graph_param(g, w), xf_graph_param(g, b), &five);
  return xf_op_max_pool(g, xf_op_relu(g, x), &two, NULL);
}

static enum xf_rc build(struct cnn *c, struct xf_diag *diag) {
  enum xf_rc rc = lay_out(&c->layout, diag);
  if (rc) return rc;
  struct xf_graph *g = c->g = xf_graph_new(&c->layout);
  c->x = xf_graph_input(g, "x", (struct xf_dim){PIXELS, XF_SYM_B}, 1);
  c->t = xf_graph_ids(g, "t", XF_BATCH, 1);
  int h = conv_pool(g, c->x, SIDE, "c1", "b1");
  h = xf_op_flatten(g, conv_pool(g, h, SIDE / 2, "c2", "b2"), SIDE / 4, SIDE / 4);
  h = xf_op_dense(g, h, xf_graph_param(g, "w3"), xf_graph_param(g, "b3"), XF_ACT_RELU);
  h = xf_op_dense(g, h, xf_graph_param(g, "w4"), xf_graph_param(g, "b4"), XF_ACT_NONE);
  const int loss = xf_op_mean(g, xf_op_softmax_ce(g, h, c->t));
  rc = xf_graph_backward(g, loss, diag);
  const struct xf_nnplan_spec spec = {
      .loss = loss, .train = true, .packed = true, .fuse_sgd = true, .max[XF_SYM_B] = BATCH};
  if (!rc) rc = xf_nnplan_new(&c->plan, g, &spec, diag);
  const struct xf_optim_config sgd = xf_optim_default(XF_OPTIM_SGD, .01f);
  return rc ? rc : xf_optim_new(&c->optim, &sgd, &c->layout, diag);
}

static enum xf_rc cnn_init(struct cnn *c, bool quick, struct xf_diag *diag) {
  struct xf_rng rng;
  *c = (struct cnn){.n = quick ? BATCH : 300};
  enum xf_rc rc = build(c, diag);
  if (rc) return rc;
  const size_t n = c->layout.n, pixels = (size_t)c->n * PIXELS;
  c->images = xf_try_pages(pixels * sizeof *c->images);
  c->params = xf_try_pages(3 * n * sizeof *c->params);
  if (!c->images || !c->params) return XF_E_NOMEM;
  c->packed = c->params + n;
  c->grad = c->packed + n;
  xf_rng_init(&rng, 1, 0);
  for (size_t i = 0; i < pixels; i++) c->images[i] = (float)xf_rng_double(&rng);
  for (size_t i = 0; i < n; i++) c->params[i] = ((float)xf_rng_double(&rng) - .5f) * .05f;
  for (int i = 0; i < BATCH; i++) c->classes[i] = (int32_t)xf_rng_below(&rng, OUT);
  xf_nnplan_set_input(c->plan, c->t, c->classes);
  xf_nnplan_pack(c->plan, c->packed, c->params);
  return XF_OK;
}

static void cnn_deinit(struct cnn *c) {
  if (c->images) xf_free_pages(c->images, (size_t)c->n * PIXELS * sizeof *c->images);
  if (c->params) xf_free_pages(c->params, 3 * (size_t)c->layout.n * sizeof *c->params);
  xf_optim_free(c->optim);
  xf_nnplan_free(c->plan);
  xf_graph_free(c->g);
  xf_layout_deinit(&c->layout);
}

/* Once over the images. */
static enum xf_rc pass(struct cnn *c, struct xf_diag *diag) {
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = BATCH};
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < c->n && !rc; i += BATCH) {
    size_t n = 0;
    xf_nnplan_set_input(c->plan, c->x, c->images + (size_t)i * PIXELS);
    rc = xf_nnplan_run_sgd(c->plan, c->packed, c->grad, .01f, extent, diag);
    const struct xf_grad_piece *piece = xf_nnplan_get_pieces(c->plan, &n);
    if (!rc) xf_optim_step(c->optim, c->packed, piece, n);
  }
  return rc;
}

enum xf_rc bench_cnn(struct bench *b) {
  struct bench_pairs pairs = {.n = 0};
  struct cnn c;
  const char *isa = xf_kern_get()->isa;
  const double probe_s = b->quick ? .001 : .02;
  enum xf_rc rc = cnn_init(&c, b->quick, b->diag);
  if (!rc) rc = pass(&c, b->diag); /* warm */
  for (int r = 0; r < BENCH_PAIRS && !rc; r++) {
    const double before = bench_fma(isa, probe_s), t = xf_time_cpu_s();
    rc = pass(&c, b->diag);
    const double spent = xf_time_cpu_s() - t, after = bench_fma(isa, probe_s);
    bench_pair(&pairs, c.n / spent, (before + after) / 2 / flop);
  }
  cnn_deinit(&c);
  if (!rc)
    bench_put_pairs(b,
                    (struct bench_result){.bench = "train",
                                          .name = "cnn_sgd_b10",
                                          .unit = "samples/s",
                                          .probe = "FMA loop",
                                          .goal = .45,
                                          .floor = .25},
                    &pairs);
  return rc;
}
