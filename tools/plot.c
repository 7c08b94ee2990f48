/* crossfed plot: a results file as a picture. */
#include "tools/plot.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "tools/tools.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SVG_MAX = 32 << 20 };

static const char usage[] =
    "usage: crossfed plot --x COLUMN --y COLUMN [--series COLUMN] [--err COLUMN] FILE [-o "
    "OUT.svg]\n"
    "                     [--where COLUMN=VALUE]... [--logx] [--points] [--title TEXT]\n"
    "                     [--x-label TEXT] [--y-label TEXT]\n"
    "       crossfed plot RUN... [--y METRIC] [--x commits|bytes|time] [--split S] [--arm ARM] [-o "
    "OUT.svg]\n"
    "                     [--logx] [--title TEXT] [--x-label TEXT] [--y-label TEXT]\n"
    "\n"
    "Draws figures as an SVG. FILE: JSON lines as the table programs print them, a JSON array of\n"
    "objects, or a table with a header and tabs. Rows without the columns, or without a number\n"
    "there, are left out and counted.\n"
    "  --series C        one line per value of this column\n"
    "  --err C           bars of plus and minus this column\n"
    "  --where C=V       only rows with this value; of several for one column any, of those\n"
    "                    for different columns all must hold\n"
    "  --logx            logarithmic x axis\n"
    "  --points          marks without lines; a series may then have several at one x\n"
    "  -o OUT.svg        where to; without it, standard output\n"
    "\n"
    "RUN: directories as crossfed compare takes them. One line per setting, the mean over its "
    "seeds at\n"
    "the evaluations that all of them have, and a band of plus and minus one deviation (n - 1).\n"
    "  --y METRIC        as in metrics.jsonl; without it the plan's NDCG or first\n"
    "  --x C             commits (training rounds), bytes (both ways) or time (virtual seconds)\n"
    "  --split S         valid, test or train; without it valid\n"
    "  --arm ARM         federated; guarded where the plan recommends\n";

/* The options with a value, and where it goes. */
static const char **text_option(struct xf_plot_request *r, const char *name, size_t n) {
  const struct {
    const char *name;
    const char **to;
  } option[] = {{"--x", &r->x},
                {"--y", &r->y},
                {"--series", &r->series},
                {"--err", &r->err},
                {"--title", &r->title},
                {"--x-label", &r->x_label},
                {"--y-label", &r->y_label},
                {"--split", &r->split},
                {"--arm", &r->arm},
                {"-o", &r->out}};
  for (size_t i = 0; i < sizeof option / sizeof option[0]; i++)
    if (strlen(option[i].name) == n && memcmp(option[i].name, name, n) == 0) return option[i].to;
  return NULL;
}

static enum xf_rc add_where(struct xf_plot_request *r, const char *text, struct xf_diag *diag) {
  const char *equal = strchr(text, '=');
  if (!equal || equal == text || equal - text >= XF_PLOT_TEXT)
    return xf_diag_set(diag, XF_E_INVAL, "--where %s: must be COLUMN=VALUE", text);
  if (r->n_where == XF_PLOT_WHERE)
    return xf_diag_set(diag, XF_E_LIMIT, "--where is given more than %d times", XF_PLOT_WHERE);
  r->where[r->n_where++] = text;
  return XF_OK;
}

