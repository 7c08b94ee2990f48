/*
 * silo.h - one silo's work, without its process: private data, model, personal state, keys, tasks, arms.
 *
 * client/io calls it beside real files and sockets, tools/sim in memory; both get the same bytes (decision 36).
 *
 *   xf_silo_new      data and plan -> model, personal state
 *   xf_silo_align    which of its keys the frozen directory knows -> the wire vector's shape
 *   xf_silo_work     a task -> the final bytes of its answer: trained, clipped, noised, digested; nothing of it is
 *                    released here, the caller stores it with its privacy charge first (outbox)
 *   xf_silo_outcome  the update was committed or not -> promote or drop the tentative personal state (decision 9)
 *
 * Owner: caller. Thread: one at a time; work runs on a worker while the owner leaves the silo alone, except for
 * `cancel`.
 */
#ifndef XF_SILO_SILO_H
#define XF_SILO_SILO_H

#include "base/buf.h"
#include "data/categories.h"
#include "data/dataset.h"
#include "param/manifest.h"
#include "plan/view.h"
#include "priv/odometer.h"
#include "rec/kgside.h"
#include "rec/recommender.h"
#include "resolve/resolve.h"
#include "wire/msg.h"

#include <stdatomic.h>

struct xf_silo;

enum { XF_SILO_ALIGN_KEY = 32 };

struct xf_silo_config {
  const struct xf_plan *plan; /* borrowed for the silo's life */
  const char *member;         /* copied */
  struct xf_dataset *data;    /* contents are taken, also after an error */
  const uint8_t
      *align_key; /* [32] shared by the silos, never by the coordinator; NULL: no alignment */
  struct xf_kg_side
      *kg; /* beside the data's items, of a recommender; one more reference; NULL: none */
  struct xf_categories *
      categories; /* of the data's items, where a stage sums over them; contents are taken, also after
                                       an error; NULL: none */
  /* In force under plan and policy (client/core/policy.h). */
  double clip, noise_multiplier;
  uint32_t max_weight; /* 0: none */
  bool metrics;        /* samples, loss and evaluation sums may leave */
  bool seeded_noise;   /* simulator only: repeatable and NOT PRIVATE */
};

/* @own out: xf_silo_free @err E_CONFIG (aligned plan without key; no train samples) and those of model, train */
XF_WARN_UNUSED enum xf_rc xf_silo_new(struct xf_silo **out, const struct xf_silo_config *config,
                                      struct xf_diag *diag);
/* Releases; NULL is legal. @own takes silo */
void xf_silo_free(struct xf_silo *silo);

/* Namespaces that the plan aligns, in the order of xf_resolve_spaces; 0: none. @thread any */
uint32_t xf_silo_spaces(const struct xf_silo *silo);
/* The silo's keys of a namespace, ascending; empty for one the plan does not align. @own borrowed */
const struct xf_manifest *xf_silo_manifest(const struct xf_silo *silo, uint32_t space);
/* The directories' answers: holders[k][i] of the i-th key of namespace k, 0 for a key it does not know (its row stays here).
   Once, before the first task; a plan without alignment needs no call. @shape holders[spaces][manifest.n]
   @err E_STATE E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_silo_align(struct xf_silo *silo, const uint32_t *const *holders,
                                        struct xf_diag *diag);
/* Bytes of the wire vector of all stages; 0 before alignment. @unit bytes */
uint64_t xf_silo_model_len(const struct xf_silo *silo);
/* What its tasks move; 0 bytes before alignment. @own silo @unit bytes */
const struct xf_plan_lens *xf_silo_lens(const struct xf_silo *silo);
/* Layout of the personal state; of a recommender final once aligned. @own silo */
const struct xf_layout *xf_silo_layout(const struct xf_silo *silo);
/* @own silo */
const struct xf_digest *xf_silo_layout_digest(const struct xf_silo *silo);
const struct xf_dataset *xf_silo_data(const struct xf_silo *silo);
/* The categories of its items, where a stage of the plan sums over them; NULL: none. @own silo */
const struct xf_categories *xf_silo_categories(const struct xf_silo *silo);
/* The knowledge graph, NULL without one. @own silo, xf_kg_side_ref for longer */
struct xf_kg_side *xf_silo_kg(const struct xf_silo *silo);
const struct xf_measures *xf_silo_measures(const struct xf_silo *silo);
/* The model; NULL for a recommender. @own silo */
const struct xf_model *xf_silo_model(const struct xf_silo *silo);
/* Whether the plan's model is a recommender. @thread any */
bool xf_silo_recommends(const struct xf_silo *silo);

