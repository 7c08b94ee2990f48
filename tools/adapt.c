/* crossfed adapt: how fast a client that has not trained gets good from a trained start. */
#include "tools/adapt.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/str.h"
#include "tools/tools.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: crossfed adapt RUN [--against RUN] [--data FILE | --clients A,B,...]\n"
    "                      [--support N] [--query N] [--steps K | --steps 0,K,...] [--lr X]\n"
    "                      [--seeds N] [--set KEY=VALUE]... [--svg OUT.svg] [--json]\n"
    "\n"
    "What k local steps make of a trained start at a client that has not trained, beside the\n"
    "same steps from scratch, from another start, and ridge heads on the last hidden layer of\n"
    "each. A client's train rows are dealt into support, to learn from, and query, to measure;\n"
    "no row is in both, and its validation and test rows are in neither. A step is what a silo\n"
    "does by the plan: optimiser, batch, loss. Nothing leaves, so nothing is clipped or noised.\n"
    "RUN: a directory of crossfed sim --out, a coordinator's state directory, or a silo's.\n"
    "  --against RUN  another start of the same model, such as FedAvg's beside Reptile's; it\n"
    "                 adapts by the first RUN's plan too\n"
    "  --data FILE    a new client's data, as a silo's data.path would name them\n"
    "  --clients A,B  simulated clients of the plan's sim.data (numbers: also 3-9); without it\n"
    "                 and --data all that sim.clients.only left out of the training\n"
    "  --support N    rows (sequences) to learn from (10)\n"
    "  --query N      rows to measure (all others)\n"
    "  --steps K      k = 0 to K (10), or a list of k, ascending\n"
    "  --lr X         rate of the steps instead of the plan's\n"
    "  --seeds N      draws of support, batches and scratch for each client (5)\n"
    "  --set K=V      changes RUN's plan, such as sim.data, which may have moved\n"
    "  --svg OUT.svg  the first figure by k as a picture\n"
    "  --json         one JSON object instead of the table\n";

static enum xf_rc number(uint32_t *out, const char *name, const char *text, uint32_t least,
                         struct xf_diag *diag) {
  uint64_t v = 0;
  if (xf_str_u64(&v, text, strlen(text)) || v < least || v > 100000000)
    return xf_diag_set(diag, XF_E_INVAL, "%s \"%s\" is no whole number from %u to 100000000", name,
                       text, least);
  *out = (uint32_t)v;
  return XF_OK;
}

/* "K": all from 0; "0,1,5": those, with 0 put before when it is missing. */
static enum xf_rc steps(struct adapt_request *r, const char *text, struct xf_diag *diag) {
  uint64_t list[XF_ADAPT_STEPS] = {0};
  size_t n = 0;
  for (const char *s = text; s; s = *s ? s + 1 : NULL) {
    const size_t len = strcspn(s, ",");
    if (n == XF_ADAPT_STEPS || xf_str_u64(&list[n], s, len) || list[n] > XF_ADAPT_STEP_MAX ||
        (n && list[n] <= list[n - 1]))
      return xf_diag_set(diag, XF_E_INVAL,
                         "--steps \"%s\": a number K, or up to %d numbers in ascending order, each "
                         "at most %d",
                         text, XF_ADAPT_STEPS, XF_ADAPT_STEP_MAX);
    n++;
    s += len;
  }
  const bool all = n == 1;
  if (all && list[0] >= XF_ADAPT_STEPS)
    return xf_diag_set(diag, XF_E_INVAL, "--steps %s: above %d, list those to be measured", text,
                       XF_ADAPT_STEPS - 1);
  if (!all && n == XF_ADAPT_STEPS && list[0] > 0)
    return xf_diag_set(diag, XF_E_INVAL, "--steps: %d numbers and the 0 before them are above %d",
                       XF_ADAPT_STEPS, XF_ADAPT_STEPS);
  r->n_k = 0;
  for (uint32_t k = 0; all && k <= list[0]; k++) r->k[r->n_k++] = k;
  if (!all && list[0] > 0) r->k[r->n_k++] = 0;
  for (size_t i = 0; i < n && !all; i++) r->k[r->n_k++] = (uint32_t)list[i];
  return XF_OK;
}

static enum xf_rc with_value(struct adapt_request *r, const char *name, const char *value,
                             struct xf_diag *diag) {
  const struct {
    const char *name, **to;
  } text[] = {{"--against", &r->against},
              {"--data", &r->data},
              {"--clients", &r->clients},
              {"--svg", &r->svg}};
  for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
    if (strcmp(name, text[i].name) == 0) {
      *text[i].to = value;
      return *value ? XF_OK : xf_diag_set(diag, XF_E_INVAL, "%s: the value is empty", name);
    }
  if (strcmp(name, "--support") == 0) return number(&r->support, name, value, 1, diag);
  if (strcmp(name, "--query") == 0) return number(&r->query, name, value, 1, diag);
  if (strcmp(name, "--seeds") == 0) return number(&r->seeds, name, value, 1, diag);
  if (strcmp(name, "--steps") == 0) return steps(r, value, diag);
  if (strcmp(name, "--set") == 0 && r->n_sets < XF_ADAPT_SETS) {
    r->sets[r->n_sets++] = value;
    return XF_OK;
  }
  if (strcmp(name, "--lr") != 0)
    return xf_diag_set(diag, XF_E_INVAL, "unknown argument \"%s\"", name);
  if (xf_str_double(&r->lr, value, strlen(value)) || !(r->lr > 0 && r->lr <= 1000))
    return xf_diag_set(diag, XF_E_INVAL, "--lr \"%s\" is no number above 0 and up to 1000", value);
  return XF_OK;
}

