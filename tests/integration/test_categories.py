"""A sum over public categories, between shops that share neither customers nor goods: it helps the small one, permuted names do not."""

import json
import random
import re

import pytest

from federation import Federation
from test_http import Api, described  # noqa: F401, a fixture

PLAN = """\
name: shelves
seed: 3
data: {{kind: interactions, split: {{kind: leave-one-out, by: file, min: 5}}}}
model: {{kind: recommender}}
stages:
  - name: shelves
    kind: statistic
    statistic: {{of: categories, beta: {beta}}}
    rows: {{min_holders: 2}}
    fed: {{quorum: 1.0, deadline_s: 600, select_timeout_s: 60, eval_deadline_s: 600, encoding: {encoding}}}
eval: {{every: 0, metrics: [ndcg@10], protocol: [full]}}
arms: [popularity, alone, federated, guarded]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, domain: 3}}
  clients: {{by: domain, name: "silo-{{}}"}}
  categories: "{categories}"
"""
USERS = {"m0": 120, "m1": 600, "m2": 600}
GROUPS, SHELVES, GOODS = 30, 10, 2


def write(tmp_path):
    """Shelves go together in hidden groups, of which each person has one; every shop has all shelves, with goods of its own."""
    rng, lines, shelf = random.Random(6), [], {}
    for shop, n in USERS.items():
        for user in range(n):
            for x in rng.sample(range(SHELVES), 6):
                x += user % GROUPS * SHELVES
                item = f"{shop}-{x}-{rng.randrange(GOODS)}"
                shelf[item] = x
                lines.append(f"{shop}u{user}\t{item}\t{shop}")
    (tmp_path / "events.tsv").write_text("\n".join(lines) + "\n")
    names = {shop: rng.sample(range(GROUPS * SHELVES), GROUPS * SHELVES) for shop in USERS}
    (tmp_path / "shelves.tsv").write_text("".join(f"{i}\tshelf {x}\n" for i, x in shelf.items()))
    (tmp_path / "permuted.tsv").write_text("".join(f"{i}\tshelf {names[i[:2]][x]}\n" for i, x in shelf.items()))


def plan_of(tmp_path, categories="shelves", beta=0.5, encoding="float32"):
    return PLAN.format(data=tmp_path / "events.tsv", categories=tmp_path / f"{categories}.tsv", beta=beta, encoding=encoding)


def make(tmp_path, bin_dir, categories="shelves", encoding="float32", client=None):
    write(tmp_path)
    data = {"path": str(tmp_path / "events.tsv"), "columns": {"user": 1, "item": 2, "domain": 3}}
    members = {f"silo-{d}": (d, {**data, "only_domain": d}) for d in USERS}
    serve = {"categories": str(tmp_path / f"{categories}.tsv")} if categories else {}
    client = {**(client or {}), "serve": {**(client or {}).get("serve", {}), **serve}}
    plan = plan_of(tmp_path, categories or "shelves", encoding=encoding)
    return Federation(tmp_path / "fed", bin_dir, plan, members, client=client)


def simulate(tmp_path, crossfed, categories, **kwargs):
    """The summary, and what silo m0 says of the candidates made of categories: figure on validation by name."""
    path, out = tmp_path / f"{categories}.yaml", tmp_path / f"run-{categories}"
    path.write_text(plan_of(tmp_path, categories, **kwargs))
    summary = json.loads(crossfed("sim", path, "--json", "--out", out).out)
    words = crossfed("sim", path).out.split("\nm0\n")[1].split("\nm1\n")[0]
    return summary, words, dict(re.findall(r"(category\.\w+) +\w+ +validation ([\d.]+)", words))


def figures(summary):
    return {(row["scope"], row["arm"]): row["ndcg_10_full"] for row in summary["metrics"] if row["scope"].startswith("domain:")}


