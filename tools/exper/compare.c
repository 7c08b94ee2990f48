/* crossfed compare: settings over seeds, side by side. */
#include "base/alloc.h"
#include "base/str.h"
#include "tools/exper/columns.h"
#include "tools/exper/verb.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { OUT_MAX = 64 << 20 };

static const char usage[] =
    "usage: crossfed compare RUN... [--metric KEY] [--split valid|test|train] [--arm ARM]\n"
    "                        [--target VALUE] [--format text|md|csv|json] [--json]\n"
    "\n"
    "Runs of one plan that differ in the seed alone are one line: mean +- deviation over seeds (n "
    "- 1).\n"
    "RUN: a directory of crossfed sim --out, a coordinator's state directory whose run is done, or "
    "a\n"
    "sweep's directory, which stands for its finished runs.\n"
    "  --metric KEY    as in metrics.jsonl (acc, ndcg_10_full); without it the plan's NDCG or "
    "first\n"
    "  --split S       valid unless told: what is chosen by, is not what is reported\n"
    "  --arm ARM       federated; guarded where the plan recommends. An arm that is measured only "
    "at\n"
    "                  the end has no curve, and its figure is the plain mean over clients\n"
    "  --target VALUE  rounds, bytes (both ways) and virtual time until the best figure so far "
    "reaches\n"
    "                  it, interpolated between evaluations; a mean only where every seed reaches "
    "it\n"
    "  --format F      text, md (a Markdown table), csv (full precision), json (as --json)\n"
    "worst 10 % of clients: mean of the worst tenth of the clients' last figures, at least one "
    "client.\n";

struct request {
  struct xf_exper_query query;
  const char **dir;
  size_t n_dir;
  enum xf_exper_format format;
  double target;
  bool has_target, help;
};

static enum xf_rc take_format(struct request *r, const char *text, struct xf_diag *diag) {
  static const char *const names[] = {"text", "md", "csv", "json"};
  for (int f = 0; f < 4; f++)
    if (strcmp(text, names[f]) == 0) {
      r->format = (enum xf_exper_format)f;
      return XF_OK;
    }
  return xf_diag_set(diag, XF_E_INVAL, "--format %s: must be text, md, csv or json", text);
}

static enum xf_rc take_option(struct request *r, const char *name, const char *value,
                              struct xf_diag *diag) {
  if (strcmp(name, "--metric") == 0) r->query.metric = value;
  else if (strcmp(name, "--arm") == 0) r->query.arm = value;
  else if (strcmp(name, "--format") == 0) return take_format(r, value, diag);
  else if (strcmp(name, "--target") == 0) {
    r->has_target = true;
    if (xf_str_double(&r->target, value, strlen(value)))
      return xf_diag_set(diag, XF_E_INVAL, "--target %s: must be a number", value);
  } else if (strcmp(name, "--split") == 0) {
    r->query.split = value;
    if (strcmp(value, "valid") != 0 && strcmp(value, "test") != 0 && strcmp(value, "train") != 0)
      return xf_diag_set(diag, XF_E_INVAL, "--split %s: must be valid, test or train", value);
  } else {
    return xf_diag_set(diag, XF_E_INVAL, "unknown argument \"%s\"", name);
  }
  return XF_OK;
}

static enum xf_rc parse(struct request *r, int argc, char **argv, struct xf_diag *diag) {
  r->query.split = "valid";
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0) r->help = true;
    else if (strcmp(argv[i], "--json") == 0) r->format = XF_EXPER_JSON;
    else if (argv[i][0] != '-') r->dir[r->n_dir++] = argv[i];
    else if (i + 1 == argc)
      return xf_diag_set(diag, XF_E_INVAL, "%s: unknown, or its value is missing", argv[i]);
    else if (take_option(r, argv[i], argv[i + 1], diag)) return diag->rc;
    else i++;
  }
  return r->help || r->n_dir ? XF_OK : xf_diag_set(diag, XF_E_INVAL, "RUN is missing");
}

static void notes(const struct request *r, const struct xf_exper *e) {
  for (size_t i = 0; i < e->n; i++)
    if (!isfinite(e->run[i].value))
      (void)fprintf(stderr, "%s: no such figure; left out of the means\n", e->run[i].dir);
  if (r->has_target)
    for (size_t i = 0; i < e->n; i++)
      if (!e->run[i].n_curve) {
        (void)fprintf(stderr,
                      "%s: no curve of arm %s, so nothing reaches a target; only evaluations "
                      "between rounds (eval.every) make one\n",
                      e->run[i].dir, e->arm);
        break;
      }
}

static enum xf_rc compare(const struct request *r, struct xf_diag *diag) {
  struct xf_exper e;
  struct xf_buf out;
  enum xf_rc rc = xf_exper_read(&e, r->dir, r->n_dir, &r->query, diag);
  if (rc) return rc;
  xf_buf_init(&out, OUT_MAX);
  if (r->format == XF_EXPER_TEXT)
    rc = xf_buf_printf(&out, "%s on %s, arm %s, %s is better; mean +- deviation over seeds\n",
                       e.metric, e.split, e.arm, e.up ? "larger" : "smaller");
  if (!rc && r->format == XF_EXPER_TEXT && r->has_target)
    rc = xf_buf_printf(&out, "target %g: first reached by the best so far, interpolated\n",
                       r->target);
  if (!rc) rc = xf_exper_table(&out, &e, r->format, r->has_target ? &r->target : NULL);
  if (!rc && (fwrite(out.p, 1, out.len, stdout) != out.len || fflush(stdout)))
    rc = xf_diag_set(diag, XF_E_IO, "standard output: cannot write");
  if (!rc) notes(r, &e);
  xf_buf_deinit(&out);
  xf_exper_deinit(&e);
  return rc;
}

int xf_tool_compare(int argc, char **argv) {
  struct request r = {.dir = xf_calloc((size_t)argc, sizeof *r.dir)};
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = parse(&r, argc, argv, &diag);
  int status = XF_EXIT_OK;
  if (rc) {
    (void)fprintf(stderr, "crossfed compare: %s\n%s", xf_diag_text(&diag, rc), usage);
    status = XF_EXIT_USAGE;
  } else if (r.help) {
    status = fputs(usage, stdout) < 0 ? XF_EXIT_FAILED : XF_EXIT_OK;
  } else if ((rc = compare(&r, &diag)) != XF_OK) {
    (void)fprintf(stderr, "crossfed compare: %s\n", xf_diag_text(&diag, rc));
    status = xf_rc_exit(rc);
  }
  xf_free(r.dir);
  return status;
}
