#include "priv/statement.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define TRY(call)                  \
  do {                             \
    const enum xf_rc rc_ = (call); \
    if (rc_) return rc_;           \
  } while (0)

static const char *figure(char out[static 32], double x) {
  if (isinf(x)) return "infinite";
  (void)snprintf(out, 32, "%.4g", x); /* the longest is "-1.234e-308" */
  return out;
}

/* What charges are about, where it is no silo. */
static const char *noun(const struct xf_statement *s) {
  return s->users ? "user" : s->records ? "record" : NULL;
}

static enum xf_rc print_subject(struct xf_buf *out, const struct xf_statement *s) {
  if (s->seeded) TRY(xf_buf_put_str(out, "NOT PRIVATE: seeded noise\n"));
  if (noun(s) && s->silo)
    return xf_buf_printf(out, "privacy of one %s of silo %s against the coordinator\n", noun(s),
                         s->silo);
  if (noun(s))
    return xf_buf_printf(out,
                         "privacy of one %s of one silo, against the coordinator: the largest of "
                         "%" PRIu64 " silos\n",
                         noun(s), s->n_silos);
  if (s->silo)
    return xf_buf_printf(out, "privacy of silo %s against the coordinator, not per person\n",
                         s->silo);
  return xf_buf_printf(out,
                       "privacy per silo, against the coordinator, not per person: the largest of "
                       "%" PRIu64 " silos\n",
                       s->n_silos);
}

enum xf_rc xf_statement_print_short(struct xf_buf *out, const struct xf_statement *s) {
  struct xf_odometer_report r;
  TRY(xf_odometer_get(&r, &s->odometer, s->delta));
  char zero[32], replace[32];
  return xf_buf_printf(out,
                       "%sepsilon %s (%s), %s (replace-one) at delta %g, %s, %" PRIu64
                       " %s, against the coordinator, %s",
                       s->seeded ? "NOT PRIVATE: seeded noise; " : "",
                       figure(zero, r.zero_out.value), noun(s) ? "add-or-remove" : "zero-out",
                       figure(replace, r.replace_one.value), s->delta,
                       s->silo ? "this silo" : "largest over silos", s->odometer.charges,
                       s->steps ? "steps" : "releases",
                       s->users     ? "per user of one silo"
                       : s->records ? "per record of one silo"
                                    : "not per person");
}

static enum xf_rc print_mechanism(struct xf_buf *out, const struct xf_statement *s) {
  const struct xf_odometer *o = &s->odometer;
  if (s->steps)
    TRY(xf_buf_printf(out,
                      "  clipping     each %s's gradient to L2 norm %g in each step, by itself and "
                      "on the integer grid\n  sampling     each %s with probability %g in each "
                      "step, by itself (Poisson); who, stays secret\n",
                      noun(s), s->clip, noun(s), s->rate));
  else if (s->users)
    TRY(xf_buf_put_str(
        out,
        "  clipping     none: what one user adds to a statistic is bounded by how it is made\n"));
  else if (s->clip > 0)
    TRY(xf_buf_printf(out, "  clipping     each update to L2 norm %g\n", s->clip));
  else TRY(xf_buf_put_str(out, "  clipping     none\n"));
  if (o->bare)
    return xf_buf_printf(
        out, "  noise        none in %" PRIu64 " of %" PRIu64 " releases: no guarantee\n", o->bare,
        o->charges);
  if (!o->charges) return xf_buf_put_str(out, "  noise        nothing released yet\n");
  return xf_buf_printf(out,
                       "  noise        integer noise (discrete Gaussian), at least %.6g x the %s, "
                       "added by the silo\n",
                       o->least_z, s->users && !s->steps ? "bound of one user" : "clipping norm");
}

static enum xf_rc print_epsilon(struct xf_buf *out, const struct xf_statement *s) {
  struct xf_odometer_report r;
  TRY(xf_odometer_get(&r, &s->odometer, s->delta));
  if (s->steps)
    TRY(xf_buf_printf(out, "  steps        %" PRIu64 ", %s\n", s->odometer.charges,
                      s->rate < 1 ? "each accounted as Poisson-sampled; no credit for the noise of "
                                    "others"
                                  : "each counted whole"));
  else
    TRY(xf_buf_printf(out,
                      "  releases     %" PRIu64
                      ", each counted whole: no credit for sampling or for the noise of others\n",
                      s->odometer.charges));
  const struct {
    const char *name, *what;
    struct xf_rdp_point point;
  } rows[] = {{noun(s) ? "add-or-remove" : "zero-out",
               s->steps   ? "the unit in or out of the train part (sensitivity C)"
               : s->users ? "the user in or out (sensitivity: the bound)"
                          : "its updates replaced by zeros (sensitivity C)",
               r.zero_out},
              {"replace-one",
               s->steps   ? "the unit replaced by any other"
               : s->users ? "the user's history replaced by any other (at most twice the bound)"
                          : "its updates replaced by any others (sensitivity 2C)",
               r.replace_one}};
  for (size_t i = 0; i < 2; i++) {
    char text[32];
    TRY(xf_buf_printf(out, "  epsilon      %s at delta %g, %s: %s",
                      figure(text, rows[i].point.value), s->delta, rows[i].name, rows[i].what));
    if (isfinite(rows[i].point.value) && s->odometer.charges)
      TRY(xf_buf_printf(out, "; order %g%s", rows[i].point.order,
                        rows[i].point.at_end ? ", at the end of the list: not tight" : ""));
    TRY(xf_buf_put_str(out, "\n"));
  }
  return xf_buf_printf(out, "  accountant   Renyi (rdp), orders list %d\n", XF_RDP_ORDERS_VERSION);
}

static enum xf_rc print_limits(struct xf_buf *out, const struct xf_statement *s) {
  TRY(xf_buf_put_str(
      out,
      s->users ? "  unit         a user of this silo; a person in several silos pays in each, the "
                 "silo as a "
                 "whole has no figure\n"
      : s->records
          ? "  unit         a record of this silo's train part; a person with several records, "
            "or in several silos, pays for each, the silo as a whole has no figure\n"
          : "  unit         the silo; a person in several silos, or a person alone, has no "
            "figure of their own\n"));
  TRY(xf_buf_put_str(out,
                     "  outside      when and how often a silo takes part, sizes of messages"));
  if (s->steps)
    TRY(xf_buf_put_str(out, ", how long it works, how its data were split and prepared"));
  if (s->rows) TRY(xf_buf_put_str(out, ", which aligned rows a silo holds"));
  for (size_t i = 0; i < s->n_exports; i++) TRY(xf_buf_printf(out, ", %s", s->exports[i]));
  TRY(xf_buf_put_str(out, "\n"));
  if (s->rows)
    TRY(xf_buf_printf(out, "  alignment    %sthe coordinator learns which silos share rows\n",
                      s->trusted_alignment ? "trusted alignment: all silos hold the pseudonym key; "
                                           : ""));
  return XF_OK;
}

enum xf_rc xf_statement_print(struct xf_buf *out, const struct xf_statement *statement) {
  TRY(print_subject(out, statement));
  TRY(print_mechanism(out, statement));
  TRY(print_epsilon(out, statement));
  return print_limits(out, statement);
}
