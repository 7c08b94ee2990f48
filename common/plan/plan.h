/*
 * plan.h - what the federation computes: one plain struct, read from YAML, checked, printed, encoded.
 *
 * A plan never names a silo's path and never a member; its `sim` section feeds the simulator only and
 * is no part of the encoding or digest. It knows no model code: `io` and `sim` resolve model, layout
 * and data against it. What combines with what is combine.h; metrics and protocols are metric.h.
 *
 * Counts of 0 and fractions of 0 mean "not given" where the comment says so; xf_plan_load replaces
 * every such default by the value in force (cohort 1, quorum .75, epochs 1), so a loaded plan is
 * complete. All storage is inline: a plan may be copied by assignment.
 * Owner: the caller. Thread: immutable once loaded.
 */
#ifndef XF_PLAN_PLAN_H
#define XF_PLAN_PLAN_H

#include "base/buf.h"
#include "base/diag.h"
#include "base/digest.h"
#include "plan/planenum.h"

#include <stdint.h>

enum {
  XF_PLAN_NAME_MAX = 64,
  XF_PLAN_PATH_MAX = 512,
  XF_PLAN_STAGES_MAX = 8,
  XF_PLAN_HIDDEN_MAX = 8,
  XF_PLAN_METRICS_MAX = 16,
  XF_PLAN_PROTOCOLS_MAX = 4,
  XF_PLAN_ARMS_MAX = 8,
  XF_PLAN_COLUMNS_MAX = 64,
  XF_PLAN_CLIENTS_MAX = 256, /* entries of sim.clients.only and .files, not clients */
  XF_PLAN_BYTES_MAX = 64 * 1024
};

/* data.split: `min` events a user needs; fractions of random. data.table: columns count from 1. */
struct xf_plan_data_part {
  enum xf_plan_data kind;
  double min_value; /* interactions: rows below it are dropped; 0: none */
  struct {
    enum xf_plan_split kind;
    enum xf_plan_by by;
    uint32_t min;
    double test_fraction, valid_fraction;
  } split;
  struct {
    uint32_t label; /* column; 0: the last */
    bool binary;    /* label becomes 1 if > 0, else 0 */
    enum xf_plan_missing missing;
    enum xf_plan_scale scale;
    uint32_t drop[XF_PLAN_COLUMNS_MAX]; /* columns left out */
    uint32_t n_drop;
    char one_hot[16][XF_PLAN_NAME_MAX]; /* "3:1,2,3,4": xf_plan_one_hot */
    uint32_t n_one_hot;
  } table;
};

struct xf_plan_model_part {
  enum xf_plan_model kind;
  enum xf_plan_loss loss;
  double init_std; /* 0: the model's own rule */
  bool bias;
  uint32_t dim;                                              /* mf; char-*: of a letter */
  enum xf_plan_users users;                                  /* mf */
  enum xf_plan_items items;                                  /* mf */
  char user_ns[XF_PLAN_NAME_MAX], item_ns[XF_PLAN_NAME_MAX]; /* namespaces of aligned rows */
  uint32_t n_in, n_out;                          /* mlp, logreg; dkt: skills, 1; char-*: letters */
  uint32_t hidden[XF_PLAN_HIDDEN_MAX], n_hidden; /* mlp; dkt, char-*: one or two */
  enum xf_plan_activation activation;            /* mlp */
  uint32_t steps;                                /* dkt, char-*: of a training chunk */
};

/* What becomes of a rate over a stage's commits. 0: not given. */
struct xf_plan_schedule_part {
  enum xf_plan_schedule kind;
  uint32_t warmup, every; /* commits */
  double factor;          /* step, exponential, inverse */
  double floor;           /* linear, cosine: what is left at the end, of the rate */
};

