/* crossfed status, rounds, pause, resume, drain, reload: a coordinator over its admin socket, or its ledger. */
#include "base/diag.h"
#include "base/fs.h"
#include "base/str.h"
#include "store/lock.h"
#include "tools/admin_link.h"
#include "tools/admin_text.h"
#include "tools/json_out.h"
#include "tools/ledger_out.h"
#include "tools/tools.h"
#include "json/json.h"

#include <stdio.h>
#include <string.h>

enum { REPLY_MAX = 64 << 20, REQUEST_MAX = 256, LAST_DEFAULT = 20 };
#define TIMEOUT_S 10.0
#define SOCKET_NAME "admin.sock" /* server.yaml: admin_socket when it is empty */

static const struct {
  const char *name, *help;
  bool reads; /* answered from the ledger when nobody listens */
} commands[] = {
    {"status", "what a coordinator does now, what it waits for, and its silos", true},
    {"rounds", "the last rounds with their outcome", true},
    {"pause", "no new round; the open one goes on to its end", false},
    {"resume", "rounds again", false},
    {"drain", "the open round to its end, then the coordinator ends", false},
    {"reload", "reads server.yaml and the CRL again; what needs a restart is named and kept",
     false},
};

struct request {
  size_t command;
  const char *state, *socket;
  double timeout_s;
  uint64_t last;
  bool json, metrics, help;
};

static const char *name_of(const struct request *r) { return commands[r->command].name; }

static void usage(FILE *out, const struct request *r) {
  fprintf(out, "usage: crossfed %s (--state DIR | --socket PATH)%s [--json] [--timeout S]\n\n%s.\n",
          name_of(r), strcmp(name_of(r), "rounds") == 0 ? " [--last N] [--metrics]" : "",
          commands[r->command].help);
  fprintf(out,
          "  --state DIR     the coordinator's state directory; its socket is DIR/" SOCKET_NAME
          "\n  --socket PATH   its admin socket, when server.yaml names another\n"
          "  --timeout S     seconds to wait for the answer; %g\n"
          "  --json          the answer as one JSON object\n",
          TIMEOUT_S);
  if (strcmp(name_of(r), "rounds") == 0)
    fprintf(out,
            "  --last N        so many rounds; %d\n"
            "  --metrics       with --json: each round's metrics\n",
            LAST_DEFAULT);
  if (commands[r->command].reads)
    fprintf(out,
            "With --state it also works while no coordinator runs: it reads the ledger and says "
            "so.\n");
  fprintf(out,
          "Exit status: 0 done, 3 not possible in this state, 4 nobody listens or no answer in "
          "time,\n5 the socket is not open to this user.\n");
}

/* --- arguments -------------------------------------------------------------------------------------------------- */

static enum xf_rc set_value(struct request *r, const char *option, const char *value,
                            struct xf_diag *diag) {
  if (strcmp(option, "--state") == 0) r->state = value;
  else if (strcmp(option, "--socket") == 0) r->socket = value;
  else if (strcmp(option, "--last") == 0) {
    if (xf_str_u64(&r->last, value, strlen(value)) || !r->last || r->last > INT64_MAX)
      return xf_diag_set(diag, XF_E_RANGE, "--last %s: must be a whole number, 1 or more", value);
  } else if (xf_str_double(&r->timeout_s, value, strlen(value)) || !(r->timeout_s > 0) ||
             r->timeout_s > 86400)
    return xf_diag_set(diag, XF_E_RANGE, "--timeout %s: must be seconds, above 0, at most a day",
                       value);
  return XF_OK;
}

