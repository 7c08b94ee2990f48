"""tests/bench/tables.py, the runner of `make bench-tables`: cells made up here, what it keeps of them, when it runs them again."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import REPO, run_command

RUNNER = REPO / "tests/bench/tables.py"
ROWS = [{"market": "t1", "arm": "popularity", "ndcg_10": .25, "se": .01}, {"market": "t1", "arm": "pooled", "ndcg_10": .5, "se": .02, "stamp": "seeded"},
        {"market": "s3", "arm": "popularity", "ndcg_10": .125, "se": .01}, {"market": "s3", "arm": "pooled", "ndcg_10": None, "se": None}]
SUMMARY = {"v": 1, "wall_s": 1.5, "bytes_up": 1234567, "metrics": [
    {"scope": "domain:a", "arm": "alone", "split": "test", "served": False, "hr_10_s999": .5},
    {"scope": "domain:a", "arm": "guarded", "split": "test", "served": True, "hr_10_s999": .75}]}


class Bench:
    """A folder with programs, a table of cells and results."""

    def __init__(self, folder):
        self.folder, self.results, self.cells = folder, folder / "results", []
        (folder / "data" / "there").mkdir(parents=True)

    def add(self, name, script, **fields):
        """A cell whose program is a shell script; it counts its runs in <name>.runs."""
        program = self.folder / name
        program.write_text(f"#!/bin/sh\necho run >>{self.folder}/{name}.runs\n{script}\n")
        program.chmod(0o755)
        self.cells.append({"name": name, "argv": [str(program)], "table": "Made up", **fields})

    def runs(self, name):
        path = self.folder / f"{name}.runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def argv(self, *args):
        path = self.folder / "cells.json"
        path.write_text(json.dumps(self.cells))
        return [sys.executable, RUNNER, "--cells", path, "--results", self.results, "--data", self.folder / "data", *args]

    def run(self, *args, status=0, **env):
        return run_command(self.argv(*args), status=status, env=env)

    def result(self, name, part="development"):
        return json.loads((self.results / f"{name}.{part}.json").read_text())


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def echo(*values):
    return "".join(f"echo '{json.dumps(value)}'\n" for value in values)


def test_a_result_says_where_it_is_from_and_is_not_made_twice(bench):
    bench.add("good", echo(*ROWS) + 'echo "in words"; echo "$CROSSFED_DATA $SEEDS" >&2', env={"SEEDS": "5"}, seeds="five")
    assert "good" in bench.run().out
    result = bench.result("good")
    assert result["status"] == "ok" and result["rows"] == ROWS and result["text"] == ["in words"]
    assert result["stderr"] == f"{bench.folder}/data 5\n" and result["env"] == {"SEEDS": "5"} and result["seeds"] == "five"
    assert result["command"] == [str(bench.folder / "good")] and result["part"] == "development" and result["exit"] == 0
    assert result["host"]["cores"] > 0 and 0 < result["seconds"] < 60 and result["peak_rss_bytes"] > 100000
    head = subprocess.run(["git", "-C", REPO, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    assert (result["commit"] or "").startswith(head)
    assert "there" in bench.run().out and bench.runs("good") == 1
    bench.run("--again")
    assert bench.runs("good") == 2
    # Another program, another environment, a damaged result: made anew.
    (bench.folder / "good").write_text((bench.folder / "good").read_text() + echo({"more": 1}))
    bench.run()
    assert bench.runs("good") == 3 and bench.result("good")["rows"][-1] == {"more": 1}
    bench.cells[0]["env"] = {"SEEDS": "6"}
    bench.run()
    assert bench.runs("good") == 4
    (bench.results / "good.development.json").write_text('{"v": 1, "status')
    assert "counts as missing" in bench.run().err and bench.runs("good") == 5


def test_failures_are_results_too_and_do_not_stop_the_rest(bench):
    bench.add("bad", "echo '{\"n\": 1}'; echo the reason >&2; exit 3")
    bench.add("killed", "kill -SEGV $$")
    bench.add("mute", "true")
    bench.add("absent", "echo no such data; exit 77")
    bench.add("elsewhere", "echo '{}'", data="not-there")
    bench.add("good", echo(*ROWS), data="there")
    shown = bench.run(status=1).out
    assert bench.result("bad")["status"] == "failed" and bench.result("bad")["reason"] == "exit status 3: the reason"
    assert bench.result("bad")["rows"] == [{"n": 1}]
    assert "signal 11" in bench.result("killed")["reason"] and bench.result("mute")["reason"] == "it printed nothing"
    assert bench.result("absent")["status"] == "skipped" and bench.result("absent")["reason"] == "no such data"
    assert "no not-there below" in shown and bench.runs("elsewhere") == 0 and bench.result("good")["status"] == "ok"
    bench.run(status=1)  # what failed is tried again, what is there is not
    assert bench.runs("bad") == 2 and bench.runs("good") == 1
    assert "**failed**: exit status 3: the reason" in bench.run("--print").out


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(.02)


def test_a_cell_over_its_limit_ends_with_its_children(bench):
    bench.add("slow", f"sleep 600 & echo $! >{bench.folder}/child; echo '{{\"n\": 1}}'; wait", limit_s=.5)
    bench.add("good", echo(*ROWS))
    bench.run(status=1)
    slow = bench.result("slow")
    assert slow["status"] == "timeout" and slow["reason"] == "not finished after 0.5 s" and .4 < slow["seconds"] < 30
    assert slow["rows"] == [{"n": 1}] and bench.result("good")["status"] == "ok"
    child = int((bench.folder / "child").read_text())
    wait_until(lambda: not alive(child))


def test_an_interrupted_cell_leaves_nothing_and_is_begun_again(bench):
    bench.add("first", echo(*ROWS))
    bench.add("slow", f"echo $$ >{bench.folder}/pid.tmp; mv {bench.folder}/pid.tmp {bench.folder}/pid; test -e {bench.folder}/go || sleep 600; echo '{{}}'")
    listens = ["env", "--default-signal=INT"]  # a suite that runs in the background ignores it
    runner = subprocess.Popen([*listens, *map(str, bench.argv())], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: (bench.folder / "pid").exists())
    runner.send_signal(signal.SIGINT)
    assert runner.wait(timeout=20) != 0
    slow = int((bench.folder / "pid").read_text())
    wait_until(lambda: not alive(slow))
    assert not (bench.results / "slow.development.json").exists()
    (bench.folder / "go").touch()
    bench.run()
    assert bench.runs("first") == 1 and bench.runs("slow") == 2 and bench.result("slow")["status"] == "ok"


def test_a_run_directory_is_read_and_removed(bench):
    bench.add("plan", f"echo a table; mkdir \"$1\"; echo '{json.dumps(SUMMARY)}' >\"$1/summary.json\"")
    bench.cells[0]["argv"].append("{out}")
    bench.run()
    result = bench.result("plan")
    assert result["rows"] == [SUMMARY] and result["text"] == ["a table"] and result["command"][1] == "{out}"
    assert not list(bench.results.glob("out.*"))


def test_no_cell_begins_when_the_time_is_over(bench):
    bench.add("good", echo(*ROWS))
    assert "goes on with good" in bench.run("--budget", "0").out and bench.runs("good") == 0


def test_test_labels_are_read_only_when_asked_and_counted(bench):
    bench.add("both", "echo \"{\\\"final\\\": \\\"${FINAL:-no}\\\"}\"")
    bench.add("plan", echo(SUMMARY), parts="final")
    bench.add("never", echo({}), parts="development")
    assert "FINAL=1 runs it" in bench.run().out and bench.runs("plan") == 0
    assert bench.result("both")["rows"] == [{"final": "no"}] and not (bench.results / "final-reads.jsonl").exists()
    assert "reads no test labels" in bench.run(FINAL="1").out
    bench.run(FINAL="1")
    assert bench.result("both", "final")["rows"] == [{"final": "1"}] and bench.result("both")["rows"] == [{"final": "no"}]
    bench.run("--only", "both", "--again", FINAL="1")
    reads = [json.loads(line)["cell"] for line in (bench.results / "final-reads.jsonl").read_text().splitlines()]
    assert reads == ["both", "plan", "both"] and bench.runs("never") == 1
    assert "read here by both (2), plan (1)" in bench.run("--print").out


def test_tables_in_markdown(bench):
    bench.add("arms", echo({"items": 12015}, *ROWS, {"x": 1, "word": "a|b"}, {"x": 20000, "word": "c"},
                           {"arm": "a", "hr_10": .5, "minus_b": .25, "se": .125}, {"arm": "b", "hr_10": .25, "minus_b": 0.0, "se": 0.0}) + "echo loose words")
    bench.add("plan", echo(SUMMARY))
    bench.run()
    lines = bench.run("--print").out.splitlines()
    assert lines[0] == "## Made up" and lines.count("## Made up") == 1 and "### arms, development" in lines
    for line in ("items 12,015.", "| market | popularity | pooled |", "| t1 | 0.2500 (0.0100) | 0.5000 (0.0200) |", "| s3 | 0.1250 (0.0100) | - |",
                 "seeded.", "| x | word |", "| 1 | a\\|b |", "| 20,000 | c |", "| a | b |", "| 0.5000 | 0.2500 |", "| 0.2500 (0.1250) | 0.0000 (0.0000) |", "    loose words", "| alone | guarded |", "| 0.5000 | 0.7500 * |",
                 "scope domain:a; split test; * is what the silo serves.", "v 1; wall_s 1.5000; bytes_up 1,234,567."):
        assert line in lines, line


def test_one_cell_the_list_and_wrong_names(bench):
    bench.add("one", echo({}))
    bench.add("two", echo({}))
    bench.run("--only", "two")
    assert (bench.runs("one"), bench.runs("two")) == (0, 1)
    listed = bench.run("--list").out
    assert "development ok" in listed and "no result" in listed and "table: Made up" in listed
    assert "no such cell: thre; there are one, two" in bench.run("--only", "one,thre", status=2).err
    bench.add("one", echo({}))
    assert "two cells are called one" in bench.run("--list", status=2).err
    bench.cells[0]["colour"] = "red"
    assert "not an array of cells" in bench.run("--list", status=2).err


def test_every_cell_of_the_table_has_its_program_and_plan():
    listed = run_command([sys.executable, RUNNER, "--list"]).out.splitlines()
    names = [line.split()[0] for line in listed if not line.startswith(" ")]
    assert len(names) == len(set(names)) and {"xmrec", "xmcold"} <= set(names)
    for line in listed:
        words = line.split()
        if line.startswith(" "):
            continue
        program = next(w for w in words[1:] if "=" not in w)
        source = program if program.endswith(".py") else program.replace("build/release/", "") + "/main.c"
        assert program == "build/bin/crossfed" or (REPO / source).is_file(), line
        assert all((REPO / w).is_file() for w in words if w.endswith(".yaml")), line
    assert os.access(RUNNER, os.X_OK)
