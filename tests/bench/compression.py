#!/usr/bin/env python3
"""Accuracy against bytes up: one federation, several encodings of its updates (docs/BENCHMARKS.md, "Compressed updates").

    CROSSFED_BIN=build/bin CROSSFED_DATA=... python3 tests/bench/compression.py [--seeds 2] [--rounds 40]

Logistic regression on MNIST dealt to 20 silos of two label shards each, 10 of them in a round. Figures are of the validation tenth of
each silo's train rows; the test part is measured by the runs and not looked at. The rate is that of float32 for all: nothing is tuned.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

PLAN = """\
name: compression
seed: 1
data: {kind: idx, split: {kind: predefined, by: file, valid_fraction: 0.1}}
model: {kind: logreg, loss: softmax, n_in: 784, n_out: 10}
stages:
  - fed: {rounds: 60, cohort_count: 10, quorum: 1.0, weighting: uniform}
    local: {epochs: 1, batch: 50, optimizer: {lr: 0.05}}
eval: {every: 10, metrics: [acc]}
arms: [federated]
sim:
  data: "${CROSSFED_DATA:-../shared/data}/mnist"
  clients: {by: shards, n: 20, shards: 2, name: "client-{}"}
"""

ENCODINGS = (
    ("float32", {}),
    ("float16", {}),
    ("bfloat16", {}),
    ("int8", {}),
    ("qsgd", {"levels": 7}),
    ("qsgd", {"levels": 1}),
    ("topk", {"fraction": 0.01}),
    ("topk", {"fraction": 0.01, "feedback": "false"}),
    ("topk", {"fraction": 0.05}),
    ("topk", {"fraction": 0.05, "feedback": "false"}),
    ("mask", {"fraction": 0.015}),
    ("mask", {"fraction": 0.075}),
)


def run(plan, out, encoding, keys, seed, rounds):
    sets = [f"fed.encoding={encoding}", f"fed.rounds={rounds}", *(f"fed.compress.{k}={v}" for k, v in keys.items())]
    crossfed = pathlib.Path(os.environ.get("CROSSFED_BIN", "build/bin")) / "crossfed"
    done = subprocess.run([crossfed, "sim", plan, "--json", "--out", out, "--seed", str(seed), *(w for s in sets for w in ("--set", s))],
                          check=True, capture_output=True, text=True)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    valid = [m["acc"] for m in lines if m["scope"] == "global" and m.get("split") == "valid" and "acc" in m]
    return json.loads(done.stdout)["bytes_up"], valid[-1], max(valid)


def main():
    ask = argparse.ArgumentParser()
    ask.add_argument("--seeds", type=int, default=2)
    ask.add_argument("--rounds", type=int, default=40)
    asked = ask.parse_args()
    print(f"{'encoding':44} {'bytes up':>11} {'of float32':>10} {'acc last':>9} {'sd':>6} {'acc best':>9}")
    whole = None
    with tempfile.TemporaryDirectory() as folder:
        plan = pathlib.Path(folder) / "plan.yaml"
        plan.write_text(PLAN)
        for n, (encoding, keys) in enumerate(ENCODINGS):
            rows = [run(plan, pathlib.Path(folder) / f"{n}-{seed}", encoding, keys, seed, asked.rounds) for seed in range(1, asked.seeds + 1)]
            size, last, best = ([row[i] for row in rows] for i in range(3))
            whole = whole or size[0]
            name = encoding + "".join(f" {k}={v}" for k, v in keys.items())
            print(f"{name:44} {statistics.mean(size):11.0f} {statistics.mean(size) / whole:10.4f} {statistics.mean(last):9.4f} "
                  f"{statistics.stdev(last) if len(last) > 1 else 0:6.4f} {statistics.mean(best):9.4f}", flush=True)


if __name__ == "__main__":
    main()
