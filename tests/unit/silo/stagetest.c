#include "stagetest.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "crypto/pseudonym.h"
#include "resolve/dataset.h"
#include "resolve/stagefold.h"
#include "resolve/stages.h"
#include "silotest.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

#define HEAD                                    \
  "name: t\nseed: 7\n"                          \
  "data: {kind: interactions}\n"                \
  "model: {kind: recommender}\n"                \
  "eval: {metrics: [hr@3, ndcg@3], every: 0}\n" \
  "arms: [popularity, alone, federated, guarded]\nstages:\n"
const char stagetest_gram[] =
    HEAD "  - {name: gram, kind: statistic, statistic: {beta: 0}, rows: {min_holders: 2}}\n";
const char stagetest_rows[] = HEAD
    "  - {name: weak, kind: rows, fed: {rounds: 5}, rows: {dim: 4, kappa: 0.25, formation: 2}}\n"
    "  - {kind: evaluate}\n"
    "  - {name: strong, kind: rows, in: [weak], fed: {rounds: 3}, rows: {dim: 3, kappa: 0.5}}\n";
const char stagetest_scorer[] =
    HEAD "  - {name: gram, kind: statistic, statistic: {beta: 0.5}, rows: {min_holders: 2}}\n"
         "  - {name: scorer, kind: train, learns: scorer, in: [gram],\n"
         "     fed: {rounds: 3, weighting: uniform},\n"
         "     local: {steps: 5, batch: 8, optimizer: {lr: 0.1}}}\n";
const char stagetest_both[] =
    HEAD "  - {name: gram, kind: statistic, statistic: {beta: 0.5}, rows: {min_holders: 2}}\n"
         "  - {name: weak, kind: rows, fed: {rounds: 2}, rows: {dim: 3, kappa: 0.25}}\n"
         "  - {name: scorer, kind: train, learns: scorer, in: [gram],\n"
         "     fed: {rounds: 1, weighting: uniform},\n"
         "     local: {steps: 5, batch: 8, optimizer: {lr: 0.1}}}\n";
const char stagetest_categories[] =
    HEAD "  - {name: cats, kind: statistic, statistic: {of: categories, beta: 0.5}, "
         "rows: {min_holders: 2}}\n";
static const uint8_t align_key[XF_SILO_ALIGN_KEY] = {4, 5, 6};
/* By number of the silo, the fourth is the late one: keys, and users where keys are items. */
static const struct {
  uint32_t first, last, users;
} range[2][STAGETEST_MAX] = {{{0, 11, 0}, {4, 15, 0}, {2, 13, 0}, {1, 12, 0}},
                             {{0, 23, 8}, {8, 31, 60}, {4, 27, 60}, {1, 20, 10}}};
enum { OWN_ITEMS = 20, EVENTS = 7, TASTES = 3 };

bool stagetest_common_users;

/* Distinct items of [first, first + n): two of any kind, the others of the user's taste; in any order. */
static void choose(uint32_t *out, struct xf_rng *rng, uint32_t first, uint32_t n, uint32_t taste) {
  uint32_t all[32], at = 0;
  assert_true(n <= 32 && n / TASTES >= EVENTS - 2);
  for (uint32_t i = 0; i < n; i++) all[i] = first + i;
  xf_rng_shuffle(rng, all, n);
  while (at < 2) {
    out[at] = all[at];
    at++;
  }
  for (uint32_t i = 2; i < n && at < EVENTS; i++)
    if (all[i] % TASTES == taste) out[at++] = all[i];
  for (uint32_t i = 2; i < n && at < EVENTS; i++)
    if (all[i] % TASTES != taste) out[at++] = all[i];
  xf_rng_shuffle(rng, out, EVENTS);
}

