"""Hierarchical averaging in the simulator: one edge round is the flat mean, several are not; daemons refuse it by its key."""

import json

import pytest

PLAN = """\
name: edges
seed: 4
data: {{kind: table, split: {{kind: random, test_fraction: 0.3, valid_fraction: 0.1}}}}
model: {{kind: sine-mlp, loss: mse, n_in: 1, n_out: 1}}
stages:
  - fed: {{rounds: 6, {cohort}, quorum: 1.0, deadline_s: 600{edges}}}
    local: {{steps: 4, batch: 8, optimizer: {{lr: 0.02}}}}
eval: {{every: 2, metrics: [rmse]}}
arms: [federated]
sim: {{clients: {{by: sinusoid, n: 6, rows: 40, domains: 2, name: "silo-{{}}"}}}}
"""


def run(crossfed, tmp_path, edges, cohort="cohort: 1.0", threads="2"):
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.format(cohort=cohort, edges=f", edge_rounds: {edges}" if edges else ""))
    out = json.loads(crossfed("sim", plan, "--json", "--threads", threads).out)
    return out, {m["scope"]: m["rmse"] for m in out["metrics"]}


@pytest.mark.parametrize("cohort", ["cohort: 1.0", "cohort_count: 3"])
def test_one_edge_round_is_the_flat_mean(crossfed, tmp_path, cohort):
    _, flat = run(crossfed, tmp_path, 0, cohort)
    _, one = run(crossfed, tmp_path, 1, cohort)
    assert len(flat) == 6 and one == pytest.approx(flat, rel=1e-6)
    _, three = run(crossfed, tmp_path, 3, cohort)
    assert max(abs(three[k] - flat[k]) for k in flat) > 1e-3


def test_any_number_of_threads(crossfed, tmp_path):
    assert len({run(crossfed, tmp_path, 2, threads=t)[0]["model_blake2b"] for t in ("1", "2")}) == 1


def test_daemons_refuse(crossfed, tmp_path):
    run(crossfed, tmp_path, 2)
    done = crossfed("sim", tmp_path / "plan.yaml", "--export", tmp_path / "out", status=None)
    assert done.status != 0 and "fed.edge_rounds: only the simulator averages by edges" in done.err
    assert not (tmp_path / "out").exists()
