#include "base/fail.h"

#ifdef XF_FAULTS

#include "base/log.h"
#include "base/str.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POINTS_MAX = 32, NAME_MAX_LEN = 48, PLANTED_MAX = 512 };

struct point {
  char name[NAME_MAX_LEN];
  uint64_t sleep_ms; /* kill when `kill`, else sleep that long */
  uint64_t at;       /* on this passage only; 0: on each */
  uint64_t passed;
  bool kill;
};

static struct {
  pthread_once_t once;
  pthread_mutex_t lock;
  struct point point[POINTS_MAX];
  size_t n_points;           /* constant after the first call */
  char planted[PLANTED_MAX]; /* "a,b" */
  atomic_bool any_planted;
} faults = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

/* name=kill[@n] or name=sleep:ms[@n] */
static bool point_parse(struct point *out, const char *s, size_t len) {
  const char *eq = memchr(s, '=', len);
  if (!eq || eq == s || (size_t)(eq - s) >= NAME_MAX_LEN) return false;
  *out = (struct point){0};
  memcpy(out->name, s, (size_t)(eq - s));
  const char *action = eq + 1, *end = s + len;
  const char *at = memchr(action, '@', (size_t)(end - action));
  if (at && (xf_str_u64(&out->at, at + 1, (size_t)(end - at - 1)) || out->at == 0)) return false;
  size_t n = (size_t)((at ? at : end) - action);
  out->kill = n == 4 && memcmp(action, "kill", 4) == 0;
  if (out->kill) return true;
  return n > 6 && memcmp(action, "sleep:", 6) == 0 &&
         xf_str_u64(&out->sleep_ms, action + 6, n - 6) == XF_OK;
}

static void plant(const char *names) {
  pthread_mutex_lock(&faults.lock);
  if (xf_str_copy(faults.planted, sizeof faults.planted, names ? names : "")) {
    xf_log(XF_LOG_ERROR, "planted_too_long", XF_U("max_bytes", PLANTED_MAX - 1));
  }
  atomic_store(&faults.any_planted, faults.planted[0] != '\0');
  pthread_mutex_unlock(&faults.lock);
}

static void faults_load(void) {
  plant(getenv("CROSSFED_PLANTED"));
  const char *s = getenv("CROSSFED_FAILPOINTS");
  while (s && *s) {
    size_t n = strcspn(s, ",");
    if (faults.n_points == POINTS_MAX || !point_parse(&faults.point[faults.n_points], s, n))
      xf_log(XF_LOG_ERROR, "failpoint_refused", XF_S("from", s));
    else faults.n_points++;
    s += n + (s[n] == ',');
  }
}

void xf_failpoint(const char *name) {
  pthread_once(&faults.once, faults_load);
  for (size_t i = 0; i < faults.n_points; i++) {
    struct point *p = &faults.point[i];
    if (strcmp(p->name, name) != 0) continue;
    pthread_mutex_lock(&faults.lock);
    uint64_t passage = ++p->passed;
    pthread_mutex_unlock(&faults.lock);
    if (p->at && passage != p->at) continue;
    xf_log(XF_LOG_WARN, "failpoint", XF_S("name", name), XF_U("passage", passage));
    if (p->kill) raise(SIGKILL);
    struct timespec left = {(time_t)(p->sleep_ms / 1000), (long)(p->sleep_ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) continue;
  }
}

bool xf_failpoint_planted(const char *name) {
  pthread_once(&faults.once, faults_load);
  if (!atomic_load_explicit(&faults.any_planted, memory_order_relaxed)) return false;
  size_t len = strlen(name);
  bool found = false;
  pthread_mutex_lock(&faults.lock);
  for (const char *s = faults.planted; *s && !found;) {
    size_t n = strcspn(s, ",");
    found = n == len && memcmp(s, name, n) == 0;
    s += n + (s[n] == ',');
  }
  pthread_mutex_unlock(&faults.lock);
  return found;
}

void xf_failpoint_plant(const char *names) {
  pthread_once(&faults.once, faults_load);
  plant(names);
}

#endif
