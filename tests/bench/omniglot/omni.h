// What the files of this program share: the data with their tasks, the net of an episode, starts and how they are adapted.
#ifndef OMNIGLOT_OMNI_H
#define OMNIGLOT_OMNI_H

#include "data/episode.h"
#include "model/net.h"
#include "nn/optim.h"

enum { SIDE = 28, PIXELS = SIDE * SIDE, WAYS = 5, QUERIES = 15, EPISODES = 600, ROWS_MAX = 128 };
enum { N_RECORD = 5 };
extern const uint32_t RECORD[N_RECORD]; // steps after which accuracy is taken

// A task's rows as the net of an episode takes them: the support, the support once more for its statistics, the query. Run over the
// first, it learns; over the others, it asks: the query is normalised by the support alone, whatever else is asked.
struct task {
  uint32_t n_support, n_query;
  float x[ROWS_MAX * PIXELS], norm[ROWS_MAX], weight[ROWS_MAX];
  int32_t class_of[ROWS_MAX];
};

struct world {
  struct xf_table table;
  struct xf_episodes tasks[XF_N_PART]; // by part
  struct xf_model *model;              // n_out WAYS
  struct xf_model_net net, twin;       // of an episode
  struct xf_nnplan *learn, *ask;
  const struct xf_layout *layout;
  size_t n, body; // parameters; those before the head
  float *init;    // [n] initial values of the seed
  uint64_t seed;
  struct task task;
  float *grad, *theta; // [n]
};

// How a start is adapted to a task's support, all of it in each step.
struct adapt {
  bool adam, head; // Adam with beta1 0, else plain descent; the head alone
  double lr;
  uint32_t n_record; // steps: RECORD[n_record - 1]
};

// Data, model and initial values. 77: no data.
int open_world(struct world *w, uint64_t seed);
void close_world(struct world *w);
// Fills w->task.
void put_task(struct world *w, const struct xf_episode_spec *spec, const uint32_t *support,
              const uint32_t *query);
// One step on the support at params with an optimiser; head: the head alone. Gives the loss before.
int step(struct world *w, float *params, struct xf_optim *optim, bool head, double *loss);
// Optimiser of a task's steps. @own caller
int task_optim(struct xf_optim **out, const struct world *w, bool adam, double lr);
// Adapts a start to n fixed episodes of a part: accuracy of each after RECORD[r] steps, for r < how->n_record, or with `last` after
// the last of these steps only. @shape acc[n x how->n_record], of last acc[n]
int judge(struct world *w, const float *start, const struct adapt *how, enum xf_part part,
          uint32_t shots, uint32_t n, bool last, double *acc);
// Accuracy of the nearest support image. @shape acc[n]
int judge_pixels(struct world *w, enum xf_part part, uint32_t shots, uint32_t n, double *acc);

// Starts. @shape start[n]
int learn_maml(struct world *w, bool exact, uint32_t iters, float *start);
int learn_reptile(struct world *w, uint32_t iters, float *start);
int learn_fedavg(struct world *w, uint32_t rounds, float *start);

double setting(const char *name, double value);
int fail(const char *what);
extern struct xf_diag diag;

#endif
