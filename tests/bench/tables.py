#!/usr/bin/python3
"""Makes the tables of docs/BENCHMARKS.md again, cell by cell: `make bench-tables`.

A cell is one program with its environment; the table CELLS names them, and a program tests/bench/<name>/main.c that is in no line of it is a
cell of its own. What a cell printed goes to bench-results/<cell>.<part>.json with commit, host, command, seconds and memory. A cell whose
result is there, made by the same command, program and plan, is not run again (--again does). A cell that takes longer than its limit is
ended, and after --budget minutes no further one begins: call it again and it goes on.

Without FINAL=1 cells read development and validation labels only. With FINAL=1 (part "final") they read test labels; each such run is written
to bench-results/final-reads.jsonl before it begins. Cells that can only print test figures are skipped without FINAL=1.

A program prints JSON lines; other lines are kept as text. Exit status 77: its data are not here, and the last line says which.
"""

import argparse
import contextlib
import dataclasses
import datetime
import fcntl
import glob
import hashlib
import json
import os
import platform
import select
import signal
import subprocess
import sys
import tempfile
import time

import tables_print

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = "build/release/tests/bench/"
SKIPPED = 77
LIMIT_S = 30 * 60
BUDGET_S = 6 * 3600
LINES_MAX = 20000
BOTH, FINAL_ONLY, DEVELOPMENT_ONLY = "both", "final", "development"
OUT = "{out}"  # in argv: a folder for the program's files, which is removed; the object of its summary.json is one more row


@dataclasses.dataclass(frozen=True)
class Cell:
    """One program of a table."""
    name: str
    argv: tuple  # relative to the repository
    table: str  # the heading of docs/BENCHMARKS.md it feeds
    data: str = ""  # what it reads below $CROSSFED_DATA; empty: it says so itself
    env: dict = dataclasses.field(default_factory=dict)
    parts: str = BOTH  # final: it prints test figures whatever FINAL says; development: it never reads test labels
    inputs: tuple = ()  # further files that its figures depend on
    limit_s: float = LIMIT_S
    seeds: str = ""  # in words; empty: in the rows


def bench(name, table, data, *args, **more):
    """A program of tests/bench."""
    return Cell(more.pop("cell", name), (BENCH + name, *args), table, data, **more)


def sim(name, plan, table, data, *args):
    """A plan through the simulator: coordinator and silos as daemons run them, every byte counted; the transfer reports are its text."""
    path = f"deploy/examples/plans/{plan}.yaml"
    return Cell(name, ("build/bin/crossfed", "sim", path, "--out", OUT, *args), table, data, parts=FINAL_ONLY, inputs=(path,), seeds="the plan's")


def fedavg(name, plan, seeds):
    """Rounds to a target: without FINAL=1 the rate is chosen on held-out train images. It goes on where a limit has ended it."""
    inputs = ("build/bin/crossfed", f"deploy/examples/plans/{plan}.yaml")
    return Cell(f"fedavg-{name}", ("tests/bench/fedavg.py", name), "FedAvg on MNIST: rounds to a target", "mnist", inputs=inputs, seeds=seeds)


