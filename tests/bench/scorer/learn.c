// Federated, joint and local training of the unit-free net, in one process.
#include "bench/scorer/learn.h"

#include "base/alloc.h"
#include "fed/fold.h"
#include "train/train.h"

#include <stdio.h>
#include <string.h>

static struct xf_diag diag;

static int fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, diag.text);
  return 1;
}

static struct xf_local_config local_of(uint32_t steps, uint32_t batch, enum xf_optim_kind kind,
                                       float rate) {
  struct xf_local_config c = {
      .steps = steps, .batch = batch, .optimizer = xf_optim_default(kind, rate)};
  c.optimizer.l2 = 0;
  return c;
}

int learn_start(const struct xf_model *model, uint64_t seed, float *w) {
  struct xf_rng shared;
  xf_rng_init(&shared, seed, 0);
  return xf_model_init(model, w, &(struct xf_model_seed){.shared = &shared}, &diag) ? fail("start")
                                                                                    : 0;
}

// A round's mean of the deltas, by the fold.
static enum xf_rc fold(const struct xf_fold_shape *shape, float *const *delta, size_t n, double eta,
                       float *w) {
  static const char *const id[LEARN_DOMAINS] = {"a", "b", "c", "d", "e", "f", "g", "h"};
  struct xf_fold_member member[LEARN_DOMAINS];
  for (size_t d = 0; d < n; d++)
    member[d] = (struct xf_fold_member){.id = id[d], .slot = d, .weight = 1};
  struct xf_fold_memory memory = {
      .member = (const float *const *)delta, .old_value = w, .new_value = w};
  const struct xf_fold_job job = {.shape = shape,
                                  .member = member,
                                  .n_member = n,
                                  .step.eta = eta,
                                  .io = xf_fold_memory_io(&memory)};
  struct xf_fold_stats stats = {0};
  return xf_fold_step(&job, &stats, &diag);
}

int learn_rounds(const struct xf_model *model, const struct xf_dataset *const *domain, size_t n,
                 enum xf_strategy_kind kind, uint32_t steps, uint64_t seed, float *w) {
  const struct xf_strategy strategy = {
      .kind = kind,
      .server.eta = 1,
      .schedule = {.kind = kind == XF_STRATEGY_REPTILE ? XF_SCHEDULE_LINEAR : XF_SCHEDULE_CONSTANT,
                   .rounds = LEARN_ROUNDS}};
  const struct xf_local_config local = local_of(steps, LEARN_BATCH, XF_OPTIM_SGD, .1f);
  const size_t n_param = xf_model_get_layout(model)->n;
  struct xf_trainer *trainer[LEARN_DOMAINS] = {0};
  float *delta[LEARN_DOMAINS] = {0};
  struct xf_fold_shape shape = {0};
  enum xf_rc rc = xf_fold_shape_init(&shape, xf_model_get_layout(model), &diag);
  for (size_t d = 0; !rc && d < n; d++) {
    delta[d] = xf_calloc(n_param, sizeof **delta);
    rc = xf_trainer_new(&trainer[d], model, &local,
                        (uint32_t)xf_dataset_count(domain[d], XF_PART_TRAIN), &diag);
  }
  if (!rc && learn_start(model, seed, w)) rc = XF_E_INVAL;
  for (uint32_t round = 0; !rc && round < LEARN_ROUNDS; round++) {
    for (size_t d = 0; !rc && d < n; d++) {
      struct xf_train_job job = {.start = w, .data = domain[d], .out = delta[d]};
      xf_rng_init(&job.shuffle, seed, (uint64_t)round << 8 | (d + 1));
      rc = xf_trainer_run(trainer[d], &job, &diag);
      for (size_t i = 0; i < n_param; i++) delta[d][i] -= w[i];
    }
    if (!rc) rc = fold(&shape, delta, n, xf_strategy_get(&strategy, round).eta, w);
  }
  for (size_t d = 0; d < n; d++) {
    xf_trainer_free(trainer[d]);
    xf_free(delta[d]);
  }
  xf_fold_shape_deinit(&shape);
  return rc ? fail("rounds") : 0;
}

int learn_joint(const struct xf_model *model, const struct xf_dataset *const *domain, size_t n,
                uint64_t seed, float *w) {
  enum { BATCH = 128 };
  const struct xf_local_config local = local_of(
      LEARN_ROUNDS * LEARN_STEPS * LEARN_BATCH / BATCH * (uint32_t)n, BATCH, XF_OPTIM_ADAM, .003f);
  struct xf_dataset all;
  uint32_t n_lists = 0, at = 0;
  for (size_t d = 0; d < n; d++) n_lists += domain[d]->lists.n;
  xf_dataset_init(&all, XF_DATASET_LISTS);
  enum xf_rc rc =
      xf_listset_init(&all.lists, n_lists, domain[0]->lists.n_list, domain[0]->lists.n_in, &diag);
  for (size_t d = 0; !rc && d < n; d++) {
    const size_t size = xf_listset_size(&all.lists);
    memcpy(all.lists.x + at * size, domain[d]->lists.x,
           domain[d]->lists.n * size * sizeof *all.lists.x);
    at += domain[d]->lists.n;
  }
  struct xf_train_job job = {.start = w, .data = &all, .out = w};
  xf_rng_init(&job.shuffle, seed, 0);
  if (!rc && learn_start(model, seed, w)) rc = XF_E_INVAL;
  if (!rc) rc = xf_train_once(model, &local, &job, &diag);
  xf_dataset_deinit(&all);
  return rc ? fail("joint") : 0;
}

int learn_adapt(const struct xf_model *model, const struct xf_dataset *data, uint32_t steps,
                float rate, uint64_t seed, const float *from, float *to) {
  if (steps == 0) {
    memcpy(to, from, xf_model_get_layout(model)->n * sizeof *to);
    return 0;
  }
  const struct xf_local_config local = local_of(steps, 16, XF_OPTIM_SGD, rate);
  struct xf_train_job job = {.start = from, .data = data, .out = to};
  xf_rng_init(&job.shuffle, seed, 1);
  return xf_train_once(model, &local, &job, &diag) ? fail("adapt") : 0;
}
