/* The arms of the table: a start, and how a user's support changes it. */
#ifndef COLDRATINGS_JUDGE_H
#define COLDRATINGS_JUDGE_H

#include "cold.h"

/* X(NAME, text, start, how): NONE the mean of all ratings; ITEM the item's mean; USER that and the user's mean residual, shrunk;
   ALL, HEAD steps on all or the last layer; BIAS, RIDGE solve for the last bias or the last layer, CENTRED with
   its inputs less their mean over the learning users. Arms of one start follow each
   other. */
#define ARM_LIST(X)                                       \
  X(MEAN, "mean", SCRATCH, NONE)                          \
  X(ITEM, "item mean", SCRATCH, ITEM)                     \
  X(USER, "item and user mean", SCRATCH, USER)            \
  X(SCRATCH, "scratch", SCRATCH, ALL)                     \
  X(JOINT, "joint", JOINT, ALL)                           \
  X(BIAS, "joint, bias", JOINT, BIAS)                     \
  X(RIDGE, "joint, ridge head", JOINT, RIDGE)             \
  X(CENTRED, "joint, centred ridge head", JOINT, CENTRED) \
  X(FEDAVG, "fedavg", FEDAVG, ALL)                        \
  X(REPTILE, "reptile", REPTILE, ALL)                     \
  X(FOMAML, "fomaml", FOMAML, ALL)                        \
  X(MAML, "maml", MAML, ALL)                              \
  X(ANIL, "anil, all layers", ANIL, ALL)                  \
  X(ANIL_HEAD, "anil, head", ANIL, HEAD)
enum how { HOW_NONE, HOW_ITEM, HOW_USER, HOW_ALL, HOW_HEAD, HOW_BIAS, HOW_RIDGE, HOW_CENTRED };
enum arm {
#define ARM_ENUM(n, t, s, h) ARM_##n,
  ARM_LIST(ARM_ENUM)
#undef ARM_ENUM
      N_ARM
};

enum { N_STEPS = 6, N_PARAM_MAX = 16384, CHOICES_MAX = 6 };
static const uint32_t STEPS[N_STEPS] = {0, 1, 2, 5, 10, 20};

/* @own static */
const char *arm_name(enum arm arm);
enum start arm_start(enum arm arm);
/* How many rates or penalties there are to choose from, and the c-th. */
uint32_t arm_choices(enum arm arm);
double arm_choice(enum arm arm, uint32_t c);
/* Squared errors, summed over the rows behind the first SUPPORT, after 0, 1, 2 .. steps on the first n_support. What takes no
   steps gives the same after each. */
XF_WARN_UNUSED enum xf_rc arm_judge(enum arm arm, uint32_t choice, struct learner *l,
                                    const float *w, const struct task *t, double sse[N_STEPS],
                                    struct xf_diag *diag);

#endif
