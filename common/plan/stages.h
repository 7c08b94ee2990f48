/*
 * stages.h - the rules for a plan's stages: kinds, names, artifacts. Between the files of plan (plan.h checks a whole plan).
 * Owner: nobody. Thread: any.
 */
#ifndef XF_PLAN_STAGES_H
#define XF_PLAN_STAGES_H

#include "plan/plan.h"

enum { XF_PLAN_STAGE_NAME_MAX = 31, XF_PLAN_SUMS_DIM_MAX = 128 };

/* Kinds that go with the model, names, inputs. @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_stages(const struct xf_plan *plan, struct xf_diag *diag);
/* A model of sequences with its data and split (sequences.c). @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_sequences(const struct xf_plan *plan, struct xf_diag *diag);
/* Training private per unit (units.c): what it needs and what it excludes. @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_units(const struct xf_plan *plan, struct xf_diag *diag);
/* Whether the model learns from sequences; whether the data are some. @thread any */
bool xf_plan_models_sequences(const struct xf_plan *plan);
bool xf_plan_has_sequences(const struct xf_plan *plan);
/* A statistic or rows stage by itself. @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_keyed(const struct xf_plan *plan,
                                              const struct xf_plan_stage_part *stage,
                                              struct xf_diag *diag);
/* The rates' schedules of a stage (schedules.c). @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_schedules(const struct xf_plan_stage_part *stage,
                                                  struct xf_diag *diag);
/* fed.encoding and fed.compress of a stage (encoding.c); with strategy and privacy: combine.h. @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_encoding(const struct xf_plan *plan,
                                                 const struct xf_plan_stage_part *stage,
                                                 struct xf_diag *diag);
/* fed.async of a stage: what it needs and what it excludes (async.c). @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_async(const struct xf_plan *plan,
                                              const struct xf_plan_stage_part *stage,
                                              struct xf_diag *diag);
/* fed.server of a train stage: keys its kind does not read, and the row rule pull (server.c). @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_server(const struct xf_plan *plan,
                                               const struct xf_plan_stage_part *stage,
                                               struct xf_diag *diag);
/* fed.select: keys its policy does not read, and what a policy by losses or samples needs (select.c).
   @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_select(const struct xf_plan *plan,
                                               const struct xf_plan_stage_part *stage,
                                               struct xf_diag *diag);
/* What fed.algorithm scaffold or fednova needs of the rest of the plan (control.c). @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_control(const struct xf_plan *plan,
                                                const struct xf_plan_stage_part *stage,
                                                struct xf_diag *diag);
/* fed.edge_rounds (edges.c). @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_edges(const struct xf_plan *plan,
                                              const struct xf_plan_stage_part *stage,
                                              struct xf_diag *diag);
/* What early_stop needs of the rest of the plan (stop.c). @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_stop(const struct xf_plan *plan, struct xf_diag *diag);

/* local.meta of a train stage: of a meta-learning algorithm, or where a metric adapts (meta.c). @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_meta(const struct xf_plan *plan,
                                             const struct xf_plan_stage_part *stage,
                                             struct xf_diag *diag);
/* local.personal of a train stage and what personalisation excludes (personal.c). @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_personal(const struct xf_plan *plan,
                                                 const struct xf_plan_stage_part *stage,
                                                 struct xf_diag *diag);
/* sim.clients of generated sinusoids. @err E_CONFIG */
XF_WARN_UNUSED enum xf_rc xf_plan_check_sinusoid(const struct xf_plan *plan, struct xf_diag *diag);
/* What stands for hessian auto. @thread any */
enum xf_plan_hessian xf_plan_hessian_of(enum xf_plan_algorithm algorithm);

#endif
