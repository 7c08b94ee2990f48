// modules: tensor base
// part: blas
// The BLAS of this machine under concurrency, before anything else is tested with it: 20,000 small products by two threads
// and by four, compared exactly. Debian's serial flavour fails some percent of them.
#include "tensor/blas.h"

#include <stdio.h>

int main(void) {
  static const unsigned threads[] = {2, 4};
  enum { PRODUCTS = 20000 };
  struct xf_blas_info info;
  struct xf_diag diag;
  xf_diag_init(&diag);
  printf("1..3\n");
  enum xf_rc rc = xf_blas_start(&info, &diag);
  printf("%s 1 - flavour%s%s\n", rc ? "not ok" : "ok", rc ? ": " : "",
         rc ? xf_diag_text(&diag, rc) : "");
  if (rc) return 1;
  printf("# %s; core %s; own kernels %s\n", info.config, info.core, info.isa);
  int failed = 0;
  for (unsigned i = 0; i < 2; i++) {
    xf_diag_init(&diag);
    rc = xf_blas_check(threads[i], PRODUCTS, &diag);
    failed |= rc != XF_OK;
    printf("%s %u - %u threads, %d products each%s%s\n", rc ? "not ok" : "ok", i + 2, threads[i],
           (int)PRODUCTS, rc ? ": " : "", rc ? xf_diag_text(&diag, rc) : "");
  }
  return failed;
}
