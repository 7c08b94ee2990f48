/*
 * serverrules.h - the one table of server rules that are a file of their own: X(NAME, text), a line each.
 *
 * A line makes XF_SERVER_NAME in fed and XF_PLAN_SERVER_NAME in plan, lets a plan say `fed.server.kind: text`, and wants
 * `const struct xf_server_rule xf_server_rule_NAME` (fed/serverrule.h) from the file common/fed/rule_<text>.c. The list stands here
 * because fed and plan know each other as little as any two modules of a layer.
 * The position of a line is part of the canonical encoding of plans: append, never reorder. docs/HACKING.md, "A strategy".
 * Owner: nobody, constant data. Thread: any.
 */
#ifndef XF_PARAM_SERVERRULES_H
#define XF_PARAM_SERVERRULES_H

#define XF_SERVER_RULES(X) X(LION, "lion")

#endif
