"""Statistics over items and rows of users in one plan with real daemons: two manifests, two directories, the simulator's bytes."""

import json
import pathlib
import random

import pytest

from federation import Federation

BRANCHES = ("b0", "b1", "b2")
COLUMNS = {"user": 1, "item": 2, "domain": 3, "value": 4, "time": 5}
PLAN = """\
name: branches
seed: 3
data: {{kind: interactions, split: {{kind: leave-one-out, by: time, min: 5}}}}
model: {{kind: recommender}}
stages:
  - {{name: gram, kind: statistic, fed: {fed}, statistic: {{beta: 0.5}}, rows: {{min_holders: 2}}}}
  - {{name: weak, kind: rows, fed: {rows}, rows: {{dim: 8, kappa: 0.25, min_holders: {holders}}}}}
  - {{kind: evaluate, fed: {fed}}}
  - name: scorer
    kind: train
    learns: scorer
    in: [gram]
    fed: {scorer}
    local: {{steps: 5, batch: 8, optimizer: {{lr: 0.1}}}}
eval: {{every: 0, metrics: [hr@10, ndcg@10], protocol: [full]}}
arms: [popularity, alone, federated, guarded]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, domain: 3, value: 4, time: 5}}
  clients: {{by: domain, name: "silo-{{}}"}}
"""


def write_events(path):
    """Three branches of one shop: most customers go to all of them, most goods are sold in all of them; two tastes."""
    rng, lines, t = random.Random(7), [], 0
    for user in range(60):
        for branch in BRANCHES:
            if user % 10 == int(branch[1]):
                continue
            for _ in range(9):
                n = 20 * (user % 2) + rng.randrange(20) if rng.random() < 0.9 else rng.randrange(40)
                item = f"{branch}own{n}" if n % 8 == 0 else f"i{n}"
                t += 1
                lines.append(f"u{user}\t{item}\t{branch}\t1\t{t}")
    path.write_text("\n".join(lines) + "\n")


def make(tmp_path, bin_dir, quorum=1.0, select=60, deadline=600, holders=3):
    data = tmp_path / "events.tsv"
    write_events(data)

    def fed(more=""):
        return f"{{{more}quorum: {quorum}, min_domains: 2, deadline_s: {deadline}, select_timeout_s: {select}, eval_deadline_s: 600}}"

    plan = PLAN.format(fed=fed(), rows=fed("rounds: 3, "), scorer=fed("rounds: 2, weighting: uniform, "), holders=holders, data=data)
    members = {f"silo-{b}": (b, {"path": str(data), "columns": COLUMNS, "only_domain": b}) for b in BRANCHES}
    return Federation(tmp_path / "fed", bin_dir, plan, members)


def states(fed):
    return [fed.folder / m for m in ("server", *fed.members)]


def simulated(crossfed, fed):
    return json.loads(crossfed("sim", fed.plan, "--json").out)


@pytest.mark.sanitize
def test_both_namespaces_give_the_simulators_bytes(tmp_path, bin_dir, crossfed):
    with make(tmp_path, bin_dir) as fed:
        summary = fed.start().finish()
        want = simulated(crossfed, fed)
        assert summary["rounds"] == 6 and summary["model_blake2b"] == want["model_blake2b"]
        frozen = {e["ns"]: e["keys"] for e in fed.server.events("directory_frozen")}
        assert set(frozen) == {"item", "user"} and frozen["item"] == 35
        assert 30 <= frozen["user"] <= 60
        for client in fed.clients.values():
            assert {e["namespace"] for e in client.events("manifest_sent")} == {"item", "user"}
            stored = client.events("final_stored")[0]
            for row in (m for m in want["metrics"] if m["scope"] == "domain:" + client.name[5:]):
                if row["arm"] in stored:
                    assert stored[row["arm"]] == pytest.approx(row["ndcg_10_full"], abs=1e-5)
            words = (fed.folder / client.name / "serve/decision.txt").read_text()
            assert "weak" in words and "scorer" in words and "pooled" in words
        fed.crossfed("verify", *states(fed))
        text = fed.crossfed("inspect", sorted((fed.folder / "server/ckpt").iterdir())[-1]).stdout
        assert "keys.item" in text and "keys.user" in text
        text = fed.crossfed("inspect", fed.folder / "silo-b1/model.safetensors").stdout
        assert "gram/pairs" in text and "weak/user" in text


