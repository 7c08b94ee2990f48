/* Folding a committed round again. */
#include "tools/recompute.h"

#include "base/alloc.h"
#include "crypto/sha256.h"
#include "plan/plan.h"
#include "resolve/global.h"
#include "resolve/resolve.h"
#include "resolve/stagefold.h"

#include <string.h>

struct again {
  const struct xf_verify_round *round;
  struct xf_plan plan;
  struct xf_spaces spaces;
  struct xf_directory directory[XF_SPACES_MAX];
  struct xf_member_rows *rows; /* [round->n_part], of each participant */
  struct xf_global global;
  float *model;
  struct xf_diag *diag;
};

/* --- plan and directory --------------------------------------------------------------------------------------- */

static enum xf_rc read_plan(struct again *a) {
  const struct xf_verify_round *r = a->round;
  struct xf_digest digest;
  enum xf_rc rc = xf_plan_decode(&a->plan, r->plan, r->plan_len, a->diag);
  if (rc) return xf_diag_prefix(a->diag, rc, "the plan in the ledger");
  xf_sha256(&digest, r->plan, r->plan_len);
  if (!xf_digest_equal(&digest, &r->base->info.plan))
    return xf_diag_set(a->diag, XF_E_CORRUPT,
                       "the plan in the ledger is not the one of the parent model");
  if (r->stage >= a->plan.n_stages)
    return xf_diag_set(a->diag, XF_E_CORRUPT, "the round is of stage %u, the plan has %u", r->stage,
                       a->plan.n_stages);
  a->spaces = xf_resolve_spaces(&a->plan);
  return XF_OK;
}

struct members {
  char (*id)[XF_LEDGER_ID_MAX];
  size_t n;
};

static enum xf_rc on_member(void *arg, const struct xf_ledger_member *member) {
  struct members *m = arg;
  if (m->n % 64 == 0) m->id = xf_realloc_array(m->id, m->n + 64, sizeof *m->id);
  memcpy(m->id[m->n++], member->member,
         strlen(member->member) + 1); /* an id, checked by the ledger */
  return XF_OK;
}

/* A manifest from the ledger, whose digest must be that of its keys. E_NOTFOUND: the member sent none. */
static enum xf_rc read_manifest(struct again *a, uint32_t space, const char *member,
                                struct xf_manifest *out) {
  struct xf_digest want, got;
  const char *ns = a->spaces.at[space].ns;
  enum xf_rc rc = xf_ledger_manifest_get(a->round->ledger, member, ns, out, &want, a->diag);
  if (rc) return rc;
  xf_sha256(&got, out->key, out->n * XF_KEY_LEN);
  return xf_digest_equal(&got, &want)
             ? XF_OK
             : xf_diag_set(a->diag, XF_E_CORRUPT, "the manifest of \"%s\" has another digest",
                           member);
}

/* The frozen directory, and the keys that the parent model carries, are this union. */
static enum xf_rc check_directory(struct again *a, uint32_t space) {
  const char *ns = a->spaces.at[space].ns;
  struct xf_manifest kept = {0};
  struct xf_digest want, got;
  uint64_t n = 0;
  const struct xf_manifest *all = &a->directory[space].all;
  enum xf_rc rc = xf_ledger_directory_get(a->round->ledger, ns, &want, &n, a->diag);
  xf_sha256(&got, all->key, all->n * XF_KEY_LEN);
  if (!rc && (n != all->n || !xf_digest_equal(&want, &got)))
    rc = xf_diag_set(a->diag, XF_E_CORRUPT,
                     "the frozen directory of \"%s\" (%llu keys) is not the union of the manifests "
                     "(%zu keys)",
                     ns, (unsigned long long)n, all->n);
  if (!rc) rc = xf_checkpoint_keys(a->round->base, &kept, ns, a->diag);
  if (!rc && (kept.n != all->n || memcmp(kept.key, all->key, all->n * XF_KEY_LEN) != 0))
    rc = xf_diag_set(a->diag, XF_E_CORRUPT,
                     "the keys in the parent model are not those of the directory of \"%s\"", ns);
  xf_manifest_deinit(&kept);
  return rc;
}

