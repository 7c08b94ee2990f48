#!/usr/bin/python3
"""Rounds to a target accuracy on MNIST dealt to 100 clients, as in McMahan et al. 2017, tables 1 and 2: `crossfed sim`, one row of CELLS a call.

    tests/bench/fedavg.py CELL            chooses the rate, on 5,000 of the 60,000 train images; the clients hold the other 55,000
    FINAL=1 tests/bench/fedavg.py CELL    that rate, all 60,000, several seeds, accuracy on the 10,000 test images

Rates are 10^(k/3). The search begins at the cell's `start`, climbs while the next larger rate needs fewer rounds, and if none did descends while the
next smaller one does; one seed. A rate is given up when it has had as many rounds as the best one needed, or guesses (at most 20 %) after a
tenth of the most. Rounds to the target: first crossing of the best accuracy so far, interpolated linearly between evaluations.

Each run of a rate or a seed is one file of bench-results/fedavg with its curve, commit and host, and is not repeated by the same program.
"""

import dataclasses
import gzip
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

import tables

TUNING_SEED, HELD_OUT = 1, 5000
DEAL = {"iid": ("sim.clients.by=uniform",), "shards": ("sim.clients.by=shards", "sim.clients.shards=2")}


@dataclasses.dataclass(frozen=True)
class Cell:
    plan: str
    deal: str
    sets: tuple
    target: float
    paper: float  # rounds
    gate: float  # at most so many
    most: int  # rounds after which a run ends
    start: int  # k of the first rate
    seeds: int
    every: int = 1  # commits between evaluations


CELLS = {
    "2nn-iid-b10": Cell("mnist-2nn", "iid", (), 0.97, 87, 87, 150, -3, 5),
    "2nn-shards-b10": Cell("mnist-2nn", "shards", (), 0.97, 664, 664, 700, -4, 5),
    "2nn-iid-fedsgd": Cell("mnist-2nn", "iid", ("local.batch=0",), 0.97, 1474, 1474, 1500, -1, 5, 5),
    "cnn-iid-b10-e5": Cell("mnist-cnn", "iid", (), 0.99, 20, 26, 40, -3, 3),
    "cnn-shards-b10-e5": Cell("mnist-cnn", "shards", (), 0.99, 229, 300, 300, -4, 3, 2),
    "cnn-iid-fedsgd": Cell("mnist-cnn", "iid", ("local.batch=0", "local.epochs=1"), 0.99, 626, 626, 700, -1, 1, 5),
}


def rate(k):
    return float(f"{10 ** (k / 3):.3g}")


def read_idx(folder, name, header):
    for path, how in ((os.path.join(folder, name), open), (os.path.join(folder, name + ".gz"), gzip.open)):
        if os.path.exists(path):
            with how(path, "rb") as file:
                return file.read()[header:]
    sys.exit(f"{folder} has no {name}")


def hold_out(source, folder):
    """The train images as a train and a test set, by a seeded shuffle; the test images are not opened."""
    images, labels = read_idx(source, "train-images-idx3-ubyte", 16), read_idx(source, "train-labels-idx1-ubyte", 8)
    order = list(range(len(labels)))
    random.Random(TUNING_SEED).shuffle(order)
    for name, rows in (("t10k", order[:HELD_OUT]), ("train", order[HELD_OUT:])):
        for kind, dims, width, data in (("images-idx3", (28, 28), 784, images), ("labels-idx1", (), 1, labels)):
            head = bytes([0, 0, 8, 1 + len(dims)]) + b"".join(n.to_bytes(4, "big") for n in (len(rows), *dims))
            with open(os.path.join(folder, f"{name}-{kind}-ubyte"), "wb") as file:
                file.write(head + b"".join(data[i * width:(i + 1) * width] for i in rows))


def crossing(curve, target):
    """Rounds at which the best accuracy so far crosses the target, or None."""
    before, best = 0, 0.0
    for at, acc in curve:
        if acc >= target:
            return before + (at - before) * (target - best) / (acc - best) if before else float(at)
        before, best = at, max(best, acc)
    return None


def read_curve(path, at, curve, every):
    """Appends (commits, accuracy) of the evaluations behind byte `at`; returns the end of what was read. A line that is being written stays."""
    try:
        with open(path, "rb") as file:
            file.seek(at)
            text = file.read()
    except FileNotFoundError:
        return at
    whole = text[:text.rfind(b"\n") + 1]
    for line in whole.splitlines():
        if b'"global"' in line and b'"test"' in line:
            curve.append(((len(curve) + 1) * every, json.loads(line)["acc"] or 0.0))
    return at + len(whole)


def follow(argv, metrics, cell, most):
    """The curve until the target, `most` rounds, or a guess; the simulator is ended there."""
    at, curve = 0, []
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        try:
            while True:
                ended = child.poll() is not None
                at = read_curve(metrics, at, curve, cell.every)
                last, best = (curve[-1][0] if curve else 0), max((acc for _, acc in curve), default=0)
                if best >= cell.target:
                    return curve, "reached"
                if last >= most or (last >= cell.most / 10 and best <= 0.2):
                    return curve, "given up"
                if ended:
                    said = child.stderr.read().decode("utf-8", "replace")
                    if child.returncode == 1 and "rounds in a row were abandoned" in said:  # updates that are not finite
                        return curve, "diverged"
                    sys.exit(f"crossfed sim ended with {child.returncode}: {said}")
                time.sleep(0.2)
        finally:
            child.kill()


