/* Tables over domains. */
#include "domains.h"

#include "rec/paired.h"

#include <math.h>
#include <stdio.h>

enum { BUCKETS = 4 };
static const uint32_t BUCKET[BUCKETS + 1] = {1, 5, 10, 20, UINT32_MAX};

/* Mean and standard error over users of figures, or of differences to b, within [low, high) train events. */
struct figure {
  double mean, se, n;
};
static struct figure figure_of(const struct domain *d, const float *a, const float *b, uint32_t low,
                               uint32_t high) {
  double s = 0, ss = 0, n = 0;
  for (uint32_t u = 0; u < d->split.n_users; u++) {
    const uint32_t h = d->data.train->start[u + 1] - d->data.train->start[u];
    const double x = (double)a[u] - (b ? (double)b[u] : 0);
    if (isnan(x) || h < low || h >= high) continue;
    s += x, ss += x * x, n += 1;
  }
  const double mean = n > 0 ? s / n : (double)NAN;
  return (struct figure){mean, n > 1 ? sqrt(fmax(0, ss / n - mean * mean) / (n - 1)) : (double)NAN,
                         n};
}

static struct figure all_of(const struct domain *d, const float *a) {
  return figure_of(d, a, NULL, 0, UINT32_MAX);
}

static void print_json(const char *bench, const char *domain, const char *arm,
                       const struct figure f[2]) {
  printf(
      "{\"v\":1,\"bench\":\"%s\",\"split\":\"%s\",\"domain\":\"%s\",\"arm\":\"%s\",\"users\":%.0f,"
      "\"hr_10_s999\":%.4f,\"hr_10_s999_se\":%.4f,\"ndcg_10_s999\":%.4f,\"ndcg_10_s999_se\":"
      "%.4f}\n",
      bench, final_run ? "test" : "valid", domain, arm, f[0].n, f[0].mean, f[0].se, f[1].mean,
      f[1].se);
}

/* Means over domains, each weighing the same. */
static void means(const struct domain *domain, uint32_t n, uint32_t arm, struct figure out[2]) {
  out[0] = out[1] = (struct figure){0};
  for (uint32_t k = 0; k < n; k++)
    for (int m = 0; m < 2; m++) {
      const struct figure f = all_of(&domain[k], m ? domain[k].ndcg[arm] : domain[k].hr[arm]);
      out[m].mean += f.mean / n;
      out[m].se += f.se * f.se / ((double)n * n);
      out[m].n += f.n;
    }
  for (int m = 0; m < 2; m++) out[m].se = sqrt(out[m].se);
}

void print_table(const struct domain *domain, uint32_t n, uint32_t n_arm, const char *bench) {
  struct figure f[2];
  printf("%s; 999 negatives that occur in train, mean of 3 draws\n",
         final_run ? "TEST (FINAL=1)" : "validation by halves");
  printf("%-18s", "HR@10/NDCG@10");
  for (uint32_t a = 0; a < n_arm; a++) printf(" %14s", domain_arm[a]);
  printf("\n");
  for (uint32_t k = 0; k < n; k++) {
    const struct domain *d = &domain[k];
    printf("%-11s %6.0f", d->name, all_of(d, d->hr[0]).n);
    for (uint32_t a = 0; a < n_arm; a++)
      printf("     %.3f/%.3f", all_of(d, d->hr[a]).mean, all_of(d, d->ndcg[a]).mean);
    printf("\n");
  }
  printf("%-18s", "mean");
  for (uint32_t a = 0; a < n_arm; a++) {
    means(domain, n, a, f);
    printf("   %.4f/%.4f", f[0].mean, f[1].mean);
  }
  printf("\n");
  for (uint32_t a = 0; a < n_arm; a++) {
    for (uint32_t k = 0; k < n; k++) {
      f[0] = all_of(&domain[k], domain[k].hr[a]);
      f[1] = all_of(&domain[k], domain[k].ndcg[a]);
      print_json(bench, domain[k].name, domain_arm[a], f);
    }
    means(domain, n, a, f);
    print_json(bench, "mean", domain_arm[a], f);
  }
}

