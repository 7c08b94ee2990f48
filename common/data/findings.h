/*
 * findings.h - what is odd about a set of events, before a federation trains on it: counts, the line of the first example, the fix.
 *
 * Nothing here is an error: training goes on with every finding, and each says what will happen to the events.
 * Keys are compared for near equality after removing ASCII spaces at both ends and folding ASCII case.
 * Not for: malformed files (interactions.h refuses them), the same product under two ids (twins.h).
 * Owner: caller. Thread: any; no global state.
 */
#ifndef XF_DATA_FINDINGS_H
#define XF_DATA_FINDINGS_H

#include "data/interactions.h"

/* X(NAME, key in JSON, what is counted, what happens and the fix) */
#define XF_FINDING_LIST(X)                                                                         \
  X(REPEATS, "repeats", "repeated (user, item) pairs",                                             \
    "only the earliest of each counts; remove the others if they are mistakes")                    \
  X(FEW_USERS, "few_users", "users of a domain below --min",                                       \
    "all their events are train, none is held out; lower --min to test on them")                   \
  X(LOW_VALUE, "low_value", "events below the least value",                                        \
    "they are left out; lower --min-value to keep them")                                           \
  X(OTHER_DOMAIN, "other_domain", "events of other domains",                                       \
    "they are left out; omit --domain to keep them")                                               \
  X(NEAR_USERS, "near_users", "user keys that differ from another only by case or spaces around",  \
    "they count as two people; write the key of a person in one way")                              \
  X(NEAR_ITEMS, "near_items", "item keys that differ from another only by case or spaces around",  \
    "they count as two items; write the key of an item in one way")                                \
  X(NEAR_DOMAINS, "near_domains",                                                                  \
    "domain names that differ from another only by case or spaces around",                         \
    "they count as two domains; write the name in one way")                                        \
  X(FUTURE, "future", "events later than now",                                                     \
    "they are the last of their users and so held out; times are seconds since 1970: divide "      \
    "milliseconds by 1000")                                                                        \
  X(SHARED_ITEMS, "shared_items", "item keys that occur in several domains",                       \
    "each domain has its own item of that key; prefix keys with the domain if they are other "     \
    "products")                                                                                    \
  X(SHARED_PAIRS, "shared_pairs", "(user, item) pairs that occur in several domains",              \
    "a held-out event may be a train event elsewhere; keep each in one domain, and see --leaks")   \
  X(EMPTY_DOMAINS, "empty_domains", "domains with no event left",                                  \
    "they do not exist for training; lower --min-value or remove them")                            \
  X(ONE_USER, "one_user_domains", "domains with one user",                                         \
    "nothing can be learned between users there, and what leaves is one person's; merge or leave " \
    "out the domain")                                                                              \
  X(NO_TEST, "untested_domains", "domains in which no user reaches --min",                         \
    "nothing is held out there: no measure, no guard; lower --min or gather more events")

enum xf_finding_kind {
#define XF_FINDING_ENUM(n, k, w, f) XF_FINDING_##n,
  XF_FINDING_LIST(XF_FINDING_ENUM)
#undef XF_FINDING_ENUM
      XF_N_FINDING
};

enum { XF_FINDING_EXAMPLE = 160 };
struct xf_finding {
  uint64_t count;
  uint64_t line;                    /* of the first example; 0: unknown */
  char example[XF_FINDING_EXAMPLE]; /* what is there */
};

struct xf_findings_spec {
  uint32_t min;       /* as xf_split_spec; 0: 5 */
  bool has_min_value; /* events below min_value are judged as left out */
  double min_value;
  double now; /* seconds since 1970 */
};

struct xf_findings {
  struct xf_finding of[XF_N_FINDING];
};

/* Looks. The events must have been loaded with keep_lines for lines to be known, and without min_value.
   @own out: no pointers @err E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_findings_check(struct xf_findings *out,
                                            const struct xf_interactions *inter,
                                            const struct xf_findings_spec *spec,
                                            struct xf_diag *diag);
/* JSON key, what is counted, what happens and the fix. @own static */
const char *xf_finding_name(enum xf_finding_kind kind);
const char *xf_finding_text(enum xf_finding_kind kind);
const char *xf_finding_fix(enum xf_finding_kind kind);

#endif
