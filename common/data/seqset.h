/*
 * seqset.h - sequences of tokens: a student's answers in their order, a speech letter by letter.
 *
 * A step is a token (skill 0 .. n_token-1, letter) and, for answers, 0 or 1. A whole sequence belongs to one part. Training
 * cuts sequences into chunks of at most so many steps; evaluation goes through each whole, carrying the state on.
 *
 * Files: answers are three lines per student - number of answers, skill numbers from 1, 0/1 per answer - as DKVMN has them.
 * Texts are speeches: a line "Name:", the lines spoken, an empty line; every other speech of a name is a sequence of its own.
 * Not for: interactions (interactions.h). Owner: caller. Thread: immutable once loaded.
 */
#ifndef XF_DATA_SEQSET_H
#define XF_DATA_SEQSET_H

#include "base/diag.h"
#include "base/rng.h"
#include "data/names.h"

#include <stddef.h>
#include <stdint.h>

/* Letters of texts: newline, then the printable ASCII ones from space to tilde; anything else counts as a space. */
enum { XF_SEQSET_ALL = 0xff, XF_SEQSET_LETTERS = 96, XF_SEQSET_STEPS_MAX = 1 << 28 };

struct xf_seqset {
  uint32_t n;
  uint32_t n_token; /* largest token + 1 */
  uint32_t *start;  /* [n + 1] first step of each sequence */
  int32_t *token;   /* [start[n]] */
  uint8_t *answer;  /* [start[n]]; NULL for texts */
  uint8_t *part;    /* [n] enum xf_part of split.h; all train after loading */
  uint32_t *name;   /* [n] whose; 0 for answers */
  struct xf_names names;
  uint32_t cap, cap_step; /* of the arrays */
};

/* Empty. @own caller, release with xf_seqset_deinit */
void xf_seqset_init(struct xf_seqset *set);
/* Releases; idempotent. @own set */
void xf_seqset_deinit(struct xf_seqset *set);
/* Steps of sequence i. @unit steps */
static inline uint32_t xf_seqset_len(const struct xf_seqset *set, uint32_t i) {
  return set->start[i + 1] - set->start[i];
}
/* Adds one sequence; answer NULL in sets without. @shape token[n], answer[n] @err E_LIMIT E_NOMEM E_INVAL (with and without
   answers in one set) */
XF_WARN_UNUSED enum xf_rc xf_seqset_add(struct xf_seqset *set, const int32_t *token,
                                        const uint8_t *answer, uint32_t n, uint8_t part,
                                        uint32_t name);
/* Adds a file's students as `part`. Out is empty after an error. @err E_NOTFOUND E_FORMAT E_RANGE E_LIMIT E_NOMEM, with file
   and line */
XF_WARN_UNUSED enum xf_rc xf_seqset_load_answers(struct xf_seqset *set, const char *path,
                                                 uint8_t part, struct xf_diag *diag);
/* Reads a file of speeches. @own set @err as xf_seqset_load_answers */
XF_WARN_UNUSED enum xf_rc xf_seqset_load_text(struct xf_seqset *set, const char *path,
                                              struct xf_diag *diag);
/* Deals whole sequences to validation and test at random; at least one stays train. @err E_INVAL (fractions) */
XF_WARN_UNUSED enum xf_rc xf_seqset_split(struct xf_seqset *set, double valid_fraction,
                                          double test_fraction, struct xf_rng *rng,
                                          struct xf_diag *diag);
/* The sequences with group[i] == which. @own out @shape group[set->n] @err E_NOMEM E_LIMIT */
XF_WARN_UNUSED enum xf_rc xf_seqset_select(struct xf_seqset *out, const struct xf_seqset *set,
                                           const uint32_t *group, uint32_t which);
/* Writes the sequences of a part, or all (XF_SEQSET_ALL), as the loaders read them; texts as speeches of `speaker`. @err E_IO */
XF_WARN_UNUSED enum xf_rc xf_seqset_save(const struct xf_seqset *set, uint8_t part,
                                         const char *speaker, const char *path,
                                         struct xf_diag *diag);

/* A piece of a sequence that is one training sample. */
struct xf_chunk {
  uint32_t first, n; /* steps */
};
/* Chunks of a part's sequences, at most `steps` each, in order; out NULL: counts only. @unit chunks @shape out[*] */
size_t xf_seqset_chunks(const struct xf_seqset *set, uint8_t part, uint32_t steps,
                        struct xf_chunk *out);

#endif
