/* crossfed-server: the coordinator. Reads its arguments and configuration, then runs. */
#include "base/alloc.h"
#include "base/log.h"
#include "crypto/init.h"
#include "server/io/daemon.h"
#include "server/io/version.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SETS_MAX = 64, TEXT_MAX = 1 << 20 };

static const char usage[] =
    "usage: crossfed-server -c server.yaml [--check-config | --print-config] [--new-run] [--set "
    "KEY=VALUE]...\n"
    "\n"
    "The coordinator of a federation: runs the rounds of its plan and keeps everything in its "
    "state directory.\n"
    "  -c FILE           configuration; FILE's conf.d/*.yaml, CROSSFED__SECTION__KEY and --set "
    "override it in this order\n"
    "  --set KEY=VALUE   overrides one value: listen.address=127.0.0.1:0, log.level=debug\n"
    "  --check-config    opens what the configuration names, starts nothing; exit status 78 when "
    "something is wrong\n"
    "  --print-config    every value in force and where it came from\n"
    "  --new-run         starts a new run in a state directory that holds another (its models go "
    "to old/)\n"
    "  --version, --help\n"
    "Signals: TERM, INT drain (a second one stops at once); HUP reloads; USR1 logs the state.\n";

struct args {
  const char *config;
  const char *set[SETS_MAX];
  size_t n_set;
  bool check, print, new_run;
};

/* 0: go on; else 1 + exit status. */
static int args_parse(struct args *out, int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *a = argv[i];
    if (strcmp(a, "--help") == 0) {
      (void)fputs(usage, stdout);
      return 1 + XF_EXIT_OK;
    } else if (strcmp(a, "--version") == 0) {
      (void)puts(SRV_SOFTWARE);
      return 1 + XF_EXIT_OK;
    } else if (strcmp(a, "-c") == 0 && i + 1 < argc) out->config = argv[++i];
    else if (strcmp(a, "--set") == 0 && i + 1 < argc && out->n_set < SETS_MAX)
      out->set[out->n_set++] = argv[++i];
    else if (strcmp(a, "--check-config") == 0) out->check = true;
    else if (strcmp(a, "--print-config") == 0) out->print = true;
    else if (strcmp(a, "--new-run") == 0) out->new_run = true;
    else {
      fprintf(stderr, "crossfed-server: unexpected argument \"%s\"\n\n%s", a, usage);
      return 1 + XF_EXIT_USAGE;
    }
  }
  if (out->config) return 0;
  fprintf(stderr, "crossfed-server: which configuration? (-c server.yaml)\n\n%s", usage);
  return 1 + XF_EXIT_USAGE;
}

static int print_config(const struct srv_config *cfg, const struct xf_conf *conf) {
  struct xf_buf out;
  xf_buf_init(&out, TEXT_MAX);
  enum xf_rc rc = xf_conf_print(&out, &srv_config_schema, cfg, conf);
  const bool ok = !rc && fwrite(out.p, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
  xf_buf_deinit(&out);
  return ok ? XF_EXIT_OK : XF_EXIT_FAILED;
}

static int check_config(struct srv *srv) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = srv_check(srv, &diag);
  if (!rc) return XF_EXIT_OK;
  fprintf(stderr, "crossfed-server: %s\n", xf_diag_text(&diag, rc));
  return xf_rc_exit(rc);
}

/* A descriptor for each silo and each of its updates. */
static void raise_files(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    xf_log(XF_LOG_WARN, "files_limit", XF_U("files", limit.rlim_cur));
}

static int run(struct srv *srv, const struct args *args) {
  struct xf_conf *conf = NULL;
  struct xf_buf errors;
  struct xf_diag diag;
  xf_diag_init(&diag);
  xf_buf_init(&errors, TEXT_MAX);
  srv->source = (struct srv_config_source){args->config, args->set, args->n_set,
                                           (const char *const *)environ};
  enum xf_rc rc = srv_config_load(&srv->cfg, &srv->source, &errors, &conf, &diag);
  if (rc) {
    fprintf(stderr, "%s\n", errors.len ? xf_buf_cstr(&errors) : xf_diag_text(&diag, rc));
    xf_buf_deinit(&errors);
    return rc == XF_E_NOTFOUND ? XF_EXIT_CONFIG : xf_rc_exit(rc);
  }
  xf_buf_deinit(&errors);
  int status = 0;
  if (args->print) {
    status = print_config(&srv->cfg, conf);
  } else if (args->check) {
    status = check_config(srv);
  } else {
    xf_log_start(2, srv->cfg.log.format, srv->cfg.log.level, NULL);
    raise_files();
    status = srv_run(srv, args->new_run);
  }
  xf_conf_free(conf);
  srv_config_deinit(&srv->cfg);
  return status;
}

int main(int argc, char **argv) {
  struct args args = {0};
  int end = args_parse(&args, argc, argv);
  if (end) return end - 1;
  xf_log_start(2, XF_LOG_AUTO, XF_LOG_WARN, NULL);
  (void)signal(SIGPIPE, SIG_IGN); /* a silo that has gone is an error of its connection */
  if (xf_crypto_start()) {
    fprintf(stderr, "crossfed-server: the cryptographic libraries fail their self-test\n");
    return XF_EXIT_FAILED;
  }
  struct srv *srv = xf_calloc(1, sizeof *srv);
  const int status = run(srv, &args);
  xf_free(srv);
  return status;
}
