#include "texts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char base[] = "name: base\n"
                    "data: {kind: interactions}\n"
                    "model: {kind: mf, loss: bpr}\n"
                    "stages:\n"
                    "  - fed: {rounds: 4}\n"
                    "    local: {optimizer: {lr: 0.1}}\n";
const char table_base[] = "name: base\n"
                          "data: {kind: table, split: {kind: random}}\n"
                          "model: {kind: mlp, loss: softmax, n_in: 4, n_out: 3, hidden: [8]}\n"
                          "stages:\n"
                          "  - fed: {rounds: 4}\n"
                          "    local: {optimizer: {lr: 0.1}}\n";

enum xf_rc texts_load(struct xf_plan *plan, const char *text, const char *sets,
                      struct xf_diag *diag) {
  char copy[1024];
  const char *list[16];
  size_t n = 0;
  snprintf(copy, sizeof copy, "%s", sets);
  for (char *s = copy; *s;) {
    assert_true(n < 16);
    list[n++] = s;
    s += strcspn(s, " ");
    if (*s) *s++ = '\0';
  }
  xf_diag_init(diag);
  return xf_plan_load_text(plan, "p.yaml", text, strlen(text), list, n, NULL, diag);
}

void texts_load_ok(struct xf_plan *plan, const char *text, const char *sets) {
  struct xf_diag diag;
  if (texts_load(plan, text, sets, &diag)) fail_msg("%s", diag.text);
}