static bool is_dir(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* What the positional arguments are, and what goes with it. */
static enum xf_rc check(struct xf_plot_request *r, const char *const *arg, size_t n,
                        struct xf_diag *diag) {
  if (n && is_dir(arg[0])) {
    r->run = arg;
    r->n_run = n;
    if (r->series || r->err || r->n_where || r->points)
      return xf_diag_set(diag, XF_E_INVAL,
                         "--series, --err, --where and --points are for a FILE; runs have a line "
                         "for each setting and a band over seeds");
    return XF_OK;
  }
  if (n > 1)
    return xf_diag_set(diag, XF_E_INVAL,
                       "one FILE, not \"%s\" and \"%s\" (several RUNs must be "
                       "directories)",
                       arg[0], arg[1]);
  if (r->split || r->arm)
    return xf_diag_set(diag, XF_E_INVAL,
                       "--split and --arm are for RUNs; choose rows of a FILE with --where");
  if (!r->x || !r->y) return xf_diag_set(diag, XF_E_INVAL, "%s is missing", r->x ? "--y" : "--x");
  r->file = n ? arg[0] : NULL;
  return n ? XF_OK : xf_diag_set(diag, XF_E_INVAL, "FILE is missing");
}

static enum xf_rc parse(struct xf_plot_request *r, const char **file, bool *help, int argc,
                        char **argv, struct xf_diag *diag) {
  size_t n_file = 0;
  *r = (struct xf_plot_request){0};
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i], *equal = arg[0] == '-' ? strchr(arg, '=') : NULL;
    const size_t n = equal ? (size_t)(equal - arg) : strlen(arg);
    const bool where = n == 7 && memcmp(arg, "--where", n) == 0;
    const char **to = text_option(r, arg, n);
    if (to || where) {
      if (!equal && ++i == argc) return xf_diag_set(diag, XF_E_INVAL, "%s needs a value", arg);
      const char *value = equal ? equal + 1 : argv[i];
      if (!*value) return xf_diag_set(diag, XF_E_INVAL, "%.*s: the value is empty", (int)n, arg);
      if (where && add_where(r, value, diag)) return diag->rc;
      if (to && *to) return xf_diag_set(diag, XF_E_INVAL, "%.*s is given twice", (int)n, arg);
      if (to) *to = value;
    } else if (strcmp(arg, "--logx") == 0) {
      r->logx = true;
    } else if (strcmp(arg, "--points") == 0) {
      r->points = true;
    } else if (strcmp(arg, "--help") == 0) {
      *help = true;
      return XF_OK;
    } else if (arg[0] == '-') {
      return xf_diag_set(diag, XF_E_INVAL, "unknown argument \"%s\"", arg);
    } else {
      file[n_file++] = arg;
    }
  }
  return check(r, file, n_file, diag);
}

static enum xf_rc draw(struct xf_plot_request *r, struct xf_diag *diag) {
  char metric[XF_PLOT_TEXT];
  struct xf_plot plot;
  struct xf_buf svg;
  enum xf_rc rc = r->run ? xf_plot_runs(&plot, r, metric, diag) : xf_plot_read(&plot, r, diag);
  if (rc) return rc;
  xf_buf_init(&svg, SVG_MAX);
  rc = xf_plot_svg(&svg, &plot, r);
  if (!rc && r->out) {
    rc = xf_fs_replace(xf_fs_posix(), r->out, svg.p, svg.len, diag);
  } else if (!rc && (fwrite(svg.p, 1, svg.len, stdout) != svg.len || fflush(stdout))) {
    rc = xf_diag_set(diag, XF_E_IO, "standard output: cannot write");
  }
  if (!rc && plot.n_other)
    (void)fprintf(stderr, "%s: %llu rows without \"%s\" or \"%s\" are not drawn\n", r->file,
                  (unsigned long long)plot.n_other, r->x, r->y);
  xf_buf_deinit(&svg);
  xf_plot_deinit(&plot);
  return rc;
}

int xf_tool_plot(int argc, char **argv) {
  struct xf_plot_request r;
  struct xf_diag diag;
  bool help = false;
  const char **file = xf_calloc((size_t)argc, sizeof *file);
  xf_diag_init(&diag);
  enum xf_rc rc = parse(&r, file, &help, argc, argv, &diag);
  if (rc) {
    (void)fprintf(stderr, "crossfed plot: %s\n%s", xf_diag_text(&diag, rc), usage);
    xf_free(file);
    return XF_EXIT_USAGE;
  }
  int status = XF_EXIT_OK;
  if (help) {
    status = fputs(usage, stdout) < 0 ? XF_EXIT_FAILED : XF_EXIT_OK;
  } else {
    rc = draw(&r, &diag);
    if (rc) (void)fprintf(stderr, "crossfed plot: %s\n", xf_diag_text(&diag, rc));
    status = xf_rc_exit(rc);
  }
  xf_free(file);
  return status;
}
