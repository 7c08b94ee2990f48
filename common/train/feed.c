#include "train/feed.h"

#include "base/alloc.h"
#include "data/sampler.h"

#include <string.h>

/* A zeroed array of n elements when the feed is used; false when memory is short. */
static bool buffer(void *array, const struct xf_model_net *net, enum xf_feed feed, size_t n,
                   size_t size) {
  void *p = NULL;
  if (net->feed[feed] != XF_NO_NODE) {
    p = xf_try_calloc(n + 1, size);
    if (!p) return false;
  }
  memcpy(array, &p, sizeof p);
  return true;
}

enum xf_rc xf_feeder_init(struct xf_feeder *feeder, const struct xf_model *model,
                          const struct xf_model_net *net, uint32_t max_batch,
                          uint32_t max_samples) {
  const size_t rows = (size_t)max_batch * net->group;
  const size_t row_len = net->pulled ? net->pulled->cols : 0;
  *feeder = (struct xf_feeder){.model = model, .net = net, .max_batch = max_batch};
  bool ok =
      buffer(&feeder->user, net, XF_FEED_USER, rows, sizeof(int32_t)) &&
      buffer(&feeder->item, net, XF_FEED_ITEM, rows, sizeof(int32_t)) &&
      buffer(&feeder->neg, net, XF_FEED_NEG, rows, sizeof(int32_t)) &&
      buffer(&feeder->class_, net, XF_FEED_CLASS, max_batch, sizeof(int32_t)) &&
      buffer(&feeder->y, net, XF_FEED_Y, rows, sizeof(float)) &&
      buffer(&feeder->x, net, XF_FEED_X, rows, xf_model_get_config(model)->n_in * sizeof(float)) &&
      buffer(&feeder->prior, net, XF_FEED_PRIOR, rows, row_len * sizeof(float)) &&
      buffer(&feeder->row, net, XF_FEED_X, max_samples, sizeof(uint32_t)) &&
      buffer(&feeder->step, net, XF_FEED_STEP, rows, sizeof(int32_t)) &&
      buffer(&feeder->mask, net, XF_FEED_MASK, rows, sizeof(int32_t)) &&
      buffer(&feeder->weight, net, XF_FEED_WEIGHT, rows, sizeof(float)) &&
      buffer(&feeder->chunk, net, XF_FEED_MASK, max_samples, sizeof *feeder->chunk) &&
      buffer(&feeder->order, net, XF_FEED_MASK, max_batch, sizeof *feeder->order);
  if (ok) return XF_OK;
  xf_feeder_deinit(feeder);
  return XF_E_NOMEM;
}

void xf_feeder_deinit(struct xf_feeder *feeder) {
  xf_free(feeder->user);
  xf_free(feeder->item);
  xf_free(feeder->neg);
  xf_free(feeder->class_);
  xf_free(feeder->y);
  xf_free(feeder->x);
  xf_free(feeder->prior);
  xf_free(feeder->row);
  xf_free(feeder->step);
  xf_free(feeder->mask);
  xf_free(feeder->weight);
  xf_free(feeder->chunk);
  xf_free(feeder->order);
  *feeder = (struct xf_feeder){0};
}

void xf_feeder_attach(const struct xf_feeder *feeder, struct xf_nnplan *plan) {
  const void *of[XF_N_FEED] = {[XF_FEED_USER] = feeder->user,   [XF_FEED_ITEM] = feeder->item,
                               [XF_FEED_NEG] = feeder->neg,     [XF_FEED_CLASS] = feeder->class_,
                               [XF_FEED_Y] = feeder->y,         [XF_FEED_X] = feeder->x,
                               [XF_FEED_PRIOR] = feeder->prior, [XF_FEED_STEP] = feeder->step,
                               [XF_FEED_MASK] = feeder->mask,   [XF_FEED_WEIGHT] = feeder->weight};
  for (int f = 0; f < XF_N_FEED; f++)
    if (feeder->net->feed[f] != XF_NO_NODE) xf_nnplan_set_input(plan, feeder->net->feed[f], of[f]);
}

