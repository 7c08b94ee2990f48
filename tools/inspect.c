/* crossfed inspect: what a model file or a state directory holds. Everything becomes JSON first; text is drawn from that. */
#include "tools/inspect.h"

#include "base/fs.h"
#include "store/state.h"
#include "tools/admin_text.h"
#include "tools/json_out.h"
#include "tools/ledger_out.h"
#include "tools/tools.h"
#include "json/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { JSON_MAX = 256 << 20 };

static const char usage[] =
    "usage: crossfed inspect FILE|DIR [--json]\n"
    "\n"
    "FILE: a safetensors file: metadata, tensors with shape and norm; a checkpoint's digests are "
    "recomputed.\n"
    "DIR: a coordinator's state directory: run, silos, rounds with their updates;\n"
    "     a silo's: the updates that wait and went, and its odometer; a run directory: its model.\n"
    "Reads only, also beside a running daemon. Exit status 7: the file or the state is damaged.\n"
    "  --json   one JSON object\n";

/* --- a coordinator ------------------------------------------------------------------------------------------------ */

struct updates {
  struct xf_jsonw *w;
  struct xf_ledger *l;
  struct xf_diag *diag;
};

static enum xf_rc on_update(void *arg, const struct xf_ledger_stored *s) {
  struct xf_jsonw *w = ((struct updates *)arg)->w;
  const struct xf_ledger_update *u = &s->u;
  xf_jsonw_object(w);
  xf_jsonw_kuint(w, "round", u->round);
  xf_jsonw_kstr(w, "client", u->member);
  xf_jsonw_kdigest(w, "update_digest", &u->update);
  xf_jsonw_kuint(w, "weight", s->frozen ? s->weight : u->weight);
  xf_jsonw_kbool(w, "counted", s->frozen);
  xf_jsonw_kuint(w, "bytes", u->bytes);
  xf_jsonw_kbool(w, "noised", u->charge.noised);
  xf_jsonw_kdouble(w, "epsilon", u->charge.epsilon);
  xf_jsonw_kdouble(w, "epsilon_zero_out", u->charge.epsilon_zero_out);
  xf_jsonw_kint(w, "stored_us", s->stored_us);
  xf_jsonw_object_end(w);
  return XF_OK;
}

static enum xf_rc put_updates(struct updates *u) {
  struct xf_ledger_status s;
  enum xf_rc rc = xf_ledger_status(u->l, &s, u->diag);
  xf_jsonw_key(u->w, "updates");
  xf_jsonw_array(u->w);
  for (uint64_t r = 1; !rc && r <= s.rounds; r++)
    rc = xf_ledger_updates(u->l, r, on_update, u, u->diag);
  xf_jsonw_array_end(u->w);
  return rc;
}

static enum xf_rc on_model(void *arg, const struct xf_ledger_checkpoint *c, bool pruned) {
  struct xf_jsonw *w = arg;
  xf_jsonw_object(w);
  xf_jsonw_kuint(w, "round", c->round);
  xf_jsonw_kdigest(w, "model_blake2b", &c->model);
  xf_jsonw_kstr(w, "path", c->path);
  xf_jsonw_kuint(w, "bytes", c->bytes);
  xf_jsonw_kbool(w, "pruned", pruned);
  xf_jsonw_object_end(w);
  return XF_OK;
}

static enum xf_rc put_coordinator(struct xf_jsonw *w, const char *dir, struct xf_diag *diag) {
  struct updates u = {.w = w, .diag = diag};
  enum xf_rc rc = xf_tool_ledger_open(&u.l, dir, diag);
  if (rc) return rc;
  xf_jsonw_kstr(w, "kind", "coordinator");
  xf_jsonw_key(w, "status");
  xf_jsonw_object(w);
  rc = xf_tool_put_status(w, u.l, diag);
  xf_jsonw_object_end(w);
  if (!rc) rc = xf_tool_put_rounds(w, u.l, INT64_MAX, true, diag);
  if (!rc) rc = put_updates(&u);
  xf_jsonw_key(w, "models");
  xf_jsonw_array(w);
  if (!rc) rc = xf_ledger_checkpoints(u.l, on_model, w, diag);
  xf_jsonw_array_end(w);
  xf_ledger_close(u.l);
  return rc;
}

/* --- which of them ------------------------------------------------------------------------------------------------ */

static bool has(const char *dir, const char *name) {
  char path[XF_PATH_MAX];
  return xf_fs_join(path, dir, name) == XF_OK && xf_fs_exists(xf_fs_posix(), path);
}

static enum xf_rc ignore_entry(void *arg, const char *name) {
  (void)arg;
  (void)name;
  return XF_OK;
}

