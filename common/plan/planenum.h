/*
 * planenum.h - the enumerations of a plan, each one X-macro list: X(enumerator, text).
 *
 * The enumeration, the texts a plan is written with and the names in messages all come from the same
 * list, so they cannot drift. A value's number is part of the canonical encoding (plan.h): append at
 * the end, never reorder. Names that are reserved for a later version are in plan_schema.c; a plan
 * that uses one is refused with "not in this version".
 * Owner: nobody, constant data. Thread: any.
 */
#ifndef XF_PLAN_PLANENUM_H
#define XF_PLAN_PLANENUM_H

#include "param/serverrules.h"

/* What a silo's data are: (user, item, value, time) events; a numeric table; IDX images and labels; students' answers in
   their order; speeches. */
#define XF_PLAN_DATA_LIST(X)                   \
  X(XF_PLAN_DATA_INTERACTIONS, "interactions") \
  X(XF_PLAN_DATA_TABLE, "table")               \
  X(XF_PLAN_DATA_IDX, "idx")                   \
  X(XF_PLAN_DATA_ANSWERS, "answers")           \
  X(XF_PLAN_DATA_TEXT, "text")

#define XF_PLAN_SPLIT_LIST(X)                     \
  X(XF_PLAN_SPLIT_LEAVE_ONE_OUT, "leave-one-out") \
  X(XF_PLAN_SPLIT_RANDOM, "random")               \
  X(XF_PLAN_SPLIT_PREDEFINED, "predefined")

/* Order of a user's events, or what names the parts of a predefined split. */
#define XF_PLAN_BY_LIST(X)   \
  X(XF_PLAN_BY_TIME, "time") \
  X(XF_PLAN_BY_FILE, "file")

/* Rows of a table with a missing value. */
#define XF_PLAN_MISSING_LIST(X)       \
  X(XF_PLAN_MISSING_REFUSE, "refuse") \
  X(XF_PLAN_MISSING_DROP, "drop")

/* Numeric inputs: as they are, or mean 0 and deviation 1 by the silo's own train part. */
#define XF_PLAN_SCALE_LIST(X)   \
  X(XF_PLAN_SCALE_NONE, "none") \
  X(XF_PLAN_SCALE_SILO, "silo")

#define XF_PLAN_MODEL_LIST(X)                 \
  X(XF_PLAN_MODEL_MF, "mf")                   \
  X(XF_PLAN_MODEL_MLP, "mlp")                 \
  X(XF_PLAN_MODEL_LOGREG, "logreg")           \
  X(XF_PLAN_MODEL_RECOMMENDER, "recommender") \
  X(XF_PLAN_MODEL_DKT, "dkt")                 \
  X(XF_PLAN_MODEL_CHAR_LSTM, "char-lstm")     \
  X(XF_PLAN_MODEL_CHAR_GRU, "char-gru")       \
  X(XF_PLAN_MODEL_NEUMF, "neumf")             \
  X(XF_PLAN_MODEL_CNN, "cnn")                 \
  X(XF_PLAN_MODEL_CNN_SMALL, "cnn-small")     \
  X(XF_PLAN_MODEL_CONV4, "conv4")             \
  X(XF_PLAN_MODEL_SINE_MLP, "sine-mlp")

#define XF_PLAN_ACTIVATION_LIST(X)   \
  X(XF_PLAN_ACTIVATION_RELU, "relu") \
  X(XF_PLAN_ACTIVATION_TANH, "tanh") \
  X(XF_PLAN_ACTIVATION_SIGMOID, "sigmoid")

#define XF_PLAN_LOSS_LIST(X)         \
  X(XF_PLAN_LOSS_BPR, "bpr")         \
  X(XF_PLAN_LOSS_BCE, "bce")         \
  X(XF_PLAN_LOSS_SOFTMAX, "softmax") \
  X(XF_PLAN_LOSS_MSE, "mse")

/* Role of the user table and of the item table (param/layout.h). */
#define XF_PLAN_USERS_LIST(X)   \
  X(XF_PLAN_USERS_USER, "user") \
  X(XF_PLAN_USERS_ALIGNED, "aligned")

#define XF_PLAN_ITEMS_LIST(X)       \
  X(XF_PLAN_ITEMS_DOMAIN, "domain") \
  X(XF_PLAN_ITEMS_SHARED, "shared") \
  X(XF_PLAN_ITEMS_ALIGNED, "aligned")