static enum xf_rc read_directory(struct again *a, uint32_t space) {
  struct members m = {0};
  enum xf_rc rc = xf_ledger_members(a->round->ledger, on_member, &m, a->diag);
  const size_t cap = m.n ? m.n : 1;
  struct xf_manifest *keys = xf_calloc(cap, sizeof *keys);
  const struct xf_manifest **part = xf_calloc(cap, sizeof *part);
  size_t n = 0;
  for (size_t i = 0; i < m.n && !rc; i++) {
    rc = read_manifest(a, space, m.id[i], &keys[n]);
    if (rc == XF_E_NOTFOUND) rc = XF_OK; /* joined after the freeze: holds no row */
    else if (!rc) {
      part[n] = &keys[n];
      n++;
    }
  }
  if (!rc) {
    rc = xf_directory_init(&a->directory[space], part, n);
    if (rc) (void)xf_diag_set(a->diag, rc, "the union of %zu manifests: %s", n, xf_rc_text(rc));
    else xf_directory_keep(&a->directory[space], a->spaces.at[space].min_holders);
  }
  for (size_t i = 0; i < cap; i++) xf_manifest_deinit(&keys[i]);
  xf_free(part);
  xf_free(keys);
  xf_free(m.id);
  return rc;
}

static enum xf_rc read_rows(struct again *a, uint32_t space) {
  const struct xf_verify_round *r = a->round;
  for (size_t k = 0; k < r->n_part; k++) {
    struct xf_member_rows *held = &a->rows[k];
    struct xf_manifest keys;
    enum xf_rc rc = read_manifest(a, space, r->who[k].member, &keys);
    if (!rc) {
      held->row[space] = xf_calloc(keys.n + 1, sizeof *held->row[space]);
      held->n[space] = xf_directory_rows(held->row[space], NULL, &a->directory[space], &keys);
    }
    xf_manifest_deinit(&keys);
    if (rc)
      return xf_diag_set(a->diag, rc == XF_E_NOTFOUND ? XF_E_CORRUPT : rc,
                         "the keys of the participant \"%s\": %s", r->who[k].member,
                         xf_rc_text(rc));
  }
  return XF_OK;
}

/* --- folding --------------------------------------------------------------------------------------------------- */

static enum xf_rc read_member(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  struct again *a = arg;
  return xf_spool_read_floats(&a->round->part[slot], out, n, at, a->diag);
}

static enum xf_rc read_bytes(void *arg, size_t slot, uint64_t at, uint8_t *out, size_t n) {
  struct again *a = arg;
  return xf_spool_read(&a->round->part[slot], out, n, at, a->diag);
}

static enum xf_rc read_old(void *arg, uint64_t at, float *out, size_t n) {
  const struct again *a = arg;
  memcpy(out, a->model + at, n * sizeof *out);
  return XF_OK;
}

static enum xf_rc write_new(void *arg, uint64_t at, const float *x, size_t n) {
  const struct again *a = arg;
  memcpy(a->model + at, x, n * sizeof *x);
  return XF_OK;
}

static enum xf_rc read_state(void *arg, uint32_t k, uint64_t at, float *out, size_t n) {
  struct again *a = arg;
  return xf_checkpoint_read_state(a->round->base, k, out, at, n, a->diag);
}

static enum xf_rc write_state(void *arg, uint32_t k, uint64_t at, const float *x, size_t n) {
  const struct again *a = arg;
  if (!a->round->state[k])
    return xf_diag_set(a->diag, XF_E_CORRUPT,
                       "the plan's server optimiser keeps a state that the newest model lacks");
  memcpy(a->round->state[k] + at, x, n * sizeof *x);
  return XF_OK;
}

