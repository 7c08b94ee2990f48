#!/usr/bin/python3
"""Local training beside PyTorch on one thread: `crossfed bench train` and the same three networks in PyTorch, in turns.

    make && OPENBLAS_NUM_THREADS=1 tests/bench/torch_train.py [--bin build/bin] [--pairs 3] [--json]

Samples a second of processor time; a ratio is the median over the pairs of crossfed's figure over the mean of PyTorch's before and
after it. Exit status 77 and one line where PyTorch is not installed (python3-torch), 3 when a floor is missed with --check.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

# case of `crossfed bench train`: (goal, floor) of the ratio
GATES = {"2nn_sgd_b10": (4.0, 2.0), "784_128_10_adam_b64": (2.5, 2.0), "cnn_sgd_b10": (1.2, 1.0)}


def networks(torch):
    """Case: (network, input shape, batch, optimizer, images, epochs of one measurement)."""
    nn = torch.nn

    def mlp(*widths):
        layers = []
        for a, b in zip(widths, widths[1:]):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    cnn = nn.Sequential(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(),
                        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10))
    two, one = mlp(784, 200, 200, 10), mlp(784, 128, 10)
    return {"2nn_sgd_b10": (two, (784,), 10, torch.optim.SGD(two.parameters(), lr=0.01), 600, 10),
            "784_128_10_adam_b64": (one, (784,), 64, torch.optim.Adam(one.parameters(), lr=1e-4), 1920, 10),
            "cnn_sgd_b10": (cnn, (1, 28, 28), 10, torch.optim.SGD(cnn.parameters(), lr=0.01), 300, 2)}


def torch_rate(torch, net, shape, batch, optimizer, n, epochs):
    """Samples a second of processor time, shuffling included, as in the silo's training."""
    x, y = torch.rand(n, *shape) - 0.5, torch.randint(0, 10, (n,))
    loss_of = torch.nn.CrossEntropyLoss()

    def epoch():
        order = torch.randperm(n)
        for at in range(0, n, batch):
            ids = order[at:at + batch]
            optimizer.zero_grad()
            loss_of(net(x[ids]), y[ids]).backward()
            optimizer.step()

    epoch()
    start = time.process_time()
    for _ in range(epochs):
        epoch()
    return n * epochs / (time.process_time() - start)


def ours(bin_dir):
    said = subprocess.run([os.path.join(bin_dir, "crossfed"), "bench", "train", "--json"], check=True, capture_output=True, text=True)
    return {r["case"]: r["value"] for r in json.loads(said.stdout)["results"]}


def measure(torch, bin_dir, pairs):
    nets = networks(torch)
    theirs = [{case: torch_rate(torch, *net) for case, net in nets.items()}]
    mine = []
    for _ in range(pairs):
        mine.append(ours(bin_dir))
        theirs.append({case: torch_rate(torch, *net) for case, net in nets.items()})
    rows = []
    for case, (goal, floor) in GATES.items():
        ratios = [mine[i][case] / ((theirs[i][case] + theirs[i + 1][case]) / 2) for i in range(pairs)]
        ratio = statistics.median(ratios)
        rows.append({"case": case, "crossfed": statistics.median(m[case] for m in mine),
                     "torch": statistics.median(t[case] for t in theirs), "ratio": ratio, "goal": goal, "floor": floor,
                     "meets_goal": ratio >= goal, "meets_floor": ratio >= floor})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="build/bin", help="folder of crossfed")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit status 3 when a floor is missed")
    args = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed (python3-torch); nothing to compare with")
        return 77
    torch.set_num_threads(1)
    torch.manual_seed(1)
    rows = measure(torch, args.bin, args.pairs)
    if args.json:
        print(json.dumps({"v": 1, "torch": torch.__version__, "threads": torch.get_num_threads(), "results": rows}))
    else:
        print(f"PyTorch {torch.__version__}, one thread; samples a second of processor time")
        for r in rows:
            print(f"{r['case']:22}{r['crossfed']:12.0f}{r['torch']:12.0f}{r['ratio']:8.2f}x  goal {r['goal']}, floor {r['floor']}"
                  + ("" if r["meets_goal"] else "  (goal missed)" if r["meets_floor"] else "  FLOOR MISSED"))
    return 3 if args.check and not all(r["meets_floor"] for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
