/* Keys of items and users before the first round: manifests come, directories are frozen, each silo hears of both; who comes later
   reads. */
#include "parts.h"

#include <string.h>

enum { SPACES = 2, ALL = (1 << SPACES) - 1 };
static const char *const ns[SPACES] = {"item", "user"};

static unsigned bit_of(const char *name) {
  for (unsigned k = 0; k < SPACES; k++)
    if (strcmp(ns[k], name) == 0) return 1u << k;
  return 0;
}

bool keys_wanted(const struct world *w) { return xf_plan_is_aligned(&w->plan); }

static void aligned(struct world *w, uint32_t client) {
  if (w->s.frozen) {
    const struct xf_plan_lens lens = moves_lens(w, client);
    xf_coord_set_lens(w->s.core, client, &lens);
    if (!w->s.known[client]) xf_coord_set_reader(w->s.core, client);
    w->readers += !w->s.known[client];
  }
  server_feed(w, &(struct xf_coord_event){.type = XF_COORD_EV_ALIGNED, .member = client});
}

/* Late members are in no ledger: they are asked again. */
void keys_start(struct world *w) {
  for (uint32_t i = 0; i < N_CLIENT && keys_wanted(w); i++)
    if (w->s.known[i]) aligned(w, i);
}

static struct xf_msg message(bool directory, unsigned space, const uint8_t holders[4]) {
  if (!directory)
    return (struct xf_msg){.type = XF_MSG_MANIFEST_REQUEST, .manifest_request = {ns[space]}};
  return (struct xf_msg){
      .type = XF_MSG_DIRECTORY,
      .directory = {.ns = ns[space], .n_all = 1, .total = 1, .holders = holders, .holders_len = 4}};
}

void keys_server_act(struct world *w, const struct xf_coord_action *a) {
  const uint8_t holders[4] = {1};
  if (!keys_wanted(w)) {
    world_fail(w, "alignment in a plan without it", 0, 0);
    return;
  }
  if (a->type == XF_COORD_FREEZE) {
    w->s.frozen = true; /* durable with the first model */
    for (uint32_t i = 0; i < N_CLIENT; i++) {
      const struct xf_plan_lens lens = moves_lens(w, i);
      if (w->s.known[i]) xf_coord_set_lens(w->s.core, i, &lens);
    }
    server_later(w, (struct xf_coord_event){.type = XF_COORD_EV_FROZEN, .digest = w->s.digest},
                 world_delay(w));
    return;
  }
  for (unsigned k = 0; k < SPACES; k++) {
    const struct xf_msg msg = message(a->type == XF_COORD_DIRECTORY, k, holders);
    for (uint32_t i = 0; i < N_CLIENT; i++)
      if (w->c[i].conn == a->conn) world_post(w, TO_CLIENT, i, a->conn, &msg);
  }
}

void keys_client_act(struct world *w, uint32_t client, const struct xf_session_action *a) {
  struct client *c = &w->c[client];
  const uint8_t key[16] = {(uint8_t)(client + 1)};
  if (a->type == XF_SESSION_DIRECTORY_ACTION) {
    c->directories |= bit_of(a->directory.ns);
    if (c->directories != ALL) return;
    c->tell = !c->disk.aligned && c->adopted; /* else the adoption says it */
    c->disk.aligned = true;
    return;
  }
  const struct xf_msg msg = {
      .type = XF_MSG_MANIFEST,
      .manifest = {.ns = a->text, .total = 1, .keys = key, .keys_len = sizeof key}};
  if (c->conn) world_post(w, TO_SERVER, client, c->conn, &msg);
}

bool keys_message(struct world *w, uint32_t client, const struct xf_msg *msg) {
  if (msg->type != XF_MSG_MANIFEST) return false;
  if (msg->manifest.keys_len != 16 || msg->manifest.keys[0] != client + 1)
    world_fail(w, "keys of another silo", 0, client);
  if (w->s.known[client] || w->s.late[client]) return true; /* a repetition */
  const unsigned bit = bit_of(msg->manifest.ns);
  if (!bit) world_fail(w, "keys of no namespace", 0, client);
  w->s.have[client] |= bit;
  if (w->s.have[client] != ALL) return true; /* aligned when both have come */
  if (w->s.frozen) w->s.late[client] = true;
  else w->s.known[client] = true;
  aligned(w, client);
  return true;
}