static enum xf_rc check_part(const struct again *a, size_t k) {
  const struct xf_spool_head *head = &a->round->part[k].head;
  const struct xf_ledger_part *who = &a->round->who[k];
  if (strcmp(head->member, who->member) != 0 || head->round != a->round->round)
    return xf_diag_set(a->diag, XF_E_CORRUPT,
                       "the update of \"%s\" in the spool is of \"%s\" for round %llu", who->member,
                       head->member, (unsigned long long)head->round);
  if (head->weight != who->weight && !xf_plan_is_async(&a->plan.stages[a->round->stage]))
    return xf_diag_set(a->diag, XF_E_CORRUPT,
                       "the update of \"%s\" came with weight %llu, the frozen list has %llu",
                       who->member, (unsigned long long)head->weight,
                       (unsigned long long)who->weight);
  return XF_OK;
}

/* In place: the model begins as the parent's, and other stages' parts of it stay. */
static enum xf_rc fold(struct again *a) {
  const struct xf_verify_round *r = a->round;
  const struct xf_strategy strategy = xf_resolve_strategy(&a->plan, r->stage);
  struct xf_stagefold_member *member = xf_calloc(r->n_part ? r->n_part : 1, sizeof *member);
  enum xf_rc rc = XF_OK;
  for (size_t k = 0; k < r->n_part && !rc; k++) {
    member[k] = (struct xf_stagefold_member){.id = r->who[k].member,
                                             .slot = k,
                                             .weight = (uint32_t)r->who[k].weight, /* below 2^29 */
                                             .rows = &a->rows[k],
                                             .len = r->part[k].head.payload_len};
    rc = check_part(a, k);
  }
  struct xf_stagefold job = {
      .global = &a->global,
      .stage = r->stage,
      .step = xf_strategy_get(&strategy, (uint32_t)r->commits_before),
      .divisor = xf_resolve_divisor(&a->plan, r->stage),
      .member = member,
      .n_member = r->n_part,
      .io = {a, NULL, read_member, read_old, write_new, read_state, write_state},
      .codec = xf_plan_codec(&a->plan, r->stage, r->round),
      .read_bytes = read_bytes};
  if (!rc && a->global.stage[r->stage].n_control)
    rc = xf_ledger_listed(r->ledger, r->round, &job.n_listed, a->diag);
  if (!rc) rc = xf_stagefold_run(&job, a->diag);
  xf_free(member);
  return rc;
}

static enum xf_rc check_shape(const struct again *a, uint64_t n) {
  struct xf_digest layout;
  enum xf_rc rc = xf_checkpoint_check(a->round->base, a->global.layout, a->diag);
  if (!rc) rc = xf_layout_digest(&layout, a->global.layout);
  if (!rc && (n != a->global.n || !xf_digest_equal(&layout, &a->round->base->info.layout)))
    rc = xf_diag_set(a->diag, XF_E_CORRUPT,
                     "the plan makes a layout of %llu floats, the parent model has another of %llu",
                     (unsigned long long)a->global.n, (unsigned long long)n);
  return rc;
}

enum xf_rc xf_tool_recompute(void *arg, const struct xf_verify_round *round, float *model,
                             uint64_t n, struct xf_diag *diag) {
  (void)arg;
  struct again *a = xf_calloc(1, sizeof *a); /* a plan is too large for the stack */
  const size_t cap = round->n_part ? round->n_part : 1;
  a->round = round;
  a->model = model;
  a->diag = diag;
  a->rows = xf_calloc(cap, sizeof *a->rows);
  enum xf_rc rc = read_plan(a);
  for (uint32_t s = 0; s < a->spaces.n && !rc; s++) {
    rc = read_directory(a, s);
    if (!rc) rc = read_rows(a, s);
    if (!rc) rc = check_directory(a, s);
  }
  if (!rc) rc = xf_global_init(&a->global, &a->plan, a->spaces.n ? a->directory : NULL, diag);
  if (!rc) rc = check_shape(a, n);
  if (!rc) rc = fold(a);
  xf_global_deinit(&a->global);
  for (size_t k = 0; k < cap; k++)
    for (int s = 0; s < XF_SPACES_MAX; s++) xf_free(a->rows[k].row[s]);
  for (int s = 0; s < XF_SPACES_MAX; s++) xf_directory_deinit(&a->directory[s]);
  xf_free(a->rows);
  xf_free(a);
  return rc;
}
