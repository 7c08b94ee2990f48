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
    "served|popularity|alone|federated]\n"
    "                          [--diversity SPEC] [--categories FILE] [--explain] [--json]\n"
    "\n"
    "The N best items for a user of this silo, without those the user has in train. Reads "
    "DIR/serve\n"
    "and FILE only.\n"
    "  --state DIR        state_dir of a crossfed-client whose run is done\n"
    "  --user U           as in the silo's data; an unknown user is answered by popularity,\n"
    "                     among users of several silos or in all of them where that is known\n"
    "  -k N               number of items (10)\n"
    "  --arm ARM          served (default): the arm that was best on the silo's validation data\n"
    "  --diversity SPEC   none (default): by score; or the 100 best re-ranked:\n"
    "                     dpp[:THETA] (0.8), mmr[:LAMBDA] (0.7), calibrated[:LAMBDA] (0.7); "
    "towards 1\n"
    "                     the order is by score; cover[:BONUS] (0.15): towards 0\n"
    "  --categories FILE  lines of item, tab, categories separated by '|'; plain or gzipped. With "
    "it\n"
    "                     items are alike by categories, else by item factors, else by who took "
    "them\n"
    "  --explain          the parts that add up to each score, and the user's items most like it;\n"
    "                     where a knowledge graph has a part in it, its best path to the item\n"
    "  --json             one JSON object\n";

struct request {
  const char *state, *user, *arm, *categories;
  struct xf_rerank rerank;
  uint32_t k;
  bool json, help, explain;
};

static enum xf_rc parse_k(struct request *r, const char *text, struct xf_diag *diag) {
  uint64_t k = 0;
  if (xf_str_u64(&k, text, strlen(text)) || !k || k > XF_SERVE_TOP_MAX)
    return xf_diag_set(diag, XF_E_RANGE, "-k %s: must be a whole number from 1 to %d", text,
                       XF_SERVE_TOP_MAX);
  r->k = (uint32_t)k;
  return XF_OK;
}

static enum xf_rc check(const struct request *r, struct xf_diag *diag) {
  if (r->help) return XF_OK;
  if (!r->state || !r->user)
    return xf_diag_set(diag, XF_E_INVAL, "%s is missing", r->state ? "--user" : "--state");
  if (r->rerank.kind == XF_RERANK_COVER && !r->categories)
    return xf_diag_set(diag, XF_E_INVAL,
                       "--diversity cover counts the categories that a list shows: name their file "
                       "with --categories FILE");
  if (r->rerank.kind == XF_RERANK_CALIBRATED && !r->categories)
    return xf_diag_set(diag, XF_E_INVAL,
                       "--diversity calibrated follows the categories of the user's items: name "
                       "their file with --categories FILE");
  return XF_OK;
}

static enum xf_rc parse(struct request *r, int argc, char **argv, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  *r = (struct request){.k = DEFAULT_K, .arm = "served"};
  for (int i = 1; i < argc && !rc; i++) {
    const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(name, "--json") == 0) r->json = true;
    else if (strcmp(name, "--help") == 0) r->help = true;
    else if (strcmp(name, "--explain") == 0) r->explain = true;
    else if (!value)
      return xf_diag_set(diag, XF_E_INVAL, "unknown or incomplete argument \"%s\"", name);
    else {
      i++;
      if (strcmp(name, "--state") == 0) r->state = value;
      else if (strcmp(name, "--user") == 0) r->user = value;
      else if (strcmp(name, "--arm") == 0) r->arm = value;
      else if (strcmp(name, "--categories") == 0) r->categories = value;
      else if (strcmp(name, "-k") == 0) rc = parse_k(r, value, diag);
      else if (strcmp(name, "--diversity") == 0)
        rc = xf_rerank_parse(&r->rerank, value, strlen(value), diag);
      else return xf_diag_set(diag, XF_E_INVAL, "unknown or incomplete argument \"%s\"", name);
    }
  }
  return rc ? rc : check(r, diag);
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
  struct xf_serve_why *why; /* [k] with --explain, else NULL */
};

/* What is odd about the categories, beside the answer. */
static void print_findings(const struct request *r, const struct xf_serve *s) {
  for (int f = 0; f < XF_N_CATEGORY_FINDING; f++) {
    const struct xf_finding *x = &s->categories.finding[f];
    const enum xf_category_finding kind = (enum xf_category_finding)f;
    if (!x->count) continue;
    (void)fprintf(stderr, "crossfed recommend: %s: %llu %s, first ", r->categories,
                  (unsigned long long)x->count, xf_category_finding_text(kind));
    if (x->line) (void)fprintf(stderr, "line %llu, ", (unsigned long long)x->line);
    (void)fprintf(stderr, "%s: %s\n", x->example, xf_category_finding_fix(kind));
  }
}

static void print_why(const struct xf_serve *s, const struct xf_serve_why *w) {
  printf("     ");
  for (uint32_t p = 0; p < w->n_part; p++)
    printf("%s %s %.6g", p ? "," : "", w->part[p].name, (double)w->part[p].share);
  for (uint32_t l = 0; l < w->n_like; l++)
    printf("%s %s (%.3f)", l ? "," : "; like", xf_names_get(&s->items, w->like[l].item),
           (double)w->like[l].similarity);
  if (w->category) printf("; category %s", w->category);
  if (w->path[0]) printf("; path %s", w->path);
  printf("\n");
}

