/* The table of arms: per silo and measure, popularity beside alone beside federated (test part). */
#include "base/alloc.h"
#include "tools/sim/sim.h"

#include <math.h>
#include <stdio.h>

static const char *const arm_names[SIM_ARMS] = {"popularity", "alone", "federated"};

static void put_number(double v) {
  if (isfinite(v)) printf("%.6g", v);
  else printf("null");
}

static void report_json(const struct sim *sim, double wall_s) {
  struct xf_digest d;
  char hex[XF_DIGEST_HEX];
  sim_model_digest(&d, sim, sim->global);
  printf(
      "{\"v\":1,\"status\":\"done\",\"seed\":%llu,\"rounds\":%llu,\"abandoned\":%llu,\"wall_s\":%."
      "3f,"
      "\"threads\":%u,\"bytes_up\":%llu,\"bytes_down\":%llu,\"model_blake2b\":\"%s\",\"metrics\":[",
      (unsigned long long)sim->plan.seed, (unsigned long long)sim->rounds,
      (unsigned long long)sim->abandoned, wall_s, sim->threads, (unsigned long long)sim->bytes_up,
      (unsigned long long)sim->bytes_down, xf_digest_print(hex, &d));
  for (size_t i = 0; i < sim->n_silo; i++)
    for (int a = 0; a < SIM_ARMS; a++) {
      printf("%s{\"scope\":\"domain:%s\",\"arm\":\"%s\",\"split\":\"test\"", i || a ? "," : "",
             sim->silo[i].domain, arm_names[a]);
      for (size_t m = 0; m < sim->measures.n; m++) {
        printf(",\"%s\":", sim->measures.key[m]);
        put_number(xf_measure_value(sim->measures.measure[m].kind, sim->silo[i].arm[a][m]));
      }
      printf("}");
    }
  printf("]}\n");
}

static void report_table(const struct sim *sim, double wall_s) {
  printf("%-26s %-18s %11s %11s %11s\n", "domain", "test", arm_names[0], arm_names[1],
         arm_names[2]);
  for (size_t i = 0; i < sim->n_silo; i++)
    for (size_t m = 0; m < sim->measures.n; m++) {
      printf("%-26s %-18s", m ? "" : sim->silo[i].domain, sim->measures.key[m]);
      for (int a = 0; a < SIM_ARMS; a++) {
        const double v = xf_measure_value(sim->measures.measure[m].kind, sim->silo[i].arm[a][m]);
        if (isfinite(v)) printf(" %11.4f", v);
        else printf(" %11s", "-");
      }
      printf("\n");
    }
  struct xf_digest d;
  char hex[XF_DIGEST_HEX];
  sim_model_digest(&d, sim, sim->global);
  printf("%llu rounds, %llu abandoned, %.2f s, up %llu bytes, down %llu bytes\nmodel_blake2b %s\n",
         (unsigned long long)sim->rounds, (unsigned long long)sim->abandoned, wall_s,
         (unsigned long long)sim->bytes_up, (unsigned long long)sim->bytes_down,
         xf_digest_print(hex, &d));
}

enum xf_rc sim_report(struct sim *sim, bool json, double wall_s, struct xf_diag *diag) {
  for (size_t i = 0; i < sim->n_silo; i++) {
    struct sim_silo *s = &sim->silo[i];
    enum xf_rc rc = sim_silo_measure(s, SIM_POPULARITY, XF_PART_TEST, s->arm[SIM_POPULARITY], diag);
    sim_silo_base(sim, s);
    if (!rc) rc = sim_silo_measure(s, SIM_FEDERATED, XF_PART_TEST, s->arm[SIM_FEDERATED], diag);
    if (!rc) rc = sim_silo_alone(s, diag);
    if (!rc) rc = sim_silo_measure(s, SIM_ALONE, XF_PART_TEST, s->arm[SIM_ALONE], diag);
    if (rc) return xf_diag_prefix(diag, rc, "silo %s", s->id);
  }
  if (json) report_json(sim, wall_s);
  else report_table(sim, wall_s);
  return fflush(stdout) == 0 ? XF_OK
                             : xf_diag_set(diag, XF_E_IO, "standard output cannot be written");
}
