#include "client/io/release.h"

#include "base/fail.h"
#include "base/str.h"
#include "base/time.h"
#include "client/io/vector.h"
#include "json/json.h"
#include "json/jsonw.h"

#include <math.h>
#include <string.h>

enum { META_MAX = 512 };

enum xf_plan_unit client_release_unit(const struct xf_plan *plan) {
  return xf_plan_by_units(plan) ? plan->privacy.unit : XF_PLAN_UNIT_SILO;
}

enum xf_rc client_release_check(const struct client_account *account, enum xf_plan_unit unit,
                                struct xf_diag *diag) {
  if (account->spent.charges == 0 || !isfinite(account->epsilon) || account->unit == unit)
    return XF_OK;
  return xf_diag_set(
      diag, XF_E_POLICY,
      "state_dir: what was released from it so far is charged per %s, and the plan's "
      "training per %s; the two do not add up: use another state_dir for this plan",
      xf_plan_unit_text(account->unit), xf_plan_unit_text(unit));
}

static enum xf_rc account_add(struct client_account *a, struct xf_odometer_charge charge,
                              double delta, struct xf_odometer_report *report,
                              struct xf_diag *diag) {
  enum xf_rc rc = xf_odometer_add(&a->spent, &charge, 1);
  if (!rc) rc = xf_odometer_get(report, &a->spent, delta);
  if (rc)
    return xf_diag_set(diag, rc, "the privacy charge (multiplier %g, delta %g) has no figure",
                       charge.noise_multiplier, delta);
  a->epsilon = report->replace_one.value;
  return XF_OK;
}

/* An evaluation's sums are outside epsilon (decision 11); a training answer is charged whole. */
static enum xf_rc charge(const struct client_release *r, struct xf_charge *out,
                         struct client_account *after, struct xf_diag *diag) {
  struct xf_msg_update_begin *b = &r->answer->begin;
  struct xf_odometer_report report;
  *out = (struct xf_charge){0};
  *after = *r->before;
  if (r->kind != XF_TASK_TRAIN) return XF_OK;
  after->released++;
  after->unit = r->unit;
  enum xf_rc rc = client_release_check(r->before, r->unit, diag);
  if (!rc) rc = account_add(after, r->answer->charge, r->delta, &report, diag);
  if (rc) return rc;
  const double most = r->policy->max_epsilon;
  if (most > 0 && !(after->epsilon <= most))
    return xf_diag_set(
        diag, XF_E_POLICY,
        "policy.max_epsilon: this release would bring epsilon (replace-one) to %.4g, "
        "allowed is %.4g; nothing of it was stored or sent",
        after->epsilon, most);
  const bool noised = r->answer->charge.noise_multiplier > 0;
  *out = (struct xf_charge){.clipped = r->answer->clipped, .noised = noised, .clip = b->clip};
  b->noise_multiplier = b->epsilon = b->epsilon_zero_out = 0;
  if (!noised) return XF_OK;
  out->noise_multiplier = r->answer->charge.noise_multiplier;
  out->sensitivity = 2 * b->clip;
  if (!isfinite(after->epsilon)) return XF_OK; /* an earlier release had no noise: no claim */
  out->epsilon = after->epsilon;
  out->epsilon_zero_out = report.zero_out.value;
  b->noise_multiplier = out->noise_multiplier;
  b->epsilon = out->epsilon;
  b->epsilon_zero_out = out->epsilon_zero_out;
  return XF_OK;
}

/* Loss sums, and of a training that is private per unit what its charge is of besides the multiplier. */
static enum xf_rc print_meta(struct xf_buf *out, const struct client_release *r) {
  const struct xf_msg_update_begin *b = &r->answer->begin;
  const struct xf_odometer_charge *charge = &r->answer->charge;
  struct xf_jsonw w;
  xf_jsonw_init(&w, out);
  xf_jsonw_object(&w);
  if (b->has_loss) {
    xf_jsonw_kdouble(&w, "loss_sum", b->loss_sum);
    xf_jsonw_kuint(&w, "loss_count", b->loss_count);
  }
  if (charge->rate > 0) {
    xf_jsonw_kdouble(&w, "sample_rate", charge->rate);
    xf_jsonw_kuint(&w, "steps", charge->n);
  }
  if (r->unit != XF_PLAN_UNIT_SILO) xf_jsonw_kstr(&w, "unit", xf_plan_unit_text(r->unit));
  xf_jsonw_object_end(&w);
  return xf_jsonw_finish(&w);
}

static enum xf_rc put_personal(struct xf_outbox *outbox, const struct xf_fs *fs,
                               const struct client_release *r, struct xf_outbox_item *item,
                               struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  if (!r->personal) return XF_OK;
  xf_outbox_personal_name(item->personal, &item->task_id);
  enum xf_rc rc = xf_outbox_personal_path(outbox, path, item->personal);
  if (rc) return xf_diag_set(diag, rc, "the path of a personal state is too long");
  rc = xf_vector_save(fs, path, r->personal, r->n, diag);
  if (!rc) XF_FAILPOINT("C4_personal");
  return rc;
}

