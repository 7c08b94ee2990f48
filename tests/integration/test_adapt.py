"""The verb adapt: a trained start at clients that were left out of the training, on images made here."""

import os
import pathlib
import random
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest

from conftest import REPO
from federation import Process

pytestmark = pytest.mark.sanitize

USAGE, FAILED, CONFIG = 2, 1, 78
SIDE, CLASSES, CLIENTS = 6, 4, 8

PLAN = """\
name: held-out
data: {{kind: idx, split: {{kind: predefined, by: file, valid_fraction: 0}}}}
model: {{kind: {kind}, loss: softmax, n_in: 36, n_out: 4{hidden}}}
stages:
  - kind: train
    fed: {{algorithm: {algorithm}, rounds: 30, cohort: 1.0, quorum: 1.0, weighting: uniform}}
    local: {{steps: 5, batch: 8, optimizer: {{kind: sgd, lr: 0.3}}}}
eval: {{every: 0, metrics: [acc, logloss]}}
arms: [federated]
sim:
  data: "{data}"
  clients: {{by: shards, n: 8, shards: 2, only: [{only}], name: "c-{{}}"}}
"""


def write_images(folder, seed, counts):
    """Noise, with a lit row of pixels for each class; the number of the row is what a net has to learn."""
    rng = random.Random(seed)
    folder.mkdir()
    for part, n in counts.items():
        labels = bytes(rng.randrange(CLASSES) for _ in range(n))
        pixels = b"".join(bytes(200 if p // SIDE == label + 1 else rng.randrange(150) for p in range(SIDE * SIDE)) for label in labels)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3, 0, 0, n >> 8, n & 255, 0, 0, 0, SIDE, 0, 0, 0, SIDE]) + pixels)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, n >> 8, n & 255]) + labels)
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("adapt") / "images", 3, {"train": 640, "t10k": 64})


@pytest.fixture(scope="module")
def train(crossfed, images, tmp_path_factory):
    """train(**changes of the plan) -> run directory"""
    made = {}

    def run(algorithm="reptile", kind="mlp", only="1-5"):
        key = algorithm, kind, only
        if key not in made:
            folder = tmp_path_factory.mktemp("run")
            text = PLAN.format(algorithm=algorithm, kind=kind, only=only, data=images, hidden=", hidden: [12]" if kind == "mlp" else "")
            (folder / "plan.yaml").write_text(text.replace(", only: []", ""))
            crossfed("sim", folder / "plan.yaml", "--out", folder / "run")
            made[key] = folder / "run"
        return made[key]
    return run


def curves(result):
    """{arm: {k: row}}"""
    out = {}
    for row in result.json()["curve"]:
        out.setdefault(row["arm"], {})[row["k"]] = row
    return out


def test_clients_that_were_left_out(crossfed, train, tmp_path):
    args = ("adapt", train(), "--against", train("fedavg"), "--steps", "6", "--seeds", "3", "--support", "12")
    shown = crossfed(*args, "--json", "--svg", tmp_path / "a.svg")
    facts, arms = shown.json(), curves(shown)
    assert not shown.err and facts["clients"] == 3 and facts["trained"] == [] and facts["query"] is None
    assert facts["interval_over"] == "clients" and facts["start"]["round"] == 30 and facts["lr"] == .3
    assert list(arms) == ["start", "scratch", "against", "ridge", "scratch ridge", "against ridge"]
    for rows in arms.values():
        assert list(rows) == list(range(7))
        assert all(0 <= row["acc"] <= 1 and row["acc_half"] >= 0 for row in rows.values())
    start, scratch, ridge = arms["start"], arms["scratch"], arms["ridge"]
    assert start[6]["acc"] > .8 > scratch[0]["acc"] and start[1]["acc"] > scratch[1]["acc"]
    assert ridge[0]["acc"] > scratch[1]["acc"] and ridge[0]["acc"] == ridge[6]["acc"]
    assert arms["scratch ridge"][0]["acc"] < ridge[0]["acc"]
    assert ridge[0]["logloss"] is None and start[6]["logloss"] < scratch[0]["logloss"]
    for k in range(7):
        assert scratch[k]["start_minus_acc"] == pytest.approx(start[k]["acc"] - scratch[k]["acc"])
    # The same again gives the same bytes; the table says the same figures.
    assert crossfed(*args, "--json").out == shown.out
    table = crossfed(*args).out
    assert re.search(rf"^ +6 +{start[6]['acc']:.4f} \+-{start[6]['acc_half']:.4f} +{scratch[6]['acc']:.4f} ", table, re.M)
    assert f"{ridge[0]['acc']:.4f} +-" in table and "start minus" in table
    text = (tmp_path / "a.svg").read_text()
    assert ElementTree.fromstring(text).tag.endswith("svg") and "against ridge" in text
    listed = curves(crossfed(*args[:4], "--steps", "2,6", *args[6:], "--json"))
    assert list(listed["start"]) == [0, 2, 6] and listed["start"][6] == start[6]


def test_who_adapts(crossfed, train, images, tmp_path):
    """Clients by name, those that trained with a warning; a client with a file of its own; draws make the interval of one client."""
    shown = crossfed("adapt", train(), "--clients", "5-6,8", "--seeds", "1", "--steps", "1", "--json")
    assert shown.json()["trained"] == ["c-5"] and "1 of 3 clients" in shown.err
    shown = crossfed("adapt", train(), "--clients", "8", "--seeds", "1", "--steps", "1", "--json")
    assert shown.json()["curve"][0]["acc_half"] is None and not shown.err
    # The clients that the other start was trained with count as well.
    shown = crossfed("adapt", train(), "--against", train("fedavg", only="1-7"), "--seeds", "1", "--steps", "1", "--json")
    assert shown.json()["trained"] == ["c-6", "c-7"]
    # What --set makes of sim trained nobody; data may have moved.
    shutil.copytree(images, tmp_path / "moved")
    args = ("adapt", train(), "--seeds", "1", "--steps", "1", "--json", "--set")
    shown = crossfed(*args, "sim.clients.only=[1-3]")
    assert shown.json()["trained"] == ["c-4", "c-5"] and "2 of 5 clients" in shown.err
    assert crossfed(*args, f"sim.data={tmp_path / 'moved'}").json()["trained"] == []
    new = write_images(tmp_path / "new", 4, {"train": 90})
    shown = crossfed("adapt", train(), "--data", new, "--support", "30", "--query", "60", "--seeds", "4", "--json")
    facts, arms = shown.json(), curves(shown)
    assert facts["clients"] == 1 and facts["interval_over"] == "draws" and facts["query"] == 60
    assert arms["start"][10]["acc"] > .7 and arms["scratch"][1]["acc_half"] > 0
    # Every row is one of 60, four draws: an accuracy is a multiple of 1/240.
    right = arms["scratch"][1]["acc"] * 240
    assert right == pytest.approx(round(right), abs=1e-6)


def test_sinusoids(crossfed, tmp_path):
    """Regression under a meta-learning algorithm: steps are its inner ones; measures after an adaptation of their own are left out."""
    run = tmp_path / "run"
    crossfed("sim", REPO / "deploy/examples/plans/sinusoid-maml.yaml", "--set", "sim.clients.n=40", "--set", "sim.clients.only=[1-20]",
             "--set", "fed.rounds=40", "--out", run)
    shown = crossfed("adapt", run, "--seeds", "1", "--steps", "0,5", "--json")
    facts, arms = shown.json(), curves(shown)
    assert facts["clients"] == 20 and facts["lr"] == .02 and facts["trained"] == []
    assert set(arms["start"][0]) == {"arm", "k", "rmse", "rmse_half", "rmse_units", "mse", "mse_half", "mse_units"}
    assert arms["start"][5]["mse"] < arms["scratch"][5]["mse"] and arms["ridge"][0]["mse"] < arms["scratch"][5]["mse"]
    assert arms["start"][5]["mse"] > arms["start"][5]["rmse"] ** 2


BINARY = """\
name: undefined
data: {{kind: table, split: {{kind: random, test_fraction: 0.1, valid_fraction: 0}}, table: {{label: 3}}}}
model: {{kind: logreg, loss: bce, n_in: 2, n_out: 1}}
stages:
  - kind: train
    fed: {{algorithm: fedavg, rounds: 2, cohort: 1.0, quorum: 1.0}}
    local: {{steps: 2, batch: 8, optimizer: {{kind: sgd, lr: 0.1}}}}
eval: {{every: 0, metrics: [auc]}}
arms: [federated]
sim: {{data: "{data}", clients: {{by: file, files: [a.csv, b.csv], name: "{{}}"}}}}
"""


def test_undefined_figures_are_left_out(crossfed, tmp_path):
    """AUC of a query of one class is undefined; the mean is over the other draws, and says over how many."""
    rng = random.Random(5)
    for name in ("a", "b", "new", "one-class"):
        rows = [(rng.random(), rng.random()) for _ in range(40)]
        (tmp_path / f"{name}.csv").write_text("".join(f"{x:.4f},{y:.4f},{int(x > y or name == 'one-class')}\n" for x, y in rows))
    (tmp_path / "plan.yaml").write_text(BINARY.format(data=tmp_path))
    run, svg = tmp_path / "run", tmp_path / "a.svg"
    crossfed("sim", tmp_path / "plan.yaml", "--out", run)
    args = ("adapt", run, "--steps", "1", "--query", "2", "--seeds", "12", "--data")
    arms = curves(crossfed(*args, tmp_path / "new.csv", "--json", "--svg", svg))
    for row in (arms[arm][k] for arm in ("start", "scratch") for k in (0, 1)):
        # Of two rows the right one is first or not: over n defined draws a multiple of 1/n.
        right = row["auc"] * row["auc_units"]
        assert 2 <= row["auc_units"] < 12 and right == pytest.approx(round(right)) and row["auc_half"] is not None
    assert arms["scratch"][1]["start_minus_auc"] == pytest.approx(arms["start"][1]["auc"] - arms["scratch"][1]["auc"])
    n = arms["start"][0]["auc_units"]
    assert f"over {n} of 12 draws at least" in crossfed(*args, tmp_path / "new.csv").out
    svg.unlink()
    shown = crossfed(*args, tmp_path / "one-class.csv", "--svg", svg, status=FAILED)
    assert "--svg: auc is defined for no client" in shown.err and not svg.exists()


def test_a_model_without_a_head(crossfed, train):
    arms = curves(crossfed("adapt", train(kind="logreg"), "--steps", "1", "--seeds", "1", "--json"))
    assert list(arms) == ["start", "scratch"]


def test_state_directories_are_starts(crossfed, train, images, bin_dir, tmp_path):
    """A federation of daemons: the coordinator's state and a silo's give what the simulator's run gives."""
    plan, out = tmp_path / "plan.yaml", tmp_path / "out"
    plan.write_text(PLAN.format(algorithm="fedavg", kind="mlp", only="1-2", data=images, hidden=", hidden: [12]").replace("rounds: 30", "rounds: 2"))
    said = crossfed("sim", plan, "--export", out).out
    for line in said.splitlines():
        if line.startswith("  crossfed pki "):
            crossfed(*line.split()[1:], cwd=out)
    processes = [Process("server", [bin_dir / "crossfed-server", "-c", out / "server.yaml"], tmp_path / "server.log")]
    processes += [Process(n, [bin_dir / "crossfed-client", "-c", out / n / "client.yaml"], tmp_path / f"{n}.log") for n in ("c-1", "c-2")]
    try:
        for p in processes:
            p.start()
        assert [p.wait() for p in processes] == [0, 0, 0], "\n".join(p.tail() for p in processes)
    finally:
        for p in processes:
            p.kill()
    crossfed("sim", plan, "--out", tmp_path / "run")
    new = write_images(tmp_path / "new", 4, {"train": 90})
    got = [crossfed("adapt", d, "--data", new, "--steps", "2", "--json").json() for d in (tmp_path / "run", out / "coordinator", out / "c-1" / "state")]
    assert got[0]["curve"] == got[1]["curve"] == got[2]["curve"]


@pytest.mark.parametrize("args,status,text", [
    ((), USAGE, "RUN is missing"),
    (("{run}", "{run}"), USAGE, "the other start is --against"),
    (("{run}", "--data", "x", "--clients", "1"), USAGE, "leave out --clients, or --data"),
    (("{run}", "--steps", "3,2"), USAGE, "in ascending order"),
    (("{run}", "--steps", ",".join(str(k) for k in range(1, 257))), USAGE, "256 numbers and the 0 before them"),
    (("{run}", "--steps", "300"), USAGE, "list those to be measured"),
    (("{run}", "--support", "0"), USAGE, '--support "0" is no whole number from 1'),
    (("{run}", "--lr", "-1"), USAGE, '--lr "-1"'),
    (("{run}", "--seeds"), USAGE, "--seeds"),
    (("{run}", "--frob", "1"), USAGE, 'unknown argument "--frob"'),
    (("{empty}",), FAILED, "neither plan.resolved.yaml"),
    (("{run}", "--against", "{empty}"), FAILED, "--against: "),
    (("{plan_only}",), FAILED, "model.safetensors"),
    (("{run}", "--set", "seed=9"), FAILED, "of another plan"),
    (("{run}", "--against", "{logreg}"), FAILED, "other parameters"),
    (("{run}", "--support", "90"), FAILED, "3 of 3 clients have too few train rows; a support of 90 and a query of 1 need 91: c-6 (80), c-7 (80), c-8 (80)"),
    (("{run}", "--support", "40", "--query", "60"), FAILED, "a support of 40 and a query of 60 need 100"),
    (("{run}", "--clients", "9"), CONFIG, '--clients: sim.clients.only: "9" is no number'),
    (("{run}", "--clients", "1,,2"), USAGE, "separated by commas"),
    (("{run}", "--data", "{empty}/none"), FAILED, "--data: "),
    (("{all}",), CONFIG, "all clients of the plan have trained: train again with crossfed sim"),
])
def test_refusals(crossfed, train, tmp_path, args, status, text):
    folder = {"run": train(), "empty": tmp_path / "empty", "plan_only": tmp_path / "plan_only"}
    if "{logreg}" in args:
        folder["logreg"] = train(kind="logreg")
    if "{all}" in args:
        folder["all"] = train(only="")
    for name in ("empty", "plan_only"):
        folder[name].mkdir()
    shutil.copy(train() / "plan.resolved.yaml", folder["plan_only"])
    shown = crossfed("adapt", *(a.format(**folder) for a in args), status=status)
    assert text in shown.err and not shown.out


def test_recommenders_and_factors_are_refused(crossfed, tmp_path):
    """Before anything is read: what to use instead."""
    for name in ("markets.yaml", "ciao-three.yaml"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(REPO / "deploy/examples/plans" / name, folder / "plan.resolved.yaml")
        assert "crossfed recommend" in crossfed("adapt", folder, status=FAILED).err


def test_mnist_shards(crossfed, tmp_path):
    """Ten clients that hold two digits each and were left out: one step from the start beats ten from scratch."""
    data = pathlib.Path(os.environ.get("CROSSFED_DATA") or REPO.parent / "shared/data")
    if not (data / "mnist").is_dir():
        pytest.skip(f"{data / 'mnist'} is not there; set CROSSFED_DATA to the folder of the data sets")
    run = tmp_path / "run"
    crossfed("sim", REPO / "deploy/examples/plans/reptile-mnist-shards.yaml", "--set", "sim.clients.only=[1-40]", "--set", "eval.every=0",
             "--set", "stages[0].fed.rounds=60", "--out", run, env={"CROSSFED_DATA": str(data)})
    arms = curves(crossfed("adapt", run, "--seeds", "2", "--steps", "0,1,10", "--query", "200", "--json"))
    assert arms["start"][1]["acc"] - arms["start"][1]["acc_half"] > arms["scratch"][10]["acc"]
    assert arms["ridge"][0]["acc"] > .85
