#include "store/rundir.h"

#include "base/alloc.h"
#include "base/str.h"
#include "base/time.h"
#include "json/json.h"
#include "json/jsonw.h"

#include <stdio.h>
#include <string.h>

enum {
  TAG_MAX = 256,
  VALUES_MAX = 64,
  LINE_MAX_LEN = 64 * 1024,
  SUMMARY_MAX = 4 << 20,
  TAIL = 64 * 1024
};

enum xf_rc xf_rundir_path(const struct xf_rundir *rd, char out[XF_PATH_MAX], const char *name) {
  return xf_fs_join(out, rd->dir, name);
}

/* Where the last whole line ends: a crash may have torn the one after it. */
static enum xf_rc whole_lines(struct xf_file *file, uint64_t size, uint64_t *end) {
  uint8_t *b = xf_alloc(TAIL);
  enum xf_rc rc = XF_OK;
  *end = 0;
  while (size > 0 && !rc) {
    size_t n = size < TAIL ? (size_t)size : TAIL, got = 0;
    rc = file->fs->pread(file, b, n, size - n, &got);
    const uint8_t *nl = !rc && got == n ? memrchr(b, '\n', n) : NULL;
    if (nl) {
      *end = size - n + (size_t)(nl - b) + 1;
      break;
    }
    size -= n;
  }
  xf_free(b);
  return rc;
}

static enum xf_rc open_metrics(struct xf_rundir *rd, bool fresh, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  uint64_t size = 0;
  enum xf_rc rc = xf_rundir_path(rd, path, "metrics.jsonl");
  if (!rc) rc = rd->fs->open(rd->fs, &rd->metrics, path, XF_FS_RDWR);
  if (rc)
    return xf_diag_set(diag, rc, "cannot open \"%s/metrics.jsonl\": %s", rd->dir, xf_rc_text(rc));
  rd->open = true;
  rc = rd->fs->size(&rd->metrics, &size);
  if (!rc && !fresh) rc = whole_lines(&rd->metrics, size, &rd->metrics_len);
  if (!rc && rd->metrics_len != size) rc = rd->fs->truncate(&rd->metrics, rd->metrics_len);
  if (!rc) return XF_OK;
  xf_rundir_close(rd);
  return xf_diag_set(diag, rc, "cannot read \"%s\": %s", path, xf_rc_text(rc));
}

static enum xf_rc open_events(struct xf_rundir *rd, bool fresh, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_rundir_path(rd, path, "events.out.tfevents.crossfed");
  if (!rc) rc = xf_tfevents_open(&rd->events, rd->fs, path, fresh);
  if (!rc) return XF_OK;
  xf_rundir_close(rd);
  return xf_diag_set(diag, rc, "cannot open \"%s/events.out.tfevents.crossfed\": %s", rd->dir,
                     xf_rc_text(rc));
}

enum xf_rc xf_rundir_open(struct xf_rundir *rd, const struct xf_fs *fs, const char *dir, bool fresh,
                          struct xf_diag *diag) {
  *rd = (struct xf_rundir){.fs = fs, .metrics = {.fd = -1}};
  enum xf_rc rc = xf_str_copy(rd->dir, sizeof rd->dir, dir);
  if (rc) return xf_diag_set(diag, rc, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX, dir);
  rc = fs->mkdir(fs, dir, 0750);
  if (rc)
    return xf_diag_set(diag, rc, "cannot make the run directory \"%s\": %s", dir,
                       rc == XF_E_NOTFOUND ? "its parent does not exist" : xf_rc_text(rc));
  rc = open_metrics(rd, fresh, diag);
  return rc ? rc : open_events(rd, fresh, diag);
}

void xf_rundir_close(struct xf_rundir *rd) {
  if (rd->open) (void)rd->fs->close(&rd->metrics); /* sync has reported what can be reported */
  rd->open = false;
  xf_tfevents_close(&rd->events);
}

enum xf_rc xf_rundir_plan(struct xf_rundir *rd, const char *text, size_t len,
                          struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  enum xf_rc rc = xf_rundir_path(rd, path, "plan.resolved.yaml");
  if (rc) return xf_diag_set(diag, rc, "path too long: \"%s\"", rd->dir);
  return xf_fs_replace(rd->fs, path, text, len, diag);
}

static enum xf_rc put_event(struct xf_rundir *rd, const struct xf_rundir_metrics *m) {
  char tag[VALUES_MAX][TAG_MAX];
  struct xf_tfevents_value value[VALUES_MAX];
  if (strcmp(m->scope, "global") != 0) return XF_OK; /* thousands of clients are no curves */
  const size_t n = m->n_value < VALUES_MAX ? m->n_value : VALUES_MAX;
  for (size_t i = 0; i < n; i++) {
    (void)snprintf(tag[i], TAG_MAX, "%s/%s/%s", m->value[i].name, m->split, m->arm);
    value[i] = (struct xf_tfevents_value){tag[i], m->value[i].value};
  }
  return xf_tfevents_put(&rd->events, (double)xf_wall_now_us() * 1e-6, m->commits, value, n);
}

