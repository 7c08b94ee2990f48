/* crossfed data: looks at data sets before a federation does, splits them, makes synthetic ones. */
#include "tools/data.h"

#include "base/str.h"
#include "crypto/stream.h"
#include "tools/tools.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: crossfed data check FILE [--columns MAP] [--domain D]     reads every line, says what "
    "it found\n"
    "                     [--min N] [--min-value V]                   and what is odd about it, "
    "with "
    "line and fix\n"
    "       crossfed data check FILE --leaks A B [--columns MAP] [--min N]\n"
    "       crossfed data check --leaks FILE FILE [--held FILE FILE] [--columns MAP]\n"
    "                                                                  twin items of two domains "
    "(of FILE, or in\n"
    "                                                                  files of their own), and "
    "held-out events\n"
    "                                                                  that leak through them; "
    "status 3: some do\n"
    "       crossfed data check FILE --table [--label N] [--binary] [--drop-missing] [--drop "
    "N,N...]\n"
    "                     [--one-hot N:V,V...]...                     the same for a table of "
    "numbers\n"
    "       crossfed data stats FILE [--columns MAP] [--min N]         figures per domain, and who "
    "is shared\n"
    "       crossfed data split FILE --out DIR [--columns MAP] [--domain D] [--min N]\n"
    "                     [--random --valid F --test F --seed N]       writes train.tsv, "
    "valid.tsv, test.tsv\n"
    "       crossfed data synth --out DIR [--domains N] [--users N] [--items N] [--shared P] "
    "[--events N]\n"
    "                     [--gap G] [--dim N] [--strength S] [--popularity A] [--seed N]\n"
    "                                                                  writes all.tsv and one file "
    "per domain\n"
    "\n"
    "  --columns MAP   user=1,item=2,domain=3,value=4,time=5 is the default: what `synth` writes; "
    "a .inter file\n"
    "                  names its own. Columns that are not listed do not exist.\n"
    "  --min N         events a user needs to give one to test and one to validation (default 5)\n"
    "  --shared P      probability that a person is in each further domain (default .8)\n"
    "  --gap G         0: a person has the same taste in every domain; large: nothing carries over "
    "(default .3)\n"
    "  --json          facts as one JSON object\n";

/* Options with a value, and where it goes. */
enum value_kind { TEXT, WHOLE, WHOLE64, REAL };
struct option {
  const char *name;
  enum value_kind kind;
  void *to;
};

static enum xf_rc set_value(const struct option *o, const char *text, struct xf_diag *diag) {
  uint64_t n = 0;
  switch (o->kind) {
  case TEXT: *(const char **)o->to = text; return XF_OK;
  case REAL:
    if (xf_str_double(o->to, text, strlen(text)))
      return xf_diag_set(diag, XF_E_INVAL, "%s %s: not a number", o->name, text);
    return XF_OK;
  default:
    if (xf_str_u64(&n, text, strlen(text)) || (o->kind == WHOLE && n > UINT32_MAX))
      return xf_diag_set(diag, XF_E_INVAL, "%s %s: not a whole number", o->name, text);
    if (o->kind == WHOLE) *(uint32_t *)o->to = (uint32_t)n;
    else *(uint64_t *)o->to = n;
    return XF_OK;
  }
}

/* "user=1,item=2" into the spec, whose columns start at 0. */
static enum xf_rc parse_columns(struct xf_interactions_spec *spec, const char *text,
                                struct xf_diag *diag) {
  const struct {
    const char *name;
    uint32_t *to;
  } column[] = {{"user", &spec->user},   {"item", &spec->item}, {"domain", &spec->domain},
                {"value", &spec->value}, {"time", &spec->time}, {"client", &spec->client}};
  *spec = (struct xf_interactions_spec){.only_domain = spec->only_domain};
  for (const char *at = text; *at;) {
    const size_t len = strcspn(at, ",");
    const char *equal = memchr(at, '=', len);
    uint64_t n = 0;
    size_t c = 0;
    const size_t name_len = equal ? (size_t)(equal - at) : len;
    while (c < sizeof column / sizeof *column &&
           (strlen(column[c].name) != name_len || memcmp(column[c].name, at, name_len)))
      c++;
    if (!equal || c == sizeof column / sizeof *column ||
        xf_str_u64(&n, equal + 1, len - name_len - 1) || n < 1 || n > XF_TABLE_COLUMNS)
      return xf_diag_set(
          diag, XF_E_INVAL,
          "--columns %s: expected NAME=NUMBER with user, item, domain, value, time or "
          "client, found \"%.*s\"",
          text, (int)len, at);
    *column[c].to = (uint32_t)n;
    at += len + (at[len] == ',');
  }
  return XF_OK;
}

