/* crossfed account: epsilon of a number of Gaussian releases, and what the figure assumes. */
#include "tools/tools.h"

#include "base/buf.h"
#include "base/diag.h"
#include "base/str.h"
#include "priv/rdp.h"
#include "tools/json_out.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: crossfed account --q Q --sigma S --steps T --delta D [--accountant rdp] [--json]\n"
    "\n"
    "Epsilon of T releases with Gaussian noise.\n"
    "  --q Q           probability with which a unit takes part in a step, (0, 1]; 1: always\n"
    "  --sigma S       noise deviation divided by the sensitivity (the noise multiplier)\n"
    "  --steps T       number of releases\n"
    "  --delta D       in (0, 1)\n"
    "  --accountant A  rdp, the only one in this version\n"
    "  --json          one JSON object\n";

struct request {
  double q, sigma, delta;
  uint64_t steps;
  bool json, help;
};

/* The options that take a value, and which have been given. */
enum { OPT_Q, OPT_SIGMA, OPT_STEPS, OPT_DELTA, OPT_ACCOUNTANT, N_OPT };
static const char *const option[N_OPT] = {"--q", "--sigma", "--steps", "--delta", "--accountant"};

static enum xf_rc set_number(double *out, int which, const char *text, struct xf_diag *diag) {
  double x = 0;
  if (xf_str_double(&x, text, strlen(text)))
    return xf_diag_set(diag, XF_E_FORMAT, "%s %s: not a number", option[which], text);
  const bool ok = which == OPT_SIGMA ? x >= 0 : x > 0 && (which == OPT_Q ? x <= 1 : x < 1);
  if (!ok)
    return xf_diag_set(diag, XF_E_RANGE, "%s %s: must be %s", option[which], text,
                       which == OPT_SIGMA ? "0 or more"
                       : which == OPT_Q   ? "above 0 and at most 1"
                                          : "above 0 and below 1");
  *out = x;
  return XF_OK;
}

static enum xf_rc set_option(struct request *r, int which, const char *text, struct xf_diag *diag) {
  switch (which) {
  case OPT_Q: return set_number(&r->q, which, text, diag);
  case OPT_SIGMA: return set_number(&r->sigma, which, text, diag);
  case OPT_DELTA: return set_number(&r->delta, which, text, diag);
  case OPT_STEPS:
    if (xf_str_u64(&r->steps, text, strlen(text)) || !r->steps)
      return xf_diag_set(diag, XF_E_RANGE, "--steps %s: must be a whole number, 1 or more", text);
    return XF_OK;
  default:
    if (strcmp(text, "rdp") == 0) return XF_OK;
    if (strcmp(text, "pld") == 0)
      return xf_diag_set(
          diag, XF_E_UNSUPPORTED,
          "--accountant pld: the PLD accountant is not in this version; use rdp, whose "
          "epsilon is never smaller");
    return xf_diag_set(diag, XF_E_INVAL, "--accountant %s: there is only rdp", text);
  }
}

/* Which option an argument is; `value` points behind "=" or is NULL. N_OPT: none. */
static int find_option(const char *arg, const char **value) {
  const char *equal = strchr(arg, '=');
  const size_t n = equal ? (size_t)(equal - arg) : strlen(arg);
  *value = equal ? equal + 1 : NULL;
  int i = 0;
  while (i < N_OPT && (strlen(option[i]) != n || strncmp(arg, option[i], n) != 0)) i++;
  return i;
}

static enum xf_rc parse(struct request *r, int argc, char **argv, struct xf_diag *diag) {
  unsigned given = 0;
  *r = (struct request){0};
  for (int i = 1; i < argc; i++) {
    const char *value = NULL;
    const int which = find_option(argv[i], &value);
    if (which == N_OPT) {
      if (strcmp(argv[i], "--json") == 0) r->json = true;
      else if (strcmp(argv[i], "--help") == 0) r->help = true;
      else return xf_diag_set(diag, XF_E_INVAL, "unknown argument \"%s\"", argv[i]);
      continue;
    }
    if (!value && ++i == argc)
      return xf_diag_set(diag, XF_E_INVAL, "%s needs a value", option[which]);
    const enum xf_rc rc = set_option(r, which, value ? value : argv[i], diag);
    if (rc) return rc;
    given |= 1u << which;
  }
  for (int i = 0; i < OPT_ACCOUNTANT && !r->help; i++)
    if (!(given & 1u << i)) return xf_diag_set(diag, XF_E_INVAL, "%s is missing", option[i]);
  return XF_OK;
}

