/* Charge before release: the order on disk, what a kill leaves, the account, max_epsilon. */
#include "client/io/release.h"
#include "client/io/vector.h"
#include "crypto/sha256.h"
#include "wire/codec.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 5 };
static char dir[128];
static enum xf_plan_unit unit; /* of the next release */
static const float personal[N] = {1, 2, 3, 4, 5};
static const char payload[] = "clipped and noised";

static void ok(enum xf_rc rc, const struct xf_diag *diag) {
  if (rc) fail_msg("%s", xf_diag_text(diag, rc));
}

static int fresh(void **state) {
  (void)state;
  const char *base = getenv("TMPDIR");
  snprintf(dir, sizeof dir, "%.90s/xf-release-XXXXXX", base ? base : "/tmp");
  return mkdtemp(dir) ? 0 : -1;
}

static enum xf_rc forget(void *arg, const char *name) {
  char path[XF_PATH_MAX];
  const struct xf_fs *fs = xf_fs_posix();
  if (xf_fs_join(path, arg, name)) return XF_E_LIMIT;
  (void)!fs->unlink(fs, path);
  return XF_OK;
}

static int clean(void **state) {
  (void)state;
  static const char *const below[] = {"/outbox", "/personal", ""};
  const struct xf_fs *fs = xf_fs_posix();
  for (size_t i = 0; i < 3; i++) {
    char path[XF_PATH_MAX];
    snprintf(path, sizeof path, "%s%s", dir, below[i]);
    (void)!fs->list(fs, path, forget, path);
    (void)rmdir(path);
  }
  return 0;
}

static struct xf_outbox *open_box(struct xf_outbox_recovery *found) {
  struct xf_outbox *ob = NULL;
  struct xf_diag diag;
  ok(xf_outbox_open(&ob, xf_fs_posix(), dir, NULL, found, &diag), &diag);
  return ob;
}

/* An answer as xf_silo_work gives it. */
static void make(struct xf_silo_answer *a, uint64_t round, double z) {
  uint8_t input[XF_UPDATE_DIGEST_INPUT];
  *a = (struct xf_silo_answer){.charge = {.noise_multiplier = z, .n = 1}, .clipped = true};
  xf_buf_init(&a->payload, 1000);
  assert_int_equal(xf_buf_put(&a->payload, payload, sizeof payload), XF_OK);
  a->begin = (struct xf_msg_update_begin){.round = round,
                                          .weight = 3,
                                          .n_samples = 40,
                                          .dtype = XF_DTYPE_FLOAT32,
                                          .payload_len = sizeof payload,
                                          .has_loss = true,
                                          .loss_sum = 1.0 / 3,
                                          .loss_count = 40,
                                          .clip = 1};
  a->begin.task_id.b[0] = (uint8_t)round;
  xf_sha256(&a->begin.payload_digest, payload, sizeof payload);
  xf_update_digest_input(input, &a->begin);
  xf_sha256(&a->begin.update_digest, input, sizeof input);
}

static enum xf_rc put(struct xf_outbox *ob, struct xf_silo_answer *a, enum xf_task_kind kind,
                      struct client_account *account, double max_epsilon, struct xf_diag *diag) {
  const struct xf_policy policy = {.max_epsilon = max_epsilon};
  struct client_account after;
  const struct client_release r = {.run = "run-1",
                                   .kind = kind,
                                   .answer = a,
                                   .personal = kind == XF_TASK_TRAIN ? personal : NULL,
                                   .n = N,
                                   .before = account,
                                   .delta = 1e-5,
                                   .unit = unit,
                                   .policy = &policy};
  xf_diag_init(diag);
  enum xf_rc rc = client_release_put(ob, xf_fs_posix(), &r, &after, diag);
  if (!rc) *account = after;
  return rc;
}

static void account_of(struct client_account *out, struct xf_outbox *ob) {
  struct xf_diag diag;
  ok(client_release_account(out, ob, "run-1", 1e-5, &diag), &diag);
}

static bool exists(struct xf_outbox *ob, uint64_t round) {
  char name[XF_OUTBOX_TEXT_MAX], path[XF_PATH_MAX];
  const struct xf_digest task = {{(uint8_t)round}};
  xf_outbox_personal_name(name, &task);
  assert_int_equal(xf_outbox_personal_path(ob, path, name), XF_OK);
  return xf_fs_exists(xf_fs_posix(), path);
}

