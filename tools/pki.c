/* crossfed pki: the private CA of a federation, and the silo's side of enrolment. */
#include "tools/tools.h"

#include "base/diag.h"
#include "base/digest.h"
#include "base/str.h"
#include "base/time.h"
#include "crypto/init.h"
#include "pki/ca.h"
#include "pki/csr.h"
#include "pki/info.h"
#include "tools/pki_show.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* X(NAME, option, takes a value) */
#define OPTIONS(X)               \
  X(DIR, "dir", 1)               \
  X(FEDERATION, "federation", 1) \
  X(ROLE, "role", 1)             \
  X(MEMBER, "member", 1)         \
  X(HOST, "host", 1)             \
  X(DAYS, "days", 1)             \
  X(CRL_DAYS, "crl-days", 1)     \
  X(NOT_BEFORE, "not-before", 1) \
  X(NOT_AFTER, "not-after", 1)   \
  X(KEY_TYPE, "key-type", 1)     \
  X(CERT, "cert", 1)             \
  X(KEY, "key", 1)               \
  X(CSR, "csr", 1)               \
  X(SERIAL, "serial", 1)         \
  X(REASON, "reason", 1)         \
  X(REPLACE, "replace", 0)       \
  X(JSON, "json", 0)             \
  X(HELP, "help", 0)

enum {
#define OPTION_ENUM(n, text, value) OPT_##n,
  OPTIONS(OPTION_ENUM)
#undef OPTION_ENUM
      N_OPT
};
#define BIT(n) (1u << OPT_##n)

struct args {
  const char *text[N_OPT]; /* as given; NULL: not given; "" for those without a value */
  const char *file;        /* the one positional argument of show */
  enum xf_pki_role role;
  struct xf_leaf_options leaf;
  struct xf_ca_options ca;
  enum xf_pki_reason reason;
};

/* Prints "<word> <file>" lines about what was made. */
static void say_issued(const struct xf_pki_issued *got, const char *cert, const char *key) {
  char uri[XF_IDENTITY_CAP], end[XF_WALL_LEN];
  printf("%s\n  serial       %s\n  valid until  %s\n  certificate  %s\n",
         xf_identity_print(uri, &got->identity), got->serial,
         xf_tool_pki_time(end, got->not_after_s), cert);
  if (key) printf("  key          %s\n", key);
}

/* "<dir>/<name>". */
static const char *in_dir(char out[XF_DIAG_LEN], const char *dir, const char *name) {
  int n = snprintf(out, XF_DIAG_LEN, "%s/%s", dir, name);
  return n > 0 && n < XF_DIAG_LEN ? out : name;
}

/* A file option, or its default "<member><ending>" in the current directory. */
static const char *file_or(char out[80], const char *given, const char *member,
                           const char *ending) {
  if (given) return given;
  int n = snprintf(out, 80, "%.70s%s", member, ending);
  return n > 0 ? out : member;
}

static enum xf_rc do_ca(const struct args *a, struct xf_diag *diag) {
  const char *dir = a->text[OPT_DIR];
  char path[XF_DIAG_LEN], hex[XF_DIGEST_HEX];
  struct xf_pki_info info;
  struct xf_ca_options o = a->ca;
  o.days = a->leaf.days;
  o.key = a->leaf.key;
  enum xf_rc rc = xf_pki_ca_create(dir, a->text[OPT_FEDERATION], &o, diag);
  if (!rc) rc = xf_pki_show(&info, in_dir(path, dir, "ca.pem"), diag);
  if (rc) return rc;
  printf("CA of federation %s in %s\n"
         "  give to every member   ca.pem, crl.pem\n"
         "  keep here, offline     ca.key, index.txt\n"
         "  fingerprint of ca.pem  %s\n",
         a->text[OPT_FEDERATION], dir, xf_digest_print(hex, &info.fingerprint));
  return XF_OK;
}

static enum xf_rc do_issue(const struct args *a, struct xf_diag *diag) {
  char c[80], k[80];
  struct xf_pki_issued got;
  const char *member = a->text[OPT_MEMBER];
  const char *cert = file_or(c, a->text[OPT_CERT], member, ".pem");
  const char *key = file_or(k, a->text[OPT_KEY], member, ".key");
  enum xf_rc rc = xf_pki_issue(&got, a->text[OPT_DIR], a->role, member, cert, key, &a->leaf, diag);
  if (!rc) say_issued(&got, cert, key);
  return rc;
}

