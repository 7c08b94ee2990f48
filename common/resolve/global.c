#include "resolve/global.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "crypto/sha256.h"
#include "crypto/stream.h"
#include "param/wiremap.h"
#include "resolve/resolve.h"
#include "resolve/stages.h"

#include <string.h>

enum { LAYOUT_BYTES_MAX = 1 << 20 };

static enum xf_rc make_layout(struct xf_global *out, const struct xf_plan *plan,
                              const struct xf_directory *directory, struct xf_diag *diag) {
  const struct xf_spaces spaces = xf_resolve_spaces(plan);
  const uint32_t n_keys = directory && spaces.n ? (uint32_t)directory->all.n : 0;
  if (xf_resolve_recommends(plan)) {
    struct xf_stage_sizes sizes = {0};
    for (uint32_t k = 0; k < spaces.n && directory; k++)
      sizes.n_keys[k] = (uint32_t)directory[k].all.n;
    out->layout = &out->made;
    return xf_resolve_layout(&out->made, plan, &sizes, diag);
  }
  struct xf_model_config config;
  const struct xf_model_size size = {n_keys, 0};
  enum xf_rc rc = xf_resolve_model(&config, plan, diag);
  if (!rc) rc = xf_model_new(&out->model, &config, size, diag);
  if (!rc) out->layout = xf_model_get_layout(out->model);
  return rc;
}

static uint32_t find_space(const struct xf_global *g, const char *ns) {
  uint32_t k = 0;
  while (k < g->n_space && strcmp(g->ns[k], ns) != 0) k++;
  return k;
}

/* The parts of one group, in layout order. */
static void add_parts(struct xf_global *g, bool keyed) {
  for (size_t i = 0; i < g->layout->n_seg; i++) {
    const struct xf_segment *s = &g->layout->seg[i];
    if (!xf_segment_global(s) || xf_segment_keyed(s) != keyed) continue;
    const uint32_t space = keyed ? find_space(g, s->ns) : 0;
    g->part[g->n_part++] =
        (struct xf_global_part){s->role, space, s->stage, s->rows, s->cols, g->n};
    g->n += xf_segment_len(s);
    if (s->role == XF_ROLE_ALIGNED) g->row_cols[space] += s->cols;
  }
}

/* Namespaces of the layout, by first appearance. */
static enum xf_rc add_spaces(struct xf_global *g, struct xf_diag *diag) {
  for (size_t i = 0; i < g->layout->n_seg; i++) {
    const struct xf_segment *s = &g->layout->seg[i];
    if (!xf_segment_keyed(s) || find_space(g, s->ns) < g->n_space) continue;
    if (g->n_space == XF_SPACES_MAX)
      return xf_diag_set(diag, XF_E_LIMIT, "segment %s: namespace \"%s\" is one more than %d",
                         s->name, s->ns, XF_SPACES_MAX);
    g->ns[g->n_space++] = s->ns;
  }
  return XF_OK;
}

/* A stage's segments as a layout of their own, for the shape of its fold. */
static enum xf_rc make_stage(struct xf_global *g, uint32_t stage, struct xf_diag *diag) {
  struct xf_global_stage *out = &g->stage[stage];
  struct xf_layout mine;
  xf_layout_init(&mine);
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < g->layout->n_seg && !rc; i++) {
    const struct xf_segment *s = &g->layout->seg[i];
    if (s->stage != stage || !xf_segment_global(s)) continue;
    out->n += xf_segment_len(s);
    if (s->role == XF_ROLE_PAIRED) out->pairs = s->rows;
    else rc = xf_layout_add(&mine, s->name, s->role, s->ns, s->rows, s->cols, diag);
  }
  bool keyed = false;
  out->shared_at = out->keyed_at = UINT64_MAX;
  for (size_t k = 0; k < g->n_part; k++) {
    if (g->part[k].stage != stage) continue;
    uint64_t *at = g->part[k].role == XF_ROLE_SHARED ? &out->shared_at : &out->keyed_at;
    if (*at == UINT64_MAX) *at = g->part[k].from;
    if (g->part[k].role == XF_ROLE_SHARED) continue;
    if (keyed && out->space != g->part[k].space)
      rc = xf_diag_set(diag, XF_E_CONFIG, "stage %u has keys of two namespaces", stage);
    out->space = g->part[k].space;
    keyed = true;
  }
  if (!rc) rc = xf_fold_shape_init(&out->shape, &mine, diag);
  /* its names are borrowed from a layout: let them be the lasting one's */
  for (size_t k = 0; k < out->shape.n_ns && !rc; k++)
    for (size_t i = 0; i < g->layout->n_seg; i++)
      if (strcmp(g->layout->seg[i].ns, out->shape.ns[k]) == 0)
        out->shape.ns[k] = g->layout->seg[i].ns;
  xf_layout_deinit(&mine);
  return rc;
}