static enum xf_rc put_any(struct xf_jsonw *w, const char *path, struct xf_diag *diag) {
  const struct xf_fs *fs = xf_fs_posix();
  char model[XF_PATH_MAX];
  if (fs->list(fs, path, ignore_entry, NULL) != XF_OK) return xf_inspect_file(w, path, diag);
  if (has(path, XF_STATE_LEDGER)) return put_coordinator(w, path, diag);
  if (has(path, XF_STATE_CLIENT_DB)) return xf_inspect_silo(w, path, diag);
  if (has(path, XF_STATE_MODEL) && xf_fs_join(model, path, XF_STATE_MODEL) == XF_OK)
    return xf_inspect_file(w, model, diag);
  return xf_diag_set(diag, XF_E_NOTFOUND,
                     "\"%s\" has neither " XF_STATE_LEDGER
                     " (a coordinator's state), " XF_STATE_CLIENT_DB
                     " (a silo's) nor " XF_STATE_MODEL " (a run directory)",
                     path);
}

/* --- text ----------------------------------------------------------------------------------------------------------- */

static const char *str(const struct xf_json_value *v, const char *key) {
  const char *s = "-";
  (void)xf_json_str(xf_json_find(v, key), &s); /* absent or null: "-" */
  return s;
}

static uint64_t num(const struct xf_json_value *v, const char *key) {
  uint64_t n = 0;
  (void)xf_json_uint(xf_json_find(v, key), &n); /* absent: 0 */
  return n;
}

static double real(const struct xf_json_value *v, const char *key) {
  double x = 0;
  (void)xf_json_double(xf_json_find(v, key), &x); /* absent or null: 0 */
  return x;
}

static enum xf_rc text_meta(void *arg, const char *key, const struct xf_json_value *v) {
  const char *s = "";
  (void)xf_json_str(v, &s); /* metadata are texts */
  return xf_buf_printf(arg, "  %-20s  %s\n", key, s);
}

static enum xf_rc text_file(struct xf_buf *out, const struct xf_json_value *v) {
  const struct xf_json_value *tensors = xf_json_find(v, "tensors");
  bool verified = false;
  enum xf_rc rc = xf_buf_printf(out, "%s, %zu tensors, %" PRIu64 " bytes of data\n", str(v, "kind"),
                                xf_json_len(tensors), num(v, "data_bytes"));
  if (!rc && xf_json_bool(xf_json_find(v, "verified"), &verified))
    rc = xf_buf_printf(out, "digests %s\n", verified ? "recomputed: they hold" : "DO NOT HOLD");
  if (!rc) rc = xf_json_each(xf_json_find(v, "metadata"), text_meta, out);
  for (size_t i = 0; i < xf_json_len(tensors) && !rc; i++) {
    const struct xf_json_value *t = xf_json_at(tensors, i), *shape = xf_json_find(t, "shape");
    rc = xf_buf_printf(out, "%-28s %-3s [", str(t, "name"), str(t, "dtype"));
    for (size_t k = 0; k < xf_json_len(shape) && !rc; k++) {
      uint64_t dim = 0;
      (void)xf_json_uint(xf_json_at(shape, k), &dim); /* written by us */
      rc = xf_buf_printf(out, "%s%" PRIu64, k ? ", " : "", dim);
    }
    if (!rc) rc = xf_buf_put_str(out, "]");
    if (!rc && xf_json_find(t, "norm"))
      rc = xf_buf_printf(out, "  norm %.6g  min %.6g  max %.6g", real(t, "norm"), real(t, "min"),
                         real(t, "max"));
    if (!rc && num(t, "nonfinite"))
      rc = xf_buf_printf(out, "  %" PRIu64 " VALUES ARE NOT FINITE", num(t, "nonfinite"));
    if (!rc) rc = xf_buf_put_str(out, "\n");
  }
  return rc;
}

static enum xf_rc text_coordinator(struct xf_buf *out, const struct xf_json_value *v) {
  const struct xf_json_value *models = xf_json_find(v, "models"), *u = xf_json_find(v, "updates");
  enum xf_rc rc = xf_admin_text_status(out, xf_json_find(v, "status"));
  if (!rc) rc = xf_buf_put_str(out, "\n");
  if (!rc) rc = xf_admin_text_rounds(out, v);
  if (!rc) rc = xf_buf_printf(out, "\n%zu updates accepted\n", xf_json_len(u));
  for (size_t i = 0; i < xf_json_len(u) && !rc; i++) {
    const struct xf_json_value *one = xf_json_at(u, i);
    rc = xf_buf_printf(
        out, "%6" PRIu64 "  %-20s  weight %-9" PRIu64 "  %10" PRIu64 " bytes  epsilon %.4g\n",
        num(one, "round"), str(one, "client"), num(one, "weight"), num(one, "bytes"),
        real(one, "epsilon"));
  }
  for (size_t i = 0; i < xf_json_len(models) && !rc; i++) {
    const struct xf_json_value *m = xf_json_at(models, i);
    bool pruned = false;
    (void)xf_json_bool(xf_json_find(m, "pruned"), &pruned); /* written by us */
    rc =
        xf_buf_printf(out, "%smodel of round %" PRIu64 "  %.16s...  %s\n", i ? "" : "\n",
                      num(m, "round"), str(m, "model_blake2b"), pruned ? "pruned" : str(m, "path"));
  }
  return rc;
}

