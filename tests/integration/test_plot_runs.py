"""crossfed plot of run directories: curves over seeds with a band, against the runs' own lines."""

import json
import statistics
import xml.etree.ElementTree as ElementTree

import pytest

from exper import write_plan

USAGE, FAILED = 2, 1
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, crossfed):
    """Run directories: two rates, two seeds each."""
    folder = tmp_path_factory.mktemp("runs")
    plan, dirs = write_plan(folder), []
    for lr in ("0.02", "0.1"):
        for seed in (1, 2):
            dirs.append(folder / f"r{lr}-{seed}")
            crossfed("sim", plan, "--set", f"local.optimizer.lr={lr}", "--seed", seed, "--threads", "1", "--out", dirs[-1])
    return dirs


def curve(run, metric, split, cost):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(cost(row), row[metric]) for row in rows if (row["scope"], row["split"]) == ("global", split)]


def points(text):
    return [tuple(map(float, p.split(","))) for p in text.split()]


@pytest.mark.parametrize("args, metric, split, cost", [
    ((), "acc", "valid", lambda row: row["commits"]),
    (("--y", "logloss", "--split", "test", "--x", "bytes"), "logloss", "test", lambda row: row["bytes_up"] + row["bytes_down"]),
    (("--x", "time", "--logx"), "acc", "valid", None)])
def test_lines_and_bands(crossfed, runs, tmp_path, args, metric, split, cost):
    out = tmp_path / "fig.svg"
    assert not crossfed("plot", *runs, *args, "-o", out).out
    assert crossfed("plot", *runs, *args).out == out.read_text()
    root = ElementTree.fromstring(out.read_text())
    lines = [points(e.get("points")) for e in root.iter(SVG + "polyline")]
    bands = [points(e.get("points")) for e in root.iter(SVG + "polygon")]
    texts = {"".join(e.itertext()) for e in root.iter()}
    assert len(lines) == len(bands) == 2 and {"lr=0.02", "lr=0.1", metric} <= texts
    assert any("one deviation over seeds" in text for text in texts)
    if cost is None:
        assert len(lines[0]) == 3
        return
    drawn, want = [], []
    for k, (line, band) in enumerate(zip(lines, bands)):
        curves = [curve(run, metric, split, cost) for run in runs[2 * k:2 * k + 2]]
        assert len(line) == 3 and len(band) == 6
        for i, pairs in enumerate(zip(*curves)):
            ys = [y for _, y in pairs]
            mean, sd = statistics.mean(ys), statistics.stdev(ys)
            drawn += [line[i], band[i], band[5 - i]]
            want += [(statistics.mean(x for x, _ in pairs), y) for y in (mean, mean + sd, mean - sd)]
    for axis in range(2):  # what is drawn is an affine map of what is wanted
        low, high = (min(range(len(want)), key=lambda i: want[i][axis]), max(range(len(want)), key=lambda i: want[i][axis]))
        slope = (drawn[high][axis] - drawn[low][axis]) / (want[high][axis] - want[low][axis])
        for d, w in zip(drawn, want):
            assert d[axis] == pytest.approx(drawn[low][axis] + slope * (w[axis] - want[low][axis]), abs=.03)


def test_one_run_has_no_band_to_speak_of(crossfed, runs):
    root = ElementTree.fromstring(crossfed("plot", runs[0], "--title", "one").out)
    (line,), (band,) = ([points(e.get("points")) for e in root.iter(SVG + tag)] for tag in ("polyline", "polygon"))
    assert band[:3] == line and "lr=0.02" not in {"".join(e.itertext()) for e in root.iter()}


def test_refusals(crossfed, runs, tmp_path):
    def says(want, *args, status=FAILED):
        shown = crossfed("plot", *args, status=status)
        assert want in shown.err and not shown.out, shown.err

    says("--x rounds: of runs it must be commits, bytes or time", runs[0], "--x", "rounds")
    says("are for a FILE", runs[0], "--series", "arm", status=USAGE)
    says("--split and --arm are for RUNs", "rows.jsonl", "--x", "a", "--y", "b", "--split", "test", status=USAGE)
    says("several RUNs must be directories", "a.jsonl", "b.jsonl", "--x", "a", "--y", "b", status=USAGE)
    says('no figure "auc"', *runs, "--y", "auc")
    says("no curve of acc by commits (arm alone, split valid)", *runs, "--arm", "alone")
    says("no metrics.jsonl there", tmp_path)
    says("no metrics.jsonl there", runs[0], tmp_path / "absent.jsonl")
