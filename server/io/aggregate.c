/* A closed round: the updates of its frozen list folded from the spool into the next model, or its reports summed. */
#include "server/io/aggregate.h"

#include "base/alloc.h"
#include "base/fail.h"
#include "base/log.h"
#include "param/vec.h"
#include "json/json.h"

#include <math.h>
#include <string.h>

enum { METRICS_MAX = 32 << 20 };

void srv_agg_init(struct srv_agg *a, const struct srv_state *st, uint64_t round,
                  enum xf_task_kind kind, const struct srv_frozen *list) {
  *a = (struct srv_agg){.st = st,
                        .round = round,
                        .committed = st->committed,
                        .kind = kind,
                        .base_digest = st->model_digest,
                        .n_part = list->n};
  memcpy(a->base, st->model_path, sizeof a->base);
  if (kind == XF_TASK_TRAIN && xf_ledger_listed(st->ledger, round, &a->n_listed, NULL))
    a->n_listed = 0; /* the fold refuses it */
  xf_buf_init(&a->metrics, METRICS_MAX);
  a->part = xf_calloc(list->n ? list->n : 1, sizeof *a->part);
  for (size_t k = 0; k < list->n; k++) {
    const struct xf_spool_head head = {.round = round, .task_id = list->task[k]};
    a->part[k] = (struct srv_part){.member = list->member[k],
                                   .weight = list->weight[k],
                                   .staleness = list->staleness ? list->staleness[k] : 0};
    xf_spool_name(a->part[k].file, &head);
  }
}

void srv_agg_deinit(struct srv_agg *a) {
  xf_free(a->part);
  xf_free_pages(a->global, a->n * sizeof *a->global);
  for (int k = 0; k < XF_SERVER_STATES; k++) xf_free_pages(a->state[k], a->n * sizeof *a->state[k]);
  xf_buf_deinit(&a->metrics);
  *a = (struct srv_agg){0};
}

void srv_agg_give(struct srv_agg *a, struct srv_state *st) {
  srv_next_drop(st);
  st->next = (struct srv_next){.round = a->round,
                               .global = a->global,
                               .state = {a->state[0], a->state[1]},
                               .n = a->n,
                               .model = a->kind == XF_TASK_TRAIN ? a->model : a->base_digest,
                               .metrics = xf_strdup(xf_buf_cstr(&a->metrics))};
  a->global = a->state[0] = a->state[1] = NULL;
}

static bool cancelled(const struct srv_agg *a) { return a->cancel && atomic_load(a->cancel); }

static enum xf_rc open_parts(struct srv_agg *a, struct xf_spool_entry *e, struct xf_diag *diag) {
  for (size_t k = 0; k < a->n_part; k++) {
    const struct srv_part *p = &a->part[k];
    const struct xf_coord_member *m = &a->st->cfg->members[p->member];
    enum xf_rc rc = xf_spool_open(&e[k], &a->st->spool, p->file, diag);
    if (rc) return xf_diag_prefix(diag, rc, "update of \"%s\"", m->id);
    if (strcmp(e[k].head.member, m->id) != 0 ||
        (a->kind == XF_TASK_TRAIN && !srv_state_async(a->st) && e[k].head.weight != p->weight))
      return xf_diag_set(diag, XF_E_CORRUPT,
                         "update of \"%s\": its file is of \"%s\" with weight %llu", m->id,
                         e[k].head.member, (unsigned long long)e[k].head.weight);
  }
  return XF_OK;
}

/* --- training ----------------------------------------------------------------------------------------------------- */

struct fold_files {
  struct srv_agg *a;
  struct xf_checkpoint base;
  struct xf_spool_entry *entry;
  double *norm2;       /* [n_part] of the floats read so far: each is read once */
  double *control2;    /* the same of control variates */
  uint64_t control_at; /* of an update, where its control variates begin */
  struct xf_diag *diag;
};

static enum xf_rc read_member(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  struct fold_files *f = arg;
  const enum xf_rc rc = xf_spool_read_floats(&f->entry[slot], out, n, at, f->diag);
  if (!rc) (at < f->control_at ? f->norm2 : f->control2)[slot] += xf_vec_norm2(out, n);
  return rc;
}

static enum xf_rc read_bytes(void *arg, size_t slot, uint64_t at, uint8_t *out, size_t n) {
  struct fold_files *f = arg;
  return xf_spool_read(&f->entry[slot], out, n, at, f->diag);
}

static enum xf_rc read_old(void *arg, uint64_t at, float *out, size_t n) {
  struct fold_files *f = arg;
  return xf_checkpoint_read(&f->base, out, at, n, f->diag);
}

static enum xf_rc write_new(void *arg, uint64_t at, const float *x, size_t n) {
  struct fold_files *f = arg;
  memcpy(f->a->global + at, x, n * sizeof *x);
  return XF_OK;
}

static enum xf_rc read_state(void *arg, uint32_t k, uint64_t at, float *out, size_t n) {
  struct fold_files *f = arg;
  return xf_checkpoint_read_state(&f->base, k, out, at, n, f->diag);
}

