"""What experiments leave and how it is compared: metrics.jsonl with costs, event files, crossfed compare."""

import csv
import io
import itertools
import json
import math
import statistics

import pytest

from exper import scalars, write_plan
from test_federation import make

pytestmark = pytest.mark.sanitize
USAGE, FAILED = 2, 1


@pytest.fixture(scope="module")
def runs(tmp_path_factory, crossfed):
    """(folder, [run directories]): two rates, three seeds each"""
    folder = tmp_path_factory.mktemp("runs")
    plan, dirs = write_plan(folder), []
    for lr in ("0.02", "0.1"):
        for seed in (1, 2, 3):
            dirs.append(folder / f"r{lr}-{seed}")
            crossfed("sim", plan, "--set", f"local.optimizer.lr={lr}", "--seed", seed, "--threads", "1", "--out", dirs[-1])
    return folder, dirs


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_lines_say_what_the_run_took(runs):
    rows = [row for row in lines(runs[1][0]) if row["scope"] == "global" and row["split"] == "valid"]
    assert [row["commits"] for row in rows] == [2, 4, 6] and [row["round"] for row in rows] == [3, 6, 9]
    for key in ("bytes_up", "bytes_down", "time_s"):
        first, second, third = (row[key] for row in rows)
        assert 0 < first < second < third and second - first == pytest.approx(third - second, rel=.2)


def test_event_files_hold_the_global_curves(runs):
    run = runs[1][0]
    path, want = run / "events.out.tfevents.crossfed", {}
    for row in lines(run):
        if row["scope"] == "global":
            for metric in ("acc", "logloss"):
                want.setdefault(f"{metric}/{row['split']}/{row['arm']}", []).append((row["commits"], pytest.approx(row[metric], rel=1e-6)))
    assert len(want) == 4 and scalars(path) == want
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        return  # the reader above is all there is
    board = EventAccumulator(str(run))
    board.Reload()
    assert {tag: [(e.step, e.value) for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]} == want


def figures(run, split, metric):
    rows = [row for row in lines(run) if row["split"] == split and row["arm"] == "federated"]
    value = [row[metric] for row in rows if row["scope"] == "global"][-1]
    last = {row["scope"]: row[metric] for row in rows if row["scope"] != "global"}
    return value, last.values()


@pytest.mark.parametrize("metric, split", [("acc", "valid"), ("logloss", "test")])
def test_means_over_seeds(crossfed, runs, metric, split):
    got = crossfed("compare", *runs[1], "--metric", metric, "--split", split, "--json").json()
    assert got["larger_is_better"] == (metric == "acc") and [s["setting"] for s in got["settings"]] == ["lr=0.02", "lr=0.1"]
    worst = min if metric == "acc" else max
    for k, setting in enumerate(got["settings"]):
        found = [figures(run, split, metric) for run in runs[1][3 * k:3 * k + 3]]
        for key, values in (("value", [value for value, _ in found]), ("worst", [worst(clients) for _, clients in found]),
                            ("gap", [max(clients) - min(clients) for _, clients in found])):
            assert setting[key] == {"mean": pytest.approx(statistics.mean(values)), "sd": pytest.approx(statistics.stdev(values)), "n": 3}
        assert setting["runs"] == [str(run) for run in runs[1][3 * k:3 * k + 3]] and setting["seeds"] == 3


def test_summaries_say_how_figures_are_spread(runs):
    for run in runs[1]:
        spread = {(s["arm"], s["split"]): s for s in json.loads((run / "summary.json").read_text())["spread"]}
        assert set(spread) == {(arm, split) for arm in ("alone", "federated") for split in ("valid", "test")}
        for (metric, worst, best), split in itertools.product((("acc", min, max), ("logloss", max, min)), ("valid", "test")):
            values = list(figures(run, split, metric)[1])
            assert spread["federated", split][metric] == {
                "clients": 3, "mean": pytest.approx(statistics.mean(values)), "sd": pytest.approx(statistics.stdev(values)),
                "worst_tenth": worst(values), "best_tenth": best(values)}


def crossing(curve, target):
    before, best = None, None
    for cost, value in curve:
        if value >= target:
            return [b + (a - b) * (target - best) / (value - best) for b, a in zip(before, cost)] if before else cost
        before, best = cost, value if best is None else max(best, value)
    return None


def test_rounds_bytes_and_time_to_a_target(crossfed, runs):
    curves = [[([row["commits"], row["bytes_up"] + row["bytes_down"], row["time_s"]], row["acc"]) for row in lines(run)
               if (row["scope"], row["split"]) == ("global", "valid")] for run in runs[1]]
    # above the first evaluation of some runs, and out of reach of at least one
    target = sorted(max(acc for _, acc in curve) for curve in curves)[1] + 1e-9
    want = [crossing(curve, target) for curve in curves]
    got = crossfed("compare", *runs[1], "--metric", "acc", "--target", repr(target), "--json").json()
    assert any(want) and not all(want)
    for k, setting in enumerate(got["settings"]):
        mine = want[3 * k:3 * k + 3]
        assert setting["reached"] == sum(w is not None for w in mine)
        for i, key in enumerate(("rounds_to_target", "bytes_to_target", "time_to_target")):
            if all(mine):
                assert setting[key]["mean"] == pytest.approx(statistics.mean(w[i] for w in mine))
            else:  # the mean of those that got there would flatter
                assert setting[key] == {"mean": None, "sd": None, "n": 0}


