/*
 * omniglot.h - drawings of characters from several alphabets (Omniglot): images and the list of what they show, into a table.
 *
 * Images: an IDX file [n x s x s] of bytes, ink 255, gzipped or not. List: text, gzipped or not, a heading and one line per image in
 * the same order: class_id, alphabet, character, drawer, set, separated by tabs. Classes count the characters from 0 in their
 * order of appearance; a drawer, 1 to 20, has drawn a character at most once.
 * A row's label is its class, its client the alphabet. Drawer and set are checked, not kept.
 * Not for: drawing tasks (episode.h). Owner: caller. Thread: any.
 * @source Lake, Salakhutdinov & Tenenbaum 2015 (the data)
 */
#ifndef XF_DATA_OMNIGLOT_H
#define XF_DATA_OMNIGLOT_H

#include "data/table.h"

/* Reads both files; x = ink from 0 to 1, shrunk to side x side by the mean over areas. Out is empty after an error.
   @own out @err E_NOTFOUND E_FORMAT E_SHAPE (sizes, number of lines) E_INVAL (side) E_CONFLICT (a drawer's second drawing of a
   character) E_LIMIT E_CORRUPT E_NOMEM */
XF_WARN_UNUSED enum xf_rc xf_omniglot_load(struct xf_table *out, const char *images,
                                           const char *list, uint32_t side, struct xf_diag *diag);
/* Rows of the last n_test alphabets by name, bytewise, become test, those of the n_valid before them validation, all others
   train. @err E_INVAL (no alphabet is left to train on) */
XF_WARN_UNUSED enum xf_rc xf_omniglot_split(struct xf_table *table, uint32_t n_valid,
                                            uint32_t n_test, struct xf_diag *diag);
/* Shrinks a square of bytes: each output is the mean of the input over its area, edges by the part covered; / 255.
   @shape out[side x side], in[n x n], 0 < side <= n */
void xf_omniglot_shrink(float *out, uint32_t side, const uint8_t *in, uint32_t n);

#endif
