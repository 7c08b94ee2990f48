/*
 * model.h - the model zoo: a configuration and a silo's sizes become a layout, seeded initial values and nn graphs.
 *
 *   mf      score(u, i) = user[u] . item[i] + item_bias[i]   (with BCE and MSE also user_bias[u] + bias)
 *   neumf   factors multiplied beside a perceptron over other factors
 *   mlp     hidden layers with one activation, then n_out linear outputs
 *   logreg  n_out linear outputs
 *   cnn, cnn-small, conv4   convolutions over square images of one channel, then linear outputs (convnet.c)
 *   sine-mlp                an mlp 1-64-64-1 with tanh and MSE (sine.c)
 *   scorer  one output per candidate of a list, at most one hidden layer; learns to put the first candidate first
 *   dkt     an LSTM over answers: is the next one right?
 *   char-lstm, char-gru   a recurrent net over letters: which is the next one?
 *
 * Nothing here trains (train) or ranks (rec). To add a model: one file with a struct xf_model_ops, one line in models.c
 * (docs/internals/model.md).
 * Owner: caller. Thread: a model is immutable once built and may be shared.
 */
#ifndef XF_MODEL_MODEL_H
#define XF_MODEL_MODEL_H

#include "base/rng.h"
#include "data/dataset.h"
#include "nn/nn.h"
#include "param/manifest.h"

/* X(NAME, text) */
#define XF_MODEL_LIST(X)    \
  X(MF, "mf")               \
  X(MLP, "mlp")             \
  X(LOGREG, "logreg")       \
  X(SCORER, "scorer")       \
  X(DKT, "dkt")             \
  X(CHAR_LSTM, "char-lstm") \
  X(CHAR_GRU, "char-gru")   \
  X(NEUMF, "neumf")         \
  X(CNN, "cnn")             \
  X(CNN_SMALL, "cnn-small") \
  X(CONV4, "conv4")         \
  X(SINE_MLP, "sine-mlp")
#define XF_LOSS_LIST(X) \
  X(BPR, "bpr")         \
  X(BCE, "bce")         \
  X(SOFTMAX, "softmax") \
  X(MSE, "mse")
/* Role of a table of rows (param/layout.h): the silo's own, keyed by pseudonyms, or the same rows at every silo. */
#define XF_MODEL_ROWS_LIST(X) \
  X(LOCAL, "local")           \
  X(ALIGNED, "aligned")       \
  X(SHARED, "shared")

enum xf_model_kind {
#define XF_MODEL_ENUM(n, t) XF_MODEL_##n,
  XF_MODEL_LIST(XF_MODEL_ENUM)
#undef XF_MODEL_ENUM
      XF_N_MODEL
};
enum xf_loss {
#define XF_LOSS_ENUM(n, t) XF_LOSS_##n,
  XF_LOSS_LIST(XF_LOSS_ENUM)
#undef XF_LOSS_ENUM
      XF_N_LOSS
};
enum xf_model_rows {
#define XF_MODEL_ROWS_ENUM(n, t) XF_ROWS_##n,
  XF_MODEL_ROWS_LIST(XF_MODEL_ROWS_ENUM)
#undef XF_MODEL_ROWS_ENUM
};

/* What of a net stays in the silo (role `domain`); all of it must be shared otherwise. */
enum xf_model_personal {
  XF_PERSONAL_NONE,
  XF_PERSONAL_HEAD, /* the output layer (xf_model_get_head) */
  XF_PERSONAL_NORM, /* normalisation: gains, shifts, running statistics */
  XF_PERSONAL_COPY, /* nothing of it; a second net "own.<name>" behind it does, which starts as the first */
  XF_PERSONAL_MIX, /* the same, and the weight "own.alpha" of the second net in a mix of both */
};

enum { XF_MODEL_HIDDEN_MAX = 8 };

/* Name of the segment that `feedback` adds; initially 0. */
#define XF_MODEL_FEEDBACK "feedback"

struct xf_model_config {
  enum xf_model_kind kind;
  enum xf_loss loss;
  double init_std; /* 0: the model's own rule (docs/internals/model.md) */
  bool bias;
  uint32_t dim;                                    /* mf, neumf; char-*: of a letter */
  enum xf_model_rows users, items;                 /* mf; LOCAL: role `user`, role `domain` */
  char user_ns[XF_NAME_MAX], item_ns[XF_NAME_MAX]; /* namespaces of ALIGNED */
  uint32_t n_in, n_out; /* mlp, logreg, scorer (n_out 1); dkt: skills, 1; char-*: letters */
  uint32_t steps;       /* dkt, char-*: of a training chunk */
  uint32_t hidden[XF_MODEL_HIDDEN_MAX], n_hidden; /* mlp, scorer, neumf; dkt, char-*: one */
  enum xf_act activation;                         /* mlp, scorer */
  double
      rates; /* > 0: every parameter has a learnt rate that starts here, in segments behind the net's (rate.<name>) */
  enum xf_model_personal personal; /* not with rates */
  double mix;                      /* XF_PERSONAL_MIX: first value of own.alpha */
  bool
      control; /* shared parameters that are trained have control variates behind the net: struct xf_model_control */
  bool nova;   /* one more float behind the net: the norm of silos' local steps (FedNova) */
  bool
      feedback; /* a domain segment behind all others, one float for each of theirs: what an encoding has not sent yet */
};

