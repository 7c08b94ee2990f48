"""crossfed rerun: the same run again from its directory, what a changed directory gives, what is refused."""

import json
import os

import pytest

from exper import write_plan

USAGE, FAILED, OTHER = 2, 1, 3


@pytest.fixture
def run(crossfed, tmp_path):
    plan = write_plan(tmp_path)
    crossfed("sim", plan, "--set", "local.optimizer.lr=0.3", "--seed", "11", "--threads", "1", "--out", tmp_path / "run")
    return tmp_path / "run"


def test_the_same_bytes(crossfed, run, tmp_path):
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    got = crossfed("rerun", run, "--threads", "2", "--json", env={"TMPDIR": str(scratch)}).json()
    model = json.loads((run / "summary.json").read_text())["model_blake2b"]
    assert got == {"v": 1, "run": str(run), "model_blake2b": model, "again": model, "same_model": True, "same_metrics": True}
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before and not list(scratch.iterdir())
    shown = crossfed("rerun", run, "--out", tmp_path / "again")
    assert "the same model, metrics.jsonl the same" in shown.out and shown.out.count(model) == 2
    assert (tmp_path / "again/metrics.jsonl").read_bytes() == before["metrics.jsonl"]
    assert (tmp_path / "again/model.safetensors").read_bytes() == before["model.safetensors"]
    assert "exists; a second run overwrites nothing" in crossfed("rerun", run, "--out", tmp_path / "again", status=FAILED).err
    crossfed("rerun", tmp_path / "again")  # and what it leaves is a run as any other


def test_a_changed_directory_is_another_run(crossfed, run):
    plan, summary, metrics = run / "plan.resolved.yaml", run / "summary.json", run / "metrics.jsonl"
    whole = plan.read_text()
    plan.write_text(whole.replace("seed: 11", "seed: 12"))
    assert "ANOTHER MODEL" in crossfed("rerun", run, status=OTHER).out
    plan.write_text(whole)
    text = metrics.read_text()
    metrics.write_text(text.replace('"acc":0.', '"acc":1.', 1))
    assert "the same model, metrics.jsonl differs" in crossfed("rerun", run, status=OTHER).out
    metrics.write_text(text)
    old = json.loads(summary.read_text())
    summary.write_text(json.dumps({**old, "model_blake2b": "00" * 32, "isa": "z80"}))
    shown = crossfed("rerun", run, status=OTHER)
    assert "kernels were z80" in shown.err and "ANOTHER MODEL" in shown.out


def test_refusals(crossfed, run, tmp_path):
    def says(want, *args, status=FAILED):
        shown = crossfed("rerun", *args, status=status)
        assert want in shown.err and not shown.out, shown.err

    says("RUN is missing", status=USAGE)
    says("one RUN, not", run, run, status=USAGE)
    says("--threads many: must be 0 to 256", run, "--threads", "many", status=USAGE)
    says("--frob: unknown", run, "--frob", status=USAGE)
    says("no summary.json, so no finished run", tmp_path)
    summary, plan = run / "summary.json", run / "plan.resolved.yaml"
    old, whole = summary.read_text(), plan.read_text()
    for damaged, want in (("", "summary.json"), ("{", "summary.json:1"), ("{}", "no model_blake2b"), ('{"run": "x", "model_blake2b": "y"}', "is a coordinator's directory")):
        summary.write_text(damaged)
        says(want, run)
    summary.write_text(old)
    plan.write_text("garbage")
    says("the second run failed", run)
    plan.write_text(whole)
    os.rename(tmp_path / "b.csv", tmp_path / "gone.csv")
    says("b.csv", run)
