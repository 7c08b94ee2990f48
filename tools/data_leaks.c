/* crossfed data check --leaks: the same product under two ids, in two domains. */
#include "base/alloc.h"
#include "data/twins.h"
#include "tools/data.h"
#include "tools/json_out.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { JSON_MAX = 1 << 20, EXAMPLES = 3 };

struct domain {
  struct xf_interactions x;
  uint8_t *held; /* [x.n] or NULL */
};

static void domain_deinit(struct domain *d) {
  xf_interactions_deinit(&d->x);
  xf_free(d->held);
}

/* Appends a file's events without domain, value and time, as held out or not. */
static enum xf_rc add_file(struct domain *d, const char *path,
                           const struct xf_interactions_spec *spec, bool held,
                           struct xf_diag *diag) {
  struct xf_interactions one;
  enum xf_rc rc = xf_interactions_load(&one, path, spec, diag);
  if (rc) return rc;
  uint8_t *more = xf_try_realloc_array(d->held, d->x.n + one.n + 1, 1);
  if (!more) rc = xf_diag_set(diag, XF_E_NOMEM, "%s: not enough memory", path);
  else d->held = more;
  for (size_t i = 0; !rc && i < one.n; i++) {
    d->held[d->x.n] = held;
    rc = xf_interactions_add(&d->x, xf_names_get(&one.users, one.user[i]),
                             xf_names_get(&one.items, one.item[i]), NULL, (double)NAN, (double)NAN);
  }
  xf_interactions_deinit(&one);
  return rc;
}

static enum xf_rc from_files(struct domain d[2], const struct xf_data_request *r,
                             struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (int k = 0; !rc && k < 2; k++) {
    rc = add_file(&d[k], r->leaks[k], &r->spec, false, diag);
    if (!rc && r->held[k]) rc = add_file(&d[k], r->held[k], &r->spec, true, diag);
  }
  return rc;
}

/* One domain of a file, split by leave-one-out; what is not train is held out. */
static enum xf_rc from_domain(struct domain *d, const struct xf_interactions *all, const char *name,
                              const struct xf_data_request *r, struct xf_diag *diag) {
  struct xf_split split = {0};
  const uint32_t id = xf_names_find(&all->domains, name, strlen(name));
  if (id == XF_NO_ID)
    return xf_diag_set(diag, XF_E_NOTFOUND,
                       "%s: no event of domain \"%s\"; `crossfed data stats` lists the domains",
                       r->file, name);
  enum xf_rc rc = xf_interactions_select(&d->x, all, all->domain, id);
  if (!rc) rc = xf_split_init(&split, &d->x, &r->split, NULL, diag);
  if (rc) return rc;
  d->held = xf_calloc(d->x.n + 1, 1);
  for (size_t i = 0; i < d->x.n; i++)
    d->held[i] = !xf_csr_find(&split.part[XF_PART_TRAIN], d->x.user[i], d->x.item[i]);
  xf_split_deinit(&split);
  return XF_OK;
}

static enum xf_rc from_one_file(struct domain d[2], const struct xf_data_request *r,
                                struct xf_diag *diag) {
  struct xf_interactions all;
  enum xf_rc rc = xf_interactions_load(&all, r->file, &r->spec, diag);
  if (rc) return rc;
  if (!all.domain)
    rc = xf_diag_set(diag, XF_E_INVAL,
                     "%s: --leaks with FILE needs domain=N in --columns; for a file per domain: "
                     "--leaks FILE FILE",
                     r->file);
  for (int k = 0; !rc && k < 2; k++) rc = from_domain(&d[k], &all, r->leaks[k], r, diag);
  xf_interactions_deinit(&all);
  return rc;
}

static double percent(uint64_t part, uint64_t of) {
  return of ? 100 * (double)part / (double)of : 0;
}

static const char *example(const struct xf_interactions *x, uint32_t item) {
  return xf_names_get(&x->items, item);
}