static enum xf_rc write_state(void *arg, uint32_t k, uint64_t at, const float *x, size_t n) {
  struct fold_files *f = arg;
  memcpy(f->a->state[k] + at, x, n * sizeof *x);
  return XF_OK;
}

/* Of a statistic, whose updates are sums over users, norms say nothing about agreement. */
static void take_drift(struct fold_files *f, const struct xf_fold_stats *stats) {
  struct srv_agg *a = f->a;
  double *norm = xf_calloc(a->n_part + 1, sizeof *norm);
  uint32_t *weight = xf_calloc(a->n_part + 1, sizeof *weight);
  for (size_t k = 0; k < a->n_part; k++) {
    norm[k] = sqrt(f->norm2[k]);
    weight[k] = (uint32_t)a->part[k].weight;
  }
  a->drift = (struct srv_drift){
      true, a->round,
      xf_drift_get(norm, weight, a->n_part, sqrt(stats->shared_norm2 + stats->rows_norm2)), 0};
  xf_free(norm);
  xf_free(weight);
}

/* A silo that lost its state sends no change of its control variates, see silo/control.c; on the record here. */
static void take_control(struct fold_files *f) {
  struct srv_agg *a = f->a;
  for (size_t k = 0; k < a->n_part; k++) {
    if (f->control2[k] > 0) continue;
    a->drift.n_uncounted++;
    xf_log(XF_LOG_WARN, "control_uncounted", XF_U("round", a->round),
           XF_S("client", a->st->cfg->members[a->part[k].member].id));
  }
}

static enum xf_rc progress(void *arg, uint64_t done, uint64_t total) {
  struct fold_files *f = arg;
  if (done == total / 2) XF_FAILPOINT("K9");
  return cancelled(f->a) ? xf_diag_set(f->diag, XF_E_CANCELLED, "the coordinator stops") : XF_OK;
}

/* What other stages wrote stays: the new vectors begin as the old ones. */
static enum xf_rc start_vectors(struct fold_files *f, uint32_t n_state, struct xf_diag *diag) {
  struct srv_agg *a = f->a;
  a->n = a->st->global.n;
  a->global = xf_try_pages(a->n * sizeof *a->global);
  bool room = a->global != NULL;
  for (uint32_t k = 0; k < n_state; k++) {
    a->state[k] = xf_try_pages(a->n * sizeof *a->state[k]);
    room = room && a->state[k];
  }
  if (!room)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for a model of %llu floats",
                       (unsigned long long)a->n);
  if (a->st->global.n_stage == 1) return XF_OK; /* the fold writes all of it */
  enum xf_rc rc = xf_checkpoint_read(&f->base, a->global, 0, (size_t)a->n, diag);
  for (uint32_t k = 0; k < n_state && k < f->base.n_state && !rc; k++)
    rc = read_state(f, k, 0, a->state[k], (size_t)a->n);
  return rc;
}

static enum xf_rc fold(struct fold_files *f, struct xf_diag *diag) {
  struct srv_agg *a = f->a;
  const struct srv_state *st = a->st;
  uint64_t first = 0;
  const uint32_t stage = xf_plan_stage_at(&st->plan, a->committed, &first);
  const struct xf_strategy strategy = xf_resolve_strategy(&st->plan, stage);
  struct xf_stagefold_member *member = xf_calloc(a->n_part ? a->n_part : 1, sizeof *member);
  struct xf_stagefold job = {.global = &st->global,
                             .stage = stage,
                             .step = xf_strategy_get(&strategy, (uint32_t)(a->committed - first)),
                             .n_listed = a->n_listed,
                             .divisor = xf_resolve_divisor(&st->plan, stage),
                             .member = member,
                             .n_member = a->n_part,
                             .io = {.arg = f,
                                    .read = read_member,
                                    .read_old = read_old,
                                    .write_new = write_new,
                                    .read_state = read_state,
                                    .write_state = write_state},
                             .progress = progress};
  job.codec = xf_plan_codec(&st->plan, stage, a->round);
  job.read_bytes = read_bytes;
  for (size_t k = 0; k < a->n_part; k++) {
    const uint32_t i = a->part[k].member;
    member[k] = (struct xf_stagefold_member){.id = st->cfg->members[i].id,
                                             .slot = k,
                                             .weight = (uint32_t)a->part[k].weight,
                                             .rows = &st->m[i].rows,
                                             .len = f->entry[k].head.payload_len};
  }
  const struct xf_global_stage *mine = &st->global.stage[stage];
  const uint64_t n_tail = mine->n_control + mine->nova;
  f->control_at = n_tail ? mine->shape.n_shared - n_tail : UINT64_MAX;
  enum xf_rc rc = start_vectors(f, xf_server_states(job.step.kind), diag);
  if (!rc) rc = xf_stagefold_run(&job, diag);
  for (size_t k = 0; k < a->n_part; k++) f->norm2[member[k].slot] += member[k].norm2;
  if (!rc) xf_checkpoint_digest(&a->model, st->global.layout, a->global);
  if (!rc && st->plan.stages[stage].kind != XF_PLAN_STAGE_STATISTIC) take_drift(f, &job.stats);
  if (!rc && mine->n_control) take_control(f);
  xf_free(member);
  return rc;
}

