"""A knowledge graph beside each silo's items, through real daemons: it helps where items are rare, a permuted one does not."""

import json
import random
import re

import pytest

from federation import Federation
from test_http import Api, described  # noqa: F401, a fixture

PLAN = """\
name: graph
seed: 3
data: {{kind: interactions, split: {{kind: leave-one-out, by: file, min: 5}}}}
model: {{kind: recommender, item_ns: item}}
stages:
  - name: gram
    kind: statistic
    statistic: {{of: gram, beta: 0.5}}
    rows: {{min_holders: 2}}
    fed: {{quorum: 1.0, deadline_s: 600, select_timeout_s: 60, eval_deadline_s: 600}}
eval: {{every: 0, metrics: [ndcg@10], protocol: [full]}}
arms: [popularity, alone, federated, guarded]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, domain: 3}}
  clients: {{by: domain, name: "silo-{{}}"}}
  {kg}
"""
USERS = {"m0": 360, "m1": 300}
KINDS, ITEMS = 60, 1200


def write(tmp_path):
    """People of a kind take items of that kind; there are so many items that most are taken once or never."""
    rng, lines = random.Random(5), []
    for market, n in USERS.items():
        for user in range(n):
            for k in rng.sample(range(ITEMS // KINDS), 5):
                lines.append(f"{market}u{user}\ti{user % KINDS + KINDS * k}\t{market}")
    (tmp_path / "events.tsv").write_text("\n".join(lines) + "\n")
    kind = [i % KINDS for i in range(ITEMS)]
    for name in ("graph", "permuted"):
        (tmp_path / f"{name}.tsv").write_text("".join(f"e{i}\tof_kind\tkind{k}\n" for i, k in enumerate(kind)))
        rng.shuffle(kind)
    (tmp_path / "link.tsv").write_text("".join(f"i{i}\te{i}\n" for i in range(ITEMS)))
    (tmp_path / "relations.txt").write_text("of_kind\n")


def files(tmp_path, name):
    return {"triples": str(tmp_path / f"{name}.tsv"), "items": str(tmp_path / "link.tsv"), "relations": str(tmp_path / "relations.txt")}


def plan_of(tmp_path, graph):
    kg = f"kg: {json.dumps(files(tmp_path, graph))}" if graph else ""
    return PLAN.format(data=tmp_path / "events.tsv", kg=kg)


def make(tmp_path, bin_dir, graph="graph", kg=None, **kwargs):
    write(tmp_path)
    data = {"path": str(tmp_path / "events.tsv"), "columns": {"user": 1, "item": 2, "domain": 3}}
    members = {f"silo-{d}": (d, {**data, "only_domain": d, "kg": kg or files(tmp_path, graph)}) for d in USERS}
    return Federation(tmp_path / "fed", bin_dir, plan_of(tmp_path, graph), members, **kwargs)


def simulate(tmp_path, crossfed, graph):
    """Figures of each silo's arms on test, and the decisions in words."""
    path = tmp_path / f"{graph}.yaml"
    path.write_text(plan_of(tmp_path, graph))
    summary = json.loads(crossfed("sim", path, "--json", "--out", tmp_path / f"run-{graph}").out)
    figure = {(row["scope"], row["arm"]): row["ndcg_10_full"] for row in summary["metrics"] if row["scope"].startswith("domain:")}
    return summary, figure


def test_graph_helps_and_a_permuted_one_does_not(tmp_path, bin_dir, crossfed):
    with make(tmp_path, bin_dir) as fed:
        summary = fed.start().finish()
        simulated, figure = simulate(tmp_path, crossfed, "graph")
        _, without = simulate(tmp_path, crossfed, None)
        _, permuted = simulate(tmp_path, crossfed, "permuted")
        assert summary["model_blake2b"] == simulated["model_blake2b"]
        for market in USERS:
            member, scope = f"silo-{market}", f"domain:{market}"
            said = json.loads((fed.folder / member / "serve/report.json").read_text())
            for arm, figures in said["arms"].items():
                assert figures["test"]["ndcg_10_full"] == pytest.approx(figure[scope, arm], abs=1e-9)
            words = (fed.folder / member / "serve/decision.txt").read_text()
            assert "kg.own" in words and "kg.content" in words
            for arm in ("alone", "guarded"):  # fair: alone has the graph too
                more = 1.15 if arm == "alone" else 1.05  # the others' Gram knows a part of it
                assert figure[scope, arm] > more * without[scope, arm], (arm, figure[scope, arm], without[scope, arm])
                assert permuted[scope, arm] < 1.05 * without[scope, arm], (arm, permuted[scope, arm], without[scope, arm])
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))


