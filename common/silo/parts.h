/*
 * parts.h - private to common/silo: the silo's memory. silo.c builds and keeps it, work.c does tasks, arms.c the arms.
 */
#ifndef XF_SILO_PARTS_H
#define XF_SILO_PARTS_H

#include "param/wiremap.h"
#include "rec/als.h"
#include "rec/evaluate.h"
#include "rec/featuremodels.h"
#include "rec/recommender.h"
#include "silo/silo.h"
#include "train/metawork.h"
#include "train/personal.h"
#include "train/train.h"

/* A rows stage's models, of the whole train part and without split A; their rows and factors are in the personal state, here lies
   what they are worked on with. */
enum { SILO_ROWS_MODELS = 2 };
/* Sweeps without an exchange: of a silo that has no rows in the mean, and of the whole train part after rounds without split A. */
enum { SILO_ROWS_NEWCOMER = 6, SILO_ROWS_WHOLE = 6 };
struct silo_rows_model {
  struct xf_als als;
  float *target;           /* [n_users x dim] */
  struct xf_als_pull pull; /* of the last users' step */
};
struct silo_rows {
  struct silo_rows_model model[SILO_ROWS_MODELS];
  struct xf_split split; /* split A */
  bool inner;            /* there is one, and the plan wants a model without it */
  bool ready;
};

/* A namespace that the plan aligns, as this silo sees it. */
struct silo_space {
  struct xf_space plan;
  struct xf_manifest manifest;
  struct xf_key *local_key; /* [n_users or n_items] by local row */
  uint32_t *key_row;        /* [manifest.n] local row of each key */
  uint32_t *known_row; /* [n_known] local rows of the keys that the directory knows, in key order */
  uint32_t *holders;   /* [n_known] */
  size_t n_known;
};

struct silo_decision;
struct silo_scorer;

struct xf_silo {
  struct xf_silo_config cfg; /* cfg.member points to `member` */
  char member[64];
  struct xf_dataset data;
  struct xf_categories categories; /* of its items; empty but where a stage sums over them */
  struct xf_csr profile;           /* [n_users x categories.n] of the train part */
  struct xf_measures measures;
  bool recommends;
  struct xf_model *model;  /* NULL for a recommender, as trainer and evaluator are */
  struct xf_layout stages; /* of a recommender: empty pairs until it is aligned */
  const struct xf_layout *layout;
  struct xf_trainer *trainer;   /* NULL where nothing runs the local optimiser */
  struct xf_personal *personal; /* of plans with local.personal's rules, else NULL */
  struct xf_metawork *meta;     /* of meta-learning plans, and where metrics adapt */
  struct xf_evaluator *evaluator;
  struct xf_digest layout_digest;
  struct silo_space space[XF_SPACES_MAX];
  uint32_t n_space;
  bool aligned;
  struct xf_wire_map map;                       /* of all stages */
  struct xf_wire_map slice[XF_PLAN_STAGES_MAX]; /* of one */
  struct xf_plan_lens lens;
  struct silo_rows *rows;         /* [n_stages] of a recommender */
  struct silo_scorer *scorer;     /* of the scorer stage at hand */
  struct silo_decision *decision; /* of the model that was asked for last */
  float *waiting[2];              /* personal state, tentative state of a restart, until aligned */
  uint64_t n_waiting[2];
  float *full;          /* personal state */
  float *next;          /* tentative: of the last answer */
  float *task;          /* of the task at hand; changes places with next when the answer is whole */
  float *arm;           /* parameters of the arm made last */
  float *adapted;       /* those after adaptation; with meta: also a task's delta */
  float *start, *shift; /* with control variates: a task's start, what joins its gradients */
  uint64_t n_tail; /* of which there are so many, behind the other shared floats of an update */
  float *prior;    /* NULL unless rows are pulled */
  uint8_t *held;
  float *wire;
  int32_t *noise; /* NULL without noise */
  bool tentative;
  enum xf_silo_arm made;
  const atomic_bool *cancel; /* of making arms; may be NULL */
};

/* start <- personal state under the base: shared floats always, aligned rows only by `average`; with `pull` the own
   rows stay. @shape start[layout.n], base[n_wire] */
void silo_start(const struct xf_silo *s, float *start, const float *base);
/* Trains a task whose steps clip and noise unit by unit (units.c): job as of any training; a gets what to charge. */
enum xf_rc silo_train_units(struct xf_silo *s, const struct xf_silo_task *task,
                            struct xf_train_job *job, struct xf_silo_answer *a,
                            struct xf_diag *diag);
/* Control variates (control.c), where the model has some: memory; before the steps of a task that starts at s->task; behind them, with
   the delta in s->wire. @err E_NOMEM */
enum xf_rc silo_control_init(struct xf_silo *s);
void silo_control_begin(struct xf_silo *s, struct xf_train_job *job);
void silo_control_end(struct xf_silo *s, const struct xf_silo_task *task,
                      const struct xf_train_job *job, struct xf_silo_answer *a);
/* FedNova (nova.c): the delta in s->wire divided by the norm of the steps, then that norm. */
void silo_nova_end(struct xf_silo *s, const struct xf_train_job *job);
/* Streams of a task; round 2^32 + t is task t of the `alone` arm. */
void silo_streams(const struct xf_silo *s, uint64_t round, struct xf_rng *shuffle,
                  struct xf_rng *negative);
