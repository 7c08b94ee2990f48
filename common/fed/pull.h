/*
 * pull.h - what a silo makes of a committed aligned row: a prior for its own row.
 *
 * The coordinator averages the rows of their n holders (row rule `pull` and `average` alike). Under
 * `pull` the silo takes its own row out again and shrinks what is left:
 *   m = (n g - own) / (n - 1),   prior = kappa m
 * and its local objective has lambda |p - prior|^2. Exact when all holders reported with equal weight
 * and `own` is the row this silo sent. Under `average` the silo takes g itself.
 *
 * Not for: the coordinator (fold.h). Thread: any. Owner: the caller's arrays.
 * @source docs/ALGORITHMS.md "aligned rows"
 */
#ifndef XF_FED_PULL_H
#define XF_FED_PULL_H

#include <stddef.h>
#include <stdint.h>

/* prior <- kappa times the mean of the other holders' rows; 0 with fewer holders than
   max(2, min_holders). Computed in double, prior may be either input.
   @shape prior[cols], global_row[cols], own_row[cols] */
void xf_pull_prior(float *prior, const float *global_row, const float *own_row, size_t cols,
                   uint32_t holders, uint32_t min_holders, double kappa);

#endif
