/* Clocks, medians, probes, and what the kernel says about a process. */
#include "tools/bench/bench.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

double bench_since(struct xf_time t) { return xf_time_diff_s(xf_time_now(), t); }

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double bench_median(double *x, size_t n) {
  if (n == 0) return 0;
  qsort(x, n, sizeof *x, ascending);
  return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

void bench_put(struct bench *b, const struct bench_result *r) {
  if (b->n_result < BENCH_RESULTS) b->result[b->n_result++] = *r;
}

void bench_pair(struct bench_pairs *p, double subject, double probe) {
  if (p->n == BENCH_PAIRS) return;
  p->subject[p->n] = subject;
  p->probe[p->n++] = probe;
}

void bench_put_pairs(struct bench *b, struct bench_result r, const struct bench_pairs *p) {
  struct bench_pairs q = *p;
  double ratio[BENCH_PAIRS];
  for (size_t i = 0; i < q.n; i++) ratio[i] = q.subject[i] / q.probe[i];
  r.value = bench_median(q.subject, q.n);
  r.probe_value = bench_median(q.probe, q.n);
  r.ratio = bench_median(ratio, q.n);
  bench_put(b, &r);
}

double bench_axpy(float *restrict y, const float *restrict x, size_t n) {
  const float a = 1e-9f;
  const struct xf_time t = xf_time_now();
  for (size_t i = 0; i < n; i++) y[i] += a * x[i];
  return 3.0 * (double)n * sizeof(float) / bench_since(t);
}

double bench_memcpy(uint8_t *to, const uint8_t *from, size_t n, unsigned times) {
  const struct xf_time t = xf_time_now();
  for (unsigned i = 0; i < times; i++) {
    memcpy(to, from, n);
    __asm__ volatile("" ::"r"(to) : "memory"); /* each copy counts */
  }
  return (double)times * (double)n / bench_since(t);
}

static enum xf_rc slurp(char *out, size_t cap, pid_t pid, const char *name, struct xf_diag *diag) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
  FILE *f = fopen(path, "re");
  if (!f) return xf_diag_set(diag, XF_E_IO, "%s: %s", path, strerror(errno));
  const size_t n = fread(out, 1, cap - 1, f);
  (void)fclose(f); /* only read */
  out[n] = '\0';
  return n ? XF_OK : xf_diag_set(diag, XF_E_IO, "%s is empty", path);
}

/* "VmRSS:   1234 kB" in bytes. */
static bool field(uint64_t *out, const char *text, const char *key) {
  const char *at = strstr(text, key);
  unsigned long long kib = 0;
  if (!at || sscanf(at + strlen(key), " %llu kB", &kib) != 1) return false;
  *out = (uint64_t)kib * 1024;
  return true;
}

enum xf_rc bench_proc_get(struct bench_proc *out, pid_t pid, struct xf_diag *diag) {
  char text[8192];
  unsigned long long faults = 0;
  enum xf_rc rc = slurp(text, sizeof text, pid, "status", diag);
  if (rc) return rc;
  if (!field(&out->rss, text, "VmRSS:") || !field(&out->peak, text, "VmHWM:"))
    return xf_diag_set(diag, XF_E_IO, "process %ld has ended", (long)pid);
  rc = slurp(text, sizeof text, pid, "stat", diag);
  if (rc) return rc;
  const char *at = strrchr(text, ')'); /* the name may hold anything */
  if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %llu", &faults) != 1)
    return xf_diag_set(diag, XF_E_FORMAT, "/proc/%ld/stat cannot be read", (long)pid);
  out->faults = faults;
  return XF_OK;
}

enum xf_rc bench_remove(const char *dir, struct xf_diag *diag) {
  char path[XF_PATH_MAX];
  struct stat st;
  enum xf_rc rc = XF_OK;
  DIR *d = opendir(dir);
  if (!d) return xf_diag_set(diag, XF_E_IO, "%s: %s", dir, strerror(errno));
  for (const struct dirent *e = readdir(d); e && !rc; e = readdir(d)) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    rc = xf_fs_join(path, dir, e->d_name);
    if (rc || lstat(path, &st)) continue;
    if (S_ISDIR(st.st_mode)) rc = bench_remove(path, diag);
    else if (unlink(path)) rc = xf_diag_set(diag, XF_E_IO, "%s: %s", path, strerror(errno));
  }
  (void)closedir(d); /* only read */
  if (!rc && rmdir(dir)) rc = xf_diag_set(diag, XF_E_IO, "%s: %s", dir, strerror(errno));
  return rc;
}

enum xf_rc bench_files(uint64_t n, struct xf_diag *diag) {
  struct rlimit l;
  if (getrlimit(RLIMIT_NOFILE, &l)) return xf_diag_set(diag, XF_E_IO, "getrlimit");
  if (l.rlim_cur >= n) return XF_OK;
  if (l.rlim_max < n)
    return xf_diag_set(diag, XF_E_LIMIT,
                       "%llu open files are needed, the hard limit is %llu; raise it (ulimit -Hn)",
                       (unsigned long long)n, (unsigned long long)l.rlim_max);
  l.rlim_cur = n;
  if (setrlimit(RLIMIT_NOFILE, &l))
    return xf_diag_set(diag, XF_E_LIMIT, "open files: %s", strerror(errno));
  return XF_OK;
}
