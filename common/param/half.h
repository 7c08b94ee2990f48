/*
 * half.h - float16 (IEEE 754 binary16) and bfloat16: a float as two bytes, rounded to nearest, ties to even.
 *
 * float16: 11 significant bits, up to 65504; bfloat16: 8 significant bits, the range of float32.
 * Not for: values that must stay unbiased under many rounds (int8.h, qsgd.h round stochastically).
 * Owner: none. Thread: any.
 * @source IEEE 754-2019 section 3.6, 4.3.1
 */
#ifndef XF_PARAM_HALF_H
#define XF_PARAM_HALF_H

#include <stdint.h>

/* From 65520 in magnitude on the result is infinite. @unit binary16 */
uint16_t xf_half_from_float(float x);
/* Exact. @thread any */
float xf_half_to_float(uint16_t h);
/* Finite values near FLT_MAX may become infinite. @unit bfloat16 */
uint16_t xf_bfloat_from_float(float x);
/* Exact. @thread any */
float xf_bfloat_to_float(uint16_t b);

#endif