static enum xf_rc parse(struct adapt_request *r, int argc, char **argv, struct xf_diag *diag) {
  *r = (struct adapt_request){.support = 10, .seeds = 5};
  enum xf_rc rc = steps(r, "10", diag);
  for (int i = 1; i < argc && !rc; i++) {
    const char *arg = argv[i];
    if (strcmp(arg, "--help") == 0) {
      r->help = true;
      return XF_OK;
    }
    if (strcmp(arg, "--json") == 0) r->json = true;
    else if (arg[0] != '-' && !r->run) r->run = arg;
    else if (arg[0] != '-')
      rc = xf_diag_set(diag, XF_E_INVAL,
                       "one RUN, not \"%s\" and \"%s\"; the other start is "
                       "--against",
                       r->run, arg);
    else if (i + 1 == argc)
      rc = xf_diag_set(diag, XF_E_INVAL, "unknown argument, or one without its value: \"%s\"", arg);
    else rc = with_value(r, arg, argv[++i], diag);
  }
  if (!rc && !r->run) rc = xf_diag_set(diag, XF_E_INVAL, "RUN is missing");
  if (!rc && r->data && r->clients)
    rc = xf_diag_set(diag, XF_E_INVAL, "--data is one new client; leave out --clients, or --data");
  return rc;
}

static enum xf_rc load(struct adapt_start *start, struct adapt_start *against,
                       const struct adapt_request *r, struct xf_diag *diag) {
  enum xf_rc rc = adapt_start_load(start, r->run, r->sets, r->n_sets, diag);
  if (!rc && r->against) {
    rc = adapt_start_load(against, r->against, NULL, 0, diag);
    if (rc) rc = xf_diag_prefix(diag, rc, "--against");
  }
  if (!rc && r->against && !xf_digest_equal(&start->info.layout, &against->info.layout))
    rc = xf_diag_set(diag, XF_E_CONFLICT,
                     "--against %s: its model has other parameters than that of %s; train both "
                     "with the same model",
                     r->against, r->run);
  return rc;
}

/* Big structs; one run of the verb. */
static struct adapt_start first, second;
static struct adapt_clients clients;

static enum xf_rc adapt(const struct adapt_request *r, struct xf_diag *diag) {
  struct adapt_curves curves = {0};
  const struct adapt_start *against = r->against ? &second : NULL;
  enum xf_rc rc = xf_blas_start(NULL, diag);
  if (!rc) rc = load(&first, &second, r, diag);
  if (!rc) rc = adapt_clients_load(&clients, r, &first, against, diag);
  if (!rc && clients.n_trained)
    (void)fprintf(stderr,
                  "crossfed adapt: %zu of %zu clients took part in the training of a start, or "
                  "may have: the curves say less about new ones\n",
                  clients.n_trained, clients.n);
  if (!rc) rc = adapt_run(&curves, r, &first, against, &clients, diag);
  const struct adapt_result result = {r, &first, against, &clients, &curves};
  if (!rc && r->svg) rc = adapt_svg(&result, diag);
  if (!rc && r->json) rc = adapt_json(&result);
  else if (!rc) adapt_print(&result);
  if (!rc && fflush(stdout) != 0)
    rc = xf_diag_set(diag, XF_E_IO, "standard output cannot be written");
  adapt_curves_deinit(&curves);
  adapt_clients_deinit(&clients);
  adapt_start_deinit(&first);
  adapt_start_deinit(&second);
  return rc;
}

int xf_tool_adapt(int argc, char **argv) {
  struct adapt_request r;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = parse(&r, argc, argv, &diag);
  if (rc) {
    (void)fprintf(stderr, "crossfed adapt: %s\n%s", xf_diag_text(&diag, rc), usage);
    return XF_EXIT_USAGE;
  }
  if (r.help) return fputs(usage, stdout) < 0 ? XF_EXIT_FAILED : XF_EXIT_OK;
  xf_log_set_level(XF_LOG_ERROR);
  rc = adapt(&r, &diag);
  if (rc) (void)fprintf(stderr, "crossfed adapt: %s\n", xf_diag_text(&diag, rc));
  return rc == XF_E_INVAL ? XF_EXIT_USAGE : xf_rc_exit(rc);
}
