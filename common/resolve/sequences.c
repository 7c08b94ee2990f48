/* Sequences as the plan wants them: files to parts, random splits. */
#include "base/fs.h"
#include "crypto/stream.h"
#include "resolve/dataset.h"

#include <stdio.h>
#include <string.h>

/* The two files of a predefined split. */
static enum xf_rc load_split(struct xf_seqset *set, const char *split, struct xf_diag *diag) {
  char valid[XF_PATH_MAX];
  const char *comma = split ? strchr(split, ',') : NULL;
  if (!comma || comma == split || !comma[1] || (size_t)(comma - split) >= sizeof valid)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "split: \"%s\" names no two files; a predefined split of answers is "
                       "\"VALIDATION,TEST\"",
                       split ? split : "");
  (void)snprintf(valid, sizeof valid, "%.*s", (int)(comma - split), split);
  char test[2 * XF_PATH_MAX];
  const char *slash = strchr(comma + 1, '/') ? NULL : strrchr(valid, '/');
  const int dir = slash ? (int)(slash - valid) + 1 : 0; /* a bare name lies beside the first */
  (void)snprintf(test, sizeof test, "%.*s%s", dir, valid, comma + 1);
  const enum xf_rc rc = xf_seqset_load_answers(set, valid, XF_PART_VALID, diag);
  return rc ? rc : xf_seqset_load_answers(set, test, XF_PART_TEST, diag);
}

enum xf_rc xf_resolve_load_sequences(struct xf_seqset *out, const struct xf_plan *plan,
                                     const struct xf_source *source, struct xf_diag *diag) {
  xf_seqset_init(out);
  if (plan->data.kind == XF_PLAN_DATA_TEXT) return xf_seqset_load_text(out, source->path, diag);
  enum xf_rc rc = xf_seqset_load_answers(out, source->path, XF_PART_TRAIN, diag);
  if (!rc && plan->data.split.kind == XF_PLAN_SPLIT_PREDEFINED)
    rc = load_split(out, source->split, diag);
  if (rc) xf_seqset_deinit(out);
  return rc;
}

enum xf_rc xf_resolve_sequences(struct xf_dataset *out, const struct xf_plan *plan,
                                const char *member, struct xf_seqset *set, struct xf_diag *diag) {
  xf_dataset_init(out, XF_DATASET_SEQUENCES);
  out->seqs = *set;
  xf_seqset_init(set);
  if (out->seqs.n_token > plan->model.n_in)
    return xf_diag_set(diag, XF_E_SHAPE, "%s: the data have %u tokens, model.n_in is %u", member,
                       out->seqs.n_token, plan->model.n_in);
  if (plan->data.split.kind == XF_PLAN_SPLIT_PREDEFINED) return XF_OK;
  struct xf_rng rng;
  xf_stream_init(&rng, plan->seed, "split", 0, member);
  return xf_seqset_split(&out->seqs, plan->data.split.valid_fraction,
                         plan->data.split.test_fraction, &rng, diag);
}
