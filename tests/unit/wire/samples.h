/*
 * samples.h - for the tests of wire: one message of each type with every field set.
 * Owner: static data; thread: the test's.
 */
#ifndef XF_TESTS_WIRE_SAMPLES_H
#define XF_TESTS_WIRE_SAMPLES_H

#include "wire/msg.h"

/* Every type there is, in order. */
extern const enum xf_msg_type sample_types[];
extern const size_t n_sample_types;

/* A message whose fields all differ from their defaults and from each other. */
struct xf_msg sample(enum xf_msg_type type);
/* 32 bytes that start with `seed`. */
struct xf_digest sample_digest(uint8_t seed);

#endif
