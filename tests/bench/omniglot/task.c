// Data, tasks as rows of a net, and how well a start does after adapting.
#include "omni.h"

#include "base/alloc.h"
#include "data/omniglot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint32_t RECORD[N_RECORD] = {1, 3, 5, 10, 20};

static int load(struct world *w) {
  char images[1024], list[1024];
  const char *root = getenv("CROSSFED_DATA");
  if (!root) root = "../shared/data";
  (void)snprintf(images, sizeof images, "%s/omniglot-small/omniglot-small-105.idx3-ubyte.gz", root);
  (void)snprintf(list, sizeof list, "%s/omniglot-small/omniglot-small-classes.tsv.gz", root);
  const enum xf_rc rc = xf_omniglot_load(&w->table, images, list, SIDE, &diag);
  if (rc) return fail("data") + (rc == XF_E_NOTFOUND ? 76 : 0);
  if (xf_omniglot_split(&w->table, 2, 2, &diag)) return fail("alphabets");
  const struct xf_episode_spec most = {WAYS, 5, QUERIES};
  for (int p = 0; p < XF_N_PART; p++)
    if (xf_episodes_init(&w->tasks[p], &w->table, (enum xf_part)p, &diag) ||
        xf_episodes_check(&w->tasks[p], &most, &diag))
      return fail("tasks");
  return 0;
}

static int open_model(struct world *w) {
  const struct xf_model_config config = {.kind = XF_MODEL_CONV4,
                                         .loss = XF_LOSS_SOFTMAX,
                                         .bias = true,
                                         .n_in = PIXELS,
                                         .n_out = WAYS,
                                         .activation = XF_ACT_RELU};
  const struct xf_model_loss loss = {.episode = true};
  if (xf_model_new(&w->model, &config, (struct xf_model_size){0}, &diag)) return fail("model");
  w->layout = xf_model_get_layout(w->model);
  w->n = (size_t)w->layout->n;
  w->body =
      (size_t)w->layout->seg[w->layout->n_seg - 2].offset; // before weights and bias of the head
  if (xf_model_net_loss(&w->net, w->model, &loss, &diag) ||
      xf_model_net_loss(&w->twin, w->model, &loss, &diag))
    return fail("graph");
  struct xf_nnplan_spec spec = {.loss = w->net.loss, .train = true};
  spec.max[XF_SYM_ONE] = 1;
  spec.max[XF_SYM_B] = ROWS_MAX;
  if (xf_nnplan_new(&w->learn, w->net.graph, &spec, &diag)) return fail("plan");
  spec.train = false;
  spec.outputs[0] = w->net.score;
  spec.n_output = 1;
  if (xf_nnplan_new(&w->ask, w->net.graph, &spec, &diag)) return fail("plan");
  w->init = xf_calloc(w->n, sizeof *w->init);
  w->grad = xf_calloc(w->n, sizeof *w->grad);
  w->theta = xf_calloc(w->n, sizeof *w->theta);
  struct xf_rng rng;
  xf_rng_init(&rng, w->seed, 1);
  const struct xf_model_seed init = {.shared = &rng};
  return xf_model_init(w->model, w->init, &init, &diag) ? fail("initial values") : 0;
}

int open_world(struct world *w, uint64_t seed) {
  w->seed = seed;
  const int bad = load(w);
  return bad ? bad : open_model(w);
}

void close_world(struct world *w) {
  xf_nnplan_free(w->learn);
  xf_nnplan_free(w->ask);
  xf_model_net_deinit(&w->net);
  xf_model_net_deinit(&w->twin);
  xf_model_free(w->model);
  for (int p = 0; p < XF_N_PART; p++) xf_episodes_deinit(&w->tasks[p]);
  xf_table_deinit(&w->table);
  xf_free(w->init);
  xf_free(w->grad);
  xf_free(w->theta);
}

void put_task(struct world *w, const struct xf_episode_spec *spec, const uint32_t *support,
              const uint32_t *query) {
  struct task *t = &w->task;
  const uint32_t s = t->n_support = spec->ways * spec->shots,
                 q = t->n_query = spec->ways * spec->queries;
  xf_table_gather(&w->table, support, s, t->x);
  xf_table_gather(&w->table, support, s, t->x + (size_t)s * PIXELS);
  xf_table_gather(&w->table, query, q, t->x + (size_t)2 * s * PIXELS);
  for (uint32_t i = 0; i < 2 * s + q; i++) {
    const bool asked = i >= 2 * s;
    t->class_of[i] = (int32_t)(asked ? (i - 2 * s) / spec->queries : i % s / spec->shots);
    t->norm[i] = asked ? 0 : 1 / (float)s;
    t->weight[i] = asked ? 1 / (float)q : i < s ? 1 / (float)s : 0;
  }
}

