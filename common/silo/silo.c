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
  const struct xf_model_seed seed = {&shared, &own, s->user_key, NULL};
  return xf_model_init(s->model, x, &seed, diag);
}

static enum xf_rc make_keys(struct xf_silo *s, struct xf_diag *diag) {
  const char *ns = xf_resolve_ns(s->cfg.plan);
  if (!ns) return XF_OK;
  if (!s->cfg.align_key)
    return xf_diag_set(
        diag, XF_E_CONFIG,
        "the plan aligns users in namespace \"%s\": the silo needs the silos' shared "
        "key (data.align_key)",
        ns);
  const struct xf_names *users = &s->data.inter.users;
  s->user_key = xf_try_calloc(users->n, sizeof *s->user_key);
  s->key_row = xf_try_calloc(users->n, sizeof *s->key_row);
  if (!s->user_key || !s->key_row) return XF_E_NOMEM;
  for (uint32_t u = 0; u < users->n; u++) {
    const char *text = xf_names_get(users, u);
    xf_pseudonym(s->user_key[u].b, s->cfg.align_key, ns, text, strlen(text));
  }
  enum xf_rc rc = xf_manifest_init(&s->manifest, s->user_key, users->n, diag);
  for (uint32_t u = 0; u < users->n && !rc; u++)
    s->key_row[xf_manifest_find(&s->manifest, &s->user_key[u])] = u;
  return rc;
}

static enum xf_rc make_model(struct xf_silo *s, struct xf_diag *diag) {
  struct xf_model_config config;
  struct xf_model_size size = {0, 0};
  if (s->data.kind == XF_DATASET_INTERACTIONS)
    size = (struct xf_model_size){s->data.split.n_users, s->data.split.n_items};
  const size_t n_train = xf_dataset_count(&s->data, XF_PART_TRAIN);
  if (n_train == 0 || n_train > UINT32_MAX)
    return xf_diag_set(diag, XF_E_CONFIG, "the data have %zu train samples; needed: 1 to 2^32-1",
                       n_train);
  enum xf_rc rc = xf_resolve_model(&config, s->cfg.plan, diag);
  if (!rc) rc = xf_model_new(&s->model, &config, size, diag);
  if (rc) return rc;
  s->layout = xf_model_get_layout(s->model);
  rc = xf_layout_digest(&s->layout_digest, s->layout);
  const struct xf_local_config local = xf_resolve_local(s->cfg.plan, 0);
  if (!rc) rc = xf_trainer_new(&s->trainer, s->model, &local, (uint32_t)n_train, diag);
  if (!rc) rc = xf_evaluator_new(&s->evaluator, s->model, diag);
  if (!rc) rc = xf_resolve_measures(&s->measures, s->cfg.plan, diag);
  return rc;
}

static enum xf_rc make_vectors(struct xf_silo *s, struct xf_diag *diag) {
  s->full = xf_try_calloc(s->layout->n, sizeof(float));
  s->next = xf_try_calloc(s->layout->n, sizeof(float));
  s->task = xf_try_calloc(s->layout->n, sizeof(float));
  s->arm = xf_try_calloc(s->layout->n, sizeof(float));
  if (!s->full || !s->next || !s->task || !s->arm)
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for a model of %llu floats",
                       (unsigned long long)s->layout->n);
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
  s->data = *config->data;
  xf_dataset_init(config->data, s->data.kind);
  enum xf_rc rc = xf_str_copy(s->member, sizeof s->member, config->member);
  if (!rc) rc = make_keys(s, diag);
  if (!rc) rc = make_model(s, diag);
  if (!rc) rc = make_vectors(s, diag);
  if (!rc && !xf_resolve_ns(s->cfg.plan)) rc = xf_silo_align(s, NULL, diag);
  if (rc) {
    xf_silo_free(s);
    return rc;
  }
  *out = s;
  return XF_OK;
}

void xf_silo_free(struct xf_silo *silo) {
  if (!silo) return;
  xf_trainer_free(silo->trainer);
  xf_evaluator_free(silo->evaluator);
  xf_wire_map_deinit(&silo->map);
  xf_model_free(silo->model);
  xf_dataset_deinit(&silo->data);
  xf_manifest_deinit(&silo->manifest);
  xf_free(silo->user_key);
  xf_free(silo->key_row);
  xf_free(silo->known_row);
  xf_free(silo->holders);
  xf_free(silo->full);
  xf_free(silo->next);
  xf_free(silo->task);
  xf_free(silo->arm);
  xf_free(silo->prior);
  xf_free(silo->held);
  xf_free(silo->wire);
  xf_free(silo->noise);
  xf_free(silo);
}

const struct xf_manifest *xf_silo_manifest(const struct xf_silo *silo) { return &silo->manifest; }

enum xf_rc xf_silo_align(struct xf_silo *silo, const uint32_t *holders, struct xf_diag *diag) {
  struct xf_silo *s = silo;
  if (s->aligned) return xf_diag_set(diag, XF_E_STATE, "the silo is aligned already");
  const char *ns = xf_resolve_ns(s->cfg.plan);
  if (ns) {
    s->known_row = xf_try_calloc(s->manifest.n, sizeof *s->known_row);
    s->holders = xf_try_calloc(s->manifest.n, sizeof *s->holders);
    if (!s->known_row || !s->holders) return XF_E_NOMEM;
    for (size_t i = 0; i < s->manifest.n; i++) {
      if (!holders[i]) continue;
      s->known_row[s->n_known] = s->key_row[i];
      s->holders[s->n_known++] = holders[i];
    }
  }
  const struct xf_wire_rows rows = {ns, s->known_row, s->n_known};
  enum xf_rc rc = xf_wire_map_init(&s->map, s->layout, ns ? &rows : NULL, ns != NULL, diag);
  if (rc) return rc;
  s->wire = xf_try_calloc((size_t)s->map.n_wire, sizeof(float));
  if (s->cfg.noise_multiplier > 0) s->noise = xf_try_calloc((size_t)s->map.n_wire, sizeof(int32_t));
  if (!s->wire || (s->cfg.noise_multiplier > 0 && !s->noise)) return XF_E_NOMEM;
  s->aligned = true;
  return XF_OK;
}

uint64_t xf_silo_model_len(const struct xf_silo *silo) { return silo->map.n_wire * sizeof(float); }
const struct xf_digest *xf_silo_layout_digest(const struct xf_silo *silo) {
  return &silo->layout_digest;
}
const struct xf_dataset *xf_silo_data(const struct xf_silo *silo) { return &silo->data; }
const struct xf_measures *xf_silo_measures(const struct xf_silo *silo) { return &silo->measures; }
const struct xf_model *xf_silo_model(const struct xf_silo *silo) { return silo->model; }

uint64_t xf_silo_params(const struct xf_silo *silo) { return silo->layout->n; }

const float *xf_silo_personal(const struct xf_silo *silo, bool tentative) {
  return tentative ? silo->next : silo->full;
}

enum xf_rc xf_silo_restore(struct xf_silo *silo, const float *x, uint64_t n, bool tentative) {
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
