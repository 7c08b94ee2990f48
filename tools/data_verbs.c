/* What the sub-verbs of `crossfed data` do. */
#include "base/alloc.h"
#include "base/fs.h"
#include "crypto/stream.h"
#include "tools/data.h"
#include "tools/json_out.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FACTS_MAX = 1 << 22 };

/* Facts of one domain (or all) as a row of text and a JSON object. */
struct facts {
  const char *domain;            /* NULL: everything */
  uint32_t users, items, shared; /* shared: users who are in another domain too */
  size_t events;
  struct xf_split_count split;
};

static void facts_json(struct xf_jsonw *w, const struct facts *f) {
  xf_jsonw_object(w);
  if (f->domain) xf_jsonw_kstr(w, "domain", f->domain);
  xf_jsonw_kuint(w, "users", f->users);
  xf_jsonw_kuint(w, "items", f->items);
  xf_jsonw_kuint(w, "events", f->events);
  xf_jsonw_kuint(w, "shared_users", f->shared);
  xf_jsonw_kuint(w, "repeats", f->split.repeats);
  xf_jsonw_kuint(w, "few_users", f->split.few_users);
  xf_jsonw_kuint(w, "train_events", f->split.n_events[XF_PART_TRAIN]);
  xf_jsonw_kuint(w, "valid_users", f->split.n_users[XF_PART_VALID]);
  xf_jsonw_kuint(w, "test_users", f->split.n_users[XF_PART_TEST]);
  xf_jsonw_object_end(w);
}

static void facts_text(const struct facts *f) {
  printf("%-16s %8u %8u %9zu %8u %8llu %8llu %8llu\n", f->domain ? f->domain : "(all)", f->users,
         f->items, f->events, f->shared, (unsigned long long)f->split.repeats,
         (unsigned long long)f->split.n_users[XF_PART_VALID],
         (unsigned long long)f->split.n_users[XF_PART_TEST]);
}

static enum xf_rc domain_facts(struct facts *f, const struct xf_interactions *all, uint32_t d,
                               const uint32_t *n_domains, const struct xf_split_spec *spec,
                               struct xf_diag *diag) {
  struct xf_interactions one;
  struct xf_split split = {0};
  enum xf_rc rc = xf_interactions_select(&one, all, all->domain, d);
  if (rc) return rc;
  rc = xf_split_init(&split, &one, spec, NULL, diag);
  *f = (struct facts){.domain = xf_names_get(&all->domains, d),
                      .users = one.users.n,
                      .items = one.items.n,
                      .events = one.n,
                      .split = split.count};
  for (uint32_t u = 0; u < one.users.n; u++) {
    const char *key = xf_names_get(&one.users, u);
    f->shared += n_domains[xf_names_find(&all->users, key, strlen(key))] > 1;
  }
  xf_split_deinit(&split);
  xf_interactions_deinit(&one);
  return rc;
}

/* In how many domains each user is. @own caller */
static uint32_t *count_domains(const struct xf_interactions *x) {
  uint32_t *n = xf_calloc((size_t)x->users.n + 1, sizeof *n);
  uint8_t *seen = xf_calloc((size_t)x->users.n + 1, 1);
  for (uint32_t d = 0; d < x->domains.n; d++) {
    memset(seen, 0, x->users.n);
    for (size_t i = 0; i < x->n; i++)
      if (x->domain[i] == d && !seen[x->user[i]]) {
        seen[x->user[i]] = 1;
        n[x->user[i]]++;
      }
  }
  xf_free(seen);
  return n;
}

static enum xf_rc all_facts(struct facts *total, struct facts *domain,
                            const struct xf_interactions *x, const struct xf_split_spec *spec,
                            struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  uint32_t *n_domains = count_domains(x);
  *total = (struct facts){.users = x->users.n, .items = x->items.n, .events = x->n};
  for (uint32_t u = 0; u < x->users.n; u++) total->shared += n_domains[u] > 1;
  for (uint32_t d = 0; !rc && d < x->domains.n; d++) {
    rc = domain_facts(&domain[d], x, d, n_domains, spec, diag);
    total->split.repeats += domain[d].split.repeats;
    total->split.few_users += domain[d].split.few_users;
    for (int p = 0; p < XF_N_PART; p++) {
      total->split.n_users[p] += domain[d].split.n_users[p];
      total->split.n_events[p] += domain[d].split.n_events[p];
    }
  }
  if (!rc && !x->domains.n) {
    struct xf_split split = {0};
    rc = xf_split_init(&split, x, spec, NULL, diag);
    total->split = split.count;
    xf_split_deinit(&split);
  }
  xf_free(n_domains);
  return rc;
}