enum xf_rc xf_feed_check_table(const struct xf_model_config *c, const struct xf_table *t,
                               struct xf_diag *diag) {
  if (t->n_in != c->n_in)
    return xf_diag_set(diag, XF_E_SHAPE, "the table has %u inputs, the plan's model %u", t->n_in,
                       c->n_in);
  if (c->loss == XF_LOSS_SOFTMAX && (t->n_class == 0 || t->n_class > c->n_out))
    return xf_diag_set(diag, XF_E_SHAPE, "labels must be classes 0 .. %u; the table has %u classes",
                       c->n_out - 1, t->n_class);
  if (c->loss == XF_LOSS_BCE && t->n_class > 2)
    return xf_diag_set(diag, XF_E_SHAPE, "loss bce needs labels 0 and 1; the table has %u classes",
                       t->n_class);
  for (size_t i = 0; c->loss == XF_LOSS_BCE && t->n_class == 0 && i < t->n; i++)
    if (!(t->y[i] >= 0 && t->y[i] <= 1))
      return xf_diag_set(diag, XF_E_SHAPE, "loss bce needs labels 0 and 1; the table has %g",
                         (double)t->y[i]);
  return XF_OK;
}

static enum xf_rc check_split(const struct xf_feeder *f, const struct xf_split *s,
                              struct xf_diag *diag) {
  const struct xf_model_size size = xf_model_get_size(f->model);
  if (s->n_users != size.n_users || s->n_items != size.n_items)
    return xf_diag_set(diag, XF_E_SHAPE, "the data have %u users and %u items, the model %u and %u",
                       s->n_users, s->n_items, size.n_users, size.n_items);
  if (xf_model_get_config(f->model)->loss == XF_LOSS_MSE && !s->part[XF_PART_TRAIN].value)
    return xf_diag_set(diag, XF_E_INVAL,
                       "loss mse needs values; the interactions have no column of "
                       "them");
  return XF_OK;
}

static enum xf_rc check_lists(const struct xf_feeder *f, const struct xf_listset *l,
                              struct xf_diag *diag) {
  const struct xf_model_config *c = xf_model_get_config(f->model);
  if (l->n_in != c->n_in)
    return xf_diag_set(diag, XF_E_SHAPE, "the lists have %u features, the plan's model.n_in is %u",
                       l->n_in, c->n_in);
  if (l->n_list != f->net->group)
    return xf_diag_set(diag, XF_E_SHAPE,
                       "the lists have %u candidates; with local.negatives %u they must have %u",
                       l->n_list, f->net->group - 1, f->net->group);
  return XF_OK;
}

static enum xf_rc check_data(const struct xf_feeder *f, const struct xf_dataset *data,
                             struct xf_diag *diag) {
  switch (data->kind) {
  case XF_DATASET_INTERACTIONS: return check_split(f, &data->split, diag);
  case XF_DATASET_TABLE:
    return xf_feed_check_table(xf_model_get_config(f->model), &data->table, diag);
  case XF_DATASET_LISTS: return check_lists(f, &data->lists, diag);
  case XF_DATASET_SEQUENCES: return xf_feeder_check_chunks(f, &data->seqs, diag);
  }
  return XF_E_INVAL;
}

/* Rows of a table or lists that are train. */
static void list_rows(struct xf_feeder *f, const struct xf_dataset *data) {
  const bool lists = data->kind == XF_DATASET_LISTS;
  const uint8_t *part = lists ? data->lists.part : data->table.part;
  const size_t n = lists ? data->lists.n : data->table.n;
  uint32_t at = 0;
  for (size_t i = 0; i < n; i++)
    if (part[i] == XF_PART_TRAIN) f->row[at++] = (uint32_t)i;
}

