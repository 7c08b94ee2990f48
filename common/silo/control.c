/* SCAFFOLD: a task's steps are corrected by control variates; what leaves is the change of the shared parameters, then that of
   this silo's control variates. Those are personal state: a task repeated after a crash starts from the same ones. */
#include "train/control.h"
#include "base/alloc.h"
#include "silo/parts.h"

#include <string.h>

enum xf_rc silo_control_init(struct xf_silo *s) {
  s->n_tail = s->model && xf_model_get_nova(s->model) ? 1 : 0;
  if (!xf_model_get_counted(s->model)) return XF_OK;
  struct xf_model_control c;
  for (size_t k = 0; xf_model_get_control(s->model, k, &c); k++) s->n_tail += xf_segment_len(c.all);
  s->shift = xf_try_calloc(s->layout->n, sizeof(float));
  s->start = xf_try_calloc(s->layout->n, sizeof(float));
  return s->shift && s->start ? XF_OK : XF_E_NOMEM;
}

void silo_control_begin(struct xf_silo *s, struct xf_train_job *job) {
  struct xf_model_control c;
  memcpy(s->start, s->task, s->layout->n * sizeof *s->start);
  for (size_t k = 0; xf_model_get_control(s->model, k, &c); k++)
    for (uint64_t j = 0; j < xf_segment_len(c.of); j++)
      s->shift[c.of->offset + j] = s->start[c.all->offset + j] - s->start[c.own->offset + j];
  job->start = s->start;
  job->shift = s->shift;
}

void silo_control_end(struct xf_silo *s, const struct xf_silo_task *task,
                      const struct xf_train_job *job, struct xf_silo_answer *a) {
  const uint64_t counted = xf_model_get_counted(s->model)->offset;
  const double way = (double)job->n_steps * (double)job->lr;
  const float *w = s->start;
  struct xf_model_control c;
  /* the coordinator's control variates have in them what an earlier state of this silo sent: they stay as they are */
  a->uncounted = w[counted] != (float)task->offer.counted;
  float *change = s->wire + (s->map.n_shared - s->n_tail);
  for (size_t k = 0; xf_model_get_control(s->model, k, &c); k++)
    for (uint64_t j = 0; j < xf_segment_len(c.of); j++) {
      const double own = (double)w[c.own->offset + j];
      const double moved = (double)w[c.of->offset + j] - (double)s->task[c.of->offset + j];
      const double next = xf_control_next(own, (double)w[c.all->offset + j], moved, way);
      s->task[c.own->offset + j] = (float)next;
      *change++ = a->uncounted ? 0 : (float)(next - own);
    }
  s->task[counted] = (float)(task->offer.counted + 1);
}
