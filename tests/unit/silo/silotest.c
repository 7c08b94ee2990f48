#include "silotest.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "resolve/dataset.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

const char silotest_mf[] = "name: t\n"
                           "seed: 7\n"
                           "data: {kind: interactions}\n"
                           "model: {kind: mf, loss: bpr, dim: 3, users: aligned}\n"
                           "eval: {metrics: [hr@3, ndcg@3]}\n"
                           "stages:\n"
                           "  - fed: {rounds: 3, weighting: uniform}\n"
                           "    local: {batch: 8, optimizer: {lr: 0.1}}\n"
                           "    rows: {min_holders: 2}\n";
const char silotest_table[] = "name: t\n"
                              "seed: 7\n"
                              "data: {kind: table, split: {kind: random, test_fraction: 0.25}}\n"
                              "model: {kind: logreg, loss: bce, n_in: 2, n_out: 1}\n"
                              "eval: {metrics: [acc, auc]}\n"
                              "stages:\n"
                              "  - fed: {rounds: 3}\n"
                              "    local: {batch: 8, optimizer: {lr: 0.1}}\n";
static const char *const member[SILOTEST_MAX] = {"silo-a", "silo-b", "silo-c"};
static const uint8_t align_key[XF_SILO_ALIGN_KEY] = {1, 2, 3};

void silotest_plan(struct xf_plan *out, const char *text, const char *sets) {
  char copy[1024];
  const char *list[16];
  size_t n = 0;
  struct xf_diag diag;
  (void)snprintf(copy, sizeof copy, "%s", sets);
  for (char *s = copy; *s;) {
    assert_true(n < 16);
    list[n++] = s;
    s += strcspn(s, " ");
    if (*s) *s++ = '\0';
  }
  xf_diag_init(&diag);
  if (xf_plan_load_text(out, "p.yaml", text, strlen(text), list, n, NULL, &diag))
    fail_msg("%s", diag.text);
}

static void events(struct xf_dataset *out, const struct xf_plan *plan, const char *who,
                   uint32_t first, uint32_t last) {
  struct xf_interactions inter;
  xf_interactions_init(&inter);
  for (uint32_t u = first; u <= last; u++)
    for (uint32_t i = 0; i < 7; i++) {
      char user[16], item[16];
      (void)snprintf(user, sizeof user, "u%u", u);
      (void)snprintf(item, sizeof item, "i%u", (u * 5 + i * (1 + u % 3)) % 11);
      assert_int_equal(xf_interactions_add(&inter, user, item, NULL, 1 + i % 2, i), XF_OK);
    }
  assert_int_equal(xf_resolve_interactions(out, plan, who, &inter, NULL), XF_OK);
}

static void rows(struct xf_dataset *out, uint32_t first, uint32_t last) {
  struct xf_rng rng;
  const size_t n = 5 * (size_t)(last - first + 1);
  xf_rng_init(&rng, first, last);
  xf_dataset_init(out, XF_DATASET_TABLE);
  struct xf_table *t = &out->table;
  t->n = t->cap = n;
  t->n_in = 2;
  t->n_class = 2;
  t->x = xf_calloc(n * 2, sizeof *t->x);
  t->y = xf_calloc(n, sizeof *t->y);
  t->part = xf_calloc(n, 1);
  t->row = xf_calloc(n, sizeof *t->row);
  for (size_t i = 0; i < n; i++) {
    t->row[i] = (uint32_t)i;
    t->part[i] = i % 5 == 0 ? XF_PART_TEST : XF_PART_TRAIN;
    t->x[2 * i] = (float)xf_rng_normal(&rng);
    t->x[2 * i + 1] = (float)xf_rng_normal(&rng);
    t->y[i] = t->x[2 * i] > 0 ? 1 : 0;
  }
}

void silotest_data(struct xf_dataset *out, const struct xf_plan *plan, const char *who,
                   uint32_t first, uint32_t last) {
  if (plan->data.kind == XF_PLAN_DATA_TABLE) rows(out, first, last);
  else events(out, plan, who, first, last);
}

