#include "client/io/config.h"

#include "base/str.h"

#include <string.h>

static const struct xf_conf_name levels[] = {
#define LEVEL_NAME(n, t) {t, XF_LOG_##n, false},
    XF_LOG_LEVELS(LEVEL_NAME)
#undef LEVEL_NAME
        {NULL, 0, false}};
static const struct xf_conf_name formats[] = {{"auto", XF_LOG_AUTO, false},
                                              {"logfmt", XF_LOG_LOGFMT, false},
                                              {"json", XF_LOG_JSON, false},
                                              {NULL, 0, false}};

static const struct xf_conf_name units[] = {
#define UNIT_NAME(n, t) {t, n, false},
    XF_PLAN_UNIT_LIST(UNIT_NAME)
#undef UNIT_NAME
        {NULL, 0, false}};

#define AT(field) XF_CONF_AT(struct xf_client_config, field)
#define COUNT(field, text)                                                      \
  {                                                                             \
    AT(field), .type = XF_CONF_UINT, .def = "0", .min = 0, .max = 4294967295.0, \
               .reload = XF_CONF_RESTART, .help = text                          \
  }
#define NUMBER(field, text)                                              \
  {                                                                      \
    AT(field), .type = XF_CONF_DOUBLE, .def = "0", .min = 0, .max = 1e9, \
               .reload = XF_CONF_RESTART, .help = text                   \
  }
#define FILE_AT(field, need, text) \
  { AT(field), .type = XF_CONF_PATH, .required = need, .reload = XF_CONF_RESTART, .help = text }
#define SWITCH(field, value, text) \
  { AT(field), .type = XF_CONF_BOOL, .def = value, .reload = XF_CONF_RESTART, .help = text }