static enum xf_rc parse_drop(struct xf_data_request *r, const char *text, struct xf_diag *diag) {
  for (const char *at = text; *at;) {
    const size_t len = strcspn(at, ",");
    uint64_t n = 0;
    if (xf_str_u64(&n, at, len) || n < 1 || n > XF_TABLE_COLUMNS || r->n_drop == XF_DATA_DROP_MAX)
      return xf_diag_set(diag, XF_E_INVAL, "--drop %s: expected up to %d column numbers", text,
                         XF_DATA_DROP_MAX);
    r->drop[r->n_drop++] = (uint32_t)n;
    at += len + (at[len] == ',');
  }
  return XF_OK;
}

static enum xf_rc parse_one_hot(struct xf_data_request *r, const char *text, struct xf_diag *diag) {
  struct xf_plan_one_hot hot;
  if (r->n_one_hot == XF_DATA_ONE_HOT_MAX)
    return xf_diag_set(diag, XF_E_LIMIT, "--one-hot: at most %d columns", XF_DATA_ONE_HOT_MAX);
  const enum xf_rc rc = xf_plan_one_hot_parse(&hot, text, diag);
  if (rc) return xf_diag_prefix(diag, rc, "--one-hot %s", text);
  struct xf_table_one_hot *to = &r->one_hot[r->n_one_hot++];
  *to = (struct xf_table_one_hot){.column = hot.column, .n = hot.n};
  for (uint32_t i = 0; i < hot.n && i < XF_TABLE_ONE_HOT_MAX; i++) to->value[i] = hot.value[i];
  return XF_OK;
}

static bool parse_flag(struct xf_data_request *r, const char *arg) {
  const struct {
    const char *name;
    bool *to;
  } flag[] = {{"--json", &r->json},     {"--help", &r->help},
              {"--table", &r->table},   {"--binary", &r->table_spec.binary},
              {"--random", &r->random}, {"--drop-missing", &r->table_spec.drop_missing}};
  for (size_t i = 0; i < sizeof flag / sizeof *flag; i++)
    if (strcmp(arg, flag[i].name) == 0) return *flag[i].to = true;
  return false;
}

/* Where the two values of an option go, or NULL. */
static const char **two_values(struct xf_data_request *r, const char *arg) {
  if (strcmp(arg, "--leaks") == 0) return r->leaks;
  return strcmp(arg, "--held") == 0 ? r->held : NULL;
}

