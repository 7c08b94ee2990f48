/*
 * fail.h - failpoints and planted bugs, compiled in only with XF_FAULTS (flavour `faults`).
 *
 * XF_FAILPOINT("K6")       at this place a test may kill the process (as kill -9 would) or sleep.
 * XF_PLANTED("ack_early")  true when the named planted bug is switched on: the deterministic
 *                          simulation must find it.
 * Chosen at run time: CROSSFED_FAILPOINTS="K6=kill@3,K9=sleep:500" (on the 3rd passage),
 * CROSSFED_PLANTED="ack_early". Release binaries contain none of it; lint proves that.
 */
#ifndef XF_BASE_FAIL_H
#define XF_BASE_FAIL_H

#include <stdbool.h>

#ifdef XF_FAULTS
/* Passes a failpoint. @thread any */
void xf_failpoint(const char *name);
/* Whether a planted bug is on. @thread any */
bool xf_failpoint_planted(const char *name);
/* Switches planted bugs on in-process (tests); NULL or "": none. @own copies */
void xf_failpoint_plant(const char *names);
#define XF_FAILPOINT(name) xf_failpoint(name)
#define XF_PLANTED(name) xf_failpoint_planted(name)
#else
#define XF_FAILPOINT(name) ((void)0)
#define XF_PLANTED(name) false
#endif

#endif
