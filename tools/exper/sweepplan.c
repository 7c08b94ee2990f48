/* The cells of a sweep: every plan loaded, every folder named. */
#include "base/alloc.h"
#include "base/str.h"
#include "crypto/blake2b.h"
#include "tools/exper/sweep.h"

#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 1 << 20, SET_MAX = 1024 };

/* Loads a combination's plan. @own sets: storage of the assignments */
static enum xf_rc load(struct xf_sweep *s, struct xf_plan *plan, size_t combination,
                       struct xf_buf *errors, struct xf_diag *diag) {
  const char *sets[XF_SWEEP_SETS + XF_SWEEPGRID_AXES];
  char(*text)[SET_MAX] = xf_calloc(XF_SWEEPGRID_AXES, SET_MAX);
  size_t n = 0;
  enum xf_rc rc = XF_OK;
  for (; n < s->n_sets; n++) sets[n] = s->sets[n];
  for (size_t a = 0; a < s->grid.n_axis && !rc; a++) {
    const int len = snprintf(text[a], SET_MAX, "%s=%s", s->grid.axis[a].key,
                             xf_sweepgrid_value(&s->grid, combination, a));
    if (len >= SET_MAX)
      rc = xf_diag_set(diag, XF_E_LIMIT, "--grid %s: a value is longer than %d characters",
                       s->grid.axis[a].key, SET_MAX);
    sets[n++] = text[a];
  }
  if (!rc) rc = xf_plan_load(plan, s->plan_path, sets, n, errors, diag);
  xf_free(text);
  return rc;
}

static enum xf_rc name_cell(struct xf_sweep *s, struct xf_sweep_cell *c, struct xf_plan *plan,
                            struct xf_diag *diag) {
  struct xf_buf text;
  char words[XF_SWEEP_NAME - 48], hex[XF_DIGEST_HEX];
  xf_buf_init(&text, TEXT_MAX);
  plan->seed = c->seed;
  const enum xf_rc rc = xf_plan_print(&text, plan);
  if (rc) {
    xf_diag_set(diag, rc, "the resolved plan does not fit %d bytes", TEXT_MAX);
  } else {
    xf_blake2b(&c->plan, text.p, text.len);
    xf_sweepgrid_name(words, sizeof words, &s->grid, c->combination);
    (void)snprintf(c->name, sizeof c->name, "%s%sseed=%llu-%.8s", words, words[0] ? "_" : "",
                   (unsigned long long)c->seed, xf_digest_print(hex, &c->plan));
  }
  xf_buf_deinit(&text);
  return rc;
}

/* A folder that an earlier grid named otherwise: the digest at its end says which run it is. */
struct known {
  struct xf_sweep_cell *cell;
  const char *end;
};

static enum xf_rc find_name(void *arg, const char *name) {
  struct known *k = arg;
  const size_t n = strlen(name), end = strlen(k->end);
  if (n > end && strcmp(name + n - end, k->end) == 0)
    return xf_str_copy(k->cell->name, sizeof k->cell->name, name);
  return XF_OK;
}

/* Whether the folder holds the finished run of that plan. */
static enum xf_rc find_done(struct xf_sweep *s, struct xf_sweep_cell *c, struct xf_diag *diag) {
  char dir[XF_PATH_MAX], path[XF_PATH_MAX];
  struct xf_buf text;
  struct xf_digest got;
  const struct xf_fs *fs = xf_fs_posix();
  struct known known = {c, strrchr(c->name, '-')};
  char end[16];
  (void)snprintf(end, sizeof end, "%s", known.end);
  known.end = end;
  if (fs->list(fs, s->dir, find_name, &known))
    return xf_diag_set(diag, XF_E_IO, "%s cannot be listed", s->dir);
  if (xf_fs_join(dir, s->dir, c->name) || xf_fs_join(path, dir, "plan.resolved.yaml"))
    return xf_diag_set(diag, XF_E_LIMIT, "the path \"%.64s...\" is too long", s->dir);
  if (!xf_fs_exists(fs, dir)) return XF_OK;
  xf_buf_init(&text, TEXT_MAX);
  enum xf_rc rc = xf_fs_read_file(fs, path, &text, NULL);
  if (!rc) xf_blake2b(&got, text.p, text.len);
  xf_buf_deinit(&text);
  if (!rc) rc = xf_fs_join(path, dir, "summary.json");
  if (rc || !xf_digest_equal(&got, &c->plan) || !xf_fs_exists(fs, path))
    return xf_diag_set(diag, XF_E_CONFLICT,
                       "%s is not the finished run that a sweep left there (its plan.resolved.yaml "
                       "or summary.json was changed); delete the folder and it is run again",
                       dir);
  if (!xf_sweep_signed(s, dir)) { /* set aside: no figure is read, also if the new run fails */
    s->n_other++;
    rc = xf_sweep_part(s, c, path, diag);
    return rc ? rc : xf_fs_rename_durable(fs, dir, path, diag);
  }
  c->done = true;
  s->n_old++;
  return XF_OK;
}

