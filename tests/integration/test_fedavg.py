"""tests/bench/fedavg.py, rounds to a target: where a curve crosses, what tuning reads, a cell on a few made-up images."""

import json
import sys

import pytest

from conftest import REPO
from test_federation import write_images


@pytest.fixture
def fedavg(monkeypatch, tmp_path, bin_dir):
    monkeypatch.syspath_prepend(str(REPO / "tests/bench"))
    import fedavg as module
    (tmp_path / "data/mnist").mkdir(parents=True)
    write_images(tmp_path / "data/mnist")
    monkeypatch.setattr(module, "HELD_OUT", 20)
    monkeypatch.setitem(module.CELLS, "tiny", module.Cell(
        "mnist-2nn", "iid", ("model.hidden=[16]", "sim.clients.n=4", "fed.cohort=1", "model.n_out=4"), .9, 7, 9, 60, -4, 2, 2))
    for name, value in (("CROSSFED_BIN", bin_dir), ("FEDAVG_RESULTS", tmp_path / "results"), ("CROSSFED_DATA", tmp_path / "data")):
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("FINAL", raising=False)
    yield module
    sys.modules.pop("fedavg", None)


@pytest.mark.parametrize("curve,rounds", [
    ([(1, .5), (2, .9)], 1.75),
    ([(2, .5), (4, .4), (6, .9)], 4 + 2 * .3 / .4),  # from the best so far
    ([(5, .8)], 5), ([(1, .1), (2, .7999)], None), ([], None)])
def test_where_a_curve_crosses(fedavg, curve, rounds):
    assert fedavg.crossing(curve, .8) == (pytest.approx(rounds) if rounds else None)


def test_tuning_reads_no_test_images(fedavg, tmp_path):
    source, made = tmp_path / "data/mnist", tmp_path / "made"
    made.mkdir()
    for path in source.glob("t10k-*"):
        path.unlink()  # not even opened
    fedavg.hold_out(source, made)
    rows = []
    for part, n in (("train", 40), ("t10k", 20)):
        images, labels = (made / f"{part}-images-idx3-ubyte").read_bytes(), (made / f"{part}-labels-idx1-ubyte").read_bytes()
        assert images[:16] == bytes([0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 28, 0, 0, 0, 28]) and labels[:8] == bytes([0, 0, 8, 1, 0, 0, 0, n])
        rows += [(images[16 + 784 * i:16 + 784 * (i + 1)], labels[8 + i]) for i in range(n)]
    images, labels = (source / "train-images-idx3-ubyte").read_bytes()[16:], (source / "train-labels-idx1-ubyte").read_bytes()[8:]
    assert sorted(rows) == sorted((images[784 * i:784 * (i + 1)], labels[i]) for i in range(60))  # each row once


def test_a_cell_is_tuned_then_run_and_both_resume(fedavg, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FINAL", "1")
    assert fedavg.main(["fedavg.py", "tiny"]) == 1 and "no rate is chosen yet" in capsys.readouterr().out
    monkeypatch.delenv("FINAL")
    assert fedavg.main(["fedavg.py", "tiny"]) == 0
    *tried, chosen = map(json.loads, capsys.readouterr().out.splitlines())
    best = min((row for row in tried if row["rounds"]), key=lambda row: row["rounds"])
    assert chosen["lr"] == best["lr"] and chosen["tries"] == len(tried) >= 2
    assert all(row["status"] == "reached" or row["run"] >= min(60, best["rounds"]) or row["best_acc"] <= .2 for row in tried)
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "results").glob("*development*")}
    assert fedavg.main(["fedavg.py", "tiny"]) == 0 and files == {p: p.stat().st_mtime_ns for p in files}  # nothing ran again
    capsys.readouterr()
    monkeypatch.setenv("FINAL", "1")
    assert fedavg.main(["fedavg.py", "tiny"]) == 0
    *rows, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [row["seed"] for row in rows] == [1, 2] and {row["lr"] for row in rows} == {chosen["lr"]}
    assert last["median_rounds"] == pytest.approx(sum(row["rounds"] for row in rows) / 2) and last["met"] == (last["median_rounds"] <= 9)
    kept = json.loads(next((tmp_path / "results").glob("tiny.final*.json")).read_text())
    assert kept["curve"] and kept["host"]["cores"] >= 1 and kept["commit"]
