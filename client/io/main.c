/* crossfed-client: arguments, config, then the daemon. */
#include "base/log.h"
#include "client/io/client.h"
#include "client/io/daemon.h"
#include "crypto/init.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SETS_MAX = 64, TEXT_MAX = 256 * 1024 };

static const char usage[] =
    "usage: crossfed-client -c FILE [--check-config] [--print-config] [--set KEY=VALUE]... "
    "[--help] "
    "[--version]\n"
    "\n"
    "The silo's daemon: connects to its coordinator, trains on its own data, sends what its policy "
    "allows.\n"
    "  -c FILE         client.yaml (then FILE's conf.d/*.yaml, CROSSFED__SECTION__KEY, --set)\n"
    "  --check-config  open certificates, key, data and state as a start would, change nothing, "
    "exit\n"
    "  --print-config  print every value and where it came from, exit\n"
    "  --set KEY=VALUE over the file, as often as needed\n"
    "\n"
    "Keys:\n\n";

struct request {
  struct xf_client_source source;
  const char *sets[SETS_MAX];
  bool check, print, help, version;
};

static bool parse(struct request *r, int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const bool more = i + 1 < argc;
    if (strcmp(argv[i], "-c") == 0 && more) r->source.path = argv[++i];
    else if (strcmp(argv[i], "--set") == 0 && more && r->source.n_sets < SETS_MAX)
      r->sets[r->source.n_sets++] = argv[++i];
    else if (strcmp(argv[i], "--check-config") == 0) r->check = true;
    else if (strcmp(argv[i], "--print-config") == 0) r->print = true;
    else if (strcmp(argv[i], "--help") == 0) r->help = true;
    else if (strcmp(argv[i], "--version") == 0) r->version = true;
    else return false;
  }
  r->source.sets = r->sets;
  r->source.env = (const char *const *)environ;
  return r->source.path || r->help || r->version;
}

static void print_usage(FILE *out) {
  struct xf_buf keys;
  xf_buf_init(&keys, TEXT_MAX);
  (void)fputs(usage, out);
  if (xf_conf_help(&keys, xf_client_config_schema()) == XF_OK) (void)fputs(xf_buf_cstr(&keys), out);
  xf_buf_deinit(&keys);
}

static int print_config(const struct xf_client_config *config, const struct xf_conf *conf) {
  struct xf_buf text;
  xf_buf_init(&text, TEXT_MAX);
  enum xf_rc rc = xf_conf_print(&text, xf_client_config_schema(), config, conf);
  if (!rc) (void)fputs(xf_buf_cstr(&text), stdout);
  xf_buf_deinit(&text);
  return rc || fflush(stdout) ? XF_EXIT_FAILED : XF_EXIT_OK;
}

static int check_config(const struct xf_client_config *config) {
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_daemon_check(config, &diag);
  if (rc) (void)fprintf(stderr, "crossfed-client: %s\n", xf_diag_text(&diag, rc));
  else (void)printf("%s: ok\n", config->member);
  return xf_rc_exit(rc);
}

static int serve(const struct request *r) {
  static struct xf_client_config config; /* large */
  struct xf_conf *conf = NULL;
  struct xf_diag diag;
  xf_diag_init(&diag);
  enum xf_rc rc = xf_client_config_load(&config, &r->source, &conf, &diag);
  int status = XF_EXIT_CONFIG;
  if (rc) {
    const char *all = xf_conf_errors(conf);
    (void)fprintf(stderr, "%s%s", all[0] ? all : xf_diag_text(&diag, rc), all[0] ? "" : "\n");
  } else if (r->print) {
    status = print_config(&config, conf);
  } else if (r->check) {
    status = check_config(&config);
  } else {
    status = xf_daemon_run(&config, &r->source);
  }
  if (!rc) xf_conf_deinit_target(xf_client_config_schema(), &config);
  xf_conf_free(conf);
  return status;
}

int main(int argc, char **argv) {
  static struct request r;
  if (!parse(&r, argc, argv)) {
    (void)fputs("crossfed-client: wrong arguments; --help tells\n", stderr);
    return XF_EXIT_USAGE;
  }
  if (r.help || r.version) {
    if (r.help) print_usage(stdout);
    else (void)puts(XF_CLIENT_SOFTWARE);
    return fflush(stdout) ? XF_EXIT_FAILED : XF_EXIT_OK;
  }
  xf_log_start(2, XF_LOG_AUTO, XF_LOG_WARN, NULL);
  enum xf_rc rc = xf_crypto_start();
  if (rc) {
    (void)fprintf(stderr, "crossfed-client: the cryptographic libraries fail their self-test: %s\n",
                  xf_rc_text(rc));
    return XF_EXIT_FAILED;
  }
  return serve(&r);
}
