#include "fed/nova.h"

#include "fed/schedule.h"

double xf_nova_norm(uint64_t steps, double momentum, double decay) {
  const double tau = (double)steps;
  if (momentum > 0) {
    const double rest = 1 - momentum;
    return (tau - momentum * (1 - xf_schedule_power(momentum, steps)) / rest) / rest;
  }
  return decay > 0 ? (1 - xf_schedule_power(1 - decay, steps)) / decay : tau;
}
