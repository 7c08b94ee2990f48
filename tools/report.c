/* crossfed report: what a finished federation came to, per silo, from the silos' own files. */
#include "tools/tools.h"

#include "base/fs.h"
#include "plan/plan.h"
#include "tools/admin_text.h"
#include "tools/json_out.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FILE_MAX = 1 << 20 };

static const char usage[] = "usage: crossfed report DIR... [--json]\n"
                            "\n"
                            "DIR: state directories. Of a silo whose run is done: popularity, "
                            "alone and federated on its test part,\n"
                            "and what it serves, chosen on its validation part. Of a coordinator: "
                            "rounds, bytes, the model.\n";

static const char *const arms[] = {"popularity", "alone", "federated"};

static enum xf_rc read_json(struct xf_json **out, const char *dir, const char *name,
                            struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct xf_buf buf;
  xf_buf_init(&buf, FILE_MAX);
  enum xf_rc rc = xf_fs_join(path, dir, name);
  if (!rc) rc = xf_fs_read_file(xf_fs_posix(), path, &buf, diag);
  if (!rc) rc = xf_json_parse(out, path, (const char *)buf.p, buf.len, NULL, diag);
  xf_buf_deinit(&buf);
  return rc;
}

struct silo {
  const char *client, *served;
  const struct xf_json_value *arms;
};

static double figure(const struct silo *s, const char *arm, const char *key) {
  double v = NAN;
  if (!xf_json_double(xf_json_find(xf_json_find(xf_json_find(s->arms, arm), "test"), key), &v))
    return NAN;
  return v;
}

static void put(double v) {
  if (isfinite(v)) printf(" %10.4f", v);
  else printf(" %10s", "-");
}

struct lines {
  const struct silo *silo;
  size_t n;
};

static enum xf_rc put_line(void *arg, const char *key, const struct xf_json_value *v) {
  struct lines *l = arg;
  (void)v;
  printf("%-20s %-16s", l->n ? "" : l->silo->client, key);
  for (size_t a = 0; a < sizeof arms / sizeof arms[0]; a++) put(figure(l->silo, arms[a], key));
  put(figure(l->silo, l->silo->served, key));
  printf("%s%s\n", l->n ? "" : "  ", l->n ? "" : l->silo->served);
  l->n++;
  return XF_OK;
}

static enum xf_rc print_silo(const struct xf_json *json, bool first, struct xf_diag *diag) {
  const struct xf_json_value *root = xf_json_root(json);
  struct silo s = {.arms = xf_json_find(root, "arms")};
  enum xf_rc rc = xf_json_get_str(root, "client", &s.client, diag);
  if (!rc) rc = xf_json_get_str(root, "served", &s.served, diag);
  if (rc) return rc;
  if (first)
    printf("%-20s %-16s %10s %10s %10s %10s\n", "silo", "test", arms[0], arms[1], arms[2],
           "served");
  struct lines lines = {&s, 0};
  /* the served arm's: where nothing came from the federation there is no federated arm */
  rc = xf_json_each(xf_json_find(xf_json_find(s.arms, s.served), "test"), put_line, &lines);
  return rc ? xf_diag_set(diag, rc, "silo %s: its report has no figures of the arm \"%s\"",
                          s.client, s.served)
            : XF_OK;
}