static void print_text(const struct domain d[2], const struct xf_twins *t,
                       const struct xf_data_request *r) {
  printf("%zu pairs of twin items; %u users are in both domains; %llu (user, item) pairs are in "
         "both under one key\n",
         t->n, t->shared_users, (unsigned long long)t->shared_pairs);
  for (size_t k = 0; k < t->n && k < EXAMPLES; k++)
    printf("  %s and %s: held by %u and %u users, by %u both\n", example(&d[0].x, t->twin[k].a),
           example(&d[1].x, t->twin[k].b), t->twin[k].n_a, t->twin[k].n_b, t->twin[k].both);
  for (int k = 0; k < 2; k++) {
    const struct xf_twins_count *c = &t->count[k];
    const uint64_t scored = c->held - c->held_no_train;
    printf("%s: %llu of %llu items have a twin\n", r->leaks[k], (unsigned long long)c->twin_items,
           (unsigned long long)c->items);
    if (!c->held) continue;
    printf("  %llu of %llu held-out events leak (%.1f %%): the user has the twin in the other "
           "domain's train part; %llu with its held-out part\n",
           (unsigned long long)c->leaked, (unsigned long long)scored, percent(c->leaked, scored),
           (unsigned long long)c->leaked_any);
    printf("  %llu more held-out events are of items without train events; %llu are train events "
           "as well\n",
           (unsigned long long)c->held_no_train, (unsigned long long)c->held_known);
  }
  if (*r->found)
    printf("fix: give twins one key and one domain, or leave such held-out events out and report "
           "\"clean\" beside \"as given\"\n");
}

static enum xf_rc print_json(const struct xf_twins *t, const struct xf_data_request *r) {
  struct xf_buf buf;
  struct xf_jsonw w;
  xf_buf_init(&buf, JSON_MAX);
  xf_jsonw_init(&w, &buf);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kbool(&w, "leaks", *r->found);
  xf_jsonw_kuint(&w, "twins", t->n);
  xf_jsonw_kuint(&w, "shared_users", t->shared_users);
  xf_jsonw_kuint(&w, "shared_pairs", t->shared_pairs);
  xf_jsonw_key(&w, "domains");
  xf_jsonw_array(&w);
  for (int k = 0; k < 2; k++) {
    const struct xf_twins_count *c = &t->count[k];
    xf_jsonw_object(&w);
    xf_jsonw_kstr(&w, "domain", r->leaks[k]);
    xf_jsonw_kuint(&w, "items", c->items);
    xf_jsonw_kuint(&w, "twin_items", c->twin_items);
    xf_jsonw_kuint(&w, "held", c->held);
    xf_jsonw_kuint(&w, "held_no_train", c->held_no_train);
    xf_jsonw_kuint(&w, "held_known", c->held_known);
    xf_jsonw_kuint(&w, "leaked", c->leaked);
    xf_jsonw_kuint(&w, "leaked_any", c->leaked_any);
    xf_jsonw_object_end(&w);
  }
  xf_jsonw_array_end(&w);
  xf_jsonw_object_end(&w);
  const enum xf_rc rc = xf_tool_json(&buf, &w);
  xf_buf_deinit(&buf);
  return rc;
}

enum xf_rc xf_data_leaks(const struct xf_data_request *r, struct xf_diag *diag) {
  struct domain d[2] = {{.held = NULL}, {.held = NULL}};
  struct xf_twins twins = {0};
  for (int k = 0; k < 2; k++) xf_interactions_init(&d[k].x);
  enum xf_rc rc = r->file ? from_one_file(d, r, diag) : from_files(d, r, diag);
  const struct xf_twins_side side[2] = {{&d[0].x, d[0].held}, {&d[1].x, d[1].held}};
  if (!rc) rc = xf_twins_find(&twins, side, &(struct xf_twins_spec){0}, diag);
  if (!rc) {
    const bool held = twins.count[0].held + twins.count[1].held > 0;
    *r->found = held ? twins.count[0].leaked + twins.count[1].leaked > 0 : twins.n > 0;
    if (r->json) rc = print_json(&twins, r);
    else print_text(d, &twins, r);
  }
  xf_twins_deinit(&twins);
  for (int k = 0; k < 2; k++) domain_deinit(&d[k]);
  return rc;
}
