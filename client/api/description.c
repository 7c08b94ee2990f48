/* docs/openapi.yaml as part of the program (mk/rules.mk names the file as a prerequisite). */
#include "client/api/api.h"

__asm__(".section .rodata\n"
        ".global xf_openapi_begin\n"
        ".global xf_openapi_end\n"
        "xf_openapi_begin:\n"
        ".incbin \"docs/openapi.yaml\"\n"
        "xf_openapi_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char xf_openapi_begin[], xf_openapi_end[];

const char *xf_api_description(size_t *len) {
  *len = (size_t)(xf_openapi_end - xf_openapi_begin);
  return xf_openapi_begin;
}
