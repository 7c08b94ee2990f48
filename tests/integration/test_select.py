"""Who takes part, chosen by what earlier rounds have shown: simulator and daemons choose alike, and so does a coordinator that was killed."""

import json

import pytest

from federation import Process
from test_federation import as_exported

PLAN = """\
name: chosen
seed: 4
data: {{kind: table, split: {{kind: random, test_fraction: 0.3, valid_fraction: 0.1}}}}
model: {{kind: sine-mlp, loss: mse, n_in: 1, n_out: 1}}
stages:
  - fed: {{rounds: 8, cohort_count: 2, quorum: 1.0, deadline_s: 600, select_timeout_s: 60, eval_deadline_s: 600, weighting: uniform,
          select: {{{select}}}}}
    local: {{steps: 4, batch: 8, optimizer: {{lr: 0.02}}}}
eval: {{every: 4, metrics: [rmse]}}
arms: [federated]
sim: {{clients: {{by: sinusoid, n: 4, rows: 40, name: "silo-d{{}}"}}}}
"""

SELECT = {"uniform": "policy: uniform", "weighted": "policy: weighted", "choice": "policy: power-of-choice, candidates: 3",
          "oort": "policy: oort, explore: 0.6, explore_min: 0.1, max_times: 5"}


def write_plan(tmp_path, name):
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.format(select=SELECT.get(name, "policy: stratified")))
    return plan


@pytest.mark.parametrize("name", SELECT)
def test_daemons_give_the_simulators_bytes(tmp_path, bin_dir, crossfed, name):
    """Four silos over real sockets, two of them asked in each round; the simulator with one thread and with two."""
    plan = write_plan(tmp_path, name)
    other = json.loads(crossfed("sim", write_plan(tmp_path, "stratified"), "--json").out)["model_blake2b"]
    plan = write_plan(tmp_path, name)
    summary = as_exported(tmp_path, bin_dir, crossfed, plan, 4)
    for threads in ("1", "2"):
        assert json.loads(crossfed("sim", plan, "--json", "--threads", threads).out)["model_blake2b"] == summary["model_blake2b"]
    assert summary["model_blake2b"] != other
    crossfed("verify", tmp_path / "out" / "coordinator")


@pytest.mark.parametrize("point", ["K1", "K6", "K9", "K13"])
@pytest.mark.parametrize("name", ["choice", "oort"])
def test_a_killed_coordinator_asks_the_same_silos(tmp_path, faults_dir, crossfed, name, point):
    """What it knows of the silos is what its ledger says; killed in the fifth passage it goes on to the same model."""
    plan = write_plan(tmp_path, name)
    out = tmp_path / "out"
    want = json.loads(crossfed("sim", plan, "--json").out)["model_blake2b"]
    for line in crossfed("sim", plan, "--export", out).out.splitlines():
        if line.startswith("  crossfed pki "):
            crossfed(*line.split()[1:], cwd=out)
    names = sorted(p.parent.name for p in out.glob("*/client.yaml"))
    server = Process("server", [faults_dir / "crossfed-server", "-c", out / "server.yaml"], tmp_path / "server.log")
    silos = [Process(n, [faults_dir / "crossfed-client", "-c", out / n / "client.yaml"], tmp_path / f"{n}.log") for n in names]
    try:
        server.start(CROSSFED_FAILPOINTS=f"{point}=kill@5")
        for silo in silos:
            silo.start()
        assert server.wait() == -9
        server.start()
        assert [p.wait() for p in (server, *silos)] == [0] * 5, "\n".join(p.tail() for p in (server, *silos))
    finally:
        for p in (server, *silos):
            p.kill()
    assert json.loads((out / "coordinator" / "summary.json").read_text())["model_blake2b"] == want
    crossfed("verify", out / "coordinator")
