/*
 * synth.h - a generator of interactions in several domains with partly shared users and a gap between the domains.
 *
 * Person u has taste b_u ~ N(0, I/dim); in domain d it is (b_u + s e_ud) / sqrt(1 + s^2) with e_ud independent and s
 * the gap: 0 means the same taste everywhere, large means nothing carries over. Items have factors and a
 * long-tailed popularity (Zipf); a person picks items by Gumbel-perturbed score
 * strength * (taste . item) + popularity, so a model that knows the taste beats popularity. Times grow along each person's history.
 * Not for: claims about real data. Owner: caller. Thread: any; seeded.
 */
#ifndef XF_DATA_SYNTH_H
#define XF_DATA_SYNTH_H

#include "base/rng.h"
#include "data/interactions.h"

enum { XF_SYNTH_DOMAINS_MAX = 64 };

struct xf_synth_spec {
  uint32_t n_domains, n_users; /* users over all domains */
  uint32_t n_items;            /* per domain */
  double shared;               /* probability that a person is in each further domain */
  double events;               /* mean events of a person in a domain, geometric tail, at least 3 */
  double gap;
  uint32_t dim;      /* of the latent taste */
  double strength;   /* of taste against chance */
  double popularity; /* Zipf exponent */
};

/* 3 domains, 1200 users, 400 items each, shared .8, 10 events, gap .3, dim 8, strength 3, popularity .7. @own value */
struct xf_synth_spec xf_synth_default(void);
/* All domains in one: users "u17", items "d2i5", domains "d2". @own out @err E_INVAL (names the value) E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_synth_init(struct xf_interactions *out,
                                        const struct xf_synth_spec *spec, struct xf_rng *rng,
                                        struct xf_diag *diag);

#endif
