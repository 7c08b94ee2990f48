"""Real data where they are ($CROSSFED_DATA, else ../shared/data beside the repository): daemons give the simulator's bytes."""

import functools
import gzip
import json
import os
import pathlib

import pytest

from conftest import REPO, run_command
from federation import Federation
from test_federation import as_exported


@pytest.fixture(scope="session")
def data():
    folder = pathlib.Path(os.environ.get("CROSSFED_DATA") or REPO.parent / "shared/data")

    def need(name):
        if not (folder / name).exists():
            pytest.skip(f"{folder / name} is not there; set CROSSFED_DATA to the folder of the data sets")
        return folder / name
    return need


CIAO = """\
name: ciao-eight
seed: 7
data: {{kind: interactions, split: {{kind: leave-one-out, by: time, min: 5}}}}
model: {{kind: mf, dim: 16, loss: bpr, users: aligned, items: domain}}
stages:
  - fed: {{algorithm: fedavg, rounds: 3, cohort: 1.0, quorum: 1.0, min_domains: 2, deadline_s: 3600, select_timeout_s: 3600,
          eval_deadline_s: 3600}}
    local: {{epochs: 1, batch: 256, optimizer: {{kind: adam, lr: 0.01}}, l2: 1.0e-4}}
    rows: {{rule: pull, kappa: 0.25, min_holders: 3}}
eval: {{every: 3, metrics: [hr@10, ndcg@10], protocol: [full]}}
arms: [popularity, federated]
sim:
  data: "{path}"
  columns: {{user: 1, item: 2, domain: 3, value: 4, time: 6}}
  clients: {{by: domain, only: [{only}], name: "silo-{{}}"}}
"""


CATEGORIES = ("1", "2", "3", "4", "5", "6", "10", "12")


def test_eight_categories_of_ciao(data, tmp_path, bin_dir, crossfed):
    path = data("ciao/rating.tsv.gz")
    columns = {"user": 1, "item": 2, "domain": 3, "value": 4, "time": 6}
    members = {f"silo-{c}": (c, {"path": str(path), "columns": columns, "only_domain": c}) for c in CATEGORIES}
    plan = CIAO.format(path=path, only=", ".join(CATEGORIES))
    with Federation(tmp_path / "fed", bin_dir, plan, members, seed=7) as fed:
        summary = fed.start().finish(300)
        simulated = json.loads(crossfed("sim", fed.plan, "--json").out)
        assert summary["rounds"] == 3 and summary["model_blake2b"] == simulated["model_blake2b"]
        ndcg = {e["scope"]: e["ndcg_10_full"] for e in map(json.loads, (fed.folder / "server/metrics.jsonl").read_text().splitlines())
                if e["arm"] == "federated" and e["split"] == "test" and e["scope"].startswith("domain:")}
        assert len(ndcg) == 8 and all(0 < v < 1 for v in ndcg.values())
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))


def test_four_hospitals(data, tmp_path, bin_dir, crossfed):
    folder = data("fed-heart-disease")
    split = data("fed-heart-disease/flamby-split.tsv")
    text = (REPO / "deploy/examples/plans/hospitals.yaml").read_text().replace("deadline_s: 60", "deadline_s: 3600")
    text = text.replace('${CROSSFED_DATA:-../shared/data}', str(folder.parent))
    plan = tmp_path / "hospitals.yaml"
    plan.write_text(text)
    simulated = json.loads(crossfed("sim", plan, "--json").out)
    centers = ("cleveland", "hungarian", "switzerland", "va")  # numbered in this order by the split file
    members = {f"processed-{name}-data": (name, {"path": str(folder / f"processed.{name}.data"), "split": str(split), "center": str(k)})
               for k, name in enumerate(centers)}
    with Federation(tmp_path / "fed", bin_dir, text, members, seed=42) as fed:
        summary = fed.start().finish(60)
        assert summary["rounds"] == 15 and summary["model_blake2b"] == simulated["model_blake2b"]
        auc = {e["scope"]: e["auc"] for e in map(json.loads, (fed.folder / "server/metrics.jsonl").read_text().splitlines())
               if e["arm"] == "federated" and e["split"] == "test" and e["scope"].startswith("client:") and e["round"] > 14}
        assert len(auc) == 4 and sum(auc.values()) / 4 > 0.6, auc


def test_knowledge_tracing(data, tmp_path, crossfed):
    """All students at one client, three epochs (docs/BENCHMARKS.md has the whole figure)."""
    root = data("knowledge-tracing/assist2009_updated/train1.csv.gz").parents[2]
    plan = tmp_path / "dkt.yaml"
    plan.write_text((REPO / "deploy/examples/plans/dkt.yaml").read_text().replace("${CROSSFED_DATA:-../shared/data}", str(root)))
    sets = ["sim.clients.n=1", "stages[0].fed.rounds=3", "eval.every=3", "arms=[federated]",
            "stages[0].local.epochs=1", "stages[0].local.batch=32", "stages[0].local.optimizer.lr=0.003"]
    crossfed("sim", plan, "--out", tmp_path / "run", *(word for s in sets for word in ("--set", s)))
    rows = map(json.loads, (tmp_path / "run/metrics.jsonl").read_text().splitlines())
    auc = [m["auc"] for m in rows if m["scope"] == "global" and m["split"] == "valid"]
    assert len(auc) == 1 and auc[0] > 0.81, auc


