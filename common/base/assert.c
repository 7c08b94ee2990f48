#include "base/assert.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void xf_assert_fail(const char *cond, const char *file, int line) {
  fprintf(stderr, "crossfed: internal invariant broken: %s at %s:%d\n", cond, file, line);
  abort();
}

bool xf_expect_fail(const char *cond, const char *file, int line) {
  xf_log(XF_LOG_ERROR, "unexpected", XF_S("condition", cond), XF_S("file", file),
         XF_I("line", line));
  return false;
}
