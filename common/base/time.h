/*
 * time.h - instants and durations as types. "Now" is an argument everywhere except in shells;
 * pure cores never read a clock.
 *
 * struct xf_time: nanoseconds of a monotonic clock whose zero means nothing.
 * Wall-clock time appears only in logs, file names and certificates (xf_wall_*).
 */
#ifndef XF_BASE_TIME_H
#define XF_BASE_TIME_H

#include "base/rc.h"

#include <stddef.h>
#include <stdint.h>

struct xf_time {
  int64_t ns;
};

/* "Never": later than every instant. */
#define XF_TIME_NEVER ((struct xf_time){INT64_MAX})

/* Current monotonic instant. Shells only. @thread any */
struct xf_time xf_time_now(void);
/* Processor time that the calling thread has used: for measuring it. Shells only. @unit s */
double xf_time_cpu_s(void);
/* t + seconds, saturating at NEVER; seconds may be fractional. @unit s */
struct xf_time xf_time_add_s(struct xf_time t, double seconds);
/* t + ms milliseconds, saturating. @unit ms */
struct xf_time xf_time_add_ms(struct xf_time t, int64_t ms);
/* a - b in seconds. @unit s */
double xf_time_diff_s(struct xf_time a, struct xf_time b);
/* a - b in whole milliseconds, rounded up, at least 0 (for timers). @unit ms */
int64_t xf_time_diff_ms(struct xf_time a, struct xf_time b);
/* Whether a is before b. @thread any */
static inline bool xf_time_before(struct xf_time a, struct xf_time b) { return a.ns < b.ns; }
/* The earlier of two. @thread any */
static inline struct xf_time xf_time_min(struct xf_time a, struct xf_time b) {
  return a.ns < b.ns ? a : b;
}

/* Wall clock in seconds since 1970. @unit s */
int64_t xf_wall_now_s(void);
/* Wall clock in microseconds since 1970. @unit us */
int64_t xf_wall_now_us(void);
enum { XF_WALL_LEN = 32 };
/* UTC as 2026-11-24T02:15:33.123Z; returns out. @own caller's buffer */
const char *xf_wall_print(char out[XF_WALL_LEN], int64_t us);

#endif