static void test_round_trip(void **state) {
  (void)state;
  struct xf_outbox_recovery found;
  struct xf_outbox_item item;
  struct xf_msg_update_begin begin;
  struct xf_silo_answer a;
  struct client_account account, again;
  struct xf_diag diag;
  struct xf_outbox *ob = open_box(&found);
  account_of(&account, ob);
  assert_true(account.epsilon == 0 && account.released == 0);
  make(&a, 1, 4.0);
  ok(put(ob, &a, XF_TASK_TRAIN, &account, 0, &diag), &diag);
  assert_true(account.released == 1 && account.epsilon > 0 && a.begin.epsilon == account.epsilon);
  assert_true(a.begin.epsilon_zero_out > 0 && a.begin.epsilon_zero_out < a.begin.epsilon);
  xf_outbox_close(ob);

  ob = open_box(&found); /* after a restart: the same announcement, the same account */
  assert_int_equal(found.pending, 1);
  ok(xf_outbox_get(ob, &a.begin.task_id, &item, &diag), &diag);
  ok(client_release_begin(&begin, &item, &diag), &diag);
  assert_true(begin.loss_sum == a.begin.loss_sum && begin.loss_count == 40 && begin.has_loss);
  assert_true(begin.epsilon == a.begin.epsilon &&
              begin.epsilon_zero_out == a.begin.epsilon_zero_out);
  assert_true(begin.noise_multiplier == 4.0 && begin.clip == 1 && begin.weight == 3);
  assert_true(xf_digest_equal(&begin.update_digest, &a.begin.update_digest));
  assert_true(xf_digest_equal(&begin.payload_digest, &a.begin.payload_digest));
  account_of(&again, ob);
  assert_true(again.epsilon == account.epsilon && again.released == 1);
  assert_true(again.spent.rho == account.spent.rho);
  assert_true(exists(ob, 1));
  assert_int_equal(put(ob, &a, XF_TASK_TRAIN, &account, 0, &diag), XF_E_EXISTS);
  xf_buf_deinit(&a.payload);

  make(&a, 2, 0); /* an evaluation is outside epsilon */
  ok(put(ob, &a, XF_TASK_EVALUATE, &account, 0, &diag), &diag);
  account_of(&again, ob);
  assert_true(again.released == 1 && again.epsilon == account.epsilon && !exists(ob, 2));
  xf_buf_deinit(&a.payload);

  make(&a, 3, 0); /* one release without noise and nothing can be claimed any more */
  ok(put(ob, &a, XF_TASK_TRAIN, &account, 0, &diag), &diag);
  assert_true(isinf(account.epsilon) && account.released == 2);
  assert_true(a.begin.epsilon == 0 && a.begin.noise_multiplier == 0);
  xf_buf_deinit(&a.payload);
  make(&a, 4, 4.0);
  ok(put(ob, &a, XF_TASK_TRAIN, &account, 0, &diag), &diag);
  assert_true(a.begin.epsilon == 0 && a.begin.noise_multiplier == 0);
  xf_buf_deinit(&a.payload);
  xf_outbox_close(ob);
}

static void test_max_epsilon(void **state) {
  (void)state;
  struct xf_outbox_recovery found;
  struct xf_silo_answer a;
  struct client_account account, again;
  struct xf_diag diag;
  struct xf_outbox *ob = open_box(&found);
  account_of(&account, ob);
  uint64_t round = 1;
  enum xf_rc rc = XF_OK;
  for (; round < 200 && !rc; round++) {
    make(&a, round, 5.0);
    rc = put(ob, &a, XF_TASK_TRAIN, &account, 3.0, &diag);
    xf_buf_deinit(&a.payload);
  }
  assert_int_equal(rc, XF_E_POLICY);
  assert_non_null(strstr(diag.text, "policy.max_epsilon"));
  assert_true(account.epsilon <= 3.0 && account.released == round - 2 && account.released > 0);
  account_of(&again, ob); /* the refused one left no trace */
  assert_true(again.epsilon == account.epsilon && !exists(ob, round - 1));
  make(&a, 250, 0); /* and without noise nothing goes at all */
  assert_int_equal(put(ob, &a, XF_TASK_TRAIN, &account, 3.0, &diag), XF_E_POLICY);
  xf_buf_deinit(&a.payload);
  xf_outbox_close(ob);
  xf_outbox_close(open_box(&found));
  assert_int_equal(found.unsent, 0);
  assert_int_equal(found.personal, 0);
}

