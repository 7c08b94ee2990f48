/* A scorer stage: the tiny net over unit-free features, trained on lists that only this silo sees. */
#include "silo/parts.h"

#include "base/alloc.h"
#include "crypto/stream.h"
#include "param/vec.h"
#include "rec/inner.h"
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

bool silo_scorer_reads(const struct xf_plan *plan, uint32_t stage, uint32_t *gram) {
  const uint32_t set = xf_resolve_inputs(plan, stage);
  for (uint32_t i = 0; i < stage; i++)
    if (set >> i & 1 && plan->stages[i].kind == XF_PLAN_STAGE_STATISTIC &&
        plan->stages[i].statistic.of == XF_PLAN_STATISTIC_GRAM) {
      *gram = i;
      return true;
    }
  return false;
}

enum xf_rc silo_scorer_models(struct xf_feature_models *out, const struct xf_silo *s,
                              uint32_t stage, const struct xf_csr *train, const float *sum,
                              uint32_t stages, struct xf_diag *diag) {
  const struct xf_rec_data data = {s->data.split.n_users, s->data.split.n_items, train};
  struct silo_gram others = {0};
  bool there = false;
  uint32_t gram = 0;
  enum xf_rc rc = XF_OK;
  *out = (struct xf_feature_models){0};
  if (silo_scorer_reads(s->cfg.plan, stage, &gram))
    rc = silo_gram_init(&others, s, gram, sum, stages, &there);
  if (rc) return xf_diag_set(diag, rc, "no memory for the others' statistic");
  const struct xf_feature_models_spec spec = {
      .version = XF_FEATURES_VERSION, .gram = there ? &others.gram : NULL, .seed = silo_split_a(s)};
  rc = xf_feature_models_fit(out, &data, &spec, diag);
  silo_gram_deinit(&others);
  return rc;
}

uint64_t silo_split_a(const struct xf_silo *s) {
  struct xf_rng rng;
  xf_stream_init(&rng, s->cfg.plan->seed, "eval", 1, s->cfg.member);
  return xf_rng_u64(&rng);
}

/* Lists of the items set aside, from scorers that have not seen them. */
static enum xf_rc draw_lists(struct silo_scorer *c, struct xf_silo *s, const float *in,
                             struct xf_diag *diag) {
  struct xf_split inner;
  struct xf_feature_models models;
  enum xf_rc rc = xf_inner_init(&inner, &s->data.split, 0, silo_split_a(s), diag);
  if (rc) return rc;
  rc = silo_scorer_models(&models, s, c->stage, &inner.part[XF_PART_TRAIN], in,
                          xf_resolve_inputs(s->cfg.plan, c->stage), diag);
  struct xf_rng rng;
  xf_stream_init(&rng, s->cfg.plan->seed, "negative", c->stage, s->cfg.member);
  const struct xf_features_draw draw = {.n_neg = XF_UNITFREE_NEGATIVES,
                                        .seed = xf_rng_u64(&rng),
                                        .catalogue = true}; /* as the decision asks it */
  if (!rc)
    rc = xf_unitfree_data(&c->lists, &models.features, &inner.part[XF_PART_TRAIN],
                          &inner.part[XF_PART_VALID], &draw, diag);
  xf_feature_models_deinit(&models);
  xf_split_deinit(&inner);
  return rc;
}

static enum xf_rc make(struct xf_silo *s, uint32_t stage, const float *in, struct xf_diag *diag) {
  if (s->scorer && s->scorer->stage == stage) return XF_OK;
  silo_scorer_free(s->scorer);
  struct silo_scorer *c = s->scorer = xf_calloc(1, sizeof *c);
  c->stage = stage;
  xf_dataset_init(&c->lists, XF_DATASET_LISTS);
  struct xf_local_config local = xf_resolve_local(s->cfg.plan, stage);
  local.negatives = XF_UNITFREE_NEGATIVES;
  enum xf_rc rc = xf_resolve_scorer(&c->net, diag);
  if (!rc) rc = draw_lists(c, s, in, diag);
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
  uint64_t first = 0;
  (void)xf_plan_stage_at(s->cfg.plan, task->offer.committed, &first);
  enum xf_rc rc = make(s, stage, in, diag);
  if (rc) return rc;
  struct relay relay = {task};
  struct xf_train_job job = {
      .start = own,
      .data = &s->scorer->lists,
      .cancel = task->cancel,
      .progress = relay_progress,
      .arg = &relay,
      .lr = xf_resolve_rate(s->cfg.plan, stage, task->offer.committed - first),
      .out = s->wire}; /* all its segments are shared: the slice is the net */
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