# Their threads do nothing that a small federation's do not.
NOT_TSAN = pytest.mark.skipif(os.environ.get("CROSSFED_FLAVOUR") == "tsan", reason="real data of this size are not done after 40 minutes under ThreadSanitizer")


@NOT_TSAN
@pytest.mark.long
@pytest.mark.parametrize("name,rounds,local,least", [("mnist-2nn", 2, "epochs: 1, batch: 50", 0.9), ("mnist-cnn", 1, "steps: 60, batch: 50", 0.8)])
def test_four_silos_with_mnist(name, rounds, local, least, data, tmp_path, bin_dir, crossfed):
    """60,000 images in four real silos: the simulator's bytes, accuracy on the 10,000 test images."""
    folder = data("mnist")
    text = (REPO / f"deploy/examples/plans/{name}.yaml").read_text().replace("${CROSSFED_DATA:-../shared/data}", str(folder.parent))
    fed, old = text.index("    fed: "), text.index("eval: ")
    text = text[:fed] + f"""\
    fed: {{algorithm: fedavg, rounds: {rounds}, cohort: 1.0, quorum: 1.0, deadline_s: 3600, select_timeout_s: 600}}
    local: {{{local}, optimizer: {{kind: sgd, lr: 0.1}}}}
""" + text[old:].replace("every: 1", "every: 0").replace("n: 100", "n: 4").replace("client-{}", "silo-d{}")
    plan = tmp_path / "plan.yaml"
    plan.write_text(text)
    summary = as_exported(tmp_path, bin_dir, functools.partial(crossfed, limit_s=1200), plan, n=4, limit_s=1200)
    assert summary["rounds"] == rounds and summary["metrics"]["federated.test"]["acc"] > least


MARKETS = """\
name: markets
seed: 7
data: {{kind: interactions, split: {{kind: leave-one-out, by: file, min: 5}}}}
model: {{kind: recommender, item_ns: item}}
stages:
  - name: gram
    kind: statistic
    statistic: {{of: gram, beta: 0.5}}
    rows: {{min_holders: 2}}
    fed: {fed}
  - name: scorer
    kind: train
    learns: scorer
    in: [gram]
    fed: {{rounds: 3, weighting: uniform, {fed_keys}}}
    local: {{steps: 10, batch: 32, optimizer: {{kind: sgd, lr: 0.1}}}}
eval: {{every: 0, metrics: [ndcg@10], protocol: [full]}}
arms: [popularity, alone, federated, guarded]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, value: 3}}
  clients: {{by: file, files: [{files}], name: "{{}}"}}
"""


def sample_of(source, target, every):
    """The events of every n-th user, under other names: another shop's few customers."""
    with gzip.open(source, "rt") as lines:
        header, *rows = lines
    users = sorted({row.split("\t")[0] for row in rows})[::every]
    kept = [f"new-{row}" for row in rows if row.split("\t")[0] in set(users)]
    target.write_text(header + "".join(kept))
    return len(users)


@NOT_TSAN
@pytest.mark.long
def test_five_markets_and_a_sixth(data, tmp_path, bin_dir, crossfed):
    """Coordinator and five silo daemons on XMRec, killed -9 in the statistic stage; the simulator's bytes; then a silo with a
    fiftieth of t1's users joins and is better off than alone."""
    folder = data("xmrec-wsdm22")
    whole = os.environ.get("CROSSFED_FLAVOUR", "release") == "release"
    names = ("s1", "s2", "s3", "t1", "t2") if whole else ("s3", "t1")  # a sanitizer takes the large ones above 900 s
    files = [f"{n}/train_5core.tsv.gz" for n in names]
    keys = f"quorum_count: {len(names)}, deadline_s: 20, select_timeout_s: 2, eval_deadline_s: 900"
    plan = MARKETS.format(data=folder, files=", ".join(files), fed="{" + keys + "}", fed_keys=keys)
    columns = {"user": 1, "item": 2, "value": 3}
    members = {f"{n}-train-5core-tsv-gz": (n, {"path": str(folder / f), "columns": columns}) for n, f in zip(names, files)}
    small = tmp_path / "small.tsv"
    assert 50 <= sample_of(folder / files[names.index("t1")], small, 50) <= 60
    members["z-small"] = ("t1-small", {"path": str(small), "columns": columns})
    with Federation(tmp_path / "fed", bin_dir, plan, members, seed=7) as fed:
        late = fed.clients["z-small"]
        fed.start(only=[m for m in fed.members if m != "z-small"])
        fed.until(lambda: fed.server.events("round_started"), limit_s=120)
        fed.server.kill()  # the statistic is being made
        fed.server.start()
        for client in fed.clients.values():
            assert client is late or client.wait(900) == 0
        late.start()
        summary = fed.finish(900)
        simulated = json.loads(run_command([bin_dir / "crossfed", "sim", fed.plan, "--json"], limit_s=900).out)
        assert summary["rounds"] == 4 and summary["model_blake2b"] == simulated["model_blake2b"]
        said = json.loads((fed.folder / "z-small/serve/report.json").read_text())
        valid = {arm: figures["valid"]["ndcg_10_full"] for arm, figures in said["arms"].items()}
        assert said["served"] == "guarded" and valid["guarded"] > valid["alone"] + (0.02 if whole else 0), valid
        fed.crossfed("verify", *(fed.folder / m for m in ("server", *fed.members)))
