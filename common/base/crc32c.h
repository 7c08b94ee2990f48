/*
 * crc32c.h - CRC-32C (Castagnoli) of a chunk: catches damage in transit, no protection against intent.
 * Thread: any.
 */
#ifndef XF_BASE_CRC32C_H
#define XF_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* CRC of n bytes, continuing from `crc` (start with 0). SSE4.2 is in our x86-64-v2 baseline.
   @source RFC 3720 appendix B.4 */
uint32_t xf_crc32c(uint32_t crc, const void *p, size_t n);
/* The plain table-free reference kernel, for tests. @source RFC 3720 appendix B.4 */
uint32_t xf_crc32c_ref(uint32_t crc, const void *p, size_t n);

#endif