/* The plan reads the task from row `from`. */
static void set_rows(const struct world *w, struct xf_nnplan *plan, uint32_t from) {
  const struct task *t = &w->task;
  xf_nnplan_set_input(plan, w->net.feed[XF_FEED_X], t->x + (size_t)from * PIXELS);
  xf_nnplan_set_input(plan, w->net.feed[XF_FEED_CLASS], t->class_of + from);
  xf_nnplan_set_input(plan, w->net.feed[XF_FEED_NORM], t->norm + from);
  xf_nnplan_set_input(plan, w->net.feed[XF_FEED_WEIGHT], t->weight + from);
}

int step(struct world *w, float *params, struct xf_optim *optim, bool head, double *loss) {
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = w->task.n_support};
  size_t n = 0, first = 0;
  set_rows(w, w->learn, 0);
  if (xf_nnplan_run(w->learn, params, w->grad, extent, &diag)) return fail("step");
  if (loss) *loss = xf_nnplan_get_loss(w->learn);
  const struct xf_grad_piece *piece = xf_nnplan_get_pieces(w->learn, &n);
  while (head && first < n && piece[first].seg->offset < w->body) first++;
  xf_optim_step(optim, params, piece + first, n - first);
  return 0;
}

int task_optim(struct xf_optim **out, const struct world *w, bool adam, double lr) {
  struct xf_optim_config config = xf_optim_default(adam ? XF_OPTIM_ADAM : XF_OPTIM_SGD, (float)lr);
  config.beta1 = 0;
  return xf_optim_new(out, &config, w->layout, &diag) ? fail("optimiser") : 0;
}

/* Share of the query that params get right. */
static int ask(struct world *w, const float *params, double *acc) {
  const struct task *t = &w->task;
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = t->n_support + t->n_query};
  set_rows(w, w->ask, t->n_support);
  if (xf_nnplan_run(w->ask, params, NULL, extent, &diag)) return fail("query");
  const float *z = xf_nnplan_get(w->ask, w->net.score, NULL, NULL);
  uint32_t right = 0;
  for (uint32_t i = 0; i < t->n_query; i++) {
    const float *row = z + (size_t)(t->n_support + i) * WAYS;
    const int32_t is = t->class_of[2 * t->n_support + i];
    bool best = true; // of equal ones none is right
    for (int32_t c = 0; c < WAYS; c++) best &= c == is || row[c] < row[is];
    right += best;
  }
  *acc = (double)right / t->n_query;
  return 0;
}

/* The fixed episode number `e` of a part: alphabets take turns; stream and tasks depend on nothing else. */
static void fixed_episode(struct world *w, enum xf_part part, uint32_t shots, uint32_t e) {
  const struct xf_episode_spec spec = {WAYS, shots, QUERIES};
  uint32_t support[ROWS_MAX], query[ROWS_MAX];
  struct xf_rng rng;
  xf_rng_init(&rng, 53, e);
  xf_episodes_draw(&w->tasks[part], &spec, e % w->tasks[part].n_client, &rng, support, query);
  put_task(w, &spec, support, query);
}

int judge(struct world *w, const float *start, const struct adapt *how, enum xf_part part,
          uint32_t shots, uint32_t n, bool last, double *acc) {
  struct xf_optim *optim = NULL;
  int bad = task_optim(&optim, w, how->adam, how->lr);
  for (uint32_t e = 0; !bad && e < n; e++) {
    fixed_episode(w, part, shots, e);
    xf_optim_reset(optim);
    memcpy(w->theta, start, w->n * sizeof *start);
    for (uint32_t k = 1, r = 0; !bad && r < how->n_record; k++) {
      bad = step(w, w->theta, optim, how->head, NULL);
      if (bad || k < RECORD[r]) continue;
      if (!last) bad = ask(w, w->theta, &acc[e * how->n_record + r]);
      r++;
    }
    if (!bad && last) bad = ask(w, w->theta, &acc[e]);
  }
  xf_optim_free(optim);
  return bad;
}

int judge_pixels(struct world *w, enum xf_part part, uint32_t shots, uint32_t n, double *acc) {
  const struct task *t = &w->task;
  for (uint32_t e = 0; e < n; e++) {
    uint32_t right = 0;
    fixed_episode(w, part, shots, e);
    for (uint32_t q = 2 * t->n_support; q < 2 * t->n_support + t->n_query; q++) {
      uint32_t nearest = 0;
      double least = 0;
      for (uint32_t s = 0; s < t->n_support; s++) {
        double d = 0;
        for (uint32_t p = 0; p < PIXELS; p++) {
          const double by = (double)(t->x[q * PIXELS + p] - t->x[s * PIXELS + p]);
          d += by * by;
        }
        if (s == 0 || d < least) {
          least = d;
          nearest = s;
        }
      }
      right += t->class_of[nearest] == t->class_of[q];
    }
    acc[e] = (double)right / t->n_query;
  }
  return 0;
}
