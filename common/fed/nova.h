/*
 * nova.h - FedNova: what a silo's local steps weigh together.
 *
 *   |a|_1 of plain steps           tau
 *   with momentum rho              (tau - rho (1 - rho^tau) / (1 - rho)) / (1 - rho)
 *   with a proximal term mu        (1 - (1 - lr mu)^tau) / (lr mu)
 *
 * Silos send D_k / |a_k|_1 and |a_k|_1; the coordinator's step is (mean |a|_1) (mean D / |a|_1): resolve/stagefold.h.
 * Thread: any. Deterministic: products in one order, no libm.
 * @source Wang et al. 2020, "Tackling the objective inconsistency problem in heterogeneous federated optimization", section 4, eq. 7
 */
#ifndef XF_FED_NOVA_H
#define XF_FED_NOVA_H

#include <stdint.h>

/* |a|_1 of `steps` local steps. momentum in [0, 1), decay = lr mu in [0, 1); one of them is 0. @thread any */
double xf_nova_norm(uint64_t steps, double momentum, double decay);

#endif
