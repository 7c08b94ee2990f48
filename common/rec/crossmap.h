/*
 * crossmap.h - users without history in a domain but with one in another: a ridge map between factors, and the cross Gram.
 *
 * Map (EMCDR): over users u of both domains a_u = [s_u/|s_u|, 1], b_u = t_u/|t_u| (factors; a zero row is skipped);
 *   H = sum a a^T, C = sum a b^T, n: they add over users and over parties. M = (H + g (n/d) E)^-1 C, d the source's dim;
 *   a user's target row is a M, the scores a M Q_t^T. g .01 to .1 without noise, 1 to 3 with.
 * Cross Gram: W = sum_u |x_s|^-.5 x_s x_t^T over the two 0/1 histories (|x| items in x); scores |x|^-.5 x W.
 * The map wins below about 800 common users, the cross Gram above; standardised, 1:1, with .3 log popularity both do.
 * C and W pair two rows of one user: between two silos they need paired computation, adding up alone does not do.
 * Not for: finding common users. Owner: caller. Thread: one writer.
 * @source Man, Shen, Jin & Cheng 2017 (EMCDR); docs/internals/rec.md "Cold users"
 */
#ifndef XF_REC_CROSSMAP_H
#define XF_REC_CROSSMAP_H

#include "base/diag.h"

#include <stddef.h>
#include <stdint.h>

struct xf_crossmap_sums {
  uint32_t ds, dt;
  double n;  /* users in the sums */
  double *h; /* [(ds+1) x (ds+1)] */
  double *c; /* [(ds+1) x dt] */
};

struct xf_crossmap {
  uint32_t ds, dt;
  float *m; /* [(ds+1) x dt] */
};

/* Zero sums. @own out: xf_crossmap_sums_deinit @err E_INVAL (a dim of 0 or over 1024) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_crossmap_sums_init(struct xf_crossmap_sums *out, uint32_t ds,
                                                uint32_t dt);
/* Releases; idempotent. @own sums */
void xf_crossmap_sums_deinit(struct xf_crossmap_sums *sums);
/* Adds one common user's rows; a zero row adds nothing. @shape s[ds], t[dt] @err E_NAN (nothing added) */
XF_WARN_UNUSED enum xf_rc xf_crossmap_add_user(struct xf_crossmap_sums *sums, const float *s,
                                               const float *t);
/* Adds another party's sums. @err E_SHAPE */
XF_WARN_UNUSED enum xf_rc xf_crossmap_add_sums(struct xf_crossmap_sums *sums,
                                               const struct xf_crossmap_sums *other);
/* The map; g > 0. @own out: xf_crossmap_deinit @err E_INVAL (g, no users) E_NAN (noise made H + ... indefinite) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_crossmap_init(struct xf_crossmap *out,
                                           const struct xf_crossmap_sums *sums, double g,
                                           struct xf_diag *diag);
/* Releases; idempotent. @own map */
void xf_crossmap_deinit(struct xf_crossmap *map);
/* A user's target row a M; score with the target's item factors. @shape s[ds], out[dt] @err E_NAN (s, or s is zero) */
XF_WARN_UNUSED enum xf_rc xf_crossmap_row(const struct xf_crossmap *map, const float *s,
                                          float *out);

struct xf_crossgram {
  uint32_t ns, nt;
  float *w; /* [ns x nt] */
};

/* Zero W. @own out: xf_crossgram_deinit @err E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_crossgram_init(struct xf_crossgram *out, uint32_t ns, uint32_t nt);
/* Releases; idempotent. @own gram */
void xf_crossgram_deinit(struct xf_crossgram *gram);
/* Adds one common user's histories; empty ones add nothing. @shape s[n_s], t[n_t] @err E_RANGE (nothing added) */
XF_WARN_UNUSED enum xf_rc xf_crossgram_add_user(struct xf_crossgram *gram, const uint32_t *s,
                                                uint32_t n_s, const uint32_t *t, uint32_t n_t);
/* Adds another party's. @err E_SHAPE */
XF_WARN_UNUSED enum xf_rc xf_crossgram_add(struct xf_crossgram *gram,
                                           const struct xf_crossgram *other);
/* Scores of all target items from a source history. @shape s[n_s], out[nt] @err E_RANGE */
XF_WARN_UNUSED enum xf_rc xf_crossgram_score(const struct xf_crossgram *gram, const uint32_t *s,
                                             uint32_t n_s, float *out);

#endif
