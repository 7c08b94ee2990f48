#include "wire/msg.h"

static const struct {
  uint16_t type;
  uint32_t max;
  const char *name;
} rows[] = {
#define MSG_ROW(n, num, max) {num, max, #n},
    XF_MSG_LIST(MSG_ROW)
#undef MSG_ROW
};

const char *xf_msg_name(enum xf_msg_type type) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].type == (uint16_t)type) return rows[i].name;
  return "?";
}

uint32_t xf_msg_max(uint16_t type) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].type == type) return rows[i].max;
  return 0;
}

const char *xf_task_kind_name(enum xf_task_kind kind) {
  static const char *const names[] = {
#define KIND_NAME(n, t) t,
      XF_TASK_KIND_LIST(KIND_NAME)
#undef KIND_NAME
  };
  return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : "?";
}

const char *xf_verdict_name(enum xf_verdict verdict) {
  static const char *const names[] = {
#define VERDICT_NAME(n, t) t,
      XF_VERDICT_LIST(VERDICT_NAME)
#undef VERDICT_NAME
  };
  return (size_t)verdict < sizeof names / sizeof names[0] ? names[verdict] : "?";
}
