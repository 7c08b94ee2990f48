/* One simulated silo: what client/io does with real files, here in memory. */
#include "base/alloc.h"
#include "crypto/sha256.h"
#include "crypto/stream.h"
#include "fed/pull.h"
#include "fed/weight.h"
#include "param/vec.h"
#include "priv/clip.h"
#include "tools/sim/sim.h"
#include "wire/codec.h"

#include <string.h>

static bool pulls(const struct sim *sim) {
  return sim->directory.all.n && sim->plan.stages[0].rows.rule == XF_PLAN_ROW_RULE_PULL;
}

void sim_silo_base(const struct sim *sim, struct sim_silo *s) {
  const uint64_t n_shared = sim->shape.n_shared;
  memcpy(s->base, sim->global, n_shared * sizeof(float));
  float *out = s->base + n_shared;
  const float *rows = sim->global + n_shared;
  for (size_t k = 0; k < sim->shape.n_seg; k++) {
    const size_t cols = sim->shape.seg[k].cols;
    for (size_t i = 0; i < s->manifest.n; i++, out += cols)
      memcpy(out, rows + (size_t)s->dir_row[i] * cols, cols * sizeof(float));
    rows += sim->directory.all.n * cols;
  }
}

/* start = the personal state under the base: shared floats always, aligned rows only by `average`; with
   `pull` own rows stay and the others' mean becomes a prior. */
static void task_start(const struct sim *sim, struct sim_silo *s, float *start) {
  memcpy(start, s->full, s->layout->n * sizeof(float));
  if (!pulls(sim)) {
    xf_wire_map_scatter(&s->map, start, s->base);
    return;
  }
  for (size_t k = 0; k < s->map.n_run; k++) {
    const struct xf_wire_run *r = &s->map.run[k];
    if (r->wire < s->map.n_shared)
      memcpy(start + r->full, s->base + r->wire, r->len * sizeof(float));
  }
}

static void task_prior(const struct sim *sim, struct sim_silo *s) {
  memset(s->prior, 0, s->layout->n * sizeof(float));
  memset(s->held, 0, s->model ? xf_model_get_size(s->model).n_users : 0);
  const float *base = s->base + s->map.n_shared;
  const uint32_t min = sim->plan.stages[0].rows.min_holders;
  for (size_t g = 0; g < s->layout->n_seg; g++) {
    const struct xf_segment *seg = &s->layout->seg[g];
    if (seg->role != XF_ROLE_ALIGNED) continue;
    for (size_t i = 0; i < s->manifest.n; i++, base += seg->cols) {
      const size_t at = (size_t)seg->offset + (size_t)s->local_row[i] * seg->cols;
      const uint32_t holders = sim->directory.holders[s->dir_row[i]];
      /* kappa is the trainer's: here the mean itself */
      xf_pull_prior(s->prior + at, base, s->full + at, seg->cols, holders, min, 1.0);
      s->held[s->local_row[i]] = holders >= (min > 2 ? min : 2);
    }
  }
}

static void streams(const struct sim_silo *s, uint64_t round, struct xf_train_job *job) {
  xf_stream_init(&job->shuffle, s->sim->plan.seed, "shuffle", round, s->id);
  xf_stream_init(&job->negative, s->sim->plan.seed, "negative", round, s->id);
}

static enum xf_rc seal(struct sim_silo *s, enum xf_dtype dtype, uint64_t weight) {
  s->begin = (struct xf_msg_update_begin){
      .task_id = s->offer.task_id,
      .round = s->offer.round,
      .base_digest = s->offer.base_digest,
      .layout_digest = s->sim->layout_digest,
      .weight = weight,
      .dtype = dtype,
      .payload_len = s->payload.len,
      .clip = dtype == XF_DTYPE_FLOAT32 ? s->sim->plan.privacy.clip : 0};
  uint8_t input[XF_UPDATE_DIGEST_INPUT];
  xf_sha256(&s->begin.payload_digest, s->payload.p, s->payload.len);
  xf_update_digest_input(input, &s->begin);
  xf_sha256(&s->begin.update_digest, input, sizeof input);
  return XF_OK;
}

static enum xf_rc work_train(struct sim_silo *s) {
  const struct sim *sim = s->sim;
  struct xf_train_job job = {.start = s->next, .data = &s->data, .out = s->next};
  streams(s, s->offer.round, &job);
  task_start(sim, s, s->next);
  if (pulls(sim) && s->offer.committed > 0) {
    task_prior(sim, s);
    job.prior = s->prior;
    job.held = s->held;
  }
  enum xf_rc rc = xf_trainer_run(s->trainer, &job, &s->diag);
  if (rc) return rc;
  xf_wire_map_gather(&s->map, s->wire, s->next);
  xf_vec_delta(s->wire, s->wire, s->base, s->map.n_wire);
  struct xf_clip_report clip = {0};
  if (sim->plan.privacy.clip > 0)
    rc = xf_clip_step(s->wire, s->map.n_wire, sim->plan.privacy.clip, &clip);
  if (rc) return xf_diag_set(&s->diag, rc, "the update is not finite");
  s->clip_norm = clip.norm;
  uint32_t weight = 0;
  const struct xf_plan_stage_part *stage = &sim->plan.stages[0];
  const enum xf_weight_rule rule =
      stage->fed.weighting == XF_PLAN_WEIGHTING_UNIFORM  ? XF_WEIGHT_UNIFORM
      : stage->fed.weighting == XF_PLAN_WEIGHTING_CAPPED ? XF_WEIGHT_CAPPED
                                                         : XF_WEIGHT_SAMPLES;
  rc = xf_weight_get(&weight, rule, job.n_samples, stage->fed.weight_cap, 0, &s->diag);
  if (rc) return rc;
  xf_buf_reset(&s->payload);
  rc = xf_buf_put(&s->payload, s->wire, s->map.n_wire * sizeof(float));
  s->tentative = true;
  return rc ? rc : seal(s, XF_DTYPE_FLOAT32, weight);
}

