"""crossfed sim sweep: what is run, what is chosen and by what, and that a killed one goes on."""

import hashlib
import json
import os
import signal
import subprocess
import time

import pytest

from exper import write_plan

USAGE, FAILED, LIMIT, CONFIG = 2, 1, 8, 78
GRID = ("--grid", "local.optimizer.lr=0.001,0.1", "--grid", "local.batch=8,40", "--seeds", "1..2")


@pytest.fixture
def plan(tmp_path):
    return write_plan(tmp_path)


def sweep(crossfed, plan, *args, out="sw", **kwargs):
    return crossfed("sim", "sweep", plan, *args, "--out", out, cwd=plan.parent, **kwargs)


def folders(out):
    return sorted(p for p in out.iterdir() if p.is_dir())


def final(folder, metric, split):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row[metric] for row in rows if (row["scope"], row["split"], row["arm"]) == ("global", split, "federated")][-1]


def test_every_cell_is_that_simulation(crossfed, plan):
    got = sweep(crossfed, plan, *GRID, "-j2", "--json").json()
    assert got["status"] == "done" and got["settings_tried"] == 4 and got["runs"] == 8 and got["failed"] == []
    assert got == json.loads((plan.parent / "sw/sweep.json").read_text())
    cells = folders(plan.parent / "sw")
    assert len(cells) == 8 and not any("part" in cell.name for cell in cells)
    one = next(cell for cell in cells if cell.name.startswith("lr=0.1_batch=40_seed=2-"))
    alone = crossfed("sim", plan, "--set", "local.optimizer.lr=0.1", "--set", "local.batch=40", "--seed", "2", "--json").json()
    assert json.loads((one / "summary.json").read_text())["model_blake2b"] == alone["model_blake2b"]
    assert not (one / "stderr.txt").exists()


def test_best_by_validation_and_its_test_figure_only(crossfed, plan):
    got = sweep(crossfed, plan, *GRID, "--metric", "acc", "--json").json()
    means = {}
    for cell in folders(plan.parent / "sw"):
        means.setdefault(cell.name.split("_seed=")[0], []).append((final(cell, "acc", "valid"), final(cell, "acc", "test")))
    mean = {name: [sum(column) / 2 for column in zip(*pairs)] for name, pairs in means.items()}
    best = max(mean, key=lambda name: mean[name][0])
    assert got["best"]["valid"]["mean"] == pytest.approx(mean[best][0]) and got["best"]["test"]["mean"] == pytest.approx(mean[best][1])
    assert all(best in run for run in got["best"]["runs"]) and got["best"]["test_read_of_settings"] == 1
    shown = sweep(crossfed, plan, *GRID, "--metric", "acc")
    assert "8 of 8 runs are done already" in shown.err
    assert "4 settings tried in 8 runs\n" in shown.out and f"on test {mean[best][1]:.4f}" in shown.out and "(read for this setting alone)" in shown.out
    for name, (_, test) in mean.items():
        assert name == best or f"{test:.4f}" not in shown.out.split("tried")[1]
    # logloss: smaller is better
    got = sweep(crossfed, plan, *GRID, "--metric", "logloss", "--json").json()
    losses = {cell.name.split("_seed=")[0]: final(cell, "logloss", "valid") for cell in folders(plan.parent / "sw")}
    assert got["best"]["valid"]["mean"] < max(losses.values()) and "lr=0.1" in got["best"]["setting"]


def test_a_larger_grid_counts_what_was_tried(crossfed, plan):
    sweep(crossfed, plan, "--grid", "local.optimizer.lr=0.001,0.01", "--seeds", "1,2")
    shown = sweep(crossfed, plan, "--grid", "local.optimizer.lr=0.01,0.3", "--grid", "local.batch=8", "--seeds", "1,2")
    assert "2 of 4 runs are done already" in shown.err  # batch 8 is the plan's: the same plan under another name
    assert "3 settings tried in 6 runs, 1 of them of earlier grids in this folder" in shown.out
    reads = (plan.parent / "sw/test-reads.txt").read_text().splitlines()
    assert len(reads) in (1, 2) and (len(reads) == 1 or "test was read for 2 settings" in shown.out)
    table = crossfed("compare", plan.parent / "sw", "--json").json()
    assert [s["setting"] for s in table["settings"]] == ["lr=0.001", "lr=0.01", "lr=0.3"]


