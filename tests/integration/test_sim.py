"""crossfed sim: the whole federation in one process, on generated data."""
import json

import pytest

PLAN = """
name: sim-test
seed: 3
data: {kind: interactions, split: {kind: leave-one-out, by: time, min: 5}}
model: {kind: mf, dim: 8, loss: bpr, users: aligned, items: domain}
stages:
  - fed: {algorithm: fedavg, rounds: 4, min_domains: 2, deadline_s: 30}
    local: {epochs: 1, batch: 64, optimizer: {kind: adam, lr: 0.01}, l2: 1.0e-4}
    rows: {rule: pull, kappa: 0.25, min_holders: 2}
eval: {every: 2, metrics: [hr@10, ndcg@10], protocol: [full, s50]}
arms: [popularity, alone, federated]
sim:
  data: "%s"
  columns: {user: 1, item: 2, domain: 3, value: 4, time: 5}
  clients: {by: domain, name: "silo-{}"}
"""


def events(path):
    """Three domains of two tastes each: users of a taste like its half of the items."""
    lines, t = [], 0
    state = 12345
    for user in range(90):
        for domain in range(3):
            liked = [20 * (user % 2) + k for k in range(20)]
            for _ in range(8):
                state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
                item = liked[(state >> 33) % 20] if (state >> 20) % 10 else (state >> 33) % 40
                t += 1
                lines.append(f"u{user}\td{domain}i{item}\td{domain}\t1\t{t}")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def plan(tmp_path):
    data = tmp_path / "events.tsv"
    events(data)
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN % data)
    return path


def run(crossfed, plan, *args):
    return json.loads(crossfed("sim", str(plan), "--json", *args).out)


@pytest.mark.sanitize
@pytest.mark.threads
def test_threads_do_not_change_a_bit(crossfed, plan):
    one = run(crossfed, plan, "--threads", "1")
    two = run(crossfed, plan, "--threads", "2")
    assert one["model_blake2b"] == two["model_blake2b"]
    assert one["metrics"] == two["metrics"]
    assert one["rounds"] == 4 and one["abandoned"] == 0
    assert {m["scope"] for m in one["metrics"]} == {f"domain:d{d}" for d in range(3)}


def test_seed_and_plan_change_the_model(crossfed, plan):
    base = run(crossfed, plan)["model_blake2b"]
    assert run(crossfed, plan, "--seed", "4")["model_blake2b"] != base
    assert run(crossfed, plan, "--set", "local.epochs=2")["model_blake2b"] != base


def test_dropouts_do_not_stop_the_run(crossfed, plan):
    got = run(crossfed, plan, "--set", "sim.dropout=0.2", "--set", "fed.quorum=0.3",
              "--set", "fed.min_domains=1")
    assert got["status"] == "done"
    again = run(crossfed, plan, "--set", "sim.dropout=0.2", "--set", "fed.quorum=0.3",
                "--set", "fed.min_domains=1", "--threads", "1")
    assert got["model_blake2b"] == again["model_blake2b"]


def test_learning_beats_popularity(crossfed, plan):
    got = run(crossfed, plan, "--set", "fed.rounds=20")
    value = {(m["scope"], m["arm"]): m["ndcg_10_full"] for m in got["metrics"]}
    for d in range(3):
        assert value[f"domain:d{d}", "federated"] > value[f"domain:d{d}", "popularity"]


@pytest.mark.parametrize("sets, text", [
    (["init=/nowhere/model.safetensors"], "not in this version"),
    (["sim.data=/nowhere/x.tsv"], "/nowhere/x.tsv"),
    (["sim.clients.only=[d0, d9]"], "sim.clients.only"),
])
def test_refusals_say_why(crossfed, plan, sets, text):
    args = [a for s in sets for a in ("--set", s)]
    got = crossfed("sim", str(plan), *args, status=None)
    assert got.status != 0 and text in got.err


def test_noise_is_accounted_and_stamped(crossfed, plan):
    sets = ["privacy.noise_multiplier=4.0", "privacy.clip=1.0", "fed.weighting=uniform"]
    args = [a for s in sets for a in ("--set", s)]
    got = run(crossfed, plan, *args)
    assert got["stamp"] == "NOT PRIVATE: seeded"
    # four releases under both relations, as `crossfed account` says; the grid rounds the noise up, never down
    for key, sigma in (("epsilon_zero_out", 4.0), ("epsilon", 2.0)):
        want = json.loads(crossfed("account", "--q", "1", "--sigma", sigma, "--steps", "4", "--delta",
                                   repr(got["delta"]), "--json").out)["epsilon"]
        assert want * 0.99 < got[key] <= want * (1 + 1e-9)
    assert run(crossfed, plan, *args)["model_blake2b"] == got["model_blake2b"]
    assert run(crossfed, plan, *args[2:])["model_blake2b"] != got["model_blake2b"]