def test_formats_agree(crossfed, runs):
    args = ("compare", *runs[1], "--metric", "acc", "--target", ".6")
    got = crossfed(*args, "--json").json()["settings"]
    rows = list(csv.DictReader(io.StringIO(crossfed(*args, "--format", "csv").out)))
    assert [row["setting"] for row in rows] == [s["setting"] for s in got]
    for row, s in zip(rows, got):
        assert float(row["value_mean"]) == s["value"]["mean"] and float(row["value_sd"]) == s["value"]["sd"]
        assert row["metric"] == "acc" and row["seeds"] == "3" and row["reached"] == str(s["reached"])
    text, md = crossfed(*args).out.splitlines(), crossfed(*args, "--format", "md").out.splitlines()
    cell = f"{got[0]['value']['mean']:.4f} +- {got[0]['value']['sd']:.4f}"
    assert cell in text[3] and cell in md[2] and len({len(line) for line in text[2:]}) == 1
    assert len({line.count("|") for line in md}) == 1 and set(md[1]) <= set("|-:")
    one = crossfed("compare", runs[1][0], "--metric", "acc").out
    assert "+-" not in one.splitlines()[-1] and "tiny " in one  # one seed has no deviation, one setting its plan's name


def test_arms_without_a_curve(crossfed, runs):
    got = crossfed("compare", *runs[1][:3], "--metric", "acc", "--arm", "alone", "--split", "test", "--target", ".1", "--json")
    assert "no curve of arm alone" in got.err
    setting = got.json()["settings"][0]
    values = [statistics.mean(row["acc"] for row in lines(run) if row["arm"] == "alone" and row["split"] == "test") for run in runs[1][:3]]
    assert setting["value"]["mean"] == pytest.approx(statistics.mean(values)) and setting["reached"] == 0


def test_refusals(crossfed, runs, tmp_path):
    run = runs[1][0]

    def says(want, *args, status=FAILED):
        shown = crossfed("compare", *args, status=status)
        assert want in shown.err and not shown.out, shown.err

    says("RUN is missing", status=USAGE)
    says("--split both: must be valid", run, "--split", "both", status=USAGE)
    says("--format pdf: must be text", run, "--format", "pdf", status=USAGE)
    says("--target high: must be a number", run, "--target", "high", status=USAGE)
    says("unknown argument \"--frob\"", run, "--frob", "1", status=USAGE)
    says("no metrics.jsonl there", tmp_path)
    says("no metrics.jsonl there", tmp_path / "absent")
    says("are runs of the same plan and seed", run, f"{run}/")
    says('no figure "auc" of arm federated, split valid; there are metrics acc, logloss of arms and splits federated/valid', run, "--metric", "auc")
    says("not known whether larger is better", run, "--metric", "beauty")
    bad = tmp_path / "bad"
    bad.mkdir()
    for name in ("metrics.jsonl", "plan.resolved.yaml"):
        (bad / name).write_text((run / name).read_text())
    says("the run is not finished (no summary.json)", bad)
    (bad / "summary.json").write_text("{}")
    whole = (bad / "metrics.jsonl").read_text()
    for damaged, want in (("", "no figures"), (whole.replace('"commits"', '"comm', 1), "metrics.jsonl line 1"), ("[1]\n", "metrics.jsonl line 1: must be an object"),
                          ("\x00\x01\n", "metrics.jsonl line 1")):
        (bad / "metrics.jsonl").write_text(damaged)
        says(want, bad)
    (bad / "metrics.jsonl").write_text(whole)
    for damaged in ("", "name: x\n", "\nseed: many\n", "\nseed: 3\nnonsense\n"):
        (bad / "plan.resolved.yaml").write_text(damaged)
        says("plan.resolved.yaml", bad)


def test_null_figures_are_no_figures(crossfed, runs, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("plan.resolved.yaml", "summary.json"):
        (run / name).write_text((runs[1][0] / name).read_text())
    row = {"v": 1, "round": 3, "commits": 2, "bytes_up": 1, "bytes_down": 1, "time_s": 1.0, "scope": "global", "arm": "federated", "split": "valid"}
    (run / "metrics.jsonl").write_text("".join(json.dumps({**row, "commits": k, "acc": acc}) + "\n" for k, acc in ((2, .5), (4, None))))
    got = crossfed("compare", run, "--metric", "acc", "--json").json()["settings"][0]
    assert got["value"] == {"mean": .5, "sd": None, "n": 1} and got["worst"]["mean"] is None and math.isfinite(got["bytes"]["mean"])


def test_a_coordinators_directory_is_a_run(crossfed, bin_dir, tmp_path):
    with make(tmp_path, bin_dir, rounds=4) as fed:
        fed.start().finish()
        state = fed.folder / "server"
    rows = [row for row in lines(state) if (row["scope"], row["split"], row["arm"]) == ("global", "valid", "federated")]
    assert [row["commits"] for row in rows] == sorted({row["commits"] for row in rows}) and rows[-1]["commits"] == 4
    got = crossfed("compare", state, "--target", "0", "--json").json()
    setting = got["settings"][0]
    assert setting["value"]["mean"] == rows[-1][got["metric"]] and setting["rounds_to_target"]["mean"] == rows[0]["commits"]
    assert setting["bytes"]["mean"] is None and setting["bytes_to_target"]["mean"] is None  # daemons do not say
    tag = f"{got['metric']}/valid/federated"
    assert scalars(state / "events.out.tfevents.crossfed")[tag] == [(row["commits"], pytest.approx(row[got["metric"]], rel=1e-6)) for row in rows]
    assert "is a coordinator's directory" in crossfed("rerun", state, status=FAILED).err
