/* How updates travel: what fed.encoding may be combined with, and as a codec. */
#include "crypto/stream.h"
#include "plan/stages.h"
#include "plan/view.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

enum { INT8_BUCKET = 1024, QSGD_BUCKET = 512, QSGD_LEVELS = 7 };

static enum xf_codec_kind kind_of(enum xf_plan_encoding encoding) {
  static const enum xf_codec_kind kind[] = {[XF_PLAN_ENCODING_FLOAT32] = XF_CODEC_FLOAT32,
                                            [XF_PLAN_ENCODING_SPARSE] = XF_CODEC_SPARSE,
                                            [XF_PLAN_ENCODING_FLOAT16] = XF_CODEC_FLOAT16,
                                            [XF_PLAN_ENCODING_BFLOAT16] = XF_CODEC_BFLOAT16,
                                            [XF_PLAN_ENCODING_INT8] = XF_CODEC_INT8,
                                            [XF_PLAN_ENCODING_QSGD] = XF_CODEC_QSGD,
                                            [XF_PLAN_ENCODING_TOPK] = XF_CODEC_TOPK,
                                            [XF_PLAN_ENCODING_MASK] = XF_CODEC_MASK};
  return kind[encoding];
}

bool xf_plan_compresses(const struct xf_plan_stage_part *stage) {
  return stage->fed.encoding != XF_PLAN_ENCODING_FLOAT32 &&
         stage->fed.encoding != XF_PLAN_ENCODING_SPARSE;
}

struct xf_codec xf_plan_codec(const struct xf_plan *plan, uint32_t stage, uint64_t round) {
  const struct xf_plan_stage_part *s = &plan->stages[stage];
  struct xf_codec c = {.kind = kind_of(s->fed.encoding),
                       .bucket = s->fed.compress.bucket,
                       .levels = s->fed.compress.levels,
                       .fraction = s->fed.compress.fraction};
  if (!c.bucket) c.bucket = c.kind == XF_CODEC_INT8 ? INT8_BUCKET : QSGD_BUCKET;
  if (!c.levels) c.levels = QSGD_LEVELS;
  if (c.kind == XF_CODEC_MASK) {
    struct xf_rng rng;
    xf_stream_init(&rng, plan->seed, "compress", round, NULL);
    c.key = xf_rng_u64(&rng);
  }
  return c;
}

bool xf_plan_codec_of(struct xf_codec *out, const struct xf_plan *plan, uint32_t stage,
                      uint64_t round, uint32_t dtype) {
  *out = xf_plan_codec(plan, stage, round);
  if (out->kind == XF_CODEC_SPARSE && dtype == XF_CODEC_FLOAT32) out->kind = XF_CODEC_FLOAT32;
  return dtype == (uint32_t)out->kind;
}

uint64_t xf_plan_features(const struct xf_plan *plan) {
  uint64_t bits = 0;
  for (uint32_t i = 0; i < plan->n_stages; i++)
    if (xf_plan_compresses(&plan->stages[i]))
      bits |= 1u << kind_of(plan->stages[i].fed.encoding) >> 1;
  return bits;
}

const char *xf_plan_feature_text(uint64_t bits) {
  unsigned kind = 1;
  while (kind < XF_CODEC_N_KIND && !(bits >> (kind - 1) & 1)) kind++;
  return xf_codec_name((enum xf_codec_kind)kind);
}