CELLS = (
    bench("xmrec", "XMRec: disjoint users, shared items", "xmrec-wsdm22", seeds="none"),
    bench("xmcold", "XMRec: a cold market", "xmrec-wsdm22", seeds="3 draws of users and noise"),
    bench("scorer", "XMRec: a market left out", "xmrec-wsdm22", "1", "2", "2+", seeds="3, and 3 draws of users"),
    bench("domains", "Ciao: shared users, eight categories", "ciao", "ciao", cell="domains-ciao"),
    bench("domains", "Amazon: two pairs of domains, all users shared", "amazon-disencdr", "amazon", cell="domains-amazon"),
    bench("domains", "Amazon: two pairs of domains, all users shared", "amazon-disencdr", "amazon-given", cell="domains-amazon-given"),
    bench("falsify", "Falsification", "xmrec-wsdm22", parts=DEVELOPMENT_ONLY, seeds="5"),
    bench("coldusers", "Cold users: Amazon Games and Videos", "amazon-cdrib-coldstart"),
    bench("coldratings", "Cold raters: MovieLens-100K", "ml-100k", seeds="20 splits; 4 in development"),
    bench("pfedrec", "One client per user: MovieLens-100K under PFedRec's protocol", "ml-100k", seeds="1; final 5, FedNCF 2"),
    bench("kglastfm", "Last.FM: a knowledge graph", "kg-lastfm"),
    bench("diversity", "Diverse lists: MovieLens-100K", "ml-100k"),
    Cell("sinusoid-plans", ("tests/bench/sinusoid/plans.py",), "Sinusoids: as plans", inputs=("build/bin/crossfed", "deploy/examples/plans/sinusoid-maml.yaml", "deploy/examples/plans/sinusoid-reptile.yaml"), seeds="3"),
    fedavg("2nn-iid-b10", "mnist-2nn", "5"),
    fedavg("2nn-shards-b10", "mnist-2nn", "5"),
    fedavg("2nn-iid-fedsgd", "mnist-2nn", "5"),
    fedavg("cnn-iid-b10-e5", "mnist-cnn", "3"),
    fedavg("cnn-shards-b10-e5", "mnist-cnn", "3"),
    fedavg("cnn-iid-fedsgd", "mnist-cnn", "1"),
    bench("omniglot", "Omniglot: characters from one drawing", "omniglot-small", seeds="1"),
    Cell("asynchronous", ("tests/bench/asynchronous.py",), "Asynchronous rounds", "mnist", parts=DEVELOPMENT_ONLY, inputs=("build/bin/crossfed", "tests/bench/fedavg.py"), seeds="5"),
    Cell("hospitals", ("tests/bench/hospitals.py",), "Hospitals: server optimisers", "fed-heart-disease", parts=FINAL_ONLY, inputs=("build/bin/crossfed", "deploy/examples/plans/hospitals.yaml"), seeds="30"),
    Cell("personal-mnist", ("tests/bench/personal.py", "mnist"), "Personalisation: MNIST and hospitals", "mnist", inputs=("build/bin/crossfed",), seeds="3"),
    Cell("personal-hospitals", ("tests/bench/personal.py", "hospitals", "10"), "Personalisation: MNIST and hospitals", "fed-heart-disease", inputs=("build/bin/crossfed",), seeds="10"),
    sim("sim-markets", "markets", "Through the simulator", "xmrec-wsdm22"),
    sim("sim-markets-private", "markets-private", "Through the simulator", "xmrec-wsdm22"),
    sim("sim-categories", "categories", "Through the simulator", "ciao"),
)


class Stop(Exception):
    """The run cannot go on, in words."""


def found_cells(root, known):
    """Programs of tests/bench that no line of CELLS names."""
    named = {cell.argv[0] for cell in known}
    programs = sorted(os.path.basename(os.path.dirname(path)) for path in glob.glob(os.path.join(root, "tests/bench/*/main.c")))
    return [Cell(name, (BENCH + name,), name) for name in programs if BENCH + name not in named]


def read_cells(path):
    """Cells of a JSON file: an array of objects with the fields of Cell."""
    with open(path, encoding="utf-8") as file:
        try:
            return [Cell(**{k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}) for entry in json.load(file)]
        except (ValueError, TypeError, AttributeError) as error:
            raise Stop(f"{path}: not an array of cells: {error}") from error


def choose(cells, only):
    names = [cell.name for cell in cells]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise Stop(f"two cells are called {', '.join(sorted(doubled))}")
    wanted = [name for text in only for name in text.split(",") if name]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise Stop(f"no such cell: {', '.join(unknown)}; there are {', '.join(names)}")
    return [cell for cell in cells if not wanted or cell.name in wanted]


def git(*args):
    done = subprocess.run(["git", "-C", REPO, *args], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def commit():
    """The commit, with -changed where tracked files differ from it; None outside a repository."""
    head = git("rev-parse", "HEAD")
    return head and head + ("-changed" if git("status", "--porcelain", "--untracked-files=no") else "")


def host():
    """What figures of time depend on."""
    model = platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), model)
    return {"name": platform.node(), "processor": model, "cores": len(os.sched_getaffinity(0)), "system": platform.system() + " " + platform.release()}


def made_of(root, cell, part):
    """Digest of what decides the figures: command, environment, part, the program's bytes, its input files."""
    h = hashlib.sha256(json.dumps([cell.argv, sorted(cell.env.items()), part]).encode())
    for path in (cell.argv[0], *cell.inputs):
        with open(os.path.join(root, path), "rb") as file:
            h.update(hashlib.sha256(file.read()).digest())
    return h.hexdigest()


def result_path(results, cell, part):
    return os.path.join(results, f"{cell.name}.{part}.json")


