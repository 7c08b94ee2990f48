/* What a start is worth to a cold user: squared errors on the query after adapting by the support (judge.h). */
#include "judge.h"

#include "train/ridge.h"

#include <math.h>
#include <string.h>

static const double RATE[] = {.003, .01, .03, .1};
static const double SHRINK[] = {1, 2, 3, 5, 10, 20};
static const double RIDGE[] = {1, 2, 5, 10, 20, 50};
static const char *const NAME[] = {
#define ROW(n, t, s, h) t,
    ARM_LIST(ROW)
#undef ROW
};
static const enum start OF[] = {
#define ROW(n, t, s, h) START_##s,
    ARM_LIST(ROW)
#undef ROW
};
static const enum how HOW[] = {
#define ROW(n, t, s, h) HOW_##h,
    ARM_LIST(ROW)
#undef ROW
};

const char *arm_name(enum arm arm) { return NAME[arm]; }
enum start arm_start(enum arm arm) { return OF[arm]; }
uint32_t arm_choices(enum arm arm) {
  switch (HOW[arm]) {
  case HOW_NONE:
  case HOW_ITEM: return 1;
  case HOW_ALL:
  case HOW_HEAD: return sizeof RATE / sizeof *RATE;
  default: return sizeof SHRINK / sizeof *SHRINK;
  }
}
double arm_choice(enum arm arm, uint32_t c) {
  switch (HOW[arm]) {
  case HOW_NONE:
  case HOW_ITEM: return 0;
  case HOW_ALL:
  case HOW_HEAD: return RATE[c];
  case HOW_RIDGE:
  case HOW_CENTRED: return RIDGE[c];
  default: return SHRINK[c];
  }
}

static enum xf_rc run(struct xf_nnplan *plan, const struct xf_model_net *net, const float *w,
                      const float *x, uint32_t n, uint32_t width, float *out,
                      struct xf_diag *diag) {
  const uint32_t extent[XF_N_SYM] = {[XF_SYM_ONE] = 1, [XF_SYM_B] = n};
  xf_nnplan_set_input(plan, net->feed[XF_FEED_X], x);
  const enum xf_rc rc = xf_nnplan_run(plan, w, NULL, extent, diag);
  if (!rc)
    memcpy(out, xf_nnplan_get(plan, net->score, NULL, NULL), (size_t)n * width * sizeof *out);
  return rc;
}

static double squares(const struct task *t, const float *guess) {
  double sum = 0;
  for (uint32_t i = SUPPORT; i < t->n; i++) {
    const double d = (double)t->y[i] - (double)guess[i];
    sum += d * d;
  }
  return sum;
}

static enum xf_rc by_steps(struct learner *l, const float *w, double rate, bool head,
                           const struct task *t, double sse[N_STEPS], struct xf_diag *diag) {
  float theta[N_PARAM_MAX], guess[TASK];
  if (l->n > N_PARAM_MAX) return xf_diag_set(diag, XF_E_LIMIT, "%zu parameters", l->n);
  memcpy(theta, w, l->n * sizeof *w);
  enum xf_rc rc = XF_OK;
  uint32_t at = 0;
  for (uint32_t k = 0; !rc && at < N_STEPS; k++) {
    if (k == STEPS[at]) {
      rc = run(l->score_plan, &l->score, theta, t->x, t->n, 1, guess, diag);
      sse[at++] = squares(t, guess);
    }
    if (!rc && at < N_STEPS)
      rc = learner_step(l, theta, t->x, t->y, t->n_support, rate, head, diag);
  }
  if (rc != XF_E_NAN) return rc;
  while (at < N_STEPS) sse[at++] = INFINITY; /* too high a rate */
  return XF_OK;
}

/* guess += the mean of the support's residuals, drawn to 0. */
static void add_bias(const struct task *t, double shrink, float *guess) {
  double sum = 0;
  for (uint32_t i = 0; i < t->n_support; i++) sum += (double)t->y[i] - (double)guess[i];
  for (uint32_t i = 0; i < t->n; i++) guess[i] += (float)(sum / (t->n_support + shrink));
}

/* The head that fits the support, drawn to the one there is, on the last hidden layer less `mean`, and a 1. */
static enum xf_rc ridge_head(struct learner *l, const float *w, const double *mean,
                             const struct task *t, double lambda, float *guess,
                             struct xf_diag *diag) {
  enum { D = WIDTH + 1 };
  float h[TASK * WIDTH];
  double phi[TASK * D], y[SUPPORT], head[D];
  enum xf_rc rc = learner_hidden(l, w, t->x, t->n, h, diag);
  const float *own = w + l->n - D; /* w3, b3 */
  head[WIDTH] = (double)own[WIDTH];
  for (uint32_t c = 0; c < WIDTH; c++) {
    head[c] = (double)own[c];
    head[WIDTH] += mean[c] * head[c];
  }
  for (uint32_t i = 0; i < t->n; i++) {
    phi[i * D + WIDTH] = 1;
    for (uint32_t c = 0; c < WIDTH; c++) phi[i * D + c] = (double)h[i * WIDTH + c] - mean[c];
  }
  for (uint32_t i = 0; i < t->n_support; i++) y[i] = (double)t->y[i];
  struct xf_ridge_job job = {.n = t->n_support,
                             .d = D,
                             .m = 1,
                             .phi = phi,
                             .y = y,
                             .prior = head,
                             .lambda = &lambda,
                             .n_lambda = 1,
                             .w = head};
  if (!rc) rc = xf_ridge_solve(&job, diag);
  for (uint32_t i = 0; i < t->n; i++) {
    double sum = 0;
    for (uint32_t c = 0; c < D; c++) sum += phi[i * D + c] * head[c];
    guess[i] = (float)sum;
  }
  return rc;
}

enum xf_rc arm_judge(enum arm arm, uint32_t choice, struct learner *l, const float *w,
                     const struct task *t, double sse[N_STEPS], struct xf_diag *diag) {
  const enum how how = HOW[arm];
  const double c = arm_choice(arm, choice);
  float guess[TASK] = {0};
  enum xf_rc rc = XF_OK;
  if (how == HOW_ALL || how == HOW_HEAD) return by_steps(l, w, c, how == HOW_HEAD, t, sse, diag);
  if (how == HOW_ITEM || how == HOW_USER) memcpy(guess, t->item, t->n * sizeof *guess);
  if (how == HOW_BIAS) rc = run(l->score_plan, &l->score, w, t->x, t->n, 1, guess, diag);
  static const double zero[WIDTH];
  if (how == HOW_RIDGE || how == HOW_CENTRED)
    rc = ridge_head(l, w, how == HOW_RIDGE ? zero : l->mean, t, c, guess, diag);
  if (how == HOW_BIAS || how == HOW_USER) add_bias(t, c, guess);
  for (int at = 0; at < N_STEPS; at++) sse[at] = squares(t, guess);
  return rc;
}