static const struct xf_conf_key keys[] = {
    {AT(federation), .type = XF_CONF_STRING, .id = true, .required = true,
     .reload = XF_CONF_RESTART, .help = "name of the federation, as in this silo's certificate"},
    {AT(member), .type = XF_CONF_STRING, .id = true, .required = true, .reload = XF_CONF_RESTART,
     .help = "name of this silo, as in its certificate"},
    {AT(coordinator), .type = XF_CONF_STRING, .required = true, .reload = XF_CONF_RESTART,
     .help = "host:port of the coordinator; the host alone with coordinator_port_file"},
    FILE_AT(coordinator_port_file, false, "file that holds the port, read before each attempt"),
    FILE_AT(state_dir, true, "directory of this silo's state, on a local disk"),
    FILE_AT(tls.cert, true, "own certificate (PEM)"),
    FILE_AT(tls.key, true, "its key (PEM), not readable by others"),
    FILE_AT(tls.ca, true, "certificates of the federation's CA (PEM)"),
    FILE_AT(tls.crl, false, "its revocation list (PEM); read again when it changes"),
    FILE_AT(data.path, true, "the private data: interactions or a table, as the plan says"),
    COUNT(data.columns.user, "column of the user, from 1; 0: by name (.inter files)"),
    COUNT(data.columns.item, "column of the item"),
    COUNT(data.columns.domain, "column of the domain"),
    COUNT(data.columns.value, "column of the rating"),
    COUNT(data.columns.time, "column of the time"),
    {AT(data.only_domain), .type = XF_CONF_STRING, .reload = XF_CONF_RESTART,
     .help = "keep only rows of this domain"},
    FILE_AT(
        data.split, false,
        "tables: file of a predefined split; answers: \"VALIDATION,TEST\", path the train part"),
    {AT(data.center), .type = XF_CONF_STRING, .reload = XF_CONF_RESTART,
     .help = "tables: the lines of the split file that count for this silo"},
    FILE_AT(data.align_key, false,
            "file with the 64 hex digits that all silos share and the coordinator never sees; "
            "not readable by others"),
    FILE_AT(data.kg.triples, false,
            "knowledge graph beside the items, lines of head, relation, tail: a recommender's "
            "silo decides with it"),
    FILE_AT(data.kg.items, false,
            "which entity each item is, lines of item, entity; none: the entity of the item's key"),
    FILE_AT(data.kg.relations, false, "relations there may be, one a line; none: any"),
    COUNT(policy.max_rounds, "updates released in one run; 0: no limit"),
    COUNT(policy.max_epochs, "local epochs a round; 0: no limit"),
    COUNT(policy.max_steps, "local steps a round; 0: no limit"),
    COUNT(policy.min_cohort, "members a round must select, as the coordinator claims"),
    COUNT(policy.max_weight, "largest weight this silo claims; 0: no limit"),
    NUMBER(policy.clip, "largest L2 norm of an update; 0: the plan's"),
    NUMBER(policy.noise_multiplier, "least noise, in clips; 0: the plan's"),
    NUMBER(policy.max_epsilon, "largest epsilon (replace-one) ever spent; 0: no limit"),
    {AT(policy.unit), .type = XF_CONF_ENUM, .names = units, .def = "silo",
     .reload = XF_CONF_RESTART,
     .help = "weakest privacy.unit of a training that clip, noise_multiplier and max_epsilon may "
             "be about"},
    SWITCH(policy.allow_aligned, "false", "rows keyed by pseudonyms may leave"),
    SWITCH(policy.export_metrics, "false",
           "sample counts, losses and evaluation sums may leave although noise is on"),
    {XF_CONF_LIST_AT(struct xf_client_config, policy.models, policy.n_models),
     .type = XF_CONF_STRING, .reload = XF_CONF_RESTART,
     .help = "allowed kinds of model; none: all"},
    {AT(backoff.min_s), .type = XF_CONF_DURATION, .def = "0.5", .min = 0.01, .max = 3600,
     .unit = "s", .reload = XF_CONF_RESTART, .help = "first pause between attempts to connect"},
    {AT(backoff.max_s), .type = XF_CONF_DURATION, .def = "60", .min = 0.01, .max = 86400,
     .unit = "s", .reload = XF_CONF_RESTART, .help = "longest pause"},
    FILE_AT(
        serve.categories, false,
        "categories of the items, lines of item, tab, categories separated by '|': what items are "
        "like, else by the model; plans may sum over them"),
    {AT(serve.http.listen), .type = XF_CONF_STRING, .reload = XF_CONF_RESTART,
     .help = "answer HTTP on this address, numbers and port (127.0.0.1:8080); none: not on TCP"},
    FILE_AT(serve.http.socket, false, "answer HTTP on a UNIX socket of this path"),
    SWITCH(serve.http.socket_group, "false",
           "the socket's group may connect too (0660, else 0600)"),
    FILE_AT(serve.http.token_file, false,
            "one line that clients send as bearer token, not readable by others; needed for "
            "addresses beyond this machine"),
    {AT(serve.http.threads), .type = XF_CONF_UINT, .def = "1", .min = 1, .max = 64,
     .reload = XF_CONF_RESTART, .help = "threads that answer, for the address and for the socket"},
    {AT(serve.http.max_connections), .type = XF_CONF_UINT, .def = "256", .min = 1, .max = 65536,
     .reload = XF_CONF_RESTART, .help = "open connections; further ones are closed"},
    {AT(serve.http.per_address), .type = XF_CONF_UINT, .def = "64", .min = 1, .max = 65536,
     .reload = XF_CONF_RESTART, .help = "of these, from one IP address"},
    {AT(serve.http.timeout_s), .type = XF_CONF_DURATION, .def = "30", .min = 1, .max = 3600,
     .unit = "s", .reload = XF_CONF_RESTART,
     .help = "longest wait for a whole request, from the connection's start or the last answer"},
    SWITCH(serve.http.log, "false", "a log line for each answer; never who or what was asked"),
    {AT(log.level), .type = XF_CONF_ENUM, .names = levels, .def = "info", .reload = XF_CONF_LIVE,
     .help = "least level that is written"},
    {AT(log.format), .type = XF_CONF_ENUM, .names = formats, .def = "auto", .reload = XF_CONF_LIVE,
     .help = "of each line; auto: logfmt on a terminal, else JSON"},
    SWITCH(exit_when_done, "false", "exit once the final model is stored"),
};
static const struct xf_conf_schema schema = {keys, sizeof keys / sizeof keys[0],
                                             sizeof(struct xf_client_config)};

const struct xf_conf_schema *xf_client_config_schema(void) { return &schema; }

