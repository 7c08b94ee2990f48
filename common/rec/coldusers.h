/*
 * coldusers.h - people with a history in a source domain are ranked items of a target domain where they have none.
 *
 * Each domain fits its own factors (implicit ALS). Then the people with train events in both add, one at a time, what their
 * device would send into a sum:
 *   overlap   their target items: users per item among the common people
 *   map       their pair of unit rows (crossmap.h): H and C
 *   gram      their pair of histories (crossmap.h): W
 * Arms, scores of all target items:
 *   popularity           log(1 + train events of the target)
 *   overlap popularity   log(1 + overlap); its many ties fall by popularity
 *   map, gram            from the source history alone, each with .3 x overlap popularity; parts are standardised over candidates
 *   combined             map and gram 1:1, and the same .3
 *   smoothed             map and twice the gram, 1:1:1, and .3 x sqrt 3: the gram is asked not with the history x but with
 *                        x B B^T, B = D_s (1 + D_s C_s D_s), and once more with its answer times D_t C_t D_t^.5. C: co-occurrence of
 *                        a domain's own items, sum over users of x x^T / |x| without its diagonal; D: counts^-.5
 * Overlap needs nothing but the list of common people; map, gram and combined pair two rows of one person: on that person's
 * own device, or between two silos by paired computation, which adding up alone is not.
 * A person's held-out rows are ranked among random items, none of the person's other held-out ones; ties count against them.
 * Not for: finding common people. Owner: caller. Thread: one at a time. Borrows everything it is given.
 */
#ifndef XF_REC_COLDUSERS_H
#define XF_REC_COLDUSERS_H

#include "rec/als.h"
#include "rec/crossmap.h"
#include "rec/metrics.h"

enum xf_coldusers_arm {
  XF_COLDUSERS_POPULARITY,
  XF_COLDUSERS_OVERLAP,
  XF_COLDUSERS_GRAM,
  XF_COLDUSERS_MAP,
  XF_COLDUSERS_COMBINED,
  XF_COLDUSERS_SMOOTHED,
  XF_COLDUSERS_STRICT, /* overlap popularity with its ties counted against the held-out item */
  XF_COLDUSERS_N_ARM
};
enum { XF_COLDUSERS_NDCG, XF_COLDUSERS_HR, XF_COLDUSERS_MRR, XF_COLDUSERS_N_MEASURE };

struct xf_coldusers_spec {
  struct xf_als_spec als;   /* of both domains; key is ignored */
  double ridge;             /* g of the map */
  double popularity_weight; /* of overlap popularity beside map and gram */
  uint32_t n_draw, n_neg;   /* negatives of a held-out row, drawn n_draw times */
  uint64_t seed;            /* of the draws */
};
/* d = 32, a .1, rho .003, nu 1, 6 sweeps; g .1, weight .3; 3 draws of 999. @thread any */
struct xf_coldusers_spec xf_coldusers_default(uint64_t seed);

/* A domain's item counts, for its own co-occurrence. */
struct xf_coldusers_side {
  const struct xf_csr *train;
  uint32_t n_items;
  float *scale; /* [n_items] count^-.5, 0 without events */
  float *self;  /* [n_items] the diagonal of C */
};

/* The non-zero entries of the gram, by source item. */
struct xf_coldusers_pairs {
  uint64_t *start; /* [source items + 1] */
  uint32_t *item;
  float *weight;
};

struct xf_coldusers {
  struct xf_coldusers_spec spec;
  const struct xf_csr *source, *target; /* train, borrowed */
  uint32_t n_items;                     /* of the target */
  uint32_t n_common;                    /* people added */
  uint64_t bytes;                       /* what their devices sent: see xf_coldusers_add */
  struct xf_als source_als, target_als;
  float *popular, *overlap, *tied;  /* [n_items] */
  struct xf_coldusers_side side[2]; /* source, target */
  struct xf_coldusers_pairs pairs;  /* after xf_coldusers_finish, when gram is released */
  struct xf_crossmap_sums sums;
  struct xf_crossmap map;
  struct xf_crossgram gram;
};

/* Both domains fit their factors; nobody is added yet. @own out: xf_coldusers_deinit @err those of xf_als_fit; E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_coldusers_init(struct xf_coldusers *out, const struct xf_csr *source,
                                            uint32_t n_source_items, const struct xf_csr *target,
                                            uint32_t n_target_items,
                                            const struct xf_coldusers_spec *spec,
                                            struct xf_diag *diag);
/* Releases; idempotent. @own cold */
void xf_coldusers_deinit(struct xf_coldusers *cold);
/* One person of both domains adds to the sums, by their rows of the two train parts. Bytes, as dense float sums of fixed size
   but for the gram's, which is counted by its non-zero pairs (index and value). @err E_RANGE (row) E_NAN */
XF_WARN_UNUSED enum xf_rc xf_coldusers_add(struct xf_coldusers *cold, uint32_t source_user,
                                           uint32_t target_user);
/* After the last: the map, the logarithms. @err E_INVAL (nobody was added) E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_coldusers_finish(struct xf_coldusers *cold, struct xf_diag *diag);

struct xf_coldusers_table {
  double mean[XF_COLDUSERS_N_ARM]
             [XF_COLDUSERS_N_MEASURE]; /* over rows and draws: NDCG@10, HR@10, MRR */
  float *person[XF_COLDUSERS_N_ARM];   /* [people] mean NDCG of each */
  uint64_t rows;
  uint32_t people;
};

/* Ranks the held-out rows: rows of `held` are source users, columns target items.
   @own out: xf_coldusers_table_deinit @err E_INVAL (no more items than negatives, or no row) E_NAN E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_coldusers_rank(struct xf_coldusers_table *out,
                                            const struct xf_coldusers *cold,
                                            const struct xf_csr *held, struct xf_diag *diag);
/* Releases; idempotent. @own table */
void xf_coldusers_table_deinit(struct xf_coldusers_table *table);
/* Standard error of an arm's NDCG over people. @unit NDCG */
double xf_coldusers_se(const struct xf_coldusers_table *table, enum xf_coldusers_arm arm);
/* "overlap popularity" and so on. @own static */
const char *xf_coldusers_arm_name(enum xf_coldusers_arm arm);
/* Whether the arm pairs two rows of one person: "needs paired computation". @thread any */
bool xf_coldusers_paired(enum xf_coldusers_arm arm);

#endif
