// Cold users, Amazon Games <-> Videos (CDRIB's files): people with a history in one domain are ranked items of the other, where
// they have none. Learned from the 1,736 people with train events in both. Arms and protocol: rec/coldusers.h; 999 random items of
// the target beside every held-out row, rows averaged, three draws. Differences to overlap popularity are of people's means,
// standard error over people.
// The validation file by default; FINAL=1 reads the test file instead.
// Reads $CROSSFED_DATA/amazon-cdrib-coldstart (default ../shared/data); exit status 77 without it.
// modules: rec data tensor base
#include "data/cold.h"
#include "rec/coldusers.h"
#include "tensor/blas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_COMMON = 2179, SEED = 1 };

struct direction {
  const char *name, *source, *target;
};
static const struct direction direction[2] = {{"videos", "game_video", "video_game"},
                                              {"games", "video_game", "game_video"}};

static struct xf_diag diag;

static int fail(const char *what) {
  fprintf(stderr, "coldusers: %s: %s\n", what, diag.text);
  return 1;
}

static int load(struct xf_cold *cold, const struct direction *d) {
  static const char *const file[4] = {"train", "train", "valid", "test"};
  char path[4][1024];
  const char *root = getenv("CROSSFED_DATA");
  for (int i = 0; i < 4; i++)
    (void)snprintf(path[i], sizeof path[i], "%s/amazon-cdrib-coldstart/%s/%s.txt.gz",
                   root ? root : "../shared/data", i ? d->target : d->source, file[i]);
  FILE *there = fopen(path[0], "rb");
  if (!there) {
    printf("no data at %s\n", path[0]);
    return 77;
  }
  fclose(there);
  const struct xf_cold_files files = {path[0], path[1], path[2], path[3]};
  return xf_cold_load(cold, &files, N_COMMON, &diag) ? fail(d->name) : 0;
}

static enum xf_rc histories(struct xf_csr *out, const struct xf_interactions *x) {
  return xf_csr_init(out, x->users.n, x->items.n, x->user, x->item, x->n);
}

static enum xf_rc learn(struct xf_coldusers *l, const struct xf_cold *c,
                        const struct xf_csr *source, const struct xf_csr *target) {
  const struct xf_coldusers_spec spec = xf_coldusers_default(SEED);
  enum xf_rc rc =
      xf_coldusers_init(l, source, c->source.items.n, target, c->target.items.n, &spec, &diag);
  for (uint32_t t = 0; t < target->n_row && !rc; t++) {
    const char *key = xf_names_get(&c->target.users, t);
    const uint32_t s = xf_names_find(&c->source.users, key, strlen(key));
    if (s != XF_NO_ID) rc = xf_coldusers_add(l, s, t);
  }
  return rc ? rc : xf_coldusers_finish(l, &diag);
}

static void print(const struct direction *d, enum xf_part part,
                  const struct xf_coldusers_table *t) {
  for (int i = 0; i < XF_COLDUSERS_N_ARM; i++) {
    const enum xf_coldusers_arm arm = (enum xf_coldusers_arm)i;
    double mean, se;
    (void)xf_measure_paired(t->person[i], t->person[XF_COLDUSERS_OVERLAP], t->people, &mean, &se);
    printf("{\"target\":\"%s\",\"file\":\"%s\",\"arm\":\"%s\",\"people\":%u,\"rows\":%llu,"
           "\"ndcg_10_s999\":%.4f,\"hr_10_s999\":%.4f,\"mrr_s999\":%.4f,"
           "\"minus_overlap_popularity\":%.4f,\"se\":%.4f%s}\n",
           d->name, part == XF_PART_TEST ? "test" : "valid", xf_coldusers_arm_name(arm), t->people,
           (unsigned long long)t->rows, t->mean[i][XF_COLDUSERS_NDCG], t->mean[i][XF_COLDUSERS_HR],
           t->mean[i][XF_COLDUSERS_MRR], mean, se,
           xf_coldusers_paired(arm) ? ",\"stamp\":\"needs paired computation\"" : "");
  }
}

static int run(const struct direction *d, enum xf_part part) {
  struct xf_cold cold;
  struct xf_csr source = {0}, target = {0};
  struct xf_coldusers learned = {0};
  struct xf_coldusers_table t = {0};
  const int status = load(&cold, d);
  if (status) return status;
  enum xf_rc rc = histories(&source, &cold.source);
  if (!rc) rc = histories(&target, &cold.target);
  if (!rc) rc = learn(&learned, &cold, &source, &target);
  if (!rc) rc = xf_coldusers_rank(&t, &learned, &cold.held[part], &diag);
  if (!rc) print(d, part, &t);
  xf_coldusers_table_deinit(&t);
  xf_coldusers_deinit(&learned);
  xf_csr_deinit(&source);
  xf_csr_deinit(&target);
  xf_cold_deinit(&cold);
  return rc ? fail(d->name) : 0;
}

int main(void) {
  const char *final = getenv("FINAL");
  const enum xf_part part = final && strcmp(final, "1") == 0 ? XF_PART_TEST : XF_PART_VALID;
  if (xf_blas_start(NULL, &diag)) return fail("BLAS");
  for (int d = 0; d < 2; d++) {
    const int status = run(&direction[d], part);
    if (status) return status;
  }
  return 0;
}