struct xf_silo_task {
  struct xf_msg_task_offer offer;
  const float *base;         /* [offer.model_len / 4] what the task moved down (plan/view.h) */
  struct xf_odometer spent;  /* before this task */
  const atomic_bool *cancel; /* may be NULL */
  void (*progress)(void *arg, uint64_t done, uint64_t total); /* on the worker; may be NULL */
  void *arg;
};
struct xf_silo_answer {
  struct xf_buf payload; /* caller's, initialised; replaced here */
  struct xf_msg_update_begin
      begin; /* whole: weight, digests, clip, noise, epsilon after the charge; without a finite
                      epsilon (a release without noise came before) noise and epsilon are 0 */
  struct xf_odometer_charge
      charge; /* what to charge: noise multiplier as used; 0: no noise, one release */
  bool clipped;
  bool
      uncounted; /* its control variates are not those that the coordinator counts: it sent no change of them */
  bool
      forgot; /* what earlier updates left unsent (fed.encoding: topk) is gone: it starts again at 0 */
  double norm;        /* L2 of the delta before clipping; stays in the silo */
  uint64_t n_samples; /* stay in the silo unless `metrics` */
  double loss;
  uint64_t n_saturated;
  uint64_t n_lost; /* training by units: gradients that were not finite; stays in the silo */
};
/* Trains or evaluates (which makes the FEDERATED arm). @thread worker @err E_NAN E_CANCELLED E_POLICY (an evaluation
   that may not leave) E_INVAL (a final model is no work) E_SHAPE and those of train, rec, priv; after an error nothing
   may be sent and the personal state, tentative too, is as before */
XF_WARN_UNUSED enum xf_rc xf_silo_work(struct xf_silo *silo, const struct xf_silo_task *task,
                                       struct xf_silo_answer *answer, struct xf_diag *diag);

/* Personal state: the whole parameter vector. `tentative` is the one of the last training answer. The pointer holds
   until the next call that trains. @shape x[n] */
uint64_t xf_silo_params(const struct xf_silo *silo); /* @unit floats */
const float *xf_silo_personal(const struct xf_silo *silo, bool tentative);
/* Sets it after a restart; tentative: waits for its outcome. @shape x[n] @err E_SHAPE E_NAN */
XF_WARN_UNUSED enum xf_rc xf_silo_restore(struct xf_silo *silo, const float *x, uint64_t n,
                                          bool tentative);
/* Promotes or drops the tentative state; without one nothing happens. @own silo */
void xf_silo_outcome(struct xf_silo *silo, bool committed);

/* --- arms (decision 9) -------------------------------------------------------------------------- */

/* X(NAME, text) */
#define XF_SILO_ARM_LIST(X)   \
  X(POPULARITY, "popularity") \
  X(ALONE, "alone")           \
  X(FEDERATED, "federated")   \
  X(GUARDED, "guarded")       \
  X(PERSONAL, "personal")
enum xf_silo_arm {
#define XF_SILO_ARM_ENUM(n, t) XF_SILO_##n,
  XF_SILO_ARM_LIST(XF_SILO_ARM_ENUM)
#undef XF_SILO_ARM_ENUM
      XF_SILO_N_ARM
};
/* @own static */
const char *xf_silo_arm_name(enum xf_silo_arm arm);
/* A part in reports: train, valid, test. @own static */
const char *xf_silo_part_name(enum xf_part part);
/* The first part that is measured; the others follow it: the train part only with eval.train. @thread any */
int xf_silo_first_part(const struct xf_silo *silo);
/* Makes an arm ready to be measured or asked: FEDERATED from base (the committed model's wire vector), ALONE by
   training it (the same local work, rounds times), POPULARITY by counting. A recommender makes all arms from base in one
   decision (rec/recommender.h) and keeps it while base stays the same; only it has GUARDED. PERSONAL, the silo's own net, is
   there where one is beside the federated (ditto, pfedme, apfl; with fedper, fedrep and fedbn FEDERATED has the own layers). @err train's, rec's
   E_UNSUPPORTED (GUARDED of another model) E_NOTFOUND (a recommender has nothing for this arm) */
XF_WARN_UNUSED enum xf_rc xf_silo_arm_make(struct xf_silo *silo, enum xf_silo_arm arm,
                                           const float *base, struct xf_diag *diag);
/* Making an arm ends with E_CANCELLED when this becomes true (looked at before each step of training `alone`).
   @own borrowed until set again; NULL: never @thread one, the flag may change on any */
