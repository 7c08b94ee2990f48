#!/usr/bin/python3
"""Sinusoids as plans: deploy/examples/plans/sinusoid-*.yaml through `crossfed sim`, one row per algorithm and seed.

200 clients train, 600 others (drawn by the seed) are fitted from 10 points each by SGD .02 (Meta-SGD: by its rates): squared error on 50
points of their own after k steps, mean and half width of the 95 % interval over those clients. Environment: SEEDS=1,2,3 ROUNDS=3000
ONLY=maml,joint (all) CROSSFED=build/bin/crossfed THREADS=2. Settings were chosen with SEEDS=101.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parents[3]
STEPS = (0, 1, 2, 4, 32)
MAML, REPTILE = "sinusoid-maml", "sinusoid-reptile"
PERFEDAVG = {"fed.algorithm": "perfedavg", "local.steps": 4, "local.optimizer.lr": 0.01, "fed.server.lr": 0.5}
ARMS = {
    "maml": (MAML, {"fed.server.lr": 0.02}),
    "fomaml": (MAML, {"fed.algorithm": "fomaml", "fed.server.lr": 0.02}),
    "anil": (MAML, {"fed.algorithm": "anil", "fed.server.lr": 0.04}),
    "boil": (MAML, {"fed.algorithm": "boil", "fed.server.lr": 0.002}),
    "metasgd": (MAML, {"fed.algorithm": "metasgd", "fed.server.lr": 0.0005}),
    "perfedavg-hf": (MAML, PERFEDAVG),
    "perfedavg-fo": (MAML, {**PERFEDAVG, "local.meta.hessian": "none"}),
    "reptile": (REPTILE, {"local.optimizer.lr": 0.05}),
    "joint": (REPTILE, {"fed.algorithm": "fedavg", "local.steps": 1}),
}


def run(arm, seed):
    """The simulator's summary of one run."""
    plan, sets = ARMS[arm]
    sets = {"fed.server.anneal": "linear", **sets, "fed.rounds": int(os.environ.get("ROUNDS", "3000")),
            "eval.metrics": ",".join("rmse" if k == 0 else f"rmse@adapt{k}" for k in STEPS)}
    argv = [os.environ.get("CROSSFED", str(REPO / "build/bin/crossfed")), "sim", str(REPO / f"deploy/examples/plans/{plan}.yaml"), "--json",
            "--seed", str(seed), "--threads", os.environ.get("THREADS", "2")]
    for key, value in sets.items():
        argv += ["--set", f"{key}={value}"]
    return json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout)


def row(arm, seed):
    summary = run(arm, seed)
    fresh = [m for m in summary["metrics"] if m["scope"].startswith("fresh:")]
    out = {"arm": arm, "seed": seed, "rounds": summary["rounds"], "clients": len(fresh)}
    for k in STEPS:
        errors = [m["rmse" if k == 0 else f"rmse_adapt{k}"] ** 2 for m in fresh]
        out[f"mse_{k}"] = round(statistics.fmean(errors), 4)
        out[f"half_{k}"] = round(1.96 * statistics.stdev(errors) / len(errors) ** .5, 4)
    return {**out, "wall_s": round(summary["wall_s"], 1), "model_blake2b": summary["model_blake2b"]}


def main():
    only = [name for name in os.environ.get("ONLY", "").split(",") if name] or list(ARMS)
    unknown = set(only) - set(ARMS)
    if unknown:
        sys.exit(f"ONLY names {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}")
    for arm in only:
        for seed in os.environ.get("SEEDS", "1,2,3").split(","):
            print(json.dumps(row(arm, int(seed))), flush=True)


main()
