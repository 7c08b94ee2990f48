/* Builds a silo and keeps its personal state. */
#include "silo/silo.h"

#include "base/alloc.h"
#include "base/str.h"
#include "crypto/pseudonym.h"
#include "crypto/stream.h"
#include "param/vec.h"
#include "resolve/global.h"
#include "silo/parts.h"

#include <string.h>

void silo_streams(const struct xf_silo *s, uint64_t round, struct xf_rng *shuffle,
                  struct xf_rng *negative) {
  xf_stream_init(shuffle, s->cfg.plan->seed, "shuffle", round, s->cfg.member);
  xf_stream_init(negative, s->cfg.plan->seed, "negative", round, s->cfg.member);
}

enum xf_rc silo_first(const struct xf_silo *s, float *x, struct xf_diag *diag) {
  struct xf_rng shared, own;
  xf_stream_init(&shared, s->cfg.plan->seed, "init", 0, NULL);
  xf_stream_init(&own, s->cfg.plan->seed, "init", 0, s->cfg.member);
  const struct xf_model_seed seed = {&shared, &own, s->space[0].local_key, NULL};
  return xf_model_init(s->model, x, &seed, diag);
}

static enum xf_rc make_space(struct xf_silo *s, struct silo_space *p, struct xf_diag *diag) {
  static const char *const what[] = {"users", "items", "categories"};
  if (!s->cfg.align_key)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "the plan aligns %s in namespace \"%s\": the silo needs the silos' shared "
                       "key (data.align_key)",
                       what[p->plan.of], p->plan.ns);
  const struct xf_names *names = p->plan.of == XF_SPACE_CATEGORIES ? &s->categories.names
                                 : p->plan.of == XF_SPACE_ITEMS    ? &s->data.inter.items
                                                                   : &s->data.inter.users;
  if (names->n == 0 && p->plan.of == XF_SPACE_CATEGORIES)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "the plan sums over categories: name the file of the items' categories "
                       "(serve.categories)");
  p->local_key = xf_try_calloc(names->n, sizeof *p->local_key);
  p->key_row = xf_try_calloc(names->n, sizeof *p->key_row);
  if (!p->local_key || !p->key_row) return XF_E_NOMEM;
  for (uint32_t i = 0; i < names->n; i++) {
    const char *text = xf_names_get(names, i);
    xf_pseudonym(p->local_key[i].b, s->cfg.align_key, p->plan.ns, text, strlen(text));
  }
  enum xf_rc rc = xf_manifest_init(&p->manifest, p->local_key, names->n, diag);
  for (uint32_t i = 0; i < names->n && !rc; i++)
    p->key_row[xf_manifest_find(&p->manifest, &p->local_key[i])] = i;
  return rc;
}

static enum xf_rc make_keys(struct xf_silo *s, struct xf_diag *diag) {
  const struct xf_spaces spaces = xf_resolve_spaces(s->cfg.plan);
  enum xf_rc rc = XF_OK;
  s->n_space = spaces.n;
  for (uint32_t k = 0; k < spaces.n && !rc; k++) {
    s->space[k].plan = spaces.at[k];
    rc = make_space(s, &s->space[k], diag);
  }
  return rc;
}

const struct silo_space *silo_space_of(const struct xf_silo *s, enum xf_space_of of) {
  for (uint32_t k = 0; k < s->n_space; k++)
    if (s->space[k].plan.of == of) return &s->space[k];
  return NULL;
}