static enum xf_rc parse(struct request *r, int argc, char **argv, struct xf_diag *diag) {
  const bool rounds = strcmp(name_of(r), "rounds") == 0;
  for (int i = 1; i < argc; i++) {
    const char *a = argv[i];
    if (strcmp(a, "--help") == 0) r->help = true;
    else if (strcmp(a, "--json") == 0) r->json = true;
    else if (rounds && strcmp(a, "--metrics") == 0) r->metrics = true;
    else if (strcmp(a, "--state") == 0 || strcmp(a, "--socket") == 0 ||
             strcmp(a, "--timeout") == 0 || (rounds && strcmp(a, "--last") == 0)) {
      if (++i == argc) return xf_diag_set(diag, XF_E_INVAL, "%s needs a value", a);
      const enum xf_rc rc = set_value(r, a, argv[i], diag);
      if (rc) return rc;
    } else return xf_diag_set(diag, XF_E_INVAL, "\"%s\" is not understood here", a);
  }
  if (!r->help && !r->state && !r->socket)
    return xf_diag_set(diag, XF_E_INVAL, "which coordinator? give --state DIR or --socket PATH");
  return XF_OK;
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

static enum xf_rc ask(const struct request *r, struct xf_buf *reply, struct xf_diag *diag) {
  char joined[XF_PATH_MAX];
  struct xf_buf line;
  struct xf_jsonw w;
  const char *path = r->socket;
  if (!path) {
    if (xf_fs_join(joined, r->state, SOCKET_NAME))
      return xf_diag_set(diag, XF_E_LIMIT, "path longer than %d bytes: \"%.64s...\"", XF_PATH_MAX,
                         r->state);
    path = joined;
  }
  xf_buf_init(&line, REQUEST_MAX);
  xf_jsonw_init(&w, &line);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kstr(&w, "cmd", name_of(r));
  if (strcmp(name_of(r), "rounds") == 0) {
    xf_jsonw_kuint(&w, "last", r->last);
    xf_jsonw_kbool(&w, "metrics", r->metrics);
  }
  xf_jsonw_object_end(&w);
  enum xf_rc rc = xf_jsonw_finish(&w);
  if (!rc) rc = xf_buf_put_u8(&line, '\n');
  rc = rc ? xf_diag_set(diag, rc, "the command: %s", xf_rc_text(rc))
          : xf_admin_link(path, xf_buf_cstr(&line), r->timeout_s, reply, diag);
  xf_buf_deinit(&line);
  return rc;
}

/* The same answer from the ledger, as far as it is written there. */
static enum xf_rc read_ledger(const struct request *r, struct xf_buf *reply, struct xf_diag *diag) {
  struct xf_ledger *l = NULL;
  struct xf_jsonw w;
  enum xf_rc rc = xf_tool_ledger_open(&l, r->state, diag);
  if (rc) return rc;
  xf_buf_reset(reply);
  xf_jsonw_init(&w, reply);
  xf_jsonw_object(&w);
  xf_jsonw_kuint(&w, "v", 1);
  xf_jsonw_kbool(&w, "ok", true);
  xf_jsonw_kstr(&w, "source", "ledger");
  rc = strcmp(name_of(r), "status") == 0 ? xf_tool_put_status(&w, l, diag)
                                         : xf_tool_put_rounds(&w, l, r->last, r->metrics, diag);
  xf_jsonw_object_end(&w);
  if (!rc) {
    rc = xf_jsonw_finish(&w);
    if (rc) (void)xf_diag_set(diag, rc, "the answer: %s; ask for fewer rounds", xf_rc_text(rc));
  }
  xf_ledger_close(l);
  return rc;
}

/* From the coordinator, else (reading verbs, with --state) from its ledger. */
static enum xf_rc get(const struct request *r, struct xf_buf *reply, struct xf_diag *diag) {
  enum xf_rc rc = ask(r, reply, diag);
  if (rc != XF_E_UNREACHABLE || !r->state || !commands[r->command].reads) return rc;
  const long pid = xf_lock_find(r->state);
  struct xf_diag why = {0};
  rc = read_ledger(r, reply, &why);
  if (rc == XF_E_NOTFOUND) /* both sentences are needed to see which is wrong */
    return xf_diag_prefix(diag, XF_E_UNREACHABLE, "%.300s", xf_diag_text(&why, rc));
  if (rc) {
    *diag = why;
    return rc;
  }
  if (pid)
    fprintf(stderr,
            "crossfed %s: process %ld holds \"%s\", but its admin socket does not answer (--socket "
            "names another): read from the ledger\n",
            name_of(r), pid, r->state);
  else
    fprintf(stderr, "crossfed %s: no coordinator is running on \"%s\": read from the ledger\n",
            name_of(r), r->state);
  return XF_OK;
}

/* --- answering ---------------------------------------------------------------------------------------------------- */

static enum xf_rc code_of(const char *name) {
#define CODE_ROW(n, value, text, retry) \
  if (strcmp(name, #n) == 0) return XF_##n;
  XF_RC_LIST(CODE_ROW)
#undef CODE_ROW
  return XF_E_FORMAT;
}

/* A refusal: its sentence, and the exit status of its code. */
static int refused(const struct request *r, const struct xf_json_value *root) {
  const char *code = "", *text = "no reason given";
  (void)xf_json_str(xf_json_find(root, "code"), &code);
  (void)xf_json_str(xf_json_find(root, "text"), &text);
  fprintf(stderr, "crossfed %s: refused: %s\n", name_of(r), text);
  const enum xf_rc rc = code_of(code);
  return rc == XF_E_STATE || rc == XF_E_CONFLICT ? XF_EXIT_CONDITION
         : rc == XF_OK                           ? XF_EXIT_FAILED
                                                 : xf_rc_exit(rc);
}

static enum xf_rc put_text(struct xf_buf *out, const struct request *r,
                           const struct xf_json_value *root) {
  if (strcmp(name_of(r), "status") == 0) return xf_admin_text_status(out, root);
  if (strcmp(name_of(r), "rounds") == 0) return xf_admin_text_rounds(out, root);
  return xf_admin_text_done(out, name_of(r), root);
}

static int show(const struct request *r, struct xf_buf *reply, struct xf_diag *diag) {
  const struct xf_json_limits limits = {.max_len = REPLY_MAX};
  struct xf_json *json = NULL;
  struct xf_buf out;
  bool ok = false;
  int status = XF_EXIT_OK;
  xf_buf_init(&out, REPLY_MAX);
  enum xf_rc rc = xf_json_parse(&json, "answer", (const char *)reply->p, reply->len, &limits, diag);
  if (!rc) rc = xf_json_get_bool(xf_json_root(json), "ok", &ok, diag);
  if (!rc && !ok) status = refused(r, xf_json_root(json));
  if (!rc && r->json) {
    rc = xf_buf_put(&out, reply->p, reply->len);
    if (!rc) rc = xf_buf_put_u8(&out, '\n');
  } else if (!rc && ok) rc = put_text(&out, r, xf_json_root(json));
  if (!rc && out.len && (fwrite(out.p, 1, out.len, stdout) != out.len || fflush(stdout) != 0))
    rc = xf_diag_set(diag, XF_E_IO, "cannot write to stdout");
  xf_json_free(json);
  xf_buf_deinit(&out);
  if (!rc) return status;
  fprintf(stderr, "crossfed %s: %s\n", name_of(r), xf_diag_text(diag, rc));
  return xf_rc_exit(rc);
}

int xf_tool_admin(int argc, char **argv) {
  struct request r = {.timeout_s = TIMEOUT_S, .last = LAST_DEFAULT};
  struct xf_diag diag;
  struct xf_buf reply;
  while (strcmp(argv[0], name_of(&r)) != 0)
    if (++r.command == sizeof commands / sizeof commands[0]) return XF_EXIT_USAGE;
  xf_diag_init(&diag);
  enum xf_rc rc = parse(&r, argc, argv, &diag);
  if (rc) {
    fprintf(stderr, "crossfed %s: %s\n\n", name_of(&r), xf_diag_text(&diag, rc));
    usage(stderr, &r);
    return XF_EXIT_USAGE;
  }
  if (r.help) {
    usage(stdout, &r);
    return XF_EXIT_OK;
  }
  xf_buf_init(&reply, REPLY_MAX);
  rc = get(&r, &reply, &diag);
  int status = XF_EXIT_OK;
  if (rc) {
    fprintf(stderr, "crossfed %s: %s\n", name_of(&r), xf_diag_text(&diag, rc));
    status = rc == XF_E_EOF ? XF_EXIT_UNREACHABLE : xf_rc_exit(rc);
  } else status = show(&r, &reply, &diag);
  xf_buf_deinit(&reply);
  return status;
}
