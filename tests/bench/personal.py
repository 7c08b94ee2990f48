#!/usr/bin/python3
"""Personalisation against training alone and FedAvg: accuracy on each client's own test part, through `crossfed sim`.

    tests/bench/personal.py mnist|hospitals                    tunes on validation parts only, prints the choice
    FINAL=1 tests/bench/personal.py mnist|hospitals [SEEDS]    the same, then the chosen settings on seeds 1..SEEDS (3); reads test labels

mnist: 20 clients with 2,000 train and 2,000 test images, each label dealt by Dirichlet(0.3) shares that are the same for both; a quarter of
a client's train images is held out for validation; an mlp of 64 hidden units, 20 rounds of an epoch; for fedbn conv4, 8 rounds of two.
hospitals: the four of decision 50, FLamby's test rows, a quarter of each train part held out; an mlp of 16 and logistic regression.
Every method has as many tries as the others of its net; the best mean over clients of the validation accuracy wins, of equals the
first. The worst 10 % of 20 clients are two, of 4 one. A client without test images counts nowhere.
"""

import gzip
import itertools
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("CROSSFED_DATA", ROOT.parent / "shared/data"))
N, ALPHA, TRAIN, TEST, VALID = 20, 0.3, 2000, 2000, 0.25
RATES = (0.01, 0.03, 0.1, 0.3)
CONV_RATES = (0.03, 0.1)

PLAN = """\
name: personal
data: {{kind: table, split: {{kind: predefined, by: file}}, table: {{{table}}}}}
model: {{kind: {model}, n_in: {n_in}, {out}}}
stages:
  - fed: {{algorithm: fedavg, rounds: {rounds}, quorum: 1.0, weighting: samples}}
    local: {{{work}, batch: {batch}, optimizer: {{lr: 0.1}}}}
eval: {{every: 0, metrics: [acc]}}
arms: [alone, federated]
sim: {{data: "{data}", split: "{split}", clients: {{by: file, files: [{files}], name: "{{}}"}}}}
"""

# arm whose figures are a method's; settings that are tried, beside each rate
HALF = (RATES[1], RATES[2])
METHODS = {
    "alone": ("alone", "fedavg", RATES, [()]),
    "fedavg": ("federated", "fedavg", RATES, [()]),
    "fedper": ("federated", "fedper", RATES, [()]),
    "fedrep": ("federated", "fedrep", HALF, [("local.personal.head_epochs=1",), ("local.personal.head_epochs=5",)]),
    "ditto": ("personal", "ditto", HALF, [("local.personal.lambda=0.1",), ("local.personal.lambda=1",)]),
    "pfedme": ("personal", "pfedme", HALF, [("local.personal.lambda=15", "local.personal.lr=0.01"), ("local.personal.lambda=15", "local.personal.lr=0.03")]),
    "apfl": ("personal", "apfl", HALF, [("local.personal.alpha=0.25",), ("local.personal.alpha=0.75",)]),
}
CONV = {name: (arm, algorithm, CONV_RATES, [()]) for name, arm, algorithm in
        (("alone, conv4", "alone", "fedavg"), ("fedavg, conv4", "federated", "fedavg"), ("fedbn, conv4", "federated", "fedbn"))}


def images(part):
    raw = gzip.open(DATA / "mnist" / f"{part}-images-idx3-ubyte.gz").read()[16:]
    labels = gzip.open(DATA / "mnist" / f"{part}-labels-idx1-ubyte.gz").read()[8:]
    return [(raw[784 * i:784 * i + 784], labels[i]) for i in range(len(labels))]


def mnist(folder):
    """A table per client and the split; the dealing is the same for every seed of a run."""
    rng = random.Random(1)
    drawn = {"train": rng.sample(images("train"), TRAIN), "test": rng.sample(images("t10k"), TEST)}
    rows = {k: [] for k in range(N)}
    for label in range(10):
        share = [rng.gammavariate(ALPHA, 1) for _ in range(N)]
        for part, all_rows in drawn.items():
            mine = [r for r in all_rows if r[1] == label]
            for row, k in zip(mine, rng.choices(range(N), share, k=len(mine))):
                rows[k].append((row, part))
    lines = ["center\trow\tset"]
    for k, mine in rows.items():
        (folder / f"c{k}.csv").write_text("".join(",".join(f"{p / 255:.3g}" for p in r[0]) + f",{r[1]}\n" for r, _ in mine))
        train = [i for i, (_, part) in enumerate(mine) if part == "train"]
        valid = set(rng.sample(train, max(1, int(VALID * len(train)))))
        lines += [f"{k}\t{i}\t{'valid' if i in valid else part}" for i, (_, part) in enumerate(mine)]
    (folder / "split.tsv").write_text("\n".join(lines) + "\n")
    common = {"table": "label: 785", "out": "n_out: 10, loss: softmax", "n_in": 784, "data": folder, "split": folder / "split.tsv",
              "files": ", ".join(f"c{k}.csv" for k in range(N)), "work": "epochs: 1", "batch": 10}
    return [(METHODS, {**common, "model": "mlp, hidden: [64]", "rounds": 20}, (101,)), (CONV, {**common, "model": "conv4", "rounds": 8, "work": "epochs: 2"}, (101,))]


