// Users in five silos by id mod 5: each sends its Gram's triangle, the coordinator's fold adds them up, each silo scores its own
// users on own + 1 x others. And the same silos each on its own Gram.
#include "base/alloc.h"
#include "bench.h"
#include "fed/trisum.h"
#include "rec/item_model.h"

#include <string.h>

static const char *const name_of[N_SILO] = {"s0", "s1", "s2", "s3", "s4"};

struct silo {
  struct xf_csr train;
  struct xf_gram own;
  float *triangle, *diagonal;
};
static struct silo silo[N_SILO];

static enum xf_rc read_part(void *arg, size_t slot, uint64_t at, float *out, size_t n) {
  (void)arg;
  memcpy(out, silo[slot].triangle + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc read_sum(void *arg, uint64_t at, float *out, size_t n) {
  memcpy(out, (float *)arg + at, n * sizeof *out);
  return XF_OK;
}
static enum xf_rc write_sum(void *arg, uint64_t at, const float *x, size_t n) {
  memcpy((float *)arg + at, x, n * sizeof *x);
  return XF_OK;
}

// A silo's users keep their numbers; the rows of others are empty.
static int release(struct silo *s, int k, const struct bench *b, const uint32_t *every,
                   struct xf_diag *diag) {
  uint32_t *user = xf_calloc(xf_csr_count(&b->train) + 1, sizeof *user), n = 0;
  uint32_t *item = xf_calloc(xf_csr_count(&b->train) + 1, sizeof *item);
  for (uint32_t u = (uint32_t)k; u < b->data.n_users; u += N_SILO)
    for (uint32_t e = b->train.start[u]; e < b->train.start[u + 1]; e++) {
      user[n] = u;
      item[n++] = b->train.item[e];
    }
  const uint32_t m = b->data.n_items;
  const struct xf_gram_spec spec = {.beta = 1};
  const struct xf_rec_data data = {b->data.n_users, m, &s->train};
  s->triangle = xf_calloc(xf_triangle_count(m) + 1, sizeof *s->triangle);
  s->diagonal = xf_calloc(m + 1, sizeof *s->diagonal);
  const int bad = xf_csr_init(&s->train, b->data.n_users, m, user, item, n) ||
                  xf_gram_build(&s->own, &data, &spec, diag) ||
                  xf_gram_pack(&s->own, every, m, s->triangle, s->diagonal);
  xf_free(user);
  xf_free(item);
  return bad;
}

static int fold(float *sum, uint32_t m, const uint32_t *every, struct xf_diag *diag) {
  struct xf_trisum_member member[N_SILO];
  for (size_t k = 0; k < N_SILO; k++)
    member[k] = (struct xf_trisum_member){name_of[k], k, every, m};
  const struct xf_trisum_job job = {m, member, N_SILO, sum, read_part, read_sum, write_sum};
  struct xf_trisum_scratch *s = xf_trisum_scratch_new(m);
  const int bad = !s || xf_trisum_check(&job, diag) || xf_trisum_fold(&job, s, 0, m, diag);
  xf_trisum_scratch_free(s);
  return bad;
}

// What the others sent is the sum minus the own release.
static int score_silo(struct bench *b, int k, float *others, float *diagonal, const uint32_t *every,
                      const struct xf_diffuse_spec *spec, double eps, struct xf_diag *diag) {
  struct silo *s = &silo[k];
  const uint32_t m = b->data.n_items;
  struct xf_gram both;
  struct xf_scorer *diffuse = NULL, *kernel = NULL, *alone = NULL;
  for (uint64_t e = 0; e < xf_triangle_count(m); e++) {
    others[e] -= s->triangle[e];
    if (others[e] < 1e-6f) others[e] = 0; // what rounding leaves of a pair that only this silo has
  }
  for (uint32_t i = 0; i < m; i++) diagonal[i] -= s->diagonal[i];
  int bad = xf_gram_combine(&both, &s->own, 1, every, m, others, diagonal, 0, diag) ||
            xf_diffuse_fit(&diffuse, &both, &b->graph, spec, diag) ||
            xf_kernel_fit(&kernel, &both, .5, .25, diag) ||
            xf_diffuse_fit(&alone, &s->own, &b->graph, spec, diag);
  if (!bad)
    bad = fill(b, FED_GRAM, diffuse, eps, k, diag) || fill(b, FED_KERNEL, kernel, eps, k, diag) ||
          fill(b, ALONE, alone, eps, k, diag);
  xf_scorer_free(diffuse);
  xf_scorer_free(kernel);
  xf_scorer_free(alone);
  xf_gram_deinit(&both);
  return bad;
}

int federated(struct bench *b, const struct xf_diffuse_spec *spec, double eps,
              struct xf_diag *diag) {
  const uint32_t m = b->data.n_items;
  const size_t n = (size_t)xf_triangle_count(m);
  uint32_t *every = xf_calloc(m + 1, sizeof *every);
  float *sum = xf_calloc(n + 1, sizeof *sum), *others = xf_calloc(n + 1, sizeof *others);
  float *diagonal = xf_calloc(m + 1, sizeof *diagonal), *rest = xf_calloc(m + 1, sizeof *rest);
  int bad = 0;
  for (uint32_t i = 0; i < m; i++) every[i] = i;
  for (int k = 0; k < N_SILO && !bad; k++) {
    bad = release(&silo[k], k, b, every, diag);
    for (uint32_t i = 0; i < m && !bad; i++) diagonal[i] += silo[k].diagonal[i];
  }
  if (!bad) bad = fold(sum, m, every, diag);
  for (int k = 0; k < N_SILO && !bad; k++) {
    memcpy(others, sum, n * sizeof *others);
    memcpy(rest, diagonal, m * sizeof *rest);
    bad = score_silo(b, k, others, rest, every, spec, eps, diag);
  }
  for (int k = 0; k < N_SILO; k++) {
    xf_csr_deinit(&silo[k].train);
    xf_gram_deinit(&silo[k].own);
    xf_free(silo[k].triangle);
    xf_free(silo[k].diagonal);
    silo[k] = (struct silo){0};
  }
  xf_free(every);
  xf_free(sum);
  xf_free(others);
  xf_free(diagonal);
  xf_free(rest);
  return bad;
}
