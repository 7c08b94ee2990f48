"""A recommender's plan through real daemons: a statistic, a scorer, a decision in each silo; a crash in between; a silo that comes late."""

import json
import pathlib
import random

import pytest

from federation import Federation

PLAN = """\
name: markets
seed: 3
data: {{kind: interactions, split: {{kind: leave-one-out, by: file, min: 5}}}}
model: {{kind: recommender, item_ns: item}}
stages:
  - name: gram
    kind: statistic
    statistic: {{of: gram, beta: {beta}}}
    rows: {{min_holders: 2}}
    fed: {fed}
{more}
  - {{kind: evaluate}}
eval: {{every: 0, metrics: [hr@10, ndcg@10], protocol: [full]}}
privacy: {privacy}
arms: [popularity, alone, federated, guarded]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, domain: 3}}
  clients: {{by: domain, only: [{only}], name: "silo-{{}}"}}
"""

SCORER = """\
  - name: scorer
    kind: train
    learns: scorer
    in: [gram]
    fed: {{rounds: 4, weighting: uniform, quorum: 1.0, deadline_s: 600, select_timeout_s: 60}}
    local: {{steps: 5, batch: 8, optimizer: {{kind: sgd, lr: 0.1}}}}
"""

FED = "{quorum: 1.0, deadline_s: 600, select_timeout_s: 60, eval_deadline_s: 600}"


def write_markets(path, users):
    """Markets without common users that sell the same items: five tastes of 12 items each, a few items of their own."""
    rng, lines = random.Random(5), []
    for market, n in users.items():
        for user in range(n):
            taste = user % 5
            items = {f"i{taste * 12 + rng.randrange(12)}" for _ in range(7)} | {f"i{rng.randrange(60)}", f"{market}own{rng.randrange(4)}"}
            lines += [f"{market}u{user}\t{item}\t{market}" for item in sorted(items, key=lambda _: rng.random())]
    path.write_text("\n".join(lines) + "\n")


USERS = {"m0": 90, "m1": 80, "m2": 70}


def make(tmp_path, bin_dir, more="", users=None, only=None, beta=0.5, privacy="{delta: 1.0e-5}", fed=FED, **kwargs):
    data = tmp_path / "events.tsv"
    users = users or USERS
    write_markets(data, users)
    plan = PLAN.format(beta=beta, fed=fed, more=more.format(), privacy=privacy, data=data, only=", ".join(only or users))
    members = {f"silo-{d}": (d, {"path": str(data), "columns": {"user": 1, "item": 2, "domain": 3}, "only_domain": d}) for d in users}
    return Federation(tmp_path / "fed", bin_dir, plan, members, **kwargs)


def report(fed, member):
    return json.loads((fed.folder / member / "serve/report.json").read_text())


def states(fed):
    return [fed.folder / m for m in ("server", *fed.members)]


@pytest.mark.sanitize
def test_stages_give_the_simulators_bytes(tmp_path, bin_dir, crossfed):
    """Statistic, scorer, evaluation: the model and each silo's figures are the simulator's; every silo answers."""
    with make(tmp_path, bin_dir, more=SCORER) as fed:
        summary = fed.start().finish()
        simulated = json.loads(crossfed("sim", fed.plan, "--json").out)
        assert summary["rounds"] == 5 and summary["model_blake2b"] == simulated["model_blake2b"]
        verdict = simulated["verdict"]
        assert [d["domain"] for d in verdict["domains"]] == sorted(USERS) and verdict["lose"] == sum(d["loses"] for d in verdict["domains"])
        assert all(d["served"] == "guarded" and d["low"] <= d["mean"] <= d["high"] for d in verdict["domains"])
        assert simulated["bytes_up"] < simulated["bytes_down"] * 2
        for member in fed.members:
            said = report(fed, member)
            assert said["served"] == "guarded" and set(said["arms"]) == {"popularity", "alone", "federated", "guarded"}
            for row in simulated["metrics"]:
                if row["scope"] == f"domain:{member[5:]}":
                    assert said["arms"][row["arm"]]["test"]["ndcg_10_full"] == pytest.approx(row["ndcg_10_full"], abs=1e-9)
            words = (fed.folder / member / "serve/decision.txt").read_text()
            assert "popularity" in words and "gain over alone on validation" in words
            user = f"{member[5:]}u3"
            out = json.loads(fed.crossfed("recommend", "--state", fed.folder / member, "--user", user, "-k", "5", "--json").stdout)
            assert len(out["items"]) == 5 and out["arm"] == "guarded"
            diverse = json.loads(fed.crossfed("recommend", "--state", fed.folder / member, "--user", user, "-k", "5", "--json",
                                              "--diversity", "dpp:0.2", "--explain").stdout)
            assert diverse["similarity"] == "co-occurrence" and diverse["diversity"] == "dpp:0.2", "a recommender has no factors"
            assert [i["item"] for i in diverse["items"]] != [i["item"] for i in out["items"]]
            assert any(i["similar"] for i in diverse["items"])
            unknown = json.loads(fed.crossfed("recommend", "--state", fed.folder / member, "--user", "nobody", "-k", "5", "--json").stdout)
            assert unknown["arm"] == "popularity"
        fed.crossfed("verify", *states(fed))
        text = fed.crossfed("inspect", sorted((fed.folder / "server/ckpt").iterdir())[-1]).stdout
        assert "gram/pairs" in text and "scorer/w1" in text


