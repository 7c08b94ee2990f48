// Domains with common users, one process: what a silo recommends by popularity, alone, from exact federated ALS (pooled), from
// the best shared candidate, by the guard, by the guard from pulled rows only, and the same with time. HR@10 and NDCG@10 with 999
// negatives that occur in train. Rows are summed in memory. Settings: xf_recommender_defaults, the same for all domains.
//   domains ciao          eight Ciao categories
//   domains amazon        two Amazon pairs, twins left out
//   domains amazon-given  the same as given, leaks included
// A third word says how mixes get pulled models without split A: two (default: a second exchange without it), local (as a plan with
// rows.inner at fed.rounds: one exchange without it, then sweeps of each domain's whole train part), none (one with everything).
// FINAL=1 reads test labels; else validation by halves (domains.h). -v: the transfer reports. Exit status 77 without the data.
// modules: rec data tensor base
#include "domains.h"

#include "tensor/blas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
  const char *final_env = getenv("FINAL");
  const char *what = argc > 1 ? argv[1] : "";
  bool verbose = false, known = true;
  struct xf_worker *pool = NULL;
  struct xf_diag diag = {0};
  for (int i = 2; i < argc; i++) {
    if (strcmp(argv[i], "-v") == 0) verbose = true;
    else if (strcmp(argv[i], "two") == 0) domain_inner = INNER_TWO;
    else if (strcmp(argv[i], "local") == 0) domain_inner = INNER_LOCAL;
    else if (strcmp(argv[i], "none") == 0) domain_inner = INNER_NONE;
    else known = false;
  }
  final_run = final_env && strcmp(final_env, "1") == 0;
  enum xf_rc rc = xf_blas_start(NULL, &diag);
  if (!rc) rc = xf_worker_start(&pool, 2, NULL, NULL);
  if (rc) {
    (void)fprintf(stderr, "domains: %s\n", xf_diag_text(&diag, rc));
    return 1;
  }
  if (!known) rc = xf_diag_set(&diag, XF_E_INVAL, "behind the table: -v, two, local, none");
  else if (strcmp(what, "ciao") == 0) rc = ciao(pool, verbose, &diag);
  else if (strcmp(what, "amazon") == 0) rc = amazon(pool, verbose, true, &diag);
  else if (strcmp(what, "amazon-given") == 0) rc = amazon(pool, verbose, false, &diag);
  else rc = xf_diag_set(&diag, XF_E_INVAL, "name a table: ciao, amazon or amazon-given");
  xf_worker_stop(pool);
  if (!rc) return 0;
  (void)fprintf(stderr, "domains: %s\n", xf_diag_text(&diag, rc));
  return rc == XF_E_NOTFOUND ? 77 : 1;
}