static void test_vector(void **state) {
  (void)state;
  char path[XF_PATH_MAX];
  float back[N];
  struct xf_diag diag;
  const struct xf_fs *fs = xf_fs_posix();
  xf_diag_init(&diag);
  assert_int_equal(xf_fs_join(path, dir, "v"), XF_OK);
  assert_int_equal(xf_vector_load(fs, path, back, N, &diag), XF_E_NOTFOUND);
  ok(xf_vector_save(fs, path, personal, N, &diag), &diag);
  ok(xf_vector_load(fs, path, back, N, &diag), &diag);
  assert_memory_equal(back, personal, sizeof back);
  assert_int_equal(xf_vector_load(fs, path, back, N - 1, &diag), XF_E_SHAPE);
  struct xf_file f;
  uint64_t len = 0;
  assert_int_equal(fs->open(fs, &f, path, XF_FS_RDWR), XF_OK);
  assert_int_equal(fs->size(&f, &len), XF_OK);
  assert_int_equal(fs->pwrite(&f, "x", 1, len - 2), XF_OK);
  assert_int_equal(fs->close(&f), XF_OK);
  assert_int_equal(xf_vector_load(fs, path, back, N, &diag), XF_E_CORRUPT);
}

#ifdef XF_FAULTS
/* A child makes a release (and with `settle` hears its verdict) and is killed at the point. */
static void kill_child_at(const char *point, bool settle) {
  char text[64];
  const pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    struct xf_outbox *ob = NULL;
    struct xf_diag diag;
    struct xf_silo_answer a;
    struct client_account account;
    snprintf(text, sizeof text, "%s=kill", point);
    setenv("CROSSFED_FAILPOINTS", text, 1);
    if (!freopen("/dev/null", "w", stderr)) _exit(9);
    if (xf_outbox_open(&ob, xf_fs_posix(), dir, NULL, NULL, &diag)) _exit(8);
    account_of(&account, ob);
    make(&a, 1, 4.0);
    if (put(ob, &a, XF_TASK_TRAIN, &account, 0, &diag)) _exit(7);
    if (settle && xf_outbox_settle(ob, &a.begin.task_id, "accepted", true, 1, &diag)) _exit(6);
    _exit(0);
  }
  int status = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void before_the_row(const char *point) {
  struct xf_outbox_recovery found;
  struct client_account account;
  kill_child_at(point, false);
  struct xf_outbox *ob = open_box(&found);
  account_of(&account, ob);
  assert_int_equal(found.pending, 0); /* not charged, so not sent; the files are gone */
  assert_true(account.epsilon == 0 && account.released == 0 && !exists(ob, 1));
  xf_outbox_close(ob);
}

static void test_killed_at_personal(void **state) {
  (void)state;
  before_the_row("C4_personal");
}
static void test_killed_at_blob(void **state) {
  (void)state;
  before_the_row("C4_blob");
}

static void after_the_row(const char *point, bool settle) {
  struct xf_outbox_recovery found;
  struct client_account account;
  struct xf_diag diag;
  char back[sizeof payload];
  const struct xf_digest task = {{1}};
  kill_child_at(point, settle);
  struct xf_outbox *ob = open_box(&found);
  account_of(&account, ob);
  assert_int_equal(found.pending, 1); /* charged once: exactly these bytes go out */
  assert_true(account.epsilon > 0 && account.released == 1 && exists(ob, 1));
  ok(xf_outbox_read(ob, &task, back, sizeof back, 0, &diag), &diag);
  assert_memory_equal(back, payload, sizeof back);
  xf_outbox_close(ob);
}

static void test_killed_at_row(void **state) {
  (void)state;
  after_the_row("C4", false);
}
static void test_killed_at_verdict(void **state) {
  (void)state;
  after_the_row("C6", true);
}
#endif

// a training private per unit is charged by rate and steps, after a restart as before
static void test_steps(void **state) {
  (void)state;
  struct xf_outbox_recovery found;
  struct xf_silo_answer a;
  struct client_account account, again;
  struct xf_odometer_report want;
  struct xf_odometer o;
  struct xf_diag diag;
  struct xf_outbox *ob = open_box(&found);
  account_of(&account, ob);
  xf_odometer_init(&o);
  for (uint64_t round = 1; round <= 3; round++) {
    make(&a, round, 1.25);
    a.charge.n = 40, a.charge.rate = 0.1;
    ok(put(ob, &a, XF_TASK_TRAIN, &account, 0, &diag), &diag);
    assert_int_equal(xf_odometer_add(&o, &a.charge, 1), XF_OK);
    xf_buf_deinit(&a.payload);
  }
  assert_int_equal(xf_odometer_get(&want, &o, 1e-5), XF_OK);
  assert_true(account.epsilon == want.replace_one.value && account.spent.charges == 120);
  xf_outbox_close(ob);
  ob = open_box(&found);
  account_of(&again, ob);
  assert_true(again.epsilon == account.epsilon && again.released == 3);
  assert_memory_equal(again.spent.sampled, account.spent.sampled, sizeof again.spent.sampled);

  make(&a, 4, 1.25); /* one more goes over: nothing of it is stored */
  a.charge.n = 40, a.charge.rate = 0.1;
  assert_int_equal(put(ob, &a, XF_TASK_TRAIN, &account, account.epsilon * 1.01, &diag),
                   XF_E_POLICY);
  xf_buf_deinit(&a.payload);
  account_of(&again, ob);
  assert_true(again.spent.charges == 120);
  xf_outbox_close(ob);
}

