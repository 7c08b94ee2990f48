/*
 * markets.h - for the table programs on XMRec: five markets with common items, their releases, the coordinator's sum of them.
 *
 * Functions of type int print what went wrong and return the program's exit status: 0, 1, or 77 without the data.
 * Not for: anything else than tables. Owner: the program; market_free. Thread: main.
 */
#ifndef XF_TESTS_BENCH_MARKETS_H
#define XF_TESTS_BENCH_MARKETS_H

#include "data/interactions.h"
#include "data/lists.h"
#include "fed/trisum.h"
#include "rec/gram.h"

enum { N_MARKET = 5 };

struct market {
  const char *name;
  struct xf_interactions inter;
  struct xf_split split;
  struct xf_rec_data data; /* every event is its train part */
  uint32_t *shared, *row;  /* [n_shared] local items by directory row */
  uint32_t n_shared;
  uint8_t *counted;           /* [items of the train part] 1: shared */
  float *triangle, *diagonal; /* its release */
};

struct markets {
  struct market market[N_MARKET];
  uint32_t n_items, n_shared; /* of all markets; of those, in two or more */
  struct xf_diag diag;
};

/* Which half of the validation users: FINAL=1 in the environment is the final one. @source decision 40 */
enum xf_qrel_half markets_half(void);
/* "final" or "development". @own static */
const char *markets_half_name(enum xf_qrel_half half);
/* Says what failed and why. @err always 1 */
int markets_fail(const struct markets *m, const char *what);
/* Loads $CROSSFED_DATA/xmrec-wsdm22 (default ../shared/data) and makes the directory of items that two or more markets sell.
   @own m: markets_free @err exit status */
int markets_load(struct markets *m);
/* Adds the rows of `train` (beyond five events per user and item; s1 has no such file) whose item the market has; call it
   before releases and lists. @err exit status */
int markets_more(struct markets *m);
/* Releases; idempotent. @own m */
void markets_free(struct markets *m);
/* A market's release over its shared items into its triangle and diagonal, each user normalised by the shared items.
   @err exit status */
int markets_release(struct markets *m, int d, double beta, double step);
/* Sum of the markets in `in` over the directory by the coordinator's fold; diagonals are added beside.
   @shape triangle[n_shared choose 2], diagonal[n_shared] @err exit status */
int markets_sum(struct markets *m, const bool in[N_MARKET], float *triangle, float *diagonal);
/* A market's part of such a sum. @shape triangle[its n_shared choose 2], diagonal[its n_shared] */
void markets_take(const struct markets *m, int d, const float *sum, const float *sum_diagonal,
                  float *triangle, float *diagonal);
/* A market's candidate lists of a half; its catalogue grows by what only they have. @own lists @err exit status */
int markets_lists(struct markets *m, int d, enum xf_qrel_half half, struct xf_lists *lists);

#endif
