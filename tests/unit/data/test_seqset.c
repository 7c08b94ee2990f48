// Sequences: files of answers and of speeches, their errors with place, parts, chunks, writing and reading back, ASSISTments.
#include "data/seqset.h"
#include "data/split.h"
#include "datatest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka wants the four above first
#include <cmocka.h>

static const char *file(const char *text) { return datatest_file("a.csv", text, strlen(text)); }

static const char three[] = "3\n1,2,1\n0,1,1\n1\n5\n0\n2\n4,4,\n1,0,\n";

static void test_answers(void **state) {
  (void)state;
  struct xf_seqset s;
  xf_seqset_init(&s);
  assert_int_equal(xf_seqset_load_answers(&s, file(three), XF_PART_TRAIN, NULL), XF_OK);
  const int32_t token[] = {0, 1, 0, 4, 3, 3};
  const uint8_t answer[] = {0, 1, 1, 0, 1, 0};
  assert_int_equal(s.n, 3);
  assert_int_equal(s.n_token, 5);
  assert_int_equal(xf_seqset_len(&s, 0), 3);
  assert_int_equal(xf_seqset_len(&s, 1), 1);
  assert_memory_equal(s.token, token, sizeof token);
  assert_memory_equal(s.answer, answer, sizeof answer);
  // a second file adds another part; equal bytes come back from what is written
  assert_int_equal(xf_seqset_load_answers(&s, file("1\n7\n1\n"), XF_PART_TEST, NULL), XF_OK);
  assert_int_equal(s.n, 4);
  assert_int_equal(s.part[3], XF_PART_TEST);
  char path[512];
  (void)snprintf(path, sizeof path, "%s.out", file(""));
  assert_int_equal(xf_seqset_save(&s, XF_PART_TRAIN, "", path, NULL), XF_OK);
  struct xf_seqset back;
  xf_seqset_init(&back);
  assert_int_equal(xf_seqset_load_answers(&back, path, XF_PART_TRAIN, NULL), XF_OK);
  assert_int_equal(back.n, 3);
  assert_memory_equal(back.token, token, sizeof token);
  assert_memory_equal(back.answer, answer, sizeof answer);
  xf_seqset_deinit(&back);
  xf_seqset_deinit(&s);
}

static void test_bad_answers(void **state) {
  (void)state;
  const struct {
    const char *text, *says;
    enum xf_rc rc;
  } bad[] = {
      {"2\n1,2\n0,1,1\n", "2 skills and 3 answers, but the student's first line says 2",
       XF_E_FORMAT},
      {"2\n1,2\n", "the file ends where answer should be", XF_E_FORMAT},
      {"2\n1,2\n0,2\n", ":3:2: answer 2 is not a whole number from 0 to 1", XF_E_RANGE},
      {"2\n0,2\n0,1\n", ":2:1: skill 0 is not a whole number from 1", XF_E_RANGE},
      {"2\n1,x\n0,1\n", ":2:2:", XF_E_FORMAT},
      {"1,2\n1\n1\n", "2 numbers where one, the number of answers", XF_E_FORMAT},
      {"0\n1\n1\n", "a student without answers", XF_E_FORMAT},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct xf_seqset s;
    struct xf_diag diag;
    xf_seqset_init(&s);
    xf_diag_init(&diag);
    const enum xf_rc rc = xf_seqset_load_answers(&s, file(bad[i].text), XF_PART_TRAIN, &diag);
    if (rc != bad[i].rc) fail_msg("%s: %s: %s", bad[i].text, xf_rc_text(rc), diag.text);
    datatest_says(&diag, bad[i].says);
    assert_int_equal(s.n, 0); // nothing half read stays
  }
}

static const char play[] = "First:\nNo, my\nlord:\n\nSecond:\nAy.\n\nFirst:\nGo \xc3\xa9.\n\n";