enum { MAX_ASSUMES = 6, JSON_MAX = 16384 };

static size_t assumptions(const char *out[MAX_ASSUMES], const struct request *r,
                          const struct xf_rdp_point *p) {
  size_t n = 0;
  out[n++] =
      "sigma is the noise deviation over the sensitivity; neighbours are those of the sensitivity";
  if (r->q < 1) {
    out[n++] =
        "each unit takes part in each step independently with probability q (Poisson sampling); "
        "shuffled batches of a fixed size do not qualify";
    out[n++] =
        "the noise is a continuous Gaussian; neighbours differ by adding or removing one unit";
  } else {
    out[n++] = "every release counts whole; the noise is Gaussian or discrete Gaussian";
    out[n++] =
        "for replace-one neighbours of updates clipped to C the sensitivity is 2C: halve sigma";
  }
  out[n++] = "nothing else computed from the same data is released";
  if (!isfinite(p->value)) out[n++] = "epsilon is infinite: no guarantee";
  else if (p->at_end) out[n++] = "the best order is at an end of the list: epsilon is not tight";
  return n;
}

static void print_text(const struct request *r, const struct xf_rdp_point *p) {
  const char *assumes[MAX_ASSUMES];
  const size_t n = assumptions(assumes, r, p);
  if (isfinite(p->value))
    printf("epsilon %.6g at delta %g (order %g, accountant rdp)\n", p->value, r->delta, p->order);
  else printf("epsilon infinite at delta %g (accountant rdp)\n", r->delta);
  for (size_t i = 0; i < n; i++) printf("%s%s\n", i ? "        " : "assumes ", assumes[i]);
}

static enum xf_rc print_json(const struct request *r, const struct xf_rdp_point *p) {
  const char *assumes[MAX_ASSUMES];
  const size_t n = assumptions(assumes, r, p);
  struct xf_jsonw w;
  struct xf_buf buf;
  xf_buf_init(&buf, JSON_MAX);
  xf_jsonw_init(&w, &buf);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kdouble(&w, "epsilon", p->value); /* infinite: null */
  xf_jsonw_kdouble(&w, "delta", r->delta);
  xf_jsonw_kdouble(&w, "order", isfinite(p->value) ? p->order : (double)NAN);
  xf_jsonw_kstr(&w, "accountant", "rdp");
  xf_jsonw_key(&w, "assumes");
  xf_jsonw_array(&w);
  for (size_t i = 0; i < n; i++) xf_jsonw_str(&w, assumes[i]);
  xf_jsonw_array_end(&w);
  xf_jsonw_object_end(&w);
  const enum xf_rc rc = xf_tool_json(&buf, &w);
  xf_buf_deinit(&buf);
  return rc;
}

int xf_tool_account(int argc, char **argv) {
  struct request r;
  struct xf_diag diag;
  struct xf_rdp rdp;
  struct xf_rdp_point point;
  xf_diag_init(&diag);
  enum xf_rc rc = parse(&r, argc, argv, &diag);
  if (!rc && r.help) {
    (void)fputs(usage, stdout);
    return XF_EXIT_OK;
  }
  if (!rc) {
    xf_rdp_init(&rdp);
    xf_rdp_add(&rdp, r.q, r.sigma, r.steps);
    rc = xf_rdp_epsilon(&point, xf_rdp_orders(), rdp.cost, XF_RDP_ORDERS, r.delta);
  }
  if (rc) {
    (void)fprintf(stderr, "crossfed account: %s\n", xf_diag_text(&diag, rc));
    (void)fputs(usage, stderr);
    return XF_EXIT_USAGE;
  }
  if (!r.json) print_text(&r, &point);
  else rc = print_json(&r, &point);
  if (rc) (void)fprintf(stderr, "crossfed account: %s\n", xf_rc_text(rc));
  return rc || fflush(stdout) ? XF_EXIT_FAILED : XF_EXIT_OK;
}