enum xf_rc xf_global_lay(struct xf_global *out, const struct xf_layout *layout, uint32_t n_stage,
                         struct xf_diag *diag) {
  out->layout = layout;
  out->part = xf_calloc(layout->n_seg ? layout->n_seg : 1, sizeof *out->part);
  out->n_part = 0;
  out->n = out->n_space = 0;
  memset(out->row_cols, 0, sizeof out->row_cols);
  enum xf_rc rc = add_spaces(out, diag);
  if (rc) return rc;
  add_parts(out, false);
  out->n_shared = out->n;
  add_parts(out, true);
  if (out->n_part == 0)
    return xf_diag_set(diag, XF_E_CONFIG, "the plan shares nothing between silos");
  out->n_stage = n_stage;
  out->stage = xf_calloc(n_stage, sizeof *out->stage);
  for (uint32_t i = 0; i < n_stage && !rc; i++) rc = make_stage(out, i, diag);
  return rc;
}

enum xf_rc xf_global_init(struct xf_global *out, const struct xf_plan *plan,
                          const struct xf_directory *directory, struct xf_diag *diag) {
  *out = (struct xf_global){0};
  enum xf_rc rc = make_layout(out, plan, directory, diag);
  if (!rc) rc = xf_global_lay(out, out->layout, plan->n_stages, diag);
  for (uint32_t i = 0; i < plan->n_stages && !rc; i++)
    out->stage[i].sum = plan->stages[i].kind == XF_PLAN_STAGE_STATISTIC ||
                        (plan->stages[i].kind == XF_PLAN_STAGE_ROWS &&
                         plan->stages[i].rows.rule == XF_PLAN_ROW_RULE_SUMS);
  struct xf_model_control c;
  for (size_t k = 0; !rc && out->model && xf_model_get_control(out->model, k, &c); k++)
    out->stage[0].n_control += xf_segment_len(c.all);
  if (!rc && out->model) out->stage[0].nova = xf_model_get_nova(out->model) != NULL;
  if (rc) xf_global_deinit(out);
  return rc;
}

void xf_global_deinit(struct xf_global *global) {
  for (uint32_t i = 0; i < global->n_stage; i++) xf_fold_shape_deinit(&global->stage[i].shape);
  xf_free(global->stage);
  xf_free(global->part);
  xf_layout_deinit(&global->made);
  xf_model_free(global->model);
  *global = (struct xf_global){0};
}

/* Statistics and rows are 0, a scorer's net has its seeded weights. */
static enum xf_rc first_stages(const struct xf_global *global, float *x, const struct xf_plan *plan,
                               struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  memset(x, 0, (size_t)global->n * sizeof *x);
  for (uint32_t i = 0; i < plan->n_stages && !rc; i++) {
    struct xf_model *net = NULL;
    if (plan->stages[i].kind != XF_PLAN_STAGE_TRAIN) continue;
    rc = xf_resolve_scorer(&net, diag);
    if (!rc) rc = xf_resolve_scorer_first(net, x + global->stage[i].shared_at, plan, i, diag);
    xf_model_free(net);
  }
  return rc;
}

enum xf_rc xf_global_first(const struct xf_global *global, float *x, const struct xf_plan *plan,
                           const struct xf_directory *directory, struct xf_diag *diag) {
  if (!global->model) return first_stages(global, x, plan, diag);
  const struct xf_spaces spaces = xf_resolve_spaces(plan);
  const size_t n_rows = directory ? directory->all.n : 0;
  uint32_t *row = xf_calloc(n_rows ? n_rows : 1, sizeof *row);
  for (size_t i = 0; i < n_rows; i++) row[i] = (uint32_t)i;
  const struct xf_wire_rows rows = {spaces.at[0].ns, row, n_rows};
  struct xf_wire_map map = {0};
  float *full = NULL;
  enum xf_rc rc = xf_wire_map_init(&map, global->layout, &rows, spaces.n, XF_STAGE_ALL, diag);
  if (rc) goto out;
  full = xf_try_calloc(global->layout->n, sizeof *full);
  if (!full) {
    rc = xf_diag_set(diag, XF_E_NOMEM, "no memory for a model of %llu floats",
                     (unsigned long long)global->layout->n);
    goto out;
  }
  struct xf_rng shared;
  xf_stream_init(&shared, plan->seed, "init", 0, NULL);
  const struct xf_model_seed seed = {&shared, &shared, directory ? directory->all.key : NULL, NULL};
  rc = xf_model_init(global->model, full, &seed, diag);
  if (!rc) xf_wire_map_gather(&map, x, full);
out:
  xf_free(full);
  xf_wire_map_deinit(&map);
  xf_free(row);
  return rc;
}

enum xf_rc xf_layout_digest(struct xf_digest *out, const struct xf_layout *layout) {
  struct xf_buf bytes;
  xf_buf_init(&bytes, LAYOUT_BYTES_MAX);
  enum xf_rc rc = xf_layout_encode(&bytes, layout);
  if (!rc) xf_sha256(out, bytes.p, bytes.len);
  xf_buf_deinit(&bytes);
  return rc;
}

