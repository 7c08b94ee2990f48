/* A task: start, train, delta, clip, noise, digest - or evaluate and report. */
#include "base/alloc.h"
#include "base/fail.h"
#include "crypto/random.h"
#include "crypto/sha256.h"
#include "crypto/stream.h"
#include "fed/pull.h"
#include "param/topk.h"
#include "param/vec.h"
#include "priv/clip.h"
#include "priv/noise.h"
#include "rec/gram.h"
#include "resolve/global.h"
#include "silo/parts.h"
#include "wire/codec.h"

#include <math.h>
#include <string.h>

void silo_start(const struct xf_silo *s, float *start, const float *base) {
  memcpy(start, s->full, s->layout->n * sizeof(float));
  if (!s->prior) {
    xf_wire_map_scatter(&s->map, start, base);
    return;
  }
  for (size_t k = 0; k < s->map.n_run; k++) {
    const struct xf_wire_run *r = &s->map.run[k];
    if (r->wire < s->map.n_shared) memcpy(start + r->full, base + r->wire, r->len * sizeof(float));
  }
}

/* The mean of the other holders' rows (the trainer multiplies by kappa); exact with uniform weights when all
   holders reported. */
static void task_prior(struct xf_silo *s, const float *base) {
  const uint32_t min = s->cfg.plan->stages[0].rows.min_holders, need = min > 2 ? min : 2;
  const struct silo_space *p = &s->space[0]; /* a plan that is no recommender's has one */
  memset(s->prior, 0, s->layout->n * sizeof(float));
  memset(s->held, 0, s->data.split.n_users);
  base += s->map.n_shared;
  for (size_t g = 0; g < s->layout->n_seg; g++) {
    const struct xf_segment *seg = &s->layout->seg[g];
    if (seg->role != XF_ROLE_ALIGNED) continue;
    for (size_t i = 0; i < p->n_known; i++, base += seg->cols) {
      const size_t at = (size_t)seg->offset + (size_t)p->known_row[i] * seg->cols;
      xf_pull_prior(s->prior + at, base, s->full + at, seg->cols, p->holders[i], min, 1.0);
      s->held[p->known_row[i]] = p->holders[i] >= need;
    }
  }
}

/* Begin's fields that every answer has, and the digests. */
static void seal(const struct xf_silo *s, const struct xf_silo_task *task,
                 struct xf_silo_answer *a) {
  struct xf_msg_update_begin *b = &a->begin;
  uint8_t input[XF_UPDATE_DIGEST_INPUT];
  b->task_id = task->offer.task_id;
  b->round = task->offer.round;
  b->base_digest = task->offer.base_digest;
  b->layout_digest = s->layout_digest;
  b->payload_len = a->payload.len;
  xf_sha256(&b->payload_digest, a->payload.p, a->payload.len);
  xf_update_digest_input(input, b);
  xf_sha256(&b->update_digest, input, sizeof input);
}

