/* Files of sequences: three lines per student; speeches. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "data/lines.h"
#include "data/seqset.h"

#include <string.h>

enum { SKILLS_MAX = 1 << 20 };

/* One line's numbers into *out, which grows; each in [lo, hi]. */
static enum xf_rc numbers(struct xf_lines *l, const char *what, uint32_t lo, uint32_t hi,
                          int32_t **out, size_t *n, struct xf_diag *diag) {
  const struct xf_field *f;
  enum xf_rc rc = xf_lines_next(l, &f, n, diag);
  if (rc == XF_E_EOF)
    return xf_lines_fail(l, 0, XF_E_FORMAT, diag,
                         "the file ends where %s should be; a student has three lines", what);
  if (rc) return rc;
  if (*n > 0 && f[*n - 1].len == 0) (*n)--; /* a comma at the end */
  int32_t *to = xf_try_realloc_array(*out, *n + 1, sizeof *to);
  if (!to) return xf_lines_fail(l, 0, XF_E_NOMEM, diag, "not enough memory for %zu numbers", *n);
  *out = to;
  for (size_t i = 0; i < *n; i++) {
    double v = 0;
    rc = xf_lines_number(l, i + 1, &f[i], what, &v, diag);
    if (rc) return rc;
    if (v < lo || v > hi || v != (double)(int32_t)v)
      return xf_lines_fail(l, i + 1, XF_E_RANGE, diag, "%s %g is not a whole number from %u to %u",
                           what, v, lo, hi);
    to[i] = (int32_t)v;
  }
  return XF_OK;
}

struct student {
  int32_t *count, *skill, *right;
  uint8_t *answer;
};

static enum xf_rc add_student(struct xf_seqset *set, struct xf_lines *l, struct student *s,
                              size_t n, uint8_t part, struct xf_diag *diag) {
  s->answer = xf_try_realloc_array(s->answer, n + 1, sizeof *s->answer);
  enum xf_rc rc = s->answer ? XF_OK : XF_E_NOMEM;
  for (size_t i = 0; i < n && !rc; i++) {
    s->skill[i]--;
    s->answer[i] = (uint8_t)s->right[i];
  }
  if (!rc) rc = xf_seqset_add(set, s->skill, s->answer, (uint32_t)n, part, 0);
  return rc ? xf_lines_fail(l, 0, rc, diag, "%zu more answers: %s", n, xf_rc_text(rc)) : XF_OK;
}

static enum xf_rc one_student(struct xf_seqset *set, struct xf_lines *l, struct student *s,
                              uint8_t part, struct xf_diag *diag) {
  size_t n = 0, n_skill = 0, n_right = 0;
  enum xf_rc rc = numbers(l, "number of answers", 0, XF_LINES_COLUMNS_MAX, &s->count, &n, diag);
  if (rc) return rc;
  if (n != 1)
    return xf_lines_fail(l, 0, XF_E_FORMAT, diag,
                         "%zu numbers where one, the number of answers, should be", n);
  if (s->count[0] == 0)
    return xf_lines_fail(l, 1, XF_E_FORMAT, diag,
                         "a student without answers; leave the student out");
  rc = numbers(l, "skill", 1, SKILLS_MAX, &s->skill, &n_skill, diag);
  if (!rc) rc = numbers(l, "answer", 0, 1, &s->right, &n_right, diag);
  if (rc) return rc;
  if (n_skill != (size_t)s->count[0] || n_right != n_skill)
    return xf_lines_fail(l, 0, XF_E_FORMAT, diag,
                         "%zu skills and %zu answers, but the student's first line says %d",
                         n_skill, n_right, s->count[0]);
  return add_student(set, l, s, n_skill, part, diag);
}

enum xf_rc xf_seqset_load_answers(struct xf_seqset *set, const char *path, uint8_t part,
                                  struct xf_diag *diag) {
  struct xf_lines *l;
  struct student s = {0};
  enum xf_rc rc = xf_lines_open(&l, path, ',', diag);
  while (!rc) {
    const struct xf_field *f;
    size_t n;
    rc = xf_lines_next(l, &f, &n, diag);
    if (rc) break;
    xf_lines_again(l);
    rc = one_student(set, l, &s, part, diag);
  }
  xf_lines_close(l);
  xf_free(s.count);
  xf_free(s.skill);
  xf_free(s.right);
  xf_free(s.answer);
  if (rc == XF_E_EOF) return XF_OK;
  xf_seqset_deinit(set);
  xf_seqset_init(set);
  return rc;
}

/* --- texts */

static int32_t letter(char c) {
  if (c == '\n') return 0;
  return c >= ' ' && c <= '~' ? c - ' ' + 1 : 1;
}

struct speech {
  int32_t *token;
  uint32_t n, cap, name;
  bool open;
};

static bool say(struct speech *s, const char *p, size_t len) {
  if (len > XF_SEQSET_STEPS_MAX - s->n) return false;
  if (s->n + len > s->cap) {
    const uint32_t cap = 2 * (s->n + (uint32_t)len);
    int32_t *token = xf_try_realloc_array(s->token, cap, sizeof *token);
    if (!token) return false;
    s->token = token;
    s->cap = cap;
  }
  for (size_t i = 0; i < len; i++) s->token[s->n++] = letter(p[i]);
  return true;
}

