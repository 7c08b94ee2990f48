/* A scratch directory and a CA in it, for the tests of pki. */
#ifndef XF_TEST_PKI_COMMON_H
#define XF_TEST_PKI_COMMON_H

#include "base/diag.h"
#include "base/fs.h"
#include "pki/ca.h"

/* The instant at which the tests issue and verify: 2026-06-01T00:00:00Z. */
#define NOW INT64_C(1780272000)
#define DAY INT64_C(86400)

/* When ca_make and leaf_make issue: NOW, unless a test says otherwise before. */
extern int64_t issue_now;

/* A fresh directory, removed by scratch_end; paths in it, valid until the 16th further call. */
void scratch_begin(void);
void scratch_end(void);
const char *scratch(const char *name);

/* A CA "alpha" in scratch(name), made at issue_now. */
void ca_make(const char *name, enum xf_pki_key key);
/* Issues <member>.pem and <member>.key in the scratch directory; asserts success. */
struct xf_pki_issued leaf_make(const char *ca, enum xf_pki_role role, const char *member,
                               const struct xf_leaf_options *options);
/* Asserts XF_OK and prints the sentence otherwise. */
void assert_ok(enum xf_rc rc, const struct xf_diag *diag);
/* Asserts the code and that the sentence contains the text. */
void assert_says(enum xf_rc rc, enum xf_rc want, const struct xf_diag *diag, const char *text);

#endif