/* Keys are a common range; where only one side has keys, the other is the silo's own. */
static void make_data(struct xf_dataset *out, const struct xf_plan *plan, size_t k) {
  struct xf_interactions inter;
  struct xf_rng rng;
  const struct xf_spaces spaces = xf_resolve_spaces(plan);
  const bool items = spaces.n == 2 || spaces.at[0].of == XF_SPACE_ITEMS;
  const bool users = spaces.n == 2 || spaces.at[0].of == XF_SPACE_USERS;
  const uint32_t first = range[1][k].first, n_item = range[1][k].last - first + 1;
  const size_t by = stagetest_common_users ? 0 : k;
  const uint32_t from = users ? range[0][by].first : 0;
  const uint32_t n_user = users ? range[0][by].last - from + 1 : range[1][k].users;
  xf_interactions_init(&inter);
  xf_rng_init(&rng, 99, k);
  for (uint32_t u = 0; u < n_user; u++) {
    uint32_t item[EVENTS];
    choose(item, &rng, items ? first : 0, items ? n_item : OWN_ITEMS, (from + u) % TASTES);
    for (uint32_t e = 0; e < EVENTS; e++) {
      char user[24], name[24];
      if (users) (void)snprintf(user, sizeof user, "u%u", from + u);
      else (void)snprintf(user, sizeof user, "u%zu-%u", k, u);
      if (items) (void)snprintf(name, sizeof name, "i%u", item[e]);
      else (void)snprintf(name, sizeof name, "i%zu-%u", k, item[e]);
      assert_int_equal(xf_interactions_add(&inter, user, name, NULL, 1, e), XF_OK);
    }
  }
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_resolve_interactions(out, plan, "member", &inter, &diag)) fail_msg("%s", diag.text);
}

static void make_categories(struct xf_categories *out, const struct xf_names *items, size_t k) {
  uint32_t item[128], category[128];
  size_t n = 0;
  *out = (struct xf_categories){0};
  xf_names_init(&out->names);
  for (uint32_t i = 0; i < items->n; i++) {
    char name[3][24];
    unsigned silo = 0, id = 0;
    assert_int_equal(sscanf(xf_names_get(items, i), "i%u-%u", &silo, &id), 2);
    (void)snprintf(name[0], sizeof name[0], "c%u", id % 7);
    (void)snprintf(name[1], sizeof name[1], "d%u", id % 4);
    (void)snprintf(name[2], sizeof name[2], "own%zu", k);
    for (size_t c = 0; c < 3; c++) {
      if ((c == 1 && id % 2 == 0) || (c == 2 && id != 0)) continue;
      item[n] = i;
      assert_int_equal(xf_names_add(&out->names, &category[n++], name[c], strlen(name[c])), XF_OK);
    }
  }
  out->n = out->names.n;
  assert_int_equal(xf_csr_init(&out->of, items->n, out->n, item, category, n), XF_OK);
}

static struct xf_silo *make_silo(struct stagetest *t, size_t k, const char *member) {
  struct xf_dataset data;
  struct xf_silo *silo = NULL;
  struct xf_diag diag;
  make_data(&data, &t->plan, k);
  struct xf_silo_config config = {.plan = &t->plan,
                                  .member = member,
                                  .data = &data,
                                  .align_key = align_key,
                                  .clip = t->plan.privacy.clip,
                                  .noise_multiplier = t->plan.privacy.noise_multiplier,
                                  .metrics = true};
  struct xf_categories categories = {0};
  if (xf_plan_categories(&t->plan)) make_categories(&categories, &data.inter.items, k);
  config.categories = &categories;
  if (t->change) t->change(&config);
  xf_diag_init(&diag);
  if (xf_silo_new(&silo, &config, &diag)) fail_msg("%s", diag.text);
  return silo;
}