/* A spoken line; tabs, at which it is cut, are spaces too. */
static bool say_line(struct speech *s, const struct xf_field *f, size_t n) {
  for (size_t i = 0; i < n; i++)
    if ((i > 0 && !say(s, "\t", 1)) || !say(s, f[i].p, f[i].len)) return false;
  return say(s, "\n", 1);
}

static enum xf_rc end_speech(struct xf_seqset *set, struct xf_lines *l, struct speech *s,
                             struct xf_diag *diag) {
  const uint32_t n = s->n;
  const enum xf_rc rc = n ? xf_seqset_add(set, s->token, NULL, n, 0, s->name) : XF_OK;
  s->n = 0;
  return rc ? xf_lines_fail(l, 0, rc, diag, "%u more letters: %s", n, xf_rc_text(rc)) : XF_OK;
}

/* The first line of a speech: its speaker. */
static enum xf_rc begin_speech(struct xf_seqset *set, struct xf_lines *l, struct speech *s,
                               const struct xf_field *f, struct xf_diag *diag) {
  if (f->len < 2 || f->p[f->len - 1] != ':') {
    char text[XF_LINES_QUOTE];
    return xf_lines_fail(l, 1, XF_E_FORMAT, diag,
                         "a speech begins with its speaker's name and a colon, not with %s",
                         xf_lines_quote(text, f->p, f->len));
  }
  s->open = true;
  const enum xf_rc rc = xf_names_add(&set->names, &s->name, f->p, f->len - 1);
  return rc ? xf_lines_fail(l, 1, rc, diag, "speaker: %s", xf_rc_text(rc)) : XF_OK;
}

enum xf_rc xf_seqset_load_text(struct xf_seqset *set, const char *path, struct xf_diag *diag) {
  struct xf_lines *l;
  struct speech s = {0};
  uint64_t last = 0;
  enum xf_rc rc = xf_lines_open(&l, path, '\t', diag);
  while (!rc) {
    const struct xf_field *f;
    size_t n;
    rc = xf_lines_next(l, &f, &n, diag);
    if (rc) break;
    const uint64_t line = xf_lines_get_number(l);
    if (!s.open || line > last + 1) { /* empty lines are between speeches */
      rc = end_speech(set, l, &s, diag);
      if (!rc) rc = begin_speech(set, l, &s, f, diag);
    } else if (!say_line(&s, f, n)) {
      rc = xf_lines_fail(l, 0, XF_E_NOMEM, diag, "not enough memory for the speech");
    }
    last = line;
  }
  if (rc == XF_E_EOF) rc = end_speech(set, l, &s, diag);
  xf_lines_close(l);
  xf_free(s.token);
  set->n_token = set->n ? XF_SEQSET_LETTERS : 0; /* every text has the same alphabet */
  if (!rc) return XF_OK;
  xf_seqset_deinit(set);
  xf_seqset_init(set);
  return rc;
}

/* --- writing */

static enum xf_rc put_numbers(struct xf_buf *b, const struct xf_seqset *s, uint32_t i,
                              bool answers) {
  enum xf_rc rc = XF_OK;
  for (uint32_t k = s->start[i]; k < s->start[i + 1] && !rc; k++)
    rc = xf_buf_printf(b, "%s%d", k > s->start[i] ? "," : "",
                       answers ? s->answer[k] : s->token[k] + 1);
  return rc ? rc : xf_buf_put_str(b, "\n");
}

static enum xf_rc put_student(struct xf_buf *b, const struct xf_seqset *s, uint32_t i) {
  enum xf_rc rc = xf_buf_printf(b, "%u\n", xf_seqset_len(s, i));
  if (!rc) rc = put_numbers(b, s, i, false);
  return rc ? rc : put_numbers(b, s, i, true);
}

static enum xf_rc put_speech(struct xf_buf *b, const struct xf_seqset *s, uint32_t i,
                             const char *speaker) {
  enum xf_rc rc = xf_buf_printf(b, "%s:\n", speaker);
  for (uint32_t k = s->start[i]; k < s->start[i + 1] && !rc; k++) {
    const char c = (char)(s->token[k] ? s->token[k] - 1 + ' ' : '\n');
    rc = xf_buf_put(b, &c, 1);
  }
  return rc ? rc : xf_buf_put_str(b, "\n");
}

enum xf_rc xf_seqset_save(const struct xf_seqset *s, uint8_t part, const char *speaker,
                          const char *path, struct xf_diag *diag) {
  struct xf_buf buf;
  xf_buf_init(&buf, (size_t)1 << 34);
  enum xf_rc rc = XF_OK;
  for (uint32_t i = 0; i < s->n && !rc; i++)
    if (part == XF_SEQSET_ALL || s->part[i] == part)
      rc = s->answer ? put_student(&buf, s, i) : put_speech(&buf, s, i, speaker);
  if (rc) (void)xf_diag_set(diag, rc, "%s: not enough memory to write %u sequences", path, s->n);
  else rc = xf_fs_replace(xf_fs_posix(), path, buf.p, buf.len, diag);
  xf_buf_deinit(&buf);
  return rc;
}