/* What a stage does: rounds of local training; one sum of statistics; rounds of pulled rows; an evaluation where it stands. */
#define XF_PLAN_STAGE_LIST(X)             \
  X(XF_PLAN_STAGE_TRAIN, "train")         \
  X(XF_PLAN_STAGE_STATISTIC, "statistic") \
  X(XF_PLAN_STAGE_ROWS, "rows")           \
  X(XF_PLAN_STAGE_EVALUATE, "evaluate")

/* What a train stage learns: the plan's model, or the recommender's unit-free scorer. */
#define XF_PLAN_LEARNS_LIST(X)     \
  X(XF_PLAN_LEARNS_MODEL, "model") \
  X(XF_PLAN_LEARNS_SCORER, "scorer")

/* Which sum a statistic stage makes: item co-occurrence, users per item, the same of users whom other silos have too; pairs of
   one person's rows in two domains; co-occurrence of the items' public categories. */
#define XF_PLAN_STATISTIC_LIST(X)         \
  X(XF_PLAN_STATISTIC_GRAM, "gram")       \
  X(XF_PLAN_STATISTIC_COUNTS, "counts")   \
  X(XF_PLAN_STATISTIC_OVERLAP, "overlap") \
  X(XF_PLAN_STATISTIC_MAP, "map")         \
  X(XF_PLAN_STATISTIC_CATEGORIES, "categories")

#define XF_PLAN_ALGORITHM_LIST(X)             \
  X(XF_PLAN_ALGORITHM_FEDAVG, "fedavg")       \
  X(XF_PLAN_ALGORITHM_REPTILE, "reptile")     \
  X(XF_PLAN_ALGORITHM_MAML, "maml")           \
  X(XF_PLAN_ALGORITHM_FOMAML, "fomaml")       \
  X(XF_PLAN_ALGORITHM_ANIL, "anil")           \
  X(XF_PLAN_ALGORITHM_BOIL, "boil")           \
  X(XF_PLAN_ALGORITHM_METASGD, "metasgd")     \
  X(XF_PLAN_ALGORITHM_PERFEDAVG, "perfedavg") \
  X(XF_PLAN_ALGORITHM_FEDPROX, "fedprox")     \
  X(XF_PLAN_ALGORITHM_FEDPER, "fedper")       \
  X(XF_PLAN_ALGORITHM_FEDREP, "fedrep")       \
  X(XF_PLAN_ALGORITHM_FEDBN, "fedbn")         \
  X(XF_PLAN_ALGORITHM_DITTO, "ditto")         \
  X(XF_PLAN_ALGORITHM_PFEDME, "pfedme")       \
  X(XF_PLAN_ALGORITHM_APFL, "apfl")           \
  X(XF_PLAN_ALGORITHM_SCAFFOLD, "scaffold")   \
  X(XF_PLAN_ALGORITHM_FEDNOVA, "fednova")

/* How a meta-gradient goes back through an inner step: by the algorithm (loaded plans name one of the others); by the exact
   Hessian product; by a difference of two gradients; not at all. */
#define XF_PLAN_HESSIAN_LIST(X)               \
  X(XF_PLAN_HESSIAN_AUTO, "auto")             \
  X(XF_PLAN_HESSIAN_EXACT, "exact")           \
  X(XF_PLAN_HESSIAN_DIFFERENCE, "difference") \
  X(XF_PLAN_HESSIAN_NONE, "none")

/* Weight of a silo: its train samples, 1, or min(samples, weight_cap). */
#define XF_PLAN_WEIGHTING_LIST(X)         \
  X(XF_PLAN_WEIGHTING_SAMPLES, "samples") \
  X(XF_PLAN_WEIGHTING_UNIFORM, "uniform") \
  X(XF_PLAN_WEIGHTING_CAPPED, "capped")

#define XF_PLAN_SERVER_LIST(X)           \
  X(XF_PLAN_SERVER_SGD, "sgd")           \
  X(XF_PLAN_SERVER_MOMENTUM, "momentum") \
  X(XF_PLAN_SERVER_ADAM, "adam")         \
  X(XF_PLAN_SERVER_YOGI, "yogi")         \
  X(XF_PLAN_SERVER_ADAGRAD, "adagrad")   \
  X(XF_PLAN_SERVER_NESTEROV, "nesterov")

