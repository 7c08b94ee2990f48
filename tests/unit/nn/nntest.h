/*
 * nntest.h - what the unit tests of nn share: layouts from a list, plans that must succeed, comparisons.
 * Not for other tests. Owner: the test. Thread: one.
 */
#ifndef XF_TESTS_UNIT_NN_NNTEST_H
#define XF_TESTS_UNIT_NN_NNTEST_H

#include "nn/nn.h"

struct seg_spec {
  const char *name;
  uint32_t rows, cols;
};
/* A layout of shared segments; the list ends with a NULL name. @own caller */
void nntest_layout(struct xf_layout *out, const struct seg_spec *spec);
/* xf_nnplan_new that must succeed. @own caller */
struct xf_nnplan *nntest_plan(const struct xf_graph *g, struct xf_nnplan_spec spec);
/* Runs with B = n; must succeed. @shape params, grad as xf_nnplan_run */
void nntest_run(struct xf_nnplan *p, const float *params, float *grad, uint32_t n);
void nntest_run64(struct xf_nnplan *p, const double *params, double *grad, uint32_t n);
/* |got - want| <= tol max(1, |want|), number by number. @shape got[n], want[n] */
void nntest_close(const float *got, const double *want, size_t n, double tol, const char *what);
void nntest_close64(const double *got, const double *want, size_t n, double tol, const char *what);

#endif
