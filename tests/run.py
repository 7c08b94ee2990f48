#!/usr/bin/python3
"""Runs the test suite: `make check`, `make check-long`, and the unit tests of one module (`--units`).

What it runs is the table PARTS below; to add a part, add one line there. A part is a name, a function
that runs it, a time limit and the suites it belongs to. The functions of tests/parts.py cover the usual
cases: build, unit tests, programs of a folder, one command, fuzz targets, pytest. A part whose tests do
not exist contributes nothing; a build that fails counts as failed. The whole output of a part is in
build/check/<part>.log. The last line is always "N passed, N failed, N skipped".
"""

import argparse
import fcntl
import os
import sys
import time

import parts as p
from parts import Part

CHECK, LONG = "check", "long"
BOTH = (CHECK, LONG)

PARTS = (
    #    name, what runs, limit in seconds, suites
    Part("lint", p.command(p.PYTHON, "tests/lint/lint.py", "--tap"), 180, BOTH),
    Part("lint-selftest", p.command(p.PYTHON, "tests/lint/selftest.py", "--tap"), 120, BOTH),
    Part("build", p.build("release", "all tests"), 600, BOTH),
    Part("build-faults", p.build("faults", "all replay-bins"), 600, BOTH),
    Part("binaries", p.command(p.PYTHON, "tests/lint/lint.py", "--tap", "--only", "binaries"), 60, BOTH),
    Part("blas", p.program("release", "prop/blas"), 120, BOTH),
    Part("unit", p.programs("release", "unit"), 300, BOTH),
    Part("grad", p.programs("release", "grad"), 300, BOTH),
    Part("grad-plain-blas", p.programs("release", "grad", env={"OPENBLAS_CORETYPE": "Nehalem"}), 300, BOTH),
    Part("grad-avx2-blas", p.programs("release", "grad", env={"OPENBLAS_CORETYPE": "Haswell"}), 300, (LONG,)),
    Part("grad-base", p.programs("release", "grad", env={"CROSSFED_KERNELS": "base"}), 300, BOTH),
    Part("grad-avx2", p.on_cpu("avx2", p.programs("release", "grad", env={"CROSSFED_KERNELS": "avx2"})), 300, (LONG,)),
    Part("unit-base", p.programs("release", "unit", env={"CROSSFED_KERNELS": "base"}), 300, (LONG,)),
    Part("unit-avx2", p.on_cpu("avx2", p.programs("release", "unit", env={"CROSSFED_KERNELS": "avx2"})), 300, (LONG,)),
    Part("prop", p.programs("release", "prop"), 300, BOTH),
    Part("replay", p.programs("release", "replay"), 300, BOTH),
    Part("faults", p.programs("faults", "unit", only=r"^#ifdef XF_FAULTS"), 300, (CHECK,)),
    Part("faults-long", p.programs("faults", "unit"), 600, (LONG,)),
    Part("dst", p.program("faults", "replay/dst", "--seconds", "30"), 120, (CHECK,)),
    Part("dst-long", p.program("faults", "replay/dst", "--seconds", "300"), 600, (LONG,)),
    Part("integration", p.pytest("tests/integration", marks="not long"), 420, (CHECK,)),
    Part("integration-long", p.pytest("tests/integration"), 3600, (LONG,)),
    Part("clang", p.build("release", "all tests", cc="clang"), 600, BOTH),
    Part("clang-unit", p.programs("release", "unit", cc="clang"), 300, (LONG,)),
    Part("clang-grad", p.programs("release", "grad", cc="clang"), 300, (LONG,)),
    Part("asan-unit", p.programs("asan", "unit"), 420, BOTH),
    Part("asan-prop", p.programs("asan", "prop"), 420, BOTH),
    Part("asan-replay", p.programs("asan", "replay"), 420, BOTH),
    Part("asan-grad", p.programs("asan", "grad"), 900, (LONG,)),
    Part("asan-integration", p.pytest("tests/integration", "asan", marks="sanitize and not long"), 300, (CHECK,)),
    Part("asan-integration-long", p.pytest("tests/integration", "asan"), 2400, (LONG,)),
    Part("tsan", p.programs("tsan", "unit grad prop replay", only=r"^// tsan\b"), 420, (CHECK,)),
    Part("tsan-long", p.programs("tsan", "unit grad prop replay"), 1800, (LONG,)),
    Part("tsan-integration", p.pytest("tests/integration", "tsan", marks="threads and not long"), 300, (CHECK,)),
    Part("tsan-integration-long", p.pytest("tests/integration", "tsan"), 3600, (LONG,)),
    Part("fuzz", p.fuzz(seconds=5), 300, (CHECK,)),
    Part("fuzz-long", p.fuzz(seconds=60), 1800, (LONG,)),
)