// charges of one unit do not join an account of another, before and after a restart; without a figure nothing is mixed
static void test_units(void **state) {
  (void)state;
  struct xf_outbox_recovery found;
  struct xf_silo_answer a;
  struct client_account account, again;
  struct xf_diag diag;
  struct xf_outbox *ob = open_box(&found);
  account_of(&account, ob);
  assert_int_equal(client_release_check(&account, XF_PLAN_UNIT_USER, &diag), XF_OK);
  make(&a, 1, 2.0);
  unit = XF_PLAN_UNIT_RECORD;
  ok(put(ob, &a, XF_TASK_TRAIN, &account, 0, &diag), &diag);
  xf_buf_deinit(&a.payload);
  xf_outbox_close(ob);
  ob = open_box(&found);
  account_of(&again, ob);
  assert_true(account.unit == XF_PLAN_UNIT_RECORD && again.unit == XF_PLAN_UNIT_RECORD);
  assert_int_equal(client_release_check(&again, XF_PLAN_UNIT_RECORD, &diag), XF_OK);
  for (int i = 0; i < 2; i++) {
    make(&a, 2, 2.0);
    unit = i ? XF_PLAN_UNIT_SILO : XF_PLAN_UNIT_USER;
    assert_int_equal(put(ob, &a, XF_TASK_TRAIN, i ? &again : &account, 0, &diag), XF_E_POLICY);
    assert_non_null(strstr(diag.text, "per record"));
    assert_non_null(strstr(diag.text, i ? "per silo" : "per user"));
    assert_false(exists(ob, 2));
    xf_buf_deinit(&a.payload);
  }
  for (uint64_t round = 2; round < 4; round++) {
    unit = round == 2 ? XF_PLAN_UNIT_RECORD : XF_PLAN_UNIT_SILO;
    make(&a, round, 0);
    ok(put(ob, &a, XF_TASK_TRAIN, &account, 0, &diag), &diag);
    xf_buf_deinit(&a.payload);
  }
  assert_true(isinf(account.epsilon));
  unit = XF_PLAN_UNIT_SILO;
  xf_outbox_close(ob);
}

// a note whose loss is null, as once written of a training without one, is a note without loss
static void test_null_loss(void **state) {
  (void)state;
  struct xf_outbox_recovery found;
  struct xf_outbox_item item;
  struct xf_msg_update_begin begin;
  struct xf_silo_answer a;
  struct client_account account;
  struct xf_diag diag;
  struct xf_outbox *ob = open_box(&found);
  account_of(&account, ob);
  make(&a, 1, 4.0);
  a.begin.loss_sum = (double)NAN;
  ok(put(ob, &a, XF_TASK_TRAIN, &account, 0, &diag), &diag);
  ok(xf_outbox_get(ob, &a.begin.task_id, &item, &diag), &diag);
  assert_non_null(strstr(item.meta, "\"loss_sum\":null"));
  ok(client_release_begin(&begin, &item, &diag), &diag);
  assert_true(!begin.has_loss && begin.loss_sum == 0 && begin.loss_count == 0);
  account_of(&account, ob);
  assert_true(account.released == 1 && account.epsilon > 0);
  xf_buf_deinit(&a.payload);
  xf_outbox_close(ob);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, clean)
  const struct CMUnitTest tests[] = {
#ifdef XF_FAULTS /* first: failpoints are read from the environment at the first passage of a process */
      T(test_killed_at_personal),
      T(test_killed_at_blob),
      T(test_killed_at_row),
      T(test_killed_at_verdict),
#endif
      T(test_round_trip),
      T(test_max_epsilon),
      T(test_vector),
      T(test_steps),
      T(test_null_loss),
      T(test_units)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