def test_artifacts_come_once(tmp_path, bin_dir):
    """The Gram travels to each silo once for the four rounds of the scorer."""
    with make(tmp_path, bin_dir, more=SCORER) as fed:
        fed.start().finish()
        down = [json.loads(line) for line in (fed.folder / "server/metrics.jsonl").read_text().splitlines()]
        assert down
        rounds = json.loads(fed.crossfed("rounds", "--state", fed.folder / "server", "--json").stdout)["rounds"]
        assert [r["state"] for r in rounds] == ["committed"] * len(rounds) and len(rounds) == 6


@pytest.mark.parametrize("point", ["K1", "K6", "K9", "K11"])
def test_coordinator_killed_in_the_statistic_stage(tmp_path, bin_dir, faults_dir, crossfed, point):
    with make(tmp_path, faults_dir, more=SCORER) as fed:
        fed.server.start(CROSSFED_FAILPOINTS=f"{point}=kill@1")
        for client in fed.clients.values():
            client.start()
        assert fed.server.wait() == -9
        fed.server.start()
        summary = fed.finish()
        assert summary["model_blake2b"] == json.loads(crossfed("sim", fed.plan, "--json").out)["model_blake2b"]
        fed.crossfed("verify", *states(fed))


@pytest.mark.parametrize("point", ["C3", "C4_personal", "C5"])
def test_silo_killed_in_the_statistic_stage(tmp_path, bin_dir, faults_dir, crossfed, point):
    with make(tmp_path, faults_dir, more=SCORER) as fed:
        fed.server.start()
        victim, *others = fed.clients.values()
        victim.start(CROSSFED_FAILPOINTS=f"{point}=kill@1")
        for client in others:
            client.start()
        assert victim.wait() == -9
        victim.start()
        summary = fed.finish()
        assert summary["model_blake2b"] == json.loads(crossfed("sim", fed.plan, "--json").out)["model_blake2b"]
        fed.crossfed("verify", *states(fed))


def test_a_small_silo_joins_a_finished_federation(tmp_path, bin_dir, crossfed):
    """It contributed nothing, fetches what the others made and decides with it; the others' model stays as it was."""
    fed_rule = "{quorum_count: 3, deadline_s: 2, select_timeout_s: 1, eval_deadline_s: 60}"
    more = SCORER.replace("quorum: 1.0, deadline_s: 600, select_timeout_s: 60", "quorum_count: 3, deadline_s: 2, select_timeout_s: 1")
    late = "silo-m3"
    with make(tmp_path, bin_dir, more=more, users={**USERS, "m3": 25}, only=USERS, fed=fed_rule) as fed:
        fed.start(only=[m for m in fed.members if m != late])
        for member, client in fed.clients.items():
            if member != late:
                assert client.wait() == 0
        before = json.loads(fed.crossfed("status", "--state", fed.folder / "server", "--json").stdout)
        fed.clients[late].start()
        summary = fed.finish()
        assert summary["model_blake2b"] == json.loads(crossfed("sim", fed.plan, "--json").out)["model_blake2b"]
        assert before and fed.clients[late].events("trained") == []
        said = report(fed, late)
        assert said["served"] == "guarded" and said["committed"] == 5
        valid = {arm: figures["valid"]["ndcg_10_full"] for arm, figures in said["arms"].items()}
        assert valid["federated"] > 2 * valid["popularity"], valid  # it has what the others made
        assert valid["guarded"] >= valid["alone"] and valid["guarded"] > 2 * valid["popularity"], valid
        fed.crossfed("verify", *states(fed))


