/*
 * recommender.h - a silo's decision: which scorers it has, what the federation added to them, and which of them it serves.
 *
 * fit     tunes every family of scorers on split A (one train item of each user, inner.h), then fits the winners on the whole
 *         train part. Local families: popularity, decayed popularity (where events carry time), ALS, item kernel, EASE (where the
 *         number of items allows), with a knowledge graph diffusion over Gram and graph (diffuse.h) and content alone
 *         (kgcontent.h), with categories of the items a model of those (catmodel.h). Shared ones exist where their artifact does:
 *         item and category models on own + lambda x others' Gram with lambda of {0 .1 .3 1}, popularity on own + lambda x others' counts, the models of a rows stage, popularity among overlapping
 *         users.
 * mix     blends of candidates learnt on split A (mix.h), local and shared ones, as further candidates.
 * add     takes further candidates of the caller's (unit-free scorer, diffusion): fitted on train only.
 * choose  the guard (guard.h) on split B = the validation part: for any subset of candidates a blend, its steps and the
 *         figure of every user.
 * decide  choose for the four arms of a silo: popularity; alone (guard over local candidates); federated (the shared
 *         candidate that is best on validation, no guard); guarded (guard over all), which is served. Where the guard's own
 *         figures say that guarded is worse than alone, guarded is alone's blend and the report says so.
 * All arms share the same fitted scorers, grids, tries and refits. The validation part is never fitted; the test part, where
 * there is one, only keeps its items out of the guard's negatives. Candidates and grids are the same for every domain; nothing depends on a data set's name. The same bytes for
 * any number of threads.
 * Not for: computing artifacts (als.h, gram.h, fed/), test figures (heldout.h, rank_eval.h). Owner: caller,
 * xf_recommender_free. Thread: one at a time; its scorers any number of readers.
 * @source docs/internals/rec.md "The decision"
 */
#ifndef XF_REC_RECOMMENDER_H
#define XF_REC_RECOMMENDER_H

#include "data/categories.h"
#include "rec/als.h"
#include "rec/alssearch.h"
#include "rec/guardtable.h"
#include "rec/kggraph.h"

#include <stdatomic.h>

enum { XF_RECOMMENDER_GRID = 8, XF_RECOMMENDER_NAME = 32, XF_RECOMMENDER_SETTING = 96 };

/* Families of scorers that fit makes. */
enum xf_recommender_family {
  XF_RECOMMENDER_POPULARITY = 1,
  XF_RECOMMENDER_DECAYED = 2,
  XF_RECOMMENDER_ALS = 4,
  XF_RECOMMENDER_KERNEL = 8,
  XF_RECOMMENDER_EASE = 16,
  XF_RECOMMENDER_KG = 32,
  XF_RECOMMENDER_CATEGORY = 64
};

/* The other silos' co-occurrence over the items (or categories) this silo shares: its own part already taken out. */
struct xf_recommender_gram {
  const uint32_t *shared; /* [m] local ids, distinct */
  uint32_t m;
  const float *triangle; /* [m (m - 1) / 2] */
  const float *diagonal; /* [m]; NULL with noise */
  double beta;           /* of the statistic */
  double
      noise_sd; /* of each entry, at least (others may have added more); above 0: entries up to 4 sd are dropped (xf_gram_threshold) */
};

/* A model of a rows stage, as the stage leaves it: fitted on this silo's whole train part, the users' step last. */
struct xf_recommender_rows {
  const char *name; /* "weak" */
  const struct xf_als *als;
  const struct xf_als_pull *pull; /* of that last step; NULL: none (exact sums) */
  const struct xf_als
      *inner; /* the same of the train part without split A, NULL: none: then no mix has it */
  const struct xf_als_pull *inner_pull;
};