def check_paths(items, history):
    """Each path leads from something the user took, by the kind that both are of, to the item."""
    paths = {i["item"]: i["path"] for i in items if "path" in i}
    assert len(paths) >= len(items) // 2, items
    for item, path in paths.items():
        start, kind, end = re.fullmatch(r"(i\d+) -of_kind- (kind\d+) -of_kind- (i\d+)", path).groups()
        assert start in history and end == item
        assert int(start[1:]) % KINDS == int(end[1:]) % KINDS == int(kind[4:]), path


def test_reasons_are_paths(tmp_path, bin_dir, described):  # noqa: F811
    client = {"exit_when_done": False, "serve": {"http": {"listen": "127.0.0.1:0"}}}
    with make(tmp_path, bin_dir, client=client) as fed:
        fed.start()
        api = Api(fed, described, "silo-m0").listening()
        fed.until(lambda: api.client.events("final_stored"))
        api.wait_for("guarded")
        history = {line.split("\t")[1] for line in (tmp_path / "events.tsv").read_text().splitlines() if line.startswith("m0u7\t")}
        asked = {"user": "m0u7", "k": 10, "explain": 1}
        check_paths(api.ask("/v1/recommend", asked)["items"], history)
        assert "path" not in json.dumps(api.ask("/v1/recommend", {**asked, "explain": 0}))
        check_paths(api.ask("/v1/recommend", {"history": sorted(history), "k": 10, "explain": 1})["items"], history)

        def told(*args):
            return fed.crossfed("recommend", "--state", fed.folder / "silo-m0", "--user", "m0u7", "-k", "10", "--explain", *args).stdout
        check_paths(json.loads(told("--json"))["items"], history)
        assert re.search(r"; path i\d+ -of_kind- kind\d+ -of_kind- i\d+", told())
        assert "path" not in told("--arm", "popularity")
        for process in fed.processes():
            process.kill()
        (tmp_path / "graph.tsv").unlink()  # what is served is in the state directory
        n = len(api.client.events("serving"))
        api.client.start()
        api.listening()
        fed.until(lambda: len(api.client.events("serving")) > n)
        check_paths(api.ask("/v1/recommend", asked)["items"], history)


@pytest.mark.parametrize("broken, text", [
    ({"triples": "absent.tsv"}, "absent.tsv"),
    ({"relations": "other.txt"}, "outside the vocabulary"),
    ({"items": "dangling.tsv"}, "items whose entity is in no triple"),
])
def test_wrong_graphs_are_errors(tmp_path, bin_dir, crossfed, broken, text):
    """A silo does not start on a graph that says something else than its owner meant; the message names file and line."""
    write(tmp_path)
    (tmp_path / "other.txt").write_text("made_by\n")
    (tmp_path / "dangling.tsv").write_text("i0\te0\ni1\tnowhere\n")
    kg = {**files(tmp_path, "graph"), **{k: str(tmp_path / v) for k, v in broken.items()}}
    path = tmp_path / "plan.yaml"
    path.write_text(plan_of(tmp_path, None).rstrip() + f"\n  kg: {json.dumps(kg)}\n")
    failed = crossfed("sim", path, status=None)
    assert failed.status != 0 and text in failed.err and "sim.kg: knowledge graph: " in failed.err
    with make(tmp_path, bin_dir, kg=kg) as fed:
        fed.start(only=["silo-m0"])
        fed.until(lambda: text in fed.clients["silo-m0"].text(), limit_s=20)
        assert "data.kg: knowledge graph: " in fed.clients["silo-m0"].text()