static enum xf_rc make_model(struct xf_silo *s, struct xf_diag *diag) {
  struct xf_model_config config;
  struct xf_model_size size = {0, 0};
  if (s->data.kind == XF_DATASET_INTERACTIONS)
    size = (struct xf_model_size){s->data.split.n_users, s->data.split.n_items};
  size_t n_train = xf_dataset_count(&s->data, XF_PART_TRAIN);
  if (n_train == 0 || n_train > UINT32_MAX)
    return xf_diag_set(diag, XF_E_CONFIG, "the data have %zu train samples; needed: 1 to 2^32-1",
                       n_train);
  enum xf_rc rc = xf_resolve_measures(&s->measures, s->cfg.plan, diag);
  if (rc || s->recommends) return rc ? rc : silo_stages_init(s, diag);
  rc = xf_resolve_model(&config, s->cfg.plan, diag);
  if (!rc) rc = xf_model_new(&s->model, &config, size, diag);
  if (rc) return rc;
  s->layout = xf_model_get_layout(s->model);
  n_train = xf_model_samples(s->model, &s->data, XF_PART_TRAIN);
  rc = xf_layout_digest(&s->layout_digest, s->layout);
  const struct xf_local_config local = xf_resolve_local(s->cfg.plan, 0);
  if (!rc && local.optimizer.lr > 0) /* else the plan needs none: xf_plan_check */
    rc = xf_trainer_new(&s->trainer, s->model, &local, (uint32_t)n_train, diag);
  const struct xf_personal_config personal = xf_resolve_personal(s->cfg.plan, 0);
  if (!rc && personal.rule != XF_PERSONAL_PLAIN)
    rc = xf_personal_new(&s->personal, s->model, &personal, &local, (uint32_t)n_train, diag);
  if (!rc && s->trainer) rc = xf_trainer_check_units(s->trainer, &s->data, diag);
  if (!rc && (xf_plan_is_meta(&s->cfg.plan->stages[0]) || xf_plan_adapts(s->cfg.plan))) {
    const struct xf_metawork_config meta = xf_resolve_meta(s->cfg.plan, 0);
    rc = xf_metawork_new(&s->meta, s->model, &meta, n_train, diag);
  }
  if (!rc) rc = xf_evaluator_new(&s->evaluator, s->model, diag);
  return rc;
}

static enum xf_rc make_vectors(struct xf_silo *s, struct xf_diag *diag) {
  if (s->recommends) return XF_OK; /* known once it is aligned */
  s->full = xf_try_calloc(s->layout->n, sizeof(float));
  s->next = xf_try_calloc(s->layout->n, sizeof(float));
  s->task = xf_try_calloc(s->layout->n, sizeof(float));
  s->arm = xf_try_calloc(s->layout->n, sizeof(float));
  if (s->meta) s->adapted = xf_try_calloc(s->layout->n, sizeof(float));
  if (!s->full || !s->next || !s->task || !s->arm || (s->meta && !s->adapted))
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for a model of %llu floats",
                       (unsigned long long)s->layout->n);
  if (silo_control_init(s)) return XF_E_NOMEM;
  if (xf_resolve_pulls(s->cfg.plan, 0)) {
    s->prior = xf_try_calloc(s->layout->n, sizeof(float));
    s->held = xf_try_calloc(s->data.split.n_users, 1);
    if (!s->prior || !s->held) return XF_E_NOMEM;
  }
  return silo_first(s, s->full, diag);
}

enum xf_rc xf_silo_new(struct xf_silo **out, const struct xf_silo_config *config,
                       struct xf_diag *diag) {
  struct xf_silo *s = xf_calloc(1, sizeof *s);
  s->cfg = *config;
  s->cfg.member = s->member;
  s->cfg.kg = xf_kg_side_ref(config->kg);
  s->data = *config->data;
  xf_dataset_init(config->data, s->data.kind);
  if (config->categories) {
    s->categories = *config->categories;
    *config->categories = (struct xf_categories){0};
  }
  s->recommends = xf_resolve_recommends(config->plan);
  s->lens.n_stage = config->plan->n_stages;
  enum xf_rc rc = xf_str_copy(s->member, sizeof s->member, config->member);
  if (!rc) rc = make_keys(s, diag);
  if (!rc) rc = make_model(s, diag);
  if (!rc) rc = make_vectors(s, diag);
  if (!rc && s->n_space == 0) rc = xf_silo_align(s, NULL, diag);
  if (rc) {
    xf_silo_free(s);
    return rc;
  }
  *out = s;
  return XF_OK;
}