static enum xf_rc do_csr(const struct args *a, struct xf_diag *diag) {
  char c[80], k[80], uri[XF_IDENTITY_CAP];
  struct xf_identity id;
  const char *member = a->text[OPT_MEMBER];
  const char *csr = file_or(c, a->text[OPT_CSR], member, ".csr");
  const char *key = file_or(k, a->text[OPT_KEY], member, ".key");
  enum xf_rc rc = xf_identity_init(&id, a->text[OPT_FEDERATION], a->role, member, diag);
  if (!rc) rc = xf_pki_csr_create(&id, csr, key, &a->leaf, diag);
  if (!rc)
    printf("%s\n  request for the operator  %s\n  key, which stays here     %s\n",
           xf_identity_print(uri, &id), csr, key);
  return rc;
}

static enum xf_rc do_sign(const struct args *a, struct xf_diag *diag) {
  char c[80];
  struct xf_pki_issued got;
  const char *member = a->text[OPT_MEMBER];
  const char *cert = file_or(c, a->text[OPT_CERT], member, ".pem");
  enum xf_rc rc = xf_pki_sign_csr(&got, a->text[OPT_DIR], a->text[OPT_CSR], a->role, member, cert,
                                  &a->leaf, diag);
  if (!rc) say_issued(&got, cert, NULL);
  return rc;
}

static enum xf_rc do_show(const struct args *a, struct xf_diag *diag) {
  return xf_tool_pki_show(a->file, a->text[OPT_JSON] != NULL, xf_wall_now_s(), diag);
}

static enum xf_rc do_revoke(const struct args *a, struct xf_diag *diag) {
  char path[XF_DIAG_LEN];
  struct xf_pki_info info = {0};
  const char *serial = a->text[OPT_SERIAL];
  size_t n = 0;
  enum xf_rc rc = XF_OK;
  if (a->text[OPT_CERT]) {
    rc = xf_pki_show(&info, a->text[OPT_CERT], diag);
    if (!rc && info.kind != XF_PKI_KIND_CERT)
      rc = xf_diag_set(diag, XF_E_INVAL, "\"%s\" is a %s, not a member's certificate",
                       a->text[OPT_CERT], xf_pki_kind_name(info.kind));
    serial = info.serial;
  }
  if (!rc)
    rc = xf_pki_revoke(&n, a->text[OPT_DIR], a->text[OPT_MEMBER], serial, a->reason, &a->ca, diag);
  if (!rc)
    printf("%zu revoked; give every member the new %s\n", n,
           in_dir(path, a->text[OPT_DIR], "crl.pem"));
  return rc;
}

static enum xf_rc do_crl(const struct args *a, struct xf_diag *diag) {
  char path[XF_DIAG_LEN], due[XF_WALL_LEN];
  struct xf_pki_info info;
  enum xf_rc rc = xf_pki_crl_refresh(a->text[OPT_DIR], &a->ca, diag);
  if (!rc) rc = xf_pki_show(&info, in_dir(path, a->text[OPT_DIR], "crl.pem"), diag);
  if (!rc)
    printf("list %llu, due %s, %zu revoked; give every member the new %s\n",
           (unsigned long long)info.crl_number, xf_tool_pki_time(due, info.not_after_s),
           info.n_revoked, path);
  return rc;
}