def test_arms_that_are_not_asked_are_not_run(crossfed, plan):
    got = run(crossfed, plan, "--set", "arms=[popularity, federated]")
    assert {m["arm"] for m in got["metrics"]} == {"popularity", "federated"}


def test_run_directory(crossfed, plan, tmp_path):
    out = tmp_path / "run"
    got = run(crossfed, plan, "--out", str(out))
    assert json.loads((out / "summary.json").read_text())["model_blake2b"] == got["model_blake2b"]
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert {(m["arm"], m["split"]) for m in lines} >= {("federated", "valid"), ("alone", "test")}
    assert {m["scope"] for m in lines} == {"global", *(f"domain:d{d}" for d in range(3))}
    again = crossfed("plan", str(out / "plan.resolved.yaml"), "--digest").out
    assert again == crossfed("plan", str(plan), "--digest").out
    events = [json.loads(line)["event"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert events.count("round_committed") == 6


TABLE_PLAN = """
name: sim-tables
seed: 5
data:
  kind: table
  split: {kind: random, valid_fraction: 0, test_fraction: 0.3}
  table: {label: 3, scale: silo}
model: {kind: logreg, loss: bce, n_in: 2, n_out: 1}
stages:
  - fed: {algorithm: fedavg, rounds: 10, deadline_s: 30}
    local: {epochs: 2, batch: 8, optimizer: {kind: sgd, lr: 0.1}}
eval: {every: 5, metrics: [acc, auc]}
arms: [alone, federated]
sim:
  data: "%s"
  clients: {by: file, files: [a.csv, b.csv, c.csv], name: "{}"}
"""


def test_tables_one_file_each(crossfed, tmp_path):
    for k, name in enumerate(["a.csv", "b.csv", "c.csv"]):
        rows = [(((7 * i + k) % 20) - 10, ((3 * i) % 11) - 5) for i in range(60)]
        (tmp_path / name).write_text("".join(f"{x},{y},{int(x + y > 0)}\n" for x, y in rows))
    plan = tmp_path / "plan.yaml"
    plan.write_text(TABLE_PLAN % tmp_path)
    got = run(crossfed, plan)
    federated = [m for m in got["metrics"] if m["arm"] == "federated"]
    assert len(federated) == 3
    for m in federated:
        assert m["auc"] > 0.95 and m["acc"] > 0.8  # linearly separable
    wrong = crossfed("sim", str(plan), "--set", "model.n_in=3", status=None)
    assert wrong.status != 0 and "2 inputs" in wrong.err


TEXT_PLAN = """
name: text
data: {kind: text, split: {kind: random, min: 5, test_fraction: 0.2, valid_fraction: 0.1}}
model: {kind: char-gru, loss: softmax, n_in: 96, n_out: 96, dim: 4, hidden: [16], steps: 20}
stages:
  - fed: {rounds: 6, deadline_s: 60, weighting: samples}
    local: {epochs: 2, batch: 4, optimizer: {kind: adam, lr: 0.02}}
eval: {every: 0, metrics: [acc, logloss]}
arms: [alone, federated]
sim:
  data: "%s"
  clients: {by: domain, name: "{}"}
"""


def test_text_one_silo_per_speaker(crossfed, tmp_path):
    text, plan = tmp_path / "play.txt", tmp_path / "plan.yaml"
    speeches = [f"{who}:\n{'abc ' * (5 + i % 3)}\n" for i in range(12) for who in ("First", "Second")]
    text.write_text("\n".join(speeches + ["Third:\nonly once\n"]))
    plan.write_text(TEXT_PLAN % text)
    got = run(crossfed, plan)
    federated = [m for m in got["metrics"] if m["arm"] == "federated"]
    assert {m["scope"] for m in federated} == {"domain:first", "domain:second"}  # Third has too few speeches
    for m in federated:
        assert m["acc"] > 0.7 and m["logloss"] < 1.0  # four letters in turn
    for sets, says in [("model.n_in=95", "reads and writes 96 letters"),
                       ("data.split.kind=leave-one-out", "speeches are dealt at random"),
                       ("sim.clients.by=file", "text is dealt by speaker"),
                       ("data.split.min=50", "no speaker has data.split.min = 50 speeches")]:
        bad = crossfed("sim", str(plan), "--set", sets, status=None)
        assert bad.status != 0 and says in bad.err, bad.err
    text.write_text("no speaker here\n")
    bad = crossfed("sim", str(plan), status=None)
    assert bad.status != 0 and "play.txt:1:1: a speech begins with its speaker's name" in bad.err
