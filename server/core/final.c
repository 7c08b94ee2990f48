/* DONE: the final model is offered to each member, and who has stored or refused it is recorded. */
#include "base/log.h"
#include "server/core/state.h"

/* The final model's task, whatever the member is at. */
static void final_task(const struct xf_coord *c, const struct member *m, struct xf_digest *out) {
  xf_coord_task_id(out, c->cfg.run_id, UINT64_MAX, m->info->id, &c->model_digest,
                   &c->cfg.plan_digest);
}

void final_offer(struct xf_coord *c, struct member *m) {
  if (!round_may_work(c, m) || m->final_sent || m->final_stored) return;
  m->final_sent = true;
  final_task(c, m, &m->task_id);
  m->task = T_OFFERED;
  round_offer(c, m);
}

/* Known to the ledger: the silo may leave, for no restart of ours will want it back. */
void final_ack(struct xf_coord *c, struct member *m) {
  struct xf_digest id;
  final_task(c, m, &id);
  answer_ack(c, m, &id, XF_VERDICT_ACCEPTED, XF_OK, "");
}

void final_recorded(struct xf_coord *c, uint32_t member) {
  struct member *m = &c->m[member];
  m->final_recording = false;
  m->final_stored = m->final_sent = true;
  m->final_refused = false;
  m->task = T_NONE;
  final_ack(c, m);
}

/* Both answers end the waiting for this silo, and both are recorded, each once: the offer comes again on each connection
   until the model is stored. */
void final_reply(struct xf_coord *c, struct member *m, const struct xf_msg_task_reply *r) {
  m->task = T_NONE;
  if (m->final_recording) return; /* its row is in flight, the acknowledgement follows it */
  if (r->accepted) {
    m->final_recording = true;
    struct xf_coord_record *rec = coord_persist(c, XF_RECORD_STORED, member_index(c, m));
    answer_name_task(c, m, rec);
    rec->round = c->last_round;
    rec->kind = XF_TASK_FINAL;
    rec->model_digest = c->model_digest;
    return;
  }
  xf_log(XF_LOG_WARN, "final_refused", XF_S("client", m->info->id), XF_S("code", r->code),
         XF_S("key", r->key), XF_S("reason", r->text));
  if (m->final_refused) return;
  m->final_refused = true;
  struct xf_coord_record *rec = answer_refusal(c, m, r);
  rec->round = c->last_round;
  rec->kind = XF_TASK_FINAL;
}

void final_step(struct xf_coord *c) {
  if (!c->done) return; /* its record is in flight */
  uint32_t stored = 0, refused = 0;
  for (uint32_t i = 0; i < c->n; i++) {
    if (c->m[i].ready && !c->m[i].final_sent) final_offer(c, &c->m[i]);
    stored += c->m[i].final_stored;
    refused += c->m[i].final_refused;
  }
  const bool over = stored + refused == c->n;
  bool leave = c->draining || (c->cfg.exit_when_done && over);
  if (leave && !c->exiting) {
    c->exiting = true;
    /* OK ends the run for a silo; before all have answered it is the shell that says we will be back. */
    for (uint32_t i = 0; i < c->n && over; i++) {
      if (!c->m[i].ready) continue;
      coord_send(c, c->m[i].conn, XF_MSG_GOODBYE)->goodbye =
          (struct xf_msg_goodbye){"OK", "the run is done", 0};
      coord_act(c, XF_COORD_CLOSE)->conn = c->m[i].conn;
    }
    coord_act(c, XF_COORD_EXIT)->text =
        !over ? coord_text(c, "drained; %u of %u members have stored the final model", stored, c->n)
        : refused ? coord_text(c, "done; %u of %u members refused the final model", refused, c->n)
                  : "done";
  } else if (!leave && refused) {
    coord_wait(c, "done: %u of %u members have stored the final model, %u refused it", stored, c->n,
               refused);
  } else if (!leave) {
    coord_wait(c, "done: %u of %u members have stored the final model", stored, c->n);
  }
}
