/* Who adapts: a file, or the simulator's clients, dealt as for the training so that those who were left out are the same. */
#include "tools/adapt.h"

#include "base/alloc.h"
#include "resolve/dataset.h"

#include <string.h>

static enum xf_rc load_file(struct adapt_clients *c, const struct adapt_request *r,
                            const struct adapt_start *start, struct xf_diag *diag) {
  const struct xf_source source = {.path = r->data};
  c->plan = start->plan;
  if (c->plan.data.kind != XF_PLAN_DATA_IDX) { /* whose test rows are files of their own */
    c->plan.data.split.kind = XF_PLAN_SPLIT_RANDOM;
    c->plan.data.split.test_fraction = 0;
  }
  c->plan.data.split.valid_fraction = 0;
  const enum xf_rc rc = xf_resolve_dataset(&c->data, &c->plan, "new", &source, diag);
  if (rc) return xf_diag_prefix(diag, rc, "--data");
  c->at = xf_calloc(1, sizeof *c->at);
  c->at[c->n++] = (struct adapt_client){.id = "new", .data = &c->data};
  return XF_OK;
}

/* --clients as sim.clients.only; the plan's own check says what is wrong with it. */
static enum xf_rc choose(struct xf_plan *plan, const char *list, struct xf_diag *diag) {
  plan->sim.clients.n_only = 0;
  for (const char *s = list; s; s = *s ? s + 1 : NULL) {
    const size_t n = strcspn(s, ",");
    if (n == 0 || n >= XF_PLAN_NAME_MAX || plan->sim.clients.n_only == XF_PLAN_CLIENTS_MAX)
      return xf_diag_set(diag, XF_E_INVAL, "--clients \"%s\": up to %d names, separated by commas",
                         list, XF_PLAN_CLIENTS_MAX);
    char *to = plan->sim.clients.only[plan->sim.clients.n_only++];
    memcpy(to, s, n);
    to[n] = '\0';
    s += n;
  }
  const enum xf_rc rc = xf_plan_check(plan, diag);
  return rc ? xf_diag_prefix(diag, rc, "--clients") : XF_OK;
}

/* Whether the plan trained this client, when it dealt as the first start's, whose data may have moved since (--set sim.data);
   `key` is as in a member's name. */
static bool trained(const struct xf_plan *plan, const struct adapt_start *as, const char *key) {
  const struct xf_plan_sim_part *a = &plan->sim, *b = &as->plan.sim;
  if (plan->seed != as->plan.seed || strcmp(a->data, as->trained.sim.data) != 0 ||
      a->clients.by != b->clients.by || a->clients.n != b->clients.n ||
      a->clients.shards != b->clients.shards || a->clients.alpha != b->clients.alpha ||
      a->columns.client != b->columns.client)
    return true; /* other dealing: its rows may be anybody's */
  if (xf_plan_clients_numbered(plan) || !a->clients.n_only) return xf_plan_client_listed(plan, key);
  char entry[XF_PLAN_CLIENT_ID];
  for (uint32_t i = 0; i < a->clients.n_only; i++)
    if (!xf_plan_client_id(entry, "{}", a->clients.only[i]) && strcmp(entry, key) == 0) return true;
  return false;
}

static enum xf_rc load_sim(struct adapt_clients *c, const struct adapt_request *r,
                           const struct adapt_start *start, const struct adapt_start *against,
                           struct xf_diag *diag) {
  struct sim *sim = &c->sim;
  sim->plan = start->plan;
  sim->others = !r->clients;
  sim->threads = 1;
  if (!sim->plan.sim.data[0] && sim->plan.sim.clients.by != XF_PLAN_CLIENTS_SINUSOID)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "the plan has no sim.data to take clients from: give --data");
  if (!r->clients && !sim->plan.sim.clients.n_only)
    return xf_diag_set(diag, XF_E_CONFIG,
                       "all clients of the plan have trained: train again with crossfed sim ... "
                       "--set sim.clients.only=..., or name --clients or --data");
  enum xf_rc rc = r->clients ? choose(&sim->plan, r->clients, diag) : XF_OK;
  if (!rc) rc = sim_init(sim, diag);
  if (rc) return rc;
  if (!sim->n_client)
    return xf_diag_set(diag, XF_E_CONFIG, "%s",
                       r->clients ? "--clients: the data have none of them"
                                  : "sim.clients.only leaves nobody out");
  c->at = xf_calloc(sim->n_client, sizeof *c->at);
  for (size_t i = 0; i < sim->n_client; i++) {
    const struct sim_client *s = &sim->client[i];
    const bool seen = trained(&start->trained, start, s->domain) ||
                      (against && trained(&against->trained, start, s->domain));
    c->at[c->n++] =
        (struct adapt_client){.id = s->id, .data = xf_silo_data(s->silo), .trained = seen};
    c->n_trained += seen;
  }
  return XF_OK;
}

enum xf_rc adapt_clients_load(struct adapt_clients *out, const struct adapt_request *request,
                              const struct adapt_start *start, const struct adapt_start *against,
                              struct xf_diag *diag) {
  return request->data ? load_file(out, request, start, diag)
                       : load_sim(out, request, start, against, diag);
}

void adapt_clients_deinit(struct adapt_clients *clients) {
  xf_free(clients->at);
  clients->at = NULL;
  clients->n = 0;
  xf_dataset_deinit(&clients->data);
  sim_deinit(&clients->sim);
}
