"""Rows stages with real daemons: a stage that reads another one, an evaluation between them, crashes there, a silo that comes late."""

import json

import pytest

from federation import Federation

DOMAINS = ("d0", "d1", "d2")
COLUMNS = {"user": 1, "item": 2, "domain": 3, "value": 4, "time": 5}
FED = "cohort: 1.0, quorum: {quorum}, min_domains: 2, deadline_s: {deadline}, select_timeout_s: {select}, eval_deadline_s: 600"

PLAN = """\
name: rows
seed: 3
data: {{kind: interactions, split: {{kind: leave-one-out, by: time, min: 5}}}}
model: {{kind: recommender}}
stages:
{stages}
eval: {{every: 0, metrics: [hr@10, ndcg@10], protocol: [full]}}
arms: [popularity, alone, federated, guarded]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, domain: 3, value: 4, time: 5}}
  clients: {{by: domain, name: "silo-{{}}"}}
"""
ROWS = """\
  - {{name: weak, kind: rows, fed: {{rounds: 3, {fed}}}, rows: {{dim: 8, kappa: 0.25}}}}
  - {{kind: evaluate, fed: {{{fed}}}}}
  - {{name: strong, kind: rows, in: [weak], fed: {{rounds: 2, {fed}}}, rows: {{dim: 4, kappa: 0.5}}}}
"""


def write_events(path):
    """Three domains of two tastes with common users."""
    lines, t, state = [], 0, 12345
    for user in range(60):
        for domain in range(3):
            liked = [20 * (user % 2) + k for k in range(20)]
            for _ in range(8):
                state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
                item = liked[(state >> 33) % 20] if (state >> 20) % 10 else (state >> 33) % 40
                t += 1
                lines.append(f"u{user}\td{domain}i{item}\td{domain}\t1\t{t}")
    path.write_text("\n".join(lines) + "\n")


def make(tmp_path, bin_dir, stages=ROWS, quorum=1.0, select=60, deadline=600):
    data = tmp_path / "events.tsv"
    write_events(data)
    plan = PLAN.format(stages=stages.format(fed=FED.format(quorum=quorum, select=select, deadline=deadline)), data=data)
    members = {f"silo-{d}": (d, {"path": str(data), "columns": COLUMNS, "only_domain": d}) for d in DOMAINS}
    return Federation(tmp_path / "fed", bin_dir, plan, members)


def simulate(crossfed, fed):
    return json.loads(crossfed("sim", str(fed.plan), "--json").out)


def test_daemons_give_the_simulators_bytes(tmp_path, bin_dir, crossfed):
    with make(tmp_path, bin_dir) as fed:
        summary = fed.start().finish()
        want = simulate(crossfed, fed)
        assert summary["model_blake2b"] == want["model_blake2b"]
        assert summary["status"] == "done" and summary["rounds"] == 5
        evaluations = [e for e in fed.committed() if e["kind"] == "evaluate"]
        assert len(evaluations) == 2
        for client in fed.clients.values():
            stored = client.events("final_stored")[0]
            assert stored["served"] == "guarded"
            for row in (m for m in want["metrics"] if m["scope"] == "domain:" + client.name[5:]):
                if row["arm"] in stored:
                    assert stored[row["arm"]] == pytest.approx(row["ndcg_10_full"], abs=1e-5)
        arms = {m.split(".")[0] for m in summary["metrics"]}
        assert arms == {"popularity", "alone", "federated", "guarded"}
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))


INNER = ROWS.replace("kappa: 0.25", "kappa: 0.25, inner: 2").replace("kappa: 0.5", "kappa: 0.5, inner: 2")
RULES = """\
  - {{name: exact, kind: rows, fed: {{rounds: 3, {fed}}}, rows: {{rule: sums, dim: 6, inner: 2}}}}
  - {{name: target, kind: rows, fed: {{rounds: 2, {fed}}}, rows: {{rule: sums, dim: 4, others: 0.1}}}}
  - {{name: mean, kind: rows, fed: {{rounds: 2, {fed}}}, rows: {{rule: average, dim: 4}}}}
"""


@pytest.mark.parametrize("stages, mixed", [(INNER, ("weak", "strong")), (RULES, ("exact",))])
def test_rows_without_split_a_and_other_rules(tmp_path, bin_dir, crossfed, stages, mixed):
    """The simulator's bytes, a silo killed in between; what was exchanged without split A is part of the mixes."""
    with make(tmp_path, bin_dir, stages) as fed:
        fed.start()
        victim = fed.clients["silo-d1"]
        for commits in (1, 3):
            fed.until(lambda n=commits: len(fed.committed()) >= n)
            if victim.running():
                victim.kill()
                victim.start()
        summary = fed.finish()
        assert summary["model_blake2b"] == simulate(crossfed, fed)["model_blake2b"]
        words = [(fed.folder / m / "serve/decision.txt").read_text() for m in fed.members]
        mixes = [line for text in words for line in text.splitlines() if line.strip().startswith("mix.shared is")]
        assert mixes and all(any(f" {name} " in line for line in mixes) for name in mixed)
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))


def test_exact_sums_are_one_model(tmp_path, bin_dir, crossfed):
    """All silos' totals of a user give one row, whoever solves it."""
    stages = "  - {{name: exact, kind: rows, fed: {{rounds: 4, {fed}}}, rows: {{rule: sums, dim: 6}}}}\n"
    with make(tmp_path, bin_dir, stages) as fed:
        out = json.loads(crossfed("sim", str(fed.plan), "--json").out)
        assert out["rounds"] == 4
        value = {(m["scope"], m["arm"]): m["ndcg_10_full"] for m in out["metrics"]}
        for domain in DOMAINS:
            assert value[(f"domain:{domain}", "federated")] > 0.5 * value[(f"domain:{domain}", "alone")]
        noised = crossfed("plan", str(fed.plan), "--set", "privacy.noise_multiplier=1", "--set", "privacy.clip=1", status=78)
        assert "sums" in noised.err


@pytest.mark.parametrize("who", ["server", "silo-d1"])
def test_killed_between_stages_the_same_bytes(tmp_path, bin_dir, crossfed, who):
    with make(tmp_path, bin_dir) as fed:
        fed.start()
        for commits in (1, 4):
            fed.until(lambda n=commits: len(fed.committed()) >= n)
            victim = fed.server if who == "server" else fed.clients[who]
            if not victim.running():
                break
            victim.kill()
            victim.start()
        summary = fed.finish()
        assert summary["model_blake2b"] == simulate(crossfed, fed)["model_blake2b"]
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))


def test_a_late_silo_reads(tmp_path, bin_dir):
    """It comes when the rows are made: nothing of it is in them, and it gets them."""
    stages = ROWS.replace("rows: {{", "rows: {{min_holders: 2, ")
    with make(tmp_path, bin_dir, stages, quorum=0.6, select=2, deadline=2) as fed:
        fed.start(only=("silo-d0", "silo-d1"))
        fed.until(lambda: len(fed.committed()) >= 2)
        fed.clients["silo-d2"].start()
        summary = fed.finish()
        assert summary["status"] == "done"
        assert fed.server.events("member_late")[0]["client"] == "silo-d2"
        late = fed.clients["silo-d2"].events("aligned")[0]
        assert late["known"] > 30
        stored = fed.clients["silo-d2"].events("final_stored")[0]
        assert stored["served"] == "guarded" and stored["federated"] > stored["popularity"]
        assert {e["round"] for e in fed.clients["silo-d2"].events("work_started") if e["kind"] == "train"} == set()
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))
