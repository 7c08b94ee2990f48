/* safetensors: an independent reader, hostile files, and the reference package where it is installed. */
#include "base/fs_crash.h"
#include "crypto/sha256.h"
#include "store/safetensors.h"
#include "storetest.h"

#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const float w_data[6] = {1.5f, -2.0f, 0.0f, 3.25e10f, -1e-20f, 7.0f};
static const uint8_t k_data[4] = {1, 2, 3, 255};

static void write_sample(const struct xf_fs *fs, const char *path, struct xf_digest *sha) {
  struct xf_safetensors_tensor t[] = {
      {.name = "w", .dtype = XF_SAFETENSORS_F32, .n_dim = 2, .dim = {2, 3}},
      {.name = "empty", .dtype = XF_SAFETENSORS_F32, .n_dim = 2, .dim = {0, 3}},
      {.name = "keys.\"user\"", .dtype = XF_SAFETENSORS_U8, .n_dim = 1, .dim = {4}},
  };
  const struct xf_safetensors_meta meta[] = {{"run", "run-1"}, {"text", "a \"b\"\n\xc3\xa9"}};
  struct xf_safetensors_writer w;
  struct xf_diag diag;
  assert_ok(xf_safetensors_create(&w, fs, path, t, 3, meta, 2, &diag), &diag);
  assert_ok(xf_safetensors_put(&w, w_data, 8, &diag), &diag); /* any cut will do */
  assert_ok(xf_safetensors_put(&w, w_data + 2, sizeof w_data - 8, &diag), &diag);
  assert_ok(xf_safetensors_put(&w, k_data, sizeof k_data, &diag), &diag);
  assert_rc(xf_safetensors_put(&w, k_data, 1, &diag), XF_E_RANGE);
  assert_ok(xf_safetensors_finish(&w, sha, &diag), &diag);
}

static void load(const struct xf_fs *fs, const char *path, struct xf_buf *out) {
  xf_buf_init(out, 1 << 24);
  assert_rc(xf_fs_read_file(fs, path, out, NULL), XF_OK);
}

static void store(const struct xf_fs *fs, const char *path, const void *p, size_t len) {
  assert_rc(xf_fs_replace(fs, path, p, len, NULL), XF_OK);
}

/* An independent reader: finds `"name":{...}` by text search and reads its offsets with sscanf. */
static const uint8_t *mini_find(const struct xf_buf *file, const char *name, size_t *len) {
  uint64_t n = 0;
  unsigned long from = 0, to = 0;
  char *head = calloc(file->len + 1, 1);
  assert_non_null(head);
  memcpy(&n, file->p, 8);
  assert_true(8 + n <= file->len);
  assert_int_equal(file->p[8], '{');
  memcpy(head, file->p + 8, (size_t)n);
  char *at = strstr(head, name);
  assert_non_null(at);
  at = strstr(at, "\"data_offsets\":[");
  assert_non_null(at);
  assert_int_equal(sscanf(at + 16, "%lu,%lu]", &from, &to), 2);
  free(head);
  *len = to - from;
  return file->p + 8 + n + from;
}

static void test_round_trip(void **state) {
  (void)state;
  const struct xf_fs *fs = xf_fs_posix();
  const char *path = st_path(st_dir_new(), "a.safetensors");
  struct xf_digest sha, want;
  struct xf_buf file;
  struct xf_safetensors f;
  struct xf_diag diag;
  size_t len = 0;
  write_sample(fs, path, &sha);
  load(fs, path, &file);
  xf_sha256(&want, file.p, file.len);
  assert_true(xf_digest_equal(&sha, &want));
  const uint8_t *p = mini_find(&file, "\"w\":", &len);
  assert_int_equal(len, sizeof w_data);
  assert_memory_equal(p, w_data, len);
  assert_int_equal((uintptr_t)(p - file.p) % 64, 0);
  p = mini_find(&file, "\"keys.\\\"user\\\"\":", &len);
  assert_int_equal(len, sizeof k_data);
  assert_memory_equal(p, k_data, len);

  assert_ok(xf_safetensors_open(&f, fs, path, &diag), &diag);
  assert_int_equal(f.n_tensor, 3);
  assert_string_equal(xf_safetensors_get(&f, "text"), "a \"b\"\n\xc3\xa9");
  assert_null(xf_safetensors_get(&f, "none"));
  const struct xf_safetensors_tensor *t = xf_safetensors_find(&f, "w");
  assert_non_null(t);
  assert_int_equal(t->n_dim, 2);
  assert_int_equal(t->dim[1], 3);
  float back[6];
  assert_ok(xf_safetensors_read(&f, t, back, 8, 16, &diag), &diag);
  assert_memory_equal(back, w_data + 4, 8);
  assert_rc(xf_safetensors_read(&f, t, back, 8, 20, &diag), XF_E_RANGE);
  assert_rc(xf_safetensors_read(&f, t, back, 8, UINT64_MAX, &diag), XF_E_RANGE);
  assert_int_equal(xf_safetensors_find(&f, "empty")->len, 0);
  xf_safetensors_close(&f);
  xf_safetensors_close(&f);
  xf_buf_deinit(&file);
  st_dir_remove();
}