def run_part(part):
    """Runs one part, prints its line and, if something failed, the tail of its log."""
    os.makedirs("build/check", exist_ok=True)
    path = os.path.join("build/check", part.name + ".log")
    start = time.monotonic()
    with open(path, "w", encoding="utf-8", errors="replace") as log:
        run = p.Run(part.name, log, start + part.limit_s)
        try:
            part.function(run)
        except OSError as error:
            run.add("(cannot run)", "failed", str(error))
        except p.Expired as late:
            run.add("(time limit)", "failed", f"not finished after {part.limit_s} s: {late}")
    wall = time.monotonic() - start
    n = run.counts()
    if sum(n.values()):
        print(f"{part.name:24}{n['passed']:7} passed{n['failed']:5} failed{n['skipped']:5} skipped{wall:8.1f} s", flush=True)
    for name, outcome, text in run.results:
        if outcome == "failed":
            print(f"  FAILED {part.name}: {name}{': ' + text if text else ''}", flush=True)
    if n["failed"]:
        with open(path, encoding="utf-8", errors="replace") as log:
            tail = log.read().rstrip().splitlines()[-40:]
        print(f"  --- the end of {path}")
        print("\n".join("  | " + line for line in tail), flush=True)
    return run


def report_skips(runs):
    reasons = {}
    for run in runs:
        for name, outcome, text in run.results:
            if outcome == "skipped":
                reasons.setdefault(text or "no reason given", []).append(f"{run.name}: {name}")
    for reason, names in reasons.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        print(f"skipped: {reason} ({', '.join(names[:3])}{more})")


def hold_build_lock():
    """One suite at a time in this tree; the lock goes when the process does."""
    os.makedirs("build", exist_ok=True)
    lock = open("build/.lock", "w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("another check runs in this tree; waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def main():
    ap = argparse.ArgumentParser(description="run the test suite", epilog=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--part", action="append", metavar="NAME", help="run only this part (repeat for more)")
    ap.add_argument("--list", action="store_true", help="list the parts and stop")
    ap.add_argument("--long", action="store_true", help="the long suite (make check-long)")
    ap.add_argument("--units", nargs="*", metavar="PROGRAM", help="run these built test programs and stop")
    args = ap.parse_args()
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

    if args.units is not None:
        sys.exit(p.run_units(args.units))
    suite = LONG if args.long else CHECK
    if args.list:
        for part in PARTS:
            print(f"{part.name:24}{part.limit_s:6} s  {' '.join(part.suites)}")
        return
    chosen = [part for part in PARTS if suite in part.suites]
    if args.part:
        chosen = [part for part in PARTS if part.name in args.part]
        unknown = set(args.part) - {part.name for part in PARTS}
        if unknown:
            sys.exit(f"no such part: {', '.join(sorted(unknown))}; --list shows them")

    lock = hold_build_lock()
    start = time.monotonic()
    runs = [run_part(part) for part in chosen]
    lock.close()
    report_skips(runs)
    total = {key: sum(run.counts()[key] for run in runs) for key in ("passed", "failed", "skipped")}
    print(f"{time.monotonic() - start:.0f} s")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    sys.exit(1 if total["failed"] or not total["passed"] else 0)


if __name__ == "__main__":
    main()