/* What there is to decide from; all borrowed until fit returns, `split` as long as the recommender lives. */
struct xf_recommender_input {
  const struct xf_split *split;           /* train and validation; see above for test */
  const struct xf_recommender_gram *gram; /* NULL: none */
  const struct xf_recommender_rows *rows;
  uint32_t n_rows;
  const float *overlap; /* [n_items] train events of overlapping users; NULL: none */
  const float
      *counts; /* [n_items] train events in other silos, 0 where none shares it; NULL: none */
  const struct xf_kg_graph *kg; /* the silo's own, beside its items; NULL: none */
  const struct xf_categories
      *categories; /* of its items, as long as the recommender lives; NULL: none */
  const struct xf_recommender_gram *category_gram; /* over them; NULL: none */
  const uint64_t *key;       /* [n_users] of ALS start rows; NULL: row numbers */
  struct xf_worker *pool;    /* NULL: none */
  const atomic_bool *cancel; /* looked at before each try and each family; NULL: none */
};

struct xf_recommender_spec {
  uint32_t families;
  uint64_t seed;          /* of split A, ALS start rows */
  uint32_t tune_users;    /* of split A that judge, at most; 0: all */
  struct xf_als_grid als; /* a x rho at the first dim, then the other dims at the best */
  double als_nu;
  uint32_t als_sweeps;
  uint32_t als_seeds; /* models whose standardised scores are averaged, in the local candidate */
  double kernel_to[XF_RECOMMENDER_GRID];
  uint32_t n_kernel_to; /* exponents of the target item; the source's is .5 */
  double ridge[XF_RECOMMENDER_GRID];
  uint32_t n_ridge;
  uint32_t max_items; /* of EASE */
  double kg_w[XF_RECOMMENDER_GRID];
  uint32_t
      n_kg_w; /* weights of the graph's edges, beside 0; none of them is used unless it gains lambda_se over 0 */
  double popular[XF_RECOMMENDER_GRID];
  uint32_t n_popular; /* powers of an item's popularity beside its categories */
  double lambda[XF_RECOMMENDER_GRID];
  uint32_t n_lambda; /* beside 0 */
  double lambda_se;  /* paired standard errors that a lambda must gain over 0 */
  double tau[XF_RECOMMENDER_GRID];
  uint32_t n_tau; /* seconds; each tau is a candidate */
  double tau_log[XF_RECOMMENDER_GRID];
  uint32_t n_tau_log; /* of these the logarithm too */
  double beta;        /* of the own Gram where there is no artifact */
  bool keep_inner;    /* keep the models without split A: what a mix is learnt from */
  double mix_l2;
  struct xf_guard_spec guard; /* `split` is set by fit */
};

enum xf_recommender_flag {
  XF_RECOMMENDER_SHARED = 1, /* needs something that came from the federation */
  XF_RECOMMENDER_TIMED = 2,  /* reads the instant of the request */
  XF_RECOMMENDER_GRAPH = 4,  /* made of a knowledge graph */
  XF_RECOMMENDER_SHELVES = 8 /* made of the items' categories */
};

struct xf_recommender_candidate {
  char name[XF_RECOMMENDER_NAME];
  char setting[XF_RECOMMENDER_SETTING]; /* in words: "dim 96, a 0.01, rho 0.3" */
  uint32_t flags;
  uint32_t tries;       /* settings tried on split A; 0: nothing to tune */
  bool edge;            /* the best lies at the border of its grid */
  double tuned;         /* figure on split A; NaN: none */
  double lambda, kappa; /* of a Gram or a pull; 0: none */
  uint32_t dim;         /* of ALS; 0: none */
  struct xf_als_weight als;
  struct xf_scorer *scorer; /* fitted on train */
  struct xf_scorer *inner; /* the same without split A; NULL unless keep_inner, and for artifacts */
  const struct xf_guard_mix *mix; /* [XF_BLEND_PARTS] by candidate: a mix, its own; NULL: none */
  bool owned;
};

/* What was tried of the federation and not even made a candidate, in words. */
enum { XF_RECOMMENDER_NOTES = 8, XF_RECOMMENDER_NOTE = 200 };

/* The guard's outcome over a subset of candidates. */
struct xf_recommender_choice {
  uint32_t index[XF_BLEND_PARTS]; /* candidates that took part */
  struct xf_guard guard;          /* its candidate i is index[i] */
  struct xf_scorer *scorer;       /* the blend; borrows the recommender's scorers */
  float *figure; /* [n_users] expected NDCG@k on the judged part; NaN: not judged */
};

