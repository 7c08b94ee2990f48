#!/usr/bin/python3
"""The rules of the house: `make lint`. One line per offence (path:line: what, and what to do); exit status 1 if any.

--only NAME runs one check, --list names them, --tap prints a result per check for the test runner. tests/lint/selftest.py
plants an offender for each check. A check is a generator of Finding over a Tree; add one and its offender together.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import compiled
import layers
import style
from source import Skip, Tree

CHECKS = {
    "graph": layers.graph,
    "includes": layers.includes,
    "thirdparty": layers.thirdparty,
    "format": style.formatted,
    "banned": style.banned,
    "tags": style.tags,
    "sizes": style.sizes,
    "standalone": compiled.standalone,
    "words": style.words,
    "text": style.text,
    "binaries": compiled.binaries,
}


def run_check(tree, name):
    """(findings, reason it was skipped or None)"""
    try:
        return list(CHECKS[name](tree)), None
    except Skip as reason:
        return [], str(reason)


def main():
    ap = argparse.ArgumentParser(description="the rules of the house")
    ap.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    ap.add_argument("--only", action="append", choices=CHECKS, help="run only this check (repeat for more)")
    ap.add_argument("--list", action="store_true", help="list the checks and stop")
    ap.add_argument("--tap", action="store_true", help="print TAP")
    args = ap.parse_args()
    if args.list:
        for name, check in CHECKS.items():
            print(f"{name:12} {check.__doc__.splitlines()[0]}")
        return
    tree = Tree(args.root)
    names = args.only or list(CHECKS)
    offences = warnings = 0
    if args.tap:
        print(f"1..{len(names)}")
    for number, name in enumerate(names, 1):
        findings, skipped = run_check(tree, name)
        bad = [f for f in findings if not f.warn]
        offences += len(bad)
        warnings += len(findings) - len(bad)
        for finding in findings:
            print(f"{finding} [{name}]")
        if skipped:
            print(f"{skipped}" if args.tap else f"lint: {name} skipped: {skipped}")
        if args.tap:
            print(f"not ok {number} # SKIP {name}" if skipped else f"{'not ok' if bad else 'ok'} {number} - {name}")
    if not args.tap:
        print(f"lint: {len(names)} checks, {offences} offences, {warnings} warnings")
    sys.exit(1 if offences else 0)


if __name__ == "__main__":
    main()
