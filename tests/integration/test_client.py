"""The silo's daemon and the verb that reads what it leaves: configuration, lock, signals, policy, recommend."""

import json
import signal

import pytest

from conftest import run_command
from test_federation import make


@pytest.fixture
def silo(tmp_path, bin_dir):
    """A federation of which only the silo silo-d1 is looked at."""
    with make(tmp_path, bin_dir) as fed:
        yield fed


def run_client(fed, *args, status=0):
    return run_command([fed.bin / "crossfed-client", "-c", fed.folder / "silo-d1.yaml", *args], status=status)


def test_check_config(silo):
    good = run_client(silo, "--check-config")
    assert "ok" in good.out
    assert not (silo.folder / "silo-d1").exists()
    for args, status, needle in (
            (("--set", "member=silo-d2"), 78, "speaks for"),
            (("--set", "federation=other"), 78, "speaks for"),
            (("--set", "data.path=/nowhere"), 78, "data.path"),
            (("--set", "policy.modles=mf"), 78, "policy.models"),
            (("--set", f"tls.cert={silo.folder}/silo-d2.pem"), 5, "")):
        bad = run_client(silo, "--check-config", *args, status=status)
        assert needle in bad.err
    silo.align.chmod(0o644)
    bad = run_client(silo, "--check-config", status=5)
    assert "chmod 600" in bad.err


def test_one_process_a_state_directory_and_signals(silo):
    client = silo.clients["silo-d1"].start()
    silo.until(lambda: client.events("started"))
    pid = client.popen.pid
    second = run_client(silo, status=7)
    assert f"process {pid}" in second.err
    for number, event in ((signal.SIGUSR1, "state"), (signal.SIGHUP, "config_reloaded")):
        client.signal(number)
        silo.until(lambda wanted=event: client.events(wanted))
    client.signal(signal.SIGTERM)
    assert client.wait(10) == 0
    assert client.events("stopped")


def test_recommend_answers_from_what_is_served(tmp_path, bin_dir, crossfed):
    with make(tmp_path, bin_dir) as fed:
        fed.start()
        fed.finish()
        state = fed.folder / "silo-d1"
        assert (state / "serve").stat().st_mode & 0o777 == 0o700
        report = json.loads((state / "serve" / "report.json").read_text())
        assert set(report["arms"]) == {"popularity", "alone", "federated"}
        best = max(report["arms"].values(), key=lambda a: a["valid"][report["measure"]])
        assert report["arms"][report["served"]]["valid"][report["measure"]] == best["valid"][report["measure"]]
        taken = {line.split("\t")[1] for line in (tmp_path / "events.tsv").read_text().splitlines()
                 if line.startswith("u3\td1")}
        for arm in ("served", "popularity", "alone", "federated"):
            answer = crossfed("recommend", "--state", state, "--user", "u3", "-k", "40", "--arm", arm, "--json").json()
            assert answer["known"] and answer["arm"] == (report["served"] if arm == "served" else arm)
            items = [i["item"] for i in answer["items"]]
            scores = [i["score"] for i in answer["items"]]
            assert scores == sorted(scores, reverse=True) and len(set(items)) == len(items)
            assert len(taken & set(items)) <= 2, "only the held-out two may come back"
        unknown = crossfed("recommend", "--state", state, "--user", "nobody", "--json").json()
        assert not unknown["known"] and unknown["arm"] == "popularity" and len(unknown["items"]) == 10
        assert "answered by popularity" in crossfed("recommend", "--state", state, "--user", "nobody").out
        assert "--arm" in crossfed("recommend", "--state", state, "--user", "u3", "--arm", "x", status=2).err
        assert "run is done" in crossfed("recommend", "--state", tmp_path, "--user", "u3", status=1).err


NOISE = "privacy: {unit: silo, clip: 1.0, noise_multiplier: 4.0, delta: 1.0e-5}"


def test_a_silo_stops_at_its_epsilon_and_the_others_go_on(tmp_path, bin_dir):
    with make(tmp_path, bin_dir, rounds=3, fed=", weighting: uniform, quorum_count: 2", more=NOISE,
              policy={"silo-d1": {"max_epsilon": 3}}) as fed:
        plan = fed.plan.read_text().replace(" quorum: 1.0,", "")
        fed.plan.write_text(plan)
        fed.start()
        fed.finish()
        client = fed.clients["silo-d1"]
        assert len(client.events("trained")) == 1
        assert all("policy.max_epsilon" in e["reason"] for e in client.events("work_failed") if e["code"] == "E_POLICY"
                   and "evaluation" not in e["reason"])
        assert len(fed.clients["silo-d0"].events("trained")) == 3
        spent = [e["statement"] for e in client.events("privacy") if "round" in e]
        assert len(spent) == 1 and "1 releases" in spent[0]


def test_a_plan_over_policy_ends_the_silo_with_the_key(tmp_path, bin_dir):
    with make(tmp_path, bin_dir, policy={"silo-d1": {"allow_aligned": False}}) as fed:
        fed.start(only=["silo-d1"])
        client = fed.clients["silo-d1"]
        assert client.wait(30) == 1
        assert client.events("plan_refused")[0]["key"] == "policy.allow_aligned"
