/*
 * control.h - SCAFFOLD on a silo, one coordinate: control variates c of all silos, c_k of this one.
 *
 *   y <- y - lr (g(y) + c - c_k)                     `steps` plain steps from the model w (struct xf_train_job, shift)
 *   c_k <- c_k - c + (w - y) / (steps lr)            option II: the mean gradient along the way
 *
 * Not for: c, which the coordinator moves by the mean change of c_k (resolve/stagefold.h). Thread: any.
 * @source Karimireddy et al. 2020, "SCAFFOLD: Stochastic controlled averaging for federated learning", algorithm 1, eq. 4 (ii)
 */
#ifndef XF_TRAIN_CONTROL_H
#define XF_TRAIN_CONTROL_H

/* c_k after the steps; moved = w - y, way = steps lr, above 0. @unit gradient @thread any */
static inline double xf_control_next(double own, double all, double moved, double way) {
  return own - all + moved / way;
}

#endif
