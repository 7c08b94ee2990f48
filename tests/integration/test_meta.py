"""Meta-learning as plans: the simulator, real daemons, a silo that dies in a round, what is refused before anything starts."""

import json
import pathlib

import pytest

from conftest import REPO
from test_federation import as_exported

PLAN = """\
name: sinusoids
seed: 4
data: {{kind: table, split: {{kind: random, test_fraction: 0.3, valid_fraction: 0.1}}}}
model: {{kind: sine-mlp, loss: mse, n_in: 1, n_out: 1}}
stages:
  - fed: {{algorithm: {algorithm}, rounds: {rounds}, cohort: 1.0, quorum: 1.0, weighting: uniform, deadline_s: 600, select_timeout_s: 60,
          eval_deadline_s: 600, server: {{kind: {server}}}}}
    local: {{{local}meta: {{support: 8, query: 10, steps: 2, tasks: 2, lr: 0.02}}}}
eval: {{every: 2, metrics: [rmse@adapt2, rmse]}}
arms: [{arms}]
sim:
  clients: {{by: sinusoid, n: 3, rows: 40, name: "silo-d{{}}"{more}}}
"""

MOMENTUM = "momentum, lr: 0.01, momentum: 0.9"
PLANS = {
    "maml": {"algorithm": "maml"}, "fomaml": {"algorithm": "fomaml"}, "anil": {"algorithm": "anil"}, "boil": {"algorithm": "boil"},
    "metasgd": {"algorithm": "metasgd"},
    "perfedavg": {"algorithm": "perfedavg", "local": "steps: 3, optimizer: {lr: 0.01}, ", "server": "sgd", "arms": "alone, federated"},
    "reptile": {"algorithm": "reptile", "local": "steps: 3, batch: 8, optimizer: {lr: 0.02}, ", "server": "sgd"},
}


def write_plan(tmp_path, name, rounds=4, more=""):
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.format(**{"rounds": rounds, "local": "", "server": MOMENTUM, "arms": "federated", "more": more, **PLANS[name]}))
    return plan


@pytest.mark.parametrize("name", PLANS)
def test_daemons_give_the_simulators_bytes(tmp_path, bin_dir, crossfed, name):
    """Three silos over real sockets; the simulator with one thread and with two."""
    plan = write_plan(tmp_path, name)
    summary = as_exported(tmp_path, bin_dir, crossfed, plan)
    for threads in ("1", "2"):
        assert json.loads(crossfed("sim", plan, "--json", "--threads", threads).out)["model_blake2b"] == summary["model_blake2b"]
    lines = [json.loads(line) for line in (tmp_path / "out" / "coordinator" / "metrics.jsonl").read_text().splitlines()]
    assert {"rmse_adapt2", "rmse"} <= set().union(*lines)
    report = json.loads((tmp_path / "out" / "silo-d1" / "state" / "serve" / "report.json").read_text())
    assert report["measure"] == "rmse_adapt2" and ("alone" in report["arms"]) == ("optimizer" in PLANS[name].get("local", ""))
    crossfed("verify", tmp_path / "out" / "coordinator")


def test_a_silo_killed_in_a_round_draws_the_same_tasks_again(tmp_path, bin_dir, crossfed, faults_dir):
    """Killed when its meta-gradient is there but nothing is stored, and when it is stored but not sent."""
    plan = write_plan(tmp_path, "maml")
    out = tmp_path / "out"
    want = json.loads(crossfed("sim", plan, "--json").out)["model_blake2b"]
    from federation import Process
    said = crossfed("sim", plan, "--export", out).out
    for line in said.splitlines():
        if line.startswith("  crossfed pki "):
            crossfed(*line.split()[1:], cwd=out)
    names = sorted(p.parent.name for p in out.glob("*/client.yaml"))
    server = Process("server", [faults_dir / "crossfed-server", "-c", out / "server.yaml"], tmp_path / "server.log")
    silos = [Process(n, [faults_dir / "crossfed-client", "-c", out / n / "client.yaml"], tmp_path / f"{n}.log") for n in names]
    try:
        server.start()
        silos[0].start(CROSSFED_FAILPOINTS="C3=kill@2")
        silos[1].start(CROSSFED_FAILPOINTS="C4=kill@2")
        silos[2].start()
        for silo in silos[:2]:
            assert silo.wait() == -9
            silo.start()
        assert [p.wait() for p in (server, *silos)] == [0] * 4, "\n".join(p.tail() for p in (server, *silos))
    finally:
        for p in (server, *silos):
            p.kill()
    assert json.loads((out / "coordinator" / "summary.json").read_text())["model_blake2b"] == want
    crossfed("verify", out / "coordinator")


