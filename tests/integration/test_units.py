"""Training that is private per record or user (privacy.unit): daemons and simulator, the account, a silo at its epsilon."""

import json

from federation import Process
from test_federation import ANSWERS, IMAGES, as_exported, write_images

UNITS = "privacy: {{unit: {unit}, clip: 0.5, noise_multiplier: {z}, delta: 1.0e-3}}\n"
LOCAL = "local: {steps: 5, sample_rate: 0.3, batch: 6,"


def images(tmp_path, z, weighting="samples"):
    data, plan = tmp_path / "images", tmp_path / "plan.yaml"
    data.mkdir()
    write_images(data)
    text = IMAGES.format(kind="cnn-small", by="uniform, n: 3", data=data).replace("local: {epochs: 1, batch: 16,", LOCAL)
    plan.write_text(text.replace("weighting: samples", f"weighting: {weighting}") + UNITS.format(unit="record", z=z))
    return plan


def test_records_clipped_without_noise_give_the_same_bytes(tmp_path, bin_dir, crossfed):
    as_exported(tmp_path, bin_dir, crossfed, images(tmp_path, 0))


def test_steps_that_draw_nobody_have_no_loss_and_go_on(tmp_path, bin_dir, crossfed):
    plan = images(tmp_path, 0)
    plan.write_text(plan.read_text().replace("sample_rate: 0.3", "sample_rate: 1.0e-9"))
    as_exported(tmp_path, bin_dir, crossfed, plan)


def test_students_clipped_without_noise_give_the_same_bytes(tmp_path, bin_dir, crossfed):
    lines = []
    for i in range(18):
        n = 3 + 5 * i % 13
        skills, right = [1 + (i + t * t) % 4 for t in range(n)], [(i + t) % 2 for t in range(n)]
        lines += [str(n), ",".join(map(str, skills)), ",".join(map(str, right))]
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    plan = tmp_path / "plan.yaml"
    text = ANSWERS.format(split="kind: random", folder=tmp_path, more="").replace("local: {epochs: 1, batch: 4,", LOCAL)
    plan.write_text(text + UNITS.format(unit="user", z=0))
    as_exported(tmp_path, bin_dir, crossfed, plan)


def test_the_plan_and_the_simulator_say_what_a_record_costs(tmp_path, crossfed):
    plan = images(tmp_path, 1.2, "uniform")
    said = crossfed("plan", plan).out
    assert "per record of one silo against the coordinator" in said and "10 steps of Poisson samples" in said
    assert "epsilon is per record of a silo's train part" in said
    cost = json.loads(crossfed("plan", plan, "--json").out)["epsilon"]
    assert cost["unit"] == "record" and cost["releases"] == 10
    first, again = (json.loads(crossfed("sim", plan, "--json").out) for _ in range(2))
    assert first["model_blake2b"] == again["model_blake2b"] and first["stamp"] == "NOT PRIVATE: seeded"
    assert abs(first["epsilon_zero_out"] - cost["zero_out"]) < 1e-9 and abs(first["epsilon"] - cost["replace_one"]) < 1e-9
    rate = crossfed("account", "--q", "0.3", "--sigma", str(cost["noise_multiplier"]), "--steps", "10", "--delta", "1e-3", "--json").out
    exact = json.loads(rate)["epsilon"]  # the continuous Gaussian at fractional orders too
    assert exact <= cost["zero_out"] * (1 + 1e-9) < exact * 1.02


def test_a_silo_stops_when_its_records_have_spent_its_epsilon(tmp_path, bin_dir, crossfed):
    plan = images(tmp_path, 1.2, "uniform")
    plan.write_text(plan.read_text().replace("rounds: 2,", "rounds: 3,").replace("quorum: 1.0", "quorum_count: 2"))
    costs = [json.loads(crossfed("plan", plan, "--set", f"fed.rounds={n}", "--json").out)["epsilon"]["replace_one"] for n in (1, 2)]
    out = tmp_path / "out"
    for line in crossfed("sim", plan, "--export", out).out.splitlines():
        if line.startswith("  crossfed pki "):
            crossfed(*line.split()[1:], cwd=out)
    names = sorted(p.parent.name for p in out.glob("*/client.yaml"))
    argv = [bin_dir / "crossfed-client", "-c", out / names[0] / "client.yaml", "--set", f"policy.max_epsilon={sum(costs) / 2}", "--set", "policy.unit=record"]
    processes = [Process("server", [bin_dir / "crossfed-server", "-c", out / "server.yaml"], tmp_path / "server.log")]
    processes += [Process(n, [bin_dir / "crossfed-client", "-c", out / n / "client.yaml"], tmp_path / f"{n}.log") for n in names[1:]]
    processes += [Process(names[0], argv, tmp_path / "poor.log")]
    try:
        for p in processes:
            p.start()
        assert [p.wait() for p in processes[:-1]] == [0, 0, 0], "\n".join(p.tail() for p in processes)
        processes[-1].wait()
    finally:
        for p in processes:
            p.kill()
    poor, rich = processes[-1], processes[1]
    assert len(poor.events("trained")) == 1 and len(rich.events("trained")) == 3
    assert any("policy.max_epsilon" in e["reason"] for e in poor.events("work_failed"))
    spent = [e["statement"] for e in rich.events("privacy") if "round" in e]
    assert "5 steps, against the coordinator, per record of one silo" in spent[0] and "15 steps" in spent[2]
    assert any("each record's gradient to L2 norm 0.5 in each step" in e["statement"] for e in rich.events("privacy"))
    name = next(p.name for p in processes[1:-1] if p is rich)
    updates = json.loads(crossfed("inspect", out / name / "state", "--json").out)["updates"]
    assert [(u["unit"], u["sample_rate"], u["steps"]) for u in updates if "unit" in u] == [("record", 0.3, 5)] * 3
    summary = json.loads((out / "coordinator" / "summary.json").read_text())
    assert summary["rounds"] == 3
    crossfed("verify", out / "coordinator", *(p.parent for p in out.glob("silo-*/**/client.db")))
