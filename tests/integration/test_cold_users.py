"""Cold users in the simulator: people as clients, overlap popularity and a map from one shop's history to another's."""

import json
import random

import pytest

PLAN = """\
name: cold-test
seed: 5
data: {{kind: interactions, split: {{kind: predefined, by: file}}}}
model: {{kind: recommender}}
stages:
  - {{name: map, kind: statistic, statistic: {{of: map}}}}
eval: {{every: 0, metrics: [ndcg@10, hr@10, mrr], protocol: [s60]}}
arms: [popularity, federated]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2}}
  clients: {{by: user, common: 200, files: [games.txt, videos.txt, held.txt]}}
"""
TASTES, ITEMS = 4, 120


def bought(rng, taste, n):
    """n different items, three in four of the taste's quarter."""
    own = range(taste * ITEMS // TASTES, (taste + 1) * ITEMS // TASTES)
    out = set()
    while len(out) < n:
        out.add(rng.choice(own) if rng.random() < 0.75 else rng.randrange(ITEMS))
    return sorted(out)


def write_shops(folder, related=True):
    """Two shops: 150 people of both (numbers below 150), 50 who buy games alone, 100 strangers in each. Tastes are the same in
    both shops, or unrelated."""
    rng = random.Random(11)
    games, videos, held = [], [], []
    for person in range(200):
        taste = person % TASTES
        games += [(person, i) for i in bought(rng, taste, 8)]
        other = taste if related else rng.randrange(TASTES)
        where = videos if person < 150 else held
        where += [(person, i) for i in bought(rng, other, 8)]
    for stranger in range(200, 300):
        games += [(stranger, i) for i in bought(rng, rng.randrange(TASTES), 8)]
        videos += [(stranger, i) for i in bought(rng, rng.randrange(TASTES), 8)]
    for name, rows in (("games", games), ("videos", videos), ("held", held)):
        (folder / f"{name}.txt").write_text("".join(f"{u}\t{i}\n" for u, i in rows))


@pytest.fixture
def plan(tmp_path):
    write_shops(tmp_path)
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN.format(data=tmp_path))
    return path


def run(crossfed, plan, *more):
    return json.loads(crossfed("sim", plan, "--json", *more).out)


def arms(summary):
    return {m["arm"]: m for m in summary["metrics"]}


@pytest.mark.sanitize
def test_the_map_finds_a_common_taste(plan, crossfed, tmp_path):
    got = run(crossfed, plan, "--out", tmp_path / "run")
    assert got["clients"] == 150 and got["silent"] == 0 and got["people"] == 50 and got["bytes_up"] > 0
    arm = arms(got)
    assert set(arm) == {"popularity", "overlap popularity", "map", "combined", "combined, smoothed"}
    for name in ("map", "combined", "combined, smoothed"):
        assert arm[name]["ndcg_10_s60"] > 1.5 * arm["overlap popularity"]["ndcg_10_s60"], arm
        assert arm[name]["low"] > 0 and arm[name]["minus_overlap_se"] > 0, arm
        assert arm[name]["stamp"] == "needs paired computation"
    for name in ("popularity", "overlap popularity"):
        assert "stamp" not in arm[name] and arm[name]["se"] > 0
    left = json.loads((tmp_path / "run/summary.json").read_text())
    assert left == got
    lines = [json.loads(x) for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert {x["arm"] for x in lines} == set(arm)
    assert "map" in (tmp_path / "run/plan.resolved.yaml").read_text()
    again = run(crossfed, plan)
    assert again["statistic_sha256"] == got["statistic_sha256"] and again["metrics"] == got["metrics"]


def test_without_a_common_taste_the_map_gains_nothing(plan, crossfed, tmp_path):
    write_shops(tmp_path, related=False)
    arm = arms(run(crossfed, plan))
    assert arm["map"]["low"] < 0.02, arm
    assert arm["map"]["ndcg_10_s60"] < 1.4 * arm["overlap popularity"]["ndcg_10_s60"], arm


def test_clients_who_do_not_answer_are_left_out_and_text_says_what_it_needs(plan, crossfed):
    everybody = run(crossfed, plan)
    some = run(crossfed, plan, "--set", "sim.dropout=0.5")
    assert 40 < some["silent"] < 110 and some["clients"] == 150
    assert some["bytes_up"] < everybody["bytes_up"] and some["statistic_sha256"] != everybody["statistic_sha256"]
    text = crossfed("sim", plan).out
    assert text.count("needs paired computation") == 4 and "150 clients (a person each)" in text
    assert "overlap popularity" in text and everybody["statistic_sha256"] in text


@pytest.mark.parametrize("sets, says", [
    (["sim.clients.common=0"], "sim.clients.common: below which number"),
    (["sim.clients.by=file"], "sim.clients.by: user belongs to a stage with statistic.of map"),
    (["stages[0].statistic.of=gram"], "data.split.kind: a predefined split of interactions"),
    (["eval.metrics=[ndcg@5]"], "cold users are measured by ndcg@10, hr@10 and mrr"),
    (["eval.protocol=[full]"], "cold users are ranked among sampled items"),
    (["arms=[alone]"], "cold users have nothing alone"),
    (["eval.protocol=[s999]"], "fewer negatives than other items"),
    (["sim.columns.item=3"], "by user reads user and item from columns 1 and 2"),
    (["data.split.kind=leave-one-out"], "its split is given: write data.split {kind: predefined"),
    (["sim.clients.files=[a, b]"], "by user needs three files"),
])
def test_refusals(plan, crossfed, sets, says):
    argv = [x for s in sets for x in ("--set", s)]
    assert says in crossfed("sim", plan, *argv, status=None).err


def test_no_daemon_makes_the_map(plan, crossfed, tmp_path):
    assert "there is nothing to export" in crossfed("sim", plan, "--export", tmp_path / "fed", status=None).err
    resolved = crossfed("plan", plan).out
    assert "# stamp: needs paired computation" in resolved and "bytes: no estimate: statistic.of: map needs paired computation" in resolved
    assert "map needs paired computation" in crossfed("plan", plan, "--json").json()["bytes_unknown"]
    assert "trusted alignment" not in resolved
