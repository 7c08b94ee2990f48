// modules: plan conf json param crypto base
/* Canonical bytes of a plan, as a coordinator sends them: what a silo accepts is exactly what the encoder writes (one plan, one
   digest), passes the plan's checks and prints as YAML that loads to the same plan. */
#include "base/assert.h"
#include "crypto/init.h"
#include "plan/plan.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 256 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct xf_plan plan, again;
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_crypto_start()) return 0;
  enum xf_rc rc = xf_plan_decode(&plan, data, size, &diag);
  if (rc) {
    XF_ASSERT(diag.text[0]);
    return 0;
  }
  struct xf_buf bytes, text;
  xf_buf_init(&bytes, TEXT_MAX);
  xf_buf_init(&text, TEXT_MAX);
  XF_ASSERT(xf_plan_check(&plan, &diag) == XF_OK);
  XF_ASSERT(xf_plan_encode(&bytes, &plan) == XF_OK);
  XF_ASSERT(bytes.len == size && memcmp(bytes.p, data, size) == 0);
  XF_ASSERT(xf_plan_print(&text, &plan) == XF_OK);
  xf_buf_deinit(&bytes);
  xf_buf_init(&bytes, TEXT_MAX);
  rc = xf_plan_load_text(&again, "printed", (const char *)text.p, text.len, NULL, 0, NULL, &diag);
  if (!rc) rc = xf_plan_encode(&bytes, &again);
  XF_ASSERT(rc == XF_OK && bytes.len == size && memcmp(bytes.p, data, size) == 0);
  xf_buf_deinit(&bytes);
  xf_buf_deinit(&text);
  return 0;
}