/* NDCG by train events, all domains together. */
void print_buckets(const struct domain *domain, uint32_t n, uint32_t n_arm) {
  printf("by train events, all domains together (HR@10/NDCG@10)\n");
  for (int b = 0; b < BUCKETS; b++) {
    char range[32];
    (void)snprintf(range, sizeof range, b + 1 < BUCKETS ? "%u-%u" : "%u+", BUCKET[b],
                   BUCKET[b + 1] - 1);
    double users = 0;
    for (uint32_t k = 0; k < n; k++)
      users += figure_of(&domain[k], domain[k].hr[0], NULL, BUCKET[b], BUCKET[b + 1]).n;
    printf("%-11s %6.0f", range, users);
    for (uint32_t a = 0; a < n_arm; a++) {
      double s[2] = {0};
      for (uint32_t k = 0; k < n; k++)
        for (int m = 0; m < 2; m++) {
          const struct figure f = figure_of(&domain[k], m ? domain[k].ndcg[a] : domain[k].hr[a],
                                            NULL, BUCKET[b], BUCKET[b + 1]);
          if (f.n > 0) s[m] += f.mean * f.n;
        }
      printf("     %.3f/%.3f", s[0] / users, s[1] / users);
    }
    printf("\n");
  }
}

static enum arm strongest(const struct domain *d, const enum arm *rival, uint32_t n) {
  enum arm best = rival[0];
  for (uint32_t i = 1; i < n; i++)
    if (d->valid[rival[i]] > d->valid[best]) best = rival[i];
  return best;
}

/* NDCG of an arm against the strongest rival of each domain: differences, Holm over domains, verdict (decision 40). */
enum xf_rc print_paired(const struct domain *domain, uint32_t n, enum arm arm,
                        const enum arm *rival, uint32_t n_rival, struct xf_diag *diag) {
  struct xf_paired p[16];
  struct xf_paired_verdict verdict;
  double below[16];
  bool lose[16];
  enum xf_rc rc = XF_OK;
  printf("%s against the strongest on validation of", domain_arm[arm]);
  for (uint32_t i = 0; i < n_rival; i++) printf(" %s", domain_arm[rival[i]]);
  printf(" (NDCG@10 x 100, paired)\n");
  for (uint32_t k = 0; !rc && k < n; k++) {
    const enum arm r = strongest(&domain[k], rival, n_rival);
    const struct xf_paired_spec spec = {.seed = k};
    rc = xf_paired_bootstrap(&p[k], domain[k].ndcg[arm], domain[k].ndcg[r], domain[k].split.n_users,
                             &spec, diag);
    if (rc) break;
    below[k] = p[k].p_below;
    const struct figure hr =
        figure_of(&domain[k], domain[k].hr[arm], domain[k].hr[r], 0, UINT32_MAX);
    printf("  %-11s - %-10s %+.2f +- %.2f [%+.2f, %+.2f]  HR %+.2f +- %.2f\n", domain[k].name,
           domain_arm[r], 100 * p[k].mean, 100 * p[k].se, 100 * p[k].low, 100 * p[k].high,
           100 * hr.mean, 100 * hr.se);
  }
  if (!rc) rc = xf_paired_holm(below, below, n);
  if (!rc) rc = xf_paired_judge(&verdict, lose, p, n, .05);
  if (rc) return rc;
  printf("  mean difference %+.2f; %zu of %u domains lose (Holm, one-sided .05), %zu below -1 SE; "
         "smallest adjusted p of a loss ",
         100 * verdict.mean, verdict.n_lose, n, verdict.n_below_se);
  double least = 1;
  for (uint32_t k = 0; k < n; k++) least = fmin(least, below[k]);
  printf("%.3f\n", least);
  return XF_OK;
}