struct xf_plan_stage_part {
  enum xf_plan_stage kind;
  char name[XF_PLAN_NAME_MAX];                   /* of its artifact; "" in a plan of one stage */
  char in[XF_PLAN_STAGES_MAX][XF_PLAN_NAME_MAX]; /* earlier stages whose artifacts it reads */
  uint32_t n_in;
  enum xf_plan_learns learns; /* train */
  struct {
    enum xf_plan_statistic of;
    double beta; /* gram, categories: 0, .5 or 1 */
  } statistic;
  struct {
    enum xf_plan_algorithm algorithm;
    uint32_t rounds;                     /* commits; statistic: 1, evaluate: 0 */
    double cohort, quorum;               /* fractions (0,1]; 0 when the count is given */
    uint32_t cohort_count, quorum_count; /* 0 when the fraction is given */
    uint32_t min_domains;
    double deadline_s, select_timeout_s, eval_deadline_s;
    double over_select; /* >= 1: times the cohort */
    enum xf_plan_weighting weighting;
    uint32_t weight_cap; /* capped */
    struct {
      enum xf_plan_select policy;
      uint32_t candidates; /* power-of-choice; 0: twice the members asked */
      double explore, explore_decay, explore_min, cutoff, clip; /* oort, as the others */
      double duration_quantile, duration_penalty, pacer_step, max_times_part;
      uint32_t pacer_window, max_times; /* 0: off */
    } select;
    uint32_t edge_rounds; /* rounds that each domain averages for itself before all do; 0: flat */
    enum xf_plan_encoding encoding;
    struct {
      double fraction;         /* topk, mask: of the parameters */
      bool feedback;           /* topk: what was not sent waits in the silo */
      uint32_t levels, bucket; /* qsgd; int8, qsgd. 0: the encoding's own (xf_plan_codec) */
    } compress;
    struct {
      enum xf_plan_server kind;
      double lr;              /* Reptile: epsilon */
      double momentum;        /* of momentum and nesterov */
      double b1, b2, tau, v0; /* of adam, yogi, adagrad (without b1); v0 below 0: tau squared */
      bool bias_correction;   /* of adam, yogi */
      enum xf_plan_anneal anneal;
    } server;
    struct xf_plan_schedule_part schedule; /* of server.lr */
    struct {
      uint32_t buffer;      /* updates of a commit; 0: synchronous rounds */
      uint32_t concurrency; /* silos that work at a time */
      uint32_t max_staleness;
      enum xf_plan_staleness staleness;
      double a, b, threshold; /* of polynomial and hinge; of hinge; of adasgd */
    } async;
  } fed;
  struct {
    uint32_t epochs, steps; /* exactly one is > 0 */
    uint32_t batch;         /* 0: all of the silo's samples */
    struct {
      enum xf_plan_optimizer kind;
      double lr, momentum, b1, b2, eps, weight_decay;
      enum xf_plan_sparse sparse;
    } optimizer;
    struct xf_plan_schedule_part schedule; /* of optimizer.lr */
    double l2;
    double prox;        /* fedprox */
    uint32_t negatives; /* per positive; bpr and bce of interactions */
    struct {
      uint32_t support, query; /* train rows of a task; query 0: all that are not support */
      uint32_t steps, tasks;   /* inner steps; tasks a meta-gradient is the mean over */
      double lr;               /* of inner steps; metasgd: the first value of learnt rates */
      enum xf_plan_hessian hessian;
    } meta; /* meta-learning algorithms and metrics @adaptK */
    struct {
      uint32_t head_epochs; /* fedrep */
      uint32_t steps;       /* pfedme: inner steps */
      double lambda;        /* ditto, pfedme */
      double lr;            /* pfedme: of inner steps; apfl: of alpha, 0: optimizer.lr */
      double alpha;         /* apfl: its first value */
    } personal;             /* personalisation (personal.c) */
    double
        sample_rate; /* of a step, where training is private per unit (xf_plan_by_units); 0: not given */
  } local;
  struct {
    enum xf_plan_row_rule rule;
    double kappa;
    uint32_t min_holders;
    double clip_row;       /* L2 of one row's delta; 0: none */
    uint32_t dim;          /* rows stage: factors */
    double alpha, rho, nu; /* rows stage: implicit ALS (rec/als.h) */
    uint32_t formation;    /* rows stage: first rounds with kappa 1 */
    double others;         /* sums: weight of the other silos' sums against the own ones */
    uint32_t inner;        /* rows stage: first rounds whose rows leave out split A; 0: none */
  } rows;                  /* of rows stages, and where model.users or items are aligned */
};

struct xf_plan_sim_part {
  char data[XF_PLAN_PATH_MAX],
      split[XF_PLAN_PATH_MAX]; /* split: file of a predefined split; answers: "VALIDATION,TEST" */
  struct {
    uint32_t user, item, domain, value, time, client; /* from 1; 0: absent */
  } columns;
  struct {
    enum xf_plan_clients by;
    uint32_t domains; /* that numbered clients are dealt to in turn; 0: each is its own */
    uint32_t n;       /* uniform, shards, dirichlet, sinusoid */
    uint32_t shards;  /* label shards a client gets */
    double alpha;     /* dirichlet */
    char only[XF_PLAN_CLIENTS_MAX][XF_PLAN_NAME_MAX]; /* domains or column values; none: all */
    uint32_t n_only;
    char files[XF_PLAN_CLIENTS_MAX][XF_PLAN_NAME_MAX]; /* by file, by user: names below sim.data */
    uint32_t n_files;
    uint32_t common;             /* by user: numbers below it name the same person in both files */
    uint32_t rows;               /* sinusoid: points of a client */
    char name[XF_PLAN_NAME_MAX]; /* pattern with one {}: xf_plan_client_id */
  } clients;
  char categories[XF_PLAN_PATH_MAX]; /* of every client's items; as client.yaml serve.categories */
  struct {
    char triples[XF_PLAN_PATH_MAX], items[XF_PLAN_PATH_MAX], relations[XF_PLAN_PATH_MAX];
  } kg;           /* a knowledge graph beside every client's items; as client.yaml data.kg */
  double dropout; /* probability that a selected client does not answer */
  double delay_s; /* mean extra time of a client, virtual */
  struct {
    double sample_s, byte_s; /* of the fastest client */
    double spread;           /* the slowest by the fastest */
    double latency_s;
  } cost;           /* virtual time of a training task */
  uint32_t threads; /* 0: all cores */
};