static enum xf_rc work_evaluate(struct sim_silo *s) {
  const struct sim_measures *m = &s->sim->measures;
  struct xf_eval_metric row[2 * SIM_MEASURES_MAX];
  size_t n = 0;
  for (int part = XF_PART_VALID; part <= XF_PART_TEST; part++) {
    struct xf_measure_sum sum[SIM_MEASURES_MAX];
    enum xf_rc rc = sim_silo_measure(s, SIM_FEDERATED, (enum xf_part)part, sum, &s->diag);
    if (rc) return rc;
    if (part == XF_PART_TEST) memcpy(s->arm[SIM_FEDERATED], sum, sizeof sum);
    for (size_t i = 0; i < m->n; i++)
      row[n++] = (struct xf_eval_metric){"federated", part == XF_PART_TEST ? "test" : "valid",
                                         m->key[i], sum[i].sum, (uint64_t)sum[i].count};
  }
  xf_buf_reset(&s->payload);
  enum xf_rc rc = xf_eval_report_encode(&s->payload, row, n);
  return rc ? rc : seal(s, XF_DTYPE_REPORT, 1);
}

void sim_silo_work(struct xf_job *job) {
  struct sim_silo *s = (struct sim_silo *)job;
  xf_diag_init(&s->diag);
  s->rc = s->offer.kind == XF_TASK_TRAIN ? work_train(s) : work_evaluate(s);
}

void sim_silo_outcome(struct sim_silo *s, bool committed) {
  if (!s->tentative) return;
  s->tentative = false;
  if (committed) memcpy(s->full, s->next, s->layout->n * sizeof(float));
}

enum xf_rc sim_silo_measure(struct sim_silo *s, enum sim_arm arm, enum xf_part part,
                            struct xf_measure_sum *sum, struct xf_diag *diag) {
  const struct sim_measures *m = &s->sim->measures;
  if (arm == SIM_FEDERATED) task_start(s->sim, s, s->next);
  memset(sum, 0, m->n * sizeof *sum);
  if (arm == SIM_POPULARITY && s->data.kind == XF_DATASET_TABLE)
    return XF_OK;                              /* no such baseline */
  for (size_t i = 0, j = 0; i < m->n; i = j) { /* one pass per protocol */
    for (j = i; j < m->n && m->n_neg[j] == m->n_neg[i]; j++) continue;
    struct xf_rank_spec spec = {.part = part,
                                .n_neg = m->n_neg[i],
                                .seed = s->sim->plan.seed,
                                .measure = m->measure + i,
                                .n_measure = j - i};
    enum xf_rc rc = arm == SIM_POPULARITY
                        ? xf_evaluate_popularity(&s->data.split, &spec, sum + i, diag)
                        : xf_evaluator_run(s->evaluator, s->next, &s->data, &spec, sum + i, diag);
    if (rc) return rc;
  }
  return XF_OK;
}

static void alone_streams(void *arg, uint32_t task, struct xf_rng *shuffle,
                          struct xf_rng *negative) {
  const struct sim_silo *s = arg;
  xf_stream_init(shuffle, s->sim->plan.seed, "shuffle", ((uint64_t)1 << 32) + task, s->id);
  xf_stream_init(negative, s->sim->plan.seed, "negative", ((uint64_t)1 << 32) + task, s->id);
}

enum xf_rc sim_silo_alone(struct sim_silo *s, struct xf_diag *diag) {
  struct xf_rng shared, own;
  xf_stream_init(&shared, s->sim->plan.seed, "init", 0, NULL);
  xf_stream_init(&own, s->sim->plan.seed, "init", 0, s->id);
  const uint32_t n = xf_model_get_size(s->model).n_users;
  struct xf_key *key = xf_calloc(n ? n : 1, sizeof *key);
  for (size_t i = 0; i < s->manifest.n; i++) key[s->local_row[i]] = s->manifest.key[i];
  struct xf_model_seed seed = {&shared, &own, key, NULL};
  enum xf_rc rc = xf_model_init(s->model, s->next, &seed, diag);
  struct xf_train_job job = {.start = s->next, .data = &s->data, .out = s->next};
  if (!rc)
    rc =
        xf_train_alone(s->trainer, &job, s->sim->plan.stages[0].fed.rounds, alone_streams, s, diag);
  xf_free(key);
  return rc;
}