def read_result(path):
    """A result, or None where there is none; a damaged file is none, and said."""
    try:
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        if not isinstance(result, dict) or result.get("v") != 1:
            raise ValueError("not a result of this version")
        return result
    except FileNotFoundError:
        return None
    except ValueError as error:
        print(f"{path}: {error}; it counts as missing", file=sys.stderr)
        return None


def write_whole(path, text):
    """The file has the old content or the new one, never half."""
    tmp = path + ".tmp"
    with open(tmp, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(tmp, path)


def split_output(text):
    """(JSON objects, other lines, how many lines were dropped)"""
    rows, other = [], []
    lines = text.splitlines()
    for line in lines[:LINES_MAX]:
        try:
            value = json.loads(line) if line.startswith("{") else None
        except ValueError:
            value = None
        if isinstance(value, dict):
            rows.append(value)
        elif line.strip():
            other.append(line)
    return rows, other, max(0, len(lines) - LINES_MAX)


def run_program(argv, env, limit_s, out, err):
    """(wait status, seconds, peak bytes, whether the limit ended it); its whole process group goes with it."""
    start, child, late, asked = time.monotonic(), None, False, []
    handler = signal.signal(signal.SIGINT, lambda *_: asked.append(True))  # an interrupt waits until the child is known
    try:
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=REPO, start_new_session=True)
        signal.signal(signal.SIGINT, handler)
        if asked and callable(handler):
            handler(signal.SIGINT, None)
        with open(os.pidfd_open(child.pid), "rb", buffering=0) as ends:
            late = not select.select([ends], [], [], limit_s)[0]
        if late:
            os.killpg(child.pid, signal.SIGKILL)  # not reaped yet: the id is still its own
    except BaseException:  # interrupted: nothing is written, the next call begins this cell again
        if child:
            os.killpg(child.pid, signal.SIGKILL)
        raise
    finally:
        signal.signal(signal.SIGINT, handler)
        if child:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, time.monotonic() - start, usage.ru_maxrss * 1024, late


def judge(code, late, limit_s, other, err, rows):
    """(status, reason)"""
    last = (err.strip().splitlines() or other or [""])[-1]
    if late:
        return "timeout", f"not finished after {limit_s:g} s"
    if code == SKIPPED:
        return "skipped", (other or err.strip().splitlines() or ["its data are not here"])[-1]
    if code:
        return "failed", f"{'signal ' + str(-code) if code < 0 else 'exit status ' + str(code)}: {last}"
    if not rows and not other:
        return "failed", "it printed nothing"
    return "ok", ""


def read_summary(path):
    """The rows of a run directory."""
    try:
        with open(path, encoding="utf-8") as file:
            return split_output(file.read())[0]
    except FileNotFoundError:
        return []


