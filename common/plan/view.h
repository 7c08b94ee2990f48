/*
 * view.h - what a plan asks of one silo and small readers of its texts: the figures a silo's own policy
 * judges (decision 12), member ids of the simulator, one-hot columns, metrics of a plan.
 * Owner: the caller. Thread: any.
 */
#ifndef XF_PLAN_VIEW_H
#define XF_PLAN_VIEW_H

#include "param/codec.h"
#include "plan/metric.h"
#include "plan/plan.h"

/* What a silo that takes part in everything would be asked for. Totals saturate at UINT64_MAX. */
struct xf_plan_view {
  uint64_t rounds;         /* commits over all stages */
  uint64_t epochs;         /* local epochs over all stages; 0 when all stages count steps */
  uint64_t steps;          /* local steps over all stages that count steps */
  uint32_t max_epochs;     /* largest per round */
  uint32_t max_steps;      /* largest per round */
  uint32_t max_batch;      /* 0: some stage trains on all samples at once */
  uint32_t min_domains;    /* smallest over the stages */
  double clip;             /* 0: none */
  double clip_row;         /* largest over the stages with aligned rows; 0: none somewhere */
  double noise_multiplier; /* 0: none */
  bool aligned;            /* rows keyed by pseudonyms leave the silo */
  bool statistics;         /* sums over keyed items do */
  bool
      own_steps; /* updates follow from local steps as they are (scaffold, fednova): neither clip nor noise may change them */
  bool exact;    /* sums of users' normal equations do, which neither clip nor noise may change */
  bool topk;     /* updates name the parameters that changed most (fed.encoding: topk) */
  uint32_t min_holders; /* smallest over the stages with aligned rows; 0: not aligned */
  bool uniform;         /* every stage weighs silos equally */
  uint64_t evaluations; /* evaluation rounds */
};

/* Bytes that a member's tasks move: a TRAIN of stage s down[s] to the silo and up[s] back; the first in[s] bytes of down[s]
   are artifacts of earlier stages, which no longer change. A statistic's own slice, which is 0 until it is summed, does not
   come down. EVALUATE and FINAL move `all` down. */
struct xf_plan_lens {
  uint32_t n_stage;
  uint64_t all, in[XF_PLAN_STAGES_MAX], down[XF_PLAN_STAGES_MAX], up[XF_PLAN_STAGES_MAX];
};
/* One model in one stage. @own value */
static inline struct xf_plan_lens xf_plan_lens_one(uint64_t len) {
  return (struct xf_plan_lens){.n_stage = 1, .all = len, .down = {len}, .up = {len}};
}

/* Fills the view. @own caller */
void xf_plan_policy_view(struct xf_plan_view *out, const struct xf_plan *plan);
/* Commits of all stages. @unit commits */
uint64_t xf_plan_rounds(const struct xf_plan *plan);
/* The stage that the commit after `committed` ones belongs to (after the last: the last one that commits); *first, when not
   NULL, is the number of commits before that stage. @thread any */
uint32_t xf_plan_stage_at(const struct xf_plan *plan, uint64_t committed, uint64_t *first);
/* Whether silos evaluate at this number of commits: at the end, at each eval.every, where an evaluate stage stands. No
   metrics: never. @thread any */
