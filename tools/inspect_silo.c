/* A silo's state directory: the outbox and the odometer. */
#include "client/io/release.h"
#include "store/outbox.h"
#include "store/state.h"
#include "tools/inspect.h"
#include "tools/ledger_out.h"

#include <math.h>

struct silo {
  struct xf_jsonw *w;
  uint64_t pending, settled;
  double epsilon, epsilon_zero_out;
  uint64_t charges, noised;
  uint64_t bare; /* updates that left without noise: after one there is no finite epsilon */
};

static void put_charge(struct xf_jsonw *w, const struct xf_charge *c) {
  xf_jsonw_kbool(w, "clipped", c->clipped);
  xf_jsonw_kbool(w, "noised", c->noised);
  xf_jsonw_kdouble(w, "clip", c->clip);
  xf_jsonw_kdouble(w, "noise_multiplier", c->noise_multiplier);
  xf_jsonw_kdouble(w, "sensitivity", c->sensitivity);
  xf_jsonw_kdouble(w, "epsilon", c->epsilon);
  xf_jsonw_kdouble(w, "epsilon_zero_out", c->epsilon_zero_out);
}

/* Of a training private per unit: how often it was charged, and per what. */
static enum xf_rc put_steps(struct xf_jsonw *w, const struct xf_outbox_item *item) {
  struct xf_odometer_charge charge;
  enum xf_plan_unit unit;
  const enum xf_rc rc = client_release_charge(&charge, &unit, item, NULL);
  if (rc || unit == XF_PLAN_UNIT_SILO) return rc;
  xf_jsonw_kstr(w, "unit", xf_plan_unit_text(unit));
  if (!(charge.rate > 0)) return XF_OK; /* without noise */
  xf_jsonw_kdouble(w, "sample_rate", charge.rate);
  xf_jsonw_kuint(w, "steps", charge.n);
  return XF_OK;
}

static enum xf_rc on_item(void *arg, const struct xf_outbox_item *item) {
  struct silo *s = arg;
  struct xf_jsonw *w = s->w;
  if (item->settled) s->settled++;
  else s->pending++;
  s->bare += item->kind == XF_TASK_TRAIN && !item->charge.noised;
  xf_jsonw_object(w);
  xf_jsonw_kstr(w, "run", item->run);
  xf_jsonw_kuint(w, "round", item->round);
  xf_jsonw_kdigest(w, "task", &item->task_id);
  xf_jsonw_kdigest(w, "base", &item->base);
  xf_jsonw_kdigest(w, "update_digest", &item->update);
  xf_jsonw_kuint(w, "weight", item->weight);
  xf_jsonw_kuint(w, "bytes", item->bytes);
  xf_jsonw_kstr(w, "state", item->settled ? "settled" : "pending");
  xf_jsonw_kstr(w, "verdict", item->settled ? item->verdict : NULL);
  xf_jsonw_kint(w, "created_us", item->created_us);
  const enum xf_rc rc = put_steps(w, item);
  xf_jsonw_object_end(w);
  return rc;
}

static enum xf_rc on_charge(void *arg, const struct xf_outbox_charge *c) {
  struct silo *s = arg;
  struct xf_jsonw *w = s->w;
  s->charges++;
  s->noised += c->charge.noised;
  if (c->charge.epsilon > s->epsilon) s->epsilon = c->charge.epsilon;
  if (c->charge.epsilon_zero_out > s->epsilon_zero_out)
    s->epsilon_zero_out = c->charge.epsilon_zero_out;
  xf_jsonw_object(w);
  xf_jsonw_kuint(w, "seq", c->seq);
  xf_jsonw_kstr(w, "run", c->run);
  xf_jsonw_kuint(w, "round", c->round);
  xf_jsonw_kdigest(w, "task", &c->task_id);
  put_charge(w, &c->charge);
  xf_jsonw_kint(w, "at_us", c->at_us);
  xf_jsonw_object_end(w);
  return XF_OK;
}

static enum xf_rc put_facts(struct xf_jsonw *w, struct xf_outbox *ob, struct xf_diag *diag) {
  static const char *const keys[] = {"federation", "member", "run", "plan_digest", "final"};
  char value[XF_OUTBOX_META_MAX];
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    const enum xf_rc rc = xf_outbox_meta_get(ob, keys[i], value, sizeof value, diag);
    if (rc && rc != XF_E_NOTFOUND) return rc;
    xf_jsonw_kstr(w, keys[i], rc ? NULL : value);
  }
  enum xf_rc rc = xf_outbox_personal(ob, value, diag);
  if (!rc) xf_jsonw_kstr(w, "personal", value[0] ? value : NULL);
  return rc;
}

static enum xf_rc put_rows(struct silo *s, struct xf_outbox *ob, struct xf_diag *diag) {
  struct xf_jsonw *w = s->w;
  xf_jsonw_key(w, "updates");
  xf_jsonw_array(w);
  enum xf_rc rc = xf_outbox_items(ob, on_item, s, diag);
  xf_jsonw_array_end(w);
  xf_jsonw_key(w, "odometer");
  xf_jsonw_array(w);
  if (!rc) rc = xf_outbox_charges(ob, on_charge, s, diag);
  xf_jsonw_array_end(w);
  xf_jsonw_kuint(w, "pending", s->pending);
  xf_jsonw_kuint(w, "settled", s->settled);
  xf_jsonw_kuint(w, "charges", s->charges);
  xf_jsonw_kuint(w, "noised", s->noised);
  xf_jsonw_kuint(w, "without_noise", s->bare);
  xf_jsonw_kdouble(w, "epsilon", s->bare ? INFINITY : s->epsilon); /* null */
  xf_jsonw_kdouble(w, "epsilon_zero_out", s->bare ? INFINITY : s->epsilon_zero_out);
  return rc;
}

enum xf_rc xf_inspect_silo(struct xf_jsonw *w, const char *dir, struct xf_diag *diag) {
  struct xf_outbox *ob = NULL;
  struct silo s = {.w = w};
  enum xf_rc rc = xf_outbox_open_read(&ob, xf_fs_posix(), dir, NULL, diag);
  if (rc == XF_E_VERSION) rc = xf_diag_prefix(diag, XF_E_CORRUPT, "\"%s\"", dir);
  if (rc) return rc;
  xf_jsonw_kstr(w, "kind", "silo");
  rc = put_facts(w, ob, diag);
  if (!rc) rc = put_rows(&s, ob, diag);
  xf_outbox_close(ob);
  return rc;
}
