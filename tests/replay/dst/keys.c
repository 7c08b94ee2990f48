/* Keys of rows before the first round: manifests come, a directory is frozen, each silo hears of it; who comes later reads. */
#include "parts.h"

#include <string.h>

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

void keys_server_act(struct world *w, const struct xf_coord_action *a) {
  uint8_t holders[4] = {1};
  struct xf_msg msg = {.type = XF_MSG_MANIFEST_REQUEST, .manifest_request = {"user"}};
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
  if (a->type == XF_COORD_DIRECTORY)
    msg = (struct xf_msg){.type = XF_MSG_DIRECTORY,
                          .directory = {.ns = "user",
                                        .n_all = 1,
                                        .total = 1,
                                        .holders = holders,
                                        .holders_len = sizeof holders}};
  for (uint32_t i = 0; i < N_CLIENT; i++)
    if (w->c[i].conn == a->conn) world_post(w, TO_CLIENT, i, a->conn, &msg);
}

void keys_client_act(struct world *w, uint32_t client, const struct xf_session_action *a) {
  struct client *c = &w->c[client];
  const uint8_t key[16] = {(uint8_t)(client + 1)};
  if (a->type == XF_SESSION_DIRECTORY_ACTION) {
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
  if (w->s.frozen) w->s.late[client] = true;
  else w->s.known[client] = true;
  aligned(w, client);
  return true;
}
