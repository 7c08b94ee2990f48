/* A statistic stage: what this silo adds to the sum, once, and what the sum says of the others. */
#include "silo/parts.h"

#include "base/alloc.h"
#include "param/vec.h"
#include "priv/release.h"
#include "rec/gram.h"

#include <math.h>
#include <string.h>

static struct xf_rec_data train_of(const struct xf_silo *s) {
  return (struct xf_rec_data){s->data.split.n_users, s->data.split.n_items,
                              &s->data.split.part[XF_PART_TRAIN]};
}

void silo_overlap(const struct xf_silo *s, float *out) {
  const struct xf_csr *train = &s->data.split.part[XF_PART_TRAIN];
  const struct silo_space *users = silo_space_of(s, XF_SPACE_USERS);
  memset(out, 0, s->data.split.n_items * sizeof *out);
  for (size_t k = 0; users && k < users->n_known; k++)
    for (uint32_t row = users->known_row[k], e = train->start[row]; e < train->start[row + 1]; e++)
      out[train->item[e]]++;
}

/* Of all users, or of those whom the directory knows: users per known item. */
static enum xf_rc counts(struct xf_silo *s, uint32_t stage, bool all) {
  const struct silo_space *items = silo_space_of(s, XF_SPACE_ITEMS);
  const struct xf_segment *seg = silo_segment(s, stage, all ? "counts" : "overlap");
  float *out = s->task + seg->offset, *count = NULL;
  memset(out, 0, (size_t)xf_segment_len(seg) * sizeof *out);
  if (!all) {
    count = xf_try_calloc((size_t)s->data.split.n_items + 1, sizeof *count);
    if (!count) return XF_E_NOMEM;
    silo_overlap(s, count);
  }
  for (size_t k = 0; k < items->n_known; k++) {
    const uint32_t row = items->known_row[k];
    out[row] = all ? (float)s->data.split.item_count[row] : count[row];
  }
  xf_free(count);
  return XF_OK;
}

/* The rows whose co-occurrence a stage sums: of users over items, or over the categories of their items. What is shared of the
   latter is bounded as it is of items: each user's row is 0 or 1 and made of that user's events and of a public list only,
   so with beta 1 a user who holds m known categories changes the triangle by sqrt((m - 1) / (2 m)) < .7071 in L2 (rec/gram.h),
   however many items and events they have, and noise is added on the same grid. */
static enum xf_rc rows_of(struct xf_silo *s, uint32_t stage, struct xf_rec_data *out,
                          const struct silo_space **space, struct xf_diag *diag) {
  *out = train_of(s);
  *space = silo_space_of(s, silo_gram_space(s, stage));
  if (silo_gram_space(s, stage) != XF_SPACE_CATEGORIES) return XF_OK;
  if (!s->profile.start && xf_categories_profile(&s->profile, &s->categories, out->train))
    return xf_diag_set(diag, XF_E_NOMEM, "no memory for the categories of %u users", out->n_users);
  *out = (struct xf_rec_data){out->n_users, s->categories.n, &s->profile};
  return XF_OK;
}

enum xf_space_of silo_gram_space(const struct xf_silo *s, uint32_t stage) {
  return s->cfg.plan->stages[stage].statistic.of == XF_PLAN_STATISTIC_CATEGORIES
             ? XF_SPACE_CATEGORIES
             : XF_SPACE_ITEMS;
}

/* Each user counts their items among the known ones, so one sum serves all silos (evidence: recipe R1, step 2). */
static enum xf_rc gram(struct xf_silo *s, uint32_t stage, double step, struct xf_diag *diag) {
  const struct silo_space *items = NULL;
  struct xf_rec_data data;
  enum xf_rc rc = rows_of(s, stage, &data, &items, diag);
  if (rc) return rc;
  const struct xf_segment *diagonal = silo_segment(s, stage, "diagonal");
  const struct xf_segment *pairs = silo_segment(s, stage, "pairs");
  struct xf_gram g = {0};
  uint8_t *counted = xf_try_calloc((size_t)data.n_items + 1, 1);
  float *diag_out = xf_try_calloc(items->n_known + 1, sizeof *diag_out);
  rc = counted && diag_out ? XF_OK : XF_E_NOMEM;
  for (size_t k = 0; k < items->n_known && !rc; k++) counted[items->known_row[k]] = 1;
  const struct xf_gram_spec spec = {
      .beta = s->cfg.plan->stages[stage].statistic.beta, .counted = counted, .step = step};
  if (!rc) rc = xf_gram_build(&g, &data, &spec, diag);
  if (!rc)
    rc = xf_gram_pack(&g, items->known_row, (uint32_t)items->n_known, s->task + pairs->offset,
                      diag_out);
  if (!rc && diagonal) {
    float *out = s->task + diagonal->offset;
    memset(out, 0, (size_t)xf_segment_len(diagonal) * sizeof *out);
    for (size_t k = 0; k < items->n_known; k++) out[items->known_row[k]] = diag_out[k];
  }
  xf_gram_deinit(&g);
  xf_free(counted);
  xf_free(diag_out);
  return rc;
}

/* Noise on the pairs, whose per-user bound holds by construction: nothing is clipped. What is kept as the own part is what
   was released, for only that can be taken out of the sum again. */