class Runs:
    """The runs of a cell, kept in a folder."""

    def __init__(self, name, part):
        self.name, self.part, self.cell = name, part, CELLS[name]
        self.program = os.path.join(os.environ.get("CROSSFED_BIN") or os.path.join(tables.REPO, "build/bin"), "crossfed")
        self.plan = os.path.join(tables.REPO, f"deploy/examples/plans/{self.cell.plan}.yaml")
        self.folder = os.environ.get("FEDAVG_RESULTS") or os.path.join(tables.REPO, "bench-results/fedavg")
        self.source = os.path.join(os.environ.get("CROSSFED_DATA") or os.path.join(tables.REPO, "../shared/data"), "mnist")
        if not os.path.isdir(self.source):
            print(f"no {self.source} (CROSSFED_DATA names the folder)")
            sys.exit(tables.SKIPPED)
        os.makedirs(self.folder, exist_ok=True)

    def path(self, what):
        return os.path.join(self.folder, f"{self.name}.{what}.json")

    def run(self, k, seed, most):
        """A run of rate k, from its file where it is there and had rounds enough."""
        sets = (*DEAL[self.cell.deal], *self.cell.sets, f"local.optimizer.lr={rate(k):g}", f"fed.rounds={self.cell.most}",
                f"eval.every={self.cell.every}")
        h = hashlib.sha256(json.dumps([self.part, sets, seed]).encode())
        for path in (self.program, self.plan):
            with open(path, "rb") as file:
                h.update(hashlib.sha256(file.read()).digest())
        path = self.path(f"{self.part}.{rate(k):g}.{seed}")
        old = tables.read_result(path)
        if old and old["made_of"] == h.hexdigest() and (old["status"] == "reached" or old["most"] >= most):
            return old
        begun, at = time.monotonic(), tables.now()
        with tempfile.TemporaryDirectory(prefix="fedavg.") as folder:
            data = os.path.join(folder, "mnist")
            os.mkdir(data)
            if self.part == "development":
                hold_out(self.source, data)
            argv = [self.program, "sim", self.plan, "--seed", str(seed), "--out", os.path.join(folder, "run")]
            for assignment in (*sets, f"sim.data={data if self.part == 'development' else self.source}"):
                argv += ["--set", assignment]
            curve, status = follow(argv, os.path.join(folder, "run/metrics.jsonl"), self.cell, most)
        rounds = crossing(curve, self.cell.target)
        result = {"v": 1, "cell": self.name, "part": self.part, "sets": sets, "seed": seed, "lr": rate(k), "status": status, "rounds": rounds,
                  "best_acc": max((acc for _, acc in curve), default=None), "most": most, "commit": tables.commit(), "host": tables.host(), "started": at,
                  "seconds": round(time.monotonic() - begun, 1), "made_of": h.hexdigest(), "curve": curve}
        tables.write_whole(path, json.dumps(result) + "\n")
        return result


def row(result):
    done = result["curve"][-1][0] if result["curve"] else 0
    return {"cell": result["cell"], "lr": result["lr"], "seed": result["seed"], "status": result["status"], "rounds": result["rounds"],
            "run": done, "best_acc": result["best_acc"], "seconds_round": round(result["seconds"] / done, 3) if done else None}


def tune(runs):
    """The rate with the fewest rounds; None if none reaches the target."""
    cell, best, tried = runs.cell, None, {}

    def better(k):
        nonlocal best
        most = cell.most if best is None else min(cell.most, -(-best[0] // cell.every) * cell.every)
        tried[k] = runs.run(k, TUNING_SEED, int(most))
        print(json.dumps(row(tried[k])), flush=True)
        rounds = tried[k]["rounds"]
        if rounds is None or (best and rounds >= best[0]):
            return False
        best = (rounds, k)
        return True

    better(cell.start)
    for step in (1, -1):
        k = cell.start + step
        while -7 <= k <= 1 and better(k):
            k += step
        if best and best[1] != cell.start:
            break
    if best is None:
        return 1
    chosen = {"v": 1, "cell": runs.name, "k": best[1], "lr": rate(best[1]), "rounds": best[0], "tries": len(tried), "commit": tables.commit()}
    tables.write_whole(runs.path("chosen"), json.dumps(chosen) + "\n")
    print(json.dumps({k: v for k, v in chosen.items() if k not in ("v", "k", "commit")}))
    return 0


def final(runs):
    cell, chosen = runs.cell, tables.read_result(runs.path("chosen"))
    if not chosen:
        print("no rate is chosen yet; without FINAL=1 this program chooses one")
        return 1
    rounds = []
    for seed in range(1, cell.seeds + 1):
        result = runs.run(chosen["k"], seed, cell.most)
        print(json.dumps(row(result)), flush=True)
        rounds.append(result["rounds"] if result["rounds"] is not None else float("inf"))
    median = statistics.median(rounds)
    print(json.dumps({"cell": runs.name, "lr": chosen["lr"], "tries": chosen["tries"], "seeds": len(rounds), "target": cell.target,
                      "median_rounds": median if median < float("inf") else None, "least": min(rounds) if min(rounds) < float("inf") else None,
                      "most": max(rounds) if max(rounds) < float("inf") else None, "paper": cell.paper, "gate": cell.gate, "met": median <= cell.gate}))
    return 0


def main(argv):
    if len(argv) != 2 or argv[1] not in CELLS:
        print(__doc__, *CELLS, file=sys.stderr)
        return 2
    part = "final" if os.environ.get("FINAL") == "1" else "development"
    runs = Runs(argv[1], part)
    return final(runs) if part == "final" else tune(runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
