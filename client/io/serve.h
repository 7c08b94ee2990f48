/*
 * serve.h - what a silo answers from once the run is done: <state_dir>/serve/, written by the daemon (final.c), read by
 * `crossfed recommend`. Nothing else of the state directory is needed, and the private data file is not.
 *
 *   serve/serve.safetensors  parameters of each arm, or a recommender's lists, names of users and items, train positives, popularity, the plan
 *   serve/report.json        each arm's measures on validation and test, and which arm is served
 *
 *   serve/decision.txt       a recommender's transfer report in words: candidates, what came from where, what was switched off
 *
 * They hold the silo's own identifiers: directory 0700. Formats: docs/internals/client-io.md.
 * Owner: the caller. Thread: one at a time; xf_blas_start before the first xf_serve_top.
 */
#ifndef XF_CLIENT_IO_SERVE_H
#define XF_CLIENT_IO_SERVE_H

#include "base/fs.h"
#include "data/names.h"
#include "model/score.h"
#include "rec/rerank.h"
#include "rec/toplist.h"
#include "silo/silo.h"
#include "store/safetensors.h"

#define XF_SERVE_DIR "serve"
#define XF_SERVE_FILE "serve.safetensors"
#define XF_SERVE_REPORT "report.json"
#define XF_SERVE_DECISION "decision.txt"

enum { XF_SERVE_TOP_MAX = 10000 };

struct xf_serve_source {
  const struct xf_plan *plan;
  const struct xf_dataset *data;
  const float *params[XF_SILO_N_ARM]; /* [n] each; NULL: none (popularity, a recommender's arms) */
  const uint32_t
      *item[XF_SILO_N_ARM]; /* a recommender's arms as lists (rec/toplist.h); NULL: none */
  const float *score[XF_SILO_N_ARM];
  const uint32_t
      *category[XF_SILO_N_ARM];      /* of each listed item a category as reason; NULL: none */
  const struct xf_names *categories; /* their names; NULL: none */
  const struct xf_kg_side *kg;       /* the silo's knowledge graph; NULL: none */
  uint32_t paths;                    /* bit of each arm whose reasons are its paths */
  const float *strangers;            /* [n_items] of a recommender; NULL: popularity answers them */
  enum xf_recommender_crowd crowd;
  uint64_t n;
  enum xf_silo_arm served;
  const char *run, *member;
  uint64_t committed;
};

/* Makes the directory and writes the file, durable and whole. @err E_NOSPACE E_IO E_LIMIT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_serve_save(const struct xf_fs *fs, const char *state_dir,
                                        const struct xf_serve_source *source, struct xf_diag *diag);

struct xf_serve {
  struct xf_safetensors file;
  struct xf_plan *plan;
  struct xf_model *model; /* NULL for a recommender */
  struct xf_score *scorer;
  struct xf_scorer *lists; /* a recommender's arm `loaded` */
  float *row;              /* [items.n] its scores */
  uint32_t *listed,
      *shelf; /* its lists, and of each item the category that is a reason; NULL: none is */
  struct xf_names shelves; /* names of those categories */
  struct xf_names users, items;
  uint32_t *start, *item; /* train positives, as in data/split.h */
  float *popularity;      /* [items.n] */
  struct xf_kg_side *kg;  /* NULL: none */
  uint32_t paths;         /* as xf_serve_source */
  float *strangers;       /* [items.n] for unknown users; NULL: popularity */
  enum xf_recommender_crowd crowd;
  float *params; /* [n] of arm `loaded` */
  uint64_t n;
  enum xf_silo_arm served, loaded;
  bool has_loaded, ranking;
  struct xf_categories categories; /* of the items, when a file was named */
  struct xf_gram gram;             /* who was taken with whom, where there are no factors either */
  struct xf_itemsim
      sim; /* by the categories, else by the item factors of arm sim_arm, else by gram */
  enum xf_silo_arm sim_arm;
  bool has_categories, has_sim, has_gram;
};

struct xf_serve_ask {
  const char *user;
  uint32_t k;
  enum xf_silo_arm arm;
  struct xf_rerank rerank; /* zeroed: by score */
};

enum { XF_SERVE_PARTS = 4, XF_SERVE_LIKE = 3 };

/* Why an item was given. */
struct xf_serve_why {
  char path[XF_KG_PATH_TEXT]; /* the graph's best path from the user's items; "": none */
  const char *
      category; /* of the item's, the one that fits the user's best; NULL: categories had no part in it */
  uint32_t n_part, n_like;
  struct {
    const char *
        name; /* "taste", "item", "user", "level"; "popularity"; "model" where it cannot be told apart */
    float share;
  } part[XF_SERVE_PARTS]; /* add up to the score */
  struct {
    uint32_t item;
    float similarity;
  } like
      [XF_SERVE_LIKE]; /* items of the user most similar to it, above 0, best first; no part of the score */
};

/* What answers an unknown user, in words. @own static */
const char *xf_serve_crowd_name(enum xf_recommender_crowd crowd);
/* @own serve: xf_serve_close, also after an error @err E_NOTFOUND (the run is not done) E_CORRUPT E_VERSION E_NOMEM E_IO */
XF_WARN_UNUSED enum xf_rc xf_serve_open(struct xf_serve *serve, const struct xf_fs *fs,
                                        const char *state_dir, struct xf_diag *diag);
/* Releases; idempotent, legal on a zeroed struct. @own serve */
void xf_serve_close(struct xf_serve *serve);
/* Reads categories of items (data/categories.h): similarity is by them from now on, and "calibrated" can be had.
   @err those of xf_categories_load, E_UNSUPPORTED (tables) */
XF_WARN_UNUSED enum xf_rc xf_serve_categorise(struct xf_serve *serve, const char *path,
                                              struct xf_diag *diag);
/* What similarity is by at the moment: "categories", "factors", "co-occurrence" or "none". @own static */
const char *xf_serve_similarity(const struct xf_serve *serve);
/* Loads the parameters of an arm into serve->params, or a recommender's lists into serve->lists. @err E_CORRUPT E_NOMEM E_IO */
XF_WARN_UNUSED enum xf_rc xf_serve_load(struct xf_serve *serve, enum xf_silo_arm arm,
                                        struct xf_diag *diag);
/* The k best items of an arm for a user, without the user's train positives, re-ranked if asked; ties by lower id. An unknown
   user is answered by popularity (serve->crowd says whose): *used says so. Without categories, items are alike by the factors of the arm, for popularity by
   those of the best arm that has some; where there are none (a recommender), by who took what in train. @shape out[k], k <= XF_SERVE_TOP_MAX @err E_UNSUPPORTED (tables) E_RANGE E_CORRUPT
   E_IO E_NOTFOUND (nothing to tell similar items by) E_NAN @own texts of items: serve */
XF_WARN_UNUSED enum xf_rc xf_serve_top(struct xf_serve *serve, struct xf_topk_item *out,
                                       uint32_t *n, enum xf_silo_arm *used,
                                       const struct xf_serve_ask *ask, struct xf_diag *diag);
/* Why xf_serve_top gave an item of score `of` to the user. A factor model cannot say which events its user row comes from: its
   parts are the product of the rows ("taste") and the biases; the most similar of the user's items are named beside.
   @err as xf_serve_top */
XF_WARN_UNUSED enum xf_rc xf_serve_explain(struct xf_serve *serve, struct xf_serve_why *out,
                                           const char *user, enum xf_silo_arm used,
                                           struct xf_topk_item of, struct xf_diag *diag);

#endif
