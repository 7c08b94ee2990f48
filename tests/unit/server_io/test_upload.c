// Updates arriving: what a worker finds out about their bytes before they are stored.
#include "base/alloc.h"
#include "crypto/sha256.h"
#include "param/sparse.h"
#include "server/io/daemon.h"
#include "unit/server_io/iotest.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum { LEN = 16 };

static void wake(void *arg) { (void)arg; }

struct rig {
  struct io io;
  struct srv *srv;
};

static void rig_init(struct rig *r) {
  io_init(&r->io, io_plan_shared);
  r->srv = xf_calloc(1, sizeof *r->srv);
  r->srv->st = r->io.st; /* borrowed: the members' table and the spool are what uploads use */
  r->srv->cfg = r->io.cfg;
  r->srv->stopping = true; /* no core listens */
  r->srv->upload = xf_calloc(IO_MEMBERS, sizeof(struct srv_upload *));
  assert_rc(xf_worker_start(&r->srv->pool, 1, wake, NULL), XF_OK);
}

static void rig_deinit(struct rig *r) {
  xf_worker_stop(r->srv->pool);
  srv_upload_free_all(r->srv);
  xf_free(r->srv);
  io_deinit(&r->io);
}

/* Sends p in pieces of `step` bytes and gives what SPOOLED would say; `stored`: whether the file is there. */
static enum xf_rc upload_as(struct rig *r, enum xf_dtype dtype, enum xf_task_kind kind,
                            const void *p, size_t len, size_t step, bool damage, bool abort,
                            bool *stored) {
  struct xf_coord_action a = {.member = 1, .round = 1, .kind = kind};
  char path[XF_PATH_MAX];
  a.begin =
      (struct xf_msg_update_begin){.round = 1, .weight = 1, .dtype = dtype, .payload_len = len};
  a.begin.task_id.b[0] = 1;
  xf_sha256(&a.begin.payload_digest, p, len);
  if (damage) a.begin.payload_digest.b[0] ^= 1;
  srv_upload_begin(r->srv, &a);
  for (size_t at = 0; at < len; at += step)
    srv_upload_write(r->srv, 1, at, (const uint8_t *)p + at, len - at < step ? len - at : step);
  srv_upload_finish(r->srv, 1, 1);
  if (abort) srv_upload_abort(r->srv, 1);
  struct srv_upload *u = (struct srv_upload *)(void *)xf_worker_wait(r->srv->pool);
  assert_non_null(u);
  const enum xf_rc rc = u->rc;
  const struct xf_spool_head head = {.round = 1, .task_id = a.begin.task_id};
  char name[XF_SPOOL_NAME_MAX];
  xf_spool_name(name, &head);
  assert_rc(xf_fs_join(path, r->io.st.spool.dir, name), XF_OK);
  u->job.done(r->srv, &u->job);
  *stored = access(path, F_OK) == 0;
  if (*stored) unlink(path);
  return rc;
}

static enum xf_rc upload(struct rig *r, enum xf_task_kind kind, const void *p, size_t len,
                         size_t step, bool damage, bool abort, bool *stored) {
  return upload_as(r, XF_DTYPE_FLOAT32, kind, p, len, step, damage, abort, stored);
}

static void test_bytes(void **state) {
  (void)state;
  struct rig r;
  bool stored = false;
  float x[LEN];
  rig_init(&r);
  for (int i = 0; i < LEN; i++) x[i] = (float)i;
  for (size_t step = 1; step <= sizeof x; step++) {
    assert_rc(upload(&r, XF_TASK_TRAIN, x, sizeof x, step, false, false, &stored), XF_OK);
    assert_true(stored);
  }
  assert_rc(upload(&r, XF_TASK_TRAIN, x, sizeof x, 7, true, false, &stored), XF_E_CORRUPT);
  assert_false(stored);
  assert_rc(upload(&r, XF_TASK_TRAIN, x, sizeof x, 64, false, true, &stored), XF_OK);
  assert_false(stored); /* given up meanwhile: nothing stays */
  for (size_t step = 1; step <= sizeof x; step++) {
    for (int i = 0; i < LEN; i += 5) {
      const float was = x[i];
      x[i] = i % 2 ? NAN : INFINITY;
      assert_rc(upload(&r, XF_TASK_TRAIN, x, sizeof x, step, false, false, &stored), XF_E_NAN);
      assert_false(stored);
      assert_rc(upload(&r, XF_TASK_TRAIN, x, sizeof x, step, true, false, &stored), XF_E_CORRUPT);
      x[i] = was;
    }
  }
  rig_deinit(&r);
}

