"""Compressed updates: daemons give the simulator's bytes, a silo killed in a round sends the same again, sizes are exact, what cannot be is refused."""

import json

import pytest

from federation import Process
from test_federation import as_exported

PLAN = """\
name: compressed
seed: 4
data: {{kind: table, split: {{kind: random, test_fraction: 0.3, valid_fraction: 0.1}}}}
model: {{kind: sine-mlp, loss: mse, n_in: 1, n_out: 1}}
stages:
  - fed: {{rounds: {rounds}, cohort: 1.0, quorum: 1.0, weighting: uniform, deadline_s: 600, select_timeout_s: 60, eval_deadline_s: 600,
          encoding: {encoding}}}
    local: {{steps: 3, batch: 8, optimizer: {{lr: 0.02}}}}
eval: {{every: 2, metrics: [rmse]}}
arms: [federated]
sim:
  clients: {{by: sinusoid, n: 3, rows: 40, name: "silo-d{{}}"}}
"""

FLOATS = 64 + 64 + 64 * 64 + 64 + 64 + 1
ENCODINGS = {
    "float16": 2 * FLOATS, "bfloat16": 2 * FLOATS,
    "int8, compress: {bucket: 256}": FLOATS + 4 * -(-FLOATS // 256),
    "qsgd": FLOATS // 512 * (4 + 256) + 4 + -(-(FLOATS % 512) * 4 // 8),
    "topk, compress: {fraction: 0.05}": 16 + 6 * -(-FLOATS // 20),
    "mask, compress: {fraction: 0.1}": 4 * -(-FLOATS // 10),
}


def write_plan(tmp_path, encoding, rounds=4):
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN.format(encoding=encoding, rounds=rounds))
    return plan


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_daemons_give_the_simulators_bytes(tmp_path, bin_dir, crossfed, encoding):
    """Three silos over TLS; the simulator with one thread and with two; every update has the length that the formula says."""
    plan = write_plan(tmp_path, encoding)
    summary = as_exported(tmp_path, bin_dir, crossfed, plan)
    simulated = [json.loads(crossfed("sim", plan, "--json", "--threads", t).out) for t in "12"]
    assert {s["model_blake2b"] for s in simulated} == {summary["model_blake2b"]}
    plain = json.loads(crossfed("sim", plan, "--json", "--set", "fed.encoding=float32", *zero(encoding)).out)
    assert plain["model_blake2b"] != summary["model_blake2b"]
    assert plain["bytes_up"] - simulated[0]["bytes_up"] == 4 * 3 * (4 * FLOATS - ENCODINGS[encoding])
    assert 0 <= simulated[0]["bytes_down"] - plain["bytes_down"] < 200  # the plan is longer
    lines = [json.loads(x) for x in (tmp_path / "out" / "coordinator" / "metrics.jsonl").read_text().splitlines()]
    assert lines and all(line["rmse"] < 10 for line in lines if "rmse" in line)
    state = tmp_path / "out" / "coordinator"
    crossfed("verify", state)
    assert json.loads(crossfed("sim", plan, "--json", "--replay", state).out)["model_blake2b"] == summary["model_blake2b"]


def zero(encoding):
    return settings(*(f"fed.compress.{key}=0" for key in ("fraction", "levels", "bucket") if key in encoding))


def settings(*pairs):
    return [word for pair in pairs for word in ("--set", pair)]


@pytest.mark.parametrize("encoding", ["qsgd", "topk, compress: {fraction: 0.05}"])
def test_a_silo_killed_in_a_round_sends_the_same_bytes(tmp_path, bin_dir, crossfed, faults_dir, encoding):
    """Killed when trained but nothing is stored, when stored but not sent, and when acknowledged but not told so."""
    plan, out = write_plan(tmp_path, encoding), tmp_path / "out"
    want = json.loads(crossfed("sim", plan, "--json").out)["model_blake2b"]
    for line in crossfed("sim", plan, "--export", out).out.splitlines():
        if line.startswith("  crossfed pki "):
            crossfed(*line.split()[1:], cwd=out)
    names = sorted(p.parent.name for p in out.glob("*/client.yaml"))
    server = Process("server", [faults_dir / "crossfed-server", "-c", out / "server.yaml"], tmp_path / "server.log")
    silos = [Process(n, [faults_dir / "crossfed-client", "-c", out / n / "client.yaml"], tmp_path / f"{n}.log") for n in names]
    try:
        server.start()
        for silo, point in zip(silos, ("C3=kill@2", "C4=kill@2", "C5=kill@2")):
            silo.start(CROSSFED_FAILPOINTS=point)
        for silo in silos:
            assert silo.wait() == -9
            silo.start()
        assert [p.wait() for p in (server, *silos)] == [0] * 4, "\n".join(p.tail() for p in (server, *silos))
    finally:
        for p in (server, *silos):
            p.kill()
    assert json.loads((out / "coordinator" / "summary.json").read_text())["model_blake2b"] == want
    assert not any("feedback_lost" in (tmp_path / f"{n}.log").read_text() for n in names)
    crossfed("verify", out / "coordinator")


def test_refused_before_anything_starts(tmp_path, crossfed):
    plan = write_plan(tmp_path, "qsgd")
    for sets, says in ((["fed.encoding=topk"], "fed.compress.fraction: is missing"),
                       (["fed.compress.bucket=500"], "write a power of two"),
                       (["fed.encoding=topk", "fed.compress.fraction=0.1", "privacy.clip=1", "privacy.noise_multiplier=1"],
                        "fed.encoding: topk says which parameters changed most, and with privacy.noise_multiplier")):
        assert says in crossfed("sim", plan, *settings(*sets), status=None).err