@pytest.mark.parametrize("who", ["server", "silo-b1"])
def test_killed_while_aligning_and_between_the_namespaces_stages(tmp_path, bin_dir, crossfed, who):
    """Killed when the directories are just frozen, after the statistic, and in the rows: started again, the same bytes."""
    with make(tmp_path, bin_dir) as fed:
        fed.start()
        victim = fed.server if who == "server" else fed.clients[who]
        fed.until(lambda: len(fed.server.events("directory_frozen")) == 2)
        victim.kill()
        victim.start()
        for commits in (1, 3):
            fed.until(lambda n=commits: len(fed.committed()) >= n)
            if not victim.running():
                break
            victim.kill()
            victim.start()
        summary = fed.finish()
        assert summary["model_blake2b"] == simulated(crossfed, fed)["model_blake2b"]
        fed.crossfed("verify", *states(fed))


def test_coordinator_killed_between_the_directories(tmp_path, faults_dir, crossfed):
    """One namespace is frozen, the other is not, nothing is committed: it freezes both again."""
    with make(tmp_path, faults_dir) as fed:
        fed.server.start(CROSSFED_FAILPOINTS="K15=kill@1")
        for client in fed.clients.values():
            client.start()
        assert fed.server.wait() == -9
        assert not fed.server.events("directory_frozen")
        fed.server.start()
        summary = fed.finish()
        assert {e["ns"] for e in fed.server.events("directory_frozen")} == {"item", "user"}
        assert summary["model_blake2b"] == simulated(crossfed, fed)["model_blake2b"]
        fed.crossfed("verify", *states(fed))


def test_silo_killed_between_the_directories(tmp_path, faults_dir, crossfed):
    """One directory's file is durable, the other's is not: it reads both again."""
    with make(tmp_path, faults_dir) as fed:
        victim = fed.clients["silo-b1"]
        fed.server.start()
        for client in fed.clients.values():
            client.start(**({"CROSSFED_FAILPOINTS": "C8=kill@1"} if client is victim else {}))
        assert victim.wait() == -9
        assert not victim.events("aligned") and len(list((fed.folder / victim.name).glob("directory*.bin"))) == 1
        victim.start()
        summary = fed.finish()
        assert len(list((fed.folder / victim.name).glob("directory*.bin"))) == 2
        assert summary["model_blake2b"] == simulated(crossfed, fed)["model_blake2b"]
        fed.crossfed("verify", *states(fed))


def test_a_late_silo_reads_both(tmp_path, bin_dir):
    with make(tmp_path, bin_dir, quorum=0.6, select=2, deadline=2, holders=2) as fed:
        fed.start(only=("silo-b0", "silo-b1"))
        fed.until(lambda: len(fed.committed()) >= 2)
        fed.clients["silo-b2"].start()
        assert fed.finish()["status"] == "done"
        assert fed.server.events("member_late")[0]["client"] == "silo-b2"
        late = fed.clients["silo-b2"].events("aligned")[0]
        assert late["known"] > 60  # items and users
        assert fed.clients["silo-b2"].events("final_stored")[0]["served"] == "guarded"
        assert {e["round"] for e in fed.clients["silo-b2"].events("work_started") if e["kind"] == "train"} == set()
        fed.crossfed("verify", *states(fed))


def test_other_data_after_the_alignment_are_refused(tmp_path, bin_dir):
    """The items of a silo are as fixed as its users."""
    with make(tmp_path, bin_dir) as fed:
        fed.start()
        victim = fed.clients["silo-b1"]
        fed.until(lambda: victim.events("aligned"))
        victim.kill()
        data = tmp_path / "events.tsv"
        data.write_text(data.read_text().replace("b1own0", "b1new0"))
        victim.start()
        assert victim.wait() != 0
        assert "not those this silo was aligned with" in victim.text()


def test_branches_example_is_a_plan(crossfed):
    plans = pathlib.Path(__file__).resolve().parents[2] / "deploy/examples/plans"
    out = crossfed("plan", plans / "branches.yaml", "--rows", "900").out
    assert "(user)" in out and "(item)" in out and "up the whole run" in out