static enum xf_rc parse(struct xf_data_request *r, int argc, char **argv, struct xf_diag *diag) {
  const char *columns = NULL, *drop = NULL, *hot = NULL;
  const struct option option[] = {{"--columns", TEXT, &columns},
                                  {"--domain", TEXT, &r->spec.only_domain},
                                  {"--out", TEXT, &r->out},
                                  {"--drop", TEXT, &drop},
                                  {"--one-hot", TEXT, &hot},
                                  {"--label", WHOLE, &r->table_spec.label},
                                  {"--min", WHOLE, &r->split.min},
                                  {"--min-value", REAL, &r->min_value},
                                  {"--valid", REAL, &r->split.valid_fraction},
                                  {"--test", REAL, &r->split.test_fraction},
                                  {"--seed", WHOLE64, &r->seed},
                                  {"--domains", WHOLE, &r->synth.n_domains},
                                  {"--users", WHOLE, &r->synth.n_users},
                                  {"--items", WHOLE, &r->synth.n_items},
                                  {"--shared", REAL, &r->synth.shared},
                                  {"--events", REAL, &r->synth.events},
                                  {"--gap", REAL, &r->synth.gap},
                                  {"--dim", WHOLE, &r->synth.dim},
                                  {"--strength", REAL, &r->synth.strength},
                                  {"--popularity", REAL, &r->synth.popularity}};
  enum { N_OPTION = sizeof option / sizeof *option };
  enum xf_rc rc = XF_OK;
  for (int i = 2; !rc && i < argc; i++) {
    if (parse_flag(r, argv[i])) continue;
    if (argv[i][0] != '-' && !r->file) {
      r->file = argv[i];
      continue;
    }
    const char **two = two_values(r, argv[i]);
    if (two) {
      if (i + 2 >= argc) return xf_diag_set(diag, XF_E_INVAL, "%s needs two values", argv[i]);
      two[0] = argv[++i];
      two[1] = argv[++i];
      continue;
    }
    int o = 0;
    while (o < N_OPTION && strcmp(argv[i], option[o].name) != 0) o++;
    if (o == N_OPTION)
      return xf_diag_set(diag, XF_E_INVAL, "\"%s\" is not understood here", argv[i]);
    if (i + 1 == argc) return xf_diag_set(diag, XF_E_INVAL, "%s needs a value", argv[i]);
    r->has_min_value = r->has_min_value || option[o].to == &r->min_value;
    rc = set_value(&option[o], argv[++i], diag);
    if (!rc && hot) rc = parse_one_hot(r, hot, diag);
    hot = NULL;
  }
  if (!rc && columns) rc = parse_columns(&r->spec, columns, diag);
  if (!rc && drop) rc = parse_drop(r, drop, diag);
  return rc;
}

/* Our own columns, unless the file is a RecBole one, which names its own. */
static struct xf_interactions_spec default_columns(const char *file, const char *only_domain) {
  struct xf_interactions_spec s = {.only_domain = only_domain};
  if (file && (strstr(file, ".inter") != NULL)) return s;
  s.user = 1;
  s.item = 2;
  s.domain = 3;
  s.value = 4;
  s.time = 5;
  return s;
}

static const struct {
  const char *name;
  enum xf_rc (*run)(const struct xf_data_request *r, struct xf_diag *diag);
  bool file, out; /* needs */
} verbs[] = {{"check", xf_data_check, true, false},
             {"stats", xf_data_stats, true, false},
             {"split", xf_data_split, true, true},
             {"synth", xf_data_synth, false, true}};
enum { N_VERB = sizeof verbs / sizeof *verbs };

static int wrong(const char *text) {
  (void)fprintf(stderr, "crossfed data: %s\n\n%s", text, usage);
  return XF_EXIT_USAGE;
}

int xf_tool_data(int argc, char **argv) {
  bool found = false;
  struct xf_data_request r = {.found = &found, .seed = 1, .synth = xf_synth_default()};
  struct xf_diag diag;
  int v = 0;
  xf_diag_init(&diag);
  if (argc < 2) return wrong("what is to be done?");
  while (v < N_VERB && strcmp(argv[1], verbs[v].name) != 0) v++;
  if (v == N_VERB && strcmp(argv[1], "--help") != 0) return wrong("there is no such verb");
  enum xf_rc rc = XF_OK;
  if (v < N_VERB) rc = parse(&r, argc, argv, &diag);
  if (rc) return wrong(xf_diag_text(&diag, rc));
  if (r.help || v == N_VERB) return fputs(usage, stdout) < 0 ? XF_EXIT_FAILED : XF_EXIT_OK;
  if (verbs[v].file && !r.file && !r.leaks[0]) return wrong("FILE is missing");
  if (r.leaks[0] && verbs[v].run != xf_data_check) return wrong("--leaks belongs to check");
  if (r.held[0] && (!r.leaks[0] || r.file)) return wrong("--held belongs to --leaks FILE FILE");
  if (verbs[v].out && !r.out) return wrong("--out DIR is missing");
  if (!r.spec.user && !r.spec.item)
    r.spec = default_columns(r.file ? r.file : r.leaks[0], r.spec.only_domain);
  rc = verbs[v].run(&r, &diag);
  if (!rc && fflush(stdout)) return XF_EXIT_FAILED;
  if (!rc) return found ? XF_EXIT_CONDITION : XF_EXIT_OK;
  (void)fprintf(stderr, "crossfed data %s: %s\n", verbs[v].name, xf_diag_text(&diag, rc));
  return xf_rc_exit(rc);
}
