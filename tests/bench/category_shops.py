#!/usr/bin/env python3
"""MovieLens dealt to shops that share no film (and no visitor): is a sum over the films' categories worth anything?

Shop of a film, and of a visitor, is a hash of the id. Genres of ml-100k and ml-1m; `people`: genres, directors and actors of ml-1m as categories.
Runs `crossfed sim` (CROSSFED_BIN, default build/bin) on data below CROSSFED_DATA and prints what the silos' decisions say of their validation parts;
figures on test are not read. ml-1m: the train part of colakg only.
"""

import gzip
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

DATA = pathlib.Path(os.environ.get("CROSSFED_DATA", "../shared/data"))
PROGRAM = pathlib.Path(os.environ.get("CROSSFED_BIN", "build/bin")) / "crossfed"
PLAN = """\
name: shops
seed: 7
data: {{kind: interactions, split: {split}}}
model: {{kind: recommender}}
stages:
  - {{name: cats, kind: statistic, statistic: {{of: categories, beta: 0.5}}, rows: {{min_holders: 2}}}}
eval: {{every: 0, metrics: [ndcg@10], protocol: [s99]}}
arms: [popularity, alone, federated, guarded]
sim:
  data: "{data}"
  columns: {{user: 1, item: 2, domain: 3{time}}}
  clients: {{by: domain, name: "silo-{{}}"}}
  categories: "{categories}"
"""
SPLIT = {True: "{kind: leave-one-out, by: time, min: 5}", False: "{kind: random, min: 5, test_fraction: 0.1, valid_fraction: 0.1}"}


def lines(path):
    with gzip.open(DATA / path, "rt", encoding="latin-1") as f:
        yield from f


def shop(kind, key, n):
    return int(hashlib.sha256(f"{kind}:{key}".encode()).hexdigest(), 16) % n


def small():
    """Liked films of ml-100k with their times, and genres by film."""
    names = [line.split("|")[0] for line in lines("ml-100k/u.genre.gz") if "|" in line]
    genres = {}
    for line in lines("ml-100k/u.item.gz"):
        f = line.rstrip("\n").split("|")
        genres[f[0]] = [g for g, flag in zip(names, f[5:]) if flag == "1" and g != "unknown"]
    rows = [(u, i, t) for u, i, r, t in map(str.split, lines("ml-100k/u.data.gz")) if int(r) >= 4]
    return rows, genres


def large(people):
    """Films of ml-1m, and their genres, with `people` directors and actors as well."""
    old = {b: a for a, b in map(str.split, lines("ml-1m/colakg/item_map.txt.gz"))}
    rows = [(f[0], i) for f in map(str.split, lines("ml-1m/colakg/train.txt.gz")) for i in f[1:]]
    told = {}
    for line in lines("ml-1m/movies_extrainfos.dat.gz"):
        f = line.rstrip("\n").split("::")
        if len(f) >= 9:
            told[f[0]] = [f"{mark} {x.strip().replace('|', '/')}" for mark, at in (("g", 5), ("d", 6), ("a", 8))
                          for x in f[at].split(",") if x.strip() not in ("", "N/A") and (people or mark == "g")]
    return rows, {i: told.get(a, []) for i, a in old.items()}


def run(name, rows, categories, n, visitors):
    with tempfile.TemporaryDirectory(prefix="shops.") as folder:
        data, shelf, plan = (pathlib.Path(folder) / x for x in ("events.tsv", "categories.tsv", "plan.yaml"))
        kept = [r for r in rows if not visitors or shop("user", r[0], n) == shop("item", r[1], n)]
        data.write_text("".join("\t".join([r[0], r[1], f"s{shop('item', r[1], n)}", *r[2:]]) + "\n" for r in kept))
        shelf.write_text("".join(f"{i}\t{'|'.join(dict.fromkeys(c))}\n" for i, c in categories.items() if c))
        timed = len(kept[0]) > 2
        plan.write_text(PLAN.format(split=SPLIT[timed], data=data, categories=shelf, time=", time: 4" if timed else ""))
        text = subprocess.run([PROGRAM, "sim", plan], check=True, capture_output=True, encoding="utf-8").stdout
    pooled = [float(w) for w in re.findall(r"category\.pooled +shared validation [\d.]+, weight ([\d.]+)", text)]
    mixed = [float(w) for w in re.findall(r"mix\.shared +shared validation [\d.]+, weight ([\d.]+)", text)]
    own = [float(w) for w in re.findall(r"category\.own +local +validation [\d.]+, weight [\d.]+, in alone ([\d.]+)", text)]
    gain = [float(g) for g in re.findall(r"gain over alone on validation: ([+-][\d.]+)", text)]
    print(f"{name}: {len(kept)} events, {len(own)} shops; category.own in alone in {sum(w > 0 for w in own)}; category.pooled beats lambda 0 on "
          f"split A in {len(pooled)}, has a weight in {sum(w > 0 for w in pooled)}, mix.shared in {sum(w > 0 for w in mixed)}; "
          f"mean gain over alone on validation {sum(max(g, 0) for g in gain) / len(gain):+.4f}", flush=True)


def main():
    if not (DATA / "ml-100k").is_dir() or not (DATA / "ml-1m").is_dir():
        print("no data sets ml-100k and ml-1m: set CROSSFED_DATA")
        return 77
    rows, genres = small()
    run("ml-100k, genres, films dealt", rows, genres, 5, False)
    run("ml-100k, genres, films and visitors dealt", rows, genres, 5, True)
    run("ml-100k, genres, films and visitors dealt", rows, genres, 10, True)
    run("ml-1m, genres, films and visitors dealt", *large(False), 30, True)
    run("ml-1m, people, films and visitors dealt", *large(True), 30, True)
    run("ml-1m, people, films and visitors dealt", *large(True), 10, True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
