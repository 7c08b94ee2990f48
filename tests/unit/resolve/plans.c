#include "plans.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

const char plans_mf[] = "name: t\n"
                        "seed: 7\n"
                        "data: {kind: interactions}\n"
                        "model: {kind: mf, loss: bpr, dim: 3, users: aligned}\n"
                        "stages:\n"
                        "  - fed: {rounds: 4}\n"
                        "    local: {optimizer: {lr: 0.1}}\n";
const char plans_table[] = "name: t\n"
                           "seed: 7\n"
                           "data: {kind: table, split: {kind: random, test_fraction: 0.25}}\n"
                           "model: {kind: logreg, loss: bce, n_in: 2, n_out: 1}\n"
                           "eval: {metrics: [acc, auc]}\n"
                           "stages:\n"
                           "  - fed: {rounds: 4}\n"
                           "    local: {optimizer: {lr: 0.1}}\n";

void plans_load(struct xf_plan *out, const char *text, const char *sets) {
  char copy[1024];
  const char *list[16];
  size_t n = 0;
  struct xf_diag diag;
  (void)snprintf(copy, sizeof copy, "%s", sets);
  for (char *s = copy; *s;) {
    assert_true(n < 16);
    list[n++] = s;
    s += strcspn(s, " ");
    if (*s) *s++ = '\0';
  }
  xf_diag_init(&diag);
  if (xf_plan_load_text(out, "p.yaml", text, strlen(text), list, n, NULL, &diag))
    fail_msg("%s", diag.text);
}
