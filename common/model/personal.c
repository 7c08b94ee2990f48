/* Personalisation in the layout: segments of the net that stay in the silo, or a second net that does. */
#include "model/impl.h"

#include <stdio.h>
#include <string.h>

static enum xf_rc keep_head(struct xf_model *m, struct xf_diag *diag) {
  const size_t n_head = m->config.bias ? 2 : 1;
  if (!m->ops->head || m->n_base <= n_head)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "model %s has no layers before a linear output layer, so nothing would be "
                       "shared; write fed.algorithm: ditto, or model.kind: mlp",
                       xf_model_kind_name(m->config.kind));
  for (size_t i = m->n_base - n_head; i < m->n_base; i++) m->layout.seg[i].role = XF_ROLE_DOMAIN;
  return XF_OK;
}

static enum xf_rc keep_norms(struct xf_model *m, struct xf_diag *diag) {
  size_t n = 0;
  for (size_t i = 0; i < m->n_base; i++) {
    if (!m->ops->norm || !m->ops->norm(m, &m->layout.seg[i])) continue;
    m->layout.seg[i].role = XF_ROLE_DOMAIN;
    n++;
  }
  if (n) return XF_OK;
  return xf_diag_set(diag, XF_E_CONFIG,
                     "model %s has no normalisation layers to keep; write model.kind: conv4, or "
                     "fed.algorithm: fedper",
                     xf_model_kind_name(m->config.kind));
}

static enum xf_rc add_copy(struct xf_model *m, struct xf_diag *diag) {
  enum xf_rc rc = XF_OK;
  for (size_t i = 0; i < m->n_base && !rc; i++) {
    const struct xf_segment s = m->layout.seg[i];
    char name[XF_NAME_MAX + 8];
    (void)snprintf(name, sizeof name, "own.%s", s.name);
    rc = xf_layout_add(&m->layout, name, XF_ROLE_DOMAIN, NULL, s.rows, s.cols, diag);
  }
  if (!rc && m->config.personal == XF_PERSONAL_MIX)
    rc = xf_layout_add(&m->layout, "own.alpha", XF_ROLE_DOMAIN, NULL, 1, 1, diag);
  return rc;
}

enum xf_rc xf_model_personalise(struct xf_model *m, struct xf_diag *diag) {
  if (m->config.personal == XF_PERSONAL_NONE) return XF_OK;
  for (size_t i = 0; i < m->n_base; i++)
    if (m->layout.seg[i].role != XF_ROLE_SHARED)
      return xf_diag_set(diag, XF_E_CONFIG,
                         "model %s is personal already: its segment \"%s\" stays in the silo or is "
                         "keyed; write fed.algorithm: fedavg",
                         xf_model_kind_name(m->config.kind), m->layout.seg[i].name);
  switch (m->config.personal) {
  case XF_PERSONAL_NONE: break;
  case XF_PERSONAL_HEAD: return keep_head(m, diag);
  case XF_PERSONAL_NORM: return keep_norms(m, diag);
  case XF_PERSONAL_COPY:
  case XF_PERSONAL_MIX: return add_copy(m, diag);
  }
  return XF_OK;
}

void xf_model_personal_init(const struct xf_model *m, float *full) {
  const struct xf_layout *l = &m->layout;
  if (m->config.personal != XF_PERSONAL_COPY && m->config.personal != XF_PERSONAL_MIX) return;
  const struct xf_segment *own = &l->seg[m->n_base];
  memcpy(full + own->offset, full, (size_t)own->offset * sizeof *full);
  if (m->config.personal == XF_PERSONAL_MIX) full[l->n - 1] = (float)m->config.mix;
}