enum xf_rc client_release_put(struct xf_outbox *outbox, const struct xf_fs *fs,
                              const struct client_release *r, struct client_account *after,
                              struct xf_diag *diag) {
  const struct xf_msg_update_begin *b = &r->answer->begin;
  struct xf_outbox_item item = {.task_id = b->task_id,
                                .round = b->round,
                                .kind = (uint32_t)r->kind,
                                .dtype = (uint32_t)b->dtype,
                                .base = b->base_digest,
                                .layout = b->layout_digest,
                                .update = b->update_digest,
                                .weight = b->weight,
                                .n_samples = b->n_samples};
  struct xf_buf meta;
  xf_buf_init(&meta, META_MAX);
  enum xf_rc rc = xf_str_copy(item.run, sizeof item.run, r->run);
  if (!rc) rc = charge(r, &item.charge, after, diag);
  if (!rc) rc = print_meta(&meta, r);
  if (!rc) rc = put_personal(outbox, fs, r, &item, diag);
  item.meta = xf_buf_cstr(&meta);
  if (!rc)
    rc = xf_outbox_put(outbox, &item, r->answer->payload.p, r->answer->payload.len,
                       xf_wall_now_us(), diag);
  xf_buf_deinit(&meta);
  return rc;
}

/* none: silo */
static bool read_unit(const struct xf_json_value *v, enum xf_plan_unit *out) {
  const char *text = NULL;
  *out = XF_PLAN_UNIT_SILO;
  if (!v) return true;
  if (!xf_json_str(v, &text)) return false;
  for (*out = XF_PLAN_UNIT_RECORD; *out != XF_PLAN_UNIT_SILO; --*out)
    if (strcmp(text, xf_plan_unit_text(*out)) == 0) return true;
  return false;
}

static enum xf_rc read_meta(struct xf_msg_update_begin *b, struct xf_odometer_charge *charge,
                            enum xf_plan_unit *unit, const char *text, struct xf_diag *diag) {
  *unit = XF_PLAN_UNIT_SILO;
  struct xf_json *json = NULL;
  if (!text || !text[0]) return XF_OK;
  enum xf_rc rc = xf_json_parse(&json, "outbox meta", text, strlen(text), NULL, diag);
  if (rc) return rc;
  const struct xf_json_value *root = xf_json_root(json);
  const struct xf_json_value *sum = xf_json_find(root, "loss_sum");
  const struct xf_json_value *count = xf_json_find(root, "loss_count");
  const struct xf_json_value *rate = xf_json_find(root, "sample_rate");
  const struct xf_json_value *steps = xf_json_find(root, "steps");
  /* null: written of a loss that was no number */
  b->has_loss = (sum || count) && xf_json_kind_of(sum) != XF_JSON_NULL;
  if ((b->has_loss &&
       (!xf_json_double(sum, &b->loss_sum) || !xf_json_uint(count, &b->loss_count))) ||
      ((rate || steps) &&
       (!xf_json_double(rate, &charge->rate) || !xf_json_uint(steps, &charge->n))) ||
      !read_unit(xf_json_find(root, "unit"), unit))
    rc = xf_diag_set(diag, XF_E_CORRUPT, "the outbox's note on round %llu is damaged",
                     (unsigned long long)b->round);
  xf_json_free(json);
  return rc;
}

enum xf_rc client_release_begin(struct xf_msg_update_begin *out, const struct xf_outbox_item *item,
                                struct xf_diag *diag) {
  *out = (struct xf_msg_update_begin){.task_id = item->task_id,
                                      .round = item->round,
                                      .base_digest = item->base,
                                      .layout_digest = item->layout,
                                      .weight = item->weight,
                                      .n_samples = item->n_samples,
                                      .dtype = (enum xf_dtype)item->dtype,
                                      .payload_len = item->bytes,
                                      .payload_digest = item->payload,
                                      .update_digest = item->update,
                                      .clip = item->charge.clip};
  if (item->charge.noised && item->charge.epsilon > 0) {
    out->noise_multiplier = item->charge.noise_multiplier;
    out->epsilon = item->charge.epsilon;
    out->epsilon_zero_out = item->charge.epsilon_zero_out;
  }
  enum xf_plan_unit unit;
  return read_meta(out, &(struct xf_odometer_charge){0}, &unit, item->meta, diag);
}

enum xf_rc client_release_charge(struct xf_odometer_charge *out, enum xf_plan_unit *unit,
                                 const struct xf_outbox_item *item, struct xf_diag *diag) {
  struct xf_msg_update_begin begin = {.round = item->round};
  *out = (struct xf_odometer_charge){.n = 1};
  const enum xf_rc rc = read_meta(&begin, out, unit, item->meta, diag);
  out->noise_multiplier = item->charge.noised ? item->charge.noise_multiplier : 0;
  return rc;
}

struct counting {
  struct client_account *account;
  const char *run;
  struct xf_diag *diag;
};

static enum xf_rc count_item(void *arg, const struct xf_outbox_item *item) {
  struct counting *k = arg;
  if (item->kind != XF_TASK_TRAIN) return XF_OK;
  k->account->released += strcmp(item->run, k->run) == 0;
  struct xf_odometer_charge charge;
  enum xf_rc rc = client_release_charge(&charge, &k->account->unit, item, k->diag);
  if (!rc) rc = xf_odometer_add(&k->account->spent, &charge, 1);
  return rc ? xf_diag_set(k->diag, rc, "the outbox's charge of round %llu is damaged",
                          (unsigned long long)item->round)
            : XF_OK;
}

enum xf_rc client_release_account(struct client_account *out, struct xf_outbox *outbox,
                                  const char *run, double delta, struct xf_diag *diag) {
  struct xf_odometer_report report;
  struct counting k = {out, run, diag};
  *out = (struct client_account){0};
  xf_odometer_init(&out->spent);
  enum xf_rc rc = xf_outbox_items(outbox, count_item, &k, diag);
  if (rc) return rc;
  rc = xf_odometer_get(&report, &out->spent, delta);
  if (rc) return xf_diag_set(diag, rc, "delta %g gives the account no figure", delta);
  out->epsilon = report.replace_one.value;
  return XF_OK;
}
