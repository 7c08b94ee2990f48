/* How much the silos of a round disagreed: from the norms of its updates, which the fold reads anyway. */
#include "server/io/state.h"

#include "json/json.h"

#include <math.h>
#include <string.h>

void srv_drift_object(struct xf_jsonw *w, const struct srv_drift *d) {
  xf_jsonw_object(w);
  xf_jsonw_kuint(w, "round", d->round);
  xf_jsonw_kdouble(w, "norm_min", d->d.min);
  xf_jsonw_kdouble(w, "norm_median", d->d.median);
  xf_jsonw_kdouble(w, "norm_max", d->d.max);
  xf_jsonw_kdouble(w, "norm_mean", d->d.mean);
  xf_jsonw_kdouble(w, "ratio", d->d.ratio); /* null when nothing moved */
  if (d->n_uncounted) xf_jsonw_kuint(w, "uncounted", d->n_uncounted);
  xf_jsonw_object_end(w);
}

void srv_drift_put(struct xf_jsonw *w, const struct srv_drift *d) {
  xf_jsonw_key(w, "drift");
  if (d->set) srv_drift_object(w, d);
  else xf_jsonw_null(w);
}

/* A round of another kind, or of an older coordinator, has none: what is known stays. */
void srv_drift_read(struct srv_drift *out, const struct xf_json_value *metrics) {
  const struct xf_json_value *v = xf_json_find(metrics, "drift");
  struct srv_drift d = {.set = true, .d = {.ratio = NAN}};
  if (!xf_json_uint(xf_json_find(v, "round"), &d.round) ||
      !xf_json_double(xf_json_find(v, "norm_min"), &d.d.min) ||
      !xf_json_double(xf_json_find(v, "norm_median"), &d.d.median) ||
      !xf_json_double(xf_json_find(v, "norm_max"), &d.d.max) ||
      !xf_json_double(xf_json_find(v, "norm_mean"), &d.d.mean))
    return;
  if (!xf_json_double(xf_json_find(v, "ratio"), &d.d.ratio)) d.d.ratio = NAN;
  if (!xf_json_uint(xf_json_find(v, "uncounted"), &d.n_uncounted)) d.n_uncounted = 0;
  *out = d;
}
