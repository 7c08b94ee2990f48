/* What the curves come to: a table, one JSON object, a picture of the first figure. */
#include "tools/adapt.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "tools/json_out.h"
#include "tools/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { JSON_MAX = 16 << 20, SVG_MAX = 8 << 20, HEX_SHOWN = 12 };

/* --- text ----------------------------------------------------------------------------------------------------------- */

static void put_start(const char *what, const char *dir, const struct adapt_start *s) {
  char hex[XF_DIGEST_HEX];
  printf("%-8s %s: %s, round %llu, model_blake2b %.*s\n", what, dir, s->plan.name,
         (unsigned long long)s->info.round, HEX_SHOWN, xf_digest_print(hex, &s->info.model));
}

/* A line for each k; ridges, which take no steps, stand in the line of k = 0, their differences in all. */
static void put_block(const struct adapt_result *r, bool minus, size_t figure) {
  const struct adapt_curves *c = r->curves;
  printf("%6s", "k");
  for (int arm = minus; arm < ADAPT_N_ARM; arm++)
    if (c->has[arm]) printf("  %17s", adapt_arm_name((enum adapt_arm)arm));
  printf("\n");
  for (uint32_t i = 0; i < c->n_k; i++) {
    printf("%6u", r->request->k[i]);
    for (int arm = minus; arm < ADAPT_N_ARM; arm++) {
      if (!c->has[arm]) continue;
      const struct adapt_figure f = (minus ? c->minus : c->value)[arm][i * c->n_figure + figure];
      char text[48] = "-";
      if (isfinite(f.mean) && (minus || adapt_steps((enum adapt_arm)arm) || i == 0))
        (void)snprintf(text, sizeof text, isfinite(f.half) ? "%.4f +-%.4f" : "%.4f", f.mean,
                       f.half);
      printf("  %17s", text);
    }
    printf("\n");
  }
}

/* Says so when figures of a block do without some units. */
static void put_units(const struct adapt_curves *c, size_t figure, bool clients) {
  uint32_t least = c->n_unit;
  for (int arm = 0; arm < ADAPT_N_ARM; arm++)
    for (uint32_t i = 0; i < c->n_k && c->has[arm]; i++) {
      const uint32_t n = c->value[arm][i * c->n_figure + figure].n_unit;
      if (n && n < least) least = n;
    }
  if (least < c->n_unit)
    printf("over %u of %u %s at least: it is not defined for the others\n", least, c->n_unit,
           clients ? "clients" : "draws");
}

void adapt_print(const struct adapt_result *result) {
  const struct adapt_request *q = result->request;
  const struct adapt_curves *c = result->curves;
  const size_t n = result->clients->n;
  put_start("start", q->run, result->start);
  if (result->against) put_start("against", q->against, result->against);
  printf("%zu client%s, %u draw%s each: a support of %u, a query of ", n, n == 1 ? "" : "s",
         q->seeds, q->seeds == 1 ? "" : "s", q->support);
  if (q->query) printf("%u", q->query);
  else printf("all other rows");
  printf(", rate %g\n", c->lr);
  const char *over = c->n_unit < 2 ? "" : n > 1 ? ", mean over clients" : ", mean over draws";
  const char *half = c->n_unit < 2 ? "" : " +- half of its 95 % interval";
  for (size_t f = 0; f < c->n_figure; f++) {
    printf("\n%s of the query after k steps%s%s\n", c->key[f], over, half);
    put_block(result, false, f);
    put_units(c, f, n > 1);
  }
  printf("\n%s of start minus that of the others, paired; a ridge head takes no steps\n",
         c->key[0]);
  put_block(result, true, 0);
}

/* --- JSON ----------------------------------------------------------------------------------------------------------- */

static void json_start(struct xf_jsonw *w, const char *key, const char *dir,
                       const struct adapt_start *s) {
  xf_jsonw_key(w, key);
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "dir", dir);
  xf_jsonw_kstr(w, "name", s->plan.name);
  xf_jsonw_kuint(w, "round", s->info.round);
  xf_jsonw_kdigest(w, "model_blake2b", &s->info.model);
  xf_jsonw_kdigest(w, "plan_sha256", &s->info.plan);
  xf_jsonw_object_end(w);
}