/* Per-row clip, then the global one, then integer noise; s->wire becomes what leaves. */
static enum xf_rc privatise(struct xf_silo *s, const struct xf_silo_task *task,
                            struct xf_silo_answer *a, struct xf_diag *diag) {
  const uint32_t stage = task->offer.stage;
  const size_t n = (size_t)s->slice[stage].n_wire;
  const double clip_row = s->cfg.plan->stages[stage].rows.clip_row;
  struct xf_clip_report clip = {0};
  const struct silo_space *users =
      silo_space_of(s, XF_SPACE_USERS); /* items' rows are summed, not clipped */
  float *rows = s->wire + s->slice[stage].n_shared;
  enum xf_rc rc = XF_OK;
  a->norm = sqrt(xf_vec_norm2(s->wire, n - s->n_tail)); /* no keyed floats with these */
  if (xf_plan_by_units(s->cfg.plan)) return XF_OK;      /* each step was clipped and noised */
  for (size_t g = 0; g < s->layout->n_seg && clip_row > 0 && users && !rc; g++) {
    if (s->layout->seg[g].role != XF_ROLE_ALIGNED || s->layout->seg[g].stage != stage) continue;
    rc = xf_clip_rows(rows, users->n_known, s->layout->seg[g].cols, clip_row, &clip);
    rows += users->n_known * s->layout->seg[g].cols;
    a->clipped |= clip.n_clipped > 0;
  }
  if (rc) return xf_diag_set(diag, rc, "the update is not finite");
  if (!(s->cfg.noise_multiplier > 0)) {
    rc = xf_clip_step(s->wire, n, s->cfg.clip, &clip);
    a->clipped |= clip.n_clipped > 0;
    return rc ? xf_diag_set(diag, rc, "the update is not finite") : XF_OK;
  }
  struct xf_grid grid;
  struct xf_grid_report report;
  struct xf_noise_rng rng;
  rc = xf_grid_init(&grid, s->cfg.clip, s->cfg.noise_multiplier, diag);
  if (rc) return rc;
  if (s->cfg.seeded_noise)
    xf_noise_rng_init_seeded(&rng, s->cfg.plan->seed, task->offer.round, s->cfg.member);
  else xf_noise_rng_init(&rng);
  rc = xf_noise_fill(s->noise, n, &grid, &rng);
  xf_noise_rng_deinit(&rng);
  if (!rc) rc = xf_grid_step(s->wire, s->noise, n, &grid, &report);
  memset(s->noise, 0, n * sizeof *s->noise);
  if (rc) return xf_diag_set(diag, rc, "the update could not be noised: %s", xf_rc_text(rc));
  a->clipped |= report.n_clipped > 0;
  a->n_saturated = report.n_saturated;
  a->charge = (struct xf_odometer_charge){.noise_multiplier = grid.z_used, .n = 1};
  return XF_OK;
}

static enum xf_rc charge(const struct xf_silo *s, const struct xf_silo_task *task,
                         struct xf_silo_answer *a) {
  struct xf_odometer spent = task->spent;
  struct xf_odometer_report report;
  enum xf_rc rc = xf_odometer_add(&spent, &a->charge, 1);
  if (!rc) rc = xf_odometer_get(&report, &spent, s->cfg.plan->privacy.delta);
  if (rc) return rc;
  if (!isfinite(report.replace_one.value)) return XF_OK; /* no guarantee: nothing is claimed */
  a->begin.noise_multiplier = a->charge.noise_multiplier;
  a->begin.epsilon = report.replace_one.value;
  a->begin.epsilon_zero_out = report.zero_out.value;
  return XF_OK;
}

struct relay {
  const struct xf_silo_task *task;
};
static void relay_progress(void *arg, const struct xf_train_progress *p) {
  const struct relay *r = arg;
  if (r->task->progress) r->task->progress(r->task->arg, p->step, p->n_steps);
}

/* What a silo says of a training besides the delta: its weight always, samples and loss where they may leave. */
static enum xf_rc say(const struct xf_silo *s, const struct xf_silo_task *task,
                      struct xf_silo_answer *a, struct xf_diag *diag) {
  const struct xf_plan_stage_part *st = &s->cfg.plan->stages[task->offer.stage];
  uint32_t weight = 0;
  const enum xf_rc rc = xf_weight_get(&weight, xf_resolve_weight(s->cfg.plan, task->offer.stage),
                                      a->n_samples, st->fed.weight_cap, s->cfg.max_weight, diag);
  if (rc) return rc;
  a->begin.weight = weight;
  if (!s->cfg.metrics) return XF_OK;
  a->begin.n_samples = a->n_samples;
  const double loss_sum = a->loss * (double)a->n_samples;
  /* training by units has no loss when none was drawn, or none had a finite one */
  if (st->kind != XF_PLAN_STAGE_TRAIN || !isfinite(loss_sum)) return XF_OK;
  a->begin.has_loss = true;
  a->begin.loss_sum = loss_sum;
  a->begin.loss_count = a->n_samples;
  return XF_OK;
}

