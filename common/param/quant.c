#include "param/quant.h"

#include "param/vec.h"

#include <math.h>

/* The float at or just above x >= 0. */
static float ceil_float(double x) {
  const float f = (float)x;
  return (double)f < x ? nextafterf(f, INFINITY) : f;
}

float xf_int8_scale(const float *x, size_t n) {
  float max = 0;
  for (size_t i = 0; i < n; i++) max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
  return ceil_float((double)max / XF_INT8_MAX);
}

int xf_int8_round(float x, float scale, double u) {
  if (!(scale > 0)) return 0;
  const double q = floor((double)x / (double)scale + u);
  return q > XF_INT8_MAX ? XF_INT8_MAX : q < -XF_INT8_MAX ? -XF_INT8_MAX : (int)q;
}

float xf_int8_value(int q, float scale) { return (float)q * scale; }

float xf_qsgd_norm(const float *x, size_t n) { return ceil_float(sqrt(xf_vec_norm2(x, n))); }

int xf_qsgd_round(float x, float norm, uint32_t s, double u) {
  if (!(norm > 0)) return 0;
  const double at = (double)s * fabs((double)x) / (double)norm;
  int level = (int)at;
  if (u < at - level) level++;
  if (level > (int)s) level = (int)s;
  return x < 0 ? -level : level;
}

float xf_qsgd_value(int level, float norm, uint32_t s) {
  return (float)((double)norm * level / (double)s);
}

unsigned xf_qsgd_bits(uint32_t s) {
  unsigned bits = 1;
  while (1u << bits <= 2 * s) bits++;
  return bits;
}
