// What the files of this program share: the columns that scorers fill, and how a column or a stack of them is judged.
#ifndef KGLASTFM_BENCH_H
#define KGLASTFM_BENCH_H

#include "data/pairs.h"
#include "rec/diffuse.h"

enum { N_SPLIT = 5, N_FOLD = 5, N_SILO = 5 };
enum column {
  POP,    // log(1 + train positives of the item)
  ODDS,   // log((train positives + 1) / (train negatives + 1)) of the item
  COLD,   // 1: the item has no train positive
  USER,   // minus the user's train positives: what the data set gives away, see docs/BENCHMARKS.md
  KERNEL, // item kernel
  KERNEL_MEAN, // item kernel of exponents .75, .25, over the number of the user's train positives
  CONTENT,     // likeness of graph neighbours
  PPR,         // PageRank over users and items
  PPR_KG,      // and entities
  GRAM,        // diffusion over the pooled Gram
  GRAM_KG,     // and entities
  MF,          // logistic factors
  FED_GRAM,    // GRAM_KG of five silos: the Gram is the coordinator's sum
  FED_KERNEL,
  ALONE, // GRAM_KG of five silos, each on its own Gram
  N_COLUMN
};

// AUC over all pairs of a positive and a negative; over those of the same user; over those whose items have as many train
// positives as each other, where popularity knows nothing; F1.
enum measure { AUC, SAME_USER, SAME_COUNT, F1, N_MEASURE };
struct figure {
  double value[N_MEASURE];
};

// One split: columns of the pairs that are judged or fitted on (validation, and test in a final run).
struct bench {
  struct xf_pairs pairs;
  struct xf_csr train; // positives
  struct xf_rec_data data;
  struct xf_kg_graph graph;
  enum xf_part judged;
  double *x; // [n pairs x N_COLUMN]
};

// Fills a column: log(score + eps), or the score with eps 0; of users u with u % N_SILO == silo, of all with silo -1.
int fill(struct bench *b, enum column column, const struct xf_scorer *scorer, double eps, int silo,
         struct xf_diag *diag);
// Fills FED_GRAM, FED_KERNEL and ALONE.
int federated(struct bench *b, const struct xf_diffuse_spec *spec, double eps,
              struct xf_diag *diag);
// A column as it stands. With n > 1, or products: logistic regression on the columns (and on their products), fitted on
// validation; to judge validation itself it is fitted on four fifths of it and judges the other, five times.
int judge(struct figure *out, const struct bench *b, const enum column *column, uint32_t n,
          bool products, struct xf_diag *diag);

#endif