def test_categories_help_a_small_shop_and_permuted_ones_do_not(tmp_path, bin_dir, crossfed):
    with make(tmp_path, bin_dir) as fed:
        summary = fed.start().finish()
        simulated, words, candidates = simulate(tmp_path, crossfed, "shelves")
        assert summary["model_blake2b"] == simulated["model_blake2b"]
        for shop in USERS:
            said = json.loads((fed.folder / f"silo-{shop}" / "serve/report.json").read_text())
            for arm, part in said["arms"].items():
                assert part["test"]["ndcg_10_full"] == pytest.approx(figures(simulated)[f"domain:{shop}", arm], abs=1e-9)
        assert float(candidates["category.pooled"]) > float(candidates["category.own"]) + 0.03
        gain, error = map(float, re.search(r"category.pooled.*lambda 1 \(gain ([\d.]+), SE ([\d.]+)\)", words).groups())
        assert gain > 3 * error
        assert float(re.search(r"gain over alone on validation: ([+-][\d.]+)", words).group(1)) > 0
        _, words, candidates = simulate(tmp_path, crossfed, "permuted")
        assert "category.own" in candidates and "category.pooled" not in candidates  # alone stays as it was
        assert "category.pooled: lambda 0" in words and "gain over alone on validation: +0.0000" in words
        check_kept_reasons(fed, tmp_path)
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))
        text = fed.crossfed("inspect", sorted((fed.folder / "server/ckpt").iterdir())[-1]).stdout
        assert "shelves/pairs" in text and "keys.category" in text


def check_kept_reasons(fed, tmp_path):
    """What lies on disk names a category of each item, with the names as they were."""
    shelf = dict(line.split("\t") for line in (tmp_path / "shelves.tsv").read_text().splitlines())
    told = [fed.crossfed("recommend", "--state", fed.folder / "silo-m0", "--user", "m0u7", "-k", "5", "--explain", *more).stdout
            for more in (["--json"], [])]
    items = json.loads(told[0])["items"]
    assert len(items) == 5 and all(i["category"] == shelf[i["item"]] for i in items if "category" in i)
    assert sum("category" in i for i in items) >= 3 and re.search(r"; category shelf \d+", told[1])


def test_sparse_updates_make_the_same_model(tmp_path, crossfed):
    write(tmp_path)
    dense, sparse = (simulate(tmp_path, crossfed, "shelves", encoding=e)[0] for e in ("float32", "sparse"))
    assert dense["model_blake2b"] == sparse["model_blake2b"]


def test_reasons_name_categories(tmp_path, bin_dir, described):  # noqa: F811
    client = {"exit_when_done": False, "serve": {"http": {"listen": "127.0.0.1:0"}}}
    with make(tmp_path, bin_dir, client=client) as fed:
        fed.start()
        api = Api(fed, described, "silo-m0").listening()
        fed.until(lambda: api.client.events("final_stored"))
        api.wait_for("guarded")
        shelf = dict(line.split("\t") for line in (tmp_path / "shelves.tsv").read_text().splitlines())
        told = 0
        for item in api.ask("/v1/recommend", {"user": "m0u7", "k": 5, "explain": 1})["items"]:
            reasons = [r for part in item["parts"] for r in part["from"] if "category" in r]
            assert all(r["category"] == shelf[item["item"]] for r in reasons)
            told += len(reasons) > 0
        assert told >= 3


def test_missing_categories_are_refused(tmp_path, bin_dir, crossfed):
    write(tmp_path)
    path = tmp_path / "plan.yaml"
    path.write_text(plan_of(tmp_path).split("  categories:")[0])
    assert "sim.categories: is missing" in crossfed("sim", path, status=78).err
    path.write_text(plan_of(tmp_path, "absent"))
    assert "sim.categories" in crossfed("sim", path, status=None).err
    with make(tmp_path, bin_dir, categories=None) as fed:
        fed.start(only=["silo-m0"])
        fed.until(lambda: "serve.categories: is missing" in fed.clients["silo-m0"].text(), limit_s=20)
