// The three methods' models and gradients.
//   FedMF    u . v                                        user row own, item rows shared
//   FedNCF   perceptron 64-32-16-8-1 on (u, v), ReLU      user row own, item rows and perceptron shared
//   PFedRec  head . v + bias                              head own, item rows shared and then fitted to the client
#include "pf.h"

#include "base/alloc.h"

#include <math.h>
#include <string.h>

struct layers { // one example's way through FedNCF
  float x[2 * PF_DIM], a1[PF_H1], a2[PF_H2], a3[PF_H3];
};

// n is a multiple of 8: eight sums side by side are one register, in a fixed order.
static float dot(const float *a, const float *b, int n) {
  float s[8] = {0};
  for (int k = 0; k < n; k += 8)
    for (int l = 0; l < 8; l++) s[l] += a[k + l] * b[k + l];
  return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
}

static void layer(float *out, const float *w, const float *b, const float *in, int n_out,
                  int n_in) {
  for (int j = 0; j < n_out; j++) out[j] = fmaxf(0, dot(w + j * n_in, in, n_in) + b[j]);
}

static float forward(struct layers *l, const struct pf_own *own, const struct pf_net *net,
                     const float *item) {
  memcpy(l->x, own->u, sizeof own->u);
  memcpy(l->x + PF_DIM, item, PF_DIM * sizeof *item);
  layer(l->a1, net->w1[0], net->b1, l->x, PF_H1, 2 * PF_DIM);
  layer(l->a2, net->w2[0], net->b2, l->a1, PF_H2, PF_H1);
  layer(l->a3, net->w3[0], net->b3, l->a2, PF_H3, PF_H2);
  return dot(net->w4, l->a3, PF_H3) + net->b4;
}

float pf_logit(enum pf_kind kind, const struct pf_own *own, const struct pf_net *net,
               const float *item) {
  struct layers l;
  if (kind == PF_FEDNCF) return forward(&l, own, net, item);
  return dot(own->u, item, PF_DIM) + own->bias;
}

// g: gradient of the layer's output (where it is above 0), gw and gb are added to, gin is written.
static void layer_back(float *gin, float *gw, float *gb, const float *w, float *g, const float *out,
                       const float *in, int n_out, int n_in) {
  memset(gin, 0, (size_t)n_in * sizeof *gin);
  for (int j = 0; j < n_out; j++) {
    if (!(out[j] > 0)) continue;
    gb[j] += g[j];
    for (int k = 0; k < n_in; k++) {
      gw[j * n_in + k] += g[j] * in[k];
      gin[k] += g[j] * w[j * n_in + k];
    }
  }
}

// Adds the gradients of error e (probability minus label) and writes that of (user row, item row).
static void backward(float gx[2 * PF_DIM], struct pf_net *g, const struct pf_net *net,
                     const struct layers *l, float e) {
  float g3[PF_H3], g2[PF_H2], g1[PF_H1];
  for (int k = 0; k < PF_H3; k++) {
    g->w4[k] += e * l->a3[k];
    g3[k] = e * net->w4[k];
  }
  g->b4 += e;
  layer_back(g2, g->w3[0], g->b3, net->w3[0], g3, l->a3, l->a2, PF_H3, PF_H2);
  layer_back(g1, g->w2[0], g->b2, net->w2[0], g2, l->a2, l->a1, PF_H2, PF_H1);
  layer_back(gx, g->w1[0], g->b1, net->w1[0], g1, l->a1, l->x, PF_H1, 2 * PF_DIM);
}

static float error(float logit, float label) { return 1 / (1 + expf(-logit)) - label; }

static void step_ncf(const struct pf_spec *spec, struct pf_own *own, struct pf_net *net,
                     float *items, const uint32_t *id, const float *label, uint32_t n,
                     float item_rate) {
  static float rows[PF_BATCH][PF_DIM]; // gradients of item rows: an item may occur more than once
  struct pf_net g = {0};
  float gu[PF_DIM] = {0};
  for (uint32_t k = 0; k < n; k++) {
    struct layers l;
    float gx[2 * PF_DIM];
    const float e = error(forward(&l, own, net, items + (size_t)id[k] * PF_DIM), label[k]);
    backward(gx, &g, net, &l, e / (float)n);
    for (int c = 0; c < PF_DIM; c++) gu[c] += gx[c];
    memcpy(rows[k], gx + PF_DIM, sizeof rows[k]);
  }
  float *w = (float *)net, *gw = (float *)&g; // all floats, no gaps
  for (size_t c = 0; c < sizeof g / sizeof(float); c++) w[c] -= spec->rate * gw[c];
  for (int c = 0; c < PF_DIM; c++) own->u[c] -= spec->rate * gu[c];
  for (uint32_t k = 0; k < n; k++)
    for (int c = 0; c < PF_DIM; c++)
      items[(size_t)id[k] * PF_DIM + (size_t)c] -= item_rate * rows[k][c];
}

// Own part by its gradient; items by theirs at the old or (PFedRec) the new own part.
static void step_linear(const struct pf_spec *spec, struct pf_own *own, float *items,
                        const uint32_t *id, const float *label, uint32_t n, float item_rate) {
  float e[PF_BATCH], gu[PF_DIM] = {0}, gb = 0;
  struct pf_own at = *own;
  for (uint32_t k = 0; k < n; k++) {
    const float *v = items + (size_t)id[k] * PF_DIM;
    e[k] = error(pf_logit(spec->kind, own, NULL, v), label[k]) / (float)n;
    for (int c = 0; c < PF_DIM; c++) gu[c] += e[k] * v[c];
    gb += e[k];
  }
  for (int c = 0; c < PF_DIM; c++) own->u[c] -= spec->rate * gu[c];
  if (spec->kind == PF_PFEDREC) {
    own->bias -= spec->rate * gb;
    at = *own;
    for (uint32_t k = 0; k < n; k++)
      e[k] = error(pf_logit(spec->kind, own, NULL, items + (size_t)id[k] * PF_DIM), label[k]) /
             (float)n;
  }
  for (uint32_t k = 0; k < n; k++) {
    float *v = items + (size_t)id[k] * PF_DIM;
    for (int c = 0; c < PF_DIM; c++) v[c] -= item_rate * e[k] * at.u[c];
  }
}

void pf_step(const struct pf_spec *spec, struct pf_own *own, struct pf_net *net, float *items,
             const uint32_t *id, const float *label, uint32_t n, float item_rate) {
  if (spec->kind == PF_FEDNCF) step_ncf(spec, own, net, items, id, label, n, item_rate);
  else step_linear(spec, own, items, id, label, n, item_rate);
}
