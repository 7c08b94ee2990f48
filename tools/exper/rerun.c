/* crossfed rerun: a run directory's run again, from what the directory says, and whether the same came out. */
#include "base/alloc.h"
#include "base/fs.h"
#include "base/str.h"
#include "tools/exper/spawn.h"
#include "tools/exper/verb.h"
#include "json/json.h"
#include "json/jsonw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 64 << 20, OUT_MAX = 1 << 16 };

static const char usage[] =
    "usage: crossfed rerun RUN [--out DIR] [--threads N] [--json]\n"
    "\n"
    "RUN: a directory of crossfed sim --out. Runs its plan.resolved.yaml again and compares\n"
    "model_blake2b and metrics.jsonl with what RUN holds. Exit status 0: the same bytes; 3: not.\n"
    "  --out DIR      keeps the second run there; without it, it goes with a temporary directory\n"
    "  --threads N    workers (0: all cores); the result does not depend on it\n"
    "  --json         one JSON object\n";

struct request {
  const char *run, *out, *threads;
  bool json, help;
};

struct summary {
  struct xf_json *json;
  const char *model, *blas, *isa;
};

static enum xf_rc parse(struct request *r, int argc, char **argv, struct xf_diag *diag) {
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i];
    const bool more = i + 1 < argc;
    uint64_t n = 0;
    if (strcmp(arg, "--help") == 0) r->help = true;
    else if (strcmp(arg, "--json") == 0) r->json = true;
    else if (strcmp(arg, "--out") == 0 && more) r->out = argv[++i];
    else if (strcmp(arg, "--threads") == 0 && more) {
      r->threads = argv[++i];
      if (xf_str_u64(&n, r->threads, strlen(r->threads)) || n > 256)
        return xf_diag_set(diag, XF_E_INVAL, "--threads %s: must be 0 to 256", r->threads);
    } else if (arg[0] == '-') {
      return xf_diag_set(diag, XF_E_INVAL, "%s: unknown, or its value is missing", arg);
    } else if (r->run) {
      return xf_diag_set(diag, XF_E_INVAL, "one RUN, not \"%s\" and \"%s\"", r->run, arg);
    } else {
      r->run = arg;
    }
  }
  return r->run || r->help ? XF_OK : xf_diag_set(diag, XF_E_INVAL, "RUN is missing");
}

static enum xf_rc read_summary(struct summary *s, const char *dir, struct xf_diag *diag) {
  struct xf_buf text;
  char path[XF_PATH_MAX];
  const struct xf_json_limits wide = {FILE_MAX, 0};
  const struct xf_fs *fs = xf_fs_posix();
  enum xf_rc rc = xf_fs_join(path, dir, "summary.json");
  if (rc) return xf_diag_set(diag, rc, "the path \"%.64s...\" is too long", dir);
  if (!xf_fs_exists(fs, path))
    return xf_diag_set(diag, XF_E_NOTFOUND,
                       "%s: no summary.json, so no finished run; a run directory is what crossfed "
                       "sim --out leaves",
                       dir);
  xf_buf_init(&text, FILE_MAX);
  rc = xf_fs_read_file(fs, path, &text, diag);
  if (!rc) rc = xf_json_parse(&s->json, path, (const char *)text.p, text.len, &wide, diag);
  xf_buf_deinit(&text);
  if (rc) return rc;
  const struct xf_json_value *root = xf_json_root(s->json);
  if (xf_json_find(root, "run"))
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "%s is a coordinator's directory: its silos' data are elsewhere; crossfed "
                       "verify %s computes its newest model again",
                       dir, dir);
  if (!xf_json_str(xf_json_find(root, "model_blake2b"), &s->model))
    return xf_diag_set(diag, XF_E_NOTFOUND, "%s: no model_blake2b, so nothing to compare with",
                       path);
  (void)xf_json_str(xf_json_find(root, "blas"), &s->blas);
  (void)xf_json_str(xf_json_find(root, "isa"), &s->isa);
  return XF_OK;
}

static enum xf_rc run_again(const struct request *r, const char *dir, struct xf_diag *diag) {
  char plan[XF_PATH_MAX], err[XF_PATH_MAX], said[512];
  pid_t pid = -1;
  enum xf_rc rc = xf_fs_join(plan, r->run, "plan.resolved.yaml");
  if (!rc) rc = xf_fs_join(err, dir, "stderr.txt");
  if (rc) return xf_diag_set(diag, rc, "the path \"%.64s...\" is too long", r->run);
  const char *const argv[] = {"crossfed", "sim",    plan,        "--out",
                              dir,        "--json", "--threads", r->threads ? r->threads : "0",
                              NULL};
  rc = xf_spawn(&pid, (char *const *)(uintptr_t)argv, err, diag);
  if (rc) return rc;
  const int status = xf_spawn_wait(&pid);
  xf_spawn_said(said, sizeof said, err);
  if (status)
    return xf_diag_set(diag, XF_E_STATE, "the second run failed: %s",
                       said[0] ? said : "it said nothing");
  (void)xf_fs_posix()->unlink(xf_fs_posix(), err);
  return XF_OK;
}

/* Whether metrics.jsonl is the same in both. */
static enum xf_rc same_metrics(bool *same, const char *a, const char *b, struct xf_diag *diag) {
  struct xf_buf text[2];
  const char *const dir[] = {a, b};
  enum xf_rc rc = XF_OK;
  for (int i = 0; i < 2; i++) {
    char path[XF_PATH_MAX];
    xf_buf_init(&text[i], (size_t)512 << 20);
    if (!rc) rc = xf_fs_join(path, dir[i], "metrics.jsonl");
    if (!rc) rc = xf_fs_read_file(xf_fs_posix(), path, &text[i], diag);
  }
  *same = !rc && text[0].len == text[1].len &&
          (!text[0].len || memcmp(text[0].p, text[1].p, text[0].len) == 0);
  xf_buf_deinit(&text[0]);
  xf_buf_deinit(&text[1]);
  return rc;
}