static enum xf_rc work_train(struct xf_silo *s, const struct xf_silo_task *task,
                             struct xf_silo_answer *a, struct xf_diag *diag) {
  struct relay relay = {task};
  struct xf_train_job job = {.start = s->task,
                             .data = &s->data,
                             .cancel = task->cancel,
                             .progress = relay_progress,
                             .arg = &relay,
                             .lr = xf_resolve_rate(s->cfg.plan, 0, task->offer.committed),
                             .out = s->task};
  silo_streams(s, task->offer.round, &job.shuffle, &job.negative);
  silo_start(s, s->task, task->base);
  if (s->prior && task->offer.committed > 0) {
    task_prior(s, task->base);
    job.prior = s->prior;
    job.held = s->held;
  }
  if (s->shift) silo_control_begin(s, &job);
  const enum xf_rc rc = xf_plan_by_units(s->cfg.plan) ? silo_train_units(s, task, &job, a, diag)
                        : s->personal ? xf_personal_run(s->personal, s->trainer, &job, diag)
                                      : xf_trainer_run(s->trainer, &job, diag);
  if (rc) return rc;
  xf_wire_map_gather(&s->map, s->wire, s->task);
  xf_vec_delta(s->wire, s->wire, task->base, (size_t)s->map.n_wire);
  if (s->shift) silo_control_end(s, task, &job, a);
  if (s->n_tail && !s->shift) silo_nova_end(s, &job);
  a->n_samples = job.n_samples;
  a->loss = job.loss;
  return say(s, task, a, diag);
}

/* Inner loops on drawn tasks; the personal state is the start, for all of it is shared. */
static enum xf_rc work_meta(struct xf_silo *s, const struct xf_silo_task *task,
                            struct xf_silo_answer *a, struct xf_diag *diag) {
  struct relay relay = {task};
  struct xf_metawork_job job = {.start = s->task,
                                .data = &s->data,
                                .cancel = task->cancel,
                                .progress = relay_progress,
                                .arg = &relay,
                                .delta = s->adapted};
  xf_stream_init(&job.task, s->cfg.plan->seed, "task", task->offer.round, s->cfg.member);
  silo_start(s, s->task, task->base);
  const enum xf_rc rc = xf_metawork_run(s->meta, &job, diag);
  if (rc) return rc;
  xf_wire_map_gather(&s->map, s->wire, s->adapted);
  a->n_samples = job.n_samples;
  a->loss = job.loss;
  return say(s, task, a, diag);
}

/* A stage of a recommender: one statistic, one round of rows, one of the scorer. */
static enum xf_rc work_stage(struct xf_silo *s, const struct xf_silo_task *task,
                             struct xf_silo_answer *a, struct xf_diag *diag) {
  const uint32_t stage = task->offer.stage;
  uint64_t first = 0;
  if (xf_plan_stage_at(s->cfg.plan, task->offer.committed, &first) != stage)
    return xf_diag_set(diag, XF_E_INVAL, "after %llu commits the plan has another stage than %u",
                       (unsigned long long)task->offer.committed, stage);
  const float *own = task->base + s->lens.in[stage] / sizeof(float);
  a->n_samples = xf_dataset_count(&s->data, XF_PART_TRAIN);
  enum xf_rc rc = XF_OK;
  switch (s->cfg.plan->stages[stage].kind) {
  case XF_PLAN_STAGE_STATISTIC: rc = silo_statistic(s, task, a, diag); break;
  case XF_PLAN_STAGE_ROWS:
    rc = silo_rows(s, stage, task->offer.committed - first, own, task->cancel, diag);
    break;
  case XF_PLAN_STAGE_TRAIN: rc = silo_scorer_work(s, task, task->base, own, a, diag); break;
  case XF_PLAN_STAGE_EVALUATE:
    rc = xf_diag_set(diag, XF_E_INVAL, "stage %u commits nothing", stage);
    break;
  }
  return rc ? rc : say(s, task, a, diag);
}

static bool all_zero(const float *x, uint64_t n) {
  uint64_t i = 0;
  while (i < n && x[i] == 0) i++;
  return i == n;
}

/* A clip is of what leaves: what is beyond it waits, too. */
static void hold_back(const struct xf_silo *s, float *rest, uint64_t n) {
  const double norm = sqrt(xf_vec_norm2(s->wire, (size_t)n));
  if (xf_plan_by_units(s->cfg.plan) || !(s->cfg.clip > 0) || norm <= s->cfg.clip) return;
  for (uint64_t i = 0; i < n; i++) {
    const float whole = s->wire[i];
    s->wire[i] = (float)((double)whole * (s->cfg.clip / norm));
    rest[i] += whole - s->wire[i];
  }
}

