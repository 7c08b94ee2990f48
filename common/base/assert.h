/*
 * assert.h - three tiers of assertions (design.md section 5).
 *
 * XF_ASSERT(c)        a broken invariant of our own: prints place and condition, aborts. Always on.
 * XF_EXPECT(c)        unexpected but survivable: logs once per place and yields the truth value,
 *                     so the caller must handle it: `if (!XF_EXPECT(x)) return XF_E_STATE;`
 * XF_DEBUG_ASSERT(c)  expensive checks; only when XF_DEBUG is defined (sanitizer flavours).
 * Never used on anything a peer, a file or a user can influence.
 */
#ifndef XF_BASE_ASSERT_H
#define XF_BASE_ASSERT_H

#include <stdatomic.h>
#include <stdbool.h>

/* Prints and aborts. @thread any */
_Noreturn void xf_assert_fail(const char *cond, const char *file, int line);
/* Logs an unexpected condition. Returns false. @thread any */
bool xf_expect_fail(const char *cond, const char *file, int line);

#define XF_ASSERT(c) ((c) ? (void)0 : xf_assert_fail(#c, __FILE__, __LINE__))
#define XF_EXPECT(c)                                              \
  ({                                                              \
    static atomic_bool xf_expect_said;                            \
    bool xf_expect_ok = (c);                                      \
    if (!xf_expect_ok && !atomic_exchange(&xf_expect_said, true)) \
      xf_expect_fail(#c, __FILE__, __LINE__);                     \
    xf_expect_ok;                                                 \
  })
#ifdef XF_DEBUG
#define XF_DEBUG_ASSERT(c) XF_ASSERT(c)
#else
#define XF_DEBUG_ASSERT(c) ((void)0)
#endif

#endif
