/* Two small plans, and loading them with --set assignments. */
#ifndef XF_TEST_PLAN_TEXTS_H
#define XF_TEST_PLAN_TEXTS_H

#include "plan/plan.h"

extern const char base[], table_base[];

/* Loads a text with `sets` (separated by spaces); the sentence of a refusal is in diag. */
enum xf_rc texts_load(struct xf_plan *plan, const char *text, const char *sets,
                      struct xf_diag *diag);
/* The same; fails the test when it is refused. */
void texts_load_ok(struct xf_plan *plan, const char *text, const char *sets);

#endif