def test_noised_statistic(tmp_path, bin_dir):
    """beta 1 and noise: users of a silo are the unit, the charge is in the ledger of the silo, the diagonal stays home."""
    with make(tmp_path, bin_dir, beta=1, privacy="{unit: user, noise_multiplier: 2.0, delta: 1.0e-5}") as fed:
        fed.start().finish()
        text = fed.crossfed("inspect", sorted((fed.folder / "server/ckpt").iterdir())[-1]).stdout
        assert "gram/pairs" in text and "gram/diagonal" not in text
        for member in fed.members:
            text = fed.clients[member].text()
            assert "epsilon" in text
        fed.crossfed("verify", *states(fed))


def test_policy_noise_needs_a_noised_plan(tmp_path, bin_dir):
    """A silo that insists on noise refuses statistics that have no bound for each user."""
    policy = {"silo-m0": {"noise_multiplier": 1.0, "clip": 1.0}}
    with make(tmp_path, bin_dir, policy=policy) as fed:
        fed.start(only=["silo-m0"])
        fed.until(lambda: "policy.noise_multiplier" in fed.clients["silo-m0"].text(), limit_s=20)
        assert "privacy.noise_multiplier" in fed.clients["silo-m0"].text()


def test_rows_stage_gives_the_simulators_bytes(tmp_path, bin_dir, crossfed):
    """Common users, two rows stages with different pulls."""
    data = tmp_path / "events.tsv"
    rng, lines, t = random.Random(6), [], 0
    for user in range(80):
        for domain in ("d0", "d1", "d2"):
            for item in rng.sample(range(20), 7):
                t += 1
                lines.append(f"u{user}\t{domain}i{(user % 4) * 20 + item}\t{domain}\t{t}")
    data.write_text("\n".join(lines) + "\n")
    stage = "  - {{name: {name}, kind: rows, fed: {{rounds: 3, quorum: 1.0, deadline_s: 600}}, rows: {{dim: 8, kappa: {kappa}}}}}\n"
    plan = ("name: rows\nseed: 3\ndata: {kind: interactions, split: {kind: leave-one-out, by: time, min: 5}}\n"
            "model: {kind: recommender}\nstages:\n" + stage.format(name="weak", kappa=0.25) + stage.format(name="strong", kappa=0.5) +
            "eval: {every: 0, metrics: [ndcg@10], protocol: [full]}\narms: [popularity, alone, federated, guarded]\n"
            f'sim: {{data: "{data}", columns: {{user: 1, item: 2, domain: 3, time: 4}}, clients: {{by: domain, name: "silo-{{}}"}}}}\n')
    members = {f"silo-{d}": (d, {"path": str(data), "columns": {"user": 1, "item": 2, "domain": 3, "time": 4}, "only_domain": d})
               for d in ("d0", "d1", "d2")}
    with Federation(tmp_path / "fed", bin_dir, plan, members, seed=3) as fed:
        summary = fed.start().finish()
        simulated = json.loads(crossfed("sim", fed.plan, "--json").out)
        assert summary["rounds"] == 6 and summary["model_blake2b"] == simulated["model_blake2b"]
        assert {report(fed, m)["served"] for m in fed.members} == {"guarded"}
        fed.crossfed("verify", *states(fed))


def test_markets_example_is_a_plan(crossfed):
    plans = pathlib.Path(__file__).resolve().parents[2] / "deploy/examples/plans"
    for name in ("markets.yaml", "categories.yaml"):
        out = crossfed("plan", plans / name, "--rows", "1000").out
        assert "up the whole run" in out