/* What a directory tells silo k, and the local rows of its known keys, found by name. */
static void align_space(struct stagetest *t, size_t k, uint32_t space) {
  struct stagetest_silo *s = &t->s[k];
  const struct xf_manifest *m = xf_silo_manifest(s->silo, space);
  const struct xf_dataset *data = xf_silo_data(s->silo);
  const struct xf_names *all[] = {&data->inter.users, &data->inter.items, NULL};
  if (xf_silo_categories(s->silo)) all[XF_SPACE_CATEGORIES] = &xf_silo_categories(s->silo)->names;
  const struct xf_names *names = all[t->spaces.at[space].of];
  uint32_t *row = xf_calloc(m->n + 1, sizeof *row), *told = xf_calloc(m->n + 1, sizeof *told);
  uint32_t *local = xf_calloc(m->n + 1, sizeof *local);
  s->rows.row[space] = row;
  s->rows.n[space] = xf_directory_rows(row, told, &t->directory[space], m);
  s->told[space] = told;
  s->of_key[space] = local;
  uint32_t *of_key = xf_calloc(m->n + 1, sizeof *of_key);
  for (uint32_t i = 0; i < names->n; i++) {
    struct xf_key key;
    const char *text = xf_names_get(names, i);
    xf_pseudonym(key.b, align_key, t->spaces.at[space].ns, text, strlen(text));
    of_key[xf_manifest_find(m, &key)] = i;
  }
  size_t n = 0;
  for (size_t i = 0; i < m->n; i++)
    if (told[i]) local[n++] = of_key[i];
  assert_int_equal(n, s->rows.n[space]);
  xf_free(of_key);
}

enum xf_rc stagetest_align(struct stagetest *t, size_t i, struct xf_silo *silo,
                           struct xf_diag *diag) {
  const uint32_t *const told[XF_SPACES_MAX] = {t->s[i].told[0], t->s[i].told[1], t->s[i].told[2]};
  return xf_silo_align(silo, told, diag);
}

static void align(struct stagetest *t, size_t k) {
  struct stagetest_silo *s = &t->s[k];
  struct xf_diag diag;
  xf_diag_init(&diag);
  for (uint32_t space = 0; space < t->spaces.n; space++) align_space(t, k, space);
  s->row = s->rows.row[0];
  s->n_row = s->rows.n[0];
  s->local = s->of_key[0];
  if (stagetest_align(t, k, s->silo, &diag)) fail_msg("%s", diag.text);
  xf_buf_init(&s->answer.payload, STAGETEST_FLOATS * sizeof(float));
}

static void freeze(struct stagetest *t, uint32_t space) {
  const struct xf_manifest *part[3];
  for (size_t k = 0; k < t->n; k++) part[k] = xf_silo_manifest(t->s[k].silo, space);
  assert_int_equal(xf_directory_init(&t->directory[space], part, t->n), XF_OK);
  xf_directory_keep(&t->directory[space], t->spaces.at[space].min_holders);
}

void stagetest_init(struct stagetest *out, const char *text, const char *sets,
                    void (*change)(struct xf_silo_config *config)) {
  static const char *const member[] = {"silo-a", "silo-b", "silo-c"};
  memset(out, 0, sizeof *out);
  out->n = 3;
  out->change = change;
  silotest_plan(&out->plan, text, sets);
  out->spaces = xf_resolve_spaces(&out->plan);
  for (size_t k = 0; k < out->n; k++) {
    out->s[k].member = member[k];
    out->s[k].silo = make_silo(out, k, member[k]);
  }
  for (uint32_t k = 0; k < out->spaces.n; k++) freeze(out, k);
  for (size_t k = 0; k < out->n; k++) align(out, k);
  assert_int_equal(xf_global_init(&out->global, &out->plan, out->directory, NULL), XF_OK);
  assert_true(out->global.n < STAGETEST_FLOATS);
  out->x = xf_calloc(out->global.n, sizeof *out->x);
  assert_int_equal(xf_global_first(&out->global, out->x, &out->plan, out->directory, NULL), XF_OK);
}

void stagetest_deinit(struct stagetest *t) {
  for (size_t k = 0; k < t->n; k++) {
    xf_silo_free(t->s[k].silo);
    for (int space = 0; space < XF_SPACES_MAX; space++) {
      xf_free(t->s[k].rows.row[space]);
      xf_free(t->s[k].told[space]);
      xf_free(t->s[k].of_key[space]);
    }
    xf_buf_deinit(&t->s[k].answer.payload);
  }
  xf_free(t->x);
  xf_global_deinit(&t->global);
  for (int space = 0; space < XF_SPACES_MAX; space++) xf_directory_deinit(&t->directory[space]);
}