/* Floats of a part in a member's wire vector. */
static uint64_t part_len(const struct xf_global_part *p, const struct xf_member_rows *rows) {
  if (p->role == XF_ROLE_SHARED) return (uint64_t)p->rows * p->cols;
  const size_t n_rows = rows->n[p->space];
  return p->role == XF_ROLE_PAIRED ? xf_triangle_count((uint32_t)n_rows)
                                   : (uint64_t)n_rows * p->cols;
}

uint64_t xf_global_wire(const struct xf_global *global, uint32_t stages,
                        const struct xf_member_rows *rows) {
  uint64_t n = 0;
  for (size_t k = 0; k < global->n_part; k++)
    if (stages >> global->part[k].stage & 1) n += part_len(&global->part[k], rows);
  return n;
}

/* Rows that are neighbours in the directory travel as one run. */
static struct xf_global_run run_rows(const struct xf_global_part *p, const uint32_t *row,
                                     size_t n_row, uint64_t at) {
  const uint64_t cols = p->cols;
  const size_t first = (size_t)(at / cols);
  size_t end = first + 1;
  while (end < n_row && row[end] == row[end - 1] + 1) end++;
  return (struct xf_global_run){p->from + row[first] * cols + at % cols,
                                (end - first) * cols - at % cols};
}

/* Pairs (a, b) of the member's keys: the run goes on while the keys b are neighbours in the directory. */
static struct xf_global_run run_pairs(const struct xf_global_part *p, const uint32_t *row,
                                      size_t n_row, uint64_t at) {
  const uint32_t n = (uint32_t)n_row;
  uint32_t a = 0, beyond = n - 1; /* the last row that begins at or before `at` */
  while (beyond - a > 1) {
    const uint32_t middle = a + (beyond - a) / 2;
    if (xf_triangle_row(n, middle) <= at) a = middle;
    else beyond = middle;
  }
  const uint32_t b = a + 1 + (uint32_t)(at - xf_triangle_row(n, a));
  uint32_t end = b + 1;
  while (end < n && row[end] == row[end - 1] + 1) end++;
  return (struct xf_global_run){p->from + xf_triangle_row(p->rows, row[a]) + (row[b] - row[a] - 1),
                                end - b};
}

struct xf_global_run xf_global_run_at(const struct xf_global *global, uint32_t stages,
                                      const struct xf_member_rows *rows, uint64_t at) {
  for (size_t k = 0; k < global->n_part; k++) {
    const struct xf_global_part *p = &global->part[k];
    const uint64_t len = stages >> p->stage & 1 ? part_len(p, rows) : 0;
    if (at >= len) {
      at -= len;
      continue;
    }
    if (p->role == XF_ROLE_SHARED) return (struct xf_global_run){p->from + at, len - at};
    const uint32_t *row = rows->row[p->space];
    const size_t n_row = rows->n[p->space];
    return p->role == XF_ROLE_PAIRED ? run_pairs(p, row, n_row, at) : run_rows(p, row, n_row, at);
  }
  XF_ASSERT(false); /* the position was to be inside the wire vector */
  return (struct xf_global_run){0, 1};
}

struct xf_global_view xf_global_view_of(const struct xf_plan *plan, bool train, uint32_t stage) {
  if (!train) return (struct xf_global_view){{XF_STAGE_ALL, 0}};
  const bool statistic = plan->stages[stage].kind == XF_PLAN_STAGE_STATISTIC;
  return (struct xf_global_view){{xf_resolve_inputs(plan, stage), statistic ? 0 : 1u << stage}};
}

uint64_t xf_global_view_len(const struct xf_global *global, struct xf_global_view view,
                            const struct xf_member_rows *rows) {
  return xf_global_wire(global, view.set[0], rows) + xf_global_wire(global, view.set[1], rows);
}

struct xf_global_run xf_global_view_at(const struct xf_global *global, struct xf_global_view view,
                                       const struct xf_member_rows *rows, uint64_t at) {
  const uint64_t first = xf_global_wire(global, view.set[0], rows);
  return at < first ? xf_global_run_at(global, view.set[0], rows, at)
                    : xf_global_run_at(global, view.set[1], rows, at - first);
}

struct xf_plan_lens xf_global_lens(const struct xf_global *global, const struct xf_plan *plan,
                                   const struct xf_member_rows *rows) {
  struct xf_plan_lens lens = {.n_stage = plan->n_stages};
  lens.all = xf_global_wire(global, XF_STAGE_ALL, rows) * sizeof(float);
  for (uint32_t i = 0; i < lens.n_stage; i++) {
    const struct xf_global_view view = xf_global_view_of(plan, true, i);
    lens.in[i] = xf_global_wire(global, view.set[0], rows) * sizeof(float);
    lens.down[i] = xf_global_view_len(global, view, rows) * sizeof(float);
    lens.up[i] = xf_global_wire(global, 1u << i, rows) * sizeof(float);
  }
  return lens;
}