/* A guarded blend that was worse than alone on validation, so that alone is served; n_candidate 0: none. */
struct xf_recommender_refused {
  struct xf_guard guard; /* its candidate i is index[i] of the guarded arm */
  double gain, se;       /* over alone, paired; below 0 when refused */
};

enum xf_recommender_arm {
  XF_RECOMMENDER_ARM_POPULARITY,
  XF_RECOMMENDER_ARM_ALONE,
  XF_RECOMMENDER_ARM_FEDERATED,
  XF_RECOMMENDER_ARM_GUARDED,
  XF_RECOMMENDER_N_ARM
};

struct xf_recommender {
  const struct xf_split *split;
  struct xf_split inner; /* split A as validation, with keep_inner; else empty */
  uint32_t tune_users;
  uint64_t seed;
  double mix_l2;
  struct xf_guard_spec guard;
  struct xf_recommender_candidate candidate[XF_BLEND_PARTS];
  uint32_t n_candidate;
  char note[XF_RECOMMENDER_NOTES][XF_RECOMMENDER_NOTE];
  uint32_t n_note;
  struct xf_recommender_choice
      arm[XF_RECOMMENDER_N_ARM]; /* after decide; no figure: no candidate for it */
  double gain, gain_se; /* guarded over alone on validation, paired, never below 0; after decide */
  struct xf_recommender_refused refused; /* after decide */
  uint32_t tries;                        /* settings of all families together */
  double seconds;                        /* fit and decide */
  uint64_t memory;                       /* bytes of the scorers */
};

/* The defaults: one set for all domains and data sets. @own nothing taken */
struct xf_recommender_spec xf_recommender_defaults(void);
/* Tunes and fits. @own out: xf_recommender_free @err E_INVAL (spec) E_SHAPE (artifact against split) E_NAN E_NOMEM
   E_NOTFOUND (no train event) E_CANCELLED and the scorers' */
XF_WARN_UNUSED enum xf_rc xf_recommender_fit(struct xf_recommender **out,
                                             const struct xf_recommender_input *in,
                                             const struct xf_recommender_spec *spec,
                                             struct xf_diag *diag);
/* Releases; NULL is legal. @own rec */
void xf_recommender_free(struct xf_recommender *rec);
/* Another candidate; `owned`: freed with the recommender, also after an error. inner NULL: none.
   @own scorer, inner as `owned` @err E_INVAL (name taken or too long) E_SHAPE E_LIMIT (too many) */
XF_WARN_UNUSED enum xf_rc xf_recommender_add(struct xf_recommender *rec,
                                             const struct xf_recommender_candidate *candidate,
                                             struct xf_diag *diag);
/* A model of a rows stage that ran after fit, for instance with settings the silos agreed on from their tuned ones.
   @err E_SHAPE (of other data) and those of xf_recommender_add and xf_als_scorer */
XF_WARN_UNUSED enum xf_rc xf_recommender_add_rows(struct xf_recommender *rec,
                                                  const struct xf_recommender_rows *rows,
                                                  struct xf_diag *diag);
/* Blends learnt on split A (mix.h) as further candidates, each where it has two candidates with a model without split A:
   "mix" of the local ones, "mix+time" with those that read the instant, "mix.shared" and "mix.shared+time" with the shared ones but
   "pooled". After fit with keep_inner, and after the rows were added. Too little data for split A: none, and no error.
   Without keep_inner none either. @err those of xf_guard_table_init and xf_mix_fit */
XF_WARN_UNUSED enum xf_rc xf_recommender_mix(struct xf_recommender *rec, struct xf_diag *diag);
/* Releases the models without split A, and split A, when no further mix or scorer is learnt from them. @own rec */
void xf_recommender_free_inner(struct xf_recommender *rec);
/* The candidate of a name, or NULL. @own recommender's */
const struct xf_recommender_candidate *xf_recommender_find(const struct xf_recommender *rec,
                                                           const char *name);

