"""SCAFFOLD and FedNova by real daemons: the simulator's bytes, through crashes; control variates that a silo lost."""

import json
import shutil
import sqlite3

import pytest

from federation import Federation
from test_federation import DOMAINS, IMAGES, as_exported, crash_and_finish, write_events, write_images

PLAN = """\
name: corrected
seed: 3
data: {{kind: interactions, split: {{kind: leave-one-out, by: time, min: 5}}}}
model: {{kind: neumf, loss: bce, dim: 4, hidden: [16, 8]}}
stages:
  - fed: {{algorithm: {algorithm}, rounds: {rounds}, {cohort}, quorum: 1.0, deadline_s: 600, select_timeout_s: 60,
          eval_deadline_s: 600, weighting: uniform}}
    local: {{epochs: 1, batch: 64, optimizer: {{kind: sgd, lr: 0.2}}, negatives: 2}}
eval: {{every: 2, metrics: [hr@10, ndcg@10], protocol: [full]}}
arms: [federated]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, domain: 3, value: 4, time: 5}}
  clients: {{by: domain, name: "silo-{{}}"}}
"""


def make(tmp_path, bin_dir, rounds=4, cohort="cohort: 1.0", algorithm="scaffold"):
    data = tmp_path / "events.tsv"
    write_events(data)
    members = {f"silo-{d}": (d, {"path": str(data), "columns": {"user": 1, "item": 2, "domain": 3, "value": 4, "time": 5},
                                 "only_domain": d}) for d in DOMAINS}
    return Federation(tmp_path / "fed", bin_dir, PLAN.format(rounds=rounds, cohort=cohort, algorithm=algorithm, data=data), members)


def verify(fed, status=0):
    return fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)), status=status).stdout


def test_four_daemons_give_the_simulators_bytes(tmp_path, bin_dir, crossfed):
    """Images by label shards. Twice FedAvg's payload; the same model on one thread and two; another one than FedAvg's."""
    data, plan = tmp_path / "images", tmp_path / "plan.yaml"
    data.mkdir()
    write_images(data)
    text = IMAGES.format(kind="cnn-small", by="shards, n: 4, shards: 2", data=data).replace("rounds: 2", "rounds: 3")
    plan.write_text(text)
    fedavg = json.loads(crossfed("sim", plan, "--json").out)
    plan.write_text(text.replace("fedavg", "scaffold").replace("weighting: samples", "weighting: uniform"))
    summary = as_exported(tmp_path, bin_dir, crossfed, plan, n=4)
    sims = [json.loads(crossfed("sim", plan, "--set", f"sim.threads={n}", "--json").out) for n in (1, 2)]
    assert {s["model_blake2b"] for s in sims} == {summary["model_blake2b"]} != {fedavg["model_blake2b"]}
    assert 1.8 < sims[0]["bytes_up"] / fedavg["bytes_up"] < 2.0  # reports are no longer than before
    crossfed("verify", *(tmp_path / "out" / d for d in ("coordinator", *(f"silo-d{k}/state" for k in range(1, 5)))))


def test_two_of_three_take_part(tmp_path, bin_dir, crossfed):
    """Who is away keeps its control variates; c moves by two thirds of the mean change; verify finds the same c, and needs the third."""
    with make(tmp_path, bin_dir, rounds=6, cohort="cohort_count: 2") as fed:
        summary = fed.start().finish()
        assert summary["model_blake2b"] == json.loads(crossfed("sim", fed.plan, "--json").out)["model_blake2b"]
        assert "damaged" not in verify(fed)
        assert not any(p.events("control_uncounted") for p in fed.processes())
        edit = sqlite3.connect(fed.folder / "server/ledger/ledger.db")  # as if there had been four
        edit.execute("INSERT INTO member SELECT run, 'silo-d9', domain, max_weight, listed_us, NULL, NULL FROM member LIMIT 1")
        edit.commit()
        edit.close()
        assert "I3" in fed.crossfed("verify", fed.folder / "server", status=7).stdout


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, faults_dir):
    with make(tmp_path_factory.mktemp("calm"), faults_dir) as fed:
        return fed.start().finish()["model_blake2b"]