static enum xf_rc check_parameters(const struct xf_plan_stage_part *s, struct xf_diag *diag) {
  const enum xf_codec_kind kind = kind_of(s->fed.encoding);
  const bool part = kind == XF_CODEC_TOPK || kind == XF_CODEC_MASK;
  const char *name = xf_codec_name(kind);
  const uint32_t bucket = s->fed.compress.bucket;
  if (s->fed.compress.fraction > 0 && !part)
    REFUSE(
        "fed.compress.fraction: belongs to fed.encoding topk or mask, and it is %s; leave it out",
        name);
  if (part && !(s->fed.compress.fraction > 0))
    REFUSE("fed.compress.fraction: is missing; fed.encoding: %s sends that part of the parameters "
           "(0.01 for one of a hundred)",
           name);
  if (kind == XF_CODEC_TOPK && s->fed.compress.fraction > 0.5)
    REFUSE("fed.compress.fraction: topk takes 6 bytes for a number, and %g of them are more than "
           "float16 takes for all; write at most 0.5, or fed.encoding: float16",
           s->fed.compress.fraction);
  if (!s->fed.compress.feedback && kind != XF_CODEC_TOPK)
    REFUSE("fed.compress.feedback: belongs to fed.encoding topk, and it is %s; leave it out", name);
  if (s->fed.compress.levels && kind != XF_CODEC_QSGD)
    REFUSE("fed.compress.levels: belongs to fed.encoding qsgd, and it is %s; leave it out", name);
  if (bucket && kind != XF_CODEC_QSGD && kind != XF_CODEC_INT8)
    REFUSE("fed.compress.bucket: belongs to fed.encoding int8 or qsgd, and it is %s; leave it out",
           name);
  if ((bucket & (bucket - 1)) || (bucket && bucket < XF_CODEC_BUCKET_MIN))
    REFUSE("fed.compress.bucket: %u; write a power of two from 8 to 65536", bucket);
  return XF_OK;
}

enum xf_rc xf_plan_check_encoding(const struct xf_plan *plan, const struct xf_plan_stage_part *s,
                                  struct xf_diag *diag) {
  const enum xf_rc rc = check_parameters(s, diag);
  if (rc || !xf_plan_compresses(s)) return rc;
  const char *name = xf_codec_name(kind_of(s->fed.encoding));
  if (s->kind != XF_PLAN_STAGE_TRAIN)
    REFUSE(
        "fed.encoding: %s rounds, and a stage of kind %s takes exact sums or rows; leave it out%s",
        name, xf_plan_stage_text(s->kind),
        s->kind == XF_PLAN_STAGE_STATISTIC ? ", or write sparse" : "");
  if (s->fed.algorithm == XF_PLAN_ALGORITHM_FEDNOVA)
    REFUSE("fed.encoding: %s would round the norm of a silo's steps, which the mean of "
           "fed.algorithm: fednova divides by; write float32, or fed.algorithm: fedavg",
           name);
  if (s->fed.algorithm == XF_PLAN_ALGORITHM_SCAFFOLD)
    REFUSE(
        "fed.encoding: %s would round the change of control variates, which silo and coordinator "
        "must both count (fed.algorithm: scaffold); write float32, or fed.algorithm: fedavg",
        name);
  if (s->fed.encoding == XF_PLAN_ENCODING_TOPK && s->fed.compress.feedback && s->rows.clip_row > 0)
    REFUSE(
        "rows.clip_row: bounds a row that leaves, and fed.encoding: topk adds to it what waited; "
        "write fed.compress.feedback: false, or fed.encoding: qsgd");
  if (s->fed.encoding == XF_PLAN_ENCODING_TOPK && plan->model.kind == XF_PLAN_MODEL_RECOMMENDER)
    REFUSE("fed.encoding: topk keeps what was not sent beside the silo's model, and a stage with "
           "learns: scorer has none (model.kind: recommender); write int8");
  if (s->fed.encoding == XF_PLAN_ENCODING_TOPK && s->fed.algorithm != XF_PLAN_ALGORITHM_FEDAVG &&
      s->fed.algorithm != XF_PLAN_ALGORITHM_FEDPROX &&
      s->fed.algorithm != XF_PLAN_ALGORITHM_REPTILE)
    REFUSE("fed.encoding: topk goes with fed.algorithm fedavg, fedprox and reptile, and it is %s; "
           "write qsgd",
           xf_plan_algorithm_text(s->fed.algorithm));
  return XF_OK;
}
