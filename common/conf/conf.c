/* The layers of a config: each source is checked against the table and laid over what is below it. */
#include "conf/conf.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/fs.h"
#include "base/str.h"
#include "conf/layer.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_MAX = 64 * 1024 * 1024, ERRORS_BYTES = 64 * 1024, DIR_FILES_MAX = 256 };

struct xf_conf *xf_conf_new(const struct xf_conf_schema *schema) {
  struct xf_conf *conf = xf_calloc(1, sizeof *conf);
  conf->schema = schema;
  xf_arena_init(&conf->arena, ARENA_MAX);
  xf_buf_init(&conf->errors.text, ERRORS_BYTES);
  return conf;
}

void xf_conf_free(struct xf_conf *conf) {
  if (!conf) return;
  xf_arena_deinit(&conf->arena);
  xf_buf_deinit(&conf->errors.text);
  xf_free(conf);
}

const char *xf_conf_errors(struct xf_conf *conf) { return xf_buf_cstr(&conf->errors.text); }

static enum xf_rc layer_text(struct xf_conf *conf, const char *name, const char *text, size_t len) {
  struct xf_conf_origin from = {.from = XF_CONF_FROM_FILE};
  from.name = xf_arena_strdup(&conf->arena, name);
  if (!from.name) return XF_E_NOMEM;
  if (!conf->root.at.name) conf->root.at = from;
  if (len > XF_CONF_FILE_MAX) {
    xf_conf_error(&conf->errors, &from, "%zu bytes; a configuration has at most %d", len,
                  XF_CONF_FILE_MAX);
    return XF_E_CONFIG;
  }
  struct xf_conf_node *root = NULL;
  enum xf_rc rc = xf_conf_tree(&root, &conf->arena, &conf->errors, &from, text, len);
  return rc || !root ? rc : xf_conf_layer_tree(conf, root);
}

static enum xf_rc layer_file(struct xf_conf *conf, const char *path) {
  struct xf_buf buf;
  struct xf_diag diag;
  xf_diag_init(&diag);
  xf_buf_init(&buf, XF_CONF_FILE_MAX);
  enum xf_rc rc = xf_fs_read_file(xf_fs_posix(), path, &buf, &diag);
  if (rc == XF_E_LIMIT)
    xf_conf_error(&conf->errors, NULL, "%s: larger than %d bytes", path, XF_CONF_FILE_MAX);
  else if (rc) xf_conf_error(&conf->errors, NULL, "%s", xf_diag_text(&diag, rc));
  if (!rc) rc = layer_text(conf, path, (const char *)buf.p, buf.len);
  xf_buf_deinit(&buf);
  return rc;
}

struct dir_walk {
  struct xf_conf *conf;
  const char *dir;
  size_t n;
  enum xf_rc rc;
};

static enum xf_rc on_dir_entry(void *arg, const char *name) {
  struct dir_walk *w = arg;
  size_t len = strlen(name);
  if (name[0] == '.' || len < 6 || strcmp(name + len - 5, ".yaml") != 0) return XF_OK;
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_fs_join(path, w->dir, name);
  if (!rc && ++w->n > DIR_FILES_MAX) rc = XF_E_LIMIT;
  if (rc) {
    xf_conf_error(&w->conf->errors, NULL, "%s/%s: %s", w->dir, name, xf_rc_text(rc));
    return rc;
  }
  rc = layer_file(w->conf, path);
  if (rc && !w->rc) w->rc = rc;
  return XF_OK; /* the next file may have errors worth showing, too */
}