@pytest.mark.parametrize("point", ["K5", "K9", "K12", "K13"])
def test_coordinator_killed_at(point, tmp_path, faults_dir, undisturbed):
    with make(tmp_path, faults_dir) as fed:
        crash_and_finish(fed, fed.server, point, 2, undisturbed)


@pytest.mark.parametrize("point", ["C3", "C4_personal", "C4", "C5", "C6"])
def test_silo_killed_at(point, tmp_path, faults_dir, undisturbed):
    """Between training and the row, and until the verdict is recorded: the control variates of the repetition are those before the round."""
    with make(tmp_path, faults_dir) as fed:
        crash_and_finish(fed, fed.clients["silo-d1"], point, 2, undisturbed)
        assert not any(p.events("control_uncounted") for p in fed.processes())


def test_a_silo_that_lost_its_state_changes_no_control_variate(tmp_path, faults_dir):
    with make(tmp_path, faults_dir, rounds=5) as fed:
        lost = fed.clients["silo-d1"]
        fed.start(only=["silo-d0", "silo-d2"])
        lost.start(CROSSFED_FAILPOINTS="C2=kill@4")  # at the third training task (the third task is an evaluation)
        fed.killed(lost, "C2")
        shutil.rmtree(fed.folder / "silo-d1")
        lost.start()
        summary = fed.finish()
        assert summary["rounds"] == 5
        (said,) = lost.events("control_uncounted")
        assert said["counted"] == 2
        (seen,) = fed.server.events("control_uncounted")
        assert seen["client"] == "silo-d1" and seen["round"] == said["round"]
        assert "damaged" not in verify(fed)
        (metrics,) = sqlite3.connect(fed.folder / "server/ledger/ledger.db").execute(
            "SELECT metrics FROM round WHERE round=?", (seen["round"],)).fetchone()
        assert json.loads(metrics)["drift"]["uncounted"] == 1


@pytest.mark.parametrize("local", ["kind: momentum, momentum: 0.8", "kind: sgd"])
def test_four_daemons_of_fednova_give_the_simulators_bytes(tmp_path, bin_dir, crossfed, local):
    """Silos of different sizes, so of different numbers of steps: the same model on one thread and two; another one than FedAvg's."""
    data, plan = tmp_path / "images", tmp_path / "plan.yaml"
    data.mkdir()
    write_images(data)
    text = IMAGES.format(kind="cnn-small", by="dirichlet, n: 4, alpha: 5", data=data).replace("kind: sgd", local).replace("batch: 16", "batch: 4")
    plan.write_text(text)
    fedavg = json.loads(crossfed("sim", plan, "--json").out)
    plan.write_text(text.replace("fedavg", "fednova"))
    summary = as_exported(tmp_path, bin_dir, crossfed, plan, n=4)
    sims = [json.loads(crossfed("sim", plan, "--set", f"sim.threads={n}", "--json").out)["model_blake2b"] for n in (1, 2)]
    assert set(sims) == {summary["model_blake2b"]} != {fedavg["model_blake2b"]}
    crossfed("verify", *(tmp_path / "out" / d for d in ("coordinator", *(f"silo-d{k}/state" for k in range(1, 5)))))


def test_coordinator_of_fednova_killed_in_the_fold(tmp_path, faults_dir):
    digests = []
    for folder in ("calm", "killed"):
        (tmp_path / folder).mkdir()
        with make(tmp_path / folder, faults_dir, algorithm="fednova") as fed:
            if folder == "calm":
                digests.append(fed.start().finish()["model_blake2b"])
            else:
                crash_and_finish(fed, fed.server, "K9", 2, digests[0])
