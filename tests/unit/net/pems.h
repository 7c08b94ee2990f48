/*
 * pems.h - for the tests of net: a federation's files in a temporary directory.
 * Owner: the test; thread: its own.
 */
#ifndef XF_TESTS_PEMS_H
#define XF_TESTS_PEMS_H

#include "net/tls.h"
#include "pki/ca.h"

enum { PEMS_PATH = 128 };

struct pems {
  char dir[PEMS_PATH]; /* <dir>/ca/ and <dir>/<name>.pem, <name>.key */
};

/* A CA of federation "lab", the coordinator "hub" and the client "alpha". */
void pems_init(struct pems *p);
void pems_deinit(struct pems *p);
/* <dir>/<name>; one of four buffers in turn. */
const char *pems_path(const struct pems *p, const char *name);
/* A further CA as <dir>/<name>/. */
void pems_ca(const struct pems *p, const char *name, const char *federation);
/* <dir>/<file>.pem and .key for a member, by the CA <dir>/<ca>/. */
void pems_issue(const struct pems *p, const char *ca, enum xf_pki_role role, const char *member,
                const char *file, const struct xf_leaf_options *options);
/* <dir>/<name>/ca.pem with what `parts` (below dir) hold together. */
void pems_join(const struct pems *p, const char *name, const char *const *parts, size_t n);
/* A context from <file>.pem and .key trusting <ca>/ca.pem, and <ca>/crl.pem when crl; at now_s. */
struct xf_tls_ctx *pems_ctx(const struct pems *p, enum xf_pki_role role, const char *file,
                            const char *ca, bool crl, int64_t now_s);

#endif