static bool differ(const char *a, const char *b) { return a && b && strcmp(a, b) != 0; }

static enum xf_rc print(const struct request *r, const struct summary *was,
                        const struct summary *is, bool model, bool metrics, struct xf_diag *diag) {
  struct xf_buf out;
  struct xf_jsonw w;
  enum xf_rc rc = XF_OK;
  xf_buf_init(&out, OUT_MAX);
  if (r->json) {
    xf_jsonw_init(&w, &out);
    xf_jsonw_object(&w);
    xf_jsonw_kuint(&w, "v", 1);
    xf_jsonw_kstr(&w, "run", r->run);
    xf_jsonw_kstr(&w, "model_blake2b", was->model);
    xf_jsonw_kstr(&w, "again", is->model);
    xf_jsonw_kbool(&w, "same_model", model);
    xf_jsonw_kbool(&w, "same_metrics", metrics);
    xf_jsonw_object_end(&w);
    rc = xf_jsonw_finish(&w);
    if (!rc) rc = xf_buf_put_u8(&out, '\n');
  } else {
    rc = xf_buf_printf(&out, "model_blake2b %s\n        again %s\n%s, metrics.jsonl %s\n",
                       was->model, is->model, model ? "the same model" : "ANOTHER MODEL",
                       metrics ? "the same" : "differs");
  }
  if (!rc && !model && differ(was->isa, is->isa))
    (void)fprintf(stderr,
                  "the first run's kernels were %s, these are %s: that alone changes bits\n",
                  was->isa, is->isa);
  if (!rc && !model && differ(was->blas, is->blas))
    (void)fprintf(stderr,
                  "the first run's BLAS was \"%s\", this is \"%s\": that alone changes bits\n",
                  was->blas, is->blas);
  if (!rc && (fwrite(out.p, 1, out.len, stdout) != out.len || fflush(stdout)))
    rc = xf_diag_set(diag, XF_E_IO, "standard output cannot be written");
  xf_buf_deinit(&out);
  return rc;
}

static enum xf_rc remove_one(void *arg, const char *name) {
  char path[XF_PATH_MAX];
  const struct xf_fs *fs = xf_fs_posix();
  const enum xf_rc rc = xf_fs_join(path, arg, name);
  return rc ? rc : fs->unlink(fs, path);
}

static enum xf_rc make_dir(const struct request *r, char dir[XF_PATH_MAX], struct xf_diag *diag) {
  const char *tmp = getenv("TMPDIR");
  const struct xf_fs *fs = xf_fs_posix();
  if (!r->out) {
    const int n =
        snprintf(dir, XF_PATH_MAX, "%s/crossfed-rerun.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (n >= XF_PATH_MAX || !mkdtemp(dir))
      return xf_diag_set(diag, XF_E_IO, "no temporary directory can be made; give --out DIR");
    return XF_OK;
  }
  enum xf_rc rc = xf_str_copy(dir, XF_PATH_MAX, r->out);
  if (!rc && xf_fs_exists(fs, dir))
    return xf_diag_set(diag, XF_E_EXISTS, "--out %s exists; a second run overwrites nothing", dir);
  if (!rc) rc = fs->mkdir(fs, dir, 0750);
  return rc ? xf_diag_set(diag, rc, "--out %s cannot be made: %s", r->out, xf_rc_text(rc)) : XF_OK;
}

static enum xf_rc rerun(const struct request *r, bool *same, struct xf_diag *diag) {
  struct summary was = {0}, is = {0};
  char dir[XF_PATH_MAX];
  bool metrics = false, made = false;
  enum xf_rc rc = read_summary(&was, r->run, diag);
  if (!rc) rc = make_dir(r, dir, diag);
  made = !rc;
  if (!rc) rc = run_again(r, dir, diag);
  if (!rc) rc = read_summary(&is, dir, diag);
  if (!rc) rc = same_metrics(&metrics, r->run, dir, diag);
  if (!rc) *same = strcmp(was.model, is.model) == 0;
  if (!rc) rc = print(r, &was, &is, *same, metrics, diag);
  *same &= metrics;
  xf_json_free(was.json);
  xf_json_free(is.json);
  if (made && !r->out) {
    (void)xf_fs_posix()->list(xf_fs_posix(), dir, remove_one,
                              dir); /* temporary: what stays is harmless */
    (void)rmdir(dir);
  }
  return rc;
}

int xf_tool_rerun(int argc, char **argv) {
  struct request r = {0};
  struct xf_diag diag;
  bool same = false;
  xf_diag_init(&diag);
  enum xf_rc rc = parse(&r, argc, argv, &diag);
  if (rc) {
    (void)fprintf(stderr, "crossfed rerun: %s\n%s", xf_diag_text(&diag, rc), usage);
    return XF_EXIT_USAGE;
  }
  if (r.help) return fputs(usage, stdout) < 0 ? XF_EXIT_FAILED : XF_EXIT_OK;
  rc = rerun(&r, &same, &diag);
  if (rc) (void)fprintf(stderr, "crossfed rerun: %s\n", xf_diag_text(&diag, rc));
  return rc ? xf_rc_exit(rc) : same ? XF_EXIT_OK : XF_EXIT_CONDITION;
}