/* Rows of the silo's tables. The coordinator, which has none, says 0, 0. */
struct xf_model_size {
  uint32_t n_users, n_items;
};

/* What a table row means; train and io need it to fill and to align. */
enum xf_model_axis { XF_AXIS_NONE, XF_AXIS_USER, XF_AXIS_ITEM };

struct xf_model;

/* Name <-> kind, loss. @own static @err E_INVAL */
const char *xf_model_kind_name(enum xf_model_kind kind);
XF_WARN_UNUSED enum xf_rc xf_model_kind_parse(enum xf_model_kind *out, const char *s, size_t len);
const char *xf_loss_name(enum xf_loss loss);
XF_WARN_UNUSED enum xf_rc xf_loss_parse(enum xf_loss *out, const char *s, size_t len);

/* Checks the configuration and builds the layout. @own caller: xf_model_free
   @err E_CONFIG (names key and value) E_UNSUPPORTED (loss or rows this model has not) E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_model_new(struct xf_model **out, const struct xf_model_config *config,
                                       struct xf_model_size size, struct xf_diag *diag);
/* Releases; NULL is legal. @own takes model */
void xf_model_free(struct xf_model *model);
/* Parts of a model. @own borrowed */
const struct xf_layout *xf_model_get_layout(const struct xf_model *model);
const struct xf_model_config *xf_model_get_config(const struct xf_model *model);
struct xf_model_size xf_model_get_size(const struct xf_model *model);
/* The head: weights [d x n_out] and bias (NULL: none) of the linear output layer behind hidden ones. False: the model has
   none. @own borrowed @thread any */
bool xf_model_get_head(const struct xf_model *model, const struct xf_segment **weight,
                       const struct xf_segment **bias);
/* Segments of the net itself: those of learnt rates, of a second net or of control variates come behind them. @thread any */
size_t xf_model_base(const struct xf_model *model);
/* Control variates of a trained shared segment: that of all silos (control.<name>, shared), this silo's own (own.<name>, which
   stays in the silo). Running statistics have none. */
struct xf_model_control {
  const struct xf_segment *of, *all, *own;
};
/* The k-th, in layout order; the shared ones lie together, behind all of the net. False: there is none. @own borrowed @thread any */
bool xf_model_get_control(const struct xf_model *model, size_t k, struct xf_model_control *out);
/* With control variates: the segment of one float that stays in the silo and counts its updates in the model. NULL: none.
   @own borrowed @thread any */
const struct xf_segment *xf_model_get_counted(const struct xf_model *model);
/* With config.nova: the shared segment of one float that comes last. NULL: none. @own borrowed @thread any */
const struct xf_segment *xf_model_get_nova(const struct xf_model *model);
/* What the rows of a segment are. @thread any */
enum xf_model_axis xf_model_get_axis(const struct xf_model *model, const struct xf_segment *seg);
/* The kind of data the model eats. @thread any */
enum xf_dataset_kind xf_model_get_data(const struct xf_model *model);
/* What training counts as samples: events, rows, lists; of sequences their chunks of config.steps steps. @unit samples */
size_t xf_model_samples(const struct xf_model *model, const struct xf_dataset *data,
                        enum xf_part part);
/* Whether that is interactions. @thread any */
bool xf_model_is_ranking(const struct xf_model *model);

/* Seeds of initial values. Shared segments, and what personalisation keeps of a net, follow `shared` alone, so coordinator and
   silos agree; aligned rows follow `shared` and the row's key, so all holders agree; the rest follows `silo`. Streams are copied, not advanced. */
struct xf_model_seed {
  const struct xf_rng *shared, *silo; /* silo may be NULL where there are no own rows */
  const struct xf_key *user_key,
      *item_key; /* [n_users], [n_items] of ALIGNED tables, in local row order */
};
/* Initial values of the whole vector; no BLAS, same bytes everywhere. @shape full[layout.n]
   @err E_INVAL (a needed stream or key is missing) */
XF_WARN_UNUSED enum xf_rc xf_model_init(const struct xf_model *model, float *full,
                                        const struct xf_model_seed *seed, struct xf_diag *diag);
/* Initial values of one row of an aligned segment. @shape row[seg->cols] */
void xf_model_init_row(const struct xf_model *model, const struct xf_segment *seg,
                       const struct xf_rng *shared, const struct xf_key *key, float *row);

#endif
