/* crossfed recommend: what a silo answers from the files its daemon left when the run was done. */
#include "base/alloc.h"
#include "base/str.h"
#include "client/io/serve.h"
#include "tensor/blas.h"
#include "tools/json_out.h"
#include "tools/tools.h"

#include <stdio.h>
#include <string.h>

enum { DEFAULT_K = 10, JSON_MAX = 32 * 1024 * 1024 };

static const char usage[] =
    "usage: crossfed recommend --state DIR --user U [-k N] [--arm "
    "served|popularity|alone|federated] [--json]\n"
    "\n"
    "The N best items for a user of this silo, without those the user has in train. Reads "
    "DIR/serve "
    "only.\n"
    "  --state DIR  state_dir of a crossfed-client whose run is done\n"
    "  --user U     as in the silo's data; an unknown user is answered by popularity\n"
    "  -k N         number of items (10)\n"
    "  --arm ARM    served (default): the arm that was best on the silo's validation data\n"
    "  --json       one JSON object\n";

struct request {
  const char *state, *user, *arm;
  uint32_t k;
  bool json, help;
};

static enum xf_rc parse(struct request *r, int argc, char **argv, struct xf_diag *diag) {
  *r = (struct request){.k = DEFAULT_K, .arm = "served"};
  for (int i = 1; i < argc; i++) {
    const bool more = i + 1 < argc;
    uint64_t k = 0;
    if (strcmp(argv[i], "--json") == 0) r->json = true;
    else if (strcmp(argv[i], "--help") == 0) r->help = true;
    else if (strcmp(argv[i], "--state") == 0 && more) r->state = argv[++i];
    else if (strcmp(argv[i], "--user") == 0 && more) r->user = argv[++i];
    else if (strcmp(argv[i], "--arm") == 0 && more) r->arm = argv[++i];
    else if (strcmp(argv[i], "-k") == 0 && more) {
      if (xf_str_u64(&k, argv[i + 1], strlen(argv[i + 1])) || !k || k > XF_SERVE_TOP_MAX)
        return xf_diag_set(diag, XF_E_RANGE, "-k %s: must be a whole number from 1 to %d",
                           argv[i + 1], XF_SERVE_TOP_MAX);
      r->k = (uint32_t)k;
      i++;
    } else return xf_diag_set(diag, XF_E_INVAL, "unknown or incomplete argument \"%s\"", argv[i]);
  }
  if (!r->help && (!r->state || !r->user))
    return xf_diag_set(diag, XF_E_INVAL, "%s is missing", r->state ? "--user" : "--state");
  return XF_OK;
}

static enum xf_rc find_arm(enum xf_silo_arm *out, const char *text, enum xf_silo_arm served,
                           struct xf_diag *diag) {
  *out = served;
  if (strcmp(text, "served") == 0) return XF_OK;
  for (int arm = 0; arm < XF_SILO_N_ARM; arm++) {
    *out = (enum xf_silo_arm)arm;
    if (strcmp(text, xf_silo_arm_name(*out)) == 0) return XF_OK;
  }
  return xf_diag_set(diag, XF_E_INVAL,
                     "--arm %s: there are served, popularity, alone and federated", text);
}

struct answer {
  enum xf_silo_arm used;
  bool known;
  uint32_t n;
  struct xf_topk_item *item;
};

static void print(const struct request *r, const struct xf_serve *s, const struct answer *a) {
  if (!a->known) printf("user \"%s\" is unknown to this silo: answered by popularity\n", r->user);
  printf("%-5s %-24s %12s   arm %s\n", "rank", "item", "score", xf_silo_arm_name(a->used));
  for (uint32_t i = 0; i < a->n; i++)
    printf("%-5u %-24s %12.6g\n", i + 1, xf_names_get(&s->items, a->item[i].item),
           (double)a->item[i].score);
}

static enum xf_rc print_json(const struct request *r, const struct xf_serve *s,
                             const struct answer *a) {
  struct xf_buf out;
  struct xf_jsonw w;
  xf_buf_init(&out, JSON_MAX);
  xf_jsonw_init(&w, &out);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "user", r->user);
  xf_jsonw_kbool(&w, "known", a->known);
  xf_jsonw_kstr(&w, "arm", xf_silo_arm_name(a->used));
  xf_jsonw_kstr(&w, "served", xf_silo_arm_name(s->served));
  xf_jsonw_key(&w, "items");
  xf_jsonw_array(&w);
  for (uint32_t i = 0; i < a->n; i++) {
    xf_jsonw_object(&w);
    xf_jsonw_kstr(&w, "item", xf_names_get(&s->items, a->item[i].item));
    xf_jsonw_kdouble(&w, "score", (double)a->item[i].score);
    xf_jsonw_object_end(&w);
  }
  xf_jsonw_array_end(&w);
  xf_jsonw_object_end(&w);
  enum xf_rc rc = xf_tool_json(&out, &w);
  xf_buf_deinit(&out);
  return rc;
}

static enum xf_rc recommend(const struct request *r, struct xf_diag *diag) {
  struct xf_serve s;
  struct answer a = {.item = xf_calloc(r->k, sizeof *a.item)};
  enum xf_silo_arm arm = XF_SILO_POPULARITY;
  enum xf_rc rc = xf_serve_open(&s, xf_fs_posix(), r->state, diag);
  if (!rc) rc = find_arm(&arm, r->arm, s.served, diag);
  if (!rc && arm != XF_SILO_POPULARITY) rc = xf_blas_start(NULL, diag);
  if (!rc) rc = xf_serve_top(&s, a.item, &a.n, &a.used, arm, r->user, r->k, diag);
  if (!rc) {
    a.known = xf_names_find(&s.users, r->user, strlen(r->user)) != XF_NO_ID;
    if (r->json) rc = print_json(r, &s, &a);
    else print(r, &s, &a);
  }
  xf_serve_close(&s);
  xf_free(a.item);
  return rc;
}

int xf_tool_recommend(int argc, char **argv) {
  struct request r;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = parse(&r, argc, argv, &diag);
  if (!rc && r.help) {
    (void)fputs(usage, stdout);
    return XF_EXIT_OK;
  }
  if (rc) {
    (void)fprintf(stderr, "crossfed recommend: %s\n", xf_diag_text(&diag, rc));
    (void)fputs(usage, stderr);
    return XF_EXIT_USAGE;
  }
  rc = recommend(&r, &diag);
  if (rc) {
    (void)fprintf(stderr, "crossfed recommend: %s\n", xf_diag_text(&diag, rc));
    return rc == XF_E_INVAL ? XF_EXIT_USAGE : xf_rc_exit(rc);
  }
  return fflush(stdout) ? XF_EXIT_FAILED : XF_EXIT_OK;
}