/* Server rate over the stage: constant, or falling linearly to 0 (commit t of T uses lr (1 - t/T)). */
#define XF_PLAN_ANNEAL_LIST(X)   \
  X(XF_PLAN_ANNEAL_NONE, "none") \
  X(XF_PLAN_ANNEAL_LINEAR, "linear")

/* What an update counts by the age of its base (fed/stale.h has the formulas). */
#define XF_PLAN_STALENESS_LIST(X)                   \
  X(XF_PLAN_STALENESS_CONSTANT, "constant")         \
  X(XF_PLAN_STALENESS_INVERSE_SQRT, "inverse-sqrt") \
  X(XF_PLAN_STALENESS_INVERSE, "inverse")           \
  X(XF_PLAN_STALENESS_POLYNOMIAL, "polynomial")     \
  X(XF_PLAN_STALENESS_HINGE, "hinge")               \
  X(XF_PLAN_STALENESS_ADASGD, "adasgd")

/* A rate over the commits of a stage (fed/schedule.h has the formulas). */
#define XF_PLAN_SCHEDULE_LIST(X)                 \
  X(XF_PLAN_SCHEDULE_CONSTANT, "constant")       \
  X(XF_PLAN_SCHEDULE_LINEAR, "linear")           \
  X(XF_PLAN_SCHEDULE_COSINE, "cosine")           \
  X(XF_PLAN_SCHEDULE_STEP, "step")               \
  X(XF_PLAN_SCHEDULE_EXPONENTIAL, "exponential") \
  X(XF_PLAN_SCHEDULE_INVERSE, "inverse")         \
  X(XF_PLAN_SCHEDULE_INVERSE_ROOT, "inverse-root")

/* Who takes part in a round (fed/selectpolicy.h). */
#define XF_PLAN_SELECT_LIST(X)                \
  X(XF_PLAN_SELECT_STRATIFIED, "stratified")  \
  X(XF_PLAN_SELECT_UNIFORM, "uniform")        \
  X(XF_PLAN_SELECT_WEIGHTED, "weighted")      \
  X(XF_PLAN_SELECT_CHOICE, "power-of-choice") \
  X(XF_PLAN_SELECT_OORT, "oort")

/* How an update travels: all its floats, those that are not 0 (statistics without noise), or fewer bytes (param/codec.h). */
#define XF_PLAN_ENCODING_LIST(X)           \
  X(XF_PLAN_ENCODING_FLOAT32, "float32")   \
  X(XF_PLAN_ENCODING_SPARSE, "sparse")     \
  X(XF_PLAN_ENCODING_FLOAT16, "float16")   \
  X(XF_PLAN_ENCODING_BFLOAT16, "bfloat16") \
  X(XF_PLAN_ENCODING_INT8, "int8")         \
  X(XF_PLAN_ENCODING_QSGD, "qsgd")         \
  X(XF_PLAN_ENCODING_TOPK, "topk")         \
  X(XF_PLAN_ENCODING_MASK, "mask")

#define XF_PLAN_OPTIMIZER_LIST(X)           \
  X(XF_PLAN_OPTIMIZER_SGD, "sgd")           \
  X(XF_PLAN_OPTIMIZER_MOMENTUM, "momentum") \
  X(XF_PLAN_OPTIMIZER_ADAM, "adam")         \
  X(XF_PLAN_OPTIMIZER_NESTEROV, "nesterov") \
  X(XF_PLAN_OPTIMIZER_ADAGRAD, "adagrad")   \
  X(XF_PLAN_OPTIMIZER_ADAMW, "adamw")

/* Adam on row-sparse gradients (decision 31): exact catching-up of untouched rows, or touched rows only. */
#define XF_PLAN_SPARSE_LIST(X)     \
  X(XF_PLAN_SPARSE_DENSE, "dense") \
  X(XF_PLAN_SPARSE_LAZY, "lazy")

/* Aligned rows (decision 45): leave-own-out mean as a prior, or replaced by the mean; of a rows stage also exact sums. */
#define XF_PLAN_ROW_RULE_LIST(X)         \
  X(XF_PLAN_ROW_RULE_PULL, "pull")       \
  X(XF_PLAN_ROW_RULE_AVERAGE, "average") \
  X(XF_PLAN_ROW_RULE_SUMS, "sums")

/* Whom noise hides: the silo; a user of one silo; a record (row, image) of one silo. */
#define XF_PLAN_UNIT_LIST(X)   \
  X(XF_PLAN_UNIT_SILO, "silo") \
  X(XF_PLAN_UNIT_USER, "user") \
  X(XF_PLAN_UNIT_RECORD, "record")