struct xf_silo_config silotest_config(const struct xf_plan *plan, const char *who,
                                      struct xf_dataset *data) {
  return (struct xf_silo_config){.plan = plan,
                                 .member = who,
                                 .data = data,
                                 .align_key = align_key,
                                 .clip = plan->privacy.clip,
                                 .noise_multiplier = plan->privacy.noise_multiplier,
                                 .metrics = true};
}

static void align(struct silotest *t) {
  const struct xf_manifest *part[SILOTEST_MAX];
  for (size_t i = 0; i < t->n; i++) part[i] = xf_silo_manifest(t->silo[i], 0);
  assert_int_equal(xf_directory_init(&t->directory, part, t->n), XF_OK);
  for (size_t i = 0; i < t->n; i++) {
    uint32_t *holders = xf_calloc(part[i]->n, sizeof *holders);
    t->row[i] = xf_calloc(part[i]->n, sizeof *t->row[i]);
    t->n_row[i] = xf_directory_rows(t->row[i], holders, &t->directory, part[i]);
    assert_int_equal(xf_silo_align(t->silo[i], (const uint32_t *const[]){holders}, NULL), XF_OK);
    xf_free(holders);
  }
}

void silotest_init(struct silotest *out, const char *text, const char *sets,
                   void (*change)(struct xf_silo_config *config)) {
  static const uint32_t first[] = {0, 5}, last[] = {7, 12};
  *out = (struct silotest){.n = 2};
  silotest_plan(&out->plan, text, sets);
  for (size_t i = 0; i < out->n; i++) {
    struct xf_dataset data;
    struct xf_diag diag;
    silotest_data(&data, &out->plan, member[i], first[i], last[i]);
    struct xf_silo_config config = silotest_config(&out->plan, member[i], &data);
    if (change) change(&config);
    xf_diag_init(&diag);
    if (xf_silo_new(&out->silo[i], &config, &diag)) fail_msg("%s", diag.text);
  }
  if (xf_resolve_spaces(&out->plan).n) align(out);
  const struct xf_directory *dir = out->directory.all.n ? &out->directory : NULL;
  assert_int_equal(xf_global_init(&out->global, &out->plan, dir, NULL), XF_OK);
  assert_true(out->global.n <= SILOTEST_FLOATS);
  assert_int_equal(xf_global_first(&out->global, out->x, &out->plan, dir, NULL), XF_OK);
  for (size_t i = 0; i < out->n; i++) {
    const struct xf_member_rows held = xf_member_rows_one(out->row[i], out->n_row[i]);
    const uint64_t n = xf_silo_model_len(out->silo[i]) / sizeof(float);
    assert_int_equal(xf_global_wire(&out->global, XF_STAGE_ALL, &held), n);
    for (uint64_t at = 0; at < n;) {
      const struct xf_global_run r = xf_global_run_at(&out->global, XF_STAGE_ALL, &held, at);
      memcpy(out->base[i] + at, out->x + r.from, r.len * sizeof(float));
      at += r.len;
    }
  }
  xf_buf_init(&out->answer.payload, 1 << 20);
}

void silotest_deinit(struct silotest *t) {
  for (size_t i = 0; i < t->n; i++) {
    xf_silo_free(t->silo[i]);
    xf_free(t->row[i]);
  }
  xf_global_deinit(&t->global);
  xf_directory_deinit(&t->directory);
  xf_buf_deinit(&t->answer.payload);
}

struct xf_silo_task silotest_task(const struct silotest *t, size_t i, uint64_t round) {
  struct xf_silo_task task = {.base = t->base[i]};
  task.offer.kind = XF_TASK_TRAIN;
  task.offer.round = round;
  task.offer.committed = round - 1;
  task.offer.model_len = xf_silo_model_len(t->silo[i]);
  memset(&task.offer.task_id, (int)round, sizeof task.offer.task_id);
  memset(&task.offer.base_digest, 0x5a, sizeof task.offer.base_digest);
  xf_odometer_init(&task.spent);
  return task;
}

void silotest_work(struct silotest *t, size_t i, uint64_t round) {
  const struct xf_silo_task task = silotest_task(t, i, round);
  struct xf_diag diag;
  xf_diag_init(&diag);
  if (xf_silo_work(t->silo[i], &task, &t->answer, &diag)) fail_msg("%s", diag.text);
}