def note_final(results, cell):
    """A read of test labels counts from the moment it may happen."""
    line = {"cell": cell.name, "at": now(), "commit": commit()}
    with open(os.path.join(results, "final-reads.jsonl"), "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def run_cell(cell, part, results, data, key):
    """Runs it and writes its result, which it returns."""
    env = {**os.environ, "CROSSFED_DATA": os.path.abspath(data), **cell.env}
    env.pop("FINAL", None)
    if part == "final":
        env["FINAL"] = "1"
        note_final(results, cell)
    started, of = now(), commit()  # before it runs: the tree may move on meanwhile
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryDirectory(prefix="out.", dir=results) as folder:
        made = os.path.join(folder, "run")
        argv = [os.path.join(REPO, cell.argv[0]), *(made if arg == OUT else arg for arg in cell.argv[1:])]
        code, seconds, peak, late = run_program(argv, env, cell.limit_s, out, err)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
        summary = read_summary(os.path.join(made, "summary.json"))
    rows, other, dropped = split_output(texts[0])
    rows += summary
    status, reason = judge(code, late, cell.limit_s, other, texts[1], rows)
    result = {"v": 1, "cell": cell.name, "table": cell.table, "part": part, "status": status, "reason": reason, "command": list(cell.argv),
              "env": {**cell.env, **({"FINAL": "1"} if part == "final" else {})}, "commit": of, "host": host(), "seeds": cell.seeds,
              "started": started, "seconds": round(seconds, 3), "peak_rss_bytes": peak, "exit": code, "made_of": key, "rows": rows,
              "text": other, "stderr": texts[1][-4000:], "lines_dropped": dropped}
    write_whole(result_path(results, cell, part), json.dumps(result, indent=1) + "\n")
    return result


def missing(root, cell, part, data_root):
    """Why a cell cannot run here, or None."""
    if cell.parts == FINAL_ONLY and part != "final":
        return "it prints test figures; FINAL=1 runs it"
    if cell.parts == DEVELOPMENT_ONLY and part == "final":
        return "it reads no test labels; without FINAL=1 it runs"
    if cell.data and not os.path.exists(os.path.join(data_root, cell.data)):
        return f"no {cell.data} below {data_root} (CROSSFED_DATA names the folder)"
    absent = [path for path in (cell.argv[0], *cell.inputs) if not os.path.isfile(os.path.join(root, path))]
    return f"{absent[0]} is not there; make bench-tables builds it" if absent else None


def say(cell, part, status, seconds, reason):
    took = f"{seconds:8.1f} s" if seconds is not None else " " * 10
    print(f"{cell.name:20} {part:12} {status:9}{took}  {reason}".rstrip(), flush=True)


def run_all(cells, part, args):
    """How many cells failed."""
    os.makedirs(args.results, exist_ok=True)
    lock = open(os.path.join(args.results, ".lock"), "w", encoding="utf-8")
    fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time: times would be of two
    begin, failed, left = time.monotonic(), 0, []
    for cell in cells:
        why = missing(REPO, cell, part, args.data)
        if why:
            say(cell, part, "skipped", None, why)
            continue
        key = made_of(REPO, cell, part)
        old = read_result(result_path(args.results, cell, part))
        if old and old["status"] == "ok" and old["made_of"] == key and not args.again:
            say(cell, part, "there", old["seconds"], "made before by this program; AGAIN=1 runs it again")
            continue
        if time.monotonic() - begin >= args.budget * 60:
            left.append(cell.name)
            continue
        result = run_cell(cell, part, args.results, args.data, key)
        say(cell, part, result["status"], result["seconds"], result["reason"])
        failed += result["status"] in ("failed", "timeout")
    if left:
        print(f"{args.budget:g} minutes are over; the same call goes on with {', '.join(left)}")
    lock.close()
    return failed


def list_cells(cells, args):
    for cell in cells:
        state = []
        for part in ("development", "final"):
            old = read_result(result_path(args.results, cell, part))
            if old:
                state.append(f"{part} {old['status']} {old['seconds']:.1f} s")
        env = "".join(f"{k}={v} " for k, v in sorted(cell.env.items()))
        print(f"{cell.name:20} {env}{' '.join(cell.argv)}\n{'':20} table: {cell.table}; data: {cell.data or 'see the program'};"
              f" {'development and final' if cell.parts == BOTH else cell.parts + ' only'}; {', '.join(state) or 'no result'}")


def parse(argv):
    ap = argparse.ArgumentParser(description="make the tables of docs/BENCHMARKS.md", epilog=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--only", action="append", default=[], metavar="CELL[,CELL]", help="only these cells (repeat for more)")
    ap.add_argument("--list", action="store_true", help="list the cells and stop")
    ap.add_argument("--print", action="store_true", help="print the results there are as Markdown and stop")
    ap.add_argument("--again", action="store_true", help="run also what is there")
    ap.add_argument("--budget", type=float, default=BUDGET_S / 60, metavar="MINUTES", help="begin no cell after this long (%(default)g)")
    ap.add_argument("--results", default=os.path.join(REPO, "bench-results"), metavar="DIR", help="where results are (bench-results)")
    ap.add_argument("--data", default=os.environ.get("CROSSFED_DATA") or os.path.join(REPO, "../shared/data"), metavar="DIR", help="$CROSSFED_DATA")
    ap.add_argument("--cells", metavar="FILE", help="cells of a JSON file instead of the table's")
    return ap.parse_args(argv)


def main(argv=None):
    args = parse(argv)
    try:
        known = read_cells(args.cells) if args.cells else list(CELLS)
        cells = choose(known if args.cells else known + found_cells(REPO, known), args.only)
    except (Stop, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    part = "final" if os.environ.get("FINAL") == "1" else "development"
    if args.list:
        list_cells(cells, args)
        return 0
    if args.print:
        results = [read_result(result_path(args.results, cell, p)) for cell in cells for p in ("development", "final")]
        print(tables_print.document([r for r in results if r], os.path.join(args.results, "final-reads.jsonl")), end="")
        return 0
    return 1 if run_all(cells, part, args) else 0


if __name__ == "__main__":
    sys.exit(main())
