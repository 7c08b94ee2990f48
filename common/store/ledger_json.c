#include "store/ledger_json.h"

#include <string.h>

void xf_ledger_json_round(struct xf_jsonw *w, const struct xf_ledger_round *round, bool metrics) {
  xf_jsonw_object(w);
  xf_jsonw_kuint(w, "round", round->round);
  xf_jsonw_kstr(w, "kind", xf_ledger_kind_name(round->kind));
  xf_jsonw_kstr(w, "state", xf_ledger_round_state_name(round->state));
  xf_jsonw_kuint(w, "cohort", round->cohort);
  xf_jsonw_kuint(w, "accepted", round->accepted);
  xf_jsonw_kuint(w, "refused", round->refused);
  xf_jsonw_kuint(w, "participants", round->participants);
  xf_jsonw_kuint(w, "bytes_up", round->bytes_up);
  xf_jsonw_kint(w, "opened_us", round->opened_us);
  xf_jsonw_kint(w, "closed_us", round->closed_us);
  xf_jsonw_kint(w, "ended_us", round->ended_us);
  xf_jsonw_kstr(w, "reason", round->reason);
  xf_jsonw_kdigest(w, "base", &round->base);
  xf_jsonw_kdigest(w, "model", &round->model);
  if (metrics) {
    xf_jsonw_key(w, "metrics");
    if (round->metrics[0]) xf_jsonw_raw(w, round->metrics, strlen(round->metrics));
    else xf_jsonw_null(w);
  }
  xf_jsonw_object_end(w);
}
