/* Sequences in memory: adding, dealing, choosing, cutting into chunks. */
#include "data/seqset.h"

#include "base/alloc.h"
#include "data/split.h"

#include <math.h>
#include <string.h>

void xf_seqset_init(struct xf_seqset *set) {
  *set = (struct xf_seqset){0};
  xf_names_init(&set->names);
}

void xf_seqset_deinit(struct xf_seqset *set) {
  xf_free(set->start);
  xf_free(set->token);
  xf_free(set->answer);
  xf_free(set->part);
  xf_free(set->name);
  xf_names_deinit(&set->names);
  *set = (struct xf_seqset){0};
}

/* Makes an array of n elements; what it held stays. */
static bool grow(void *array, size_t n, size_t size) {
  void *p;
  memcpy(&p, array, sizeof p);
  p = xf_try_realloc_array(p, n, size);
  if (!p) return false;
  memcpy(array, &p, sizeof p);
  return true;
}

static bool room(struct xf_seqset *s, uint32_t steps, bool answers) {
  if (s->n == s->cap) {
    const uint32_t cap = s->cap ? 2 * s->cap : 64;
    if (!grow(&s->start, (size_t)cap + 1, sizeof *s->start) ||
        !grow(&s->part, cap, sizeof *s->part) || !grow(&s->name, cap, sizeof *s->name))
      return false;
    s->cap = cap;
    if (s->n == 0) s->start[0] = 0;
  }
  const uint32_t need = s->start[s->n] + steps;
  if (need <= s->cap_step && s->token) return true;
  uint32_t cap = s->cap_step ? s->cap_step : 1024;
  while (cap < need) cap *= 2;
  if (!grow(&s->token, cap, sizeof *s->token)) return false;
  if (answers && !grow(&s->answer, cap, sizeof *s->answer)) return false;
  s->cap_step = cap;
  return true;
}

enum xf_rc xf_seqset_add(struct xf_seqset *s, const int32_t *token, const uint8_t *answer,
                         uint32_t n, uint8_t part, uint32_t name) {
  if (n == 0 || (s->n > 0 && (s->answer != NULL) != (answer != NULL))) return XF_E_INVAL;
  if (n > XF_SEQSET_STEPS_MAX || (s->n > 0 && s->start[s->n] > XF_SEQSET_STEPS_MAX - n))
    return XF_E_LIMIT;
  if (!room(s, n, answer != NULL)) return XF_E_NOMEM;
  const uint32_t at = s->start[s->n];
  memcpy(s->token + at, token, n * sizeof *token);
  if (answer) memcpy(s->answer + at, answer, n);
  for (uint32_t i = 0; i < n; i++)
    if ((uint32_t)token[i] >= s->n_token) s->n_token = (uint32_t)token[i] + 1;
  s->part[s->n] = part;
  s->name[s->n] = name;
  s->start[++s->n] = at + n;
  return XF_OK;
}

enum xf_rc xf_seqset_split(struct xf_seqset *s, double valid_fraction, double test_fraction,
                           struct xf_rng *rng, struct xf_diag *diag) {
  if (!(valid_fraction >= 0 && test_fraction >= 0 && valid_fraction + test_fraction < 1))
    return xf_diag_set(diag, XF_E_INVAL,
                       "split: fractions %g for validation and %g for test leave no train part",
                       valid_fraction, test_fraction);
  if (s->n == 0) return XF_OK;
  uint32_t *order = xf_try_calloc(s->n, sizeof *order);
  if (!order) return xf_diag_set(diag, XF_E_NOMEM, "not enough memory to deal %u sequences", s->n);
  for (uint32_t i = 0; i < s->n; i++) order[i] = i;
  xf_rng_shuffle(rng, order, s->n);
  const uint32_t test = (uint32_t)floor(test_fraction * s->n + 0.5);
  const uint32_t valid = (uint32_t)floor(valid_fraction * s->n + 0.5);
  for (uint32_t i = 0; i < s->n; i++)
    s->part[order[i]] = i + 1 == s->n      ? XF_PART_TRAIN
                        : i < test         ? XF_PART_TEST
                        : i < test + valid ? XF_PART_VALID
                                           : XF_PART_TRAIN;
  xf_free(order);
  return XF_OK;
}

enum xf_rc xf_seqset_select(struct xf_seqset *out, const struct xf_seqset *s, const uint32_t *group,
                            uint32_t which) {
  enum xf_rc rc = XF_OK;
  xf_seqset_init(out);
  for (uint32_t i = 0; i < s->n && !rc; i++)
    if (group[i] == which)
      rc = xf_seqset_add(out, s->token + s->start[i], s->answer ? s->answer + s->start[i] : NULL,
                         xf_seqset_len(s, i), s->part[i], 0);
  if (rc) xf_seqset_deinit(out);
  return rc;
}

size_t xf_seqset_chunks(const struct xf_seqset *s, uint8_t part, uint32_t steps,
                        struct xf_chunk *out) {
  size_t n = 0;
  for (uint32_t i = 0; i < s->n; i++)
    for (uint32_t at = s->start[i]; s->part[i] == part && at < s->start[i + 1]; at += steps, n++) {
      const uint32_t left = s->start[i + 1] - at;
      if (out) out[n] = (struct xf_chunk){at, left < steps ? left : steps};
    }
  return n;
}