/* conf.d beside the main file; its absence is fine. */
static enum xf_rc layer_dir(struct xf_conf *conf, const char *path) {
  char dir[XF_PATH_MAX], sub[XF_PATH_MAX];
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) : 0;
  if (n >= sizeof dir) return XF_E_LIMIT;
  memcpy(dir, path, n);
  dir[n] = '\0';
  enum xf_rc rc = xf_fs_join(sub, slash ? (n ? dir : "/") : ".", "conf.d");
  if (rc) return rc;
  struct dir_walk w = {.conf = conf, .dir = sub + (slash ? 0 : 2)};
  rc = xf_fs_posix()->list(xf_fs_posix(), sub, on_dir_entry, &w);
  if (rc == XF_E_NOTFOUND) return XF_OK;
  if (rc && conf->errors.n == 0)
    xf_conf_error(&conf->errors, NULL, "%s: %s", w.dir, xf_rc_text(rc));
  return rc ? rc : w.rc;
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* CROSSFED__FED__ROUNDS -> fed.rounds; CROSSFED__MEMBERS__0__ID -> members[0].id */
static enum xf_rc env_path(char out[XF_CONF_PATH_TEXT], const char *name, size_t len) {
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    if (n + 4 >= XF_CONF_PATH_TEXT) return XF_E_LIMIT;
    bool starts = i + 2 < len && name[i] == '_' && name[i + 1] == '_';
    size_t digits = starts ? strspn(name + i + 2, "0123456789") : 0;
    if (starts && digits && (i + 2 + digits == len || name[i + 2 + digits] == '_')) {
      if (n + digits + 3 >= XF_CONF_PATH_TEXT) return XF_E_LIMIT;
      out[n++] = '[';
      memcpy(out + n, name + i + 2, digits);
      n += digits;
      out[n++] = ']';
      i += 1 + digits;
    } else if (starts) {
      out[n++] = '.';
      i++;
    } else {
      char c = name[i];
      out[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
  }
  out[n] = '\0';
  return XF_OK;
}

static enum xf_rc layer_env(struct xf_conf *conf, const char *const *env) {
  static const char prefix[] = "CROSSFED__";
  size_t n = 0, n_env = 0;
  while (env[n_env]) n_env++;
  const char **mine = xf_calloc(n_env, sizeof *mine);
  for (size_t i = 0; i < n_env; i++)
    if (strncmp(env[i], prefix, sizeof prefix - 1) == 0 && strchr(env[i], '=')) mine[n++] = env[i];
  qsort(mine, n, sizeof *mine, by_text);
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < n; i++) {
    const char *eq = strchr(mine[i], '=');
    size_t len = (size_t)(eq - mine[i]);
    char path[XF_CONF_PATH_TEXT];
    char *name = xf_arena_alloc(&conf->arena, len + 1);
    if (!name || env_path(path, mine[i] + sizeof prefix - 1, len - (sizeof prefix - 1))) {
      xf_conf_error(&conf->errors, NULL, "environment %.40s...: name too long", mine[i]);
      rc = XF_E_CONFIG;
      continue;
    }
    memcpy(name, mine[i], len);
    name[len] = '\0';
    struct xf_conf_origin at = {.from = XF_CONF_FROM_ENV, .name = name};
    enum xf_rc one = xf_conf_layer_value(conf, path, eq + 1, &at);
    if (one) rc = one;
  }
  xf_free(mine);
  return rc;
}

static enum xf_rc layer_set(struct xf_conf *conf, const char *set) {
  const char *eq = strchr(set, '=');
  char path[XF_CONF_PATH_TEXT];
  if (!eq || eq == set || (size_t)(eq - set) >= sizeof path) {
    xf_conf_error(&conf->errors, NULL, "--set %.80s: write it as section.key=value", set);
    return XF_E_CONFIG;
  }
  memcpy(path, set, (size_t)(eq - set));
  path[eq - set] = '\0';
  struct xf_conf_origin at = {.from = XF_CONF_FROM_SET};
  at.name = xf_arena_strdup(&conf->arena, path);
  return at.name ? xf_conf_layer_value(conf, path, eq + 1, &at) : XF_E_NOMEM;
}

/* First error line into diag. */
static enum xf_rc report(struct xf_conf *conf, enum xf_rc rc, struct xf_diag *diag) {
  const char *all = xf_conf_errors(conf);
  size_t len = strcspn(all, "\n");
  if (len == 0) return xf_diag_set(diag, rc, "%s", xf_rc_text(rc));
  if (conf->errors.n < 2) return xf_diag_set(diag, rc, "%.*s", (int)len, all);
  return xf_diag_set(diag, rc, "%.*s (and %zu more)", (int)(len > 600 ? 600 : len), all,
                     conf->errors.n - 1);
}

enum xf_rc xf_conf_read(struct xf_conf *conf, void *target, const struct xf_conf_source *source,
                        struct xf_diag *diag) {
  XF_ASSERT(!conf->root.slot); /* one read per xf_conf */
  static const char *const no_env[] = {NULL};
  conf->env = source->env ? source->env : no_env;
  memset(target, 0, conf->schema->size);
  enum xf_rc rc = xf_conf_slots_init(conf, &conf->root, conf->schema);
  enum xf_rc first = rc;
  if (!first && source->path) first = layer_file(conf, source->path);
  if (!first && source->text)
    first = layer_text(conf, source->name ? source->name : "text", source->text, source->text_len);
  if (first == XF_E_NOTFOUND) return report(conf, first, diag);
  if (source->path && source->with_dir && (rc = layer_dir(conf, source->path)) && !first)
    first = rc;
  if (source->with_env && (rc = layer_env(conf, conf->env)) && !first) first = rc;
  for (size_t i = 0; i < source->n_sets; i++)
    if ((rc = layer_set(conf, source->sets[i])) && !first) first = rc;
  /* Missing keys are worth telling only when everything that was given is right. */
  if (!first) first = xf_conf_slots_take(conf, target);
  if (!first && conf->errors.n) first = XF_E_CONFIG;
  return first ? report(conf, first, diag) : XF_OK;
}