def test_killed_in_the_middle_and_repeated(crossfed, bin_dir, plan):
    args = [str(bin_dir / "crossfed"), "sim", "sweep", str(plan), *GRID, "-j", "2", "--out", "sw", "--set", "fed.rounds=40"]
    with subprocess.Popen(args, cwd=plan.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        until, out = time.monotonic() + 30, plan.parent / "sw"
        while time.monotonic() < until and not (out.exists() and any("part" not in p.name for p in folders(out))):
            time.sleep(.005)
        child.send_signal(signal.SIGKILL)
    time.sleep(.2)
    assert not children_in(out), "runs outlive a killed sweep"
    done = {p.name: (p / "summary.json").stat().st_mtime_ns for p in folders(out) if "part" not in p.name}
    assert 1 <= len(done)
    half = [p for p in folders(out) if "part" in p.name]
    if not half:  # the kill fell between two runs: a half one as a killed run leaves it
        (out / f"{GRID[1].replace('local.optimizer.', '')}.part").mkdir()
    for p in half:
        (p / "summary.json").write_text("{}")  # whatever lies there is not believed
        (p / "left.over").write_text("x")
    assert json.loads((out / "sweep.json").read_text())["status"] == "running"
    got = sweep(crossfed, plan, *GRID, "-j2", "--set", "fed.rounds=40", "--json")
    assert f"{len(done)} of 8 runs are done already" in got.err and got.json()["runs"] == 8
    cells = {p.name: p for p in folders(out) if "part" not in p.name}
    assert len(cells) == 8 and all((cells[name] / "summary.json").stat().st_mtime_ns == at for name, at in done.items())
    assert not any((p / "left.over").exists() for p in cells.values())
    whole = sweep(crossfed, plan, *GRID, "--set", "fed.rounds=40", "--json", out="undisturbed").json()
    assert got.json()["best"]["valid"] == whole["best"]["valid"] and got.json()["best"]["test"] == whole["best"]["test"]


def children_in(out):
    """Running simulations that write below the folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                argv = file.read().split(b"\0")
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
            cwd = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            continue
        if b"sim" in argv and cwd == str(out.parent) and state != "Z":
            found.append(pid)
    return found


def test_failed_runs_do_not_stop_the_others_and_are_tried_again(crossfed, plan):
    data = plan.parent / "c.csv"
    shown = sweep(crossfed, plan, "--grid", f"sim.data={plan.parent},{plan.parent}/nowhere", status=FAILED)
    assert "1 of 2 runs failed" in shown.err and "nowhere" in shown.err and "2 settings" not in shown.out
    assert "1 settings tried in 1 runs" in shown.out
    (plan.parent / "nowhere").mkdir()
    for name in ("a.csv", "b.csv", "c.csv"):
        (plan.parent / "nowhere" / name).write_text((plan.parent / name).read_text())
    shown = sweep(crossfed, plan, "--grid", f"sim.data={plan.parent},{plan.parent}/nowhere")
    assert "1 of 2 runs are done already" in shown.err and "2 settings tried in 2 runs" in shown.out
    data.unlink()
    shown = sweep(crossfed, plan, "--seeds", "9", out="all-fail", status=FAILED)
    assert "all 1 runs failed" in shown.err and "c.csv" in shown.err


def test_refusals_before_anything_runs(crossfed, plan):
    def says(want, *args, status=USAGE):
        shown = sweep(crossfed, plan, *args, out="none", status=status)
        assert want in shown.err and not shown.out, shown.err
        assert not (plan.parent / "none").exists()

    says("must be KEY=V1,V2", "--grid", "lr")
    says("a value is empty", "--grid", "local.batch=8,,16")
    says("the value 8 is given twice", "--grid", "local.batch=8,8")
    says("--grid local.batch is given twice", "--grid", "local.batch=8", "--grid", "local.batch=9")
    says("local.batch is in --set and in --grid", "--set", "local.batch=8", "--grid", "local.batch=8,9")
    says("seeds are --seeds", "--grid", "seed=1,2")
    says("seeds are --seeds", "--set", "seed=2")
    for seeds in ("5..1", "1,x", "", "1..", "-1"):
        says("must be numbers, as 1..5", "--seeds", seeds)
    says("2 is given twice", "--seeds", "1..3,2")
    says("more than 1000 seeds", "--seeds", "1..2000")
    says("-j 0: must be 1 to 256", "-j0")
    says("unknown argument \"--frob\"", "--frob", "1")
    says("one PLAN.yaml", "other.yaml")
    says('"x" is not a number', "--grid", "local.optimizer.lr=0.1,x", status=CONFIG)
    says("unknown key", "--grid", "local.optimiser.lr=0.1", status=CONFIG)
    says("give one, as --set data.split.valid_fraction=0.1", "--set", "data.split.valid_fraction=0", status=CONFIG)
    says("more than 10000 runs", "--grid", "local.batch=" + ",".join(map(str, range(1, 102))), "--seeds", "1..100", status=LIMIT)


def test_changed_or_foreign_folders_are_refused(crossfed, plan):
    sweep(crossfed, plan, "--seeds", "1")
    cell = folders(plan.parent / "sw")[0]
    text = (cell / "plan.resolved.yaml").read_text()
    (cell / "plan.resolved.yaml").write_text(text.replace("rounds: 6", "rounds: 5"))
    assert "is not the finished run that a sweep left there" in sweep(crossfed, plan, "--seeds", "1", status=None).err
    (cell / "plan.resolved.yaml").write_text(text)
    assert "1 of 1 runs are done already" in sweep(crossfed, plan, "--seeds", "1").err
    assert "is a run's directory" in sweep(crossfed, plan, out=str(cell), status=FAILED).err


def test_lists_in_a_grid_and_a_folder_by_default(crossfed, plan):
    got = crossfed("sim", "sweep", plan, "--grid", "arms=[federated],[alone, federated]", "--json", cwd=plan.parent).json()
    assert got["out"] == "runs/tiny" and got["settings_tried"] == 2
    assert len(folders(plan.parent / "runs/tiny")) == 2
    assert "the same command goes on" in crossfed("sim", "sweep", "--help").out.lower()


def test_runs_of_another_build_are_run_again(crossfed, bin_dir, plan):
    """The same program with a byte after its end stands for a new build; a setting of an earlier grid by the old one is not chosen."""
    other = plan.parent / "other-build"
    other.write_bytes((bin_dir / "crossfed").read_bytes() + b"\n")
    other.chmod(0o755)

    def new(*args):
        done = subprocess.run([other, "sim", "sweep", plan, *args, "--out", "sw", "--json"], cwd=plan.parent, check=True,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)
        return done.stderr, json.loads(done.stdout)

    grid = ("--grid", "local.optimizer.lr=0.001,0.1")
    assert "lr=0.1" in sweep(crossfed, plan, *grid, "--json").json()["best"]["setting"]
    half = plan.parent / "sw" / (folders(plan.parent / "sw")[0].name + ".part")
    half.mkdir()
    (half / "left.over").write_text("x")
    said, got = new("--grid", "local.optimizer.lr=0.001")
    assert "1 of 1 runs in sw are of another build of crossfed and are run again" in said and "1/1" in said
    assert "1 settings in sw have runs of another build" in said
    assert "lr=0.001" in got["best"]["setting"] and got["settings_tried"] == 2
    said, got = new(*grid)
    assert "1 of 2 runs are done already" in said and "1 of 2 runs in sw are of another build" in said and "are not chosen" not in said
    assert "lr=0.1" in got["best"]["setting"] and len(folders(plan.parent / "sw")) == 2
    said, _ = new(*grid)
    assert "2 of 2 runs are done already" in said and "another build" not in said
    digest = hashlib.blake2b(other.read_bytes(), digest_size=32).hexdigest()
    assert all((cell / "program.txt").read_text() == digest + "\n" for cell in folders(plan.parent / "sw"))
