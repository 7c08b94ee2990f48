/* Running the cells of a sweep: children of this process, a folder each. */
#include "base/alloc.h"
#include "base/time.h"
#include "tools/exper/spawn.h"
#include "tools/exper/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ARGS = 16, SET_MAX = 1024, NUMBER = 24 };

struct slot {
  pid_t pid;
  struct xf_sweep_cell *cell; /* NULL: free */
  struct xf_time from;
};

static enum xf_rc unlink_one(void *arg, const char *name) {
  char path[XF_PATH_MAX];
  const struct xf_fs *fs = xf_fs_posix();
  const enum xf_rc rc = xf_fs_join(path, arg, name);
  return rc ? rc : fs->unlink(fs, path);
}

enum xf_rc xf_sweep_part(const struct xf_sweep *s, const struct xf_sweep_cell *c, char *dir,
                         struct xf_diag *diag) {
  char name[XF_SWEEP_NAME + 8];
  const struct xf_fs *fs = xf_fs_posix();
  (void)snprintf(name, sizeof name, "%s.part", c->name);
  enum xf_rc rc = xf_fs_join(dir, s->dir, name);
  if (!rc) rc = fs->mkdir(fs, dir, 0750);
  if (!rc) rc = fs->list(fs, dir, unlink_one, dir);
  return rc ? xf_diag_set(diag, rc, "%s cannot be emptied: %s; delete it", dir, xf_rc_text(rc))
            : XF_OK;
}

static enum xf_rc start(struct xf_sweep *s, struct slot *slot, struct xf_sweep_cell *c,
                        uint64_t threads, struct xf_diag *diag) {
  char dir[XF_PATH_MAX], err[XF_PATH_MAX], seed[NUMBER], workers[NUMBER];
  char(*text)[SET_MAX] = xf_calloc(XF_SWEEPGRID_AXES, SET_MAX);
  const char *argv[ARGS + 2 * (XF_SWEEP_SETS + XF_SWEEPGRID_AXES)];
  size_t n = 0;
  (void)snprintf(seed, sizeof seed, "%" PRIu64, c->seed);
  (void)snprintf(workers, sizeof workers, "%" PRIu64, threads);
  enum xf_rc rc = xf_sweep_part(s, c, dir, diag);
  if (!rc) rc = xf_fs_join(err, dir, "stderr.txt");
  const char *const fixed[] = {"crossfed", "sim", s->plan_path, "--out", dir,
                               "--seed",   seed,  "--threads",  workers, "--json"};
  for (; n < sizeof fixed / sizeof fixed[0]; n++) argv[n] = fixed[n];
  for (size_t i = 0; i < s->n_sets; i++) {
    argv[n++] = "--set";
    argv[n++] = s->sets[i];
  }
  for (size_t a = 0; a < s->grid.n_axis; a++) {
    (void)snprintf(text[a], SET_MAX, "%s=%s", s->grid.axis[a].key,
                   xf_sweepgrid_value(&s->grid, c->combination, a));
    argv[n++] = "--set";
    argv[n++] = text[a];
  }
  argv[n] = NULL;
  *slot = (struct slot){.cell = c, .from = xf_time_now()};
  if (!rc) rc = xf_spawn(&slot->pid, (char *const *)(uintptr_t)argv, err, diag);
  if (rc) slot->cell = NULL;
  xf_free(text);
  return rc;
}

static enum xf_rc settle(struct xf_sweep *s, struct slot *slot, int status, size_t n_done,
                         struct xf_diag *diag) {
  struct xf_sweep_cell *c = slot->cell;
  char part[XF_PATH_MAX], to[XF_PATH_MAX], err[XF_PATH_MAX], name[XF_SWEEP_NAME + 8];
  const struct xf_fs *fs = xf_fs_posix();
  slot->cell = NULL;
  (void)snprintf(name, sizeof name, "%s.part", c->name);
  enum xf_rc rc = xf_fs_join(part, s->dir, name);
  if (!rc) rc = xf_fs_join(to, s->dir, c->name);
  if (!rc) rc = xf_fs_join(err, part, "stderr.txt");
  if (rc) return rc;
  if (status) {
    c->failed = true;
    xf_spawn_said(c->said, sizeof c->said, err);
    if (!c->said[0]) (void)snprintf(c->said, sizeof c->said, "ended with status %d", status);
  } else {
    (void)fs->unlink(fs, err);
    rc = xf_sweep_sign(s, part, diag);
    if (!rc) rc = xf_fs_rename_durable(fs, part, to, diag);
    c->done = !rc;
  }
  (void)fprintf(stderr, "%zu/%zu %s %s (%.1f s)%s%s\n", n_done, s->n_cell, c->name,
                c->failed ? "failed" : "done", xf_time_diff_s(xf_time_now(), slot->from),
                c->failed ? ": " : "", c->said);
  return rc;
}

enum xf_rc xf_sweep_run(struct xf_sweep *s, struct xf_diag *diag) {
  const long cores = sysconf(_SC_NPROCESSORS_ONLN);
  const uint64_t have = cores > 0 ? (uint64_t)cores : 1;
  const uint64_t n_slot = s->parallel ? s->parallel : have;
  const uint64_t threads = n_slot < have ? have / n_slot : 1;
  struct slot *slot = xf_calloc((size_t)n_slot, sizeof *slot);
  size_t next = 0, running = 0, n_done = s->n_old;
  enum xf_rc rc = XF_OK;
  if (s->n_old)
    (void)fprintf(stderr, "%zu of %zu runs are done already in %s\n", s->n_old, s->n_cell, s->dir);
  if (s->n_other)
    (void)fprintf(stderr,
                  "%zu of %zu runs in %s are of another build of crossfed and are run again\n",
                  s->n_other, s->n_cell, s->dir);
  for (;;) {
    for (uint64_t i = 0; i < n_slot && !rc; i++) {
      while (next < s->n_cell && s->cell[next].done) next++;
      if (slot[i].cell || next == s->n_cell) continue;
      rc = start(s, &slot[i], &s->cell[next++], threads, diag);
      running += !rc;
    }
    if (!running) break;
    pid_t pid = -1;
    const int status = xf_spawn_wait(&pid); /* also after an error: nothing is left running */
    uint64_t i = 0;
    while (i < n_slot && !(slot[i].cell && slot[i].pid == pid)) i++;
    if (pid < 0) break;
    if (i == n_slot) continue;
    running--;
    const enum xf_rc ended = settle(s, &slot[i], status, ++n_done, diag);
    if (!rc) rc = ended;
  }
  xf_free(slot);
  return rc;
}
