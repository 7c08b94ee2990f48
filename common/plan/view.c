/* What a plan asks of a silo; small readers of its texts. */
#include "plan/view.h"

#include "base/str.h"

#include <string.h>

static uint64_t add_product(uint64_t sum, uint64_t a, uint64_t b) {
  uint64_t p = 0, s = 0;
  if (__builtin_mul_overflow(a, b, &p) || __builtin_add_overflow(sum, p, &s)) return UINT64_MAX;
  return s;
}

uint64_t xf_plan_rounds(const struct xf_plan *plan) {
  uint64_t n = 0;
  for (uint32_t i = 0; i < plan->n_stages; i++) n += plan->stages[i].fed.rounds;
  return n;
}

uint32_t xf_plan_stage_at(const struct xf_plan *plan, uint64_t committed, uint64_t *first) {
  uint64_t before = 0, from = 0;
  uint32_t at = 0;
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    if (plan->stages[i].fed.rounds == 0) continue;
    at = i;
    from = before;
    before += plan->stages[i].fed.rounds;
    if (committed < before) break;
  }
  if (first) *first = from;
  return at;
}

bool xf_plan_evaluates_at(const struct xf_plan *plan, uint64_t committed) {
  const uint32_t every = plan->eval.every;
  if (plan->eval.n_metrics == 0) return false;
  if (committed >= xf_plan_rounds(plan)) return true;
  if (every && committed && committed % every == 0) return true;
  uint64_t before = 0;
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    if (plan->stages[i].kind == XF_PLAN_STAGE_EVALUATE && before == committed) return true;
    before += plan->stages[i].fed.rounds;
  }
  return false;
}

uint64_t xf_plan_evaluations(const struct xf_plan *plan) {
  const uint64_t rounds = xf_plan_rounds(plan), every = plan->eval.every;
  if (plan->eval.n_metrics == 0) return 0;
  uint64_t n = every ? rounds / every + (rounds % every != 0) : 1, before = 0, last = UINT64_MAX;
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const bool here = plan->stages[i].kind == XF_PLAN_STAGE_EVALUATE && before != last;
    if (here && before < rounds && (every == 0 || before == 0 || before % every)) n++;
    if (here) last = before;
    before += plan->stages[i].fed.rounds;
  }
  return n;
}

uint32_t xf_plan_stage_find(const struct xf_plan *plan, const char *name) {
  uint32_t i = 0;
  while (i < plan->n_stages && strcmp(plan->stages[i].name, name) != 0) i++;
  return i;
}

static bool keyed(const struct xf_plan_stage_part *s) {
  return s->kind == XF_PLAN_STAGE_STATISTIC || s->kind == XF_PLAN_STAGE_ROWS;
}

bool xf_plan_is_aligned(const struct xf_plan *plan) {
  for (uint32_t i = 0; i < plan->n_stages; i++)
    if (keyed(&plan->stages[i])) return true;
  return plan->model.kind == XF_PLAN_MODEL_MF &&
         (plan->model.users == XF_PLAN_USERS_ALIGNED || plan->model.items == XF_PLAN_ITEMS_ALIGNED);
}

bool xf_plan_by_units(const struct xf_plan *plan) {
  return plan->privacy.unit != XF_PLAN_UNIT_SILO && plan->model.kind != XF_PLAN_MODEL_RECOMMENDER &&
         !xf_plan_maps(plan);
}

static bool sums(const struct xf_plan *plan, enum xf_plan_statistic of) {
  for (uint32_t i = 0; i < plan->n_stages; i++)
    if (plan->stages[i].kind == XF_PLAN_STAGE_STATISTIC && plan->stages[i].statistic.of == of)
      return true;
  return false;
}

bool xf_plan_maps(const struct xf_plan *plan) { return sums(plan, XF_PLAN_STATISTIC_MAP); }

bool xf_plan_categories(const struct xf_plan *plan) {
  return sums(plan, XF_PLAN_STATISTIC_CATEGORIES);
}

static uint32_t least(uint32_t a, uint32_t b) { return a && a < b ? a : b; }
static uint32_t most(uint32_t a, uint32_t b) { return a > b ? a : b; }
static uint32_t at_most_u32(uint64_t n) { return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX; }

void xf_plan_policy_view(struct xf_plan_view *out, const struct xf_plan *plan) {
  bool aligned = xf_plan_is_aligned(plan), free_rows = false, all_at_once = false;
  *out = (struct xf_plan_view){.clip = plan->privacy.clip,
                               .noise_multiplier = plan->privacy.noise_multiplier,
                               .aligned = aligned,
                               .uniform = true};
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const struct xf_plan_stage_part *s = &plan->stages[i];
    out->rounds = add_product(out->rounds, s->fed.rounds, 1);
    const bool meta = xf_plan_is_meta(s);
    const uint64_t times = xf_plan_personal_times(s);
    const uint32_t epochs =
        meta ? 0 : at_most_u32(times * s->local.epochs + xf_plan_personal_epochs(s));
    const uint32_t steps = meta ? xf_plan_meta_gradients(s) : at_most_u32(times * s->local.steps);
    const uint32_t batch = !meta                 ? s->local.batch
                           : s->local.meta.query ? most(s->local.meta.support, s->local.meta.query)
                                                 : 0;
    out->epochs = add_product(out->epochs, s->fed.rounds, epochs);
    out->steps = add_product(out->steps, s->fed.rounds, steps);
    out->max_epochs = most(out->max_epochs, epochs);
    out->max_steps = most(out->max_steps, steps);
    out->max_batch = most(out->max_batch, batch);
    out->min_domains = least(out->min_domains, s->fed.min_domains);
    if (batch == 0) all_at_once = true;
    if (s->kind == XF_PLAN_STAGE_EVALUATE) continue;
    if (s->kind == XF_PLAN_STAGE_STATISTIC) out->statistics = true;
    if (s->fed.encoding == XF_PLAN_ENCODING_TOPK) out->topk = true;
    if (s->kind == XF_PLAN_STAGE_ROWS && s->rows.rule == XF_PLAN_ROW_RULE_SUMS) out->exact = true;
    if (s->fed.algorithm == XF_PLAN_ALGORITHM_SCAFFOLD ||
        s->fed.algorithm == XF_PLAN_ALGORITHM_FEDNOVA)
      out->own_steps = true;
    if (s->fed.weighting != XF_PLAN_WEIGHTING_UNIFORM) out->uniform = false;
    if (!aligned || (plan->model.kind == XF_PLAN_MODEL_RECOMMENDER && !keyed(s))) continue;
    out->min_holders = least(out->min_holders, s->rows.min_holders);
    if (s->rows.clip_row == 0) free_rows = true;
    if (s->rows.clip_row > out->clip_row) out->clip_row = s->rows.clip_row;
  }
  out->evaluations = xf_plan_evaluations(plan);
  if (free_rows) out->clip_row = 0;
  if (all_at_once) out->max_batch = 0;
}