const struct xf_categories *xf_silo_categories(const struct xf_silo *silo) {
  return silo->categories.n ? &silo->categories : NULL;
}

struct xf_kg_side *xf_silo_kg(const struct xf_silo *silo) {
  return silo->cfg.kg;
}

void xf_silo_free(struct xf_silo *silo) {
  if (!silo) return;
  xf_kg_side_unref(silo->cfg.kg);
  xf_trainer_free(silo->trainer);
  xf_metawork_free(silo->meta);
  xf_personal_free(silo->personal);
  xf_evaluator_free(silo->evaluator);
  if (silo->recommends) silo_stages_deinit(silo);
  for (int i = 0; i < XF_PLAN_STAGES_MAX; i++) xf_wire_map_deinit(&silo->slice[i]);
  xf_wire_map_deinit(&silo->map);
  xf_model_free(silo->model);
  xf_dataset_deinit(&silo->data);
  xf_categories_deinit(&silo->categories);
  xf_csr_deinit(&silo->profile);
  for (uint32_t k = 0; k < silo->n_space; k++) {
    struct silo_space *p = &silo->space[k];
    xf_manifest_deinit(&p->manifest);
    xf_free(p->local_key);
    xf_free(p->key_row);
    xf_free(p->known_row);
    xf_free(p->holders);
  }
  xf_free(silo->full);
  xf_free(silo->next);
  xf_free(silo->task);
  xf_free(silo->arm);
  xf_free(silo->adapted);
  xf_free(silo->start);
  xf_free(silo->shift);
  xf_free(silo->prior);
  xf_free(silo->held);
  xf_free(silo->wire);
  xf_free(silo->noise);
  xf_free(silo);
}

uint32_t xf_silo_spaces(const struct xf_silo *silo) { return silo->n_space; }

const struct xf_manifest *xf_silo_manifest(const struct xf_silo *silo, uint32_t space) {
  return &silo->space[space].manifest;
}

/* The wire maps of all stages and of each, and what tasks move by them. */
static enum xf_rc make_maps(struct xf_silo *s, struct xf_diag *diag) {
  struct xf_wire_rows rows[XF_SPACES_MAX] = {{0}};
  for (uint32_t k = 0; k < s->n_space; k++)
    rows[k] =
        (struct xf_wire_rows){s->space[k].plan.ns, s->space[k].known_row, s->space[k].n_known};
  const struct xf_plan *plan = s->cfg.plan;
  enum xf_rc rc = xf_wire_map_init(&s->map, s->layout, rows, s->n_space, XF_STAGE_ALL, diag);
  for (uint32_t i = 0; i < plan->n_stages && !rc; i++)
    rc = xf_wire_map_init(&s->slice[i], s->layout, rows, s->n_space, 1u << i, diag);
  if (rc) return rc;
  s->lens.all = s->map.n_wire * sizeof(float);
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    const uint32_t in = xf_resolve_inputs(plan, i);
    s->lens.up[i] = s->slice[i].n_wire * sizeof(float);
    s->lens.in[i] = 0;
    for (uint32_t k = 0; k < i; k++)
      if (in >> k & 1) s->lens.in[i] += s->slice[k].n_wire * sizeof(float);
    s->lens.down[i] = s->lens.in[i];
    if (plan->stages[i].kind != XF_PLAN_STAGE_STATISTIC) s->lens.down[i] += s->lens.up[i];
  }
  return XF_OK;
}

