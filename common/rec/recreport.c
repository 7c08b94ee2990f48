/* The transfer report of a decision. */
#include "rec/recommender.h"

#include <math.h>

/* Figure of candidate i by itself on validation, NaN before decide. */
static double alone(const struct xf_recommender *rec, uint32_t i) {
  const struct xf_recommender_choice *c = &rec->arm[XF_RECOMMENDER_ARM_GUARDED];
  for (uint32_t k = 0; c->scorer && k < c->guard.n_candidate; k++)
    if (c->index[k] == i) return c->guard.alone[k];
  return (double)NAN;
}

static double weight(const struct xf_recommender_choice *c, uint32_t i) {
  for (uint32_t k = 0; c->scorer && k < c->guard.n_candidate; k++)
    if (c->index[k] == i) return c->guard.weight[k];
  return 0;
}

static enum xf_rc print_candidate(const struct xf_recommender *rec, uint32_t i,
                                  struct xf_buf *text) {
  const struct xf_recommender_candidate *c = &rec->candidate[i];
  enum xf_rc rc = xf_buf_printf(text, "  %-16s %-6s validation %.4f, weight %g, in alone %g",
                                c->name, c->flags & XF_RECOMMENDER_SHARED ? "shared" : "local",
                                alone(rec, i), weight(&rec->arm[XF_RECOMMENDER_ARM_GUARDED], i),
                                weight(&rec->arm[XF_RECOMMENDER_ARM_ALONE], i));
  if (!rc && c->setting[0]) rc = xf_buf_printf(text, "; %s", c->setting);
  if (!rc && c->tries)
    rc = xf_buf_printf(text, " (%u tries, split A %.4f%s)", c->tries, c->tuned,
                       c->edge ? ", at the border of its grid" : "");
  return rc ? rc : xf_buf_put_str(text, "\n");
}

/* What a mix is made of; a shared part may be switched off by itself and act through a mix. */
static enum xf_rc print_mix(const struct xf_recommender *rec, uint32_t i, struct xf_buf *text) {
  const struct xf_recommender_candidate *c = &rec->candidate[i];
  enum xf_rc rc = c->mix ? xf_buf_printf(text, "    %s is", c->name) : XF_OK;
  for (uint32_t k = 0; !rc && c->mix && k < i; k++)
    if (c->mix[k].linear != 0 || c->mix[k].bend != 0)
      rc = xf_buf_printf(text, " %s %+.2f z %+.2f bent%s;", rec->candidate[k].name,
                         c->mix[k].linear, c->mix[k].bend,
                         rec->candidate[k].flags & XF_RECOMMENDER_SHARED ? " (shared)" : "");
  return rc || !c->mix ? rc : xf_buf_put_str(text, "\n");
}

static enum xf_rc print_arm(const struct xf_recommender *rec, enum xf_recommender_arm arm,
                            const struct xf_guard *guard, const char *name, struct xf_buf *text) {
  const struct xf_recommender_choice *c = &rec->arm[arm];
  struct xf_guard_candidate candidate[XF_BLEND_PARTS];
  if (!c->scorer) return xf_buf_printf(text, "%s: no candidate\n", name);
  for (uint32_t k = 0; k < guard->n_candidate; k++) {
    const struct xf_recommender_candidate *r = &rec->candidate[c->index[k]];
    candidate[k] =
        (struct xf_guard_candidate){r->name, r->scorer, (r->flags & XF_RECOMMENDER_SHARED) != 0};
  }
  enum xf_rc rc = xf_buf_printf(text, "%s: ", name);
  if (!rc) rc = xf_guard_print(guard, candidate, text);
  return rc ? rc : xf_buf_put_str(text, "\n");
}

/* The guard ended below alone. */
static enum xf_rc print_refused(const struct xf_recommender *rec, struct xf_buf *text) {
  const struct xf_recommender_refused *r = &rec->refused;
  enum xf_rc rc =
      print_arm(rec, XF_RECOMMENDER_ARM_GUARDED, &r->guard, "refused, with the federation", text);
  return rc ? rc
            : xf_buf_printf(text,
                            "gain over alone on validation: %+.4f (paired SE %.4f): worse than "
                            "alone, so everything from the federation is switched off\n"
                            "served: what alone serves (%.4f)\n",
                            r->gain, r->se, rec->arm[XF_RECOMMENDER_ARM_ALONE].guard.value);
}

enum xf_rc xf_recommender_print(const struct xf_recommender *rec, struct xf_buf *text) {
  enum xf_rc rc =
      xf_buf_printf(text, "%u candidates, %u settings tried, %.1f s, %.1f MB\n", rec->n_candidate,
                    rec->tries, rec->seconds, (double)rec->memory / 1e6);
  for (uint32_t i = 0; !rc && i < rec->n_candidate; i++) {
    rc = print_candidate(rec, i, text);
    if (!rc) rc = print_mix(rec, i, text);
  }
  for (uint32_t i = 0; !rc && i < rec->n_note; i++)
    rc = xf_buf_printf(text, "  %s\n", rec->note[i]);
  if (rc || !xf_recommender_served(rec)) return rc;
  const struct xf_recommender_choice *served = &rec->arm[XF_RECOMMENDER_ARM_GUARDED],
                                     *by_itself = &rec->arm[XF_RECOMMENDER_ARM_ALONE];
  rc = print_arm(rec, XF_RECOMMENDER_ARM_ALONE, &by_itself->guard, "alone", text);
  if (!rc && rec->refused.guard.n_candidate) return print_refused(rec, text);
  if (!rc) rc = print_arm(rec, XF_RECOMMENDER_ARM_GUARDED, &served->guard, "served", text);
  if (!rc && !isnan(rec->gain))
    rc = xf_buf_printf(text, "gain over alone on validation: %+.4f (paired SE %.4f)\n", rec->gain,
                       rec->gain_se);
  return rc;
}