static enum xf_rc print_coordinator(const struct xf_json *json, struct xf_diag *diag) {
  const struct xf_json_value *root = xf_json_root(json);
  const char *run = NULL, *model = NULL;
  uint64_t rounds = 0, up = 0, down = 0;
  double wall_s = 0, epsilon = 0;
  enum xf_rc rc = xf_json_get_str(root, "run", &run, diag);
  if (!rc) rc = xf_json_get_str(root, "model_blake2b", &model, diag);
  if (!rc) rc = xf_json_get_uint(root, "rounds", &rounds, diag);
  if (!rc) rc = xf_json_get_uint(root, "bytes_up", &up, diag);
  if (!rc) rc = xf_json_get_uint(root, "bytes_down", &down, diag);
  if (!rc) rc = xf_json_get_double(root, "wall_s", &wall_s, diag);
  if (rc) return rc;
  printf("run %s: %llu rounds in %.2f s, updates up %llu bytes, models down %llu bytes\n", run,
         (unsigned long long)rounds, wall_s, (unsigned long long)up, (unsigned long long)down);
  if (xf_json_double(xf_json_find(root, "epsilon"), &epsilon))
    printf("epsilon %.4g, %s\n", epsilon, xf_plan_claim(NULL));
  struct xf_buf drift;
  xf_buf_init(&drift, FILE_MAX);
  rc = xf_tool_drift_text(&drift, xf_json_find(root, "drift"), "drift in ");
  if (!rc && drift.len) fputs(xf_buf_cstr(&drift), stdout);
  xf_buf_deinit(&drift);
  printf("model_blake2b %s\n\n", model);
  return rc;
}

/* The file of a directory that says what it is; coordinators first. */
static enum xf_rc print_dir(const char *dir, bool *first, struct xf_diag *diag) {
  struct xf_json *json = NULL;
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_fs_join(path, dir, "serve/report.json");
  const bool silo = !rc && xf_fs_exists(xf_fs_posix(), path);
  if (!rc) rc = read_json(&json, dir, silo ? "serve/report.json" : "summary.json", diag);
  if (rc == XF_E_NOTFOUND)
    return xf_diag_set(diag, rc,
                       "%s: neither a silo's nor a coordinator's state directory whose run is done",
                       dir);
  if (!rc) rc = silo ? print_silo(json, *first, diag) : print_coordinator(json, diag);
  if (silo) *first = false;
  xf_json_free(json);
  return rc;
}

/* {"v":1,"dirs":[{...}, ...]}: the files as they are. */
static enum xf_rc print_all_json(char **dir, int n, struct xf_diag *diag) {
  struct xf_buf out;
  struct xf_jsonw w;
  enum xf_rc rc = XF_OK;
  xf_buf_init(&out, (size_t)n * FILE_MAX);
  xf_jsonw_init(&w, &out);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_key(&w, "dirs");
  xf_jsonw_array(&w);
  for (int i = 0; i < n && !rc; i++) {
    char path[XF_PATH_MAX];
    struct xf_buf text;
    xf_buf_init(&text, FILE_MAX);
    rc = xf_fs_join(path, dir[i], "serve/report.json");
    if (!rc && !xf_fs_exists(xf_fs_posix(), path)) rc = xf_fs_join(path, dir[i], "summary.json");
    if (!rc) rc = xf_fs_read_file(xf_fs_posix(), path, &text, diag);
    while (text.len && text.p[text.len - 1] == '\n') text.len--;
    if (!rc) xf_jsonw_raw(&w, (const char *)text.p, text.len);
    xf_buf_deinit(&text);
  }
  xf_jsonw_array_end(&w);
  xf_jsonw_object_end(&w);
  if (!rc) rc = xf_tool_json(&out, &w);
  xf_buf_deinit(&out);
  return rc;
}

int xf_tool_report(int argc, char **argv) {
  bool json = false, first = true;
  int n = 0;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0) {
      fputs(usage, stdout);
      return XF_EXIT_OK;
    }
    if (strcmp(argv[i], "--json") == 0) json = true;
    else argv[++n] = argv[i];
  }
  if (n == 0 || argv[1][0] == '-') {
    fputs(usage, stderr);
    return XF_EXIT_USAGE;
  }
  struct xf_diag diag;
  enum xf_rc rc = XF_OK;
  xf_diag_init(&diag);
  if (json) rc = print_all_json(argv + 1, n, &diag);
  for (int i = 1; i <= n && !json && !rc; i++) rc = print_dir(argv[i], &first, &diag);
  if (rc) fprintf(stderr, "crossfed report: %s\n", xf_diag_text(&diag, rc));
  return xf_rc_exit(rc);
}