/* What is to be sent and what waited, of which the largest part goes and the rest waits in the next personal state. */
static enum xf_rc feed_back(struct xf_silo *s, const struct xf_silo_task *task,
                            const struct xf_codec *codec, struct xf_silo_answer *a,
                            struct xf_diag *diag) {
  const struct xf_segment *kept = xf_layout_find(s->layout, XF_MODEL_FEEDBACK);
  const uint64_t n = s->map.n_wire;
  float *rest = xf_try_calloc((size_t)n + 1, sizeof *rest);
  if (!rest) return xf_diag_set(diag, XF_E_NOMEM, "no memory for what an update leaves behind");
  if (kept) {
    xf_wire_map_gather(&s->map, rest, s->full + kept->offset);
    a->forgot = task->offer.prev_outcome == XF_OUTCOME_COMMITTED && all_zero(rest, n);
  }
  for (uint64_t i = 0; i < n; i++) rest[i] += s->wire[i];
  const bool finite = xf_vec_find_nonfinite(rest, (size_t)n) == SIZE_MAX;
  if (finite) xf_topk_split(s->wire, rest, n, xf_topk_count(codec->fraction, n));
  if (finite) hold_back(s, rest, n);
  if (kept) xf_wire_map_scatter(&s->map, s->task + kept->offset, rest);
  xf_free(rest);
  return finite ? XF_OK : xf_diag_set(diag, XF_E_NAN, "the update is not finite");
}

/* The payload, as the plan's fed.encoding says; the same bytes when the task is done again. */
static enum xf_rc encode(struct xf_silo *s, const struct xf_silo_task *task,
                         struct xf_silo_answer *a, struct xf_diag *diag) {
  const uint32_t stage = task->offer.stage;
  const uint64_t n = s->slice[stage].n_wire, all = n * sizeof(float);
  struct xf_codec codec = xf_plan_codec(s->cfg.plan, stage, task->offer.round);
  struct xf_rng rng;
  if (codec.kind == XF_CODEC_SPARSE && xf_sparse_len(s->wire, n) >= all)
    codec.kind = XF_CODEC_FLOAT32;
  enum xf_rc rc = codec.kind == XF_CODEC_TOPK ? feed_back(s, task, &codec, a, diag) : XF_OK;
  if (rc) return rc;
  a->begin.dtype = (enum xf_dtype)codec.kind;
  if (codec.kind == XF_CODEC_FLOAT32) {
    rc = xf_buf_put(&a->payload, s->wire, (size_t)all);
  } else {
    xf_stream_init(&rng, s->cfg.plan->seed, "compress", task->offer.round, s->cfg.member);
    rc = xf_codec_put(&a->payload, &codec, s->wire, n, &rng, diag);
    if (rc == XF_E_NAN) return xf_diag_prefix(diag, rc, "the update");
  }
  return rc ? xf_diag_set(diag, rc, "no memory for an update of %llu bytes",
                          (unsigned long long)all)
            : XF_OK;
}

/* From s->wire to the final payload; s->task becomes the tentative personal state. */
static enum xf_rc release(struct xf_silo *s, const struct xf_silo_task *task,
                          struct xf_silo_answer *a, struct xf_diag *diag) {
  const uint32_t stage = task->offer.stage;
  const bool statistic = s->cfg.plan->stages[stage].kind == XF_PLAN_STAGE_STATISTIC;
  XF_FAILPOINT("C3");
  enum xf_rc rc = XF_OK;
  if (statistic) a->norm = sqrt(xf_vec_norm2(s->wire, (size_t)s->slice[stage].n_wire));
  else rc = privatise(s, task, a, diag);
  if (rc) return rc;
  a->begin.clip = !statistic                       ? s->cfg.clip
                  : a->charge.noise_multiplier > 0 ? XF_GRAM_SENSITIVITY
                                                   : 0;
  if (a->charge.noise_multiplier > 0) rc = charge(s, task, a);
  if (rc) return xf_diag_set(diag, rc, "the privacy charge cannot be computed: %s", xf_rc_text(rc));
  rc = encode(s, task, a, diag);
  if (rc) return rc;
  float *const made =
      s->task; /* only now: after an error the answer before may still await its outcome */
  s->task = s->next;
  s->next = made;
  s->tentative = true;
  return XF_OK;
}