static enum xf_rc add_noise(struct xf_silo *s, const struct xf_silo_task *task,
                            const struct xf_release *release, struct xf_silo_answer *a,
                            struct xf_diag *diag) {
  const struct xf_wire_map *slice = &s->slice[task->offer.stage];
  struct xf_release_report report;
  struct xf_noise_rng rng;
  if (s->cfg.seeded_noise)
    xf_noise_rng_init_seeded(&rng, s->cfg.plan->seed, task->offer.round, s->cfg.member);
  else xf_noise_rng_init(&rng);
  const enum xf_rc rc =
      xf_release_step(s->wire, (size_t)slice->n_wire, release, &rng, &report, diag);
  xf_noise_rng_deinit(&rng);
  if (rc) return rc;
  a->charge = release->charge;
  a->n_saturated = report.n_saturated;
  xf_wire_map_scatter(slice, s->task, s->wire);
  return XF_OK;
}

enum xf_rc silo_statistic(struct xf_silo *s, const struct xf_silo_task *task,
                          struct xf_silo_answer *a, struct xf_diag *diag) {
  const uint32_t stage = task->offer.stage;
  const enum xf_plan_statistic of = s->cfg.plan->stages[stage].statistic.of;
  const bool noise = s->cfg.noise_multiplier > 0;
  const struct xf_release_spec spec = {.sensitivity = XF_GRAM_SENSITIVITY,
                                       .noise_multiplier = s->cfg.noise_multiplier,
                                       .largest = XF_GRAM_LARGEST};
  struct xf_release release = {0};
  enum xf_rc rc = noise ? xf_release_init(&release, &spec, diag) : XF_OK;
  if (rc) return rc;
  memcpy(s->task, s->full, (size_t)s->layout->n * sizeof *s->task);
  const bool pairs = of == XF_PLAN_STATISTIC_GRAM || of == XF_PLAN_STATISTIC_CATEGORIES;
  rc =
      pairs ? gram(s, stage, release.step, diag) : counts(s, stage, of == XF_PLAN_STATISTIC_COUNTS);
  if (rc == XF_E_NOMEM)
    return xf_diag_set(diag, rc, "no memory for the statistic of %zu keys",
                       silo_space_of(s, silo_gram_space(s, stage))->n_known);
  if (rc) return rc;
  xf_wire_map_gather(&s->slice[stage], s->wire, s->task);
  return noise ? add_noise(s, task, &release, a, diag) : XF_OK;
}

/* --- the others' part --- */

/* Deviation of the noise in the others' sum, as far as it is known here: each holder added the plan's. One whose own policy asks for
   more added more and says so to nobody but the coordinator, so this may be too small, and then entries that are noise are taken for
   co-occurrence; the guard, which compares on validation, is what stands behind it. A pair has at most as many holders as its items (categories). */
static double others_sd(const struct xf_silo *s, const struct silo_space *items) {
  uint32_t most = 1;
  for (size_t k = 0; k < items->n_known; k++)
    if (items->holders[k] > most) most = items->holders[k];
  return s->cfg.plan->privacy.noise_multiplier * XF_GRAM_SENSITIVITY * sqrt((double)most - 1);
}

/* Before its stage has committed, the sum is 0 at the coordinator. */
static bool committed(const float *sum, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (sum[i] != 0) return true;
  return false;
}

enum xf_rc silo_gram_init(struct silo_gram *out, const struct xf_silo *s, uint32_t stage,
                          const float *sum, uint32_t stages, bool *there) {
  const struct silo_space *items = silo_space_of(s, silo_gram_space(s, stage));
  const struct xf_segment *pairs = silo_segment(s, stage, "pairs");
  const struct xf_segment *diagonal = silo_segment(s, stage, "diagonal");
  const size_t n = (size_t)xf_segment_len(pairs);
  const float *all = sum + silo_wire_at(s, stages, pairs), *own = s->full + pairs->offset;
  *out = (struct silo_gram){0};
  *there = committed(all, n);
  if (!*there) return XF_OK;
  out->triangle = xf_try_calloc(n + 1, sizeof *out->triangle);
  out->diagonal = xf_try_calloc(items->n_known + 1, sizeof *out->diagonal);
  if (!out->triangle || !out->diagonal) {
    silo_gram_deinit(out);
    return XF_E_NOMEM;
  }
  xf_vec_delta(out->triangle, all, own, n);
  if (diagonal) {
    all = sum + silo_wire_at(s, stages, diagonal);
    own = s->full + diagonal->offset;
    for (size_t k = 0; k < items->n_known; k++)
      out->diagonal[k] = all[k] - own[items->known_row[k]];
  }
  out->gram = (struct xf_recommender_gram){.shared = items->known_row,
                                           .m = (uint32_t)items->n_known,
                                           .triangle = out->triangle,
                                           .diagonal = diagonal ? out->diagonal : NULL,
                                           .beta = s->cfg.plan->stages[stage].statistic.beta,
                                           .noise_sd = others_sd(s, items)};
  return XF_OK;
}

bool silo_counts_add(const struct xf_silo *s, uint32_t stage, const char *part, const float *sum,
                     uint32_t stages, float *out) {
  const struct silo_space *items = silo_space_of(s, XF_SPACE_ITEMS);
  const struct xf_segment *seg = silo_segment(s, stage, part);
  const float *all = sum + silo_wire_at(s, stages, seg), *own = s->full + seg->offset;
  if (!committed(all, items->n_known)) return false;
  for (size_t k = 0; k < items->n_known; k++)
    out[items->known_row[k]] += all[k] - own[items->known_row[k]];
  return true;
}

void silo_gram_deinit(struct silo_gram *gram) {
  xf_free(gram->triangle);
  xf_free(gram->diagonal);
  *gram = (struct silo_gram){0};
}
