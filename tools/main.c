/* crossfed: finds the verb and hands over; every verb is one file of this folder. */
#include "base/log.h"
#include "base/rc.h"
#include "crypto/init.h"
#include "tools/bench/verb.h"
#include "tools/exper/verb.h"
#include "tools/sim/verb.h"
#include "tools/tools.h"

#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *help;
} verbs[] = {
    {"sim", xf_tool_sim, "run a plan with many clients in this process"},
    {"adapt", xf_tool_adapt, "how fast a new client gets good from a trained start"},
    {"plan", xf_tool_plan, "check a plan; print it resolved, and what combines"},
    {"account", xf_tool_account, "epsilon of a number of Gaussian releases"},
    {"data", xf_tool_data, "look at data sets, split them, make synthetic ones"},
    {"report", xf_tool_report, "what a finished federation came to, per silo"},
    {"recommend", xf_tool_recommend, "a silo's best items for a user, once its run is done"},
    {"pki", xf_tool_pki, "the private CA and the silo's side of enrolment"},
    {"status", xf_tool_admin, "a running coordinator: what it does and waits for"},
    {"rounds", xf_tool_admin, "its last rounds"},
    {"pause", xf_tool_admin, "no new round"},
    {"resume", xf_tool_admin, "rounds again"},
    {"drain", xf_tool_admin, "the open round to its end, then stop"},
    {"reload", xf_tool_admin, "read the configuration again"},
    {"bench", xf_tool_bench, "speeds and sizes on this machine, against its own probes"},
    {"compare", xf_tool_compare, "runs of several settings over seeds, side by side"},
    {"rerun", xf_tool_rerun, "a run directory again: the same bytes or not"},
    {"plot", xf_tool_plot, "figures of a results file as an SVG"},
    {"verify", xf_tool_verify, "whether state directories keep the invariants"},
    {"inspect", xf_tool_inspect, "what a model file or a state directory holds"},
};

static void usage(FILE *out) {
  fprintf(out, "usage: crossfed VERB [ARGUMENT]...\n\n");
  for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
    fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].help);
  fprintf(out, "\ncrossfed VERB --help tells more.\n");
}

int main(int argc, char **argv) {
  if (argc < 2) {
    usage(stderr);
    return XF_EXIT_USAGE;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
    usage(stdout);
    return XF_EXIT_OK;
  }
  xf_log_start(2, XF_LOG_AUTO, XF_LOG_WARN, NULL);
  enum xf_rc rc = xf_crypto_start();
  if (rc) {
    fprintf(stderr, "crossfed: the cryptographic libraries fail their self-test: %s\n",
            xf_rc_text(rc));
    return XF_EXIT_FAILED;
  }
  for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
    if (strcmp(argv[1], verbs[i].name) == 0) return verbs[i].run(argc - 1, argv + 1);
  fprintf(stderr, "crossfed: there is no verb \"%s\"\n\n", argv[1]);
  usage(stderr);
  return XF_EXIT_USAGE;
}