/* Without zeros: entries are no floats, and what cannot be read never gets as far as the fold. */
static void test_sparse(void **state) {
  (void)state;
  struct rig r;
  bool stored = false;
  struct xf_buf b;
  rig_init(&r);
  r.srv->st.plan.stages[0].fed.encoding = XF_PLAN_ENCODING_SPARSE;
  const uint64_t n = srv_model_lens(&r.srv->st, 1).up[0] / sizeof(float);
  assert_true(n > 2);
  float *x = xf_calloc((size_t)n, sizeof *x);
  const uint32_t odd = 0x3f807f80; /* its lower half beside a place reads as NaN */
  memcpy(x, &odd, sizeof odd);
  xf_buf_init(&b, 1 << 20);
  assert_rc(xf_sparse_put(&b, x, n), XF_OK);
  assert_rc(upload_as(&r, XF_DTYPE_SPARSE, XF_TASK_TRAIN, b.p, b.len, 5, false, false, &stored),
            XF_OK);
  assert_true(stored);
  b.p[17] = 0xff; /* its place: beyond the vector */
  assert_rc(upload_as(&r, XF_DTYPE_SPARSE, XF_TASK_TRAIN, b.p, b.len, 5, false, false, &stored),
            XF_E_FORMAT);
  assert_false(stored);
  assert_rc(upload_as(&r, XF_DTYPE_SPARSE, XF_TASK_TRAIN, b.p, b.len, 5, true, false, &stored),
            XF_E_CORRUPT);
  x[0] = INFINITY;
  xf_buf_reset(&b);
  assert_rc(xf_sparse_put(&b, x, n), XF_OK);
  assert_rc(upload_as(&r, XF_DTYPE_SPARSE, XF_TASK_TRAIN, b.p, b.len, 5, false, false, &stored),
            XF_E_NAN);
  assert_false(stored);
  xf_buf_deinit(&b);
  xf_free(x);
  rig_deinit(&r);
}

/* Encoded numbers may be cut anywhere, and rubbish never gets as far as the fold. */
static void test_coded(void **state) {
  (void)state;
  struct rig r;
  bool stored = false;
  struct xf_diag diag;
  struct xf_rng rng;
  struct xf_buf b;
  rig_init(&r);
  xf_diag_init(&diag);
  xf_rng_init(&rng, 1, 0);
  r.srv->st.plan.stages[0].fed.encoding = XF_PLAN_ENCODING_QSGD;
  const struct xf_codec codec = xf_plan_codec(&r.srv->st.plan, 0, 1);
  const uint64_t n = srv_model_lens(&r.srv->st, 1).up[0] / sizeof(float);
  float *x = xf_calloc((size_t)n, sizeof *x);
  for (uint64_t i = 0; i < n; i++) x[i] = (float)i - 2;
  xf_buf_init(&b, 1 << 20);
  assert_rc(xf_codec_put(&b, &codec, x, n, &rng, &diag), XF_OK);
  for (size_t step = 1; step < 5; step++)
    assert_rc(upload_as(&r, XF_DTYPE_QSGD, XF_TASK_TRAIN, b.p, b.len, step, false, false, &stored),
              XF_OK);
  assert_true(stored);
  b.p[4] |= 0x0f; /* level 15 of 0..14 */
  assert_rc(upload_as(&r, XF_DTYPE_QSGD, XF_TASK_TRAIN, b.p, b.len, 3, false, false, &stored),
            XF_E_FORMAT);
  assert_false(stored);
  b.p[4] = 0;
  b.p[3] = 0xff; /* its norm is NaN */
  assert_rc(upload_as(&r, XF_DTYPE_QSGD, XF_TASK_TRAIN, b.p, b.len, 3, false, false, &stored),
            XF_E_FORMAT);
  xf_buf_deinit(&b);
  xf_free(x);
  rig_deinit(&r);
}

static void test_report(void **state) {
  (void)state;
  struct rig r;
  bool stored = false;
  struct xf_buf report;
  const struct xf_eval_metric m = {"federated", "test", "acc", 1, 2};
  rig_init(&r);
  xf_buf_init(&report, XF_REPORT_MAX);
  assert_rc(xf_eval_report_encode(&report, &m, 1), XF_OK);
  assert_rc(upload(&r, XF_TASK_EVALUATE, report.p, report.len, 5, false, false, &stored), XF_OK);
  assert_true(stored);
  report.p[0] = 0xff;
  assert_rc(upload(&r, XF_TASK_EVALUATE, report.p, report.len, 5, false, false, &stored),
            XF_E_FORMAT);
  assert_false(stored);
  assert_rc(upload(&r, XF_TASK_EVALUATE, report.p, report.len, 5, true, false, &stored),
            XF_E_CORRUPT);
  xf_buf_deinit(&report);
  rig_deinit(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_bytes), cmocka_unit_test(test_sparse),
                                     cmocka_unit_test(test_coded), cmocka_unit_test(test_report)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