void xf_silo_set_cancel(struct xf_silo *silo, const atomic_bool *cancel);
/* Measures the arm made last. Tables have no popularity: counts 0. @shape sum[measures.n] @err rec's */
XF_WARN_UNUSED enum xf_rc xf_silo_measure(struct xf_silo *silo, enum xf_part part,
                                          struct xf_measure_sum *sum, struct xf_diag *diag);
/* The recommender's decision in words: candidates, what came from where, what was switched off. Empty for other models and
   before an arm was made. @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_silo_explain(const struct xf_silo *silo, struct xf_buf *text);
/* Whether the graph has a part in what an arm serves by the last decision: then its paths are reasons. @thread the silo's */
bool xf_silo_uses_kg(const struct xf_silo *silo, enum xf_silo_arm arm);
/* Whether this silo can have the arm at all: tables have no popularity, only a recommender is guarded. @thread any */
bool xf_silo_has_arm(const struct xf_silo *silo, enum xf_silo_arm arm);
/* Every user's figure of the measure that decides, by the arm made last; NaN without a held-out item. Interactions only.
   @shape figure[n_users] @err E_UNSUPPORTED (tables) and rec's */
XF_WARN_UNUSED enum xf_rc xf_silo_figures(struct xf_silo *silo, enum xf_part part, float *figure,
                                          struct xf_diag *diag);
/* Which arm a silo serves: the best main measure on validation (valid[arm], NaN: not made or no data), of equals the
   simpler one; GUARDED, which has compared the others on validation itself, goes before all. *chosen (may be NULL) is false when
   nothing could be compared; then ALONE: without evidence no silo may end worse off than by itself; FEDERATED where only that was
   made. @shape valid[XF_SILO_N_ARM], made[XF_SILO_N_ARM] */
enum xf_silo_arm xf_silo_choose(const struct xf_measures *measures, const double *valid,
                                const bool *made, bool *chosen);
/* Scores of all items for a user by the arm made last. @shape out[n_items] @err E_NOTFOUND (user) E_UNSUPPORTED
   (tables) */
XF_WARN_UNUSED enum xf_rc xf_silo_scores(struct xf_silo *silo, uint32_t user, float *out,
                                         struct xf_diag *diag);
/* A recommender's arm made last, kept: the best items of every user (rec/toplist.h).
   @shape item[n_users x XF_TOPLIST], score[n_users x XF_TOPLIST] @err E_NOTFOUND (no candidate for this arm) */
XF_WARN_UNUSED enum xf_rc xf_silo_lists(struct xf_silo *silo, uint32_t *item, float *score,
                                        struct xf_diag *diag);
/* Of each item of such lists the category that is a reason for it, where categories have a part in the arm; false: they have none.
   @shape item[n_users x XF_TOPLIST], category[n_users x XF_TOPLIST] XF_NO_ID: no reason */
bool xf_silo_list_categories(struct xf_silo *silo, const uint32_t *item, uint32_t *category);
/* What a training task's base tells of other silos (bits of stages): the artifacts it reads, and in a stage's last round that stage as
   committed so far. 0: nothing. @thread any */
uint32_t xf_silo_brought(const struct xf_silo *silo, uint32_t stage, uint64_t committed);
/* Decides from that, for whoever serves before the next evaluation; stages whose slices did not come count as not committed. The arm
   made last and the personal state stay. xf_silo_set_cancel applies. @shape base[down[stage] / 4]
   @thread worker @err E_NOTFOUND (it brought nothing) E_CANCELLED and those of rec */
XF_WARN_UNUSED enum xf_rc xf_silo_decide_early(struct xf_silo *silo, uint32_t stage,
                                               uint64_t committed, const float *base,
                                               struct xf_diag *diag);
/* What a recommender answers strangers with, and whose popularity that is, by the decision made last. @shape out[n_items]
   @err E_STATE (no arm was made) */
XF_WARN_UNUSED enum xf_rc xf_silo_strangers(const struct xf_silo *silo, float *out,
                                            enum xf_recommender_crowd *crowd, struct xf_diag *diag);
/* What a recommender decided last, as a scorer to serve (the guarded arm's), and who owns it; NULL before. It reads the silo's
   data: the silo must outlive it. @own *owner: xf_silo_decision_unref @thread the one that works */
const struct xf_scorer *xf_silo_decision_ref(struct xf_silo *silo, void **owner);
/* One owner less; an owner_free of rec/serving.h. @own releases the last @thread any */
void xf_silo_decision_unref(void *owner);
/* The parameters of the arm made last. @shape [xf_silo_params] @own silo */
const float *xf_silo_arm_params(const struct xf_silo *silo);

#endif
