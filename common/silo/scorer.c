/* A scorer stage: the tiny net over unit-free features, trained on lists that only this silo sees. */
#include "silo/parts.h"

#include "base/alloc.h"
#include "crypto/stream.h"
#include "param/vec.h"
#include "rec/unitfree.h"

#include <string.h>

struct silo_scorer {
  uint32_t stage;
  struct xf_model *net;
  struct xf_dataset lists;
  struct xf_trainer *trainer;
};

void silo_scorer_free(struct silo_scorer *scorer) {
  if (!scorer) return;
  xf_trainer_free(scorer->trainer);
  xf_dataset_deinit(&scorer->lists);
  xf_model_free(scorer->net);
  xf_free(scorer);
}

/* Item models without split A, alone and with the others' statistic where the stage reads one. */
static enum xf_rc fit_inner(struct xf_recommender **out, struct xf_silo *s, uint32_t stage,
                            const float *in, struct xf_diag *diag) {
  const struct xf_plan *plan = s->cfg.plan;
  const uint32_t set = xf_resolve_inputs(plan, stage);
  struct silo_gram others = {0};
  bool there = false;
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < stage && !rc && !there; i++)
    if (set >> i & 1 && plan->stages[i].kind == XF_PLAN_STAGE_STATISTIC &&
        plan->stages[i].statistic.of == XF_PLAN_STATISTIC_GRAM)
      rc = silo_gram_init(&others, s, i, in, set, &there);
  if (rc) return xf_diag_set(diag, rc, "no memory for the others' statistic");
  struct xf_rng rng;
  xf_stream_init(&rng, plan->seed, "eval", 1, s->cfg.member); /* split A of the decision */
  struct xf_recommender_spec spec = xf_recommender_defaults();
  spec.families = XF_RECOMMENDER_POPULARITY | XF_RECOMMENDER_KERNEL | XF_RECOMMENDER_EASE;
  spec.seed = xf_rng_u64(&rng);
  spec.keep_inner = true;
  const struct xf_recommender_input input = {.split = &s->data.split,
                                             .gram = there ? &others.gram : NULL};
  rc = xf_recommender_fit(out, &input, &spec, diag);
  silo_gram_deinit(&others);
  return rc;
}

static enum xf_rc draw_lists(struct silo_scorer *c, struct xf_silo *s,
                             const struct xf_recommender *rec, struct xf_diag *diag) {
  const struct xf_feature_set *set = xf_feature_set_find(XF_FEATURES_VERSION);
  struct xf_features features = {0};
  enum xf_rc rc = xf_features_init(&features, XF_FEATURES_VERSION, rec->inner.item_count,
                                   rec->inner.n_items, diag);
  for (uint32_t k = 0; k < set->n_slot && !rc; k++) {
    const struct xf_recommender_candidate *from = xf_recommender_find(rec, set->slot[k]);
    if (from && from->inner) rc = xf_features_bind(&features, set->slot[k], from->inner, diag);
  }
  struct xf_rng rng;
  xf_stream_init(&rng, s->cfg.plan->seed, "negative", c->stage, s->cfg.member);
  const struct xf_features_draw draw = {.n_neg = XF_UNITFREE_NEGATIVES,
                                        .seed = xf_rng_u64(&rng),
                                        .catalogue = true}; /* as the decision asks it */
  if (!rc)
    rc = xf_unitfree_data(&c->lists, &features, &rec->inner.part[XF_PART_TRAIN],
                          &rec->inner.part[XF_PART_VALID], &draw, diag);
  xf_features_deinit(&features);
  return rc;
}

static enum xf_rc make(struct xf_silo *s, uint32_t stage, const float *in, struct xf_diag *diag) {
  struct xf_recommender *rec = NULL;
  if (s->scorer && s->scorer->stage == stage) return XF_OK;
  silo_scorer_free(s->scorer);
  struct silo_scorer *c = s->scorer = xf_calloc(1, sizeof *c);
  c->stage = stage;
  xf_dataset_init(&c->lists, XF_DATASET_LISTS);
  struct xf_local_config local = xf_resolve_local(s->cfg.plan, stage);
  local.negatives = XF_UNITFREE_NEGATIVES;
  enum xf_rc rc = xf_resolve_scorer(&c->net, diag);
  if (!rc) rc = fit_inner(&rec, s, stage, in, diag);
  if (!rc) rc = draw_lists(c, s, rec, diag);
  xf_recommender_free(rec);
  if (!rc)
    rc = xf_trainer_new(&c->trainer, c->net, &local,
                        (uint32_t)xf_dataset_count(&c->lists, XF_PART_TRAIN), diag);
  if (!rc) return XF_OK;
  silo_scorer_free(c);
  s->scorer = NULL;
  return rc;
}

struct relay {
  const struct xf_silo_task *task;
};
static void relay_progress(void *arg, const struct xf_train_progress *p) {
  const struct relay *r = arg;
  if (r->task->progress) r->task->progress(r->task->arg, p->step, p->n_steps);
}

enum xf_rc silo_scorer_work(struct xf_silo *s, const struct xf_silo_task *task, const float *in,
                            const float *own, struct xf_silo_answer *a, struct xf_diag *diag) {
  const uint32_t stage = task->offer.stage;
  enum xf_rc rc = make(s, stage, in, diag);
  if (rc) return rc;
  struct relay relay = {task};
  struct xf_train_job job = {.start = own,
                             .data = &s->scorer->lists,
                             .cancel = task->cancel,
                             .progress = relay_progress,
                             .arg = &relay,
                             .out =
                                 s->wire}; /* all its segments are shared: the slice is the net */
  silo_streams(s, task->offer.round, &job.shuffle, &job.negative);
  rc = xf_trainer_run(s->scorer->trainer, &job, diag);
  if (rc) return rc;
  const struct xf_wire_map *slice = &s->slice[stage];
  memcpy(s->task, s->full, (size_t)s->layout->n * sizeof *s->task);
  xf_wire_map_scatter(slice, s->task, s->wire);
  xf_vec_delta(s->wire, s->wire, own, (size_t)slice->n_wire);
  a->n_samples = job.n_samples;
  a->loss = job.loss;
  return XF_OK;
}