/* Training loss, where a silo's policy lets it out: it travels beside the update, in the spool file's header. */
static void add_loss(const struct srv_agg *a, size_t k, const struct xf_spool_entry *e,
                     struct srv_sums *sums) {
  struct xf_json *json = NULL;
  double sum = 0;
  uint64_t count = 0;
  if (!e->head.meta[0] ||
      xf_json_parse(&json, "spool", e->head.meta, strlen(e->head.meta), NULL, NULL))
    return;
  const struct xf_json_value *root = xf_json_root(json);
  if (xf_json_double(xf_json_find(root, "loss_sum"), &sum) &&
      xf_json_uint(xf_json_find(root, "loss_count"), &count) && count) {
    const struct xf_eval_metric m = {"federated", "train", "loss", sum, count};
    srv_sums_add(sums, a->part[k].member, &m, 1);
  }
  xf_json_free(json);
}

/* How old the bases of a flush were. */
static void add_staleness(const struct srv_agg *a, struct srv_sums *sums) {
  if (!srv_state_async(a->st)) return;
  for (size_t k = 0; k < a->n_part; k++) {
    const struct xf_eval_metric m = {"federated", "train", "staleness",
                                     (double)a->part[k].staleness, 1};
    srv_sums_add(sums, a->part[k].member, &m, 1);
  }
}

static enum xf_rc run_train(struct srv_agg *a, struct xf_spool_entry *entry, struct srv_sums *sums,
                            struct xf_diag *diag) {
  struct fold_files f = {.a = a, .entry = entry, .diag = diag};
  enum xf_rc rc = xf_checkpoint_open(&f.base, a->st->fs, a->base, diag);
  if (rc) return rc;
  f.norm2 = xf_calloc(a->n_part + 1, sizeof *f.norm2);
  f.control2 = xf_calloc(a->n_part + 1, sizeof *f.control2);
  if (!xf_digest_equal(&f.base.info.model, &a->base_digest))
    rc =
        xf_diag_set(diag, XF_E_CORRUPT, "\"%s\" is not the model this round started from", a->base);
  if (!rc) rc = fold(&f, diag);
  xf_checkpoint_close(&f.base);
  xf_free(f.norm2);
  xf_free(f.control2);
  for (size_t k = 0; k < a->n_part && !rc; k++) add_loss(a, k, &entry[k], sums);
  if (!rc) add_staleness(a, sums);
  return rc;
}

/* --- evaluation --------------------------------------------------------------------------------------------------- */

static enum xf_rc run_evaluate(struct srv_agg *a, struct xf_spool_entry *entry,
                               struct srv_sums *sums, struct xf_diag *diag) {
  struct xf_arena arena;
  uint8_t *bytes = xf_alloc(XF_REPORT_MAX);
  enum xf_rc rc = XF_OK;
  xf_arena_init(&arena, XF_MSG_ARENA);
  for (size_t k = 0; k < a->n_part && !rc; k++) {
    struct xf_eval_metric *metric = NULL;
    size_t n = 0;
    const uint64_t len = entry[k].head.payload_len;
    xf_arena_reset(&arena);
    rc = len > XF_REPORT_MAX
             ? xf_diag_set(diag, XF_E_LIMIT, "a report of %llu bytes", (unsigned long long)len)
             : xf_spool_read(&entry[k], bytes, (size_t)len, 0, diag);
    if (!rc) rc = xf_eval_report_decode(&metric, &n, &arena, bytes, (size_t)len, diag);
    if (!rc) srv_sums_add(sums, a->part[k].member, metric, n);
  }
  xf_arena_deinit(&arena);
  xf_free(bytes);
  return rc;
}

enum xf_rc srv_agg_run(struct srv_agg *a, struct xf_diag *diag) {
  struct xf_spool_entry *entry = xf_calloc(a->n_part ? a->n_part : 1, sizeof *entry);
  struct srv_sums *sums = srv_sums_new(a->st);
  enum xf_rc rc = open_parts(a, entry, diag);
  if (!rc)
    rc = a->kind == XF_TASK_TRAIN ? run_train(a, entry, sums, diag)
                                  : run_evaluate(a, entry, sums, diag);
  if (!rc) {
    rc = srv_sums_print(&a->metrics, sums, &a->drift);
    if (rc) xf_diag_set(diag, rc, "the round's metrics exceed %d bytes", METRICS_MAX);
  }
  if (!rc && a->kind == XF_TASK_EVALUATE)
    rc = srv_metrics_stop(a->st, xf_buf_cstr(&a->metrics), &a->figure, diag);
  for (size_t k = 0; k < a->n_part; k++) xf_spool_close(&entry[k]);
  xf_free(entry);
  srv_sums_free(sums);
  return rc;
}