static void print(const struct request *r, const struct xf_serve *s, const struct answer *a) {
  if (!a->known)
    printf("user \"%s\" is unknown to this silo: answered by %s\n", r->user,
           xf_recommender_crowd_text(s->crowd));
  printf("%-5s %-24s %12s   arm %s", "rank", "item", "score", xf_silo_arm_name(a->used));
  if (r->rerank.kind != XF_RERANK_NONE) {
    char text[XF_RERANK_TEXT];
    printf(", %s by %s", xf_rerank_print(text, r->rerank), xf_serve_similarity(s));
  }
  printf("\n");
  for (uint32_t i = 0; i < a->n; i++) {
    printf("%-5u %-24s %12.6g\n", i + 1, xf_names_get(&s->items, a->item[i].item),
           (double)a->item[i].score);
    if (a->why) print_why(s, &a->why[i]);
  }
}

static void json_why(struct xf_jsonw *w, const struct xf_serve *s, const struct xf_serve_why *why) {
  xf_jsonw_key(w, "parts");
  xf_jsonw_array(w);
  for (uint32_t p = 0; p < why->n_part; p++) {
    xf_jsonw_object(w);
    xf_jsonw_kstr(w, "part", why->part[p].name);
    xf_jsonw_kdouble(w, "share", (double)why->part[p].share);
    xf_jsonw_object_end(w);
  }
  xf_jsonw_array_end(w);
  xf_jsonw_key(w, "similar");
  xf_jsonw_array(w);
  for (uint32_t l = 0; l < why->n_like; l++) {
    xf_jsonw_object(w);
    xf_jsonw_kstr(w, "item", xf_names_get(&s->items, why->like[l].item));
    xf_jsonw_kdouble(w, "similarity", (double)why->like[l].similarity);
    xf_jsonw_object_end(w);
  }
  xf_jsonw_array_end(w);
}

static enum xf_rc print_json(const struct request *r, const struct xf_serve *s,
                             const struct answer *a) {
  struct xf_buf out;
  struct xf_jsonw w;
  char text[XF_RERANK_TEXT];
  xf_buf_init(&out, JSON_MAX);
  xf_jsonw_init(&w, &out);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "user", r->user);
  xf_jsonw_kbool(&w, "known", a->known);
  xf_jsonw_kstr(&w, "arm", xf_silo_arm_name(a->used));
  xf_jsonw_kstr(&w, "served", xf_silo_arm_name(s->served));
  xf_jsonw_kstr(&w, "diversity", xf_rerank_print(text, r->rerank));
  if (r->explain || r->rerank.kind != XF_RERANK_NONE)
    xf_jsonw_kstr(&w, "similarity", xf_serve_similarity(s));
  xf_jsonw_key(&w, "items");
  xf_jsonw_array(&w);
  for (uint32_t i = 0; i < a->n; i++) {
    xf_jsonw_object(&w);
    xf_jsonw_kstr(&w, "item", xf_names_get(&s->items, a->item[i].item));
    xf_jsonw_kdouble(&w, "score", (double)a->item[i].score);
    if (a->why) json_why(&w, s, &a->why[i]);
    if (a->why && a->why[i].category) xf_jsonw_kstr(&w, "category", a->why[i].category);
    if (a->why && a->why[i].path[0]) xf_jsonw_kstr(&w, "path", a->why[i].path);
    xf_jsonw_object_end(&w);
  }
  xf_jsonw_array_end(&w);
  xf_jsonw_object_end(&w);
  enum xf_rc rc = xf_tool_json(&out, &w);
  xf_buf_deinit(&out);
  return rc;
}

static enum xf_rc ask(struct answer *a, struct xf_serve *s, const struct request *r,
                      enum xf_silo_arm arm, struct xf_diag *diag) {
  const struct xf_serve_ask what = {r->user, r->k, arm, r->rerank};
  enum xf_rc rc = xf_serve_top(s, a->item, &a->n, &a->used, &what, diag);
  a->known = !rc && xf_names_find(&s->users, r->user, strlen(r->user)) != XF_NO_ID;
  if (r->explain) a->why = xf_calloc(r->k, sizeof *a->why);
  for (uint32_t i = 0; i < a->n && r->explain && !rc; i++)
    rc = xf_serve_explain(s, &a->why[i], r->user, a->used, a->item[i], diag);
  return rc;
}

static enum xf_rc recommend(const struct request *r, struct xf_diag *diag) {
  struct xf_serve s;
  struct answer a = {.item = xf_calloc(r->k, sizeof *a.item)};
  enum xf_silo_arm arm = XF_SILO_POPULARITY;
  enum xf_rc rc = xf_serve_open(&s, xf_fs_posix(), r->state, diag);
  if (!rc) rc = find_arm(&arm, r->arm, s.served, diag);
  if (!rc && arm != XF_SILO_POPULARITY) rc = xf_blas_start(NULL, diag);
  if (!rc && r->categories) rc = xf_serve_categorise(&s, r->categories, diag);
  if (!rc && r->categories) print_findings(r, &s);
  if (!rc) rc = ask(&a, &s, r, arm, diag);
  if (!rc && r->json) rc = print_json(r, &s, &a);
  else if (!rc) print(r, &s, &a);
  xf_serve_close(&s);
  xf_free(a.item);
  xf_free(a.why);
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