/* All candidates' scores for the users of a part, for any number of choices. guard NULL: the recommender's; else its split
   may be another one of the same users, items and train part. @own out: xf_guard_table_deinit @err as xf_guard_table_init */
XF_WARN_UNUSED enum xf_rc xf_recommender_table(struct xf_guard_table *out,
                                               const struct xf_recommender *rec,
                                               const struct xf_guard_spec *guard,
                                               struct xf_diag *diag);
/* The guard over the candidates with use[i] true (NULL: all) by the users with users[u] true (NULL: all judged ones); the
   figures are of all judged users. @shape use[n_candidate], users[n_users]
   @own out: xf_recommender_choice_deinit @err E_NOTFOUND (no candidate) and those of xf_guard_table_fit */
XF_WARN_UNUSED enum xf_rc xf_recommender_choose(struct xf_recommender_choice *out,
                                                const struct xf_recommender *rec,
                                                const struct xf_guard_table *table, const bool *use,
                                                const bool *users, struct xf_diag *diag);
/* The search of a guard starts from one candidate and may end below alone's. Where `served` does, by the figures of the users with
   users[u] true (NULL: all), alone's blend takes its place, as weights of served's candidates, among which alone's are; what was
   found is in `refused`. @err those of xf_guard_blend; after one, served must still be released */
XF_WARN_UNUSED enum xf_rc xf_recommender_refuse(struct xf_recommender_choice *served,
                                                const struct xf_recommender_choice *alone,
                                                const struct xf_recommender *rec, const bool *users,
                                                struct xf_recommender_refused *refused,
                                                struct xf_diag *diag);
/* Releases; idempotent. @own choice */
void xf_recommender_choice_deinit(struct xf_recommender_choice *choice);
/* Fills arm[], gain and gain_se by a table (NULL: a table of its own, released after). Without a shared candidate the federated
   arm is empty and guarded equals alone. Without any judged user the local candidate that split A likes best is served. May be called again, after xf_recommender_add or with another table.
   @err those of xf_recommender_table and xf_recommender_choose */
XF_WARN_UNUSED enum xf_rc xf_recommender_decide(struct xf_recommender *rec,
                                                const struct xf_guard_table *table,
                                                struct xf_diag *diag);
/* Whether a candidate that a knowledge graph made has a part in what an arm serves, by itself or in a mix.
   @thread any */
bool xf_recommender_uses_kg(const struct xf_recommender *rec, enum xf_recommender_arm arm);
/* The model of categories that has a part in what an arm serves, that with the other silos' before the own one; its reasons are
   categories. NULL: none has. @own recommender's @thread any */
const struct xf_scorer *xf_recommender_categories(const struct xf_recommender *rec,
                                                  enum xf_recommender_arm arm);
/* The scorer that the silo serves: the guarded arm's. NULL before decide. @own recommender's */
const struct xf_scorer *xf_recommender_served(const struct xf_recommender *rec);

/* Whose popularity answers somebody whom no candidate knows. */
enum xf_recommender_crowd {
  XF_RECOMMENDER_CROWD_OWN,
  XF_RECOMMENDER_CROWD_POOLED, /* own + lambda x others' counts, where lambda won on split A */
  XF_RECOMMENDER_CROWD_OVERLAP /* users whom other silos have too: a stranger may be one of theirs */
};
/* "popularity", "popularity in all silos", "popularity among users of several silos". @own static */
const char *xf_recommender_crowd_text(enum xf_recommender_crowd crowd);
/* Scores for somebody without a history here: by overlapping users where there are any, else pooled, else the silo's own; equal
   ones by the silo's own. After fit. @shape out[n_items] @err none in practice (the candidates') */
XF_WARN_UNUSED enum xf_rc xf_recommender_strangers(const struct xf_recommender *rec, float *out,
                                                   enum xf_recommender_crowd *crowd,
                                                   struct xf_diag *diag);

/* The transfer report in words: candidates with settings and figures, the guard's steps, which shared part is switched
   off and why, the gain over alone with its paired standard error, costs. @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_recommender_print(const struct xf_recommender *rec,
                                               struct xf_buf *text);

#endif