static const struct verb {
  const char *name;
  unsigned need, may; /* options */
  unsigned one_of;    /* exactly one of these as well */
  enum xf_rc (*run)(const struct args *a, struct xf_diag *diag);
  const char *help;
} verbs[] = {
    {"ca", BIT(DIR) | BIT(FEDERATION), BIT(DAYS) | BIT(CRL_DAYS) | BIT(KEY_TYPE), 0, do_ca,
     "ca --dir DIR --federation NAME [--days N] [--crl-days N] [--key-type p256|ed25519]\n"
     "      Makes the CA: ca.pem and crl.pem for every member, ca.key for nobody else.\n"},
    {"issue", BIT(DIR) | BIT(ROLE) | BIT(MEMBER),
     BIT(CERT) | BIT(KEY) | BIT(HOST) | BIT(DAYS) | BIT(NOT_BEFORE) | BIT(NOT_AFTER) |
         BIT(KEY_TYPE) | BIT(REPLACE),
     0, do_issue,
     "issue --dir DIR --role coordinator|client|operator --member ID [--cert FILE] [--key FILE]\n"
     "      [--days N | --not-before T --not-after T] [--host NAME] [--key-type p256|ed25519] "
     "[--replace]\n"
     "      T is UTC: 2027-01-31T12:00:00Z. Makes key and certificate (ID.key, ID.pem), valid for "
     "30 days by default.\n"},
    {"csr", BIT(FEDERATION) | BIT(ROLE) | BIT(MEMBER),
     BIT(CSR) | BIT(KEY) | BIT(HOST) | BIT(KEY_TYPE) | BIT(REPLACE), 0, do_csr,
     "csr --federation NAME --role ROLE --member ID [--csr FILE] [--key FILE] [--host NAME]\n"
     "      [--key-type p256|ed25519] [--replace]\n"
     "      At the silo: makes the key, which never leaves, and a request (ID.csr) to sign.\n"},
    {"sign", BIT(DIR) | BIT(CSR) | BIT(ROLE) | BIT(MEMBER),
     BIT(CERT) | BIT(HOST) | BIT(DAYS) | BIT(REPLACE), 0, do_sign,
     "sign --dir DIR --csr FILE --role ROLE --member ID [--cert FILE] [--days N] [--host NAME]\n"
     "      [--replace]\n"
     "      Signs a request that names exactly this role and member.\n"},
    {"show", 0, BIT(JSON), 0, do_show,
     "show FILE|DIR [--json]\n"
     "      What a certificate, request or revocation list says; of a CA, all it has issued.\n"},
    {"revoke", BIT(DIR), BIT(REASON) | BIT(CRL_DAYS), BIT(MEMBER) | BIT(SERIAL) | BIT(CERT),
     do_revoke,
     "revoke --dir DIR --member ID|--serial HEX|--cert FILE [--crl-days N]\n"
     "      [--reason unspecified|key-compromise|superseded|cessation]\n"
     "      Revokes and writes a new crl.pem. Daemons reload it when the file changes.\n"},
    {"crl", BIT(DIR), BIT(CRL_DAYS), 0, do_crl,
     "crl --dir DIR [--crl-days N]\n"
     "      Writes crl.pem again with a later due date (30 days by default).\n"},
};
enum { N_VERBS = sizeof verbs / sizeof verbs[0] };

static void help(FILE *to, const struct verb *one) {
  fprintf(to, "usage:\n");
  for (size_t i = 0; i < N_VERBS; i++)
    if (!one || one == &verbs[i]) fprintf(to, "  crossfed pki %s", verbs[i].help);
}

static const char *option_name(int i) {
#define OPTION_NAME(n, text, value) text,
  static const char *const names[] = {OPTIONS(OPTION_NAME)};
#undef OPTION_NAME
  return names[i];
}

static enum xf_rc number(unsigned *out, const char *text, int opt, struct xf_diag *diag) {
  uint64_t v = 0;
  if (!text) return XF_OK;
  if (xf_str_u64(&v, text, strlen(text)) || v == 0 || v > 36525)
    return xf_diag_set(diag, XF_E_INVAL, "--%s %s: must be a whole number of days, 1 to 36525",
                       option_name(opt), text);
  *out = (unsigned)v;
  return XF_OK;
}

/* "2027-01-31T12:00:00Z" in seconds since 1970. */
static enum xf_rc instant(int64_t *out, const char *text, int opt, struct xf_diag *diag) {
  struct tm tm = {0};
  if (!text) return XF_OK;
  const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
  const int64_t s = end && !*end ? (int64_t)timegm(&tm) : 0;
  if (s <= 0)
    return xf_diag_set(diag, XF_E_INVAL, "--%s %s: must be a time like 2027-01-31T12:00:00Z",
                       option_name(opt), text);
  *out = s;
  return XF_OK;
}

/* Values as such; which options belong together is for `belongs`. */
static enum xf_rc values(struct args *a, struct xf_diag *diag) {
  enum xf_rc rc = number(&a->leaf.days, a->text[OPT_DAYS], OPT_DAYS, diag);
  if (!rc) rc = number(&a->ca.crl_days, a->text[OPT_CRL_DAYS], OPT_CRL_DAYS, diag);
  if (!rc) rc = instant(&a->leaf.not_before_s, a->text[OPT_NOT_BEFORE], OPT_NOT_BEFORE, diag);
  if (!rc) rc = instant(&a->leaf.not_after_s, a->text[OPT_NOT_AFTER], OPT_NOT_AFTER, diag);
  if (!rc && a->leaf.not_before_s && a->leaf.not_after_s &&
      a->leaf.not_before_s >= a->leaf.not_after_s)
    rc = xf_diag_set(diag, XF_E_INVAL, "--not-after lies before --not-before");
  if (!rc && a->text[OPT_ROLE]) rc = xf_pki_role_parse(&a->role, a->text[OPT_ROLE], diag);
  if (!rc && a->text[OPT_KEY_TYPE])
    rc = xf_pki_key_parse(&a->leaf.key, a->text[OPT_KEY_TYPE], diag);
  if (!rc && a->text[OPT_REASON]) rc = xf_pki_reason_parse(&a->reason, a->text[OPT_REASON], diag);
  a->leaf.host = a->text[OPT_HOST];
  a->leaf.replace = a->text[OPT_REPLACE] != NULL;
  return rc;
}