static enum xf_rc measure_arm(struct xf_silo *s, enum xf_silo_arm arm, struct xf_eval_metric *row,
                              size_t *n, struct xf_diag *diag) {
  const struct xf_measures *m = &s->measures;
  enum xf_rc rc = XF_OK;
  for (int part = xf_silo_first_part(s); part <= XF_PART_TEST && !rc; part++) {
    struct xf_measure_sum sum[XF_RESOLVE_MEASURES];
    rc = xf_silo_measure(s, (enum xf_part)part, sum, diag);
    for (size_t i = 0; i < m->n && !rc; i++)
      row[(*n)++] =
          (struct xf_eval_metric){xf_silo_arm_name(arm), xf_silo_part_name((enum xf_part)part),
                                  m->key[i], sum[i].sum, (uint64_t)sum[i].count};
  }
  return rc;
}

static enum xf_rc work_evaluate(struct xf_silo *s, const struct xf_silo_task *task,
                                struct xf_silo_answer *a, struct xf_diag *diag) {
  struct xf_eval_metric row[XF_SILO_N_ARM * XF_N_PART * XF_RESOLVE_MEASURES];
  size_t n = 0;
  if (!s->cfg.metrics)
    return xf_diag_set(diag, XF_E_POLICY,
                       "noise is on and policy.export_metrics is false: evaluation sums stay here");
  enum xf_rc rc = XF_OK;
  for (int arm = 0; arm < XF_SILO_N_ARM && !rc; arm++) {
    if (!s->recommends && arm != XF_SILO_FEDERATED && arm != XF_SILO_PERSONAL)
      continue; /* the others do not change: made at the end */
    if (!xf_silo_has_arm(s, (enum xf_silo_arm)arm)) continue;
    rc = xf_silo_arm_make(s, (enum xf_silo_arm)arm, task->base, diag);
    if (!rc) rc = measure_arm(s, (enum xf_silo_arm)arm, row, &n, diag);
    if (rc == XF_E_NOTFOUND && s->recommends) rc = XF_OK; /* nothing for this arm */
  }
  if (!rc) rc = xf_eval_report_encode(&a->payload, row, n);
  a->begin.weight = 1;
  a->begin.dtype = XF_DTYPE_REPORT;
  return rc;
}

enum xf_rc xf_silo_work(struct xf_silo *silo, const struct xf_silo_task *task,
                        struct xf_silo_answer *answer, struct xf_diag *diag) {
  struct xf_buf payload = answer->payload;
  xf_buf_reset(&payload);
  *answer = (struct xf_silo_answer){.payload = payload, .charge = {.n = 1}};
  const bool train = task->offer.kind == XF_TASK_TRAIN;
  if (train && task->offer.stage >= silo->lens.n_stage)
    return xf_diag_set(diag, XF_E_RANGE, "the task is of stage %u, the plan has %u",
                       task->offer.stage, silo->lens.n_stage);
  const uint64_t want = train ? silo->lens.down[task->offer.stage] : silo->lens.all;
  if (!silo->aligned || task->offer.model_len != want)
    return xf_diag_set(diag, XF_E_SHAPE, "the task's model has %llu bytes, this silo's %llu",
                       (unsigned long long)task->offer.model_len, (unsigned long long)want);
  if (task->offer.kind == XF_TASK_FINAL)
    return xf_diag_set(diag, XF_E_INVAL, "a final model is stored, not worked on");
  enum xf_rc rc = XF_OK;
  if (!train) rc = work_evaluate(silo, task, answer, diag);
  else
    rc = silo->recommends                              ? work_stage(silo, task, answer, diag)
         : xf_plan_is_meta(&silo->cfg.plan->stages[0]) ? work_meta(silo, task, answer, diag)
                                                       : work_train(silo, task, answer, diag);
  if (!rc && train) rc = release(silo, task, answer, diag);
  if (!rc) seal(silo, task, answer);
  return rc;
}