enum xf_rc xf_plan_metric(struct xf_metric *out, const struct xf_plan *plan, uint32_t i) {
  if (i >= plan->eval.n_metrics) return XF_E_RANGE;
  return xf_metric_parse(out, plan->eval.metrics[i], NULL);
}

enum xf_rc xf_plan_client_id(char out[XF_PLAN_CLIENT_ID], const char *pattern, const char *key) {
  const char *hole = strstr(pattern, "{}");
  if (!hole || strstr(hole + 2, "{}")) return XF_E_INVAL;
  size_t head = (size_t)(hole - pattern), n = strlen(key), tail = strlen(hole + 2);
  if (n >= XF_PLAN_CLIENT_ID || head + n + tail >= XF_PLAN_CLIENT_ID) return XF_E_LIMIT;
  memcpy(out, pattern, head);
  for (size_t i = 0; i < n; i++) {
    char c = key[i];
    if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
    bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    out[head + i] = ok ? c : '-';
  }
  memcpy(out + head + n, hole + 2, tail + 1);
  return xf_str_is_id(out) ? XF_OK : XF_E_INVAL;
}

bool xf_plan_clients_numbered(const struct xf_plan *plan) {
  const enum xf_plan_clients by = plan->sim.clients.by;
  return by == XF_PLAN_CLIENTS_UNIFORM || by == XF_PLAN_CLIENTS_SHARDS ||
         by == XF_PLAN_CLIENTS_DIRICHLET || by == XF_PLAN_CLIENTS_SINUSOID;
}

enum xf_rc xf_plan_client_range(uint64_t *first, uint64_t *last, const struct xf_plan *plan,
                                const char *text) {
  const size_t n = strcspn(text, "-");
  if (xf_str_u64(first, text, n)) return XF_E_FORMAT;
  *last = *first;
  if (text[n] && xf_str_u64(last, text + n + 1, strlen(text + n + 1))) return XF_E_FORMAT;
  return *first >= 1 && *first <= *last && *last <= plan->sim.clients.n ? XF_OK : XF_E_RANGE;
}

bool xf_plan_client_listed(const struct xf_plan *plan, const char *key) {
  const bool numbered = xf_plan_clients_numbered(plan);
  uint64_t first = 0, last = 0, number = 0;
  for (uint32_t i = 0; i < plan->sim.clients.n_only; i++) {
    const char *entry = plan->sim.clients.only[i];
    if (!numbered && strcmp(entry, key) == 0) return true;
    if (numbered && !xf_plan_client_range(&first, &last, plan, entry) &&
        !xf_str_u64(&number, key, strlen(key)) && number >= first && number <= last)
      return true;
  }
  return plan->sim.clients.n_only == 0;
}

enum xf_rc xf_plan_one_hot_parse(struct xf_plan_one_hot *out, const char *text,
                                 struct xf_diag *diag) {
  uint64_t column = 0;
  size_t len = strcspn(text, ":");
  *out = (struct xf_plan_one_hot){0};
  if (text[len] != ':' || xf_str_u64(&column, text, len) || column < 1 || column > 4096)
    return xf_diag_set(diag, XF_E_FORMAT, "\"%.60s\": write column:value,value,... (\"3:1,2,4\")",
                       text);
  out->column = (uint32_t)column;
  for (const char *s = text + len + 1;;) {
    double v = 0;
    len = strcspn(s, ",");
    if (xf_str_double(&v, s, len))
      return xf_diag_set(diag, XF_E_FORMAT, "\"%.60s\": \"%.*s\" is not a number", text,
                         (int)(len > 40 ? 40 : len), s);
    if (out->n == XF_PLAN_ONE_HOT_MAX)
      return xf_diag_set(diag, XF_E_LIMIT, "\"%.60s\": more than %d values", text,
                         XF_PLAN_ONE_HOT_MAX);
    for (uint32_t i = 0; i < out->n; i++)
      if (out->value[i] == v)
        return xf_diag_set(diag, XF_E_FORMAT, "\"%.60s\": %g is given twice", text, v);
    out->value[out->n++] = v;
    if (!s[len]) break;
    s += len + 1;
  }
  if (out->n < 2)
    return xf_diag_set(diag, XF_E_FORMAT, "\"%.60s\": needs at least two values", text);
  return XF_OK;
}
