"""Asynchronous rounds between real processes: synchronous when nobody can be late, repeatable by --replay, whole after kills."""

import json
import sqlite3

import pytest

from federation import Process
from test_federation import as_exported

PLAN = """\
name: sinusoids
seed: 4
data: {{kind: table, split: {{kind: random, test_fraction: 0.3, valid_fraction: 0.1}}}}
model: {{kind: sine-mlp, loss: mse, n_in: 1, n_out: 1}}
stages:
  - fed: {{algorithm: fedavg, rounds: {rounds}, weighting: uniform, deadline_s: 600, select_timeout_s: 60, eval_deadline_s: 600{more}}}
    local: {{steps: 5, batch: 8, optimizer: {{lr: 0.02}}}}
eval: {{every: {every}, metrics: [rmse]}}
arms: [federated]
sim:
  clients: {{by: sinusoid, n: {n}, rows: 40, name: "silo-d{{}}"}}
"""


def write_plan(tmp_path, n=4, rounds=12, every=0, **more):
    plan = tmp_path / "plan.yaml"
    extra = f", async: {{{', '.join(f'{k}: {v}' for k, v in more.items())}}}" if more else ""
    plan.write_text(PLAN.format(n=n, rounds=rounds, every=every, more=extra))
    return plan


def exported(tmp_path, crossfed, plan, bins, client_bins=None):
    out = tmp_path / "out"
    for line in crossfed("sim", plan, "--export", out).out.splitlines():
        if line.startswith("  crossfed pki "):
            crossfed(*line.split()[1:], cwd=out)
    names = sorted(p.parent.name for p in out.glob("*/client.yaml"))
    server = Process("server", [bins / "crossfed-server", "-c", out / "server.yaml"], tmp_path / "server.log")
    silos = [Process(n, [(client_bins or bins) / "crossfed-client", "-c", out / n / "client.yaml"], tmp_path / f"{n}.log") for n in names]
    return server, silos


def replayed(tmp_path, crossfed, plan):
    """The simulator repeats the ledger's sequence, and verify finds nothing wrong. Gives the updates: round of the task, of the flush."""
    state = tmp_path / "out" / "coordinator"
    want = json.loads((state / "summary.json").read_text())["model_blake2b"]
    assert json.loads(crossfed("sim", plan, "--json", "--replay", state).out)["model_blake2b"] == want
    crossfed("verify", state)
    with sqlite3.connect(f"file:{state}/ledger/ledger.db?mode=ro", uri=True) as db:
        return db.execute("SELECT t.round, u.round, u.part_weight FROM upd u JOIN task t USING(run, task_id) JOIN round r ON r.round=u.round"
                          " WHERE r.kind='train' AND u.part IS NOT NULL").fetchall()


def test_a_flush_of_everybody_is_a_synchronous_round(tmp_path, bin_dir, crossfed):
    plan = write_plan(tmp_path, n=3, rounds=4, every=2, buffer=3, concurrency=3)
    summary = as_exported(tmp_path, bin_dir, crossfed, plan)
    sync = tmp_path / "sync"
    sync.mkdir()
    assert json.loads(crossfed("sim", write_plan(sync, n=3, rounds=4, every=2), "--json").out)["model_blake2b"] == summary["model_blake2b"]
    assert len(replayed(tmp_path, crossfed, plan)) == 12


@pytest.mark.sanitize
@pytest.mark.threads
def test_a_run_of_daemons_is_repeated_by_the_simulator(tmp_path, bin_dir, crossfed):
    """One update a commit of four silos: most start from older models. An evaluation on the way ends their tasks."""
    plan = write_plan(tmp_path, every=6, buffer=1, concurrency=4, max_staleness=3)
    server, silos = exported(tmp_path, crossfed, plan, bin_dir)
    try:
        for p in (server, *silos):
            p.start()
        assert [p.wait() for p in (server, *silos)] == [0] * 5, "\n".join(p.tail() for p in (server, *silos))
    finally:
        for p in (server, *silos):
            p.kill()
    updates = replayed(tmp_path, crossfed, plan)
    assert len(updates) == 12 and any(task < flush and weight < 2**28 for task, flush, weight in updates)
    lines = [json.loads(line) for line in (tmp_path / "out" / "coordinator" / "metrics.jsonl").read_text().splitlines()]
    assert sum("staleness" in line for line in lines if line["scope"] == "global") == 12
    other = plan.parent / "other.yaml"
    other.write_text(plan.read_text().replace("seed: 4", "seed: 5"))
    refused = crossfed("sim", other, "--replay", tmp_path / "out" / "coordinator", status=78)
    assert "made with another plan" in refused.err


@pytest.mark.parametrize("point", ["K2", "K3", "K4", "K5", "K6", "K7", "K8", "K9", "K10", "K13", "C3", "C4"])
def test_killed(tmp_path, bin_dir, crossfed, faults_dir, point):
    """The coordinator at each of its points, or a silo: updates of older tasks still count, each once."""
    rounds = 60 if point[0] == "C" else 12  # the others may be faster than the silo: time for one task of it
    plan = write_plan(tmp_path, rounds=rounds, buffer=1, concurrency=4, max_staleness=3)
    server, silos = exported(tmp_path, crossfed, plan, faults_dir)
    victim = silos[1] if point[0] == "C" else server
    try:
        for p in sorted((server, *silos), key=lambda p: p is not victim):
            p.start(**({"CROSSFED_FAILPOINTS": f"{point}=kill@{1 if point[0] == 'C' else 5}"} if p is victim else {}))
        assert victim.wait() == -9
        victim.start()
        assert [p.wait() for p in (server, *silos)] == [0] * 5, "\n".join(p.tail() for p in (server, *silos))
    finally:
        for p in (server, *silos):
            p.kill()
    assert len(replayed(tmp_path, crossfed, plan)) == rounds


def test_refused_before_anything_starts(tmp_path, bin_dir, crossfed):
    plan = write_plan(tmp_path, n=3, buffer=4, concurrency=4)
    assert "takes updates of 4 members, and there are 3" in crossfed("sim", plan, status=78).err
    plan = write_plan(tmp_path, n=3, buffer=2, concurrency=1)
    said = crossfed("sim", plan, status=78)
    assert "fed.async.concurrency: 1 at a time never fill fed.async.buffer 2" in said.err
