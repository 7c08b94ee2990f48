/* crossfed data check: reads every line, tells what is odd; twin items of two domains. */
#include "base/time.h"
#include "data/findings.h"
#include "tools/data.h"
#include "tools/json_out.h"

#include <stdio.h>
#include <string.h>

enum { JSON_MAX = 1 << 20 };

static enum xf_rc check_table(const struct xf_data_request *r, struct xf_diag *diag) {
  struct xf_table t;
  struct xf_table_spec spec = r->table_spec;
  spec.drop = r->drop;
  spec.n_drop = r->n_drop;
  spec.one_hot = r->one_hot;
  spec.n_one_hot = r->n_one_hot;
  enum xf_rc rc = xf_table_load(&t, r->file, &spec, diag);
  if (rc) return rc;
  const struct xf_data_fact fact[] = {{"ok", 1, true},
                                      {"rows", t.n, false},
                                      {"inputs", t.n_in, false},
                                      {"classes", t.n_class, false},
                                      {"missing", t.n_missing, false}};
  if (r->json) rc = xf_data_print(fact, sizeof fact / sizeof *fact);
  else
    printf("ok: %zu rows of %u inputs, %u classes, %llu rows with missing values left out\n", t.n,
           t.n_in, t.n_class, (unsigned long long)t.n_missing);
  xf_table_deinit(&t);
  return rc;
}

static void findings_json(struct xf_jsonw *w, const struct xf_findings *f) {
  xf_jsonw_key(w, "findings");
  xf_jsonw_array(w);
  for (int k = 0; k < XF_N_FINDING; k++) {
    const struct xf_finding *one = &f->of[k];
    if (!one->count) continue;
    xf_jsonw_object(w);
    xf_jsonw_kstr(w, "finding", xf_finding_name((enum xf_finding_kind)k));
    xf_jsonw_kuint(w, "count", one->count);
    xf_jsonw_kuint(w, "line", one->line);
    xf_jsonw_kstr(w, "example", one->example);
    xf_jsonw_kstr(w, "what", xf_finding_text((enum xf_finding_kind)k));
    xf_jsonw_kstr(w, "fix", xf_finding_fix((enum xf_finding_kind)k));
    xf_jsonw_object_end(w);
  }
  xf_jsonw_array_end(w);
}

static enum xf_rc print_json(const struct xf_interactions *x, const struct xf_findings *f) {
  struct xf_buf buf;
  struct xf_jsonw w;
  xf_buf_init(&buf, JSON_MAX);
  xf_jsonw_init(&w, &buf);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kbool(&w, "ok", true);
  xf_jsonw_kbool(&w, "header", x->count.header);
  xf_jsonw_kuint(&w, "lines", x->count.lines);
  xf_jsonw_kuint(&w, "events", x->n - f->of[XF_FINDING_LOW_VALUE].count);
  xf_jsonw_kuint(&w, "users", x->users.n);
  xf_jsonw_kuint(&w, "items", x->items.n);
  xf_jsonw_kuint(&w, "domains", x->domains.n);
  xf_jsonw_kuint(&w, "other_domain", x->count.other_domain);
  findings_json(&w, f);
  xf_jsonw_object_end(&w);
  const enum xf_rc rc = xf_tool_json(&buf, &w);
  xf_buf_deinit(&buf);
  return rc;
}

static void print_text(const struct xf_interactions *x, const struct xf_findings *f,
                       const char *file) {
  printf("ok: %llu events%s, %llu kept: %u users, %u items, %u domains%s%s\n",
         (unsigned long long)x->count.lines, x->count.header ? " below a header" : "",
         (unsigned long long)(x->n - f->of[XF_FINDING_LOW_VALUE].count), x->users.n, x->items.n,
         x->domains.n, x->value ? ", values" : "", x->time ? ", times" : ", no times");
  for (int k = 0; k < XF_N_FINDING; k++) {
    const struct xf_finding *one = &f->of[k];
    if (!one->count) continue;
    printf("%llu %s\n  first at %s:%llu%s%s\n  %s\n", (unsigned long long)one->count,
           xf_finding_text((enum xf_finding_kind)k), file, (unsigned long long)one->line,
           one->example[0] ? ": " : "", one->example, xf_finding_fix((enum xf_finding_kind)k));
  }
}

enum xf_rc xf_data_check(const struct xf_data_request *r, struct xf_diag *diag) {
  if (r->leaks[0]) return xf_data_leaks(r, diag);
  if (r->table) return check_table(r, diag);
  struct xf_interactions x;
  struct xf_findings found;
  struct xf_interactions_spec load = r->spec;
  const struct xf_findings_spec spec = {.min = r->split.min,
                                        .has_min_value = r->has_min_value,
                                        .min_value = r->min_value,
                                        .now = (double)xf_wall_now_s()};
  load.keep_lines = true;
  if (r->has_min_value && !load.value && load.user)
    return xf_diag_set(diag, XF_E_INVAL, "--min-value needs value=N in --columns");
  enum xf_rc rc = xf_interactions_load(&x, r->file, &load, diag);
  if (rc) return rc;
  rc = xf_findings_check(&found, &x, &spec, diag);
  if (!rc && r->json) rc = print_json(&x, &found);
  else if (!rc) print_text(&x, &found, r->file);
  xf_interactions_deinit(&x);
  return rc;
}
