/* Training that is private per unit: samples, clips and noises each step (priv/unitsum.h) for the trainer. */
#include "crypto/random.h"
#include "priv/unitsum.h"
#include "silo/parts.h"

struct units {
  struct xf_unitsum sum;
  struct xf_noise_rng noise; /* with noise: noise and sample */
  struct xf_rng sample;      /* without */
  double divisor;
};

static enum xf_rc start(void *arg) {
  struct units *u = arg;
  if (u->sum.noise && !u->noise.seeded) { /* a key for each step's vector */
    xf_noise_rng_deinit(&u->noise);
    xf_noise_rng_init(&u->noise);
  }
  return xf_unitsum_start(&u->sum, &u->noise);
}

static bool takes(void *arg) {
  struct units *u = arg;
  return xf_unitsum_takes(&u->sum,
                          u->sum.noise ? xf_noise_rng_u64(&u->noise) : xf_rng_u64(&u->sample));
}

static enum xf_rc add(void *arg, const float *grad) {
  return xf_unitsum_add(&((struct units *)arg)->sum, grad);
}

static void get(void *arg, float *grad) {
  const struct units *u = arg;
  xf_unitsum_get(&u->sum, grad, u->divisor);
}

enum xf_rc silo_train_units(struct xf_silo *s, const struct xf_silo_task *task,
                            struct xf_train_job *job, struct xf_silo_answer *a,
                            struct xf_diag *diag) {
  const struct xf_plan_stage_part *st = &s->cfg.plan->stages[task->offer.stage];
  struct units u = {.sample = job->shuffle, .divisor = st->local.batch};
  const struct xf_train_units how = {start, takes, add, get, &u};
  if (s->cfg.seeded_noise)
    xf_noise_rng_init_seeded(&u.noise, s->cfg.plan->seed, task->offer.round, s->cfg.member);
  else xf_noise_rng_init(&u.noise);
  job->units = &how;
  enum xf_rc rc = xf_unitsum_init(&u.sum, s->layout->n, s->cfg.clip, s->cfg.noise_multiplier,
                                  st->local.sample_rate, diag);
  if (!rc) rc = xf_trainer_run(s->trainer, job, diag);
  job->units = NULL;
  a->clipped = u.sum.n_clipped > 0;
  a->n_lost = u.sum.n_lost;
  if (u.sum.noise)
    a->charge =
        (struct xf_odometer_charge){u.sum.grid.z_used, st->local.steps, st->local.sample_rate};
  xf_unitsum_deinit(&u.sum);
  xf_noise_rng_deinit(&u.noise);
  return rc;
}