/* Stages of a recommender (stages.c): layout and vectors for the known keys; frees them. */
enum xf_rc silo_stages_init(struct xf_silo *s, struct xf_diag *diag);
void silo_stages_deinit(struct xf_silo *s);
/* The slice of a stage in a wire vector of all stages: its first keyed float. The segment of that name. */
const struct xf_segment *silo_segment(const struct xf_silo *s, uint32_t stage, const char *part);
/* The namespace of such keys; NULL: the plan does not align them. */
const struct silo_space *silo_space_of(const struct xf_silo *s, enum xf_space_of of);
/* Where a keyed segment's known rows lie in the wire vector of `stages`. @unit floats */
uint64_t silo_wire_at(const struct xf_silo *s, uint32_t stages, const struct xf_segment *seg);

/* A recommender's work in one stage: s->task becomes its next personal state, s->wire what leaves (rows: before clip and noise; a
   statistic: noised, where the plan says so).
   base is the stage's own slice. */
enum xf_rc silo_statistic(struct xf_silo *s, const struct xf_silo_task *task,
                          struct xf_silo_answer *a, struct xf_diag *diag);
enum xf_rc silo_rows(struct xf_silo *s, uint32_t stage, uint64_t round, const float *base,
                     const atomic_bool *cancel, struct xf_diag *diag);
/* The models of a rows stage from the committed rows, ready to score; s->full stays. @own out: the silo's */
enum xf_rc silo_rows_final(struct xf_silo *s, uint32_t stage, const float *base,
                           struct xf_recommender_rows *out, struct xf_diag *diag);
void silo_rows_deinit(struct silo_rows *rows);
/* The keyed segment of a rows stage: "user", or with rule sums "sums". Whether what this silo has of it is in what was committed: a
   silo that came later has nothing there. @own static */
const char *silo_rows_part(const struct xf_silo *s, uint32_t stage);
bool silo_rows_contributed(const struct xf_silo *s, uint32_t stage);
/* Between rows.c and rowsums.c: the models, made at first use or `again`, whatever was worked on meanwhile; that without split A into a
   personal state and out of it (false: it was not kept there). */
enum xf_rc silo_rows_models(struct xf_silo *s, uint32_t stage, bool again, struct xf_diag *diag);
void silo_rows_keep_inner(const struct xf_silo *s, uint32_t stage, float *to);
bool silo_rows_load_inner(struct xf_silo *s, uint32_t stage);
/* A round, and the models, of rule sums (rowsums.c). */
enum xf_rc silo_sums(struct xf_silo *s, uint32_t stage, uint64_t round, const float *base,
                     const atomic_bool *cancel, struct xf_diag *diag);
enum xf_rc silo_sums_final(struct xf_silo *s, uint32_t stage, const float *base,
                           struct xf_diag *diag);

/* A round of a scorer stage on this silo's lists, whose features come from the artifacts that the stage reads: `in` is their
   part of the task's base, `own` the net. Fills samples and loss. */
enum xf_rc silo_scorer_work(struct xf_silo *s, const struct xf_silo_task *task, const float *in,
                            const float *own, struct xf_silo_answer *a, struct xf_diag *diag);
void silo_scorer_free(struct silo_scorer *scorer);
/* The statistic of item pairs that a scorer stage reads. false: none */
bool silo_scorer_reads(const struct xf_plan *plan, uint32_t stage, uint32_t *gram);
/* The scorers below the net of a scorer stage, fitted on a train part: the same for its lists and when it is served. sum: the wire
   vector of `stages`. @own out: xf_feature_models_deinit */
enum xf_rc silo_scorer_models(struct xf_feature_models *out, const struct xf_silo *s,
                              uint32_t stage, const struct xf_csr *train, const float *sum,
                              uint32_t stages, struct xf_diag *diag);
/* Seed of split A, for stages and decision alike. */
uint64_t silo_split_a(const struct xf_silo *s);

/* What a stage of pairs pairs: items or categories. */
enum xf_space_of silo_gram_space(const struct xf_silo *s, uint32_t stage);
/* The others' part of a statistic: the sum less what this silo released, over the known keys. sum: the wire vector of
   `stages`. false: the stage has not committed. @own out: silo_gram_deinit */
struct silo_gram {
  struct xf_recommender_gram gram;
  float *triangle, *diagonal;
};
enum xf_rc silo_gram_init(struct silo_gram *out, const struct xf_silo *s, uint32_t stage,
                          const float *sum, uint32_t stages, bool *there);
void silo_gram_deinit(struct silo_gram *gram);

/* Train events of users that other silos have too. @shape out[n_items] */
void silo_overlap(const struct xf_silo *s, float *out);
/* Adds the others' part of counts ("counts", "overlap") to those of the silo's items. false: the stage has not committed.
   @shape out[n_items] */
bool silo_counts_add(const struct xf_silo *s, uint32_t stage, const char *part, const float *sum,
                     uint32_t stages, float *out);

/* What the silo decides with the model `base` (decision.c): fitted once for each model. */
enum xf_rc silo_decide(struct xf_silo *s, const float *base, struct xf_diag *diag);
/* Measures the arm made last; spec->measure points into the silo's own measures. */
enum xf_rc silo_decision_measure(struct xf_silo *s, const struct xf_rank_spec *spec,
                                 struct xf_measure_sum *sum, struct xf_diag *diag);
enum xf_rc silo_decision_scores(struct xf_silo *s, uint32_t user, float *out, struct xf_diag *diag);
void silo_decision_free(struct silo_decision *decision);

/* Seeded first values of every segment. @shape x[layout.n] */
enum xf_rc silo_first(const struct xf_silo *s, float *x, struct xf_diag *diag);

#endif
