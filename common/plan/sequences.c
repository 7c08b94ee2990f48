/* Plans over sequences: what goes together. */
#include "plan/stages.h"

#define REFUSE(...) return xf_diag_set(diag, XF_E_CONFIG, __VA_ARGS__)

enum { LETTERS = 96 };

bool xf_plan_models_sequences(const struct xf_plan *plan) {
  return plan->model.kind == XF_PLAN_MODEL_DKT || plan->model.kind == XF_PLAN_MODEL_CHAR_LSTM ||
         plan->model.kind == XF_PLAN_MODEL_CHAR_GRU;
}

bool xf_plan_has_sequences(const struct xf_plan *plan) {
  return plan->data.kind == XF_PLAN_DATA_ANSWERS || plan->data.kind == XF_PLAN_DATA_TEXT;
}

static enum xf_rc check_sizes(const struct xf_plan *plan, struct xf_diag *diag) {
  const char *kind = xf_plan_model_text(plan->model.kind);
  const bool dkt = plan->model.kind == XF_PLAN_MODEL_DKT;
  if (plan->model.loss != (dkt ? XF_PLAN_LOSS_BCE : XF_PLAN_LOSS_SOFTMAX))
    REFUSE("model.loss: %s takes %s, not %s", kind, dkt ? "bce" : "softmax",
           xf_plan_loss_text(plan->model.loss));
  if (plan->model.n_hidden < 1 || plan->model.n_hidden > 2)
    REFUSE("model.hidden: %s has one or two recurrent layers; write one width or two, e.g. [100] "
           "or [256, 256]",
           kind);
  if (dkt && (plan->model.n_in == 0 || plan->model.n_out != 1))
    REFUSE("model: dkt needs n_in, the number of skills, and n_out: 1");
  if (!dkt && (plan->model.n_in != LETTERS || plan->model.n_out != LETTERS))
    REFUSE("model: %s reads and writes %d letters; write n_in: %d and n_out: %d", kind, LETTERS,
           LETTERS, LETTERS);
  if (plan->model.users != XF_PLAN_USERS_USER || plan->model.items != XF_PLAN_ITEMS_DOMAIN)
    REFUSE("model: %s has no users and items; leave out users and items", kind);
  return XF_OK;
}

enum xf_rc xf_plan_check_sequences(const struct xf_plan *plan, struct xf_diag *diag) {
  const bool text = plan->data.kind == XF_PLAN_DATA_TEXT;
  if (!xf_plan_models_sequences(plan))
    REFUSE("model.kind: %s does not learn from sequences, and data.kind is %s; write dkt for "
           "answers, char-lstm or char-gru for text",
           xf_plan_model_text(plan->model.kind), xf_plan_data_text(plan->data.kind));
  if (!xf_plan_has_sequences(plan) || text == (plan->model.kind == XF_PLAN_MODEL_DKT))
    REFUSE("model.kind: %s learns from %s, and data.kind is %s",
           xf_plan_model_text(plan->model.kind),
           plan->model.kind == XF_PLAN_MODEL_DKT ? "answers" : "text",
           xf_plan_data_text(plan->data.kind));
  const enum xf_rc rc = check_sizes(plan, diag);
  if (rc) return rc;
  if (text && plan->data.split.kind != XF_PLAN_SPLIT_RANDOM)
    REFUSE("data.split.kind: speeches are dealt at random; write random");
  if (!plan->sim.data[0]) return XF_OK;
  if (plan->sim.clients.by != (text ? XF_PLAN_CLIENTS_DOMAIN : XF_PLAN_CLIENTS_UNIFORM))
    REFUSE("sim.clients.by: %s", text ? "text is dealt by speaker; write domain"
                                      : "students are dealt at random; write uniform and n");
  if ((plan->data.split.kind == XF_PLAN_SPLIT_PREDEFINED) != (plan->sim.split[0] != '\0'))
    REFUSE(
        "sim.split: names the files of data.split.kind predefined, \"VALIDATION,TEST\", and only "
        "of it");
  return XF_OK;
}