static enum xf_rc print_facts(const struct facts *total, const struct facts *domain, uint32_t n,
                              bool json) {
  if (!json) {
    printf("%-16s %8s %8s %9s %8s %8s %8s %8s\n", "domain", "users", "items", "events", "shared",
           "repeats", "valid", "test");
    for (uint32_t d = 0; d < n; d++) facts_text(&domain[d]);
    facts_text(total);
    return XF_OK;
  }
  struct xf_buf buf;
  struct xf_jsonw w;
  xf_buf_init(&buf, FACTS_MAX);
  xf_jsonw_init(&w, &buf);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_key(&w, "total");
  facts_json(&w, total);
  xf_jsonw_key(&w, "domains");
  xf_jsonw_array(&w);
  for (uint32_t d = 0; d < n; d++) facts_json(&w, &domain[d]);
  xf_jsonw_array_end(&w);
  xf_jsonw_object_end(&w);
  const enum xf_rc rc = xf_tool_json(&buf, &w);
  xf_buf_deinit(&buf);
  return rc;
}

static enum xf_rc stats_of(const struct xf_interactions *x, const struct xf_data_request *r,
                           struct xf_diag *diag) {
  struct facts total, *domain = xf_calloc((size_t)x->domains.n + 1, sizeof *domain);
  const struct xf_split_spec spec = {.min = r->split.min};
  enum xf_rc rc = all_facts(&total, domain, x, &spec, diag);
  if (!rc) rc = print_facts(&total, domain, x->domains.n, r->json);
  xf_free(domain);
  return rc;
}

enum xf_rc xf_data_stats(const struct xf_data_request *r, struct xf_diag *diag) {
  struct xf_interactions x;
  enum xf_rc rc = xf_interactions_load(&x, r->file, &r->spec, diag);
  if (rc) return rc;
  rc = stats_of(&x, r, diag);
  xf_interactions_deinit(&x);
  return rc;
}

enum xf_rc xf_data_print(const struct xf_data_fact *x, size_t n) {
  struct xf_buf buf;
  struct xf_jsonw w;
  xf_buf_init(&buf, FACTS_MAX);
  xf_jsonw_init(&w, &buf);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  for (size_t i = 0; i < n; i++)
    if (x[i].is_bool) xf_jsonw_kbool(&w, x[i].key, x[i].value);
    else xf_jsonw_kuint(&w, x[i].key, x[i].value);
  xf_jsonw_object_end(&w);
  const enum xf_rc rc = xf_tool_json(&buf, &w);
  xf_buf_deinit(&buf);
  return rc;
}
#define PRINT_OBJECT(x) xf_data_print(x, sizeof(x) / sizeof((x)[0]))

static enum xf_rc make_dir(const char *dir, struct xf_diag *diag) {
  const struct xf_fs *fs = xf_fs_posix();
  const enum xf_rc rc = fs->mkdir(fs, dir, 0755);
  return rc ? xf_diag_set(diag, rc, "cannot make the directory %s: %s", dir, xf_rc_text(rc))
            : XF_OK;
}

/* Marks the part's events; of repeated (user, item) the earliest, as splitting did. @shape group[x->n], zero */
static enum xf_rc mark_part(uint32_t *group, const struct xf_interactions *x,
                            const struct xf_csr *part) {
  enum xf_rc rc = XF_OK;
  struct xf_names pairs;
  xf_names_init(&pairs);
  size_t *best = xf_calloc(x->n + 1, sizeof *best); /* by pair */
  for (size_t i = 0; !rc && i < x->n; i++) {
    uint32_t id = 0;
    char pair[32];
    if (!xf_csr_find(part, x->user[i], x->item[i])) continue;
    const int len = snprintf(pair, sizeof pair, "%u %u", x->user[i], x->item[i]);
    const uint32_t before = pairs.n;
    rc = xf_names_add(&pairs, &id, pair, (size_t)len);
    if (rc) break;
    if (pairs.n > before || (x->time && x->time[i] < x->time[best[id]])) {
      if (pairs.n == before) group[best[id]] = 0;
      best[id] = i;
      group[i] = 1;
    }
  }
  xf_free(best);
  xf_names_deinit(&pairs);
  return rc;
}