static enum xf_rc text_silo(struct xf_buf *out, const struct xf_json_value *v) {
  const struct xf_json_value *u = xf_json_find(v, "updates");
  enum xf_rc rc =
      xf_buf_printf(out, "silo      %s of %s\nrun       %s\nfinal     %s\n", str(v, "member"),
                    str(v, "federation"), str(v, "run"), str(v, "final"));
  if (!rc)
    rc = xf_buf_printf(out, "outbox    %" PRIu64 " pending, %" PRIu64 " settled\n",
                       num(v, "pending"), num(v, "settled"));
  if (!rc)
    rc = xf_buf_printf(out,
                       "odometer  %" PRIu64 " releases charged, %" PRIu64
                       " updates with noise, %" PRIu64 " without",
                       num(v, "charges"), num(v, "noised"), num(v, "without_noise"));
  if (!rc && num(v, "without_noise"))
    rc = xf_buf_printf(out, ": no finite epsilon, nothing is claimed\n");
  else if (!rc)
    rc = xf_buf_printf(out, "; epsilon %.4g replace-one, %.4g zero-out\n", real(v, "epsilon"),
                       real(v, "epsilon_zero_out"));
  for (size_t i = 0; i < xf_json_len(u) && !rc; i++) {
    const struct xf_json_value *one = xf_json_at(u, i);
    rc = xf_buf_printf(
        out, "%6" PRIu64 "  task %.12s  weight %-9" PRIu64 "  %10" PRIu64 " bytes  %-8s %s\n",
        num(one, "round"), str(one, "task"), num(one, "weight"), num(one, "bytes"),
        str(one, "state"), str(one, "verdict"));
  }
  return rc;
}

static enum xf_rc print_text(const struct xf_buf *buf, struct xf_diag *diag) {
  const struct xf_json_limits limits = {.max_len = JSON_MAX};
  struct xf_json *json = NULL;
  struct xf_buf out;
  xf_buf_init(&out, JSON_MAX);
  enum xf_rc rc = xf_json_parse(&json, "facts", (const char *)buf->p, buf->len, &limits, diag);
  if (!rc) {
    const struct xf_json_value *v = xf_json_root(json);
    const char *kind = str(v, "kind");
    rc = strcmp(kind, "coordinator") == 0 ? text_coordinator(&out, v)
         : strcmp(kind, "silo") == 0      ? text_silo(&out, v)
                                          : text_file(&out, v);
  }
  if (!rc && fwrite(out.p, 1, out.len, stdout) != out.len) rc = XF_E_IO;
  xf_json_free(json);
  xf_buf_deinit(&out);
  return rc;
}

static int inspect(const char *path, bool as_json) {
  struct xf_buf buf;
  struct xf_jsonw w;
  struct xf_diag diag, printing;
  xf_diag_init(&diag);
  xf_diag_init(&printing);
  xf_buf_init(&buf, JSON_MAX);
  xf_jsonw_init(&w, &buf);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "path", path);
  const size_t before = buf.len;
  enum xf_rc rc = put_any(&w, path, &diag), print = XF_OK;
  if (buf.len > before) { /* also of a damaged file: what it holds */
    if (rc) xf_jsonw_kstr(&w, "error", xf_diag_text(&diag, rc));
    xf_jsonw_object_end(&w);
    if (as_json) print = xf_tool_json(&buf, &w);
    else {
      print = xf_jsonw_finish(&w);
      if (!print) print = print_text(&buf, &printing);
    }
  }
  if (rc) fprintf(stderr, "crossfed inspect: %s\n", xf_diag_text(&diag, rc));
  if (print) fprintf(stderr, "crossfed inspect: %s\n", xf_diag_text(&printing, print));
  xf_buf_deinit(&buf);
  if (fflush(stdout) != 0 && !print) print = XF_E_IO;
  return xf_rc_exit(rc ? rc : print);
}

int xf_tool_inspect(int argc, char **argv) {
  const char *path = NULL;
  bool json = false;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0) {
      fputs(usage, stdout);
      return XF_EXIT_OK;
    }
    if (strcmp(argv[i], "--json") == 0) json = true;
    else if (argv[i][0] != '-' && !path) path = argv[i];
    else {
      fprintf(stderr, "crossfed inspect: \"%s\" is not understood here\n\n%s", argv[i], usage);
      return XF_EXIT_USAGE;
    }
  }
  if (!path) {
    fputs(usage, stderr);
    return XF_EXIT_USAGE;
  }
  return inspect(path, json);
}