/* Every byte of the header, flipped each way, gives OK or an error with a sentence, never a crash; and
   whatever is accepted still lies inside the file. */
static void test_flips(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct xf_buf file;
  struct xf_diag diag;
  size_t accepted = 0, refused = 0;
  write_sample(fs, "/a", NULL);
  load(fs, "/a", &file);
  size_t head = 8 + (size_t)file.p[0] + ((size_t)file.p[1] << 8);
  for (size_t i = 0; i < head; i++)
    for (int bit = 0; bit < 8; bit++) {
      struct xf_safetensors f;
      file.p[i] ^= (uint8_t)(1 << bit);
      store(fs, "/b", file.p, file.len);
      file.p[i] ^= (uint8_t)(1 << bit);
      xf_diag_init(&diag);
      enum xf_rc rc = xf_safetensors_open(&f, fs, "/b", &diag);
      if (rc) {
        refused++;
        assert_true(rc == XF_E_CORRUPT || rc == XF_E_LIMIT || rc == XF_E_UNSUPPORTED);
        assert_non_null(strstr(xf_diag_text(&diag, rc), "/b"));
        continue;
      }
      accepted++;
      for (size_t k = 0; k < f.n_tensor; k++)
        assert_true(f.data_at + f.tensor[k].at + f.tensor[k].len <= file.len);
      xf_safetensors_close(&f);
    }
  assert_true(refused > accepted);
  for (size_t n = 0; n < file.len; n++) { /* cut off anywhere */
    struct xf_safetensors f;
    store(fs, "/b", file.p, n);
    assert_rc(xf_safetensors_open(&f, fs, "/b", &diag), XF_E_CORRUPT);
  }
  xf_buf_deinit(&file);
  xf_fs_crash_free(disk);
}

static void test_hostile(void **state) {
  (void)state;
  static const struct {
    const char *head, *says;
    enum xf_rc rc;
  } rows[] = {
      {"[]", "does not start", XF_E_CORRUPT},
      {" {}", "does not start", XF_E_CORRUPT},
      {"{\"a\":1}", "not an object", XF_E_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "after the last",
       XF_E_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", "hole", XF_E_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", "ends at byte 16",
       XF_E_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]},"
       "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
       "its shape needs 12 bytes", XF_E_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
       "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
       "overlap", XF_E_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,12]}}",
       "bad extent", XF_E_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-3],\"data_offsets\":[0,12]}}", "bad extent",
       XF_E_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,0]}}", "ascending",
       XF_E_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3]}}", "other keys", XF_E_CORRUPT},
      {"{\"a\":{\"dtype\":\"BF16\",\"shape\":[6],\"data_offsets\":[0,12]}}", "dtype",
       XF_E_UNSUPPORTED},
      {"{\"__metadata__\":{\"x\":1}}", "not a text", XF_E_CORRUPT},
      {"{\"__metadata__\":[]}", "not an object", XF_E_CORRUPT},
      {"{\"a\":{},\"a\":{}}", "header", XF_E_CORRUPT},
      {"{\"\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}", "tensor name",
       XF_E_CORRUPT},
  };
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct xf_safetensors f;
    struct xf_diag diag;
    uint8_t file[512] = {0};
    size_t n = strlen(rows[i].head);
    file[0] = (uint8_t)n;
    memcpy(file + 8, rows[i].head, n);
    store(fs, "/a", file, 8 + n + 12);
    xf_diag_init(&diag);
    enum xf_rc rc = xf_safetensors_open(&f, fs, "/a", &diag);
    if (rc != rows[i].rc || !strstr(diag.text, rows[i].says))
      fail_msg("row %zu: %s: %s", i, xf_rc_name(rc), diag.text);
  }
  uint8_t huge[16] = {0, 0, 0, 0, 0, 0, 0, 0x10};
  struct xf_safetensors f;
  store(fs, "/a", huge, sizeof huge);
  assert_rc(xf_safetensors_open(&f, fs, "/a", NULL), XF_E_LIMIT);
  assert_rc(xf_safetensors_open(&f, fs, "/none", NULL), XF_E_NOTFOUND);
  xf_fs_crash_free(disk);
}