static enum xf_rc belongs(const struct args *a, const struct verb *verb, struct xf_diag *diag) {
  int n_one = 0;
  for (int i = 0; i < N_OPT; i++) {
    unsigned bit = 1u << i;
    bool given = a->text[i] != NULL;
    n_one += given && (verb->one_of & bit);
    if (!given && (verb->need & bit))
      return xf_diag_set(diag, XF_E_INVAL, "--%s is missing", option_name(i));
    if (given && !((verb->need | verb->may | verb->one_of) & bit))
      return xf_diag_set(diag, XF_E_INVAL, "--%s does not go with \"%s\"", option_name(i),
                         verb->name);
  }
  if (verb->one_of && n_one != 1)
    return xf_diag_set(diag, XF_E_INVAL, "give one of --member, --serial and --cert");
  if (verb->run == do_show && !a->file)
    return xf_diag_set(diag, XF_E_INVAL, "which file or CA directory?");
  if (verb->run != do_show && a->file)
    return xf_diag_set(diag, XF_E_INVAL, "unexpected argument \"%s\"", a->file);
  return XF_OK;
}

static enum xf_rc parse(struct args *a, int argc, char **argv, struct xf_diag *diag) {
#define OPTION_ROW(n, text, value) {text, (value), NULL, 0},
  static const struct option longs[] = {OPTIONS(OPTION_ROW){NULL, 0, NULL, 0}};
#undef OPTION_ROW
  int got, index = 0;
  *a = (struct args){0};
  optind = 0; /* GNU: start over */
  opterr = 0;
  while ((got = getopt_long(argc, argv, ":h", longs, &index)) != -1) {
    if (got == 'h') index = OPT_HELP;
    else if (got == ':') return xf_diag_set(diag, XF_E_INVAL, "%s needs a value", argv[optind - 1]);
    else if (got != 0)
      return xf_diag_set(diag, XF_E_INVAL, "unknown option \"%s\"", argv[optind - 1]);
    if (a->text[index])
      return xf_diag_set(diag, XF_E_INVAL, "--%s is given twice", option_name(index));
    a->text[index] = optarg ? optarg : "";
  }
  if (optind < argc) a->file = argv[optind++];
  if (optind < argc)
    return xf_diag_set(diag, XF_E_INVAL, "unexpected argument \"%s\"", argv[optind]);
  return values(a, diag);
}

static const struct verb *verb_find(const char *name) {
  for (size_t i = 0; i < N_VERBS; i++)
    if (!strcmp(name, verbs[i].name)) return &verbs[i];
  return NULL;
}

int xf_tool_pki(int argc, char **argv) {
  struct xf_diag diag;
  struct args a;
  const char *name = argc > 1 ? argv[1] : "";
  const struct verb *verb = verb_find(name);
  if (!verb) {
    bool asked = !strcmp(name, "--help") || !strcmp(name, "-h");
    if (*name && !asked) fprintf(stderr, "crossfed pki: unknown command \"%s\"\n", name);
    help(asked ? stdout : stderr, NULL);
    return asked ? XF_EXIT_OK : XF_EXIT_USAGE;
  }
  xf_diag_init(&diag);
  enum xf_rc rc = parse(&a, argc - 1, argv + 1, &diag);
  if (a.text[OPT_HELP]) {
    help(stdout, verb);
    return XF_EXIT_OK;
  }
  if (!rc) rc = belongs(&a, verb, &diag);
  if (rc) {
    fprintf(stderr, "crossfed pki %s: %s\n", verb->name, xf_diag_text(&diag, rc));
    help(stderr, verb);
    return XF_EXIT_USAGE;
  }
  rc = xf_crypto_start();
  if (!rc) rc = verb->run(&a, &diag);
  if (rc) fprintf(stderr, "crossfed pki %s: %s\n", verb->name, xf_diag_text(&diag, rc));
  return xf_rc_exit(rc);
}
