// modules: server/core client/core plan wire crypto base
// part: dst
/*
 * The deterministic simulation (world.h).
 *   dst --seconds N        fresh seeds for N seconds, the rate, then the planted bugs (flavour faults)
 *   dst --seed S [--trace]  one schedule; the seed modulo 7 says which world: patient, hasty, staged, staged and hasty,
 *                         power-of-choice, oort, asynchronous
 * Exit status 0 when every schedule held, else 1 with the failing seed.
 */
#include "base/fail.h"
#include "base/log.h"
#include "crypto/init.h"
#include "crypto/sha256.h"
#include "world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char one_plan[] = "name: dst\n"
                               "seed: 7\n"
                               "data: {kind: table, split: {kind: random}}\n"
                               "model: {kind: logreg, n_in: 15, n_out: 1, loss: bce}\n"
                               "stages:\n"
                               "  - kind: train\n"
                               "    fed: {rounds: 8, weighting: samples}\n"
                               "    local: {batch: 8, optimizer: {lr: 0.1}}\n"
                               "eval: {every: 4, metrics: [acc]}\n";
static const char async_plan[] = "name: dst\n"
                                 "seed: 7\n"
                                 "data: {kind: table, split: {kind: random}}\n"
                                 "model: {kind: logreg, n_in: 15, n_out: 1, loss: bce}\n"
                                 "stages:\n"
                                 "  - kind: train\n"
                                 "    fed: {rounds: 8, weighting: uniform, async: {buffer: 2, "
                                 "concurrency: 3, max_staleness: 2}}\n"
                                 "    local: {batch: 8, optimizer: {lr: 0.1}}\n"
                                 "eval: {every: 4, metrics: [acc]}\n";
static const char staged_plan[] = "name: dst\n"
                                  "seed: 7\n"
                                  "data: {kind: interactions}\n"
                                  "model: {kind: recommender}\n"
                                  "stages:\n"
                                  "  - {name: sum, kind: statistic}\n"
                                  "  - {name: weak, kind: rows, in: [sum], fed: {rounds: 3}}\n"
                                  "  - {kind: evaluate}\n"
                                  "  - {name: strong, kind: rows, in: [weak], fed: {rounds: 4}}\n"
                                  "eval: {every: 3}\n";

/* Timing and quorum of all stages. */
static void set_pace(struct xf_plan *plan, bool hasty) {
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    struct xf_plan_stage_part *s = &plan->stages[i];
    s->fed.quorum = hasty ? 0.6 : 1;
    s->fed.min_domains = hasty ? 1 : 2;
    s->fed.deadline_s = s->fed.eval_deadline_s = hasty ? 1 : 3600;
    s->fed.select_timeout_s = hasty ? 2 : 5;
  }
}

enum { PATIENT, HASTY, STAGED, STAGED_HASTY, CHOICE, OORT, ASYNC, N_WORLD };
static const struct {
  const char *name;
  bool hasty, staged;
  enum xf_plan_select policy;
} kinds[N_WORLD] = {{"patient", false, false, XF_PLAN_SELECT_STRATIFIED},
                    {"hasty", true, false, XF_PLAN_SELECT_STRATIFIED},
                    {"staged patient", false, true, XF_PLAN_SELECT_STRATIFIED},
                    {"staged hasty", true, true, XF_PLAN_SELECT_STRATIFIED},
                    {"power-of-choice", false, false, XF_PLAN_SELECT_CHOICE},
                    {"oort", false, false, XF_PLAN_SELECT_OORT},
                    {"asynchronous", true, false, XF_PLAN_SELECT_STRATIFIED}};

/* Schedules that have found a fault; they run first. */
static const uint64_t past[] = {
    1795573394410109u /* asynchronous: an upload begun after a restart kept its slot for ever */
};

static void set_policy(struct xf_plan_stage_part *s, enum xf_plan_select policy) {
  s->fed.select.policy = policy;
  if (policy == XF_PLAN_SELECT_STRATIFIED) return;
  s->fed.cohort = 0;
  s->fed.cohort_count = 3;
  if (policy == XF_PLAN_SELECT_OORT) s->fed.select.explore_min = 0.1;
}

static bool world_open(struct world *w, int kind) {
  const bool hasty = kinds[kind].hasty, staged = kinds[kind].staged, async = kind == ASYNC;
  struct xf_diag diag;
  const char *text = async ? async_plan : staged ? staged_plan : one_plan;
  world_init(w);
  w->hasty = hasty;
  w->name = kinds[kind].name;
  xf_diag_init(&diag);
  if (xf_plan_load_text(&w->plan, "dst", text, strlen(text), NULL, 0, NULL, &diag)) {
    printf("not ok - plan: %s\n", diag.text);
    return false;
  }
  if (!async) set_pace(&w->plan, hasty);
  else w->plan.stages[0].fed.deadline_s = w->plan.stages[0].fed.eval_deadline_s = 2;
  set_policy(&w->plan.stages[0], kinds[kind].policy);
  if (xf_plan_encode(&w->canonical, &w->plan)) return false;
  xf_sha256(&w->plan_digest, w->canonical.p, w->canonical.len);
  xf_sha256(&w->layout_digest, "layout", 6);
  return true;
}