static void test_writer_refuses(void **state) {
  (void)state;
  struct xf_fs_crash *disk = xf_fs_crash_new(1);
  const struct xf_fs *fs = xf_fs_crash_as_fs(disk);
  struct xf_safetensors_writer w;
  struct xf_diag diag;
  struct xf_safetensors_tensor twice[] = {{.name = "a", .n_dim = 1, .dim = {1}},
                                          {.name = "a", .n_dim = 1, .dim = {1}}};
  struct xf_safetensors_tensor big[] = {{.name = "a", .n_dim = 2, .dim = {UINT64_MAX, 4}}};
  struct xf_safetensors_tensor meta[] = {{.name = "__metadata__", .n_dim = 1, .dim = {1}}};
  struct xf_safetensors_tensor one[] = {{.name = "a", .n_dim = 1, .dim = {4}}};
  assert_rc(xf_safetensors_create(&w, fs, "/a", twice, 2, NULL, 0, &diag), XF_E_EXISTS);
  assert_rc(xf_safetensors_create(&w, fs, "/a", big, 1, NULL, 0, &diag), XF_E_INVAL);
  assert_rc(xf_safetensors_create(&w, fs, "/a", meta, 1, NULL, 0, &diag), XF_E_INVAL);
  assert_rc(xf_safetensors_create(&w, fs, "/no/a", one, 1, NULL, 0, &diag), XF_E_NOTFOUND);
  assert_rc(xf_safetensors_create(&w, fs, "/a", one, 1, NULL, 0, &diag), XF_OK);
  assert_rc(xf_safetensors_finish(&w, NULL, &diag),
            XF_E_SHAPE); /* bytes are missing: the file goes */
  assert_false(xf_fs_exists(fs, "/a"));
  xf_safetensors_abort(&w);
  xf_fs_crash_set_capacity(disk, 64);
  assert_rc(xf_safetensors_create(&w, fs, "/a", one, 1, NULL, 0, &diag), XF_E_NOSPACE);
  assert_false(xf_fs_exists(fs, "/a"));
  xf_fs_crash_free(disk);
}

/* The package that everybody uses reads our files, where it is installed. */
static void test_reference_package(void **state) {
  (void)state;
  static const char script[] = "import sys\n"
                               "try:\n from safetensors import safe_open\n"
                               "except ImportError: sys.exit(77)\n"
                               "f = safe_open(sys.argv[1], framework='np')\n"
                               "assert f.metadata()['run'] == 'run-1'\n"
                               "w = f.get_tensor('w')\n"
                               "assert w.shape == (2, 3) and w[0][0] == 1.5 and w[1][2] == 7.0\n";
  const char *path = st_path(st_dir_new(), "a.safetensors");
  char *argv[] = {(char[]){"python3"}, (char[]){"-c"}, NULL, NULL, NULL};
  char code[sizeof script], file[XF_PATH_MAX];
  int status = 0;
  pid_t pid = 0;
  write_sample(xf_fs_posix(), path, NULL);
  memcpy(code, script, sizeof script);
  (void)snprintf(file, sizeof file, "%s", path);
  argv[2] = code;
  argv[3] = file;
  if (posix_spawnp(&pid, "python3", NULL, NULL, argv, environ) != 0) skip();
  assert_int_equal(waitpid(pid, &status, 0), pid);
  st_dir_remove();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    print_message("skipped: Python's safetensors package is not installed\n");
    skip();
  }
  assert_int_equal(status, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_flips),
      cmocka_unit_test(test_hostile),           cmocka_unit_test(test_writer_refuses),
      cmocka_unit_test(test_reference_package),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
