/* Cold raters of MovieLens-100K: the data, a split of its users, tasks, and the starts that are learned on them. */
#ifndef COLDRATINGS_COLD_H
#define COLDRATINGS_COLD_H

#include "base/rng.h"
#include "data/interactions.h"
#include "model/net.h"

enum {
  SUPPORT = 10,
  QUERY = 40,
  TASK = SUPPORT + QUERY,
  N_USER_X = 2 + 7 + 21, /* gender, age group, occupation */
  N_GENRE = 19,
  N_ITEM_X = N_GENRE + 8 + 2, /* genres, decade, mean, log count; then the factors */
  N_FACTOR = 8,
  N_IN = N_USER_X + N_ITEM_X + N_FACTOR,
  WIDTH = 64,
  META_USERS = 660,
  VALID_USERS = 94
};

struct world {
  struct xf_interactions inter;
  uint32_t *from, *event;       /* events of user u: event[from[u]] .. event[from[u + 1] - 1] */
  float (*user_x)[N_USER_X];    /* [users] */
  float (*item_x)[N_GENRE + 8]; /* [items] */
};

/* Users in a seeded order: 660 to learn from, 94 to choose by, the others. Everything about items is of the first. */
struct split {
  const struct world *world;
  uint64_t seed;
  uint32_t *user;                       /* [users] */
  bool *learns;                         /* [users] among the first */
  double mean;                          /* of all ratings */
  double *sum;                          /* [items] of rating - mean */
  uint32_t *count;                      /* [items] */
  float (*item_x)[N_ITEM_X + N_FACTOR]; /* [items] */
};

/* Ratings of one user; the first n_support to adapt by, the others to judge by. */
struct task {
  uint32_t n, n_support;
  float x[TASK * N_IN], y[TASK]; /* y: rating - mean */
  float item[TASK];              /* the item's shrunk mean - mean */
};

/* Reads u.data, u.user and u.item of a folder. @own world */
XF_WARN_UNUSED enum xf_rc world_load(struct world *world, const char *folder, struct xf_diag *diag);
void world_deinit(struct world *world);
/* @own split; world is borrowed */
XF_WARN_UNUSED enum xf_rc split_init(struct split *split, const struct world *world, uint64_t seed,
                                     struct xf_diag *diag);
void split_deinit(struct split *split);
/* Up to 50 of a user's ratings, drawn by rng; support ratings are the first 10. The mean of an item that a learning user rated is
   the others', as it is for a cold user. */
void split_task(const struct split *split, uint32_t user, struct xf_rng *rng, struct task *task);

#define START_LIST(X)   \
  X(SCRATCH, "scratch") \
  X(JOINT, "joint")     \
  X(FEDAVG, "fedavg") X(REPTILE, "reptile") X(FOMAML, "fomaml") X(MAML, "maml") X(ANIL, "anil")
enum start {
#define START_ENUM(n, t) START_##n,
  START_LIST(START_ENUM)
#undef START_ENUM
      N_START
};

struct recipe {
  uint32_t iterations, users; /* outer; users an iteration */
  double outer, inner;        /* rates: Adam; inner SGD */
  uint32_t meta_steps, local_steps, batch;
};

/* A net of its own: 67-64-64-1, relu, squared error; a plan of up to 50 rows. */
struct learner {
  struct xf_model *model,
      *trunk; /* trunk: up to the last hidden layer, whose parameters are the first of model */
  struct xf_model_net net, twin, score, hidden;
  struct xf_nnplan *plan, *score_plan, *hidden_plan;
  size_t n;           /* parameters */
  float *grad;        /* [n] */
  double mean[WIDTH]; /* of the last hidden layer, over the learning users' rows at the start */
};
/* @own learner */
XF_WARN_UNUSED enum xf_rc learner_init(struct learner *learner, struct xf_diag *diag);
void learner_deinit(struct learner *learner);
/* Gradient step of lr on n rows. @shape params[n] */
XF_WARN_UNUSED enum xf_rc learner_step(struct learner *l, float *params, const float *x,
                                       const float *y, uint32_t n, double lr, bool head,
                                       struct xf_diag *diag);
/* The last hidden layer of n rows. @shape out[n x WIDTH] */
XF_WARN_UNUSED enum xf_rc learner_hidden(struct learner *l, const float *params, const float *x,
                                         uint32_t n, float *out, struct xf_diag *diag);
/* Learns a start on the split's first users. @shape w[n] */
XF_WARN_UNUSED enum xf_rc learner_start(struct learner *l, const struct split *split,
                                        enum start start, const struct recipe *recipe, float *w,
                                        struct xf_diag *diag);

#endif