#define XF_PLAN_ACCOUNTANT_LIST(X) X(XF_PLAN_ACCOUNTANT_RDP, "rdp")

#define XF_PLAN_ARM_LIST(X)               \
  X(XF_PLAN_ARM_POPULARITY, "popularity") \
  X(XF_PLAN_ARM_ALONE, "alone")           \
  X(XF_PLAN_ARM_POOLED, "pooled")         \
  X(XF_PLAN_ARM_FEDERATED, "federated")   \
  X(XF_PLAN_ARM_GUARDED, "guarded")

/* How the simulator deals one data set to clients: by its domain or client column; shuffled into n parts;
   a file each; n parts of a few label shards; n parts with Dirichlet label shares; n generated sinusoids. */
#define XF_PLAN_CLIENTS_LIST(X)             \
  X(XF_PLAN_CLIENTS_DOMAIN, "domain")       \
  X(XF_PLAN_CLIENTS_COLUMN, "column")       \
  X(XF_PLAN_CLIENTS_UNIFORM, "uniform")     \
  X(XF_PLAN_CLIENTS_FILE, "file")           \
  X(XF_PLAN_CLIENTS_SHARDS, "shards")       \
  X(XF_PLAN_CLIENTS_DIRICHLET, "dirichlet") \
  X(XF_PLAN_CLIENTS_USER, "user")           \
  X(XF_PLAN_CLIENTS_SINUSOID, "sinusoid")

#define XF_PLAN_ENUMERATOR_(name, text) name,
enum xf_plan_data { XF_PLAN_DATA_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_split { XF_PLAN_SPLIT_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_by { XF_PLAN_BY_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_missing { XF_PLAN_MISSING_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_scale { XF_PLAN_SCALE_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_model { XF_PLAN_MODEL_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_activation { XF_PLAN_ACTIVATION_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_loss { XF_PLAN_LOSS_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_users { XF_PLAN_USERS_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_items { XF_PLAN_ITEMS_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_stage { XF_PLAN_STAGE_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_learns { XF_PLAN_LEARNS_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_statistic { XF_PLAN_STATISTIC_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_algorithm { XF_PLAN_ALGORITHM_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_hessian { XF_PLAN_HESSIAN_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_weighting { XF_PLAN_WEIGHTING_LIST(XF_PLAN_ENUMERATOR_) };
#define XF_PLAN_RULE_ENUMERATOR_(name, text) XF_PLAN_SERVER_##name,
enum xf_plan_server {
  XF_PLAN_SERVER_LIST(XF_PLAN_ENUMERATOR_) XF_SERVER_RULES(XF_PLAN_RULE_ENUMERATOR_)
};
#undef XF_PLAN_RULE_ENUMERATOR_
enum xf_plan_anneal { XF_PLAN_ANNEAL_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_staleness { XF_PLAN_STALENESS_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_schedule { XF_PLAN_SCHEDULE_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_select { XF_PLAN_SELECT_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_encoding { XF_PLAN_ENCODING_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_optimizer { XF_PLAN_OPTIMIZER_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_sparse { XF_PLAN_SPARSE_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_row_rule { XF_PLAN_ROW_RULE_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_unit { XF_PLAN_UNIT_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_accountant { XF_PLAN_ACCOUNTANT_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_arm { XF_PLAN_ARM_LIST(XF_PLAN_ENUMERATOR_) };
enum xf_plan_clients { XF_PLAN_CLIENTS_LIST(XF_PLAN_ENUMERATOR_) };
#undef XF_PLAN_ENUMERATOR_

/* The text a value is written with in plans, reports and logs; "?" for a foreign number. @own static */
const char *xf_plan_data_text(enum xf_plan_data value);
const char *xf_plan_model_text(enum xf_plan_model value);
const char *xf_plan_loss_text(enum xf_plan_loss value);
const char *xf_plan_algorithm_text(enum xf_plan_algorithm value);
const char *xf_plan_optimizer_text(enum xf_plan_optimizer value);
const char *xf_plan_arm_text(enum xf_plan_arm value);
const char *xf_plan_stage_text(enum xf_plan_stage value);
const char *xf_plan_server_text(enum xf_plan_server value);
const char *xf_plan_schedule_text(enum xf_plan_schedule value);
const char *xf_plan_select_text(enum xf_plan_select value);
const char *xf_plan_unit_text(enum xf_plan_unit value);

#endif
