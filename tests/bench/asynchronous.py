#!/usr/bin/python3
"""Asynchronous rounds against synchronous ones at equal client-seconds: `crossfed sim` on MNIST dealt to 100 clients of different speeds.

A task's virtual time is samples x c_k + bytes x b_k + latency (sim.cost): c_k from .3 s a sample to 20 times as much, b_k from 1 us a byte to
20 times as much, both even in the logarithm, .1 s latency. 20 steps of 10 images a task, two label shards a client. Accuracy is on 2,000 train
images that no client has; the test images are not opened.

The budget of client-seconds is what a synchronous run without a deadline, ten clients a round, takes over `ROUNDS` rounds. The others get as many
commits as fit: a pilot of each (seed 1) says what a commit costs. The deadline is the best of three by accuracy in seed 1; AdaSGD's threshold is the
staleness that .3 % of FedBuff's updates in the pilot exceed. Every run evaluates at its end only, because an evaluation ends asynchronous tasks.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import fedavg
import tables

ROUNDS, SEEDS, HELD_OUT = (40,), range(1, 6), 2000
PLAN = """\
name: speeds
data: {{kind: idx, split: {{kind: predefined, by: file, valid_fraction: 0}}}}
model: {{kind: mlp, loss: softmax, n_in: 784, n_out: 10, hidden: [32], activation: relu}}
stages:
  - fed: {{algorithm: fedavg, rounds: 1, weighting: uniform, deadline_s: 600000, select_timeout_s: 60}}
    local: {{steps: 20, batch: 10, optimizer: {{kind: sgd, lr: 0.1}}}}
eval: {{every: 0, metrics: [acc]}}
arms: [federated]
sim:
  data: "{data}"
  clients: {{by: shards, n: 100, shards: 2, name: "client-{{}}"}}
  cost: {{sample_s: 0.3, byte_s: 1.0e-6, spread: 20, latency_s: 0.1}}
"""
SYNC = ("fed.cohort_count=10", "fed.quorum_count=10")


def late(deadline):
    return ("fed.cohort_count=10", "fed.quorum_count=1", "fed.over_select=1.3", f"fed.deadline_s={deadline}")


def flush(concurrency, *more):
    return ("fed.async.buffer=10", f"fed.async.concurrency={concurrency}", "fed.async.max_staleness=50", *more)


class Bench:
    def __init__(self, folder):
        self.folder = folder
        self.plan = os.path.join(folder, "plan.yaml")
        fedavg.HELD_OUT = HELD_OUT
        fedavg.hold_out(os.path.join(os.environ.get("CROSSFED_DATA", "../shared/data"), "mnist"), folder)
        with open(self.plan, "w", encoding="utf-8") as file:
            file.write(PLAN.format(data=folder))

    def run(self, sets, rounds, seed):
        out_dir = os.path.join(self.folder, "run")
        argv = [os.path.join(tables.REPO, "build/bin/crossfed"), "sim", self.plan, "--json", "--out", out_dir, "--seed", str(seed), "--set", f"fed.rounds={rounds}"]
        for one in sets:
            argv += ["--set", one]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"crossfed sim ended with {done.returncode}: {done.stderr}")
        out = json.loads(done.stdout)
        with open(os.path.join(out_dir, "metrics.jsonl"), encoding="utf-8") as file:
            acc = [line["acc"] for line in map(json.loads, file) if line["scope"] == "global" and line["split"] == "test"]
        shutil.rmtree(out_dir)
        return {"acc": acc[-1], "virtual_s": out["virtual_commit_s"], "work_s": out["virtual_work_s"], "rounds": out["rounds"],
                "abandoned": out["abandoned"], "staleness": out.get("staleness")}

    def fitted(self, sets, budget, seed, cost):
        """A run of as many commits as the budget has client-seconds for, at the pilot's cost of one."""
        return self.run(sets, max(1, round(budget / cost)), seed)


def percentile(counts, share):
    total, seen = sum(counts), 0
    for tau, n in enumerate(counts):
        seen += n
        if seen >= share * total:
            return max(tau, 1)
    return len(counts)


def print_row(method, rounds, runs):
    def spread(key):
        return statistics.mean(r[key] for r in runs), statistics.stdev(r[key] for r in runs)
    acc, virtual, work = spread("acc"), spread("virtual_s"), spread("work_s")
    ages = [sum(tau * n for tau, n in enumerate(r["staleness"])) / sum(r["staleness"]) for r in runs if r["staleness"]]
    print(json.dumps({"method": method, "budget_rounds": rounds, "seeds": len(runs), "commits": round(statistics.mean(r["rounds"] for r in runs), 1),
                      "acc": round(acc[0], 4), "acc_sd": round(acc[1], 4), "virtual_h": round(virtual[0] / 3600, 2), "virtual_h_sd": round(virtual[1] / 3600, 2),
                      "client_h": round(work[0] / 3600, 1), "staleness": round(statistics.mean(ages), 2) if ages else None}), flush=True)


def main():
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        for rounds in ROUNDS:
            sync = [bench.run(SYNC, rounds, seed) for seed in SEEDS]
            print_row("FedAvg, no deadline", rounds, sync)
            budgets = [r["work_s"] for r in sync]
            tried = {}
            for deadline in (150, 400, 800):
                pilot = bench.run(late(deadline), 20, 1)
                run = bench.fitted(late(deadline), budgets[0], 1, pilot["work_s"] / 20)
                tried[deadline] = (run["acc"], pilot["work_s"] / 20)
                print(json.dumps({"tried": "deadline_s", "value": deadline, "budget_rounds": rounds, "seed": 1, "acc": run["acc"]}), flush=True)
            best = max(tried, key=lambda d: tried[d][0])
            print_row(f"FedAvg, deadline {best} s, over-selection 1.3", rounds, [bench.fitted(late(best), b, s, tried[best][1]) for b, s in zip(budgets, SEEDS)])
            for concurrency in (10, 30):
                pilot = bench.run(flush(concurrency), 20, 1)
                cost = pilot["work_s"] / 20
                print_row(f"FedBuff, 10 of {concurrency} at a time", rounds, [bench.fitted(flush(concurrency), b, s, cost) for b, s in zip(budgets, SEEDS)])
            ada = flush(30, "fed.async.staleness=adasgd", f"fed.async.threshold={percentile(pilot['staleness'], 0.997)}")
            print_row(f"AdaSGD, 10 of 30 at a time, {ada[-1].split('.')[-1]}", rounds, [bench.fitted(ada, b, s, cost) for b, s in zip(budgets, SEEDS)])


if __name__ == "__main__":
    main()
