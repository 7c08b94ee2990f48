#include "fed/select.h"

#include "base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ceil(f n) of a decimal fraction: .1 * 30 is 3, not 4 because of the last bit. */
static uint32_t share(double f, uint32_t n) {
  const double x = ceil(f * (double)n - 1e-9);
  return x < 1 ? 1 : x > (double)UINT32_MAX ? UINT32_MAX : (uint32_t)x;
}

uint32_t xf_select_target(const struct xf_select_rule *rule, uint32_t n_members) {
  const uint32_t m = rule->cohort_count ? rule->cohort_count : share(rule->cohort, n_members);
  return m < n_members ? m : n_members;
}

uint32_t xf_select_asked(const struct xf_select_rule *rule, uint32_t n_members) {
  const uint32_t target = xf_select_target(rule, n_members);
  const uint32_t m = rule->over_select > 1 ? share(rule->over_select, target) : target;
  return m < n_members ? m : n_members;
}

uint32_t xf_select_quorum(const struct xf_select_rule *rule, uint32_t n_members) {
  const uint32_t target = xf_select_target(rule, n_members);
  const uint32_t q = rule->quorum_count ? rule->quorum_count : share(rule->quorum, target);
  return q < target ? q : target;
}

enum xf_select_verdict xf_select_judge(const struct xf_select_rule *rule,
                                       const struct xf_select_state *state) {
  const uint32_t target = xf_select_target(rule, state->n_members);
  const bool enough = state->n_accepted >= xf_select_quorum(rule, state->n_members) &&
                      state->n_domains >= rule->min_domains;
  const bool all = state->n_answered >= state->n_selected;
  const bool reached = state->n_selected > target && state->n_accepted >= target;
  if (enough && (all || reached || state->deadline)) return XF_SELECT_CLOSE;
  return all || state->deadline ? XF_SELECT_ABANDON : XF_SELECT_WAIT;
}

/* Members by domain, ids ascending within; start[d] .. start[d + 1] are domain d's. */
struct strata {
  uint32_t *member, *start, *seats, *order;
  uint32_t n_domains;
};

static int by_domain(const void *a, const void *b, void *arg) {
  const struct xf_select_member *member = arg;
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  const int c = strcmp(member[i].domain, member[j].domain);
  return c ? c : (i > j) - (i < j);
}

static int ascending(const void *a, const void *b) {
  const uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  return (i > j) - (i < j);
}

static void strata_init(struct strata *s, const struct xf_select_member *member, uint32_t n) {
  *s = (struct strata){.member = xf_calloc(n, sizeof *s->member),
                       .start = xf_calloc((size_t)n + 1, sizeof *s->start),
                       .seats = xf_calloc(n, sizeof *s->seats),
                       .order = xf_calloc(n, sizeof *s->order)};
  for (uint32_t i = 0; i < n; i++) s->member[i] = i;
  /* the comparison only reads the members */
  qsort_r(s->member, n, sizeof *s->member, by_domain, (void *)(uintptr_t)member);
  for (uint32_t i = 0; i < n; i++)
    if (i == 0 || strcmp(member[s->member[i]].domain, member[s->member[i - 1]].domain) != 0)
      s->start[s->n_domains++] = i;
  s->start[s->n_domains] = n;
  for (uint32_t d = 0; d < s->n_domains; d++) s->order[d] = d;
}

static void strata_deinit(struct strata *s) {
  xf_free(s->member);
  xf_free(s->start);
  xf_free(s->seats);
  xf_free(s->order);
}

static uint32_t size_of(const struct strata *s, uint32_t d) {
  return s->start[d + 1] - s->start[d];
}

/* m seats over n members. Shares m size / n are laid end to end in random order with a random start; a
   domain gets the whole numbers that fall into its share. Integers throughout, in units of 1/n. */
static void seat(struct strata *s, uint32_t m, uint32_t n, uint32_t min_domains,
                 struct xf_rng *rng) {
  xf_rng_shuffle(rng, s->order, s->n_domains);
  uint64_t at = xf_rng_below(rng, n);
  uint32_t seated = 0;
  for (uint32_t i = 0; i < s->n_domains; i++) {
    const uint32_t d = s->order[i];
    const uint64_t next = at + (uint64_t)m * size_of(s, d);
    s->seats[d] = (uint32_t)(next / n - at / n);
    seated += s->seats[d] > 0;
    at = next;
  }
  for (uint32_t i = 0; i < s->n_domains && seated < min_domains; i++) {
    if (s->seats[s->order[i]]) continue;
    uint32_t most = s->order[0]; /* the first with the most seats gives one */
    for (uint32_t k = 0; k < s->n_domains; k++)
      if (s->seats[s->order[k]] > s->seats[most]) most = s->order[k];
    s->seats[most]--;
    s->seats[s->order[i]] = 1;
    seated++;
  }
}

enum xf_rc xf_select_check(const struct xf_select_rule *rule, const struct xf_select_member *member,
                           uint32_t n, uint32_t n_domains, struct xf_diag *diag) {
  if (!n) return xf_diag_set(diag, XF_E_INVAL, "the member list is empty");
  for (uint32_t i = 1; i < n; i++)
    if (strcmp(member[i - 1].id, member[i].id) >= 0)
      return xf_diag_set(diag, XF_E_INVAL, "member list: %s follows %s; it must be sorted",
                         member[i].id, member[i - 1].id);
  const uint32_t asked = xf_select_asked(rule, n);
  const uint32_t possible = n_domains < asked ? n_domains : asked;
  if (rule->min_domains > possible)
    return xf_diag_set(diag, XF_E_RANGE,
                       "min_domains is %" PRIu32 ", but a cohort of %" PRIu32 " from %" PRIu32
                       " domains has at most %" PRIu32 "; lower min_domains or enlarge the cohort",
                       rule->min_domains, asked, n_domains, possible);
  return XF_OK;
}

enum xf_rc xf_select_draw(uint32_t *out, uint32_t *n_out, const struct xf_select_rule *rule,
                          const struct xf_select_member *member, uint32_t n, struct xf_rng *rng,
                          struct xf_diag *diag) {
  *n_out = 0;
  struct strata s;
  strata_init(&s, member, n);
  const enum xf_rc rc = xf_select_check(rule, member, n, s.n_domains, diag);
  if (!rc) {
    seat(&s, xf_select_asked(rule, n), n, rule->min_domains, rng);
    for (uint32_t d = 0; d < s.n_domains; d++) {
      if (s.seats[d] < size_of(&s, d)) xf_rng_shuffle(rng, s.member + s.start[d], size_of(&s, d));
      memcpy(out + *n_out, s.member + s.start[d], s.seats[d] * sizeof *out);
      *n_out += s.seats[d];
    }
    qsort(out, *n_out, sizeof *out, ascending);
  }
  strata_deinit(&s);
  return rc;
}
