"""Counts over all users and over those of several silos, with real daemons: what they add to a decision, and who answers strangers."""

import json
import random
import threading

import pytest

from conftest import REPO
from federation import Federation
from test_both import COLUMNS
from test_http import Api, described, short_dir  # noqa: F401 (fixtures)

BRANCHES = {"b0": 30, "b1": 150, "b2": 150}
STAGES = {
    "counts": "  - {{name: sold, kind: statistic, fed: {fed}, statistic: {{of: counts}}, rows: {{min_holders: 2}}}}\n",
    "gram": "  - {{name: gram, kind: statistic, fed: {fed}, statistic: {{of: gram, beta: 0}}, rows: {{min_holders: 2}}}}\n",
    "overlap": "  - {{name: common, kind: statistic, fed: {fed}, statistic: {{of: overlap}}, rows: {{min_holders: 2}}}}\n",
    "scorer": """\
  - name: scorer
    kind: train
    learns: scorer
    in: [sold, common]
    fed: {{rounds: 2, weighting: uniform, quorum: 1.0, deadline_s: 600, select_timeout_s: 60, eval_deadline_s: 600}}
    local: {{steps: 5, batch: 8, optimizer: {{lr: 0.1}}}}
""",
}
PLAN = """\
name: counts
seed: 3
data: {{kind: interactions, split: {{kind: leave-one-out, by: file, min: 5}}}}
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
FED = "{quorum: 1.0, deadline_s: 600, select_timeout_s: 60, eval_deadline_s: 600}"


def write_events(path):
    """Branches with the same bestsellers, one of them new and small. Who goes to several of them (u0 to u7) buys other goods there."""
    rng, lines = random.Random(11), []
    for branch, n in BRANCHES.items():
        for user in range(n):
            common = user < 8
            have = set()
            while len(have) < 7:
                x = int(60 * rng.random() ** 3)
                have.add(40 + x % 20 if common else x)
            lines += [f"{'u' if common else branch + 'u'}{user}\ti{x}\t{branch}\t1\t{t}" for t, x in enumerate(rng.sample(sorted(have), 7))]
    path.write_text("\n".join(lines) + "\n")


def make(tmp_path, bin_dir, *stages, rule=FED, **kwargs):
    data = tmp_path / "events.tsv"
    write_events(data)
    plan = PLAN.format(stages="".join(STAGES[s].format(fed=rule) for s in stages), data=data)
    members = {f"silo-{b}": (b, {"path": str(data), "columns": COLUMNS, "only_domain": b}) for b in BRANCHES}
    return Federation(tmp_path / "fed", bin_dir, plan, members, **kwargs)


@pytest.mark.sanitize
def test_counts_and_overlap_give_the_simulators_bytes(tmp_path, bin_dir, crossfed):
    with make(tmp_path, bin_dir, "counts", "overlap") as fed:
        summary = fed.start().finish()
        want = json.loads(crossfed("sim", fed.plan, "--json").out)
        assert summary["rounds"] == 2 and summary["model_blake2b"] == want["model_blake2b"]
        small = json.loads((fed.folder / "silo-b0/serve/report.json").read_text())
        assert small["arms"]["federated"]["test"]["ndcg_10_full"] > 0
        words = (fed.folder / "silo-b0/serve/decision.txt").read_text()
        assert "popularity.pooled" in words and "overlap" in words
        # the goods of common users come first for whom the silo does not know
        said = json.loads(fed.crossfed("recommend", "--state", fed.folder / "silo-b1", "--user", "nobody", "-k", "3", "--explain",
                                       "--json").stdout)
        assert [int(i["item"][1:]) >= 40 for i in said["items"]] == [True] * 3
        assert said["items"][0]["parts"][0]["part"] == "popularity among users of several silos"
        text = fed.crossfed("recommend", "--state", fed.folder / "silo-b1", "--user", "nobody", "-k", "3").stdout
        assert "unknown to this silo: answered by popularity among users of several silos" in text
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))
        text = fed.crossfed("inspect", sorted((fed.folder / "server/ckpt").iterdir())[-1]).stdout
        assert "sold/counts" in text and "common/overlap" in text and "keys.item" in text


@pytest.mark.parametrize("stage, basis, text", [("counts", "pooled", "popularity in all silos"),
                                                ("overlap", "overlap", "popularity among users of several silos")])
def test_strangers_are_told_whose_popularity(tmp_path, bin_dir, short_dir, described, stage, basis, text):  # noqa: F811
    """Over HTTP, and again after a restart without the coordinator."""
    client = {"exit_when_done": False, "serve": {"http": {"listen": "127.0.0.1:0"}}}
    with make(tmp_path, bin_dir, stage, client=client) as fed:
        fed.start()
        api = Api(fed, described, "silo-b0").listening()
        fed.until(lambda: api.client.events("final_stored"))
        api.wait_for("guarded")
        before = api.ask("/v1/recommend", {"user": "nobody", "k": 5, "explain": 1})
        assert before["basis"] == basis and before["items"][0]["parts"][0]["part"] == text
        assert api.ask("/v1/recommend", {"user": "u3", "k": 5})["basis"] == "user"
        for process in fed.processes():
            process.kill()
        n = len(api.client.events("serving"))
        api.client.start()
        api.listening()
        fed.until(lambda: len(api.client.events("serving")) > n)
        after = api.ask("/v1/recommend", {"user": "nobody", "k": 5, "explain": 1})
        assert after["basis"] == basis and after["items"] == before["items"]


def test_counts_example_is_a_plan(crossfed):
    out = crossfed("plan", REPO / "deploy/examples/plans/counts.yaml", "--rows", "900").out
    assert "(item)" in out and "stage common, 1 rounds: 0 bytes down, 3600 up" in out  # nothing of users but their keys


@pytest.mark.sanitize
def test_what_a_stage_left_is_served_before_the_next_evaluation(tmp_path, bin_dir, short_dir, described, crossfed):  # noqa: F811
    """The scorer's first task brings the counts; while another silo is away the first serves them, and no request is lost meanwhile."""
    client = {"exit_when_done": False, "serve": {"http": {"listen": "127.0.0.1:0"}}}
    with make(tmp_path, bin_dir, "counts", "overlap", "scorer", client=client) as fed:
        away = fed.clients["silo-b2"]
        fed.start()
        api = Api(fed, described, "silo-b1").listening()
        api.wait_for("popularity")
        wrong, versions, stop = [], set(), threading.Event()

        def ask():
            try:
                while not stop.is_set():
                    said = api.ask("/v1/recommend", {"user": "b1u20", "k": 5})
                    versions.add((said["model"]["version"], said["model"]["arm"]))
            except Exception as e:  # noqa: BLE001 (told below)
                wrong.append(e)
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        fed.until(lambda: len(fed.committed()) >= 2)
        away.kill()
        early = api.wait_for("guarded")[0]
        assert early["round"] in (2, 3) and not api.client.events("evaluated") and not api.client.events("final_stored")
        stranger = api.ask("/v1/recommend", {"user": "nobody", "k": 5})
        assert stranger["basis"] == "overlap" and stranger["model"]["arm"] == "guarded"
        away.start()
        fed.until(lambda: api.client.events("final_stored"))
        api.wait_for("guarded", lambda e: e["round"] == 4)
        stop.set()
        for thread in threads:
            thread.join()
        assert not wrong and {arm for _, arm in versions} == {"popularity", "guarded"} and len(versions) >= 3, (wrong, versions)
        want = json.loads(crossfed("sim", fed.plan, "--json").out)
        fed.until(lambda: fed.server.events("done") or not fed.server.running())
        summary = json.loads((fed.folder / "server/summary.json").read_text())
        assert summary["model_blake2b"] == want["model_blake2b"]


def test_zeros_need_not_travel(tmp_path, bin_dir, crossfed):
    """A Gram of many items is mostly zeros: fewer bytes, the same model, and the same from the spool."""
    with make(tmp_path, bin_dir, "gram", rule="{encoding: sparse, " + FED[1:]) as fed:
        # a long tail, as shops have it: 400 goods more that hardly anybody buys, in all branches
        data = tmp_path / "events.tsv"
        rng = random.Random(2)
        more = [f"{b}u{user}\ti{1000 + (user * 7 + rng.randrange(400)) % 400}\t{b}\t1\t{20 + k}\n" for b in BRANCHES for user in range(8, BRANCHES[b])
                for k in range(3)]
        data.write_text(data.read_text() + "".join(more))
        summary = fed.start().finish()
        sparse = json.loads(crossfed("sim", fed.plan, "--json").out)
        assert summary["model_blake2b"] == sparse["model_blake2b"]
        dense = json.loads(crossfed("sim", fed.plan, "--set", "stages[0].fed.encoding=float32", "--json").out)
        assert dense["model_blake2b"] == sparse["model_blake2b"]
        assert sparse["bytes_up"] < dense["bytes_up"] / 3, (sparse["bytes_up"], dense["bytes_up"])
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))