/* Takes what the directory says of one namespace's keys. */
static enum xf_rc take_holders(struct silo_space *p, const uint32_t *holders) {
  p->known_row = xf_try_calloc(p->manifest.n, sizeof *p->known_row);
  p->holders = xf_try_calloc(p->manifest.n, sizeof *p->holders);
  if (!p->known_row || !p->holders) return XF_E_NOMEM;
  for (size_t i = 0; i < p->manifest.n; i++) {
    if (!holders[i]) continue;
    p->known_row[p->n_known] = p->key_row[i];
    p->holders[p->n_known++] = holders[i];
  }
  return XF_OK;
}

enum xf_rc xf_silo_align(struct xf_silo *silo, const uint32_t *const *holders,
                         struct xf_diag *diag) {
  struct xf_silo *s = silo;
  if (s->aligned) return xf_diag_set(diag, XF_E_STATE, "the silo is aligned already");
  enum xf_rc rc = XF_OK;
  for (uint32_t k = 0; k < s->n_space && !rc; k++) rc = take_holders(&s->space[k], holders[k]);
  if (!rc && s->recommends) rc = silo_stages_init(s, diag);
  if (!rc) rc = make_maps(s, diag);
  if (rc) return rc;
  s->wire = xf_try_calloc((size_t)s->map.n_wire + 1, sizeof(float));
  if (s->cfg.noise_multiplier > 0)
    s->noise = xf_try_calloc((size_t)s->map.n_wire + 1, sizeof(int32_t));
  if (!s->wire || (s->cfg.noise_multiplier > 0 && !s->noise)) return XF_E_NOMEM;
  s->aligned = true;
  for (int tentative = 0; tentative < 2 && !rc; tentative++)
    if (s->waiting[tentative])
      rc = xf_silo_restore(s, s->waiting[tentative], s->n_waiting[tentative], tentative);
  return rc ? xf_diag_set(diag, rc, "the personal state does not fit the directory") : XF_OK;
}

uint64_t xf_silo_model_len(const struct xf_silo *silo) { return silo->map.n_wire * sizeof(float); }
const struct xf_plan_lens *xf_silo_lens(const struct xf_silo *silo) { return &silo->lens; }
const struct xf_layout *xf_silo_layout(const struct xf_silo *silo) { return silo->layout; }
const struct xf_digest *xf_silo_layout_digest(const struct xf_silo *silo) {
  return &silo->layout_digest;
}
const struct xf_dataset *xf_silo_data(const struct xf_silo *silo) { return &silo->data; }
const struct xf_measures *xf_silo_measures(const struct xf_silo *silo) { return &silo->measures; }
const struct xf_model *xf_silo_model(const struct xf_silo *silo) { return silo->model; }

bool xf_silo_recommends(const struct xf_silo *silo) { return silo->recommends; }

uint64_t xf_silo_params(const struct xf_silo *silo) { return silo->layout->n; }

const float *xf_silo_personal(const struct xf_silo *silo, bool tentative) {
  return tentative ? silo->next : silo->full;
}

enum xf_rc xf_silo_restore(struct xf_silo *silo, const float *x, uint64_t n, bool tentative) {
  if (silo->recommends && !silo->aligned) { /* its length is known once it is aligned */
    xf_free(silo->waiting[tentative]);
    silo->waiting[tentative] = xf_try_calloc((size_t)n + 1, sizeof *x);
    if (!silo->waiting[tentative]) return XF_E_NOMEM;
    memcpy(silo->waiting[tentative], x, (size_t)n * sizeof *x);
    silo->n_waiting[tentative] = n;
    return XF_OK;
  }
  if (n != silo->layout->n) return XF_E_SHAPE;
  if (xf_vec_find_nonfinite(x, (size_t)n) != SIZE_MAX) return XF_E_NAN;
  memcpy(tentative ? silo->next : silo->full, x, (size_t)n * sizeof *x);
  if (tentative) silo->tentative = true;
  return XF_OK;
}

void xf_silo_outcome(struct xf_silo *silo, bool committed) {
  if (!silo->tentative) return;
  silo->tentative = false;
  if (committed) memcpy(silo->full, silo->next, silo->layout->n * sizeof(float));
}
