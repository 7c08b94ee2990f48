/*
 * schema.h - the tables behind a plan's grammar (plan_schema.c): for loading, printing, encoding and the reference.
 * Owner: nobody, constant data. Thread: any.
 */
#ifndef XF_PLAN_SCHEMA_H
#define XF_PLAN_SCHEMA_H

#include "conf/schema.h"

/* Target struct xf_plan. */
extern const struct xf_conf_schema xf_plan_schema;

#endif