def hospitals(folder):
    rng = random.Random(1)
    lines = (DATA / "fed-heart-disease/flamby-split.tsv").read_text().splitlines()
    out = [lines[0]]
    for line in lines[1:]:
        cells = line.split("\t")
        if cells[3] == "train" and rng.random() < VALID:
            cells[3] = "valid"
        out.append("\t".join(cells))
    (folder / "split.tsv").write_text("\n".join(out) + "\n")
    common = {"table": 'label: 14, binary: true, missing: drop, scale: silo, drop: [11, 12, 13], one_hot: ["3:1,2,3,4", "7:0,1,2"]',
              "out": "n_out: 1, loss: bce", "n_in": 13, "data": DATA / "fed-heart-disease", "split": folder / "split.tsv",
              "files": ", ".join(f"processed.{h}.data" for h in ("cleveland", "hungarian", "switzerland", "va")),
              "work": "steps: 100", "batch": 4, "rounds": 15}
    logreg = {f"{m}, logreg": v for m, v in METHODS.items() if m not in ("fedper", "fedrep")}
    seeds = tuple(range(101, 111))
    return [(METHODS, {**common, "model": "mlp, hidden: [16]"}, seeds), (logreg, {**common, "model": "logreg"}, seeds)]


def run(folder, plan, method, tried, seed, split):
    """Accuracy of each client by the method's arm, or None where training diverged."""
    arm, algorithm, _, _ = method
    sets = (f"seed={seed}", f"fed.algorithm={algorithm}", *tried) + (("arms=[federated]",) if arm != "alone" else ())
    (folder / "plan.yaml").write_text(PLAN.format(**plan))
    args = [a for s in sets for a in ("--set", s)]
    with tempfile.TemporaryDirectory() as out:
        if subprocess.run([ROOT / "build/bin/crossfed", "sim", folder / "plan.yaml", "--out", f"{out}/run", *args], capture_output=True).returncode:
            return None
        lines = [json.loads(line) for line in open(f"{out}/run/metrics.jsonl")]
    got = {m["scope"]: m["acc"] for m in lines if m.get("arm") == arm and m.get("split") == split and m["scope"].startswith("domain:")}
    return [v for v in got.values() if v is not None]


def choose(folder, plan, method, seeds):
    """The try with the best validation accuracy; nothing of the test part is looked at."""
    best = (-1.0, None)
    for rate, more in itertools.product(method[2], method[3]):
        tried = (f"local.optimizer.lr={rate}", *more)
        figures = [run(folder, plan, method, tried, s, "valid") for s in seeds]
        if all(figures):
            mean = statistics.mean(statistics.mean(f) for f in figures)
            best = max(best, (mean, tried), key=lambda b: b[0])
    return best


def main():
    name, final = sys.argv[1], os.environ.get("FINAL") == "1"
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        print(f"{'method':16} {'valid':>6}" + (f" {'mean':>6} {'sd':>6} {'worst':>6} {'sd':>6}" if final else "") + "  chosen")
        for methods, plan, tuning in {"mnist": mnist, "hospitals": hospitals}[name](folder):
            for text, method in methods.items():
                valid, tried = choose(folder, plan, method, tuning)
                if tried is None:
                    print(f"{text:16} every try diverged", flush=True)
                    continue
                columns = f"{valid:6.3f}"
                if final:
                    rows = [sorted(run(folder, plan, method, tried, s, "test")) for s in range(1, seeds + 1)]
                    means, worst = [statistics.mean(r) for r in rows], [statistics.mean(r[:max(1, len(r) // 10)]) for r in rows]
                    columns += "".join(f" {statistics.mean(x):6.3f} {statistics.stdev(x) if seeds > 1 else 0:6.3f}" for x in (means, worst))
                print(f"{text:16} {columns}  {' '.join(t.removeprefix('local.') for t in tried)}", flush=True)


if __name__ == "__main__":
    main()