def test_clients_that_never_trained_are_measured_at_the_end(tmp_path, crossfed):
    """They change nothing of the model, and adaptation helps them after training more than before."""
    plan, run = write_plan(tmp_path, "maml", rounds=150, more=", only: [1-20]"), tmp_path / "run"
    summary = json.loads(crossfed("sim", plan, "--json", "--out", run, "--set", "sim.clients.n=60").out)
    fresh = [m for m in summary["metrics"] if m["scope"].startswith("fresh:")]
    assert len(fresh) == 40 and {m["arm"] for m in fresh} == {"federated"}
    without = json.loads(crossfed("sim", plan, "--json", "--set", "sim.clients.n=20").out)
    assert without["model_blake2b"] == summary["model_blake2b"]
    last = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()][-1]
    assert last["scope"] == "fresh" and last["rmse_adapt2"] < last["rmse"]
    mean2 = sum(m["rmse"] ** 2 for m in fresh) / 40
    assert abs(mean2 ** .5 - last["rmse"]) < 1e-5
    start = crossfed("sim", plan, "--set", "sim.clients.n=60", "--set", "fed.rounds=1", "--set", "eval.metrics=rmse@adapt2", "--set", "fed.server.lr=1e-9").out
    assert "40 fresh clients, federated: rmse_adapt2" in start
    assert last["rmse_adapt2"] < float(start.split("rmse_adapt2 ")[-1].split()[0])


def test_refused_before_anything_starts(tmp_path, crossfed):
    images = """\
name: images
data: {{kind: idx, split: {{kind: predefined, by: file, valid_fraction: 0}}}}
model: {{kind: {kind}, loss: softmax, n_in: 784, n_out: 10}}
stages:
  - {{fed: {{algorithm: {algorithm}, rounds: 2}}, local: {{meta: {{lr: 0.1}}}}}}
sim: {{data: /nowhere, clients: {{by: uniform, n: 3}}}}
"""
    plan = tmp_path / "plan.yaml"
    for kind, algorithm, says in (("conv4", "maml", "no meta-gradient moves it; write model.kind: cnn-small"),
                                  ("logreg", "boil", "write fed.algorithm: anil or maml")):
        plan.write_text(images.format(kind=kind, algorithm=algorithm))
        assert says in crossfed("sim", plan, status=None).err
    plan = write_plan(tmp_path, "maml")
    assert "need 44 train rows" in crossfed("sim", plan, "--set", "local.meta.query=36", status=None).err
    assert "local.meta.hessian: maml without" in crossfed("sim", plan, "--set", "local.meta.hessian=none", status=None).err
    assert "lower local.meta.lr" in crossfed("sim", plan, "--verbose", "--set", "local.meta.lr=1000", "--set", "local.meta.steps=40", status=None).err


def test_the_example_learns(crossfed):
    plan = pathlib.Path(REPO) / "deploy/examples/plans/sinusoid-maml.yaml"
    out = crossfed("sim", plan, "--set", "fed.rounds=400", "--set", "sim.clients.n=300").out
    line = next(line for line in out.splitlines() if line.startswith("100 fresh clients"))
    figure = dict(zip(line.split()[4::2], map(float, line.split()[5::2])))
    assert figure["rmse_adapt5"] < .75 * figure["rmse"]