/* Writes one part as a file of events with the keys of the input. */
static enum xf_rc save_part(const struct xf_interactions *x, const struct xf_split *s,
                            enum xf_part part, const char *dir, struct xf_diag *diag) {
  static const char *const name[XF_N_PART] = {"train.tsv", "valid.tsv", "test.tsv"};
  char path[XF_PATH_MAX];
  struct xf_interactions out;
  uint32_t *group = xf_calloc(x->n + 1, sizeof *group);
  enum xf_rc rc = xf_fs_join(path, dir, name[part]);
  if (!rc) rc = mark_part(group, x, &s->part[part]);
  if (!rc) rc = xf_interactions_select(&out, x, group, 1);
  if (!rc) {
    rc = xf_interactions_save(&out, path, diag);
    xf_interactions_deinit(&out);
  }
  xf_free(group);
  return rc;
}

static enum xf_rc print_split(const struct xf_split_count *c, bool json) {
  const unsigned long long n[] = {c->n_events[0], c->n_events[1], c->n_events[2], c->repeats,
                                  c->few_users,   c->no_train[1], c->no_train[2]};
  const struct xf_data_fact fact[] = {
      {"train", n[0], false},        {"valid", n[1], false},     {"test", n[2], false},
      {"repeats", n[3], false},      {"few_users", n[4], false}, {"valid_no_train", n[5], false},
      {"test_no_train", n[6], false}};
  if (json) return PRINT_OBJECT(fact);
  printf("%llu train, %llu validation, %llu test events; left out: %llu repeats, %llu users with "
         "too few, %llu and %llu held-out events of items without train events\n",
         n[0], n[1], n[2], n[3], n[4], n[5], n[6]);
  return XF_OK;
}

enum xf_rc xf_data_split(const struct xf_data_request *r, struct xf_diag *diag) {
  struct xf_interactions x;
  struct xf_split split = {0};
  struct xf_rng rng;
  struct xf_split_spec spec = r->split;
  if (r->random) spec.kind = XF_SPLIT_RANDOM;
  xf_stream_init(&rng, r->seed, "split", 0, NULL);
  enum xf_rc rc = xf_interactions_load(&x, r->file, &r->spec, diag);
  if (rc) return rc;
  rc = xf_split_init(&split, &x, &spec, &rng, diag);
  if (!rc) rc = make_dir(r->out, diag);
  for (int p = 0; !rc && p < XF_N_PART; p++)
    rc = save_part(&x, &split, (enum xf_part)p, r->out, diag);
  if (!rc) rc = print_split(&split.count, r->json);
  xf_split_deinit(&split);
  xf_interactions_deinit(&x);
  return rc;
}

static enum xf_rc save_domains(const struct xf_interactions *x, const char *dir,
                               struct xf_diag *diag) {
  char path[XF_PATH_MAX], name[64];
  enum xf_rc rc = xf_fs_join(path, dir, "all.tsv");
  if (!rc) rc = xf_interactions_save(x, path, diag);
  for (uint32_t d = 0; !rc && d < x->domains.n; d++) {
    struct xf_interactions one;
    (void)snprintf(name, sizeof name, "%s.tsv", xf_names_get(&x->domains, d));
    rc = xf_fs_join(path, dir, name);
    if (!rc) rc = xf_interactions_select(&one, x, x->domain, d);
    if (rc) return rc;
    rc = xf_interactions_save(&one, path, diag);
    xf_interactions_deinit(&one);
  }
  return rc;
}

enum xf_rc xf_data_synth(const struct xf_data_request *r, struct xf_diag *diag) {
  struct xf_interactions x;
  struct xf_rng rng;
  xf_stream_init(&rng, r->seed, "synth", 0, NULL);
  enum xf_rc rc = xf_synth_init(&x, &r->synth, &rng, diag);
  if (rc) return rc;
  rc = make_dir(r->out, diag);
  if (!rc) rc = save_domains(&x, r->out, diag);
  if (!rc) rc = stats_of(&x, r, diag);
  xf_interactions_deinit(&x);
  return rc;
}
