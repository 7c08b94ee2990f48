"""Personalisation as plans: the simulator, real daemons, a silo that dies in a round, what is refused before anything starts."""

import json

import pytest

from conftest import REPO
from federation import Process
from test_federation import IMAGES, as_exported, write_images

METHODS = {
    "fedper": "", "fedrep": "head_epochs: 2", "fedbn": "", "ditto": "lambda: 0.5", "pfedme": "lambda: 15, lr: 0.01, steps: 3", "apfl": "alpha: 0.3",
}
SECOND = ("ditto", "pfedme", "apfl")  # a net beside the shared one


def write_plan(tmp_path, name, extra=""):
    data, plan = tmp_path / "images", tmp_path / "plan.yaml"
    data.mkdir()
    write_images(data)
    text = IMAGES.format(kind="conv4" if name == "fedbn" else "cnn-small", by="dirichlet, n: 3, alpha: 5", data=data)
    text = text.replace("algorithm: fedavg", f"algorithm: {name}").replace("rounds: 2", "rounds: 3").replace("[federated]", "[alone, federated]")
    plan.write_text(text.replace("local: {", f"local: {{personal: {{{METHODS[name]}}}, " if METHODS[name] else "local: {"))
    return plan


def arm_of(metrics, arm):
    return {m["scope"]: m["logloss"] for m in metrics if m["arm"] == arm and m["split"] == "test"}


@pytest.mark.parametrize("name", METHODS)
def test_daemons_give_the_simulators_bytes(tmp_path, bin_dir, crossfed, name):
    """Three silos over real sockets; the simulator with one thread and with two. What stays in a silo is the same, too: its arms are."""
    plan = write_plan(tmp_path, name)
    summary = as_exported(tmp_path, bin_dir, crossfed, plan)
    for threads in ("1", "2"):
        simulated = json.loads(crossfed("sim", plan, "--json", "--threads", threads).out)
        assert simulated["model_blake2b"] == summary["model_blake2b"]
        for silo in ("silo-d1", "silo-d2", "silo-d3"):
            report = json.loads((tmp_path / "out" / silo / "state/serve/report.json").read_text())
            assert set(report["arms"]) == {"alone", "federated"} | ({"personal"} if name in SECOND else set())
            for arm, figures in report["arms"].items():
                assert arm_of(simulated["metrics"], arm)[f"domain:{silo[6:]}"] == figures["test"]["logloss"]
    if name in SECOND:
        lines = [json.loads(line) for line in (tmp_path / "out/coordinator/metrics.jsonl").read_text().splitlines()]
        crossfed("sim", plan, "--out", tmp_path / "run")
        own = [[(line["split"], line["logloss"]) for line in ls if line.get("arm") == "personal" and line["scope"] == "global"]
               for ls in (lines, [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()])]
        assert len(own[0]) == 9 and sorted(own[0]) == sorted(own[1])  # three evaluations of three parts
        assert summary["metrics"]["personal.test"]["logloss"] != summary["metrics"]["federated.test"]["logloss"]
    crossfed("verify", tmp_path / "out" / "coordinator")


@pytest.mark.parametrize("name", ["apfl"])
def test_a_silo_killed_in_a_round_goes_on_from_the_state_before(tmp_path, bin_dir, crossfed, faults_dir, name):
    """Killed when it has trained and stored nothing, when its new state is stored, and when its answer is, too: the same model and own nets."""
    plan = write_plan(tmp_path, name)
    plan.write_text(plan.read_text().replace("every: 1", "every: 0"))  # the second answer of each is of round 2
    out = tmp_path / "out"
    want = json.loads(crossfed("sim", plan, "--json").out)
    said = crossfed("sim", plan, "--export", out).out
    for line in said.splitlines():
        if line.startswith("  crossfed pki "):
            crossfed(*line.split()[1:], cwd=out)
    names = sorted(p.parent.name for p in out.glob("*/client.yaml"))
    server = Process("server", [faults_dir / "crossfed-server", "-c", out / "server.yaml"], tmp_path / "server.log")
    silos = [Process(n, [faults_dir / "crossfed-client", "-c", out / n / "client.yaml"], tmp_path / f"{n}.log") for n in names]
    points = ("C3=kill@2", "C4=kill@2", "C4_personal=kill@2")
    try:
        server.start()
        for silo, point in zip(silos, points):
            silo.start(CROSSFED_FAILPOINTS=point)
        for silo in silos:
            assert silo.wait() == -9
            silo.start()
        assert [p.wait() for p in (server, *silos)] == [0] * 4, "\n".join(p.tail() for p in (server, *silos))
    finally:
        for p in (server, *silos):
            p.kill()
    assert json.loads((out / "coordinator/summary.json").read_text())["model_blake2b"] == want["model_blake2b"]
    for silo in names:
        report = json.loads((out / silo / "state/serve/report.json").read_text())
        assert arm_of(want["metrics"], "personal")[f"domain:{silo[6:]}"] == report["arms"]["personal"]["test"]["logloss"]
    crossfed("verify", out / "coordinator")


def test_refused_before_anything_starts(tmp_path, crossfed):
    plan = write_plan(tmp_path, "fedper")
    for sets, says in ((["fed.algorithm=fedbn"], "model cnn-small has no normalisation layers to keep; write model.kind: conv4, or fed.algorithm: fedper"),
                       (["model.kind=logreg"], "fed.algorithm: fedper: model logreg has no layers before a linear output layer"),
                       (["fed.algorithm=ditto"], "local.personal.lambda: fed.algorithm ditto needs it"),
                       (["fed.algorithm=apfl", "model.kind=conv4"], "follows the data without a gradient; write model.kind: cnn-small, or fed.algorithm: fedbn"),
                       (["local.personal.alpha=0.2"], "local.personal.alpha: has no effect with fed.algorithm fedper")):
        args = [a for s in sets for a in ("--set", s)]
        assert says in crossfed("sim", plan, *args, status=None).err


def test_the_example_is_a_plan(crossfed):
    plan = REPO / "deploy/examples/plans/hospitals-personal.yaml"
    for sets in ([], ["fed.algorithm=apfl", "local.personal.lambda=0"], ["fed.algorithm=fedper", "local.personal.lambda=0"]):
        assert "float32" in crossfed("plan", plan, *[a for s in sets for a in ("--set", s)]).out