struct xf_silo *stagetest_again(struct stagetest *t, size_t i, const char *member) {
  return make_silo(t, i, member);
}

void stagetest_late(struct stagetest *t) {
  assert_int_equal(t->n, 3);
  t->s[3].member = "silo-d";
  t->s[3].silo = make_silo(t, 3, "silo-d");
  align(t, 3);
  t->n = 4;
}

size_t stagetest_view(struct stagetest *t, size_t i, enum xf_task_kind kind, uint32_t stage) {
  struct stagetest_silo *s = &t->s[i];
  const struct xf_global_view view = xf_global_view_of(&t->plan, kind == XF_TASK_TRAIN, stage);
  const uint64_t n = xf_global_view_len(&t->global, view, &s->rows);
  for (uint64_t at = 0; at < n;) {
    const struct xf_global_run r = xf_global_view_at(&t->global, view, &s->rows, at);
    memcpy(s->base + at, t->x + r.from, r.len * sizeof(float));
    at += r.len;
  }
  return (size_t)n;
}

struct xf_silo_task stagetest_task(struct stagetest *t, size_t i, enum xf_task_kind kind) {
  struct xf_silo_task task = {.base = t->s[i].base};
  task.offer.kind = kind;
  task.offer.round = t->round + 1;
  task.offer.committed = t->committed;
  task.offer.stage = xf_plan_stage_at(&t->plan, t->committed, NULL);
  task.offer.model_len = stagetest_view(t, i, kind, task.offer.stage) * sizeof(float);
  memset(&task.offer.task_id, (int)t->round + 1, sizeof task.offer.task_id);
  xf_odometer_init(&task.spent);
  return task;
}

void stagetest_work(struct stagetest *t, size_t i) {
  struct stagetest_silo *s = &t->s[i];
  const struct xf_silo_task task = stagetest_task(t, i, XF_TASK_TRAIN);
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_silo_work(s->silo, &task, &s->answer, &diag)) fail_msg("%s", diag.text);
  s->n_update = s->answer.payload.len / sizeof(float);
  assert_int_equal(s->answer.payload.len, xf_silo_lens(s->silo)->up[task.offer.stage]);
  if (s->n_update) memcpy(s->update, s->answer.payload.p, s->answer.payload.len);
}

static enum xf_rc read_part(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  const struct stagetest *t = arg;
  assert_true(at + n <= t->s[slot].n_update);
  memcpy(out, t->s[slot].update + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc read_old(void *arg, uint64_t at, float *out, size_t n) {
  memcpy(out, ((struct stagetest *)arg)->x + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc write_new(void *arg, uint64_t at, const float *x, size_t n) {
  memcpy(((struct stagetest *)arg)->x + at, x, n * sizeof *x);
  return XF_OK;
}

void stagetest_commit(struct stagetest *t) { stagetest_commit_of(t, 3); }

void stagetest_commit_of(struct stagetest *t, size_t n) {
  assert_true(n <= 3);
  struct xf_stagefold_member member[3];
  const uint32_t stage = xf_plan_stage_at(&t->plan, t->committed, NULL);
  for (size_t k = 0; k < n; k++) {
    stagetest_work(t, k);
    member[k] = (struct xf_stagefold_member){.id = t->s[k].member,
                                             .slot = k,
                                             .weight = (uint32_t)t->s[k].answer.begin.weight,
                                             .rows = &t->s[k].rows};
  }
  struct xf_stagefold fold = {.global = &t->global,
                              .stage = stage,
                              .step = {.eta = 1},
                              .member = member,
                              .n_member = n,
                              .io = {t, NULL, read_part, read_old, write_new, NULL, NULL}};
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_stagefold_run(&fold, &diag)) fail_msg("%s", diag.text);
  for (size_t k = 0; k < n; k++) xf_silo_outcome(t->s[k].silo, true);
  t->committed++;
  t->round++;
}