static bool run_one(struct world *w, uint64_t seed, const struct xf_digest *want) {
  struct xf_digest got;
  bool ok = world_run(w, seed, false, &got);
  if (ok && !w->hasty && !xf_digest_equal(&got, want)) {
    (void)snprintf(w->error, sizeof w->error,
                   "the final model differs from the undisturbed run (I3)");
    ok = false;
  }
  if (!ok) printf("not ok - %s seed %llu: %s\n", w->name, (unsigned long long)seed, w->error);
  return ok;
}

#ifdef XF_FAULTS
/* Bugs that are compiled into the cores and asleep: the simulation must find each (decision 25). */
static const struct {
  const char *name;
  int world; /* that finds it */
} planted[] = {{"ack_early", PATIENT},
               {"skip_crc", PATIENT},
               {"forget_answered", PATIENT},
               {"quorum_off_by_one", PATIENT},
               {"forget_pending", PATIENT},
               {"commit_early", PATIENT},
               {"silent_cancel", HASTY},
               {"stale_artifacts", STAGED},
               {"offer_early", STAGED_HASTY},
               {"forget_stored", PATIENT},
               {"forget_losses", CHOICE},
               {"forget_losses", OORT},
               {"too_old", ASYNC}};
enum { PLANTED_TRIES = 4000 };

static bool planted_found(struct world *w, const char *name) {
  struct xf_digest want, got;
  xf_failpoint_plant(name);
  uint32_t n = 0;
  bool found = !world_run(w, 0, true, &want);
  for (; n < PLANTED_TRIES && !found; n++)
    found = !world_run(w, n + 1, false, &got) || (!w->hasty && !xf_digest_equal(&got, &want));
  xf_failpoint_plant(NULL);
  printf("%s - planted %s: %s after %u schedules\n", found ? "ok" : "not ok", name,
         found ? w->error[0] ? w->error : "another final model" : "not found", n);
  return found;
}
#endif

int main(int argc, char **argv) {
  double seconds = 5;
  uint64_t seed = 0, start = (uint64_t)xf_wall_now_us();
  bool one = false, trace = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) seconds = strtod(argv[++i], NULL);
    else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
      seed = strtoull(argv[++i], NULL, 10);
      one = true;
    } else if (strcmp(argv[i], "--trace") == 0) trace = true;
    else {
      fprintf(stderr, "usage: dst [--seconds N] [--seed S [--trace]]\n");
      return 2;
    }
  }
  if (xf_crypto_start()) return 1;
  /* Planted bugs make the cores complain; the oracle is what counts. */
  xf_log_start(trace ? 2 : open("/dev/null", O_WRONLY | O_CLOEXEC), XF_LOG_LOGFMT,
               trace ? XF_LOG_DEBUG : XF_LOG_ERROR, NULL);
  static struct world world[N_WORLD];
  struct xf_digest want[N_WORLD];
  int failed = 0;
  uint64_t n = 0, late[N_WORLD] = {0}, abandoned[N_WORLD] = {0}, readers = 0, stale = 0;
  for (int k = 0; k < N_WORLD && !failed; k++) {
    failed = !world_open(&world[k], k);
    if (failed || world[k].hasty || world_run(&world[k], 0, true, &want[k])) continue;
    printf("not ok - %s, undisturbed run: %s\n", world[k].name, world[k].error);
    failed = 1;
  }
  for (size_t i = 0; i < sizeof past / sizeof past[0] && !failed && !one; i++)
    failed = !run_one(&world[past[i] % N_WORLD], past[i], &want[past[i] % N_WORLD]);
  struct xf_time from = xf_time_now();
  while (!failed && (one ? n < 1 : xf_time_diff_s(xf_time_now(), from) < seconds)) {
    const uint64_t schedule = one ? seed : start + n;
    const size_t k = schedule % N_WORLD;
    failed = !run_one(&world[k], schedule, &want[k]);
    late[k] += world[k].late;
    abandoned[k] += world[k].abandoned;
    readers += world[k].readers;
    stale += world[k].stale;
    n++;
  }
  double took = xf_time_diff_s(xf_time_now(), from);
  if (!failed)
    printf(
        "ok - %llu schedules of %d clients and %d rounds, %.0f a minute; %llu late updates, %llu "
        "abandoned rounds, %llu readers, %llu stale updates\n",
        (unsigned long long)n, N_CLIENT, N_ROUND, 60 * (double)n / took,
        (unsigned long long)(late[HASTY] + late[STAGED_HASTY]),
        (unsigned long long)(abandoned[HASTY] + abandoned[STAGED_HASTY]),
        (unsigned long long)readers, (unsigned long long)stale);
  for (int k = HASTY; !failed && !one && k < N_WORLD; k++) {
    if (!world[k].hasty || k == ASYNC) continue;
    if (late[k] && abandoned[k] && (k != STAGED_HASTY || readers)) continue;
    printf(
        "not ok - the worlds of kind %s saw no late update, abandoned round or reader: they test "
        "nothing\n",
        world[k].name);
    failed = 1;
  }
  if (!failed && !one && !stale) {
    printf("not ok - the asynchronous worlds saw no stale update: they test nothing\n");
    failed = 1;
  }
#ifdef XF_FAULTS
  for (size_t i = 0; !one && i < sizeof planted / sizeof planted[0]; i++) {
    const int k = planted[i].world;
    failed |= !planted_found(&world[k], planted[i].name);
  }
#endif
  for (int k = 0; k < N_WORLD; k++) world_deinit(&world[k]);
  return failed;
}
