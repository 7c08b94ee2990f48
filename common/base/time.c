#include "base/time.h"

#include "base/assert.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

struct xf_time xf_time_now(void) {
  struct timespec ts;
  XF_ASSERT(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
  return (struct xf_time){(int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec};
}

double xf_time_cpu_s(void) {
  struct timespec ts;
  XF_ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0);
  return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static struct xf_time time_add_ns(struct xf_time t, int64_t ns) {
  int64_t sum = 0;
  if (t.ns == INT64_MAX) return XF_TIME_NEVER;
  if (__builtin_add_overflow(t.ns, ns, &sum))
    return ns > 0 ? XF_TIME_NEVER : (struct xf_time){INT64_MIN};
  return (struct xf_time){sum};
}

struct xf_time xf_time_add_s(struct xf_time t, double seconds) {
  double ns = seconds * 1e9;
  if (!(ns < 9.2e18)) return XF_TIME_NEVER;
  if (ns < -9.2e18) ns = -9.2e18;
  return time_add_ns(t, (int64_t)ns);
}

struct xf_time xf_time_add_ms(struct xf_time t, int64_t ms) {
  int64_t ns = 0;
  if (__builtin_mul_overflow(ms, (int64_t)1000000, &ns)) ns = ms > 0 ? INT64_MAX : INT64_MIN;
  return time_add_ns(t, ns);
}

double xf_time_diff_s(struct xf_time a, struct xf_time b) {
  return ((double)a.ns - (double)b.ns) * 1e-9;
}

int64_t xf_time_diff_ms(struct xf_time a, struct xf_time b) {
  if (a.ns <= b.ns) return 0;
  int64_t d = 0;
  if (__builtin_sub_overflow(a.ns, b.ns, &d)) d = INT64_MAX;
  return d / 1000000 + (d % 1000000 != 0);
}

int64_t xf_wall_now_us(void) {
  struct timespec ts;
  XF_ASSERT(clock_gettime(CLOCK_REALTIME, &ts) == 0);
  return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t xf_wall_now_s(void) { return xf_wall_now_us() / 1000000; }

const char *xf_wall_print(char out[XF_WALL_LEN], int64_t us) {
  int64_t s = us / 1000000 - (us % 1000000 < 0), ms = (us - s * 1000000) / 1000;
  time_t t = (time_t)s;
  struct tm tm;
  char day[24];
  if (!gmtime_r(&t, &tm) || strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm) == 0) day[0] = '\0';
  (void)snprintf(out, XF_WALL_LEN, "%s.%03dZ", day, (int)ms);
  return out;
}