struct xf_plan {
  char name[XF_PLAN_NAME_MAX];
  uint64_t seed;
  char init[XF_PLAN_PATH_MAX]; /* checkpoint of the coordinator to start from; "": none */
  struct xf_plan_data_part data;
  struct xf_plan_model_part model;
  struct xf_plan_stage_part stages[XF_PLAN_STAGES_MAX];
  uint32_t n_stages;
  struct {
    enum xf_plan_unit unit;
    double clip;             /* L2 of one update, or of a unit's gradient; 0: none */
    double noise_multiplier; /* of clip; 0: no noise */
    double delta;
    enum xf_plan_accountant accountant;
    bool secure_aggregation; /* reserved: refused */
  } privacy;
  struct {
    uint32_t every;                                      /* commits; 0: only after the last */
    char metrics[XF_PLAN_METRICS_MAX][XF_PLAN_NAME_MAX]; /* metric.h reads them */
    uint32_t n_metrics;
    char protocol[XF_PLAN_PROTOCOLS_MAX][XF_PLAN_NAME_MAX];
    uint32_t n_protocol;
    bool train; /* figures of the train part too, under its name */
  } eval;
  enum xf_plan_arm arms[XF_PLAN_ARMS_MAX];
  uint32_t n_arms;
  struct {
    uint32_t patience; /* evaluations without improvement; 0: off */
    char metric[XF_PLAN_NAME_MAX];
    double min_delta;
  } early_stop;
  struct xf_plan_sim_part sim;
};

/* Reads a YAML plan and `--set` assignments ("stages[0].fed.rounds=5", or "fed.rounds=5" when there
   is one stage), resolves defaults and checks it. diag holds the first error with file:line:col;
   `errors` (may be NULL) gets all of them, a line each, at most 20. The environment never applies,
   except for ${VAR:-default} inside `sim`. @own out needs no deinit on error
   @err E_NOTFOUND E_CONFIG E_LIMIT E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_plan_load(struct xf_plan *out, const char *path,
                                       const char *const *sets, size_t n_sets,
                                       struct xf_buf *errors, struct xf_diag *diag);
/* The same from text; `name` stands for the file in messages. @err as xf_plan_load */
XF_WARN_UNUSED enum xf_rc xf_plan_load_text(struct xf_plan *out, const char *name, const char *text,
                                            size_t len, const char *const *sets, size_t n_sets,
                                            struct xf_buf *errors, struct xf_diag *diag);
/* Everything at its default, as an empty file would leave it (not a valid plan). @own caller */
void xf_plan_init(struct xf_plan *plan);
/* Wipes; idempotent. @own plan */
void xf_plan_deinit(struct xf_plan *plan);
/* Refuses contradictions, in words. xf_plan_load has done it. @err E_CONFIG E_UNSUPPORTED */
XF_WARN_UNUSED enum xf_rc xf_plan_check(const struct xf_plan *plan, struct xf_diag *diag);
/* The same against a member list: counts, domains, holders. @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_members(const struct xf_plan *plan, uint32_t n_members,
                                                uint32_t n_domains, struct xf_diag *diag);
/* The resolved plan as YAML that loads to the same plan; every value. @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_plan_print(struct xf_buf *out, const struct xf_plan *plan);
/* Canonical bytes without `sim`: what the wire carries and the digest covers. @err E_LIMIT
   @source docs/internals/plan.md "canonical encoding" */
XF_WARN_UNUSED enum xf_rc xf_plan_encode(struct xf_buf *out, const struct xf_plan *plan);
/* Reads canonical bytes of a peer, checks ranges and xf_plan_check; refuses every byte string that
   xf_plan_encode would not write. `sim` gets its defaults. @err E_FORMAT E_VERSION E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_decode(struct xf_plan *out, const uint8_t *p, size_t len,
                                         struct xf_diag *diag);
/* SHA-256 of the canonical bytes. @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_plan_digest(struct xf_digest *out, const struct xf_plan *plan);
/* What the coordinator's epsilon is about: "largest over silos; per silo, against the coordinator, not per person", or per user
   of one silo. NULL: for readers without the plan, both. @own static */
const char *xf_plan_claim(const struct xf_plan *plan);
/* One line of text per thing a reader of the results must know, e.g. "trusted alignment". @err E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_plan_stamps(struct xf_buf *out, const struct xf_plan *plan);

#endif