enum xf_rc xf_feeder_start(struct xf_feeder *feeder, const struct xf_dataset *data,
                           uint32_t max_samples, uint32_t *n_samples, struct xf_diag *diag) {
  const enum xf_dataset_kind eats = xf_model_get_data(feeder->model);
  *n_samples = 0;
  if (eats != data->kind)
    return xf_diag_set(diag, XF_E_SHAPE, "the model eats %s, the silo's data are %s",
                       xf_dataset_name(eats), xf_dataset_name(data->kind));
  const size_t n = xf_model_samples(feeder->model, data, XF_PART_TRAIN);
  if (n > max_samples)
    return xf_diag_set(diag, XF_E_LIMIT, "%zu train samples, but the trainer was made for %u", n,
                       max_samples);
  const enum xf_rc rc = check_data(feeder, data, diag);
  if (rc) return rc;
  if (data->kind == XF_DATASET_TABLE || data->kind == XF_DATASET_LISTS) list_rows(feeder, data);
  if (data->kind == XF_DATASET_SEQUENCES)
    (void)xf_seqset_chunks(&data->seqs, XF_PART_TRAIN, xf_model_get_config(feeder->model)->steps,
                           feeder->chunk);
  *n_samples = (uint32_t)n;
  return XF_OK;
}

static void fill_prior(const struct xf_feeder *f, const struct xf_feed_task *task, uint32_t row,
                       uint32_t user) {
  const size_t d = f->net->pulled->cols;
  float *to = f->prior + (size_t)row * d;
  if (!task->prior || (task->held && !task->held[user])) {
    memset(to, 0, d * sizeof *to);
    return;
  }
  const float *from = task->prior + f->net->pulled->offset + (size_t)user * d;
  for (size_t k = 0; k < d; k++) to[k] = task->kappa * from[k];
}

static void fill_event(struct xf_feeder *f, const struct xf_feed_task *task, uint32_t b,
                       uint32_t id) {
  const struct xf_split *s = &task->data->split;
  const struct xf_csr *train = &s->part[XF_PART_TRAIN];
  const uint32_t user = s->train_user[id], item = train->item[id], group = f->net->group;
  const bool values = xf_model_get_config(f->model)->loss == XF_LOSS_MSE;
  for (uint32_t g = 0; g < group; g++) {
    const uint32_t row = b * group + g;
    f->user[row] = (int32_t)user;
    f->item[row] = (int32_t)item;
    if (f->neg) f->neg[row] = (int32_t)xf_sampler_negative(task->negative, train, s->n_items, user);
    else if (g > 0)
      f->item[row] = (int32_t)xf_sampler_negative(task->negative, train, s->n_items, user);
    if (f->y) f->y[row] = values ? train->value[id] : (g == 0 ? 1.0f : 0.0f);
    if (f->prior) fill_prior(f, task, row, user);
  }
  if (f->class_) f->class_[b] = 0;
}

static void fill_lists(struct xf_feeder *f, const struct xf_listset *l, const uint32_t *ids,
                       uint32_t n) {
  const size_t size = xf_listset_size(l);
  for (uint32_t b = 0; b < n; b++) {
    memcpy(f->x + b * size, l->x + f->row[ids[b]] * size, size * sizeof *f->x);
    f->class_[b] = 0;
  }
}

void xf_feeder_fill(struct xf_feeder *feeder, const struct xf_feed_task *task, const uint32_t *ids,
                    uint32_t n) {
  if (task->data->kind == XF_DATASET_INTERACTIONS) {
    for (uint32_t b = 0; b < n; b++) fill_event(feeder, task, b, ids[b]);
    return;
  }
  if (task->data->kind == XF_DATASET_LISTS) {
    fill_lists(feeder, &task->data->lists, ids, n);
    return;
  }
  if (task->data->kind == XF_DATASET_SEQUENCES) {
    xf_feeder_fill_chunks(feeder, &task->data->seqs, ids, n);
    return;
  }
  const struct xf_table *t = &task->data->table;
  for (uint32_t b = 0; b < n; b++) {
    const uint32_t row = feeder->row[ids[b]];
    xf_table_gather(t, &row, 1, feeder->x + (size_t)b * t->n_in);
    if (feeder->y) feeder->y[b] = t->y[row];
    if (feeder->class_) feeder->class_[b] = (int32_t)t->y[row];
  }
}
