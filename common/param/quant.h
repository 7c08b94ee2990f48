/*
 * quant.h - stochastic quantisation of a bucket of floats: int8 and QSGD. Unbiased: the mean over u, uniform in [0, 1), is x.
 *
 *   int8   scale = max|x| / 127           q = floor(x / scale + u), -127..127       value = q scale
 *   qsgd   norm = |x|_2, s levels         l = floor(s |x| / norm), one more when u < the rest   value = sign l norm / s
 *
 * Scale and norm travel as float32, rounded away from zero so that no value lies beyond the last level; a bucket of zeros has 0.
 * Each is used as it travels. FedPAQ is qsgd of an update after local steps, with partial participation.
 * Owner: the caller's arrays. Thread: any.
 * @source Alistarh et al. 2017, "QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding", section 3.1;
 *         Reisizadeh et al. 2020, "FedPAQ", section 3.3
 */
#ifndef XF_PARAM_QUANT_H
#define XF_PARAM_QUANT_H

#include <stddef.h>
#include <stdint.h>

enum { XF_INT8_MAX = 127, XF_QSGD_LEVELS_MAX = 127 };

/* The smallest float at or above max|x| / 127. @shape x[n], finite */
float xf_int8_scale(const float *x, size_t n);
/* u .5: to nearest, which is biased. @unit levels, -127..127 */
int xf_int8_round(float x, float scale, double u);
/* @thread any */
float xf_int8_value(int q, float scale);

/* The smallest float at or above the L2 norm; infinite when that is beyond float32. @shape x[n], finite */
float xf_qsgd_norm(const float *x, size_t n);
/* Signed level. @unit levels, -s..s */
int xf_qsgd_round(float x, float norm, uint32_t s, double u);
/* @thread any */
float xf_qsgd_value(int level, float norm, uint32_t s);
/* Bits of one signed level: of level + s in 0..2s. @unit bits */
unsigned xf_qsgd_bits(uint32_t s);

#endif
