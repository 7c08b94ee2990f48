/*
 * parts.h - private to common/silo: the silo's memory. silo.c builds and keeps it, work.c does tasks, arms.c the arms.
 */
#ifndef XF_SILO_PARTS_H
#define XF_SILO_PARTS_H

#include "param/wiremap.h"
#include "rec/evaluate.h"
#include "silo/silo.h"
#include "train/train.h"

struct xf_silo {
  struct xf_silo_config cfg; /* cfg.member points to `member` */
  char member[64];
  struct xf_dataset data;
  struct xf_measures measures;
  struct xf_model *model;
  const struct xf_layout *layout;
  struct xf_trainer *trainer;
  struct xf_evaluator *evaluator;
  struct xf_digest layout_digest;
  struct xf_manifest manifest;
  struct xf_key *user_key; /* [n_users] by local row */
  uint32_t *key_row;       /* [manifest.n] local row of each key */
  uint32_t *known_row; /* [n_known] local rows of the keys that the directory knows, in key order */
  uint32_t *holders;   /* [n_known] */
  size_t n_known;
  bool aligned;
  struct xf_wire_map map;
  float *full;  /* personal state */
  float *next;  /* tentative: of the last answer */
  float *task;  /* of the task at hand; changes places with next when the answer is whole */
  float *arm;   /* parameters of the arm made last */
  float *prior; /* NULL unless rows are pulled */
  uint8_t *held;
  float *wire;
  int32_t *noise; /* NULL without noise */
  bool tentative;
  enum xf_silo_arm made;
};

/* start <- personal state under the base: shared floats always, aligned rows only by `average`; with `pull` the own
   rows stay. @shape start[layout.n], base[n_wire] */
void silo_start(const struct xf_silo *s, float *start, const float *base);
/* Streams of a task; round 2^32 + t is task t of the `alone` arm. */
void silo_streams(const struct xf_silo *s, uint64_t round, struct xf_rng *shuffle,
                  struct xf_rng *negative);
/* Seeded first values of every segment. @shape x[layout.n] */
enum xf_rc silo_first(const struct xf_silo *s, float *x, struct xf_diag *diag);

#endif
