#include "http/mhd.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libmicrohttpd.so.12"

static struct xf_mhd table;
static char problem[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  static const struct {
    const char *name;
    size_t at;
  } symbol[] = {
#define SYMBOL(name) {"MHD_" #name, offsetof(struct xf_mhd, name)},
      XF_MHD_LIST(SYMBOL)
#undef SYMBOL
  };
  void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *why = dlerror();
    (void)snprintf(problem, sizeof problem, "%s", why ? why : LIBRARY);
    return;
  }
  for (size_t i = 0; i < sizeof symbol / sizeof symbol[0]; i++) {
    void *function = dlsym(library, symbol[i].name);
    if (!function) {
      (void)snprintf(problem, sizeof problem, "%s has no %s", LIBRARY, symbol[i].name);
      return;
    }
    memcpy((char *)&table + symbol[i].at, &function, sizeof function);
  }
}

enum xf_rc xf_mhd_get(const struct xf_mhd **out, struct xf_diag *diag) {
  *out = NULL;
  if (pthread_once(&once, load)) return XF_E_NOMEM;
  if (problem[0])
    return xf_diag_set(diag, XF_E_UNSUPPORTED,
                       "HTTP needs libmicrohttpd, which cannot be loaded (%s); on Debian: apt-get "
                       "install libmicrohttpd12",
                       problem);
  *out = &table;
  return XF_OK;
}
