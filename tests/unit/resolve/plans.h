/* Small plans, loaded with --set assignments; shared by the unit tests of resolve. */
#ifndef XF_TEST_RESOLVE_PLANS_H
#define XF_TEST_RESOLVE_PLANS_H

#include "plan/plan.h"

extern const char plans_mf[], plans_table[];

/* Loads a text with `sets` (separated by spaces); fails the test when it is refused. @own out */
void plans_load(struct xf_plan *out, const char *text, const char *sets);

#endif
