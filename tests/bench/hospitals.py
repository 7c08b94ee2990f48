#!/usr/bin/python3
"""Four hospitals (decision 50): FLamby's methods with its published settings through `crossfed sim`, accuracy on each hospital's test part.

    FINAL=1 tests/bench/hospitals.py [SEEDS]     seeds 1..SEEDS (30); reads test labels; nothing is chosen here

15 rounds of 100 local steps, batch 4; the first weights of a seed are the same for every method. Each round's batches start with a
new shuffle (the published runs continue the last round's). Prints mean and standard deviation over seeds beside the published mean of five.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
ADAPTIVE = ("fed.server.tau=1e-8", "fed.server.v0=0")  # of adagrad too
MOMENTS = ("fed.server.b1=0.9", "fed.server.b2=0.999", *ADAPTIVE)
METHODS = {  # settings, published mean of the four accuracies, tolerance
    "fedavg": (("local.optimizer.lr=0.001",), 0.685, 0.03),
    "fedavg from zero": (("local.optimizer.lr=0.001", "model.init_std=1e-9"), None, None),
    "fedprox": (("local.optimizer.lr=0.001", "fed.algorithm=fedprox", "local.prox=0.01"), 0.685, 0.03),
    "fedadam": (("fed.server.kind=adam", "fed.server.lr=0.01", "local.optimizer.lr=0.01", *MOMENTS), 0.726, 0.02),
    "fedyogi": (("fed.server.kind=yogi", "fed.server.lr=0.01", "local.optimizer.lr=0.003162", *MOMENTS), 0.731, 0.02),
    "fedadagrad": (("fed.server.kind=adagrad", "fed.server.lr=0.316228", "local.optimizer.lr=0.003162", *ADAPTIVE), 0.731, 0.02),
}


def run(sets, seed):
    args = [ROOT / "build/bin/crossfed", "sim", ROOT / "deploy/examples/plans/hospitals.yaml", "--json"]
    for s in ("privacy.clip=0", "arms=[federated]", "eval.metrics=[acc]", f"seed={seed}", *sets):
        args += ["--set", s]
    return json.loads(subprocess.run(args, check=True, capture_output=True, text=True).stdout)


def accuracies(summary):
    test = {m["scope"]: m["acc"] for m in summary["metrics"] if m["split"] == "test" and m["arm"] == "federated"}
    return [test[f"domain:processed-{h}-data"] for h in HOSPITALS]


def main():
    if os.environ.get("FINAL") != "1":
        sys.exit("hospitals.py: has nothing but test figures; FINAL=1 reads them")
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    print(f"{'method':18}", *(f"{h:>12}" for h in HOSPITALS), f"{'mean':>7} {'sd':>6} {'published':>9}")
    bad = 0
    for name, (sets, published, tolerance) in METHODS.items():
        rows = [accuracies(run(sets, s)) for s in range(1, seeds + 1)]
        means = [statistics.mean(r) for r in rows]
        mean = statistics.mean(means)
        columns = [statistics.mean(r[i] for r in rows) for i in range(len(HOSPITALS))]
        says = "" if published is None else f"{published:9.3f} {'within' if abs(mean - published) <= tolerance else 'OUTSIDE'} {tolerance}"
        bad += published is not None and abs(mean - published) > tolerance
        print(f"{name:18}", *(f"{c:12.3f}" for c in columns), f"{mean:7.3f} {statistics.stdev(means):6.3f} {says}")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