static void json_row(struct xf_jsonw *w, const struct adapt_result *r, int arm, uint32_t i) {
  const struct adapt_curves *c = r->curves;
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "arm", adapt_arm_name((enum adapt_arm)arm));
  xf_jsonw_kuint(w, "k", r->request->k[i]);
  for (size_t f = 0; f < c->n_figure; f++) {
    const struct adapt_figure value = c->value[arm][i * c->n_figure + f],
                              minus = c->minus[arm][i * c->n_figure + f];
    char key[XF_MEASURE_KEY + 32];
    xf_jsonw_kdouble(w, c->key[f], value.mean);
    (void)snprintf(key, sizeof key, "%s_half", c->key[f]);
    xf_jsonw_kdouble(w, key, value.half);
    (void)snprintf(key, sizeof key, "%s_units", c->key[f]);
    xf_jsonw_kuint(w, key, value.n_unit);
    if (arm == ADAPT_START) continue;
    (void)snprintf(key, sizeof key, "start_minus_%s", c->key[f]);
    xf_jsonw_kdouble(w, key, minus.mean);
    (void)snprintf(key, sizeof key, "start_minus_%s_half", c->key[f]);
    xf_jsonw_kdouble(w, key, minus.half);
  }
  xf_jsonw_object_end(w);
}

enum xf_rc adapt_json(const struct adapt_result *result) {
  const struct adapt_request *q = result->request;
  const struct adapt_clients *clients = result->clients;
  struct xf_buf out;
  struct xf_jsonw w;
  xf_buf_init(&out, JSON_MAX);
  xf_jsonw_init(&w, &out);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  json_start(&w, "start", q->run, result->start);
  if (result->against) json_start(&w, "against", q->against, result->against);
  xf_jsonw_kuint(&w, "clients", clients->n);
  xf_jsonw_key(&w, "trained");
  xf_jsonw_array(&w);
  for (size_t i = 0; i < clients->n; i++)
    if (clients->at[i].trained) xf_jsonw_str(&w, clients->at[i].id);
  xf_jsonw_array_end(&w);
  xf_jsonw_kuint(&w, "draws", q->seeds);
  xf_jsonw_kuint(&w, "support", q->support);
  xf_jsonw_key(&w, "query");
  if (q->query) xf_jsonw_uint(&w, q->query);
  else xf_jsonw_null(&w);
  xf_jsonw_kdouble(&w, "lr", result->curves->lr);
  xf_jsonw_kstr(&w, "interval_over", clients->n > 1 ? "clients" : "draws");
  xf_jsonw_key(&w, "curve");
  xf_jsonw_array(&w);
  for (int arm = 0; arm < ADAPT_N_ARM; arm++)
    for (uint32_t i = 0; i < result->curves->n_k && result->curves->has[arm]; i++)
      json_row(&w, result, arm, i);
  xf_jsonw_array_end(&w);
  xf_jsonw_object_end(&w);
  const enum xf_rc rc = xf_tool_json(&out, &w);
  xf_buf_deinit(&out);
  return rc;
}

/* --- picture -------------------------------------------------------------------------------------------------------- */

enum xf_rc adapt_svg(const struct adapt_result *result, struct xf_diag *diag) {
  const struct adapt_curves *c = result->curves;
  char title[XF_PLOT_TEXT];
  (void)snprintf(title, sizeof title, "%.80s: %s after k steps", result->start->plan.name,
                 c->key[0]);
  const struct xf_plot_request request = {.file = result->request->run,
                                          .out = result->request->svg,
                                          .x = "k",
                                          .y = c->key[0],
                                          .series = "arm",
                                          .err = "half",
                                          .title = title,
                                          .x_label = "steps on the support"};
  struct xf_plot plot = {.point = xf_calloc((size_t)ADAPT_N_ARM * c->n_k, sizeof *plot.point)};
  struct xf_buf svg;
  for (int arm = 0; arm < ADAPT_N_ARM; arm++) {
    if (!c->has[arm]) continue;
    (void)snprintf(plot.name[plot.n_series], XF_PLOT_TEXT, "%s",
                   adapt_arm_name((enum adapt_arm)arm));
    for (uint32_t i = 0; i < c->n_k && (adapt_steps((enum adapt_arm)arm) || i == 0); i++) {
      const struct adapt_figure f = c->value[arm][i * c->n_figure];
      if (!isfinite(f.mean)) continue;
      plot.point[plot.n++] = (struct xf_plot_point){.x = result->request->k[i],
                                                    .y = f.mean,
                                                    .err = isfinite(f.half) ? f.half : 0,
                                                    .series = plot.n_series};
    }
    plot.n_series++;
  }
  xf_buf_init(&svg, SVG_MAX);
  enum xf_rc rc =
      plot.n ? XF_OK
             : xf_diag_set(diag, XF_E_RANGE, "--svg: %s is defined for no client: nothing to draw",
                           c->key[0]);
  if (!rc) rc = xf_plot_svg(&svg, &plot, &request);
  if (!rc) rc = xf_fs_replace(xf_fs_posix(), request.out, svg.p, svg.len, diag);
  xf_buf_deinit(&svg);
  xf_plot_deinit(&plot);
  return rc;
}