static enum xf_rc check_plan(const struct xf_plan *p, struct xf_diag *diag) {
  if (p->data.split.kind == XF_PLAN_SPLIT_RANDOM && !(p->data.split.valid_fraction > 0))
    return xf_diag_set(diag, XF_E_CONFIG,
                       "data.split.valid_fraction is 0: a sweep chooses on the validation part, "
                       "never on test; give one, as --set data.split.valid_fraction=0.1");
  return XF_OK;
}

static enum xf_rc make_dir(struct xf_sweep *s, const struct xf_plan *plan, struct xf_diag *diag) {
  const struct xf_fs *fs = xf_fs_posix();
  char path[XF_PATH_MAX], other[XF_PATH_MAX];
  enum xf_rc rc = XF_OK;
  if (s->out) rc = xf_str_copy(s->dir, sizeof s->dir, s->out);
  else rc = xf_fs_join(s->dir, "runs", plan->name);
  if (!rc) rc = xf_fs_join(path, s->dir, "metrics.jsonl");
  if (!rc) rc = xf_fs_join(other, s->dir, "sweep.json");
  if (rc) return xf_diag_set(diag, rc, "--out: the path is too long");
  if (xf_fs_exists(fs, path) && !xf_fs_exists(fs, other))
    return xf_diag_set(diag, XF_E_EXISTS,
                       "%s is a run's directory; a sweep needs one of its own (--out DIR)", s->dir);
  if (!s->out) rc = fs->mkdir(fs, "runs", 0750);
  if (!rc) rc = fs->mkdir(fs, s->dir, 0750);
  return rc ? xf_diag_set(diag, rc, "cannot make %s: %s (--out DIR)", s->dir, xf_rc_text(rc))
            : XF_OK;
}

enum xf_rc xf_sweep_plan(struct xf_sweep *s, struct xf_buf *errors, struct xf_diag *diag) {
  struct xf_plan *plan = xf_calloc(1, sizeof *plan);
  const size_t n = xf_sweepgrid_combinations(&s->grid);
  enum xf_rc rc = XF_OK;
  if (n > XF_SWEEPGRID_CELLS || n * s->grid.n_seed > XF_SWEEPGRID_CELLS)
    rc = xf_diag_set(diag, XF_E_LIMIT, "more than %d runs; try fewer values or seeds",
                     XF_SWEEPGRID_CELLS);
  for (size_t k = 0; k < n && !rc; k++) { /* all plans before the first folder */
    rc = load(s, plan, k, errors, diag);
    if (!rc) rc = check_plan(plan, diag);
  }
  if (!rc) rc = make_dir(s, plan, diag);
  if (rc) goto out;
  s->n_cell = n * s->grid.n_seed;
  s->cell = xf_calloc(s->n_cell, sizeof *s->cell);
  s->noisy = plan->privacy.noise_multiplier > 0;
  for (size_t k = 0; k < n && !rc; k++) {
    rc = load(s, plan, k, errors, diag);
    for (size_t i = 0; i < s->grid.n_seed && !rc; i++) {
      struct xf_sweep_cell *c = &s->cell[i * n + k];
      c->combination = k;
      c->seed = s->grid.seed[i];
      rc = name_cell(s, c, plan, diag);
    }
  }
out:
  xf_free(plan);
  return rc;
}

enum xf_rc xf_sweep_find(struct xf_sweep *s, struct xf_diag *diag) {
  enum xf_rc rc = xf_sweep_program(s, diag);
  for (size_t i = 0; i < s->n_cell && !rc; i++) rc = find_done(s, &s->cell[i], diag);
  return rc;
}

void xf_sweep_deinit(struct xf_sweep *s) {
  xf_sweepgrid_deinit(&s->grid);
  xf_free(s->cell);
  s->cell = NULL;
}