static void test_text(void **state) {
  (void)state;
  struct xf_seqset s;
  xf_seqset_init(&s);
  assert_int_equal(xf_seqset_load_text(&s, file(play), NULL), XF_OK);
  assert_int_equal(s.n, 3);
  assert_null(s.answer);
  assert_int_equal(s.n_token, XF_SEQSET_LETTERS);
  assert_int_equal(s.names.n, 2);
  assert_string_equal(xf_names_get(&s.names, s.name[1]), "Second");
  assert_int_equal(s.name[2], s.name[0]);
  // "lord:" is a line of the speech, not a speaker: no empty line before it
  assert_int_equal(xf_seqset_len(&s, 0), strlen("No, my\nlord:\n"));
  assert_int_equal(s.token[0], 'N' - ' ' + 1);
  assert_int_equal(s.token[6], 0);              // newline
  assert_int_equal(s.token[s.start[2] + 3], 1); // foreign bytes are spaces
  uint32_t group[] = {0, 1, 0};
  struct xf_seqset first, back;
  assert_int_equal(xf_seqset_select(&first, &s, group, 0), XF_OK);
  assert_int_equal(first.n, 2);
  char path[512];
  (void)snprintf(path, sizeof path, "%s.out", file(""));
  assert_int_equal(xf_seqset_save(&first, XF_SEQSET_ALL, "First", path, NULL), XF_OK);
  xf_seqset_init(&back);
  assert_int_equal(xf_seqset_load_text(&back, path, NULL), XF_OK);
  assert_int_equal(back.n, 2);
  assert_memory_equal(back.token, first.token, first.start[2] * sizeof *first.token);
  xf_seqset_deinit(&back);
  xf_seqset_deinit(&first);
  xf_seqset_deinit(&s);
  struct xf_diag diag;
  xf_diag_init(&diag);
  xf_seqset_init(&s);
  assert_int_equal(xf_seqset_load_text(&s, file("A:\nx\n\nhello\n"), &diag), XF_E_FORMAT);
  datatest_says(&diag,
                ":4:1: a speech begins with its speaker's name and a colon, not with \"hello\"");
  // a tab is a space like any other foreign byte, and what is behind it belongs to the speech
  assert_int_equal(xf_seqset_load_text(&s, file("A:\n\ta\tb\t\n"), &diag), XF_OK);
  assert_int_equal(s.n, 1);
  const int32_t tabs[] = {1, 'a' - ' ' + 1, 1, 'b' - ' ' + 1, 1, 0};
  assert_int_equal(xf_seqset_len(&s, 0), sizeof tabs / sizeof *tabs);
  assert_memory_equal(s.token, tabs, sizeof tabs);
  xf_seqset_deinit(&s);
}

static void test_split_and_chunks(void **state) {
  (void)state;
  struct xf_seqset s;
  struct xf_rng rng;
  const int32_t token[7] = {0};
  const uint8_t answer[7] = {0};
  xf_seqset_init(&s);
  for (uint32_t i = 0; i < 20; i++)
    assert_int_equal(xf_seqset_add(&s, token, answer, 1 + i % 7, XF_PART_TRAIN, 0), XF_OK);
  assert_int_equal(xf_seqset_add(&s, token, NULL, 3, XF_PART_TRAIN, 0), XF_E_INVAL);
  xf_rng_init(&rng, 1, 2);
  assert_int_equal(xf_seqset_split(&s, 0.1, 0.2, &rng, NULL), XF_OK);
  uint32_t n[3] = {0};
  for (uint32_t i = 0; i < s.n; i++) n[s.part[i]]++;
  assert_int_equal(n[XF_PART_TRAIN], 14);
  assert_int_equal(n[XF_PART_VALID], 2);
  assert_int_equal(n[XF_PART_TEST], 4);
  struct xf_chunk chunk[64];
  const size_t n_chunk = xf_seqset_chunks(&s, XF_PART_TRAIN, 3, chunk);
  uint32_t at = 0;
  assert_int_equal(xf_seqset_chunks(&s, XF_PART_TRAIN, 3, NULL), n_chunk);
  for (uint32_t i = 0; i < s.n; i++) // every train step once, in order, never across students
    for (uint32_t k = s.start[i]; s.part[i] == XF_PART_TRAIN && k < s.start[i + 1]; at++) {
      assert_true(at < n_chunk && chunk[at].first == k && chunk[at].n >= 1 && chunk[at].n <= 3);
      k += chunk[at].n;
      assert_true(k <= s.start[i + 1]);
    }
  assert_int_equal(at, n_chunk);
  struct xf_diag diag;
  xf_diag_init(&diag);
  assert_int_equal(xf_seqset_split(&s, 0.5, 0.5, &rng, &diag), XF_E_INVAL);
  datatest_says(&diag, "leave no train part");
  xf_seqset_deinit(&s);
}

static void test_assistments(void **state) {
  (void)state;
  struct xf_seqset s;
  const char *dir = datatest_real("knowledge-tracing/assist2009_updated/test.csv.gz");
  if (!dir) skip();
  xf_seqset_init(&s);
  assert_int_equal(xf_seqset_load_answers(&s, dir, XF_PART_TEST, NULL), XF_OK);
  assert_int_equal(s.n, 1230);
  assert_int_equal(s.start[s.n], 101419);
  assert_int_equal(s.n_token, 110);
  xf_seqset_deinit(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_answers),     cmocka_unit_test(test_bad_answers),
      cmocka_unit_test(test_text),        cmocka_unit_test(test_split_and_chunks),
      cmocka_unit_test(test_assistments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