enum xf_rc xf_rundir_metrics(struct xf_rundir *rd, const struct xf_rundir_metrics *m,
                             struct xf_diag *diag) {
  struct xf_buf line;
  struct xf_jsonw w;
  xf_buf_init(&line, LINE_MAX_LEN);
  xf_jsonw_init(&w, &line);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kuint(&w, "round", m->round);
  xf_jsonw_kuint(&w, "commits", m->commits);
  if (m->cost) {
    xf_jsonw_kuint(&w, "bytes_up", m->cost->bytes_up);
    xf_jsonw_kuint(&w, "bytes_down", m->cost->bytes_down);
    xf_jsonw_kdouble(&w, "time_s", m->cost->time_s);
  }
  xf_jsonw_kstr(&w, "scope", m->scope);
  xf_jsonw_kstr(&w, "arm", m->arm);
  xf_jsonw_kstr(&w, "split", m->split);
  for (size_t i = 0; i < m->n_value; i++) xf_jsonw_kdouble(&w, m->value[i].name, m->value[i].value);
  xf_jsonw_object_end(&w);
  enum xf_rc rc = xf_jsonw_finish(&w);
  if (!rc) rc = xf_buf_put_u8(&line, '\n');
  if (rc) xf_diag_set(diag, rc, "a line of metrics.jsonl with more than %d bytes", LINE_MAX_LEN);
  if (!rc && !rd->open) rc = xf_diag_set(diag, XF_E_STATE, "run directory not open");
  if (!rc) {
    rc = rd->fs->pwrite(&rd->metrics, line.p, line.len, rd->metrics_len);
    if (rc) xf_diag_set(diag, rc, "cannot write \"%s/metrics.jsonl\": %s", rd->dir, xf_rc_text(rc));
    else rd->metrics_len += line.len;
  }
  if (!rc && (rc = put_event(rd, m)))
    xf_diag_set(diag, rc, "cannot write \"%s/events.out.tfevents.crossfed\": %s", rd->dir,
                xf_rc_text(rc));
  xf_buf_deinit(&line);
  return rc;
}

enum xf_rc xf_rundir_sync(struct xf_rundir *rd, struct xf_diag *diag) {
  enum xf_rc rc = rd->open ? rd->fs->fsync(&rd->metrics) : XF_E_STATE;
  return rc ? xf_diag_set(diag, rc, "cannot sync \"%s/metrics.jsonl\"", rd->dir) : XF_OK;
}

static void put_field(struct xf_jsonw *w, const struct xf_rundir_field *f) {
  switch (f->type) {
  case XF_RUNDIR_STR: xf_jsonw_kstr(w, f->name, f->s); break;
  case XF_RUNDIR_UINT: xf_jsonw_kuint(w, f->name, f->u); break;
  case XF_RUNDIR_FLOAT: xf_jsonw_kdouble(w, f->name, f->f); break;
  case XF_RUNDIR_BOOL: xf_jsonw_kbool(w, f->name, f->u != 0); break;
  case XF_RUNDIR_JSON:
    xf_jsonw_key(w, f->name);
    xf_jsonw_raw(w, f->s, strlen(f->s));
    break;
  }
}

/* Text that is JSON already is the caller's word: the file must parse all the same. */
static enum xf_rc check_field(const struct xf_rundir_field *f, struct xf_diag *diag) {
  struct xf_json *json = NULL;
  const struct xf_json_limits limits = {.max_len = SUMMARY_MAX};
  if (f->type != XF_RUNDIR_JSON) return XF_OK;
  enum xf_rc rc = xf_json_parse(&json, f->name, f->s, strlen(f->s), &limits, diag);
  xf_json_free(json);
  return rc;
}

enum xf_rc xf_rundir_summary(struct xf_rundir *rd, const struct xf_rundir_field *field, size_t n,
                             struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct xf_buf text;
  struct xf_jsonw w;
  xf_buf_init(&text, SUMMARY_MAX);
  xf_jsonw_init(&w, &text);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  for (size_t i = 0; i < n; i++) put_field(&w, &field[i]);
  xf_jsonw_object_end(&w);
  enum xf_rc rc = xf_jsonw_finish(&w);
  if (!rc) rc = xf_buf_put_u8(&text, '\n');
  if (rc) xf_diag_set(diag, rc, "summary.json: more than %d bytes", SUMMARY_MAX);
  for (size_t i = 0; i < n && !rc; i++) rc = check_field(&field[i], diag);
  if (!rc) rc = xf_rundir_path(rd, path, "summary.json");
  if (!rc) rc = xf_fs_replace(rd->fs, path, text.p, text.len, diag);
  xf_buf_deinit(&text);
  return rc;
}