enum xf_rc xf_client_config_address(char host[256], uint16_t *port,
                                    const struct xf_client_config *config, struct xf_diag *diag) {
  const char *s = config->coordinator, *end = s + strlen(s), *digits = NULL;
  *port = 0;
  if (s[0] == '[') {
    const char *close = strchr(s, ']');
    if (!close || (close[1] && close[1] != ':'))
      return xf_diag_set(diag, XF_E_CONFIG,
                         "coordinator: \"%s\" is no address; write [ADDRESS]:PORT", s);
    if (close[1]) digits = close + 2;
    s++;
    end = close;
  } else {
    const char *colon = strrchr(s, ':');
    if (colon && strchr(s, ':') != colon)
      return xf_diag_set(diag, XF_E_CONFIG,
                         "coordinator: \"%s\" has several colons; write [ADDRESS]:PORT", s);
    if (colon) {
      digits = colon + 1;
      end = colon;
    }
  }
  uint64_t n = 0;
  if (end == s) return xf_diag_set(diag, XF_E_CONFIG, "coordinator: there is no host");
  if (digits && (xf_str_u64(&n, digits, strlen(digits)) || n > UINT16_MAX))
    return xf_diag_set(diag, XF_E_CONFIG, "coordinator: \"%s\" is no port, 1 to 65535", digits);
  memcpy(host, s, (size_t)(end - s)); /* shorter than coordinator, which has 256 */
  host[end - s] = '\0';
  *port = (uint16_t)n;
  return XF_OK;
}

enum xf_rc xf_client_config_check(const struct xf_client_config *config, struct xf_diag *diag) {
  static const char *const models[] = {
#define MODEL_NAME(n, t) t,
      XF_PLAN_MODEL_LIST(MODEL_NAME)
#undef MODEL_NAME
  };
  const size_t n_models = sizeof models / sizeof models[0];
  char host[256];
  uint16_t port = 0;
  enum xf_rc rc = xf_client_config_address(host, &port, config, diag);
  if (rc) return rc;
  if (!port && !config->coordinator_port_file[0])
    return xf_diag_set(diag, XF_E_CONFIG,
                       "coordinator: \"%s\" has no port, and there is no coordinator_port_file",
                       config->coordinator);
  if (config->backoff.max_s < config->backoff.min_s)
    return xf_diag_set(diag, XF_E_CONFIG, "backoff.max_s %g is below backoff.min_s %g",
                       config->backoff.max_s, config->backoff.min_s);
  if (!config->data.kg.triples[0] && (config->data.kg.items[0] || config->data.kg.relations[0]))
    return xf_diag_set(diag, XF_E_CONFIG, "data.kg.triples: data.kg.%s is of no use without it",
                       config->data.kg.items[0] ? "items" : "relations");
  for (uint32_t i = 0; i < config->policy.n_models; i++) {
    size_t k = 0;
    while (k < n_models && strcmp(models[k], config->policy.models[i]) != 0) k++;
    if (k < n_models) continue;
    const char *hint = xf_str_closest(config->policy.models[i], models, n_models);
    return xf_diag_set(diag, XF_E_CONFIG, "policy.models: there is no model \"%s\"%s%s%s",
                       config->policy.models[i], hint ? "; did you mean \"" : "", hint ? hint : "",
                       hint ? "\"?" : "");
  }
  return XF_OK;
}

enum xf_rc xf_client_config_load(struct xf_client_config *out,
                                 const struct xf_client_source *source, struct xf_conf **conf,
                                 struct xf_diag *diag) {
  struct xf_conf *reader = xf_conf_new(&schema);
  const struct xf_conf_source from = {.path = source->path,
                                      .with_dir = true,
                                      .with_env = source->env != NULL,
                                      .env = source->env,
                                      .sets = source->sets,
                                      .n_sets = source->n_sets};
  enum xf_rc rc = xf_conf_read(reader, out, &from, diag);
  if (!rc) {
    rc = xf_client_config_check(out, diag);
    if (rc) (void)xf_diag_prefix(diag, rc, "%s", source->path);
  }
  if (conf) *conf = reader;
  else xf_conf_free(reader);
  return rc;
}