bool xf_plan_evaluates_at(const struct xf_plan *plan, uint64_t committed);
/* Evaluation rounds of the whole run. @unit rounds */
uint64_t xf_plan_evaluations(const struct xf_plan *plan);
/* Index of the stage of that name, or n_stages. @thread any */
uint32_t xf_plan_stage_find(const struct xf_plan *plan, const char *name);
/* Whether a stage exchanges aligned rows or statistics over keyed items. @thread any */
bool xf_plan_is_aligned(const struct xf_plan *plan);
/* Whether training clips and noises the gradients of single records or users (DP-SGD), not the silo's update. @thread any */
bool xf_plan_by_units(const struct xf_plan *plan);
/* Whether a stage pairs two rows of one person (statistic.of map): users are clients then. @thread any */
bool xf_plan_maps(const struct xf_plan *plan);
/* Whether silos of the stage do inner loops: maml, fomaml, anil, boil, metasgd, perfedavg. @thread any */
bool xf_plan_is_meta(const struct xf_plan_stage_part *stage);
/* Whether the stage leaves each silo a net or layers of its own: fedper, fedrep, fedbn, ditto, pfedme, apfl. @thread any */
bool xf_plan_is_personal(const struct xf_plan_stage_part *stage);
/* How many times a batch of a round is worked on for it, 1 without, and how many epochs are added. @unit times, epochs */
uint32_t xf_plan_personal_times(const struct xf_plan_stage_part *stage);
uint32_t xf_plan_personal_epochs(const struct xf_plan_stage_part *stage);
/* Whether commits of the stage take updates of older bases (fed.async). @thread any */
bool xf_plan_is_async(const struct xf_plan_stage_part *stage);
/* Whether a metric is measured after adaptation. @thread any */
bool xf_plan_adapts(const struct xf_plan *plan);
/* Whether the stage's silos run the local optimiser: training, or perfedavg's meta-steps. @thread any */
bool xf_plan_optimises(const struct xf_plan_stage_part *stage);
/* Whether what committed rounds have shown of members decides about later rounds of the stage. @thread any */
bool xf_plan_remembers(const struct xf_plan_stage_part *stage);
/* Whether some stage chooses by losses that silos report. @thread any */
bool xf_plan_needs_losses(const struct xf_plan *plan);
/* Gradients that a silo computes in a round of a meta stage. @unit gradients */
uint32_t xf_plan_meta_gradients(const struct xf_plan_stage_part *stage);
/* Whether the stage's updates travel in fewer bytes than their floats have, and lose something. @thread any */
bool xf_plan_compresses(const struct xf_plan_stage_part *stage);
/* How its updates travel in a round. @own value */
struct xf_codec xf_plan_codec(const struct xf_plan *plan, uint32_t stage, uint64_t round);
/* The same as an update of that dtype was written; false: none of this stage has it. @own out */
bool xf_plan_codec_of(struct xf_codec *out, const struct xf_plan *plan, uint32_t stage,
                      uint64_t round, uint32_t dtype);
/* Feature bits (Hello, Welcome) that the plan needs on both sides: docs/PROTOCOL.md. All that this version knows. @thread any */
uint64_t xf_plan_features(const struct xf_plan *plan);
/* The encoding of the lowest of such bits. @own static */
const char *xf_plan_feature_text(uint64_t bits);
#define XF_PLAN_FEATURES_ALL UINT64_C(0xe7)
/* Whether a stage sums over categories (statistic.of categories): silos then need those of their items. @thread any */
bool xf_plan_categories(const struct xf_plan *plan);
/* Namespace of the categories' keys. */
#define XF_PLAN_CATEGORY_NS "category"
/* The i-th metric (i < eval.n_metrics) of a checked plan. @err E_FORMAT E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_plan_metric(struct xf_metric *out, const struct xf_plan *plan,
                                         uint32_t i);

enum { XF_PLAN_CLIENT_ID = 64 };
/* Member id of a simulated client: the pattern's {} becomes `key` in lower case with every foreign
   character as "-". "silo-{}" and "Books 3" -> "silo-books-3". @err E_INVAL E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_plan_client_id(char out[XF_PLAN_CLIENT_ID], const char *pattern,
                                            const char *key);

/* Whether sim.clients.by numbers the clients, from 1 to n. @thread any */
bool xf_plan_clients_numbered(const struct xf_plan *plan);
/* An entry of sim.clients.only for numbered clients, "7" or "1-40". @err E_FORMAT E_RANGE (not within 1 to sim.clients.n) */
XF_WARN_UNUSED enum xf_rc xf_plan_client_range(uint64_t *first, uint64_t *last,
                                               const struct xf_plan *plan, const char *text);
/* Whether sim.clients.only lists the client; without a list it does. @thread any */
bool xf_plan_client_listed(const struct xf_plan *plan, const char *key);

enum { XF_PLAN_ONE_HOT_MAX = 32 };
struct xf_plan_one_hot {
  uint32_t column; /* from 1 */
  double value[XF_PLAN_ONE_HOT_MAX];
  uint32_t n; /* values; the first gets no input of its own */
};
/* "3:1,2,3,4": column 3 takes these values; each but the first becomes one 0/1 input.
   @err E_FORMAT E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_plan_one_hot_parse(struct xf_plan_one_hot *out, const char *text,
                                                struct xf_diag *diag);

#endif
