/* crossfed verify: whether state directories keep the invariants. */
#include "store/verify.h"

#include "tools/json_out.h"
#include "tools/recompute.h"
#include "tools/tools.h"

#include <stdio.h>
#include <string.h>

enum { JSON_MAX = 4 << 20 };

static const char usage[] =
    "usage: crossfed verify DIR... [--json]\n"
    "\n"
    "Checks state directories of coordinators and silos; reads only, also beside a running "
    "daemon.\n"
    "  I1 an update counts at most once a round     I2 acknowledged updates are counted or have a "
    "reason\n"
    "  I3 the newest model recomputes from its updates (the last round's, while they are "
    "retained)\n"
    "  I4 rounds are numbered without gaps          I5 the newest model is there and whole\n"
    "  I6 every release was charged before          I7 the chain of events is intact\n"
    "  I8 no temporary or left-over files           I10 the run ends where its plan says\n"
    "What could not be checked is listed with its reason. Exit status 0, or 7 when something is "
    "damaged.\n"
    "  --json   one JSON object\n";

struct output {
  bool json;
  struct xf_jsonw w;
};

static const char *const level_names[] = {"ok", "skipped", "damaged"};

static void report(void *arg, const char *invariant, enum xf_verify_level level, const char *text) {
  struct output *o = arg;
  if (!o->json) {
    printf("  %-7s  %-5s  %s\n", level_names[level], invariant, text);
    return;
  }
  xf_jsonw_object(&o->w);
  xf_jsonw_kstr(&o->w, "invariant", invariant);
  xf_jsonw_kstr(&o->w, "level", level_names[level]);
  xf_jsonw_kstr(&o->w, "text", text);
  xf_jsonw_object_end(&o->w);
}

/* Exit status of one directory. */
static int verify(struct output *o, const char *dir) {
  const struct xf_verify_opts opts = {
      .report = report, .report_arg = o, .fold = xf_tool_recompute, .end = xf_tool_ended};
  struct xf_verify_result result;
  struct xf_diag diag;
  if (o->json) {
    xf_jsonw_object(&o->w);
    xf_jsonw_kstr(&o->w, "dir", dir);
    xf_jsonw_key(&o->w, "findings");
    xf_jsonw_array(&o->w);
  } else printf("%s\n", dir);
  enum xf_rc rc = xf_store_verify(xf_fs_posix(), dir, &opts, &result, &diag);
  const bool failed = rc && rc != XF_E_CORRUPT;
  if (o->json) {
    xf_jsonw_array_end(&o->w);
    xf_jsonw_kbool(&o->w, "ok", !rc);
    xf_jsonw_kuint(&o->w, "checks", result.checks);
    xf_jsonw_kuint(&o->w, "damages", result.damages);
    xf_jsonw_kuint(&o->w, "skipped", result.skipped);
    if (failed) xf_jsonw_kstr(&o->w, "error", xf_diag_text(&diag, rc));
    xf_jsonw_object_end(&o->w);
  } else if (!failed) {
    printf("  %s: %llu checks, %llu damages, %llu skipped\n", rc ? "DAMAGED" : "ok",
           (unsigned long long)result.checks, (unsigned long long)result.damages,
           (unsigned long long)result.skipped);
  }
  if (failed) fprintf(stderr, "crossfed verify: %s\n", xf_diag_text(&diag, rc));
  return xf_rc_exit(rc);
}

static int run(struct output *o, int n, char **dirs) {
  struct xf_buf buf;
  int status = XF_EXIT_OK;
  xf_buf_init(&buf, JSON_MAX);
  if (o->json) {
    xf_jsonw_init(&o->w, &buf);
    xf_jsonw_object(&o->w);
    xf_jsonw_kuint(&o->w, "v", 1);
    xf_jsonw_key(&o->w, "dirs");
    xf_jsonw_array(&o->w);
  }
  for (int i = 0; i < n; i++) {
    const int one = verify(o, dirs[i]);
    if (status != XF_EXIT_STATE && one) status = one; /* damage outweighs every other failure */
  }
  if (o->json) {
    xf_jsonw_array_end(&o->w);
    xf_jsonw_kbool(&o->w, "ok", status == XF_EXIT_OK);
    xf_jsonw_object_end(&o->w);
    const enum xf_rc rc = xf_tool_json(&buf, &o->w);
    if (rc) {
      fprintf(stderr, "crossfed verify: cannot print the findings: %s\n", xf_rc_text(rc));
      if (!status) status = xf_rc_exit(rc);
    }
  }
  xf_buf_deinit(&buf);
  if (fflush(stdout) != 0 && !status) status = XF_EXIT_FAILED;
  return status;
}

int xf_tool_verify(int argc, char **argv) {
  struct output o = {0};
  int n = 0;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0) {
      fputs(usage, stdout);
      return XF_EXIT_OK;
    }
    if (strcmp(argv[i], "--json") == 0) o.json = true;
    else if (argv[i][0] != '-') argv[n++] = argv[i]; /* directories to the front: n < i */
    else {
      fprintf(stderr, "crossfed verify: \"%s\" is not understood here\n\n%s", argv[i], usage);
      return XF_EXIT_USAGE;
    }
  }
  if (n == 0) {
    fputs(usage, stderr);
    return XF_EXIT_USAGE;
  }
  return run(&o, n, argv);
}
