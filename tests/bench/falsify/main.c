// Falsification on public data (the federation's part destroyed, everything else the same code): nothing may be gained.
//   permuted items       XMRec: in every market but the target, which item is which is shuffled before its statistic is made. Guarded
//                        minus alone, NDCG@10 on the candidate lists of the development half, paired, for t1 and s3
//   permuted pseudonyms  Ciao: in every category, which of its users is which is shuffled before rows are exchanged. Guarded minus
//                        alone, NDCG@10 of the validation users, each half by the guard of the other half, paired, eight categories together, without and with
//                        time. Beside it the data as they are minus the permuted ones: what the right users bring
//   random items         XMRec: every event of every market gets a random item. HR@10 among 99 negatives of all candidates and arms of t1;
//                        chance is .1
//   falsify          all; `falsify items` the two of XMRec, `falsify users` Ciao's
// Five seeds each, and the data as they are as seed 0 of the first two. Test labels are never read, FINAL=1 changes nothing.
// Reads $CROSSFED_DATA/xmrec-wsdm22 and ciao (default ../shared/data); exit status 77 without one of them.
// modules: rec data fed tensor base tests/bench/common/markets.c
#include "falsify.h"

#include "tensor/blas.h"

#include <stdio.h>
#include <string.h>

struct brought brought(const struct xf_recommender *rec,
                       const struct xf_recommender_choice *choice) {
  struct brought b = {0};
  for (uint32_t i = 0; i < rec->n_candidate; i++)
    b.shared += (rec->candidate[i].flags & XF_RECOMMENDER_SHARED) != 0;
  for (uint32_t k = 0; k < choice->guard.n_candidate; k++) {
    const struct xf_recommender_candidate *c = &rec->candidate[choice->index[k]];
    if (!(c->flags & XF_RECOMMENDER_SHARED) || !(choice->guard.weight[k] > 0)) continue;
    b.chosen++;
    if (c->lambda > b.lambda) b.lambda = c->lambda;
  }
  return b;
}

int main(int argc, char **argv) {
  const char *only = argc > 1 ? argv[1] : "";
  struct xf_worker *pool = NULL;
  struct xf_diag diag = {0};
  enum xf_rc rc = xf_blas_start(NULL, &diag);
  if (!rc) rc = xf_worker_start(&pool, 2, NULL, NULL);
  if (rc) {
    (void)fprintf(stderr, "falsify: %s\n", xf_diag_text(&diag, rc));
    return 1;
  }
  int status = strcmp(only, "users") == 0 ? 0 : falsify_markets(pool);
  if (!status && strcmp(only, "items") != 0) status = falsify_ciao(pool);
  xf_worker_stop(pool);
  return status;
}
