// modules: server/core client/core plan wire crypto base
// part: dst
/*
 * The deterministic simulation (world.h).
 *   dst --seconds N        fresh seeds for N seconds, the rate, then the planted bugs (flavour faults)
 *   dst --seed S [--trace]  one schedule (odd seeds are hasty)
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

static const char patient_plan[] =
    "name: dst\n"
    "seed: 7\n"
    "data: {kind: table, split: {kind: random}}\n"
    "model: {kind: logreg, n_in: 15, n_out: 1, loss: bce}\n"
    "stages:\n"
    "  - kind: train\n"
    "    fed: {algorithm: fedavg, rounds: 8, cohort: 1.0, quorum: 1.0, min_domains: 2, deadline_s: "
    "3600,\n"
    "          eval_deadline_s: 3600, select_timeout_s: 5, weighting: samples}\n"
    "    local: {epochs: 1, batch: 8, optimizer: {kind: sgd, lr: 0.1}}\n"
    "eval: {every: 4, metrics: [acc]}\n";
static const char hasty_plan[] =
    "name: dst\n"
    "seed: 7\n"
    "data: {kind: table, split: {kind: random}}\n"
    "model: {kind: logreg, n_in: 15, n_out: 1, loss: bce}\n"
    "stages:\n"
    "  - kind: train\n"
    "    fed: {algorithm: fedavg, rounds: 8, cohort: 1.0, quorum: 0.6, min_domains: 1, deadline_s: "
    "1,\n"
    "          eval_deadline_s: 1, select_timeout_s: 2, weighting: samples}\n"
    "    local: {epochs: 1, batch: 8, optimizer: {kind: sgd, lr: 0.1}}\n"
    "eval: {every: 4, metrics: [acc]}\n";

static bool world_open(struct world *w, bool hasty) {
  struct xf_diag diag;
  const char *text = hasty ? hasty_plan : patient_plan;
  world_init(w);
  w->hasty = hasty;
  xf_diag_init(&diag);
  if (xf_plan_load_text(&w->plan, "dst", text, strlen(text), NULL, 0, NULL, &diag)) {
    printf("not ok - plan: %s\n", diag.text);
    return false;
  }
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
  if (!ok)
    printf("not ok - %s seed %llu: %s\n", w->hasty ? "hasty" : "patient", (unsigned long long)seed,
           w->error);
  return ok;
}

#ifdef XF_FAULTS
/* Bugs that are compiled into the cores and asleep: the simulation must find each (decision 25). */
static const struct {
  const char *name;
  bool hasty; /* the world that finds it */
} planted[] = {{"ack_early", false},         {"skip_crc", false},       {"forget_answered", false},
               {"quorum_off_by_one", false}, {"forget_pending", false}, {"commit_early", false},
               {"silent_cancel", true}};
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
  static struct world patient, hasty;
  struct xf_digest want;
  int failed = !world_open(&patient, false) || !world_open(&hasty, true);
  uint64_t n = 0, late = 0, abandoned = 0;
  if (!failed && !world_run(&patient, 0, true, &want)) {
    printf("not ok - undisturbed run: %s\n", patient.error);
    failed = 1;
  }
  struct xf_time from = xf_time_now();
  while (!failed && (one ? n < 1 : xf_time_diff_s(xf_time_now(), from) < seconds)) {
    struct world *w = (one ? seed : start + n) % 2 ? &hasty : &patient;
    failed = !run_one(w, one ? seed : start + n, &want);
    late += w->late;
    abandoned += w->abandoned;
    n++;
  }
  double took = xf_time_diff_s(xf_time_now(), from);
  if (!failed)
    printf(
        "ok - %llu schedules of %d clients and %d rounds, %.0f a minute; %llu late updates, %llu "
        "abandoned rounds\n",
        (unsigned long long)n, N_CLIENT, N_ROUND, 60 * (double)n / took, (unsigned long long)late,
        (unsigned long long)abandoned);
  if (!failed && !one && (!late || !abandoned)) {
    printf(
        "not ok - the hasty worlds saw no late update or no abandoned round: they test nothing\n");
    failed = 1;
  }
#ifdef XF_FAULTS
  for (size_t i = 0; !one && i < sizeof planted / sizeof planted[0]; i++)
    failed |= !planted_found(planted[i].hasty ? &hasty : &patient, planted[i].name);
#endif
  world_deinit(&patient);
  world_deinit(&hasty);
  return failed;
}
