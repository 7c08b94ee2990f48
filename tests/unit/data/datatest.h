/*
 * datatest.h - what the unit tests of data share: files with given bytes, real data, errors that must say something.
 * Not for other tests. Owner: the test. Thread: one.
 */
#ifndef XF_TESTS_UNIT_DATA_DATATEST_H
#define XF_TESTS_UNIT_DATA_DATATEST_H

#include "base/diag.h"
#include "base/fs.h"

/* Writes text to a file below a fresh directory and gives its path (static, until the next call). @own static */
const char *datatest_file(const char *name, const void *text, size_t len);
/* The same, gzipped, of which only the first `keep` bytes are kept (SIZE_MAX: all). @own static */
const char *datatest_gzip(const char *name, const char *text, size_t keep);
/* Path of a file of the real data sets, or NULL when they are absent. @own static */
const char *datatest_real(const char *name);
/* The error's text must contain `text`. @thread one */
void datatest_says(const struct xf_diag *diag, const char *text);

#endif
